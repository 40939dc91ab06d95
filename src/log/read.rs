//! Reading the log: where it ends, what a commit says, what all of it adds up to.
//!
//! Finding the end costs the same after a million commits: the hint names a commit that was there, the log has no gaps, so
//! leaps of doubling length from the hint and then halving find the last one.

use bytes::Bytes;
use millstream_operators::protocol::{Commit, State};
use serde::{Deserialize, Serialize};

use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::{HINT, commit_key};
use crate::retry::{Pause, patiently};

/// What the hint object says.
#[derive(Serialize, Deserialize)]
struct Hint {
    commit: u64,
}

/// The number of the last commit; 0 where there is none.
pub async fn end(store: &dyn Store) -> Result<u64, Fatal> {
    let mut there = hinted(store).await?;
    let mut leap = 1;
    while exists(store, there + leap).await? {
        there += leap;
        leap *= 2;
    }
    // `there` exists (or is 0), `there + leap` does not.
    let mut absent = there + leap;
    while there + 1 < absent {
        let middle = there + (absent - there) / 2;
        if exists(store, middle).await? {
            there = middle;
        } else {
            absent = middle;
        }
    }
    Ok(there)
}

/// A hint is only believed when the commit that it names is there.
async fn hinted(store: &dyn Store) -> Result<u64, Fatal> {
    let Some(bytes) = patiently(|| store.get(HINT)).await? else { return Ok(0) };
    let hint = serde_json::from_slice::<Hint>(&bytes).map_or(0, |hint| hint.commit);
    Ok(if hint > 0 && exists(store, hint).await? { hint } else { 0 })
}

async fn exists(store: &dyn Store, commit: u64) -> Result<bool, Fatal> {
    let key = commit_key(commit);
    Ok(patiently(|| store.look(&key)).await?.is_some())
}

/// Why something of ours was taken away: a newer generation cleans up after an older one, and that is what a process which
/// it fenced out has to tell. Where there is none, it is as it seemed.
pub async fn fenced_or(store: &dyn Store, ours: u64, seemed: Fatal) -> Fatal {
    let mut pause = Pause::default();
    loop {
        let last = async { Ok::<_, Fatal>(commit(store, end(store).await?).await?.0) };
        match last.await {
            Ok(theirs) if theirs.generation > ours => {
                let (store, theirs, commit) = (store.name().to_owned(), theirs.generation, theirs.commit);
                return Fatal::Fenced { store, commit, ours, theirs };
            }
            Err(Fatal::Store(error)) if error.can_retry() => pause.wait(&error.to_string()).await,
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

/// Reads a commit that must be there.
pub async fn commit(store: &dyn Store, number: u64) -> Result<(Commit, Bytes), Fatal> {
    let key = commit_key(number);
    let missing = || Fatal::Log(format!("{key} is missing from {}: the log has a gap", store.name()));
    let bytes = patiently(|| store.get(&key)).await?.ok_or_else(missing)?;
    let commit = Commit::from_bytes(&bytes)
        .map_err(|error| Fatal::Log(format!("{key} in {} is not a commit: {error}", store.name())))?;
    Ok((commit, bytes))
}

/// What the log adds up to at commit `last`, from its newest snapshot and the commits behind it.
pub async fn state(store: &dyn Store, last: u64) -> Result<State, Fatal> {
    if last == 0 {
        return Ok(State::default());
    }
    let (newest, _) = commit(store, last).await?;
    let mut state = match &newest.snapshot {
        Some(snapshot) => super::snapshot::read(store, snapshot).await?,
        None => State::default(),
    };
    take_in(store, &mut state, last).await?;
    Ok(state)
}

/// Takes the commits up to `last` into a state.
pub async fn take_in(store: &dyn Store, state: &mut State, last: u64) -> Result<(), Fatal> {
    for number in state.commit + 1..=last {
        let (commit, bytes) = commit(store, number).await?;
        state
            .apply(&commit, bytes.len() as u64)
            .map_err(|broken| Fatal::Log(format!("the commit log in {} does not hold: {broken}", store.name())))?;
    }
    Ok(())
}

/// The commits from `first` to `last`.
pub async fn commits(store: &dyn Store, first: u64, last: u64) -> Result<Vec<Commit>, Fatal> {
    let mut commits = Vec::new();
    for number in first..=last {
        commits.push(commit(store, number).await?.0);
    }
    Ok(commits)
}
