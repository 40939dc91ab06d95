//! Where files and the commit log lie: an object store, or a folder that is made to behave like one.
//!
//! Owns the trait, its error, and what every implementation must keep true:
//!
//! - Keys are relative to the store's root, with `/` between parts. A key is whole or absent, never half written.
//! - [`Store::create`] is the one decision of the commit protocol: of any number of concurrent calls with one key, at most
//!   one ever succeeds, and what it wrote is what everyone reads from then on.
//! - An upload shows nothing under its key until [`Store::complete`]; completing it again is harmless; a completed,
//!   aborted or unknown upload answers [`StoreError::NoSuchUpload`], one whose parts are not as the call says
//!   [`StoreError::BadParts`]. Neither proves that the object is not there: another call may have completed the upload.
//! - An error says whether the call can have happened all the same ([`StoreError::Unclear`]). Retries of what is safe to
//!   repeat are the implementation's business; an `Unclear` that reaches the caller has to be looked into.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An upload that is under way, as the store names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Upload {
    /// The key that it will appear under.
    pub key: String,
    /// The store's own name for it.
    pub id: String,
}

/// What the store answers for a part, to be handed back when the upload is completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartTag(pub String);

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub size: u64,
    /// Changes whenever the content does (an entity tag; size and modification time).
    pub version: String,
    /// When it was written, by the store's clock, where it tells: microseconds since 1970, UTC.
    pub modified: Option<i64>,
    /// The CRC-64/NVME of the whole content, where the store keeps one.
    pub crc: Option<u64>,
}

/// The answer to [`Store::complete`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completed {
    /// The CRC-64/NVME of the object that is there now, where the answer itself told it. It saves a [`Store::look`].
    pub crc: Option<u64>,
}

/// What went wrong with a call to a store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Nothing lies under that key.
    #[error("{key} is not in {store}")]
    Missing { store: String, key: String },
    /// The upload is not known: completed, aborted, or never there.
    #[error("the upload of {key} is not known to {store} (any more)")]
    NoSuchUpload { store: String, key: String },
    /// The upload is known, but its parts do not make the object: one is missing, changed, too small, or damaged.
    #[error("{store} cannot make {key} of its parts: {message}")]
    BadParts { store: String, key: String, message: String },
    /// The store refused, and will again: no permission, no bucket, a bad name.
    #[error("{store} refused to {action} {key}: {message}")]
    Refused { store: String, action: &'static str, key: String, message: String },
    /// The call did not happen, and may go through later.
    #[error("{store} could not {action} {key}: {message}")]
    Unavailable { store: String, action: &'static str, key: String, message: String },
    /// The call may have happened: no answer came, or one that does not tell.
    #[error("no clear answer from {store} to {action} {key}: {message}")]
    Unclear { store: String, action: &'static str, key: String, message: String },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn can_retry(&self) -> bool {
        matches!(self, StoreError::Unavailable { .. } | StoreError::Unclear { .. })
    }

    /// The same error once its call has been repeated in vain, saying for how long.
    pub fn given_up(mut self, tries: u32, lasted: Duration) -> Self {
        if let StoreError::Unavailable { message, .. } | StoreError::Unclear { message, .. } = &mut self {
            let minutes = lasted.as_secs() / 60;
            message.push_str(&format!(
                "; {tries} tries in {minutes} minutes came to nothing. Nothing committed is lost: start again once the \
                 store answers"
            ));
        }
        self
    }
}

/// The answer to [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is there now, with the bytes of this call.
    New,
    /// Something was there before; nothing changed. (It may be the work of an earlier try of this very call.)
    Exists,
}

/// A place for files and for the commit log.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The place as a user would write it, for messages: `s3://bucket/prefix`, `/data/enriched`.
    fn name(&self) -> &str;

    /// The smallest size of a part that is not the last of its upload.
    fn min_part(&self) -> usize;

    /// Writes a whole object, only if nothing lies under the key.
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError>;

    /// Writes a whole object, over what may be there.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError>;

    /// Reads a whole object; `None` where nothing lies under the key.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// Reads `length` bytes from `offset`, fewer at the end; [`StoreError::Missing`] where nothing lies under the key.
    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, StoreError>;

    /// Reads from `offset` to the end in pieces, as they come. The stream ends after its first error.
    async fn read(&self, key: &str, offset: u64) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError>;

    /// What is known of one object; `None` where nothing lies under the key.
    async fn look(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// All objects whose keys start with `prefix`, by key. Uploads not completed are not among them.
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError>;

    /// Takes an object away; one that is not there is no error.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;

    /// Begins an upload.
    async fn begin(&self, key: &str) -> Result<Upload, StoreError>;

    /// Uploads part `number` (from 1); the same number again replaces the part.
    async fn put_part(&self, upload: &Upload, number: u32, bytes: Bytes) -> Result<PartTag, StoreError>;

    /// How many parts of one upload are worth sending side by side.
    fn parts_at_once(&self) -> usize {
        4
    }

    /// Makes sure that the parts uploaded so far outlast a power cut: to be called before a commit names the upload. A
    /// store whose parts are safe as soon as they have a tag has nothing to do.
    async fn settle(&self, _upload: &Upload) -> Result<(), StoreError> {
        Ok(())
    }

    /// Makes the upload's parts, in order, the object under its key. Each answer is the caller's to judge: nothing is
    /// repeated in here.
    async fn complete(&self, upload: &Upload, parts: &[PartTag]) -> Result<Completed, StoreError>;

    /// Drops an upload and its parts; one that is not known is no error.
    async fn abort(&self, upload: &Upload) -> Result<(), StoreError>;

    /// The uploads under way whose keys start with `prefix`.
    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StoreError>;

    /// Removes what killed processes left of calls that ended halfway, and tells how much that was. What a live process
    /// is working on, of this pipeline or another, is left alone. A store whose calls leave nothing has nothing to do.
    async fn remove_leftovers(&self) -> Result<usize, StoreError> {
        Ok(0)
    }

    /// Things about the place that a user should hear of before relying on it (a lifecycle rule that aborts uploads too
    /// early, or that expires objects). Never fails: what cannot be found out is not warned of.
    async fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
