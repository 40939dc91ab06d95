//! Which records come first: the decision, on the worker that owns their keys.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::columns::Keyed;
use super::seen::Seen;
use super::table::Table;
use super::{Key, day_of, horizon};
use crate::batch::Batch;
use crate::position::{Position, Split};

/// The rows of a batch that an owner is asked about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    /// Who asks, and which batch of an epoch it is there.
    pub(super) from: u64,
    pub(super) batch: u64,
    /// What puts batches in order: their split, and where the batch begins in it.
    pub(super) split: Split,
    pub(super) first: Position,
    /// The day on which the batch arrived.
    pub(super) day: i32,
    pub(super) rows: Vec<u32>,
    pub(super) keys: Vec<Key>,
}

/// Which rows of a batch came before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verdict {
    pub(super) to: u64,
    pub(super) batch: u64,
    /// Ascending.
    pub(super) again: Vec<u32>,
}

/// Why dedup cannot go on. The epoch in which it shows is never told, so it is not committed.
#[derive(Debug, Error)]
pub enum DedupFailure {
    #[error(
        "[dedup]: the {keys} keys that one worker keeps, and what the other workers and averages keep, take more than the {most} bytes \
         that [limits] memory leaves to state. Nothing of this epoch was committed. Raise [limits] memory, or choose a \
         shorter [dedup] within; then start again: the run goes on from the last commit"
    )]
    NoRoom { keys: usize, most: usize },
}

impl Asked {
    /// All keyed rows of a batch, for an owner that is alone.
    pub(super) fn of(batch: &Batch, Keyed { rows, keys }: Keyed) -> Self {
        let raw = &batch.origin.raw;
        let first = if raw.records.is_empty() { raw.until.clone() } else { raw.position(0) };
        Asked { from: 0, batch: 0, split: raw.split.clone(), first, day: day_of(raw.arrived_at), rows, keys }
    }
}

/// The keys that a worker owns.
pub struct Owner {
    table: Table,
    within: u32,
    /// The newest day on which a record arrived, whoever owns its key.
    newest: Option<i32>,
}

impl Owner {
    pub fn new(within: u32) -> Self {
        Owner { table: Table::default(), within, newest: None }
    }

    /// Keys of an earlier run.
    pub(super) fn restore(&mut self, newest: Option<i32>, day: i32, keys: &[Key]) {
        self.newest = self.newest.max(newest);
        keys.iter().for_each(|key| self.table.keep(*key, day));
    }

    /// Decides about an epoch: which rows of each batch came before, and what the state of the operator gains. Batches may come in
    /// any order.
    pub(super) fn decide(&mut self, mut epoch: Vec<Asked>) -> (Vec<Verdict>, Seen) {
        epoch.sort_by(|a, b| (&a.split, &a.first).cmp(&(&b.split, &b.first)));
        let newest = self.newest.max(epoch.iter().map(|asked| asked.day).max());
        let horizon = newest.map_or(i32::MIN, |newest| horizon(newest, self.within));
        let (mut verdicts, mut gained) = (Vec::with_capacity(epoch.len()), Seen::default());
        // Keys of days that are forgotten with the end of this epoch.
        let mut late = Table::default();
        for Asked { from, batch, day, rows, keys, .. } in &epoch {
            let mut again = Vec::new();
            for (row, key) in rows.iter().zip(keys) {
                match self.table.get(*key).max(late.get(*key)) {
                    Some(known) if known.abs_diff(*day) <= self.within => again.push(*row),
                    Some(known) if known > *day => {}
                    _ if *day < horizon => late.keep(*key, *day),
                    _ => {
                        self.table.keep(*key, *day);
                        gained.add(*day, *key);
                    }
                }
            }
            verdicts.push(Verdict { to: *from, batch: *batch, again });
        }
        if newest > self.newest {
            self.newest = newest;
            self.table.forget_before(horizon);
        }
        if let Some(newest) = newest {
            gained.met(newest);
        }
        (verdicts, gained)
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        self.table.size()
    }
}
