//! Reading a shard by enhanced fan-out: the service pushes what arrives to a consumer of our own.
//!
//! Owns the consumer's registration and the life of a subscription, which ends after five minutes or sooner and is made again.
//! What must stay true: a subscription begins where the last one had come to, and what it repeats is left out; it is not made
//! again sooner than the service takes it. A shard that is known to be closed and has nothing to say is polled for the rest,
//! so that its end is certain even where the word of it was lost.

use std::time::Duration;

use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::{ConsumerStatus, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream};
use millstream_operators::Permit;
use tokio::time::{Instant, sleep, sleep_until};

use super::failure::{Failure, Kind};
use super::intake::{Answer, Intake};
use super::pace::{Got, Pace};
use super::poll;
use super::start::From;
use super::stream::Stream;
use crate::connector::{End, SourceError};
use crate::retry::Pause;

/// The service takes no new subscription to a shard sooner than this after the last.
const AGAIN: Duration = Duration::from_secs(5);
/// A subscription that says nothing, not even that there is nothing, for this long is broken.
const SILENCE: Duration = Duration::from_secs(60);
/// Memory set aside for an event is given to others for a moment this often.
const TURN: Duration = Duration::from_secs(1);

/// Reads until the shard ends or no more is wanted.
pub(super) async fn read(intake: &mut Intake<'_>, consumer: &str) -> Result<End, SourceError> {
    let stream = intake.stream.clone();
    let consumer = stream.consumer.get_or_try_init(|| registered(&stream, consumer)).await?;
    let mut subscribing =
        Subscribing { consumer, pace: Pace::new(), pause: Pause::default(), goes_on_at: None, made: 0, over: false };
    loop {
        let made = Instant::now();
        if let Some(mut events) = subscribing.subscribe(intake).await?
            && let Some(end) = subscribing.listen(&mut events, intake).await?
        {
            return Ok(end);
        }
        if subscribing.over {
            return poll::read(intake).await;
        }
        sleep_until(made + AGAIN).await;
    }
}

struct Subscribing<'a> {
    consumer: &'a str,
    pace: Pace,
    pause: Pause,
    /// Where the last subscription had come to, as it said.
    goes_on_at: Option<String>,
    /// When the last subscription was made, in milliseconds: what it says may lie about for a while before it is heard.
    made: i64,
    /// Whether the shard is closed, and nothing more came of it.
    over: bool,
}

impl Subscribing<'_> {
    /// A subscription; none where it has to be tried again.
    async fn subscribe(&mut self, intake: &mut Intake<'_>) -> Result<Option<SubscribeToShardOutput>, SourceError> {
        let from = self.goes_on_at.take().map_or_else(|| intake.from(), From::At);
        let (kind, sequence, time) = from.parts();
        let position = StartingPosition::builder().r#type(kind).set_sequence_number(sequence).set_timestamp(time);
        let position = position.build().map_err(|error| intake.stream.refused(&error.to_string()))?;
        let request = intake.stream.client.subscribe_to_shard().consumer_arn(self.consumer);
        let request = request.shard_id(&intake.shard).starting_position(position);
        self.made = intake.now();
        let failure = match request.send().await {
            Ok(events) => {
                self.pause = Pause::default();
                return Ok(Some(events));
            }
            Err(error) => Failure::of(&error),
        };
        match failure.kind {
            // Another subscription of ours is still known, or a time has not come yet.
            Kind::InUse | Kind::Throttled => {}
            Kind::Invalid if matches!(from, From::Time(_)) && failure.message.contains("currentTimestamp") => {}
            Kind::Invalid if matches!(from, From::At(_) | From::After(_)) => {
                return Err(intake.another_stream(&failure));
            }
            Kind::NotFound => return Err(self.not_found(failure, intake).await),
            _ => return Err(intake.failed(failure).await),
        }
        self.pause.wait(&format!("{}: {}", intake.split.name, failure.message)).await;
        Ok(None)
    }

    /// The error where the stream, the shard or the consumer is not there any more.
    async fn not_found(&self, failure: Failure, intake: &mut Intake<'_>) -> SourceError {
        let request = intake.stream.client.describe_stream_consumer().consumer_arn(self.consumer);
        match request.send().await.map_err(|error| Failure::of(&error)) {
            Err(gone) if gone.kind == Kind::NotFound => match intake.stream.summary().await {
                Err(no_stream) => no_stream,
                Ok(_) => intake.stream.refused(&format!(
                    "the consumer {} was deregistered while it was read with; start again, and it is registered anew",
                    self.consumer
                )),
            },
            _ => intake.failed(failure).await,
        }
    }

    /// Hands on what comes until the subscription ends. An end, where the shard ends or no more is wanted.
    async fn listen(
        &mut self,
        events: &mut SubscribeToShardOutput,
        intake: &mut Intake<'_>,
    ) -> Result<Option<End>, SourceError> {
        loop {
            let reserved = self.pace.want();
            let Some((event, permit)) = next(events, reserved, intake).await else { return Ok(Some(End::Stopped)) };
            match event {
                Some(event) => {
                    let end = self.take(event, permit, reserved, intake).await?;
                    if end.is_some() || self.over {
                        return Ok(end);
                    }
                }
                None => return Ok(None),
            }
        }
    }

    async fn take(
        &mut self,
        event: SubscribeToShardEvent,
        permit: Permit,
        reserved: usize,
        intake: &mut Intake<'_>,
    ) -> Result<Option<End>, SourceError> {
        let (behind, next) = (event.millis_behind_latest, event.continuation_sequence_number);
        let got = Got::of(&event.records, behind);
        self.pace.after(got);
        let closed = next.is_empty() || event.child_shards.is_some_and(|children| !children.is_empty());
        self.over = got.records == 0 && behind == 0 && intake.stream.is_closed(&intake.shard);
        self.goes_on_at = Some(next);
        let answer = Answer { records: event.records, behind, closed, time: self.made };
        intake.answer(answer, permit, reserved).await
    }
}

/// The next event with memory for it; no event where the subscription is over, nothing at all when the pipeline is stopping.
///
/// An idle shard says something every few seconds only. The memory that it might need is not kept from others meanwhile.
async fn next(
    events: &mut SubscribeToShardOutput,
    reserved: usize,
    intake: &mut Intake<'_>,
) -> Option<(Option<SubscribeToShardEvent>, Permit)> {
    let split = intake.split.name.clone();
    let coming = tokio::time::timeout(SILENCE, events.event_stream.recv());
    tokio::pin!(coming);
    loop {
        let permit = intake.reserve(reserved).await?;
        let came = tokio::select! {
            biased;
            came = &mut coming => came,
            () = sleep(TURN) => continue,
        };
        let event = match came {
            Ok(Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)))) => Some(event),
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                tracing::debug!(%split, "the subscription broke: {}", Failure::of(&error).message);
                None
            }
            Err(_) => {
                tracing::debug!(%split, "the subscription fell silent");
                None
            }
        };
        return Some((event, permit));
    }
}

/// The ARN of the consumer of that name, registered where it is not there, once it is ready.
async fn registered(stream: &Stream, name: &str) -> Result<String, SourceError> {
    let arn = stream.summary().await?.arn;
    let mut pause = Pause::default();
    loop {
        let why = match described(stream, &arn, name).await {
            Ok((consumer, ConsumerStatus::Active)) => return Ok(consumer),
            Ok((_, status)) => format!("the consumer {name} is {status}"),
            Err(failure) if failure.kind == Kind::NotFound => match register(stream, &arn, name).await {
                Ok(()) => format!("the consumer {name} was registered"),
                Err(failure) if matches!(failure.kind, Kind::InUse | Kind::Throttled) => failure.message,
                Err(failure) => return Err(failure.of_source(stream.name())),
            },
            Err(failure) if matches!(failure.kind, Kind::InUse | Kind::Throttled) => failure.message,
            Err(failure) => return Err(stream.failed(failure)),
        };
        pause.wait(&format!("{}: {why}", stream.name())).await;
    }
}

async fn described(stream: &Stream, arn: &str, name: &str) -> Result<(String, ConsumerStatus), Failure> {
    let request = stream.client.describe_stream_consumer().stream_arn(arn).consumer_name(name);
    let said = request.send().await.map_err(|error| Failure::of(&error))?.consumer_description;
    let said = said.ok_or_else(|| Failure { kind: Kind::Unavailable, message: "no description came".to_owned() })?;
    Ok((said.consumer_arn, said.consumer_status))
}

async fn register(stream: &Stream, arn: &str, name: &str) -> Result<(), Failure> {
    tracing::info!(stream = stream.name(), consumer = name, "registering the consumer");
    let request = stream.client.register_stream_consumer().stream_arn(arn).consumer_name(name);
    request.send().await.map(drop).map_err(|error| Failure::of(&error))
}
