//! `spread`: raw batches dealt out to all workers, for a pipeline that asks for it.
//!
//! ```text
//! ingest ─ batches of one hot split ─→ worker 0, 1, 2, 0, 1, … ─→ decode
//! ```
//!
//! Without it a record is decoded, enriched and encoded by the worker whose split it came from, and a split that is hotter
//! than the others keeps one worker busy while the rest wait. With it each worker deals the batches that it reads round, whole,
//! beginning with itself. What must stay true: a batch goes to exactly one worker, in its own epoch; inside a process it goes
//! by reference, its permit with it. What is given up: the order of a split's records holds within a batch, and no longer
//! from one batch to the next.

mod parcels;
mod wire;

use std::sync::Arc;

pub use parcels::Parcels;
use timely::communication::Push;
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::operators::generic::operator::Operator;

use crate::batch::RawBatch;

/// Deals whole batches out to all workers.
pub fn spread<'scope>(stream: StreamVec<'scope, u64, Arc<RawBatch>>) -> StreamVec<'scope, u64, Arc<RawBatch>> {
    let next = stream.scope().index();
    let packed = stream.unary::<NoopBuilder<Parcels>, _, _, _>(Pipeline, "Pack", |_, _| {
        |input, output| {
            input.for_each(|time, batches| {
                output.session_with_builder(&time).give_container(&mut Parcels::new(std::mem::take(batches)));
            });
        }
    });
    let dealt = DistributorPact(move |_peers| Dealer { next });
    packed.unary::<CapacityContainerBuilder<Vec<Arc<RawBatch>>>, _, _, _>(dealt, "Deal", |_, _| {
        |input, output| {
            input.for_each(|time, parcels| {
                output.session(&time).give_iterator(std::mem::take(parcels).into_batches().into_iter());
            });
        }
    })
}

/// Gives each batch to the next worker in turn.
struct Dealer {
    next: usize,
}

impl Distributor<Parcels> for Dealer {
    fn partition<T: Clone, P: Push<Message<T, Parcels>>>(&mut self, parcels: &mut Parcels, time: &T, to: &mut [P]) {
        for batch in std::mem::take(parcels).into_batches() {
            let mut one = Parcels::new(vec![batch]);
            Message::push_at(&mut one, time.clone(), &mut to[self.next % to.len()]);
            self.next = (self.next + 1) % to.len();
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Parcels>>>(&mut self, _time: &T, _to: &mut [P]) {}
}

#[cfg(test)]
mod tests;
