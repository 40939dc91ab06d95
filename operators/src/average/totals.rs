//! Totals out of differential's arrangement: what changed in an epoch, how many totals there are, what is folded away.
//!
//! Owns the reading of the arrangement and its compaction. What must stay true: every total that an epoch changes is told once,
//! at that epoch's time, unless its bucket is folded away by then; the arrangement holds one update for each total once it
//! is merged, however many epochs there were.
//!
//! A change in full is larger than what is kept of it, so changes are made a few at a time: the rest waits in the form in
//! which it is kept until those before it have been taken.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use differential_dataflow::difference::{IsZero, Semigroup};
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::cursor::cursor_list;
use differential_dataflow::trace::implementations::KeySpine;
use differential_dataflow::trace::{BatchReader, Cursor, TraceReader};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;
use timely::progress::frontier::AntichainRef;

use super::keeping::Keeping;
use super::key::Change;
use super::limit::Count;
use super::packed::{Kind, PackedKey, Sum};

/// The arrangement: keys, and differences that are sums and counts.
pub(super) type Trace = TraceAgent<KeySpine<PackedKey, u64, Sum>>;
type TraceBatch = <Trace as TraceReader>::Batch;

/// Changes that are made in full at a time.
const AT_A_TIME: usize = 1 << 13;

/// A total as of an epoch.
type Told = (u64, PackedKey, Sum);

/// The changes of epochs from `first` on, and how many totals every epoch added. `no_room` is told of an average when there
/// is no memory for all totals; nothing more is told then.
pub(super) fn totals<'scope>(
    arranged: Arranged<'scope, Trace>,
    keeping: Rc<RefCell<Keeping>>,
    first: u64,
    no_room: impl Fn(u16, i64) + 'static,
) -> (StreamVec<'scope, u64, Change>, StreamVec<'scope, u64, Count>) {
    let scope = arranged.stream.scope();
    let mut builder = OperatorBuilder::new("Totals".into(), scope);
    let mut input = builder.new_input(arranged.stream, Pipeline);
    let (changes_out, changes) = builder.new_output::<Vec<Change>>();
    let (counts_out, counts) = builder.new_output::<Vec<Count>>();
    let mut changes_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<Change>>>::from(changes_out);
    let mut counts_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<Count>>>::from(counts_out);
    let activator = scope.activator_for(builder.operator_info().address);
    let mut reading = Reading { trace: arranged.trace, upper: Antichain::from_elem(0) };
    let mut telling: Option<Telling> = None;
    let mut held_back = None;
    builder.build(move |_| {
        move |_frontiers| {
            if held_back.is_some() {
                return;
            }
            let mut changes = changes_out.activate();
            if let Some(mut now) = telling.take() {
                for (epoch, change) in now.next(&keeping.borrow()) {
                    changes.session(&now.capability.delayed(&epoch)).give(change);
                }
                if !now.is_over() {
                    telling = Some(now);
                    return activator.activate();
                }
            }
            let (mut batches, mut capabilities) = (Vec::new(), None);
            input.for_each(|capability, data| {
                // Batches come in order: the first capability is good for all of them.
                capabilities.get_or_insert_with(|| (capability.retain(0), capability.retain(1)));
                batches.append(data);
            });
            let Some((for_changes, for_counts)) = capabilities else { return reading.compact() };
            let mut keeping = keeping.borrow_mut();
            let round = reading.round(batches, &mut keeping);
            if let Some((average, totals)) = keeping.told(reading.upper.borrow()) {
                held_back = Some((for_changes, for_counts));
                return no_room(average, totals);
            }
            let mut counts = counts_out.activate();
            for ((epoch, average), more) in round.counts {
                counts.session(&for_counts.delayed(&epoch)).give((average, more));
            }
            let told = round.told.into_iter().filter(|(epoch, ..)| *epoch >= first).collect();
            telling = Telling::new(for_changes, told);
            if telling.is_some() {
                activator.activate();
            }
        }
    });
    (changes, counts)
}

/// Changes that wait to be made in full, in order of their epochs.
struct Telling {
    capability: Capability<u64>,
    told: Vec<Told>,
    at: usize,
}

impl Telling {
    fn new(capability: Capability<u64>, mut told: Vec<Told>) -> Option<Self> {
        told.sort_by_key(|(epoch, ..)| *epoch);
        (!told.is_empty()).then_some(Telling { capability, told, at: 0 })
    }

    fn next(&mut self, keeping: &Keeping) -> Vec<(u64, Change)> {
        let end = (self.at + AT_A_TIME).min(self.told.len());
        let next = &self.told[self.at..end];
        self.at = end;
        let change = |(epoch, key, sum): &Told| {
            let key = key.unpacked(keeping.groups.get(key.group()));
            (*epoch, Change { key, sum: sum.sum(), count: sum.count })
        };
        next.iter().map(change).collect()
    }

    fn is_over(&self) -> bool {
        self.at == self.told.len()
    }
}

/// The arrangement, read up to `upper`.
struct Reading {
    trace: Trace,
    upper: Antichain<u64>,
}

/// What new batches came to.
#[derive(Default)]
struct Round {
    told: Vec<Told>,
    /// By epoch and average.
    counts: BTreeMap<(u64, u16), i64>,
}

/// By kind, from which epoch on which horizon holds, in order.
type Horizons = BTreeMap<Kind, Vec<(u64, i64)>>;

impl Reading {
    /// Lets the arrangement forget the difference between epochs that are told.
    fn compact(&mut self) {
        self.trace.advance_upper(&mut self.upper);
        self.trace.set_logical_compaction(self.upper.borrow());
        self.trace.set_physical_compaction(self.upper.borrow());
    }

    fn round(&mut self, batches: Vec<TraceBatch>, keeping: &mut Keeping) -> Round {
        let lower = self.upper.clone();
        if let Some(batch) = batches.last() {
            self.upper.clone_from(batch.upper());
        }
        #[expect(clippy::expect_used, reason = "the arrangement is compacted up to here and no further")]
        let before = self.trace.batches_through(lower.borrow()).expect("an arrangement tells up to where it was read");
        let mut round = Round::default();
        let horizons = if keeping.folds() { horizons(&batches, keeping) } else { Horizons::new() };
        round.read(&before, &batches, &horizons, keeping, self.upper.borrow());
        if !horizons.is_empty() {
            let all: Vec<TraceBatch> = before.into_iter().chain(batches).collect();
            round.fold_away(all, &horizons, keeping, self.upper.borrow());
        }
        self.compact();
        round
    }
}

/// From which epochs on the batches move the horizons.
fn horizons(batches: &[TraceBatch], keeping: &Keeping) -> Horizons {
    let mut met: BTreeMap<Kind, BTreeMap<u64, i64>> = BTreeMap::new();
    for_each(batches, |key, epoch, sum| {
        let (kind, span) = (key.kind(), key.span());
        // What is taken back is no row.
        if sum.count > 0 && keeping.horizon_with(kind, span) > keeping.horizon(kind) {
            let newest = met.entry(kind).or_default().entry(epoch).or_insert(span);
            *newest = span.max(*newest);
        }
    });
    let mut horizons = Horizons::new();
    for (kind, epochs) in met {
        let mut steps: Vec<(u64, i64)> = Vec::new();
        for (epoch, span) in epochs {
            if let Some(horizon) = keeping.horizon_with(kind, span)
                && steps.last().is_none_or(|(_, last)| *last < horizon)
            {
                steps.push((epoch, horizon));
            }
        }
        horizons.insert(kind, steps);
    }
    horizons
}

fn for_each(batches: &[TraceBatch], mut each: impl FnMut(PackedKey, u64, Sum)) {
    let (mut cursor, storage) = cursor_list(batches.to_vec());
    while let Some(key) = cursor.get_key(&storage).copied() {
        cursor.map_times(&storage, |epoch, sum| each(key, *epoch, *sum));
        cursor.step_key(&storage);
    }
}

/// From which epoch on a span is folded away, by what the batches brought; none: it is kept.
fn folded_from(steps: Option<&Vec<(u64, i64)>>, span: i64) -> Option<u64> {
    let steps = steps?;
    let step = steps.partition_point(|(_, horizon)| *horizon <= span);
    steps.get(step).map(|(epoch, _)| *epoch)
}

impl Round {
    /// Goes through all keys of the batches, with what they held before.
    fn read(
        &mut self,
        before: &[TraceBatch],
        batches: &[TraceBatch],
        horizons: &Horizons,
        keeping: &mut Keeping,
        upper: AntichainRef<'_, u64>,
    ) {
        let (mut held, held_in) = cursor_list(before.to_vec());
        let (mut cursor, storage) = cursor_list(batches.to_vec());
        let mut updates: Vec<(u64, Sum)> = Vec::new();
        while let Some(key) = cursor.get_key(&storage).copied() {
            let mut total = Sum::default();
            held.seek_key(&held_in, &key);
            if held.get_key(&held_in) == Some(&key) {
                held.map_times(&held_in, |_, sum| total.plus_equals(sum));
            }
            updates.clear();
            cursor.map_times(&storage, |epoch, sum| updates.push((*epoch, *sum)));
            // Of several batches those of a later one may come first.
            updates.sort_by_key(|(epoch, _)| *epoch);
            self.read_key(key, total, &updates, horizons.get(&key.kind()), keeping, upper);
            cursor.step_key(&storage);
        }
    }

    fn read_key(
        &mut self,
        key: PackedKey,
        mut total: Sum,
        updates: &[(u64, Sum)],
        steps: Option<&Vec<(u64, i64)>>,
        keeping: &mut Keeping,
        upper: AntichainRef<'_, u64>,
    ) {
        let gone = keeping.horizon(key.kind()).is_some_and(|horizon| key.span() < horizon);
        let goes = folded_from(steps, key.span());
        let (was, mut begun_late) = (!total.is_zero(), false);
        for (epoch, sum) in updates {
            let there = !total.is_zero();
            total.plus_equals(sum);
            let is_told = !gone && goes.is_none_or(|goes| *epoch < goes);
            match (there, !total.is_zero()) {
                (false, true) => {
                    keeping.begins(key);
                    begun_late |= !is_told;
                    if is_told {
                        *self.counts.entry((*epoch, key.average())).or_default() += 1;
                    }
                }
                (true, false) => keeping.ceases(key, *epoch),
                _ => {}
            }
            if is_told && !total.is_zero() {
                self.told.push((*epoch, key, total));
            }
        }
        let late = gone || (goes.is_some() && !was && begun_late);
        if late && !keeping.is_leaving(key, upper) && !total.is_zero() {
            keeping.leaves(key, total);
        }
    }

    /// Moves the horizons, and has all totals leave that they went past.
    fn fold_away(
        &mut self,
        all: Vec<TraceBatch>,
        horizons: &Horizons,
        keeping: &mut Keeping,
        upper: AntichainRef<'_, u64>,
    ) {
        let (mut cursor, storage) = cursor_list(all);
        for (kind, steps) in horizons {
            let Some((_, horizon)) = steps.last() else { continue };
            let before = keeping.horizon(*kind);
            cursor.seek_key(&storage, &PackedKey::first_of(*kind, i64::MIN));
            while let Some(key) = cursor.get_key(&storage).copied().filter(|key| key.kind() == *kind) {
                if key.span() >= *horizon {
                    break;
                }
                let mut total = Sum::default();
                cursor.map_times(&storage, |_, sum| total.plus_equals(sum));
                if !total.is_zero() && !keeping.is_leaving(key, upper) {
                    // Older ones were counted when the horizon went past them.
                    if before.is_none_or(|before| before <= key.span())
                        && let Some(epoch) = folded_from(Some(steps), key.span())
                    {
                        *self.counts.entry((epoch, key.average())).or_default() -= 1;
                    }
                    keeping.leaves(key, total);
                }
                cursor.step_key(&storage);
            }
            keeping.move_horizon(*kind, *horizon);
        }
    }
}
