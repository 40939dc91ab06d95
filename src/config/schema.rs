//! `[schema]`: the columns that are read from a record, in the order of the file.
//!
//! `"string!"` must be there and not null. A table is a struct, `["string"]` a list, `[{ … }]` a list of structs. A table has
//! no place for a `!`: a struct is required exactly where a field in it is required, at whatever depth; elements of a
//! list are required in the same way (`["string!"]`), and the list itself may always be absent.

use millstream_operators::{Column, Kind, Schema};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::columns;
use super::error::Located;
use super::key::Spec;
use super::reader::{Reader, in_file_order};
use super::scalar::nearest;
use super::section::Section;

pub(super) const SPEC: Spec = Spec {
    heading: "[schema]",
    what: "columns to read, in order: name = type; ! after a type means that it must be there",
    keys: &[],
};

const TYPES: [(&str, Kind); 8] = [
    ("string", Kind::String),
    ("int32", Kind::Int32),
    ("int64", Kind::Int64),
    ("float64", Kind::Float64),
    ("bool", Kind::Bool),
    ("timestamp", Kind::Timestamp),
    ("date", Kind::Date),
    ("binary", Kind::Binary),
];

/// What the same type is called elsewhere.
const ELSEWHERE: [(&str, &str); 16] = [
    ("text", "string"),
    ("varchar", "string"),
    ("utf8", "string"),
    ("str", "string"),
    ("int", "int64"),
    ("integer", "int64"),
    ("long", "int64"),
    ("bigint", "int64"),
    ("float", "float64"),
    ("double", "float64"),
    ("real", "float64"),
    ("boolean", "bool"),
    ("datetime", "timestamp"),
    ("time", "timestamp"),
    ("bytes", "binary"),
    ("numeric", "decimal(p,s)"),
];

pub(super) fn read(section: Section<'_>) -> Schema {
    let mut columns = Vec::new();
    for (at, value) in section.entries() {
        if let Some(fault) = columns::name_fault(&at.key) {
            section.reader.report(at.error(fault));
        }
        columns.push(column(section.reader, &at, &at.key, value));
    }
    if columns.is_empty() && section.is_there() {
        section.reader.report(section.at.error("names no column; write one a line, as title = \"string\""));
    }
    Schema { columns }
}

/// The column that a value describes; `at.key` is its whole path, `name` the last part of it.
fn column(reader: &Reader<'_>, at: &Located, name: &str, value: &Spanned<DeValue<'_>>) -> Column {
    match value.get_ref() {
        DeValue::String(_) => simple(reader, at, name, value),
        DeValue::Table(table) => structure(reader, at, name, table),
        DeValue::Array(items) => match &items[..] {
            [element] => Column::new(name, Kind::List(Box::new(column(reader, at, "item", element)))),
            _ => refuse(reader, at, name, "a list has one type of element; write it as [\"string\"]".into()),
        },
        _ => {
            let written = reader.written(value);
            refuse(reader, at, name, format!("{written} is no type; write one in quotes, as \"string\""))
        }
    }
}

fn structure(reader: &Reader<'_>, at: &Located, name: &str, table: &DeTable<'_>) -> Column {
    let mut fields = Vec::new();
    for (key, value) in in_file_order(table) {
        let field = key.get_ref().as_ref();
        let at = Located {
            section: at.section.clone(),
            key: format!("{}.{field}", at.key).into(),
            ..reader.locate(key.span())
        };
        if field.is_empty() || field.chars().any(char::is_control) {
            reader.report(at.error("a field needs a name without control characters"));
        }
        fields.push(column(reader, &at, field, value));
    }
    if fields.is_empty() {
        return refuse(reader, at, name, "a struct needs a field; write it as { id = \"string\" }".into());
    }
    let required = fields.iter().any(|field| field.required);
    Column { name: name.into(), kind: Kind::Struct(fields), required }
}

fn simple(reader: &Reader<'_>, at: &Located, name: &str, value: &Spanned<DeValue<'_>>) -> Column {
    let Some(text) = reader.text(value, at) else { return Column::new(name, Kind::String) };
    let text = text.as_str().trim();
    let (word, required) = text.strip_suffix('!').map_or((text, false), |word| (word.trim_end(), true));
    match kind(word) {
        Ok(kind) => Column { name: name.into(), kind, required },
        Err(fault) => refuse(reader, at, name, format!("{} {fault}", reader.written(value))),
    }
}

/// The word for a type; empty for one that has none, a struct or a list.
pub(super) fn word(kind: &Kind) -> String {
    match kind {
        Kind::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        Kind::String
        | Kind::Int32
        | Kind::Int64
        | Kind::Float64
        | Kind::Bool
        | Kind::Timestamp
        | Kind::Date
        | Kind::Binary
        | Kind::Struct(_)
        | Kind::List(_) => {
            let known = TYPES.iter().find(|(_, known)| known == kind);
            known.map_or(String::new(), |(word, _)| (*word).to_owned())
        }
    }
}

/// The type of a word.
pub(super) fn kind(word: &str) -> Result<Kind, String> {
    if let Some((_, kind)) = TYPES.iter().find(|(name, _)| *name == word) {
        return Ok(kind.clone());
    }
    if let Some(arguments) = word.strip_prefix("decimal") {
        return decimal(arguments).ok_or_else(|| {
            "is no decimal; write decimal(p,s) with 1 to 38 digits, s of them behind the point, as decimal(12,2)".into()
        });
    }
    let all = || TYPES.iter().map(|(name, _)| *name);
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, ours)| *ours);
    Err(match elsewhere.or_else(|| nearest(word, all())) {
        Some(near) => format!("is no type; did you mean {near:?}?"),
        None => {
            format!("is no type; there are {}, decimal(p,s), tables and lists", all().collect::<Vec<_>>().join(", "))
        }
    })
}

fn decimal(arguments: &str) -> Option<Kind> {
    let (precision, scale) = arguments.trim().strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let fits = (1..=38).contains(&precision) && scale >= 0 && scale as u8 <= precision;
    fits.then_some(Kind::Decimal { precision, scale })
}

fn refuse(reader: &Reader<'_>, at: &Located, name: &str, problem: String) -> Column {
    reader.report(at.error(problem));
    Column::new(name, Kind::String)
}
