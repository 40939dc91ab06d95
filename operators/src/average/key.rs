//! What an average is kept by, and the form in which a change of it travels and is written down.
//!
//! Owns the keys and their text. What must stay true: a key's text form reads back as the same key.

use arrow::temporal_conversions::timestamp_us_to_datetime;
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

    /// The bucket of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Bucket::Overall, Bucket::Hour, Bucket::Day].into_iter().find(|bucket| bucket.name() == name)
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

/// The start of the span of `length` microseconds that a time lies in, before 1970 too.
pub(super) fn span_start(time: i64, length: i64) -> i64 {
    // Only the first span that an i64 can hold is cut short.
    time.saturating_sub(time.rem_euclid(length))
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
        match timestamp_us_to_datetime(self.from) {
            Some(time) => Some(time.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
            None => Some(format!("{}us", self.from)),
        }
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
            assert_eq!(span_start(time, hour), start, "the hour of {time}");
        }
        assert_eq!(span_start(i64::MIN, hour), i64::MIN);
        assert_eq!(Bucket::from_name("day"), Some(Bucket::Day));
        assert_eq!(Bucket::from_name("week"), None);
    }
}
