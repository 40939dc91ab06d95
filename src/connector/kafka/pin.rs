//! Where the partitions of a topic or of a pattern ended when it was first part of the pipeline, as the log keeps it:
//! `offsets` and, for each partition, ` <topic>/<partition>=<end>`.
//!
//! Offsets are the broker's own: no clock plays a part in what `latest` means. A partition that is not in the list came later, and is
//! read from its beginning. Logs of earlier releases hold a time by our clock instead (RFC 3339), with [`super::start`] for what
//! it means.

use std::collections::BTreeMap;

use chrono::DateTime;
use millstream_operators::Split;

/// The word that begins a list.
const OFFSETS: &str = "offsets";

/// Where `latest` begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pin {
    /// At these offsets.
    Ends(BTreeMap<Split, i64>),
    /// At a time by our clock: microseconds since 1970, UTC.
    Time(i64),
}

impl Pin {
    /// The pin that a text of the log tells; `None` if it tells none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Pin::Time(time.timestamp_micros()));
        }
        let mut words = text.split(' ');
        let end = |word: &str| {
            let (partition, offset) = word.split_once('=')?;
            Some((partition.into(), offset.parse().ok()?))
        };
        if words.next() != Some(OFFSETS) { None } else { words.map(end).collect::<Option<_>>().map(Pin::Ends) }
    }
}

/// The pin as the log keeps it.
pub(super) fn text<'a>(ends: impl IntoIterator<Item = (&'a Split, &'a i64)>) -> String {
    let mut text = OFFSETS.to_owned();
    for (partition, offset) in ends {
        text.push_str(&format!(" {partition}={offset}"));
    }
    text
}

#[cfg(test)]
mod tests {
    //! Would catch a pin of an earlier release that is not read any more, and a topic without partitions that has no pin.
    use super::*;

    #[test]
    fn a_pin_is_the_same_once_it_was_written_down() {
        let ends = BTreeMap::from([("a.b/0".into(), 17), ("a.b/11".into(), 0)]);
        assert_eq!(text(&ends), "offsets a.b/0=17 a.b/11=0");
        assert_eq!(Pin::parse(&text(&ends)), Some(Pin::Ends(ends)));
        assert_eq!(Pin::parse(&text(&BTreeMap::new())), Some(Pin::Ends(BTreeMap::new())));
        assert_eq!(Pin::parse("2024-01-01T00:00:00.250Z"), Some(Pin::Time(1_704_067_200_250_000)));
        for none in ["", "offsets a/0", "offsets a/0=x", "2024-01-01T00:00:00Z here=2024-01-01T00:00:00Z"] {
            assert_eq!(Pin::parse(none), None, "{none}");
        }
    }
}
