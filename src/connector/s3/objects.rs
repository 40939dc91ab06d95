//! Whole objects of a bucket.
//!
//! Owns the calls on finished objects. What must stay true: of `create`, an answer that something is there is `Exists`
//! whoever put it there, and only "did not happen" is tried again here.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumMode, ChecksumType, Object};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::failure::{Answer, Called};
use super::{S3Store, connect, crc};
use crate::connector::store::{Created, Entry, StoreError};

/// How often a `create` that did not happen is tried.
const CREATES: u32 = 6;
/// How often an object is fetched again whose body broke off.
const FETCHES: u32 = 4;
/// The first pause between tries; each one after doubles it.
const PAUSE: Duration = Duration::from_millis(50);

impl S3Store {
    pub(super) async fn create_object(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let mut tries = 0;
        loop {
            let answer = self.create_once(key, bytes.clone()).await;
            tries += 1;
            match answer {
                Err(StoreError::Unavailable { .. }) if tries < CREATES => pause(tries).await,
                answer => return answer,
            }
        }
    }

    async fn create_once(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let settings = connect::once(bytes.len());
        let request = self.put_request(key, bytes).if_none_match("*");
        match request.customize().config_override(settings).send().await {
            Ok(_) => Ok(Created::New),
            Err(error) => match Answer::of(&error) {
                Some(answer) if answer.status == 412 => Ok(Created::Exists),
                _ => Err(self.failure(Called::to_write("create", key), error)),
            },
        }
    }

    pub(super) async fn put_object(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let settings = connect::for_bytes(bytes.len());
        let sent = self.put_request(key, bytes).customize().config_override(settings).send().await;
        sent.map(drop).map_err(|error| self.failure(Called::to_write("write", key), error))
    }

    fn put_request(
        &self,
        key: &str,
        bytes: Bytes,
    ) -> aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder {
        let sum = crc::text(crc::of(&bytes));
        let request = self.client.put_object().bucket(&self.place.bucket).key(self.full(key));
        request.checksum_crc64_nvme(sum).body(ByteStream::from(bytes))
    }

    /// Fetches an object, or what a range header asks of it; `None` where nothing lies under the key.
    pub(super) async fn get_object(&self, key: &str, range: Option<String>) -> Result<Option<Bytes>, StoreError> {
        let mut tries = 0;
        loop {
            let body = match self.open(key, range.clone()).await? {
                Opened::Body(object) => object.body,
                Opened::Nothing => return Ok(Some(Bytes::new())),
                Opened::Missing => return Ok(None),
            };
            tries += 1;
            match body.collect().await {
                Ok(whole) => return Ok(Some(whole.into_bytes())),
                Err(_) if tries < FETCHES => pause(tries).await,
                Err(error) => return Err(self.broken(key, &error)),
            }
        }
    }

    pub(super) async fn get_part_of_object(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        if length == 0 {
            // No range header says "nothing".
            return self.head_object(key).await?.map(|_| Bytes::new()).ok_or_else(|| self.missing(key));
        }
        let range = match offset.checked_add(length - 1) {
            Some(last) => format!("bytes={offset}-{last}"),
            None => format!("bytes={offset}-"),
        };
        self.get_object(key, Some(range)).await?.ok_or_else(|| self.missing(key))
    }

    pub(super) async fn stream_object(
        &self,
        key: &str,
        offset: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        let body = match self.open(key, range).await? {
            Opened::Body(object) => object.body,
            Opened::Nothing => return Ok(futures::stream::empty().boxed()),
            Opened::Missing => return Err(self.missing(key)),
        };
        let (store, key) = (self.clone(), key.to_owned());
        let pieces = futures::stream::try_unfold((body, store, key), async |(mut body, store, key)| {
            let piece = body.try_next().await.map_err(|error| store.broken(&key, &error))?;
            Ok(piece.map(|piece| (piece, (body, store, key))))
        });
        Ok(pieces.boxed())
    }

    async fn open(&self, key: &str, range: Option<String>) -> Result<Opened, StoreError> {
        let request = self.client.get_object().bucket(&self.place.bucket).key(self.full(key)).set_range(range);
        let error = match request.send().await {
            Ok(object) => return Ok(Opened::Body(Box::new(object))),
            Err(error) => error,
        };
        let is_missing = matches!(error.as_service_error(), Some(GetObjectError::NoSuchKey(_)));
        match Answer::of(&error) {
            Some(answer) if is_missing || is_nothing_there(&answer) => Ok(Opened::Missing),
            Some(answer) if answer.status == 416 => Ok(Opened::Nothing),
            _ => Err(self.failure(Called::to_read("read", key), error)),
        }
    }

    fn broken(&self, key: &str, error: &dyn std::error::Error) -> StoreError {
        self.unavailable(Called::to_read("read", key), format!("the answer broke off: {error}"))
    }

    pub(super) async fn head_object(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let request = self.client.head_object().bucket(&self.place.bucket).key(self.full(key));
        match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) => Ok(Some(seen(key, &head))),
            // To HEAD there is no body, so a missing bucket cannot be told from a missing object here.
            Err(error) => match Answer::of(&error) {
                Some(answer) if answer.status == 404 => Ok(None),
                _ => Err(self.failure(Called::to_read("look at", key), error)),
            },
        }
    }

    pub(super) async fn list_objects(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let request = self.client.list_objects_v2().bucket(&self.place.bucket).prefix(self.full(prefix));
        let mut pages = request.into_paginator().send();
        let mut entries = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failure(Called::to_read("list", prefix), error))?;
            entries.extend(page.contents().iter().filter_map(|object| self.listed(object)));
        }
        // AWS lists in this order; not every server does, and some kinds of bucket do not.
        entries.sort_unstable_by(|one: &Entry, other: &Entry| one.key.cmp(&other.key));
        Ok(entries)
    }

    fn listed(&self, object: &Object) -> Option<Entry> {
        Some(Entry {
            key: self.relative(object.key()?)?,
            size: size(object.size()),
            version: bare(object.e_tag().unwrap_or_default()),
            modified: micros(object.last_modified()),
            crc: None,
        })
    }

    pub(super) async fn delete_object(&self, key: &str) -> Result<(), StoreError> {
        let sent = self.client.delete_object().bucket(&self.place.bucket).key(self.full(key)).send().await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) => match Answer::of(&error) {
                Some(answer) if is_nothing_there(&answer) => Ok(()),
                _ => Err(self.failure(Called::to_write("delete", key), error)),
            },
        }
    }
}

enum Opened {
    Body(Box<GetObjectOutput>),
    /// The object ends before the range begins.
    Nothing,
    Missing,
}

fn micros(time: Option<&DateTime>) -> Option<i64> {
    time.and_then(|time| i64::try_from(time.as_nanos() / 1_000).ok())
}

fn is_nothing_there(answer: &Answer) -> bool {
    answer.status == 404 && answer.code != "NoSuchBucket"
}

fn seen(key: &str, head: &HeadObjectOutput) -> Entry {
    // A sum of the parts' sums says nothing about the bytes.
    let is_whole = head.checksum_type() != Some(&ChecksumType::Composite);
    Entry {
        key: key.to_owned(),
        size: size(head.content_length()),
        version: bare(head.e_tag().unwrap_or_default()),
        modified: micros(head.last_modified()),
        crc: head.checksum_crc64_nvme().filter(|_| is_whole).and_then(crc::parse),
    }
}

fn size(reported: Option<i64>) -> u64 {
    reported.and_then(|size| u64::try_from(size).ok()).unwrap_or(0)
}

/// An entity tag without its quotes.
pub(super) fn bare(tag: &str) -> String {
    tag.trim_matches('"').to_owned()
}

/// Waits before another try, each time longer and by chance a little more, so that many who were turned away together do
/// not come back together.
async fn pause(tries: u32) {
    let longest = PAUSE * 2u32.pow(tries.min(6));
    let share = RandomState::new().hash_one(tries) % 1000;
    tokio::time::sleep(longest / 2 + longest / 2 * share as u32 / 1000).await;
}
