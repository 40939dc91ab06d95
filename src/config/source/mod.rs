//! `[source]`: where records come from.
//!
//! Owns the list of source types that this build has. A new one is a file beside this one, a line in [`TYPES`] and a
//! variant of [`Source`].

mod files;
mod generate;
mod kafka;
mod kinesis;

pub use files::Files;
pub use generate::{Generate, Material};
pub use kafka::{Kafka, Start as KafkaStart, Tombstones};
pub(super) use kinesis::Arn;
pub use kinesis::{Kinesis, Start};

use millstream_operators::Column;
use millstream_operators::decode::origin_everywhere;

use super::key::{Key, Spec};
use super::scalar::nearest;
use super::section::Section;
use super::text::Text;

const TYPE: Key = Key::required("type", "kinesis, kafka, files or generate", "files");

/// A `[source]` of which only the type is known so far.
pub(super) const SPEC: Spec = Spec { heading: "[source]", what: "where records come from", keys: &[TYPE] };

/// A type of source: its word, its keys, and how it is read.
struct Type {
    word: &'static str,
    spec: Spec,
    read: fn(&Section<'_>) -> Source,
}

/// What this build can read from.
static TYPES: [Type; 4] = [
    Type { word: "kinesis", spec: kinesis::SPEC, read: |section| Source::Kinesis(kinesis::read(section)) },
    Type { word: "kafka", spec: kafka::SPEC, read: |section| Source::Kafka(kafka::read(section)) },
    Type { word: "files", spec: files::SPEC, read: |section| Source::Files(files::read(section)) },
    Type { word: "generate", spec: generate::SPEC, read: |section| Source::Generate(generate::read(section)) },
];

/// What other builds can read from.
const NOT_YET: [&str; 1] = ["bigquery"];

/// `[source]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Kinesis(Kinesis),
    Kafka(Kafka),
    Files(Files),
    Generate(Generate),
}

impl Source {
    /// The columns that say where a record of this source came from.
    pub(super) fn origin(&self) -> Vec<Column> {
        match self {
            Source::Kafka(kafka) => kafka.origin(),
            Source::Kinesis(_) | Source::Files(_) | Source::Generate(_) => origin_everywhere().into(),
        }
    }

    /// Whether its records are messages, each on its own, and not parts of files.
    pub fn is_stream(&self) -> bool {
        matches!(self, Source::Kinesis(_) | Source::Kafka(_))
    }

    /// Whether the file said what it is; if not, this is a stand-in.
    pub(super) fn is_said(&self) -> bool {
        *self != Source::default()
    }
}

impl Default for Source {
    fn default() -> Self {
        Source::Files(Files::default())
    }
}

/// The section of each type, for whoever prints them.
pub(super) fn specs() -> impl Iterator<Item = &'static Spec> {
    TYPES.iter().map(|known| &known.spec)
}

pub(super) fn read(section: Section<'_>) -> Source {
    let Some(word) = section.optional::<Text>(&TYPE) else { return Source::default() };
    let Some(known) = TYPES.iter().find(|known| known.word == word.as_str()) else {
        section.reader.report(section.at_key(&TYPE).error(format!("{word:?} {}", no_such_type(word.as_str()))));
        return Source::default();
    };
    let section = section.known_as(&known.spec);
    let source = (known.read)(&section);
    section.finish();
    source
}

fn no_such_type(word: &str) -> String {
    let words = || TYPES.iter().map(|known| known.word);
    let there = words().collect::<Vec<_>>().join(", ");
    if NOT_YET.contains(&word) {
        return format!("is not in this build yet; there are {there}");
    }
    match nearest(word, words()) {
        Some(near) => format!("is no source; did you mean {near:?}?"),
        None => format!("is no source; there are {there}"),
    }
}
