//! The memory that state takes, out of the byte budget of the process.
//!
//! Owns the account: entries are counted as they begin and cease, on all workers of the process together. What must stay true:
//! bytes are counted before an epoch that needs them is told, and an epoch that needs more than there may be is never told.
//!
//! Entries stay for as long as the run, so their bytes are taken as standing ([`Reserve::stand`]): fetching does not wait for
//! them to come back. What they may take at most is less than the whole budget, which leaves the rest for reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::batch::{Permit, Reserve, Unlimited};

/// An account is settled with the budget when it is off by this much.
const STEP: usize = 1 << 16;

/// What the state of a process may take; shared by its workers and by the operators that have state.
pub struct Room {
    reserve: Arc<dyn Reserve>,
    most: usize,
    held: AtomicI64,
    /// The entries of each part.
    parts: Box<[AtomicI64]>,
}

impl Room {
    /// Room for at most `most` bytes, and counts of the entries of so many parts.
    pub fn new(reserve: Arc<dyn Reserve>, most: usize, parts: usize) -> Self {
        Room { reserve, most, held: AtomicI64::new(0), parts: (0..parts).map(|_| AtomicI64::new(0)).collect() }
    }

    /// Room without a limit. For tests.
    pub fn unlimited() -> Self {
        Room::new(Arc::new(Unlimited), usize::MAX, 0)
    }

    /// Bytes that entries are counted as now.
    pub fn held(&self) -> i64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The most bytes that entries may be counted as.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Of a part so many entries more.
    pub(crate) fn count(&self, part: u16, more: i64) {
        if let Some(entries) = self.parts.get(usize::from(part)) {
            entries.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Whether entries take more than they may.
    pub(crate) fn is_over(&self) -> bool {
        usize::try_from(self.held()).is_ok_and(|held| held > self.most)
    }

    /// The part with the most entries, and how many those are.
    pub(crate) fn largest(&self) -> (u16, i64) {
        let count = |entries: &AtomicI64| entries.load(Ordering::Relaxed);
        let most = (0u16..).zip(self.parts.iter().map(count)).max_by_key(|(_, entries)| *entries);
        most.unwrap_or_default()
    }
}

/// What one operator has of it on one worker.
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

    /// Entries take so many bytes now.
    pub(crate) fn stand(&mut self, bytes: usize) {
        self.room.held.fetch_add(bytes as i64 - self.standing.bytes as i64, Ordering::Relaxed);
        self.standing.set(bytes, |bytes| self.room.reserve.stand(bytes));
    }

    /// What waits for the end of its epoch takes so many bytes now.
    pub(crate) fn work(&mut self, bytes: usize) {
        self.working.set(bytes, |bytes| self.room.reserve.reserve(bytes));
    }
}
