//! The formats of records.
//!
//! Owns the one list of them, [`FORMATS`], and what a format says of itself ([`FormatSpec`]). A format is a module beside this one
//! with such a spec and a [`RecordReader`]; nothing else names it. What must stay true of a reader: a record that it refuses
//! leaves no trace in the columns, any other appends exactly one row.

use std::fmt;

use super::columns::Columns;
use super::fault::Fault;
use super::text::Payload;
use super::{DecodeError, DecodeOptions, avro, csv, json, parquet, plain, protobuf};
use crate::batch::Beside;
use crate::written::Schemas;

/// All formats, the default first.
pub static FORMATS: [&FormatSpec; 6] =
    [&json::FORMAT, &csv::FORMAT, &plain::FORMAT, &avro::FORMAT, &protobuf::FORMAT, &parquet::FORMAT];

/// What the rest of the program has to know of a format.
pub struct FormatSpec {
    /// The value of `format`.
    pub word: &'static str,
    /// The keys of `[decode]` that it has besides `format` and `compression`.
    pub keys: &'static [&'static str],
    /// How records lie in a file, or why there can be none.
    pub in_files: Result<InFiles, &'static str>,
    /// Whether a message can be a record, or why not.
    pub in_messages: Result<(), &'static str>,
    /// The language of the schema that its records cannot be read without.
    pub schema: Option<SchemaLanguage>,
    /// Makes a reader.
    pub(super) reader: fn(&DecodeOptions) -> Result<Box<dyn RecordReader>, DecodeError>,
}

/// How records lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFiles {
    /// Each line is one.
    Lines,
    /// A line, or several where a quoted value has line ends in it.
    Csv,
    /// Rows of a Parquet file.
    Parquet,
}

/// A language that schemas are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaLanguage {
    Avro,
    Protobuf,
}

/// Reads records of one format.
pub(super) trait RecordReader: Send {
    /// Begins a batch.
    fn begin(&mut self, _beside: &Beside) {}

    /// Reads a record into a row of `columns`. After an error there is no row.
    fn record(&mut self, record: Record<'_>, columns: &mut Columns) -> Result<Appended, Box<Fault>>;
}

/// A row that was appended.
pub(super) struct Appended {
    /// Values in lists, besides those of the columns.
    pub(super) values: usize,
    /// The fault of the row, if it stands for a refused record.
    pub(super) result: Result<(), Box<Fault>>,
}

/// A record to be read.
pub(super) struct Record<'a> {
    pub(super) payload: Payload<'a>,
    /// The id of the schema that it was written with, if it names one.
    pub(super) id: Option<u32>,
    pub(super) schemas: Option<&'a Schemas>,
}

/// A format: a line of [`FORMATS`].
#[derive(Clone, Copy)]
pub struct Format(&'static FormatSpec);

impl Format {
    /// The format with this word.
    pub fn named(word: &str) -> Option<Self> {
        FORMATS.iter().find(|spec| spec.word == word).map(|spec| Format(spec))
    }

    /// Whether it has a key of `[decode]`.
    pub fn has(self, key: &str) -> bool {
        self.0.keys.contains(&key)
    }

    /// Whether its records cannot be read without the schema that they were written with.
    pub fn needs_schema(self) -> bool {
        self.0.schema.is_some()
    }
}

impl std::ops::Deref for Format {
    type Target = FormatSpec;

    fn deref(&self) -> &FormatSpec {
        self.0
    }
}

impl Default for Format {
    fn default() -> Self {
        Format(FORMATS[0])
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word)
    }
}
