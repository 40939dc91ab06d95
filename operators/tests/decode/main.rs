//! Decoding as its users see it: raw batches in, rows and refusals out.
//!
//! What is shared by the tests: raw batches made of texts, and what became of each record, as JSON, so that one look tells
//! rows and refusals apart. Looking also checks the promise that every record is in exactly one place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod avro;
mod csv;
mod hostile;
mod json;
mod oracle;
mod parts;
mod plain;
mod protobuf;
mod rows;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes as dt;
use arrow::datatypes::DataType;
use bytes::Bytes;
use millstream_operators::batch::{Beside, Permit, Positions, RawBatch, Records};
use millstream_operators::decode::{Decode, DecodeOptions, Decoded, Decoder};
use millstream_operators::{Column, Kind, Position, Refusal, Schema};
use serde_json::{Map, Value, json};

fn raw(records: Records, positions: Positions) -> RawBatch {
    RawBatch {
        split: "split-0".into(),
        until: Position::at(records.len() as u64),
        records,
        positions,
        arrived_at: 1_000_000,
        refused: Vec::new(),
        beside: Beside::default(),
        permit: Permit::free(),
        size: 0,
    }
}

/// A batch with a buffer for each record.
fn payloads<T: AsRef<[u8]>>(records: &[T]) -> RawBatch {
    let payloads = records.iter().map(|record| Bytes::copy_from_slice(record.as_ref())).collect();
    raw(Records::Payloads(payloads), Positions::Counted { first: 0 })
}

/// A batch of the same records in one buffer, as lines.
fn lines<T: AsRef<[u8]>>(records: &[T]) -> RawBatch {
    let (mut data, mut spans) = (Vec::new(), Vec::new());
    for record in records {
        let start = data.len() as u32;
        data.extend_from_slice(record.as_ref());
        spans.push((start, data.len() as u32));
        data.push(b'\n');
    }
    raw(Records::Framed { data: data.into(), spans }, Positions::Offsets { base: 0 })
}

fn schema(columns: Vec<Column>) -> Schema {
    Schema { columns }
}

fn decoder(columns: Vec<Column>) -> Decoder {
    Decoder::new(DecodeOptions { schema: schema(columns), ..Default::default() }).unwrap()
}

fn decimal(precision: u8, scale: i8) -> Kind {
    Kind::Decimal { precision, scale }
}

fn list(element: Column) -> Kind {
    Kind::List(Box::new(element))
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    Row(Value),
    Refused { reason: String, field: Option<String>, message: String },
}

impl Fate {
    /// `reason field`, or the row.
    fn brief(&self) -> String {
        match self {
            Fate::Row(row) => row.to_string(),
            Fate::Refused { reason, field, .. } => format!("{reason} {}", field.as_deref().unwrap_or("-")),
        }
    }

    fn message(&self) -> &str {
        match self {
            Fate::Row(row) => panic!("not refused: {row}"),
            Fate::Refused { message, .. } => message,
        }
    }
}

/// What became of each of `records` records. Fails if one is in no place or in two.
fn fates(decoded: &Decoded, records: usize) -> Vec<Fate> {
    let mut fates: Vec<Option<Fate>> = vec![None; records];
    assert!(decoded.refused.is_sorted_by(|a, b| a.row < b.row), "refusals must ascend");
    for row in 0..decoded.rows.num_rows() {
        let record = decoded.kept.as_ref().map_or(row, |kept| kept[row] as usize);
        let columns = decoded.rows.schema_ref().fields().iter().zip(decoded.rows.columns());
        let row = columns.map(|(field, array)| (field.name().clone(), value(array, row))).collect::<Map<_, _>>();
        assert!(fates[record].replace(Fate::Row(row.into())).is_none(), "record {record} is there twice");
    }
    for Refusal { row, reason, field, message } in &decoded.refused {
        let (reason, field, message) = (reason.to_string(), field.as_deref().map(str::to_owned), message.clone());
        assert!(!message.contains('\n') && message.chars().count() < 200, "{message}");
        let fate = Fate::Refused { reason, field, message };
        assert!(fates[*row as usize].replace(fate).is_none(), "record {row} is there twice");
    }
    fates.into_iter().map(|fate| fate.expect("every record is somewhere")).collect()
}

/// What becomes of texts, which must be the same for payloads and for lines.
fn decode<T: AsRef<[u8]>>(decoder: &mut Decoder, records: &[T]) -> Vec<Fate> {
    let found = fates(&decoder.decode(&Arc::new(payloads(records))), records.len());
    assert_eq!(found, fates(&decoder.decode(&Arc::new(lines(records))), records.len()));
    found
}

/// A value as JSON: times, dates and decimals as their numbers, bytes as a list.
fn value(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Int32 => json!(array.as_primitive::<dt::Int32Type>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<dt::Int64Type>().value(row)),
        DataType::Float64 => json!(array.as_primitive::<dt::Float64Type>().value(row)),
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Timestamp(..) => json!(array.as_primitive::<dt::TimestampMicrosecondType>().value(row)),
        DataType::Date32 => json!(array.as_primitive::<dt::Date32Type>().value(row)),
        DataType::Decimal128(..) => json!(array.as_primitive::<dt::Decimal128Type>().value(row).to_string()),
        DataType::Binary => json!(array.as_binary::<i32>().value(row)),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            columns.map(|(field, array)| (field.name().clone(), value(array, row))).collect::<Map<_, _>>().into()
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>().value(row);
            (0..list.len()).map(|row| value(&list, row)).collect()
        }
        other => panic!("no such column: {other}"),
    }
}
