//! How many splits each worker reads, and which worker reads the fewest.
//!
//! Every call costs the logarithm of the number of workers.

use std::collections::BTreeSet;

/// Splits being read, by worker.
#[derive(Debug)]
pub(super) struct Loads {
    of: Vec<usize>,
    /// Load and worker, lightest first; of equal loads the lower worker.
    by_load: BTreeSet<(usize, usize)>,
    /// The most splits that one worker reads at once.
    limit: usize,
}

impl Loads {
    /// Nobody reads anything.
    pub(super) fn new(workers: usize, limit: usize) -> Self {
        Loads { of: vec![0; workers], by_load: (0..workers).map(|worker| (0, worker)).collect(), limit: limit.max(1) }
    }

    /// Gives the lightest worker one more split. `None`: all are at the limit.
    pub(super) fn take(&mut self) -> Option<usize> {
        let (load, worker) = *self.by_load.first().filter(|(load, _)| *load < self.limit)?;
        self.set(worker, load + 1);
        Some(worker)
    }

    /// A worker is done with one split.
    pub(super) fn release(&mut self, worker: usize) {
        self.set(worker, self.of[worker] - 1);
    }

    fn set(&mut self, worker: usize, load: usize) {
        self.by_load.remove(&(self.of[worker], worker));
        self.by_load.insert((load, worker));
        self.of[worker] = load;
    }
}
