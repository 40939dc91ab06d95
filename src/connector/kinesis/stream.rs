//! One stream and the calls that reading it takes.
//!
//! Owns the client, whether a stream is called by name or by ARN, and what is kept in mind of it and of
//! its shards. Decides nothing: a failed call is told as what it was, except where any caller would do the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::operation::list_shards::ListShardsOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{RecordDistributionStrategy, ShardIteratorType, StreamStatus};
use tokio::sync::OnceCell;

use super::aggregate::HashKeys;
use super::discover::Shard;
use super::failure::{Failure, Kind};
use super::pin::ServiceTime;
use super::start::From;
use crate::connector::SourceError;
use crate::connector::aws::{self, Access};
use crate::retry::Pause;

/// How often a call is made before it counts as failed; whoever makes it tries again later.
const ATTEMPTS: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(100);
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(30);
/// Shards of one page.
const PAGE: i32 = 1000;

/// Which stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamId {
    pub(super) name: String,
    pub(super) arn: Option<String>,
}

impl StreamId {
    /// Reads a name or an ARN.
    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        if !text.starts_with("arn:") {
            return Ok(StreamId { name: text.to_owned(), arn: None });
        }
        let name = text.rsplit_once(":stream/").map(|(_, name)| name.to_owned());
        let name = name.filter(|name| !name.is_empty()).ok_or_else(|| SourceError::Refused {
            name: text.to_owned(),
            message: "it is no ARN of a stream; write arn:aws:kinesis:<region>:<account>:stream/<name>".to_owned(),
        })?;
        Ok(StreamId { name, arn: Some(text.to_owned()) })
    }

    /// An ARN says where its stream is.
    fn region(&self) -> Option<String> {
        let region = self.arn.as_ref()?.split(':').nth(3)?;
        (!region.is_empty()).then(|| region.to_owned())
    }

    /// A service calls a stream by its ARN where that is what it was given, since it may be another account's.
    fn by_name(&self) -> Option<String> {
        self.arn.is_none().then(|| self.name.clone())
    }
}

/// What a stream says of itself.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) arn: Arc<str>,
    /// How long a record is kept, in milliseconds.
    pub(super) retention: i64,
    /// When the stream was made: milliseconds since 1970, UTC.
    pub(super) created: i64,
    /// Whether records lie in the shard that their key says.
    pub(super) by_key: bool,
    /// When it said so, by its own clock, where it tells: milliseconds since 1970, UTC.
    pub(super) at: Option<i64>,
}

/// A stream.
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) client: Client,
    /// The consumer of enhanced fan-out, once it is known to be there.
    pub(super) consumer: OnceCell<String>,
    /// What it said of itself last.
    said: Mutex<Option<Summary>>,
    /// The shards as they were listed last.
    shards: Mutex<BTreeMap<String, Shard>>,
}

impl Stream {
    /// Streams with a client each, since an ARN may name another region.
    pub(super) async fn connect(ids: Vec<StreamId>, access: &Access) -> Result<Vec<Arc<Self>>, SourceError> {
        let stated = ids.iter().find_map(StreamId::region);
        let access = Access { region: access.region.clone().or(stated), ..access.clone() };
        let shared = aws::settings(&access).await.map_err(|error| SourceError::Refused {
            name: ids.first().map_or_else(String::new, |id| id.name.clone()),
            message: error.to_string(),
        })?;
        let stream = |id: StreamId| {
            let mut settings = aws_sdk_kinesis::config::Builder::from(&shared)
                .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(BACKOFF))
                .timeout_config(
                    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build(),
                );
            settings.set_region(id.region().map(Region::new).or(shared.region().cloned()));
            let client = Client::from_conf(settings.build());
            let (consumer, said, shards) = (OnceCell::new(), Mutex::default(), Mutex::default());
            Arc::new(Stream { id, client, consumer, said, shards })
        };
        Ok(ids.into_iter().map(stream).collect())
    }

    pub(super) fn name(&self) -> &str {
        &self.id.name
    }

    /// All shards that the stream knows, closed ones too. Waits out a service that is asked too often.
    pub(super) async fn list(&self) -> Result<Vec<Shard>, SourceError> {
        let mut pause = Pause::default();
        let (mut shards, mut next) = (Vec::new(), None);
        loop {
            match self.page(next.clone()).await {
                Ok(page) => {
                    shards.extend(page.shards.unwrap_or_default().iter().map(Shard::read));
                    next = page.next_token;
                    if next.is_none() {
                        self.remember(&shards);
                        return Ok(shards);
                    }
                }
                Err(failure) if matches!(failure.kind, Kind::Throttled | Kind::Expired | Kind::InUse) => {
                    if failure.kind == Kind::Expired {
                        (shards, next) = (Vec::new(), None);
                    }
                    pause.wait(&format!("list the shards of {}: {}", self.name(), failure.message)).await;
                }
                Err(failure) => return Err(self.failed(failure)),
            }
        }
    }

    /// A later page is asked for by its token alone.
    async fn page(&self, next: Option<String>) -> Result<ListShardsOutput, Failure> {
        let request = self.client.list_shards().max_results(PAGE);
        let request = match next {
            None => request.set_stream_name(self.id.by_name()).set_stream_arn(self.id.arn.clone()),
            Some(token) => request.next_token(token),
        };
        request.send().await.map_err(|error| Failure::of(&error))
    }

    /// What the stream says of itself; an error where it is being made or deleted.
    pub(super) async fn summary(&self) -> Result<Summary, SourceError> {
        let mut pause = Pause::default();
        let (said, at) = loop {
            let time = ServiceTime::default();
            let request = self.client.describe_stream_summary();
            let request = request.set_stream_name(self.id.by_name()).set_stream_arn(self.id.arn.clone());
            let request = request.customize().interceptor(time.clone());
            match request.send().await.map_err(|error| Failure::of(&error)) {
                Ok(said) => break (said.stream_description_summary, time.heard()),
                Err(failure) if failure.kind == Kind::Throttled => {
                    pause.wait(&format!("describe {}: {}", self.name(), failure.message)).await;
                }
                Err(failure) => return Err(self.failed(failure)),
            }
        };
        let said = said.ok_or_else(|| self.unavailable("the service described it with nothing"))?;
        match said.stream_status {
            StreamStatus::Creating => return Err(self.unavailable("it is still being made")),
            StreamStatus::Deleting => return Err(self.refused("it is being deleted; nothing more can be read of it")),
            _ => {}
        }
        let summary = Summary {
            retention: i64::from(said.retention_period_hours) * 3_600_000,
            arn: said.stream_arn.into(),
            created: millis(&said.stream_creation_timestamp),
            by_key: said.record_distribution_strategy != Some(RecordDistributionStrategy::Auto),
            at,
        };
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary.clone());
        Ok(summary)
    }

    /// What the stream said of itself last, for what seldom changes.
    pub(super) async fn known(&self) -> Result<Summary, SourceError> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match said {
            Some(said) => Ok(said),
            None => self.summary().await,
        }
    }

    /// The hash keys of a shard, where records lie by their keys.
    pub(super) async fn keys(&self, shard: &str) -> Result<HashKeys, SourceError> {
        if !self.known().await?.by_key {
            return Ok(HashKeys::ALL);
        }
        if self.listed(shard).is_none() {
            self.list().await?;
        }
        Ok(self.listed(shard).map_or(HashKeys::ALL, |shard| shard.keys))
    }

    /// Whether a shard was closed when the stream was last looked at.
    pub(super) fn is_closed(&self, shard: &str) -> bool {
        self.listed(shard).is_some_and(|shard| shard.closed)
    }

    fn listed(&self, shard: &str) -> Option<Shard> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).get(shard).cloned()
    }

    fn remember(&self, shards: &[Shard]) {
        let shards = shards.iter().map(|shard| (shard.id.clone(), shard.clone())).collect();
        *self.shards.lock().unwrap_or_else(PoisonError::into_inner) = shards;
    }

    /// An iterator that begins there.
    pub(super) async fn iterator(&self, shard: &str, from: &From) -> Result<String, Failure> {
        let (kind, sequence, time) = from.parts();
        let request = self.client.get_shard_iterator().shard_id(shard).shard_iterator_type(kind);
        let request = request.set_stream_name(self.id.by_name()).set_stream_arn(self.id.arn.clone());
        let request = request.set_starting_sequence_number(sequence).set_timestamp(time);
        let answer = request.send().await.map_err(|error| Failure::of(&error))?;
        let nothing = || Failure { kind: Kind::Unavailable, message: "the service gave no iterator".to_owned() };
        answer.shard_iterator.ok_or_else(nothing)
    }

    /// The next records behind an iterator.
    pub(super) async fn records(&self, iterator: &str, limit: usize) -> Result<GetRecordsOutput, Failure> {
        let request = self.client.get_records().shard_iterator(iterator).limit(limit as i32);
        request.set_stream_arn(self.id.arn.clone()).send().await.map_err(|error| Failure::of(&error))
    }

    /// The error for a call about the stream as a whole.
    pub(super) fn failed(&self, failure: Failure) -> SourceError {
        match failure.kind {
            Kind::NotFound => self.refused(&format!(
                "there is no such stream ({}): it was deleted, or never made; create it, or correct `stream` in [source]",
                failure.message
            )),
            _ => failure.of_source(self.name()),
        }
    }

    pub(super) fn refused(&self, message: &str) -> SourceError {
        SourceError::Refused { name: self.name().to_owned(), message: message.to_owned() }
    }

    fn unavailable(&self, message: &str) -> SourceError {
        SourceError::Unavailable { name: self.name().to_owned(), message: message.to_owned() }
    }
}

impl From {
    /// As the API takes it.
    pub(super) fn parts(&self) -> (ShardIteratorType, Option<String>, Option<DateTime>) {
        match self {
            From::Oldest => (ShardIteratorType::TrimHorizon, None, None),
            From::Time(at) => (ShardIteratorType::AtTimestamp, None, Some(DateTime::from_millis(*at))),
            From::At(sequence) => (ShardIteratorType::AtSequenceNumber, Some(sequence.clone()), None),
            From::After(sequence) => (ShardIteratorType::AfterSequenceNumber, Some(sequence.clone()), None),
        }
    }
}

/// Milliseconds since 1970, UTC; 0 for a time that no clock shows.
pub(super) fn millis(time: &DateTime) -> i64 {
    time.to_millis().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    //! Would catch a stream of another account that is looked for in one's own.
    use super::*;

    #[test]
    fn a_stream_is_called_as_it_was_named() {
        let named = StreamId::parse("MyStream").unwrap();
        assert_eq!((named.by_name(), named.arn.as_deref(), named.region()), (Some("MyStream".into()), None, None));
        let arn = "arn:aws:kinesis:eu-central-1:123456789012:stream/MyStream";
        let by_arn = StreamId::parse(arn).unwrap();
        assert_eq!((by_arn.name.as_str(), by_arn.by_name()), ("MyStream", None));
        assert_eq!((by_arn.arn.as_deref(), by_arn.region().as_deref()), (Some(arn), Some("eu-central-1")));
        assert!(StreamId::parse("arn:aws:s3:::bucket").is_err());
    }
}
