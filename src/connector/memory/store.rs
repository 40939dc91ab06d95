//! A store inside the process, which behaves as S3 does and always answers at once.
//!
//! Owns objects, uploads and the numbers that name them. What must stay true: the same calls in the same order give the
//! same answers, names included, so that a seed is enough to repeat a run. Each call happens whole under one lock, which
//! makes every call atomic. Clones share what they hold, as clients of one bucket do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::connector::store::{Completed, Created, Entry, PartTag, Store, StoreError, Upload};

/// The size of the pieces in which [`Store::read`] hands an object out.
const PIECE: usize = 64 << 10;

/// A store in memory.
#[derive(Clone)]
pub struct MemoryStore {
    name: Arc<str>,
    min_part: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Parts>,
    /// Counts objects and uploads ever made; versions and ids come from it.
    made: u64,
}

struct Object {
    bytes: Bytes,
    crc: u64,
    version: u64,
}

struct Parts {
    key: String,
    parts: BTreeMap<u32, Bytes>,
}

impl State {
    fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn write(&mut self, key: &str, bytes: Bytes) {
        let version = self.next();
        let crc = crc(&bytes);
        self.objects.insert(key.to_owned(), Object { bytes, crc, version });
    }
}

impl Object {
    fn entry(&self, key: &str) -> Entry {
        Entry {
            key: key.to_owned(),
            size: self.bytes.len() as u64,
            version: self.version.to_string(),
            modified: None,
            crc: Some(self.crc),
        }
    }
}

impl MemoryStore {
    /// An empty store, which messages call `name`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        MemoryStore { name: name.into(), min_part: 1, state: Arc::default() }
    }

    /// The same store, refusing uploads with a part under `bytes` that is not the last.
    pub fn with_min_part(mut self, bytes: usize) -> Self {
        self.min_part = bytes;
        self
    }

    /// All objects as they are now, for a test to check.
    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        self.lock().objects.iter().map(|(key, object)| (key.clone(), object.bytes.clone())).collect()
    }

    /// A panic under the lock is a failed test elsewhere; what is in here is whole between statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, key: &str) -> StoreError {
        StoreError::Missing { store: self.name.to_string(), key: key.to_owned() }
    }

    fn no_such_upload(&self, upload: &Upload) -> StoreError {
        StoreError::NoSuchUpload { store: self.name.to_string(), key: upload.key.clone() }
    }

    /// Puts the parts together as the tags say; every complaint of S3 about them is made here too.
    fn join(&self, upload: &Upload, held: &Parts, tags: &[PartTag]) -> Result<Bytes, StoreError> {
        let (store, key) = (self.name.to_string(), upload.key.clone());
        let refuse = |message: String| Err(StoreError::BadParts { store, key, message });
        if tags.is_empty() {
            return refuse("an upload needs at least one part".to_owned());
        }
        let mut whole = Vec::new();
        for (number, tag) in (1..).zip(tags) {
            match held.parts.get(&number) {
                Some(part) if part_tag(part) == *tag => {
                    if part.len() < self.min_part && (number as usize) < tags.len() {
                        return refuse(format!("part {number} has {} bytes, {} are needed", part.len(), self.min_part));
                    }
                    whole.extend_from_slice(part);
                }
                _ => return refuse(format!("part {number} was not uploaded, or has been replaced since")),
            }
        }
        Ok(whole.into())
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn min_part(&self) -> usize {
        self.min_part
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let mut state = self.lock();
        if state.objects.contains_key(key) {
            return Ok(Created::Exists);
        }
        state.write(key, bytes);
        Ok(Created::New)
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.lock().write(key, bytes);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.lock().objects.get(key).map(|object| object.bytes.clone()))
    }

    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        let state = self.lock();
        let object = state.objects.get(key).ok_or_else(|| self.missing(key))?;
        Ok(slice(&object.bytes, offset, length))
    }

    async fn read(&self, key: &str, offset: u64) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let rest = self.get_range(key, offset, u64::MAX).await?;
        let pieces = (0..rest.len()).step_by(PIECE).map(move |at| Ok(slice(&rest, at as u64, PIECE as u64)));
        Ok(futures::stream::iter(pieces).boxed())
    }

    async fn look(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.lock().objects.get(key).map(|object| object.entry(key)))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let state = self.lock();
        let from = state.objects.range(prefix.to_owned()..);
        Ok(from.take_while(|(key, _)| key.starts_with(prefix)).map(|(key, object)| object.entry(key)).collect())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.lock().objects.remove(key);
        Ok(())
    }

    async fn begin(&self, key: &str) -> Result<Upload, StoreError> {
        let mut state = self.lock();
        let id = format!("upload-{:08}", state.next());
        state.uploads.insert(id.clone(), Parts { key: key.to_owned(), parts: BTreeMap::new() });
        Ok(Upload { key: key.to_owned(), id })
    }

    async fn put_part(&self, upload: &Upload, number: u32, bytes: Bytes) -> Result<PartTag, StoreError> {
        let tag = part_tag(&bytes);
        let mut state = self.lock();
        let held = state.uploads.get_mut(&upload.id).ok_or_else(|| self.no_such_upload(upload))?;
        held.parts.insert(number, bytes);
        Ok(tag)
    }

    async fn complete(&self, upload: &Upload, parts: &[PartTag]) -> Result<Completed, StoreError> {
        let mut state = self.lock();
        let held = state.uploads.get(&upload.id).ok_or_else(|| self.no_such_upload(upload))?;
        let whole = self.join(upload, held, parts)?;
        let (key, crc) = (held.key.clone(), crc(&whole));
        state.uploads.remove(&upload.id);
        state.write(&key, whole);
        Ok(Completed { crc: Some(crc) })
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        self.lock().uploads.remove(&upload.id);
        Ok(())
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StoreError> {
        let state = self.lock();
        let under_way = state.uploads.iter().filter(|(_, parts)| parts.key.starts_with(prefix));
        let mut found: Vec<Upload> =
            under_way.map(|(id, parts)| Upload { key: parts.key.clone(), id: id.clone() }).collect();
        found.sort();
        Ok(found)
    }
}

fn crc(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

fn part_tag(bytes: &[u8]) -> PartTag {
    PartTag(format!("{:016x}-{}", crc(bytes), bytes.len()))
}

fn slice(bytes: &Bytes, offset: u64, length: u64) -> Bytes {
    let size = bytes.len() as u64;
    let start = offset.min(size);
    let end = start + length.min(size - start);
    bytes.slice(start as usize..end as usize)
}
