//! The Kinesis connector: every record of one or more streams, whatever happens to their shards.
//!
//! ```text
//! stream (calls, one client each) ─┬→ discover (shards, their parents, what is lost)
//!                                  └→ poll | fan_out ─► intake (records → batches, positions) ─► outlet
//!                                       pace, start        aggregate (KPL), retention
//! ```
//! A split is a shard, named `<stream>/<shard id>` also where there is one stream only, so that a second one changes no name.
//! Owns the [`Source`] over the Kinesis API and is the only place that names its SDK.
//!
//! What must stay true: a shard is read on strictly behind the sequence and sub-sequence number of the last record that was
//! handed on; a shard is finished only when the service says so; where records may have passed out of the stream before they
//! were read, that is [`SourceError::Gone`], unless it can be shown that none did.

mod aggregate;
mod config;
mod discover;
mod failure;
mod fan_out;
mod intake;
mod pace;
mod pin;
mod place;
mod poll;
mod retention;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod stand_in;
mod start;
mod stream;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::protocol::State;
use millstream_operators::{Position, Split};
use tokio::time::sleep_until;

use self::discover::Looking;
use self::pin::Pin;
use self::place::Place;
use self::start::Told;
use self::stream::{Stream, StreamId};
use crate::connector::aws::Access;
use crate::connector::meter::Meters;
use crate::connector::source::{Clock, Lag};
use crate::connector::{Bounds, Discovery, End, Outlet, Source, SourceError, SplitInfo};

pub use config::Config;

/// How long to wait between two looks; a shard that ends is looked after at once.
const INTERVAL: Duration = Duration::from_secs(10);

/// The shortest time between two looks, however many shards end at once.
const SOONEST: Duration = Duration::from_millis(500);

/// Where reading begins in a shard of which nothing is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that there is.
    #[default]
    TrimHorizon,
    /// With what arrives after the first start of the pipeline with this stream.
    Latest,
    /// With what arrived at this time or later: microseconds since 1970, UTC.
    At(i64),
}

/// What to read, and how.
#[derive(Clone)]
pub struct Options {
    /// Names or ARNs.
    pub streams: Vec<String>,
    pub start: Start,
    pub access: Access,
    /// The consumer to read with by enhanced fan-out; polling where there is none.
    pub consumer: Option<String>,
    pub bounds: Bounds,
    pub clock: Clock,
}

/// One or more streams as a source.
pub struct Kinesis {
    streams: Vec<Arc<Stream>>,
    options: Options,
    told: Mutex<Arc<Told>>,
    looking: Mutex<Looking>,
    meters: Meters,
}

impl Kinesis {
    /// A source that asks the service nothing before it is asked.
    pub async fn connect(options: Options) -> Result<Self, SourceError> {
        let ids: Vec<StreamId> = options.streams.iter().map(|text| StreamId::parse(text)).collect::<Result<_, _>>()?;
        let names: BTreeSet<&str> = ids.iter().map(|id| id.name.as_str()).collect();
        if names.len() < ids.len() || ids.is_empty() {
            return Err(SourceError::Refused {
                name: "kinesis".to_owned(),
                message:
                    "each stream must have a name of its own, since positions are kept by it; read streams of one \
                          name in two pipelines"
                        .to_owned(),
            });
        }
        let streams = Stream::connect(ids, &options.access).await?;
        let told = Mutex::new(Arc::new(Told::nothing((options.clock)())));
        Ok(Kinesis { streams, looking: Mutex::new(Looking::default()), told, meters: Meters::default(), options })
    }

    fn told(&self) -> Arc<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the stream stands now.
    async fn pin(&self, stream: &Stream) -> Result<Pin, SourceError> {
        let service = stream.summary().await?.at;
        let here = (self.options.clock)() / 1000;
        if service.is_none() {
            tracing::warn!(
                stream = stream.name(),
                "the service tells no time, so `latest` begins by this machine's clock"
            );
        }
        Ok(Pin { service: service.unwrap_or(here), here })
    }

    fn stream(&self, split: &SplitInfo) -> Result<(&Arc<Stream>, String), SourceError> {
        let known = split.name.rsplit_once('/').and_then(|(stream, shard)| {
            let stream = self.streams.iter().find(|known| known.name() == stream)?;
            Some((stream, shard.to_owned()))
        });
        known.ok_or_else(|| SourceError::Refused {
            name: split.name.to_string(),
            message: "it is no shard of the streams in [source]; was this path written by another source?".to_owned(),
        })
    }
}

#[async_trait]
impl Source for Kinesis {
    async fn pins(&self, known: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, SourceError> {
        let mut pins = BTreeMap::new();
        for stream in self.streams.iter().filter(|stream| !known.contains_key(stream.name())) {
            pins.insert(stream.name().to_owned(), self.pin(stream).await?.text());
        }
        Ok(pins)
    }

    async fn forgets(&self, log: &State) -> Result<Vec<Split>, SourceError> {
        if !log.positions.values().any(|state| state.done) {
            return Ok(Vec::new());
        }
        let mut forgotten = Vec::new();
        for stream in &self.streams {
            let (shards, summary) = (stream.list().await?, stream.summary().await?);
            forgotten.extend(discover::forgotten(stream.name(), &shards, &summary, &log.positions));
        }
        Ok(forgotten)
    }

    fn goes_on_from(&self, log: &State) {
        let told = Told::read(log, (self.options.clock)());
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(told);
    }

    async fn discover(&self) -> Result<Discovery, SourceError> {
        let soonest = self.looking.lock().unwrap_or_else(PoisonError::into_inner).next(SOONEST);
        sleep_until(soonest).await;
        let (told, now) = (self.told(), (self.options.clock)());
        let mut splits = Vec::new();
        for stream in &self.streams {
            let shards = stream.list().await?;
            let summary = stream.summary().await?;
            let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
            looking.check(stream.name(), &shards, &summary, &told, now)?;
            splits.extend(shards.iter().map(|shard| shard.info(stream.name(), self.options.bounds, told.began)));
        }
        Ok(Discovery { splits, complete: false })
    }

    fn discovery_interval(&self) -> Duration {
        INTERVAL
    }

    async fn read(
        &self,
        split: &SplitInfo,
        from: Option<Position>,
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError> {
        let (stream, shard) = self.stream(split)?;
        let place = Place::read(split, from.as_ref())?;
        let told = self.told();
        let start = start::Starting { stream, shard: &shard, split, start: self.options.start, told: &told };
        let start = start.plan(place).await?;
        let meter = self.meters.of(&split.name);
        let mut intake = intake::Intake::new(stream.clone(), shard, split, start, &self.options.clock, meter, outlet);
        let end = match &self.options.consumer {
            None => poll::read(&mut intake).await,
            Some(consumer) => fan_out::read(&mut intake, consumer).await,
        };
        if matches!(end, Ok(End::Finished)) {
            told.finished(&split.name, intake.read_until());
            self.meters.forget(&split.name);
        }
        end
    }

    fn lags(&self) -> Vec<Lag> {
        self.meters.lags()
    }
}
