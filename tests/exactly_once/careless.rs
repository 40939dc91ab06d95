//! A store that writes over what is there, asked to create: no log can be kept in it, so a start refuses it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use millstream::clock::Clock;
use millstream::config::Config;
use millstream::connector::Bounds;
use millstream::connector::memory::MemoryStore;
use millstream::connector::memory::source::{Lake, MemorySource};
use millstream::connector::store::{Completed, Created, Entry, PartTag, Store, StoreError, Upload};
use millstream::log::Places;
use millstream::log::claim::claim;
use millstream::run::inspector;
use millstream::stages::Stages;

struct Careless(MemoryStore);

type Answer<T> = Result<T, StoreError>;

#[async_trait]
impl Store for Careless {
    async fn create(&self, key: &str, bytes: Bytes) -> Answer<Created> {
        self.0.put(key, bytes).await.map(|()| Created::New)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn min_part(&self) -> usize {
        self.0.min_part()
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Answer<()> {
        self.0.put(key, bytes).await
    }

    async fn get(&self, key: &str) -> Answer<Option<Bytes>> {
        self.0.get(key).await
    }

    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Answer<Bytes> {
        self.0.get_range(key, offset, length).await
    }

    async fn read(&self, key: &str, offset: u64) -> Answer<BoxStream<'static, Answer<Bytes>>> {
        self.0.read(key, offset).await
    }

    async fn look(&self, key: &str) -> Answer<Option<Entry>> {
        self.0.look(key).await
    }

    async fn list(&self, prefix: &str) -> Answer<Vec<Entry>> {
        self.0.list(prefix).await
    }

    async fn delete(&self, key: &str) -> Answer<()> {
        self.0.delete(key).await
    }

    async fn begin(&self, key: &str) -> Answer<Upload> {
        self.0.begin(key).await
    }

    async fn put_part(&self, upload: &Upload, number: u32, bytes: Bytes) -> Answer<PartTag> {
        self.0.put_part(upload, number, bytes).await
    }

    async fn complete(&self, upload: &Upload, parts: &[PartTag]) -> Answer<Completed> {
        self.0.complete(upload, parts).await
    }

    async fn abort(&self, upload: &Upload) -> Answer<()> {
        self.0.abort(upload).await
    }

    async fn uploads(&self, prefix: &str) -> Answer<Vec<Upload>> {
        self.0.uploads(prefix).await
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditional_create_is_refused() {
    let store: Arc<dyn Store> = Arc::new(Careless(MemoryStore::new("careless")));
    let places = Places::single(store.clone(), store.clone());
    let file = "name = \"p\"\n[source]\ntype = \"generate\"\n[schema]\na = \"string\"\n[sink]\npath = \"out\"";
    let config = Config::parse("p.toml", file, &|_| None).unwrap();
    let who = inspector(&Stages::compile(Arc::new(config)).unwrap(), "w").unwrap();
    let clock = Clock::system();
    let source = MemorySource::new(Lake::new(1, |_, _, _| Bytes::new()), Bounds::UntilEnd, 1, clock.as_source());
    let refused = claim(&places, &source, &who, &clock).await.unwrap_err().to_string();
    assert!(refused.contains("careless does not honour a conditional create"), "{refused}");
    assert!(refused.contains("Use a store that honours it"), "{refused}");
    let left = store.list("").await.unwrap();
    assert!(left.is_empty(), "something was left behind: {left:?}");
}
