//! What a registry says, as its protocol has it.
//!
//! Owns the JSON of Confluent's REST interface, which others speak too. Fields that we do not use are ignored.

use serde::Deserialize;

/// A schema.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Found {
    pub(super) schema: String,
    /// Avro where nothing is said.
    #[serde(default, rename = "schemaType")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) references: Vec<Reference>,
}

/// Another schema that a schema refers to.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Reference {
    /// How it is called there: the name of a type, or of a file.
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) version: i64,
}

/// Why there is none.
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    #[serde(rename = "error_code")]
    pub(super) code: u32,
}

impl Refused {
    /// Whether it says that a subject, a version or a schema is not there.
    pub(super) fn is_not_there(&self) -> bool {
        matches!(self.code, 404 | 40_401..=40_403)
    }
}

impl Found {
    pub(super) fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("AVRO")
    }
}
