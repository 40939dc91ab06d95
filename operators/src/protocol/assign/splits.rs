//! The splits known so far: what phase each is in, which are ready to be read, and how many are in each phase.
//!
//! What must stay true: no call goes over all splits. Queue, counts and the index of children follow every change of a
//! phase, so an event costs the logarithm of the number of splits, and more only for the children that it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Bounds, Exhausted, SplitInfo};
use crate::position::{Position, Split};
use crate::protocol::state::SplitState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its parents are not finished, or no worker has room.
    Waiting,
    Reading {
        worker: usize,
    },
    Resting,
    Finished,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) info: SplitInfo,
    pub(super) phase: Phase,
    pub(super) at: Option<Position>,
    /// The epoch in which the last of it was read.
    pub(super) epoch: u64,
    /// The revision that the reader was started with.
    pub(super) read_revision: Option<Arc<str>>,
    /// How many of its parents are not finished.
    unfinished: usize,
    /// Waiting for a split that this bounded run reads no further, directly or through other waiting splits.
    beyond: bool,
}

/// How many splits are in each phase.
#[derive(Debug, Default)]
struct Counts {
    waiting: usize,
    reading: usize,
    resting: usize,
    finished: usize,
    /// Of the waiting ones, those beyond the end of a bounded run.
    beyond: usize,
}

impl Counts {
    fn of(&mut self, phase: Phase) -> &mut usize {
        match phase {
            Phase::Waiting => &mut self.waiting,
            Phase::Reading { .. } => &mut self.reading,
            Phase::Resting => &mut self.resting,
            Phase::Finished => &mut self.finished,
        }
    }
}

/// All splits.
#[derive(Debug)]
pub(super) struct Splits {
    bounds: Bounds,
    /// Committed positions of splits that no look has found yet.
    committed: BTreeMap<Split, SplitState>,
    known: BTreeMap<Split, Known>,
    /// Waiting splits whose parents are all finished.
    ready: BTreeSet<Split>,
    /// By parent, the splits that name it; of parents that are finished, none.
    children: BTreeMap<Split, Vec<Split>>,
    counts: Counts,
}

impl Splits {
    pub(super) fn new(bounds: Bounds, committed: BTreeMap<Split, SplitState>) -> Self {
        let (known, ready, children, counts) = Default::default();
        Splits { bounds, committed, known, ready, children, counts }
    }

    /// Takes in what a look found of one split.
    pub(super) fn meet(&mut self, info: SplitInfo, exhausted: &Exhausted) {
        if !self.known.contains_key(&info.name) {
            self.admit(info, exhausted);
        } else if self.bounds == Bounds::Unbounded {
            self.renew(info);
        }
    }

    pub(super) fn get(&self, split: &Split) -> Option<&Known> {
        self.known.get(split)
    }

    pub(super) fn get_mut(&mut self, split: &Split) -> Option<&mut Known> {
        self.known.get_mut(split)
    }

    /// The first split by name that is ready to be read.
    pub(super) fn first_ready(&self) -> Option<&Split> {
        self.ready.first()
    }

    /// Whether a bounded run has read all of it that it reads.
    pub(super) fn are_read(&self) -> bool {
        self.counts.reading == 0 && self.counts.waiting == self.counts.beyond
    }

    pub(super) fn are_finished(&self) -> bool {
        self.counts.finished == self.known.len()
    }

    /// Moves a split into a phase.
    pub(super) fn enter(&mut self, split: &Split, phase: Phase) {
        let Some(known) = self.known.get_mut(split) else { return };
        *self.counts.of(known.phase) -= 1;
        *self.counts.of(phase) += 1;
        known.phase = phase;
        match phase {
            Phase::Finished => self.release_children(split),
            Phase::Resting => self.put_children_beyond(split),
            Phase::Waiting | Phase::Reading { .. } => {}
        }
        self.queue(split);
    }

    /// A split that was not known before.
    fn admit(&mut self, mut info: SplitInfo, exhausted: &Exhausted) {
        let unfinished = self.link(&info.name, &info.parents);
        let committed = self.committed.remove_entry(&info.name);
        let is_new = committed.is_none();
        let (mut at, mut done) = (None, false);
        if let Some((name, state)) = committed {
            // The log's copy of the name, so that there is one of each.
            (info.name, at, done) = (name, Some(state.at), state.done);
        }
        let phase = match done {
            true => Phase::Finished,
            false if exhausted(&info, at.as_ref()) => Phase::Resting,
            false => Phase::Waiting,
        };
        let (name, read_revision) = (info.name.clone(), (phase == Phase::Resting).then(|| info.revision.clone()));
        let beyond = phase == Phase::Waiting && self.has_parent_beyond(&info.parents);
        let known = Known { info, phase, at, epoch: 0, read_revision, unfinished, beyond };
        self.known.insert(name.clone(), known);
        *self.counts.of(phase) += 1;
        self.counts.beyond += usize::from(beyond);
        if phase == Phase::Finished {
            self.children.remove(&name);
        } else if is_new {
            self.hold_children(&name);
        }
        if phase == Phase::Resting || beyond {
            self.put_children_beyond(&name);
        }
        self.queue(&name);
    }

    /// A split that is known, as it is now. Of its name one copy is kept.
    fn renew(&mut self, mut info: SplitInfo) {
        let Some(known) = self.known.get_mut(&info.name) else { return };
        info.name = known.info.name.clone();
        let moved = known.read_revision.as_ref().is_some_and(|read| *read != info.revision);
        let rested = known.phase == Phase::Resting;
        let before = std::mem::replace(&mut known.info, info);
        let (name, parents) = (before.name, &known.info.parents);
        if before.parents != *parents {
            let parents = parents.clone();
            self.unlink(&name, &before.parents);
            let unfinished = self.link(&name, &parents);
            if let Some(known) = self.known.get_mut(&name) {
                known.unfinished = unfinished;
            }
            self.queue(&name);
        }
        if moved && rested {
            self.enter(&name, Phase::Waiting);
        }
    }

    /// Notes a split with the parents that are not finished; gives back how many there are. A parent that neither a look
    /// nor the log knows is gone from the source, and nothing of it is left to wait for; should it appear, it counts.
    fn link(&mut self, child: &Split, parents: &[Split]) -> usize {
        let mut unfinished = 0;
        for parent in parents {
            let is_finished = match self.known.get(parent) {
                Some(known) => Some(known.phase == Phase::Finished),
                None => self.committed.get(parent).map(|state| state.done),
            };
            if is_finished != Some(true) {
                self.children.entry(parent.clone()).or_default().push(child.clone());
            }
            unfinished += usize::from(is_finished == Some(false));
        }
        unfinished
    }

    fn unlink(&mut self, child: &Split, parents: &[Split]) {
        for parent in parents {
            let Some(children) = self.children.get_mut(parent) else { continue };
            if let Some(index) = children.iter().position(|other| other == child) {
                children.swap_remove(index);
            }
            if children.is_empty() {
                self.children.remove(parent);
            }
        }
    }

    /// The children of a split that was taken for gone and has appeared wait for it after all.
    fn hold_children(&mut self, parent: &Split) {
        for child in self.children.get(parent).into_iter().flatten() {
            if let Some(known) = self.known.get_mut(child) {
                known.unfinished += 1;
                self.ready.remove(child);
            }
        }
    }

    /// The children of a split that is finished wait for one parent less.
    fn release_children(&mut self, parent: &Split) {
        for child in self.children.remove(parent).unwrap_or_default() {
            if let Some(known) = self.known.get_mut(&child) {
                known.unfinished -= 1;
                self.queue(&child);
            }
        }
    }

    /// In a bounded run: what waits for a split that rests is not read, nor is what waits for that.
    fn put_children_beyond(&mut self, parent: &Split) {
        if self.bounds == Bounds::Unbounded {
            return;
        }
        let mut parents = vec![parent.clone()];
        while let Some(parent) = parents.pop() {
            for child in self.children.get(&parent).into_iter().flatten() {
                let Some(known) = self.known.get_mut(child) else { continue };
                if known.phase == Phase::Waiting && !known.beyond {
                    known.beyond = true;
                    self.counts.beyond += 1;
                    parents.push(child.clone());
                }
            }
        }
    }

    fn has_parent_beyond(&self, parents: &[Split]) -> bool {
        let is_beyond = |known: &Known| known.phase == Phase::Resting || known.beyond;
        self.bounds == Bounds::UntilEnd && parents.iter().filter_map(|parent| self.known.get(parent)).any(is_beyond)
    }

    /// Puts a split into the queue, or takes it out, as its phase and its parents want it.
    fn queue(&mut self, split: &Split) {
        let is_ready = |known: &Known| known.phase == Phase::Waiting && known.unfinished == 0;
        if self.known.get(split).is_some_and(is_ready) {
            self.ready.insert(split.clone());
        } else {
            self.ready.remove(split);
        }
    }
}
