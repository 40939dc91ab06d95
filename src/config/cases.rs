//! `[[test]]`: records in, rows and rejects out, checked by `millstream test`.

use std::collections::BTreeMap;
use std::fmt;

use chrono::DateTime;
use millstream_operators::Reason;
use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::error::Located;
use super::expressions::Expression;
use super::key::{Key, Spec};
use super::scalar::{Fault, Scalar, nearest};
use super::section::Section;
use super::sink::Sink;
use super::text::Text;

const NAME: Key = Key::required("name", "what the case shows", "an empty article is refused");
const INPUT: Key = Key::required(
    "input",
    "records as text or as tables; a list of them, or a single text",
    "[{ content = \"two words\" }]",
);
const ARRIVED_AT: Key = Key::optional(
    "arrived_at",
    "when the records arrived, for expressions with _arrived_at; the time of the test unless said",
    "2024-02-28T10:00:00Z",
);
const EXPECT: Key = Key::with_default(
    "expect",
    "the rows that come out, in order; of each only the columns named here are looked at. With several sinks also by sink: { all \
     = […], long = […] }",
    "[]",
);
const REJECTS: Key = Key::with_default(
    "rejects",
    "the records refused, in order: { reason = \"…\", field = \"…\" }, field if it matters",
    "[]",
);

pub(super) const SPEC: Spec = Spec {
    heading: "[[test]]",
    what: "a case for `millstream test`: records in, rows and rejects out; any number of them",
    keys: &[NAME, INPUT, ARRIVED_AT, EXPECT, REJECTS],
};

/// A `[[test]]`.
#[derive(Clone, PartialEq)]
pub struct Case {
    pub name: Text,
    /// Each a record: a string is the payload itself, an object is written as one.
    pub input: Vec<Value>,
    /// Microseconds since 1970, UTC; by the clock where nothing is said.
    pub arrived_at: Option<i64>,
    /// Each a row as an object.
    pub expect: Vec<Value>,
    /// The rows of sinks, by name.
    pub expect_in: BTreeMap<String, Vec<Value>>,
    pub rejects: Vec<Refused>,
    /// Where it stands.
    pub at: Located,
}

/// A reject that a case expects.
#[derive(Clone, PartialEq)]
pub struct Refused {
    pub reason: Reason,
    /// Looked at only if it is there.
    pub field: Option<String>,
}

/// A time with its zone, in microseconds since 1970.
#[derive(Clone, Copy, Default)]
struct Arrival(i64);

impl Scalar for Arrival {
    const WANTED: &'static str = "a time with its zone; write it as \"2024-02-28T10:00:00Z\"";

    fn takes(value: &DeValue<'_>) -> bool {
        value.is_str() || matches!(value, DeValue::Datetime(_))
    }

    fn read(text: &str) -> Result<Self, Fault> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| Fault::Unlike)?;
        Ok(Arrival(time.timestamp_micros()))
    }
}

impl fmt::Debug for Case {
    // Records may hold what a variable stands for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (input, expect, rejects) = (
            self.input.len(),
            self.expect.len() + self.expect_in.values().map(Vec::len).sum::<usize>(),
            self.rejects.len(),
        );
        write!(f, "Case {{ name: {:?}, input: {input}, expect: {expect}, rejects: {rejects} }}", self.name)
    }
}

pub(super) fn read(sections: Vec<Section<'_>>, rules: &[Expression], sinks: &[Sink]) -> Vec<Case> {
    sections.into_iter().map(|section| one(section, rules, sinks)).collect()
}

fn one(section: Section<'_>, rules: &[Expression], sinks: &[Sink]) -> Case {
    let expect_in = rows_by_sink(&section, sinks);
    let case = Case {
        name: section.get(&NAME),
        input: input(&section),
        arrived_at: section.optional::<Arrival>(&ARRIVED_AT).map(|arrival| arrival.0),
        expect: if expect_in.is_empty() { rows(&section) } else { Vec::new() },
        expect_in,
        rejects: rejects(&section, rules),
        at: section.at.clone(),
    };
    if !section.has(&EXPECT) && !section.has(&REJECTS) {
        section.reader.report(section.at.error("says neither what comes out (expect) nor what is refused (rejects)"));
    }
    section.finish();
    case
}

fn input(section: &Section<'_>) -> Vec<Value> {
    let Some((at, value)) = section.value(&INPUT) else {
        section.check_absent(&INPUT);
        return Vec::new();
    };
    let is_record = |item: &Spanned<DeValue<'_>>| item.get_ref().is_str() || item.get_ref().is_table();
    match value.get_ref() {
        DeValue::Array(items) if items.iter().all(is_record) => {
            items.iter().map(|item| section.reader.json(item, &at)).collect()
        }
        DeValue::String(_) | DeValue::Table(_) => vec![section.reader.json(value, &at)],
        _ => {
            section.reader.report(at.error("is a record or a list of records; write each as a string or a table"));
            Vec::new()
        }
    }
}

/// The tables that a key lists.
fn tables<'a>(section: &Section<'a>, key: &Key) -> (Located, Vec<&'a Spanned<DeValue<'a>>>) {
    let Some((at, value)) = section.value(key) else { return (section.at.clone(), Vec::new()) };
    match value.get_ref() {
        DeValue::Array(items) if items.iter().all(|item| item.get_ref().is_table()) => (at, items.iter().collect()),
        _ => {
            section.reader.report(at.error(format!("is a list of tables; write it as {} = [{{ … }}, …]", key.name)));
            (at, Vec::new())
        }
    }
}

fn rows(section: &Section<'_>) -> Vec<Value> {
    let (at, items) = tables(section, &EXPECT);
    items.into_iter().map(|item| section.reader.json(item, &at)).collect()
}

/// The rows that are expected in each sink, where the case tells them by sink.
fn rows_by_sink(section: &Section<'_>, sinks: &[Sink]) -> BTreeMap<String, Vec<Value>> {
    let Some((at, value)) = section.value(&EXPECT) else { return BTreeMap::new() };
    let mut rows = BTreeMap::new();
    for (key, value) in value.get_ref().as_table().into_iter().flatten() {
        let name = key.get_ref().as_ref();
        if !sinks.iter().any(|sink| sink.place.name() == name) {
            let names: Vec<&str> = sinks.iter().map(|sink| sink.place.name()).collect();
            section.reader.report(at.error(format!("there is no sink {name:?}; there are {}", names.join(", "))));
        }
        match value.get_ref().as_array() {
            Some(items) if items.iter().all(|item| item.get_ref().is_table()) => {
                rows.insert(name.to_owned(), items.iter().map(|item| section.reader.json(item, &at)).collect());
            }
            _ => section
                .reader
                .report(at.error(format!("of {name:?} is a list of tables; write it as {name} = [{{ … }}, …]"))),
        }
    }
    rows
}

fn rejects(section: &Section<'_>, rules: &[Expression]) -> Vec<Refused> {
    let (at, items) = tables(section, &REJECTS);
    items.into_iter().filter_map(|item| reject(section, &at, item, rules)).collect()
}

fn reject(section: &Section<'_>, at: &Located, item: &Spanned<DeValue<'_>>, rules: &[Expression]) -> Option<Refused> {
    let table = item.get_ref().as_table()?;
    let known = table.keys().all(|key| matches!(key.get_ref().as_ref(), "reason" | "field"));
    let text = |name| table.get(name).filter(|value| value.get_ref().is_str());
    let at = Located { section: at.section.clone(), key: at.key.clone(), ..section.reader.locate(item.span()) };
    let (Some(written), true, true) = (text("reason"), known, text("field").is_some() || table.get("field").is_none())
    else {
        section.reader.report(at.error("each is { reason = \"…\" }, with field = \"…\" if it matters"));
        return None;
    };
    let said = section.reader.text(written, &at)?;
    let field = text("field").and_then(|field| section.reader.text(field, &at));
    match reason(said.as_str(), rules) {
        Ok(reason) => Some(Refused { reason, field: field.map(|field| field.as_str().to_owned()) }),
        Err(fault) => {
            section.reader.report(at.error(format!("{} {fault}", section.reader.written(written))));
            None
        }
    }
}

fn reason(said: &str, rules: &[Expression]) -> Result<Reason, String> {
    let plain = [Reason::Decode, Reason::Missing, Reason::Null, Reason::Type, Reason::TooLarge];
    if let Some(reason) = plain.iter().find(|reason| reason.to_string() == said) {
        return Ok(reason.clone());
    }
    let ruled = rules.iter().map(|rule| Reason::Rule(rule.name.as_str().into()));
    let all: Vec<Reason> = plain.iter().cloned().chain(ruled).collect();
    if let Some(reason) = all.iter().find(|reason| reason.to_string() == said) {
        return Ok(reason.clone());
    }
    let names: Vec<String> = all.iter().map(Reason::to_string).collect();
    Err(match nearest(said, names.iter().map(String::as_str)) {
        Some(near) => format!("is no reason; did you mean {near:?}?"),
        None => format!("is no reason; there are {}", names.join(", ")),
    })
}
