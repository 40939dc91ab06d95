//! The oracle of the coordinator's tests: the same decisions, made by going over all splits at every event.
//!
//! It is slow, and plainly right: readiness and the end of a run are worked out from the definition each time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Bounds, End, SplitInfo, Start};
use crate::position::{Position, Split};
use crate::protocol::state::SplitState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its parents are not done, or no worker has room.
    Waiting,
    Reading {
        worker: usize,
    },
    Resting,
    Finished,
}

#[derive(Clone, Debug)]
struct Known {
    info: SplitInfo,
    phase: Phase,
    at: Option<Position>,
    /// The epoch in which the last of it was read.
    epoch: u64,
    /// The revision that the reader was started with.
    read_revision: Option<Arc<str>>,
}

/// Who reads what, found anew at every event.
pub(super) struct Scan {
    bounds: Bounds,
    /// How many splits a worker reads side by side.
    concurrency: usize,
    loads: Vec<usize>,
    committed: BTreeMap<Split, SplitState>,
    splits: BTreeMap<Split, Known>,
    /// Whether a look is needed to know that no children came of what finished since the last one.
    looked: bool,
    complete: bool,
    exhausted: fn(&SplitInfo, Option<&Position>) -> bool,
}

impl Scan {
    pub(super) fn new(
        workers: usize,
        concurrency: usize,
        bounds: Bounds,
        committed: BTreeMap<Split, SplitState>,
        exhausted: fn(&SplitInfo, Option<&Position>) -> bool,
    ) -> Self {
        let (concurrency, loads, splits) = (concurrency.max(1), vec![0; workers], BTreeMap::new());
        Scan { bounds, concurrency, loads, committed, splits, looked: false, complete: false, exhausted }
    }

    /// A look at the source found these splits; `complete`: there will never be others.
    pub(super) fn discovered(&mut self, found: Vec<SplitInfo>, complete: bool) -> Vec<Start> {
        for info in found {
            self.meet(info);
        }
        self.looked = true;
        self.complete |= complete;
        self.assign()
    }

    fn meet(&mut self, info: SplitInfo) {
        if let Some(known) = self.splits.get_mut(&info.name) {
            let moved = known.read_revision.as_ref().is_some_and(|read| *read != info.revision);
            if self.bounds == Bounds::Unbounded {
                known.info = info;
                if moved && known.phase == Phase::Resting {
                    known.phase = Phase::Waiting;
                }
            }
            return;
        }
        let committed = self.committed.get(&info.name);
        let at = committed.map(|state| state.at.clone());
        let (phase, read_revision) = match committed.is_some_and(|state| state.done) {
            true => (Phase::Finished, None),
            false if (self.exhausted)(&info, at.as_ref()) => (Phase::Resting, Some(info.revision.clone())),
            false => (Phase::Waiting, None),
        };
        self.splits.insert(info.name.clone(), Known { info, phase, at, epoch: 0, read_revision });
    }

    /// A worker is through with a split; the last of it was read in `epoch`, up to `at` (none: nothing of it was read).
    pub(super) fn ended(&mut self, split: &Split, end: End, at: Option<Position>, epoch: u64) -> Vec<Start> {
        if let Some(known) = self.splits.get_mut(split) {
            if let Phase::Reading { worker } = known.phase {
                self.loads[worker] -= 1;
            }
            known.at = at.or(known.at.take());
            known.epoch = known.epoch.max(epoch);
            let more = known.read_revision.as_ref() != Some(&known.info.revision);
            known.phase = match end {
                End::Finished => Phase::Finished,
                End::Resting if more => Phase::Waiting,
                End::Resting | End::Stopped => Phase::Resting,
            };
            // Children of a split that is done show only at the next look.
            self.looked &= end != End::Finished;
        }
        self.assign()
    }

    /// Whether nothing is left to read, now or ever.
    pub(super) fn is_over(&self) -> bool {
        let settled = match self.bounds {
            Bounds::Unbounded => self.complete,
            Bounds::UntilEnd => self.complete || self.looked,
        };
        let over = |known: &Known| match known.phase {
            Phase::Finished => true,
            Phase::Resting => self.bounds == Bounds::UntilEnd,
            Phase::Waiting => self.bounds == Bounds::UntilEnd && self.began_after_the_end(&known.info),
            Phase::Reading { .. } => false,
        };
        settled && self.splits.values().all(over)
    }

    fn assign(&mut self) -> Vec<Start> {
        let ready: Vec<Split> = self
            .splits
            .values()
            .filter(|known| known.phase == Phase::Waiting && self.parents_are_done(&known.info))
            .map(|known| known.info.name.clone())
            .collect();
        ready.iter().map_while(|split| self.start(split)).collect()
    }

    /// In a bounded run: whether a split comes after one that rests, having been read as far as the run goes.
    fn began_after_the_end(&self, info: &SplitInfo) -> bool {
        info.parents.iter().filter_map(|parent| self.splits.get(parent)).any(|parent| match parent.phase {
            Phase::Resting => true,
            Phase::Waiting => self.began_after_the_end(&parent.info),
            Phase::Reading { .. } | Phase::Finished => false,
        })
    }

    /// A parent that neither discovery nor the log knows is gone from the source: nothing of it is left to wait for.
    fn parents_are_done(&self, info: &SplitInfo) -> bool {
        info.parents.iter().all(|parent| match self.splits.get(parent) {
            Some(known) => known.phase == Phase::Finished,
            None => self.committed.get(parent).is_none_or(|state| state.done),
        })
    }

    /// Gives a split to the worker with the least to do; none if all have their hands full.
    fn start(&mut self, split: &Split) -> Option<Start> {
        let worker = (0..self.loads.len()).min_by_key(|worker| self.loads[*worker])?;
        if self.loads[worker] >= self.concurrency {
            return None;
        }
        let parents = self.splits.get(split)?.info.parents.clone();
        let parent_epoch = parents.iter().filter_map(|parent| self.splits.get(parent)).map(|known| known.epoch).max();
        let known = self.splits.get_mut(split)?;
        self.loads[worker] += 1;
        known.phase = Phase::Reading { worker };
        known.read_revision = Some(known.info.revision.clone());
        let from = known.at.clone().or(known.info.from.clone());
        let not_before = known.epoch.max(parent_epoch.unwrap_or(0));
        Some(Start { worker, split: known.info.clone(), from, not_before })
    }
}
