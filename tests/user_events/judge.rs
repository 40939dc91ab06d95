//! What must become of an event, from its bytes alone: written from the example's README, with `serde_json` and `chrono`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// A good event, as it is laid down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// Microseconds.
    pub(crate) datetime: i64,
    pub(crate) date: String,
    pub(crate) event: String,
    pub(crate) user: String,
    pub(crate) platform: String,
    pub(crate) product: String,
    pub(crate) sku: String,
}

/// Reason and field of a reject.
pub(crate) type Refused = (String, Option<String>);

/// How many events there were, and how many of them from an app, by kind of bucket, its start, and event.
pub(crate) type Averages = BTreeMap<(String, String, String), (i64, i64)>;

const EVENTS: [&str; 5] = ["view", "click", "search", "add_to_cart", "purchase"];
/// 2015-01-01 and, long after all tests, 2900-01-01, in seconds since 1970.
const FROM: i64 = 1_420_070_400;
const FUTURE: i64 = 29_348_092_800;

/// The row that a record is, or why it is refused.
pub(crate) fn judge(record: &[u8]) -> Result<Row, Refused> {
    let of_record = |reason: &str| (reason.to_owned(), None);
    let value: Value = serde_json::from_slice(record).map_err(|_| of_record("decode"))?;
    if depth(record) > 64 {
        return Err(of_record("decode"));
    }
    if !value.is_object() {
        return Err(of_record("type"));
    }
    let at = time(needed(&value, "timestamp", "timestamp")?).ok_or_else(|| refused("type", "timestamp"))?;
    let event = needed(&value, "event_name", "event_name")?;
    let (platform, user) = user(&value)?;
    let (product, sku) = product(&value)?;
    let broken_rule = [
        ("known_event", !EVENTS.contains(&event)),
        ("user_has_id", user.trim_matches(' ').is_empty()),
        ("not_before_2015", at.timestamp() < FROM),
        ("not_in_the_future", at.timestamp() > FUTURE),
        ("sale_has_product", matches!(event, "add_to_cart" | "purchase") && sku.is_none()),
    ];
    if let Some((rule, _)) = broken_rule.into_iter().find(|(_, broken)| *broken) {
        return Err(of_record(&format!("rule:{rule}")));
    }
    let or_unknown = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
    Ok(Row {
        datetime: at.timestamp_micros(),
        date: at.format("%Y-%m-%d").to_string(),
        event: event.to_owned(),
        user: user.to_owned(),
        platform: or_unknown(platform).to_lowercase(),
        product: or_unknown(product),
        sku: or_unknown(sku),
    })
}

fn refused(reason: &str, field: &str) -> Refused {
    (reason.to_owned(), Some(field.to_owned()))
}

/// A text that has to be there.
fn needed<'a>(of: &'a Value, name: &str, path: &str) -> Result<&'a str, Refused> {
    match of.get(name) {
        None => Err(refused("missing", path)),
        Some(Value::Null) => Err(refused("null", path)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(refused("type", path)),
    }
}

/// A text that may be absent; one of spaces counts as absent.
fn optional<'a>(of: &'a Value, name: &str, path: &str) -> Result<Option<&'a str>, Refused> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim_matches(' ')).filter(|text| !text.is_empty())),
        Some(_) => Err(refused("type", path)),
    }
}

fn user(value: &Value) -> Result<(Option<&str>, &str), Refused> {
    match value.get("user_identifiers") {
        None => Err(refused("missing", "user_identifiers.id")),
        Some(Value::Null) => Err(refused("null", "user_identifiers")),
        Some(user @ Value::Object(_)) => {
            Ok((optional(user, "platform", "user_identifiers.platform")?, needed(user, "id", "user_identifiers.id")?))
        }
        Some(_) => Err(refused("type", "user_identifiers")),
    }
}

fn product(value: &Value) -> Result<(Option<&str>, Option<&str>), Refused> {
    match value.get("product_information") {
        None | Some(Value::Null) => Ok((None, None)),
        Some(product @ Value::Object(_)) => Ok((
            optional(product, "name", "product_information.name")?,
            optional(product, "SKU", "product_information.SKU")?,
        )),
        Some(_) => Err(refused("type", "product_information")),
    }
}

/// RFC 3339 without leap seconds.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    (time.timestamp_subsec_nanos() < 1_000_000_000).then(|| time.to_utc())
}

/// How deep braces and brackets nest outside of texts.
fn depth(record: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0, 0, false, false);
    for byte in record {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The averages of some rows, counted one by one.
pub(crate) fn averages<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Averages {
    let mut averages = Averages::new();
    for row in rows {
        let at: DateTime<Utc> = DateTime::from_timestamp_micros(row.datetime).unwrap();
        for (by, from) in [("hour", at.format("%Y-%m-%dT%H:00:00Z")), ("day", at.format("%Y-%m-%dT00:00:00Z"))] {
            let key = (by.to_owned(), from.to_string(), row.event.clone());
            let (sum, count) = averages.entry(key).or_default();
            *sum += i64::from(matches!(&*row.platform, "ios" | "android"));
            *count += 1;
        }
    }
    averages
}
