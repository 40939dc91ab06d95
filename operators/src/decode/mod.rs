//! Raw records into Arrow columns.
//!
//! ```text
//! RawBatch ─ unpack ─ framing ─┬─ json ─────┬─ columns ─ origin ─→ Decoded { rows, kept, refused }
//!          │                  ├─ csv, plain ─┤               │
//!          │                  └─ avro, protobuf ┘            │
//!          └──────────────────── rows ───────────────────────┘
//! ```
//!
//! Owns what a record must look like to become a row, and the operator that does it to a stream. Does not own where records
//! begin and end (their source does) nor what must hold between columns (`[validate]` does). What must stay true:
//!
//! - Every record is in exactly one of `rows` and `refused`; a record that the source refused stays refused as it was.
//! - A record costs itself only: whatever is in it, those around it are read, and memory stays within the limits.
//! - The same records give the same rows and refusals in every run, however they were cut into batches.
//!
//! Decoding goes in parts, so that a small batch that unpacks to much becomes several batches of bounded size.

mod avro;
mod builder;
mod columns;
mod csv;
mod fault;
mod format;
mod framing;
mod json;
mod number;
mod operator;
mod origin;
mod outline;
mod parquet;
mod plain;
mod plans;
mod protobuf;
mod required;
mod rows;
mod text;
mod time;
mod unpack;
mod value;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use thiserror::Error;

pub use self::csv::Csv;
pub use self::format::{FORMATS, Format, FormatSpec, InFiles, SchemaLanguage};
pub use self::framing::id as schema_id;
pub use self::operator::DecodeStream;
pub use self::origin::everywhere as origin_everywhere;
pub use self::unpack::Compression;

use self::columns::{Columns, Finished};
use self::fault::Fault;
use self::format::{Appended, Record, RecordReader};
use self::framing::Framing;
use self::text::Checked;
use self::unpack::Unpack;
use crate::batch::{RawBatch, Records};
use crate::reject::{Reason, Refusal};
use crate::schema::{Column, Schema};
use crate::written::Definition;

/// Where it is said which schema a record was written with.
#[derive(Clone, Debug, Default)]
pub enum Written {
    /// Nowhere: the format needs none.
    #[default]
    Plainly,
    /// Here, for all records.
    With(Arc<Definition>),
    /// In the record: it begins with the id of its schema in a registry.
    ById,
}

impl Written {
    /// The one schema of all records.
    fn one(&self) -> Option<&Definition> {
        match self {
            Written::With(definition) => Some(definition),
            Written::Plainly | Written::ById => None,
        }
    }
}

/// What a record may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a payload, packed and unpacked; and values that its lists may come to.
    pub record_bytes: usize,
    /// Levels of nesting; a record is the first.
    pub depth: usize,
    /// Bytes of records after which a part is full.
    pub part_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { record_bytes: 10 << 20, depth: 64, part_bytes: 64 << 20 }
    }
}

/// What a decoder is to do. Records that already are columns are read as they are, whatever the format says.
#[derive(Clone, Debug, Default)]
pub struct DecodeOptions {
    pub format: Format,
    pub compression: Compression,
    pub schema: Schema,
    pub limits: Limits,
    pub csv: Csv,
    pub written: Written,
    /// The columns of the origin that are appended to those of the schema.
    pub origin: Vec<Column>,
}

/// Why there can be no such decoder.
#[derive(Debug, Error)]
pub enum DecodeError {
    #[error("column `{column}` is a struct or a list, which CSV cannot hold; use JSON, or take it out of [schema]")]
    NestedInCsv { column: String },
    #[error("{delimiter:?} cannot be a CSV delimiter; use a single ASCII character such as `,`, `;` or a tab")]
    Delimiter { delimiter: char },
    #[error("{field} of {value} is out of range; it must be between 1 and {max}")]
    Limit { field: &'static str, value: usize, max: usize },
    #[error("format = \"text\" makes one column of a payload; let [schema] have one, a string or binary")]
    NotOneColumn,
    #[error("{0}")]
    Written(String),
    #[error("the schema has a type that Arrow does not: {0}")]
    Schema(#[from] ArrowError),
}

/// Decoded records.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The columns of the schema, then those of the origin where they are asked for.
    pub rows: RecordBatch,
    /// For each row its record; `None` where row `i` is record `i`, and every record is there.
    pub kept: Option<Arc<[u32]>>,
    /// The other records, ascending.
    pub refused: Vec<Refusal>,
}

/// Some of a raw batch's records, decoded.
#[derive(Clone, Debug)]
pub struct Part {
    pub decoded: Decoded,
    /// The record that the next part begins with, if this was not the last.
    pub next: Option<usize>,
}

/// Makes columns of raw records.
pub trait Decode {
    /// Decodes records from number `from` on, until the batch ends or the part is full. At least one record is decoded.
    fn part(&mut self, raw: &Arc<RawBatch>, from: usize) -> Part;

    /// Decodes all records at once, for those who know that the batch is small. Records of a batch that comes to more than
    /// a gigabyte are refused from there on, because no column can hold them.
    fn decode(&mut self, raw: &Arc<RawBatch>) -> Decoded;
}

impl<D: Decode + ?Sized> Decode for Box<D> {
    fn part(&mut self, raw: &Arc<RawBatch>, from: usize) -> Part {
        (**self).part(raw, from)
    }
    fn decode(&mut self, raw: &Arc<RawBatch>) -> Decoded {
        (**self).decode(raw)
    }
}

/// The decoder of a pipeline.
pub struct Decoder {
    options: DecodeOptions,
    unpack: Unpack,
    framing: Framing,
    reader: Box<dyn RecordReader>,
    columns: Columns,
}

/// What all columns can hold at once: a column's offsets are 31 bits wide.
const WHOLE: usize = 1 << 30;
/// Recursion follows the nesting, so the limit is bounded as well.
const MAX_DEPTH: usize = 256;
/// What a value takes in a builder at least; so a part of many columns and few bytes becomes full as well.
const VALUE_BYTES: usize = 8;

impl Decoder {
    /// A decoder for records of a schema.
    pub fn new(options: DecodeOptions) -> Result<Self, DecodeError> {
        let Limits { record_bytes, depth, part_bytes } = options.limits;
        within("the largest record", record_bytes, WHOLE / 4)?;
        within("the nesting limit", depth, MAX_DEPTH)?;
        within("the size of a part", part_bytes, WHOLE)?;
        let reader = (options.format.reader)(&options)?;
        let framing = if let Written::ById = options.written { Framing::Registered } else { Framing::Bare };
        let columns = Columns::new(&options.schema)?;
        Ok(Decoder { unpack: Unpack::new(options.compression, record_bytes), framing, reader, columns, options })
    }

    /// Reads records from number `from` on until they come to `budget` bytes; where it stopped.
    fn read(&mut self, raw: &RawBatch, from: usize, budget: usize) -> (Finished, Vec<Refusal>, usize) {
        let checked = Checked::new(raw, from);
        let mut refused_before = raw.refused.iter().skip_while(|refusal| (refusal.row as usize) < from).peekable();
        let (mut refused, mut spent, mut at) = (Vec::new(), 0, from);
        self.reader.begin(&raw.beside);
        while at < raw.records.len() && spent < budget {
            let row = at as u32;
            if let Some(refusal) = refused_before.next_if(|refusal| refusal.row == row) {
                refused.push(refusal.clone());
            } else {
                let (cost, result) = self.record(raw, &checked, row);
                spent += cost;
                refused.extend(result.err().map(|fault| fault.refuse(row)));
            }
            at += 1;
        }
        (finished(self.columns.finish()), refused, at)
    }

    /// Reads one record; what it cost, and its fault if it has one.
    fn record(&mut self, raw: &RawBatch, checked: &Checked<'_>, row: u32) -> (usize, Result<(), Box<Fault>>) {
        let payload = match checked.payload(raw, row as usize, &mut self.unpack) {
            Ok(payload) => payload,
            Err(fault) => return (0, Err(fault)),
        };
        let bytes = payload.bytes().len();
        self.columns.begin(row);
        let schemas = raw.beside.schemas.as_deref();
        let read = self.framing.open(payload).and_then(|(id, payload)| {
            let record = Record { payload, id, schemas };
            self.reader.record(record, &mut self.columns)
        });
        match read {
            Ok(Appended { values, result }) => {
                (bytes + (values + self.options.schema.columns.len()) * VALUE_BYTES, result)
            }
            Err(fault) => {
                self.columns.take_back();
                (bytes, Err(fault))
            }
        }
    }

    fn decoded(&self, raw: &RawBatch, finished: Finished, refused: Vec<Refusal>) -> Decoded {
        let kept = finished.kept(raw.records.len());
        let rows = match &self.options.origin {
            none if none.is_empty() => finished.rows,
            wanted => origin::append(raw, &finished.records, finished.rows, wanted),
        };
        Decoded { rows, kept, refused }
    }

    fn of_columns(&self, raw: &RawBatch, rows: &RecordBatch) -> Decoded {
        let (fitted, refused) = rows::fit(raw, rows, &self.options.schema);
        self.decoded(raw, finished(fitted), refused)
    }
}

impl Decode for Decoder {
    fn part(&mut self, raw: &Arc<RawBatch>, from: usize) -> Part {
        if let Records::Rows(rows) = &raw.records {
            return Part { decoded: self.of_columns(raw, rows), next: None };
        }
        let (finished, refused, at) = self.read(raw, from, self.options.limits.part_bytes);
        let next = (at < raw.records.len()).then_some(at);
        Part { decoded: self.decoded(raw, finished, refused), next }
    }

    fn decode(&mut self, raw: &Arc<RawBatch>) -> Decoded {
        if let Records::Rows(rows) = &raw.records {
            return self.of_columns(raw, rows);
        }
        let (finished, mut refused, at) = self.read(raw, 0, WHOLE);
        for row in at..raw.records.len() {
            let row = row as u32;
            let before = raw.refused.iter().find(|refusal| refusal.row == row).cloned();
            let full =
                || Fault::new(Reason::TooLarge, "the records before it in its batch fill a gigabyte").refuse(row);
            refused.push(before.unwrap_or_else(full));
        }
        self.decoded(raw, finished, refused)
    }
}

fn within(field: &'static str, value: usize, max: usize) -> Result<(), DecodeError> {
    if (1..=max).contains(&value) { Ok(()) } else { Err(DecodeError::Limit { field, value, max }) }
}

#[expect(clippy::expect_used, reason = "each builder has a row for each record, of the type that the schema says")]
fn finished(result: Result<Finished, ArrowError>) -> Finished {
    result.expect("columns fit the schema that they were made from")
}
