//! Enhanced fan-out: a consumer of its own, subscriptions over HTTP/2, and what happens when one ends.

use tokio::time::Duration;

use crate::services::kinesis::{Kind, server};
use crate::services::proxy::{Fault, Proxy};
use crate::services::wire::Wire;
use crate::whole::pipeline::Pipeline;
use crate::whole::reader::{comes_out, reader, source, stop, until_committed};
use crate::whole::stream::Stream;

const CONSUMER: &str = "consumer = \"millstream\"";

/// A pipeline with a consumer that reads through `wire`, which leads to the secure endpoint.
async fn secure_reader(stream: &Stream, wire: &Wire) -> Pipeline {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("certificate.pem");
    server(Kind::KinesisLocal).await.write_certificate(&certificate);
    let endpoint = format!("https://localhost:{}", wire.port);
    let mut pipeline = Pipeline::new(folder, &stream.name, false, &source(&[stream], &endpoint, CONSUMER)).await;
    let known = crate::services::kinesis::ENVIRONMENT.map(|(name, value)| (name, value.to_owned()));
    pipeline.environment.extend(known);
    pipeline.environment.push(("SSL_CERT_FILE", certificate.display().to_string()));
    pipeline
}

/// Would catch a client that falls back to HTTP/1.1, on which Kinesis has no subscriptions, and a subscription that begins
/// anew, or not at all, after its connection broke.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_over_http2_go_on_after_a_broken_connection() {
    let server = server(Kind::KinesisLocal).await;
    let wire = Wire::to(server.secure_port).await;
    let mut stream = Stream::new(Kind::KinesisLocal, "fan-out-wire", 2).await;
    let mut pipeline = secure_reader(&stream, &wire).await;
    let before = server.http2_connections();
    stream.put(48).await;
    let mut process = pipeline.run(2, &[]);
    for round in 0..4 {
        until_committed(&mut pipeline, &mut process, stream.puts.len()).await;
        if round == 2 {
            stream.split_at(0).await;
        }
        assert!(wire.cut() > 0, "there was no connection to cut");
        stream.put(24).await;
    }
    comes_out(&mut pipeline, process, &stream.expected()).await;
    assert!(server.http2_connections() > before, "nothing was said over HTTP/2");
    assert_eq!(consumers(&stream).await, ["millstream"]);
}

/// Would catch a subscription that is not renewed when it ends, one that is renewed from its beginning, and one that ends
/// the run when its renewal comes too early.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_ends_is_renewed_behind_its_last_record() {
    let proxy = Proxy::before(&server(Kind::KinesisLocal).await.endpoint).await;
    let mut stream = Stream::new(Kind::KinesisLocal, "fan-out-ends", 2).await;
    let mut pipeline = reader(&[&stream], &proxy.endpoint, CONSUMER).await;
    let ended = proxy.on("SubscribeToShard", |call| call <= 4, Fault::Cut(Duration::from_millis(1500)));
    let early = proxy.on("SubscribeToShard", |call| call == 5, Fault::Refuse("ResourceInUseException"));
    let polls = proxy.watch("GetRecords");
    stream.put(48).await;
    let mut process = pipeline.run(1, &[]);
    while early.times() == 0 {
        until_committed(&mut pipeline, &mut process, stream.puts.len()).await;
        stream.put(24).await;
    }
    comes_out(&mut pipeline, process, &stream.expected()).await;
    assert!(ended.times() == 4 && early.times() == 1, "{ended:?} {early:?}");
    assert_eq!(polls.times(), 0, "a pipeline with a consumer polls");
}

/// Would catch children that are never subscribed to, and a shard's last records that are lost when its subscription ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_are_subscribed_to_when_their_parents_end() {
    let mut stream = Stream::new(Kind::KinesisLocal, "fan-out-reshards", 2).await;
    let mut pipeline = reader(&[&stream], &server(Kind::KinesisLocal).await.endpoint, CONSUMER).await;
    stream.put(48).await;
    let mut process = pipeline.run(2, &[]);
    until_committed(&mut pipeline, &mut process, 48).await;
    for place in [0, 2] {
        stream.split_at(place).await;
        stream.put(48).await;
    }
    until_committed(&mut pipeline, &mut process, stream.puts.len()).await;
    process.kill().await;
    stream.put(24).await;
    stream.merge_at(1).await;
    stream.put(48).await;
    let process = pipeline.run(1, &[]);
    comes_out(&mut pipeline, process, &stream.expected()).await;
}

/// Would catch a bounded run that waits for a subscription to end, and one that registers its consumer twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bounded_run_with_a_consumer_ends_by_itself() {
    let mut stream = Stream::new(Kind::KinesisLocal, "fan-out-bounded", 2).await;
    let mut pipeline = reader(&[&stream], &server(Kind::KinesisLocal).await.endpoint, CONSUMER).await;
    for _ in 0..2 {
        stream.put(48).await;
        pipeline.run_to_the_end(2).await;
        pipeline.check(&stream.expected()).await;
    }
    stream.split_at(0).await;
    stream.put(24).await;
    pipeline.run_to_the_end(1).await;
    pipeline.check(&stream.expected()).await;
    assert_eq!(consumers(&stream).await, ["millstream"]);
    // One that is idle stops as others do.
    let process = pipeline.run(1, &[]);
    process.until_it_says("the log is claimed").await;
    stop(process).await;
}

async fn consumers(stream: &Stream) -> Vec<String> {
    let listed = stream.client.list_stream_consumers().stream_arn(stream.arn().await).send().await.unwrap();
    listed.consumers().iter().map(|consumer| consumer.consumer_name().to_owned()).collect()
}
