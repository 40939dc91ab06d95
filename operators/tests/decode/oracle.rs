//! Proves that random records of random schemas mean what a slow reader, made of `serde_json` and a walk over its tree, says
//! that they mean: the same rows, the same reasons, the same fields. It would catch a slot that outlives its record, a column
//! that comes apart from its neighbours, a fault that is reported for another field, and JSON that only one of the two takes.

use millstream_operators::{Column, Kind, Schema};
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

use super::*;

/// Choices drawn from bytes, so that a failing case shrinks to few and small ones.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % limit
    }
    fn one_of<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }
}

const NAMES: [&str; 6] = ["a", "ab", "id", "é", "user", "q\""];
const TIMES: [(&str, i64); 2] = [("1970-01-01T00:00:01Z", 1_000_000), ("1970-01-02", 86_400_000_000)];
const STRINGS: [&str; 6] = [
    "",
    "plain",
    "with \"quotes\" and \\ and \n",
    "東京 é 😀",
    "a longer text that does not fit into one lane at all",
    "1970-01-32",
];

fn columns(c: &mut Choices<'_>, depth: usize) -> Vec<Column> {
    let count = c.below(4) + usize::from(depth == 0);
    let first = c.below(NAMES.len());
    (0..count).map(|i| column(c, NAMES[(first + i) % NAMES.len()], depth)).collect()
}

fn column(c: &mut Choices<'_>, name: &str, depth: usize) -> Column {
    let kind = match c.below(if depth < 3 { 9 } else { 7 }) {
        0 => Kind::String,
        1 => Kind::Int64,
        2 => Kind::Float64,
        3 => Kind::Bool,
        4 => Kind::Timestamp,
        5 => Kind::Int32,
        6 => decimal(6, 1),
        7 => Kind::Struct(columns(c, depth + 1)),
        _ => list(column(c, "item", depth + 1)),
    };
    let column = Column::new(name, kind);
    if c.once_in(4) { column.required() } else { column }
}

/// As the configuration makes it: a struct on the way to something required is required itself.
fn closed(columns: Vec<Column>) -> Vec<Column> {
    columns.into_iter().map(close).collect()
}

fn close(mut column: Column) -> Column {
    column.kind = match column.kind {
        Kind::Struct(fields) => {
            let fields = closed(fields);
            column.required |= fields.iter().any(|field| field.required);
            Kind::Struct(fields)
        }
        Kind::List(element) => list(close(*element)),
        leaf => leaf,
    };
    column
}

fn object(c: &mut Choices<'_>, columns: &[Column], depth: usize) -> String {
    let mut members = Vec::new();
    for column in columns {
        if c.once_in(6) {
            continue;
        }
        for _ in 0..1 + usize::from(c.once_in(8)) {
            members.push(format!(
                "{}{}:{}{}",
                string(c, &column.name),
                space(c),
                space(c),
                value_for(c, &column.kind, depth)
            ));
        }
    }
    if c.once_in(3) {
        members.push(format!("\"unknown\":{}", anything(c, depth)));
    }
    let turn = c.below(members.len().max(1));
    members.rotate_left(turn);
    format!("{{{}{}{}}}", space(c), members.join(&format!("{},", space(c))), space(c))
}

fn value_for(c: &mut Choices<'_>, kind: &Kind, depth: usize) -> String {
    if c.once_in(12) {
        return anything(c, depth);
    }
    match kind {
        Kind::String => {
            let text = c.one_of(&STRINGS);
            string(c, text)
        }
        Kind::Int64 | Kind::Int32 => c.one_of(&["12", "0", "-77", "2147483647", "2147483648"]).into(),
        Kind::Float64 => c.one_of(&["12", "0.5", "-1.25e2", "1E-3"]).into(),
        Kind::Bool => c.one_of(&["true", "false"]).into(),
        Kind::Timestamp => {
            let text = TIMES[c.below(2)].0;
            string(c, text)
        }
        Kind::Struct(columns) => object(c, columns, depth + 1),
        Kind::List(element) => {
            let elements: Vec<_> = (0..c.below(4)).map(|_| value_for(c, &element.kind, depth + 1)).collect();
            format!("[{}{}]", space(c), elements.join(&format!(",{}", space(c))))
        }
        _ => c.one_of(&["12.5", "\"12.5\"", "-3", "\"99999.9\"", "1.25"]).into(),
    }
}

fn anything(c: &mut Choices<'_>, depth: usize) -> String {
    match c.below(if depth < 4 { 9 } else { 6 }) {
        0 => "null".into(),
        1 => "true".into(),
        2 => "\"text\"".into(),
        3 => "77".into(),
        4 => "-0.75".into(),
        5 => "\"1970-01-02\"".into(),
        6 => format!("[{},{}]", anything(c, depth + 1), anything(c, depth + 1)),
        7 => "{}".into(),
        _ => format!("{{\"a\":{},\"id\":{}}}", anything(c, depth + 1), anything(c, depth + 1)),
    }
}

fn space(c: &mut Choices<'_>) -> &'static str {
    c.one_of(&["", "", "", " ", "\t\r\n "])
}

/// A string, written in one of the ways in which it can be.
fn string(c: &mut Choices<'_>, text: &str) -> String {
    if !c.once_in(6) {
        return json!(text).to_string();
    }
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{units}\"")
}

/// The same text with a byte changed, left out or put in.
fn mutated(c: &mut Choices<'_>, text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    if c.once_in(4) {
        let at = (c.below(256) * 256 + c.below(256)) % bytes.len();
        let byte =
            *c.one_of(&[&b'"', &b'\\', &b'{', &b'}', &b'[', &b']', &b',', &b':', &b'n', &b'7', &b' ', &0xff, &0x01]);
        match c.below(3) {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

type Refused = (&'static str, String);

fn expected(schema: &Schema, bytes: &[u8]) -> Result<Value, Refused> {
    let tree: Value = serde_json::from_slice(bytes).map_err(|_| ("decode", String::new()))?;
    let Value::Object(members) = tree else { return Err(("type", String::new())) };
    fields(&schema.columns, &members, "")
}

fn fields(columns: &[Column], members: &Map<String, Value>, path: &str) -> Result<Value, Refused> {
    let of = |column: &Column| {
        let path = if path.is_empty() { column.name.clone() } else { format!("{path}.{}", column.name) };
        Ok((column.name.clone(), one(column, members.get(&column.name), &path)?))
    };
    Ok(Value::Object(columns.iter().map(of).collect::<Result<_, _>>()?))
}

fn one(column: &Column, found: Option<&Value>, path: &str) -> Result<Value, Refused> {
    let wrong = || ("type", path.to_owned());
    match (found, &column.kind) {
        (None, _) if column.required => Err(("missing", missing(column, path))),
        (Some(Value::Null), _) if column.required => Err(("null", path.into())),
        (None | Some(Value::Null), _) => Ok(Value::Null),
        (Some(Value::Object(members)), Kind::Struct(columns)) => fields(columns, members, path),
        (Some(Value::Array(items)), Kind::List(element)) => {
            let item = |(i, item)| one(element, Some(item), &format!("{path}[{i}]"));
            items.iter().enumerate().map(item).collect()
        }
        (Some(found), kind) => leaf(found, kind).ok_or_else(wrong),
    }
}

fn missing(column: &Column, path: &str) -> String {
    let Kind::Struct(columns) = &column.kind else { return path.into() };
    let inside = columns.iter().find(|column| column.required);
    inside.map_or(path.into(), |column| missing(column, &format!("{path}.{}", column.name)))
}

fn leaf(found: &Value, kind: &Kind) -> Option<Value> {
    match (kind, found) {
        (Kind::String, Value::String(_)) | (Kind::Bool, Value::Bool(_)) => Some(found.clone()),
        (Kind::Int64, Value::Number(number)) => number.as_i64().map(Value::from),
        (Kind::Int32, Value::Number(number)) => i32::try_from(number.as_i64()?).ok().map(Value::from),
        (Kind::Float64, Value::Number(number)) => Number::from_f64(number.as_f64()?).map(Value::Number),
        (Kind::Timestamp, Value::String(text)) => TIMES.iter().find(|(time, _)| time == text).map(|(_, at)| json!(at)),
        (Kind::Decimal { .. }, Value::Number(number)) => tenths(&number.to_string()),
        (Kind::Decimal { .. }, Value::String(text)) => tenths(text),
        _ => None,
    }
}

/// A `decimal(6,1)` of a plain number with few digits.
fn tenths(text: &str) -> Option<Value> {
    let tens = text.parse::<f64>().ok()? * 10.0;
    (!text.ends_with('.') && tens.fract() == 0.0 && tens.abs() < 1e6).then(|| json!((tens as i64).to_string()))
}

/// Whether the two readers must agree on what became of a text. They rightly do not on a changed time, which this one knows
/// from a table, and on numbers of which `serde_json` makes a float (`-0`, long integers), which overflow one, or which it
/// reads a last bit off (powers of ten beyond the 22nd, which only changes make).
fn comparable(text: &str, changed: &[u8]) -> bool {
    let changed = String::from_utf8_lossy(changed);
    let timeless = !text.contains("1970-01-0") && !text.contains("\\u0031\\u0039");
    let long = changed.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 12);
    let power = |(at, _): (usize, &str)| {
        let digits = changed[at + 1..].trim_start_matches(['+', '-']);
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits[1..].starts_with(|c: char| c.is_ascii_digit())
    };
    let far = changed.match_indices(['e', 'E']).any(power);
    let zero = changed.match_indices("-0").any(|(at, _)| !changed[at + 2..].starts_with('.'));
    timeless && !long && !far && !zero
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]
    #[test]
    fn a_slow_reader_says_the_same(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut c = Choices(bytes.iter());
        let columns = closed(columns(&mut c, 0));
        let schema = schema(columns.clone());
        let records: Vec<Vec<u8>> = (0..5).map(|_| {
            let text = object(&mut c, &columns, 0);
            let changed = mutated(&mut c, text.clone());
            if comparable(&text, &changed) { changed } else { text.into_bytes() }
        }).collect();
        let mut decoder = decoder(columns);
        for (record, fate) in records.iter().zip(decode(&mut decoder, &records)) {
            let found = match fate {
                Fate::Row(row) => Ok(row),
                Fate::Refused { reason, field, .. } => Err((reason, field.unwrap_or_default())),
            };
            let expected = expected(&schema, record).map_err(|(reason, field)| (reason.to_owned(), field));
            prop_assert_eq!(found, expected, "{} as {:?}", String::from_utf8_lossy(record), schema);
        }
    }
}

proptest! {
    /// The numbers that the slow reader above cannot judge: the standard library reads them to the last bit.
    #[test]
    fn floats_are_exact_however_they_are_written(digits in any::<u64>(), point in 0..20usize, power in -330..290i32) {
        let digits = format!("{digits:020}");
        let (whole, fraction) = digits.split_at(point.max(1));
        let whole = whole.trim_start_matches('0');
        let text = format!("-{}.{fraction}0e{power}", if whole.is_empty() { "0" } else { whole });
        let mut decoder = decoder(vec![Column::new("a", Kind::Float64)]);
        let found = decode(&mut decoder, &[format!("{{\"a\":{text}}}")]).remove(0);
        let Fate::Row(row) = found else { panic!("{text} is refused") };
        prop_assert_eq!(row["a"].as_f64(), text.parse::<f64>().ok(), "{}", text);
    }
}
