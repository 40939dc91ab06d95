//! The local connector: a folder that keeps the promises of an object store.
//!
//! ```text
//! <root>/<key>                                            an object
//! <root>/.millstream/staged/<key>.<16 hex digits>.part    an upload under way
//! <root>/.millstream/staged/<key>.<16 hex digits>.temp    a `create` or `put` under way, or left behind by a dead process
//! ```
//!
//! Owns the [`Store`] over a folder: what each call means in files ([`objects`], [`staged`]), how a name is given to one of
//! many ([`exclusive`]), which path a key has ([`path`]), what has to be synced for a file to survive a power cut
//! ([`durable`]), what dead processes left ([`leftovers`]), how a folder is listed ([`walk`]).
//! What must stay true: a file appears under its key by one link or one rename, when all its bytes are on disk; whatever
//! is unfinished lies under `.millstream/staged`, on the same file system, and never ends in `.parquet`; an answer
//! that a later step relies on is given only when a power cut cannot take it back. Files are read and written on tokio's
//! blocking threads.

mod durable;
mod exclusive;
mod failure;
mod leftovers;
mod objects;
mod path;
mod staged;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use self::failure::Failure;
use self::path::Folder;
use crate::connector::store::{Completed, Created, Entry, PartTag, Store, StoreError, Upload};

/// A store that is a folder. The folder is made by the first write.
#[derive(Clone, Debug)]
pub struct LocalStore {
    folder: Arc<Folder>,
    name: Arc<str>,
}

impl LocalStore {
    /// The store whose keys are paths under `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let name = root.display().to_string().into();
        LocalStore { folder: Arc::new(Folder::new(root)), name }
    }

    /// Runs what touches files where it may block, and says of a failure what was done to which key.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        key: &str,
        work: impl FnOnce(&Folder, &str) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (folder, at) = (self.folder.clone(), key.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&folder, &at)).await;
        done.unwrap_or_else(|stopped| Err(Failure::stopped(&stopped))).map_err(|f| f.of(&self.name, action, key))
    }
}

#[async_trait]
impl Store for LocalStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn min_part(&self) -> usize {
        1
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        self.blocking("create", key, move |folder, key| objects::create(folder, key, &bytes)).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.blocking("write", key, move |folder, key| objects::put(folder, key, &bytes)).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.blocking("read", key, objects::get).await
    }

    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        self.blocking("read", key, move |folder, key| objects::get_range(folder, key, offset, length)).await
    }

    async fn read(&self, key: &str, offset: u64) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let pieces = self.blocking("read", key, move |folder, key| objects::Pieces::open(folder, key, offset)).await?;
        let (store, key) = (self.clone(), key.to_owned());
        let stream = futures::stream::try_unfold((pieces, store, key), async |(mut pieces, store, key)| {
            let next = move |_: &Folder, _: &str| Ok((pieces.next()?, pieces));
            let (piece, pieces) = store.blocking("read", &key, next).await?;
            Ok(piece.map(|piece| (piece, (pieces, store, key))))
        });
        Ok(stream.boxed())
    }

    async fn look(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.blocking("look at", key, objects::look).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.blocking("list", prefix, objects::list).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.blocking("delete", key, objects::delete).await
    }

    async fn begin(&self, key: &str) -> Result<Upload, StoreError> {
        self.blocking("begin the upload of", key, staged::begin).await
    }

    async fn put_part(&self, upload: &Upload, number: u32, bytes: Bytes) -> Result<PartTag, StoreError> {
        let id = upload.id.clone();
        let work = move |folder: &Folder, key: &str| staged::put_part(folder, key, &id, number, &bytes);
        self.blocking("upload a part of", &upload.key, work).await
    }

    /// Parts that come one after the other lie in the staged file as they will in the object: completing it copies nothing.
    fn parts_at_once(&self) -> usize {
        1
    }

    async fn settle(&self, upload: &Upload) -> Result<(), StoreError> {
        let id = upload.id.clone();
        let work = move |folder: &Folder, key: &str| staged::settle(folder, key, &id);
        self.blocking("sync the upload of", &upload.key, work).await
    }

    async fn complete(&self, upload: &Upload, parts: &[PartTag]) -> Result<Completed, StoreError> {
        let (id, parts) = (upload.id.clone(), parts.to_vec());
        let work =
            move |folder: &Folder, key: &str| staged::complete(folder, key, &id, &parts).map(|()| Completed::default());
        self.blocking("complete the upload of", &upload.key, work).await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        let id = upload.id.clone();
        let work = move |folder: &Folder, key: &str| staged::abort(folder, key, &id);
        self.blocking("abort the upload of", &upload.key, work).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StoreError> {
        self.blocking("list the uploads of", prefix, staged::uploads).await
    }

    async fn remove_leftovers(&self) -> Result<usize, StoreError> {
        self.blocking("clear away the leftovers of", "", |folder, _| leftovers::remove(folder)).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
