//! Looks at the source, keeps the epoch's interval, and passes a stop on: what worker 0 hears of the outside.

use std::sync::Arc;
use std::time::Duration;

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
    let mut desk = Desk { source, end, stop, look_at: Some(Instant::now()) };
    if let Err(error) = desk.serve(interval).await {
        trouble.report(error.into());
    }
}

struct Desk {
    source: Arc<dyn Source>,
    end: TokioEnd<Ask, Told>,
    stop: CancellationToken,
    /// When to look next; none: never again.
    look_at: Option<Instant>,
}

impl Desk {
    async fn serve(&mut self, interval: Duration) -> Result<(), SourceError> {
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = false;
        loop {
            let look_at = self.look_at.unwrap_or_else(Instant::now);
            let told = tokio::select! {
                biased;
                () = self.stop.cancelled(), if !stopped => {
                    stopped = true;
                    Told::Stop
                }
                ask = self.end.requests.recv() => match ask {
                    Some(Ask::Look) => { self.look_at = Some(Instant::now()); continue }
                    Some(Ask::LookNoMore) => { self.look_at = None; continue }
                    None => return Ok(()),
                },
                _ = ticks.tick() => Told::Tick,
                () = sleep_until(look_at), if self.look_at.is_some() => match self.look().await? {
                    Some(Discovery { splits, complete }) => Told::Discovered { splits, complete },
                    None => continue,
                },
            };
            if !self.end.replies.send(told).await {
                return Ok(());
            }
        }
    }

    /// Looks until the source answers, or a stop comes first.
    async fn look(&mut self) -> Result<Option<Discovery>, SourceError> {
        let mut pause = Pause::default();
        let looking = async {
            loop {
                match self.source.discover().await {
                    Err(SourceError::Unavailable { name, message }) => pause.wait(&format!("{name}: {message}")).await,
                    settled => return settled,
                }
            }
        };
        let found = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(None),
            found = looking => found?,
        };
        self.look_at = (!found.complete).then(|| Instant::now() + self.source.discovery_interval());
        Ok(Some(found))
    }
}
