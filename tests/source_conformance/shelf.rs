//! A store to read from, in memory, whose files a test changes by hand.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use millstream::connector::store::{Completed, Created, Entry, PartTag, Upload};
use millstream::connector::{Store, StoreError};

/// Files by key, each with a version.
#[derive(Default)]
pub(crate) struct Shelf {
    files: Mutex<BTreeMap<String, (Bytes, u64)>>,
    versions: AtomicUsize,
    /// Ranges that were read.
    pub(crate) reads: AtomicUsize,
    /// Keys whose reading is not allowed.
    pub(crate) forbidden: Mutex<Vec<String>>,
}

impl Shelf {
    /// Puts a file there, or another in its place.
    pub(crate) fn set(&self, key: &str, bytes: impl Into<Bytes>) {
        let version = self.versions.fetch_add(1, Ordering::SeqCst) as u64;
        self.files.lock().unwrap().insert(key.into(), (bytes.into(), version));
    }

    /// Makes a file longer.
    pub(crate) fn append(&self, key: &str, bytes: &[u8]) {
        let before = self.files.lock().unwrap()[key].0.clone();
        self.set(key, [&before[..], bytes].concat());
    }

    /// Takes a file away.
    pub(crate) fn remove(&self, key: &str) {
        self.files.lock().unwrap().remove(key);
    }
}

#[async_trait]
impl Store for Shelf {
    fn name(&self) -> &str {
        "the shelf"
    }
    fn min_part(&self) -> usize {
        1
    }
    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.forbidden.lock().unwrap().iter().any(|forbidden| forbidden == key) {
            let (store, key, message) = (self.name().into(), key.into(), "permission denied".into());
            return Err(StoreError::Refused { store, action: "read", key, message });
        }
        let files = self.files.lock().unwrap();
        let missing = || StoreError::Missing { store: self.name().into(), key: key.into() };
        let (bytes, _) = files.get(key).ok_or_else(missing)?;
        let start = bytes.len().min(offset as usize);
        Ok(bytes.slice(start..bytes.len().min(start + length as usize)))
    }
    async fn look(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.list(key).await?.into_iter().find(|entry| entry.key == key))
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let files = self.files.lock().unwrap();
        let entry = |(key, (bytes, version)): (&String, &(Bytes, u64))| Entry {
            key: key.clone(),
            size: bytes.len() as u64,
            version: version.to_string(),
            modified: Some(1_700_000_000_000_000 + *version as i64),
            crc: None,
        };
        Ok(files.iter().filter(|(key, _)| key.starts_with(prefix)).map(entry).collect())
    }

    // A source only reads.
    async fn create(&self, _: &str, _: Bytes) -> Result<Created, StoreError> {
        panic!("a source writes nothing")
    }
    async fn put(&self, _: &str, _: Bytes) -> Result<(), StoreError> {
        panic!("a source writes nothing")
    }
    async fn get(&self, _: &str) -> Result<Option<Bytes>, StoreError> {
        panic!("a source reads no file whole")
    }
    async fn read(&self, _: &str, _: u64) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        panic!("a source reads ranges")
    }
    async fn delete(&self, _: &str) -> Result<(), StoreError> {
        panic!("a source writes nothing")
    }
    async fn begin(&self, _: &str) -> Result<Upload, StoreError> {
        panic!("a source writes nothing")
    }
    async fn put_part(&self, _: &Upload, _: u32, _: Bytes) -> Result<PartTag, StoreError> {
        panic!("a source writes nothing")
    }
    async fn complete(&self, _: &Upload, _: &[PartTag]) -> Result<Completed, StoreError> {
        panic!("a source writes nothing")
    }
    async fn abort(&self, _: &Upload) -> Result<(), StoreError> {
        panic!("a source writes nothing")
    }
    async fn uploads(&self, _: &str) -> Result<Vec<Upload>, StoreError> {
        panic!("a source writes nothing")
    }
}
