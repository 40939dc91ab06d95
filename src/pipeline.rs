//! The one place where operators are put together.
//!
#![doc = include_str!("../docs/flow.md")]
//! Where the pipeline asks for it (`[balance]`), raw batches are spread over all workers between ingest and decode.
//!
//! Every worker builds the same dataflow; what differs is which splits it is given, and that worker 0 decides and commits.
//! Only what goes into `commit` and the pre-aggregated averages crosses between workers unless more is asked for.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_operators::average::{AverageFailure, AverageTotals, Averager, Change, averages};
use millstream_operators::commit::{CommitRequest, Item, Sealed, commit};
use millstream_operators::control::{Control, DeskOptions};
use millstream_operators::decode::DecodeStream;
use millstream_operators::dedup::{self, DedupFailure, Deduped};
use millstream_operators::encode::{EncodeOptions, Encoder, encode};
use millstream_operators::enrich::enrich;
use millstream_operators::ingest::{EpochMeter, ingest};
use millstream_operators::port::Queues;
use millstream_operators::protocol::assign::Bounds;
use millstream_operators::protocol::equation::Announced;
use millstream_operators::protocol::{Place, State};
use millstream_operators::route::{Route, Routes, route};
use millstream_operators::spread::{Lending, spread};
use millstream_operators::stage::{Staged, stage};
use millstream_operators::state::{Entries, Keeps, Operators, Room};
use millstream_operators::validate::validate;
use millstream_operators::{Batch, Port};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Concatenate, Probe};
use timely::dataflow::{ProbeHandle, Scope, StreamVec};
use timely::scheduling::SyncActivator;
use timely::worker::Worker;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::averages::known::Known;
use crate::bridge::{self, Budget, OperatorEnd, TokioEnd};
use crate::config::Exchange;
use crate::exit::Fatal;
use crate::log::committer::{self, Committing};
use crate::stages::Stages;
use crate::stages::steps::{self, Step};
use crate::tasks;

/// Batches that may wait between a worker's readers and its ingest.
const BATCHES_WAITING: usize = 4;
/// Replies of any other kind that may wait.
const REPLIES_WAITING: usize = 64;

/// Everything that the workers of a process need; shared by all of them.
pub struct Plan {
    /// How many processes run the pipeline together.
    pub processes: usize,
    pub stages: Stages,
    pub bounds: Bounds,
    /// The claimed log: where to go on from. The entries of its operators stand apart.
    pub state: State,
    /// The entries of operators to go on from. The worker that restores them takes them, and they are held no longer.
    pub entries: Mutex<Operators>,
    /// The memory that the state of operators may take.
    pub room: Arc<Room>,
    pub committing: Committing,
    pub budget: Budget,
    /// What this process has lent to the others.
    pub lending: Arc<Lending>,
    pub meter: Arc<EpochMeter>,
    pub interval: Duration,
    /// Bytes that the open files of all workers of the process may hold.
    pub open_files: usize,
    pub tokio: Handle,
    /// Cancelled when the run is to end early.
    pub stop: CancellationToken,
}

impl Plan {
    /// The entries of an operator to go on from. Those that deal them out take them; the others get none.
    fn restored<K: Keeps>(&self, worker: usize) -> K {
        match worker {
            0 => self.entries.lock().unwrap_or_else(PoisonError::into_inner).take(),
            _ => K::default(),
        }
    }

    /// Ends the run with what an operator could not do.
    fn failed<F: std::error::Error>(&self) -> impl Fn(F) + use<F> + 'static {
        let trouble = self.committing.trouble.clone();
        move |failure| trouble.report(Fatal::Failed(failure.to_string()))
    }
}

type Batches<'scope> = StreamVec<'scope, u64, Batch>;

/// Rows of a step; what it refuses goes to the others that were refused.
fn forked<'scope>(
    (rows, refuses): (Batches<'scope>, Batches<'scope>),
    refused: &mut Vec<Batches<'scope>>,
) -> Batches<'scope> {
    refused.push(refuses);
    rows
}

/// A worker's dataflow, running.
pub struct Flow {
    control: Rc<Control>,
    probe: ProbeHandle<u64>,
    closed: bool,
}

impl Flow {
    /// Builds the dataflow on a worker.
    pub fn build(worker: &mut Worker, plan: &Arc<Plan>) -> Result<Self, Fatal> {
        let first = plan.state.epoch + 1;
        let control = control(worker, plan, first);
        let probe = ProbeHandle::new();
        let parts = Parts::new(plan, worker.index(), worker.peers())?;
        worker.dataflow_named::<u64, _, _>("pipeline", |scope| {
            parts.connect(scope, plan, first, control.clone(), &probe);
        });
        Ok(Flow { control, probe, closed: false })
    }

    /// One step; parks for up to `wait` when there is nothing to do. `false` once everything is committed and published.
    pub fn turn(&mut self, worker: &mut Worker, wait: Option<Duration>) -> bool {
        self.control.turn();
        let wait = if self.control.has_words() { Some(Duration::ZERO) } else { wait };
        worker.step_or_park(wait);
        if !self.closed && self.probe.done() {
            self.control.close();
            self.closed = true;
        }
        worker.has_dataflows()
    }
}

fn control(worker: &mut Worker, plan: &Arc<Plan>, first: u64) -> Rc<Control> {
    let source = plan.committing.source.clone();
    let options = DeskOptions {
        bounds: plan.bounds,
        concurrency: source.concurrency(),
        committed: if worker.index() == 0 { plan.state.positions.clone() } else { BTreeMap::new() },
        exhausted: Box::new(move |split, at| source.is_exhausted(split, at)),
    };
    Control::build(worker, first, options, |worker, address| {
        let plan = plan.clone();
        boxed(worker.sync_activator_for(address), REPLIES_WAITING, &plan.tokio.clone(), move |end| {
            let source = plan.committing.source.clone();
            let trouble = plan.committing.trouble.clone();
            tasks::discover::run(source, plan.interval, plan.stop.clone(), trouble, end)
        })
    })
}

/// Makes a port, and a task that serves it.
fn boxed<Request, Reply, Task>(
    activator: SyncActivator,
    places: usize,
    tokio: &Handle,
    task: impl FnOnce(TokioEnd<Request, Reply>) -> Task,
) -> Box<dyn Port<Request, Reply>>
where
    Request: Send + 'static,
    Reply: Send + 'static,
    Task: Future<Output = ()> + Send + 'static,
{
    let (operator, end): (OperatorEnd<Request, Reply>, _) = bridge::port(activator, places);
    tokio.spawn(task(end));
    Box::new(operator)
}

/// What of a worker's dataflow can fail to be made, made beforehand.
struct Parts {
    decoder: millstream_operators::decode::Decoder,
    steps: Vec<Step>,
    route: Route,
    /// In the order of the route's legs.
    sinks: Vec<(Place, Encoder)>,
    rejects: Encoder,
    averager: Averager,
}

/// Changed totals as the log keeps them, a buffer of them at a time.
fn written<'scope>(changes: StreamVec<'scope, u64, Change>, known: Known) -> StreamVec<'scope, u64, Entries> {
    let as_entries = move |changes: std::vec::Drain<'_, Change>| {
        Entries::new(changes.map(|change| known.written(&change)).collect::<AverageTotals>())
    };
    changes.unary::<CapacityContainerBuilder<Vec<Entries>>, _, _, _>(Pipeline, "Written", move |_, _| {
        move |input, output| {
            input.for_each(|time, changes| output.session(&time).give(as_entries(changes.drain(..))));
        }
    })
}

impl Parts {
    fn new(plan: &Plan, worker: usize, peers: usize) -> Result<Self, Fatal> {
        let wrong = |error: &dyn std::fmt::Display| Fatal::Failed(error.to_string());
        let reserve = Arc::new(plan.budget.clone());
        let config = plan.stages.config();
        // What open files may hold is shared by the sinks of a worker; its rejects have as much besides.
        let memory = plan.open_files / (peers / plan.processes);
        let of = |place: &Place, options: EncodeOptions, memory: usize| -> Result<Encoder, Fatal> {
            let options = EncodeOptions {
                min_part: plan.committing.places.of(place)?.min_part(),
                memory,
                worker,
                generation: plan.state.generation,
                log: plan.state.log,
                ..options
            };
            Encoder::new(options).map_err(|error| wrong(&error))
        };
        let sinks = config.sinks.iter().map(|sink| {
            let options = plan.stages.data_options(sink, reserve.clone());
            Ok((sink.place.clone(), of(&sink.place, options, memory / config.sinks.len())?))
        });
        Ok(Parts {
            sinks: sinks.collect::<Result<_, Fatal>>()?,
            decoder: plan.stages.decoder().map_err(|error| wrong(&error))?,
            steps: steps::of(&plan.stages).map_err(|error| wrong(&error))?,
            route: plan.stages.route().map_err(|error| wrong(&error))?,
            rejects: of(&Place::rejects(), plan.stages.rejects_options(reserve.clone()), memory)?,
            averager: plan.stages.averager().map_err(|error| wrong(&error))?,
        })
    }

    fn connect(
        self,
        scope: Scope<'_, u64>,
        plan: &Arc<Plan>,
        first: u64,
        control: Rc<Control>,
        probe: &ProbeHandle<u64>,
    ) {
        let (raw, progress) = ingest(scope, first, control.clone(), plan.meter.clone(), |address| {
            let activator = scope.worker().sync_activator_for(address);
            boxed(activator, BATCHES_WAITING, &plan.tokio, |end| {
                let source = plan.committing.source.clone();
                tasks::read::run(source, plan.budget.clone(), plan.committing.trouble.clone(), end)
            })
        });
        let raw = match plan.stages.config().balance.exchange {
            Exchange::None => raw,
            Exchange::Batches => spread(raw, plan.lending.clone(), &control),
        };
        let mut announced = Announced {
            sinks: self.route.places().cloned().collect(),
            terms: self.route.reports().into_iter().collect(),
        };
        let (mut rows, undecoded) = raw.decode(self.decoder);
        let (mut refused, mut items) = (vec![undecoded], vec![progress.map(Item::Progress)]);
        for step in self.steps {
            rows = match step {
                Step::Validate(rules) => forked(validate(rows, rules), &mut refused),
                Step::Enrich(columns) => forked(enrich(rows, columns), &mut refused),
                Step::Dedup(keys) => {
                    announced.terms.insert(dedup::reports());
                    let failed = plan.failed::<DedupFailure>();
                    let Deduped { rows, counts, filtered_ranges, changes } =
                        dedup::dedup(rows, keys, plan.restored(scope.index()), first, plan.room.clone(), failed);
                    items.push(counts.map(Item::Counted));
                    items.push(filtered_ranges.map(Item::Filtered));
                    items.push(changes.map(Item::Changed));
                    rows
                }
            };
        }
        let Routes { rows, legs, rejects, counts } = route(rows, self.route);
        refused.push(rejects);
        let refused = scope.concatenate(refused);
        let known = Known::new(&self.averager);
        let restored = known.clone().into_restored(plan.restored(scope.index()));
        let failed = plan.failed::<AverageFailure>();
        let changes = averages(rows, self.averager, restored, first, plan.room.clone(), failed);
        items.push(staged(scope, plan, Place::rejects(), refused, self.rejects).map(Item::Staged));
        items.push(counts.map(Item::Counted));
        items.push(written(changes, known).map(Item::Changed));
        for (rows, (place, encoder)) in legs.into_iter().zip(self.sinks) {
            items.push(staged(scope, plan, place, rows, encoder).map(Item::Staged));
        }
        let items = scope.concatenate(items);
        commit(items, announced, |address| commit_port(scope, plan, address)).probe_with(probe);
    }
}

fn staged<'scope>(
    scope: Scope<'scope, u64>,
    plan: &Arc<Plan>,
    place: Place,
    rows: StreamVec<'scope, u64, Batch>,
    encoder: Encoder,
) -> StreamVec<'scope, u64, Staged> {
    let trouble = plan.committing.trouble.clone();
    let pieces = encode(rows, encoder, move |error| trouble.report(Fatal::Failed(error.to_string())));
    stage(place, pieces, |address| {
        let activator = scope.worker().sync_activator_for(address);
        boxed(activator, REPLIES_WAITING, &plan.tokio, |end| {
            let generation = plan.state.generation;
            tasks::upload::run(plan.committing.places.clone(), generation, plan.committing.trouble.clone(), end)
        })
    })
}

fn commit_port(scope: Scope<'_, u64>, plan: &Arc<Plan>, address: Vec<usize>) -> Box<dyn Port<CommitRequest, Sealed>> {
    if scope.index() != 0 {
        // Everything is exchanged to worker 0: the others have nothing to ask.
        return Box::new(Queues::default());
    }
    let activator = scope.worker().sync_activator_for(address);
    boxed(activator, REPLIES_WAITING, &plan.tokio, |end| {
        committer::run(plan.committing.clone(), plan.state.head(), end)
    })
}
