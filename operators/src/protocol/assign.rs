//! Which worker reads which split, when a split's children begin, and when a run is over.
//!
//! The coordinator lives on worker 0 and hears of everything through its events; what it decides goes out as [`Start`]s.
//! What must stay true: a split is read by one worker at a time; a child starts only when all its parents are read to the
//! end; whoever goes on with a split (or with a child of it) does so in no earlier epoch than the one in which the last of
//! it was read, so that positions move forward in the order of epochs. No event goes over all splits: a source may have
//! millions.

mod loads;
mod splits;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::loads::Loads;
use self::splits::{Phase, Splits};
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
    /// When all of it arrived, where a split arrives as a whole (a file): microseconds since 1970, UTC.
    #[serde(default)]
    pub arrived_at: Option<i64>,
}

impl SplitInfo {
    /// A split that is there from the beginning and has an end of its own.
    pub fn named(name: impl Into<Split>) -> Self {
        let revision = Arc::from("");
        SplitInfo { name: name.into(), parents: Vec::new(), revision, from: None, until: None, arrived_at: None }
    }
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

/// Tells whether nothing is left to read of a split whose committed position is given (`None`: nothing is committed).
pub type Exhausted = Box<dyn Fn(&SplitInfo, Option<&Position>) -> bool>;

/// Who reads what.
pub struct Coordinator {
    bounds: Bounds,
    loads: Loads,
    splits: Splits,
    exhausted: Exhausted,
    /// Whether a look is needed to know that no children came of what finished since the last one.
    looked: bool,
    complete: bool,
}

impl Coordinator {
    /// For `workers` workers that read up to `concurrency` splits each, from the committed positions.
    pub fn new(workers: usize, concurrency: usize, bounds: Bounds, committed: BTreeMap<Split, SplitState>) -> Self {
        Coordinator {
            bounds,
            loads: Loads::new(workers, concurrency),
            splits: Splits::new(bounds, committed),
            exhausted: Box::new(|_, _| false),
            looked: false,
            complete: false,
        }
    }

    /// Starts no reader for a split that is exhausted at its committed position: it rests until its revision changes.
    pub fn skip(self, exhausted: Exhausted) -> Self {
        Coordinator { exhausted, ..self }
    }

    /// A look at the source found these splits; those that are as the last look found them may be left out. `complete`:
    /// there will never be others.
    pub fn discovered(&mut self, found: Vec<SplitInfo>, complete: bool) -> Vec<Start> {
        for info in found {
            self.splits.meet(info, &self.exhausted);
        }
        self.looked = true;
        self.complete |= complete;
        self.assign()
    }

    /// A worker is through with a split; the last of it was read in `epoch`, up to `at` (none: nothing of it was read).
    pub fn ended(&mut self, split: &Split, end: End, at: Option<Position>, epoch: u64) -> Vec<Start> {
        if let Some(known) = self.splits.get_mut(split)
            && let Phase::Reading { worker } = known.phase
        {
            known.at = at.or(known.at.take());
            known.epoch = known.epoch.max(epoch);
            let more = known.read_revision.as_ref() != Some(&known.info.revision);
            let next = match end {
                End::Finished => Phase::Finished,
                End::Resting if more => Phase::Waiting,
                End::Resting | End::Stopped => Phase::Resting,
            };
            self.loads.release(worker);
            self.splits.enter(split, next);
            // Children of a split that is finished show only at the next look.
            self.looked &= end != End::Finished;
        }
        self.assign()
    }

    /// Whether nothing is left to read, now or ever.
    pub fn is_over(&self) -> bool {
        match self.bounds {
            Bounds::Unbounded => self.complete && self.splits.are_finished(),
            Bounds::UntilEnd => (self.complete || self.looked) && self.splits.are_read(),
        }
    }

    /// Whether another look at the source can tell anything new.
    pub fn wants_look(&self) -> bool {
        !self.complete
    }

    /// Gives splits that are ready, by name, to the workers with the least to do, until all have their hands full.
    fn assign(&mut self) -> Vec<Start> {
        std::iter::from_fn(|| self.start_next()).collect()
    }

    fn start_next(&mut self) -> Option<Start> {
        let split = self.splits.first_ready()?.clone();
        let known = self.splits.get(&split)?;
        let parents = known.info.parents.iter().filter_map(|parent| self.splits.get(parent));
        let not_before = parents.map(|parent| parent.epoch).fold(known.epoch, u64::max);
        let worker = self.loads.take()?;
        let known = self.splits.get_mut(&split)?;
        known.read_revision = Some(known.info.revision.clone());
        let from = known.at.clone().or(known.info.from.clone());
        let start = Start { worker, split: known.info.clone(), from, not_before };
        self.splits.enter(&split, Phase::Reading { worker });
        Some(start)
    }
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod scan;
#[cfg(test)]
mod tests;
