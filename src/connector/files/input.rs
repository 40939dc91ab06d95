//! The unpacked bytes of a file, a window at a time.
//!
//! Owns where windows come from: of a plain file they are ranges of the store as they are, never copied; of a packed one they
//! are unpacked into a buffer of bounded size. Framing lines is the business of who asks. What must stay true: a window
//! starts where the last one was read to, which the caller tells by what it keeps.

use bytes::{Buf, Bytes, BytesMut};

use super::object::Object;
use super::unpack::{Packing, Unpacker};
use crate::connector::SourceError;

/// Packed bytes fetched at a time, at most.
const PACKED: usize = 256 << 10;
/// The smallest window worth asking for.
const LEAST: usize = 64 << 10;

/// Some of a file's unpacked bytes.
pub(super) struct Window {
    pub(super) bytes: Bytes,
    /// How the file ends, where it ends with this window.
    pub(super) end: Option<Ending>,
}

/// How a file ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it should.
    Whole,
    /// In the middle of a packed stream.
    Truncated,
    /// With bytes that cannot be unpacked.
    Broken(String),
}

/// A file being read.
pub(super) struct Input {
    object: Object,
    packing: Packing,
    /// The next byte of the store to fetch.
    at: u64,
    /// Fetched and not yet unpacked.
    packed: Bytes,
    unpacker: Option<Unpacker>,
    end: Option<Ending>,
}

impl Input {
    /// The file from unpacked byte `from`, which is not 0 for plain files only.
    pub(super) fn open(object: Object, packing: Packing, from: u64) -> Result<Self, SourceError> {
        let unpacker = Unpacker::new(packing).map_err(|error| SourceError::Unavailable {
            name: object.split.to_string(),
            message: format!("no memory to unpack it: {error}"),
        })?;
        Ok(Input { object, packing, at: from, packed: Bytes::new(), unpacker, end: None })
    }

    /// How the file is packed.
    pub(super) fn packing(&self) -> Packing {
        self.packing
    }

    /// A size for the next window: `wanted`, or less where so much will not come.
    pub(super) fn size(&self, kept: usize, wanted: usize) -> usize {
        let left = self.object.end.saturating_sub(self.at) as usize;
        match self.packing {
            Packing::Plain => wanted.min(left + kept),
            _ => wanted.min((left + self.packed.len()).saturating_mul(8).max(LEAST)).max(kept + LEAST),
        }
    }

    /// A window of up to `size` bytes that begins with what was kept of the last one.
    pub(super) async fn window(&mut self, kept: Bytes, size: usize) -> Result<Window, SourceError> {
        if self.unpacker.is_some() {
            return self.unpacked(kept, size).await;
        }
        let start = self.at - kept.len() as u64;
        drop(kept);
        let bytes = self.object.range(start, size).await?;
        self.at = start + bytes.len() as u64;
        let end = (self.at >= self.object.end).then_some(Ending::Whole);
        Ok(Window { bytes, end })
    }

    async fn unpacked(&mut self, kept: Bytes, size: usize) -> Result<Window, SourceError> {
        let mut window = BytesMut::zeroed(size.max(kept.len()));
        let mut filled = kept.len();
        window[..filled].copy_from_slice(&kept);
        drop(kept);
        while filled < window.len() && self.end.is_none() {
            if self.packed.is_empty() && self.at < self.object.end {
                self.packed = self.object.range(self.at, PACKED).await?;
                self.at += self.packed.len() as u64;
            }
            filled += self.step(&mut window[filled..]);
            // Unpacking is work between two awaits that may all be ready: let others have their turn.
            tokio::task::yield_now().await;
        }
        window.truncate(filled);
        Ok(Window { bytes: window.freeze(), end: self.end.clone() })
    }

    /// Unpacks into `room`; answers how much came, and notes the end where there is no more.
    fn step(&mut self, room: &mut [u8]) -> usize {
        let Some(unpacker) = &mut self.unpacker else { return 0 };
        let exhausted = self.packed.is_empty();
        if exhausted && unpacker.between() {
            self.end = Some(Ending::Whole);
            return 0;
        }
        match unpacker.step(&self.packed, room) {
            Ok(step) => {
                self.packed.advance(step.taken);
                if step.taken + step.given == 0 {
                    // With input there and room too, a codec that does nothing never will.
                    let stuck = || Ending::Broken("it leads nowhere".into());
                    self.end = Some(if exhausted { Ending::Truncated } else { stuck() });
                }
                step.given
            }
            // Some codecs call input that is not there yet an error.
            Err(_) if exhausted => {
                self.end = Some(Ending::Truncated);
                0
            }
            Err(message) => {
                self.end = Some(Ending::Broken(message));
                0
            }
        }
    }
}
