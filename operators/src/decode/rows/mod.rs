//! Records that already are columns.
//!
//! Owns the way from the columns of a source to those of the schema: by name, where their type is the same or widens
//! without loss. What must stay true: rows are refused one by one for what is in them (a null where none may be), all
//! together for what their columns are (missing, of another type), and columns that fit are shared and not copied.

mod convert;
mod leaf;
mod strict;

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema as ArrowSchema};
use arrow::error::ArrowError;

use self::convert::{Faults, column, loose};
use super::columns::Finished;
use super::fault::Fault;
use crate::batch::RawBatch;
use crate::reject::{Reason, Refusal};
use crate::schema::Schema;

/// The rows that fit a schema, in its columns, and the others.
pub(super) fn fit(raw: &RawBatch, rows: &RecordBatch, schema: &Schema) -> (Result<Finished, ArrowError>, Vec<Refusal>) {
    let mut found = Found::new(raw, rows.num_rows());
    let columns = schema.columns.iter().map(|wanted| {
        let mut faults = Faults::default();
        let array = column(rows.column_by_name(&wanted.name), wanted, rows.num_rows(), &mut faults);
        found.add(faults, &wanted.name);
        array
    });
    let columns: Vec<_> = columns.collect();
    let fields: Vec<_> = schema.columns.iter().map(|c| Field::new(&c.name, loose(&c.kind), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let fitted = RecordBatch::try_new_with_options(ArrowSchema::new(fields).into(), columns, &options);
    let good = fitted.and_then(|fitted| found.good(fitted)).and_then(|good| strict::batch(&good, schema));
    match good {
        Ok(rows) => (Ok(Finished { records: found.records(), rows }), found.refusals),
        Err(error) => (Ok(nothing(schema)), found.all(&error)),
    }
}

fn nothing(schema: &Schema) -> Finished {
    Finished { rows: RecordBatch::new_empty(schema.arrow()), records: Vec::new() }
}

/// What is refused so far: at most one refusal for each record, in the order of records.
struct Found {
    records: usize,
    refusals: Vec<Refusal>,
}

impl Found {
    fn new(raw: &RawBatch, records: usize) -> Self {
        Found { records, refusals: raw.refused.clone() }
    }

    /// Takes in what a column found; of two faults of a record the first stays.
    fn add(&mut self, faults: Faults, name: &str) {
        let refused = self.refusals.len();
        for (row, fault) in faults.in_rows() {
            if self.refusals[..refused].binary_search_by_key(&(row as u32), |refusal| refusal.row).is_err() {
                self.refusals.push(fault.in_field(name).refuse(row as u32));
            }
        }
        self.refusals.sort_by_key(|refusal| refusal.row);
        self.refusals.dedup_by_key(|refusal| refusal.row);
    }

    /// The records that are not refused.
    fn records(&self) -> Vec<u32> {
        let mut refused = self.refusals.iter().map(|refusal| refusal.row).peekable();
        (0..self.records as u32).filter(|row| refused.next_if_eq(row).is_none()).collect()
    }

    fn good(&self, rows: RecordBatch) -> Result<RecordBatch, ArrowError> {
        if self.refusals.is_empty() {
            return Ok(rows);
        }
        let mut good = vec![true; self.records];
        self.refusals.iter().for_each(|refusal| good[refusal.row as usize] = false);
        filter_record_batch(&rows, &BooleanArray::from(good))
    }

    /// Refuses all that is left.
    fn all(mut self, error: &ArrowError) -> Vec<Refusal> {
        let fault = Fault::new(Reason::Type, error.to_string());
        let left = self.records();
        self.refusals.extend(left.into_iter().map(|row| fault.clone().refuse(row)));
        self.refusals.sort_by_key(|refusal| refusal.row);
        self.refusals
    }
}
