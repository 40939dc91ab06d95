//! A source inside the process for the seeded world: splits that appear, end and have children, and records that arrive when
//! the world says so.
//!
//! Owns no data: a record is a function of the world's seed, its split and its index, so an oracle can say what every split
//! holds. [`Lake`] is the shared state that a simulation moves by hand; [`MemorySource`] reads it as a shard of a stream is
//! read. Nothing here has a thread, a clock or chance of its own, so a run with one seed is one run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::{Position, RawBatch, Records, Split};
use tokio::sync::{Notify, OnceCell};

use crate::connector::source::Clock;
use crate::connector::{Bounds, Discovery, End, Outlet, Source, SourceError, SplitInfo};

/// Makes record `index` of a split under a seed.
pub type Make = fn(seed: u64, split: &str, index: u64) -> Bytes;

/// What exists so far.
pub struct Lake {
    seed: u64,
    make: Make,
    splits: Mutex<State>,
    moved: Notify,
}

#[derive(Default)]
struct State {
    splits: BTreeMap<Split, Known>,
    /// Records that somebody has changed since they were made.
    edited: BTreeMap<(Split, u64), Bytes>,
    complete: bool,
}

/// What is known of a split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub parents: Vec<Split>,
    /// Records that have arrived.
    pub arrived: u64,
    /// Records before this one are gone: retention has passed.
    pub trimmed: u64,
    /// Whether no more will arrive.
    pub closed: bool,
}

impl Lake {
    /// Nothing yet.
    pub fn new(seed: u64, make: Make) -> Arc<Self> {
        Arc::new(Lake { seed, make, splits: Mutex::default(), moved: Notify::new() })
    }

    /// A split appears. One that is there already stays as it is.
    pub fn open(&self, name: &str, parents: &[&str]) {
        let parents = parents.iter().map(|parent| Split::from(*parent)).collect();
        self.change(|state| {
            state.splits.entry(name.into()).or_insert(Known { parents, ..Known::default() });
        });
    }

    /// Records arrive; a closed or unknown split takes none.
    pub fn arrive(&self, name: &str, records: u64) {
        self.on(name, |known| known.arrived += if known.closed { 0 } else { records });
    }

    /// A split ends.
    pub fn close(&self, name: &str) {
        self.on(name, |known| known.closed = true);
    }

    /// A split ends and others go on from it, as when a shard is split.
    pub fn divide(&self, name: &str, children: &[&str]) {
        self.close(name);
        children.iter().for_each(|child| self.open(child, &[name]));
    }

    /// Splits end and one goes on from all of them, as when shards are merged.
    pub fn merge(&self, names: &[&str], child: &str) {
        names.iter().for_each(|name| self.close(name));
        self.open(child, names);
    }

    /// Records before `index` are lost to retention.
    pub fn trim(&self, name: &str, index: u64) {
        self.on(name, |known| known.trimmed = known.trimmed.max(index.min(known.arrived)));
    }

    /// What was lost to retention is there after all.
    pub fn untrim(&self, name: &str) {
        self.on(name, |known| known.trimmed = 0);
    }

    /// Somebody changes a record.
    pub fn edit(&self, name: &str, index: u64, bytes: Bytes) {
        self.change(|state| {
            state.edited.insert((name.into(), index), bytes);
        });
    }

    /// All records are again what they were.
    pub fn undo_edits(&self) {
        self.change(|state| state.edited.clear());
    }

    /// No further split will appear.
    pub fn complete(&self) {
        self.change(|state| state.complete = true);
    }

    /// All splits, for the oracle.
    pub fn splits(&self) -> Vec<(Split, Known)> {
        self.state().splits.iter().map(|(name, known)| (name.clone(), known.clone())).collect()
    }

    /// Record `index` of a split, for the oracle.
    pub fn record(&self, name: &str, index: u64) -> Bytes {
        let edited = self.state().edited.get(&(Split::from(name), index)).cloned();
        edited.unwrap_or_else(|| (self.make)(self.seed, name, index))
    }

    fn on(&self, name: &str, change: impl FnOnce(&mut Known)) {
        self.change(|state| {
            if let Some(known) = state.splits.get_mut(name) {
                change(known);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.moved.notify_waiters();
    }

    fn known(&self, name: &str) -> Option<Known> {
        self.state().splits.get(name).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.splits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a lake.
pub struct MemorySource {
    lake: Arc<Lake>,
    bounds: Bounds,
    /// Records of a batch, at most.
    batch: u64,
    clock: Clock,
    first: OnceCell<Discovery>,
}

impl MemorySource {
    /// A reader of `lake` whose batches hold up to `batch` records.
    pub fn new(lake: Arc<Lake>, bounds: Bounds, batch: u64, clock: Clock) -> Self {
        MemorySource { lake, bounds, batch: batch.max(1), clock, first: OnceCell::new() }
    }

    fn look(&self) -> Discovery {
        let state = self.lake.state();
        let bounded = self.bounds == Bounds::UntilEnd;
        let split = |(name, known): (&Split, &Known)| SplitInfo {
            parents: known.parents.clone(),
            until: (bounded && !known.closed).then(|| Arc::from(known.arrived.to_string())),
            ..SplitInfo::named(name.clone())
        };
        Discovery { splits: state.splits.iter().map(split).collect(), complete: bounded || state.complete }
    }

    fn batch(&self, split: &SplitInfo, first: u64, until: u64) -> RawBatch {
        let payloads: Vec<Bytes> = (first..until).map(|index| self.lake.record(&split.name, index)).collect();
        RawBatch {
            split: split.name.clone(),
            size: payloads.iter().map(Bytes::len).sum(),
            records: Records::Payloads(payloads),
            positions: Positions::Counted { first },
            until: Position::at(until),
            arrived_at: (self.clock)(),
            refused: Vec::new(),
            beside: Beside::default(),
            permit: millstream_operators::Permit::free(),
        }
    }

    /// How many records of the split there are to read now, and what follows them.
    async fn available(&self, split: &SplitInfo, next: u64) -> Result<(u64, Option<End>), SourceError> {
        let until = split.until.as_ref().and_then(|until| until.parse::<u64>().ok());
        loop {
            // Made before the look, so that what moves in between is not missed.
            let moved = self.lake.moved.notified();
            let known = self.lake.known(&split.name).ok_or_else(|| gone(split, next, "the split is not there"))?;
            if next < known.trimmed {
                return Err(gone(split, next, &format!("the oldest record kept is {}", known.trimmed)));
            }
            let (limit, end) = match until {
                Some(until) => (until.min(known.arrived), (known.arrived >= until).then_some(End::Resting)),
                None => (known.arrived, known.closed.then_some(End::Finished)),
            };
            if next < limit || end.is_some() {
                return Ok((limit, end));
            }
            moved.await;
        }
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn discover(&self) -> Result<Discovery, SourceError> {
        match self.bounds {
            Bounds::Unbounded => Ok(self.look()),
            Bounds::UntilEnd => Ok(self.first.get_or_init(|| async { self.look() }).await.clone()),
        }
    }

    async fn read(
        &self,
        split: &SplitInfo,
        from: Option<Position>,
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError> {
        let mut next = from.and_then(|from| from.number()).unwrap_or(0);
        loop {
            let (limit, end) = self.available(split, next).await?;
            while next < limit {
                let until = limit.min(next + self.batch);
                let size = (next..until).map(|index| self.lake.record(&split.name, index).len()).sum();
                let Some(permit) = outlet.reserve(size).await else { return Ok(End::Stopped) };
                let batch = RawBatch { permit, ..self.batch(split, next, until) };
                if !outlet.send(batch).await {
                    return Ok(End::Stopped);
                }
                next = until;
            }
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }
}

fn gone(split: &SplitInfo, next: u64, message: &str) -> SourceError {
    SourceError::Gone { split: split.name.to_string(), range: format!("from record {next}"), message: message.into() }
}

/// A record that says what it is: an article whose text is a few words drawn from seed, split and index.
pub fn article(seed: u64, split: &str, index: u64) -> Bytes {
    const WORDS: [&str; 8] = ["mill", "stream", "grain", "water", "wheel", "stone", "flour", "sluice"];
    let mut drawn = xxhash_rust::xxh3::xxh3_64_with_seed(split.as_bytes(), seed ^ index.wrapping_mul(0x9E37_79B9));
    let count = 1 + drawn % 7;
    let mut text = String::new();
    for _ in 0..count {
        drawn = drawn.rotate_right(7).wrapping_mul(0x2545_F491_4F6C_DD1D);
        text.push_str(WORDS[(drawn >> 61) as usize]);
        text.push(' ');
    }
    let (day, hour) = (1 + drawn % 28, drawn >> 8 & 15);
    let content = text.trim_end();
    Bytes::from(format!(
        r#"{{"article_id":"{split}/{index}","publish_date":"2024-02-{day:02}T{hour:02}:00:00Z","content":"{content}"}}"#
    ))
}
