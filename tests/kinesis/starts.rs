//! Where reading begins, and where it goes on.

use std::collections::BTreeMap;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use millstream::connector::aws::Access;
use millstream::connector::kinesis::{Kinesis, Options, Start};
use millstream::connector::{Bounds, Source};
use tokio::time::{Duration, sleep};

use crate::services::kinesis::{Kind, server};
use crate::whole::reader::{comes_out, reader, until_committed};
use crate::whole::stream::Stream;
use crate::whole::taken::{fast, log_with, taken};

const BOTH: [Kind; 2] = [Kind::KinesisLocal, Kind::Kinesalite];

/// Would catch a start that skips what was there before, and a second run that reads it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trim_horizon_reads_all_and_a_restart_repeats_nothing() {
    for kind in BOTH {
        let mut stream = Stream::new(kind, "trim-horizon", 3).await;
        let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "").await;
        for workers in [1, 2, 1] {
            stream.put(70).await;
            pipeline.run_to_the_end(workers).await;
            pipeline.check(&stream.expected()).await;
        }
        pipeline.run_to_the_end(1).await;
        pipeline.check(&stream.expected()).await;
    }
}

/// Would catch `latest` that is looked up again at every start, and so loses what came while the pipeline was down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_loses_nothing_that_comes_while_the_pipeline_is_down() {
    for kind in BOTH {
        let mut stream = Stream::new(kind, "latest", 2).await;
        let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "start = \"latest\"").await;
        stream.put(30).await;
        let before = stream.puts.len();
        // A time of arrival has no more than milliseconds, and kinesalite compares whole seconds.
        sleep(Duration::from_millis(2100)).await;
        // It is killed as soon as it has claimed the log, with nothing read.
        let process = pipeline.run(1, &[]);
        process.until_it_says("the log is claimed").await;
        process.kill().await;
        stream.put(40).await;
        stream.split_at(0).await;
        stream.put(40).await;
        pipeline.run_to_the_end(1).await;
        pipeline.check(&stream.expected_of(&stream.puts[before..])).await;
        let process = pipeline.run(2, &[]);
        stream.put(30).await;
        comes_out(&mut pipeline, process, &stream.expected_of(&stream.puts[before..])).await;
    }
}

/// Would catch `latest` that begins by this machine's clock: an hour fast, it passes over all that comes in that hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_is_the_services_time_whatever_our_clock_says() {
    for kind in BOTH {
        let mut stream = Stream::new(kind, "latest-fast-clock", 2).await;
        stream.put(30).await;
        let before = stream.puts.len();
        sleep(Duration::from_millis(2100)).await;
        let source = source(&stream, &server(kind).await.endpoint).await;
        let pins = source.pins(&BTreeMap::new()).await.unwrap();
        assert!(pins[&stream.name].contains(" here="), "{pins:?}");
        assert!(source.pins(&pins).await.unwrap().is_empty(), "what the log knows is pinned again");
        // What comes between the claim and the first look, and into shards that are closed by then.
        stream.put(40).await;
        stream.split_at(0).await;
        stream.put(40).await;
        source.goes_on_from(&log_with(pins));
        let mut expected: Vec<_> = stream.puts[before..].iter().map(|put| put.data.clone()).collect();
        expected.sort();
        assert!(taken(&source, expected.len()).await == expected, "{kind:?}: other records than those that came since");
    }
}

/// A source whose clock is an hour fast.
async fn source(stream: &Stream, endpoint: &str) -> Kinesis {
    let access = Access {
        endpoint: Some(endpoint.to_owned()),
        region: Some("us-east-1".into()),
        credentials: Some(aws_credential_types::Credentials::new("test", "test", None, None, "test")),
        ..Access::default()
    };
    let options = Options {
        streams: vec![stream.name.clone()],
        start: Start::Latest,
        access,
        consumer: None,
        bounds: Bounds::Unbounded,
        clock: fast().as_source(),
    };
    Kinesis::connect(options).await.unwrap()
}

/// Would catch a time that is taken for a position in some shards only, or that is applied again at a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_begins_every_shard_there_and_no_child_later() {
    for kind in BOTH {
        let mut stream = Stream::new(kind, "a-time", 2).await;
        stream.put(30).await;
        // kinesalite never answers who asks it for a time behind the end of a shard.
        if kind == Kind::KinesisLocal {
            stream.split_at(1).await;
        }
        stream.put(30).await;
        let before = stream.puts.len();
        sleep(Duration::from_millis(2100)).await;
        let time = DateTime::<Utc>::from(now()).to_rfc3339_opts(SecondsFormat::Millis, true);
        let endpoint = &server(kind).await.endpoint;
        let mut pipeline = reader(&[&stream], endpoint, &format!("start = {time:?}")).await;
        stream.put(40).await;
        stream.split_at(0).await;
        stream.put(40).await;
        let mut process = pipeline.run(2, &[]);
        until_committed(&mut pipeline, &mut process, 80).await;
        process.kill().await;
        stream.put(20).await;
        pipeline.run_to_the_end(1).await;
        pipeline.check(&stream.expected_of(&stream.puts[before..])).await;
    }
}

fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "the servers' clock is this machine's")]
    SystemTime::now()
}
