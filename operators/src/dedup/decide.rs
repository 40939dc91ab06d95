//! The decision which records are duplicates, on the worker that owns their keys.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::columns::Keyed;
use super::seen::Seen;
use super::table::Table;
use super::{Key, day_of, horizon};
use crate::batch::Batch;
use crate::position::{Position, Split};

/// The keyed rows of a batch, as sent to an owner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Question {
    /// The asking worker, and its number for the batch.
    pub(super) from: u64,
    pub(super) batch: u64,
    /// Batches are ordered by split and first position.
    pub(super) split: Split,
    pub(super) first: Position,
    /// Day of arrival.
    pub(super) day: i32,
    pub(super) rows: Vec<u32>,
    pub(super) keys: Vec<Key>,
}

/// The duplicates of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Repeats {
    pub(super) to: u64,
    pub(super) batch: u64,
    /// Row numbers, ascending.
    pub(super) again: Vec<u32>,
}

/// Why dedup cannot continue. The current epoch is then never committed.
#[derive(Debug, Error)]
pub enum DedupFailure {
    #[error(
        "[dedup]: one worker keeps {keys} keys; with the other workers and the averages, state takes more than the {most} \
         bytes that [limits] memory leaves for it. Nothing of this epoch was committed. Raise [limits] memory or shorten \
         [dedup] within, then start again: the run resumes at the last commit"
    )]
    NoRoom { keys: usize, most: usize },
}

impl Question {
    /// A question about all keyed rows of a batch.
    pub(super) fn of(batch: &Batch, Keyed { rows, keys }: Keyed) -> Self {
        let raw = &batch.origin.raw;
        let first = if raw.records.is_empty() { raw.until.clone() } else { raw.position(0) };
        Question { from: 0, batch: 0, split: raw.split.clone(), first, day: day_of(raw.arrived_at), rows, keys }
    }
}

/// The keys of a worker, with their days.
pub struct Owner {
    table: Table,
    within: u32,
    /// The newest day of arrival, over all owners.
    newest: Option<i32>,
}

impl Owner {
    pub fn new(within: u32) -> Self {
        Owner { table: Table::default(), within, newest: None }
    }

    /// Adds keys of an earlier run.
    pub(super) fn restore(&mut self, newest: Option<i32>, day: i32, keys: &[Key]) {
        self.newest = self.newest.max(newest);
        keys.iter().for_each(|key| self.table.keep(*key, day));
    }

    /// Decides an epoch: returns the duplicates of each batch and the changes of state. Batches may be in any order.
    pub(super) fn decide(&mut self, mut epoch: Vec<Question>) -> (Vec<Repeats>, Seen) {
        epoch.sort_by(|a, b| (&a.split, &a.first).cmp(&(&b.split, &b.first)));
        let newest = self.newest.max(epoch.iter().map(|asked| asked.day).max());
        let horizon = newest.map_or(i32::MIN, |newest| horizon(newest, self.within));
        let (mut verdicts, mut gained) = (Vec::with_capacity(epoch.len()), Seen::default());
        // Keys whose days expire at the end of this epoch.
        let mut late = Table::default();
        for Question { from, batch, day, rows, keys, .. } in &epoch {
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
            verdicts.push(Repeats { to: *from, batch: *batch, again });
        }
        if let Some(newest) = newest.filter(|newest| Some(*newest) > self.newest) {
            self.newest = Some(newest);
            self.table.forget_before(horizon);
            gained.met(newest);
        }
        (verdicts, gained)
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        self.table.size()
    }
}
