//! Snapshots: what the log adds up to, written now and then, so that no start reads the whole log.
//!
//! A snapshot is made from the log itself (the last snapshot and the commits behind it), beside the pipeline and out of its
//! way. It counts only once a commit or the mark of a clean end names it. It never reaches beyond what is published, since a
//! start needs the commits behind that one by one.

use millstream_operators::protocol::{SnapshotRef, State};
use millstream_operators::state::Operators;

use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::objects::{SNAPSHOTS, get, pack_json, snapshot_prefix, unpack};
use crate::log::read::StateEntries;
use crate::log::{read, states};

/// Reads a snapshot.
pub async fn read(store: &dyn Store, snapshot: &SnapshotRef, entries: StateEntries) -> Result<State, Fatal> {
    let key = &snapshot.key;
    let missing = || Fatal::Log(format!("{key} is missing from {}: a commit names it", store.name()));
    let bytes = get(store, key).await?.ok_or_else(missing)?;
    let wrong =
        |error: &dyn std::fmt::Display| Fatal::Log(format!("{key} in {} is not a snapshot: {error}", store.name()));
    let json = unpack(&bytes).map_err(|error| wrong(&error))?;
    let mut state: State = serde_json::from_slice(&json).map_err(|error| wrong(&error))?;
    if state.operators.is_empty() {
        state.operators = Operators::from_before(&json);
    }
    match entries {
        StateEntries::Load => {
            if let Some(missing) = states::fetch(store, &mut state.operators).await?.first() {
                return Err(Fatal::Log(format!("{missing}, and {key} names it")));
            }
        }
        StateEntries::Skip => {
            let large = state.operators.iter().filter(|(_, change)| !change.objects.is_empty());
            state.incomplete = large.map(|(name, _)| name.to_owned()).collect();
        }
    }
    state.operators.iter_mut().for_each(|(_, change)| change.objects.clear());
    Ok(state)
}

/// Writes a snapshot of the log as it was at commit `at`.
pub async fn write(
    store: &dyn Store,
    last: Option<SnapshotRef>,
    at: u64,
    generation: u64,
) -> Result<SnapshotRef, Fatal> {
    let mut state = match &last {
        Some(last) => match read(store, last, StateEntries::Load).await {
            Err(Fatal::Log(problem)) => {
                tracing::warn!(problem, "reading all commits instead");
                State::default()
            }
            read => read?,
        },
        None => State::default(),
    };
    read::take_in(store, &mut state, at, StateEntries::Load).await?;
    lay(store, &mut state, generation).await
}

/// Writes a state down as a snapshot.
pub async fn lay(store: &dyn Store, state: &mut State, generation: u64) -> Result<SnapshotRef, Fatal> {
    if let Some(operator) = state.incomplete.first() {
        return Err(Fatal::Log(format!("no snapshot can be made: the log lacks entries of {operator}")));
    }
    let prefix = snapshot_prefix(state.commit, generation);
    states::lay(store, &mut state.operators, &prefix, states::LARGE_BYTES).await?;
    let packed = pack_json(state);
    let beside = state.operators.object_bytes();
    // From here on the entries change, and the objects do not.
    state.operators.iter_mut().for_each(|(_, change)| change.objects.clear());
    let bytes = packed?;
    let key = format!("{prefix}.json.zst");
    let snapshot = SnapshotRef { commit: state.commit, key, bytes: bytes.len() as u64 + beside };
    store.put(&snapshot.key, bytes).await?;
    Ok(snapshot)
}

/// Takes away the snapshots before `oldest`: no commit that a start may still need names one of them.
pub async fn clear(store: &dyn Store, oldest: u64) {
    let listed = store.list(SNAPSHOTS).await;
    let entries = listed.unwrap_or_else(|error| {
        tracing::debug!(%error, "old snapshots were not looked for");
        Vec::new()
    });
    for entry in entries.iter().filter(|entry| commit_of(&entry.key).is_some_and(|commit| commit < oldest)) {
        if let Err(error) = store.delete(&entry.key).await {
            tracing::debug!(%error, key = entry.key, "an old snapshot stays");
        }
    }
}

fn commit_of(key: &str) -> Option<u64> {
    key.strip_prefix(SNAPSHOTS)?.split_once('-')?.0.parse().ok()
}
