//! One file on its way: rows that wait, then a Parquet writer, then pieces.
//!
//! Owns the life of a file. Rows wait in Arrow memory until there are enough of them to be worth a Parquet writer (whose
//! compressors cost a megabyte or so per large column), so a thousand small partitions cost their rows and little more.
//! What must stay true: rows come out in the order in which they went in; `held` is all the memory that the file has.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

use super::layout;
use super::options::{EncodeError, EncodeOptions};
use super::partition::Values;
use super::piece::{FileId, Piece, Range, Summary};
use super::spool::Spool;
use crate::batch::Origin;
use crate::position::{Position, Split};
use crate::reject::Stage;

/// What the files of an encoder have in common.
pub(super) struct Shape {
    pub(super) options: EncodeOptions,
    /// Of the files: what is selected, without the partition columns.
    pub(super) schema: SchemaRef,
    /// Rows wait up to this many bytes.
    pub(super) wait: usize,
    /// Rows are handed to the writer this many bytes at a time, so that the limits are looked at often enough.
    pub(super) step: usize,
}

/// A file that is not whole yet.
pub(super) struct OpenFile {
    id: FileId,
    key: Arc<str>,
    partition: Values,
    state: State,
    /// Bytes of rows in the open row group, in Arrow memory.
    group_bytes: usize,
    rows: u64,
    ranges: BTreeMap<Whence, Range>,
    /// Pieces cut so far.
    pieces: u32,
    /// When rows last came, by the encoder's count.
    pub(super) touched: u64,
}

/// What records of a range have in common: their split, for rejects the stage that refused them, and where the batches
/// between may have gone to other workers, the batch.
type Whence = (Split, Option<Stage>, Option<Position>);

enum State {
    Waiting { rows: Vec<RecordBatch>, bytes: usize },
    Writing(Box<ArrowWriter<Spool>>),
}

/// What a file costs besides its rows: its entry, key and ranges.
const ENTRY: usize = 1 << 10;
/// What an open writer costs besides what it counts itself: compressors, one per column that has filled a page. Resident
/// memory of sixteen writers of ten columns, zstd(3): 0.2 MiB each before the first full page, 2.3 MiB after it.
const WRITER: usize = 2 << 20;
/// So many small batches are joined into one, which saves most of what each costs.
const JOIN: usize = 16;

/// The bytes of a batch's own rows in Arrow memory, not of buffers that it shares.
pub(crate) fn size(rows: &RecordBatch) -> usize {
    let column = |column: &Arc<dyn Array>| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    rows.columns().iter().map(column).sum()
}

impl Shape {
    pub(super) fn new(options: EncodeOptions) -> Result<Self, EncodeError> {
        let columns = options.file_columns()?;
        #[expect(clippy::expect_used, reason = "the columns were looked up in this very schema")]
        let schema = Arc::new(options.schema.project(&columns).expect("the columns are those of the schema"));
        let wait = (options.row_group_bytes / 8).min(options.memory / 8).min(4 << 20);
        let step = (options.file_bytes / 4).clamp(1 << 16, 4 << 20) as usize;
        Ok(Shape { options, schema, wait, step })
    }
}

impl OpenFile {
    pub(super) fn new(id: FileId, key: Arc<str>, partition: Values) -> Self {
        OpenFile {
            id,
            key,
            partition,
            state: State::Waiting { rows: Vec::new(), bytes: 0 },
            group_bytes: 0,
            rows: 0,
            ranges: BTreeMap::new(),
            pieces: 0,
            touched: 0,
        }
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn is_writing(&self) -> bool {
        matches!(self.state, State::Writing(_))
    }

    /// All memory of the file.
    pub(super) fn held(&self) -> usize {
        ENTRY
            + match &self.state {
                State::Waiting { bytes, .. } => *bytes,
                State::Writing(writer) => WRITER + writer.memory_size() + writer.inner().held(),
            }
    }

    /// About how large the file would be if it were closed now; rows that wait do not count.
    pub(super) fn encoded(&self) -> u64 {
        match &self.state {
            State::Waiting { .. } => 0,
            State::Writing(writer) => (writer.bytes_written() + writer.in_progress_size()) as u64,
        }
    }

    /// How many bytes of rows still go into the row group.
    pub(super) fn room(&self, shape: &Shape) -> usize {
        shape.options.row_group_bytes.saturating_sub(self.group_bytes)
    }

    /// Notes that the rows about to be added come from `first` to `last`; `apart`: other batches of their split may have
    /// gone to other workers.
    pub(super) fn note(&mut self, origin: &Origin, first: usize, last: usize, rows: u64, apart: bool) {
        let (first, last) = (origin.position(first), origin.position(last));
        let (split, refused_by) = (origin.raw.split.clone(), origin.refused_by);
        self.rows += rows;
        match self.ranges.entry((split.clone(), refused_by, apart.then(|| origin.raw.until.clone()))) {
            Entry::Occupied(mut range) => {
                let range = range.get_mut();
                range.rows += rows;
                range.first = first.min(range.first.clone());
                range.last = last.max(range.last.clone());
            }
            Entry::Vacant(none) => {
                none.insert(Range { split, refused_by, first, last, rows });
            }
        }
    }

    /// Adds rows of `bytes` bytes.
    pub(super) fn add(&mut self, rows: RecordBatch, bytes: usize, shape: &Shape) -> Result<(), EncodeError> {
        self.group_bytes += bytes;
        match &mut self.state {
            State::Waiting { rows: waiting, bytes } => {
                *bytes += rows.get_array_memory_size();
                waiting.push(rows);
                if *bytes >= shape.wait { self.open(shape).map(drop) } else { self.join(shape) }
            }
            State::Writing(writer) => feed(writer, &rows, shape).map_err(|error| self.failed(error)),
        }?;
        if self.group_bytes >= shape.options.row_group_bytes { self.end_group(shape) } else { Ok(()) }
    }

    fn join(&mut self, shape: &Shape) -> Result<(), EncodeError> {
        if let State::Waiting { rows, bytes } = &mut self.state
            && rows.len() >= JOIN
        {
            let joined = concat_batches(&shape.schema, rows.iter());
            let joined = joined.map_err(|error| failed(&self.key, &error))?;
            *bytes = joined.get_array_memory_size();
            *rows = vec![joined];
        }
        Ok(())
    }

    /// Opens the Parquet writer, if it is not open, and hands the waiting rows to it.
    fn open(&mut self, shape: &Shape) -> Result<&mut ArrowWriter<Spool>, EncodeError> {
        if let State::Waiting { rows, .. } = &mut self.state {
            let rows = std::mem::take(rows);
            let mut writer = writer(&rows, shape).map_err(|error| failed(&self.key, &error))?;
            for rows in rows {
                feed(&mut writer, &rows, shape).map_err(|error| failed(&self.key, &error))?;
            }
            self.state = State::Writing(Box::new(writer));
        }
        match &mut self.state {
            State::Writing(writer) => Ok(writer),
            State::Waiting { .. } => Err(failed(&self.key, &"its writer did not open")),
        }
    }

    /// Closes the row group, so that its rows take only their encoded size.
    pub(super) fn end_group(&mut self, shape: &Shape) -> Result<(), EncodeError> {
        self.group_bytes = 0;
        let writer = self.open(shape)?;
        let ended = writer.flush().and_then(|()| Ok(writer.sync()?));
        ended.map_err(|error| self.failed(error))
    }

    /// Whether there is a row group to close that takes more than the bytes already encoded.
    pub(super) fn has_large_group(&self) -> bool {
        match &self.state {
            State::Waiting { .. } => false,
            State::Writing(writer) => writer.memory_size() > writer.inner().held(),
        }
    }

    /// Takes the pieces that are full.
    pub(super) fn cut(&mut self, shape: &Shape) -> Vec<Piece> {
        let State::Writing(writer) = &mut self.state else { return Vec::new() };
        let full = writer.inner_mut().cut();
        full.into_iter().map(|bytes| self.piece(bytes, None, shape)).collect()
    }

    /// Makes the file whole and gives its last pieces.
    pub(super) fn close(mut self, shape: &Shape) -> Result<Vec<Piece>, EncodeError> {
        self.open(shape)?;
        let State::Writing(mut writer) =
            std::mem::replace(&mut self.state, State::Waiting { rows: Vec::new(), bytes: 0 })
        else {
            return Err(failed(&self.key, &"its writer did not open"));
        };
        for (key, value) in [("millstream.epoch", self.id.epoch), ("millstream.generation", shape.options.generation)] {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value.to_string()));
        }
        let mut spool = writer.into_inner().map_err(|error| self.failed(error))?;
        let mut pieces: Vec<Piece> = spool.cut().into_iter().map(|bytes| self.piece(bytes, None, shape)).collect();
        let rest = spool.finish();
        let summary = Summary {
            rows: self.rows,
            bytes: rest.written,
            crc: rest.crc,
            ranges: std::mem::take(&mut self.ranges).into_values().collect(),
            partition: std::mem::take(&mut self.partition),
        };
        pieces.push(self.piece(rest.bytes, Some(summary), shape));
        Ok(pieces)
    }

    fn piece(&mut self, bytes: bytes::Bytes, end: Option<Summary>, shape: &Shape) -> Piece {
        self.pieces += 1;
        let permit = shape.options.reserve.reserve(bytes.len());
        Piece { file: self.id, key: self.key.clone(), number: self.pieces, bytes, permit, end }
    }

    fn failed(&self, error: ParquetError) -> EncodeError {
        failed(&self.key, &error)
    }
}

/// Hands rows to the Parquet writer a fraction of a page at a time: it looks at the size of a page only after each call, and
/// what comes in one call may double it.
fn feed(writer: &mut ArrowWriter<Spool>, rows: &RecordBatch, shape: &Shape) -> Result<(), ParquetError> {
    let total = rows.num_rows();
    let step = (total as u128 * (shape.options.page_bytes / 8) as u128 / size(rows).max(1) as u128) as usize;
    let step = step.clamp(1, total.max(1));
    for at in (0..total).step_by(step) {
        writer.write(&rows.slice(at, step.min(total - at)))?;
    }
    Ok(())
}

fn failed(key: &str, error: &dyn std::fmt::Display) -> EncodeError {
    EncodeError::File { key: key.to_owned(), message: error.to_string() }
}

/// Arrow's own schema is left out: Parquet says all that ours hold, every reader understands it, and a small file stays one.
fn writer(first: &[RecordBatch], shape: &Shape) -> Result<ArrowWriter<Spool>, ParquetError> {
    let properties = layout::properties(&shape.options, first);
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let spool = Spool::new(shape.options.piece_bytes());
    ArrowWriter::try_new_with_options(spool, shape.schema.clone(), options)
}
