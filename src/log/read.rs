//! Reading the log: where it ends, what a commit says, what all of it adds up to.
//!
//! Finding the end costs the same after a million commits: the hint names a commit that was there, the log has no gaps, so
//! leaps of doubling length from the hint and then halving find the last one. Commits are read many at a time, in order.
//! What must stay true: a log that lost objects is reported, never taken for a shorter or a new one.

use std::collections::VecDeque;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use millstream_operators::protocol::commit::Unreadable;
use millstream_operators::protocol::damage::{Beginning, Damage, Witnesses};
use millstream_operators::protocol::{Commit, State};
use millstream_operators::state::KINDS;
use serde::{Deserialize, Serialize};

use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::ending::{self, Ended};
use crate::log::fold::{self, Folds, Segment};
use crate::log::objects::{HINT, ROOT, TRY, commit_key, get};
use crate::log::{body, snapshot, states};
use crate::retry::{Pause, patiently};

/// Commits read side by side.
const AHEAD: usize = 64;
/// Commits whose state is fetched concurrently.
const STATES_AHEAD: usize = 8;
/// Looks at a log that changes while it is looked at.
const LOOKS: usize = 3;

/// Whether to load the entries of stateful operators. They can be large, and few callers need them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateEntries {
    Load,
    Skip,
}

/// What the hint object says.
#[derive(Serialize, Deserialize)]
struct Hint {
    commit: u64,
}

/// The number of the last commit; 0 where there is no log.
pub async fn end(store: &dyn Store) -> Result<u64, Fatal> {
    let mut looks = 1;
    let beginning = loop {
        match witnesses(store).await?.conclude() {
            // A fold at work takes commits away between two looks.
            Err(_) if looks < LOOKS => looks += 1,
            concluded => break concluded.map_err(|damage| damaged(store, damage))?,
        }
    };
    match beginning {
        Beginning::Empty => Ok(0),
        Beginning::From(there) => last_behind(store, there).await,
    }
}

/// The last commit, looked for from one that is there.
async fn last_behind(store: &dyn Store, mut there: u64) -> Result<u64, Fatal> {
    let mut leap = 1;
    while exists(store, there + leap).await? {
        there += leap;
        leap *= 2;
    }
    // `there` exists, `there + leap` does not.
    let mut absent = there + leap;
    while there + 1 < absent {
        let middle = there + (absent - there) / 2;
        if exists(store, middle).await? {
            there = middle;
        } else {
            absent = middle;
        }
    }
    // A commit that is gone looks like the end. Whoever appended there would write into the middle of a log.
    if exists(store, there + 2).await? && !exists(store, there + 1).await? {
        return Err(damaged(store, Damage::Gap { commit: there + 1 }));
    }
    Ok(there)
}

/// What is known of a log without reading it.
pub async fn witnesses(store: &dyn Store) -> Result<Witnesses, Fatal> {
    let hint = get(store, HINT).await?;
    let hint = hint.and_then(|bytes| serde_json::from_slice::<Hint>(&bytes).ok()).map(|hint| hint.commit);
    let folded = Folds::read(store).await?.upto();
    let first = exists(store, folded + 1).await?;
    let hinted = match hint {
        Some(hint) => hint > 0 && exists(store, hint).await?,
        None => false,
    };
    let known = Witnesses { hint, hinted, folded, first, traces: false };
    let traces = known.wants_traces() && has_traces(store).await?;
    Ok(Witnesses { traces, ..known })
}

/// Whether anything of a log is there, or was.
async fn has_traces(store: &dyn Store) -> Result<bool, Fatal> {
    let listed = patiently(|| store.list(ROOT)).await?;
    Ok(listed.iter().any(|entry| !entry.key.starts_with(TRY)))
}

/// A damaged log stops a start, with the way out.
pub fn damaged(store: &dyn Store, damage: Damage) -> Fatal {
    Fatal::Log(format!(
        "the commit log in {} is damaged: {damage}.\n\
         Nothing was changed. Put back what was removed from .millstream (an older version of the object, a backup), or see \
         `millstream repair` for the choices",
        store.name()
    ))
}

async fn exists(store: &dyn Store, commit: u64) -> Result<bool, Fatal> {
    let key = commit_key(commit);
    Ok(patiently(|| store.look(&key)).await?.is_some())
}

/// Why something of ours was taken away: a newer generation cleans up after an older one, and that is what a process that
/// it fenced out has to report. Where there is no newer one, it is as it seemed.
pub async fn fenced_or(store: &dyn Store, ours: u64, seemed: Fatal) -> Fatal {
    let mut pause = Pause::default();
    loop {
        let last = async { Ok::<_, Fatal>(commit(store, end(store).await?).await?.0) };
        match last.await {
            Ok(theirs) if theirs.generation > ours => {
                let (store, theirs, commit) = (store.name().to_owned(), theirs.generation, theirs.commit);
                return Fatal::Fenced { store, commit, ours, theirs };
            }
            Err(Fatal::Store(error)) => match pause.try_again(error).await {
                Ok(()) => {}
                Err(_) => return seemed,
            },
            _ => return seemed,
        }
    }
}

/// Leaves the hint for the next start. A hint that could not be left costs that start some looks, nothing more.
pub async fn leave_hint(store: &dyn Store, commit: u64) {
    let bytes = serde_json::to_vec(&Hint { commit }).unwrap_or_default();
    if let Err(error) = store.put(HINT, bytes.into()).await {
        tracing::debug!(%error, "the hint to the end of the log was not written");
    }
}

/// Reads a commit that must be there, lists included; and how many bytes it is.
pub async fn commit(store: &dyn Store, number: u64) -> Result<(Commit, u64), Fatal> {
    let key = commit_key(number);
    let Some(bytes) = get(store, &key).await? else { return folded(store, number).await };
    let mut commit = match Commit::from_bytes(&bytes) {
        Ok(commit) if commit.commit == number => commit,
        Ok(other) => {
            let why = format!("it says that it is commit {}", other.commit);
            return Err(damaged(store, Damage::Cut { commit: number, why }));
        }
        Err(Unreadable::NotACommit(error)) => {
            return Err(damaged(store, Damage::Cut { commit: number, why: error.to_string() }));
        }
        Err(newer) => {
            return Err(Fatal::Log(format!("{key} in {} cannot be read by this build: {newer}", store.name())));
        }
    };
    let lists = body::fetch(store, &mut commit).await?;
    let state = commit.state.object_bytes();
    Ok((commit, bytes.len() as u64 + lists + state))
}

/// A commit that was folded away, perhaps just now.
async fn folded(store: &dyn Store, number: u64) -> Result<(Commit, u64), Fatal> {
    let segment = Folds::read(store).await?.segments(number).into_iter().next();
    let gap = || damaged(store, Damage::Gap { commit: number });
    let segment = segment.filter(|segment| segment.first <= number).ok_or_else(gap)?;
    let commits = fold::commits(store, &segment).await?;
    commits.into_iter().find(|(commit, _)| commit.commit == number).ok_or_else(gap)
}

/// The commits from `first` to `last`, folded ones too, in order; each with its bytes.
pub async fn stream(
    store: &dyn Store,
    first: u64,
    last: u64,
) -> Result<BoxStream<'_, Result<(Commit, u64), Fatal>>, Fatal> {
    let folds = Folds::read(store).await?;
    let folded = folds.upto().min(last);
    let segments: VecDeque<Segment> = folds.segments(first).into();
    let wanted = move |commit: &(Commit, u64)| (first..=folded).contains(&commit.0.commit);
    let old = stream::try_unfold(segments, move |mut left| async move {
        let Some(segment) = left.pop_front() else { return Ok::<_, Fatal>(None) };
        let commits = fold::commits(store, &segment).await?;
        Ok(Some((stream::iter(commits.into_iter().filter(wanted).map(Ok::<_, Fatal>)), left)))
    });
    let recent = stream::iter(first.max(folded + 1)..=last).map(move |number| commit(store, number)).buffered(AHEAD);
    Ok(old.try_flatten().chain(recent).boxed())
}

/// The commits from `first` to `last`.
pub async fn commits(store: &dyn Store, first: u64, last: u64) -> Result<Vec<Commit>, Fatal> {
    stream(store, first, last).await?.map_ok(|(commit, _)| commit).try_collect().await
}

/// Commits up to this one are in the snapshot that commit `newest` names.
pub async fn covered(store: &dyn Store, newest: u64) -> Result<u64, Fatal> {
    Ok(commit(store, newest).await?.0.snapshot.map_or(0, |snapshot| snapshot.commit))
}

/// What the log adds up to at commit `last`, from its newest snapshot and the commits behind it.
pub async fn state(store: &dyn Store, last: u64) -> Result<State, Fatal> {
    state_with(store, last, StateEntries::Load).await
}

/// The same without the entries of stateful operators.
pub async fn head(store: &dyn Store, last: u64) -> Result<State, Fatal> {
    state_with(store, last, StateEntries::Skip).await
}

async fn state_with(store: &dyn Store, last: u64, entries: StateEntries) -> Result<State, Fatal> {
    if last == 0 {
        return Ok(State::default());
    }
    let (newest, _) = commit(store, last).await?;
    let ended = ending::read(store, last, newest.generation).await?;
    let snapshot = ended.as_ref().and_then(|ended| ended.snapshot.clone()).or(newest.snapshot);
    let mut state = match &snapshot {
        Some(snapshot) => match snapshot::read(store, snapshot, entries).await {
            Err(Fatal::Log(problem)) => return without_snapshot(store, last, entries, ended, &problem).await,
            read => read?,
        },
        None => State::default(),
    };
    take_in(store, &mut state, last, entries).await?;
    if let Some(ended) = ended {
        state.ended(ended.published, ended.snapshot);
    }
    Ok(state)
}

/// The state at a commit whose snapshot is gone or spoilt: of all commits. The next snapshot is made as if there were none.
async fn without_snapshot(
    store: &dyn Store,
    last: u64,
    entries: StateEntries,
    ended: Option<Ended>,
    problem: &str,
) -> Result<State, Fatal> {
    tracing::warn!(problem, "reading all commits instead");
    let mut state = State::default();
    take_in(store, &mut state, last, entries).await?;
    state.ended(ended.map_or(0, |ended| ended.published), None);
    state.snapshot = None;
    Ok(state)
}

/// Merges the commits up to `last` into a state. An operator with missing objects becomes `incomplete`, or is removed if its state
/// can be computed again.
pub async fn take_in(store: &dyn Store, state: &mut State, last: u64, entries: StateEntries) -> Result<(), Fatal> {
    if state.commit >= last {
        return Ok(());
    }
    let fetched = |commit: Result<(Commit, u64), Fatal>| async move {
        let (mut commit, bytes) = commit?;
        if entries == StateEntries::Load {
            for missing in states::fetch(store, &mut commit.state).await? {
                tracing::warn!(commit = commit.commit, "{missing}, and the commit names it");
            }
        }
        Ok::<_, Fatal>((commit, bytes))
    };
    let mut commits = stream(store, state.commit + 1, last).await?.map(fetched).buffered(STATES_AHEAD);
    while let Some((commit, bytes)) = commits.try_next().await? {
        state.apply(&commit, bytes).map_err(|broken| {
            Fatal::Log(format!("the commit log in {} does not hold: {broken}; see `millstream repair`", store.name()))
        })?;
    }
    if entries == StateEntries::Load {
        for operator in KINDS.iter().filter(|kind| kind.counts_back) {
            if state.incomplete.remove(operator.name) {
                tracing::warn!("the state of {} is incomplete and will be computed again", operator.name);
                state.operators.forget(operator.name);
            }
        }
    }
    Ok(())
}
