//! Good rows under the schema's own types, in which what is required cannot be null.
//!
//! Owns the last step only: the values stay where they are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StructArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use crate::decode::required::is_required;
use crate::schema::{Column, Kind, Schema};

/// The batch under the schema.
pub(super) fn batch(rows: &RecordBatch, schema: &Schema) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().zip(&schema.columns).map(|(array, column)| strict(array, &column.kind));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(schema.arrow(), columns.collect::<Result<_, _>>()?, &options)
}

fn strict(array: &ArrayRef, kind: &Kind) -> Result<ArrayRef, ArrowError> {
    match kind {
        Kind::Struct(fields) => structs(array, fields, kind.data_type()),
        Kind::List(element) => list(array, element),
        _ => Ok(array.clone()),
    }
}

fn structs(array: &ArrayRef, fields: &[Column], data_type: DataType) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(strict_fields) = data_type else { return Ok(array.clone()) };
    let array = array.as_struct();
    let children = array.columns().iter().zip(fields).map(|(child, field)| strict(child, &field.kind));
    let children = children.collect::<Result<_, _>>()?;
    let nulls = array.nulls().cloned();
    Ok(Arc::new(StructArray::try_new_with_length(strict_fields, children, nulls, array.len())?))
}

fn list(array: &ArrayRef, element: &Column) -> Result<ArrayRef, ArrowError> {
    let mut array = array.clone();
    if is_required(element) && array.as_list::<i32>().values().null_count() > 0 {
        // Good rows have no such null, so it is in the room between them. Taking the rows leaves that behind.
        let all = UInt32Array::from_iter_values(0..array.len() as u32);
        array = take(&array, &all, None)?;
    }
    let list = array.as_list::<i32>();
    let values = strict(list.values(), &element.kind)?;
    let nulls = list.nulls().cloned();
    Ok(Arc::new(ListArray::try_new(Arc::new(element.field()), list.offsets().clone(), values, nulls)?))
}
