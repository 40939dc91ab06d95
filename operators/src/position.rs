//! Where a record came from: a split and a position in it.
//!
//! Owns the one form in which positions are written down and compared. A position is opaque to everything but its source,
//! yet ordered for all: it is text made of decimal numbers joined by dots (`49590338…898.3`, `1048576`), compared number by
//! number, and after a `#` an optional note that only the source reads and that plays no part in the order. Numbers have
//! no leading zeros and any length, so that a Kinesis sequence number (186 bits) fits as it is.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a part of a source that is read in order.
pub type Split = Arc<str>;

/// How far a split has been read. Positions of one split are ordered; those of two splits mean nothing to each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(Arc<str>);

impl Position {
    /// A position from its text form.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Position(text.into())
    }

    /// The position of a plain number: an offset, a row, a byte.
    pub fn at(number: u64) -> Self {
        Position(number.to_string().into())
    }

    /// The same place, with a note for the source that made it.
    pub fn with_note(&self, note: &str) -> Self {
        Position(format!("{}#{note}", self.order()).into())
    }

    /// The whole text, note included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part that is compared.
    pub fn order(&self) -> &str {
        self.0.split_once('#').map_or(&self.0, |(order, _)| order)
    }

    /// What the source noted beside the place, if anything.
    pub fn note(&self) -> Option<&str> {
        self.0.split_once('#').map(|(_, note)| note)
    }

    /// Whether this place comes before another, whatever is noted beside either.
    pub fn precedes(&self, other: &Position) -> bool {
        self.compare(other) == Ordering::Less
    }

    fn compare(&self, other: &Position) -> Ordering {
        let numbers = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        let (mut ours, mut theirs) = (self.order().split('.'), other.order().split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (Some(a), Some(b)) => match numbers(a, b) {
                    Ordering::Equal => continue,
                    unequal => return unequal,
                },
                (a, b) => return a.is_some().cmp(&b.is_some()),
            }
        }
    }

    /// The first number, where the position is one that fits.
    pub fn number(&self) -> Option<u64> {
        self.order().split('.').next()?.parse().ok()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.order())
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other).then_with(|| self.note().cmp(&other.note()))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_numbers_and_notes_come_last() {
        let p = Position::new;
        assert!(p("9") < p("10"));
        assert!(
            p("49590338271490256608559692538361571095921575989136588898.2")
                < p("49590338271490256608559692538361571095921575989136588898.10")
        );
        assert!(p("7") < p("7.0"));
        assert!(p("7#z") < p("8#a"));
        assert!(p("7#a") < p("7#z") && !p("7#a").precedes(&p("7#z")), "a note is no place");
        assert_eq!(p("7#size=1").number(), Some(7));
        assert_eq!(p("7#size=1").to_string(), "7");
    }
}
