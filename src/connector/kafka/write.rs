//! Writing to a topic, for whoever fills one with made-up records.
//!
//! ```text
//! put ─► librdkafka's queue (bounded) ─► brokers ─► an answer for each record ─► Heard
//! ```
//! Owns the making of a topic, and a producer that hands records over without waiting for each. What must stay true: a record
//! counts as written once every replica in sync has it, and is in the topic once, also where an answer was lost; a broker that
//! is away is waited for as long as was said, and one that does not let us in is not. No value of a property is ever quoted:
//! it may be a secret.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::failure::{self, Kind, lower};

/// How long one question to the cluster may take.
const ASKING: Duration = Duration::from_secs(2);
/// How long nothing may happen before that is said.
const SILENCE: Duration = Duration::from_secs(5);

/// Where records go.
#[derive(Clone)]
pub struct Target {
    /// `host:port`, separated by commas.
    pub brokers: String,
    pub topic: String,
    /// librdkafka's properties.
    pub properties: BTreeMap<String, String>,
    /// How long brokers may be away.
    pub patience: Duration,
}

/// Why records are not written.
#[derive(Debug, Error)]
pub enum WriteError {
    #[error("{brokers} did not answer for {} s: {message}", waited.as_secs())]
    Away { brokers: String, waited: Duration, message: String },
    #[error("{name}: {message}")]
    Refused { name: String, message: String },
}

/// What was written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub records: u64,
    pub bytes: u64,
}

/// Writes to one topic.
pub struct Writer {
    target: Target,
    producer: Arc<ThreadedProducer<Context>>,
    heard: Context,
}

impl Writer {
    /// A writer that connects by itself.
    pub fn new(target: Target) -> Result<Self, WriteError> {
        let heard = Context::default();
        let producer = ThreadedProducer::from_config_and_context(&config(&target), heard.clone());
        let producer = Arc::new(producer.map_err(|error| refused(&target.brokers, &error))?);
        Ok(Writer { target, producer, heard })
    }

    /// Makes the topic where there is none. Tells whether it was made.
    pub async fn create(&self, partitions: i32) -> Result<bool, WriteError> {
        if self.topics().await?.contains(&self.target.topic) {
            return Ok(false);
        }
        let admin: KafkaResult<AdminClient<DefaultClientContext>> = AdminClient::from_config(&config(&self.target));
        let admin = admin.map_err(|error| refused(&self.target.brokers, &error))?;
        // As many copies as the cluster likes to keep.
        let topic = NewTopic::new(&self.target.topic, partitions, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().request_timeout(Some(self.target.patience));
        let made = admin.create_topics([&topic], &options).await;
        match made.map(|topics| topics.into_iter().next()) {
            Ok(Some(Err((_, Code::TopicAlreadyExists)))) => Ok(false),
            Ok(Some(Err((_, code)))) => {
                Err(self.refused_topic(&format!("cannot be made: {}{}", lower(&code.to_string()), hint(code))))
            }
            Ok(_) => Ok(true),
            Err(error) => Err(self.away_or_refused(&error)),
        }
    }

    /// The names of all topics, once a broker answers. Asking for one by its name would make it.
    async fn topics(&self) -> Result<Vec<String>, WriteError> {
        let (began, mut said) = (Instant::now(), Instant::now());
        loop {
            let producer = self.producer.clone();
            let asked = move || {
                let found = producer.client().fetch_metadata(None, ASKING)?;
                Ok(found.topics().iter().map(|topic| topic.name().to_owned()).collect())
            };
            let error: KafkaError = match tokio::task::spawn_blocking(asked).await {
                Ok(Ok(topics)) => return Ok(topics),
                Ok(Err(error)) => error,
                Err(error) => return Err(self.refused_topic(&format!("the question broke off: {error}"))),
            };
            if let Some(refused) = self.heard.lock().refused.clone() {
                return Err(WriteError::Refused { name: self.target.brokers.clone(), message: refused });
            }
            if began.elapsed() >= self.target.patience || lasts(&error) {
                return Err(self.away_or_refused(&error));
            }
            self.say_waiting(&mut said);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Hands a record over. Waits while the queue is full.
    pub async fn put(&self, key: &str, data: &[u8]) -> Result<(), WriteError> {
        let mut said = Instant::now();
        loop {
            self.heard.lock().failed(&self.target)?;
            let sent = self.producer.send(BaseRecord::to(&self.target.topic).key(key).payload(data));
            match sent.map_err(|(error, _)| error) {
                Ok(()) => return Ok(()),
                Err(error) if error.rdkafka_error_code() == Some(Code::QueueFull) => self.answer(&mut said).await,
                Err(error) => return Err(refused(&self.target.topic, &error)),
            }
        }
    }

    /// Waits until all that was handed over is written, but not longer than `grace` where one is given. Tells of how many
    /// records nobody knows whether they are there.
    pub async fn finish(&self, grace: Option<Duration>) -> Result<u64, WriteError> {
        let (began, mut said) = (Instant::now(), Instant::now());
        loop {
            self.heard.lock().failed(&self.target)?;
            let left = u64::try_from(self.producer.in_flight_count()).unwrap_or(0);
            if left == 0 || grace.is_some_and(|grace| began.elapsed() >= grace) {
                return Ok(left);
            }
            let producer = self.producer.clone();
            // What was not answered in time is asked for again.
            let flushing = tokio::task::spawn_blocking(move || drop(producer.flush(Duration::from_millis(200))));
            let _ = flushing.await;
            self.say_waiting(&mut said);
        }
    }

    /// What is written by now.
    pub fn written(&self) -> Written {
        self.heard.lock().written
    }

    /// Waits for an answer, for a moment.
    async fn answer(&self, said: &mut Instant) {
        // Whether it came plays no part: the queue is looked at again.
        let _ = timeout(Duration::from_millis(100), self.heard.0.answered.notified()).await;
        self.say_waiting(said);
    }

    fn say_waiting(&self, said: &mut Instant) {
        let heard = self.heard.lock();
        let last = heard.last.map_or(*said, |last| last.max(*said));
        if last.elapsed() >= SILENCE {
            *said = Instant::now();
            let why = heard.trouble.as_deref().unwrap_or("no answer yet");
            tracing::warn!(brokers = self.target.brokers, "waiting for a broker: {why}");
        }
    }

    fn refused_topic(&self, message: &str) -> WriteError {
        WriteError::Refused { name: self.target.topic.clone(), message: message.to_owned() }
    }

    fn away_or_refused(&self, error: &KafkaError) -> WriteError {
        if lasts(error) {
            return refused(&self.target.brokers, error);
        }
        let trouble = self.heard.lock().trouble.clone();
        // A broker that is spoken to in another way than it wants hangs up without a word.
        let silence = || format!("{}; does it ask for another security.protocol (-o key=value)?", told(error));
        away(&self.target, trouble.unwrap_or_else(silence))
    }
}

fn away(target: &Target, message: String) -> WriteError {
    WriteError::Away { brokers: target.brokers.clone(), waited: target.patience, message }
}

fn refused(name: &str, error: &KafkaError) -> WriteError {
    WriteError::Refused { name: name.to_owned(), message: told(error) }
}

/// The properties of a producer that writes each record once.
fn config(target: &Target) -> ClientConfig {
    super::tls::stays_up();
    let mut config = ClientConfig::new();
    config
        .set("client.id", "millstream-populate")
        .set("linger.ms", "20")
        .set("queue.buffering.max.kbytes", (64 << 10).to_string());
    let says = |prefix: &str| target.properties.keys().any(|key| key.starts_with(prefix));
    if !says("ssl.ca.") && !says("https.ca.") {
        // The OpenSSL that is linked in does not know where this system keeps its authorities.
        config.set("ssl.ca.location", "probe");
    }
    for (key, value) in &target.properties {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", &target.brokers)
        .set("message.timeout.ms", target.patience.as_millis().max(1).to_string())
        .set("enable.idempotence", "true")
        .set("acks", "all");
    config
}

/// What the client is told, by any thread.
#[derive(Clone, Default)]
struct Context(Arc<Told>);

#[derive(Default)]
struct Told {
    heard: Mutex<Heard>,
    answered: Notify,
}

#[derive(Default)]
struct Heard {
    written: Written,
    /// When a record was last written.
    last: Option<Instant>,
    /// Why the cluster does not let us in.
    refused: Option<String>,
    /// Why a record was given up.
    lost: Option<KafkaError>,
    /// What was last wrong with a connection.
    trouble: Option<String>,
}

impl Heard {
    /// What ends the writing, if anything does.
    fn failed(&self, target: &Target) -> Result<(), WriteError> {
        if let Some(refused) = self.refused.as_ref().filter(|_| self.written.records == 0) {
            return Err(WriteError::Refused { name: target.brokers.clone(), message: refused.clone() });
        }
        match &self.lost {
            None => Ok(()),
            Some(error) if lasts(error) => Err(refused(&target.topic, error)),
            Some(error) => Err(away(target, self.trouble.clone().unwrap_or_else(|| told(error)))),
        }
    }
}

impl Context {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, of: &str, said: &str) {
        tracing::debug!(?level, of, "{said}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("{error}: {reason}");
        let mut heard = self.lock();
        if lasts(&error) {
            heard.refused.get_or_insert_with(|| told(&error));
        }
        // That all are down tells less than what is wrong with one of them.
        if error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            heard.trouble = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut heard = self.lock();
        match result {
            Ok(record) => {
                heard.written.records += 1;
                heard.written.bytes += record.payload_len() as u64;
                heard.last = Some(Instant::now());
            }
            Err((error, _)) => drop(heard.lost.get_or_insert_with(|| error.clone())),
        }
        drop(heard);
        self.0.answered.notify_one();
    }
}

/// Whether another try would end the same way.
fn lasts(error: &KafkaError) -> bool {
    failure::kind(error) == Kind::Refused || error.rdkafka_error_code() == Some(Code::MessageSizeTooLarge)
}

/// What a user is told.
fn told(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, said, key, _) if said.is_empty() => {
            format!("the client does not take the property {key:?}")
        }
        KafkaError::ClientConfig(_, said, ..) => lower(said),
        KafkaError::ClientCreation(said) => format!("the client cannot be made: {}", lower(said)),
        error => match error.rdkafka_error_code() {
            Some(code) => format!("{}{}", lower(&code.to_string()), hint(code)),
            None => lower(&error.to_string()),
        },
    }
}

fn hint(code: Code) -> &'static str {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "; check sasl.mechanism, sasl.username and sasl.password (-o key=value)"
        }
        Code::SSL => "; check ssl.ca.location and the ssl properties beside it (-o key=value)",
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            "; grant the user the right to make, describe and write the topic"
        }
        _ => "",
    }
}
