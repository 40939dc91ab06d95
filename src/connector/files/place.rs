//! How far a file has been read, and what a position notes beside the number.
//!
//! Owns the text form: `<bytes or rows>[.1][#<hash>:<e or ->:<size>:<version>]`. The number counts unpacked bytes of a text file and rows of
//! a Parquet file. A `.1` behind it says that the stream broke there and that the broken rest has been refused, so that it
//! is refused once. The note lets a later run tell whether what was read is still what lies there, and `e` whether the file,
//! as it was, ended at this place.

use std::sync::Arc;

use millstream_operators::{Position, Split};

use super::digest::Mark;
use crate::connector::SourceError;

/// A position of a file, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Unpacked bytes, or rows, that have been read.
    pub(super) offset: u64,
    /// Whether the rest behind it could not be read and has been refused.
    pub(super) broken: bool,
    pub(super) note: Option<Note>,
}

/// What the reader noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) mark: Mark,
    /// Whether nothing was left to read of that revision.
    pub(super) ended: bool,
    /// The file's size and version as it was read.
    pub(super) revision: Arc<str>,
}

impl Place {
    /// The beginning of a file.
    pub(super) const START: Place = Place { offset: 0, broken: false, note: None };

    /// Takes a position apart.
    pub(super) fn parse(split: &Split, position: &Position) -> Result<Self, SourceError> {
        let (number, broken) = match position.order().strip_suffix(".1") {
            Some(number) => (number, true),
            None => (position.order(), false),
        };
        let offset = number.parse().map_err(|_| SourceError::Refused {
            name: split.to_string(),
            message: format!("{position} is not a position in a file; was this path written by another source?"),
        })?;
        Ok(Place { offset, broken, note: position.note().and_then(Note::parse) })
    }

    /// The position's text.
    pub(super) fn position(&self) -> Position {
        let mut text = self.offset.to_string();
        if self.broken {
            text.push_str(".1");
        }
        match &self.note {
            Some(note) => Position::new(text).with_note(&note.text()),
            None => Position::new(text),
        }
    }

    /// Whether `revision` has nothing more than was read.
    pub(super) fn is_end_of(&self, revision: &str) -> bool {
        self.note.as_ref().is_some_and(|note| note.ended && &*note.revision == revision)
    }
}

impl Note {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let (hash, ended, revision) = (parts.next()?, parts.next()?, parts.next()?);
        let half = |range: std::ops::Range<usize>| u64::from_str_radix(hash.get(range)?, 16).ok();
        let mark = Mark { blocks: half(0..16)?, rest: half(16..32)? };
        Some(Note { mark, ended: ended == "e", revision: revision.into() })
    }

    fn text(&self) -> String {
        let ended = if self.ended { "e" } else { "-" };
        format!("{:016x}{:016x}:{ended}:{}", self.mark.blocks, self.mark.rest, self.revision)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_as_it_was_written() {
        let note = Note { mark: Mark { blocks: 7, rest: u64::MAX }, ended: true, revision: "12:\"a#b:c\"".into() };
        for place in [
            Place::START,
            Place { offset: 9, broken: true, note: None },
            Place { offset: u64::MAX, broken: false, note: Some(note.clone()) },
            Place { offset: 5, broken: true, note: Some(Note { ended: false, ..note }) },
        ] {
            assert_eq!(Place::parse(&"a".into(), &place.position()).unwrap(), place);
        }
        assert!(Place::parse(&"a".into(), &Position::new("4959.7")).is_err());
    }
}
