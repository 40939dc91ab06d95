//! Payloads as they were sent: plain, gzip or zstd.
//!
//! Owns the limits on a payload, packed and unpacked. What must stay true: a payload that unpacks to more than the limit
//! costs the limit and no more, whatever it claims of itself; the scratch memory is shared by all payloads.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use zstd::zstd_safe::{self, DCtx};

use super::fault::Fault;
use crate::reject::Reason;

/// How payloads are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    /// Told by the first bytes of each payload.
    #[default]
    Auto,
}

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

impl Compression {
    fn of(self, payload: &[u8]) -> Compression {
        match self {
            Compression::Auto if payload.starts_with(&GZIP) => Compression::Gzip,
            Compression::Auto if payload.starts_with(&ZSTD) => Compression::Zstd,
            Compression::Auto => Compression::None,
            told => told,
        }
    }
}

/// Unpacks payloads, one after the other.
pub(super) struct Unpack {
    compression: Compression,
    limit: usize,
    scratch: Vec<u8>,
    zstd: DCtx<'static>,
}

impl Unpack {
    pub(super) fn new(compression: Compression, limit: usize) -> Self {
        Unpack { compression, limit, scratch: Vec::new(), zstd: DCtx::create() }
    }

    /// The bytes of a record in a file, which is unpacked already.
    pub(super) fn plain<'a>(&self, record: &'a [u8]) -> Result<&'a [u8], Box<Fault>> {
        if record.len() > self.limit { Err(self.too_large("has", record.len())) } else { Ok(record) }
    }

    /// The bytes of a payload.
    pub(super) fn payload<'a>(&'a mut self, payload: &'a [u8]) -> Result<&'a [u8], Box<Fault>> {
        let payload = self.plain(payload)?;
        match self.compression.of(payload) {
            Compression::Gzip => self.gzip(payload),
            Compression::Zstd => self.zstd(payload),
            Compression::None | Compression::Auto => Ok(payload),
        }
    }

    fn gzip(&mut self, payload: &[u8]) -> Result<&[u8], Box<Fault>> {
        self.scratch.clear();
        let mut reader = MultiGzDecoder::new(payload).take(self.limit as u64 + 1);
        let read = reader.read_to_end(&mut self.scratch);
        if self.scratch.len() > self.limit {
            return Err(self.too_large("unpacks to more than", self.limit));
        }
        read.map_err(|error| Fault::new(Reason::Decode, format!("broken gzip: {error}")))?;
        Ok(&self.scratch)
    }

    fn zstd(&mut self, payload: &[u8]) -> Result<&[u8], Box<Fault>> {
        self.scratch.clear();
        // All of it is promised, but only what is written to becomes memory.
        self.scratch.reserve(self.limit);
        let unpacked = self.zstd.decompress(&mut self.scratch, payload).map_err(zstd_safe::get_error_name);
        match unpacked {
            Ok(bytes) if bytes <= self.limit => Ok(&self.scratch),
            Ok(_) => Err(self.too_large("unpacks to more than", self.limit)),
            Err(name) if name.contains("too small") => Err(self.too_large("unpacks to more than", self.limit)),
            Err(name) => Err(Fault::new(Reason::Decode, format!("broken zstd: {}", name.to_lowercase()))),
        }
    }

    fn too_large(&self, verb: &str, bytes: usize) -> Box<Fault> {
        Fault::new(Reason::TooLarge, format!("the payload {verb} {bytes} bytes; the limit is {}", self.limit))
    }
}
