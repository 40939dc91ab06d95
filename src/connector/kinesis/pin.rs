//! When a stream was first part of the pipeline, as the log keeps it: `<the service's time> here=<our time>`, both RFC 3339.
//!
//! Records bear the service's time, so `latest` begins at that one. Whether the retention has passed since is reckoned by our
//! clock, which may be ahead, behind, or set right later: the earlier of both times is on the safe side. Logs of earlier
//! releases hold a single time, ours, which stands for both.

use std::sync::{Arc, OnceLock};

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use chrono::{DateTime, SecondsFormat};

/// Both in milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    /// By the clock of the service.
    pub(super) service: i64,
    /// By ours.
    pub(super) here: i64,
}

impl Pin {
    /// The pin that a text of the log tells; `None` if it tells none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let millis = |time: &str| Some(DateTime::parse_from_rfc3339(time).ok()?.timestamp_millis());
        let (service, here) = text.split_once(" here=").unwrap_or((text, text));
        Some(Pin { service: millis(service)?, here: millis(here)? })
    }

    /// The pipeline did not begin with the stream before this, by either clock.
    pub(super) fn earliest(&self) -> i64 {
        self.service.min(self.here)
    }

    /// The pin as the log keeps it.
    pub(super) fn text(&self) -> String {
        let time = |millis| {
            let time = DateTime::from_timestamp_millis(millis).unwrap_or_default();
            time.to_rfc3339_opts(SecondsFormat::Millis, true)
        };
        format!("{} here={}", time(self.service), time(self.here))
    }
}

/// Hears the service's time from its answer to one call: the header `Date`, in whole seconds, rounded down.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceTime(Arc<OnceLock<i64>>);

impl ServiceTime {
    /// In milliseconds since 1970, UTC; `None` if the answer bore no time.
    pub(super) fn heard(&self) -> Option<i64> {
        self.0.get().copied()
    }
}

impl Intercept for ServiceTime {
    fn name(&self) -> &'static str {
        "ServiceTime"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(time) = context.response().headers().get("date").and_then(of_header) {
            // Of several tries the first answer counts: an earlier time skips nothing.
            let _ = self.0.set(time);
        }
        Ok(())
    }
}

fn of_header(date: &str) -> Option<i64> {
    Some(DateTime::parse_from_rfc2822(date).ok()?.timestamp_millis())
}

#[cfg(test)]
mod tests {
    //! Would catch a pin of an earlier release that is not read any more, and a header that is not understood.
    use super::*;

    #[test]
    fn a_pin_is_the_same_once_it_was_written_down() {
        let pin = Pin { service: 1_704_067_200_000, here: 1_704_070_800_250 };
        assert_eq!(pin.text(), "2024-01-01T00:00:00.000Z here=2024-01-01T01:00:00.250Z");
        assert_eq!(Pin::parse(&pin.text()), Some(pin));
        let old = Pin { service: 1_704_067_200_250, here: 1_704_067_200_250 };
        assert_eq!(Pin::parse("2024-01-01T00:00:00.250Z"), Some(old));
        assert_eq!(Pin::parse("offsets s/0=1"), None);
    }

    #[test]
    fn the_services_time_is_read_from_its_header() {
        assert_eq!(of_header("Mon, 01 Jan 2024 00:00:00 GMT"), Some(1_704_067_200_000));
        assert_eq!(of_header("yesterday"), None);
    }
}
