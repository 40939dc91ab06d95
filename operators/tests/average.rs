//! Proves that averages are exact and the same however the rows come: in any batches and epochs, on one to three workers, with
//! a stop and a restart from the saved totals in the middle, with old buckets folded away and without; that keeping them costs
//! the same after 200,000 epochs; and that what they cost is counted and limited.
//!
//! The oracle adds every row up from scratch with plain maps and integers. It would catch a row counted twice at a batch's or
//! epoch's seam, a total lost or told twice at a restart, a key that lives on two workers, a null that is counted, a bucket that
//! comes back after it was folded away, totals that stay in memory after that, a limit that lets an epoch through, and a trace
//! that grows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "average/limits.rs"]
mod limits;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use millstream_operators::average::{
    AverageError, AverageKey, AverageSpec, Averager, Bucket, Change, Totals, Unit, averages,
};
use millstream_operators::state::Room;
use millstream_operators::{Batch, Permit};
use proptest::prelude::*;
use timely::dataflow::operators::vec::Input;
use timely::dataflow::operators::{Inspect, Probe};

use crate::common::{batch_of, run_workers};

const HOUR: i64 = 3_600_000_000;

#[derive(Clone, Debug)]
struct Row {
    words: Option<i64>,
    price: Option<i128>,
    score: Option<f64>,
    at: Option<i64>,
    country: Option<String>,
    /// The outer one is the struct around it.
    platform: Option<Option<u8>>,
}

fn row() -> impl Strategy<Value = Row> {
    let at = prop_oneof![-3 * HOUR..3 * HOUR, -30 * HOUR..30 * HOUR, Just(0), Just(HOUR), Just(-1)];
    let score = prop_oneof![-1e6..1e6f64, Just(0.1), Just(f64::NAN), Just(f64::NEG_INFINITY), Just(1e18), Just(-0.0)];
    (
        proptest::option::of(prop_oneof![-5..5i64, any::<i64>()]),
        proptest::option::of(-99_999..99_999i128),
        proptest::option::of(score),
        proptest::option::weighted(0.8, at),
        proptest::option::weighted(0.8, "[ab]{0,1}"),
        proptest::option::weighted(0.8, proptest::option::of(0..3u8)),
    )
        .prop_map(|(words, price, score, at, country, platform)| Row {
            words,
            price,
            score,
            at,
            country,
            platform,
        })
}

fn batch(rows: &[Row]) -> Batch {
    // The struct is null where `platform` is None, while the value inside it says 9.
    let inside: Int64Array =
        rows.iter().map(|row| row.platform.map_or(Some(9), |inner| inner.map(i64::from))).collect();
    let user = StructArray::new(
        Fields::from(vec![Field::new("platform", DataType::Int64, true)]),
        vec![Arc::new(inside)],
        Some(rows.iter().map(|row| row.platform.is_some()).collect::<Vec<_>>().into()),
    );
    let price: Decimal128Array = rows.iter().map(|row| row.price).collect();
    let at: TimestampMicrosecondArray = rows.iter().map(|row| row.at).collect();
    let columns: [(&str, ArrayRef, bool); 6] = [
        ("words", Arc::new(rows.iter().map(|row| row.words).collect::<Int64Array>()), true),
        ("price", Arc::new(price.with_precision_and_scale(10, 2).unwrap()), true),
        ("score", Arc::new(rows.iter().map(|row| row.score).collect::<Float64Array>()), true),
        ("at", Arc::new(at.with_timezone("UTC")), true),
        ("country", Arc::new(rows.iter().map(|row| row.country.clone()).collect::<StringArray>()), true),
        ("user", Arc::new(user), true),
    ];
    from_rows(RecordBatch::try_from_iter_with_nullable(columns).unwrap())
}

fn from_rows(rows: RecordBatch) -> Batch {
    batch_of("test", 0, 0, rows)
}

fn specs() -> Vec<AverageSpec> {
    let spec = |of: &str, by: &[Bucket], group: &[&str]| AverageSpec {
        name: of.into(),
        of: of.into(),
        by: by.to_vec(),
        time: Some("at".into()),
        group: group.iter().map(|name| (*name).to_owned()).collect(),
        ..AverageSpec::default()
    };
    let all = [Bucket::Overall, Bucket::Hour, Bucket::Day];
    vec![
        spec("words", &all, &[]),
        spec("price", &[Bucket::Overall, Bucket::Day], &["country"]),
        spec("score", &all, &["user.platform", "country"]),
        spec("user.platform", &[Bucket::Overall], &[]),
    ]
}

/// What a float stands for: its exact value, printed by the standard library, rounded to nine digits, a half to even.
fn units(value: f64) -> Option<i128> {
    if !value.is_finite() || value.abs() >= 1e18 {
        return None;
    }
    let text = format!("{:.1100}", value.abs());
    let (whole, rest) = text.split_once('.').unwrap();
    let (kept, cut) = rest.split_at(9);
    let units: i128 = format!("{whole}{kept}").parse().unwrap();
    let half = format!("5{}", "0".repeat(cut.len() - 1));
    let units = units + i128::from(*cut > *half || (*cut == *half && units % 2 == 1));
    Some(if value < 0.0 { -units } else { units })
}

fn oracle(rows: &[Row]) -> BTreeMap<AverageKey, Totals> {
    let mut totals: BTreeMap<AverageKey, Totals> = BTreeMap::new();
    for row in rows {
        let platform = row.platform.flatten();
        let by_platform = vec![platform.map(|platform| platform.to_string()), row.country.clone()];
        let values = [
            (row.words.map(i128::from), vec![]),
            (row.price, vec![row.country.clone()]),
            (row.score.and_then(units), by_platform),
            (platform.map(i128::from), vec![]),
        ];
        for (average, (value, group)) in values.into_iter().enumerate() {
            let Some(value) = value else { continue };
            for by in specs()[average].by.clone() {
                let from = match by {
                    Bucket::Overall => Some(0),
                    Bucket::Hour => row.at.map(|at| (at as f64 / HOUR as f64).floor() as i64 * HOUR),
                    Bucket::Day => row.at.map(|at| (at as f64 / (24 * HOUR) as f64).floor() as i64 * 24 * HOUR),
                };
                let Some(from) = from else { continue };
                let key = AverageKey { average: average as u16, by, from, group: group.clone() };
                let total = totals.entry(key).or_default();
                *total = (total.0 + value, total.1 + 1);
            }
        }
    }
    totals
}

/// Per epoch the batches; each goes to the worker of its number.
type Epochs = BTreeMap<u64, Vec<Batch>>;

/// Runs the dataflow; what came out, with its epoch.
fn run(epochs: Epochs, workers: usize, restored: Vec<(AverageKey, Totals)>, first: u64) -> Vec<(u64, Change)> {
    run_for(specs(), epochs, workers, restored, first)
}

fn run_for(
    specs: Vec<AverageSpec>,
    epochs: Epochs,
    workers: usize,
    restored: Vec<(AverageKey, Totals)>,
    first: u64,
) -> Vec<(u64, Change)> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let out = told.clone();
    run_workers(workers, first, epochs.into_iter().collect(), move |batches, restores| {
        let restored = if restores { restored.clone() } else { Vec::new() };
        let averager = Averager::new(specs.clone(), &batch(&[]).rows.schema()).unwrap();
        let changes =
            averages(batches, averager, restored, first, Room::unlimited().into(), |failure| panic!("{failure}"));
        let out = out.clone();
        let told = changes.inspect_time(move |epoch, change| out.lock().unwrap().push((*epoch, change.clone())));
        told.probe().0
    });
    let mut told = std::mem::take(&mut *told.lock().unwrap());
    told.sort();
    told
}

/// Cuts rows into batches and epochs as the numbers say.
fn cut(rows: &[Row], cuts: &[(usize, u64)], first: u64) -> Epochs {
    let (mut epochs, mut rest, mut epoch) = (Epochs::new(), rows, first);
    for (size, skip) in cuts.iter().chain([&(usize::MAX, 0)]) {
        let (now, later) = rest.split_at((*size).min(rest.len()));
        epochs.entry(epoch).or_default().push(batch(now));
        rest = later;
        epoch += skip;
    }
    epochs
}

/// Each epoch tells each key at most once; the last word on each is its total.
fn settle(told: &[(u64, Change)]) -> BTreeMap<AverageKey, Totals> {
    for pair in told.windows(2) {
        assert!((pair[0].0, &pair[0].1.key) != (pair[1].0, &pair[1].1.key), "told twice in one epoch: {pair:?}");
    }
    told.iter().map(|(_, change)| (change.key.clone(), (change.sum, change.count))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_any_workers_any_restart_give_the_same_totals(
        rows in proptest::collection::vec(row(), 0..40),
        cuts in proptest::collection::vec((0..9usize, 0..3u64), 0..8),
        more in proptest::collection::vec((0..9usize, 0..3u64), 0..8),
        stop in 0..40usize,
        workers in (1..=3usize, 1..=3usize),
    ) {
        let (before, after) = rows.split_at(stop.min(rows.len()));
        let told = run(cut(before, &cuts, 1), workers.0, vec![], 1);
        let mut totals = settle(&told);
        prop_assert_eq!(&totals, &oracle(before));

        let saved: Vec<_> = totals.clone().into_iter().collect();
        let told = run(cut(after, &more, 100), workers.1, saved, 100);
        let changed = settle(&told);
        // What is told again is what rows of this run changed, and nothing else.
        prop_assert_eq!(changed.keys().cloned().collect::<Vec<_>>(), oracle(after).into_keys().collect::<Vec<_>>());
        totals.extend(changed);
        prop_assert_eq!(totals, oracle(&rows));
    }

    #[test]
    fn what_is_folded_away_is_so_at_every_epoch_and_however_late_its_rows_come(
        rows in proptest::collection::vec(row(), 0..60),
        cuts in proptest::collection::vec((0..9usize, 0..3u64), 0..12),
        more in proptest::collection::vec((0..9usize, 0..3u64), 0..12),
        stop in 0..60usize,
        keep in proptest::collection::vec(proptest::option::weighted(0.8, 0..40i64), 4),
        workers in (1..=3usize, 1..=3usize),
    ) {
        let mut specs = specs();
        for (spec, hours) in specs.iter_mut().zip(keep) {
            spec.keep = hours.map(|hours| hours * HOUR);
        }
        let (before, after) = rows.split_at(stop.min(rows.len()));
        let mut log = BTreeMap::new();
        for (rows, epochs, first, workers, so_far) in
            [(before, cut(before, &cuts, 1), 1, workers.0, 0), (after, cut(after, &more, 100), 100, workers.1, before.len())]
        {
            let saved: Vec<_> = log.clone().into_iter().collect();
            let told = run_for(specs.clone(), epochs, workers, saved, first);
            settle(&told);
            // As a log of commits takes it in, epoch by epoch: it must be a recount at each.
            let (mut told, mut seen) = (told.into_iter().peekable(), so_far);
            for (epoch, size) in sizes(rows, if first == 1 { &cuts } else { &more }, first) {
                seen += size;
                while let Some((_, change)) = told.next_if(|(at, _)| *at == epoch) {
                    log.insert(change.key, (change.sum, change.count));
                }
                fold(&mut log, &specs);
                let mut recount = oracle(&all_rows(before, after)[..seen]);
                fold(&mut recount, &specs);
                prop_assert_eq!(&log, &recount, "after epoch {}", epoch);
            }
            prop_assert_eq!(told.next(), None, "an epoch that was not there");
        }
    }
}

fn all_rows(before: &[Row], after: &[Row]) -> Vec<Row> {
    before.iter().chain(after).cloned().collect()
}

/// How many rows [`cut`] puts into each epoch.
fn sizes(rows: &[Row], cuts: &[(usize, u64)], first: u64) -> BTreeMap<u64, usize> {
    let (mut sizes, mut rest, mut epoch) = (BTreeMap::new(), rows.len(), first);
    for (size, skip) in cuts.iter().chain([&(usize::MAX, 0)]) {
        *sizes.entry(epoch).or_default() += rest.min(*size);
        rest -= rest.min(*size);
        epoch += skip;
    }
    sizes
}

/// The rule of `keep`, read aloud.
fn fold(totals: &mut BTreeMap<AverageKey, Totals>, specs: &[AverageSpec]) {
    let all = totals.clone();
    totals.retain(|key, _| {
        let newest =
            all.keys().filter(|other| (other.average, other.by) == (key.average, key.by)).map(|key| key.from).max();
        let length = match key.by {
            Bucket::Overall => return true,
            Bucket::Hour => HOUR,
            Bucket::Day => 24 * HOUR,
        };
        // In whole buckets: they all begin on the hour, or at midnight.
        specs[usize::from(key.average)].keep.is_none_or(|keep| newest.unwrap() - key.from <= keep / length * length)
    });
}

#[test]
fn every_epoch_tells_its_own_totals_at_its_own_time() {
    let row = |words| Row { words: Some(words), price: None, score: None, at: None, country: None, platform: None };
    // The epochs are handed over at once, so that differential sees several of them in one batch.
    let epochs = (1..=5u64).map(|epoch| (epoch, vec![batch(&[row(epoch as i64)]), batch(&[row(10)])])).collect();
    let told: Vec<_> = run(epochs, 2, vec![], 1).into_iter().map(|(epoch, c)| (epoch, c.sum, c.count)).collect();
    assert_eq!(told, [(1, 11, 2), (2, 23, 4), (3, 36, 6), (4, 50, 8), (5, 65, 10)]);
}

#[test]
fn what_cannot_be_averaged_is_refused_by_name() {
    let schema = batch(&[]).rows.schema();
    let of = |of: &str, time: Option<&str>, group: &[&str]| {
        let group = group.iter().map(|name| (*name).to_owned()).collect();
        let by = vec![Bucket::Hour];
        let spec = AverageSpec {
            name: "it".into(),
            of: of.into(),
            by,
            time: time.map(str::to_owned),
            group,
            ..AverageSpec::default()
        };
        spec.check(&schema)
    };
    assert_eq!(of("price", Some("at"), &[]), Ok(Unit { scale: 2, trim: false }));
    let missing = |column: &str| Err(AverageError::NoColumn { average: "it".into(), column: column.into() });
    assert_eq!(of("user.nothing", Some("at"), &[]), missing("user.nothing"));
    assert_eq!(of("words", Some("when"), &[]), missing("when"));
    assert_eq!(of("words", None, &[]), Err(AverageError::NoTime { average: "it".into(), kind: None }));
    assert!(matches!(of("country", Some("at"), &[]), Err(AverageError::NotANumber { .. })));
    assert!(matches!(of("words", Some("country"), &[]), Err(AverageError::NoTime { kind: Some(_), .. })));
    assert!(matches!(of("words", Some("at"), &["user"]), Err(AverageError::NoGroup { .. })));
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// One row in each of 200,000 epochs; the hours and days they fall into come around again and again.
#[test]
#[allow(clippy::disallowed_methods, reason = "it measures real time")]
fn memory_and_time_stay_flat_over_200_000_epochs() {
    const TENTH: u64 = 20_000;
    let (memory, times) = timely::execute_directly(|worker| {
        let (mut input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, batches) = scope.new_input::<Batch>();
            let averager = Averager::new(specs()[..1].to_vec(), &batch(&[]).rows.schema()).unwrap();
            let (probe, _) =
                averages(batches, averager, vec![], 0, Room::unlimited().into(), |failure| panic!("{failure}")).probe();
            (input, probe)
        });
        let row = |hour| Row {
            words: Some(7),
            price: None,
            score: None,
            at: Some(hour * HOUR),
            country: None,
            platform: None,
        };
        let hours: Vec<Batch> = (0..100).map(|hour| batch(&[row(hour)])).collect();
        let (mut memory, mut times, mut begun) = (Vec::new(), Vec::new(), std::time::Instant::now());
        for epoch in 0..10 * TENTH {
            input.send(hours[(epoch / 60 % 100) as usize].clone());
            input.advance_to(epoch + 1);
            while probe.less_than(&(epoch + 1)) {
                worker.step();
            }
            if (epoch + 1) % TENTH == 0 {
                memory.push(resident());
                times.push(begun.elapsed().as_secs_f64() * 1e6 / TENTH as f64);
                begun = std::time::Instant::now();
            }
        }
        (memory, times)
    });
    println!("resident KiB by tenth: {memory:?}; µs per epoch: {times:.1?}");
    let grown = memory[9].saturating_sub(memory[1]);
    assert!(grown < 4 * 1024, "memory grew by {grown} KiB between epoch 40,000 and 200,000: {memory:?}");
    // The machine may be busy; with a trace that is never compacted an epoch takes a hundred times longer by the end.
    assert!(times[9] < 10.0 * times[1] + 100.0, "epochs got slower: {times:?}");
}
