//! What is required below a column.
//!
//! Owns the rule that a struct on the way to a required field is required itself, and where its absence is reported: at the
//! first required leaf.

use crate::schema::{Column, Kind};

/// Whether a record without this column is refused.
pub(super) fn is_required(column: &Column) -> bool {
    column.required || matches!(&column.kind, Kind::Struct(fields) if fields.iter().any(is_required))
}

/// The path below a struct to the first leaf that is required; none where there is no such leaf.
pub(super) fn first_leaf(kind: &Kind) -> Option<String> {
    let Kind::Struct(fields) = kind else { return None };
    fields.iter().find_map(|field| match first_leaf(&field.kind) {
        Some(below) => Some(format!("{}.{below}", field.name)),
        None => field.required.then(|| field.name.clone()),
    })
}
