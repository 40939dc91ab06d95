//! The definition of a pipeline: the parts of its file that decide what rows come out, in a form that the log keeps.
//!
//! ```text
//! Config ─ read ─→ Definition ─→ JSON in the log ─→ Definition ─ under ─→ Config, compiled again later
//!                      └─ changes, same_source ─→ what a start says of a file that is not what it was
//! ```
//!
//! Owns what belongs to a definition and its JSON form. What must stay true:
//!
//! - Spelling plays no part: `30s` and `30000ms`, `./in` and `in`, the order of keys. Variables are put in, since their values
//!   decide what rows come out; the text as written is kept beside them for messages.
//! - It holds no secret: no credential, no property of `[source.options]`, no user or password.
//! - A configuration made [`Config::under`] a definition has exactly that definition.
//! - Its JSON is read by later releases: fields are added, never given another meaning.

mod changes;
mod read;
mod said;
mod source;
mod under;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use millstream_operators::protocol::Place;
use millstream_operators::written::Root;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use super::{Config, Sink};
pub use changes::{Fact, came_and_went, joined};
pub use read::{Besides, normal_path};
pub use said::Said;
pub use source::SourceChange;
use source::SourceForm;
pub use under::Past;

/// What decides which rows come out of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    source: SourceForm,
    decode: DecodeForm,
    limits: LimitsForm,
    schema: Vec<ColumnForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    validate: Vec<ExpressionForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    enrich: Vec<ExpressionForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dedup: Option<DedupForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    average: Vec<AverageForm>,
    /// The first sink.
    sink: SinkForm,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more_sinks: Vec<SinkForm>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct DecodeForm {
    format: String,
    compression: String,
    #[serde(default, skip_serializing_if = "CsvForm::is_default")]
    csv: CsvForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written: Option<WrittenForm>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CsvForm {
    header: bool,
    delimiter: char,
    null: Said,
}

impl Default for CsvForm {
    fn default() -> Self {
        CsvForm { header: true, delimiter: ',', null: Said::default() }
    }
}

impl CsvForm {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which schema records were written with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenForm {
    /// The schema itself, as JSON without white space.
    Avro { schema: String, references: Vec<String> },
    /// A descriptor set in base64.
    Protobuf { files: String, root: Root },
    /// A schema too large to be kept: it can be compiled again only while the file is the same.
    Hashed { hash: String, bytes: usize },
    /// Each record names its schema in this registry.
    Registry { url: Said },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LimitsForm {
    record: u64,
    depth: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ColumnForm {
    name: String,
    #[serde(rename = "type")]
    kind: KindForm,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    required: bool,
}

/// A type: a word, the fields of a struct, or the element of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum KindForm {
    Word(String),
    Fields(Vec<ColumnForm>),
    Element(Box<ColumnForm>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ExpressionForm {
    name: String,
    sql: Said,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct DedupForm {
    by: Vec<String>,
    within_days: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AverageForm {
    name: Said,
    of: String,
    by: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    group: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_millis: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SinkForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    filter: Option<Said>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    partition: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    keep_partition_columns: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    select: Option<Vec<String>>,
    compression: String,
    file_size: u64,
    row_group_size: u64,
    page_size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dictionary: Option<ChoiceForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    statistics: Option<ChoiceForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bloom: Vec<String>,
    page_index: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum ChoiceForm {
    All(bool),
    Columns(Vec<String>),
}

/// A short name for a definition: equal definitions have equal ids. In the metadata of every Parquet file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionId(u64);

impl fmt::Display for DefinitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

impl Definition {
    /// The JSON object that the log keeps.
    pub fn to_json(&self) -> Value {
        #[expect(clippy::expect_used, reason = "strings, whole numbers and lists of them always have a JSON form")]
        serde_json::to_value(self).expect("a definition has a JSON form")
    }

    /// A definition from the log, of this release or an earlier one.
    pub fn from_json(json: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(json)
    }

    /// The id.
    pub fn id(&self) -> DefinitionId {
        DefinitionId((xxh3_128(self.canonical().as_bytes()) >> 80) as u64)
    }

    /// The one text of all definitions that are equal.
    fn canonical(&self) -> String {
        said::meant(self.to_json()).to_string()
    }
}

impl Config {
    /// The definition. A relative path of a files source is taken from the working directory on.
    pub fn definition(&self) -> Definition {
        read::definition(self, &absolute).0
    }

    /// The sinks with their paths as the log keeps them: empty for the one that the log lies in.
    pub fn sink_paths(&self) -> BTreeMap<Place, String> {
        let path = |(index, sink): (usize, &Sink)| match index == 0 && self.log.is_none() {
            true => String::new(),
            false => read::normal_path(sink.location.path.as_str(), &absolute),
        };
        self.sinks.iter().enumerate().map(|(index, sink)| (sink.place.clone(), path((index, sink)))).collect()
    }

    /// One number for what the pipeline does; the same in every process that was given the same pipeline.
    ///
    /// What may differ between machines plays no part: the working directory, credentials' profile, memory, the listener,
    /// `[cluster]`; nor do `[[test]]` cases.
    pub fn fingerprint(&self) -> u64 {
        let (definition, besides) = read::definition(self, &Path::to_owned);
        let number = xxh3_128(format!("{}\n{besides}", definition.canonical()).as_bytes());
        (number >> 64) as u64
    }
}

/// A path from the root.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
