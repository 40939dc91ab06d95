//! Reading a shard by asking for its records again and again.
//!
//! Owns the life of an iterator. What must stay true: an iterator is left behind only once its records are handed on, and one
//! that is lost or too old is made anew behind the last record; between two calls there is always a pause.

use tokio::time::{Instant, sleep_until};

use super::failure::{Failure, Kind};
use super::intake::{Answer, Intake};
use super::pace::{Got, Pace};
use super::start::From;
use crate::connector::{End, SourceError};
use crate::retry::Pause;

/// Reads until the shard ends or no more is wanted.
pub(super) async fn read(intake: &mut Intake<'_>) -> Result<End, SourceError> {
    let mut polling = Polling { pace: Pace::new(), pause: Pause::default(), iterator: None };
    loop {
        if let Some(end) = polling.step(intake).await? {
            return Ok(end);
        }
    }
}

struct Polling {
    pace: Pace,
    pause: Pause,
    iterator: Option<String>,
}

impl Polling {
    /// Asks once, hands on what came, and waits until it is time to ask again.
    async fn step(&mut self, intake: &mut Intake<'_>) -> Result<Option<End>, SourceError> {
        let iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => self.begin(intake).await?,
        };
        let reserved = self.pace.want();
        let Some(permit) = intake.reserve(reserved).await else { return Ok(Some(End::Stopped)) };
        let (asked, time) = (Instant::now(), intake.now());
        let answer = match intake.stream.records(&iterator, self.pace.limit()).await {
            Ok(answer) => answer,
            Err(failure) => {
                drop(permit);
                self.go_on_after(failure, iterator, intake).await?;
                return Ok(None);
            }
        };
        self.pause = Pause::default();
        let behind = answer.millis_behind_latest.unwrap_or_default();
        let got = Got::of(&answer.records, behind);
        let next = answer.next_shard_iterator;
        let answer = Answer { records: answer.records, behind, closed: next.is_none(), time };
        let end = intake.answer(answer, permit, reserved).await?;
        if end.is_none() {
            self.iterator = next;
            sleep_until(asked + self.pace.after(got)).await;
        }
        Ok(end)
    }

    /// An iterator behind the last record.
    async fn begin(&mut self, intake: &mut Intake<'_>) -> Result<String, SourceError> {
        let from = intake.from();
        loop {
            match intake.stream.iterator(&intake.shard, &from).await {
                Ok(iterator) => return Ok(iterator),
                Err(failure) if failure.kind == Kind::Throttled || is_ahead(&from, &failure) => {
                    self.pause.wait(&format!("{}: {}", intake.split.name, failure.message)).await;
                }
                Err(failure) if failure.kind == Kind::Invalid && matches!(from, From::At(_) | From::After(_)) => {
                    return Err(intake.another_stream(&failure));
                }
                Err(failure) => return Err(intake.failed(failure).await),
            }
        }
    }

    /// After a call that failed: with the same iterator, with a new one, or not at all.
    async fn go_on_after(
        &mut self,
        failure: Failure,
        iterator: String,
        intake: &mut Intake<'_>,
    ) -> Result<(), SourceError> {
        match failure.kind {
            Kind::Throttled => self.iterator = Some(iterator),
            // An iterator of a stream that was deleted and made again makes no sense to it; a new one tells.
            Kind::Expired | Kind::Invalid => self.iterator = None,
            _ => return Err(intake.failed(failure).await),
        }
        self.pause.wait(&format!("{}: {}", intake.split.name, failure.message)).await;
        Ok(())
    }
}

/// A time that the service's clock has not reached: there is nothing to read before it has.
fn is_ahead(from: &From, failure: &Failure) -> bool {
    matches!(from, From::Time(_)) && failure.kind == Kind::Invalid && failure.message.contains("currentTimestamp")
}
