//! The memory limit of state, as a part of the process's byte budget.
//!
//! Owns the accounting: operators report their memory, summed over all workers of the process. What must stay true: memory is
//! accounted for before the epoch that needs it is committed, and an epoch that exceeds the limit is never committed.
//!
//! State lives as long as the run, so it is reserved as standing ([`Reserve::stand`]): fetching does not wait for its release. The
//! limit is below the whole budget, which leaves the rest for reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::batch::{Permit, Reserve, Unlimited};

/// An account is settled with the budget when it is off by this much.
const STEP: usize = 1 << 16;

/// The memory limit for all state of a process, shared by its workers and stateful operators.
pub struct Room {
    reserve: Arc<dyn Reserve>,
    most: usize,
    held: AtomicI64,
    /// Number of entries by part.
    parts: Box<[AtomicI64]>,
}

impl Room {
    /// A limit of `most` bytes, and entry counters for `parts` parts.
    pub fn new(reserve: Arc<dyn Reserve>, most: usize, parts: usize) -> Self {
        Room { reserve, most, held: AtomicI64::new(0), parts: (0..parts).map(|_| AtomicI64::new(0)).collect() }
    }

    /// No limit. For tests.
    pub fn unlimited() -> Self {
        Room::new(Arc::new(Unlimited), usize::MAX, 0)
    }

    /// Bytes in use.
    pub fn held(&self) -> i64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The limit in bytes.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Adds to the entry counter of a part.
    pub(crate) fn count(&self, part: u16, more: i64) {
        if let Some(entries) = self.parts.get(usize::from(part)) {
            entries.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Whether the limit is exceeded.
    pub(crate) fn is_over(&self) -> bool {
        usize::try_from(self.held()).is_ok_and(|held| held > self.most)
    }

    /// The part with the most entries, and their number.
    pub(crate) fn largest(&self) -> (u16, i64) {
        let count = |entries: &AtomicI64| entries.load(Ordering::Relaxed);
        let most = (0u16..).zip(self.parts.iter().map(count)).max_by_key(|(_, entries)| *entries);
        most.unwrap_or_default()
    }
}

/// The reservation of one operator on one worker.
pub struct Share {
    room: Arc<Room>,
    standing: Account,
    working: Account,
}

#[derive(Default)]
struct Account {
    bytes: usize,
    settled: usize,
    permit: Permit,
}

impl Account {
    fn set(&mut self, bytes: usize, take: impl FnOnce(usize) -> Permit) {
        self.bytes = bytes;
        if bytes.abs_diff(self.settled) >= STEP || (bytes == 0 && self.settled > 0) {
            // What is replaced goes back first: a budget that counts both would hold fetching up for nothing.
            self.permit = Permit::free();
            self.permit = take(bytes);
            self.settled = bytes;
        }
    }
}

impl Share {
    pub(crate) fn new(room: Arc<Room>) -> Self {
        Share { room, standing: Account::default(), working: Account::default() }
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Sets the bytes of its state.
    pub(crate) fn stand(&mut self, bytes: usize) {
        self.room.held.fetch_add(bytes as i64 - self.standing.bytes as i64, Ordering::Relaxed);
        self.standing.set(bytes, |bytes| self.room.reserve.stand(bytes));
    }

    /// Sets the bytes of data that waits for the end of its epoch.
    pub(crate) fn work(&mut self, bytes: usize) {
        self.working.set(bytes, |bytes| self.room.reserve.reserve(bytes));
    }
}
