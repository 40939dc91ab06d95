//! Shards, their parents, and what is lost when a shard is not there any more.
//!
//! Owns the reading of a listing as splits, and the three ways in which a listing tells that records went unread: a shard
//! whose reading was not finished is gone; a shard's parent came and went unseen; the stream is another one of the same name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_kinesis::types;
use millstream_operators::Split;
use millstream_operators::protocol::state::SplitState;
use tokio::time::Instant;

use super::aggregate::HashKeys;
use super::place::Place;
use super::start::Told;
use super::stream::Summary;
use crate::connector::{Bounds, SourceError, SplitInfo};

/// Clocks of this machine and of the service differ by less.
const SKEW: i64 = 60_000;

/// A shard as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) id: String,
    pub(super) parents: Vec<String>,
    /// Whether it takes no more records.
    pub(super) closed: bool,
    pub(super) keys: HashKeys,
}

impl Shard {
    pub(super) fn read(shard: &types::Shard) -> Self {
        let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
        let ending = shard.sequence_number_range.as_ref().and_then(|range| range.ending_sequence_number.as_ref());
        let key = |text: &str| text.parse::<u128>().ok();
        let keys = shard.hash_key_range.as_ref().and_then(|range| {
            Some(HashKeys { first: key(&range.starting_hash_key)?, last: key(&range.ending_hash_key)? })
        });
        Shard {
            id: shard.shard_id.clone(),
            parents: parents.into_iter().flatten().cloned().collect(),
            closed: ending.is_some(),
            keys: keys.unwrap_or(HashKeys::ALL),
        }
    }

    /// The shard as a split. A bounded run reads a shard that is open up to the time at which the run began; a closed one has
    /// an end of its own.
    pub(super) fn info(&self, stream: &str, bounds: Bounds, began: i64) -> SplitInfo {
        let bounded = bounds == Bounds::UntilEnd && !self.closed;
        SplitInfo {
            parents: self.parents.iter().map(|parent| split(stream, parent)).collect(),
            until: bounded.then(|| began.to_string().into()),
            ..SplitInfo::named(split(stream, &self.id))
        }
    }
}

/// The name of a shard as a split.
pub(super) fn split(stream: &str, shard: &str) -> Split {
    format!("{stream}/{shard}").into()
}

/// What earlier looks have shown.
#[derive(Debug, Default)]
pub(super) struct Looking {
    streams: BTreeSet<String>,
    seen: BTreeSet<Split>,
    last: Option<Instant>,
}

impl Looking {
    /// When to look next, if that is wanted now; looks lie at least `apart`.
    pub(super) fn next(&mut self, apart: Duration) -> Instant {
        let now = Instant::now();
        let next = self.last.map_or(now, |last| now.max(last + apart));
        self.last = Some(next);
        next
    }

    /// Holds a listing against what the log tells; `now` is in microseconds.
    pub(super) fn check(
        &mut self,
        stream: &str,
        shards: &[Shard],
        summary: &Summary,
        told: &Told,
        now: i64,
    ) -> Result<(), SourceError> {
        let listed: BTreeSet<Split> = shards.iter().map(|shard| split(stream, &shard.id)).collect();
        let prefix = format!("{stream}/");
        let committed = || told.positions.iter().filter(|(split, _)| split.starts_with(&prefix));
        if !self.streams.contains(stream) {
            committed().try_for_each(|(split, state)| is_of_this_stream(split, state, summary))?;
            committed().try_for_each(|(split, state)| is_there(split, state, &listed))?;
        }
        let edge = now / 1000 - summary.retention;
        let is_old = told.pins.get(stream).is_some_and(|pin| pin.earliest() < edge);
        if is_old && committed().next().is_some() {
            let known = |split: &Split| {
                listed.contains(split) || told.positions.contains_key(split) || self.seen.contains(split)
            };
            let new = shards.iter().filter(|shard| {
                let name = split(stream, &shard.id);
                !told.positions.contains_key(&name) && !self.seen.contains(&name)
            });
            new.into_iter().try_for_each(|shard| has_known_parents(stream, shard, &known))?;
        }
        self.streams.insert(stream.to_owned());
        self.seen.extend(listed);
        Ok(())
    }
}

/// Finished shards that no listing will name again. The children of a finished shard exist, so a shard that neither is listed
/// nor is the parent of a listed one never will be. Where the stream may be another one of the same name, nothing is forgotten:
/// the next look has to find that out.
pub(super) fn forgotten(
    stream: &str,
    shards: &[Shard],
    summary: &Summary,
    positions: &BTreeMap<Split, SplitState>,
) -> Vec<Split> {
    let ids = shards.iter().flat_map(|shard| shard.parents.iter().chain([&shard.id]));
    let named: BTreeSet<Split> = ids.map(|id| split(stream, id)).collect();
    let prefix = format!("{stream}/");
    let committed = || positions.iter().filter(|(split, _)| split.starts_with(&prefix));
    if committed().any(|(split, state)| is_of_this_stream(split, state, summary).is_err()) {
        return Vec::new();
    }
    committed().filter(|(split, state)| state.done && !named.contains(*split)).map(|(split, _)| split.clone()).collect()
}

/// What was read before the stream was made was read of another one.
fn is_of_this_stream(split: &Split, state: &SplitState, summary: &Summary) -> Result<(), SourceError> {
    let read = Place::parse(&state.at).and_then(|place| place.read);
    match read.filter(|read| read + SKEW < summary.created) {
        None => Ok(()),
        Some(_) => Err(gone(
            split,
            &format!("from {} on", state.at),
            "the stream was deleted since, and another one of that name was made. To read that one from its beginning, give \
             the pipeline another `path` in [sink]",
        )),
    }
}

fn is_there(split: &Split, state: &SplitState, listed: &BTreeSet<Split>) -> Result<(), SourceError> {
    if state.done || listed.contains(split) {
        return Ok(());
    }
    let message = "the stream has forgotten the shard before it was read to its end: its retention passed while the \
                   pipeline stood still. To go on with what is there, give the pipeline another `path` in [sink]";
    Err(gone(split, &format!("from {} on", state.at), message))
}

fn has_known_parents(stream: &str, shard: &Shard, known: &dyn Fn(&Split) -> bool) -> Result<(), SourceError> {
    let missing = shard.parents.iter().map(|parent| split(stream, parent)).find(|parent| !known(parent));
    match missing {
        None => Ok(()),
        Some(parent) => Err(gone(
            &parent,
            "all of it",
            &format!(
                "shard {} goes on from it, but it came and went while the pipeline stood still. To go on with what is there, \
                 give the pipeline another `path` in [sink]",
                shard.id
            ),
        )),
    }
}

/// The error for records that the stream no longer holds.
pub(super) fn gone(split: &Split, range: &str, message: &str) -> SourceError {
    SourceError::Gone { split: split.to_string(), range: range.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
#[path = "discover_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
