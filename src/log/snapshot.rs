//! Snapshots: what the log adds up to, written now and then, so that no start reads the whole log.
//!
//! A snapshot is made from the log itself (the last snapshot and the commits behind it), beside the pipeline and out of its
//! way. It counts only once a commit or the mark of a clean end names it. It never reaches beyond what is published, since a
//! start needs the commits behind that one by one.

use millstream_operators::protocol::{SnapshotRef, State};

use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::objects::{SNAPSHOTS, get, pack_json, snapshot_key, unpack_json};
use crate::log::read;

/// Reads a snapshot.
pub async fn read(store: &dyn Store, snapshot: &SnapshotRef) -> Result<State, Fatal> {
    let key = &snapshot.key;
    let missing = || Fatal::Log(format!("{key} is missing from {}: a commit names it", store.name()));
    let bytes = get(store, key).await?.ok_or_else(missing)?;
    unpack_json(&bytes).map_err(|error| Fatal::Log(format!("{key} in {} is not a snapshot: {error}", store.name())))
}

/// Writes a snapshot of the log as it was at commit `at`.
pub async fn write(
    store: &dyn Store,
    last: Option<SnapshotRef>,
    at: u64,
    generation: u64,
) -> Result<SnapshotRef, Fatal> {
    let mut state = match &last {
        Some(last) => read(store, last).await?,
        None => State::default(),
    };
    read::take_in(store, &mut state, at).await?;
    lay(store, &state, generation).await
}

/// Writes a state down as a snapshot.
pub async fn lay(store: &dyn Store, state: &State, generation: u64) -> Result<SnapshotRef, Fatal> {
    let bytes = pack_json(state)?;
    let key = snapshot_key(state.commit, generation);
    let snapshot = SnapshotRef { commit: state.commit, key, bytes: bytes.len() as u64 };
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
