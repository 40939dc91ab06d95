//! What lies below `<sink.path>/.millstream/`, and how large objects are packed.
//!
//! ```text
//! commits/<n>.json               the log
//! bodies/<n>-g<g>.json.zst       lists of a large commit, named by it
//! state/<n>-g<g>-<operator>-<i>.arrow.zst       what a commit changes of an operator's state, named by it
//! snapshots/<n>-g<g>.json.zst    what the log adds up to, named by a commit
//! snapshots/<n>-g<g>-<operator>-<i>.arrow.zst   the state of an operator, named by a snapshot
//! ends/<n>-g<g>.json             a start, or a clean end, found all published up to commit n
//! folds/<k>.json                 which commits were folded away, and where they are now
//! folded/<first>-<last>-<crc>.jsonl.zst   folded commits
//! followers/<name>.json          progress of a follower
//! hint.json                      about where the log ends
//! owner.json                     who runs the pipeline now
//! ```
//! What must stay true: an object that a commit or a fold names is whole before that name is written.

use std::io::{BufWriter, Read, Write};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zstd::stream::write::Encoder;

use crate::connector::{Store, StoreError};
use crate::exit::Fatal;
use crate::retry::{Pause, patiently};

/// Everything of ours lies below this.
pub const ROOT: &str = ".millstream/";
/// Below it, the objects with which a start tries the store. They are no part of a log.
pub const TRY: &str = ".millstream/try/";
/// Says, without promise, where the log ends.
pub const HINT: &str = ".millstream/hint.json";
/// Who runs the pipeline now.
pub const OWNER: &str = ".millstream/owner.json";
/// The records of what was folded away.
pub const FOLDS: &str = ".millstream/folds/";
/// The lists of large commits.
pub const BODIES: &str = ".millstream/bodies/";
/// What large commits change of the state of operators.
pub const STATES: &str = ".millstream/state/";
/// Snapshots.
pub const SNAPSHOTS: &str = ".millstream/snapshots/";
/// The marks of starts and clean ends.
pub const ENDS: &str = ".millstream/ends/";

/// The key of a follower's progress.
pub fn follower_key(name: &str) -> String {
    format!(".millstream/followers/{name}.json")
}

/// The key of a commit.
pub fn commit_key(commit: u64) -> String {
    format!(".millstream/commits/{commit}.json")
}

/// The key of a commit's body. A generation has one writer, so no two writers share a key.
pub fn body_key(commit: u64, generation: u64) -> String {
    format!("{BODIES}{commit}-g{generation}.json.zst")
}

/// What the keys of a commit's state begin with.
pub fn state_prefix(commit: u64, generation: u64) -> String {
    format!("{STATES}{commit}-g{generation}")
}

/// What the key of a snapshot, and those of the state in it, begin with.
pub fn snapshot_prefix(commit: u64, generation: u64) -> String {
    format!("{SNAPSHOTS}{commit}-g{generation}")
}

/// The key of the mark that a generation leaves when all is published up to a commit.
pub fn end_key(commit: u64, generation: u64) -> String {
    format!("{ENDS}{commit}-g{generation}.json")
}

/// The key of a fold's record.
pub fn fold_key(fold: u64) -> String {
    format!("{FOLDS}{fold}.json")
}

/// The bytes that every zstd frame begins with. The first release laid down snapshots as plain JSON.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Fast enough not to matter, and within a tenth of what higher levels reach on lists like ours.
pub const LEVEL: i32 = 6;
/// Bytes of JSON packed at a time.
const BUFFER: usize = 64 << 10;

/// The CRC-64/NVME of bytes, as commits write it.
pub fn crc(bytes: &[u8]) -> String {
    format!("{:016x}", checksum(CrcAlgorithm::Crc64Nvme, bytes))
}

/// Packs bytes.
pub fn pack(bytes: &[u8]) -> Result<Bytes, Fatal> {
    let packed = zstd::bulk::compress(bytes, LEVEL);
    packed.map(Bytes::from).map_err(|error| Fatal::Log(format!("an object of the log cannot be compressed: {error}")))
}

/// A thing as packed JSON. The JSON is packed as it is written: it may be a hundred times as long.
pub fn pack_json(thing: &impl Serialize) -> Result<Bytes, Fatal> {
    let failed = |error: &dyn std::fmt::Display| Fatal::Log(format!("an object of the log cannot be written: {error}"));
    let mut packing = Encoder::new(Vec::new(), LEVEL).map_err(|error| failed(&error))?;
    let mut buffered = BufWriter::with_capacity(BUFFER, &mut packing);
    serde_json::to_writer(&mut buffered, thing).map_err(|error| failed(&error))?;
    buffered.flush().map_err(|error| failed(&error))?;
    drop(buffered);
    packing.finish().map(Bytes::from).map_err(|error| failed(&error))
}

/// Unpacks bytes; those that are not packed stay as they are.
pub fn unpack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    if !bytes.starts_with(&ZSTD) {
        return Ok(bytes.to_vec());
    }
    let mut unpacked = Vec::new();
    zstd::stream::read::Decoder::new(bytes)?.read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// A thing from JSON, packed or not.
pub fn unpack_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let bytes = unpack(bytes).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// Reads an object; `None` where it is not there. Waits a while for a store that is away.
pub async fn get(store: &dyn Store, key: &str) -> Result<Option<Bytes>, Fatal> {
    Ok(patiently(|| store.get(key)).await?)
}

/// Writes an object, over what may be there, for as long as the store is away.
pub async fn put(store: &dyn Store, key: &str, bytes: Bytes) -> Result<(), StoreError> {
    let mut pause = Pause::default();
    loop {
        match store.put(key, bytes.clone()).await {
            Err(error) if error.can_retry() => pause.wait(&error.to_string()).await,
            settled => return settled,
        }
    }
}
