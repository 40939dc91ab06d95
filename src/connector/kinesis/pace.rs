//! How much to ask a shard for, and when to ask again.
//!
//! Owns the arithmetic of the service's limits: five calls and 2 MiB a second for each shard. A shard that is behind is asked
//! as soon as those allow, one that is idle ever more seldom, up to a bound. Has no clock: it answers with times to wait.

use std::time::Duration;

use aws_sdk_kinesis::types::Record;

/// The service takes five calls a second; a little less often leaves room for clocks that differ.
const SOONEST: Duration = Duration::from_millis(205);
/// An idle shard is asked this often in the end.
const LONGEST: Duration = Duration::from_secs(1);
/// The bytes that a shard gives in a second.
const BYTES_PER_SECOND: f64 = 2.0 * 1024.0 * 1024.0;
/// Four answers of this size a second are all that a shard gives. Larger ones win nothing, and cost more than they should:
/// measured on fifty shards, memory that is new to every answer instead of memory used again.
const MOST: usize = 512 << 10;
/// What is set aside for an answer that is likely to be empty.
const LEAST: usize = 64 << 10;
/// The service's own limit to the records of an answer.
const MOST_RECORDS: usize = 10_000;

/// The pace of one shard.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes to ask for.
    want: usize,
    /// About how large a record is.
    record: usize,
    idle: Duration,
}

/// What an answer held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Got {
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// Whether the service says that there is more.
    pub(super) behind: bool,
}

impl Got {
    pub(super) fn of(records: &[Record], behind: i64) -> Self {
        let bytes = records.iter().map(|record| record.data.as_ref().len()).sum();
        Got { records: records.len(), bytes, behind: behind > 0 }
    }
}

impl Pace {
    pub(super) fn new() -> Self {
        Pace { want: 256 << 10, record: 1 << 10, idle: SOONEST }
    }

    /// The bytes to set aside for the next answer.
    pub(super) fn want(&self) -> usize {
        self.want
    }

    /// The records to ask for, so that they should fit.
    pub(super) fn limit(&self) -> usize {
        (self.want / self.record.max(1)).clamp(1, MOST_RECORDS)
    }

    /// Takes an answer in; tells how long after asking for it the next may be asked for.
    pub(super) fn after(&mut self, got: Got) -> Duration {
        let full = got.records >= self.limit() || got.bytes >= self.want;
        if got.records == 0 {
            self.want = (self.want / 2).max(LEAST);
            return if got.behind { SOONEST } else { self.rest() };
        }
        self.record = (3 * self.record + got.bytes / got.records).div_ceil(4);
        self.want = match full {
            true => (self.want.max(got.bytes) * 2).min(MOST),
            false if got.bytes < self.want / 4 => (self.want / 2).max(LEAST),
            false => self.want,
        };
        self.idle = SOONEST;
        SOONEST.max(Duration::from_secs_f64(got.bytes as f64 / BYTES_PER_SECOND))
    }

    fn rest(&mut self) -> Duration {
        let now = self.idle;
        self.idle = (self.idle * 3 / 2).min(LONGEST);
        now
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a reader that runs into the service's limits, one that goes round in a tight loop, and one that sets aside
    //! megabytes for every idle shard.
    use super::*;

    const EMPTY: Got = Got { records: 0, bytes: 0, behind: false };

    #[test]
    fn an_idle_shard_is_asked_less_and_less_and_a_busy_one_at_once() {
        let mut pace = Pace::new();
        let waits: Vec<Duration> = (0..9).map(|_| pace.after(EMPTY)).collect();
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert_eq!((waits[0], waits[8], pace.want()), (SOONEST, LONGEST, LEAST));
        assert_eq!(pace.after(Got { behind: true, ..EMPTY }), SOONEST);
        assert_eq!(pace.after(Got { records: 1, bytes: 100, behind: false }), SOONEST);
        assert_eq!(pace.after(EMPTY), SOONEST, "a shard that has just given a record is awake");
    }

    #[test]
    fn no_shard_is_read_faster_than_it_gives() {
        let (mut pace, mut bytes, mut time) = (Pace::new(), 0, Duration::ZERO);
        for _ in 0..50 {
            let answer = Got { records: pace.limit(), bytes: pace.limit() * 2000, behind: true };
            bytes += answer.bytes;
            let wait = pace.after(answer);
            assert!(wait >= SOONEST);
            time += wait;
        }
        let rate = bytes as f64 / time.as_secs_f64();
        assert!((0.9 * BYTES_PER_SECOND..=BYTES_PER_SECOND).contains(&rate), "{rate} bytes a second");
        assert!(pace.want() <= MOST && pace.limit() * 2000 <= MOST, "{pace:?}");
    }

    #[test]
    fn what_is_asked_for_fits_what_is_set_aside() {
        let mut pace = Pace::new();
        for _ in 0..20 {
            pace.after(Got { records: 3, bytes: 3 << 20, behind: false });
        }
        assert!(pace.limit() << 20 <= MOST + (1 << 20), "{pace:?}");
    }
}
