//! Refused records: why, and the row that each becomes.
//!
//! Owns the reasons and the columns of a rejects file. A record that is refused anywhere in the flow becomes exactly one
//! reject row with its raw bytes, so nothing is ever dropped in silence. A message says what was wrong in a line and never
//! holds a whole record: `raw` does that.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::array::{BinaryBuilder, RecordBatch, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Origin, RawBatch, Records};

/// Why a record was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// It could not be read at all.
    Decode,
    /// A required field is not there.
    Missing,
    /// A required field is null.
    Null,
    /// A field holds a value of another type.
    Type,
    /// The payload, or what it unpacks to, is over the limit.
    TooLarge,
    /// A rule of `[validate]` is not true.
    Rule(Arc<str>),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Decode => f.write_str("decode"),
            Reason::Missing => f.write_str("missing"),
            Reason::Null => f.write_str("null"),
            Reason::Type => f.write_str("type"),
            Reason::TooLarge => f.write_str("too_large"),
            Reason::Rule(name) => write!(f, "rule:{name}"),
        }
    }
}

/// Where in the flow a record was refused. Rejects of one stage come in the order of their split, those of several mix:
/// so a rejects file tells its records by stage, and can be written again from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Decode,
    Validate,
    Enrich,
    /// Whether a sink takes the record could not be told.
    Filter,
    Limit,
}

/// One record refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its index in the raw batch.
    pub row: u32,
    pub reason: Reason,
    /// The field at fault, as a path, where there is one.
    pub field: Option<Arc<str>>,
    /// What was wrong, in a line.
    pub message: String,
}

/// The columns of a rejects file.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("_split", DataType::Utf8, false),
            Field::new("_position", DataType::Utf8, false),
            Field::new("_arrived_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
            Field::new("reason", DataType::Utf8, false),
            Field::new("field", DataType::Utf8, true),
            Field::new("message", DataType::Utf8, false),
            Field::new("raw", DataType::Binary, false),
        ]))
    });
    SCHEMA.clone()
}

/// The records of a raw batch that a stage refused, as reject rows; `refusals` ascending by row.
pub fn batch(raw: &Arc<RawBatch>, stage: Stage, refusals: &[Refusal]) -> Batch {
    let kept: Vec<u32> = refusals.iter().map(|refusal| refusal.row).collect();
    let origin = Origin { raw: raw.clone(), kept: Some(kept.into()), refused_by: Some(stage) };
    Batch { rows: rows(raw, refusals), origin }
}

fn rows(raw: &RawBatch, refusals: &[Refusal]) -> RecordBatch {
    let mut splits = StringBuilder::new();
    let (mut positions, mut reasons, mut fields, mut messages) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let mut raws = BinaryBuilder::new();
    for refusal in refusals {
        let row = refusal.row as usize;
        splits.append_value(&raw.split);
        positions.append_value(raw.position(row).order());
        reasons.append_value(refusal.reason.to_string());
        fields.append_option(refusal.field.as_deref());
        messages.append_value(&refusal.message);
        match raw.records.bytes(row) {
            Some(bytes) => raws.append_value(bytes),
            None => raws.append_value(row_as_json(&raw.records, row)),
        }
    }
    let arrived = TimestampMicrosecondArray::from_value(raw.arrived_at, refusals.len()).with_timezone("UTC");
    #[expect(clippy::expect_used, reason = "the columns are made just above, to the schema of this file")]
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(splits.finish()),
            Arc::new(positions.finish()),
            Arc::new(arrived),
            Arc::new(reasons.finish()),
            Arc::new(fields.finish()),
            Arc::new(messages.finish()),
            Arc::new(raws.finish()),
        ],
    )
    .expect("reject columns fit the reject schema")
}

/// A row of a columnar source has no payload of its own: its `raw` is the row as JSON.
fn row_as_json(records: &Records, row: usize) -> Vec<u8> {
    let Records::Rows(rows) = records else { return Vec::new() };
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    let written = writer.write(&rows.slice(row, 1)).and_then(|()| writer.finish());
    let mut json = if written.is_ok() { writer.into_inner() } else { Vec::new() };
    while json.last() == Some(&b'\n') {
        json.pop();
    }
    json
}
