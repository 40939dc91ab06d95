//! The records of one partition key come out in the order in which they were put, whatever its shards did in between.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use serde_json::json;

use crate::services::kinesis::{Kind, server};
use crate::whole::pipeline::Pipeline;
use crate::whole::reader::{reader, stop, until_committed};
use crate::whole::sink::batches;
use crate::whole::stream::{Record, Stream};

const KEYS: u64 = 12;

/// Puts a record of each key, with its number in the title.
async fn put_round(stream: &mut Stream, round: u64) {
    let record = |key: u64| {
        let id = format!("{key}-{round}");
        let data = json!({"article_id": id, "title": format!("{key}"), "content": "one two"}).to_string().into_bytes();
        Record { key: format!("key-{key}"), data, ..Record::default() }
    };
    stream.put_all((0..KEYS).map(record).collect()).await;
}

/// Would catch children that are read beside their parents, or before them.
async fn order_survives(kind: Kind, more: &str) {
    let mut stream = Stream::new(kind, &format!("order-{}", more.len()), 1).await;
    let mut pipeline = reader(&[&stream], &server(kind).await.endpoint, more).await;
    put_round(&mut stream, 0).await;
    let process = pipeline.run(1, &[]);
    for round in 1..10 {
        match round {
            3 | 6 => stream.split_at(0).await,
            8 => stream.merge_at(1).await,
            _ => {}
        }
        put_round(&mut stream, round).await;
    }
    assert!(process.kill().await.was_killed());
    stream.merge_at(0).await;
    let mut process = pipeline.run(1, &[]);
    for round in 10..=15 {
        put_round(&mut stream, round).await;
    }
    until_committed(&mut pipeline, &mut process, stream.puts.len()).await;
    stop(process).await;
    let found = titles_in_order(&mut pipeline).await;
    let wanted: Vec<u64> = (0..=15).collect();
    for key in 0..KEYS {
        assert_eq!(found.get(&key), Some(&wanted), "key {key}");
    }
}

/// The rounds of every key, in the order of epochs, files of an epoch, and rows of a file.
async fn titles_in_order(pipeline: &mut Pipeline) -> BTreeMap<u64, Vec<u64>> {
    let visible = pipeline.sink.check_visible(&mut pipeline.known).await;
    let mut files: Vec<_> = visible.iter().map(|key| (number(key, "e"), number(key, "-g"), key)).collect();
    // Every epoch has one file here: one worker, one day, and little in it.
    files.sort();
    assert!(files.windows(2).all(|pair| pair[0].0 < pair[1].0), "{files:?}");
    let mut found: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (_, _, key) in files {
        for batch in batches(&pipeline.known[key]) {
            assert_eq!(batch.column_by_name("word_count").unwrap().as_primitive::<Int64Type>().value(0), 2);
            for id in batch.column_by_name("article_id").unwrap().as_string::<i32>().iter() {
                let (key, round) = id.unwrap().split_once('-').unwrap();
                found.entry(key.parse().unwrap()).or_default().push(round.parse().unwrap());
            }
        }
    }
    found
}

/// The number behind `what` in the name of a file, as `e7-w0-3-g2.parquet`.
fn number(key: &str, what: &str) -> u64 {
    let name = key.rsplit('/').next().unwrap();
    let rest = &name[name.find(what).unwrap() + what.len()..];
    rest.split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_per_key_survives_resharding() {
    order_survives(Kind::KinesisLocal, "").await;
    order_survives(Kind::Kinesalite, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_per_key_survives_resharding_with_fan_out() {
    order_survives(Kind::KinesisLocal, "consumer = \"orderly\"").await;
}
