//! `run`: the pipeline, until it is stopped or at its end.
//!
//! Owns signals, logs and what is shown meanwhile; the run itself is [`crate::run`]. SIGTERM and SIGINT end it with a last
//! commit and exit code 0, at whatever moment they come; a second one ends the process at once.

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_operators::protocol::Commit;
use millstream_operators::protocol::assign::Bounds;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::exit::{Exit, Fatal};
use crate::log::committer::OnCommit;
use crate::run::{self, Options};
use crate::stages::Stages;

use super::progress::{Progress, Status};
use super::{Failure, Run, load};

/// Runs the pipeline.
pub(super) fn run(asked: &Run) -> Result<(), Failure> {
    let runtime = load::runtime()?;
    let stop = CancellationToken::new();
    let ran = runtime.block_on(async {
        watch_signals(stop.clone())?;
        let stages = load::stages(&asked.pipeline.path)?;
        refuse_what_is_to_come(asked, &stages)?;
        let clock = Clock::system();
        let bounds = if asked.until_end { Bounds::UntilEnd } else { Bounds::Unbounded };
        let (writer, on_commit) = (load::writer(&clock), shown());
        let options = Options { workers: asked.workers.get(), bounds, clock, writer, on_commit, stop };
        run::run(&stages, &options).await.map_err(failure)
    });
    // A run that failed leaves workers behind that wait for tasks which are gone: to wait for them is to wait for ever.
    runtime.shutdown_background();
    ran
}

fn failure(fatal: Fatal) -> Failure {
    Failure::new(fatal.exit(), fatal)
}

fn refuse_what_is_to_come(asked: &Run, stages: &Stages) -> Result<(), Failure> {
    if asked.processes.get() > 1 || asked.process.is_some() {
        let problem = "more than one process is not in this build yet";
        return Err(Failure::usage(problem).hint("run one process, with --workers for more threads"));
    }
    if stages.config().observe.listen.is_some() {
        tracing::warn!("[observe] listen: metrics are not in this build yet; nothing listens");
    }
    Ok(())
}

/// The first signal asks for a last commit; the second leaves at once.
fn watch_signals(stop: CancellationToken) -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let mut asked = 0;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            asked += 1;
            stop.cancel();
            match asked {
                1 => tracing::info!("stopping: what was read is committed first; a second signal leaves at once"),
                _ => leave_at_once(),
            }
        }
    });
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "whoever sends a second signal does not want to wait for destructors")]
fn leave_at_once() {
    std::process::exit(Exit::Failed as i32)
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
