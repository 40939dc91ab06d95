//! What `[dedup]` asks for, checked against the columns that there are, and the keys of rows.

use arrow::array::{Array, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;
use thiserror::Error;

use super::Key;
use super::decide::{Asked, Owner};
use crate::batch::Batch;
use crate::digest::row_hashes;
use crate::fork;
use crate::position::Position;
use crate::protocol::commit::LeftOut;
use crate::state::Defined;

/// A `[dedup]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DedupSpec {
    /// The columns whose values together make a record one of its kind.
    pub by: Vec<String>,
    /// How many days apart two records with one key may arrive for the later one to be left out.
    pub within: u32,
}

/// Why `[dedup]` cannot be.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DedupError {
    #[error("there is no column {0}")]
    NoColumn(String),
}

impl DedupSpec {
    /// The one part of its state.
    const PART: &'static str = "keys";

    /// As the log says it.
    pub fn defined(&self) -> Defined {
        Defined::from([(Self::PART.to_owned(), format!("within {} by {}", self.within, self.by.join(",")))])
    }

    /// The days and the columns that a definition in the log says.
    pub(super) fn read(definition: &str) -> Option<(u32, &str)> {
        let (within, by) = definition.strip_prefix("within ")?.split_once(" by ")?;
        Some((within.parse().ok()?, by))
    }
}

/// Tells the keys of rows.
#[derive(Clone, Debug)]
pub struct Dedup {
    columns: Vec<usize>,
    pub within: u32,
}

/// The rows of a batch that have a key, with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keyed {
    pub(super) rows: Vec<u32>,
    pub(super) keys: Vec<Key>,
}

impl Dedup {
    pub fn new(spec: &DedupSpec, schema: &SchemaRef) -> Result<Self, DedupError> {
        let index = |column: &String| schema.index_of(column).map_err(|_| DedupError::NoColumn(column.clone()));
        Ok(Dedup { columns: spec.by.iter().map(index).collect::<Result<_, _>>()?, within: spec.within })
    }

    pub(super) fn keyed(&self, rows: &RecordBatch) -> Keyed {
        #[expect(clippy::expect_used, reason = "every batch has the columns that the stages were compiled for")]
        let columns = rows.project(&self.columns).expect("the columns of the key are there");
        let nulls = columns.columns().iter().map(|column| column.logical_nulls());
        let nulls = nulls.fold(None, |all: Option<NullBuffer>, own| NullBuffer::union(all.as_ref(), own.as_ref()));
        let hashes = row_hashes(&columns);
        match nulls {
            None => Keyed { rows: (0..hashes.len() as u32).collect(), keys: hashes },
            Some(nulls) => {
                let rows: Vec<u32> = nulls.valid_indices().map(|row| row as u32).collect();
                let keys = rows.iter().map(|row| hashes[*row as usize]).collect();
                Keyed { rows, keys }
            }
        }
    }

    /// The rows of a batch that come first, with no dataflow: every batch is an epoch of its own.
    pub fn apply(&self, owner: &mut Owner, batch: Batch) -> Batch {
        let asked = Asked::of(&batch, self.keyed(&batch.rows));
        let (mut verdicts, _) = owner.decide(vec![asked]);
        let again = verdicts.pop().map(|verdict| verdict.again).unwrap_or_default();
        without(batch, &again).0
    }
}

/// A batch without some of its rows, and the stretches of records that these are.
pub(super) fn without(batch: Batch, again: &[u32]) -> (Batch, Vec<(Position, Position)>) {
    if again.is_empty() {
        return (batch, Vec::new());
    }
    let mut stays = BooleanBufferBuilder::new(batch.rows.num_rows());
    stays.append_n(batch.rows.num_rows(), true);
    again.iter().for_each(|row| stays.set_bit(*row as usize, false));
    let stretch = |rows: &[u32]| {
        let at = |row: Option<&u32>| row.map(|row| batch.origin.position(*row as usize));
        Some((at(rows.first())?, at(rows.last())?))
    };
    let stretches = again.chunk_by(|one, next| one + 1 == *next).filter_map(stretch).collect();
    (fork::keep(&batch, &stays.finish().into()), stretches)
}

/// The rows of a batch that were not left out then; `left_out` says which were.
pub fn without_left_out(batch: Batch, left_out: &LeftOut) -> Batch {
    let Some(stretches) = left_out.get(&batch.origin.raw.split) else { return batch };
    let again: Vec<u32> = (0..batch.rows.num_rows() as u32)
        .filter(|row| {
            let at = batch.origin.position(*row as usize);
            let next = stretches.partition_point(|(first, _)| *first <= at);
            stretches[..next].last().is_some_and(|(_, last)| at <= *last)
        })
        .collect();
    without(batch, &again).0
}
