//! Killed at any moment, with a producer that goes on; and a broker that goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::services::kafka::{Broker, broker};
use crate::whole::pipeline::Pipeline;
use crate::whole::reader::{comes_out, until_committed};
use crate::whole::topic::Topic;
use crate::{reader, source};

const KILLS: u32 = 30;

/// Puts until it is told to stop.
async fn produce(mut topic: Topic, stop: Arc<AtomicBool>) -> Topic {
    while !stop.load(Ordering::SeqCst) {
        let put = tokio::task::spawn_blocking(move || {
            topic.put(40);
            topic
        });
        topic = put.await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    topic.put(40);
    topic
}

/// The whole of it: records arrive while the pipeline is killed and started again, thirty times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_kafka_to_s3_exactly_once_through_thirty_kills() {
    let (began, broker) = (Instant::now(), broker().await);
    let topic = Topic::new(broker, "thirty-kills", 5).await;
    let source = source(&broker.plain(), "\"thirty-kills\"", "");
    let mut pipeline = Pipeline::new(tempfile::tempdir().unwrap(), "kafka-kills", true, &source).await;
    let stop = Arc::new(AtomicBool::new(false));
    let producer = tokio::spawn(produce(topic, stop.clone()));
    let (mut rng, mut killed) = (StdRng::seed_from_u64(KILLS.into()), 0);
    for start in 0.. {
        assert!(start < 3 * KILLS, "{killed} of {start} runs lived to be killed");
        let longest = if start % 4 == 0 { 200 } else { 1300 };
        let process = pipeline.run(1 + start as usize % 3, &[]);
        sleep(Duration::from_millis(rng.random_range(5..longest))).await;
        killed += u32::from(process.kill().await.was_killed());
        pipeline.sink.check_visible(&mut pipeline.known).await;
        if killed == KILLS {
            break;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let topic = producer.await.unwrap();
    pipeline.run_to_the_end(2).await;
    pipeline.check(&topic.expected()).await;
    let commits = pipeline.commits().await;
    assert!(commits > 2 * KILLS as usize, "only {commits} commits");
    println!("{} records, {killed} kills, {commits} commits, {:?}", topic.puts.len(), began.elapsed());
}

/// Would catch a run that ends because the broker is away, and records read twice or skipped once it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_goes_away_is_waited_for() {
    let mut broker = Broker::start().await;
    let mut topic = Topic::new(&broker, "restarts", 3).await;
    let mut pipeline = reader(&broker, "\"restarts\"", "").await;
    let mut process = pipeline.run(2, &[]);
    for _ in 0..3 {
        topic.put(60);
        until_committed(&mut pipeline, &mut process, topic.puts.len() - 30).await;
        let stopped = broker.stop();
        sleep(Duration::from_secs(2)).await;
        assert!(process.runs(), "{}", process.said());
        broker = stopped.start().await;
    }
    topic.put(60);
    comes_out(&mut pipeline, process, &topic.expected()).await;
}

/// Would catch a start that gives up, or stops answering to signals, where the broker is not there yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_its_broker_and_stops_when_asked() {
    let broker = Broker::start().await;
    let mut topic = Topic::new(&broker, "late-broker", 2).await;
    topic.put(30);
    let mut pipeline = reader(&broker, "\"late-broker\"", "").await;
    let stopped = broker.stop();
    let process = pipeline.run(1, &[]);
    process.until_it_says("the log is claimed").await;
    sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    process.signal("TERM");
    process.wait().await.with(0);
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?} to stop", began.elapsed());
    let process = pipeline.run(1, &[]);
    let _broker = stopped.start().await;
    comes_out(&mut pipeline, process, &topic.expected()).await;
}
