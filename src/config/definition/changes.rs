//! What is another in one definition than in an earlier one, in words.
//!
//! Owns the phrases that a start announces and `epochs` shows. What must stay true: there are no phrases exactly where two
//! definitions are equal; variables are shown as written, never their values.

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::said::{self, Said};
use super::{
    AverageForm, ChoiceForm, ColumnForm, CsvForm, DecodeForm, DedupForm, Definition, ExpressionForm, KindForm,
    LimitsForm, SinkForm, WrittenForm,
};

/// The longest text that a phrase quotes, in characters.
const LONGEST: usize = 60;

impl Definition {
    /// What `newer` has that this one has not, a phrase for each: `[schema] adds author string`. Empty where both are equal.
    pub fn changes(&self, newer: &Definition) -> Vec<String> {
        let Definition { source, decode, limits, schema, validate, enrich, dedup, average, sink, more_sinks } = self;
        let mut told = source.changes(&newer.source);
        told.extend(keys("[decode]", decode_keys(decode), decode_keys(&newer.decode)));
        told.extend(keys("[limits]", limit_keys(limits), limit_keys(&newer.limits)));
        told.extend(named("[schema]", schema, &newer.schema));
        told.extend(named("[validate]", validate, &newer.validate));
        told.extend(named("[enrich]", enrich, &newer.enrich));
        told.extend(keys("[dedup]", dedup_keys(dedup), dedup_keys(&newer.dedup)));
        told.extend(named("[[average]]", average, &newer.average));
        told.extend(sinks(&all(sink, more_sinks), &all(&newer.sink, &newer.more_sinks)));
        told
    }
}

/// A key of a definition and its value: as it is compared, and as it is shown.
pub struct Fact {
    name: String,
    meant: String,
    shown: String,
}

impl Fact {
    pub fn new(name: impl Into<String>, value: impl ToString) -> Self {
        let shown = value.to_string();
        Fact { name: name.into(), meant: shown.clone(), shown }
    }

    pub fn said(name: impl Into<String>, said: &Said) -> Self {
        Fact { name: name.into(), meant: said.meant().to_owned(), shown: format!("{:?}", said.shown()) }
    }

    pub fn list(name: impl Into<String>, said: &[Said]) -> Self {
        let meant: Vec<&str> = said.iter().map(Said::meant).collect();
        Fact { name: name.into(), meant: format!("{meant:?}"), shown: list(said.iter().map(Said::shown)) }
    }

    /// A value in the JSON of a form.
    pub fn json(name: impl Into<String>, value: &Value) -> Self {
        let (meant, shown) = (said::meant(value.clone()), said::shown(value.clone()));
        Fact { name: name.into(), meant: meant.to_string(), shown: shown.to_string() }
    }

    fn columns(name: impl Into<String>, columns: &[String]) -> Self {
        Fact { name: name.into(), meant: format!("{columns:?}"), shown: list(columns) }
    }

    fn choice(name: impl Into<String>, choice: &Option<ChoiceForm>) -> Self {
        match choice {
            None => Fact::new(name, "chosen by column"),
            Some(ChoiceForm::All(all)) => Fact::new(name, all),
            Some(ChoiceForm::Columns(columns)) => Fact::columns(name, columns),
        }
    }
}

/// One phrase for each key that differs. A key that is in one of both alone is told by what it is now, or as gone.
pub(super) fn keys(section: &str, before: Vec<Fact>, now: Vec<Fact>) -> Vec<String> {
    let mut told = Vec::new();
    for key in &now {
        match before.iter().find(|old| old.name == key.name) {
            Some(old) if old.meant == key.meant => {}
            old => told.push(is_now(section, &key.name, old.map(|old| old.shown.as_str()), &key.shown)),
        }
    }
    let gone = before.iter().filter(|old| now.iter().all(|key| key.name != old.name));
    told.extend(gone.map(|old| format!("{section} {} is gone", old.name)));
    told
}

fn is_now(section: &str, name: &str, before: Option<&str>, now: &str) -> String {
    match before == Some(now) {
        true => format!("{section} {name} differs in the value of a variable, or in spacing"),
        false => format!("{section} {name} is now {}", cut(now)),
    }
}

/// One phrase for each item added to or dropped from a list in `[source]`.
pub fn came_and_went<T: PartialEq>(what: &str, before: &[T], now: &[T], shown: impl Fn(&T) -> String) -> Vec<String> {
    let came =
        now.iter().filter(|item| !before.contains(item)).map(|item| format!("adds {what} {}", cut(&shown(item))));
    let went =
        before.iter().filter(|item| !now.contains(item)).map(|item| format!("drops {what} {}", cut(&shown(item))));
    came.chain(went).map(|phrase| format!("[source] {phrase}")).collect()
}

/// Something with a name in a list.
trait Named: PartialEq {
    fn name(&self) -> &str;

    /// What it is, as it is shown.
    fn value(&self) -> String;

    /// What is said of a new one.
    fn introduced(&self) -> String;
}

impl Named for ColumnForm {
    fn name(&self) -> &str {
        &self.name
    }

    fn value(&self) -> String {
        self.type_text()
    }

    fn introduced(&self) -> String {
        format!("{} {}", self.name, cut(&self.type_text()))
    }
}

impl Named for ExpressionForm {
    fn name(&self) -> &str {
        &self.name
    }

    fn value(&self) -> String {
        self.sql.shown().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn introduced(&self) -> String {
        format!("{} = {}", self.name, cut(&self.value()))
    }
}

impl Named for AverageForm {
    fn name(&self) -> &str {
        self.name.meant()
    }

    fn value(&self) -> String {
        let AverageForm { name: _, of, by, time, group, keep_millis } = self;
        let time = time.as_ref().map_or(String::new(), |time| format!(" of {time}"));
        let group = if group.is_empty() { String::new() } else { format!(", grouped by {}", joined(group)) };
        let keep = keep_millis.map_or(String::new(), |keep| format!(", kept {} h", keep as f64 / 3_600_000.0));
        format!("of {of} by {}{time}{group}{keep}", joined(by))
    }

    fn introduced(&self) -> String {
        cut(self.name.shown())
    }
}

impl ColumnForm {
    fn type_text(&self) -> String {
        let mark = if self.required { "!" } else { "" };
        match &self.kind {
            KindForm::Word(word) => format!("{word}{mark}"),
            KindForm::Element(element) => format!("[{}]", element.type_text()),
            KindForm::Fields(fields) => {
                let field = |field: &ColumnForm| format!("{} {}", field.name, field.type_text());
                format!("{{{}}}", joined(fields.iter().map(field)))
            }
        }
    }
}

fn named<T: Named>(section: &str, before: &[T], now: &[T]) -> Vec<String> {
    let find = |list: &'_ [T], name: &str| list.iter().position(|item| item.name() == name);
    let mut told = Vec::new();
    for item in now {
        match find(before, item.name()).map(|at| &before[at]) {
            None => told.push(format!("{section} adds {}", item.introduced())),
            Some(old) if old == item => {}
            Some(old) => told.push(is_now(section, item.name(), Some(&old.value()), &item.value())),
        }
    }
    let gone = before.iter().filter(|item| find(now, item.name()).is_none());
    told.extend(gone.map(|item| format!("{section} drops {}", item.name())));
    let in_both = |list: &[T], other: &[T]| -> Vec<String> {
        let both = list.iter().filter(|item| find(other, item.name()).is_some());
        both.map(|item| item.name().to_owned()).collect()
    };
    let (stayed, order) = (in_both(before, now), in_both(now, before));
    // One that came or went in the middle moves the others, which changes nothing of their order.
    if stayed != order {
        told.push(format!("{section} has another order: {}", cut(&joined(now.iter().map(Named::name)))));
    }
    told
}

fn decode_keys(DecodeForm { format, compression, csv, written }: &DecodeForm) -> Vec<Fact> {
    let CsvForm { header, delimiter, null } = csv;
    let mut keys = vec![
        Fact::new("format", format),
        Fact::new("compression", compression),
        Fact::new("header", header),
        Fact::new("delimiter", format!("{delimiter:?}")),
        Fact::said("null", null),
    ];
    match written {
        None => {}
        Some(WrittenForm::Registry { url }) => keys.push(Fact::said("registry", url)),
        Some(WrittenForm::Protobuf { files, root }) => {
            keys.push(Fact::new("schema", content(files)));
            keys.push(Fact::new("message", format!("{root:?}")));
        }
        Some(schema @ (WrittenForm::Avro { .. } | WrittenForm::Hashed { .. })) => {
            keys.push(Fact::new("schema", content(&format!("{schema:?}"))));
        }
    }
    keys
}

/// Enough to tell one schema from another.
fn content(schema: &str) -> String {
    format!("another ({:016x})", xxh3_64(schema.as_bytes()))
}

fn dedup_keys(dedup: &Option<DedupForm>) -> Vec<Fact> {
    match dedup {
        None => Vec::new(),
        Some(DedupForm { by, within_days }) => {
            vec![Fact::columns("by", by), Fact::new("within", format!("{within_days} days"))]
        }
    }
}

fn limit_keys(LimitsForm { record, depth }: &LimitsForm) -> Vec<Fact> {
    vec![Fact::new("record", record), Fact::new("depth", depth)]
}

fn all<'a>(sink: &'a SinkForm, more: &'a [SinkForm]) -> Vec<&'a SinkForm> {
    std::iter::once(sink).chain(more).collect()
}

/// What is another of the sinks. They are told apart by name; a file with one sink has one in both.
fn sinks(before: &[&SinkForm], now: &[&SinkForm]) -> Vec<String> {
    if let ([before], [now]) = (before, now) {
        return keys("[sink]", sink_keys(before), sink_keys(now));
    }
    let find = |list: &[&SinkForm], name: &Option<String>| list.iter().position(|sink| sink.name == *name);
    let shown = |sink: &SinkForm| sink.name.clone().unwrap_or_else(|| "without a name".to_owned());
    let mut told = Vec::new();
    for sink in now {
        match find(before, &sink.name) {
            None => told.push(format!("[[sink]] adds {}", shown(sink))),
            Some(old) => {
                told.extend(keys(&format!("[[sink]] {}", shown(sink)), sink_keys(before[old]), sink_keys(sink)))
            }
        }
    }
    let gone = before.iter().filter(|sink| find(now, &sink.name).is_none());
    told.extend(gone.map(|sink| format!("[[sink]] drops {}", shown(sink))));
    let names = |list: &[&SinkForm], other: &[&SinkForm]| -> Vec<Option<String>> {
        list.iter().filter(|sink| find(other, &sink.name).is_some()).map(|sink| sink.name.clone()).collect()
    };
    if names(before, now) != names(now, before) {
        told.push(format!("[[sink]] has another order: {}", cut(&joined(now.iter().map(|sink| shown(sink))))));
    }
    told
}

fn sink_keys(sink: &SinkForm) -> Vec<Fact> {
    let SinkForm {
        name,
        filter,
        partition,
        keep_partition_columns,
        select,
        compression,
        file_size,
        row_group_size,
        page_size,
        dictionary,
        statistics,
        bloom,
        page_index,
    } = sink;
    vec![
        Fact::new("name", name.as_deref().unwrap_or("none")),
        filter.as_ref().map_or_else(|| Fact::new("where", "all rows"), |sql| Fact::said("where", sql)),
        Fact::columns("partition", partition),
        Fact::new("keep_partition_columns", keep_partition_columns),
        select.as_ref().map_or_else(|| Fact::new("select", "all columns"), |select| Fact::columns("select", select)),
        Fact::new("compression", compression),
        Fact::new("file_size", file_size),
        Fact::new("row_group_size", row_group_size),
        Fact::new("page_size", page_size),
        Fact::choice("dictionary", dictionary),
        Fact::choice("statistics", statistics),
        Fact::columns("bloom", bloom),
        Fact::new("page_index", page_index),
    ]
}

fn list(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    format!("[{}]", joined(items))
}

/// Items with commas between.
pub fn joined(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    items.into_iter().map(|item| item.as_ref().to_owned()).collect::<Vec<_>>().join(", ")
}

/// A text that is not too long for a line.
pub(super) fn cut(text: &str) -> String {
    let short: String = text.chars().take(LONGEST).collect();
    if short.len() == text.len() { short } else { format!("{short}…") }
}
