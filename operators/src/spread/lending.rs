//! Batches lent to other processes: what each of them may hold of ours, and how it comes back.
//!
//! ```text
//! lender:    Lending keeps a permit ──────────────────────────────────┐
//!               │ label: lender's worker, loan                        ├─→ permit dropped
//! borrower:     └─→ Guest, as the batch's permit ─ last holder gone ─→ Returns ─→ Control: Word::Returned
//! ```
//! Inside a process a batch goes with its permit. To another process only bytes go, and their lender keeps a permit for just
//! these until the borrower has encoded them: what is on its way or waits over there is still paid for. The permit under
//! which the batch was fetched is not kept, since it may be for more, and for other batches too.
//!
//! What must stay true: what a process has lent to another one is never more than the share; nobody waits for a loan, since
//! a batch for which there is no room over there stays here; a loan that never comes back holds up nothing but its memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use timely::scheduling::SyncActivator;

use super::wire;
use crate::batch::{Held, Permit, RawBatch, Reserve, Unlimited};

/// What one process has lent, shared by its workers.
pub struct Lending {
    process: usize,
    threads: usize,
    share: usize,
    reserve: Arc<dyn Reserve>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    last: u64,
    /// Bytes that each process holds of ours.
    out: BTreeMap<usize, usize>,
    loans: BTreeMap<u64, Lent>,
}

struct Lent {
    to: usize,
    bytes: usize,
    permit: Permit,
}

/// A loan, as both sides call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Loan {
    /// The worker to tell of its end.
    pub(super) lender: usize,
    pub(super) id: u64,
}

impl Lending {
    /// For process `process` of several with `threads` workers each. `share` is the most bytes that each other process may
    /// hold of this one's at a time; what is lent is taken from `reserve`.
    pub fn new(process: usize, threads: usize, share: usize, reserve: Arc<dyn Reserve>) -> Self {
        Lending { process, threads: threads.max(1), share, reserve, books: Mutex::default() }
    }

    /// For the only process.
    pub fn alone(threads: usize) -> Self {
        Lending::new(0, threads, 0, Arc::new(Unlimited))
    }

    /// The bytes that process `process` holds of ours.
    pub fn lent(&self, process: usize) -> usize {
        self.books().out.get(&process).copied().unwrap_or(0)
    }

    /// Whether a worker belongs to this process.
    pub(super) fn is_home(&self, worker: usize) -> bool {
        worker / self.threads == self.process
    }

    /// The worker of this process that stands in for `worker`.
    pub(super) fn home(&self, worker: usize) -> usize {
        self.process * self.threads + worker % self.threads
    }

    /// Lends a batch to a worker of another process, if there is room for it.
    pub(super) fn lend(&self, worker: usize, batch: &RawBatch) -> Option<u64> {
        let (to, bytes) = (worker / self.threads, wire::weight(batch));
        let mut books = self.books();
        let out = books.out.entry(to).or_default();
        if *out + bytes > self.share {
            return None;
        }
        *out += bytes;
        books.last += 1;
        let id = books.last;
        books.loans.insert(id, Lent { to, bytes, permit: self.reserve.reserve(bytes) });
        Some(id)
    }

    /// The borrower is done with these.
    pub(crate) fn returned(&self, ids: &[u64]) {
        let permits: Vec<Permit> = {
            let mut books = self.books();
            ids.iter().filter_map(|id| books.settle(*id)).collect()
        };
        // What stands behind a permit has locks of its own: the books are closed by now.
        drop(permits);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn settle(&mut self, id: u64) -> Option<Permit> {
        let Lent { to, bytes, permit } = self.loans.remove(&id)?;
        *self.out.entry(to).or_default() -= bytes;
        Some(permit)
    }
}

/// Loans that a worker was given and that are over, until it tells the lenders.
pub(crate) struct Returns {
    over: Mutex<Vec<Loan>>,
    worker: SyncActivator,
}

impl Returns {
    /// `worker` wakes the worker that tells the lenders.
    pub(super) fn new(worker: SyncActivator) -> Self {
        Returns { over: Mutex::default(), worker }
    }

    /// The ended loans of each lending worker.
    pub(crate) fn take(&self) -> BTreeMap<usize, Vec<u64>> {
        let mut by_lender: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for loan in std::mem::take(&mut *self.over()) {
            by_lender.entry(loan.lender).or_default().push(loan.id);
        }
        by_lender
    }

    fn put(&self, loan: Loan) {
        let first = {
            let mut over = self.over();
            over.push(loan);
            over.len() == 1
        };
        if first {
            // A worker that is gone has ended its run, and nobody waits for the loan any more.
            let _ = self.worker.activate();
        }
    }

    fn over(&self) -> MutexGuard<'_, Vec<Loan>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands behind the permit of a borrowed batch. The last holder may let go on any thread.
pub(super) struct Guest {
    pub(super) loan: Loan,
    pub(super) returns: Arc<Returns>,
}

impl Held for Guest {}

impl Drop for Guest {
    fn drop(&mut self) {
        self.returns.put(self.loan);
    }
}
