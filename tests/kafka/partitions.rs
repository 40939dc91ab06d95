//! Partitions and topics that come while the pipeline runs, or while it does not.

use crate::reader;
use crate::services::kafka::broker;
use crate::whole::oracle::Expected;
use crate::whole::reader::{comes_out, stop, until_committed};
use crate::whole::topic::Topic;

/// Would catch partitions that nobody reads because they were not there at the start, and `latest` that skips what a new
/// partition got before it was noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_added_are_read_from_their_beginning() {
    let broker = broker().await;
    for start in ["earliest", "latest"] {
        let name = format!("widened-{start}");
        let mut topic = Topic::new(broker, &name, 1).await;
        let mut pipeline = reader(broker, &format!("{name:?}"), &format!("start = {start:?}")).await;
        pipeline.run_to_the_end(1).await;
        let mut process = pipeline.run(2, &[]);
        topic.put(20);
        until_committed(&mut pipeline, &mut process, 20).await;
        broker.widen(&name, 4).await;
        topic.widened(4);
        topic.put(80);
        until_committed(&mut pipeline, &mut process, 100).await;
        stop(process).await;
        broker.widen(&name, 6).await;
        topic.widened(6);
        topic.put(60);
        let process = pipeline.run(1, &[]);
        comes_out(&mut pipeline, process, &topic.expected()).await;
    }
}

/// Would catch a pattern that is looked up once, one that matches too much, and topics that share positions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_notices_new_topics() {
    let broker = broker().await;
    let mut topics = vec![Topic::new(broker, "pattern-a", 2).await];
    let mut other = Topic::new(broker, "no-pattern-x", 1).await;
    other.put(10);
    let mut pipeline = reader(broker, "\"^pattern-\"", "").await;
    let mut process = pipeline.run(2, &[]);
    topics[0].put(30);
    until_committed(&mut pipeline, &mut process, 30).await;
    topics.push(Topic::new(broker, "pattern-b", 3).await);
    topics.iter_mut().for_each(|topic| topic.put(30));
    let mut expected = Expected::default();
    for topic in &topics {
        let Expected { rows, rejects } = topic.expected();
        expected.rows.extend(rows);
        expected.rejects.extend(rejects);
    }
    comes_out(&mut pipeline, process, &expected).await;
}

/// Would catch a topic that is named and not there being waited for in silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_not_there_is_named() {
    let pipeline = reader(broker().await, "[\"nowhere\"]", "").await;
    let ended = pipeline.run(1, &["--until-end"]).wait().await.with(1);
    assert!(
        ended.stderr.contains("nowhere: there is no such topic; create it, or change `topics`"),
        "{}",
        ended.stderr
    );
}
