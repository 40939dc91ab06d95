//! What leaves the encoder: files in pieces, and what is to be known of each once it is whole.
//!
//! Owns the shapes only. Pieces of a file come numbered from 1 without a gap, all but the last of the same size, and the
//! last one carries the file's [`Summary`]. A file has at least one piece.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::batch::Permit;
pub(super) use crate::protocol::commit::Range;

/// A file of one worker: nothing else writes under that number in that epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    pub epoch: u64,
    /// Counts the files of the epoch on this worker, from 0.
    pub part: u32,
}

/// Some bytes of a file.
#[derive(Clone)]
pub struct Piece {
    pub file: FileId,
    /// The whole key below the sink's root: partition path and name.
    pub key: Arc<str>,
    /// From 1; pieces of one file come in order.
    pub number: u32,
    pub bytes: Bytes,
    /// The memory of `bytes`.
    pub permit: Permit,
    /// With the last piece: the file is whole.
    pub end: Option<Summary>,
}

/// What is known of a whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub rows: u64,
    pub bytes: u64,
    /// CRC-64/NVME over the whole file.
    pub crc: u64,
    /// Where the rows came from, by split.
    pub ranges: Vec<Range>,
    /// Partition columns and their values as text, in order; `None` is null.
    pub partition: Vec<(String, Option<String>)>,
}
