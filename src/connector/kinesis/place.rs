//! A position in a shard: which record comes next, and up to when the shard is known to be read.
//!
//! As text it is `<sequence>.<sub>`, and after a `#` what plays no part in the order: `whole`, where all of the record with
//! that sequence number is read, and `read=` with a time in milliseconds. The record at a place is the next to be read; so the
//! place behind the sub-record 3 of an aggregate is `.4`, and whether there is a `.4` only the record itself tells, unless
//! `whole` does. Sequence 0 stands for the beginning of a shard of which no record was read yet.

use millstream_operators::Position;

use crate::connector::{SourceError, SplitInfo};

/// The sequence that stands before all records.
const BEGINNING: &str = "0";

/// How far a shard is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The sequence number of the last record that was read or begun; none before the first.
    pub(super) sequence: Option<String>,
    /// How many sub-records of it are read.
    pub(super) sub: u64,
    /// Whether all of it is read.
    pub(super) whole: bool,
    /// All that arrived before this time is read: milliseconds since 1970, UTC.
    pub(super) read: Option<i64>,
}

impl Place {
    /// The place that a position tells; the beginning where there is none.
    pub(super) fn read(split: &SplitInfo, position: Option<&Position>) -> Result<Self, SourceError> {
        let Some(position) = position else { return Ok(Place::default()) };
        Self::parse(position).ok_or_else(|| SourceError::Refused {
            name: split.name.to_string(),
            message: format!("{position} is no position in a shard; was this path written by another source?"),
        })
    }

    /// The place that a position tells; none where it is not one of a shard.
    pub(super) fn parse(position: &Position) -> Option<Self> {
        let (sequence, sub) = match position.order() {
            "" => (BEGINNING, "0"),
            order => order.split_once('.')?,
        };
        if !sequence.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let notes = || position.note().unwrap_or_default().split(',');
        Some(Place {
            sequence: (sequence != BEGINNING).then(|| sequence.to_owned()),
            sub: sub.parse().ok()?,
            whole: notes().any(|note| note == "whole"),
            read: notes().find_map(|note| note.strip_prefix("read=")?.parse().ok()),
        })
    }

    /// The place as the log keeps it.
    pub(super) fn position(&self) -> Position {
        let whole = if self.whole { "whole" } else { "" };
        let read = self.read.map(|read| format!("read={read}")).unwrap_or_default();
        let comma = if self.whole && self.read.is_some() { "," } else { "" };
        let sequence = self.sequence.as_deref().unwrap_or(BEGINNING);
        let mark = if self.whole || self.read.is_some() { "#" } else { "" };
        Position::new(format!("{sequence}.{}{mark}{whole}{comma}{read}", self.sub))
    }
}

/// The position of a record or a part of one.
pub(super) fn of(sequence: &str, sub: u64) -> Position {
    Position::new(format!("{sequence}.{sub}"))
}

/// Whether one sequence number comes before another.
pub(super) fn precedes(sequence: &str, other: &str) -> bool {
    (sequence.len(), sequence) < (other.len(), other)
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: a restart reads on at another record than the one that the log means.

    use super::*;

    const LONG: &str = "49590338271490256608559692538361571095921575989136588898";

    #[test]
    fn a_place_is_what_its_position_says() {
        let begun = Place { sequence: Some(LONG.into()), sub: 3, whole: false, read: None };
        let places = [
            Place::default(),
            Place { read: Some(5), ..Place::default() },
            begun.clone(),
            Place { whole: true, ..begun.clone() },
            Place { whole: true, read: Some(1_700_000_000_000), ..begun.clone() },
        ];
        for place in &places {
            assert_eq!(Place::parse(&place.position()).as_ref(), Some(place), "{}", place.position().as_str());
        }
        assert_eq!(places[4].position().as_str(), format!("{LONG}.3#whole,read=1700000000000"));
        assert_eq!(Place::parse(&Position::new("")), Some(Place::default()), "a shard that ended without a record");
    }

    #[test]
    fn places_are_ordered_as_records_are() {
        let shorter = &LONG[1..];
        assert!(of(shorter, 9) < of(LONG, 0) && precedes(shorter, LONG) && !precedes(LONG, LONG));
        assert!(of(LONG, 9) < of(LONG, 10));
        let behind = Place { sequence: Some(LONG.into()), sub: 1, whole: true, read: Some(3) }.position();
        assert!(of(LONG, 0).precedes(&behind));
        assert!(Place { read: Some(9), ..Place::default() }.position().precedes(&of("1", 0)));
    }

    #[test]
    fn what_another_source_wrote_is_none() {
        for text in ["17", "a.b", "1.", "1.x", "-1.0"] {
            assert_eq!(Place::parse(&Position::new(text)), None, "{text}");
        }
    }
}
