//! What moves through the dataflow: raw batches as a source delivered them, and Arrow batches made of them.
//!
//! Owns the shapes only. A batch of either kind knows the split it came from and the position of every record in it, so
//! that any row can be traced, refused or replayed. Cloning is cheap everywhere: payloads and columns are shared by
//! reference count, and the [`Permit`] for their memory goes back when the last holder lets go.

use std::any::Any;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;

use crate::position::{Position, Split};
use crate::reject::{Refusal, Stage};
use crate::written::Schemas;

/// The right to hold some bytes of memory, given back when dropped.
///
/// A permit is taken before a batch is fetched and travels with it until its bytes are encoded.
#[derive(Clone, Default)]
pub struct Permit(Option<Arc<dyn Held>>);

/// What stands behind a permit: some bytes, given back when it is dropped.
pub trait Held: Send + Sync {
    /// Gives back all but `bytes`, where it can.
    fn keep(&self, _bytes: usize) {}
}

/// Anything that gives back by being dropped, all at once.
struct Whole<T>(#[allow(dead_code, reason = "it is held to be dropped, and never read")] T);

impl<T: Any + Send + Sync> Held for Whole<T> {}

impl Permit {
    /// A permit that gives back by dropping `held`.
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Permit(Some(Arc::new(Whole(held))))
    }

    /// A permit of which a part can be given back.
    pub fn of(held: impl Held + 'static) -> Self {
        Permit(Some(Arc::new(held)))
    }

    /// Gives back what was taken beyond `bytes`: less was fetched than might have been.
    pub fn keep(&self, bytes: usize) {
        if let Some(held) = &self.0 {
            held.keep(bytes);
        }
    }

    /// For bytes that no budget counts: tests, and the few rows of a looking command.
    pub fn free() -> Self {
        Permit(None)
    }
}

/// Takes memory from the budget at once, into overdraft if it must: what is already inside the dataflow cannot wait for
/// room, but while the budget is overdrawn nothing new is fetched.
pub trait Reserve: Send + Sync {
    /// Takes `bytes` now.
    fn reserve(&self, bytes: usize) -> Permit;

    /// Takes `bytes` now, for what stays as long as the run: fetching never waits for these to come back.
    fn stand(&self, bytes: usize) -> Permit {
        self.reserve(bytes)
    }
}

/// No budget at all: everything is given. For tests, and for the few rows of a looking command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl Reserve for Unlimited {
    fn reserve(&self, _bytes: usize) -> Permit {
        Permit::free()
    }
}

/// Records as a source delivered them, before anything looked inside.
#[derive(Clone, Debug)]
pub enum Records {
    /// Records that lie in one buffer, each from a start to an end (lines of a file).
    Framed { data: Bytes, spans: Vec<(u32, u32)> },
    /// Records with a buffer each (payloads of a stream).
    Payloads(Vec<Bytes>),
    /// Records that already are columns (a Parquet file, a BigQuery stream).
    Rows(RecordBatch),
}

impl Records {
    /// The number of records.
    pub fn len(&self) -> usize {
        match self {
            Records::Framed { spans, .. } => spans.len(),
            Records::Payloads(payloads) => payloads.len(),
            Records::Rows(rows) => rows.num_rows(),
        }
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload of a record, shared and not copied; `None` where records are columns.
    pub fn payload(&self, index: usize) -> Option<Bytes> {
        match self {
            Records::Framed { data, spans } => {
                let (start, end) = spans[index];
                Some(data.slice(start as usize..end as usize))
            }
            Records::Payloads(payloads) => Some(payloads[index].clone()),
            Records::Rows(_) => None,
        }
    }

    /// The payload of a record as a borrowed slice; `None` where records are columns.
    pub fn bytes(&self, index: usize) -> Option<&[u8]> {
        match self {
            Records::Framed { data, spans } => {
                let (start, end) = spans[index];
                Some(&data[start as usize..end as usize])
            }
            Records::Payloads(payloads) => Some(&payloads[index]),
            Records::Rows(_) => None,
        }
    }
}

/// The positions of a raw batch's records, in the cheapest form that tells each.
#[derive(Clone, Debug)]
pub enum Positions {
    /// Record `i` is at `base` plus where it starts in the batch's buffer (byte offsets of a file).
    Offsets { base: u64 },
    /// Record `i` is at `first + i` (rows of a file, records of a generator).
    Counted { first: u64 },
    /// Each record's own number, ascending (offsets of a log that has gaps).
    Numbered(Vec<u64>),
    /// Each record's own (sequence numbers of a stream).
    Each(Vec<Position>),
}

/// What a source tells of records besides their bytes and their places.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The header line of a CSV file, which every batch of that file needs.
    pub header: Option<Bytes>,
    /// What only this kind of source knows of a record (its key, its time there): a column each, a row for each record.
    pub columns: Option<RecordBatch>,
    /// The schemas that the records say they were written with.
    pub schemas: Option<Arc<Schemas>>,
}

/// Records of one split, in order, as a source delivered them.
#[derive(Clone)]
pub struct RawBatch {
    /// The split that they were read from.
    pub split: Split,
    /// The records.
    pub records: Records,
    /// Where each of them stands.
    pub positions: Positions,
    /// Where reading goes on once this batch is committed.
    pub until: Position,
    /// When the batch arrived: microseconds since 1970, UTC.
    pub arrived_at: i64,
    /// Records that the source itself had to refuse, in order of `row`: too large to be held, or broken beyond framing.
    /// They count as records of the batch; decoding leaves them alone.
    pub refused: Vec<Refusal>,
    /// What else the source tells of them.
    pub beside: Beside,
    /// The memory that the batch stands for.
    pub permit: Permit,
    /// Bytes as they were fetched, for epoch size and counters.
    pub size: usize,
}

impl RawBatch {
    /// The position of record `index`.
    pub fn position(&self, index: usize) -> Position {
        match (&self.positions, &self.records) {
            (Positions::Offsets { base }, Records::Framed { spans, .. }) => {
                Position::at(base + u64::from(spans[index].0))
            }
            (Positions::Offsets { base }, _) => Position::at(base + index as u64),
            (Positions::Counted { first }, _) => Position::at(first + index as u64),
            (Positions::Numbered(numbers), _) => Position::at(numbers[index]),
            (Positions::Each(each), _) => each[index].clone(),
        }
    }
}

/// Where the rows of a [`Batch`] came from.
#[derive(Clone)]
pub struct Origin {
    /// The raw batch, shared: positions, arrival time, and raw bytes for those who refuse a row.
    pub raw: Arc<RawBatch>,
    /// For each row its index in the raw batch; `None` where row `i` is record `i`.
    pub kept: Option<Arc<[u32]>>,
    /// The stage that refused them, where they are reject rows.
    pub refused_by: Option<Stage>,
}

impl Origin {
    /// All records of a raw batch.
    pub fn all(raw: Arc<RawBatch>) -> Self {
        Origin { raw, kept: None, refused_by: None }
    }

    /// The index in the raw batch of `row`.
    pub fn record(&self, row: usize) -> usize {
        self.kept.as_ref().map_or(row, |kept| kept[row] as usize)
    }

    /// The position of `row`.
    pub fn position(&self, row: usize) -> Position {
        self.raw.position(self.record(row))
    }

    /// The origin of those rows only whose indices are given, ascending.
    pub fn keep(&self, rows: &[u32]) -> Self {
        let kept = rows.iter().map(|row| self.record(*row as usize) as u32).collect();
        Origin { raw: self.raw.clone(), kept: Some(kept), refused_by: self.refused_by }
    }
}

/// Rows in Arrow columns, and where they came from. Rejects travel in the same form.
#[derive(Clone)]
pub struct Batch {
    /// The columns so far.
    pub rows: RecordBatch,
    /// Where each row came from.
    pub origin: Origin,
}
