//! Raw batches as a timely container: by reference inside a process, as bytes between processes.
//!
//! Owns the container alone; the bytes of a batch are [`super::wire`]'s. What must stay true: the count of a container is
//! that of its batches, whoever splits it; what is asked for its length is written with that length.

use std::cell::OnceCell;
use std::io::Write;
use std::sync::Arc;

use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::dataflow::channels::ContainerBytes;

use super::wire::{self, Wire};
use crate::batch::RawBatch;

/// Raw batches on their way.
#[derive(Default)]
pub struct Parcels {
    batches: Vec<Arc<RawBatch>>,
    /// Made when the length is asked for, and written after that.
    wire: OnceCell<Vec<Wire>>,
}

impl Parcels {
    /// These batches.
    pub fn new(batches: Vec<Arc<RawBatch>>) -> Self {
        Parcels { batches, wire: OnceCell::new() }
    }

    /// The batches.
    pub fn into_batches(self) -> Vec<Arc<RawBatch>> {
        self.batches
    }

    fn wire(&self) -> &[Wire] {
        self.wire.get_or_init(|| self.batches.iter().map(|batch| Wire::of(batch)).collect())
    }
}

impl Clone for Parcels {
    fn clone(&self) -> Self {
        Parcels::new(self.batches.clone())
    }
}

impl Accountable for Parcels {
    fn record_count(&self) -> i64 {
        self.batches.len() as i64
    }
}

impl ContainerBytes for Parcels {
    fn from_bytes(bytes: Bytes) -> Self {
        let mut rest = bytes::Bytes::from_owner(Owned(bytes));
        let mut batches = Vec::new();
        while !rest.is_empty() {
            batches.push(Arc::new(wire::read(&mut rest)));
        }
        Parcels::new(batches)
    }

    fn length_in_bytes(&self) -> usize {
        self.wire().iter().map(Wire::len).sum()
    }

    #[expect(clippy::expect_used, reason = "timely writes into memory that is as long as was asked for")]
    fn into_bytes<W: Write>(&self, writer: &mut W) {
        self.wire().iter().try_for_each(|wire| wire.write(writer)).expect("the memory has the length that was told");
    }
}

/// Keeps timely's buffer alive for those who hold slices of it.
struct Owned(Bytes);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
