//! The client of a cluster: one for all partitions that a process reads, and the thread that serves it.
//!
//! ```text
//! brokers ─► librdkafka's own threads ─► a queue for each partition ─► readers
//!                                   └──► the main queue (errors, logs) ─► the serving thread
//! ```
//! Owns the properties that the source stands on, which nobody may change, and the memory that fetched records may take
//! before a reader wants them. Calls that wait for an answer are made on threads of their own, so that nothing that waits
//! for a broker holds up tokio. What must stay true: a partition's records come through its own queue alone, which is
//! split off before the partition is assigned.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{Notify, oneshot};

use super::failure::{self, Kind};
use super::tls;
use super::token::Tokens;
use crate::connector::SourceError;
use crate::connector::source::Clock;

pub(super) type Consumer = BaseConsumer<Context>;

/// How long a call may wait for the cluster.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long another broker may take to let us in, once one has not.
const GRACE: Duration = Duration::from_secs(1);
/// How long the serving thread waits at a time, and so how long it outlives its source.
const SERVING: Duration = Duration::from_millis(100);

/// A cluster to be read, and how to be let in.
#[derive(Clone)]
pub struct Access {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// The group that committed offsets are shown under; none: they are not shown.
    pub group: Option<String>,
    /// librdkafka's properties.
    pub properties: BTreeMap<String, String>,
    pub clock: Clock,
}

/// Bytes of each partition that the client may hold before they are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ahead(pub(super) usize);

impl Ahead {
    /// What each of `partitions` partitions may hold: half in its queue, and as much again may be on its way.
    pub(super) fn of(memory: usize, partitions: usize) -> Self {
        const LEAST: usize = 32 << 10;
        const MOST: usize = 2 << 20;
        Ahead((memory / 2 / partitions.max(1)).clamp(LEAST, MOST))
    }
}

/// The properties of a consumer, and whoever gives it tokens.
pub(super) fn config(access: &Access, ahead: Ahead) -> Result<(ClientConfig, Option<Tokens>), SourceError> {
    tls::stays_up();
    let (tokens, properties) = Tokens::taken_out_of(&access.properties, &access.clock)?;
    let mut config = ClientConfig::new();
    let kilobytes = (ahead.0 / 1024).to_string();
    config
        .set("isolation.level", "read_committed")
        .set("client.id", "millstream")
        // A partition whose queue is full is looked at again this soon; the queues are small.
        .set("fetch.queue.backoff.ms", "10")
        .set("queued.min.messages", "1000000")
        .set("queued.max.messages.kbytes", kilobytes)
        .set("fetch.message.max.bytes", ahead.0.to_string())
        .set("fetch.max.bytes", (16 << 20).max(ahead.0).to_string())
        .set("max.poll.interval.ms", "86400000");
    let says = |prefix: &str| properties.keys().any(|key| key.starts_with(prefix));
    if !says("ssl.ca.") && !says("https.ca.") {
        // The OpenSSL that is linked in does not know where this system keeps its authorities.
        config.set("ssl.ca.location", "probe");
    }
    for (key, value) in &properties {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", &access.brokers)
        // Assigning partitions by hand wants a name, too; nothing is kept under it unless that was asked for.
        .set("group.id", access.group.as_deref().unwrap_or("millstream"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true");
    Ok((config, tokens))
}

/// What the client says of the cluster as a whole.
#[derive(Default)]
pub(super) struct Context {
    heard: Mutex<Heard>,
    tokens: Option<Tokens>,
}

#[derive(Default)]
struct Heard {
    /// Whether the cluster ever answered. Who was let in once is waited for, whatever a broker says later.
    answered: bool,
    /// Why it did not let us in.
    refused: Option<String>,
    /// What was last wrong with a connection.
    trouble: Option<String>,
}

impl Context {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) {
        *self.heard() = Heard { answered: true, ..Heard::default() };
    }

    /// Waits until it is plain that the cluster does not let us in, which is sooner than a call gives up.
    async fn turned_away(&self, name: &str) -> SourceError {
        loop {
            tokio::time::sleep(GRACE).await;
            if let Heard { answered: false, refused: Some(message), .. } = &*self.heard() {
                return SourceError::Refused { name: name.to_owned(), message: message.clone() };
            }
        }
    }

    /// What a failed call means, with what was heard beside it.
    fn explain(&self, error: &KafkaError, name: &str) -> SourceError {
        let heard = self.heard();
        let name = || name.to_owned();
        match (failure::kind(error), &heard.refused, &heard.trouble) {
            (Kind::Unavailable, Some(refused), _) if !heard.answered => {
                SourceError::Refused { name: name(), message: refused.clone() }
            }
            (Kind::Unavailable, _, Some(trouble)) => unavailable(&name(), trouble.clone()),
            _ => failure::of_source(error, &name()),
        }
    }
}

impl ClientContext for Context {
    /// Where tokens are made by librdkafka itself, it does not ask.
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let nobody =
            "nobody gives tokens; set sasl.oauthbearer.method = \"oidc\" and what it needs in [source.options]";
        self.tokens.as_ref().map_or(Err(nobody.to_owned()), Tokens::get).map_err(Into::into)
    }

    fn log(&self, level: RDKafkaLogLevel, of: &str, said: &str) {
        tracing::debug!(?level, of, "{said}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("{error}: {reason}");
        // A broker that turns a client's certificate away says so in TLS, and hangs up.
        let turned_away = reason.contains("SSL alert number");
        let hint =
            if turned_away { "; check ssl.certificate.location and ssl.key.location in [source.options]" } else { "" };
        let said = format!("{} ({reason}){hint}", failure::said(&error));
        let mut heard = self.heard();
        // A provider of tokens that is away is waited for.
        let no_token = self.tokens.as_ref().is_some_and(|tokens| !tokens.are_refused()) && reason.contains("no token");
        if turned_away || (failure::kind(&error) == Kind::Refused && !no_token) {
            heard.refused.get_or_insert_with(|| said.clone());
        }
        // That all are down tells less than what is wrong with one of them.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            heard.trouble = Some(said);
        }
    }
}

impl ConsumerContext for Context {}

/// A client that is being served.
#[derive(Clone)]
pub(super) struct Client {
    consumer: Arc<Consumer>,
    name: Arc<str>,
}

impl Client {
    /// A client, which connects by itself and never gives up.
    pub(super) fn new(access: &Access, ahead: Ahead) -> Result<Self, SourceError> {
        let (config, tokens) = config(access, ahead)?;
        let made: KafkaResult<Consumer> = config.create_with_context(Context { tokens, ..Context::default() });
        let consumer = Arc::new(made.map_err(|error| failure::of_source(&error, "kafka"))?);
        let served = Arc::downgrade(&consumer);
        let serving = thread::Builder::new().name("kafka".to_owned()).spawn(move || serve(&served));
        serving.map_err(|error| unavailable(&access.brokers, format!("no thread could be started: {error}")))?;
        Ok(Client { consumer, name: access.brokers.as_str().into() })
    }

    /// Makes a call that waits for the cluster.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Consumer) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, SourceError> {
        let (consumer, (answer, answered)) = (self.consumer.clone(), oneshot::channel());
        let asking = thread::Builder::new().name("kafka-call".to_owned()).spawn(move || {
            // Whoever asked may have gone.
            let _ = answer.send(call(&consumer));
        });
        asking.map_err(|error| unavailable(&self.name, format!("no thread could be started: {error}")))?;
        let context = self.consumer.context();
        let answer = tokio::select! {
            answer = answered => answer.map_err(|_| unavailable(&self.name, "the call broke off".to_owned()))?,
            error = context.turned_away(&self.name) => return Err(error),
        };
        answer.inspect(|_| context.answered()).map_err(|error| context.explain(&error, &self.name))
    }

    /// Begins to fetch a partition from an offset on.
    pub(super) fn assign(&self, topic: &str, partition: i32, from: i64) -> KafkaResult<Assigned> {
        let (consumer, arrived) = (self.consumer.clone(), Arc::new(Notify::new()));
        let no_such = || KafkaError::Subscription(format!("{topic}/{partition} is no partition"));
        let mut queue = consumer.split_partition_queue(topic, partition).ok_or_else(no_such)?;
        // Of an earlier reader of this partition.
        while queue.poll(Duration::ZERO).is_some() {}
        let notify = arrived.clone();
        queue.set_nonempty_callback(move || notify.notify_one());
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(from))?;
        consumer.incremental_assign(&list)?;
        Ok(Assigned { queue: Some(queue), arrived, consumer, list })
    }

    /// Shows offsets to whoever watches the group. Does not wait.
    pub(super) fn show(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.commit(offsets, rdkafka::consumer::CommitMode::Async)
    }
}

fn unavailable(name: &str, message: String) -> SourceError {
    SourceError::Unavailable { name: name.to_owned(), message }
}

/// Serves the main queue for as long as anybody has the client. The last to let go closes it, and that is mostly this thread.
fn serve(consumer: &Weak<Consumer>) {
    while let Some(consumer) = consumer.upgrade() {
        if let Some(Ok(message)) = consumer.poll(SERVING) {
            use rdkafka::Message as _;
            // Each partition's queue was split off before it was assigned.
            tracing::error!(topic = message.topic(), offset = message.offset(), "a record came where none is wanted");
        }
    }
}

/// A partition that is being fetched, until this is dropped.
pub(super) struct Assigned {
    queue: Option<PartitionQueue<Context>>,
    arrived: Arc<Notify>,
    consumer: Arc<Consumer>,
    list: TopicPartitionList,
}

impl Assigned {
    /// What was fetched and not taken yet.
    #[expect(clippy::expect_used, reason = "it is there until this is dropped")]
    pub(super) fn queue(&self) -> &PartitionQueue<Context> {
        self.queue.as_ref().expect("a queue")
    }

    /// Waits until something is there that was not there at the last look.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

impl Drop for Assigned {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Err(error) = self.consumer.incremental_unassign(&self.list) {
            tracing::debug!("a partition could not be let go: {error}");
        }
    }
}
