//! The bytes of a file between the Parquet writer and its upload.
//!
//! Owns the cutting into pieces and the checksum. What must stay true: cut pieces all have exactly the asked size, each in
//! memory of its own (so that an uploaded one is really gone), and the checksum is of every byte ever written.

use std::io;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

/// A buffer that the Parquet writer writes to.
pub(super) struct Spool {
    piece: usize,
    full: Vec<Bytes>,
    current: Vec<u8>,
    crc: Digest,
    written: u64,
}

/// What is left when a file is whole.
pub(super) struct Rest {
    pub(super) bytes: Bytes,
    pub(super) crc: u64,
    pub(super) written: u64,
}

impl Spool {
    /// A spool that cuts pieces of `piece` bytes.
    pub(super) fn new(piece: usize) -> Self {
        let crc = Digest::new(CrcAlgorithm::Crc64Nvme);
        Spool { piece, full: Vec::new(), current: Vec::new(), crc, written: 0 }
    }

    /// Takes the pieces that are full.
    pub(super) fn cut(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.full)
    }

    /// Memory held.
    pub(super) fn held(&self) -> usize {
        self.full.iter().map(Bytes::len).sum::<usize>() + self.current.capacity()
    }

    /// The end of the file: what is not cut yet. Full pieces are cut before.
    pub(super) fn finish(self) -> Rest {
        Rest { bytes: self.current.into(), crc: self.crc.finalize(), written: self.written }
    }

    /// Grows by doubling, as a `Vec` does, but never past the size of a piece.
    fn make_room(&mut self, more: usize) {
        let needed = self.current.len() + more;
        if needed > self.current.capacity() {
            let target = needed.max(2 * self.current.capacity()).min(self.piece);
            self.current.reserve_exact(target - self.current.len());
        }
    }
}

impl io::Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece stays until more comes, so that the last piece of a file is never empty.
        if self.current.len() == self.piece && !bytes.is_empty() {
            self.full.push(std::mem::take(&mut self.current).into());
        }
        let taken = bytes.len().min(self.piece - self.current.len());
        self.make_room(taken);
        self.current.extend_from_slice(&bytes[..taken]);
        self.crc.update(&bytes[..taken]);
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a byte lost or doubled at the seam of two pieces, and a checksum over part of a file.
    use std::io::Write;

    use super::*;

    #[test]
    fn pieces_join_to_what_was_written() {
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i * 7 % 251) as u8).collect();
        for step in [1, 3, 999, 1000, 1001, 10_000] {
            let mut spool = Spool::new(1000);
            let mut joined = Vec::new();
            for chunk in bytes.chunks(step) {
                spool.write_all(chunk).unwrap();
                for piece in spool.cut() {
                    assert_eq!(piece.len(), 1000);
                    joined.extend_from_slice(&piece);
                }
            }
            let rest = spool.finish();
            joined.extend_from_slice(&rest.bytes);
            assert!(!rest.bytes.is_empty(), "the last piece of a file is never empty");
            assert!(joined == bytes && rest.written == 10_000);
            assert_eq!(rest.crc, crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &bytes));
        }
    }
}
