//! Data that the topic no longer holds is a loud stop; what only looks like it is none.

use tokio::time::{Duration, Instant, sleep};

use crate::reader;
use crate::services::kafka::{Broker, broker};
use crate::whole::pipeline::Pipeline;
use crate::whole::topic::{Record, Topic};

/// A pipeline that has read a topic's first records, all of them.
async fn having_read(broker: &Broker, name: &str, records: usize) -> (Topic, Pipeline) {
    let mut topic = Topic::new(broker, name, 1).await;
    topic.put(records);
    let mut pipeline = reader(broker, &format!("{name:?}"), "").await;
    pipeline.run_to_the_end(1).await;
    pipeline.check(&topic.expected()).await;
    (topic, pipeline)
}

/// Would catch a jump over records that were deleted while the pipeline was down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_deleted_under_us_are_a_loss() {
    let broker = broker().await;
    let (mut topic, pipeline) = having_read(broker, "deleted", 20).await;
    topic.put(30);
    broker.delete_before("deleted", 0, 35).await;
    for more in [&["--until-end"][..], &[]] {
        let ended = pipeline.run(1, more).wait().await.with(4);
        assert!(ended.stderr.contains("deleted/0: offset 20 to 34 is gone"), "{}", ended.stderr);
        assert!(ended.stderr.contains("another `path` in [sink]"), "{}", ended.stderr);
    }
}

/// Would catch a loss that is seen where everything that was deleted had been read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_deleted_behind_us_are_no_loss() {
    let broker = broker().await;
    let (mut topic, mut pipeline) = having_read(broker, "behind", 20).await;
    for (before, then) in [(20, 10), (25, 5)] {
        let already = topic.puts.len();
        broker.delete_before("behind", 0, before.min(already as i64)).await;
        topic.put(then);
        pipeline.run_to_the_end(1).await;
        pipeline.check(&topic.expected()).await;
    }
}

/// Would catch the records of another topic of the same name that are taken for those that come next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_anew_is_another_one() {
    let broker = broker().await;
    for (name, records, range) in [("anew-longer", 30, "offset 20 on"), ("anew-shorter", 5, "offset 5 to 20")] {
        let (_, pipeline) = having_read(broker, name, 20).await;
        broker.delete(name).await;
        sleep(Duration::from_millis(1500)).await;
        let mut topic = Topic::new(broker, name, 1).await;
        topic.put(records);
        let ended = pipeline.run(1, &["--until-end"]).wait().await.with(4);
        assert!(ended.stderr.contains(&format!("{name}/0: {range} is gone")), "{}", ended.stderr);
    }
}

/// Would catch a topic whose deletion goes unnoticed, before a start or during a run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_vanishes_is_a_loss() {
    let broker = broker().await;
    let (mut topic, mut pipeline) = having_read(broker, "vanishes", 20).await;
    topic.put(10);
    let mut process = pipeline.run(1, &[]);
    crate::whole::reader::until_committed(&mut pipeline, &mut process, 30).await;
    broker.delete("vanishes").await;
    let ended = process.wait().await.with(4);
    assert!(ended.stderr.contains("was deleted while it was being read"), "{}", ended.stderr);
}

/// Compaction leaves gaps. Would catch a gap that is taken for a loss, or a record behind one that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gaps_of_compaction_are_passed_over() {
    let broker = broker().await;
    let properties = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("min.compaction.lag.ms", "0"),
        ("max.compaction.lag.ms", "200"),
        ("delete.retention.ms", "0"),
    ];
    let mut topic = Topic::with(broker, "compacted", 1, &properties, &[]).await;
    let mut pipeline = reader(broker, "\"compacted\"", "").await;
    let first = Record { key: Some(b"first".to_vec()), ..topic.article() };
    topic.put_all(vec![first]);
    pipeline.run_to_the_end(1).await;
    // Each key again and again: what is read later has gaps.
    for round in 0..30 {
        let keyed = |topic: &mut Topic, key: usize| Record { key: Some(vec![b'k', key as u8]), ..topic.article() };
        let records = (0..10).map(|key| keyed(&mut topic, key)).collect();
        topic.put_all(records);
        if round % 10 == 0 {
            sleep(Duration::from_millis(150)).await;
        }
    }
    let there = until_compacted(broker, "compacted", 150).await;
    pipeline.run_to_the_end(1).await;
    let left: Vec<_> =
        topic.puts.iter().filter(|put| put.offset == 0 || there.contains(&put.offset)).cloned().collect();
    assert!(left.len() < 151, "nothing was compacted");
    pipeline.check(&topic.expected_of(&left)).await;
}

/// The offsets that a plain consumer finds, once they are few and stay the same.
async fn until_compacted(broker: &Broker, topic: &str, most: usize) -> Vec<i64> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut before = Vec::new();
    loop {
        let (brokers, name) = (broker.plain(), topic.to_owned());
        let found = tokio::task::spawn_blocking(move || offsets(&brokers, &name)).await.unwrap();
        if found.len() <= most && found == before {
            return found;
        }
        assert!(Instant::now() < deadline, "{} records are left", found.len());
        before = found;
        sleep(Duration::from_secs(1)).await;
    }
}

fn offsets(brokers: &str, topic: &str) -> Vec<i64> {
    use rdkafka::Message as _;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    let mut config = crate::services::kafka::client(brokers);
    let consumer: BaseConsumer = config.set("group.id", "plain").set("enable.partition.eof", "true").create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    loop {
        match consumer.poll(Duration::from_secs(10)) {
            Some(Ok(message)) => found.push(message.offset()),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return found,
            other => panic!("{other:?}"),
        }
    }
}
