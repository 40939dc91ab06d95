//! Sums on their way to the worker that keeps them.
//!
//! Owns which worker that is: all totals of a group of an average are kept by one, found by a hash of the group. What must
//! stay true: every worker, of any process and any start, finds the same one for as many workers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::key::{AverageKey, Bucket, Totals};
use super::packed::{Texts, push_value};

/// Sums of one average for one worker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Parcel {
    pub(super) to: u64,
    pub(super) average: u16,
    /// The groups that the sums are of, packed.
    pub(super) groups: Texts,
    pub(super) sums: Vec<GroupSum>,
}

/// A sum of some rows of a group in a span.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct GroupSum {
    /// The number of the group in its parcel.
    pub(super) group: u32,
    pub(super) by: Bucket,
    pub(super) span: i64,
    pub(super) totals: Totals,
}

/// The worker that keeps a group of an average.
pub(super) fn keeper(average: u16, group: &[u8], workers: usize) -> usize {
    (xxh3_64_with_seed(group, u64::from(average)) % workers as u64) as usize
}

/// Packs totals that a run goes on from.
pub(super) fn parcels(totals: impl Iterator<Item = (AverageKey, Totals)>, workers: usize) -> Vec<Parcel> {
    let mut parcels: BTreeMap<(u16, usize), Parcel> = BTreeMap::new();
    let mut group = Vec::new();
    for (key, totals) in totals {
        group.clear();
        key.group.iter().for_each(|value| push_value(&mut group, value.as_deref()));
        let (average, to) = (key.average, keeper(key.average, &group, workers));
        let fresh = || Parcel { to: to as u64, average, ..Parcel::default() };
        let parcel = parcels.entry((average, to)).or_insert_with(fresh);
        let (group, span) = (parcel.groups.push(&group), key.by.span(key.from));
        parcel.sums.push(GroupSum { group, by: key.by, span, totals });
    }
    parcels.into_values().collect()
}
