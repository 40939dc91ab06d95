//! Numbers for metrics: how far each part of a stream is read, and how far that is from its tip.
//!
//! Owns a few counters a split. A reader counts an answer at a time and waits for nobody; the list is locked only when a
//! reader begins or ends, and when somebody asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_operators::Split;

use crate::connector::source::Lag;

/// No number yet.
const UNKNOWN: i64 = i64::MIN;

/// The counters of one split.
#[derive(Debug)]
pub(in crate::connector) struct Meter {
    behind: AtomicI64,
    arrived: AtomicI64,
    bytes: AtomicU64,
    records: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        let unknown = || AtomicI64::new(UNKNOWN);
        Meter { behind: unknown(), arrived: unknown(), bytes: AtomicU64::new(0), records: AtomicU64::new(0) }
    }
}

impl Meter {
    /// An answer of the service said how far behind it was, in milliseconds.
    pub(in crate::connector) fn behind(&self, millis: i64) {
        self.behind.store(millis, Ordering::Relaxed);
    }

    /// Records were handed on, the last of which had arrived at this time, in milliseconds since 1970.
    pub(in crate::connector) fn took(&self, records: usize, bytes: usize, arrived: Option<i64>) {
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(arrived) = arrived {
            self.arrived.store(arrived, Ordering::Relaxed);
        }
    }

    fn lag(&self, split: &Split) -> Lag {
        let known = |number: &AtomicI64| Some(number.load(Ordering::Relaxed)).filter(|number| *number != UNKNOWN);
        Lag {
            split: split.clone(),
            behind: known(&self.behind).map(|millis| Duration::from_millis(millis.max(0) as u64)),
            arrived_at: known(&self.arrived).map(|millis| millis * 1000),
            bytes: self.bytes.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
        }
    }
}

/// The meters of all splits that are being read.
#[derive(Debug, Default)]
pub(in crate::connector) struct Meters(Mutex<BTreeMap<Split, Arc<Meter>>>);

impl Meters {
    /// The meter of a split, the same for every reader of it.
    pub(in crate::connector) fn of(&self, split: &Split) -> Arc<Meter> {
        self.all().entry(split.clone()).or_default().clone()
    }

    /// The split is read to its end.
    pub(in crate::connector) fn forget(&self, split: &Split) {
        self.all().remove(split);
    }

    pub(in crate::connector) fn lags(&self) -> Vec<Lag> {
        self.all().iter().map(|(split, meter)| meter.lag(split)).collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Split, Arc<Meter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
