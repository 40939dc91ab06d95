//! Sizes and durations as people write them: `64MiB`, `10MB`, `30s`, `1h30m`.
//!
//! Owns their spelling in both directions. Neither is ever zero: a size or an interval of nothing is a mistake everywhere.

use std::time::Duration;

use super::scalar::{Fault, Scalar, is_integer};
use toml::de::DeValue;

const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

const DURATIONS: [(&str, u64); 9] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("hour", 3_600_000),
    ("hours", 3_600_000),
    ("d", 86_400_000),
    ("day", 86_400_000),
    ("days", 86_400_000),
];

/// A number of bytes, more than none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size(pub u64);

impl Scalar for Size {
    const WANTED: &'static str = "a size of at least one byte; write it as 64MiB, 10MB or plain bytes";

    fn takes(value: &DeValue<'_>) -> bool {
        value.is_str() || is_integer(value)
    }

    fn read(text: &str) -> Result<Self, Fault> {
        bytes(text).filter(|bytes| *bytes > 0).map(Size).ok_or(Fault::Unlike)
    }
}

/// A stretch of time, longer than none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Scalar for Span {
    const WANTED: &'static str = "a duration; write it with its unit, as 500ms, 30s, 1h30m or 90 days";

    fn read(text: &str) -> Result<Self, Fault> {
        millis(text).filter(|millis| *millis > 0).map(Duration::from_millis).map(Span).ok_or(Fault::Unlike)
    }
}

/// A duration as people write it; `None` for anything else, and for no time at all.
pub fn parse_duration(text: &str) -> Option<Duration> {
    Span::read(text).ok().map(|span| span.0)
}

fn bytes(text: &str) -> Option<u64> {
    let (number, unit, rest) = first_amount(text.trim())?;
    let unit = if unit.is_empty() { "B" } else { unit };
    let (_, factor) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    if rest.is_empty() { number.checked_mul(*factor) } else { None }
}

fn millis(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0_u64, text.trim());
    while !rest.is_empty() {
        let (number, unit, after) = first_amount(rest)?;
        let (_, factor) = DURATIONS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*factor)?)?;
        rest = after;
    }
    Some(total)
}

/// The first number with the letters after it, and what follows.
fn first_amount(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let tail = text[digits..].trim_start();
    let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
    Some((text[..digits].parse().ok()?, &tail[..letters], tail[letters..].trim_start()))
}

#[cfg(test)]
mod tests {
    //! Proves which spellings are sizes and durations; would catch a unit of the wrong base, and an overflow.
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("256MiB", Some(256 << 20)),
            ("10MB", Some(10_000_000)),
            ("10 mb", Some(10_000_000)),
            ("1048576", Some(1 << 20)),
            ("1B", Some(1)),
            ("0", Some(0)),
            ("", None),
            ("MiB", None),
            ("1.5GiB", None),
            ("-1", None),
            ("10 parsecs", None),
            ("1MiB2", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        assert_eq!(Size::read("0"), Err(Fault::Unlike));
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("1h30m", Some(5_400_000)),
            ("1h 30m", Some(5_400_000)),
            ("2d", Some(172_800_000)),
            ("2 days", Some(172_800_000)),
            ("1 day 12 hours", Some(129_600_000)),
            ("30", None),
            ("s", None),
            ("1h30", None),
            ("99999999999999999999s", None),
            ("99999999999999999d", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
        assert_eq!(Span::read(""), Err(Fault::Unlike));
    }
}
