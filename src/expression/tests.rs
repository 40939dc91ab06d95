//! Proves that expressions mean what a user of SQL expects, over columns as this project has them.
//!
//! Catches: names folded or mistaken for SQL words, fields of null structs that come to light, times that leave the range
//! of nanoseconds, a result of a type that no column has, one bad row that takes its neighbours along, and messages that
//! do not help.

mod failures;
mod meaning;
mod messages;
mod names;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use arrow::util::display::array_value_to_string;

use super::*;

/// 2024-02-28T10:11:12.345678Z.
const THEN: i64 = 1_709_115_072_345_678;
/// 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799_000_000;

/// Three rows: an ordinary one, one with hardly anything but nulls, an odd one.
fn rows() -> RecordBatch {
    let times = || -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![Some(THEN), None, Some(LAST)]).with_timezone("UTC"))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("title", Arc::new(StringArray::from(vec![Some("The Daily News"), None, Some("Älter\u{a0}werden")]))),
        ("content", Arc::new(StringArray::from(vec!["one two  three", "", "a\u{1c}b"]))),
        ("publish_date", times()),
        ("timestamp", times()),
        ("date", Arc::new(Date32Array::from(vec![Some(19_781), None, Some(19_782)]))),
        ("order", Arc::new(Int64Array::from(vec![Some(7), None, Some(-1)]))),
        ("group", Arc::new(Int32Array::from(vec![Some(1), Some(0), Some(2)]))),
        ("value", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)]))),
        ("select", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("number", Arc::new(StringArray::from(vec![Some("12"), Some("x"), Some("-3")]))),
        ("from", Arc::new(StringArray::from(vec![Some("a"), Some("b"), None]))),
        ("case", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("user", user()),
        ("product_information", product()),
        (
            "tags",
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None, Some(vec![])])),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

/// `user { id, date, address { city, order } }`: the second user is null, and something lies under it all the same; the
/// third has no address.
fn user() -> ArrayRef {
    let address_fields =
        Fields::from(vec![Field::new("city", DataType::Utf8, true), Field::new("order", DataType::Int64, true)]);
    let address = StructArray::new(
        address_fields.clone(),
        vec![Arc::new(StringArray::from(vec!["Oslo", "hidden", "hidden"])), Arc::new(Int64Array::from(vec![1, 2, 3]))],
        Some(NullBuffer::from(vec![true, true, false])),
    );
    let fields = Fields::from(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("date", DataType::Date32, true),
        Field::new("address", DataType::Struct(address_fields), true),
    ]);
    Arc::new(StructArray::new(
        fields,
        vec![
            Arc::new(StringArray::from(vec!["u1", "hidden", "u3"])),
            Arc::new(Date32Array::from(vec![0, 1, 2])),
            Arc::new(address),
        ],
        Some(NullBuffer::from(vec![true, false, true])),
    ))
}

fn product() -> ArrayRef {
    let fields = Fields::from(vec![Field::new("SKU", DataType::Utf8, true), Field::new("sku", DataType::Utf8, true)]);
    Arc::new(StructArray::new(
        fields,
        vec![Arc::new(StringArray::from(vec!["A", "B", "C"])), Arc::new(StringArray::from(vec!["a", "b", "c"]))],
        None,
    ))
}

fn compile(sql: &str) -> Expression {
    Expression::compile(sql, &rows().schema()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn error(sql: &str) -> String {
    match Expression::compile(sql, &rows().schema()) {
        Ok(compiled) => panic!("{sql} compiles, to {}", compiled.data_type()),
        Err(error) => error.to_string(),
    }
}

/// The values as text, null as `-`; no row may fail.
fn values(sql: &str) -> Vec<String> {
    let expression = compile(sql);
    let evaluated = expression.evaluate(&rows());
    assert_eq!(evaluated.failed, [], "{sql}");
    assert_eq!(evaluated.values.data_type(), &expression.data_type(), "{sql}");
    assert!(expression.nullable() || evaluated.values.null_count() == 0, "{sql} has nulls and says that it has none");
    texts(&evaluated.values)
}

fn texts(values: &ArrayRef) -> Vec<String> {
    let text = |row| if values.is_null(row) { "-".into() } else { array_value_to_string(values, row).unwrap() };
    (0..values.len()).map(text).collect()
}

/// Checks each expression against the values of the three rows.
#[track_caller]
fn check(cases: &[(&str, [&str; 3])]) {
    for (sql, expected) in cases {
        assert_eq!(values(sql), *expected, "{sql}");
    }
}
