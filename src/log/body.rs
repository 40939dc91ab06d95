//! The lists of a large commit, in an object beside it.
//!
//! What must stay true: the object is written before the commit that names it, and one whose checksum is not the commit's
//! is refused.

use millstream_operators::protocol::Commit;
use millstream_operators::protocol::commit::ObjectRef;

use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::objects::{body_key, crc, get, pack_json, put, unpack};

/// A commit of about this many bytes or more keeps its lists in a body.
pub const LARGE: usize = 128 << 10;

/// Writes the lists of a commit beside it if they are large; the commit to append then. `None`: it is appended as it is.
///
/// The lists are taken out for a moment and never copied.
pub async fn lay(store: &dyn Store, commit: &mut Commit, large: usize) -> Result<Option<Commit>, Fatal> {
    if weight(commit) < large {
        return Ok(None);
    }
    let lists = commit.take_body();
    let state = std::mem::take(&mut commit.state);
    let (packed, mut without) = (pack_json(&lists), commit.clone());
    without.state = state.as_written();
    commit.put_body(lists);
    commit.state = state;
    let bytes = packed?;
    let key = body_key(commit.commit, commit.generation);
    let body = ObjectRef { key, bytes: bytes.len() as u64, crc: crc(&bytes) };
    put(store, &body.key, bytes).await?;
    without.body = Some(body);
    Ok(Some(without))
}

/// About how many bytes the lists of a commit come to.
fn weight(commit: &Commit) -> usize {
    let ranges = |files: &[millstream_operators::protocol::FileRecord]| {
        files.iter().map(|file| 200 + 100 * file.ranges.len()).sum::<usize>()
    };
    let spans: usize = commit.coverage.iter().map(|coverage| 100 * coverage.spans.len()).sum();
    let filtered_ranges: usize = commit.filtered_ranges.values().map(|stretches| 50 * stretches.len()).sum();
    ranges(&commit.files) + ranges(&commit.rejects) + spans + filtered_ranges + 120 * commit.positions.len()
}

/// Reads the lists of a commit back into it; how many bytes they were.
pub async fn fetch(store: &dyn Store, commit: &mut Commit) -> Result<u64, Fatal> {
    let Some(body) = &commit.body else { return Ok(0) };
    let wrong = |what: String| {
        Fatal::Log(format!("{} in {}, which commit {} names, {what}", body.key, store.name(), commit.commit))
    };
    let bytes = get(store, &body.key).await?.ok_or_else(|| wrong("is missing".into()))?;
    if bytes.len() as u64 != body.bytes || crc(&bytes) != body.crc {
        return Err(wrong("is not what was written: its checksum differs".into()));
    }
    let json = unpack(&bytes).map_err(|error| wrong(format!("cannot be unpacked: {error}")))?;
    let lists = serde_json::from_slice(&json).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let read = body.bytes;
    commit.put_body(lists);
    commit.add_from_before(&json);
    Ok(read)
}
