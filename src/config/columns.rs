//! The columns that a pipeline has, so that a name that no column has is found while the file is read.
//!
//! Owns what a column may be called and which names exist. It does not know the types of enriched columns: those are
//! found when their expressions are compiled.

use millstream_operators::decode::origin_everywhere;
use millstream_operators::{Column, Kind, Schema};

use super::error::Located;
use super::key::Key;
use super::scalar::nearest;
use super::section::Section;
use super::text::Text;

/// What is wrong with a name for a column, if anything.
pub(super) fn name_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a column needs a name".into());
    }
    if name.starts_with('_') {
        let kept = origin_everywhere().map(|column| column.name).join(", ");
        return Some(format!("names that begin with _ are kept for {kept}; choose another"));
    }
    name.chars().any(char::is_control).then(|| "a name of a column cannot hold control characters".into())
}

/// Which columns may be named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Whole columns.
    Columns,
    /// Fields in them too, as `user.id`.
    Fields,
}

/// The columns of a pipeline.
pub(super) struct Columns {
    schema: Schema,
    /// Those that say where a record came from.
    origin: Vec<Column>,
    enriched: Vec<String>,
}

impl Columns {
    pub(super) fn of(schema: &Schema, origin: &[Column]) -> Self {
        Columns { schema: schema.clone(), origin: origin.to_vec(), enriched: Vec::new() }
    }

    pub(super) fn add_enriched(&mut self, names: Vec<String>) {
        self.enriched.extend(names);
    }

    /// Whether there is a column of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let schema = self.schema.columns.iter().map(|column| column.name.as_str());
        let origin = self.origin.iter().map(|column| column.name.as_str());
        schema.chain(self.enriched.iter().map(String::as_str)).chain(origin)
    }

    /// Whether a dotted path leads to a field. Into an enriched column any path may: its fields are not known yet.
    fn has_field(&self, path: &str) -> bool {
        let Some((first, rest)) = path.split_once('.') else { return false };
        let schema = self.schema.columns.iter().chain(&self.origin).find(|column| column.name == first);
        self.enriched.iter().any(|name| name == first) || schema.is_some_and(|column| leads_on(column, rest))
    }

    /// What is wrong with naming `name`, if anything.
    fn fault(&self, name: &str, reach: Reach) -> Option<String> {
        if self.has(name) || (reach == Reach::Fields && self.has_field(name)) {
            return None;
        }
        if self.has_field(name) {
            let column = name.replace('.', "_");
            return Some(format!("is a field in a column; make it one with [enrich] {column} = \"{name}\""));
        }
        Some(match nearest(name, self.names()) {
            Some(near) => format!("is no column; did you mean {near:?}?"),
            None => format!("is no column; there are {}", self.names().collect::<Vec<_>>().join(", ")),
        })
    }

    /// The one column that a key names.
    pub(super) fn one(&self, section: &Section<'_>, key: &Key) -> Option<String> {
        let name: Text = section.optional(key)?;
        self.check(section, &section.at_key(key), &name, Reach::Columns);
        Some(name.as_str().to_owned())
    }

    /// The columns that a key lists, each once.
    pub(super) fn many(&self, section: &Section<'_>, key: &Key, reach: Reach) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (at, name) in section.list::<Text>(key) {
            self.check(section, &at, &name, reach);
            if names.iter().any(|before| before == name.as_str()) {
                section.reader.report(at.error(format!("{name:?} is there twice")));
            }
            names.push(name.as_str().to_owned());
        }
        names
    }

    fn check(&self, section: &Section<'_>, at: &Located, name: &Text, reach: Reach) {
        // Without a schema every name is wrong, and that has been said.
        if self.schema.columns.is_empty() {
            return;
        }
        if let Some(fault) = self.fault(name.as_str(), reach) {
            section.reader.report(at.error(format!("{name:?} {fault}")));
        }
    }
}

fn leads_on(column: &Column, path: &str) -> bool {
    match &column.kind {
        Kind::Struct(fields) => fields.iter().any(|field| match path.strip_prefix(field.name.as_str()) {
            Some("") => true,
            Some(rest) => rest.strip_prefix('.').is_some_and(|rest| leads_on(field, rest)),
            None => false,
        }),
        Kind::List(element) => leads_on(element, path),
        _ => false,
    }
}
