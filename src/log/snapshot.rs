//! Snapshots: what the log adds up to, laid down now and then, so that no start reads the whole log.
//!
//! A snapshot is made from the log itself (the last snapshot and the commits behind it), beside the pipeline and out of its
//! way, and counts only once a commit names it. It never reaches beyond what is published, since a start needs the commits
//! behind that one by one.

use millstream_operators::protocol::{SnapshotRef, State};

use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::read;
use crate::retry::patiently;

/// Reads a snapshot that a commit names.
pub async fn read(store: &dyn Store, snapshot: &SnapshotRef) -> Result<State, Fatal> {
    let key = &snapshot.key;
    let missing = || Fatal::Log(format!("{key} is missing from {}: a commit names it", store.name()));
    let bytes = patiently(|| store.get(key)).await?.ok_or_else(missing)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Fatal::Log(format!("{key} in {} is not a snapshot: {error}", store.name())))
}

/// Lays down a snapshot of the log as it was at commit `at`.
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
    let bytes =
        serde_json::to_vec(&state).map_err(|error| Fatal::Log(format!("a snapshot has no JSON form: {error}")))?;
    let snapshot = SnapshotRef {
        commit: at,
        key: format!(".millstream/snapshots/{at}-g{generation}.json"),
        bytes: bytes.len() as u64,
    };
    store.put(&snapshot.key, bytes.into()).await?;
    Ok(snapshot)
}
