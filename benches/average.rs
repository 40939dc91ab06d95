//! What keeping averages costs: `cargo bench --bench average [-- mb=200 epochs=20000]`.
//!
//! First the adding up of batches, which is all that touches rows: overall, hour and day of one average, and another by a
//! group of many values, on one core, in MB/s of the JSON that the rows came from. Then an epoch's way through differential:
//! each epoch changes the same few hundred totals, and the last thousand epochs must not be slower than the first thousand
//! by more than half.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

#[path = "enriched/mod.rs"]
mod enriched;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use millstream::stages::Stages;
use millstream_operators::Batch;
use millstream_operators::average::{Tally, averages};
use timely::dataflow::operators::vec::Input;
use timely::dataflow::operators::{Inspect, Probe};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
/// Rows of an epoch, and epochs that are timed together.
const ROWS: usize = 200;
const TOGETHER: usize = 1_000;
const MOST_SLOWER: f64 = 1.5;

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
    let took = epochs(stages, Batch { rows: batch, origin }, asked("epochs=").unwrap_or(20_000).max(2 * TOGETHER));
    let (first, last) = (took[0], took[took.len() - 1]);
    println!("an epoch of {ROWS} rows: {first:.1} µs at first, {last:.1} µs after {} epochs", took.len() * TOGETHER);
    if last > first * MOST_SLOWER {
        println!("missed: the last epochs are more than {MOST_SLOWER} times as slow as the first");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
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
            let failed = |error| unreachable!("{error}");
            let changes = averages(batches, stages.averager().unwrap(), Vec::new(), 0, failed);
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
