//! Values that come with their type, as Avro and Protobuf write them.
//!
//! Owns which of them fits which column. What must stay true: nothing is rounded but an integer that becomes a `float64`,
//! nothing is guessed, and a value that does not fit leaves a zero behind, so that columns never come apart.

use super::builder::Builder;
use super::fault::{Fault, abbreviated};
use super::time;

/// One value, borrowed from its record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Bool(bool),
    Integer(i64),
    /// One that may be beyond the signed ones.
    Unsigned(u64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Microseconds since 1970, UTC; none for a time that has no such number.
    Instant(Option<i64>),
    /// Days since 1970.
    Day(i32),
    /// `unscaled` times ten to the minus `scale`; none for one that no decimal column could hold.
    Decimal {
        unscaled: Option<i128>,
        scale: u32,
    },
    /// One of an enum's values; no name where the schema knows none for its number.
    Choice {
        name: Option<&'a str>,
        number: i32,
    },
    /// A UUID in 16 bytes, which is a text to most.
    Id([u8; 16]),
    /// A list where none belongs, or anything else that is no single value, as messages call it.
    Composite(&'static str),
}

impl Value<'_> {
    /// Appends the value to a column, or a zero with the reason why it does not fit.
    pub(super) fn append(self, builder: &mut Builder) -> Result<(), Box<Fault>> {
        if self.fits(builder) {
            return Ok(());
        }
        let wanted = if let Builder::Binary { .. } = builder { "binary".into() } else { builder.name() };
        Err(Fault::type_of(&wanted, &self.described()))
    }

    fn fits(self, builder: &mut Builder) -> bool {
        match (self, &mut *builder) {
            (Value::Bool(value), _) => return builder.append_bool(value),
            // What Base64 means is bytes; a text is not taken for that where there are bytes proper.
            (
                Value::Text(text),
                Builder::String(_) | Builder::Timestamp(_) | Builder::Date(_) | Builder::Decimal { .. },
            ) => {
                return builder.append_text(text);
            }
            (Value::Choice { name: Some(name), .. }, Builder::String(values)) => values.append_value(name),
            (Value::Choice { number, .. }, Builder::Int32(_) | Builder::Int64(_)) => {
                return integer(number.into(), builder);
            }
            (Value::Id(id), Builder::String(values)) => {
                let mut text = [0; ID_TEXT];
                values.append_value(id_text(id, &mut text));
            }
            (Value::Id(id), Builder::Binary { values, .. }) => values.append_value(id),
            (Value::Bytes(bytes), Builder::Binary { values, .. }) => values.append_value(bytes),
            (Value::Float(value), Builder::Float64(values)) => values.append_value(value),
            (Value::Integer(value), _) => return integer(value.into(), builder),
            (Value::Unsigned(value), _) => return integer(value.into(), builder),
            (Value::Instant(Some(micros)), Builder::Timestamp(values)) => {
                let micros = time::within_years(micros);
                values.append_value(micros.unwrap_or_default());
                return micros.is_some();
            }
            (Value::Day(day), Builder::Date(values)) => {
                let day = time::day_within_years(day);
                values.append_value(day.unwrap_or_default());
                return day.is_some();
            }
            (Value::Day(day), Builder::Timestamp(values)) => {
                let micros = time::within_years(i64::from(day) * 86_400_000_000);
                values.append_value(micros.unwrap_or_default());
                return micros.is_some();
            }
            (Value::Decimal { unscaled: Some(unscaled), scale }, Builder::Decimal { .. }) => {
                return decimal(unscaled, scale, builder);
            }
            _ => {
                builder.append_zero();
                return false;
            }
        }
        true
    }

    /// The value as a message calls it.
    fn described(self) -> String {
        match self {
            Value::Bool(value) => format!("bool {value}"),
            Value::Integer(value) => format!("integer {value}"),
            Value::Unsigned(value) => format!("integer {value}"),
            Value::Float(value) => format!("float {value}"),
            Value::Text(text) => format!("string \"{}\"", abbreviated(text)),
            Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Value::Instant(None) => "a time beyond all years".into(),
            Value::Instant(Some(micros)) => format!("a time, {micros} µs from 1970"),
            Value::Day(day) => format!("a date, {day} days from 1970"),
            Value::Decimal { unscaled: None, .. } => "a decimal of more than 38 digits".into(),
            Value::Decimal { unscaled: Some(unscaled), scale } => format!("decimal {unscaled}e-{scale}"),
            Value::Choice { name: Some(name), .. } => format!("enum {}", abbreviated(name)),
            Value::Choice { name: None, number } => format!("enum number {number}, which has no name"),
            Value::Id(id) => format!("uuid {}", id_text(id, &mut [0; ID_TEXT])),
            Value::Composite(name) => name.into(),
        }
    }
}

/// The length of a UUID as text.
const ID_TEXT: usize = 36;

/// A UUID as text: 8-4-4-4-12 hex digits.
fn id_text(id: [u8; 16], text: &mut [u8; ID_TEXT]) -> &str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut at = 0;
    for (index, byte) in id.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text[at] = b'-';
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    std::str::from_utf8(text).unwrap_or_default()
}

fn integer(value: i128, builder: &mut Builder) -> bool {
    match builder {
        Builder::Int32(values) => {
            let fitting = i32::try_from(value);
            values.append_value(fitting.unwrap_or_default());
            fitting.is_ok()
        }
        Builder::Int64(values) => {
            let fitting = i64::try_from(value);
            values.append_value(fitting.unwrap_or_default());
            fitting.is_ok()
        }
        Builder::Float64(values) => {
            values.append_value(value as f64);
            true
        }
        Builder::Decimal { .. } => decimal(value, 0, builder),
        _ => {
            builder.append_zero();
            false
        }
    }
}

fn decimal(unscaled: i128, scale: u32, builder: &mut Builder) -> bool {
    let Builder::Decimal { values, precision, scale: wanted } = builder else { return false };
    let fitting = rescaled(unscaled, i64::from(scale), i64::from(*wanted)).filter(|value| {
        // A decimal has up to 38 digits, and ten to the 38 is an i128.
        value.unsigned_abs() < 10_u128.pow(u32::from(*precision))
    });
    values.append_value(fitting.unwrap_or_default());
    fitting.is_some()
}

/// The same number with another count of digits behind the point, if it has one.
fn rescaled(unscaled: i128, from: i64, to: i64) -> Option<i128> {
    let power = |digits: i64| 10_i128.checked_pow(u32::try_from(digits).ok()?);
    match to - from {
        _ if unscaled == 0 => Some(0),
        more @ 0.. => unscaled.checked_mul(power(more)?),
        fewer => {
            let power = power(-fewer)?;
            (unscaled % power == 0).then(|| unscaled / power)
        }
    }
}

/// A number of two's complement, its highest byte first; none if it is beyond 128 bits.
pub(super) fn signed(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let sign = if negative { 0xff } else { 0 };
    let (rest, low) = bytes.split_at(bytes.len().saturating_sub(16));
    let same_sign = low.first().is_none_or(|first| (*first >= 0x80) == negative);
    if rest.iter().any(|byte| *byte != sign) || (!rest.is_empty() && !same_sign) {
        return None;
    }
    let start: i128 = if negative { -1 } else { 0 };
    Some(low.iter().fold(start, |value, byte| value << 8 | i128::from(*byte)))
}

/// What this proves: a decimal keeps its value or is none. It would catch a lost sign, digits that are cut, and a number that
/// wraps around.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_signed_numbers() {
        for (bytes, expected) in [
            (vec![], Some(0)),
            (vec![0x04, 0xd2], Some(1234)),
            (vec![0xff], Some(-1)),
            (vec![0xfb, 0x2e], Some(-1234)),
            (vec![0, 0xff], Some(255)),
            ([vec![0; 20], vec![7]].concat(), Some(7)),
            ([vec![0xff; 20], vec![0xf9]].concat(), Some(-7)),
            ([vec![0x7f], vec![0xff; 15]].concat(), Some(i128::MAX)),
            ([vec![0], vec![0xff; 16]].concat(), None),
            ([vec![1], vec![0; 16]].concat(), None),
            ([vec![0xff], vec![0x7f], vec![0xff; 15]].concat(), None),
        ] {
            assert_eq!(signed(&bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn scales_change_exactly_or_not_at_all() {
        for (unscaled, from, to, expected) in [
            (1234, 2, 2, Some(1234)),
            (1234, 2, 4, Some(123_400)),
            (1230, 2, 1, Some(123)),
            (1234, 2, 1, None),
            (-1230, 2, 1, Some(-123)),
            (0, 900, 0, Some(0)),
            (1, 0, 39, None),
            (1, 39, 0, None),
            (i128::MAX, 0, 1, None),
        ] {
            assert_eq!(rescaled(unscaled, from, to), expected, "{unscaled} from {from} to {to}");
        }
    }
}
