//! A raw batch as bytes, for another process of the same version.
//!
//! ```text
//! label (JSON) · columns (an Arrow IPC stream) · data        each behind its length, padded to 8 bytes
//! ```
//! The label says what the batch is; columns hold its records, or where each lies in `data`; positions that follow no rule
//! are a column too, and what the source told beside its records is the last of them. The schemas that records name go with
//! the label. Reading copies nothing: payloads and columns are slices of the bytes that came. The permit stays behind, with
//! the lender ([`super::lending`]); the label names the loan. What must stay true: what is read is what was written.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, UInt32Type, UInt64Type};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamEncoder;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::lending::Loan;
use crate::batch::{Beside, Permit, Positions, RawBatch, Records};
use crate::encode::rows_size;
use crate::position::{Position, Split};
use crate::reject::Refusal;
use crate::written::Schemas;

/// What is said of a batch besides its records.
#[derive(Serialize, Deserialize)]
struct Label {
    split: Split,
    until: Position,
    arrived_at: i64,
    size: usize,
    form: Form,
    positions: Counting,
    refused: Vec<Refusal>,
    header: Option<Vec<u8>>,
    /// How many of the columns the source told beside its records.
    beside: usize,
    schemas: Option<Arc<Schemas>>,
    loan: Option<Loan>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Form {
    Framed,
    Payloads,
    Rows,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Counting {
    Offsets(u64),
    Counted(u64),
    Numbered,
    Each,
}

/// A batch, ready to be written.
pub(super) struct Wire {
    label: Vec<u8>,
    columns: Vec<Buffer>,
    data: Bytes,
}

const ALIGNED: usize = 8;

impl Wire {
    #[expect(clippy::expect_used, reason = "the columns are made here, and all their types have an IPC form")]
    pub(super) fn of(batch: &RawBatch, loan: Option<Loan>) -> Self {
        let (form, columns, data) = records(&batch.records).expect("columns of one length");
        let (positions, columns) = positions(&batch.positions, columns).expect("a position for each record");
        let beside = batch.beside.columns.as_ref();
        let columns = beside.map_or(Ok(columns.clone()), |beside| joined(&columns, beside));
        let label = Label {
            split: batch.split.clone(),
            until: batch.until.clone(),
            arrived_at: batch.arrived_at,
            size: batch.size,
            form,
            positions,
            refused: batch.refused.clone(),
            header: batch.beside.header.as_ref().map(|header| header.to_vec()),
            beside: beside.map_or(0, RecordBatch::num_columns),
            schemas: batch.beside.schemas.clone(),
            loan,
        };
        let label = serde_json::to_vec(&label).expect("a label has a JSON form");
        let columns = columns.expect("a row beside each record");
        Wire { label, columns: encode(&columns).expect("columns have an IPC form"), data }
    }

    fn columns_len(&self) -> usize {
        self.columns.iter().map(Buffer::len).sum()
    }

    pub(super) fn len(&self) -> usize {
        [self.label.len(), self.columns_len(), self.data.len()].map(|length| ALIGNED + padded(length)).iter().sum()
    }

    pub(super) fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        section(writer, self.label.len(), [self.label.as_slice()])?;
        section(writer, self.columns_len(), self.columns.iter().map(Buffer::as_slice))?;
        section(writer, self.data.len(), [self.data.as_ref()])
    }
}

/// What a batch takes on the wire besides its records: its label, the schema, padding.
const AROUND: usize = 2 << 10;
/// The same for each of its columns, and for each record that was refused.
const EACH: usize = 512;

/// The bytes that a batch takes on the wire, without making them: not less, and not much more.
pub(super) fn weight(batch: &RawBatch) -> usize {
    let records = match &batch.records {
        Records::Framed { data, spans } => data.len() + 8 * spans.len(),
        Records::Payloads(payloads) => payloads.iter().map(|payload| payload.len() + 4).sum(),
        Records::Rows(rows) => rows_size(rows) + EACH * rows.num_columns(),
    };
    let positions = match &batch.positions {
        Positions::Each(each) => each.iter().map(|position| position.as_str().len() + 5).sum(),
        Positions::Numbered(numbers) => 8 * numbers.len(),
        Positions::Offsets { .. } | Positions::Counted { .. } => 0,
    };
    // A byte of the header takes up to four in JSON: it is written as a list of numbers.
    let header = batch.beside.header.as_ref().map_or(0, |header| 4 * header.len());
    let beside = batch.beside.columns.as_ref().map_or(0, |columns| rows_size(columns) + EACH * columns.num_columns());
    let schemas = batch.beside.schemas.as_ref().map_or(0, |schemas| schemas.weight());
    let refused: usize = batch.refused.iter().map(|refusal| EACH + refusal.message.len()).sum();
    AROUND + records + positions + header + beside + schemas + refused
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGNED)
}

fn section<'a>(writer: &mut impl Write, length: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
    writer.write_all(&(length as u64).to_le_bytes())?;
    pieces.into_iter().try_for_each(|piece| writer.write_all(piece))?;
    writer.write_all(&[0; ALIGNED][..padded(length) - length])
}

fn records(records: &Records) -> Result<(Form, RecordBatch, Bytes), ArrowError> {
    Ok(match records {
        Records::Rows(rows) => (Form::Rows, rows.clone(), Bytes::new()),
        Records::Payloads(payloads) => {
            let payloads = BinaryArray::from_iter_values(payloads);
            (Form::Payloads, RecordBatch::try_from_iter([("payload", Arc::new(payloads) as ArrayRef)])?, Bytes::new())
        }
        Records::Framed { data, spans } => {
            let column = |pick: fn(&(u32, u32)) -> u32| {
                Arc::new(UInt32Array::from_iter_values(spans.iter().map(pick))) as ArrayRef
            };
            let spans = RecordBatch::try_from_iter([("start", column(|span| span.0)), ("end", column(|span| span.1))])?;
            (Form::Framed, spans, data.clone())
        }
    })
}

/// Behind the record columns, one of positions where they follow no rule.
fn positions(positions: &Positions, columns: RecordBatch) -> Result<(Counting, RecordBatch), ArrowError> {
    let (counting, at): (_, ArrayRef) = match positions {
        Positions::Offsets { base } => return Ok((Counting::Offsets(*base), columns)),
        Positions::Counted { first } => return Ok((Counting::Counted(*first), columns)),
        Positions::Numbered(numbers) => {
            (Counting::Numbered, Arc::new(UInt64Array::from_iter_values(numbers.iter().copied())))
        }
        Positions::Each(each) => {
            (Counting::Each, Arc::new(StringArray::from_iter_values(each.iter().map(Position::as_str))))
        }
    };
    Ok((counting, joined(&columns, &RecordBatch::try_from_iter([("_at", at)])?)?))
}

/// The columns of both, side by side.
fn joined(left: &RecordBatch, right: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (fields, others) = (left.schema(), right.schema());
    let fields: Vec<_> = fields.fields().iter().chain(others.fields()).cloned().collect();
    let columns = left.columns().iter().chain(right.columns()).cloned().collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Takes the last `count` columns off.
fn apart(columns: &RecordBatch, count: usize) -> Result<(RecordBatch, RecordBatch), ArrowError> {
    let (all, first) = (columns.num_columns(), columns.num_columns() - count);
    let (left, right): (Vec<_>, Vec<_>) = ((0..first).collect(), (first..all).collect());
    Ok((columns.project(&left)?, columns.project(&right)?))
}

fn encode(columns: &RecordBatch) -> Result<Vec<Buffer>, ArrowError> {
    let mut encoder = StreamEncoder::try_new(&columns.schema())?;
    let mut buffers = encoder.encode(columns)?;
    buffers.extend(encoder.finish()?);
    Ok(buffers)
}

/// Takes one batch off the front of `rest`, and the loan that it is. It holds no permit yet.
#[expect(
    clippy::expect_used,
    reason = "a peer has proved that it is of this version and generation before it is heard"
)]
pub(super) fn read(rest: &mut Bytes) -> (RawBatch, Option<Loan>) {
    let (label, columns, data) = (take(rest), take(rest), take(rest));
    let label: Label = serde_json::from_slice(&label).expect("a label is JSON");
    let columns = decode(columns).expect("columns are an IPC stream");
    let (columns, beside) = apart(&columns, label.beside).expect("as many columns as the label says");
    let placed = matches!(label.positions, Counting::Numbered | Counting::Each);
    let (columns, at) = apart(&columns, usize::from(placed)).expect("a column of positions");
    let positions = match label.positions {
        Counting::Offsets(base) => Positions::Offsets { base },
        Counting::Counted(first) => Positions::Counted { first },
        Counting::Numbered => Positions::Numbered(at.column(0).as_primitive::<UInt64Type>().values().to_vec()),
        Counting::Each => {
            Positions::Each(at.column(0).as_string::<i32>().iter().flatten().map(Position::new).collect())
        }
    };
    let batch = RawBatch {
        split: label.split,
        records: unpack(label.form, columns, data),
        positions,
        until: label.until,
        arrived_at: label.arrived_at,
        refused: label.refused,
        beside: Beside {
            header: label.header.map(Bytes::from),
            columns: (label.beside > 0).then_some(beside),
            schemas: label.schemas,
        },
        permit: Permit::free(),
        size: label.size,
    };
    (batch, label.loan)
}

fn take(rest: &mut Bytes) -> Bytes {
    let length = rest.split_to(ALIGNED);
    let length = length.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let mut section = rest.split_to(padded(length));
    section.truncate(length);
    section
}

fn decode(columns: Bytes) -> Result<RecordBatch, ArrowError> {
    let (mut decoder, mut buffer) = (StreamDecoder::new(), Buffer::from(columns));
    while !buffer.is_empty() {
        if let Some(columns) = decoder.decode(&mut buffer)? {
            return Ok(columns);
        }
    }
    Err(ArrowError::IpcError("the stream has no batch".to_owned()))
}

/// Arrow's memory as others share it.
struct Owned(Buffer);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

fn unpack(form: Form, columns: RecordBatch, data: Bytes) -> Records {
    match form {
        Form::Rows => Records::Rows(columns),
        Form::Payloads => {
            let payloads = columns.column(0).as_binary::<i32>();
            let values = Bytes::from_owner(Owned(payloads.values().clone()));
            let spans = payloads.offsets().windows(2);
            Records::Payloads(spans.map(|span| values.slice(span[0] as usize..span[1] as usize)).collect())
        }
        Form::Framed => {
            let column = |index: usize| columns.column(index).as_primitive::<UInt32Type>().values().iter().copied();
            Records::Framed { data, spans: column(0).zip(column(1)).collect() }
        }
    }
}
