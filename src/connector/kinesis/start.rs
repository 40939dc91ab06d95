//! Where the reading of a shard begins: behind its position, or where `start` says.
//!
//! Owns what the log told at the start, and up to when a shard that has no position of its own counts as read: nothing in a
//! child is older than the end of its parents, and nothing that `start` asks for is older than the time that it says.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use millstream_operators::Split;
use millstream_operators::protocol::State;
use millstream_operators::protocol::state::SplitState;

use super::Start;
use super::aggregate::HashKeys;
use super::pin::Pin;
use super::place::Place;
use super::stream::Stream;
use crate::connector::{SourceError, SplitInfo};

/// Where an iterator begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    Oldest,
    /// Milliseconds since 1970, UTC.
    Time(i64),
    At(String),
    After(String),
}

/// What the log holds at the start of this process, and which shards it has read to their end since.
#[derive(Debug)]
pub(super) struct Told {
    /// When each stream was first part of the pipeline.
    pub(super) pins: BTreeMap<String, Pin>,
    pub(super) positions: BTreeMap<Split, SplitState>,
    /// When this process began: milliseconds since 1970, UTC.
    pub(super) began: i64,
    /// Up to when each finished shard is known to be read.
    finished: Mutex<BTreeMap<Split, i64>>,
}

impl Told {
    /// Before anything is told, at this time in microseconds.
    pub(super) fn nothing(now: i64) -> Self {
        let (pins, positions, finished) = Default::default();
        Told { pins, positions, began: now / 1000, finished }
    }

    pub(super) fn read(log: &State, now: i64) -> Self {
        let read = |state: &SplitState| Place::parse(&state.at)?.read;
        let finished = log.positions.iter().filter(|(_, state)| state.done);
        let pin = |(name, text): (&String, &String)| Some((name.clone(), Pin::parse(text)?));
        Told {
            pins: log.pins.iter().filter_map(pin).collect(),
            finished: Mutex::new(finished.filter_map(|(split, state)| Some((split.clone(), read(state)?))).collect()),
            positions: log.positions.clone(),
            ..Told::nothing(now)
        }
    }

    /// A shard is read to its end, which did not come before `read`.
    pub(super) fn finished(&self, split: &Split, read: Option<i64>) {
        if let Some(read) = read {
            self.finished.lock().unwrap_or_else(PoisonError::into_inner).insert(split.clone(), read);
        }
    }

    /// The latest time at which one of these is known not to have ended yet.
    fn last_of(&self, parents: &[Split]) -> Option<i64> {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        parents.iter().filter_map(|parent| finished.get(parent).copied()).max()
    }
}

/// A shard whose reading begins.
pub(super) struct Starting<'a> {
    pub(super) stream: &'a Stream,
    pub(super) shard: &'a str,
    pub(super) split: &'a SplitInfo,
    pub(super) start: Start,
    pub(super) told: &'a Told,
}

/// How its reading begins.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Where to begin as long as no record was read.
    pub(super) beginning: From,
    pub(super) place: Place,
    pub(super) keys: HashKeys,
}

impl Starting<'_> {
    pub(super) async fn plan(&self, mut place: Place) -> Result<Plan, SourceError> {
        let beginning = self.beginning();
        if place.sequence.is_none() && place.read.is_none() {
            let asked_for = match self.earliest() {
                Some(time) => Some(time.max(self.stream.known().await?.created)),
                None => None,
            };
            place.read = asked_for.max(self.told.last_of(&self.split.parents));
        }
        Ok(Plan { beginning, place, keys: self.stream.keys(self.shard).await? })
    }

    fn beginning(&self) -> From {
        match self.start {
            Start::TrimHorizon => From::Oldest,
            Start::At(time) => From::Time(time.div_euclid(1000)),
            Start::Latest => From::Time(self.pin().service),
        }
    }

    /// Nothing that `start` asks for arrived before this, by any clock.
    fn earliest(&self) -> Option<i64> {
        match self.start {
            Start::TrimHorizon => None,
            Start::At(time) => Some(time.div_euclid(1000)),
            Start::Latest => Some(self.pin().earliest()),
        }
    }

    /// When the pipeline first began with the stream. Without a log (a looking command) the present start is the first.
    fn pin(&self) -> Pin {
        let now = Pin { service: self.told.began, here: self.told.began };
        self.told.pins.get(self.stream.name()).copied().unwrap_or(now)
    }
}

impl Plan {
    /// Where an iterator has to begin for the next record to be that of `place`, or one of which a part is read.
    pub(super) fn from(&self, place: &Place) -> From {
        match &place.sequence {
            None => self.beginning.clone(),
            Some(sequence) if place.whole => From::After(sequence.clone()),
            Some(sequence) => From::At(sequence.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a pin that is not read, and a child that counts as read further than its parents.
    use millstream_operators::Position;

    use super::*;

    #[test]
    fn the_log_tells_pins_and_how_far_finished_shards_were_read() {
        let done = |at: &str| SplitState { at: Position::new(at), done: true };
        let log = State {
            pins: [("s".to_owned(), "2024-01-01T00:00:00.250Z".to_owned())].into(),
            positions: [
                ("s/a".into(), done("17.1#whole,read=5000")),
                ("s/b".into(), done("0.0#read=7000")),
                ("s/c".into(), SplitState { done: false, ..done("18.1#whole,read=9000") }),
            ]
            .into(),
            ..State::default()
        };
        let told = Told::read(&log, 1_000_000);
        assert_eq!((told.pins["s"].service, told.began), (1_704_067_200_250, 1000));
        let last = |parents: &[&str]| told.last_of(&parents.iter().map(|name| Split::from(*name)).collect::<Vec<_>>());
        assert_eq!((last(&["s/a", "s/b"]), last(&["s/a"]), last(&["s/c"])), (Some(7000), Some(5000), None));
        told.finished(&"s/c".into(), Some(9500));
        assert_eq!(last(&["s/a", "s/c"]), Some(9500));
    }
}
