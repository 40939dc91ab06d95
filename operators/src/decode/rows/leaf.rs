//! Which Arrow types widen into which of ours without loss.
//!
//! Owns that table. A type that is not in it does not fit, even if all values would by chance.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

use super::convert::Faults;
use crate::decode::fault::Fault;
use crate::decode::time::{day_within_years, within_years};
use crate::schema::Kind;

/// The same values as `kind`; `None` if their type does not fit.
pub(super) fn convert(array: &ArrayRef, kind: &Kind, faults: &mut Faults) -> Option<ArrayRef> {
    if let DataType::Dictionary(_, values) = array.data_type() {
        return convert(&cast(array, values).ok()?, kind, faults);
    }
    match kind {
        Kind::Timestamp => timestamps(array, faults),
        Kind::Date => dates(array, faults),
        _ if *array.data_type() == kind.data_type() => Some(array.clone()),
        _ if widens(array.data_type(), kind) => cast(array, &kind.data_type()).ok(),
        _ => None,
    }
}

fn widens(from: &DataType, to: &Kind) -> bool {
    use DataType as D;
    match to {
        _ if *from == D::Null => true,
        Kind::String => matches!(from, D::LargeUtf8 | D::Utf8View),
        Kind::Binary => matches!(from, D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_)),
        Kind::Int32 => matches!(from, D::Int8 | D::Int16 | D::UInt8 | D::UInt16),
        Kind::Int64 => matches!(from, D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16 | D::UInt32),
        Kind::Float64 => {
            matches!(from, D::Float16 | D::Float32 | D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16 | D::UInt32)
        }
        Kind::Decimal { precision, scale } => digits(from).is_some_and(|(digits, behind)| {
            let before = |digits: u8, behind: i8| i16::from(digits) - i16::from(behind);
            *scale >= behind && before(*precision, *scale) >= before(digits, behind)
        }),
        Kind::Bool | Kind::Timestamp | Kind::Date | Kind::Struct(_) | Kind::List(_) => false,
    }
}

/// The digits that a type may need, and how many of them are behind the point.
fn digits(of: &DataType) -> Option<(u8, i8)> {
    use DataType as D;
    Some(match of {
        D::Decimal32(precision, scale)
        | D::Decimal64(precision, scale)
        | D::Decimal128(precision, scale)
        | D::Decimal256(precision, scale) => (*precision, *scale),
        D::Int8 | D::UInt8 => (3, 0),
        D::Int16 | D::UInt16 => (5, 0),
        D::Int32 | D::UInt32 => (10, 0),
        D::Int64 => (19, 0),
        D::UInt64 => (20, 0),
        _ => return None,
    })
}

/// Times of any unit and zone; those of no zone are in UTC. What is smaller than a microsecond is cut.
fn timestamps(array: &ArrayRef, faults: &mut Faults) -> Option<ArrayRef> {
    use DataType as D;
    let times: PrimitiveArray<TimestampMicrosecondType> = match array.data_type() {
        D::Timestamp(TimeUnit::Second, _) => {
            map::<TimestampSecondType, _>(array, |v| within_years(v.checked_mul(1_000_000)?), faults)
        }
        D::Timestamp(TimeUnit::Millisecond, _) => {
            map::<TimestampMillisecondType, _>(array, |v| within_years(v.checked_mul(1_000)?), faults)
        }
        D::Timestamp(TimeUnit::Microsecond, _) => map::<TimestampMicrosecondType, _>(array, within_years, faults),
        D::Timestamp(TimeUnit::Nanosecond, _) => {
            map::<TimestampNanosecondType, _>(array, |v| within_years(v.div_euclid(1_000)), faults)
        }
        D::Date32 => map::<Date32Type, _>(array, |v| within_years(i64::from(v) * 86_400_000_000), faults),
        D::Date64 => map::<Date64Type, _>(array, |v| within_years(v.checked_mul(1_000)?), faults),
        D::Null => return cast(array, &Kind::Timestamp.data_type()).ok(),
        _ => return None,
    };
    Some(Arc::new(times.with_timezone("UTC")))
}

fn dates(array: &ArrayRef, faults: &mut Faults) -> Option<ArrayRef> {
    const DAY: i64 = 86_400_000;
    let dates: PrimitiveArray<Date32Type> = match array.data_type() {
        DataType::Date32 => map::<Date32Type, _>(array, day_within_years, faults),
        DataType::Date64 => {
            map::<Date64Type, _>(array, |v| day_within_years(i32::try_from(v.div_euclid(DAY)).ok()?), faults)
        }
        DataType::Null => return cast(array, &DataType::Date32).ok(),
        _ => return None,
    };
    Some(Arc::new(dates))
}

/// Values one by one; one that has no counterpart is a fault of its row.
fn map<From: ArrowPrimitiveType, To: ArrowPrimitiveType>(
    array: &ArrayRef,
    each: impl Fn(From::Native) -> Option<To::Native>,
    faults: &mut Faults,
) -> PrimitiveArray<To> {
    let from = array.as_primitive::<From>();
    let to = from.unary_opt(each);
    if to.null_count() > from.null_count() {
        for row in (0..from.len()).filter(|row| from.is_valid(*row) && to.is_null(*row)) {
            faults.add(row, Fault::type_of("a time in the years 0001 to 9999", "another"));
        }
    }
    to
}
