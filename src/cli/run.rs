//! `run`: the pipeline, until it is stopped or at its end.
//!
//! Owns signals, logs and what is shown meanwhile; the run itself is [`crate::run`], and several processes on this machine
//! are [`crate::cluster::supervise`]'s. SIGTERM, SIGINT and SIGHUP end it with a last commit and exit code 0, at whatever moment
//! they come. A second SIGTERM or SIGINT ends the process at once; a second SIGHUP does not, because a terminal that closes may
//! send several.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_operators::protocol::Commit;
use millstream_operators::protocol::assign::Bounds;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cluster::supervise::{self, Launch, Supervised};
use crate::cluster::{Hosts, Listen, Member, Proof};
use crate::exit::{Exit, Fatal};
use crate::log::committer::OnCommit;
use crate::panics;
use crate::run::{self, Options};
use crate::stages::Stages;
use crate::threads::{NotGranted, Threads};

use super::progress::{Progress, Status};
use super::signals::{Asked, Signals};
use super::{Failure, Run, load};

/// The blocking pool: files of a local sink are synced side by side.
const BLOCKING: usize = 32;
/// What clients of sources start by themselves: librdkafka has a thread for each broker.
const CLIENTS: usize = 8;

/// Runs the pipeline.
pub(super) fn run(asked: &Run, signals: Signals) -> Result<(), Failure> {
    let runtime = load::runtime_with(threads(asked))?;
    let broken = panics::end_the_process();
    let stopping = Stopping::default();
    let ran = runtime.block_on(async {
        tokio::spawn(watch(signals, stopping.clone()));
        let running = async {
            let stages = load::stages(&asked.pipeline.path)?;
            match (asked.processes.get(), asked.process) {
                (1, _) => run::run(&stages, &options(&stages, asked, &stopping, shown())).await.map_err(failure),
                (_, Some(process)) => take_part(&stages, asked, process, &stopping).await,
                (processes, None) => supervise(asked, processes, stopping).await,
            }
        };
        tokio::select! {
            biased;
            () = broken.notified() => Err(Failure::failed(panics::DEFECT)),
            ran = running => ran,
        }
    });
    // A run that failed leaves workers behind that wait for tasks which are gone: to wait for them is to wait for ever.
    runtime.shutdown_background();
    ran
}

/// The threads of this process: a supervisor has no workers.
fn threads(asked: &Run) -> Threads {
    let peers = asked.processes.get() - 1;
    match asked.process {
        None if peers > 0 => Threads::FEW,
        // Each worker, and who waits for them; two for each peer; one for the mesh and one that hears the supervisor.
        _ => Threads { blocking: BLOCKING, others: asked.workers.get() + 1 + CLIENTS + 2 * peers + 2 * peers.min(1) },
    }
}

fn failure(fatal: Fatal) -> Failure {
    Failure::new(fatal.exit(), fatal)
}

fn options(stages: &Stages, asked: &Run, stopping: &Stopping, on_commit: OnCommit) -> Options {
    if stages.config().observe.listen.is_some() {
        tracing::warn!("[observe] listen: metrics are not in this build yet; nothing listens");
    }
    let clock = Clock::system();
    let bounds = if asked.until_end { Bounds::UntilEnd } else { Bounds::Unbounded };
    let (writer, stop) = (load::writer(&clock), stopping.stop.clone());
    let (accept, take_over) = (asked.accept.iter().copied().collect(), asked.take_over);
    let sources = run::sources(bounds, &clock);
    Options { workers: asked.workers.get(), bounds, clock, writer, on_commit, accept, take_over, sources, stop }
}

/// Runs as one process of several.
async fn take_part(stages: &Stages, asked: &Run, process: usize, stopping: &Stopping) -> Result<(), Failure> {
    let cannot = |error: io::Error| Failure::failed(format!("cannot listen on this machine: {error}"));
    let (member, on_commit) = match &asked.hosts {
        Some(path) => {
            let cluster = &stages.config().cluster;
            let hosts = Hosts::load(path, asked.processes.get()).map_err(Failure::usage)?;
            let proof = Proof::load(cluster).map_err(Failure::usage)?;
            let listen = Listen::At(cluster.listen.clone().unwrap_or_else(|| hosts.of(process).clone()));
            (Member { process, hosts, proof, listen, wait: cluster.wait }, shown())
        }
        None => {
            let supervised = Supervised::new(stopping.stop.clone()).map_err(cannot)?;
            let Some(member) = supervised.member(process).await else { return Ok(()) };
            (member, told_on())
        }
    };
    run::run_as(stages, &options(stages, asked, stopping, on_commit), member).await.map_err(failure)
}

/// Starts all processes here, and watches over them.
async fn supervise(asked: &Run, processes: usize, stopping: Stopping) -> Result<(), Failure> {
    let Stopping { stop, at_once } = stopping;
    let launch = Launch { arguments: arguments(asked), processes, stop, at_once };
    let verdict = supervise::supervise(&launch).await;
    let verdict = verdict.map_err(|error| {
        let failure = Failure::failed(format!("the processes cannot be started: {error}"));
        if error.kind() == io::ErrorKind::WouldBlock { failure.hint(NotGranted::HINT) } else { failure }
    })?;
    match verdict.why {
        Some(why) => Err(Failure::new(verdict.exit, why)),
        None => Ok(()),
    }
}

/// The command line of each process, as far as it is the same for all.
fn arguments(asked: &Run) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["run".into(), asked.pipeline.path.clone().into()];
    arguments.extend(["--workers".into(), asked.workers.to_string().into()]);
    arguments.extend(["--processes".into(), asked.processes.to_string().into(), "--supervised".into()]);
    arguments.extend(asked.until_end.then(|| "--until-end".into()));
    arguments.extend(asked.accept.iter().flat_map(|accept| ["--accept".into(), accept.word().into()]));
    arguments.extend(["--take-over".into(), asked.take_over.word().into()]);
    arguments.extend((0..asked.verbose).map(|_| "--verbose".into()));
    arguments
}

/// How the process is asked to end.
#[derive(Clone, Default)]
struct Stopping {
    /// With a last commit.
    stop: CancellationToken,
    /// At once.
    at_once: CancellationToken,
}

/// The first signal asks for a last commit; a second SIGTERM or SIGINT leaves at once.
async fn watch(mut signals: Signals, stopping: Stopping) {
    let mut stops = 0;
    loop {
        let asked = signals.next().await;
        if !stopping.stop.is_cancelled() {
            tracing::info!("stopping: what was read is committed first; a second signal leaves at once");
        }
        stopping.stop.cancel();
        stops += u32::from(asked == Asked::Stop);
        if stops == 2 {
            // The processes that this one watches over end with it.
            stopping.at_once.cancel();
            tokio::time::sleep(AT_ONCE).await;
            leave_at_once();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "whoever sends a second signal does not want to wait for destructors")]
fn leave_at_once() {
    std::process::exit(Exit::Failed as i32)
}

/// How long processes that are watched over have, to be ended at once.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Says every commit in a line, and tells the supervisor of it.
fn told_on() -> OnCommit {
    let shown = Mutex::new(Progress::stderr());
    Arc::new(move |commit: &Commit| {
        supervise::committed(commit.commit);
        // Where stderr is gone there is nobody to show it to.
        let _ = shown.lock().unwrap_or_else(PoisonError::into_inner).say(&run::line(commit));
    })
}

/// Shows every commit: a status that is redrawn on a terminal, a line each elsewhere.
fn shown() -> OnCommit {
    let begun = Instant::now();
    let terminal = io::stderr().is_terminal();
    let shown = Mutex::new((Progress::stderr(), Status::default()));
    Arc::new(move |commit: &Commit| {
        let (progress, status) = &mut *shown.lock().unwrap_or_else(PoisonError::into_inner);
        status.rows += commit.rows();
        status.rejects += commit.reject_rows();
        status.bytes += commit.files.iter().map(|file| file.bytes).sum::<u64>();
        (status.epoch, status.commit) = (commit.epoch, commit.commit);
        // Where stderr is gone there is nobody to show it to.
        let _ = progress.say(&run::line(commit));
        if terminal {
            let _ = progress.show(status, begun.elapsed());
        }
    })
}
