//! A run: from a checked configuration to the last commit.
//!
//! ```text
//! connect → (find the others) → claim → recover → (write lost files again) → workers ⇄ tasks → all committed and published
//! ```
//! In a cluster, process 0 does what is between connecting and the workers, once all are there, and tells the others.
//!
//! Owns the threads of a run and the order in which it begins and ends. What must stay true: nothing is read before the log
//! is claimed and what is committed is finished; a stop at any moment ends with all that can be committed committed.

use std::any::Any;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;

use futures::future::BoxFuture;
use millstream_operators::Split;
use millstream_operators::ingest::EpochMeter;
use millstream_operators::protocol::assign::{Bounds, Coordinator, Start};
use millstream_operators::protocol::{Commit, State};
use millstream_operators::spread::Lending;
use millstream_operators::state::Room;
use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::execute::execute_from;
use timely::{CommunicationConfig, WorkerConfig};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::averages::{self, backfill};
use crate::bridge::{Budget, Trouble};
use crate::clock::Clock;
use crate::cluster::{Cluster, Introduction, Member, News, Pipe, Seat};
use crate::config::{Config, Sink};
use crate::connector::{Source, Store, StoreError, registry};
use crate::exit::{Exit, Fatal};
use crate::followers::notify::Notify;
use crate::followers::{Acknowledge, Follower, Followers};
use crate::log::claim::{Accept, Claimant, claim, patiently_ask};
use crate::log::committer::{Committing, OnCommit, Worth};
use crate::log::owner::TakeOver;
use crate::log::{Places, ending, lost, read, recover};
use crate::memory::Memory;
use crate::panics;
use crate::pipeline::{Flow, Plan};
use crate::places;
use crate::stages::Stages;
use crate::threads::NotGranted;

/// Makes the source of a definition.
pub type Sources = Arc<dyn Fn(&Stages) -> BoxFuture<'static, Result<Arc<dyn Source>, Fatal>> + Send + Sync>;

/// Sources as the pipeline file names them.
pub fn sources(bounds: Bounds, clock: &Clock) -> Sources {
    let clock = clock.clone();
    Arc::new(move |stages| {
        let (config, origin, clock) = (stages.config().clone(), stages.origin().to_vec(), clock.clone());
        Box::pin(async move { registry::source(&config, &origin, bounds, &clock).await })
    })
}

/// How to run.
#[derive(Clone)]
pub struct Options {
    pub workers: usize,
    pub bounds: Bounds,
    pub clock: Clock,
    /// Unique to this start.
    pub writer: String,
    pub on_commit: OnCommit,
    /// What would otherwise stop the start.
    pub accept: BTreeSet<Accept>,
    pub take_over: TakeOver,
    pub sources: Sources,
    /// Cancelled to end early: commit what there is, and leave.
    pub stop: CancellationToken,
}

/// What a run goes on from, claimed and finished.
pub struct Ready {
    pub seat: Seat,
    pub places: Places,
    pub source: Arc<dyn Source>,
    pub who: Claimant,
    /// The log, all of it published.
    pub state: State,
}

/// Connects to the sink and the source.
async fn connect(stages: &Stages, options: &Options) -> Result<(Places, Arc<dyn Source>), Fatal> {
    Ok((places::open(stages).await?, (options.sources)(stages).await?))
}

/// Who would read what if the pipeline were started now with so many workers, by a look at log and source. Claims nothing.
pub async fn foresee(stages: &Stages, options: &Options) -> Result<Foreseen, Fatal> {
    let (places, source) = connect(stages, options).await?;
    let mut state = read::state(&*places.log, read::end(&*places.log).await?).await?;
    let who = claimant(stages, options)?;
    let pins = patiently_ask(|| source.pins(&state.pins)).await?;
    let claim = state.claim(who.claim(&options.clock, pins, Vec::new()));
    state.apply(&claim, 0).map_err(|broken| Fatal::Log(broken.to_string()))?;
    source.goes_on_from(&state);
    let found = source.discover().await?.splits;
    let names = found.iter().map(|split| split.name.clone()).collect();
    // Splits without anything new are shown too, with the position they stand at.
    let mut desk = Coordinator::new(options.workers, source.concurrency(), options.bounds, state.positions);
    Ok(Foreseen { starts: desk.discovered(found, false), splits: names })
}

/// What a start would begin with.
pub struct Foreseen {
    /// Which worker reads which split, from where.
    pub starts: Vec<Start>,
    /// All splits that are there.
    pub splits: BTreeSet<Split>,
}

/// The start on given connectors.
pub async fn begin(
    stages: &Stages,
    options: &Options,
    places: Places,
    source: Arc<dyn Source>,
) -> Result<Ready, Fatal> {
    for warning in places.warnings().await {
        tracing::warn!("{warning}");
    }
    for store in places.stores() {
        match store.remove_leftovers().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(store = store.name(), files, "leftovers of killed processes were removed"),
            Err(error) => tracing::warn!(%error, "leftovers of killed processes stay until the next start"),
        }
    }
    let who = claimant(stages, options)?;
    let mut state = claim(&places, &*source, &who, &options.clock).await?;
    let places = places::with_former(places, stages.config(), &state).await?;
    source.goes_on_from(&state);
    let recovered = recover::recover(&places, &state).await?;
    tracing::info!(
        generation = state.generation,
        commit = state.commit,
        finished = recovered.finished,
        aborted = recovered.aborted,
        lost = recovered.lost.len(),
        "the log is claimed"
    );
    if !recovered.lost.is_empty() {
        let (source, sources, clock) = (source.clone(), &options.sources, &options.clock);
        let around = lost::Replaying { stages, places: &places, source, sources, who: &who, clock };
        match lost::write_again(&around, &mut state, recovered.lost).await {
            // An upload of ours that is gone was taken by a newer start, if there is one.
            Err(fatal @ Fatal::Store(StoreError::NoSuchUpload { .. })) => {
                return Err(read::fenced_or(&*places.log, state.generation, fatal).await);
            }
            settled => settled?,
        }
    }
    state.published = state.commit;
    backfill::backfill(stages, &places, &who, &mut state, &options.clock).await?;
    ending::recovered(&*places.log, &state).await;
    read::leave_hint(&*places.log, state.commit).await;
    Ok(Ready { seat: Seat::ALONE, places, source, who, state })
}

fn claimant(stages: &Stages, options: &Options) -> Result<Claimant, Fatal> {
    Ok(Claimant { accept: options.accept.clone(), take_over: options.take_over, ..inspector(stages, &options.writer)? })
}

/// Somebody who looks at the log as a start would, and claims nothing.
pub fn inspector(stages: &Stages, writer: &str) -> Result<Claimant, Fatal> {
    Ok(Claimant {
        writer: writer.to_owned(),
        pipeline: stages.config().name.as_str().to_owned(),
        definition: stages.config().definition(),
        sinks: stages.config().sink_paths(),
        operators: stages.operators().map_err(|errors| Fatal::Failed(errors.to_string()))?,
        accept: BTreeSet::new(),
        take_over: TakeOver::default(),
    })
}

/// What the workers of a process need.
pub fn plan(
    stages: &Stages,
    options: &Options,
    mut ready: Ready,
    trouble: Trouble,
    tokio: Handle,
) -> Result<Plan, Fatal> {
    let config = stages.config();
    let Seat { process, processes } = ready.seat;
    let memory = Memory::of(config, processes);
    if let Some(warning) = memory.warning(config, processes) {
        tracing::warn!("{warning}");
    }
    let budget = Budget::new(memory.own);
    Ok(Plan {
        processes,
        stages: stages.clone(),
        bounds: options.bounds,
        entries: Mutex::new(std::mem::take(&mut ready.state.operators)),
        room: Arc::new(Room::new(Arc::new(budget.clone()), memory.state(), stages.averages().len())),
        state: ready.state,
        committing: Committing {
            places: ready.places,
            followers: followers(config, &ready.source)?,
            source: ready.source,
            who: ready.who,
            clock: options.clock.clone(),
            trouble,
            on_commit: options.on_commit.clone(),
            worth: Worth::default(),
        },
        lending: Arc::new(Lending::new(process, options.workers, memory.share, Arc::new(budget.clone()))),
        budget,
        meter: Arc::new(EpochMeter::new(epoch_bytes(config, memory))),
        interval: config.epoch.interval,
        open_files: memory.open_files(),
        tokio,
        stop: options.stop.clone(),
    })
}

/// Who is told of commits.
fn followers(config: &Config, source: &Arc<dyn Source>) -> Result<Followers, Fatal> {
    let mut followers: Vec<Arc<dyn Follower>> = vec![Arc::new(Acknowledge(source.clone()))];
    if let Some(notify) = &config.notify {
        let notify = Notify::new(notify).map_err(|why| Fatal::Failed(format!("[notify]: {why}")))?;
        followers.push(Arc::new(notify));
    }
    let root = |sink: &Sink| (sink.place.clone(), sink.location.path.as_str().to_owned());
    Ok(Followers::new(followers, config.sinks.iter().map(root).collect()))
}

/// From how many bytes on an epoch ends. Where records are held until their epoch is whole, an epoch has to fit into memory,
/// beside the one before it that is still being laid down.
fn epoch_bytes(config: &Config, memory: Memory) -> u64 {
    match config.dedup {
        Some(_) => config.epoch.max_bytes.min(memory.own as u64 / 4),
        None => config.epoch.max_bytes,
    }
}

/// Runs to the end, alone. When this gives an error, workers may still be waiting for tasks that are gone: the process is to
/// end.
pub async fn run(stages: &Stages, options: &Options) -> Result<(), Fatal> {
    let start = async {
        let (places, source) = connect(stages, options).await?;
        begin(stages, options, places, source).await
    };
    let ready = tokio::select! {
        biased;
        () = options.stop.cancelled() => return Ok(()),
        ready = start => ready?,
    };
    let workers = match options.workers {
        1 => Workers::Alone(CommunicationConfig::Thread),
        workers => Workers::Alone(CommunicationConfig::Process(workers)),
    };
    let (trouble, log, generation) = (Trouble::default(), ready.places.log.clone(), ready.state.generation);
    let plan = Arc::new(plan(stages, options, ready, trouble.clone(), Handle::current())?);
    let followers = plan.committing.followers.clone();
    let working = at_work(workers, plan)?;
    tokio::select! {
        biased;
        fatal = trouble.wait() => Err(fatal),
        worked = working => settled(worked, &trouble, &*log, generation, &followers).await,
    }
}

/// Runs to the end as one process of a cluster. As with [`run`], an error is the end of the process.
pub async fn run_as(stages: &Stages, options: &Options, member: Member) -> Result<(), Fatal> {
    let config = stages.config();
    let introduction = Introduction {
        start: xxhash_rust::xxh3::xxh3_64(options.writer.as_bytes()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pipeline: config.name.as_str().to_owned(),
        fingerprint: config.fingerprint(),
        processes: member.hosts.len(),
        workers: options.workers,
        until_end: options.bounds == Bounds::UntilEnd,
    };
    let mut cluster = tokio::select! {
        biased;
        () = options.stop.cancelled() => return Ok(()),
        entered = Cluster::enter(member, introduction) => entered?,
    };
    match take_part(stages, options, &mut cluster).await {
        Ok(Part::Whole) => cluster.part().await,
        Ok(Part::None) => cluster.leave(Exit::Done, "it was stopped").await,
        Err(fatal) => {
            let told = fatal.to_string();
            cluster.leave(fatal.exit(), told.lines().next().unwrap_or_default()).await;
            return Err(fatal);
        }
    }
    Ok(())
}

/// What part a process took.
enum Part {
    /// From the first batch to the last commit.
    Whole,
    /// It was stopped before there was anything to do.
    None,
}

async fn take_part(stages: &Stages, options: &Options, cluster: &mut Cluster) -> Result<Part, Fatal> {
    let begun = tokio::select! {
        biased;
        () = options.stop.cancelled() => None,
        begun = begin_together(stages, options, cluster) => begun?,
    };
    let Some((ready, pipes)) = begun else { return Ok(Part::None) };
    let (trouble, log, process) = (Trouble::default(), ready.places.log.clone(), cluster.seat().process);
    let generation = ready.state.generation;
    tracing::info!(process, processes = pipes.len(), generation = ready.state.generation, "the cluster is at work");
    let plan = Arc::new(plan(stages, options, ready, trouble.clone(), Handle::current())?);
    let followers = plan.committing.followers.clone();
    let workers = Workers::Together { threads: options.workers, process, pipes };
    let mut working = at_work(workers, plan)?;
    let mut asked = process == 0;
    let worked = loop {
        tokio::select! {
            biased;
            fatal = trouble.wait() => return Err(fatal),
            news = cluster.news() => match news {
                News::Over(fatal) => return Err(fatal),
                News::Stop => options.stop.cancel(),
            },
            () = options.stop.cancelled(), if !asked => {
                asked = true;
                cluster.stop().await;
            }
            worked = &mut working => break worked,
        }
    };
    match process {
        0 => settled(worked, &trouble, &*log, generation, &followers).await?,
        _ => ended(worked, &trouble)?,
    }
    let (sent, received) = (cluster.traffic().sent(), cluster.traffic().received());
    tracing::debug!(process, sent, received, "bytes between the processes");
    Ok(Part::Whole)
}

/// Connects, waits for the others, and begins where process 0 says; none: all were asked to stop before that.
async fn begin_together(
    stages: &Stages,
    options: &Options,
    cluster: &mut Cluster,
) -> Result<Option<(Ready, Vec<Option<Pipe>>)>, Fatal> {
    let (places, source) = connect(stages, options).await?;
    let ready = if cluster.seat().process == 0 {
        if !cluster.formed().await? {
            return Ok(None);
        }
        let ready = tokio::select! {
            biased;
            news = cluster.news() => match news {
                News::Over(fatal) => return Err(fatal),
                News::Stop => return Ok(None),
            },
            ready = begin(stages, options, places, source) => ready?,
        };
        cluster.lead(&ready.state).await;
        Ready { seat: cluster.seat(), ..ready }
    } else {
        let Some(terms) = cluster.terms().await? else { return Ok(None) };
        source.goes_on_from(&terms.state);
        let who = claimant(stages, options)?;
        Ready { seat: cluster.seat(), places, source, who, state: terms.state }
    };
    Ok(cluster.joined().await?.map(|pipes| (ready, pipes)))
}

type Worked = Result<Result<(), Fatal>, oneshot::error::RecvError>;

/// How the workers of this process have ended.
fn ended(worked: Worked, trouble: &Trouble) -> Result<(), Fatal> {
    worked.map_err(|_| Fatal::Failed(panics::DEFECT.to_owned()))??;
    // Trouble that came with the last step is trouble all the same.
    trouble.look().map_or(Ok(()), Err)
}

/// The same where the log is this process's to write: all is committed and published.
async fn settled(
    worked: Worked,
    trouble: &Trouble,
    log: &dyn Store,
    generation: u64,
    followers: &Followers,
) -> Result<(), Fatal> {
    ended(worked, trouble)?;
    followers.finish().await;
    match ending::clean(log, generation).await {
        // All is committed and visible: a store that is away now costs the next start some looks, nothing more.
        Err(Fatal::Store(error)) if error.can_retry() => {
            tracing::warn!(%error, "the log was not tidied up at the end");
            Ok(())
        }
        tidied => tidied,
    }
}

/// The worker threads of a process.
enum Workers {
    Alone(CommunicationConfig),
    Together { threads: usize, process: usize, pipes: Vec<Option<Pipe>> },
}

impl Workers {
    /// What timely runs them on, and what ends with them.
    fn allocators(self) -> io::Result<(Vec<AllocatorBuilder>, Box<dyn Any + Send>)> {
        let (threads, process, pipes) = match self {
            Workers::Alone(communication) => return communication.try_build().map_err(io::Error::other),
            Workers::Together { threads, process, pipes } => (threads, process, pipes),
        };
        let hooks = Hooks::default();
        let inside = ProcessBuilder::new_typed_vector(threads, hooks.refill.clone(), None);
        let (builders, guard) = initialize_networking_from_sockets(inside, pipes, process, threads, hooks)?;
        Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
    }
}

fn not_started(error: impl std::fmt::Display) -> Fatal {
    Fatal::Failed(format!("the worker threads cannot be started: {error}. {}", NotGranted::HINT))
}

/// Starts the workers, from a thread that waits for them. It is none of the runtime's: those are few, and for short calls.
fn at_work(workers: Workers, plan: Arc<Plan>) -> Result<oneshot::Receiver<Result<(), Fatal>>, Fatal> {
    let (tell, told) = oneshot::channel();
    let working = thread::Builder::new().name("workers".to_owned()).spawn(move || {
        // Whoever started them may have gone.
        let _ = tell.send(work(workers, &plan));
    });
    working.map_err(not_started)?;
    Ok(told)
}

/// The worker threads, until all is committed and published.
fn work(workers: Workers, plan: &Arc<Plan>) -> Result<(), Fatal> {
    let (builders, others) = workers.allocators().map_err(not_started)?;
    let plan = plan.clone();
    let guards = execute_from(builders, others, WorkerConfig::default(), move |worker| -> Result<(), Fatal> {
        let _watch = Watch(plan.committing.trouble.clone());
        let mut flow = Flow::build(worker, &plan)?;
        while flow.turn(worker, None) {}
        Ok(())
    });
    for result in guards.map_err(not_started)?.join() {
        result.map_err(Fatal::Failed)??;
    }
    Ok(())
}

/// Ends the run when a worker panics: the others would wait for it for ever.
struct Watch(Trouble);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.report(Fatal::Failed(panics::DEFECT.to_owned()));
        }
    }
}

/// A line that says what a commit came to.
pub fn line(commit: &Commit) -> String {
    let bytes: u64 = commit.files.iter().map(|file| file.bytes).sum();
    let line = format!(
        "commit {} · epoch {} · {} rows · {} rejects · {} files · {:.1} MB",
        commit.commit,
        commit.epoch,
        commit.rows(),
        commit.reject_rows(),
        commit.files.len(),
        bytes as f64 / 1e6
    );
    line + &averages::line(commit)
}
