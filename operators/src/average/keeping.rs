//! What a worker knows of the totals that it keeps, beside differential's arrangement of them.
//!
//! Shared by the operator that hands updates to the arrangement and the one behind it, which tells totals. Owns the groups'
//! numbers, how far old buckets are folded away, and the removal of what is folded away. What must stay true: a total that is
//! folded away is taken back exactly once for what it was, whatever late rows came in between; then nothing of it is left.
//!
//! A total is removed by an update that takes back what it holds. The operator behind the arrangement knows how much that is
//! and puts the update into [`Keeping::leaving`]; the operator before it sends the update with the next rows, whose epoch is
//! later than any that the total was read at. Until the update has come around, the key is on its way out and is left alone;
//! should late rows have slipped in between, the rest is taken back in the next round.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use timely::progress::frontier::AntichainRef;

use super::groups::Groups;
use super::keep::spans;
use super::key::Bucket;
use super::packed::{Kind, PackedKey, Sum, kind};
use super::spec::AverageSpec;
use crate::state::{Room, Share};

/// What a total counts as: an update of 48 bytes in differential's arrangement, and as much again, and a little more, while the
/// arrangement is being merged.
const TOTAL: usize = 112;

/// How much of a kind is kept.
#[derive(Clone, Copy, Default)]
struct Kept {
    /// A span is folded away once the newest is more than this many later; none: it is kept for ever.
    spans: Option<i64>,
    /// The first span that is not folded away; none: no row was met.
    horizon: Option<i64>,
}

pub(super) struct Keeping {
    pub(super) groups: Groups,
    /// By kind.
    kept: Vec<Kept>,
    /// Whether anything is ever folded away.
    folds: bool,
    /// What is to be taken back, and has not been sent.
    leaving: Vec<(PackedKey, Sum)>,
    /// Keys that are being taken back, with the epoch in which that was sent.
    on_their_way: HashMap<PackedKey, Option<u64>>,
    /// Totals in the arrangement.
    totals: usize,
    /// Updates that were handed to the arrangement, by epoch, and have not come out of it.
    waiting: BTreeMap<u64, usize>,
    share: Share,
}

impl Keeping {
    pub(super) fn new<'a>(specs: impl Iterator<Item = &'a AverageSpec>, room: Arc<Room>) -> Self {
        let mut kept = Vec::new();
        for spec in specs {
            for by in Bucket::ALL {
                let spans = spec.keep.and_then(|keep| spans(by, keep));
                kept.push(Kept { spans, horizon: None });
            }
        }
        Keeping {
            groups: Groups::default(),
            folds: kept.iter().any(|kept| kept.spans.is_some()),
            kept,
            leaving: Vec::new(),
            on_their_way: HashMap::new(),
            totals: 0,
            waiting: BTreeMap::new(),
            share: Share::new(room),
        }
    }

    /// Whether any average has a `keep`.
    pub(super) fn folds(&self) -> bool {
        self.folds
    }

    /// The first span of a kind that is not folded away; none: all are kept.
    pub(super) fn horizon(&self, kind: Kind) -> Option<i64> {
        self.kept[kind as usize].horizon
    }

    /// The horizon that there would be with a row of that span.
    pub(super) fn horizon_with(&self, kind: Kind, span: i64) -> Option<i64> {
        let Kept { spans, horizon } = self.kept[kind as usize];
        horizon.max(Some(span.saturating_sub(spans?)))
    }

    pub(super) fn move_horizon(&mut self, kind: Kind, horizon: i64) {
        self.kept[kind as usize].horizon = Some(horizon);
    }

    /// Whether rows of that span count nowhere any more.
    pub(super) fn is_folded(&self, average: u16, by: Bucket, span: i64) -> bool {
        self.folds && self.horizon(kind(average, by)).is_some_and(|horizon| span < horizon)
    }

    /// A key is to be taken back, whose total is `sum`.
    pub(super) fn leaves(&mut self, key: PackedKey, sum: Sum) {
        self.on_their_way.insert(key, None);
        self.leaving.push((key, sum.negated()));
    }

    /// Whether a key is being taken back, and that has not come around by `upper`.
    pub(super) fn is_leaving(&mut self, key: PackedKey, upper: AntichainRef<'_, u64>) -> bool {
        match self.on_their_way.get(&key) {
            None => false,
            Some(Some(sent)) if !upper.less_equal(sent) => {
                self.on_their_way.remove(&key);
                false
            }
            Some(_) => true,
        }
    }

    /// What is to be taken back, sent in `epoch`.
    pub(super) fn send_leaving(&mut self, epoch: u64) -> Vec<(PackedKey, Sum)> {
        for (key, _) in &self.leaving {
            self.on_their_way.insert(*key, Some(epoch));
        }
        std::mem::take(&mut self.leaving)
    }

    /// A total has come into the arrangement.
    pub(super) fn begins(&mut self, key: PackedKey) {
        self.groups.begins(key.group());
        self.share.room().count(key.average(), 1);
        self.totals += 1;
    }

    /// A total is gone from the arrangement.
    pub(super) fn ceases(&mut self, key: PackedKey, epoch: u64) {
        self.groups.ceases(key.group(), epoch);
        self.share.room().count(key.average(), -1);
        self.totals = self.totals.saturating_sub(1);
    }

    /// So many updates of an epoch were handed to the arrangement.
    pub(super) fn handed_on(&mut self, epoch: u64, updates: usize) {
        *self.waiting.entry(epoch).or_default() += updates;
        self.settle_waiting();
    }

    /// All updates up to `upper` have come out of it. Settles the account; gives the average with the most totals where there
    /// is no room for all of them.
    pub(super) fn told(&mut self, upper: AntichainRef<'_, u64>) -> Option<(u16, i64)> {
        self.waiting.retain(|epoch, _| upper.less_equal(epoch));
        self.settle_waiting();
        let leaving = self.on_their_way.len() * size_of::<(PackedKey, Sum)>();
        self.share.stand(self.totals * TOTAL + self.groups.size() + leaving);
        let room = self.share.room();
        room.is_over().then(|| room.largest())
    }

    fn settle_waiting(&mut self) {
        self.share.work(self.waiting.values().sum::<usize>() * TOTAL);
    }
}
