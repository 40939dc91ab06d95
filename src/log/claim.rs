//! A start claims the log: its first act is a commit that changes nothing but the generation and, where it is new, the
//! definition.
//!
//! From then on every older generation loses its next commit. Before anything is written, the start looks whether the log is
//! its own (the pipeline's name, the source) and whole, and tries the store: one that does not honour a conditional create
//! cannot hold a log and is refused. What must stay true: a start that is refused has changed nothing.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use millstream_operators::protocol::{Claim, LogId, Place, State};
use millstream_operators::state::Defined;

use crate::clock::Clock;
use crate::config::{Definition, SourceChange};
use crate::connector::store::Created;
use crate::connector::{Source, SourceError, Store};
use crate::exit::Fatal;
use crate::log::append::{Appended, append};
use crate::log::objects::TRY;
use crate::log::owner::{self, TakeOver};
use crate::log::{Places, neighbours, read};
use crate::retry::Pause;

/// Who claims.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// Unique to this start.
    pub writer: String,
    /// The pipeline's name.
    pub pipeline: String,
    pub definition: Definition,
    /// Its sinks with their paths; empty where the log lies.
    pub sinks: BTreeMap<Place, String>,
    /// Definitions of its stateful operators.
    pub operators: BTreeMap<String, Defined>,
    /// What would otherwise stop the start.
    pub accept: BTreeSet<Accept>,
    pub take_over: TakeOver,
}

/// What a user may accept that would otherwise stop a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accept {
    /// Another source feeds this sink from now on.
    Source,
    /// The folder holds files of a log that is gone: a new log starts beside them. Or a sink was moved, with its files.
    Sink,
    /// The pipeline has another name from now on.
    Name,
}

impl Accept {
    /// The words of the command line.
    pub const WORDS: [(&'static str, Accept); 3] =
        [("source", Accept::Source), ("sink", Accept::Sink), ("name", Accept::Name)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Accept::Source => "source",
            Accept::Sink => "sink",
            Accept::Name => "name",
        }
    }
}

/// Claims the log of these places and returns its state, the claim included. `source` says where it stands now, where the log
/// does not know yet.
pub async fn claim(places: &Places, source: &dyn Source, who: &Claimant, clock: &Clock) -> Result<State, Fatal> {
    let store = &*places.log;
    try_conditional_create(store, &who.writer).await?;
    if who.take_over == TakeOver::Never {
        owner::wait_for_silence(store).await?;
    }
    loop {
        let last = read::end(store).await?;
        if last == 0 && !who.accept.contains(&Accept::Sink) {
            neighbours::check_no_strays(store, None).await?;
        }
        let mut state = read::state(store, last).await?;
        who.check_new_sinks(places, &state).await?;
        let notes = who.check(store, &state)?;
        let pins = patiently_ask(|| source.pins(&state.pins)).await?;
        let forgotten = patiently_ask(|| source.forgets(&state)).await?;
        let commit = state.claim(Claim { forgotten, ..who.claim(clock, pins, notes) });
        if let Appended::Ours(bytes) = append(store, &commit).await? {
            state.apply(&commit, bytes).map_err(|broken| Fatal::Log(broken.to_string()))?;
            if !commit.notes.is_empty() {
                tracing::info!(commit = commit.commit, "the definition changed: {}", commit.notes.join("; "));
            }
            read::leave_hint(store, commit.commit).await;
            return Ok(state);
        }
        tracing::info!(commit = commit.commit, "another writer was first; reading the log again");
    }
}

impl Claimant {
    /// The claim as the protocol takes it.
    pub fn claim(&self, clock: &Clock, pins: BTreeMap<String, String>, notes: Vec<String>) -> Claim {
        Claim {
            writer: self.writer.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pipeline: self.pipeline.clone(),
            at: clock.text(),
            log: LogId::from_seed(&self.writer),
            definition: Some(self.definition.to_json()),
            sinks: self.sinks.clone(),
            operators: self.operators.clone(),
            pins,
            forgotten: Vec::new(),
            notes,
        }
    }

    /// Whether the log is this pipeline's; what changes with the claim.
    pub(super) fn check(&self, store: &dyn Store, state: &State) -> Result<Vec<String>, Fatal> {
        let mut notes = Vec::new();
        let accepts = |what| self.accept.contains(&what);
        if state.commit > 0 && state.pipeline != self.pipeline {
            if !accepts(Accept::Name) {
                return Err(other_pipeline(store, &state.pipeline, &self.pipeline));
            }
            notes.push(format!("accepted: the pipeline {} is now called {}", state.pipeline, self.pipeline));
        }
        notes.extend(self.check_sinks(store, state)?);
        self.check_entries(store, state)?;
        let Some(before) = &state.definition else { return Ok(notes) };
        let before = Definition::from_json(before).map_err(|error| {
            Fatal::Log(format!("the definition in the log of {} cannot be read: {error}", store.name()))
        })?;
        if let SourceChange::Another { before, now } = before.same_source(&self.definition) {
            if !accepts(Accept::Source) {
                return Err(other_source(store, &before, &now));
            }
            notes.push(format!("accepted: the source is now {now}, it was {before}"));
        }
        notes.extend(before.changes(&self.definition));
        Ok(notes)
    }

    /// Refuses a log that lost state which cannot be computed again.
    fn check_entries(&self, store: &dyn Store, state: &State) -> Result<(), Fatal> {
        let gone = |name: &&String| self.operators.get(*name).is_some_and(|parts| !parts.is_empty());
        match state.incomplete.iter().find(gone) {
            None => Ok(()),
            Some(operator) => Err(Fatal::Log(format!(
                "the log of {} is incomplete: objects with the state of [{operator}] are missing (the warnings above name them). \
                 Restore them from a backup or an older version. Or remove [{operator}] from the pipeline file, start once, \
                 and add it again: it then starts empty",
                store.name()
            ))),
        }
    }

    /// A sink keeps its path: its older files are looked for there.
    fn check_sinks(&self, store: &dyn Store, state: &State) -> Result<Vec<String>, Fatal> {
        let mut notes = Vec::new();
        if state.commit == 0 {
            return Ok(notes);
        }
        for (place, now) in &self.sinks {
            let Some(before) = state.sinks.get(place).or_else(|| state.former_sinks.get(place)) else { continue };
            if before == now {
                continue;
            }
            if !self.accept.contains(&Accept::Sink) {
                return Err(moved_sink(store, place, before, now));
            }
            notes.push(format!(
                "accepted: the files of the sink {place} are now in {}, they were in {}",
                at(now),
                at(before)
            ));
        }
        Ok(notes)
    }

    /// The folder of a sink that is new to the log may hold a log of its own, or files of one.
    async fn check_new_sinks(&self, places: &Places, state: &State) -> Result<(), Fatal> {
        let is_new = |place: &Place| {
            state.commit == 0 || !(state.sinks.contains_key(place) || state.former_sinks.contains_key(place))
        };
        for (place, path) in self.sinks.iter().filter(|(place, path)| !path.is_empty() && is_new(place)) {
            let store = places.of(place)?;
            if let Some(theirs) = neighbours::log_of(&**store).await? {
                return Err(Fatal::Usage(format!(
                    "the sink {place} in {path} holds a log of its own, of the pipeline {theirs:?}: choose another path for the \
                     sink, or make it the first sink of a file without [log]"
                )));
            }
            if !self.accept.contains(&Accept::Sink) {
                neighbours::check_no_strays(&**store, state.log).await?;
            }
        }
        Ok(())
    }
}

/// A path as messages show it.
fn at(path: &str) -> &str {
    if path.is_empty() { "the folder of the log" } else { path }
}

fn moved_sink(store: &dyn Store, place: &Place, before: &str, now: &str) -> Fatal {
    Fatal::Usage(format!(
        "the log of {} has files of the sink {place} in {}, and the pipeline file now puts it in {}: they would no longer be \
         found. Give the sink there a name of its own; if you moved the files along, start once with --accept sink",
        store.name(),
        at(before),
        at(now)
    ))
}

fn other_pipeline(store: &dyn Store, theirs: &str, ours: &str) -> Fatal {
    Fatal::Usage(format!(
        "{} belongs to the pipeline {theirs:?}, and this one is called {ours:?}: two pipelines cannot share a sink. \
         Choose another [sink] path; if {theirs:?} was renamed, start once with --accept name",
        store.name()
    ))
}

fn other_source(store: &dyn Store, before: &str, now: &str) -> Fatal {
    Fatal::Usage(format!(
        "{} holds what was read from {before}, and the pipeline file now says {now}: positions of the one mean nothing in \
         the other. Choose another [sink] path, or start once with --accept source to add the new source to what is there",
        store.name()
    ))
}

/// Asks a source until it answers; waits for one that is away.
pub async fn patiently_ask<T, F: Future<Output = Result<T, SourceError>>>(
    ask: impl Fn() -> F,
) -> Result<T, SourceError> {
    let mut pause = Pause::default();
    loop {
        match ask().await {
            Err(SourceError::Unavailable { name, message }) => pause.wait(&format!("{name}: {message}")).await,
            settled => return settled,
        }
    }
}

/// Creates one object twice: the second time must be told that it exists.
async fn try_conditional_create(store: &dyn Store, writer: &str) -> Result<(), Fatal> {
    let key = format!("{TRY}{writer}");
    let tries =
        [store.create(&key, Bytes::from_static(b"1")).await, store.create(&key, Bytes::from_static(b"2")).await];
    let cleared = store.delete(&key).await;
    match tries {
        // Without a clear answer to the first, the second proves nothing; the log itself never relies on one.
        [Ok(_), Ok(Created::New)] => return Err(not_conditional(store)),
        tries => {
            let refused = tries.into_iter().filter_map(Result::err).find(|error| !error.can_retry());
            refused.map_or(Ok(()), Err)?;
        }
    }
    if let Err(error) = cleared {
        tracing::debug!(%error, "the object of the try was left behind");
    }
    Ok(())
}

fn not_conditional(store: &dyn Store) -> Fatal {
    Fatal::Log(format!(
        "{} does not honour a conditional create (If-None-Match: *): it overwrote an object that was there. Two starts of a \
         pipeline could then both commit, so nothing is written to it. Use a store that honours it, such as Amazon S3, \
         MinIO or a local folder",
        store.name()
    ))
}
