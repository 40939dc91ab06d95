//! Groups, keys and sums in the few bytes that are kept of them for as long as a run lasts.
//!
//! Owns their layout. What must stay true: two groups have the same bytes exactly if they have the same values; keys sort
//! by average and bucket first and by span second, so that old spans of an average lie side by side.

use differential_dataflow::difference::{IsZero, Semigroup};
use serde::{Deserialize, Serialize};

use super::key::{AverageKey, Bucket, Totals};

/// A null.
const NULL: u8 = 0;
/// A length of this or more is written after the mark.
const LONG: u8 = u8::MAX;

/// Adds the bytes of one value of a group. A short text costs one byte more than itself.
pub(super) fn push_value(bytes: &mut Vec<u8>, value: Option<&str>) {
    let Some(text) = value else { return bytes.push(NULL) };
    match u8::try_from(text.len() + 1) {
        Ok(mark) if mark < LONG => bytes.push(mark),
        _ => {
            bytes.push(LONG);
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        }
    }
    bytes.extend_from_slice(text.as_bytes());
}

/// The values that [`push_value`] was given. Bytes that it never wrote give what can be read of them.
pub(super) fn values(bytes: &[u8]) -> Vec<Option<String>> {
    let (mut values, mut rest) = (Vec::new(), bytes);
    while let Some((mark, after)) = rest.split_first() {
        let (length, after) = match *mark {
            NULL => {
                values.push(None);
                rest = after;
                continue;
            }
            LONG => match after.split_first_chunk::<8>() {
                Some((length, after)) => (u64::from_le_bytes(*length) as usize, after),
                None => break,
            },
            mark => (usize::from(mark) - 1, after),
        };
        let (text, after) = after.split_at(length.min(after.len()));
        values.push(Some(String::from_utf8_lossy(text).into_owned()));
        rest = after;
    }
    values
}

/// Byte strings in one buffer, numbered in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Texts {
    /// Adds what `write` appends, and gives its number. The buffer has to stay below 4 GiB.
    pub(super) fn add<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<u32, E> {
        let start = self.bytes.len();
        if let Err(error) = write(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        self.ends.push(self.bytes.len() as u32);
        Ok(self.ends.len() as u32 - 1)
    }

    pub(super) fn push(&mut self, text: &[u8]) -> u32 {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
        self.ends.len() as u32 - 1
    }

    pub(super) fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        &self.bytes[start..self.ends[number] as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// An average and one of its buckets, as one number.
pub(super) type Kind = u32;

pub(super) fn kind(average: u16, by: Bucket) -> Kind {
    u32::from(average) * Bucket::ALL.len() as u32 + by as u32
}

/// The average that a kind is of.
pub(super) fn average_of(kind: Kind) -> u16 {
    (kind / Bucket::ALL.len() as u32) as u16
}

fn bucket_of(kind: Kind) -> Bucket {
    Bucket::ALL[kind as usize % Bucket::ALL.len()]
}

/// What a total is found by on the worker that keeps it: 12 bytes, which hold the kind (18 bits), the span (34) and the number of
/// the group (32), in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PackedKey([u32; 3]);

/// Spans count from here: an hour of any `i64` of microseconds is within 2^33 of 1970.
const SPAN_BITS: u32 = 34;
const SPAN_ZERO: i64 = 1 << (SPAN_BITS - 1);

impl PackedKey {
    pub(super) fn new(kind: Kind, span: i64, group: u32) -> Self {
        let span = (span.clamp(-SPAN_ZERO, SPAN_ZERO - 1) + SPAN_ZERO) as u64;
        let both = u64::from(kind) << SPAN_BITS | span;
        PackedKey([(both >> 32) as u32, both as u32, group])
    }

    /// The least key of a kind and a span.
    pub(super) fn first_of(kind: Kind, span: i64) -> Self {
        Self::new(kind, span, 0)
    }

    fn both(self) -> u64 {
        u64::from(self.0[0]) << 32 | u64::from(self.0[1])
    }

    pub(super) fn kind(self) -> Kind {
        (self.both() >> SPAN_BITS) as Kind
    }

    pub(super) fn span(self) -> i64 {
        (self.both() & ((1 << SPAN_BITS) - 1)) as i64 - SPAN_ZERO
    }

    pub(super) fn group(self) -> u32 {
        self.0[2]
    }

    pub(super) fn average(self) -> u16 {
        average_of(self.kind())
    }

    /// The key in full, with the bytes of its group.
    pub(super) fn unpacked(self, group: &[u8]) -> AverageKey {
        let by = bucket_of(self.kind());
        AverageKey { average: self.average(), by, from: by.start(self.span()), group: values(group) }
    }
}

/// A sum and a count, as what differential adds up: 24 bytes without padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sum {
    high: i64,
    low: u64,
    pub(super) count: i64,
}

impl Sum {
    pub(super) fn new((sum, count): Totals) -> Self {
        Sum { high: (sum >> 64) as i64, low: sum as u64, count }
    }

    pub(super) fn sum(&self) -> i128 {
        i128::from(self.high) << 64 | i128::from(self.low)
    }

    pub(super) fn negated(&self) -> Self {
        Sum::new((-self.sum(), -self.count))
    }
}

impl IsZero for Sum {
    fn is_zero(&self) -> bool {
        *self == Sum::default()
    }
}

impl Semigroup for Sum {
    fn plus_equals(&mut self, other: &Self) {
        *self = Sum::new((self.sum() + other.sum(), self.count + other.count));
    }
}

#[cfg(test)]
mod tests {
    //! Would catch two groups that share their bytes, a span that loses its sign, and a sum that loses its upper half.
    use proptest::prelude::*;

    use super::*;
    use crate::average::key::span_number;

    fn packed(group: &[Option<String>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        group.iter().for_each(|value| push_value(&mut bytes, value.as_deref()));
        bytes
    }

    proptest! {
        #[test]
        fn groups_read_back(group in proptest::collection::vec(proptest::option::of("(\\PC{0,4}|a{250,260})"), 0..4)) {
            prop_assert_eq!(values(&packed(&group)), group);
        }

        #[test]
        fn keys_read_back_and_sort_by_kind_span_and_group(
            all in proptest::collection::vec((any::<u16>(), 0..3usize, any::<i64>(), any::<u32>()), 1..20),
        ) {
            let mut keys: Vec<_> = all
                .iter()
                .map(|(average, by, time, group)| {
                    let by = Bucket::ALL[*by];
                    let span = by.length().map_or(0, |length| span_number(*time, length));
                    (kind(*average, by), span, *group)
                })
                .collect();
            let mut packed: Vec<_> = keys.iter().map(|(kind, span, group)| PackedKey::new(*kind, *span, *group)).collect();
            keys.sort();
            packed.sort();
            let read: Vec<_> = packed.iter().map(|key| (key.kind(), key.span(), key.group())).collect();
            prop_assert_eq!(read, keys);
        }

        #[test]
        fn sums_read_back_and_add_up(one in any::<i64>(), factor in any::<i64>(), other in any::<i64>(), count in 0..9i64) {
            let (one, other) = (i128::from(one) * i128::from(factor), i128::from(other));
            let mut sum = Sum::new((one, count));
            prop_assert_eq!(sum.sum(), one);
            sum.plus_equals(&Sum::new((other, 1)));
            prop_assert_eq!((sum.sum(), sum.count), (one + other, count + 1));
            sum.plus_equals(&sum.negated());
            prop_assert!(sum.is_zero());
        }
    }

    #[test]
    fn an_update_takes_few_bytes() {
        assert_eq!(size_of::<((PackedKey, ()), u64, Sum)>(), 48);
        let (null, empty) = (packed(&[None]), packed(&[Some(String::new())]));
        assert_ne!(null, empty);
        let mut texts = Texts::default();
        assert_eq!((texts.push(&null), texts.push(&[]), texts.push(&empty)), (0, 1, 2));
        assert_eq!((texts.get(0), texts.get(1), texts.get(2)), (&null[..], &[][..], &empty[..]));
    }
}
