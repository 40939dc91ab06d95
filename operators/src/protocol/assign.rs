//! Which worker reads which split, when a split's children begin, and when a run is over.
//!
//! The coordinator lives on worker 0 and hears of everything through its events; what it decides goes out as [`Start`]s.
//! What must stay true: a split is read by one worker at a time; a child starts only when all its parents are read to the
//! end; whoever goes on with a split (or with a child of it) does so in no earlier epoch than the one in which the last of
//! it was read, so that positions move forward in the order of epochs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::position::{Position, Split};
use crate::protocol::state::SplitState;

/// A split as discovery found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitInfo {
    pub name: Split,
    /// Splits that must be read to the end before this one begins.
    pub parents: Vec<Split>,
    /// Changes when there may be more to read in a split that came to rest (the size and version of a file). A split that
    /// is read until it is closed, like a shard, never changes it.
    pub revision: Arc<str>,
    /// Where reading begins when nothing of the split is committed.
    pub from: Option<Position>,
    /// In a bounded run: where reading ends, as only the source understands it (a size, a sequence number). None where
    /// the split has an end of its own.
    pub until: Option<Arc<str>>,
}

/// How the reading of a split ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The split is closed and read to its end: it is done for ever, and its children may begin.
    Finished,
    /// All that is there now is read (or all that a bounded run wants). More may come: discovery will show another
    /// revision.
    Resting,
    /// The pipeline did not want more.
    Stopped,
}

/// Whether a run has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// Until stopped.
    Unbounded,
    /// Until all is read that was there when the run started.
    UntilEnd,
}

/// An order to a worker: read this split from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    pub worker: usize,
    pub split: SplitInfo,
    /// What was read of it is read up to here; none: nothing was.
    pub from: Option<Position>,
    /// The first epoch that what is read may be part of.
    pub not_before: u64,
}

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

/// Who reads what.
#[derive(Debug)]
pub struct Coordinator {
    bounds: Bounds,
    /// How many splits a worker reads side by side.
    concurrency: usize,
    loads: Vec<usize>,
    committed: BTreeMap<Split, SplitState>,
    splits: BTreeMap<Split, Known>,
    /// Whether a look is needed to know that no children came of what finished since the last one.
    looked: bool,
    complete: bool,
}

impl Coordinator {
    /// For `workers` workers, from the committed positions.
    pub fn new(workers: usize, concurrency: usize, bounds: Bounds, committed: BTreeMap<Split, SplitState>) -> Self {
        let concurrency = concurrency.max(1);
        let loads = vec![0; workers];
        let splits = BTreeMap::new();
        Coordinator { bounds, concurrency, loads, committed, splits, looked: false, complete: false }
    }

    /// A look at the source found these splits; `complete`: there will never be others.
    pub fn discovered(&mut self, found: Vec<SplitInfo>, complete: bool) -> Vec<Start> {
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
        let phase = if committed.is_some_and(|state| state.done) { Phase::Finished } else { Phase::Waiting };
        let at = committed.map(|state| state.at.clone());
        self.splits.insert(info.name.clone(), Known { info, phase, at, epoch: 0, read_revision: None });
    }

    /// A worker is through with a split; the last of it was read in `epoch`, up to `at` (none: nothing of it was read).
    pub fn ended(&mut self, split: &Split, end: End, at: Option<Position>, epoch: u64) -> Vec<Start> {
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
    pub fn is_over(&self) -> bool {
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

    /// Whether another look at the source can tell anything new.
    pub fn wants_look(&self) -> bool {
        !self.complete
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

#[cfg(test)]
mod tests {
    //! What breaks when these fail: a split read by two workers, a child before its parents, a run that never ends.

    use super::*;

    fn split(name: &str, parents: &[&str]) -> SplitInfo {
        let parents = parents.iter().map(|parent| Split::from(*parent)).collect();
        SplitInfo { name: name.into(), parents, revision: "1".into(), from: None, until: None }
    }

    fn names(starts: &[Start]) -> Vec<(String, usize)> {
        starts.iter().map(|start| (start.split.name.to_string(), start.worker)).collect()
    }

    #[test]
    fn splits_spread_evenly_and_no_further_than_a_worker_can_read() {
        let mut desk = Coordinator::new(2, 2, Bounds::UntilEnd, BTreeMap::new());
        let found = (0..5).map(|i| split(&format!("s{i}"), &[])).collect();
        let starts = desk.discovered(found, false);
        assert_eq!(names(&starts), [("s0".into(), 0), ("s1".into(), 1), ("s2".into(), 0), ("s3".into(), 1)]);
        let next = desk.ended(&"s1".into(), End::Resting, Some(Position::at(9)), 4);
        assert_eq!(names(&next), [("s4".into(), 1)]);
        for i in [0, 2, 3] {
            assert!(!desk.is_over());
            desk.ended(&format!("s{i}").into(), End::Resting, None, 4);
        }
        desk.ended(&"s4".into(), End::Resting, None, 4);
        assert!(desk.is_over());
    }

    #[test]
    fn a_child_waits_for_all_parents_and_for_their_epochs() {
        let mut desk = Coordinator::new(2, 9, Bounds::Unbounded, BTreeMap::new());
        let starts = desk.discovered(vec![split("a", &[]), split("b", &[]), split("c", &["a", "b"])], false);
        assert_eq!(names(&starts), [("a".into(), 0), ("b".into(), 1)]);
        assert!(desk.ended(&"a".into(), End::Finished, Some(Position::at(1)), 7).is_empty());
        let child = desk.ended(&"b".into(), End::Finished, Some(Position::at(1)), 5);
        assert_eq!(names(&child), [("c".into(), 0)]);
        assert_eq!(child[0].not_before, 7);
    }

    #[test]
    fn a_resting_split_goes_on_when_its_revision_moves_even_while_it_is_read() {
        let mut desk = Coordinator::new(1, 1, Bounds::Unbounded, BTreeMap::new());
        desk.discovered(vec![split("f", &[])], false);
        let grown = SplitInfo { revision: "2".into(), ..split("f", &[]) };
        assert!(desk.discovered(vec![grown.clone()], false).is_empty(), "still being read");
        let again = desk.ended(&"f".into(), End::Resting, Some(Position::at(10)), 3);
        assert_eq!(again[0].from, Some(Position::at(10)));
        assert_eq!(again[0].not_before, 3);
        assert!(desk.ended(&"f".into(), End::Resting, Some(Position::at(20)), 3).is_empty());
        assert!(desk.discovered(vec![grown], false).is_empty(), "nothing new");
        assert!(!desk.is_over(), "an unbounded run goes on watching");
    }

    #[test]
    fn a_bounded_run_looks_again_for_the_children_of_what_finished() {
        let mut desk = Coordinator::new(1, 9, Bounds::UntilEnd, BTreeMap::new());
        desk.discovered(vec![split("a", &[])], false);
        desk.ended(&"a".into(), End::Finished, Some(Position::at(1)), 1);
        assert!(!desk.is_over(), "children may have come");
        desk.discovered(vec![split("a", &[])], false);
        assert!(desk.is_over());
    }

    #[test]
    fn a_bounded_run_does_not_wait_for_children_of_what_it_read_as_far_as_it_goes() {
        let mut desk = Coordinator::new(1, 9, Bounds::UntilEnd, BTreeMap::new());
        desk.discovered(vec![split("a", &[]), split("b", &[])], false);
        desk.ended(&"a".into(), End::Resting, Some(Position::at(1)), 1);
        let later = [split("a", &[]), split("b", &[]), split("a1", &["a"]), split("a2", &["a1", "b"])];
        assert!(desk.discovered(later.to_vec(), false).is_empty());
        assert!(!desk.is_over(), "b is still being read");
        assert!(desk.ended(&"b".into(), End::Finished, Some(Position::at(1)), 1).is_empty());
        desk.discovered(later.to_vec(), false);
        assert!(desk.is_over(), "a1 and a2 began after the end of the run");
    }

    #[test]
    fn hundreds_of_shards_and_their_children_stay_spread() {
        let mut desk = Coordinator::new(7, usize::MAX, Bounds::Unbounded, BTreeMap::new());
        let shards: Vec<SplitInfo> = (0..300).map(|i| split(&format!("p{i:03}"), &[])).collect();
        let children = (0..600).map(|i| split(&format!("c{i:03}"), &[&format!("p{:03}", i / 2)]));
        let all: Vec<SplitInfo> = shards.iter().cloned().chain(children).collect();
        let mut loads = [0_i32; 7];
        let given = |starts: Vec<Start>, loads: &mut [i32; 7]| -> BTreeMap<Split, usize> {
            starts.iter().for_each(|start| loads[start.worker] += 1);
            starts.into_iter().map(|start| (start.split.name, start.worker)).collect()
        };
        let spread = |loads: &[i32; 7]| loads.iter().max().unwrap() - loads.iter().min().unwrap();
        let mut readers = given(desk.discovered(all, false), &mut loads);
        assert_eq!((readers.len(), spread(&loads)), (300, 1), "children wait, and weigh nothing");
        for shard in &shards {
            loads[readers[&shard.name]] -= 1;
            readers.extend(given(desk.ended(&shard.name, End::Finished, None, 1), &mut loads));
            assert!(spread(&loads) <= 2, "{loads:?}");
        }
        assert_eq!((readers.len(), loads.iter().sum::<i32>()), (900, 600));
    }

    #[test]
    fn what_the_log_says_is_done_is_not_read_again_and_its_children_begin() {
        let done = SplitState { at: Position::at(5), done: true };
        let mut desk = Coordinator::new(1, 9, Bounds::Unbounded, BTreeMap::from([("a".into(), done)]));
        let starts = desk.discovered(vec![split("a", &[]), split("b", &["a"])], true);
        assert_eq!(names(&starts), [("b".into(), 0)]);
        desk.ended(&"b".into(), End::Finished, None, 1);
        assert!(desk.is_over());
    }
}
