//! What an average is kept by, and the form in which a change of it travels and is written down.
//!
//! Owns the keys and their text. What must stay true: a key's text form reads back as the same key.

use arrow::temporal_conversions::timestamp_us_to_datetime;
use chrono::DateTime;
use serde::{Deserialize, Serialize};

/// A sum in units of its column (see [`Unit`](super::Unit)) and how many values it is of.
pub type Totals = (i128, i64);

/// A span of time that averages are kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// All time.
    Overall,
    Hour,
    Day,
}

/// One average: which of the pipeline's, for which span of time, for which group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AverageKey {
    /// The index of the `[[average]]`.
    pub average: u16,
    pub by: Bucket,
    /// The start of the span, in microseconds since 1970; 0 for overall.
    pub from: i64,
    /// The values of its `group` columns as text, in order; `None` is null.
    pub group: Vec<Option<String>>,
}

/// What an epoch changed: the new totals of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    pub key: AverageKey,
    pub sum: i128,
    pub count: i64,
}

impl Bucket {
    /// The name that configuration and output use.
    pub fn name(self) -> &'static str {
        match self {
            Bucket::Overall => "overall",
            Bucket::Hour => "hour",
            Bucket::Day => "day",
        }
    }

    /// All of them, each at its own number.
    pub(super) const ALL: [Bucket; 3] = [Bucket::Overall, Bucket::Hour, Bucket::Day];

    /// The bucket of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Bucket::ALL.into_iter().find(|bucket| bucket.name() == name)
    }

    /// The start of a span, by its number; see [`span_number`].
    pub(super) fn start(self, span: i64) -> i64 {
        // Only the first span that an i64 can hold is cut short.
        self.length().map_or(0, |length| span.saturating_mul(length))
    }

    /// The number of the span that starts at `from`; 0 for overall.
    pub(super) fn span(self, from: i64) -> i64 {
        self.length().map_or(0, |length| span_number(from, length))
    }

    /// Microseconds that a span is long; `None` for all time.
    pub(super) fn length(self) -> Option<i64> {
        match self {
            Bucket::Overall => None,
            Bucket::Hour => Some(3_600_000_000),
            Bucket::Day => Some(86_400_000_000),
        }
    }
}

/// The number of the span of `length` microseconds that a time lies in, before 1970 too.
pub(super) fn span_number(time: i64, length: i64) -> i64 {
    time.div_euclid(length)
}

impl AverageKey {
    /// The start of the span as RFC 3339 text; `None` for overall.
    ///
    /// ```
    /// use millstream_operators::average::{AverageKey, Bucket};
    ///
    /// let key = AverageKey { average: 0, by: Bucket::Day, from: 1_709_078_400_000_000, group: vec![] };
    /// assert_eq!(key.from_text().as_deref(), Some("2024-02-28T00:00:00Z"));
    /// ```
    pub fn from_text(&self) -> Option<String> {
        self.by.length()?;
        Some(start_text(self.from))
    }
}

/// The start of a span as text. For the years 1 to 9999, which are all that rows hold, texts sort as times.
pub(super) fn start_text(from: i64) -> String {
    match timestamp_us_to_datetime(from) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        None => format!("{from}us"),
    }
}

/// The start of a span, in microseconds since 1970, from its text (see [`AverageKey::from_text`]).
pub fn start_of_text(text: &str) -> Option<i64> {
    match text.strip_suffix("us") {
        Some(micros) => micros.parse().ok(),
        None => DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros()),
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a span before 1970 that is rounded towards 1970.
    use super::*;

    #[test]
    fn spans_start_at_or_before_their_times() {
        let hour = 3_600_000_000;
        for (time, start) in [(0, 0), (hour - 1, 0), (hour, hour), (-1, -hour), (-hour, -hour), (-hour - 1, -2 * hour)]
        {
            assert_eq!(Bucket::Hour.start(span_number(time, hour)), start, "the hour of {time}");
        }
        assert_eq!(Bucket::Hour.start(span_number(i64::MIN, hour)), i64::MIN);
        assert_eq!(Bucket::from_name("day"), Some(Bucket::Day));
        assert_eq!(Bucket::from_name("week"), None);
    }
}
