//! A run: from a checked configuration to the last commit.
//!
//! ```text
//! connect → claim → recover → (write lost files again) → workers ⇄ tasks → all committed and published
//! ```
//! Owns the threads of a run and the order in which it begins and ends. What must stay true: nothing is read before the log
//! is claimed and what is committed is finished; a stop at any moment ends with all that can be committed committed.

use std::sync::Arc;

use millstream_operators::ingest::EpochMeter;
use millstream_operators::protocol::assign::Bounds;
use millstream_operators::protocol::{Commit, State};
use millstream_operators::spread::Lending;
use timely::CommunicationConfig;
use timely::WorkerConfig;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::bridge::{Budget, Trouble};
use crate::clock::Clock;
use crate::connector::{Source, StoreError, registry};
use crate::exit::Fatal;
use crate::log::claim::{Claimant, claim};
use crate::log::committer::{Committing, LEAST_SNAPSHOT, OnCommit};
use crate::log::{Places, backfill, lost, read, recover};
use crate::memory::Memory;
use crate::pipeline::{Flow, Plan};
use crate::stages::Stages;
use crate::totals::Known;

/// How to run.
#[derive(Clone)]
pub struct Options {
    pub workers: usize,
    pub bounds: Bounds,
    pub clock: Clock,
    /// Unique to this start.
    pub writer: String,
    pub on_commit: OnCommit,
    /// Cancelled to end early: commit what there is, and leave.
    pub stop: CancellationToken,
}

/// What a run goes on from, claimed and finished.
pub struct Ready {
    pub places: Places,
    pub source: Arc<dyn Source>,
    pub who: Claimant,
    /// The log, all of it published.
    pub state: State,
}

/// Connects, claims the log, and finishes what is committed.
pub async fn start(stages: &Stages, options: &Options) -> Result<Ready, Fatal> {
    let config = stages.config();
    let places = places(stages).await?;
    let source = registry::source(config, options.bounds, &options.clock).await?;
    begin(stages, options, places, source).await
}

/// Where a pipeline's output lies.
pub async fn places(stages: &Stages) -> Result<Places, Fatal> {
    let config = stages.config();
    let (data, rejects) = (registry::store(&config.sink.location).await?, registry::store(&config.rejects).await?);
    Ok(Places { data, rejects })
}

/// The start on given connectors.
pub async fn begin(
    stages: &Stages,
    options: &Options,
    places: Places,
    source: Arc<dyn Source>,
) -> Result<Ready, Fatal> {
    for warning in places.data.warnings().await {
        tracing::warn!("{warning}");
    }
    let averager = stages.averager().map_err(|errors| Fatal::Failed(errors.to_string()))?;
    let who = Claimant {
        writer: options.writer.clone(),
        pipeline: stages.config().name.as_str().to_owned(),
        averages: Known::new(&averager).definitions(),
        pin: source.pins(),
    };
    let mut state = claim(&*places.data, &who, &options.clock).await?;
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
    state.published = state.commit;
    if !recovered.lost.is_empty() {
        let again =
            lost::write_again(stages, &places, &*source, &who, &mut state, &options.clock, recovered.lost).await;
        match again {
            // An upload of ours that is gone was taken by a newer start, if there is one.
            Err(fatal @ Fatal::Store(StoreError::NoSuchUpload { .. })) => {
                return Err(read::fenced_or(&*places.data, state.generation, fatal).await);
            }
            settled => settled?,
        }
    }
    backfill::backfill(stages, &places, &who, &mut state, &options.clock).await?;
    read::leave_hint(&*places.data, state.commit).await;
    Ok(Ready { places, source, who, state })
}

/// What the workers of a process need.
pub fn plan(stages: &Stages, options: &Options, ready: Ready, trouble: Trouble, tokio: Handle) -> Plan {
    let config = stages.config();
    let (process, processes) = (0, 1);
    let memory = Memory::of(config, processes);
    if let Some(warning) = memory.warning(config, processes) {
        tracing::warn!("{warning}");
    }
    let budget = Budget::new(memory.own);
    Plan {
        process,
        processes,
        stages: stages.clone(),
        bounds: options.bounds,
        state: ready.state,
        committing: Committing {
            places: ready.places,
            source: ready.source,
            who: ready.who,
            clock: options.clock.clone(),
            trouble,
            on_commit: options.on_commit.clone(),
            least_snapshot: LEAST_SNAPSHOT,
        },
        lending: Arc::new(Lending::new(process, options.workers, memory.share, Arc::new(budget.clone()))),
        budget,
        meter: Arc::new(EpochMeter::new(config.epoch.max_bytes)),
        interval: config.epoch.interval,
        open_files: memory.open_files(),
        tokio,
        stop: options.stop.clone(),
    }
}

/// Runs to the end. When this gives an error, workers may still be waiting for tasks that are gone: the process is to end.
pub async fn run(stages: &Stages, options: &Options) -> Result<(), Fatal> {
    let ready = tokio::select! {
        biased;
        () = options.stop.cancelled() => return Ok(()),
        ready = start(stages, options) => ready?,
    };
    let (trouble, data) = (Trouble::default(), ready.places.data.clone());
    let plan = Arc::new(plan(stages, options, ready, trouble.clone(), Handle::current()));
    let workers = options.workers;
    let working = tokio::task::spawn_blocking(move || work(workers, &plan));
    tokio::select! {
        biased;
        fatal = trouble.wait() => Err(fatal),
        worked = working => {
            worked.map_err(|broken| Fatal::Failed(format!("the workers broke off: {broken}")))??;
            // Trouble that came with the last step is trouble all the same.
            trouble.look().map_or(Ok(()), Err)?;
            read::leave_hint(&*data, read::end(&*data).await?).await;
            Ok(())
        }
    }
}

/// The worker threads, until all is committed and published.
fn work(workers: usize, plan: &Arc<Plan>) -> Result<(), Fatal> {
    let communication = if workers == 1 { CommunicationConfig::Thread } else { CommunicationConfig::Process(workers) };
    let config = timely::Config { communication, worker: WorkerConfig::default() };
    let plan = plan.clone();
    let guards = timely::execute(config, move |worker| -> Result<(), Fatal> {
        let mut flow = Flow::build(worker, &plan)?;
        while flow.turn(worker, None) {}
        Ok(())
    });
    for result in guards.map_err(Fatal::Failed)?.join() {
        result.map_err(Fatal::Failed)??;
    }
    Ok(())
}

/// A line that says what a commit came to.
pub fn line(commit: &Commit) -> String {
    let bytes: u64 = commit.files.iter().map(|file| file.bytes).sum();
    let mut line = format!(
        "commit {} · epoch {} · {} rows · {} rejects · {} files · {:.1} MB",
        commit.commit,
        commit.epoch,
        commit.rows(),
        commit.reject_rows(),
        commit.files.len(),
        bytes as f64 / 1e6
    );
    for (id, total) in commit.averages.iter().filter(|(id, _)| id.from.is_none() && id.group.is_empty()) {
        let mean = total.sum.parse::<f64>().unwrap_or(f64::NAN) / total.count as f64;
        line.push_str(&format!(" · {} {mean:.2} over {}", id.average, total.count));
    }
    line
}
