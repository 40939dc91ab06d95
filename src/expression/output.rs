//! The types that come out of an expression: those of `[schema]`, whatever was used inside.

use arrow::datatypes::{DataType, Field, TimeUnit};
use millstream_operators::{Column, Kind};

use super::error::in_our_words;

/// The kind that a type is brought to; `None` where no column can hold it.
pub(super) fn kind(data_type: &DataType) -> Option<Kind> {
    Some(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::String,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => Kind::Int32,
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Kind::Int64,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Kind::Float64,
        DataType::Boolean => Kind::Bool,
        DataType::Timestamp(_, _) => Kind::Timestamp,
        DataType::Date32 | DataType::Date64 => Kind::Date,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => Kind::Decimal { precision: *precision, scale: *scale },
        DataType::Decimal256(precision, scale) => Kind::Decimal { precision: (*precision).min(38), scale: *scale },
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Kind::Binary,
        DataType::Dictionary(_, values) => kind(values)?,
        DataType::Struct(fields) => Kind::Struct(fields.iter().map(|field| column(field)).collect::<Option<_>>()?),
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            Kind::List(Box::new(column(element)?))
        }
        _ => return None,
    })
}

fn column(field: &Field) -> Option<Column> {
    Some(Column { name: field.name().clone(), kind: kind(field.data_type())?, required: !field.is_nullable() })
}

/// A type in the words of `[schema]`, with an article where it reads better.
pub(super) fn name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "null".into(),
        DataType::Struct(_) => "a struct".into(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => "a list".into(),
        DataType::Interval(_) | DataType::Duration(_) => "an interval".into(),
        DataType::Time32(_) | DataType::Time64(_) => "a time of day".into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp".into(),
        other => in_our_words(&other.to_string()),
    }
}
