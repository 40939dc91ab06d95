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
    /// A shard and its two children, so many calls into each.
    async fn new(kind: Kind, name: &str, calls: usize) -> Self {
        let (stream, endpoint) = (Stream::new(kind, name, 1).await, server(kind).await.endpoint.clone());
        let mut filled = Filled { stream, endpoint, wanted: BTreeMap::new() };
        filled.fill(calls).await;
        filled.stream.split_at(0).await;
        filled.fill(calls).await;
        filled
    }

    /// Into each open shard an aggregate, a record, an aggregate of a single part, two records in one call; the first `calls`
    /// of these.
    async fn fill(&mut self, calls: usize) {
        for shard in self.stream.open_shards().await {
            let part = |text: &&str| Part { key: text.to_string(), hash_key: Some(shard.last), data: (*text).into() };
            let packed = |texts: &[&str]| vec![aggregate(&texts.iter().map(part).collect::<Vec<_>>())];
            let plain = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
            let (three, single) = (["first of three", "", "last of three"], ["alone"]);
            let all: [(Vec<Vec<u8>>, &[&str]); 4] = [
                (packed(&three), &three),
                (plain(&["behind"]), &["behind"]),
                (packed(&single), &single),
                (plain(&["one", "two"]), &["one", "two"]),
            ];
            let mut wanted = Vec::new();
            for (records, texts) in all.into_iter().take(calls) {
                let record = |data| Record { key: "k".into(), hash_key: Some(shard.first), data };
                self.stream.put_all(records.into_iter().map(record).collect()).await;
                wanted.extend(plain(texts));
            }
            self.wanted.insert(format!("{}/{}", self.stream.name, shard.id), wanted);
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
    Filled::new(Kind::KinesisLocal, "laws", 4).await.keeps_the_laws(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_of_another_server_keep_the_laws() {
    Filled::new(Kind::Kinesalite, "laws", 4).await.keeps_the_laws(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_keep_the_laws_with_fan_out() {
    // Every reading waits until the subscription says that there is nothing more, which takes it seconds.
    Filled::new(Kind::KinesisLocal, "laws-fan-out", 1).await.keeps_the_laws(Some("law-abiding")).await;
}
