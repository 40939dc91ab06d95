//! Records and streams that are out of the ordinary.

use serde_json::json;
use tokio::time::{Duration, sleep, timeout};

use crate::services::kinesis::{Kind, server};
use crate::services::proxy::{Fault, Proxy};
use crate::whole::oracle::Expected;
use crate::whole::reader::{comes_out, reader, until_committed};
use crate::whole::stream::{Record, Stream};

/// Would catch a buffer that is too small for the largest record that Kinesis takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_a_mebibyte_come_out() {
    for kind in [Kind::KinesisLocal, Kind::Kinesalite] {
        let mut stream = Stream::new(kind, "mebibytes", 1).await;
        for number in 0..4 {
            let sized = |content: &str| json!({"article_id": format!("big-{number}"), "content": content}).to_string();
            let content = "word ".repeat((1 << 20) / 5);
            let data = sized(&content[..(1 << 20) - sized("").len()]).into_bytes();
            assert_eq!(data.len(), 1 << 20);
            stream.put_all(vec![Record { key: "k".to_owned(), data, ..Record::default() }]).await;
        }
        let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "").await;
        pipeline.run_to_the_end(1).await;
        pipeline.check(&stream.expected()).await;
    }
}

/// Would catch a bounded run that waits for records of a shard that has none, and a split of such a shard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_shards_hold_nothing_up() {
    for kind in [Kind::KinesisLocal, Kind::Kinesalite] {
        let mut stream = Stream::new(kind, "empty-shards", 4).await;
        let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "").await;
        pipeline.run_to_the_end(2).await;
        pipeline.check(&Expected::default()).await;
        // One shard gets everything; one that never had anything splits, and its parts merge.
        for number in 0..20 {
            let data =
                json!({"article_id": format!("e{number}"), "content": "three words here"}).to_string().into_bytes();
            stream.put_all(vec![Record { key: "k".to_owned(), hash_key: Some(7), data }]).await;
        }
        stream.split_at(3).await;
        stream.merge_at(3).await;
        pipeline.run_to_the_end(2).await;
        pipeline.check(&stream.expected()).await;
    }
}

/// Would catch an exchange that loses a batch or takes one twice, and one that leaves all the work to the shard's worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_shard_is_spread_over_the_workers() {
    let mut stream = Stream::new(Kind::Kinesalite, "hot", 1).await;
    let mut pipeline = reader(&[&stream], &server(Kind::Kinesalite).await.endpoint, "").await;
    pipeline.change("[sink]", "[balance]\nexchange = \"batches\"\n[sink]");
    let mut process = pipeline.run(2, &[]);
    for round in 1..=6 {
        stream.put(24).await;
        until_committed(&mut pipeline, &mut process, 24 * round).await;
    }
    comes_out(&mut pipeline, process, &stream.expected()).await;
    for worker in ["-w0-", "-w1-"] {
        let by = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).contains(worker);
        let commits = pipeline.known.iter().filter(|(key, _)| key.starts_with("/.millstream/commits/"));
        assert!(commits.filter(|(_, bytes)| by(bytes)).count() > 0, "no file is {worker}");
    }
}

/// Would catch a pipeline that waits for ever for a stream that is gone, or ends as if all were well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_deleted_while_it_is_read_is_named() {
    for kind in [Kind::KinesisLocal, Kind::Kinesalite] {
        let mut stream = Stream::new(kind, "vanishing", 2).await;
        let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "").await;
        stream.put(24).await;
        let mut process = pipeline.run(1, &[]);
        until_committed(&mut pipeline, &mut process, 24).await;
        stream.delete().await;
        let ended = timeout(Duration::from_secs(40), process.wait()).await.expect("it goes on without its stream");
        assert!(matches!(ended.code, Some(1 | 4)), "{:?}; it said:\n{}", ended.code, ended.stderr);
        assert!(ended.stderr.contains("vanishing"), "it does not name the stream:\n{}", ended.stderr);
        pipeline.check(&stream.expected()).await;
    }
}

/// Would catch a reader that takes a stream of the same name for the one it knew, and skips what is in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_made_again_is_not_taken_for_the_old_one() {
    for kind in [Kind::KinesisLocal, Kind::Kinesalite] {
        let mut stream = Stream::new(kind, "made-again", 2).await;
        let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "").await;
        stream.put(24).await;
        pipeline.run_to_the_end(1).await;
        let expected = stream.expected();
        stream.delete().await;
        sleep(Duration::from_millis(1100)).await;
        stream.create(2).await;
        stream.put(24).await;
        let ended = pipeline.run(1, &["--until-end"]).wait().await.with(4);
        assert!(ended.stderr.contains("made-again/shardId-"), "it does not name the shard:\n{}", ended.stderr);
        pipeline.check(&expected).await;
    }
}

/// Would catch a stream that is not there and looks like an empty one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_there_is_named() {
    let stream = Stream::new(Kind::KinesisLocal, "never-made", 1).await;
    stream.delete().await;
    let pipeline = reader(&[&stream], &server(Kind::KinesisLocal).await.endpoint, "").await;
    let ended = pipeline.run(1, &["--until-end"]).wait().await.with(1);
    assert!(ended.stderr.contains("never-made"), "{}", ended.stderr);
}

/// Would catch streams whose shards, which have the same ids, are taken for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_streams_come_out_of_one_pipeline() {
    for kind in [Kind::KinesisLocal, Kind::Kinesalite] {
        let mut streams = Vec::new();
        for name in ["several-a", "several-b", "several-c"] {
            streams.push(Stream::new(kind, name, 2).await);
        }
        let mut pipeline = reader(&streams.iter().collect::<Vec<_>>(), &server(kind).await.endpoint, "").await;
        let process = pipeline.run(2, &[]);
        for stream in &mut streams {
            stream.put(30).await;
        }
        streams[1].split_at(1).await;
        for stream in &mut streams {
            stream.put(30).await;
        }
        let mut expected = Expected::default();
        streams.iter().for_each(|stream| stream.puts.iter().for_each(|put| stream.take(&mut expected, put)));
        comes_out(&mut pipeline, process, &expected).await;
    }
}

/// Would catch a run to the end that chases a producer for ever, or that stops before children of what closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bounded_run_ends_by_itself_while_records_still_arrive() {
    for kind in [Kind::KinesisLocal, Kind::Kinesalite] {
        let mut stream = Stream::new(kind, "bounded", 1).await;
        let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, "").await;
        stream.put(48).await;
        stream.split_at(0).await;
        stream.put(48).await;
        let there = stream.puts.len();
        let mut process = pipeline.run(2, &["--until-end"]);
        while process.runs() {
            stream.put(1).await;
            sleep(Duration::from_millis(10)).await;
            assert!(stream.puts.len() < there + 5_000, "it chases its producer");
        }
        process.wait().await.with(0);
        let committed = crate::whole::reader::committed(&mut pipeline).await;
        assert!((there..=stream.puts.len()).contains(&committed), "{committed} of {there} and more");
        pipeline.run_to_the_end(1).await;
        pipeline.check(&stream.expected()).await;
    }
}

/// Would catch a listing of which only the first page is read, and a later page that is asked for by name, which is an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_are_listed_page_by_page() {
    let proxy = Proxy::before(&server(Kind::KinesisLocal).await.endpoint).await;
    let pages = proxy.on("ListShards", |_| true, Fault::With("MaxResults", 2));
    let mut stream = Stream::new(Kind::KinesisLocal, "pages", 7).await;
    let mut pipeline = reader(&[&stream], &proxy.endpoint, "").await;
    stream.put(48).await;
    assert_eq!(stream.shards_used(), 7, "a shard has no record");
    pipeline.run_to_the_end(1).await;
    pipeline.check(&stream.expected()).await;
    assert!(pages.times() >= 4, "{pages:?}");
}

/// Would catch a discovery or a reader that costs too much a shard, and shards that one worker gets all of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_shards_come_out() {
    let mut stream = Stream::new(Kind::Kinesalite, "hundreds", 300).await;
    let step = u128::MAX / 300;
    for call in 0..3 {
        let record = |shard: u128| Record {
            key: format!("{shard}"),
            hash_key: Some(shard * step + 1),
            data: json!({"article_id": format!("{call}-{shard}"), "content": "of many"}).to_string().into_bytes(),
        };
        stream.put_all((0..300).map(record).collect()).await;
    }
    assert_eq!(stream.shards_used(), 300);
    let mut pipeline = reader(&[&stream], &server(Kind::Kinesalite).await.endpoint, "").await;
    pipeline.run_to_the_end(2).await;
    pipeline.check(&stream.expected()).await;
}

/// Would catch an ARN that is taken for a name: of splits, which are to stay the same, or of what the service is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_by_its_name_or_its_arn() {
    let mut stream = Stream::new(Kind::KinesisLocal, "by-arn", 2).await;
    let endpoint = &server(Kind::KinesisLocal).await.endpoint;
    stream.put(24).await;
    let mut pipeline = reader(&[&stream], endpoint, "").await;
    pipeline.run_to_the_end(1).await;
    pipeline.change("\"by-arn\"", &format!("{:?}", stream.arn().await));
    stream.put(24).await;
    pipeline.run_to_the_end(1).await;
    pipeline.check(&stream.expected()).await;
}
