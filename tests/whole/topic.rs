//! A topic on a real broker, its producer, and the list of what was put into it: the oracle of every test.

use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{ClientContext, Message as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::articles::Articles;
use super::oracle::Expected;
use crate::services::kafka::{Broker, client};

const PATIENCE: Duration = Duration::from_secs(60);

/// A topic and its producer.
pub(crate) struct Topic {
    producer: BaseProducer<Taken>,
    pub(crate) name: String,
    partitions: i32,
    /// What the broker took, in the order in which it said so.
    pub(crate) puts: Vec<Put>,
    articles: Articles,
    turn: i32,
}

/// A record that the broker took.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) data: Vec<u8>,
}

/// A record to put.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    /// None is a tombstone.
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) millis: Option<i64>,
}

/// Hears what became of each record.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<Put>>>);

impl ClientContext for Taken {}

impl ProducerContext for Taken {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Ok(message) = result.as_ref() else {
            // Of what was not sent yet when a test failed there is nothing to hear.
            assert!(std::thread::panicking(), "a record was not taken");
            return;
        };
        let data = message.payload().unwrap_or_default().to_vec();
        self.0.lock().unwrap().push(Put { partition: message.partition(), offset: message.offset(), data });
    }
}

impl Topic {
    /// A new topic with so many partitions.
    pub(crate) async fn new(broker: &Broker, name: &str, partitions: i32) -> Self {
        Self::with(broker, name, partitions, &[], &[]).await
    }

    /// The same, with properties of the topic and of its producer.
    pub(crate) async fn with(
        broker: &Broker,
        name: &str,
        partitions: i32,
        topic: &[(&str, &str)],
        producer: &[(&str, &str)],
    ) -> Self {
        broker.make(name, partitions, topic).await;
        Self::of(broker, name, partitions, producer)
    }

    /// A topic that is there.
    pub(crate) fn of(broker: &Broker, name: &str, partitions: i32, properties: &[(&str, &str)]) -> Self {
        let mut config = client(&broker.plain());
        config.set("linger.ms", "1").set("enable.idempotence", "true").set("message.max.bytes", "20000000");
        for (key, value) in properties {
            config.set(*key, *value);
        }
        let producer: BaseProducer<Taken> = config.create_with_context(Taken::default()).unwrap();
        let (puts, articles) = (Vec::new(), Articles::named(name));
        Topic { producer, name: name.to_owned(), partitions, puts, articles, turn: 0 }
    }

    /// From now on records go to so many partitions.
    pub(crate) fn widened(&mut self, partitions: i32) {
        let known = || self.producer.client().fetch_metadata(Some(&self.name), PATIENCE).unwrap();
        while known().topics()[0].partitions().len() < partitions as usize {}
        self.partitions = partitions;
    }

    /// The next article, for the next partition in turn.
    pub(crate) fn article(&mut self) -> Record {
        self.turn = (self.turn + 1) % self.partitions;
        Record { partition: self.turn, data: Some(self.articles.record()), ..Record::default() }
    }

    /// Puts so many articles.
    pub(crate) fn put(&mut self, count: usize) {
        let records: Vec<Record> = (0..count).map(|_| self.article()).collect();
        let puts = self.send(records);
        self.puts.extend(puts);
    }

    /// Puts records of the test's own making.
    pub(crate) fn put_all(&mut self, records: Vec<Record>) {
        let puts = self.send(records);
        self.puts.extend(puts);
    }

    /// Hands records to the broker and waits until it has them. They are not counted as put.
    pub(crate) fn send(&mut self, records: Vec<Record>) -> Vec<Put> {
        for record in &records {
            self.enqueue(record);
        }
        self.producer.flush(PATIENCE).unwrap();
        let mut taken = std::mem::take(&mut *self.producer.context().0.lock().unwrap());
        assert_eq!(taken.len(), records.len());
        taken.sort_by_key(|put| (put.partition, put.offset));
        taken
    }

    fn enqueue(&self, record: &Record) {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        let mut sent: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.name).partition(record.partition);
        sent.key = record.key.as_deref();
        sent.payload = record.data.as_deref();
        sent.timestamp = record.millis;
        sent.headers = (!record.headers.is_empty()).then_some(headers);
        self.producer.send(sent).unwrap();
    }

    /// The producer, for transactions.
    pub(crate) fn begin(&self) {
        self.producer.begin_transaction().unwrap();
    }

    pub(crate) fn init_transactions(&self) {
        self.producer.init_transactions(PATIENCE).unwrap();
    }

    pub(crate) fn commit(&self) {
        self.producer.commit_transaction(PATIENCE).unwrap();
    }

    pub(crate) fn abort(&self) {
        self.producer.abort_transaction(PATIENCE).unwrap();
    }

    /// What must come out of everything that was put.
    pub(crate) fn expected(&self) -> Expected {
        self.expected_of(&self.puts)
    }

    /// What must come out of some of it.
    pub(crate) fn expected_of(&self, puts: &[Put]) -> Expected {
        let mut expected = Expected::default();
        for put in puts {
            expected.take(&format!("{}/{}", self.name, put.partition), put.offset.to_string(), &put.data);
        }
        expected
    }
}
