//! A folder of a store, as a pipeline sees it whose sink lies below another's.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use millstream::connector::Store;
use millstream::connector::memory::MemoryStore;
use millstream::connector::store::{Completed, Created, Entry, PartTag, StoreError, Upload};

/// What lies below a prefix.
pub(crate) struct Below {
    pub(crate) inner: MemoryStore,
    pub(crate) prefix: &'static str,
}

type Answer<T> = Result<T, StoreError>;

impl Below {
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn within(&self, key: &str) -> String {
        key.strip_prefix(self.prefix).unwrap().to_owned()
    }

    fn outer(&self, upload: &Upload) -> Upload {
        Upload { key: self.key(&upload.key), id: upload.id.clone() }
    }

    fn inner(&self, upload: Upload) -> Upload {
        Upload { key: self.within(&upload.key), id: upload.id }
    }
}

#[async_trait]
impl Store for Below {
    fn name(&self) -> &str {
        "data/below"
    }

    fn min_part(&self) -> usize {
        self.inner.min_part()
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Answer<Created> {
        self.inner.create(&self.key(key), bytes).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Answer<()> {
        self.inner.put(&self.key(key), bytes).await
    }

    async fn get(&self, key: &str) -> Answer<Option<Bytes>> {
        self.inner.get(&self.key(key)).await
    }

    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Answer<Bytes> {
        self.inner.get_range(&self.key(key), offset, length).await
    }

    async fn read(&self, key: &str, offset: u64) -> Answer<BoxStream<'static, Answer<Bytes>>> {
        self.inner.read(&self.key(key), offset).await
    }

    async fn look(&self, key: &str) -> Answer<Option<Entry>> {
        let found = self.inner.look(&self.key(key)).await?;
        Ok(found.map(|entry| Entry { key: key.to_owned(), ..entry }))
    }

    async fn list(&self, prefix: &str) -> Answer<Vec<Entry>> {
        let found = self.inner.list(&self.key(prefix)).await?;
        Ok(found.into_iter().map(|entry| Entry { key: self.within(&entry.key), ..entry }).collect())
    }

    async fn delete(&self, key: &str) -> Answer<()> {
        self.inner.delete(&self.key(key)).await
    }

    async fn begin(&self, key: &str) -> Answer<Upload> {
        Ok(self.inner(self.inner.begin(&self.key(key)).await?))
    }

    async fn put_part(&self, upload: &Upload, number: u32, bytes: Bytes) -> Answer<PartTag> {
        self.inner.put_part(&self.outer(upload), number, bytes).await
    }

    async fn complete(&self, upload: &Upload, parts: &[PartTag]) -> Answer<Completed> {
        self.inner.complete(&self.outer(upload), parts).await
    }

    async fn abort(&self, upload: &Upload) -> Answer<()> {
        self.inner.abort(&self.outer(upload)).await
    }

    async fn uploads(&self, prefix: &str) -> Answer<Vec<Upload>> {
        let found = self.inner.uploads(&self.key(prefix)).await?;
        Ok(found.into_iter().map(|upload| self.inner(upload)).collect())
    }
}
