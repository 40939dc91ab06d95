//! The Kafka connector: every record of one or more topics, whatever happens to their brokers and partitions.
//!
//! ```text
//! client (librdkafka, one for the process) ─┬→ topics (partitions, ends, what is missing) ─► discover
//!                                           └→ start ─► read ─► intake (records → batches, place) ─► outlet
//! write (the producer of `populate`)
//! ```
//! A split is a partition, named `<topic>/<partition>`. Partitions are assigned by us and not by the group's protocol: the
//! commit log says how far each is read, and which worker reads it is the pipeline's own affair. Owns the [`Source`] over
//! librdkafka and is the only place that names it.
//!
//! What must stay true: a partition is read on strictly behind the last record that was handed on; only records of
//! transactions that were committed are read, unless the file says otherwise; where records may have passed out of the topic
//! before they were read, that is [`SourceError::Gone`]; a broker that is away is waited for.

mod client;
mod config;
mod failure;
mod intake;
mod pin;
mod place;
mod read;
mod start;
mod tls;
mod token;
mod topics;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::protocol::State;
use millstream_operators::protocol::state::SplitState;
use millstream_operators::{Position, Split};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::OnceCell;

pub use self::client::Access;
pub use config::Config;

use self::client::{Ahead, Client};
use self::intake::Intake;
use self::pin::Pin;
use self::place::Place;
use self::read::Reading;
use self::start::Known;
use self::topics::{Topics, Wanted};
use crate::connector::meter::Meters;
use crate::connector::source::Lag;
use crate::connector::{Bounds, Discovery, End, Outlet, Source, SourceError, SplitInfo};

/// How long a topic that is named may take to show after it was made.
const SHOWING: Duration = Duration::from_secs(5);

/// Where reading begins in a partition of which nothing is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that there is.
    #[default]
    Earliest,
    /// With what arrives after the first start of the pipeline.
    Latest,
    /// With the first record of this time or later: microseconds since 1970, UTC.
    At(i64),
}

/// What becomes of messages without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tombstones {
    #[default]
    Reject,
    Skip,
}

/// What is wanted of a record besides its value.
#[derive(Clone, Debug)]
pub struct Wishes {
    pub tombstones: Tombstones,
    pub topic: bool,
    pub partition: bool,
    pub offset: bool,
    pub timestamp: bool,
    pub key: bool,
    /// The headers that `_headers` holds, by name; empty: nobody uses them.
    pub headers: Vec<String>,
}

impl Wishes {
    fn columns(&self) -> impl Iterator<Item = &'static str> {
        let Wishes { tombstones: _, topic, partition, offset, timestamp, key, headers } = self;
        let wanted = [
            ("_topic", *topic),
            ("_partition", *partition),
            ("_offset", *offset),
            ("_timestamp", *timestamp),
            ("_key", *key),
            ("_headers", !headers.is_empty()),
        ];
        wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name)
    }
}

/// What to read, and how.
#[derive(Clone)]
pub struct Options {
    pub access: Access,
    /// Names, or a single pattern that begins with `^`.
    pub topics: Vec<String>,
    pub start: Start,
    pub wishes: Wishes,
    /// How often to look for new topics and partitions.
    pub interval: Duration,
    /// What the client may fetch before it is wanted, in bytes.
    pub ahead: usize,
    pub bounds: Bounds,
}

/// One or more topics as a source.
pub struct Kafka {
    options: Options,
    wanted: Wanted,
    wishes: Arc<Wishes>,
    client: OnceCell<(Client, Topics)>,
    told: Mutex<Arc<Told>>,
    /// Topics that were there at an earlier look.
    seen: Mutex<BTreeSet<String>>,
    meters: Meters,
}

/// What the log tells.
#[derive(Default)]
struct Told {
    positions: BTreeMap<Split, SplitState>,
    /// Where a topic or the pattern stood when the pipeline first started with it.
    pins: BTreeMap<String, Pin>,
    /// When this start began, in microseconds since 1970.
    began: i64,
}

impl Told {
    /// How many partitions a topic had when the pipeline first began with it, as far as the log tells.
    fn partitions_at_first(&self, topic: &str) -> Option<i32> {
        let of_topic = |split: &Split| topics::partition(split).is_ok_and(|(of, _)| of == topic);
        let of = |(split, state): (&Split, &SplitState)| {
            of_topic(split).then(|| Place::parse(&state.at)).flatten().and_then(|place| place.of)
        };
        self.positions.iter().find_map(of)
    }
}

impl Kafka {
    /// A source that asks the cluster nothing before it is asked.
    pub fn new(options: Options) -> Result<Self, SourceError> {
        let wanted = Wanted::parse(&options.topics)?;
        let (config, _) = client::config(&options.access, Ahead::of(options.ahead, 1))?;
        config.create_native_config().map_err(|error| failure::of_source(&error, "kafka"))?;
        let told = Told { began: (options.access.clock)(), ..Told::default() };
        Ok(Kafka {
            wanted,
            wishes: Arc::new(options.wishes.clone()),
            client: OnceCell::new(),
            told: Mutex::new(Arc::new(told)),
            seen: Mutex::default(),
            meters: Meters::default(),
            options,
        })
    }

    /// The client, made when it is first wanted: how much each partition may hold depends on how many there are.
    async fn client(&self) -> Result<&Client, SourceError> {
        Ok(&self.first_look().await?.0)
    }

    /// The client, and what it found when it first looked.
    async fn first_look(&self) -> Result<&(Client, Topics), SourceError> {
        self.client
            .get_or_try_init(|| async {
                let Options { access, ahead, .. } = &self.options;
                let scout = Client::new(access, Ahead::of(*ahead, 1))?;
                let there = list(&scout, &self.wanted).await?;
                let each = Ahead::of(*ahead, there.values().map(BTreeSet::len).sum());
                let client = if each == Ahead::of(*ahead, 1) { scout } else { Client::new(access, each)? };
                Ok((client, there))
            })
            .await
    }

    /// The wanted topics that are there; one that is named and was never seen is given some time.
    async fn topics(&self, client: &Client, wanted: &Wanted) -> Result<Topics, SourceError> {
        let began = tokio::time::Instant::now();
        loop {
            let there = list(client, wanted).await?;
            let Some(missing) = wanted.missing(&there) else {
                self.seen().extend(there.keys().cloned());
                return Ok(there);
            };
            if self.seen().contains(missing) {
                return Err(SourceError::Gone {
                    split: missing.to_owned(),
                    range: "what was not read of it".to_owned(),
                    message: "the topic was deleted while it was being read".to_owned(),
                });
            }
            // What the log knows of it is the better message.
            topics::check(&self.told().positions, &there)?;
            if began.elapsed() >= SHOWING {
                let message = "there is no such topic; create it, or change `topics` in [source]".to_owned();
                return Err(SourceError::Refused { name: missing.to_owned(), message });
            }
            tokio::time::sleep(SHOWING / 10).await;
        }
    }

    fn told(&self) -> Arc<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn seen(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In a bounded run: where each partition ends now.
    async fn ends(&self, client: &Client, there: &Topics) -> Result<BTreeMap<Split, i64>, SourceError> {
        if self.options.bounds == Bounds::Unbounded {
            return Ok(BTreeMap::new());
        }
        let there = there.clone();
        client.ask(move |consumer| topics::offsets(consumer, &there, Offset::End)).await
    }

    /// Where to go on in a partition, and whether the log has that place.
    async fn place(
        &self,
        client: &Client,
        split: &SplitInfo,
        from: Option<Position>,
    ) -> Result<(Place, bool), SourceError> {
        if let Some(position) = from {
            return Ok((Place::read(split, &position)?, true));
        }
        let ((topic, partition), start) = (topics::partition(&split.name)?, self.options.start);
        let known = self.known(topic, &split.name).await?;
        Ok((start::place(client, topic, partition, start, known).await?, start == Start::Earliest))
    }

    /// What is known of the beginning of one partition. Without a log (a looking command) the present start is the first.
    async fn known(&self, topic: &str, split: &Split) -> Result<Known, SourceError> {
        let told = self.told();
        let pinned = match told.pins.get(self.wanted.pin(topic)) {
            Some(Pin::Ends(ends)) => return Ok(Known::End(ends.get(split).copied())),
            Some(Pin::Time(time)) => *time,
            None => told.began,
        };
        let there = &self.first_look().await?.1;
        let first_seen = || there.get(topic).map_or(0, |ids| ids.len() as i32);
        Ok(Known::Time { pinned, of: told.partitions_at_first(topic).unwrap_or_else(first_seen) })
    }
}

async fn list(client: &Client, wanted: &Wanted) -> Result<Topics, SourceError> {
    let wanted = wanted.clone();
    client.ask(move |consumer| wanted.list(consumer)).await
}

#[async_trait]
impl Source for Kafka {
    async fn pins(&self, known: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, SourceError> {
        let new: Vec<String> = self.options.topics.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
        // Only `latest` asks where a topic stands; no other start has to wait for a broker that is away.
        if new.is_empty() || self.options.start != Start::Latest {
            return Ok(BTreeMap::new());
        }
        let client = self.client().await?;
        let there = self.topics(client, &Wanted::parse(&new)?).await?;
        let ends = client.ask(move |consumer| topics::offsets(consumer, &there, Offset::End)).await?;
        let mut pins: BTreeMap<String, BTreeMap<Split, i64>> =
            new.into_iter().map(|name| (name, BTreeMap::new())).collect();
        for (split, end) in ends {
            let (topic, _) = topics::partition(&split)?;
            if let Some(pinned) = pins.get_mut(self.wanted.pin(topic)) {
                pinned.insert(split, end);
            }
        }
        Ok(pins.iter().map(|(name, ends)| (name.clone(), pin::text(ends))).collect())
    }

    fn goes_on_from(&self, log: &State) {
        let pins = log.pins.iter().filter_map(|(name, text)| Some((name.clone(), Pin::parse(text)?))).collect();
        let told = Told { positions: log.positions.clone(), pins, began: self.told().began };
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(told);
    }

    async fn discover(&self) -> Result<Discovery, SourceError> {
        let client = self.client().await?;
        let there = self.topics(client, &self.wanted).await?;
        topics::check(&self.told().positions, &there)?;
        let ends = self.ends(client, &there).await?;
        let info = |(topic, partition): (&String, i32)| {
            let name = topics::split(topic, partition);
            let until = ends.get(&name).map(|end| end.to_string().into());
            SplitInfo { until, ..SplitInfo::named(name) }
        };
        let partitions = there.iter().flat_map(|(topic, ids)| ids.iter().map(move |id| (topic, *id)));
        Ok(Discovery { splits: partitions.map(info).collect(), complete: false })
    }

    fn discovery_interval(&self) -> Duration {
        self.options.interval
    }

    async fn read(
        &self,
        split: &SplitInfo,
        from: Option<Position>,
        outlet: &mut dyn Outlet,
    ) -> Result<End, SourceError> {
        let (topic, partition) = topics::partition(&split.name)?;
        let client = self.client().await?;
        let (place, told) = self.place(client, split, from).await?;
        let until = split.until.as_ref().and_then(|until| until.parse().ok());
        let meter = self.meters.of(&split.name);
        let intake = Intake::new(split.name.clone(), topic, partition, until, self.wishes.clone());
        let bounded = until.is_some();
        let clock = &self.options.access.clock;
        Reading { client, topic, partition, bounded, clock, meter: &meter, intake, outlet }.read(place, told).await
    }

    fn lags(&self) -> Vec<Lag> {
        self.meters.lags()
    }

    async fn acknowledge(&self, positions: &[(Split, Position)]) -> Result<(), SourceError> {
        if self.options.access.group.is_none() || positions.is_empty() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::new();
        for (split, position) in positions {
            let (topic, partition) = topics::partition(split)?;
            let next = position.number().and_then(|next| i64::try_from(next).ok()).unwrap_or_default();
            offsets
                .add_partition_offset(topic, partition, Offset::Offset(next))
                .map_err(|error| failure::of_source(&error, split))?;
        }
        let shown = self.client().await?.show(&offsets);
        shown.map_err(|error| failure::of_source(&error, "the group's offsets"))
    }
}
