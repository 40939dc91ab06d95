//! Moving objects aside: out of the way of readers and of the log, and still there.
//!
//! What must stay true: an object is whole below `.millstream/aside/` before it is deleted where it was; what lies there
//! does not end in `.parquet`, so that no glob finds it.

use futures::StreamExt;
use millstream_operators::protocol::{FileName, State};

use crate::connector::Store;
use crate::connector::store::PartTag;
use crate::exit::Fatal;
use crate::log::read;
use crate::retry::patiently;

const COMMITS: &str = ".millstream/commits/";

/// Moves an object aside.
pub(super) async fn move_aside(store: &dyn Store, key: &str) -> Result<(), Fatal> {
    let to = format!(".millstream/aside/{key}.aside");
    let upload = patiently(|| store.begin(&to)).await?;
    let mut pieces = store.read(key, 0).await?;
    let (mut part, mut parts): (Vec<u8>, Vec<PartTag>) = (Vec::new(), Vec::new());
    while let Some(piece) = pieces.next().await {
        part.extend_from_slice(&piece?);
        if part.len() >= store.min_part().max(8 << 20) {
            let bytes = std::mem::take(&mut part).into();
            parts.push(store.put_part(&upload, parts.len() as u32 + 1, bytes).await?);
        }
    }
    if !part.is_empty() || parts.is_empty() {
        parts.push(store.put_part(&upload, parts.len() as u32 + 1, part.into()).await?);
    }
    store.settle(&upload).await?;
    store.complete(&upload, &parts).await?;
    Ok(patiently(|| store.delete(key)).await?)
}

/// Files of the log that are of later epochs than its state. `generation` is raised to the newest that any of them tells.
pub(super) async fn files_behind(store: &dyn Store, state: &State, generation: &mut u64) -> Result<Vec<String>, Fatal> {
    let mut behind = Vec::new();
    for entry in patiently(|| store.list("")).await? {
        let Some(name) = FileName::parse(&entry.key).filter(|name| name.log == state.log) else { continue };
        if name.epoch > state.epoch && !entry.key.starts_with(".millstream/") {
            *generation = (*generation).max(name.generation);
            behind.push(entry.key);
        }
    }
    Ok(behind)
}

/// The keys of commits behind one.
pub(super) async fn commits_behind(store: &dyn Store, commit: u64) -> Result<Vec<String>, Fatal> {
    let listed = patiently(|| store.list(COMMITS)).await?;
    let behind = |key: &String| number(key).is_some_and(|number| number > commit);
    Ok(listed.into_iter().map(|entry| entry.key).filter(behind).collect())
}

/// The numbers of all commits that are there, whatever hint and folds say.
pub(super) async fn commits(store: &dyn Store) -> Result<Vec<u64>, Fatal> {
    let listed = patiently(|| store.list(COMMITS)).await?;
    let mut numbers: Vec<u64> = listed.iter().filter_map(|entry| number(&entry.key)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The newest commit that is there.
pub(super) async fn last_commit(store: &dyn Store) -> Result<u64, Fatal> {
    match commits(store).await?.last() {
        Some(last) => Ok(*last),
        None => read::end(store).await,
    }
}

fn number(key: &str) -> Option<u64> {
    key.strip_prefix(COMMITS)?.strip_suffix(".json")?.parse().ok()
}
