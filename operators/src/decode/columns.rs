//! The columns of a decoded batch while it grows.
//!
//! Owns which record became which row, and that nothing of a refused record is left: its row holds zeros until the batch is
//! finished, and is filtered out then. Only a batch with such a row pays for the copy.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::builder::{Builder, builders, fill};
use super::fault::Fault;
use crate::schema::Schema;

/// All columns of a schema.
pub(super) struct Columns {
    schema: SchemaRef,
    builders: Vec<Builder>,
    /// For each row that was appended, the record that it was read from.
    records: Vec<u32>,
    /// The rows among them that are refused.
    refused: Vec<u32>,
}

/// Finished columns, and the record that each row was read from.
pub(super) struct Finished {
    pub(super) rows: RecordBatch,
    pub(super) records: Vec<u32>,
}

impl Columns {
    pub(super) fn new(schema: &Schema) -> Result<Self, ArrowError> {
        Ok(Columns {
            schema: schema.arrow(),
            builders: builders(&schema.columns)?,
            records: Vec::new(),
            refused: Vec::new(),
        })
    }

    /// The builder of the first column.
    pub(super) fn first(&self) -> Option<&Builder> {
        self.builders.first()
    }

    /// Begins the row of `record`, which is given to [`Columns::append`] then.
    pub(super) fn begin(&mut self, record: u32) {
        self.records.push(record);
    }

    /// Takes back a row of which nothing was appended.
    pub(super) fn take_back(&mut self) {
        self.records.pop();
    }

    /// Appends one row, each column by `each`, which appends to its builder even where it finds a fault.
    pub(super) fn append(
        &mut self,
        each: impl FnMut(usize, &mut Builder) -> Result<(), Box<Fault>>,
    ) -> Result<(), Box<Fault>> {
        let result = fill(&mut self.builders, each);
        if result.is_err() {
            self.refused.push(self.records.len() as u32 - 1);
        }
        result
    }

    /// The rows that were not refused; the columns are empty again.
    pub(super) fn finish(&mut self) -> Result<Finished, ArrowError> {
        let mut arrays = self.builders.iter_mut().map(Builder::finish).collect::<Result<Vec<_>, _>>()?;
        let mut records = std::mem::take(&mut self.records);
        let refused = std::mem::take(&mut self.refused);
        if !refused.is_empty() {
            let mut good = vec![true; records.len()];
            refused.iter().for_each(|row| good[*row as usize] = false);
            (arrays, records) = keep(&arrays, &records, good)?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?;
        Ok(Finished { rows, records })
    }
}

fn keep(arrays: &[ArrayRef], records: &[u32], good: Vec<bool>) -> Result<(Vec<ArrayRef>, Vec<u32>), ArrowError> {
    let kept = records.iter().zip(&good).filter(|(_, good)| **good).map(|(record, _)| *record).collect();
    let good = BooleanArray::from(good);
    let arrays = arrays.iter().map(|array| filter(array, &good)).collect::<Result<_, _>>()?;
    Ok((arrays, kept))
}

impl Finished {
    /// In the form of [`crate::batch::Origin`]: `None` where every one of `records` became a row.
    pub(super) fn kept(&self, records: usize) -> Option<Arc<[u32]>> {
        (self.records.len() != records).then(|| self.records.as_slice().into())
    }
}
