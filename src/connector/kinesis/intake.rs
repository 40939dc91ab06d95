//! Records of a shard into batches, whichever way they come.
//!
//! Owns the place up to which the shard is read, and moves it with what is handed on. What must stay true: a record is handed
//! on once, however often the service gives it; the place of a batch is behind all of its records and before all others; the
//! time up to which the shard is read is never later than it is.

use std::sync::Arc;

use aws_sdk_kinesis::types::Record;
use bytes::Bytes;
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::{Permit, Position, RawBatch, Records};

use super::aggregate;
use super::discover::gone;
use super::failure::{Failure, Kind};
use super::place::{self, Place, precedes};
use super::start::{From, Plan};
use super::stream::{Stream, millis};
use crate::connector::meter::Meter;
use crate::connector::source::Clock;
use crate::connector::{End, Outlet, SourceError, SplitInfo};

/// An idle shard's place is handed on whenever this much time has begun anew (all shards' at once, so that it makes one
/// commit): in milliseconds. Far below any retention.
const REFRESH: i64 = 300_000;
/// In a bounded run a record that arrived this much later than the run began is not wanted: clocks differ by less.
const SKEW: i64 = 10_000;

/// A shard that is being read.
pub(super) struct Intake<'a> {
    pub(super) stream: Arc<Stream>,
    pub(super) shard: String,
    pub(super) split: &'a SplitInfo,
    plan: Plan,
    place: Place,
    /// The place that was handed on last.
    sent: Option<Place>,
    /// In a bounded run: when it began, in milliseconds.
    until: Option<i64>,
    clock: &'a Clock,
    pub(super) meter: Arc<Meter>,
    outlet: &'a mut dyn Outlet,
}

/// What a record takes beside its bytes: its position, and a place in a list.
const BESIDE: usize = 128;

/// An answer of the service, whichever way it came.
pub(super) struct Answer {
    pub(super) records: Vec<Record>,
    /// How far behind the shard's tip it is, in milliseconds.
    pub(super) behind: i64,
    /// Whether the shard is closed, and this is the last of it.
    pub(super) closed: bool,
    /// A time before which the service cannot have answered, in milliseconds.
    pub(super) time: i64,
}

/// Records with their positions, on the way to a batch.
#[derive(Default)]
struct Taken {
    payloads: Vec<Bytes>,
    positions: Vec<Position>,
    bytes: usize,
    /// When the last of them arrived.
    arrived: Option<i64>,
    /// Whether a record came that a bounded run does not want.
    enough: bool,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        stream: Arc<Stream>,
        shard: String,
        split: &'a SplitInfo,
        plan: Plan,
        clock: &'a Clock,
        meter: Arc<Meter>,
        outlet: &'a mut dyn Outlet,
    ) -> Self {
        let (place, until) = (plan.place.clone(), split.until.as_ref().and_then(|until| until.parse().ok()));
        // A shard that has a position is handed on again once its time has moved, one that has none at once.
        let sent = place.sequence.is_some().then(|| place.clone());
        Intake { stream, shard, split, plan, place, sent, until, clock, meter, outlet }
    }

    /// Milliseconds since 1970, UTC.
    pub(super) fn now(&self) -> i64 {
        (self.clock)() / 1000
    }

    /// Where an iterator has to begin.
    pub(super) fn from(&self) -> From {
        self.plan.from(&self.place)
    }

    /// The last record that was read or begun.
    pub(super) fn sequence(&self) -> Option<&str> {
        self.place.sequence.as_deref()
    }

    /// All that arrived before this time is read.
    pub(super) fn read_until(&self) -> Option<i64> {
        self.place.read
    }

    /// Memory for what is about to be fetched; `None` when the pipeline is stopping.
    pub(super) async fn reserve(&mut self, bytes: usize) -> Option<Permit> {
        self.outlet.reserve(bytes).await
    }

    /// Takes an answer that was fetched under a permit for `reserved` bytes. An end, where the shard ends or no more is
    /// wanted.
    pub(super) async fn answer(
        &mut self,
        answer: Answer,
        permit: Permit,
        reserved: usize,
    ) -> Result<Option<End>, SourceError> {
        self.check_retention().await?;
        self.meter.behind(answer.behind);
        let end = if !answer.records.is_empty() {
            self.take(permit, reserved, answer.records).await
        } else if answer.behind > 0 || answer.closed {
            None
        } else {
            drop(permit);
            self.at_the_tip(answer.time).await
        };
        match end {
            None if answer.closed => Ok(Some(self.finished().await)),
            end => Ok(end),
        }
    }

    /// Takes records that were fetched under a permit for `reserved` bytes, and hands them on. An end, where nothing more is
    /// wanted.
    async fn take(&mut self, permit: Permit, reserved: usize, records: Vec<Record>) -> Option<End> {
        let fetched = records.iter().map(|record| record.data.as_ref().len() + BESIDE).sum();
        let taken = self.unpack(records);
        let end = taken.enough.then_some(End::Resting);
        if taken.payloads.is_empty() {
            return end;
        }
        let permit = if fetched <= reserved {
            permit.keep(fetched);
            permit
        } else {
            // Nothing may be held while more is asked for: two readers could wait for each other for ever.
            drop(permit);
            match self.outlet.reserve(fetched).await {
                Some(permit) => permit,
                None => return Some(End::Stopped),
            }
        };
        self.meter.took(taken.payloads.len(), taken.bytes, taken.arrived);
        self.send(taken, permit).await.or(end)
    }

    /// The shard had nothing more at a time: it is read up to then. An end, where nothing more is wanted.
    async fn at_the_tip(&mut self, time: i64) -> Option<End> {
        self.place.read = self.place.read.max(Some(time));
        let rests = self.until.is_some_and(|until| time >= until);
        self.refresh().await.or(rests.then_some(End::Resting))
    }

    /// The shard is closed, and all of it was taken.
    async fn finished(&mut self) -> End {
        self.refresh().await.unwrap_or(End::Finished)
    }

    /// Hands on the place alone, where what it tells is news. An end, when the pipeline is stopping.
    async fn refresh(&mut self) -> Option<End> {
        let told = |place: &Place| (place.sequence.clone(), place.sub, place.read.map(|read| read / REFRESH));
        if self.sent.as_ref().is_some_and(|sent| told(sent) == told(&self.place)) {
            return None;
        }
        self.send(Taken::default(), Permit::free()).await
    }

    async fn send(&mut self, taken: Taken, permit: Permit) -> Option<End> {
        let batch = RawBatch {
            split: self.split.name.clone(),
            records: Records::Payloads(taken.payloads),
            positions: Positions::Each(taken.positions),
            until: self.place.position(),
            arrived_at: (self.clock)(),
            refused: Vec::new(),
            beside: Beside::default(),
            permit,
            size: taken.bytes,
        };
        let wanted = self.outlet.send(batch).await;
        self.sent = Some(self.place.clone());
        (!wanted).then_some(End::Stopped)
    }

    fn unpack(&mut self, records: Vec<Record>) -> Taken {
        let mut taken = Taken::default();
        for record in records {
            let arrived = record.approximate_arrival_timestamp.as_ref().map(millis);
            if self.until.zip(arrived).is_some_and(|(until, arrived)| arrived > until + SKEW) {
                taken.enough = true;
                return taken;
            }
            if self.is_new(&record.sequence_number) {
                self.unpack_one(record, arrived, &mut taken);
            }
        }
        taken
    }

    /// Whether something of a record is still to be read. A subscription that is renewed may begin with what is known.
    fn is_new(&self, sequence: &str) -> bool {
        match self.place.sequence.as_deref() {
            None => true,
            Some(last) if last == sequence => !self.place.whole,
            Some(last) => precedes(last, sequence),
        }
    }

    fn unpack_one(&mut self, record: Record, arrived: Option<i64>, taken: &mut Taken) {
        let (sequence, payload) = (record.sequence_number, Bytes::from(record.data.into_inner()));
        let parts = aggregate::open(&payload, self.plan.keys).unwrap_or_else(|| vec![Some(payload)]);
        let begun = self.place.sequence.as_deref() == Some(sequence.as_str());
        let first = if begun { self.place.sub } else { 0 };
        let count = parts.len() as u64;
        for (sub, part) in (0..).zip(parts).skip(first as usize) {
            if let Some(part) = part {
                taken.bytes += part.len();
                taken.positions.push(place::of(&sequence, sub));
                taken.payloads.push(part);
            }
        }
        let read = self.place.read.max(arrived);
        self.place = Place { sequence: Some(sequence), sub: count.max(first).max(1), whole: true, read };
        taken.arrived = arrived.or(taken.arrived);
    }

    /// The error for a call about this shard.
    pub(super) async fn failed(&mut self, failure: Failure) -> SourceError {
        match failure.kind {
            Kind::NotFound => match self.stream.summary().await {
                Err(no_stream) => no_stream,
                Ok(_) => self.forgotten(&failure),
            },
            _ => failure.of_source(&self.split.name),
        }
    }

    fn forgotten(&self, failure: &Failure) -> SourceError {
        let range = format!("from {} on", self.place.position());
        let message = format!(
            "the stream has forgotten the shard before it was read to its end ({}). To go on with what is there, give the \
             pipeline another `path` in [sink]",
            failure.message
        );
        gone(&self.split.name, &range, &message)
    }

    /// The error for a position that the service does not take.
    pub(super) fn another_stream(&self, failure: &Failure) -> SourceError {
        let range = format!("from {} on", self.place.position());
        let message = format!(
            "the stream does not know this sequence number ({}): it was probably deleted and made again. To read it from its \
             beginning, give the pipeline another `path` in [sink]",
            failure.message
        );
        gone(&self.split.name, &range, &message)
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
