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
use crate::tasks::seen::Seen;

/// Serves the control of worker 0 until it is gone. `stop` is cancelled when the run is to end early.
pub async fn run(
    source: Arc<dyn Source>,
    interval: Duration,
    stop: CancellationToken,
    trouble: Trouble,
    end: TokioEnd<Ask, Told>,
) {
    let mut desk = Desk { source, end, stop, next: Next::At(Instant::now()), seen: Seen::default() };
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
    seen: Seen,
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
                    // After the last look nothing is compared with it.
                    let splits = if complete { splits } else { self.seen.news(splits) };
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    //! Would catch a look that is begun anew at every tick and so never ends where the source is slow, and one that is not
    //! made again when a split ended meanwhile.

    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use millstream_operators::Position;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::connector::{End, Outlet, SplitInfo};

    const SLOW: Duration = Duration::from_secs(3);

    /// Takes its time for each look.
    #[derive(Default)]
    struct Slow(AtomicU32);

    #[async_trait]
    impl Source for Slow {
        async fn discover(&self) -> Result<Discovery, SourceError> {
            sleep(SLOW).await;
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Discovery::default())
        }

        async fn read(&self, _: &SplitInfo, _: Option<Position>, _: &mut dyn Outlet) -> Result<End, SourceError> {
            Ok(End::Finished)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_goes_on_through_everything_else_and_is_made_again_when_asked_for_meanwhile() {
        let slow = Arc::new(Slow::default());
        let source: Arc<dyn Source> = slow.clone();
        let (mut next, began) = (Next::At(Instant::now()), Instant::now());
        for _ in 0..2 {
            assert!(timeout(SLOW / 3, next.found(&source)).await.is_err(), "a tick comes first");
        }
        next.sooner();
        next.found(&source).await.unwrap();
        assert_eq!((began.elapsed(), slow.0.load(Ordering::SeqCst)), (SLOW, 1));
        next.found(&source).await.unwrap();
        assert_eq!((began.elapsed(), slow.0.load(Ordering::SeqCst)), (SLOW * 2, 2));
        next.found(&source).await.unwrap();
        assert_eq!(began.elapsed(), SLOW * 3 + source.discovery_interval());
    }
}
