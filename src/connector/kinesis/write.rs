//! Writing to a stream, for whoever fills one with made-up records.
//!
//! Owns the making of a stream and the sending of records in batches. What must stay true: a record is lost only with an
//! error; it is written twice only where an answer of the service was lost, which is counted.

use std::sync::Arc;

use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;

use super::failure::{Failure, Kind};
use super::stream::{Stream, StreamId};
use crate::connector::SourceError;
use crate::connector::aws::Access;
use crate::retry::Pause;

/// The most records of a call.
pub const MOST_RECORDS: usize = 500;
/// The most bytes of a call, keys among them.
pub const MOST_BYTES: usize = 5 << 20;

/// A record on its way into a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub data: Vec<u8>,
}

impl Entry {
    /// The bytes that count against [`MOST_BYTES`].
    pub fn size(&self) -> usize {
        self.key.len() + self.data.len()
    }
}

/// Writes to one stream.
pub struct Writer {
    stream: Arc<Stream>,
    /// Calls of which nobody knows whether they wrote anything: each was made again.
    unclear: u64,
}

impl Writer {
    /// A writer that asks the service nothing before it is asked.
    pub async fn connect(stream: &str, access: &Access) -> Result<Self, SourceError> {
        let streams = Stream::connect(vec![StreamId::parse(stream)?], access).await?;
        let none = || SourceError::Refused { name: stream.to_owned(), message: "no stream is named".to_owned() };
        Ok(Writer { stream: streams.into_iter().next().ok_or_else(none)?, unclear: 0 })
    }

    /// Calls that were made again because their answer was lost: their records may be in the stream twice.
    pub fn unclear(&self) -> u64 {
        self.unclear
    }

    /// Makes the stream where there is none, and waits until it can be written to. Tells whether it was made.
    pub async fn create(&self, shards: u32) -> Result<bool, SourceError> {
        let mut pause = Pause::default();
        let mut made = false;
        loop {
            let why = match self.status().await {
                Ok(true) => return Ok(made),
                Ok(false) => "the stream is not ready yet".to_owned(),
                Err(failure) if failure.kind == Kind::NotFound => match self.make(shards).await {
                    Ok(()) => {
                        made = true;
                        continue;
                    }
                    Err(failure) if matches!(failure.kind, Kind::InUse | Kind::Throttled) => failure.message,
                    Err(failure) => return Err(failure.of_source(self.stream.name())),
                },
                Err(failure) if matches!(failure.kind, Kind::Throttled | Kind::Unavailable) => failure.message,
                Err(failure) => return Err(failure.of_source(self.stream.name())),
            };
            pause.wait(&format!("{}: {why}", self.stream.name())).await;
        }
    }

    /// Whether the stream takes records.
    async fn status(&self) -> Result<bool, Failure> {
        let id = &self.stream.id;
        let request = self.stream.client.describe_stream_summary();
        let request = match &id.arn {
            Some(arn) => request.stream_arn(arn),
            None => request.stream_name(&id.name),
        };
        let said = request.send().await.map_err(|error| Failure::of(&error))?;
        let status = said.stream_description_summary.map(|said| said.stream_status);
        Ok(status.is_some_and(|status| matches!(status.as_str(), "ACTIVE" | "UPDATING")))
    }

    async fn make(&self, shards: u32) -> Result<(), Failure> {
        let request = self.stream.client.create_stream().stream_name(self.stream.name());
        let request = request.shard_count(i32::try_from(shards).unwrap_or(i32::MAX));
        request.send().await.map(drop).map_err(|error| Failure::of(&error))
    }

    /// Writes records, at most [`MOST_RECORDS`] and [`MOST_BYTES`] of them. Those that the service had no room for are sent
    /// again, and only those.
    pub async fn put(&mut self, entries: &[Entry]) -> Result<(), SourceError> {
        let request = |entry: &Entry| {
            let request = PutRecordsRequestEntry::builder().data(Blob::new(entry.data.clone()));
            request.partition_key(&entry.key).build().map_err(|error| self.stream.refused(&error.to_string()))
        };
        let mut left: Vec<PutRecordsRequestEntry> = entries.iter().map(request).collect::<Result<_, _>>()?;
        let mut pause = Pause::default();
        while !left.is_empty() {
            let why = match self.send(&left).await {
                Ok(written) => {
                    let before = left.len();
                    let mut written = written.into_iter();
                    left.retain(|_| !written.next().unwrap_or(false));
                    if left.len() < before {
                        pause = Pause::default();
                    }
                    format!("{} of {before} records had no room", left.len())
                }
                Err(failure) if failure.kind == Kind::Throttled => failure.message,
                Err(failure) if failure.kind == Kind::Unavailable => {
                    self.unclear += 1;
                    failure.message
                }
                Err(failure) => return Err(self.stream.failed(failure)),
            };
            if !left.is_empty() {
                pause.wait(&format!("write to {}: {why}", self.stream.name())).await;
            }
        }
        Ok(())
    }

    /// Sends once, and tells of each record whether it was written.
    async fn send(&self, entries: &[PutRecordsRequestEntry]) -> Result<Vec<bool>, Failure> {
        let id = &self.stream.id;
        let request = self.stream.client.put_records().set_records(Some(entries.to_vec()));
        let request = match &id.arn {
            Some(arn) => request.stream_arn(arn),
            None => request.stream_name(&id.name),
        };
        // Every answer counts: the SDK is not to send again what may have been written.
        let once = aws_sdk_kinesis::config::Builder::new().retry_config(RetryConfig::disabled());
        let said = request.customize().config_override(once).send().await.map_err(|error| Failure::of(&error))?;
        Ok(said.records.iter().map(|result| result.error_code.is_none()).collect())
    }
}

/// How many of `entries`, from the first, one call takes.
pub fn fitting(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        bytes += entry.size();
        bytes <= MOST_BYTES
    };
    entries.iter().take(MOST_RECORDS).take_while(fits).count().max(1).min(entries.len())
}

#[cfg(test)]
mod tests {
    //! Would catch a batch that the service refuses for its size.
    use super::*;

    #[test]
    fn a_batch_is_within_the_limits_of_the_service() {
        let of = |size: usize, count: usize| vec![Entry { key: "k".into(), data: vec![0; size - 1] }; count];
        assert_eq!(fitting(&of(100, 501)), 500);
        assert_eq!(fitting(&of(1 << 20, 9)), 5);
        assert_eq!(fitting(&of((1 << 20) + 1, 9)), 4);
        assert_eq!(fitting(&of(6 << 20, 2)), 1, "what fits nowhere is for the service to refuse");
        assert_eq!(fitting(&[]), 0);
    }
}
