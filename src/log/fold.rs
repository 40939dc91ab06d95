//! Old commits, folded away: many small objects become a few large ones that still answer every question.
//!
//! ```text
//! commits 1 … n ─► folded/1-n-….jsonl.zst ─► folds/<k>.json (the decision) ─► the commits are deleted
//! ```
//! A fold is decided by creating its record, which is done once for each number like a commit: of two folds at work side by
//! side one wins. Commits are deleted only after that, and only those that a snapshot covers which the last commit names, so
//! that no start needs them. What must stay true: whoever reads the log from its beginning reads the same commits before,
//! during and after a fold.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use millstream_operators::protocol::Commit;
use serde::{Deserialize, Serialize};

use crate::connector::Store;
use crate::connector::store::Created;
use crate::exit::Fatal;
use crate::log::objects::{BODIES, FOLDS, commit_key, crc, fold_key, get, pack, put, unpack};
use crate::log::read;
use crate::retry::patiently;

/// Commits in one object.
const TOGETHER: u64 = 10_000;
/// Commits deleted side by side.
const SIDE_BY_SIDE: usize = 32;

/// The record of a fold: these commits lie in these objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    pub first: u64,
    pub last: u64,
    pub segments: Vec<Segment>,
    /// The commits were lost, and somebody accepted that: no segment holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

/// An object with folded commits, one a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub first: u64,
    pub last: u64,
    pub key: String,
    pub bytes: u64,
    pub crc: String,
}

/// Commits that are gone for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// When the loss was accepted.
    pub at: String,
    /// Files of epochs up to this one may be named by the lost commits.
    pub epoch: u64,
}

/// All folds of a log, in order.
#[derive(Clone, Debug, Default)]
pub struct Folds(pub Vec<Fold>);

impl Folds {
    /// Reads the records of all folds.
    pub async fn read(store: &dyn Store) -> Result<Self, Fatal> {
        let listed = patiently(|| store.list(FOLDS)).await?;
        let mut folds = Vec::new();
        for number in 1..=listed.len() as u64 {
            let key = fold_key(number);
            let gap = || Fatal::Log(format!("{key} is missing from {}, and records behind it are there", store.name()));
            let bytes = get(store, &key).await?.ok_or_else(gap)?;
            let wrong = |error| Fatal::Log(format!("{key} in {} is not the record of a fold: {error}", store.name()));
            folds.push(serde_json::from_slice(&bytes).map_err(wrong)?);
        }
        Ok(Folds(folds))
    }

    /// Commits up to this one are folded away.
    pub fn upto(&self) -> u64 {
        self.0.last().map_or(0, |fold| fold.last)
    }

    /// The objects that hold commits from `first` on, in order.
    pub fn segments(&self, first: u64) -> Vec<Segment> {
        self.0.iter().flat_map(|fold| &fold.segments).filter(|segment| segment.last >= first).cloned().collect()
    }

    /// The commits that are gone for good.
    pub fn missing(&self) -> impl Iterator<Item = (&Fold, &Missing)> {
        self.0.iter().filter_map(|fold| Some((fold, fold.missing.as_ref()?)))
    }

    /// Adds a fold. `false`: another one was first.
    pub async fn add(&self, store: &dyn Store, fold: &Fold) -> Result<bool, Fatal> {
        let key = fold_key(self.0.len() as u64 + 1);
        let bytes = Bytes::from(serde_json::to_vec(fold).unwrap_or_default());
        if patiently(|| store.create(&key, bytes.clone())).await? == Created::New {
            return Ok(true);
        }
        // A lost answer looks like another's fold.
        Ok(get(store, &key).await?.as_ref() == Some(&bytes))
    }
}

/// The commits of a segment, each with the bytes it had in the log.
pub async fn commits(store: &dyn Store, segment: &Segment) -> Result<Vec<(Commit, u64)>, Fatal> {
    let key = &segment.key;
    let wrong = |what: String| Fatal::Log(format!("{key} in {}, which holds folded commits, {what}", store.name()));
    let bytes = get(store, key).await?.ok_or_else(|| wrong("is missing".into()))?;
    if crc(&bytes) != segment.crc {
        return Err(wrong("is not what was written: its checksum differs".into()));
    }
    let text = unpack(&bytes).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |line: &[u8]| match Commit::from_bytes(line) {
        Ok(commit) => Ok((commit, line.len() as u64)),
        Err(error) => Err(wrong(format!("holds something that is not a commit: {error}"))),
    };
    lines.map(read).collect()
}

/// What folding came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Folded {
    pub first: u64,
    pub last: u64,
    pub commits: u64,
}

/// Folds away the commits for which `old` holds, as far as a snapshot covers them; `None` when there are none.
pub async fn fold(store: &dyn Store, old: impl Fn(&Commit) -> bool) -> Result<Option<Folded>, Fatal> {
    let folds = Folds::read(store).await?;
    // What an earlier fold was too short-lived to delete.
    delete(store, &folds).await?;
    let newest = read::end(store).await?;
    if newest == 0 {
        return Ok(None);
    }
    let covered = read::covered(store, newest).await?;
    let first = folds.upto() + 1;
    if covered < first {
        return Ok(None);
    }
    let mut segments: Vec<Segment> = Vec::new();
    let mut commits = read::stream(store, first, covered).await?;
    let (mut text, mut from, mut last) = (Vec::new(), first, first - 1);
    while let Some((commit, _)) = commits.try_next().await? {
        if !old(&commit) {
            break;
        }
        last = commit.commit;
        line(&mut text, commit);
        if last + 1 - from == TOGETHER {
            segments.push(lay(store, from, last, std::mem::take(&mut text)).await?);
            from = last + 1;
        }
    }
    if last < first {
        return Ok(None);
    }
    if !text.is_empty() {
        segments.push(lay(store, from, last, text).await?);
    }
    if !folds.add(store, &Fold { first, last, segments, missing: None }).await? {
        return Err(Fatal::Failed("another fold of this log was faster; nothing was changed by this one".into()));
    }
    delete(store, &Folds::read(store).await?).await?;
    Ok(Some(Folded { first, last, commits: last + 1 - first }))
}

/// A commit as a line, without what it takes to complete uploads or to write lost files again: its files are published.
fn line(text: &mut Vec<u8>, mut commit: Commit) {
    commit.body = None;
    commit.filtered_ranges.clear();
    for file in commit.files.iter_mut().chain(&mut commit.rejects) {
        file.upload.clear();
        file.parts.clear();
    }
    text.extend(commit.to_bytes());
    text.push(b'\n');
}

async fn lay(store: &dyn Store, first: u64, last: u64, text: Vec<u8>) -> Result<Segment, Fatal> {
    let bytes = pack(&text)?;
    let crc = crc(&bytes);
    let key = format!(".millstream/folded/{first}-{last}-{crc}.jsonl.zst");
    let segment = Segment { first, last, key, bytes: bytes.len() as u64, crc };
    put(store, &segment.key, bytes).await?;
    Ok(segment)
}

/// Deletes the commits of the newest fold, and their bodies. The first one goes last: whether it is there tells the next
/// fold whether anything is left.
async fn delete(store: &dyn Store, folds: &Folds) -> Result<(), Fatal> {
    let Some(fold) = folds.0.iter().rfind(|fold| fold.missing.is_none()) else { return Ok(()) };
    let first = commit_key(fold.first);
    if patiently(|| store.look(&first)).await?.is_none() {
        return Ok(());
    }
    let bodies = patiently(|| store.list(BODIES)).await?.into_iter().map(|entry| entry.key);
    let bodies = bodies.filter(|key| body_commit(key).is_some_and(|commit| commit <= fold.last));
    let commits = (fold.first + 1..=fold.last).rev().map(commit_key);
    for keys in [bodies.chain(commits).collect(), vec![first]] {
        let gone = stream::iter(keys).map(|key: String| async move { patiently(|| store.delete(&key)).await });
        gone.buffer_unordered(SIDE_BY_SIDE).try_collect::<()>().await?;
    }
    Ok(())
}

fn body_commit(key: &str) -> Option<u64> {
    key.strip_prefix(BODIES)?.split_once('-')?.0.parse().ok()
}
