//! What a log of commits adds up to: the state that a start goes on from.
//!
//! Folding commits is the only way to make a state: at a start, for a snapshot, for the inspection commands. A fold that
//! meets a gap, a step back or an older generation reports it and never mends it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::position::{Position, Split};
use crate::protocol::commit::{Commit, FORMAT, SnapshotRef};
use crate::protocol::naming::LogId;
use crate::protocol::place::Place;
use crate::state::{Defined, Operators};

/// What all commits up to one add up to. A snapshot holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The last commit in it; 0 for an empty log.
    pub commit: u64,
    pub generation: u64,
    pub epoch: u64,
    pub published: u64,
    /// The id of the log, once a build that knows of ids has claimed it.
    #[serde(default)]
    pub log: Option<LogId>,
    /// The pipeline that the log belongs to.
    #[serde(default)]
    pub pipeline: String,
    /// The definition in force, as the configuration writes it down.
    #[serde(default)]
    pub definition: Option<serde_json::Value>,
    /// What `latest` stands for, by part of the source.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
    /// The sinks in force, as [`Commit::sinks`] says it.
    #[serde(default = "one_sink")]
    pub sinks: BTreeMap<Place, String>,
    /// Sinks of earlier definitions, with their last paths: files of theirs are still part of the log.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former_sinks: BTreeMap<Place, String>,
    #[serde(default)]
    pub snapshot: Option<SnapshotRef>,
    /// Bytes of commits since the snapshot: what a start has to read.
    #[serde(default)]
    pub since_snapshot: u64,
    pub positions: BTreeMap<Split, SplitState>,
    /// The state of operators.
    #[serde(default)]
    pub operators: Operators,
    /// Operators with entries in objects that were not loaded.
    #[serde(skip)]
    pub incomplete: BTreeSet<String>,
}

/// What logs have that say nothing of sinks: one, without a name, where the log lies.
fn one_sink() -> BTreeMap<Place, String> {
    BTreeMap::from([(Place::data(), String::new())])
}

impl Default for State {
    fn default() -> Self {
        let (commit, generation, epoch, published, since_snapshot) = Default::default();
        let (log, pipeline, definition, pins, snapshot) = Default::default();
        let (former_sinks, positions, operators, incomplete) = Default::default();
        State {
            commit,
            generation,
            epoch,
            published,
            log,
            pipeline,
            definition,
            pins,
            sinks: one_sink(),
            former_sinks,
            snapshot,
            since_snapshot,
            positions,
            operators,
            incomplete,
        }
    }
}

/// How far a split is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitState {
    pub at: Position,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

/// Why commits do not make a log.
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
    #[error("commit {commit} forgets {split}, which no earlier commit says is done")]
    ForgottenTooSoon { commit: u64, split: String },
    #[error("commit {commit} belongs to log {found}, the commits before it to log {last}")]
    OtherLog { commit: u64, last: LogId, found: LogId },
}

/// Who claims a log, and for what.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Unique to the start.
    pub writer: String,
    /// The version of Millstream.
    pub version: String,
    pub pipeline: String,
    pub at: String,
    /// The id that the log gets if it has none.
    pub log: LogId,
    pub definition: Option<serde_json::Value>,
    /// Its sinks, as [`Commit::sinks`] says it.
    pub sinks: BTreeMap<Place, String>,
    /// Definitions of its stateful operators.
    pub operators: BTreeMap<String, Defined>,
    /// What `latest` stands for in parts of the source that are new to the log.
    pub pins: BTreeMap<String, String>,
    /// Finished splits that the source will never name again.
    pub forgotten: Vec<Split>,
    /// What changed or was accepted.
    pub notes: Vec<String>,
}

impl Default for Claim {
    fn default() -> Self {
        let (writer, version, pipeline, at, log) = Default::default();
        let (definition, operators, pins, forgotten, notes) = Default::default();
        let sinks = one_sink();
        Claim { writer, version, pipeline, at, log, definition, sinks, operators, pins, forgotten, notes }
    }
}

impl State {
    /// Takes the next commit in; `bytes` is its size in the log.
    pub fn apply(&mut self, commit: &Commit, bytes: u64) -> Result<(), Broken> {
        self.check(commit)?;
        self.commit = commit.commit;
        self.generation = commit.generation;
        self.epoch = commit.epoch;
        self.published = self.published.max(commit.published);
        self.log = self.log.or(commit.log);
        self.pipeline.clone_from(&commit.pipeline);
        if commit.definition.is_some() {
            self.definition.clone_from(&commit.definition);
        }
        if let Some(sinks) = &commit.sinks {
            let before = std::mem::replace(&mut self.sinks, sinks.clone());
            self.former_sinks.extend(before);
            self.former_sinks.retain(|place, _| !sinks.contains_key(place));
        }
        for (name, time) in &commit.pins {
            self.pins.entry(name.clone()).or_insert_with(|| time.clone());
        }
        self.since_snapshot += bytes;
        if commit.snapshot.is_some() && commit.snapshot != self.snapshot {
            self.snapshot = commit.snapshot.clone();
            self.since_snapshot = bytes;
        }
        for split in &commit.forgotten {
            self.positions.remove(split);
        }
        for (split, progress) in &commit.positions {
            self.positions.insert(split.clone(), SplitState { at: progress.at.clone(), done: progress.done });
        }
        self.operators.take_in(&commit.state, &mut self.incomplete);
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
        if let (Some(last), Some(found)) = (self.log, next.log)
            && last != found
        {
            return Err(Broken::OtherLog { commit, last, found });
        }
        if let Some(split) =
            next.forgotten.iter().find(|split| !self.positions.get(*split).is_some_and(|last| last.done))
        {
            return Err(Broken::ForgottenTooSoon { commit, split: split.to_string() });
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

    /// A copy without what grows with splits and groups: all that the next commit is made of.
    pub fn head(&self) -> Self {
        let State { commit, generation, epoch, published, log, pipeline, definition, pins, .. } = self;
        let State { sinks, former_sinks, snapshot, since_snapshot, operators, .. } = self;
        State {
            commit: *commit,
            generation: *generation,
            epoch: *epoch,
            published: *published,
            log: *log,
            pipeline: pipeline.clone(),
            definition: definition.clone(),
            pins: pins.clone(),
            sinks: sinks.clone(),
            former_sinks: former_sinks.clone(),
            snapshot: snapshot.clone(),
            since_snapshot: *since_snapshot,
            positions: BTreeMap::new(),
            operators: operators.without_entries(),
            incomplete: BTreeSet::new(),
        }
    }

    /// The claim that a new start makes first. It changes nothing but the generation and, where it is new, the definition.
    pub fn claim(&self, claim: Claim) -> Commit {
        let Claim { writer, version, pipeline, at, log, definition, sinks, operators, pins, forgotten, notes } = claim;
        Commit {
            writer,
            version,
            pipeline,
            at,
            log: self.log.or(Some(log)),
            generation: self.generation + 1,
            definition: definition.filter(|definition| self.definition.as_ref() != Some(definition)),
            sinks: (sinks != self.sinks).then_some(sinks),
            notes,
            forgotten,
            pins: pins.into_iter().filter(|(name, _)| !self.pins.contains_key(name)).collect(),
            state: self.operators.claimed(&operators, self.positions.is_empty()),
            ..self.next()
        }
    }

    /// The next commit, in so far as the state decides it.
    pub fn next(&self) -> Commit {
        Commit {
            format: FORMAT,
            commit: self.commit + 1,
            generation: self.generation,
            log: self.log,
            pipeline: self.pipeline.clone(),
            epoch: self.epoch,
            published: self.published,
            snapshot: self.snapshot.clone(),
            ..Commit::default()
        }
    }

    /// Takes in what is known of publishing beyond what a commit could say.
    pub fn ended(&mut self, published: u64, snapshot: Option<SnapshotRef>) {
        self.published = self.published.max(published.min(self.commit));
        if snapshot.is_some() && snapshot != self.snapshot {
            self.snapshot = snapshot;
            self.since_snapshot = 0;
        }
    }

    /// Whether a snapshot is due: a start would read more in commits than in the snapshot (and at least `least` bytes), or
    /// more than `most` commits.
    pub fn wants_snapshot(&self, least: u64, most: u64) -> bool {
        let (bytes, last) = self.snapshot.as_ref().map_or((0, 0), |snapshot| (snapshot.bytes, snapshot.commit));
        self.since_snapshot > least.max(bytes) || self.commit - last > most
    }
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: `latest` that moves to a later time at every start, logs that no newer build reads, a
    //! log whose commits are those of another.

    use super::*;
    use crate::average::AverageTotals;
    use crate::state::Keeps;

    fn claim(state: &mut State, pins: &[(&str, &str)]) -> Commit {
        let pins = pins.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let commit = state.claim(Claim { pins, ..Claim::default() });
        state.apply(&commit, 0).unwrap();
        commit
    }

    #[test]
    fn a_name_is_pinned_once_and_for_all() {
        let mut state = State::default();
        claim(&mut state, &[("a", "monday")]);
        let second = claim(&mut state, &[("a", "tuesday"), ("b", "tuesday")]);
        assert_eq!(second.pins, BTreeMap::from([("b".into(), "tuesday".into())]));
        claim(&mut state, &[("b", "wednesday")]);
        let kept: State = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
        assert_eq!((&*kept.pins["a"], &*kept.pins["b"]), ("monday", "tuesday"));
    }

    #[test]
    fn a_log_from_before_there_were_pins_reads() {
        let commit = r#"{"commit":1,"generation":1,"writer":"w","pipeline":"p","at":"2024-01-01T00:00:00Z","epoch":0,
            "published":0,"pinned":"2024-01-01T00:00:00Z"}"#;
        assert!(Commit::from_bytes(commit.as_bytes()).unwrap().pins.is_empty());
        let state = r#"{"commit":1,"generation":1,"epoch":0,"published":0,"positions":{},"averages":[]}"#;
        assert!(serde_json::from_str::<State>(state).unwrap().pins.is_empty());
    }

    #[test]
    fn a_log_keeps_its_id_and_records_a_definition_once() {
        let mut state = State::default();
        let of = |seed: &str, definition: &str| Claim {
            log: LogId::from_seed(seed),
            definition: Some(definition.into()),
            ..Claim::default()
        };
        let first = state.claim(of("a", "one"));
        state.apply(&first, 0).unwrap();
        let second = state.claim(of("b", "one"));
        assert_eq!((second.log, &second.definition), (first.log, &None));
        state.apply(&second, 0).unwrap();
        let third = state.claim(of("c", "two"));
        assert_eq!(third.definition, Some("two".into()));
        let foreign = Commit { log: Some(LogId::from_seed("b")), ..third };
        assert!(matches!(state.apply(&foreign, 0), Err(Broken::OtherLog { .. })));
    }

    /// Would catch a log that grows with every reshard.
    #[test]
    fn a_claim_takes_finished_splits_out_of_the_log() {
        let mut state = State::default();
        let done = |done| SplitState { at: Position::at(5), done };
        state.positions.extend([("old".into(), done(true)), ("new".into(), done(true)), ("open".into(), done(false))]);
        let claimed = state.claim(Claim { forgotten: vec!["old".into()], ..Claim::default() });
        state.apply(&Commit::from_bytes(&claimed.to_bytes()).unwrap(), 0).unwrap();
        assert_eq!(state.positions.keys().map(|split| &**split).collect::<Vec<_>>(), ["new", "open"]);
    }

    /// An average that was away missed records: what the log says of it counts no more.
    #[test]
    fn an_average_that_was_dropped_is_not_complete_when_it_comes_back() {
        let averages = Defined::from([("words".to_owned(), "of words".to_owned())]);
        let operators = BTreeMap::from([(AverageTotals::NAME.to_owned(), averages)]);
        let mut state = State::default();
        let with = state.claim(Claim { operators: operators.clone(), ..Claim::default() });
        state.apply(&with, 0).unwrap();
        state.positions.insert("s".into(), SplitState { at: Position::at(1), done: false });
        let without = state.claim(Claim::default());
        assert_eq!(without.state.clone().of(AverageTotals::NAME).dropped, ["words"]);
        state.apply(&without, 0).unwrap();
        let again = state.claim(Claim { operators, ..Claim::default() });
        state.apply(&again, 0).unwrap();
        assert!(state.operators.defined::<AverageTotals>().is_empty(), "it has to be counted first");
    }

    /// Every check of a log has a log that it refuses.
    #[test]
    fn commits_that_make_no_log_are_refused() {
        let progress =
            |at| crate::protocol::SplitProgress { at: Position::at(at), records: 0, digest: None, done: false };
        let mut state = State { commit: 4, generation: 2, epoch: 7, ..State::default() };
        state.positions.insert("open".into(), SplitState { at: Position::at(5), done: false });
        state.positions.insert("done".into(), SplitState { at: Position::at(5), done: true });
        let next = state.next();
        let positions = |split: &str, at| BTreeMap::from([(split.into(), progress(at))]);
        let refused = |commit: Commit| state.clone().apply(&commit, 0).unwrap_err();
        assert!(matches!(refused(Commit { commit: 6, ..next.clone() }), Broken::Gap { last: 4, found: 6 }));
        assert!(matches!(refused(Commit { generation: 1, ..next.clone() }), Broken::OlderGeneration { .. }));
        assert!(matches!(refused(Commit { epoch: 6, ..next.clone() }), Broken::OlderEpoch { .. }));
        let back = Commit { positions: positions("open", 4), ..next.clone() };
        assert!(matches!(refused(back), Broken::Backwards { .. }));
        let after = Commit { positions: positions("done", 6), ..next.clone() };
        assert!(matches!(refused(after), Broken::AfterTheEnd { .. }));
        let forgets = |split: &str| Commit { forgotten: vec![split.into()], ..next.clone() };
        assert!(matches!(refused(forgets("open")), Broken::ForgottenTooSoon { .. }));
        assert!(matches!(refused(forgets("unknown")), Broken::ForgottenTooSoon { .. }));
        state.clone().apply(&forgets("done"), 0).unwrap();
        state.clone().apply(&next, 0).unwrap();
    }

    #[test]
    fn a_snapshot_is_due_by_size_and_by_number() {
        let snapshot = |commit, bytes| Some(SnapshotRef { commit, key: String::new(), bytes });
        let state = |commit, since_snapshot, snapshot| State { commit, since_snapshot, snapshot, ..State::default() };
        assert!(!state(9, 100, None).wants_snapshot(100, 10));
        assert!(state(9, 101, None).wants_snapshot(100, 10));
        assert!(!state(9, 500, snapshot(3, 500)).wants_snapshot(100, 10), "a snapshot is no smaller");
        assert!(!state(13, 5, snapshot(3, 500)).wants_snapshot(100, 10));
        assert!(state(14, 5, snapshot(3, 500)).wants_snapshot(100, 10));
    }
}
