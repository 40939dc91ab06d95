//! What keeping averages costs: `cargo bench --bench average [-- mb=200 epochs=20000 groups=1000000]`.
//!
//! First the adding up of batches, which is all that touches rows: overall, hour and day of one average, and another by a
//! group of many values, on one core, in MB/s of the JSON that the rows came from. Then an epoch's way through differential:
//! each epoch changes the same few hundred totals, and the last thousand epochs must not be slower than the first thousand
//! by more than half. Then what a group costs: an average of that many groups, all new and then all changed again, and the
//! memory that the process has resident for it at most.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

#[path = "enriched/mod.rs"]
mod enriched;

use std::hint::black_box;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use millstream::stages::Stages;
use millstream_operators::average::{AverageSpec, Averager, Bucket, Tally, averages};
use millstream_operators::state::Room;
use millstream_operators::{Batch, Origin};
use timely::dataflow::operators::vec::Input;
use timely::dataflow::operators::{Inspect, Probe};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
/// Rows of an epoch, and epochs that are timed together.
const ROWS: usize = 200;
const TOGETHER: usize = 1_000;
const MOST_SLOWER: f64 = 1.5;
/// Bytes that a group of one total may take.
const MOST_BYTES: u64 = 400;
/// Epochs in which all groups come once, and how often they come.
const EPOCHS: usize = 20;
const TIMES: usize = 3;

fn main() -> ExitCode {
    let asked = |name: &str| std::env::args().find_map(|argument| argument.strip_prefix(name)?.parse::<usize>().ok());
    let (stages, batches, bytes) = enriched::articles(asked("mb=").unwrap_or(200));
    let rows: usize = batches.iter().map(|batch| batch.rows.num_rows()).sum();
    let best = (0..ROUNDS).map(|_| added(&stages, &batches)).fold(f64::MAX, f64::min);
    println!(
        "adding up: {:.0} MB/s of JSON, {:.1} million rows a second, over {rows} rows",
        bytes as f64 / 1e6 / best,
        rows as f64 / 1e6 / best
    );
    let batch = batches[0].rows.slice(0, ROWS.min(batches[0].rows.num_rows()));
    let origin = batches[0].origin.clone();
    let took = epochs(
        stages,
        Batch { rows: batch, origin: origin.clone() },
        asked("epochs=").unwrap_or(20_000).max(2 * TOGETHER),
    );
    let (first, last) = (took[0], took[took.len() - 1]);
    println!("an epoch of {ROWS} rows: {first:.1} µs at first, {last:.1} µs after {} epochs", took.len() * TOGETHER);
    if last > first * MOST_SLOWER {
        println!("missed: the last epochs are more than {MOST_SLOWER} times as slow as the first");
        return ExitCode::FAILURE;
    }
    let groups = asked("groups=").unwrap_or(1_000_000);
    let (bytes, seconds) = group(origin, groups);
    println!("a group: {bytes} bytes resident at most, over {groups} groups; {:.2} µs a change", seconds * 1e6);
    if bytes > MOST_BYTES {
        println!("missed: a group takes more than {MOST_BYTES} bytes");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The most bytes that a group of an hour takes, of so many, and seconds that it takes to be changed.
fn group(origin: Origin, groups: usize) -> (u64, f64) {
    let schema = hours_of(0..0).schema();
    let (by, group) = (vec![Bucket::Hour], vec!["user".to_owned()]);
    let spec =
        AverageSpec { name: "n".into(), of: "n".into(), by, time: Some("at".into()), group, ..AverageSpec::default() };
    timely::execute_directly(move |worker| {
        let (mut input, probe) = worker.dataflow(|scope| {
            let (input, batches) = scope.new_input();
            let averager = Averager::new(vec![spec], &schema).unwrap();
            let failed = |failure| unreachable!("{failure}");
            let changes = averages(batches, averager, Vec::new(), 0, Room::unlimited().into(), failed);
            let (probe, _) = changes.inspect(|change| drop(black_box(change.clone()))).probe();
            (input, probe)
        });
        let (before, mut most, mut seconds) = (resident(), 0, 0.0);
        for epoch in 0..TIMES * EPOCHS {
            let each = groups / EPOCHS;
            let first = epoch % EPOCHS * each;
            for start in (first..first + each).step_by(8_192) {
                let rows = hours_of(start..(start + 8_192).min(first + each));
                let begun = Instant::now();
                input.send(Batch { rows, origin: origin.clone() });
                worker.step();
                seconds += begun.elapsed().as_secs_f64();
            }
            let begun = Instant::now();
            input.advance_to(epoch as u64 + 1);
            while probe.less_than(&(epoch as u64 + 1)) {
                worker.step();
            }
            seconds += begun.elapsed().as_secs_f64();
            most = most.max(resident());
        }
        ((most - before) * 1024 / groups as u64, seconds / (TIMES * groups) as f64)
    })
}

/// A row of each of those users, in the same hour.
fn hours_of(users: Range<usize>) -> RecordBatch {
    let (numbers, count) = (Int64Array::from(vec![7; users.len()]), users.len());
    let columns: [(&str, ArrayRef); 3] = [
        ("user", Arc::new(users.map(|user| Some(format!("user {user:07}"))).collect::<StringArray>())),
        ("n", Arc::new(numbers)),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![0; count]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Seconds to add all batches up.
fn added(stages: &Stages, batches: &[Batch]) -> f64 {
    let averager = stages.averager().unwrap();
    let (start, mut tally) = (Instant::now(), Tally::default());
    for batch in batches {
        averager.add(&batch.rows, &mut tally).unwrap();
    }
    assert!(!black_box(tally.drain()).is_empty());
    start.elapsed().as_secs_f64()
}

/// Microseconds an epoch takes, for each thousand of them.
fn epochs(stages: Stages, batch: Batch, count: usize) -> Vec<f64> {
    timely::execute_directly(move |worker| {
        let (mut input, probe) = worker.dataflow(|scope| {
            let (input, batches) = scope.new_input();
            let failed = |failure| unreachable!("{failure}");
            let room = Room::unlimited().into();
            let changes = averages(batches, stages.averager().unwrap(), Vec::new(), 0, room, failed);
            let (probe, _) = changes.inspect(|change| drop(black_box(change.clone()))).probe();
            (input, probe)
        });
        let timed = (0..count / TOGETHER).map(|thousand| {
            let start = Instant::now();
            for epoch in thousand * TOGETHER..(thousand + 1) * TOGETHER {
                input.send(batch.clone());
                input.advance_to(epoch as u64 + 1);
                while probe.less_than(&(epoch as u64 + 1)) {
                    worker.step();
                }
            }
            start.elapsed().as_secs_f64() * 1e6 / TOGETHER as f64
        });
        timed.collect()
    })
}
