//! The digest of the records read: what a replay has to reproduce.
//!
//! Owns the hash of a record and the sum over many. A record's hash covers its payload (or its column values), its position,
//! what the source tells beside it (header line, key, timestamp, message headers) and the reason where the source itself
//! refused it. It leaves out the time of arrival, which sources stamp by their own clock, and the wording of messages.
//!
//! What must stay true: the sum does not depend on how the records were cut into batches or in which order batches are
//! added; the digest of given records is the same in every release, because it is compared with one from an old commit.

mod values;

pub(crate) use values::rows as row_hashes;

use std::fmt;
use std::ops::{Add, AddAssign, Range};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::batch::{Positions, RawBatch, Records};
use crate::position::Position;
use crate::reject::Refusal;

/// A sum of 128-bit hashes, one for each record. Two digests of disjoint sets of records add up to that of both.
///
/// ```
/// use millstream_operators::RecordDigest;
///
/// let digest: RecordDigest = "000000000000000000000000000000ff".parse().unwrap();
/// assert_eq!((digest + digest).to_string(), "000000000000000000000000000001fe");
/// assert_eq!(RecordDigest::default() + digest, digest);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordDigest(u128);

impl RecordDigest {
    /// The digest of all records of a batch. Payloads are hashed where they lie; nothing is allocated per record.
    pub fn of(raw: &RawBatch) -> Self {
        Self::of_records(raw, 0..raw.records.len())
    }

    /// The digest of some records of a batch, for a replay whose batches are cut in other places.
    pub fn of_records(raw: &RawBatch, records: Range<usize>) -> Self {
        let beside = raw.beside.columns.as_ref().map(|columns| rows_of(columns, &records));
        let header = raw.beside.header.as_ref().map_or(0, |header| xxh3_64(header));
        let mut refused = raw.refused.iter().filter(|refusal| records.contains(&(refusal.row as usize))).peekable();
        let mut record = |index: usize, content: u128| {
            let mut refusal = 0;
            while let Some(next) = refused.next_if(|refusal| refusal.row as usize <= index) {
                refusal = refusal_hash(next);
            }
            let beside = beside.as_ref().map_or(0, |rows| rows[index - records.start]);
            record_hash(content, position_hash(raw, index), beside, header, refusal)
        };
        let mut sum = 0_u128;
        match &raw.records {
            Records::Rows(rows) => {
                for (index, content) in records.clone().zip(rows_of(rows, &records)) {
                    sum = sum.wrapping_add(record(index, content));
                }
            }
            Records::Framed { .. } | Records::Payloads(_) => {
                for index in records.clone() {
                    let content = xxh3_128(raw.records.bytes(index).unwrap_or_default());
                    sum = sum.wrapping_add(record(index, content));
                }
            }
        }
        RecordDigest(sum)
    }
}

fn rows_of(rows: &arrow::array::RecordBatch, records: &Range<usize>) -> Vec<u128> {
    values::rows(&rows.slice(records.start, records.len()))
}

/// The parts of a record at fixed places of one short input.
fn record_hash(content: u128, position: u64, beside: u128, header: u64, refusal: u64) -> u128 {
    let mut parts = [0; 56];
    parts[..16].copy_from_slice(&content.to_le_bytes());
    parts[16..24].copy_from_slice(&position.to_le_bytes());
    parts[24..40].copy_from_slice(&beside.to_le_bytes());
    parts[40..48].copy_from_slice(&header.to_le_bytes());
    parts[48..].copy_from_slice(&refusal.to_le_bytes());
    xxh3_128(&parts)
}

fn refusal_hash(refusal: &Refusal) -> u64 {
    xxh3_64(format!("{}\n{}", refusal.reason, refusal.field.as_deref().unwrap_or_default()).as_bytes())
}

/// A position that is a plain number counts as that number in every form of [`Positions`]: which form a batch has may
/// depend on where it was cut.
fn position_hash(raw: &RawBatch, index: usize) -> u64 {
    match (&raw.positions, &raw.records) {
        (Positions::Offsets { base }, Records::Framed { spans, .. }) => base + u64::from(spans[index].0),
        (Positions::Offsets { base: first } | Positions::Counted { first }, _) => first + index as u64,
        (Positions::Numbered(numbers), _) => numbers[index],
        (Positions::Each(each), _) => plain_number(&each[index]).unwrap_or_else(|| text_hash(&each[index])),
    }
}

fn text_hash(position: &Position) -> u64 {
    xxh3_64(position.order().as_bytes())
}

/// The number that a position is, if its text is how [`Position::at`] writes one.
fn plain_number(position: &Position) -> Option<u64> {
    let text = position.order();
    let plain = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    plain.then(|| text.parse().ok()).flatten()
}

impl Add for RecordDigest {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        RecordDigest(self.0.wrapping_add(other.0))
    }
}

impl AddAssign for RecordDigest {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for RecordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A text that is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a digest of records is 32 lower-case hexadecimal digits")]
pub struct NoDigest;

impl FromStr for RecordDigest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(RecordDigest).ok_or(NoDigest)
    }
}

impl Serialize for RecordDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
