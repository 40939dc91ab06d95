//! Large state of operators, in objects beside the commit or snapshot that names them.
//!
//! An object is written before the commit that names it, with its size and checksum in the commit, as a commit's body is. It holds
//! the entries as an Arrow IPC stream compressed with zstd. What must stay true: entries read back equal; an object that a start may
//! need exists. Objects of commits that are covered by a snapshot are deleted.

use std::io::Cursor;

use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use futures::{StreamExt, stream};
use millstream_operators::protocol::commit::ObjectRef;
use millstream_operators::state::{Entries, Operators, kind};
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::objects::{LEVEL, STATES, crc, get, put};

/// Entries with more memory than this go into objects.
pub const LARGE_BYTES: usize = 64 << 10;
/// Approximate uncompressed size of an object.
const OBJECT_BYTES: usize = 16 << 20;
/// Concurrent deletes.
const CONCURRENT_DELETES: usize = 16;

/// Writes large entries to objects and adds references to these. `prefix` is the prefix of the keys.
pub async fn lay(store: &dyn Store, operators: &mut Operators, prefix: &str, large: usize) -> Result<(), Fatal> {
    for (name, change) in operators.iter_mut() {
        let Some(entries) = change.entries.as_ref().filter(|entries| entries.weight() > large) else { continue };
        change.objects = write(store, entries, &format!("{prefix}-{name}")).await?;
    }
    Ok(())
}

async fn write(store: &dyn Store, entries: &Entries, prefix: &str) -> Result<Vec<ObjectRef>, Fatal> {
    let failed = |error: &dyn std::fmt::Display| Fatal::Log(format!("{prefix} cannot be written: {error}"));
    let Some(kind) = kind(entries.operator()) else { return Ok(Vec::new()) };
    let mut objects = Vec::new();
    let mut rows = entries.rows().peekable();
    while rows.peek().is_some() {
        let packing = Encoder::new(Vec::new(), LEVEL).map_err(|error| failed(&error))?;
        let mut writing = StreamWriter::try_new(packing, &(kind.columns)()).map_err(|error| failed(&error))?;
        let mut size = 0;
        while let Some(batch) = rows.next_if(|_| size < OBJECT_BYTES) {
            size += batch.get_array_memory_size();
            writing.write(&batch).map_err(|error| failed(&error))?;
        }
        let packed = writing.into_inner().map_err(|error| failed(&error))?;
        let bytes = Bytes::from(packed.finish().map_err(|error| failed(&error))?);
        let key = format!("{prefix}-{}.arrow.zst", objects.len());
        objects.push(ObjectRef { key, bytes: bytes.len() as u64, crc: crc(&bytes) });
        put(store, &objects[objects.len() - 1].key, bytes).await?;
    }
    Ok(objects)
}

/// Loads entries from objects. If an object of an operator is missing, its entries are not loaded. Returns what is missing.
pub async fn fetch(store: &dyn Store, operators: &mut Operators) -> Result<Vec<String>, Fatal> {
    let mut missing = Vec::new();
    for (name, change) in operators.iter_mut() {
        if change.objects.is_empty() || change.entries.is_some() {
            continue;
        }
        let Some(kind) = kind(name) else { continue };
        let mut entries = kind.none();
        let mut whole = true;
        for object in &change.objects {
            match get(store, &object.key).await? {
                Some(bytes) => read(store, object, bytes, &mut entries)?,
                None => {
                    missing.push(format!("{} is missing from {}", object.key, store.name()));
                    whole = false;
                }
            }
        }
        change.entries = whole.then_some(entries);
    }
    Ok(missing)
}

fn read(store: &dyn Store, object: &ObjectRef, bytes: Bytes, entries: &mut Entries) -> Result<(), Fatal> {
    let wrong = |what: &dyn std::fmt::Display| {
        Fatal::Log(format!("{} in {} is not what was written: {what}", object.key, store.name()))
    };
    if bytes.len() as u64 != object.bytes || crc(&bytes) != object.crc {
        return Err(wrong(&"its checksum differs"));
    }
    let unpacking = Decoder::new(Cursor::new(bytes)).map_err(|error| wrong(&error))?;
    for rows in StreamReader::try_new(unpacking, None).map_err(|error| wrong(&error))? {
        entries.add_rows(&rows.map_err(|error| wrong(&error))?).map_err(|problem| wrong(&problem))?;
    }
    Ok(())
}

/// Deletes the objects of commits up to `covered`. The caller knows that every start begins at a snapshot of that commit or a newer one.
pub async fn clear(store: &dyn Store, covered: u64) {
    let listed = store.list(STATES).await;
    let entries = listed.unwrap_or_else(|error| {
        tracing::debug!(%error, "old objects of state were not looked for");
        Vec::new()
    });
    let old = entries.into_iter().map(|entry| entry.key).filter(|key| commit_of(key).is_some_and(|n| n <= covered));
    let gone = stream::iter(old).map(|key| async move {
        if let Err(error) = store.delete(&key).await {
            tracing::debug!(%error, key, "an old object of state stays");
        }
    });
    gone.buffer_unordered(CONCURRENT_DELETES).collect::<()>().await;
}

fn commit_of(key: &str) -> Option<u64> {
    key.strip_prefix(STATES)?.split_once('-')?.0.parse().ok()
}
