//! A position in a partition: which offset comes next, and by what the partition is known again.
//!
//! As text it is the next offset, and after a `#` what plays no part in the order: `last=<offset>:<millis>`, the last record
//! that was read and the time that it bears, and `end`, where nothing more was there. A topic that was deleted and made
//! anew has other records at the same offsets; the last record tells, where the topic still holds it.

use millstream_operators::Position;

use crate::connector::{SourceError, SplitInfo};

/// How far a partition is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// All before this offset is read.
    pub(super) next: i64,
    /// The last record that was read, where one was and it bears a time.
    pub(super) last: Option<Record>,
    /// Whether the partition held nothing more.
    pub(super) end: bool,
}

/// A record as it is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) offset: i64,
    pub(super) millis: i64,
}

impl Place {
    /// A place of which nothing else is known.
    pub(super) fn at(next: i64) -> Self {
        Place { next, ..Place::default() }
    }

    /// The place that a position tells.
    pub(super) fn read(split: &SplitInfo, position: &Position) -> Result<Self, SourceError> {
        Self::parse(position).ok_or_else(|| SourceError::Refused {
            name: split.name.to_string(),
            message: format!("{position} is no offset in a partition; was this path written by another source?"),
        })
    }

    /// The place that a position tells; none where it is not one of a partition.
    pub(super) fn parse(position: &Position) -> Option<Self> {
        let notes = || position.note().unwrap_or_default().split(',');
        let record = |note: &str| {
            let (offset, millis) = note.strip_prefix("last=")?.split_once(':')?;
            Some(Record { offset: offset.parse().ok()?, millis: millis.parse().ok()? })
        };
        Some(Place {
            next: position.order().parse().ok().filter(|next| *next >= 0)?,
            last: notes().find_map(record),
            end: notes().any(|note| note == "end"),
        })
    }

    /// The place as the log keeps it.
    pub(super) fn position(&self) -> Position {
        let last = self.last.map(|Record { offset, millis }| format!("last={offset}:{millis}"));
        let notes: Vec<String> = last.into_iter().chain(self.end.then(|| "end".to_owned())).collect();
        let position = Position::new(self.next.to_string());
        if notes.is_empty() { position } else { position.with_note(&notes.join(",")) }
    }

    /// The place behind a record.
    pub(super) fn behind(offset: i64, millis: Option<i64>) -> Self {
        Place { next: offset + 1, last: millis.map(|millis| Record { offset, millis }), end: false }
    }

    /// Where to begin, so that the last record is seen again.
    pub(super) fn begin(&self) -> i64 {
        self.last.map_or(self.next, |last| last.offset.min(self.next))
    }
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: a restart reads on at another offset than the one that the log means.
    use super::*;

    #[test]
    fn a_place_is_the_same_once_it_was_written_down() {
        let last = Some(Record { offset: 41, millis: 1_698_064_496_000 });
        for (place, text) in [
            (Place::at(0), "0"),
            (Place::behind(41, Some(1_698_064_496_000)), "42#last=41:1698064496000"),
            (Place { next: 45, last, end: true }, "45#last=41:1698064496000,end"),
            (Place { end: true, ..Place::at(7) }, "7#end"),
        ] {
            assert_eq!(place.position().as_str(), text);
            assert_eq!(Place::parse(&Position::new(text)), Some(place));
        }
        for none in ["", "x", "-1", "1.2"] {
            assert_eq!(Place::parse(&Position::new(none)), None, "{none}");
        }
        assert_eq!((Place { next: 45, last, end: true }.begin(), Place::at(45).begin()), (41, 45));
    }
}
