//! Other logs in the same folder or below it.
//!
//! File names carry the id of the log that they belong to, so files of neighbours are told from our own. What must stay
//! true: a folder whose log was removed is not taken for a new one.

use std::collections::{BTreeMap, BTreeSet};

use millstream_operators::protocol::{Commit, FileName, LogId};

use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::objects::get;
use crate::retry::patiently;

/// What lies below a folder of a log's commits.
const COMMITS: &str = ".millstream/commits/";

/// The pipeline whose log lies in a folder, if one does.
pub async fn log_of(store: &dyn Store) -> Result<Option<String>, Fatal> {
    let Some(first) = patiently(|| store.list(COMMITS)).await?.into_iter().next() else { return Ok(None) };
    let commit = get(store, &first.key).await?.and_then(|bytes| Commit::from_bytes(&bytes).ok());
    Ok(Some(commit.map_or_else(String::new, |commit| commit.pipeline)))
}

/// Refuses a folder without a log of its own that holds files of a log which is gone. Files of the log `ours` are none: one
/// that was rolled back may know the sink no more that they were laid down in.
pub async fn check_no_strays(store: &dyn Store, ours: Option<LogId>) -> Result<(), Fatal> {
    let keys: Vec<String> = patiently(|| store.list("")).await?.into_iter().map(|entry| entry.key).collect();
    let named: Vec<(&str, Option<LogId>)> =
        keys.iter().filter_map(|key| Some((key.as_str(), FileName::parse(key)?.log))).collect();
    if named.is_empty() {
        return Ok(());
    }
    let logs = logs(store, &keys).await?;
    let owners: BTreeSet<LogId> = logs.values().flatten().copied().chain(ours).collect();
    let is_owned = |(key, log): &(&str, Option<LogId>)| match log {
        Some(log) => owners.contains(log),
        // A name of the first release says nothing of the log: the folder has to.
        None => logs.keys().any(|folder| key.starts_with(folder)),
    };
    match named.iter().filter(|named| !is_owned(named)).map(|(key, _)| key).min() {
        None => Ok(()),
        Some(stray) => Err(strays(store, stray)),
    }
}

/// The logs that lie below, by their folder (with a slash at its end), and their ids.
async fn logs(store: &dyn Store, keys: &[String]) -> Result<BTreeMap<String, Option<LogId>>, Fatal> {
    let mut first: BTreeMap<String, &String> = BTreeMap::new();
    for key in keys {
        if let Some((folder, _)) = key.split_once(COMMITS) {
            first.entry(folder.to_owned()).or_insert(key);
        }
    }
    let mut logs = BTreeMap::new();
    for (folder, key) in first {
        let commit = get(store, key).await?.and_then(|bytes| Commit::from_bytes(&bytes).ok());
        logs.insert(folder, commit.and_then(|commit| commit.log));
    }
    Ok(logs)
}

/// Of the keys that lie in a place, the Parquet files that are not a neighbour's: neither does their name say so, nor do they
/// lie below a log of another folder.
pub fn ours<T>(keys: &BTreeMap<String, T>, log: Option<LogId>) -> Vec<&str> {
    let below = |key: &String| key.split_once("/.millstream/").map(|(folder, _)| format!("{folder}/"));
    let folders: BTreeSet<String> = keys.keys().filter_map(below).collect();
    let theirs = |key: &str| {
        let of = FileName::parse(key).and_then(|name| name.log);
        (of.is_some() && of != log) || folders.iter().any(|folder| key.starts_with(folder))
    };
    keys.keys().map(String::as_str).filter(|key| key.ends_with(".parquet") && !theirs(key)).collect()
}

fn strays(store: &dyn Store, stray: &str) -> Fatal {
    Fatal::Log(format!(
        "{} has no commit log, and yet holds files of one ({stray}): was .millstream removed? A new log would read \
         everything again, beside what is there. Put .millstream back, or choose another [sink] path; `run --accept sink` \
         starts a new log beside these files",
        store.name()
    ))
}
