//! Marks that all is published up to a commit: left by a start that has recovered, and by a clean end.
//!
//! A commit can only say what was published before it. What it names itself becomes visible afterwards, and without a mark
//! the next start has to take it for unfinished: a file that its user has moved away meanwhile would look like one whose
//! upload was lost. The key of a mark is made of the last commit and its generation, so the next start finds it by one read,
//! and no older process can write over it. What must stay true: a mark is a fact that never becomes false.

use millstream_operators::protocol::{SnapshotRef, State};
use serde::{Deserialize, Serialize};

use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::objects::{ENDS, OWNER, end_key, get};
use crate::log::{read, snapshot};

/// What a mark says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    pub published: u64,
    /// A snapshot newer than the one that the last commit names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotRef>,
    /// Whether the run ended by itself, with nothing left to do.
    #[serde(default)]
    pub clean: bool,
}

/// The mark behind a commit, if there is one. One that cannot be read counts as none.
pub async fn read(store: &dyn Store, commit: u64, generation: u64) -> Result<Option<Ended>, Fatal> {
    let bytes = get(store, &end_key(commit, generation)).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Leaves a mark. One that could not be left costs the next start some looks at files, nothing more.
async fn leave(store: &dyn Store, commit: u64, generation: u64, ended: &Ended) {
    let bytes = serde_json::to_vec(ended).unwrap_or_default();
    if let Err(error) = store.put(&end_key(commit, generation), bytes.into()).await {
        tracing::debug!(%error, "the mark that all is published was not written");
    }
}

/// After a start has recovered: all up to its last commit is published.
pub async fn recovered(store: &dyn Store, state: &State) {
    clear(store, state.commit).await;
    let ended = Ended { published: state.commit, snapshot: state.snapshot.clone(), clean: false };
    leave(store, state.commit, state.generation, &ended).await;
}

/// After a run of this generation in which everything was committed and published: a snapshot if the commits since the
/// last one are worth it, the mark, and the hint.
pub async fn clean(store: &dyn Store, generation: u64) -> Result<(), Fatal> {
    let last = read::end(store).await?;
    let (newest, _) = read::commit(store, last).await?;
    if newest.generation != generation {
        return Ok(());
    }
    let head = read::head(store, last).await?;
    let snapshot = match worth_it(&head) {
        true => Some(snapshot::lay(store, &mut read::state(store, last).await?, generation).await?),
        false => head.snapshot,
    };
    leave(store, last, generation, &Ended { published: last, snapshot, clean: true }).await;
    read::leave_hint(store, last).await;
    if let Err(error) = store.delete(OWNER).await {
        tracing::debug!(%error, "the note of who runs the pipeline stays");
    }
    Ok(())
}

/// At a clean end a snapshot may be made sooner than amid the work, but a large one not for every few records.
fn worth_it(state: &State) -> bool {
    let (bytes, last) = state.snapshot.as_ref().map_or((0, 0), |snapshot| (snapshot.bytes, snapshot.commit));
    state.commit > last + 1 && state.since_snapshot > bytes / 4
}

/// Takes away the marks behind older commits.
async fn clear(store: &dyn Store, before: u64) {
    let entries = store.list(ENDS).await.unwrap_or_default();
    let older =
        |key: &str| key.strip_prefix(ENDS)?.split_once('-')?.0.parse::<u64>().ok().map(|commit| commit < before);
    for entry in entries.iter().filter(|entry| older(&entry.key) == Some(true)) {
        if let Err(error) = store.delete(&entry.key).await {
            tracing::debug!(%error, key = entry.key, "an old mark stays");
        }
    }
}
