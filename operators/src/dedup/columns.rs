//! The `[dedup]` section checked against the schema, and the keys of rows.

use arrow::array::{Array, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;
use thiserror::Error;

use super::Key;
use super::decide::{Owner, Question};
use crate::batch::Batch;
use crate::digest::row_hashes;
use crate::fork;
use crate::position::Position;
use crate::protocol::commit::FilteredRanges;
use crate::state::Defined;

/// A checked `[dedup]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DedupSpec {
    /// Key columns.
    pub by: Vec<String>,
    /// Days within which a record with the same key is a duplicate.
    pub within: u32,
}

/// What is wrong with `[dedup]`.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DedupError {
    #[error("there is no column {0}")]
    NoColumn(String),
}

impl DedupSpec {
    /// The only part of the operator's state.
    const PART: &'static str = "keys";

    /// The definition as the log stores it.
    pub fn defined(&self) -> Defined {
        Defined::from([(Self::PART.to_owned(), format!("within {} by {}", self.within, self.by.join(",")))])
    }

    /// Parses a definition of the log: days and columns.
    pub(super) fn read(definition: &str) -> Option<(u32, &str)> {
        let (within, by) = definition.strip_prefix("within ")?.split_once(" by ")?;
        Some((within.parse().ok()?, by))
    }
}

/// Computes the keys of rows.
#[derive(Clone, Debug)]
pub struct KeyColumns {
    columns: Vec<usize>,
    pub within: u32,
}

/// The rows of a batch without a null in the key, and their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keyed {
    pub(super) rows: Vec<u32>,
    pub(super) keys: Vec<Key>,
}

impl KeyColumns {
    pub fn new(spec: &DedupSpec, schema: &SchemaRef) -> Result<Self, DedupError> {
        let index = |column: &String| schema.index_of(column).map_err(|_| DedupError::NoColumn(column.clone()));
        Ok(KeyColumns { columns: spec.by.iter().map(index).collect::<Result<_, _>>()?, within: spec.within })
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

    /// Removes duplicates without a dataflow: each batch counts as an epoch.
    pub fn apply(&self, owner: &mut Owner, batch: Batch) -> Batch {
        let asked = Question::of(&batch, self.keyed(&batch.rows));
        let (mut verdicts, _) = owner.decide(vec![asked]);
        let again = verdicts.pop().map(|verdict| verdict.again).unwrap_or_default();
        without(batch, &again).0
    }
}

/// Removes rows from a batch, and returns their positions as ranges.
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

/// Removes the rows that a commit recorded as filtered.
pub fn remove_filtered(batch: Batch, filtered_ranges: &FilteredRanges) -> Batch {
    let Some(stretches) = filtered_ranges.get(&batch.origin.raw.split) else { return batch };
    let again: Vec<u32> = (0..batch.rows.num_rows() as u32)
        .filter(|row| {
            let at = batch.origin.position(*row as usize);
            let next = stretches.partition_point(|(first, _)| *first <= at);
            stretches[..next].last().is_some_and(|(_, last)| at <= *last)
        })
        .collect();
    without(batch, &again).0
}
