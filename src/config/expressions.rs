//! `[validate]` and `[enrich]`: named SQL expressions, in the order of the file.
//!
//! Owns their names. What they mean is found out when they are compiled; [`Located::error`] on [`Expression::at`] says what
//! is wrong then as if it had been found here.

use super::columns::{self, Columns};
use super::error::Located;
use super::key::Spec;
use super::section::Section;
use super::text::Text;

pub(super) const VALIDATE: Spec = Spec {
    heading: "[validate]",
    what: "rules: name = SQL expression; a record on which one is not true is a reject with the reason rule:<name>",
    keys: &[],
};

pub(super) const ENRICH: Spec =
    Spec { heading: "[enrich]", what: "new columns: name = SQL expression over the columns before it", keys: &[] };

/// A named expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    pub name: String,
    pub sql: Text,
    /// Where it stands.
    pub at: Located,
}

/// Reads the rules of `[validate]`.
pub(super) fn validate(section: Section<'_>) -> Vec<Expression> {
    read(&section, |name| name.is_empty().then(|| "a rule needs a name".to_owned()))
}

/// Reads the columns of `[enrich]`, and adds them to those known.
pub(super) fn enrich(section: Section<'_>, known: &mut Columns) -> Vec<Expression> {
    let expressions = read(&section, |name| {
        let taken = || known.has(name).then(|| "is a column of [schema] already; choose another name".to_owned());
        columns::name_fault(name).or_else(taken)
    });
    // A name that is taken is not there twice: hints list every column once.
    let new: Vec<String> = expressions.iter().map(|new| new.name.clone()).filter(|name| !known.has(name)).collect();
    known.add_enriched(new);
    expressions
}

fn read(section: &Section<'_>, fault: impl Fn(&str) -> Option<String>) -> Vec<Expression> {
    let mut expressions = Vec::new();
    for (at, value) in section.entries() {
        section.reader.remember(format!("{}.{}", at.section.trim_matches(['[', ']']), at.key), at.clone());
        if let Some(fault) = fault(&at.key) {
            section.reader.report(at.error(fault));
        }
        if !value.get_ref().is_str() {
            let written = section.reader.written(value);
            section.reader.report(at.error(format!("{written} is not an SQL expression in quotes")));
        }
        let sql = value.get_ref().as_str().and_then(|_| section.reader.text(value, &at)).unwrap_or_default();
        if sql.as_str().trim().is_empty() && value.get_ref().as_str().is_some_and(|sql| sql.trim().is_empty()) {
            section.reader.report(at.error("is empty; write an SQL expression"));
        }
        expressions.push(Expression { name: at.key.to_string(), sql, at });
    }
    expressions
}
