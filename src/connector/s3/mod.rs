//! The S3 connector: a bucket, or a prefix in one, on AWS or on any server that speaks S3.
//!
//! Owns the [`Store`] over the S3 API and is the only place that names the SDK: where a store lies and how it is reached
//! ([`place`], [`connect`]), whole objects ([`objects`]), multipart uploads ([`uploads`]), what an error means
//! ([`failure`]), making a bucket ([`bucket`]), the checksum that S3 keeps ([`crc`]), and rules of a bucket that would hurt ([`rules`]).
//!
//! What must stay true: `create` is one conditional PUT that the SDK never repeats by itself, so that every answer to it is
//! seen and judged here, and so is `complete`, whose answers are judged by its caller; whatever else is sent may be sent
//! again, because doing it twice is the same as doing it once; an error after which the call may have happened is [`StoreError::Unclear`].

mod bucket;
mod connect;
mod crc;
mod failure;
mod objects;
mod place;
mod rules;
mod uploads;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use bytes::Bytes;
use futures::stream::BoxStream;

pub use self::place::Place;
use crate::connector::store::{Completed, Created, Entry, PartTag, Store, StoreError, Upload};

/// S3 takes no smaller part but the last.
const MIN_PART: usize = 5 << 20;

/// A store that is a bucket or a part of one.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
    place: Arc<Place>,
    name: Arc<str>,
    /// Whether the server takes the checksum of a whole upload; found out by the first one.
    checksums: Arc<AtomicBool>,
}

impl S3Store {
    /// The key as the bucket has it.
    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.place.prefix)
    }

    /// The key as the store's users have it; `None` for one outside the store's prefix.
    fn relative(&self, key: &str) -> Option<String> {
        key.strip_prefix(&self.place.prefix).map(str::to_owned)
    }
}

#[async_trait]
impl Store for S3Store {
    fn name(&self) -> &str {
        &self.name
    }

    fn min_part(&self) -> usize {
        MIN_PART
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        self.create_object(key, bytes).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.put_object(key, bytes).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.get_object(key, None).await
    }

    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        self.get_part_of_object(key, offset, length).await
    }

    async fn read(&self, key: &str, offset: u64) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        self.stream_object(key, offset).await
    }

    async fn look(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.head_object(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.list_objects(prefix).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.delete_object(key).await
    }

    async fn begin(&self, key: &str) -> Result<Upload, StoreError> {
        self.begin_upload(key).await
    }

    async fn put_part(&self, upload: &Upload, number: u32, bytes: Bytes) -> Result<PartTag, StoreError> {
        self.upload_part(upload, number, bytes).await
    }

    async fn complete(&self, upload: &Upload, parts: &[PartTag]) -> Result<Completed, StoreError> {
        self.complete_upload(upload, parts).await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        self.abort_upload(upload).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StoreError> {
        self.list_uploads(prefix).await
    }

    async fn warnings(&self) -> Vec<String> {
        self.harmful_rules().await
    }
}
