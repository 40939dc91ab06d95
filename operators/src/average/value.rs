//! Columns as the averages see them: values in exact units, times in microseconds, groups as text.
//!
//! Owns the reading of Arrow arrays. What must stay true: what is null here is null in the row, also where the null is a
//! struct's around the value; nothing is allocated per row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, StructArray};
use arrow::compute::{cast, is_null, nullif};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::number::fixed;

/// The column at a path.
pub(super) fn column(rows: &RecordBatch, path: &str) -> Result<ArrayRef, ArrowError> {
    let missing = || ArrowError::SchemaError(format!("there is no column {path} in the batch"));
    descend(&StructArray::from(rows.clone()), path)?.ok_or_else(missing)
}

fn descend(rows: &StructArray, path: &str) -> Result<Option<ArrayRef>, ArrowError> {
    let found = match rows.column_by_name(path) {
        Some(column) => Some(column.clone()),
        None => match path.split_once('.') {
            Some((first, rest)) => match rows.column_by_name(first).and_then(|column| column.as_struct_opt()) {
                Some(inner) => descend(inner, rest)?,
                None => None,
            },
            None => None,
        },
    };
    match found {
        Some(column) if rows.null_count() > 0 => Ok(Some(nullif(&column, &is_null(rows)?)?)),
        found => Ok(found),
    }
}

/// Calls `each` with the number of every row that counts and its value in units.
pub(super) fn for_each_value(column: &ArrayRef, mut each: impl FnMut(usize, i128)) -> Result<(), ArrowError> {
    match column.data_type() {
        DataType::Int64 => loop_over::<Int64Type>(column.as_primitive(), |row, value| each(row, i128::from(value))),
        DataType::UInt64 => loop_over::<UInt64Type>(column.as_primitive(), |row, value| each(row, i128::from(value))),
        DataType::Decimal128(..) => loop_over::<Decimal128Type>(column.as_primitive(), each),
        DataType::Float64 => loop_over::<Float64Type>(column.as_primitive(), |row, value| {
            if let Some(units) = fixed(value) {
                each(row, units);
            }
        }),
        DataType::Float32 => return for_each_value(&cast(column, &DataType::Float64)?, each),
        // Narrower integers and bools, which all fit.
        _ => return for_each_value(&cast(column, &DataType::Int64)?, each),
    }
    Ok(())
}

fn loop_over<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>, mut each: impl FnMut(usize, T::Native)) {
    match values.nulls() {
        None => values.values().iter().enumerate().for_each(|(row, value)| each(row, *value)),
        Some(nulls) => nulls.valid_indices().for_each(|row| each(row, values.values()[row])),
    }
}

/// The times of rows in microseconds since 1970.
pub(super) fn times(column: &ArrayRef) -> Result<Arc<PrimitiveArray<TimestampMicrosecondType>>, ArrowError> {
    const MICROS_PER_DAY: i64 = 86_400_000_000;
    let times = match column.data_type() {
        // An i32 of days fits an i64 of microseconds.
        DataType::Date32 => column.as_primitive::<Date32Type>().unary(|days| i64::from(days) * MICROS_PER_DAY),
        DataType::Timestamp(TimeUnit::Microsecond, _) => column.as_primitive::<TimestampMicrosecondType>().clone(),
        other => return Err(ArrowError::SchemaError(format!("a column of type {other} does not say a time"))),
    };
    Ok(Arc::new(times))
}

/// The text of one value of a group column.
pub(super) fn text(column: &ArrayRef, row: usize) -> Result<Option<String>, ArrowError> {
    if column.is_null(row) {
        return Ok(None);
    }
    let options = FormatOptions::default();
    Ok(Some(ArrayFormatter::try_new(column.as_ref(), &options)?.value(row).try_to_string()?))
}
