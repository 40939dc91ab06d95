//! `populate kafka`: synthetic events or articles into a topic.
//!
//! Owns what is written, how fast, and what is said meanwhile. A stop ends it between two records; what was handed to the
//! client by then is still written.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Text;
use crate::connector::generate::pace::Pace;
use crate::connector::generate::record::Records;
use crate::connector::kafka::write::{Target, WriteError, Writer, Written};

use super::signals::Signals;
use super::{Failure, PopulateKafka, load};

/// How often it says how far it has come.
const SAY: Duration = Duration::from_secs(10);
/// How long a stop waits for what is under way.
const GRACE: Duration = Duration::from_secs(10);

/// What is written.
struct Populating {
    writer: Writer,
    records: Records,
    pace: Option<Pace>,
    count: u64,
}

/// Makes the topic where it is absent, writes the records, and says how many they were.
pub(super) fn populate(asked: &PopulateKafka, signals: Signals, out: &mut impl Write) -> Result<(), Failure> {
    let target = Target {
        brokers: asked.brokers.clone(),
        topic: asked.topic.clone(),
        properties: properties(&asked.options)?,
        patience: Duration::from_secs(asked.wait),
    };
    load::runtime()?.block_on(async {
        let stop = signals.stop();
        let populating = Populating::new(asked, target).map_err(Failure::failed)?;
        let unknown = populating.write(asked, &stop).await;
        let Written { records, bytes } = populating.writer.written();
        // What is there is told of, also where not all of it is.
        if unknown.is_ok() || records > 0 {
            writeln!(out, "{records} records, {:.1} MB: {}", bytes as f64 / 1e6, asked.topic)?;
        }
        match unknown.map_err(Failure::failed)? {
            0 => Ok(()),
            unknown => {
                Ok(writeln!(out, "{unknown} more were not answered when it was stopped: they may be there or not")?)
            }
        }
    })
}

/// The properties, with what their variables stand for.
fn properties(options: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let property = |(key, value): &(String, String)| match Text::expand(value, &|name| load::environment(name)) {
        Ok(value) => Ok((key.clone(), value.as_str().to_owned())),
        Err(problems) => Err(Failure::usage(format!("-o {key}: {}", problems.join("; ")))),
    };
    options.iter().map(property).collect()
}

impl Populating {
    fn new(asked: &PopulateKafka, target: Target) -> Result<Self, WriteError> {
        let kind = asked.kind;
        Ok(Populating {
            writer: Writer::new(target)?,
            records: Records::new(kind, asked.seed, asked.broken),
            pace: asked.rate.map(|rate| Pace::new(rate, 0)),
            count: if asked.forever { u64::MAX } else { asked.count },
        })
    }

    /// Writes until all is written or a stop is asked for. Tells of how many records nobody knows whether they are there.
    async fn write(&self, asked: &PopulateKafka, stop: &CancellationToken) -> Result<u64, WriteError> {
        let made = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(0),
            made = self.writer.create(asked.partitions) => made?,
        };
        if made {
            tracing::info!(topic = asked.topic, partitions = asked.partitions, "made the topic");
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            put = self.put() => {
                put?;
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    left = self.writer.finish(None) => return left,
                }
            }
        }
        self.writer.finish(Some(GRACE)).await
    }

    async fn put(&self) -> Result<(), WriteError> {
        let (mut next, mut said, mut data) = (0, Instant::now(), Vec::new());
        while next < self.count {
            let due = match &self.pace {
                Some(pace) => pace.due(next).await.min(self.count),
                None => self.count.min(next + 1_000),
            };
            for index in next..due {
                data.clear();
                self.records.write(0, index, &mut data);
                self.writer.put(&self.records.key(0, index), &data).await?;
            }
            next = due;
            if said.elapsed() >= SAY {
                said = Instant::now();
                tracing::info!(records = self.writer.written().records, "writing");
            }
            // A stop is looked for here.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
