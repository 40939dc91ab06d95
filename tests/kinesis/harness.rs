//! The tests' own tools: what a fault of the proxy does, and that split and merge do something on each server. A tool that
//! does nothing would make tests that cannot fail.

use tokio::time::Duration;

use crate::services::kinesis::{Kind, client, server};
use crate::services::proxy::{Fault, Proxy};
use crate::whole::stream::Stream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_the_proxy_happen() {
    let proxy = Proxy::before(&server(Kind::Kinesalite).await.endpoint).await;
    let mut stream = Stream::new(Kind::Kinesalite, "proxied", 1).await;
    stream.client = client(&proxy.endpoint);
    let lost = proxy.on("PutRecords", |call| call == 2, Fault::DropReply);
    let refused = proxy.on("DescribeStreamSummary", |call| call == 1, Fault::Refuse("LimitExceededException"));
    let cut = proxy.on("ListStreams", |_| true, Fault::Cut(Duration::ZERO));
    let shards = proxy.watch("ListShards");

    stream.put(3).await;
    let entry = aws_sdk_kinesis::types::PutRecordsRequestEntry::builder().partition_key("k").data(vec![7].into());
    let put = stream.client.put_records().stream_name(&stream.name).records(entry.build().unwrap());
    assert!(put.send().await.unwrap_err().as_service_error().is_none(), "an answer came through");
    let described = stream.client.describe_stream_summary().stream_name(&stream.name).send().await.unwrap_err();
    assert!(described.into_service_error().is_limit_exceeded_exception());
    assert!(stream.client.list_streams().send().await.is_err());
    let shard = stream.open_shards().await.remove(0);

    let asked = stream.client.get_shard_iterator().stream_name(&stream.name).shard_id(shard.id);
    let iterator = asked.shard_iterator_type("TRIM_HORIZON".into()).send().await.unwrap();
    let read = stream.client.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap();
    assert_eq!(read.records().len(), 3 + 1, "what the service did is done, though its answer was lost");
    assert_eq!([&lost, &refused, &cut, &shards].map(|fault| fault.times()), [1; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_of_each_server_split_and_merge() {
    for kind in [Kind::KinesisLocal, Kind::Kinesalite] {
        let mut stream = Stream::new(kind, "splitting", 2).await;
        let mut at_a_time = Vec::new();
        for step in 0..4 {
            match step {
                1 => stream.split_at(0).await,
                2 => stream.split_at(2).await,
                3 => stream.merge_at(1).await,
                _ => {}
            }
            stream.put(24).await;
            at_a_time.push((stream.open_shards().await.len(), stream.shards_used()));
        }
        assert_eq!(at_a_time, [(2, 2), (3, 4), (4, 6), (3, 7)], "{kind:?}: open shards, shards that ever got records");
        assert_eq!(stream.puts.len(), 4 * 24);
    }
}
