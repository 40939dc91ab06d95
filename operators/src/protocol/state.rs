//! What a log of commits adds up to: the state that a start goes on from.
//!
//! Folding is the only way in which state is ever made: at a start, for a snapshot, for the looking commands. A fold that
//! meets a gap, a step back or an older generation says so; it never mends.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::position::{Position, Split};
use crate::protocol::commit::{AverageId, Commit, SnapshotRef, Total};

/// What all commits up to one add up to. It is what a snapshot holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The last commit in it; 0: none yet.
    pub commit: u64,
    pub generation: u64,
    pub epoch: u64,
    pub published: u64,
    /// When parts of the source were first part of the pipeline.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
    #[serde(default)]
    pub snapshot: Option<SnapshotRef>,
    /// Bytes of commits since the snapshot: what a start has to read.
    #[serde(default)]
    pub since_snapshot: u64,
    pub positions: BTreeMap<Split, SplitState>,
    /// The averages by name, as they are defined.
    #[serde(default)]
    pub kept: BTreeMap<String, String>,
    #[serde(with = "pairs")]
    pub averages: BTreeMap<AverageId, Total>,
}

/// How far a split is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitState {
    pub at: Position,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

/// What makes a log no log.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Broken {
    #[error("commit {found} follows commit {last}: commits are missing between them")]
    Gap { last: u64, found: u64 },
    #[error("commit {commit} is of generation {found}, after generation {last}")]
    OlderGeneration { commit: u64, last: u64, found: u64 },
    #[error("commit {commit} goes back to epoch {found} after epoch {last}")]
    OlderEpoch { commit: u64, last: u64, found: u64 },
    #[error("commit {commit} moves {split} from {last} back to {found}")]
    Backwards { commit: u64, split: String, last: String, found: String },
    #[error("commit {commit} moves {split} on, which an earlier commit says is done")]
    AfterTheEnd { commit: u64, split: String },
}

impl State {
    /// Takes the next commit in; `bytes` is its size in the log.
    pub fn apply(&mut self, commit: &Commit, bytes: u64) -> Result<(), Broken> {
        self.check(commit)?;
        self.commit = commit.commit;
        self.generation = commit.generation;
        self.epoch = commit.epoch;
        self.published = self.published.max(commit.published);
        for (name, time) in &commit.pins {
            self.pins.entry(name.clone()).or_insert_with(|| time.clone());
        }
        self.since_snapshot += bytes;
        if commit.snapshot.is_some() && commit.snapshot != self.snapshot {
            self.snapshot = commit.snapshot.clone();
            self.since_snapshot = bytes;
        }
        for (split, progress) in &commit.positions {
            self.positions.insert(split.clone(), SplitState { at: progress.at.clone(), done: progress.done });
        }
        for (name, definition) in &commit.kept {
            if self.kept.insert(name.clone(), definition.clone()).as_ref() != Some(definition) {
                self.averages.retain(|id, _| id.average != *name);
            }
        }
        for (id, total) in &commit.averages {
            self.averages.insert(id.clone(), total.clone());
        }
        Ok(())
    }

    fn check(&self, next: &Commit) -> Result<(), Broken> {
        let commit = next.commit;
        if commit != self.commit + 1 {
            return Err(Broken::Gap { last: self.commit, found: commit });
        }
        if next.generation < self.generation {
            return Err(Broken::OlderGeneration { commit, last: self.generation, found: next.generation });
        }
        if next.epoch < self.epoch {
            return Err(Broken::OlderEpoch { commit, last: self.epoch, found: next.epoch });
        }
        for (split, progress) in &next.positions {
            let Some(last) = self.positions.get(split) else { continue };
            if last.done && last.at != progress.at {
                return Err(Broken::AfterTheEnd { commit, split: split.to_string() });
            }
            if progress.at.precedes(&last.at) {
                let (last, found) = (last.at.to_string(), progress.at.to_string());
                return Err(Broken::Backwards { commit, split: split.to_string(), last, found });
            }
        }
        Ok(())
    }

    /// The claim that a new start lays down first: nothing but its generation (and, as long as nothing was ever read, what
    /// the averages are). Of the names in `pin`, those that are new are pinned to the time of the claim.
    pub fn claim(
        &self,
        writer: &str,
        pipeline: &str,
        at: &str,
        kept: &BTreeMap<String, String>,
        pin: &BTreeSet<String>,
    ) -> Commit {
        let new = |name: &&String| !self.pins.contains_key(*name);
        Commit {
            commit: self.commit + 1,
            generation: self.generation + 1,
            writer: writer.to_owned(),
            pipeline: pipeline.to_owned(),
            at: at.to_owned(),
            epoch: self.epoch,
            published: self.published,
            snapshot: self.snapshot.clone(),
            pins: pin.iter().filter(new).map(|name| (name.clone(), at.to_owned())).collect(),
            kept: if self.positions.is_empty() { kept.clone() } else { BTreeMap::new() },
            ..Commit::default()
        }
    }

    /// Whether it is time for a snapshot: once a start would read more in commits than in a snapshot, and never for less
    /// than `least` bytes.
    pub fn wants_snapshot(&self, least: u64) -> bool {
        self.since_snapshot > least.max(self.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes))
    }
}

/// A map whose keys are no strings, as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map.iter())
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: `latest` that moves to a later time at every start, and logs that no newer build reads.

    use super::*;

    fn claim(state: &mut State, at: &str, pin: &[&str]) -> Commit {
        let pin = pin.iter().map(|name| (*name).to_owned()).collect();
        let commit = state.claim("w", "p", at, &BTreeMap::new(), &pin);
        state.apply(&commit, 0).unwrap();
        commit
    }

    #[test]
    fn a_name_is_pinned_once_and_for_all() {
        let mut state = State::default();
        claim(&mut state, "2024-01-01T00:00:00Z", &["a"]);
        let second = claim(&mut state, "2024-01-02T00:00:00Z", &["a", "b"]);
        assert_eq!(second.pins, BTreeMap::from([("b".into(), "2024-01-02T00:00:00Z".into())]));
        claim(&mut state, "2024-01-03T00:00:00Z", &["b"]);
        let kept: State = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
        assert_eq!((&*kept.pins["a"], &*kept.pins["b"]), ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"));
    }

    #[test]
    fn a_log_from_before_there_were_pins_reads() {
        let commit = r#"{"commit":1,"generation":1,"writer":"w","pipeline":"p","at":"2024-01-01T00:00:00Z","epoch":0,
            "published":0,"pinned":"2024-01-01T00:00:00Z"}"#;
        assert!(Commit::from_bytes(commit.as_bytes()).unwrap().pins.is_empty());
        let state = r#"{"commit":1,"generation":1,"epoch":0,"published":0,"positions":{},"averages":[]}"#;
        assert!(serde_json::from_str::<State>(state).unwrap().pins.is_empty());
    }
}
