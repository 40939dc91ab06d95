//! Where records end: lines of NDJSON, and records of CSV whose quotes may hold line ends.
//!
//! Owns framing only; a field is never looked into. Blank lines are no records, and `\r\n` ends a line as `\n` does. A record
//! over the limit is refused with its beginning as its raw bytes.

use memchr::{memchr, memchr_iter, memchr2};
use millstream_operators::{Reason, Refusal};

/// Bytes after which a batch is handed on.
const BATCH: usize = 1 << 20;

/// What ends a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Lines,
    Csv { delimiter: u8 },
}

/// The records found in some bytes.
#[derive(Debug, Default)]
pub(super) struct Framed {
    pub(super) spans: Vec<(u32, u32)>,
    pub(super) refused: Vec<Refusal>,
    /// Bytes that are dealt with: all whole records, and blank lines.
    pub(super) consumed: usize,
}

impl Framed {
    /// Takes the record at `start..end`, unless it is blank.
    #[inline]
    fn push(&mut self, bytes: &[u8], start: usize, end: usize, framing: Framing, limit: usize) {
        let end = end - usize::from(end > start && bytes[end - 1] == b'\r');
        let record = &bytes[start..end];
        if blank(record, framing) {
            return;
        }
        if record.len() > limit {
            self.refused.push(too_large(self.spans.len() as u32, record.len() as u64, limit));
        }
        self.spans.push((start as u32, (start + record.len().min(limit)) as u32));
    }
}

/// The refusal of a record of `length` bytes.
pub(super) fn too_large(row: u32, length: u64, limit: usize) -> Refusal {
    Refusal {
        row,
        reason: Reason::TooLarge,
        field: None,
        message: format!("the record has {length} bytes and the limit is {limit}; raise [limits] record to read it"),
    }
}

#[inline]
fn blank(record: &[u8], framing: Framing) -> bool {
    match framing {
        Framing::Lines => record.iter().all(u8::is_ascii_whitespace),
        Framing::Csv { .. } => record.is_empty(),
    }
}

impl Framing {
    /// The records at the beginning of `bytes`, about a batch of them. With `last`, what follows the last line end is a
    /// record too.
    pub(super) fn frame(self, bytes: &[u8], last: bool, limit: usize) -> Framed {
        let mut framed = Framed { spans: Vec::with_capacity(bytes.len().min(BATCH) / 512), ..Framed::default() };
        match self {
            Framing::Lines => {
                for end in memchr_iter(b'\n', bytes) {
                    framed.push(bytes, framed.consumed, end, self, limit);
                    framed.consumed = end + 1;
                    if framed.consumed >= BATCH {
                        return framed;
                    }
                }
            }
            Framing::Csv { .. } => {
                while let Some(length) = Scanner::new(self).end(&bytes[framed.consumed..]) {
                    framed.push(bytes, framed.consumed, framed.consumed + length, self, limit);
                    framed.consumed += length + 1;
                    if framed.consumed >= BATCH {
                        return framed;
                    }
                }
            }
        }
        if last {
            framed.push(bytes, framed.consumed, bytes.len(), self, limit);
            framed.consumed = bytes.len();
        }
        framed
    }
}

/// Looks for the end of one record, through as many pieces as it takes.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    framing: Framing,
    quoted: bool,
    before: Before,
}

/// What stands before the next byte, as far as a quote cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// The beginning of a field: a quote opens.
    Border,
    /// A quote that closed: another one makes both an escape.
    Closed,
    Other,
}

impl Scanner {
    /// At the beginning of a record.
    pub(super) fn new(framing: Framing) -> Self {
        Scanner { framing, quoted: false, before: Before::Border }
    }

    /// The index of the record's line end in `bytes`, or none yet.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.framing {
            Framing::Lines => memchr(b'\n', bytes),
            Framing::Csv { delimiter } => self.csv_end(bytes, delimiter),
        }
    }

    fn csv_end(&mut self, bytes: &[u8], delimiter: u8) -> Option<usize> {
        let mut at = 0;
        // The byte after a quote that closed.
        let mut closed = (self.before == Before::Closed).then_some(0);
        while let Some(found) = memchr2(b'"', b'\n', &bytes[at..]) {
            let here = at + found;
            at = here + 1;
            if bytes[here] == b'\n' {
                if !self.quoted {
                    return Some(here);
                }
            } else if self.quoted {
                (self.quoted, closed) = (false, Some(at));
            } else {
                let border = if here == 0 { self.before == Before::Border } else { bytes[here - 1] == delimiter };
                self.quoted = border || closed == Some(here);
            }
        }
        if let Some(last) = bytes.last() {
            self.before = match (self.quoted, *last) {
                (false, _) if closed == Some(bytes.len()) => Before::Closed,
                (false, last) if last == delimiter => Before::Border,
                _ => Before::Other,
            };
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    //! Holds the framing against plain, byte-by-byte ones, and a scan in pieces against a scan in one.

    use proptest::prelude::*;

    use super::*;

    /// CSV records as a state machine would find them, a byte at a time.
    fn slow_csv_ends(bytes: &[u8]) -> Vec<usize> {
        #[derive(PartialEq)]
        enum State {
            FieldStart,
            Bare,
            Quoted,
            QuoteInQuoted,
        }
        let mut state = State::FieldStart;
        let mut ends = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            state = match (state, byte) {
                (State::FieldStart | State::QuoteInQuoted, b'"') => State::Quoted,
                (State::Quoted, b'"') => State::QuoteInQuoted,
                (State::Quoted, _) => State::Quoted,
                (_, b'\n') => {
                    ends.push(at);
                    State::FieldStart
                }
                (_, b',') => State::FieldStart,
                (_, _) => State::Bare,
            };
        }
        ends
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(proptest::sample::select(b"ab,\"\"\n\r ".to_vec()), 0..60)
    }

    proptest! {
        #[test]
        fn csv_records_end_where_a_byte_by_byte_reader_ends_them(bytes in text(), cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let framing = Framing::Csv { delimiter: b',' };
            let (mut at, mut ends) = (0, Vec::new());
            while let Some(length) = Scanner::new(framing).end(&bytes[at..]) {
                ends.push(at + length);
                at += length + 1;
            }
            prop_assert_eq!(&ends, &slow_csv_ends(&bytes));
            // In pieces: the first end is the same.
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < bytes.len()).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut scanner = Scanner::new(framing);
            let first = cuts.windows(2).find_map(|cut| scanner.end(&bytes[cut[0]..cut[1]]).map(|end| cut[0] + end));
            prop_assert_eq!(first, ends.first().copied());
        }

        #[test]
        fn lines_are_those_of_the_standard_library(bytes in text(), last: bool) {
            let framed = Framing::Lines.frame(&bytes, last, 10);
            let whole = if last { bytes.len() } else { bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1) };
            let lines: Vec<Vec<u8>> = bytes[..whole].split(|b| *b == b'\n')
                .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
                .filter(|line| !line.trim_ascii().is_empty())
                .map(|line| line[..line.len().min(10)].to_vec()).collect();
            let found: Vec<Vec<u8>> = framed.spans.iter().map(|(a, b)| bytes[*a as usize..*b as usize].to_vec()).collect();
            prop_assert_eq!(found, lines);
            prop_assert_eq!(framed.consumed, whole);
        }
    }
}
