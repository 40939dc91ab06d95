//! Proves what becomes of records that already are columns. It would catch a value changed by widening, a column that fits by
//! accident, and a null that slips into a required column, also deep inside.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Fields, Int32Type};
use millstream_operators::decode::Decode;
use millstream_operators::{Column, Kind};

use super::*;

/// What becomes of the rows of some columns.
fn fit(columns: Vec<Column>, there: Vec<(&str, ArrayRef)>) -> Vec<String> {
    let rows =
        RecordBatch::try_from_iter_with_nullable(there.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let records = rows.num_rows();
    let batch = Arc::new(raw(Records::Rows(rows), Positions::Counted { first: 0 }));
    let decoded = decoder(columns).decode(&batch);
    fates(&decoded, records).iter().map(Fate::brief).collect()
}

fn one(kind: Kind, there: impl Array + 'static) -> Vec<String> {
    fit(vec![Column::new("a", kind)], vec![("a", Arc::new(there))])
}

#[test]
fn types_that_widen_without_loss_fit() {
    assert_eq!(one(Kind::Int64, Int32Array::from(vec![Some(-1), None])), [r#"{"a":-1}"#, r#"{"a":null}"#]);
    assert_eq!(one(Kind::Int32, UInt16Array::from(vec![65535])), [r#"{"a":65535}"#]);
    assert_eq!(one(Kind::Float64, Float32Array::from(vec![0.5])), [r#"{"a":0.5}"#]);
    assert_eq!(one(Kind::String, LargeStringArray::from(vec!["x"])), [r#"{"a":"x"}"#]);
    assert_eq!(one(Kind::String, StringViewArray::from(vec!["x"])), [r#"{"a":"x"}"#]);
    let words: DictionaryArray<Int32Type> = vec![Some("x"), None, Some("x")].into_iter().collect();
    assert_eq!(one(Kind::String, words), [r#"{"a":"x"}"#, r#"{"a":null}"#, r#"{"a":"x"}"#]);
    assert_eq!(one(Kind::Binary, BinaryViewArray::from(vec![b"h".as_slice()])), [r#"{"a":[104]}"#]);
    assert_eq!(one(Kind::Timestamp, TimestampSecondArray::from(vec![1]).with_timezone("+02:00")), [r#"{"a":1000000}"#]);
    assert_eq!(one(Kind::Timestamp, TimestampNanosecondArray::from(vec![-1, 1999])), [r#"{"a":-1}"#, r#"{"a":1}"#]);
    assert_eq!(one(Kind::Timestamp, Date32Array::from(vec![1])), [r#"{"a":86400000000}"#]);
    assert_eq!(one(Kind::Date, Date64Array::from(vec![86_400_000])), [r#"{"a":1}"#]);
    assert_eq!(
        one(decimal(12, 3), Decimal128Array::from(vec![15]).with_precision_and_scale(10, 1).unwrap()),
        [r#"{"a":"1500"}"#]
    );
    assert_eq!(one(Kind::Int64, NullArray::new(1)), [r#"{"a":null}"#]);
}

#[test]
fn other_types_do_not() {
    assert_eq!(one(Kind::Int32, Int64Array::from(vec![1, 2])), ["type a", "type a"]);
    assert_eq!(one(Kind::Int64, StringArray::from(vec!["1"])), ["type a"]);
    assert_eq!(one(Kind::String, Int64Array::from(vec![1])), ["type a"]);
    assert_eq!(
        one(decimal(10, 1), Decimal128Array::from(vec![15]).with_precision_and_scale(10, 2).unwrap()),
        ["type a"]
    );
    assert_eq!(
        one(decimal(10, 2), Decimal128Array::from(vec![15]).with_precision_and_scale(10, 1).unwrap()),
        ["type a"]
    );
    assert_eq!(one(Kind::Timestamp, TimestampSecondArray::from(vec![i64::MAX, 0])), ["type a", r#"{"a":0}"#]);
    assert_eq!(one(list(Column::new("item", Kind::Int64)), Int64Array::from(vec![1])), ["type a"]);
}

#[test]
fn what_is_required_is_looked_at_row_by_row() {
    let columns = || vec![Column::new("id", Kind::Int64).required(), Column::new("x", Kind::Float64)];
    let id: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let x: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 1.0, 2.0]));
    let found = fit(columns(), vec![("x", x.clone()), ("id", id)]);
    assert_eq!(found, [r#"{"id":1,"x":null}"#, "null id", r#"{"id":3,"x":2.0}"#], "a NaN is a value here");
    assert_eq!(fit(columns(), vec![("x", x)]), ["missing id", "missing id", "missing id"]);
    let odd: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    assert_eq!(fit(columns(), vec![("id", odd)]), ["type id", "null id"]);
}

#[test]
fn structs_and_lists_are_looked_into() {
    let sku: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3), None, Some(5)]));
    let there = Fields::from(vec![Field::new("sku", DataType::Int32, true)]);
    let items = StructArray::new(there.clone(), vec![sku], Some(NullBuffer::from(vec![true, true, true, false, true])));
    let field = Arc::new(Field::new("element", DataType::Struct(there), true));
    let offsets = OffsetBuffer::new(vec![0, 1, 3, 4, 5, 5].into());
    let nulls = NullBuffer::from(vec![true, true, true, false, true]);
    let lists = ListArray::new(field, offsets, Arc::new(items), Some(nulls));
    let sku = Column::new("sku", Kind::Int64).required();
    let strict = |element: Column| one(list(element), lists.clone());
    let element = Column::new("item", Kind::Struct(vec![sku]));
    assert_eq!(strict(element), [r#"{"a":[{"sku":1}]}"#, "null a[0].sku", "null a[0]", r#"{"a":null}"#, r#"{"a":[]}"#]);
    let loose =
        Column::new("item", Kind::Struct(vec![Column::new("sku", Kind::Int64), Column::new("new", Kind::String)]));
    assert_eq!(strict(loose)[2], r#"{"a":[null]}"#);
}

#[test]
fn values_between_the_rows_belong_to_none() {
    let field = Arc::new(Field::new("item", DataType::Int64, true));
    let values = Int64Array::from(vec![Some(1), None, Some(3)]);
    let offsets = OffsetBuffer::new(vec![0, 1, 2, 3].into());
    let lists = ListArray::new(field, offsets, Arc::new(values), Some(NullBuffer::from(vec![true, false, true])));
    let required = list(Column::new("item", Kind::Int64).required());
    assert_eq!(one(required.clone(), lists.clone()), [r#"{"a":[1]}"#, r#"{"a":null}"#, r#"{"a":[3]}"#]);
    assert_eq!(one(required, lists.slice(2, 1)), [r#"{"a":[3]}"#]);
}
