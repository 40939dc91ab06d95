//! What tests of dataflows share: batches, and runs on several workers.

use std::sync::Arc;

use arrow::array::RecordBatch;
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::{Batch, Origin, Permit, Position, RawBatch, Records};
use timely::CommunicationConfig;
use timely::dataflow::operators::vec::Input;
use timely::dataflow::{ProbeHandle, StreamVec};

/// Rows that are records of `split` from position `first` on.
pub(crate) fn batch_of(split: &str, first: u64, arrived_at: i64, rows: RecordBatch) -> Batch {
    let raw = RawBatch {
        split: split.into(),
        records: Records::Rows(rows.clone()),
        positions: Positions::Counted { first },
        until: Position::at(first + rows.num_rows() as u64),
        arrived_at,
        refused: vec![],
        beside: Beside::default(),
        permit: Permit::free(),
        size: 0,
    };
    Batch { rows, origin: Origin::all(Arc::new(raw)) }
}

/// Runs the dataflow that `build` makes to its end. The batches of an epoch are dealt to the workers in turn. `build` gets the
/// input, and whether the worker is the one that restores state.
pub(crate) fn run_workers(
    workers: usize,
    first: u64,
    epochs: Vec<(u64, Vec<Batch>)>,
    build: impl Fn(StreamVec<'_, u64, Batch>, bool) -> ProbeHandle<u64> + Send + Sync + 'static,
) {
    // Three workers speak in bytes, as workers of different processes do.
    let communication = match workers {
        1 => CommunicationConfig::Thread,
        2 => CommunicationConfig::Process(2),
        _ => CommunicationConfig::ProcessBinary(workers),
    };
    let config = timely::Config { communication, worker: timely::WorkerConfig::default() };
    let guards = timely::execute(config, move |worker| {
        let (index, peers) = (worker.index(), worker.peers());
        let (mut input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, batches) = scope.new_input::<Batch>();
            (input, build(batches, index == peers - 1))
        });
        input.advance_to(first);
        for (epoch, batches) in &epochs {
            input.advance_to(*epoch);
            for (_, batch) in batches.iter().enumerate().filter(|(number, _)| number % peers == index) {
                input.send(batch.clone());
            }
            if epoch % 2 == 0 {
                worker.step();
            }
        }
        input.close();
        while !probe.done() {
            worker.step();
        }
    });
    guards.unwrap().join().into_iter().for_each(|worker| worker.unwrap());
}
