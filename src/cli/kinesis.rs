//! `populate kinesis`: synthetic articles or events into a stream.
//!
//! Owns the making of stream and bucket where they are absent, the batches, and what is said meanwhile. Each record is written
//! once; an answer that was lost is the one thing that can double records, and is told of in the end.

use std::io::Write;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::connector::aws::Access;
use crate::connector::generate::Kind;
use crate::connector::generate::pace::Pace;
use crate::connector::generate::record::Records;
use crate::connector::kinesis::write::{Entry, MOST_BYTES, MOST_RECORDS, Writer, fitting};
use crate::connector::s3::{Place, S3Store};
use crate::connector::{SourceError, StoreError};

use super::signals::Signals;
use super::{Failure, PopulateKinesis, load};

/// How often it says how far it has come.
const SAY: Duration = Duration::from_secs(10);

/// How long a stop waits for the batch under way.
const GRACE: Duration = Duration::from_secs(5);

/// What is written, and how far.
struct Populating {
    writer: Writer,
    records: Records,
    kind: Kind,
    pace: Option<Pace>,
    /// Records in all; none: for ever.
    count: Option<u64>,
    written: u64,
    bytes: u64,
}

/// Makes what is absent, writes the records, and says how many they were.
pub(super) fn populate(asked: &PopulateKinesis, signals: Signals, out: &mut impl Write) -> Result<(), Failure> {
    let runtime = load::runtime()?;
    runtime.block_on(async {
        let stop = signals.stop();
        let begun = async {
            let populating = Populating::begin(asked).await.map_err(Failure::failed)?;
            make_bucket(asked).await.map_err(Failure::failed)?;
            Ok::<_, Failure>(populating)
        };
        let mut populating = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            begun = begun => begun?,
        };
        populating.write(&stop).await.map_err(Failure::failed)?;
        let Populating { written, bytes, writer, .. } = &populating;
        writeln!(out, "{written} records, {:.1} MB: {}", *bytes as f64 / 1e6, asked.stream)?;
        if writer.unclear() > 0 {
            let calls = writer.unclear();
            writeln!(out, "{calls} answers were lost and their records written again: up to {MOST_RECORDS} each may be there twice")?;
        }
        Ok(())
    })
}

async fn make_bucket(asked: &PopulateKinesis) -> Result<(), StoreError> {
    if asked.no_bucket {
        return Ok(());
    }
    let place = Place {
        endpoint: asked.s3_endpoint.clone().or(asked.endpoint.clone()),
        region: asked.region.clone(),
        ..Place::parse(&format!("s3://{}", asked.bucket))?
    };
    if S3Store::connect(place).await?.create_bucket().await? {
        tracing::info!(bucket = asked.bucket, "made the bucket");
    }
    Ok(())
}

impl Populating {
    async fn begin(asked: &PopulateKinesis) -> Result<Self, SourceError> {
        let access = Access { endpoint: asked.endpoint.clone(), region: asked.region.clone(), ..Access::default() };
        let writer = Writer::connect(&asked.stream, &access).await?;
        if writer.create(asked.shards).await? {
            tracing::info!(stream = asked.stream, shards = asked.shards, "made the stream");
        }
        let kind = asked.kind;
        Ok(Populating {
            writer,
            records: Records::new(kind, asked.seed, asked.broken),
            kind,
            pace: asked.rate.map(|rate| Pace::new(rate, 0)),
            count: (!asked.forever).then_some(asked.count),
            written: 0,
            bytes: 0,
        })
    }

    /// Writes until all is written or a stop is asked for, which waits a moment for the batch under way.
    async fn write(&mut self, stop: &CancellationToken) -> Result<(), SourceError> {
        let (count, mut said) = (self.count.unwrap_or(u64::MAX), Instant::now());
        while self.written < count {
            let due = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                due = self.due(count) => due,
            };
            let entries = self.entries(due);
            let batch = &entries[..fitting(&entries)];
            let waited = async {
                stop.cancelled().await;
                sleep(GRACE).await;
            };
            tokio::select! {
                biased;
                put = self.writer.put(batch) => put?,
                () = waited => return Ok(()),
            }
            self.written += batch.len() as u64;
            self.bytes += batch.iter().map(|entry| entry.data.len() as u64).sum::<u64>();
            if said.elapsed() >= SAY {
                said = Instant::now();
                tracing::info!(records = self.written, "writing");
            }
        }
        Ok(())
    }

    /// Up to which record all are due.
    async fn due(&self, count: u64) -> u64 {
        match &self.pace {
            Some(pace) => pace.due(self.written).await.min(count),
            None => count,
        }
    }

    /// The next records, as many as are due and one call may take.
    fn entries(&self, due: u64) -> Vec<Entry> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for index in (self.written..due).take(MOST_RECORDS) {
            let entry = self.entry(index);
            bytes += entry.size();
            entries.push(entry);
            if bytes > MOST_BYTES {
                break;
            }
        }
        entries
    }

    /// An article goes where its id says.
    fn entry(&self, index: u64) -> Entry {
        let mut data = Vec::new();
        self.records.write(0, index, &mut data);
        let key = match self.kind {
            Kind::Articles => format!("article-0-{index:08}"),
            Kind::Events => format!("event-0-{index:08}"),
        };
        Entry { key, data }
    }
}
