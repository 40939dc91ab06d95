//! The columns that say where a row came from.
//!
//! Owns `_split` and `_position` (text) and `_arrived_at` (a time), which every record has, and hands on those that only some
//! sources know. They cost memory for each row, so only those are made that somebody uses. What must stay true: a row has
//! what was told of its own record; where a source does not tell, it is null.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;

use crate::batch::{Positions, RawBatch, Records};
use crate::schema::{Column, Kind};

/// The columns that every record has, wherever it came from.
pub fn everywhere() -> [Column; 3] {
    [("_split", Kind::String), ("_position", Kind::String), ("_arrived_at", Kind::Timestamp)]
        .map(|(name, kind)| Column::new(name, kind).required())
}

/// The same rows, with the `wanted` columns behind theirs; `records` tells the record of each row.
#[expect(
    clippy::expect_used,
    reason = "each column has a row for each record, and its type is checked against its field"
)]
pub(super) fn append(raw: &RawBatch, records: &[u32], rows: RecordBatch, wanted: &[Column]) -> RecordBatch {
    let (schema, mut columns, _) = rows.into_parts();
    columns.extend(wanted.iter().map(|column| {
        let told = match column.name.as_str() {
            "_split" => Ok(Arc::new(StringArray::new_repeated(&*raw.split, records.len())) as ArrayRef),
            "_position" => Ok(Arc::new(positions(raw, records)) as ArrayRef),
            "_arrived_at" => Ok(Arc::new(arrived_at(raw, records)) as ArrayRef),
            _ => beside(raw, records, column),
        };
        told.expect("what is beside a batch has a row for each of its records")
    }));
    let fields: Vec<_> =
        schema.fields().iter().cloned().chain(wanted.iter().map(|column| Arc::new(column.field()))).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("origin columns fit their rows")
}

fn arrived_at(raw: &RawBatch, records: &[u32]) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from_value(raw.arrived_at, records.len()).with_timezone("UTC")
}

/// What the source told of each record, where it did.
fn beside(raw: &RawBatch, records: &[u32], column: &Column) -> Result<ArrayRef, ArrowError> {
    let kind = column.kind.data_type();
    let told = raw.beside.columns.as_ref().and_then(|columns| columns.column_by_name(&column.name));
    match told.filter(|told| *told.data_type() == kind) {
        Some(told) if records.len() == told.len() => Ok(told.clone()),
        Some(told) => take(told, &UInt32Array::from(records.to_vec()), None),
        None => Ok(new_null_array(&kind, records.len())),
    }
}

fn positions(raw: &RawBatch, records: &[u32]) -> StringArray {
    let mut positions = StringBuilder::with_capacity(records.len(), records.len() * 12);
    let mut number = |value: u64| {
        // Writing to a builder cannot fail, and the value that ends here is what was written.
        let _ = write!(positions, "{value}");
        positions.append_value("");
    };
    match (&raw.positions, &raw.records) {
        (Positions::Offsets { base }, Records::Framed { spans, .. }) => {
            records.iter().for_each(|record| number(base + u64::from(spans[*record as usize].0)));
        }
        (Positions::Offsets { base } | Positions::Counted { first: base }, _) => {
            records.iter().for_each(|record| number(base + u64::from(*record)));
        }
        (Positions::Numbered(numbers), _) => records.iter().for_each(|record| number(numbers[*record as usize])),
        (Positions::Each(each), _) => {
            records.iter().for_each(|record| positions.append_value(each[*record as usize].order()));
        }
    }
    positions.finish()
}
