//! Arrow builders in the shape of a schema.
//!
//! Owns one builder per column, nested ones included. What must stay true: whoever appends to a builder appends exactly one
//! row, also when the value is refused (then a zero, which is filtered out with the rest of its record), so that columns
//! never come apart. Values are copied once, into the buffers that become the arrays.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder,
    Int64Builder, ListArray, NullBufferBuilder, StringBuilder, StructArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{FieldRef, Fields};
use arrow::error::ArrowError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fault::Fault;
use super::{number, time};
use crate::schema::{Column, Kind};

/// The builder of one column.
pub(super) enum Builder {
    String(StringBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    Decimal { values: Decimal128Builder, precision: u8, scale: i8 },
    Binary { values: BinaryBuilder, scratch: Vec<u8> },
    Struct(Structs),
    List(Lists),
}

/// The builder of a struct column.
pub(super) struct Structs {
    fields: Fields,
    pub(super) children: Vec<Builder>,
    nulls: NullBufferBuilder,
}

/// The builder of a list column.
pub(super) struct Lists {
    field: FieldRef,
    pub(super) element: Box<Builder>,
    offsets: Vec<i32>,
    /// Elements so far, of all rows.
    end: i32,
    nulls: NullBufferBuilder,
}

impl Builder {
    /// An empty builder. Fails where Arrow knows no such type (`decimal(99,2)`).
    pub(super) fn new(kind: &Kind) -> Result<Self, ArrowError> {
        Ok(match kind {
            Kind::String => Builder::String(StringBuilder::new()),
            Kind::Int32 => Builder::Int32(Int32Builder::new()),
            Kind::Int64 => Builder::Int64(Int64Builder::new()),
            Kind::Float64 => Builder::Float64(Float64Builder::new()),
            Kind::Bool => Builder::Bool(BooleanBuilder::new()),
            Kind::Timestamp => Builder::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(kind.data_type())),
            Kind::Date => Builder::Date(Date32Builder::new()),
            Kind::Decimal { precision, scale } => Builder::Decimal {
                values: Decimal128Builder::new().with_precision_and_scale(*precision, *scale)?,
                precision: *precision,
                scale: *scale,
            },
            Kind::Binary => Builder::Binary { values: BinaryBuilder::new(), scratch: Vec::new() },
            Kind::Struct(columns) => Builder::Struct(Structs::new(columns)?),
            Kind::List(element) => Builder::List(Lists::new(element)?),
        })
    }

    /// The type as the pipeline file calls it.
    pub(super) fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Builder::String(_) => "string",
            Builder::Int32(_) => "int32",
            Builder::Int64(_) => "int64",
            Builder::Float64(_) => "float64",
            Builder::Bool(_) => "bool",
            Builder::Timestamp(_) => "timestamp",
            Builder::Date(_) => "date",
            Builder::Decimal { precision, scale, .. } => return format!("decimal({precision},{scale})").into(),
            Builder::Binary { .. } => "binary (base64)",
            Builder::Struct(_) => "struct",
            Builder::List(_) => "list",
        })
    }

    /// The row of a value that is not there, in a column that may be null or below a struct that is.
    pub(super) fn append_null(&mut self) {
        match self {
            Builder::String(values) => values.append_null(),
            Builder::Int32(values) => values.append_null(),
            Builder::Int64(values) => values.append_null(),
            Builder::Float64(values) => values.append_null(),
            Builder::Bool(values) => values.append_null(),
            Builder::Timestamp(values) => values.append_null(),
            Builder::Date(values) => values.append_null(),
            Builder::Decimal { values, .. } => values.append_null(),
            Builder::Binary { values, .. } => values.append_null(),
            Builder::Struct(structs) => structs.append_null(),
            Builder::List(lists) => lists.close(false),
        }
    }

    /// A row that stands for a refused one, and is null nowhere.
    pub(super) fn append_zero(&mut self) {
        match self {
            Builder::String(values) => values.append_value(""),
            Builder::Int32(values) => values.append_value(0),
            Builder::Int64(values) => values.append_value(0),
            Builder::Float64(values) => values.append_value(0.0),
            Builder::Bool(values) => values.append_value(false),
            Builder::Timestamp(values) => values.append_value(0),
            Builder::Date(values) => values.append_value(0),
            Builder::Decimal { values, .. } => values.append_value(0),
            Builder::Binary { values, .. } => values.append_value(b""),
            Builder::Struct(structs) => {
                structs.children.iter_mut().for_each(Builder::append_zero);
                structs.nulls.append_non_null();
            }
            Builder::List(lists) => lists.close(true),
        }
    }

    /// A value given as text: strings, and what is written as a string. Says whether it was one; if not, a zero is appended.
    pub(super) fn append_text(&mut self, text: &str) -> bool {
        match self {
            Builder::String(values) => {
                values.append_value(text);
                true
            }
            Builder::Timestamp(values) => append(time::timestamp(text), |value| values.append_value(value)),
            Builder::Date(values) => append(time::date(text), |value| values.append_value(value)),
            Builder::Decimal { values, precision, scale } => {
                append(number::decimal(text, *precision, *scale), |value| values.append_value(value))
            }
            Builder::Binary { values, scratch } => {
                scratch.clear();
                let decoded = STANDARD.decode_vec(text, scratch).is_ok();
                values.append_value(if decoded { scratch.as_slice() } else { b"" });
                decoded
            }
            _ => {
                self.append_zero();
                false
            }
        }
    }

    /// A number given as text. Says whether it was one of this type; if not, a zero is appended.
    pub(super) fn append_number(&mut self, text: &str) -> bool {
        match self {
            Builder::Int32(values) => append(number::integer(text), |value| values.append_value(value)),
            Builder::Int64(values) => append(number::integer(text), |value| values.append_value(value)),
            Builder::Float64(values) => append(number::float(text), |value| values.append_value(value)),
            Builder::Decimal { .. } => self.append_text(text),
            _ => {
                self.append_zero();
                false
            }
        }
    }

    /// A truth value. Says whether the column takes one; if not, a zero is appended.
    pub(super) fn append_bool(&mut self, value: bool) -> bool {
        if let Builder::Bool(values) = self {
            values.append_value(value);
            return true;
        }
        self.append_zero();
        false
    }

    /// The array of all rows so far; the builder is empty again.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Builder::String(values) => {
                // The next batch is about as large. Without some room to spare, every second one would outgrow its buffer
                // and be copied into one of twice the size.
                let (rows, bytes) = (values.offsets_slice().len(), values.values_slice().len());
                let next = StringBuilder::with_capacity(rows + rows / 8, bytes + bytes / 8);
                let full = std::mem::replace(values, next).finish();
                Arc::new(full)
            }
            Builder::Int32(values) => Arc::new(values.finish()),
            Builder::Int64(values) => Arc::new(values.finish()),
            Builder::Float64(values) => Arc::new(values.finish()),
            Builder::Bool(values) => Arc::new(values.finish()),
            Builder::Timestamp(values) => Arc::new(values.finish()),
            Builder::Date(values) => Arc::new(values.finish()),
            Builder::Decimal { values, .. } => Arc::new(values.finish()),
            Builder::Binary { values, .. } => Arc::new(values.finish()),
            Builder::Struct(structs) => Arc::new(structs.finish()?),
            Builder::List(lists) => Arc::new(lists.finish()?),
        })
    }
}

/// Appends a value that was read, or a zero for one that could not be.
fn append<T: Default>(value: Option<T>, mut push: impl FnMut(T)) -> bool {
    let read = value.is_some();
    push(value.unwrap_or_default());
    read
}

impl Structs {
    fn new(columns: &[Column]) -> Result<Self, ArrowError> {
        Ok(Structs {
            fields: columns.iter().map(Column::field).collect(),
            children: builders(columns)?,
            nulls: NullBufferBuilder::new(0),
        })
    }

    fn append_null(&mut self) {
        for (child, field) in self.children.iter_mut().zip(&self.fields) {
            // A path into a null struct reads its child, which must then be null as well wherever it can be.
            if field.is_nullable() { child.append_null() } else { child.append_zero() }
        }
        self.nulls.append_null();
    }

    /// One struct, each child by `each`.
    pub(super) fn append(
        &mut self,
        each: impl FnMut(usize, &mut Builder) -> Result<(), Box<Fault>>,
    ) -> Result<(), Box<Fault>> {
        self.nulls.append_non_null();
        fill(&mut self.children, each)
    }

    fn finish(&mut self) -> Result<StructArray, ArrowError> {
        let rows = self.nulls.len();
        let nulls = self.nulls.finish();
        let children = self.children.iter_mut().map(Builder::finish).collect::<Result<Vec<_>, _>>()?;
        StructArray::try_new_with_length(self.fields.clone(), children, nulls, rows)
    }
}

impl Lists {
    fn new(element: &Column) -> Result<Self, ArrowError> {
        Ok(Lists {
            field: Arc::new(element.field()),
            element: Box::new(Builder::new(&element.kind)?),
            offsets: vec![0],
            end: 0,
            nulls: NullBufferBuilder::new(0),
        })
    }

    /// Takes the next element in, which is appended to `self.element` by the caller.
    pub(super) fn count(&mut self) {
        self.end += 1;
    }

    /// Ends the list of this row.
    pub(super) fn close(&mut self, valid: bool) {
        self.offsets.push(self.end);
        self.nulls.append(valid);
    }

    fn finish(&mut self) -> Result<ListArray, ArrowError> {
        self.end = 0;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.offsets, vec![0])));
        ListArray::try_new(self.field.clone(), offsets, self.element.finish()?, self.nulls.finish())
    }
}

/// The builders of some columns.
pub(super) fn builders(columns: &[Column]) -> Result<Vec<Builder>, ArrowError> {
    columns.iter().map(|column| Builder::new(&column.kind)).collect()
}

/// Appends one row to each builder by `each`, which appends a row even where it finds a fault. After the first fault the
/// others are not looked at any more.
pub(super) fn fill(
    builders: &mut [Builder],
    mut each: impl FnMut(usize, &mut Builder) -> Result<(), Box<Fault>>,
) -> Result<(), Box<Fault>> {
    let mut result = Ok(());
    for (index, builder) in builders.iter_mut().enumerate() {
        match result {
            Ok(()) => result = each(index, builder),
            Err(_) => builder.append_zero(),
        }
    }
    result
}
