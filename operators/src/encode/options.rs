//! What can be asked of the encoder, and what it can fail with.
//!
//! Owns the options and their defaults, and checks them once against the schema, so that nothing later can meet a column
//! that is not there.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parquet::basic::{Compression, ZstdLevel};
use thiserror::Error;

use super::path;
use super::piece::FileId;
use crate::batch::Reserve;
use crate::protocol::naming::{FileKind, FileName, LogId};

const MIB: usize = 1 << 20;

/// How files are laid out.
#[derive(Clone)]
pub struct EncodeOptions {
    /// The columns of incoming batches.
    pub schema: SchemaRef,
    /// The columns to keep, in order; all of them where there is none. Partition columns need not be named.
    pub columns: Option<Vec<String>>,
    /// Columns whose values make the path.
    pub partition: Vec<String>,
    /// Whether the files hold the partition columns, too.
    pub keep_partition: bool,
    pub compression: Compression,
    /// A row group is closed at this many bytes of rows, in Arrow memory.
    pub row_group_bytes: usize,
    pub page_bytes: usize,
    /// A file is closed at about this many bytes, encoded.
    pub file_bytes: u64,
    /// What is asked for particular columns.
    pub choices: Vec<ColumnChoice>,
    /// Written into every file.
    pub metadata: Vec<(String, String)>,
    /// The smallest piece that the store takes, but for the last of a file.
    pub min_part: usize,
    /// Bytes that all open files of this encoder may hold.
    pub memory: usize,
    /// Where that memory is taken from.
    pub reserve: Arc<dyn Reserve>,
    /// How many files may have a Parquet writer at once; each has a compressor of a megabyte or so per large column.
    pub max_open: usize,
    /// Whether batches of a split between those that come here go to other workers: then a file says of each batch which of
    /// its records it holds, and not only of the first and the last one.
    pub apart: bool,
    /// The one partition to encode, as its path without a slash at the end (`day=2024-02-28/author=x`); rows of others are
    /// left out. `None`: all of them.
    pub only: Option<String>,
    /// What is written, for which log and by whom: all of it is part of every name, so that no two writers ever write one
    /// key.
    pub kind: FileKind,
    pub log: Option<LogId>,
    pub worker: usize,
    pub generation: u64,
}

/// What is asked for one column. What is left open, the first rows of a file decide.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnChoice {
    /// The column; a field in a struct as a path (`user.id`).
    pub column: String,
    pub dictionary: Option<bool>,
    pub statistics: Option<Statistics>,
    pub bloom: Option<Bloom>,
}

/// How finely minima, maxima and null counts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    None,
    RowGroup,
    Page,
}

/// A filter that tells which row groups cannot hold a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bloom {
    /// The share of false alarms.
    pub false_positives: f64,
    /// The most different values expected in a row group; memory is taken for them while it is open.
    pub distinct: u64,
}

impl Default for Bloom {
    fn default() -> Self {
        Bloom { false_positives: 0.01, distinct: 100_000 }
    }
}

impl EncodeOptions {
    /// The defaults: all columns, no partition, zstd(3), row groups of 64 MiB, pages of 1 MiB, files up to 512 MiB.
    pub fn new(schema: SchemaRef, reserve: Arc<dyn Reserve>) -> Self {
        EncodeOptions {
            schema,
            columns: None,
            partition: Vec::new(),
            keep_partition: false,
            compression: Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()),
            row_group_bytes: 64 * MIB,
            page_bytes: MIB,
            file_bytes: 512 * MIB as u64,
            choices: Vec::new(),
            metadata: Vec::new(),
            min_part: 5 * MIB,
            memory: 128 * MIB,
            reserve,
            max_open: 16,
            apart: false,
            only: None,
            kind: FileKind::Data,
            log: None,
            worker: 0,
            generation: 0,
        }
    }

    /// The name of a file below its partition path.
    pub(super) fn file_name(&self, id: FileId) -> FileName {
        let FileId { epoch, part } = id;
        FileName { kind: self.kind, epoch, worker: self.worker, part, generation: self.generation, log: self.log }
    }

    /// The size of a piece: no smaller than the store takes, and no more than 10,000 of them to a file.
    pub(super) fn piece_bytes(&self) -> usize {
        self.min_part.max(MIB).max((self.file_bytes / 5_000) as usize)
    }

    /// Indices of the columns in the file.
    pub(super) fn file_columns(&self) -> Result<Vec<usize>, EncodeError> {
        let all = || self.schema.fields().iter().map(|field| field.name().clone()).collect();
        let names: Vec<String> = self.columns.clone().unwrap_or_else(all);
        let kept: Vec<usize> = names
            .iter()
            .filter(|name| self.keep_partition || !self.partition.contains(name))
            .map(|name| self.index(name))
            .collect::<Result<_, _>>()?;
        if kept.is_empty() { Err(EncodeError::NoColumns) } else { Ok(kept) }
    }

    /// Indices of the partition columns.
    pub(super) fn partition_columns(&self) -> Result<Vec<usize>, EncodeError> {
        let check = |name: &String| {
            let index = self.index(name)?;
            let kind = self.schema.field(index).data_type();
            match path::supports(kind) {
                true => Ok(index),
                false => Err(EncodeError::Partition { column: name.clone(), kind: kind.to_string() }),
            }
        };
        self.partition.iter().map(check).collect()
    }

    fn index(&self, name: &str) -> Result<usize, EncodeError> {
        self.schema.index_of(name).map_err(|_| EncodeError::NoColumn { column: name.to_owned() })
    }
}

/// Why nothing can be encoded, or no more.
#[derive(Debug, Error)]
pub enum EncodeError {
    #[error("there is no column {column} to write; the columns are those of [schema] and [enrich]")]
    NoColumn { column: String },
    #[error("no column is left for the files: every selected column is a partition column")]
    NoColumns,
    #[error("{column} is a {kind} and cannot be partitioned by; cast it to a text, a number, a date or a timestamp")]
    Partition { column: String, kind: String },
    #[error("a value of partition column {column} has no path: {message}")]
    Value { column: String, message: String },
    #[error("a batch of {split} from position {position} cannot be encoded: {message}")]
    Batch { split: String, position: String, message: String },
    #[error("{key} cannot be written: {message}")]
    File { key: String, message: String },
}
