//! The Kinesis source: the laws, over shards that were split, with records of every kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream::clock::Clock;
use millstream::connector::aws::Access;
use millstream::connector::kinesis::{Kinesis, Options, Start};
use millstream::connector::{Bounds, Source};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::laws;
use super::services::kinesis::{Kind, server};
use super::whole::aggregate::{Part, aggregate};
use super::whole::stream::{Record, Stream};

/// A stream on a server, and what its shards hold, aggregates taken apart.
struct Filled {
    stream: Stream,
    endpoint: String,
    wanted: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Filled {
    async fn new(kind: Kind, name: &str) -> Self {
        let (stream, endpoint) = (Stream::new(kind, name, 1).await, server(kind).await.endpoint.clone());
        let mut filled = Filled { stream, endpoint, wanted: BTreeMap::new() };
        filled.fill().await;
        filled.stream.split_at(0).await;
        filled.fill().await;
        filled
    }

    /// Into each open shard a record, an aggregate, one of a single part, and two records in one call.
    async fn fill(&mut self) {
        for shard in self.stream.open_shards().await {
            let part = |text: &str| Part { key: text.into(), hash_key: Some(shard.last), data: text.into() };
            let parts = [part("first of three"), part(""), part("last of three")];
            let alone = [part("alone")];
            for records in [
                vec![b"before".to_vec()],
                vec![aggregate(&parts)],
                vec![aggregate(&alone)],
                vec![b"one".to_vec(), b"two".to_vec()],
            ] {
                let record = |data| Record { key: "k".into(), hash_key: Some(shard.first), data };
                self.stream.put_all(records.into_iter().map(record).collect()).await;
            }
            let texts = ["before", "first of three", "", "last of three", "alone", "one", "two"];
            let split = format!("{}/{}", self.stream.name, shard.id);
            self.wanted.insert(split, texts.map(|text| text.as_bytes().to_vec()).to_vec());
        }
    }

    fn source(&self, consumer: Option<&str>) -> Arc<dyn Source> {
        let access = Access {
            endpoint: Some(self.endpoint.clone()),
            region: Some("us-east-1".into()),
            credentials: Some(aws_credential_types::Credentials::new("test", "test", None, None, "test")),
            ..Access::default()
        };
        let options = Options {
            streams: vec![self.stream.name.clone()],
            start: Start::TrimHorizon,
            access,
            consumer: consumer.map(str::to_owned),
            bounds: Bounds::UntilEnd,
            // A bounded run ends at the service's time.
            clock: Clock::system().as_source(),
        };
        Arc::new(block_in_place(|| Handle::current().block_on(Kinesis::connect(options))).unwrap())
    }

    async fn keeps_the_laws(&self, consumer: Option<&str>) {
        assert_eq!(self.wanted.len(), 3);
        laws::all(&|| self.source(consumer), &|split| self.wanted[split].clone(), 16 << 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_keep_the_laws() {
    Filled::new(Kind::KinesisLocal, "laws").await.keeps_the_laws(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_of_another_server_keep_the_laws() {
    Filled::new(Kind::Kinesalite, "laws").await.keeps_the_laws(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_keep_the_laws_with_fan_out() {
    Filled::new(Kind::KinesisLocal, "laws-fan-out").await.keeps_the_laws(Some("law-abiding")).await;
}
