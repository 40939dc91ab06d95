//! `spread`: raw batches dealt out to all workers, for a pipeline that asks for it.
//!
//! ```text
//! ingest ─ batches of one hot split ─→ worker 0, 1, 2, 0, 1, … ─→ decode
//! ```
//!
//! Without it a record is decoded, enriched and encoded by the worker whose split it came from, and a split that is hotter
//! than the others keeps one worker busy while the rest wait. With it each worker deals the batches that it reads round, whole,
//! beginning with itself. Inside a process a batch goes by reference, its permit with it; to another process it is lent
//! ([`lending`]), or stays where it was read while that one holds its share of ours. What must stay true: a batch goes to
//! exactly one worker, in its own epoch; nobody waits for room. What is given up: the order of a split's records holds within
//! a batch, and no longer from one batch to the next.

mod lending;
mod parcels;
mod wire;

use std::sync::Arc;

pub use lending::Lending;
pub(crate) use lending::Returns;
use lending::{Guest, Loan};
use parcels::Parcel;
pub use parcels::Parcels;
use timely::communication::Push;
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::operators::generic::operator::Operator;

use crate::batch::{Permit, RawBatch};
use crate::control::Control;

/// Deals whole batches out to all workers; what is lent to other processes comes back through `control`.
pub fn spread<'scope>(
    stream: StreamVec<'scope, u64, Arc<RawBatch>>,
    lending: Arc<Lending>,
    control: &Control,
) -> StreamVec<'scope, u64, Arc<RawBatch>> {
    let scope = stream.scope();
    let index = scope.index();
    let packed = stream.unary::<NoopBuilder<Parcels>, _, _, _>(Pipeline, "Pack", |_, _| {
        |input, output| {
            input.for_each(|time, batches| {
                output.session_with_builder(&time).give_container(&mut Parcels::new(std::mem::take(batches)));
            });
        }
    });
    let dealer = Dealer { index, next: index, lending: lending.clone() };
    let dealt = DistributorPact(move |_peers| dealer);
    packed.unary::<CapacityContainerBuilder<Vec<Arc<RawBatch>>>, _, _, _>(dealt, "Deal", |_, info| {
        let returns = Arc::new(Returns::new(scope.worker().sync_activator_for(info.address.to_vec())));
        control.lends(lending, returns.clone());
        move |input, output| {
            input.for_each(|time, parcels| {
                let batches = std::mem::take(parcels).into_parcels().into_iter();
                output.session(&time).give_iterator(batches.map(|parcel| received(parcel, &returns)));
            });
        }
    })
}

/// A batch as it goes on: if it is borrowed, its end is told to the lender.
fn received(parcel: Parcel, returns: &Arc<Returns>) -> Arc<RawBatch> {
    let Parcel { mut batch, loan } = parcel;
    if let Some(loan) = loan {
        Arc::make_mut(&mut batch).permit = Permit::of(Guest { loan, returns: returns.clone() });
    }
    batch
}

/// Gives each batch to the next worker in turn.
struct Dealer {
    index: usize,
    next: usize,
    lending: Arc<Lending>,
}

impl Dealer {
    /// The worker that a batch goes to; the loan, if that is one of another process.
    fn deal(&mut self, batch: &RawBatch, peers: usize) -> (usize, Option<Loan>) {
        let to = self.next % peers;
        self.next = (to + 1) % peers;
        if self.lending.is_home(to) {
            return (to, None);
        }
        match self.lending.lend(to, batch) {
            Some(id) => (to, Some(Loan { lender: self.index, id })),
            None => (self.lending.home(to), None),
        }
    }
}

impl Distributor<Parcels> for Dealer {
    fn partition<T: Clone, P: Push<Message<T, Parcels>>>(&mut self, parcels: &mut Parcels, time: &T, to: &mut [P]) {
        for Parcel { batch, .. } in std::mem::take(parcels).into_parcels() {
            let (worker, loan) = self.deal(&batch, to.len());
            let mut one = Parcels::of(vec![Parcel { batch, loan }]);
            Message::push_at(&mut one, time.clone(), &mut to[worker]);
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Parcels>>>(&mut self, _time: &T, _to: &mut [P]) {}
}

#[cfg(test)]
mod lending_tests;
#[cfg(test)]
mod tests;
