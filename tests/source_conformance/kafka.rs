//! The Kafka source: the laws, over partitions with records of every kind, some of them of transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream::clock::Clock;
use millstream::connector::kafka::{Access, Kafka, Options, Start, Tombstones, Wishes};
use millstream::connector::{Bounds, Source};
use tokio::time::Duration;

use super::laws;
use super::services::kafka::broker;
use super::whole::topic::{Put, Record, Topic};

const PARTITIONS: i32 = 2;

fn source(brokers: &str, topic: &str) -> Arc<dyn Source> {
    let clock = Clock::system().as_source();
    let options = Options {
        access: Access { brokers: brokers.to_owned(), group: None, properties: BTreeMap::new(), clock },
        topics: vec![topic.to_owned()],
        start: Start::Earliest,
        wishes: Wishes {
            tombstones: Tombstones::Reject,
            topic: true,
            partition: true,
            offset: true,
            timestamp: true,
            key: true,
            headers: vec!["h".to_owned()],
        },
        interval: Duration::from_secs(1),
        ahead: 8 << 20,
        bounds: Bounds::UntilEnd,
    };
    Arc::new(Kafka::new(options).unwrap())
}

/// Records of all sizes, for each partition.
fn records(round: usize) -> Vec<Record> {
    let sizes = [0, 1, 100, 70_000, 400_000];
    let record = |partition, size| Record {
        partition,
        key: (size % 2 == 0).then(|| format!("key-{size}").into_bytes()),
        data: Some(vec![b'a' + round as u8; size]),
        headers: vec![("h".to_owned(), Some(b"header".to_vec()))],
        ..Record::default()
    };
    (0..PARTITIONS).flat_map(|partition| sizes.map(|size| record(partition, size))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_keep_the_laws() {
    let broker = broker().await;
    let transactional = [("transactional.id", "laws")];
    let mut topic = Topic::with(broker, "laws", PARTITIONS, &[("max.message.bytes", "20000000")], &transactional).await;
    topic.init_transactions();
    for round in 0..6 {
        topic.begin();
        let puts = topic.send(records(round));
        if round % 3 == 1 {
            topic.abort();
        } else {
            topic.commit();
            topic.puts.extend(puts);
        }
    }
    let of = |partition: i32| -> Vec<Vec<u8>> {
        let mine = topic.puts.iter().filter(|put: &&Put| put.partition == partition);
        mine.map(|put| put.data.clone()).collect()
    };
    let wanted: BTreeMap<String, Vec<Vec<u8>>> = (0..PARTITIONS).map(|id| (format!("laws/{id}"), of(id))).collect();
    laws::all(&|| source(&broker.plain(), "laws"), &|split| wanted[split].clone(), 16 << 20).await;
}
