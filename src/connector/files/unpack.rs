//! Unpacking gzip and zstd as they come, in steps that the caller bounds.
//!
//! Owns what a packed stream is: any number of members or frames one behind the other. Does no I/O. What must stay true: a
//! step never gives more than the room it is handed, so that a bomb costs no more memory than a page of text.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder, Operation};

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// By the first bytes of the file.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0x1F, 0x8B, ..] => Packing::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Packing::Zstd,
            _ => Packing::Plain,
        }
    }

    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Packing::Plain => "plain",
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
        }
    }
}

/// A stream being unpacked.
pub(super) struct Unpacker {
    codec: Codec,
    /// Whether the last step ended a member, so that the stream may end here.
    between: bool,
}

enum Codec {
    Gzip(Decompress),
    Zstd(Decoder<'static>),
}

/// What a step took and gave.
pub(super) struct Step {
    pub(super) taken: usize,
    pub(super) given: usize,
}

impl Unpacker {
    /// For a packed stream; `None` for a plain one.
    pub(super) fn new(packing: Packing) -> std::io::Result<Option<Self>> {
        let codec = match packing {
            Packing::Plain => return Ok(None),
            Packing::Gzip => Codec::Gzip(Decompress::new_gzip(15)),
            Packing::Zstd => Codec::Zstd(Decoder::new()?),
        };
        Ok(Some(Unpacker { codec, between: true }))
    }

    /// Whether the stream may end here.
    pub(super) fn between(&self) -> bool {
        self.between
    }

    /// Unpacks some of `packed` into `room`, or says what is wrong with it. With no progress there is need of more.
    pub(super) fn step(&mut self, packed: &[u8], room: &mut [u8]) -> Result<Step, String> {
        match &mut self.codec {
            Codec::Zstd(decoder) => {
                let status = decoder.run_on_buffers(packed, room).map_err(|error| error.to_string())?;
                if status.bytes_read + status.bytes_written > 0 {
                    self.between = status.remaining == 0;
                }
                Ok(Step { taken: status.bytes_read, given: status.bytes_written })
            }
            Codec::Gzip(inflate) => {
                let (taken, given) = (inflate.total_in(), inflate.total_out());
                let status = inflate
                    .decompress(packed, room, FlushDecompress::None)
                    .map_err(|error| error.message().unwrap_or("not gzip data").to_string())?;
                let step = Step {
                    taken: (inflate.total_in() - taken) as usize,
                    given: (inflate.total_out() - given) as usize,
                };
                self.between = match status {
                    Status::StreamEnd => {
                        *inflate = Decompress::new_gzip(15);
                        true
                    }
                    _ => self.between && step.taken == 0,
                };
                Ok(step)
            }
        }
    }
}
