//! A file of a store as the Parquet reader wants it: any range, blocking, with the last few blocks at hand.
//!
//! A columnar reader goes from column to column, each read in order; so each of a few columns finds its block here again. Holds at
//! most two fetches' worth of bytes. What the store answers is kept apart from what the file is, since the Parquet reader
//! turns all errors into its own.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;

use super::object::Object;
use crate::connector::SourceError;

/// Blocks at hand, of a quarter of a fetch each.
const BLOCKS: usize = 8;

/// The file. Clones share the blocks.
#[derive(Clone)]
pub(super) struct Blocks {
    object: Object,
    size: u64,
    runtime: Handle,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Start and bytes, the one used last in front.
    blocks: VecDeque<(u64, Bytes)>,
    error: Option<SourceError>,
}

impl Blocks {
    /// Made on the runtime that will do the fetching; read where blocking is allowed.
    pub(super) fn new(object: Object, fetch: usize) -> Self {
        let size = (fetch as u64 / 4).max(4096);
        Blocks { object, size, runtime: Handle::current(), shared: Arc::default() }
    }

    /// The store's error, if there was one since the last look.
    pub(super) fn error(&self) -> Option<SourceError> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).error.take()
    }

    fn fetch(&self, start: u64, length: usize) -> Result<Bytes> {
        self.runtime.block_on(self.object.range(start, length)).map_err(|error| {
            let message = error.to_string();
            self.shared.lock().unwrap_or_else(PoisonError::into_inner).error = Some(error);
            ParquetError::General(message)
        })
    }

    /// The block that starts at `start`.
    fn block(&self, start: u64) -> Result<Bytes> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = shared.blocks.iter().position(|(known, _)| *known == start)
            && let Some(block) = shared.blocks.remove(at)
        {
            shared.blocks.push_front(block.clone());
            return Ok(block.1);
        }
        drop(shared);
        let block = self.fetch(start, self.size as usize)?;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.blocks.truncate(BLOCKS - 1);
        shared.blocks.push_front((start, block.clone()));
        Ok(block)
    }

    /// What the block of `offset` holds from there on.
    fn from(&self, offset: u64) -> Result<Bytes> {
        let within = offset % self.size;
        let block = self.block(offset - within)?;
        Ok(block.slice((within as usize).min(block.len())..))
    }
}

impl Length for Blocks {
    fn len(&self) -> u64 {
        self.object.end
    }
}

impl ChunkReader for Blocks {
    type T = Reader;

    fn get_read(&self, start: u64) -> Result<Reader> {
        Ok(Reader { blocks: self.clone(), offset: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.saturating_add(length as u64) > self.object.end {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} are more than the file has")));
        }
        let at_hand = if (length as u64) < self.size { self.from(start)? } else { Bytes::new() };
        if at_hand.len() >= length {
            return Ok(at_hand.slice(..length));
        }
        self.fetch(start, length)
    }
}

/// Reads on from an offset, block by block.
pub(super) struct Reader {
    blocks: Blocks,
    offset: u64,
}

impl io::Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut at_hand = self.blocks.from(self.offset).map_err(io::Error::other)?;
        let length = at_hand.len().min(into.len());
        at_hand.copy_to_slice(&mut into[..length]);
        self.offset += length as u64;
        Ok(length)
    }
}
