//! Raw batches as a timely container: by reference inside a process, as bytes between processes.
//!
//! Owns the container alone; the bytes of a batch are [`super::wire`]'s. What must stay true: the count of a container is
//! that of its batches, whoever splits it; what is asked for its length is written with that length.
//!
//! A batch goes with its permit for as long as it goes by reference. As bytes it has none: there its loan tells who pays.

use std::cell::OnceCell;
use std::io::Write;
use std::sync::Arc;

use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::dataflow::channels::ContainerBytes;

use super::lending::Loan;
use super::wire::{self, Wire};
use crate::batch::RawBatch;

/// A batch on its way.
#[derive(Clone)]
pub(super) struct Parcel {
    pub(super) batch: Arc<RawBatch>,
    /// Set where it is lent to another process.
    pub(super) loan: Option<Loan>,
}

/// Raw batches on their way.
#[derive(Default)]
pub struct Parcels {
    parcels: Vec<Parcel>,
    /// Made when the length is asked for, and written after that.
    wire: OnceCell<Vec<Wire>>,
}

impl Parcels {
    /// These batches.
    pub fn new(batches: Vec<Arc<RawBatch>>) -> Self {
        Parcels::of(batches.into_iter().map(|batch| Parcel { batch, loan: None }).collect())
    }

    pub(super) fn of(parcels: Vec<Parcel>) -> Self {
        Parcels { parcels, wire: OnceCell::new() }
    }

    pub(super) fn into_parcels(self) -> Vec<Parcel> {
        self.parcels
    }

    fn wire(&self) -> &[Wire] {
        self.wire.get_or_init(|| self.parcels.iter().map(|parcel| Wire::of(&parcel.batch, parcel.loan)).collect())
    }
}

impl Clone for Parcels {
    fn clone(&self) -> Self {
        Parcels::of(self.parcels.clone())
    }
}

impl Accountable for Parcels {
    fn record_count(&self) -> i64 {
        self.parcels.len() as i64
    }
}

impl ContainerBytes for Parcels {
    fn from_bytes(bytes: Bytes) -> Self {
        let mut rest = bytes::Bytes::from_owner(Owned(bytes));
        let mut parcels = Vec::new();
        while !rest.is_empty() {
            let (batch, loan) = wire::read(&mut rest);
            parcels.push(Parcel { batch: Arc::new(batch), loan });
        }
        Parcels::of(parcels)
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
