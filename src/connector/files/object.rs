//! One file of a store, as one look at it found it.
//!
//! Owns reading ranges of it and saying what went wrong in a source's words. Reads no further than the end that the look
//! found, or that the run ends at.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millstream_operators::Split;

use crate::connector::{SourceError, SplitInfo, Store, StoreError};

/// A file to read.
#[derive(Clone)]
pub(super) struct Object {
    pub(super) store: Arc<dyn Store>,
    pub(super) split: Split,
    /// Its size and version.
    pub(super) revision: Arc<str>,
    /// Where reading ends, in bytes as they lie in the store.
    pub(super) end: u64,
    /// When it was written last, where its store tells.
    pub(super) modified: Option<i64>,
}

impl Object {
    /// The file that a split stands for.
    pub(super) fn of(store: Arc<dyn Store>, info: &SplitInfo) -> Result<Self, SourceError> {
        let end = end(info).ok_or_else(|| SourceError::Refused {
            name: info.name.to_string(),
            message: format!("the revision {:?} is not one of the files source", info.revision),
        })?;
        Ok(Object { store, split: info.name.clone(), revision: info.revision.clone(), end, modified: info.arrived_at })
    }

    /// `length` bytes from `offset`, fewer only at the end.
    pub(super) async fn range(&self, offset: u64, length: usize) -> Result<Bytes, SourceError> {
        let wanted = (length as u64).min(self.end.saturating_sub(offset)) as usize;
        let first = self.piece(offset, wanted).await?;
        if first.len() == wanted {
            return Ok(first);
        }
        let mut whole = BytesMut::from(first);
        while whole.len() < wanted {
            let piece = self.piece(offset + whole.len() as u64, wanted - whole.len()).await?;
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// At least one byte where some are wanted.
    async fn piece(&self, offset: u64, length: usize) -> Result<Bytes, SourceError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        match self.store.get_range(&self.split, offset, length as u64).await {
            Ok(piece) if piece.is_empty() => Err(self.changed(format!(
                "it ends at byte {offset} now and had {} when it was listed: {KEPT_WHOLE}",
                self.end
            ))),
            Ok(mut piece) => {
                piece.truncate(length);
                Ok(piece)
            }
            Err(error) => Err(trouble(&self.split, error)),
        }
    }

    /// That what was read before is no longer so.
    pub(super) fn changed(&self, message: String) -> SourceError {
        SourceError::Changed { split: self.split.to_string(), message }
    }
}

/// Where reading ends, in bytes as they lie in the store; `None` where the split is none of the files source.
pub(super) fn end(info: &SplitInfo) -> Option<u64> {
    let size = info.revision.split(':').next()?.parse::<u64>().ok()?;
    let until = info.until.as_ref().and_then(|until| until.parse::<u64>().ok());
    Some(until.map_or(size, |until| until.min(size)))
}

/// What to do about a file that changed.
pub(super) const KEPT_WHOLE: &str =
    "a file may grow at its end, but what was read must stay; put changed data into a new file";

/// A store's error in a source's words.
pub(super) fn trouble(split: &str, error: StoreError) -> SourceError {
    match error {
        StoreError::Missing { .. } => SourceError::Changed {
            split: split.to_string(),
            message: format!("it was taken away while it was read: {KEPT_WHOLE}"),
        },
        error if error.can_retry() => SourceError::Unavailable { name: split.to_string(), message: error.to_string() },
        error => SourceError::Refused { name: split.to_string(), message: error.to_string() },
    }
}
