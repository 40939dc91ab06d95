//! Killed at any moment: of a reshard, and of the whole way from Kinesis to S3.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Duration, Instant, sleep};

use crate::services::kinesis::{ENVIRONMENT, Kind, server};
use crate::whole::pipeline::Pipeline;
use crate::whole::reader::{reader, source, until_committed};
use crate::whole::stream::Stream;

/// Would catch a child that begins twice, a parent whose end is forgotten, and a shard that nobody reads after a restart.
async fn killed_throughout_a_reshard(kind: Kind) {
    let mut stream = Stream::new(kind, "killed-reshard", 2).await;
    let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "").await;
    stream.put(24).await;
    for (number, millis) in [0, 15, 30, 60, 100, 150, 220, 300, 450, 700].into_iter().enumerate() {
        let mut process = pipeline.run(1 + number % 3, &[]);
        until_committed(&mut pipeline, &mut process, stream.puts.len()).await;
        match number % 3 {
            2 => stream.merge_at(0).await,
            _ => stream.split_at(number % 2).await,
        }
        let (kill, ()) = tokio::join!(killed_after(process, millis), stream.put(48));
        assert!(kill, "it did not live to be killed after {millis} ms");
        pipeline.sink.check_visible(&mut pipeline.known).await;
    }
    pipeline.run_to_the_end(2).await;
    pipeline.check(&stream.expected()).await;
}

async fn killed_after(process: crate::whole::process::Process, millis: u64) -> bool {
    sleep(Duration::from_millis(millis)).await;
    process.kill().await.was_killed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_of_a_reshard_on_kinesis_local() {
    killed_throughout_a_reshard(Kind::KinesisLocal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_of_a_reshard_on_kinesalite() {
    killed_throughout_a_reshard(Kind::Kinesalite).await;
}

/// A producer that goes on, and splits and merges as it goes, until it is told to stop.
async fn produce(mut stream: Stream, stop: Arc<AtomicBool>, pause: Duration) -> (Stream, usize) {
    let (mut reshards, mut next) = (0, Instant::now());
    while !stop.load(Ordering::SeqCst) {
        stream.put(24).await;
        if Instant::now() >= next {
            match (stream.open_shards().await.len(), reshards % 3) {
                (..=2, _) => stream.split_at(0).await,
                (shards @ ..=5, 0 | 1) => stream.split_at(reshards % shards).await,
                (shards, _) => stream.merge_at(reshards % (shards - 1)).await,
            }
            reshards += 1;
            next = Instant::now() + Duration::from_millis(600);
        }
        sleep(pause).await;
    }
    stream.put(24).await;
    (stream, reshards)
}

/// The whole: records arrive and shards split and merge while the pipeline is killed and started again, so many times.
async fn from_kinesis_to_s3(kind: Kind, name: &str, more: &str, kills: u32, pause: u64) -> String {
    let began = Instant::now();
    let stream = Stream::new(kind, name, 2).await;
    let source = source(&[&stream], &server(kind).await.endpoint, more);
    let mut pipeline = Pipeline::new(tempfile::tempdir().unwrap(), name, true, &source).await;
    // The keys of the bucket open the stream too.
    pipeline.environment.extend(ENVIRONMENT.iter().skip(2).map(|(name, value)| (*name, (*value).to_owned())));
    let stop = Arc::new(AtomicBool::new(false));
    let producer = tokio::spawn(produce(stream, stop.clone(), Duration::from_millis(pause)));
    let (mut rng, mut killed) = (StdRng::seed_from_u64(kills.into()), 0);
    for start in 0.. {
        assert!(start < 3 * kills, "{killed} of {start} runs lived to be killed");
        let longest = if start % 4 == 0 { 120 } else { 1100 };
        let process = pipeline.run(1 + start as usize % 3, &[]);
        sleep(Duration::from_millis(rng.random_range(5..longest))).await;
        killed += u32::from(process.kill().await.was_killed());
        pipeline.sink.check_visible(&mut pipeline.known).await;
        if killed == kills {
            break;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let (stream, reshards) = producer.await.unwrap();
    pipeline.run_to_the_end(2).await;
    pipeline.check(&stream.expected()).await;
    let commits = pipeline.commits().await;
    assert!(reshards >= kills as usize / 3, "only {reshards} reshards");
    assert!(commits > killed as usize, "only {commits} commits");
    let (records, time) = (stream.puts.len(), began.elapsed());
    format!("{name}: {records} records, {reshards} reshards, {killed} kills, {commits} commits, {time:?}")
}

/// The whole of it, with thirty kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_kinesis_to_s3_exactly_once_through_thirty_kills() {
    println!("{}", from_kinesis_to_s3(Kind::Kinesalite, "whole-polling", "", 30, 20).await);
}

/// The same through a consumer of its own, whose old subscriptions are still open when the next start subscribes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_kinesis_to_s3_exactly_once_with_fan_out() {
    let more = "consumer = \"millstream\"";
    println!("{}", from_kinesis_to_s3(Kind::KinesisLocal, "whole-fan-out", more, 10, 60).await);
}
