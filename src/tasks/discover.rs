//! Looks at the source, keeps the epoch's interval, and passes a stop on: what worker 0 hears of the outside.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use millstream_operators::control::{Ask, Told};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::bridge::{TokioEnd, Trouble};
use crate::connector::{Discovery, Source, SourceError};
use crate::retry::Pause;

/// Serves the control of worker 0 until it is gone. `stop` is cancelled when the run is to end early.
pub async fn run(
    source: Arc<dyn Source>,
    interval: Duration,
    stop: CancellationToken,
    trouble: Trouble,
    end: TokioEnd<Ask, Told>,
) {
    let mut desk = Desk { source, end, stop, next: Next::At(Instant::now()) };
    if let Err(error) = desk.serve(interval).await {
        trouble.report(error.into());
    }
}

type Look = BoxFuture<'static, Result<Discovery, SourceError>>;

struct Desk {
    source: Arc<dyn Source>,
    end: TokioEnd<Ask, Told>,
    stop: CancellationToken,
    next: Next,
}

/// When to look at the source. A look takes its time, and epochs go on meanwhile.
enum Next {
    At(Instant),
    /// A look is under way; `again`: what it finds may be out of date already.
    Looking {
        look: Look,
        again: bool,
    },
    Never,
}

impl Next {
    fn sooner(&mut self) {
        match self {
            Next::At(at) => *at = Instant::now(),
            Next::Looking { again, .. } => *again = true,
            Next::Never => *self = Next::At(Instant::now()),
        }
    }

    /// What the next look finds.
    async fn found(&mut self, source: &Arc<dyn Source>) -> Result<Discovery, SourceError> {
        loop {
            match self {
                Next::At(at) => {
                    sleep_until(*at).await;
                    *self = Next::Looking { look: look(source.clone()).boxed(), again: false };
                }
                Next::Looking { look, again } => {
                    let (found, again) = (look.await?, *again);
                    *self = match (found.complete, again) {
                        (true, _) => Next::Never,
                        (false, true) => Next::At(Instant::now()),
                        (false, false) => Next::At(Instant::now() + source.discovery_interval()),
                    };
                    return Ok(found);
                }
                Next::Never => std::future::pending().await,
            }
        }
    }
}

impl Desk {
    async fn serve(&mut self, interval: Duration) -> Result<(), SourceError> {
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = false;
        loop {
            let told = tokio::select! {
                biased;
                () = self.stop.cancelled(), if !stopped => {
                    (stopped, self.next) = (true, Next::Never);
                    Told::Stop
                }
                ask = self.end.requests.recv() => match ask {
                    Some(Ask::Look) if !stopped => { self.next.sooner(); continue }
                    Some(Ask::Look) => continue,
                    Some(Ask::LookNoMore) => { self.next = Next::Never; continue }
                    None => return Ok(()),
                },
                _ = ticks.tick() => Told::Tick,
                found = self.next.found(&self.source) => {
                    let Discovery { splits, complete } = found?;
                    Told::Discovered { splits, complete }
                }
            };
            if !self.end.replies.send(told).await {
                return Ok(());
            }
        }
    }
}

/// Looks until the source answers.
async fn look(source: Arc<dyn Source>) -> Result<Discovery, SourceError> {
    let mut pause = Pause::default();
    loop {
        match source.discover().await {
            Err(SourceError::Unavailable { name, message }) => pause.wait(&format!("{name}: {message}")).await,
            settled => return settled,
        }
    }
}
