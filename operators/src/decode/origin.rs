//! The columns that say where a row came from.
//!
//! Owns their names and types: `_split` and `_position` are text, `_arrived_at` is a time. They cost memory for each row, so
//! they are made only for those who use them.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use crate::batch::{Positions, RawBatch, Records};

/// The fields of the origin, in their order.
pub(super) fn fields() -> [Field; 3] {
    [
        Field::new("_split", DataType::Utf8, false),
        Field::new("_position", DataType::Utf8, false),
        Field::new("_arrived_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
    ]
}

/// The same rows, with the origin of each behind its columns; `records` tells the record of each row.
pub(super) fn append(raw: &RawBatch, records: &[u32], rows: RecordBatch) -> RecordBatch {
    let (schema, mut columns, _) = rows.into_parts();
    let arrived_at = TimestampMicrosecondArray::from_value(raw.arrived_at, records.len()).with_timezone("UTC");
    let split: ArrayRef = Arc::new(StringArray::new_repeated(&*raw.split, records.len()));
    columns.extend([split, Arc::new(positions(raw, records)), Arc::new(arrived_at)]);
    let fields: Vec<_> = schema.fields().iter().cloned().chain(fields().map(Arc::new)).collect();
    #[expect(clippy::expect_used, reason = "each column just made has a row for each record")]
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("origin columns fit their rows")
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
        (Positions::Each(each), _) => {
            records.iter().for_each(|record| positions.append_value(each[*record as usize].order()));
        }
    }
    positions.finish()
}
