//! Single values out of the wire form.
//!
//! Owns what the bytes of each scalar type mean, what stands for nothing, and the messages that are values to everybody: times
//! and wrappers. A message that comes in several stretches is the sum of them, the last of each field counts.

use super::Stretch;
use super::cursor::{Cursor, Flaw, Wire};
use super::plan::Simple;
use crate::decode::value::Value;

impl Simple {
    /// Reads a value; a `whole` one of no fixed size is all that is left.
    pub(super) fn read<'a>(&'a self, cursor: &mut Cursor<'a>, whole: bool) -> Result<Value<'a>, Flaw> {
        Ok(match self {
            Simple::Double => Value::Float(f64::from_le_bytes(array(cursor.take(8)?))),
            Simple::Float => Value::Float(f32::from_le_bytes(array(cursor.take(4)?)).into()),
            Simple::Fixed32 => Value::Integer(u32::from_le_bytes(array(cursor.take(4)?)).into()),
            Simple::Fixed64 => Value::Unsigned(u64::from_le_bytes(array(cursor.take(8)?))),
            Simple::Sfixed32 => Value::Integer(i32::from_le_bytes(array(cursor.take(4)?)).into()),
            Simple::Sfixed64 => Value::Integer(i64::from_le_bytes(array(cursor.take(8)?))),
            // Of a number that is too long for its type the lower half counts.
            Simple::Int32 => Value::Integer((cursor.varint()? as i32).into()),
            Simple::Int64 => Value::Integer(cursor.varint()? as i64),
            Simple::Uint32 => Value::Integer((cursor.varint()? as u32).into()),
            Simple::Uint64 => Value::Unsigned(cursor.varint()?),
            Simple::Sint32 => Value::Integer(i64::from(unfolded(u64::from(cursor.varint()? as u32)) as i32)),
            Simple::Sint64 => Value::Integer(unfolded(cursor.varint()?)),
            Simple::Bool => Value::Bool(cursor.varint()? != 0),
            Simple::Bytes => Value::Bytes(rest(cursor, whole)?),
            Simple::Text => {
                let bytes = rest(cursor, whole)?;
                Value::Text(simdutf8::basic::from_utf8(bytes).map_err(|_| cursor.flaw("a string that is not UTF-8"))?)
            }
            Simple::Enum(names) => {
                let number = cursor.varint()? as i32;
                Value::Choice { name: names.get(number), number }
            }
        })
    }

    /// What a field is that is not there, where it cannot be told that it is not.
    pub(super) fn default(&self) -> Value<'_> {
        match self {
            Simple::Double | Simple::Float => Value::Float(0.0),
            Simple::Bool => Value::Bool(false),
            Simple::Text => Value::Text(""),
            Simple::Bytes => Value::Bytes(b""),
            Simple::Enum(names) => Value::Choice { name: names.get(names.default), number: names.default },
            _ => Value::Integer(0),
        }
    }
}

/// All that is left of a value that was cut out before.
fn rest<'a>(cursor: &mut Cursor<'a>, whole: bool) -> Result<&'a [u8], Flaw> {
    if whole { cursor.take(cursor.left()) } else { Err(cursor.flaw("a text cannot be packed")) }
}

/// A number whose sign is in its lowest bit.
fn unfolded(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// So many bytes, which were taken as so many.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

/// `google.protobuf.Timestamp`. What is smaller than a microsecond is cut.
pub(super) fn timestamp<'a>(record: &[u8], stretches: impl Iterator<Item = Stretch>) -> Result<Value<'a>, Flaw> {
    let (mut seconds, mut nanos) = (0_i64, 0_i32);
    for stretch in stretches {
        let mut cursor = stretch.cursor(record);
        while !cursor.at_end() {
            match cursor.key()? {
                (1, Wire::Varint) => seconds = cursor.varint()? as i64,
                (2, Wire::Varint) => nanos = cursor.varint()? as i32,
                (number, wire) => cursor.value(number, wire, GROUPS).map(drop)?,
            }
        }
    }
    let micros = seconds.checked_mul(1_000_000).and_then(|micros| micros.checked_add(i64::from(nanos / 1_000)));
    Ok(Value::Instant(micros.filter(|_| (0..1_000_000_000).contains(&nanos))))
}

/// The one value in a wrapper.
pub(super) fn wrapped<'a>(
    record: &'a [u8],
    simple: &'a Simple,
    stretches: impl Iterator<Item = Stretch>,
) -> Result<Value<'a>, Flaw> {
    let mut value = simple.default();
    for stretch in stretches {
        let mut cursor = stretch.cursor(record);
        while !cursor.at_end() {
            let (number, wire) = cursor.key()?;
            let (start, end) = cursor.value(number, wire, GROUPS)?;
            if number == 1 && wire == simple.wire() {
                value = simple.read(&mut Cursor::new(record, start, end), true)?;
            }
        }
    }
    Ok(value)
}

/// Groups in groups that are gone past in a message of one or two numbers.
const GROUPS: usize = 16;

impl Stretch {
    fn cursor<'a>(&self, record: &'a [u8]) -> Cursor<'a> {
        Cursor::new(record, self.start as usize, self.end as usize)
    }
}
