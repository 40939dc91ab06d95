//! Each way of getting an event wrong, in each of its fields: the right reason, the right field, the bytes as they came, and
//! the good events before and behind it once.

use std::collections::{BTreeMap, BTreeSet};

use millstream::connector::generate::record::Records;
use millstream::connector::generate::{Fault, Kind};

use crate::folder::{EXAMPLE, Folder};
use crate::judge::judge;

/// An event with other members than a good one has: `{time}`, `{event}` and `{user}` are those of a good one.
fn with(members: &str) -> Vec<u8> {
    let members = members
        .replace("{time}", r#""timestamp":"2023-10-23T12:34:56Z""#)
        .replace("{event}", r#""event_name":"view""#)
        .replace("{user}", r#""user_identifiers":{"platform":"web","id":"user_12345"}"#);
    format!("{{{members}}}").into_bytes()
}

fn timed(time: &str) -> Vec<u8> {
    with(&format!(r#""timestamp":{time},{{event}},{{user}}"#))
}

fn named(event: &str) -> Vec<u8> {
    with(&format!(r#"{{time}},"event_name":{event},{{user}}"#))
}

fn by(user: &str) -> Vec<u8> {
    with(&format!(r#"{{time}},{{event}},"user_identifiers":{user}"#))
}

fn of(product: &str) -> Vec<u8> {
    with(&format!(r#"{{time}},{{event}},{{user}},"product_information":{product}"#))
}

fn sale_of(product: &str) -> Vec<u8> {
    with(&format!(r#"{{time}},"event_name":"purchase",{{user}},"product_information":{product}"#))
}

/// Broken events with the reason and the field (`-`: none) that each must be refused for.
fn broken() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let nested = |levels: usize| {
        with(&format!("{{time}},{{event}},{{user}},\"x\":{}{}", "[".repeat(levels), "]".repeat(levels)))
    };
    [
        times(),
        names(),
        users(),
        products(),
        vec![
            (b"{\"timestamp\":\"2023-10-23T12:34".to_vec(), "decode", "-"),
            (b"nonsense".to_vec(), "decode", "-"),
            (b"{}".to_vec(), "missing", "timestamp"),
            (b"[]".to_vec(), "type", "-"),
            ([b"[".to_vec(), with("{time},{event},{user}"), b"]".to_vec()].concat(), "type", "-"),
            (b"\"view\"".to_vec(), "type", "-"),
            (b"null".to_vec(), "type", "-"),
            (b"42".to_vec(), "type", "-"),
            ([with("{time},{event},{user}"), with("{time},{event},{user}")].concat(), "decode", "-"),
            ([b"{\"event\":".to_vec(), with("{time},{event},{user}"), b"}".to_vec()].concat(), "missing", "timestamp"),
            (nested(64), "decode", "-"),
            (nested(5_000), "decode", "-"),
            (b"{\"timestamp\":\"2023-10-23T12:34:56Z\",\"event_name\":\"\xff\xfe\"}".to_vec(), "decode", "-"),
            (with("{time},{event},{user},"), "decode", "-"),
            (with("{time},{event},{user},\"x\":NaN"), "decode", "-"),
            (with("{time},{event},{user},\"x\":\"tab\there\""), "decode", "-"),
            // The first field of the schema that is wrong is the one told.
            (with(r#""timestamp":1,"event_name":null"#), "type", "timestamp"),
        ],
    ]
    .concat()
}

fn times() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let no_times = [
        r#""""#,
        r#""yesterday""#,
        r#""2023-13-01T00:00:00Z""#,
        r#""2023-02-29T00:00:00Z""#,
        r#""2023-10-23T24:00:00Z""#,
        r#""2023-10-23T23:59:60Z""#,
        r#"" 2023-10-23T12:34:56Z""#,
        r#""23/10/2023 12:34""#,
        r#""1698064496""#,
        "1698064496",
        "1698064496.5",
        "true",
        "[]",
        r#"["2023-10-23T12:34:56Z"]"#,
        r#"{"$date":"2023-10-23T12:34:56Z"}"#,
    ];
    let mut all = vec![
        (with("{event},{user}"), "missing", "timestamp"),
        (with("\"Timestamp\":\"2023-10-23T12:34:56Z\",{event},{user}"), "missing", "timestamp"),
        (timed("null"), "null", "timestamp"),
        (with("{time},{event},{user},\"timestamp\":null"), "null", "timestamp"),
        (timed("\"1970-01-01T00:00:00Z\""), "rule:not_before_2015", "-"),
        (timed("\"0001-01-01T00:00:00Z\""), "rule:not_before_2015", "-"),
        (timed("\"2999-10-23T12:34:56Z\""), "rule:not_in_the_future", "-"),
        (timed("\"9999-12-31T23:59:59Z\""), "rule:not_in_the_future", "-"),
    ];
    all.extend(no_times.map(|time| (timed(time), "type", "timestamp")));
    all
}

fn names() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let mut all = vec![
        (with("{time},{user}"), "missing", "event_name"),
        (named("null"), "null", "event_name"),
        (with("{time},{event},{user},\"event_name\":null"), "null", "event_name"),
        (with("{time},{event},{user},\"event_name\":\"teleport\""), "rule:known_event", "-"),
    ];
    all.extend(
        ["\"teleport\"", "\"\"", "\"View\"", "\"view \"", "\"view/../x\""]
            .map(|name| (named(name), "rule:known_event", "-")),
    );
    all.extend(["7", "false", "[\"view\"]", "{\"name\":\"view\"}"].map(|name| (named(name), "type", "event_name")));
    all
}

fn users() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let mut all = vec![
        (with("{time},{event}"), "missing", "user_identifiers.id"),
        (by("{}"), "missing", "user_identifiers.id"),
        (by(r#"{"platform":"web"}"#), "missing", "user_identifiers.id"),
        (by("null"), "null", "user_identifiers"),
        (by(r#"{"platform":"web","id":null}"#), "null", "user_identifiers.id"),
        (by(r#"{"id":"user_1","id":null}"#), "null", "user_identifiers.id"),
        (with(r#"{time},{event},{user},"user_identifiers":{"platform":"web"}"#), "missing", "user_identifiers.id"),
        (by(r#"{"user":{"id":"user_1"}}"#), "missing", "user_identifiers.id"),
        (by(r#"{"platform":"web","id":""}"#), "rule:user_has_id", "-"),
        (by(r#"{"platform":"web","id":"   "}"#), "rule:user_has_id", "-"),
        (by(r#"{"platform":7,"id":"user_1"}"#), "type", "user_identifiers.platform"),
        (by(r#"{"platform":{"name":"web"},"id":"user_1"}"#), "type", "user_identifiers.platform"),
    ];
    all.extend(["\"user_1\"", "7", "[]", "[{\"id\":\"user_1\"}]"].map(|user| (by(user), "type", "user_identifiers")));
    all.extend(
        ["12345", "true", "{\"value\":\"user_1\"}", "[\"user_1\"]"]
            .map(|id| (by(&format!("{{\"platform\":\"web\",\"id\":{id}}}")), "type", "user_identifiers.id")),
    );
    all
}

fn products() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let mut all = vec![
        (of(r#"{"name":7}"#), "type", "product_information.name"),
        (of(r#"{"name":{"en":"Lamp"},"SKU":"SKU-1"}"#), "type", "product_information.name"),
        (of(r#"{"name":"Lamp","SKU":1001}"#), "type", "product_information.SKU"),
        (of(r#"{"name":"Lamp","SKU":["SKU-1"]}"#), "type", "product_information.SKU"),
    ];
    all.extend(["\"Lamp\"", "7", "[]", "true"].map(|product| (of(product), "type", "product_information")));
    let nothing = ["null", "{}", r#"{"name":"Lamp"}"#, r#"{"SKU":null}"#, r#"{"SKU":" "}"#, r#"{"sku":"SKU-1"}"#];
    all.extend(nothing.map(|product| (sale_of(product), "rule:sale_has_product", "-")));
    all
}

/// A good event, told from all others by its user.
fn good(number: usize) -> Vec<u8> {
    by(&format!(r#"{{"platform":"ios","id":"good_{number}"}}"#))
}

#[test]
fn every_broken_event_is_the_right_reject_and_its_neighbours_are_there_once() {
    let (folder, broken) = (Folder::new(), broken());
    assert!(broken.len() > 80, "only {} of them", broken.len());
    for (record, reason, field) in &broken {
        let wanted = (reason.to_string(), (*field != "-").then(|| field.to_string()));
        assert_eq!(judge(record), Err(wanted), "the oracle itself errs of {}", String::from_utf8_lossy(record));
    }
    let between = |(number, (record, ..)): (usize, &(Vec<u8>, _, _))| [good(number), record.clone()];
    let records: Vec<Vec<u8>> = broken.iter().enumerate().flat_map(between).chain([good(broken.len())]).collect();
    folder.write("plain.ndjson", &records);
    let others = (0..100).map(|number| good(1_000 + number));
    let packed: Vec<Vec<u8>> = records.iter().filter(|record| judge(record).is_err()).cloned().chain(others).collect();
    folder.write("packed.ndjson.gz", &packed);
    folder.run(EXAMPLE, &["-w", "2"]);
    let (found, expected) = (folder.found(), folder.expected());
    assert_eq!(found.rejects.len(), 2 * broken.len());
    for (key, reject) in &expected.rejects {
        assert_eq!(found.rejects.get(key), Some(reject), "{key:?}: {}", String::from_utf8_lossy(&reject.1));
    }
    let users: BTreeSet<&String> = found.rows.iter().map(|row| &row.user).collect();
    assert_eq!((found.rows.len(), users.len()), (broken.len() + 101, broken.len() + 101));
    assert!(found == expected);
}

#[test]
fn all_that_the_generator_breaks_is_refused_and_nothing_else() {
    const SPLITS: u64 = 2;
    const EACH: u64 = 1_500;
    let folder = Folder::new();
    let input = folder.input();
    let asked = ["--kind", "events", "--count", "3000", "--splits", "2", "--seed", "11", "--broken", "0.4"];
    folder.millstream(&[&["populate", "files"], &asked[..], &[input.to_str().unwrap()]].concat());
    folder.run(EXAMPLE, &["-w", "2"]);
    let (found, expected) = (folder.found(), folder.expected());
    assert!(
        found == expected,
        "{} rows of {}, {} rejects of {}",
        found.rows.len(),
        expected.rows.len(),
        found.rejects.len(),
        expected.rejects.len()
    );
    let records = Records::new(Kind::Events, 11, 0.4);
    let mut ways: BTreeMap<Fault, usize> = BTreeMap::new();
    for (split, index) in (0..SPLITS).flat_map(|split| (0..EACH).map(move |index| (split, index))) {
        if let Some(fault) = records.fault(split, index) {
            *ways.entry(fault).or_default() += 1;
        }
    }
    assert_eq!(ways.values().sum::<usize>(), found.rejects.len());
    assert_eq!(ways.len(), Fault::of(Kind::Events).len(), "{ways:?}");
    let told: BTreeSet<(&str, Option<&str>)> =
        found.rejects.values().map(|((reason, field), _)| (&**reason, field.as_deref())).collect();
    for (reason, field) in [
        ("decode", None),
        ("missing", Some("timestamp")),
        ("missing", Some("event_name")),
        ("missing", Some("user_identifiers.id")),
        ("null", Some("timestamp")),
        ("null", Some("event_name")),
        ("null", Some("user_identifiers")),
        ("null", Some("user_identifiers.id")),
        ("type", None),
        ("type", Some("timestamp")),
        ("type", Some("event_name")),
        ("type", Some("user_identifiers")),
        ("type", Some("user_identifiers.id")),
        ("type", Some("user_identifiers.platform")),
        ("type", Some("product_information")),
        ("type", Some("product_information.SKU")),
        ("rule:known_event", None),
        ("rule:user_has_id", None),
        ("rule:not_before_2015", None),
        ("rule:not_in_the_future", None),
    ] {
        assert!(told.contains(&(reason, field)), "{reason} of {field:?} is not there: {told:?}");
    }
}
