//! The shape that a pipeline asks of its records.
//!
//! Owns the types of `[schema]` and their Arrow counterparts. A column that is `required` must be there and not null; one
//! that is not may be absent, and is null then.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    String,
    Int32,
    Int64,
    Float64,
    Bool,
    /// Microseconds since 1970, UTC.
    Timestamp,
    Date,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Binary,
    Struct(Vec<Column>),
    /// A list of anything; elements may be null unless the element column is required.
    List(Box<Column>),
}

/// A named column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// Whether a record without it (absent or null) is refused.
    pub required: bool,
}

/// The columns of `[schema]`, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    pub columns: Vec<Column>,
}

impl Kind {
    /// The Arrow type that holds it.
    pub fn data_type(&self) -> DataType {
        match self {
            Kind::String => DataType::Utf8,
            Kind::Int32 => DataType::Int32,
            Kind::Int64 => DataType::Int64,
            Kind::Float64 => DataType::Float64,
            Kind::Bool => DataType::Boolean,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Date => DataType::Date32,
            Kind::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Kind::Binary => DataType::Binary,
            Kind::Struct(columns) => DataType::Struct(fields(columns)),
            Kind::List(element) => DataType::List(Arc::new(element.field())),
        }
    }
}

impl Column {
    /// A column that may be null.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Column { name: name.into(), kind, required: false }
    }

    /// The same column, required.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The Arrow field that holds it.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.kind.data_type(), !self.required)
    }
}

fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(Column::field).collect()
}

impl Schema {
    /// The Arrow schema of a decoded batch.
    pub fn arrow(&self) -> arrow::datatypes::SchemaRef {
        Arc::new(arrow::datatypes::Schema::new(fields(&self.columns)))
    }
}
