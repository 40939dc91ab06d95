//! The dataflow of dedup: ask the owners of keys, decide, hold rows until then.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::Key;
use super::columns::{KeyColumns, Keyed, without};
use super::decide::{DedupFailure, Owner, Question, Repeats};
use super::seen::Seen;
use crate::batch::Batch;
use crate::protocol::commit::FilteredRanges;
use crate::protocol::equation::{Counted, Counts, Term};
use crate::state::{Entries, Keeps, Room, Share};

/// A message to the owner of keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Sent {
    /// Keys restored from the log.
    Restored { to: u64, newest: Option<i32>, day: i32, keys: Vec<Key> },
    /// Every owner gets one for every batch, if only without keys: all need the newest day.
    Question { to: u64, asked: Question },
}

impl Sent {
    fn to(&self) -> u64 {
        match self {
            Sent::Restored { to, .. } | Sent::Question { to, .. } => *to,
        }
    }
}

/// The output streams.
pub struct Deduped<'scope> {
    /// Every batch without its duplicates, even if it is empty then.
    pub rows: StreamVec<'scope, u64, Batch>,
    /// Number of duplicates by split.
    pub counts: StreamVec<'scope, u64, Counted>,
    /// Positions of the duplicates.
    pub filtered_ranges: StreamVec<'scope, u64, FilteredRanges>,
    /// Changes of state.
    pub changes: StreamVec<'scope, u64, Entries>,
}

/// The count that the operator reports for every split.
pub fn reports() -> (Term, crate::protocol::Place) {
    (Term::Filtered, Counts::every())
}

/// The worker that owns a key.
fn owner(key: Key, workers: usize) -> usize {
    // The table uses other bits.
    ((key >> 64) as u64 % workers as u64) as usize
}

/// Builds the operator. `restored` holds the whole state on one worker and nothing on the others. `first` is the first epoch of the
/// run. `failed` is called if dedup cannot continue; the capability of that epoch is then kept, so it is never committed.
pub fn dedup<'scope>(
    batches: StreamVec<'scope, u64, Batch>,
    dedup: KeyColumns,
    restored: Seen,
    first: u64,
    room: Arc<Room>,
    failed: impl Fn(DedupFailure) + 'static,
) -> Deduped<'scope> {
    let owner = Owner::new(dedup.within);
    let (held, sent) = ask(batches, dedup, restored, first);
    let (verdicts, changes) = decide(sent, owner, room.clone(), failed);
    let (rows, counts, filtered_ranges) = hold(held, verdicts, Share::new(room));
    Deduped { rows, counts, filtered_ranges, changes }
}

/// A batch with its number.
type Numbered = (u64, Batch);

/// Sends the keys of every batch to their owners, and the batch itself to [`hold`].
fn ask<'scope>(
    batches: StreamVec<'scope, u64, Batch>,
    dedup: KeyColumns,
    restored: Seen,
    first: u64,
) -> (StreamVec<'scope, u64, Numbered>, StreamVec<'scope, u64, Sent>) {
    let scope = batches.scope();
    let (worker, workers) = (scope.index() as u64, scope.peers());
    let mut builder = OperatorBuilder::new("Ask".to_owned(), scope);
    let mut input = builder.new_input(batches, Pipeline);
    let (held_out, held) = builder.new_output();
    let (sent_out, sent) = builder.new_output();
    let mut held_out = OutputBuilder::<u64, CapacityContainerBuilder<Vec<Numbered>>>::from(held_out);
    let mut sent_out = OutputBuilder::<u64, CapacityContainerBuilder<Vec<Sent>>>::from(sent_out);
    let activator = scope.activator_for(builder.operator_info().address);
    builder.build(move |mut capabilities| {
        let capability = capabilities.pop().map(|capability| capability.delayed(&first.saturating_sub(1)));
        drop(capabilities);
        let (newest, parts) = restored.into_parts();
        let mut restoring = capability.map(|capability| (capability, newest, parts));
        let mut numbered = 0;
        move |_frontiers| {
            let (mut held, mut sent) = (held_out.activate(), sent_out.activate());
            if let Some((capability, newest, mut parts)) = restoring.take()
                && let Some((day, keys)) = parts.next()
            {
                let dealt = deal(keys.into_iter().map(|key| (0, key)), workers).into_iter().enumerate();
                let all = dealt.map(|(to, dealt)| Sent::Restored { to: to as u64, newest, day, keys: dealt.keys });
                sent.session(&capability).give_iterator(all);
                // Some at a time, so that not all keys are in flight at once.
                restoring = Some((capability, newest, parts));
                activator.activate();
            }
            input.for_each(|time, batches| {
                for batch in batches.drain(..) {
                    let Keyed { rows, keys } = dedup.keyed(&batch.rows);
                    let dealt = deal(rows.into_iter().zip(keys), workers).into_iter().enumerate();
                    let asked = |keyed| Question { from: worker, batch: numbered, ..Question::of(&batch, keyed) };
                    sent.session(&time)
                        .give_iterator(dealt.map(|(to, keyed)| Sent::Question { to: to as u64, asked: asked(keyed) }));
                    held.session(&time).give((numbered, batch));
                    numbered += 1;
                }
            });
        }
    });
    (held, sent)
}

/// Partitions keys by owner.
fn deal(keyed: impl Iterator<Item = (u32, Key)>, workers: usize) -> Vec<Keyed> {
    let mut dealt = vec![Keyed::default(); workers];
    for (row, key) in keyed {
        let to = &mut dealt[owner(key, workers)];
        to.rows.push(row);
        to.keys.push(key);
    }
    dealt
}

/// The questions of an epoch, and the capabilities to answer them.
struct OpenEpoch {
    for_verdicts: Capability<u64>,
    for_changes: Capability<u64>,
    asked: Vec<Question>,
}

/// Answers the questions of an epoch once the epoch is complete.
fn decide<'scope>(
    sent: StreamVec<'scope, u64, Sent>,
    mut owner: Owner,
    room: Arc<Room>,
    failed: impl Fn(DedupFailure) + 'static,
) -> (StreamVec<'scope, u64, Repeats>, StreamVec<'scope, u64, Entries>) {
    let mut builder = OperatorBuilder::new("Decide".to_owned(), sent.scope());
    let mut input = builder.new_input(sent, Exchange::new(Sent::to));
    let (verdicts_out, verdicts) = builder.new_output();
    let (changes_out, changes) = builder.new_output();
    let mut verdicts_out = OutputBuilder::<u64, CapacityContainerBuilder<Vec<Repeats>>>::from(verdicts_out);
    let mut changes_out = OutputBuilder::<u64, CapacityContainerBuilder<Vec<Entries>>>::from(changes_out);
    let mut share = Share::new(room);
    builder.build(move |_| {
        let mut open: BTreeMap<u64, OpenEpoch> = BTreeMap::new();
        let mut held_back = None;
        move |frontiers| {
            let (mut verdicts, mut changes) = (verdicts_out.activate(), changes_out.activate());
            input.for_each(|time, sent| {
                for sent in sent.drain(..) {
                    match sent {
                        Sent::Restored { newest, day, keys, .. } => owner.restore(newest, day, &keys),
                        Sent::Question { asked, .. } => {
                            let fresh = || OpenEpoch {
                                for_verdicts: time.retain(0),
                                for_changes: time.retain(1),
                                asked: Vec::new(),
                            };
                            open.entry(*time.time()).or_insert_with(fresh).asked.push(asked);
                        }
                    }
                }
            });
            while let Some(entry) = open.first_entry()
                && held_back.is_none()
                && !frontiers[0].less_equal(entry.key())
            {
                let OpenEpoch { for_verdicts, for_changes, asked } = entry.remove();
                let (decided, gained) = owner.decide(asked);
                share.stand(owner.size());
                if share.room().is_over() {
                    failed(DedupFailure::NoRoom { keys: owner.len(), most: share.room().most() });
                    held_back = Some((for_verdicts, for_changes));
                    break;
                }
                verdicts.session(&for_verdicts).give_iterator(decided.into_iter());
                if !gained.is_empty() {
                    changes.session(&for_changes).give(Entries::new(gained));
                }
            }
        }
    });
    (verdicts, changes)
}

/// The batches of an epoch, and the answers so far.
#[derive(Default)]
struct Held {
    capabilities: Vec<Capability<u64>>,
    batches: Vec<Numbered>,
    /// Bytes of the columns; raw records have permits of their own.
    size: usize,
    again: BTreeMap<u64, Vec<u32>>,
}

type Rows<'scope> = StreamVec<'scope, u64, Batch>;

/// Holds batches until their epoch is decided, then passes them on without duplicates.
fn hold<'scope>(
    held: StreamVec<'scope, u64, Numbered>,
    verdicts: StreamVec<'scope, u64, Repeats>,
    mut share: Share,
) -> (Rows<'scope>, StreamVec<'scope, u64, Counted>, StreamVec<'scope, u64, FilteredRanges>) {
    let mut builder = OperatorBuilder::new("Hold".to_owned(), held.scope());
    let mut batches_in = builder.new_input(held, Pipeline);
    let mut verdicts_in = builder.new_input(verdicts, Exchange::new(|verdict: &Repeats| verdict.to));
    let (rows_out, rows) = builder.new_output();
    let (counts_out, counts) = builder.new_output();
    let (left_out_out, filtered_ranges) = builder.new_output();
    let mut rows_out = OutputBuilder::<u64, CapacityContainerBuilder<Vec<Batch>>>::from(rows_out);
    let mut counts_out = OutputBuilder::<u64, CapacityContainerBuilder<Vec<Counted>>>::from(counts_out);
    let mut left_out_out = OutputBuilder::<u64, CapacityContainerBuilder<Vec<FilteredRanges>>>::from(left_out_out);
    builder.build(move |_| {
        let mut open: BTreeMap<u64, Held> = BTreeMap::new();
        move |frontiers| {
            batches_in.for_each(|time, batches| {
                let held = open.entry(*time.time()).or_default();
                if held.capabilities.is_empty() {
                    held.capabilities = (0..3).map(|output| time.retain(output)).collect();
                }
                held.size += batches.iter().map(|(_, batch)| batch.rows.get_array_memory_size()).sum::<usize>();
                held.batches.append(batches);
            });
            verdicts_in.for_each(|time, verdicts| {
                let held = open.entry(*time.time()).or_default();
                for Repeats { batch, mut again, .. } in verdicts.drain(..) {
                    held.again.entry(batch).or_default().append(&mut again);
                }
            });
            let (mut rows, mut counts, mut filtered_ranges) =
                (rows_out.activate(), counts_out.activate(), left_out_out.activate());
            while let Some(entry) = open.first_entry()
                && !frontiers.iter().any(|frontier| frontier.less_equal(entry.key()))
            {
                let Held { capabilities, batches, mut again, .. } = entry.remove();
                let [for_rows, for_counts, for_left_out] = capabilities.as_slice() else { continue };
                for (number, batch) in batches {
                    let mut again = again.remove(&number).unwrap_or_default();
                    again.sort_unstable();
                    let split = batch.origin.raw.split.clone();
                    let (term, place) = reports();
                    counts.session(for_counts).give(Counted {
                        term,
                        place,
                        split: split.clone(),
                        records: again.len() as i64,
                    });
                    let (batch, stretches) = without(batch, &again);
                    if !stretches.is_empty() {
                        filtered_ranges.session(for_left_out).give(FilteredRanges::from([(split, stretches)]));
                    }
                    rows.session(for_rows).give(batch);
                }
            }
            share.work(open.values().map(|held| held.size).sum());
        }
    });
    (rows, counts, filtered_ranges)
}
