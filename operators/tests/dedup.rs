//! Dedup against a plain oracle: the number of workers, the batch boundaries and a restart change nothing; every duplicate is
//! counted, and the commit knows which records they are.
//!
//! Would catch a decision that depends on the order of arrival, a key that expires too early or too late, and state that does not
//! survive a restart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use millstream_operators::dedup::{DedupFailure, DedupSpec, Deduped, KeyColumns, Owner, Seen, dedup, remove_filtered};
use millstream_operators::protocol::commit::FilteredRanges;
use millstream_operators::protocol::equation::{Counts, Term};
use millstream_operators::state::{Entries, Keeps, Room};
use millstream_operators::{Batch, Unlimited};
use proptest::prelude::*;
use timely::dataflow::operators::vec::Input;
use timely::dataflow::operators::{Inspect, Probe};

use crate::common::{batch_of, run_workers};

const DAY: i64 = 86_400_000_000;

/// Records of one split that arrived on one day.
#[derive(Clone, Debug)]
struct Piece {
    split: u8,
    day: i32,
    keys: Vec<Option<u8>>,
}

/// Per epoch its pieces, each with the first position of its records.
type Epochs = Vec<Vec<(u64, Piece)>>;
/// A record: split, position.
type Record = (u8, u64);

fn spec() -> DedupSpec {
    DedupSpec { by: vec!["id".into(), "of".into()], within: 2 }
}

fn name(split: u8) -> String {
    format!("split-{split}")
}

fn batch(first: u64, piece: &Piece) -> Batch {
    let ids: Int64Array = piece.keys.iter().map(|key| key.map(|key| i64::from(key % 3))).collect();
    let ofs: StringArray =
        piece.keys.iter().map(|key| Some(key.map_or("", |key| ["a", "b", "c"][usize::from(key) / 3 % 3]))).collect();
    let at: Int64Array = (first..).take(piece.keys.len()).map(|at| Some(at as i64)).collect();
    let columns: [(&str, ArrayRef, bool); 3] =
        [("at", Arc::new(at), false), ("id", Arc::new(ids), true), ("of", Arc::new(ofs), true)];
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    batch_of(&name(piece.split), first, i64::from(piece.day) * DAY + 5, rows)
}

fn rows(batch: &Batch) -> Vec<Record> {
    let split = batch.origin.raw.split.strip_prefix("split-").unwrap().parse().unwrap();
    batch.rows.column(0).as_primitive::<Int64Type>().values().iter().map(|at| (split, *at as u64)).collect()
}

/// Positions as the records of a split come.
fn placed(epochs: &[Vec<Piece>]) -> Epochs {
    let mut next: BTreeMap<u8, u64> = BTreeMap::new();
    let mut place = |piece: &Piece| {
        let first = next.entry(piece.split).or_default();
        let placed = (*first, piece.clone());
        *first += piece.keys.len() as u64;
        placed
    };
    epochs.iter().map(|epoch| epoch.iter().map(&mut place).collect()).collect()
}

/// The records that come first.
fn oracle(epochs: &Epochs) -> BTreeSet<Record> {
    let (mut known, mut newest, mut first) = (BTreeMap::new(), i32::MIN, BTreeSet::new());
    for epoch in epochs {
        let mut records: Vec<(u8, u64, i32, Option<u8>)> = Vec::new();
        for (at, piece) in epoch {
            let record = |(index, key): (usize, &Option<u8>)| (piece.split, at + index as u64, piece.day, *key);
            records.extend(piece.keys.iter().enumerate().map(record));
            newest = newest.max(piece.day);
        }
        records.sort();
        for (split, at, day, key) in records {
            // Nine keys: see `batch`.
            let known_on = key.and_then(|key| known.get(&(key % 9)).copied());
            if known_on.is_some_and(|known: i32| known.abs_diff(day) <= 2) {
                continue;
            }
            first.insert((split, at));
            if let Some(key) = key {
                known.insert(key % 9, day.max(known_on.unwrap_or(day)));
            }
        }
        known.retain(|_, day| *day >= newest - 2);
    }
    first
}

/// What a run gave.
#[derive(Clone, Debug, Default)]
struct Given {
    rows: BTreeSet<Record>,
    counts: Counts,
    filtered_ranges: FilteredRanges,
    seen: Seen,
}

fn run(epochs: Epochs, workers: usize, restored: Seen, first: u64) -> Given {
    let given = Arc::new(Mutex::new(Given { seen: restored.clone(), ..Given::default() }));
    let out = given.clone();
    let epochs = epochs
        .iter()
        .zip(first..)
        .map(|(pieces, epoch)| (epoch, pieces.iter().map(|(at, piece)| batch(*at, piece)).collect::<Vec<Batch>>()));
    run_workers(workers, first, epochs.collect(), move |batches, restores| {
        let restored = if restores { restored.clone() } else { Seen::default() };
        let schema = batch(0, &Piece { split: 0, day: 0, keys: vec![] }).rows.schema();
        let keys = KeyColumns::new(&spec(), &schema).unwrap();
        let Deduped { rows: first_ones, counts, filtered_ranges, changes } =
            dedup(batches, keys, restored, first, Room::unlimited().into(), |failure| panic!("{failure}"));
        let [to_rows, to_counts, to_ranges, to_seen] = [(); 4].map(|()| out.clone());
        counts.inspect(move |counted| to_counts.lock().unwrap().counts.add(counted.clone()));
        filtered_ranges.inspect(move |ranges| {
            let mut given = to_ranges.lock().unwrap();
            for (split, ranges) in ranges {
                given.filtered_ranges.entry(split.clone()).or_default().extend(ranges.iter().cloned());
            }
        });
        changes.inspect(move |entries: &Entries| {
            let seen = &mut to_seen.lock().unwrap().seen;
            seen.take_in(entries.get().unwrap());
            seen.compact(&spec().defined());
        });
        first_ones.inspect(move |batch| to_rows.lock().unwrap().rows.extend(rows(batch))).probe().0
    });
    let mut given = given.lock().unwrap().clone();
    given.filtered_ranges.values_mut().for_each(|stretches| stretches.sort());
    given
}

fn piece() -> impl Strategy<Value = Piece> {
    let key = prop_oneof![1 => Just(None), 8 => (0..9u8).prop_map(Some)];
    (0..3u8, 0..6i32, proptest::collection::vec(key, 0..6)).prop_map(|(split, day, keys)| Piece { split, day, keys })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_workers_any_restart_leave_out_the_same_records(
        epochs in proptest::collection::vec(proptest::collection::vec(piece(), 0..5), 1..7),
        stop in 0..7usize,
        workers in (1..=3usize, 1..=3usize),
    ) {
        let epochs = placed(&epochs);
        let (before, after) = epochs.split_at(stop.min(epochs.len()));
        let one = run(before.to_vec(), workers.0, Seen::default(), 1);
        // What lies in the log between the two.
        let seen = serde_json::from_slice(&serde_json::to_vec(&one.seen).unwrap()).unwrap();
        let other = run(after.to_vec(), workers.1, seen, 100);
        let rows: BTreeSet<Record> = one.rows.union(&other.rows).copied().collect();
        let first = oracle(&epochs);
        prop_assert_eq!(&rows, &first);

        // Every record is let through or reported, by split, and of those that were left out the log knows which.
        for (at, piece) in epochs.iter().flatten() {
            let split = name(piece.split).as_str().into();
            let reported = [&one, &other].map(|given| given.counts.of(Term::Filtered, &Counts::every(), &split));
            let passed = rows.iter().filter(|(of, _)| *of == piece.split).count() as i64;
            let all: usize = epochs.iter().flatten().filter(|(_, of)| of.split == piece.split).map(|(_, of)| of.keys.len()).sum();
            prop_assert_eq!(reported.iter().flatten().sum::<i64>() + passed, all as i64);
            for given in [&one, &other] {
                let again = remove_filtered(batch(*at, piece), &given.filtered_ranges);
                if given.rows.iter().any(|row| self::rows(&batch(*at, piece)).contains(row)) {
                    let kept: BTreeSet<Record> = self::rows(&again).into_iter().collect();
                    let passed = self::rows(&batch(*at, piece)).into_iter().filter(|row| first.contains(row)).collect();
                    prop_assert_eq!(kept, passed);
                }
            }
        }
    }
}

/// State for which there is no memory holds its epoch back and says so.
#[test]
fn more_keys_than_there_is_memory_for_hold_their_epoch_back() {
    timely::execute_directly(|worker| {
        let said = Arc::new(Mutex::new(Vec::new()));
        let failures = said.clone();
        let piece = Piece { split: 0, day: 0, keys: (0..9).map(Some).collect() };
        let room = Arc::new(Room::new(Arc::new(Unlimited), 100, 0));
        let (mut input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, batches) = scope.new_input::<Batch>();
            let keys = KeyColumns::new(&spec(), &batch(0, &piece).rows.schema()).unwrap();
            let failed = move |failure: DedupFailure| failures.lock().unwrap().push(failure.to_string());
            let (probe, _) = dedup(batches, keys, Seen::default(), 1, room, failed).rows.probe();
            (input, probe)
        });
        input.advance_to(1);
        input.send(batch(0, &piece));
        input.advance_to(2);
        for _ in 0..200 {
            worker.step();
        }
        assert!(probe.less_than(&2), "it was let through");
        let said = said.lock().unwrap().clone();
        let told = said.len() == 1
            && said[0].contains("[dedup]: one worker keeps 9 keys")
            && said[0].contains("[limits] memory");
        assert!(told, "{said:?}");
        // A dataflow that is held back never ends by itself.
        worker.installed_dataflows().into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
    });
}

#[test]
fn as_a_plain_function_it_does_the_same_a_batch_at_a_time() {
    let piece = |day, keys: &[u8]| Piece { split: 0, day, keys: keys.iter().map(|key| Some(*key)).collect() };
    let batches = [batch(0, &piece(1, &[1, 2, 1])), batch(3, &piece(2, &[3, 2, 9])), batch(6, &piece(9, &[1, 1]))];
    let keys = KeyColumns::new(&spec(), &batches[0].rows.schema()).unwrap();
    let mut owner = Owner::new(keys.within);
    let left: Vec<Vec<Record>> = batches.into_iter().map(|batch| rows(&keys.apply(&mut owner, batch))).collect();
    assert_eq!(left, [vec![(0, 0), (0, 1)], vec![(0, 3), (0, 5)], vec![(0, 6)]]);
}
