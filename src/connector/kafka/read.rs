//! The reading of one partition, from a place on until no more is wanted.
//!
//! ```text
//! assign ─► wait ─► reserve ─► take ─► send ─┐
//!             └───────────◄──────────────────┘      at the end: rest, or tell the place; look past what is no record
//! ```
//! Owns when a batch is made and what an end means. An idle partition's place is told once, and moved past offsets that hold
//! no record (marks of transactions, records that were aborted): were it left before them, they would one day pass out of the
//! topic and look like a loss. What must stay true: the place is moved past offsets only where the partition was fetched
//! anew and showed nothing there.

use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::{Instant, timeout};

use super::client::{Assigned, Client, PATIENCE};
use super::failure::{self, Kind};
use super::intake::{Intake, Stop};
use super::place::Place;
use super::start::at;
use crate::connector::meter::Meter;
use crate::connector::source::Clock;
use crate::connector::{End, Outlet, SourceError};

/// Bytes of a batch, about.
const BATCH: usize = 1 << 20;
/// What comes after a pause is given this long to become a batch.
const GATHER: Duration = Duration::from_millis(5);
/// How long a partition must have held nothing more before that is told.
const IDLE: Duration = Duration::from_secs(1);
/// How often an idle partition is looked at for offsets that hold no record.
const LOOK: Duration = Duration::from_secs(60);

/// A partition that is being read.
pub(super) struct Reading<'a> {
    pub(super) client: &'a Client,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) bounded: bool,
    pub(super) clock: &'a Clock,
    pub(super) meter: &'a Meter,
    pub(super) intake: Intake,
    pub(super) outlet: &'a mut dyn Outlet,
}

/// Why reading broke off.
enum Halt {
    /// The last record that was read is not there to be seen again.
    LastIsGone,
    Error(SourceError),
}

impl From<SourceError> for Halt {
    fn from(error: SourceError) -> Self {
        Halt::Error(error)
    }
}

/// How a partition stands at its end.
#[derive(Clone, Copy)]
struct AtEnd {
    since: Instant,
    looked: Option<Instant>,
    /// The end that it is fetched anew to reach.
    beyond: Option<i64>,
}

impl Reading<'_> {
    /// Reads on from a place. `told`: whether the log has it.
    pub(super) async fn read(mut self, place: Place, told: bool) -> Result<End, SourceError> {
        self.intake.go_on_from(place);
        if !told && !self.tell().await {
            return Ok(End::Stopped);
        }
        if self.intake.ends_before_its_place() {
            return Err(self.trouble(&KafkaError::Global(RDKafkaErrorCode::OffsetOutOfRange)).await);
        }
        if self.bounded && self.intake.is_enough() {
            return Ok(End::Resting);
        }
        match self.from(place.begin()).await {
            // What was read last has passed out of the topic, which is no loss. What comes next may be there.
            Err(Halt::LastIsGone) => self.from(self.intake.place.next).await,
            settled => settled,
        }
        .map_err(|halt| match halt {
            Halt::Error(error) => error,
            Halt::LastIsGone => failure::of_source(&KafkaError::Global(RDKafkaErrorCode::OffsetOutOfRange), self.topic),
        })
    }

    /// Reads from an offset on.
    async fn from(&mut self, begin: i64) -> Result<End, Halt> {
        let assigned = self.client.assign(self.topic, self.partition, begin);
        let assigned = assigned.map_err(|error| failure::of_source(&error, self.topic))?;
        let mut at_end: Option<AtEnd> = None;
        loop {
            let Some(permit) = self.outlet.reserve(BATCH).await else { return Ok(End::Stopped) };
            let before = self.intake.place.next;
            let stop = self.intake.take(assigned.queue(), BATCH);
            if self.intake.records() > 0 {
                if !self.send(permit).await {
                    return Ok(End::Stopped);
                }
            } else {
                drop(permit);
            }
            if self.intake.place.next != before {
                at_end = None;
            }
            match stop {
                Stop::Full => {}
                Stop::Enough => return Ok(self.rest().await),
                Stop::Other(error) => return Err(error.into()),
                Stop::Trouble(error) if failure::kind(&error) == Kind::OutOfRange && self.intake.forget_last() => {
                    return Err(Halt::LastIsGone);
                }
                Stop::Trouble(error) => return Err(self.trouble(&error).await.into()),
                Stop::Empty { end } => {
                    if end && self.bounded {
                        return Ok(self.rest().await);
                    }
                    if end {
                        self.meter.behind(0);
                        self.arrive(&mut at_end);
                    }
                    if !self.wait(&assigned, &mut at_end).await? {
                        return Ok(End::Stopped);
                    }
                }
            }
        }
    }

    /// Hands on what was taken.
    async fn send(&mut self, permit: millstream_operators::Permit) -> bool {
        let bytes = self.intake.bytes();
        let permit = if bytes <= BATCH {
            permit.keep(bytes);
            permit
        } else {
            // Nothing may be held while more is asked for: two readers could wait for each other for ever.
            drop(permit);
            match self.outlet.reserve(bytes).await {
                Some(permit) => permit,
                None => return false,
            }
        };
        self.meter.took(self.intake.records(), bytes, self.intake.last_millis());
        if let Some(millis) = self.intake.last_millis() {
            self.meter.behind(((self.clock)() / 1000 - millis).max(0));
        }
        let batch = self.intake.batch((self.clock)(), permit);
        self.outlet.send(batch).await
    }

    /// Hands the place on, without records.
    async fn tell(&mut self) -> bool {
        let batch = self.intake.batch((self.clock)(), millstream_operators::Permit::free());
        self.outlet.send(batch).await
    }

    /// A bounded run has all that it wants.
    async fn rest(&mut self) -> End {
        if self.tell().await { End::Resting } else { End::Stopped }
    }

    /// The partition was fetched to its end. Where that was to show what lies beyond, nothing did.
    fn arrive(&mut self, at_end: &mut Option<AtEnd>) {
        let seen = at_end.get_or_insert_with(|| AtEnd { since: Instant::now(), looked: None, beyond: None });
        if let Some(beyond) = seen.beyond.take().filter(|beyond| *beyond > self.intake.place.next) {
            self.intake.place = Place { next: beyond, end: false, ..self.intake.place };
        }
    }

    /// Waits for more. `false`: the pipeline is stopping.
    async fn wait(&mut self, assigned: &Assigned, at_end: &mut Option<AtEnd>) -> Result<bool, SourceError> {
        if timeout(IDLE, assigned.arrived()).await.is_ok() {
            tokio::time::sleep(GATHER).await;
            return Ok(true);
        }
        let Some(seen) = at_end.as_mut().filter(|seen| seen.since.elapsed() >= IDLE) else { return Ok(true) };
        if seen.looked.is_none_or(|looked| looked.elapsed() >= LOOK) && seen.beyond.is_none() {
            seen.looked = Some(Instant::now());
            seen.beyond = self.look_beyond().await?;
            return Ok(true);
        }
        if !self.intake.place.end && seen.beyond.is_none() {
            self.intake.place.end = true;
            return Ok(self.tell().await);
        }
        Ok(true)
    }

    /// Where the end lies beyond the place, fetches anew from the place on: reaching the end again shows that nothing is there.
    async fn look_beyond(&mut self) -> Result<Option<i64>, SourceError> {
        let (topic, partition, next) = (self.topic.to_owned(), self.partition, self.intake.place.next);
        let asked = self.client.ask(move |consumer| {
            let end = at(consumer, &topic, partition, Offset::End)?;
            if end > next {
                consumer.seek(&topic, partition, Offset::Offset(next), PATIENCE)?;
            }
            Ok((end > next).then_some(end))
        });
        match asked.await {
            // A broker that is away shows in the queue, and is waited out there.
            Err(SourceError::Unavailable { .. }) => Ok(None),
            answered => answered,
        }
    }

    /// What an error of the client means here.
    async fn trouble(&mut self, error: &KafkaError) -> SourceError {
        let name = format!("{}/{}", self.topic, self.partition);
        let next = self.intake.place.next;
        match failure::kind(error) {
            Kind::OutOfRange => self.out_of_range(name, next).await.unwrap_or_else(|error| error),
            Kind::NotFound => SourceError::Gone {
                split: name,
                range: format!("offset {next} on"),
                message:
                    "the topic was deleted while it was being read. To go on with what is there, give the pipeline \
                          another `path` in [sink]"
                        .to_owned(),
            },
            Kind::Unavailable | Kind::Refused => failure::of_source(error, &format!("{name} at offset {next}")),
        }
    }

    async fn out_of_range(&mut self, name: String, next: i64) -> Result<SourceError, SourceError> {
        let (topic, partition) = (self.topic.to_owned(), self.partition);
        let (low, high) = self
            .client
            .ask(move |consumer| {
                let low = at(consumer, &topic, partition, Offset::Beginning)?;
                Ok((low, at(consumer, &topic, partition, Offset::End)?))
            })
            .await?;
        if (low..=high).contains(&next) {
            let message =
                format!("offset {next} is not there yet; a new leader of the partition may still be catching up");
            return Ok(SourceError::Unavailable { name, message });
        }
        let (range, why) = if next < low {
            (
                format!("offset {next} to {}", low - 1),
                "retention passed, or records were deleted, before they were read",
            )
        } else {
            let why =
                "the topic ends before what was read of it: it was made anew, or lost its end to a broker's failure";
            (format!("offset {high} to {next}"), why)
        };
        let message = format!("{why}. To go on with what is there, give the pipeline another `path` in [sink]");
        Ok(SourceError::Gone { split: name, range, message })
    }
}
