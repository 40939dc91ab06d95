//! A running hash of what was read of a file, that can be taken up again without reading the file from its beginning.
//!
//! Bytes are hashed in blocks of 1 MiB, each seeded with the hash of the one before. What is noted beside a position is the
//! hash up to the last block border and the hash from there on, so that a reader who trusts the file starts at the border,
//! and one who does not hashes it all: both come to the same mark.

use xxhash_rust::xxh3::Xxh3;

/// Bytes of a block.
const BLOCK: u64 = 1 << 20;

/// What was read, in 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The hash of all whole blocks.
    pub(super) blocks: u64,
    /// The hash of what follows them.
    pub(super) rest: u64,
}

/// A hash under way.
#[derive(Clone)]
pub(super) struct Digest {
    blocks: u64,
    block: Xxh3,
    at: u64,
}

impl Digest {
    /// Nothing hashed yet.
    pub(super) fn new() -> Self {
        Digest { blocks: 0, block: Xxh3::with_seed(0), at: 0 }
    }

    /// Taken up at the block border at or before `offset`; `blocks` is from the mark made there.
    pub(super) fn resume(offset: u64, blocks: u64) -> Self {
        Digest { blocks, block: Xxh3::with_seed(blocks), at: offset - offset % BLOCK }
    }

    /// How many bytes were hashed.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Hashes what comes next.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (BLOCK - self.at % BLOCK) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.update(now);
            self.at += now.len() as u64;
            if self.at.is_multiple_of(BLOCK) {
                self.blocks = self.block.digest();
                self.block = Xxh3::with_seed(self.blocks);
            }
            bytes = later;
        }
    }

    /// The mark of all that was hashed.
    pub(super) fn mark(&self) -> Mark {
        Mark { blocks: self.blocks, rest: self.block.digest() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut, and wherever the hash is taken up, the mark is the same. Would catch a block border lost.
    #[test]
    fn the_mark_depends_on_the_bytes_alone() {
        let bytes: Vec<u8> = (0..3 * BLOCK + 77).map(|i| ((i * i) >> 7) as u8).collect();
        let mut whole = Digest::new();
        whole.update(&bytes);
        for cut in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 76] {
            let (head, tail) = bytes.split_at(cut as usize);
            let mut first = Digest::new();
            head.chunks(70_001).for_each(|chunk| first.update(chunk));
            let mut second = Digest::resume(cut, first.mark().blocks);
            let border = second.at() as usize;
            second.update(&bytes[border..cut as usize]);
            assert_eq!(second.mark(), first.mark());
            second.update(tail);
            assert_eq!(second.mark(), whole.mark());
        }
    }
}
