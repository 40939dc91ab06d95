//! The only place that reads the time of day.
//!
//! Everything else is handed a [`Clock`], so that the seeded world can own time.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};

/// Tells the time, in microseconds since 1970, UTC.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is handed")]
        let now = SystemTime::now;
        Clock(Arc::new(move || now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)))
    }

    /// A clock that tells what `now` tells.
    pub fn new(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Clock(Arc::new(now))
    }

    /// The same clock, as connectors take it.
    pub fn as_source(&self) -> Arc<dyn Fn() -> i64 + Send + Sync> {
        self.0.clone()
    }

    /// Microseconds since 1970, UTC.
    pub fn micros(&self) -> i64 {
        (self.0)()
    }

    /// The time as RFC 3339 in UTC, to the millisecond.
    pub fn text(&self) -> String {
        let now: DateTime<Utc> = DateTime::from_timestamp_micros(self.micros()).unwrap_or_default();
        now.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}
