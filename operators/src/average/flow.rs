//! The dataflow of averages: tallies of batches in, changed totals out.
//!
//! Owns the operators. Differential arranges the tallies by key, over all workers, and keeps the totals; its trace is
//! compacted with every epoch, so its memory depends on the number of keys and not on the number of epochs. What must stay
//! true: every key that an epoch changes comes out once, with its new totals, at that epoch's time.

use std::collections::BTreeMap;

use arrow::error::ArrowError;
use differential_dataflow::AsCollection;
use differential_dataflow::operators::CountTotal;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;

use super::key::{AverageKey, Change, Totals};
use super::tally::{Averager, Tally};
use crate::batch::Batch;

type Update = (AverageKey, u64, Totals);
/// Totals that begin (1) or cease (-1) to hold at an epoch.
type Told = ((AverageKey, Totals), u64, isize);

/// A tally with more sums than this is handed on before its epoch ends.
const MOST_SUMS: usize = 1 << 16;

/// The changes of every epoch, each at its epoch, on the worker that keeps the key.
///
/// `restored` holds the totals of the last commit; it is given on one worker and left empty on the others. They enter
/// just before `first`, the first epoch of this run, and are not told as changes (an epoch 0 has nothing before it: then there
/// is nothing to restore). `failed` hears of a batch that does not have the columns that the averages were checked against;
/// its epoch is never given up then, so it cannot be committed without its averages.
///
/// ```
/// use millstream_operators::average::{averages, AverageSpec, Averager, Bucket};
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// # use millstream_operators::{batch::{Beside, Positions}, Batch, Origin, Permit, Position, RawBatch, Records};
/// # use timely::dataflow::operators::{Inspect, ToStream};
/// # fn batch_of(numbers: Vec<i64>) -> Batch {
/// #     let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(numbers)) as ArrayRef)]).unwrap();
/// #     let raw = RawBatch {
/// #         split: "numbers".into(), records: Records::Rows(rows.clone()), positions: Positions::Counted { first: 0 },
/// #         until: Position::at(9), arrived_at: 0, refused: vec![], beside: Beside::default(), permit: Permit::free(), size: 0,
/// #     };
/// #     Batch { rows, origin: Origin::all(Arc::new(raw)) }
/// # }
/// timely::example(|scope| {
///     let of_n = AverageSpec { name: "n".into(), of: "n".into(), by: vec![Bucket::Overall], time: None, group: vec![] };
///     let batches = vec![batch_of(vec![1, 2]), batch_of(vec![6])];
///     let averager = Averager::new(vec![of_n], &batches[0].rows.schema()).unwrap();
///     let batches = batches.to_stream(scope).container::<Vec<_>>();
///     averages(batches, averager, vec![], 0, |error| panic!("{error}"))
///         .inspect(|change| assert_eq!((change.sum, change.count), (9, 3)));
/// });
/// ```
pub fn averages<'scope>(
    batches: Stream<'scope, u64, Vec<Batch>>,
    averager: Averager,
    restored: Vec<(AverageKey, Totals)>,
    first: u64,
    failed: impl FnMut(ArrowError) + 'static,
) -> Stream<'scope, u64, Vec<Change>> {
    let updates = tallies(batches, averager, restored, first, failed);
    let totals = updates.as_collection().count_total().inner;
    changes(totals, first)
}

/// Adds batches up, epoch by epoch, and hands each tally on when its epoch is whole or the tally is large.
fn tallies<'scope>(
    batches: Stream<'scope, u64, Vec<Batch>>,
    averager: Averager,
    restored: Vec<(AverageKey, Totals)>,
    first: u64,
    failed: impl FnMut(ArrowError) + 'static,
) -> Stream<'scope, u64, Vec<Update>> {
    let name = "Tally";
    batches.unary_frontier::<CapacityContainerBuilder<Vec<Update>>, _, _, _>(Pipeline, name, move |capability, _| {
        let before = first.saturating_sub(1);
        let mut restored = Some((capability.delayed(&before), restored));
        let mut tallying = Tallying { averager, failed, broken: false };
        let mut open: BTreeMap<u64, (Capability<u64>, Tally)> = BTreeMap::new();
        move |(input, frontier), output| {
            if let Some((capability, restored)) = restored.take() {
                let restored = restored.into_iter().map(|(key, totals)| (key, before, totals));
                output.session(&capability).give_iterator(restored);
            }
            input.for_each(|time, batches| {
                let epoch = *time.time();
                let (capability, tally) = open.entry(epoch).or_insert_with(|| (time.retain(0), Tally::default()));
                batches.drain(..).for_each(|batch| tallying.add(&batch, tally));
                if tally.len() > MOST_SUMS {
                    output.session(&*capability).give_iterator(updates(epoch, tally));
                }
            });
            while let Some(entry) = open.first_entry()
                && !tallying.broken
                && !frontier.less_equal(entry.key())
            {
                let (epoch, (capability, mut tally)) = entry.remove_entry();
                output.session(&capability).give_iterator(updates(epoch, &mut tally));
            }
        }
    })
}

struct Tallying<F> {
    averager: Averager,
    failed: F,
    broken: bool,
}

impl<F: FnMut(ArrowError)> Tallying<F> {
    fn add(&mut self, batch: &Batch, tally: &mut Tally) {
        if self.broken {
            return;
        }
        if let Err(error) = self.averager.add(&batch.rows, tally) {
            self.broken = true;
            (self.failed)(error);
        }
    }
}

fn updates(epoch: u64, tally: &mut Tally) -> impl Iterator<Item = Update> + use<> {
    tally.drain().into_iter().map(move |(key, totals)| (key, epoch, totals))
}

/// Differential tells an old total and a new one at the data's own time, which may be later than the time of the message:
/// the new ones of this run go out at theirs.
fn changes<'scope>(totals: Stream<'scope, u64, Vec<Told>>, first: u64) -> Stream<'scope, u64, Vec<Change>> {
    totals.unary::<CapacityContainerBuilder<Vec<Change>>, _, _, _>(Pipeline, "Changes", move |_, _| {
        move |input, output| {
            input.for_each(|capability, totals| {
                for ((key, (sum, count)), epoch, difference) in totals.drain(..) {
                    if difference > 0 && epoch >= first {
                        let capability = capability.delayed(&epoch, 0);
                        output.session(&capability).give(Change { key, sum, count });
                    }
                }
            });
        }
    })
}
