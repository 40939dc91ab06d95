//! A service that errs: throttles, forgets, answers late or not at all.

use tokio::time::Duration;

use crate::services::kinesis::{Kind, server};
use crate::services::proxy::{Fault, Happened, Proxy};
use crate::whole::pipeline::Pipeline;
use crate::whole::reader::{comes_out, reader, stop, until_committed};
use crate::whole::stream::Stream;

/// A stream with records, a pipeline that reads it through a proxy, and the proxy.
async fn through_a_proxy(test: &str) -> (Stream, Pipeline, Proxy) {
    let mut stream = Stream::new(Kind::Kinesalite, test, 2).await;
    let proxy = Proxy::before(&server(Kind::Kinesalite).await.endpoint).await;
    let pipeline = reader(&[&stream], &proxy.endpoint, "").await;
    stream.put(48).await;
    (stream, pipeline, proxy)
}

/// Reads on through faults: all comes out, and the faults did happen.
async fn comes_through(mut stream: Stream, mut pipeline: Pipeline, faults: &[(&Happened, u64)]) {
    let mut process = pipeline.run(1, &[]);
    for _ in 0..3 {
        until_committed(&mut pipeline, &mut process, stream.puts.len()).await;
        stream.put(24).await;
    }
    comes_out(&mut pipeline, process, &stream.expected()).await;
    for (fault, times) in faults {
        assert!(fault.times() >= *times, "it happened {} times, not {times}", fault.times());
    }
}

/// Would catch a reader that ends, or begins anew, when an iterator has expired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_iterator_is_renewed_behind_the_last_record() {
    let (stream, pipeline, proxy) = through_a_proxy("expired").await;
    let expired = proxy.on("GetRecords", |call| call % 3 == 2, Fault::Refuse("ExpiredIteratorException"));
    let iterators = proxy.watch("GetShardIterator");
    comes_through(stream, pipeline, &[(&expired, 3), (&iterators, 2 + 3)]).await;
}

/// Would catch throttling that ends the run, and one that is answered by asking again at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_is_waited_out() {
    let (stream, pipeline, proxy) = through_a_proxy("throttled").await;
    let shards = proxy.on("ListShards", |call| call == 1, Fault::Refuse("LimitExceededException"));
    let iterators =
        proxy.on("GetShardIterator", |call| call == 1, Fault::Refuse("ProvisionedThroughputExceededException"));
    let records =
        proxy.on("GetRecords", |call| (2..8).contains(&call), Fault::Refuse("ProvisionedThroughputExceededException"));
    comes_through(stream, pipeline, &[(&shards, 1), (&iterators, 1), (&records, 6)]).await;
}

/// Would catch a reader that goes on behind records whose answer was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_are_asked_for_again() {
    let (stream, pipeline, proxy) = through_a_proxy("lost-answers").await;
    let shards = proxy.on("ListShards", |call| call == 1, Fault::DropReply);
    let iterators = proxy.on("GetShardIterator", |call| call == 2, Fault::DropReply);
    let records = proxy.on("GetRecords", |call| call % 4 == 1, Fault::DropReply);
    comes_through(stream, pipeline, &[(&shards, 1), (&iterators, 1), (&records, 2)]).await;
}

/// Would catch an error inside the service that ends the run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_inside_the_service_and_slow_answers_are_lived_through() {
    let (stream, pipeline, proxy) = through_a_proxy("trouble").await;
    let failed = proxy.on("GetRecords", |call| call % 5 == 1, Fault::Refuse("InternalFailureException"));
    let slow = proxy.on("GetRecords", |call| call % 5 == 3, Fault::Delay(Duration::from_millis(700)));
    comes_through(stream, pipeline, &[(&failed, 1), (&slow, 1)]).await;
}

/// Would catch a tight loop over empty answers, which takes the five calls a second that all readers of a shard share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_shards_are_not_hammered() {
    const SECONDS: u64 = 4;
    let (stream, mut pipeline, proxy) = through_a_proxy("idle").await;
    let mut process = pipeline.run(1, &[]);
    until_committed(&mut pipeline, &mut process, stream.puts.len()).await;
    let (records, shards) = (proxy.watch("GetRecords"), proxy.watch("ListShards"));
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let (records, shards) = (records.times(), shards.times());
    stop(process).await;
    assert!((2..=2 * 5 * SECONDS).contains(&records), "{records} GetRecords on two shards in {SECONDS} s");
    assert!(shards <= 2, "{shards} ListShards in {SECONDS} s");
}
