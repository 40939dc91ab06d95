//! Where reading begins, and where it goes on.

use std::collections::BTreeMap;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use millstream::clock::Clock;
use millstream::connector::kafka::{Access, Kafka, Options, Start, Tombstones, Wishes};
use millstream::connector::{Bounds, Source};
use tokio::time::{Duration, sleep};

use crate::reader;
use crate::services::kafka::broker;
use crate::whole::process::Process;
use crate::whole::reader::{comes_out, until_committed};
use crate::whole::taken::{fast, log_with, taken};
use crate::whole::topic::{Record, Topic};

/// Would catch a start that skips what was there before, and a second run that reads it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn earliest_reads_all_and_a_restart_repeats_nothing() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "earliest", 3).await;
    let mut pipeline = reader(broker, "\"earliest\"", "").await;
    for workers in [1, 2, 1] {
        topic.put(70);
        pipeline.run_to_the_end(workers).await;
        pipeline.check(&topic.expected()).await;
    }
    pipeline.run_to_the_end(1).await;
    pipeline.check(&topic.expected()).await;
}

/// Would catch `latest` that is looked up again at every start, and so loses what came while the pipeline was down; and one
/// that believes a producer's clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_loses_nothing_that_comes_while_the_pipeline_is_down() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "latest", 2).await;
    let mut pipeline = reader(broker, "\"latest\"", "start = \"latest\"").await;
    topic.put(30);
    let before = topic.puts.len();
    sleep(Duration::from_millis(1100)).await;
    // It is killed as soon as it has claimed the log, with nothing read.
    let process = pipeline.run(1, &[]);
    process.until_it_says("the log is claimed").await;
    process.kill().await;
    topic.put(40);
    pipeline.run_to_the_end(1).await;
    pipeline.check(&topic.expected_of(&topic.puts[before..])).await;
    let mut process = pipeline.run(2, &[]);
    let past = |record: Record| Record { millis: Some(1_000_000_000_000), ..record };
    let records = (0..20).map(|_| past(topic.article())).collect();
    topic.put_all(records);
    until_committed(&mut pipeline, &mut process, 60).await;
    comes_out(&mut pipeline, process, &topic.expected_of(&topic.puts[before..])).await;
}

/// Would catch `latest` that begins by a clock: ours, an hour fast, or that of a producer, years slow. A topic that a pattern
/// finds later is read from its beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_is_an_offset_whatever_any_clock_says() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "fast-clock", 2).await;
    topic.put(30);
    let before = topic.puts.len();
    for (round, named) in ["fast-clock", "^fast-clock.*"].into_iter().enumerate() {
        let pinned = if round == 0 { before } else { topic.puts.len() };
        let source = source(&broker.plain(), named);
        let pins = source.pins(&BTreeMap::new()).await.unwrap();
        assert!(source.pins(&pins).await.unwrap().is_empty(), "what the log knows is pinned again");
        // What comes between the claim and the first look.
        topic.put(40);
        let past = |record: Record| Record { millis: Some(1_000_000_000_000), ..record };
        let records = (0..5).map(|_| past(topic.article())).collect();
        topic.put_all(records);
        let mut expected: Vec<_> = topic.puts[pinned..].iter().map(|put| put.data.clone()).collect();
        if round == 1 {
            let mut later = Topic::new(broker, "fast-clock-later", 1).await;
            later.put(20);
            expected.extend(later.puts.iter().map(|put| put.data.clone()));
        }
        expected.sort();
        source.goes_on_from(&log_with(pins));
        assert!(taken(&source, expected.len()).await == expected, "{named}: other records than those that came since");
    }
}

/// Would catch a log of an earlier release, which pins a time, that is not gone on with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_an_earlier_release_has_pinned_still_counts() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "pinned-time", 2).await;
    topic.put(30);
    let before = topic.puts.len();
    sleep(Duration::from_millis(1100)).await;
    let pins = BTreeMap::from([("pinned-time".to_owned(), Clock::system().text())]);
    topic.put(40);
    let source = source(&broker.plain(), "pinned-time");
    source.goes_on_from(&log_with(pins));
    let mut expected: Vec<_> = topic.puts[before..].iter().map(|put| put.data.clone()).collect();
    expected.sort();
    assert!(taken(&source, expected.len()).await == expected, "other records than those that came since");
}

/// A source whose clock is an hour fast.
fn source(brokers: &str, topics: &str) -> Kafka {
    let access =
        Access { brokers: brokers.to_owned(), group: None, properties: BTreeMap::new(), clock: fast().as_source() };
    let wishes = Wishes {
        tombstones: Tombstones::Reject,
        topic: false,
        partition: false,
        offset: false,
        timestamp: false,
        key: false,
        headers: Vec::new(),
    };
    Kafka::new(Options {
        access,
        topics: vec![topics.to_owned()],
        start: Start::Latest,
        wishes,
        interval: Duration::from_secs(1),
        ahead: 8 << 20,
        bounds: Bounds::Unbounded,
    })
    .unwrap()
}

/// Would catch a time that is taken for a position in some partitions only, or that is applied again at a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_begins_every_partition_there() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "a-time", 2).await;
    topic.put(60);
    let before = topic.puts.len();
    sleep(Duration::from_millis(1100)).await;
    #[expect(clippy::disallowed_methods, reason = "the broker has no other clock")]
    let time = DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut pipeline = reader(broker, "[\"a-time\"]", &format!("start = {time:?}")).await;
    topic.put(80);
    let mut process = pipeline.run(2, &[]);
    until_committed(&mut pipeline, &mut process, 80).await;
    process.kill().await;
    topic.put(20);
    pipeline.run_to_the_end(1).await;
    pipeline.check(&topic.expected_of(&topic.puts[before..])).await;
}

/// Would catch a bounded run that goes on with what comes later, and one that waits for records that never come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_without_records_ends_at_once() {
    let broker = broker().await;
    let topic = Topic::new(broker, "empty", 4).await;
    for start in ["earliest", "latest", "2024-01-01T00:00:00Z"] {
        let mut pipeline = reader(broker, "\"empty\"", &format!("start = {start:?}")).await;
        pipeline.run_to_the_end(2).await;
        pipeline.check(&topic.expected()).await;
    }
}

/// Would catch a look at a topic that waits for records which never come, or changes anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_commands_end() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "looked-at", 3).await;
    topic.put(6);
    let pipeline = reader(broker, "\"looked-at\"", "").await;
    let file = pipeline.file.to_str().unwrap();
    for arguments in
        [&["sample", file, "--rows", "50"][..], &["check", file, "--connect"], &["plan", file, "--connect"]]
    {
        let said = Process::start(arguments, &[]).wait().await.with(0).stdout;
        let shown = if arguments[0] == "sample" { "looked-at-1" } else { "3 splits" };
        assert!(said.contains(shown) || said.contains("looked-at/2"), "{arguments:?}: {said}");
    }
    assert!(!std::path::Path::new(&pipeline.sink.path()).join(".millstream/commits").exists());
}

/// Would catch a compression that was not built in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_compression_of_producers_is_read() {
    let broker = broker().await;
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let name = format!("compressed-{compression}");
        let mut topic = Topic::with(broker, &name, 1, &[], &[("compression.type", compression)]).await;
        topic.put(100);
        let mut pipeline = reader(broker, &format!("{name:?}"), "").await;
        pipeline.run_to_the_end(1).await;
        pipeline.check(&topic.expected()).await;
    }
}

/// Would catch a group that shows offsets which nothing committed, or none at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_shows_how_far_all_is_committed() {
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    let broker = broker().await;
    let mut topic = Topic::new(broker, "shown", 3).await;
    let mut pipeline = reader(broker, "\"shown\"", "group = \"lag-monitor\"").await;
    topic.put(60);
    let process = pipeline.run(1, &[]);
    comes_out(&mut pipeline, process, &topic.expected()).await;
    let mut asking = crate::services::kafka::client(&broker.plain());
    let asking: BaseConsumer = asking.set("group.id", "lag-monitor").create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_range("shown", 0, 2);
    let shown = asking.committed_offsets(list, Duration::from_secs(10)).unwrap();
    let offsets: Vec<_> = shown.elements().iter().map(|partition| partition.offset()).collect();
    assert_eq!(offsets, [rdkafka::Offset::Offset(20); 3]);
}
