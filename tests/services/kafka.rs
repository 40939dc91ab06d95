//! The real Kafka broker.
//!
//! Owns starting it, waiting until it answers, stopping it and starting it again with the same data, and clients of it.
//! Every test makes topics of its own on the one that is shared; who stops a broker has one of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, Producer as _};
use tokio::sync::OnceCell;

use super::started::{Started, free_port};

/// Who is let in where a name and a password are asked for.
pub(crate) const USER: (&str, &str) = ("reader", "reader-secret");

/// A broker that runs.
pub(crate) struct Broker {
    /// Of each listener; the controller's is the last.
    port: u16,
    folder: Arc<tempfile::TempDir>,
    started: Started,
}

/// The one broker of this test binary.
pub(crate) async fn broker() -> &'static Broker {
    static BROKER: OnceCell<Broker> = OnceCell::const_new();
    BROKER.get_or_init(Broker::start).await
}

impl Broker {
    /// A broker that holds nothing.
    pub(crate) async fn start() -> Self {
        let mut said = String::new();
        for _ in 0..3 {
            let folder = Arc::new(tempfile::tempdir().unwrap());
            match Self::try_start(folder, free_ports()).await {
                Ok(broker) => return broker,
                Err(log) => said = log,
            }
        }
        panic!("kafka did not start; is it installed? run: tests/services/kafka install\n{said}");
    }

    /// Stops it. What it holds is there for [`Stopped::start`].
    pub(crate) fn stop(self) -> Stopped {
        self.started.end();
        Stopped { port: self.port, folder: self.folder }
    }

    async fn try_start(folder: Arc<tempfile::TempDir>, port: u16) -> Result<Self, String> {
        let arguments = [folder.path().display().to_string(), port.to_string()];
        let mut started = Started::new("kafka", &arguments, &[]);
        let answers = async || {
            let asked = move || {
                let producer: BaseProducer = client(&format!("127.0.0.1:{port}")).create().unwrap();
                // Not only the listener: the coordinators of groups and transactions need the controller as well.
                producer
                    .client()
                    .fetch_metadata(None, Duration::from_millis(500))
                    .is_ok_and(|found| !found.brokers().is_empty())
            };
            tokio::task::spawn_blocking(asked).await.unwrap()
        };
        started.until(answers).await?;
        Ok(Broker { port, folder, started })
    }

    /// Where it listens without asking who one is.
    pub(crate) fn plain(&self) -> String {
        self.listener(0)
    }

    pub(crate) fn sasl(&self) -> String {
        self.listener(1)
    }

    pub(crate) fn sasl_tls(&self) -> String {
        self.listener(2)
    }

    /// Where a client has to show a certificate.
    pub(crate) fn tls(&self) -> String {
        self.listener(3)
    }

    fn listener(&self, number: u16) -> String {
        format!("127.0.0.1:{}", self.port + number)
    }

    /// A file of its certificates: `ca.pem`, `client.pem`, `client.key`.
    pub(crate) fn certificate(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join("tls").join(name)
    }

    /// Makes a topic.
    pub(crate) async fn make(&self, topic: &str, partitions: i32, properties: &[(&str, &str)]) {
        let topic = properties
            .iter()
            .fold(NewTopic::new(topic, partitions, TopicReplication::Fixed(1)), |topic, (key, value)| {
                topic.set(key, value)
            });
        let made = self.admin().create_topics([&topic], &AdminOptions::new()).await.unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
    }

    pub(crate) async fn delete(&self, topic: &str) {
        let deleted = self.admin().delete_topics(&[topic], &AdminOptions::new()).await.unwrap();
        deleted.into_iter().for_each(|deleted| drop(deleted.unwrap()));
    }

    /// Gives a topic so many partitions in all.
    pub(crate) async fn widen(&self, topic: &str, partitions: usize) {
        let wider = NewPartitions::new(topic, partitions);
        let made = self.admin().create_partitions([&wider], &AdminOptions::new()).await.unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
    }

    /// Deletes the records before an offset.
    pub(crate) async fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(offset)).unwrap();
        self.admin().delete_records(&list, &AdminOptions::new()).await.unwrap();
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        client(&self.plain()).create().unwrap()
    }
}

/// A broker that was stopped.
pub(crate) struct Stopped {
    port: u16,
    folder: Arc<tempfile::TempDir>,
}

impl Stopped {
    /// Starts it again, with what it held.
    pub(crate) async fn start(self) -> Broker {
        Broker::try_start(self.folder, self.port).await.unwrap()
    }
}

/// What every client needs.
pub(crate) fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("log_level", "0");
    config
}

/// The first of five ports that are free now.
fn free_ports() -> u16 {
    loop {
        let first = free_port();
        let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if first < u16::MAX - 5 && (first + 1..first + 5).all(free) {
            return first;
        }
    }
}
