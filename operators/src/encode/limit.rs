//! Tells rows whose partition value no path can hold, before they reach the encoder.
//!
//! Owns the decision that such a row is a reject: cutting the value would file the row under another one, and the column is
//! in the path alone. A value is refused that makes a path part longer than [`LONGEST_PART`] bytes (file systems hold no
//! more), all parts together longer than [`LONGEST_PATH`], or that has no text (a year past 9999). What must stay true: what passes here,
//! [`Encoder::push`](super::Encoder::push) can file.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};

use super::options::EncodeError;
use super::path::{self, LONGEST_PART, LONGEST_PATH};
use crate::batch::Batch;
use crate::fork::{self, Refused};
use crate::reject::{Reason, Stage};

/// Parts batches into rows that can be filed and rejects.
pub struct PathLimit {
    columns: Vec<(usize, Arc<str>)>,
}

impl PathLimit {
    /// For these partition columns of batches of this schema.
    pub fn new(schema: &SchemaRef, partition: &[String]) -> Result<Self, EncodeError> {
        let find = |name: &String| match schema.index_of(name) {
            Ok(index) => Ok((index, name.as_str().into())),
            Err(_) => Err(EncodeError::NoColumn { column: name.clone() }),
        };
        Ok(PathLimit { columns: partition.iter().map(find).collect::<Result<_, _>>()? })
    }

    /// The rows that can be filed, and the others as rejects.
    pub fn apply(&mut self, batch: Batch) -> (Batch, Option<Batch>) {
        let refused = self.refused(&batch.rows, |_| true);
        fork::part(batch, Stage::Limit, refused)
    }

    /// Those of the rows wanted that cannot be filed, in their order. A batch of short values costs a look at its offsets, or
    /// at its earliest and latest time.
    pub(crate) fn refused(&self, rows: &RecordBatch, wanted: impl Fn(usize) -> bool) -> Vec<Refused> {
        if self.surely_fits(rows) {
            return Vec::new();
        }
        (0..rows.num_rows()).filter(|row| wanted(*row)).filter_map(|row| self.look(rows, row)).collect()
    }

    fn surely_fits(&self, rows: &RecordBatch) -> bool {
        let longest: Option<usize> = self.columns.iter().map(|(index, _)| longest(rows.column(*index))).sum();
        let names: usize = self.columns.iter().map(|(_, name)| 3 * name.len() + 1).sum();
        longest.is_some_and(|values| values + names <= LONGEST_PART)
    }

    fn look(&self, rows: &RecordBatch, row: usize) -> Option<Refused> {
        let mut length = 0;
        for (index, name) in &self.columns {
            let refused = |message: String| {
                Some(Refused { row: row as u32, reason: Reason::TooLarge, field: Some(name.clone()), message })
            };
            let part = match path::text(rows.column(*index), row) {
                Ok(value) => path::part(name, value.as_deref()).len(),
                Err(message) => return refused(message),
            };
            length += part + 1;
            if part > LONGEST_PART {
                return refused(format!(
                    "makes a path part of {part} bytes; a folder's name has at most {LONGEST_PART}"
                ));
            }
            if length > LONGEST_PATH {
                return refused(format!("makes a partition path of {length} bytes; at most {LONGEST_PATH} fit a key"));
            }
        }
        None
    }
}

/// The most bytes that a value of the column can take in a path; `None` where only a look at each can tell.
fn longest(column: &ArrayRef) -> Option<usize> {
    let text = |longest: Option<usize>| (3 * longest.unwrap_or(0)).max(path::NULL.len());
    match column.data_type() {
        DataType::Utf8 => Some(text(column.as_string::<i32>().offsets().lengths().max())),
        DataType::LargeUtf8 => Some(text(column.as_string::<i64>().offsets().lengths().max())),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Boolean => Some(32),
        DataType::Decimal128(..) => Some(64),
        // `2024-02-28 10%3A11%3A12.500000` is the longest of them.
        DataType::Date32 | DataType::Timestamp(..) => path::years_fit(column).then_some(32),
        _ => None,
    }
}
