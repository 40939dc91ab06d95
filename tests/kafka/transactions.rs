//! Transactions: what was aborted never comes out, what is open is waited for, and what they leave in the log is no loss.

use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use crate::reader;
use crate::services::kafka::broker;
use crate::whole::pipeline::Pipeline;
use crate::whole::reader::{comes_out, stop, until_committed};
use crate::whole::topic::{Record, Topic};

/// Would catch records that are read before it is known whether they count, and places that stand still before the marks that
/// transactions leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_records_never_come_out() {
    let broker = broker().await;
    let transactional = [("transactional.id", "aborting")];
    let mut topic = Topic::with(broker, "transactions", 2, &[], &transactional).await;
    topic.init_transactions();
    let mut pipeline = reader(broker, "\"transactions\"", "").await;
    let mut process = pipeline.run(2, &[]);
    for round in 0..12 {
        topic.begin();
        let records: Vec<Record> = (0..10).map(|_| topic.article()).collect();
        let puts = topic.send(records);
        if round % 3 == 1 {
            topic.abort();
        } else {
            topic.commit();
            topic.puts.extend(puts);
        }
    }
    until_committed(&mut pipeline, &mut process, topic.puts.len()).await;
    process.kill().await;
    // The last of it was aborted: a bounded run has to come to its end all the same.
    topic.begin();
    let records: Vec<Record> = (0..10).map(|_| topic.article()).collect();
    topic.send(records);
    topic.abort();
    pipeline.run_to_the_end(1).await;
    pipeline.check(&topic.expected()).await;
}

/// Would catch an open transaction's records that come out, and ones behind it that are skipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_is_waited_for() {
    let broker = broker().await;
    let mut topic = Topic::with(broker, "open", 1, &[], &[("transactional.id", "open")]).await;
    let mut plain = Topic::of(broker, "open", 1, &[]);
    topic.init_transactions();
    let mut pipeline = reader(broker, "\"open\"", "").await;
    // Other articles than those of the transaction: an id counts once.
    let articles: Vec<Record> = (0..40).map(|_| topic.article()).collect();
    plain.put_all(articles[..10].to_vec());
    topic.begin();
    let inside = topic.send(articles[10..20].to_vec());
    plain.put_all(articles[20..30].to_vec());
    pipeline.run_to_the_end(1).await;
    pipeline.check(&plain.expected_of(&plain.puts[..10])).await;
    let process = pipeline.run(1, &[]);
    sleep(Duration::from_millis(500)).await;
    topic.commit();
    plain.put_all(articles[30..].to_vec());
    plain.puts.extend(inside);
    comes_out(&mut pipeline, process, &plain.expected()).await;
}

/// What is left of a topic may be marks alone. Would catch a place before them that one day looks like a loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_moves_past_what_holds_no_record() {
    let broker = broker().await;
    let mut topic = Topic::with(broker, "marks", 1, &[], &[("transactional.id", "marks")]).await;
    topic.init_transactions();
    let mut pipeline = reader(broker, "\"marks\"", "").await;
    topic.begin();
    topic.put(10);
    topic.commit();
    let mut process = pipeline.run(1, &[]);
    until_committed(&mut pipeline, &mut process, 10).await;
    for _ in 0..3 {
        topic.begin();
        let records: Vec<Record> = (0..5).map(|_| topic.article()).collect();
        topic.send(records);
        topic.abort();
    }
    // Ten records and a mark, three times five and a mark each.
    let deadline = Instant::now() + Duration::from_secs(60);
    while read_up_to(&mut pipeline, "marks/0").await.is_none_or(|at| at < 29) {
        assert!(Instant::now() < deadline, "{}", process.said());
        sleep(Duration::from_millis(50)).await;
    }
    stop(process).await;
    broker.delete_before("marks", 0, 29).await;
    topic.begin();
    topic.put(10);
    topic.commit();
    pipeline.run_to_the_end(1).await;
    pipeline.check(&topic.expected()).await;
}

/// How far a split is committed.
async fn read_up_to(pipeline: &mut Pipeline, split: &str) -> Option<i64> {
    let commits = pipeline.sink.read("/.millstream/commits", ".json", &mut pipeline.known).await;
    let at = |commit: &String| -> Option<i64> {
        let commit: Value = serde_json::from_slice(&pipeline.known[&format!("/.millstream/commits/{commit}")]).unwrap();
        commit["positions"][split]["at"].as_str()?.split('#').next()?.parse().ok()
    };
    commits.iter().filter_map(at).max()
}
