//! The dataflow of averages: tallies of batches in, changed totals out.
//!
//! ```text
//! batches ─ Tally ─ (to the worker that keeps the group) ─ Number ─ differential's arrangement ─ Totals ─┬─ changes
//!            └ restored totals                              └──────── what is taken back ───────┘        └ counts ─ Limit
//! ```
//! Owns the first two operators and how all are put together. Differential arranges the updates by key and adds them up; its
//! trace is compacted with every epoch, so its memory depends on the number of totals and not on the number of epochs. A key
//! there is a few bytes: the group stands in it by its number on the worker that keeps it. What must stay true: every
//! total that an epoch changes comes out once, with its new value, at that epoch's time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use differential_dataflow::operators::arrange::arrangement::arrange_core;
use differential_dataflow::trace::implementations::{ContainerChunker, KeyBatcher, KeyBuilder, KeySpine};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::operator::Operator;

use super::failure::AverageFailure;
use super::keeping::Keeping;
use super::key::{AverageKey, Change, Totals};
use super::limit::limit;
use super::packed::{PackedKey, Sum, kind};
use super::parcel::{Parcel, parcels};
use super::tally::{Averager, Tally};
use super::totals::totals;
use crate::batch::Batch;
use crate::state::{Room, Share};

/// As the arrangement takes them.
type Update = ((PackedKey, ()), u64, Sum);
type Failed = Rc<dyn Fn(AverageFailure)>;

/// A tally with more sums than this is handed on before its epoch ends.
const MOST_SUMS: usize = 1 << 16;
/// As is one with so many bytes of groups.
const MOST_BYTES: usize = 16 << 20;
/// Totals that are restored at a time.
const RESTORED: usize = 1 << 14;

/// The changes of every epoch, each at its epoch, on the worker that keeps the key.
///
/// `restored` gives the totals of the last commit; it is given on one worker and left empty on the others. They enter
/// just before `first`, the first epoch of this run, and are not told as changes (an epoch 0 has nothing before it: then there
/// is nothing to restore). `room` is what the averages of the process may take. `failed` hears why averages cannot be kept any
/// further; the epoch in which that shows is never given up then, so it cannot be committed.
///
/// ```
/// use millstream_operators::average::{averages, AverageSpec, Averager, Bucket};
/// use millstream_operators::state::Room;
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
///     let by = vec![Bucket::Overall];
///     let of_n = AverageSpec { name: "n".into(), of: "n".into(), by, ..AverageSpec::default() };
///     let batches = vec![batch_of(vec![1, 2]), batch_of(vec![6])];
///     let averager = Averager::new(vec![of_n], &batches[0].rows.schema()).unwrap();
///     let batches = batches.to_stream(scope).container::<Vec<_>>();
///     averages(batches, averager, vec![], 0, Room::unlimited().into(), |failure| panic!("{failure}"))
///         .inspect(|change| assert_eq!((change.sum, change.count), (9, 3)));
/// });
/// ```
pub fn averages<'scope>(
    batches: StreamVec<'scope, u64, Batch>,
    averager: Averager,
    restored: impl IntoIterator<Item = (AverageKey, Totals), IntoIter: 'static>,
    first: u64,
    room: Arc<Room>,
    failed: impl Fn(AverageFailure) + 'static,
) -> StreamVec<'scope, u64, Change> {
    let specs: Vec<_> = averager.specs().map(|(spec, _)| spec.clone()).collect();
    let failed: Failed = Rc::new(failed);
    let keeping = Rc::new(RefCell::new(Keeping::new(specs.iter(), room.clone())));
    let parcels = tallies(batches, averager, restored.into_iter(), first, Share::new(room.clone()), failed.clone());
    let updates = number(parcels, keeping.clone());
    let arranged = arrange_core::<
        _,
        _,
        ContainerChunker<Vec<Update>>,
        KeyBatcher<_, _, _>,
        KeyBuilder<_, _, _>,
        KeySpine<_, _, _>,
    >(updates, Pipeline, "Averages");
    let names: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
    let no_room = {
        let failed = failed.clone();
        move |average: u16, totals| {
            let average = names.get(usize::from(average)).cloned().unwrap_or_default();
            failed(AverageFailure::NoRoom { average, totals, most: room.most() });
        }
    };
    let (changes, counts) = totals(arranged, keeping, first, no_room);
    changes.concat(limit(counts, &specs, failed))
}

/// Adds batches up, epoch by epoch, and hands each tally on when its epoch is whole or the tally is large.
fn tallies<'scope>(
    batches: StreamVec<'scope, u64, Batch>,
    averager: Averager,
    restored: impl Iterator<Item = (AverageKey, Totals)> + 'static,
    first: u64,
    mut share: Share,
    failed: Failed,
) -> StreamVec<'scope, u64, Parcel> {
    let (scope, workers) = (batches.scope(), batches.scope().peers());
    batches.unary_frontier::<CapacityContainerBuilder<Vec<Parcel>>, _, _, _>(
        Pipeline,
        "Tally",
        move |capability, info| {
            let activator = scope.activator_for(info.address);
            let mut restoring = Some((capability.delayed(&first.saturating_sub(1)), restored));
            let mut tallying = Tallying { averager, failed, broken: false };
            let mut open: BTreeMap<u64, (Capability<u64>, Tally)> = BTreeMap::new();
            move |(input, frontier), output| {
                if let Some((capability, mut restored)) = restoring.take() {
                    let parcels = parcels(restored.by_ref().take(RESTORED), workers);
                    if !parcels.is_empty() {
                        output.session(&capability).give_iterator(parcels.into_iter());
                        // The rest waits until these have been taken.
                        restoring = Some((capability, restored));
                        activator.activate();
                    }
                }
                input.for_each(|time, batches| {
                    let epoch = *time.time();
                    let (capability, tally) = open.entry(epoch).or_insert_with(|| (time.retain(0), Tally::default()));
                    batches.drain(..).for_each(|batch| tallying.add(&batch, tally));
                    if tally.len() > MOST_SUMS || tally.size() > MOST_BYTES {
                        output.session(&*capability).give_iterator(tally.parcels(workers).into_iter());
                    }
                });
                while let Some(entry) = open.first_entry()
                    && !tallying.broken
                    && !frontier.less_equal(entry.key())
                {
                    let (_, (capability, mut tally)) = entry.remove_entry();
                    output.session(&capability).give_iterator(tally.parcels(workers).into_iter());
                }
                share.work(open.values().map(|(_, tally)| tally.size()).sum());
            }
        },
    )
}

struct Tallying {
    averager: Averager,
    failed: Failed,
    broken: bool,
}

impl Tallying {
    fn add(&mut self, batch: &Batch, tally: &mut Tally) {
        if self.broken {
            return;
        }
        if let Err(error) = self.averager.add(&batch.rows, tally) {
            self.broken = true;
            (self.failed)(error.into());
        }
    }
}

/// On the worker that keeps them, groups become numbers, and sums updates; those of folded buckets go nowhere.
fn number(parcels: StreamVec<'_, u64, Parcel>, keeping: Rc<RefCell<Keeping>>) -> StreamVec<'_, u64, Update> {
    let to_keeper = Exchange::new(|parcel: &Parcel| parcel.to);
    parcels.unary::<CapacityContainerBuilder<Vec<Update>>, _, _, _>(to_keeper, "Number", move |_, _| {
        move |input, output| {
            input.for_each(|capability, parcels| {
                let (epoch, mut keeping) = (*capability.time(), keeping.borrow_mut());
                let mut session = output.session(&capability);
                // Whatever was read to find these totals is of epochs before this one.
                let leaving = keeping.send_leaving(epoch);
                let mut updates = leaving.len();
                session.give_iterator(leaving.into_iter().map(|(key, sum)| ((key, ()), epoch, sum)));
                for parcel in parcels.drain(..) {
                    updates += parcel.sums.len();
                    session.give_iterator(numbered(parcel, epoch, &mut keeping).into_iter());
                }
                keeping.handed_on(epoch, updates);
            });
        }
    })
}

fn numbered(parcel: Parcel, epoch: u64, keeping: &mut Keeping) -> Vec<Update> {
    let Parcel { average, groups, sums, .. } = parcel;
    let mut numbers: Vec<Option<u32>> = vec![None; groups.len()];
    let mut updates = Vec::with_capacity(sums.len());
    for sum in sums {
        if keeping.is_folded(average, sum.by, sum.span) {
            continue;
        }
        let number = || keeping.groups.number(average, groups.get(sum.group), epoch);
        let group = *numbers[sum.group as usize].get_or_insert_with(number);
        let key = PackedKey::new(kind(average, sum.by), sum.span, group);
        updates.push(((key, ()), epoch, Sum::new(sum.totals)));
    }
    updates
}
