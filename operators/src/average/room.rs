//! The memory that averages take, out of the byte budget of the process.
//!
//! Owns the account: totals and groups are counted as they begin and cease, on all workers of the process together. What must
//! stay true: bytes are counted before an epoch that needs them is told, and an epoch that needs more than there may be is
//! never told.
//!
//! Totals stay for as long as the run, so their bytes are taken as standing ([`Reserve::stand`]): fetching does not wait for them
//! to come back. What they may take at most is less than the whole budget, which leaves the rest for reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::batch::{Permit, Reserve, Unlimited};

/// What a total counts as: an update of 48 bytes in differential's arrangement, and as much again, and a little more, while the arrangement
/// is being merged.
pub(super) const TOTAL: usize = 112;
/// An account is settled with the budget when it is off by this much.
const STEP: usize = 1 << 16;

/// What the averages of a process may take; shared by its workers.
pub struct Room {
    reserve: Arc<dyn Reserve>,
    most: usize,
    held: AtomicI64,
    /// The totals of each average.
    totals: Box<[AtomicI64]>,
}

impl Room {
    /// Room for at most `most` bytes of totals of so many averages.
    pub fn new(reserve: Arc<dyn Reserve>, most: usize, averages: usize) -> Self {
        Room { reserve, most, held: AtomicI64::new(0), totals: (0..averages).map(|_| AtomicI64::new(0)).collect() }
    }

    /// Room without a limit. For tests.
    pub fn unlimited() -> Self {
        Room::new(Arc::new(Unlimited), usize::MAX, 0)
    }

    /// Bytes that totals are counted as now.
    pub fn held(&self) -> i64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The most bytes that totals may be counted as.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Of an average so many totals more.
    pub(super) fn count(&self, average: u16, more: i64) {
        if let Some(totals) = self.totals.get(usize::from(average)) {
            totals.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// The average with the most totals, and how many those are; none: there is room.
    pub(super) fn too_small_for(&self) -> Option<(u16, i64)> {
        let over = usize::try_from(self.held()).is_ok_and(|held| held > self.most);
        let count = |totals: &AtomicI64| totals.load(Ordering::Relaxed);
        let most = (0u16..).zip(self.totals.iter().map(count)).max_by_key(|(_, totals)| *totals);
        over.then(|| most.unwrap_or_default())
    }
}

/// What a worker has of it.
pub(super) struct Share {
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
    pub(super) fn new(room: Arc<Room>) -> Self {
        Share { room, standing: Account::default(), working: Account::default() }
    }

    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// Totals and groups take so many bytes now.
    pub(super) fn stand(&mut self, bytes: usize) {
        self.room.held.fetch_add(bytes as i64 - self.standing.bytes as i64, Ordering::Relaxed);
        self.standing.set(bytes, |bytes| self.room.reserve.stand(bytes));
    }

    /// Updates that wait for the end of their epoch take so many bytes now.
    pub(super) fn work(&mut self, bytes: usize) {
        self.working.set(bytes, |bytes| self.room.reserve.reserve(bytes));
    }
}
