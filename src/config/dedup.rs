//! `[dedup]`: drops records whose key was seen before.

use std::time::Duration;

use super::columns::{Columns, Reach};
use super::error::Located;
use super::key::{Key, Spec};
use super::section::Section;
use super::units::Span;

const BY: Key = Key::required("by", "key column, or a list of key columns", "article_id");
const WITHIN: Key =
    Key::required("within", "drop a record if one with the same key arrived within so many whole days", "7 days");

pub(super) const SPEC: Spec = Spec {
    heading: "[dedup]",
    what: "drops a record if an earlier one has the same key; records with a null in the key are kept",
    keys: &[BY, WITHIN],
};

const DAY: u64 = 86_400;

/// A `[dedup]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    /// At least one.
    pub by: Vec<String>,
    /// Whole days, at least one.
    pub within: u32,
    /// Where it stands.
    pub at: Located,
}

pub(super) fn read(section: Section<'_>, columns: &Columns) -> Option<Dedup> {
    if !section.is_there() {
        return None;
    }
    let is_list = section.value(&BY).is_some_and(|(_, value)| value.get_ref().is_array());
    let by = match is_list {
        true => columns.many(&section, &BY, Reach::Columns),
        false => columns.one(&section, &BY).into_iter().collect(),
    };
    if is_list && by.is_empty() {
        section.reader.report(section.at_key(&BY).error("is empty; name at least one column"));
    }
    let span: Option<Span> = section.optional(&WITHIN);
    let within = span.map_or(1, |span| {
        days(span.0).unwrap_or_else(|| {
            let problem = "is not a number of whole days; write it as 1 day or 7 days";
            section.reader.report(section.at_key(&WITHIN).error(problem));
            1
        })
    });
    let at = section.at.clone();
    section.finish();
    Some(Dedup { by, within, at })
}

fn days(span: Duration) -> Option<u32> {
    let whole = span.subsec_nanos() == 0 && span.as_secs().is_multiple_of(DAY);
    u32::try_from(span.as_secs() / DAY).ok().filter(|_| whole)
}
