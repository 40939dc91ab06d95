//! The source in a definition: JSON that only its connector understands.
//!
//! Owns the `type` in that JSON, which selects the connector, and the comparison of two sources. What must stay true: the JSON is in
//! the form that this build writes, also if the log has an older one, so equal definitions have equal text.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::changes::{cut, keys};
use super::{Definition, said};
use crate::config::Source;
use crate::config::definition::read::Besides;
use crate::connector::kind::{Kept, SourceKind};
use crate::connector::registry::source_kind;

/// The form of a source, with its `type`.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub(super) struct SourceForm(Value);

/// What became of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceChange {
    /// It is the same.
    Same,
    /// Streams or topics came or went, and some stayed; or other files of the same folder.
    Widened,
    /// Nothing of what was read is read now.
    Another { before: String, now: String },
}

impl Definition {
    /// Whether `newer` reads what this one reads.
    pub fn same_source(&self, newer: &Definition) -> SourceChange {
        let (before, now) = (&self.source, &newer.source);
        let kept = if before.word() == now.word() { before.kind().kept(&before.0, &now.0) } else { Kept::None };
        match kept {
            Kept::All => SourceChange::Same,
            Kept::Some => SourceChange::Widened,
            Kept::None => SourceChange::Another { before: before.described(), now: now.described() },
        }
    }
}

impl SourceForm {
    pub(super) fn of(source: &Source, besides: &mut Besides<'_>) -> Self {
        SourceForm(source.form(besides))
    }

    pub(super) fn json(&self) -> &Value {
        &self.0
    }

    fn word(&self) -> &str {
        self.0["type"].as_str().unwrap_or_default()
    }

    #[expect(clippy::expect_used, reason = "a form is made by its type, or read from JSON that names one")]
    pub(super) fn kind(&self) -> &'static dyn SourceKind {
        source_kind(self.word()).expect("a type of this build")
    }

    fn described(&self) -> String {
        self.kind().described(&self.0)
    }

    /// One phrase for each difference.
    pub(super) fn changes(&self, now: &SourceForm) -> Vec<String> {
        if self.word() != now.word() {
            return vec![format!("[source] is now {}", cut(&now.described()))];
        }
        let kind = self.kind();
        let mut told = kind.changes(&self.0, &now.0);
        told.extend(keys("[source]", kind.facts(&self.0), kind.facts(&now.0)));
        told
    }
}

/// Without the values of variables.
impl fmt::Debug for SourceForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        said::shown(self.0.clone()).fmt(f)
    }
}

/// By what is meant, as all of a definition.
impl PartialEq for SourceForm {
    fn eq(&self, other: &Self) -> bool {
        said::meant(self.0.clone()) == said::meant(other.0.clone())
    }
}

impl<'de> Deserialize<'de> for SourceForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Value::deserialize(deserializer)?;
        let word = form["type"].as_str().unwrap_or_default();
        let kind = source_kind(word).ok_or_else(|| D::Error::custom(format!("no source has type {word:?}")))?;
        kind.normal(&form).map(SourceForm).map_err(D::Error::custom)
    }
}
