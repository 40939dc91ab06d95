//! What the Kinesis Producer Library packs together comes apart again, and what only looks like it is left alone.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::services::kinesis::{Kind, server};
use crate::whole::aggregate::{Part, aggregate, hash_of, sealed};
use crate::whole::articles::{Articles, gzip};
use crate::whole::oracle::Expected;
use crate::whole::reader::{committed, reader, stop, until_committed};
use crate::whole::stream::{Put, Record, Stream};

const MIDDLE: u128 = 1 << 127;

/// Puts a payload to the shard that holds this hash key, and gives back where it lies.
async fn put(stream: &mut Stream, hash_key: u128, data: Vec<u8>) -> Put {
    let record = Record { key: "an aggregate".to_owned(), hash_key: Some(hash_key), data };
    stream.put_all(vec![record]).await;
    stream.puts.last().unwrap().clone()
}

/// Takes in what must become of an aggregate: each of its parts is a record, behind the others.
fn take(stream: &Stream, expected: &mut Expected, put: &Put, parts: &[Part]) {
    for (number, part) in parts.iter().enumerate() {
        stream.take_part(expected, put, number, &part.data);
    }
}

/// Articles whose keys lie in one half of the hash range.
fn parts(articles: &mut Articles, count: usize, lower: bool) -> Vec<Part> {
    let keys = (0..).map(|number| format!("user-{number}")).filter(|key| (hash_of(key) < MIDDLE) == lower);
    keys.take(5).cycle().take(count).map(|key| Part { key, hash_key: None, data: articles.record() }).collect()
}

/// Would catch aggregates that come out as one broken record, tables of keys read wrongly, and parts that are refused or
/// packed themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregates_come_apart() {
    let mut stream = Stream::new(Kind::KinesisLocal, "aggregates", 2).await;
    let (mut articles, mut expected) = (Articles::named("part"), Expected::default());
    for lower in [true, false, true] {
        let mut parts = parts(&mut articles, 40, lower);
        // By itself its key would belong to the other half; its explicit hash key says otherwise.
        parts[3].key = (0..).map(|n| format!("other-{n}")).find(|key| (hash_of(key) < MIDDLE) != lower).unwrap();
        parts[3].hash_key = Some(if lower { 5 } else { u128::MAX });
        let put = put(&mut stream, if lower { 0 } else { MIDDLE }, aggregate(&parts)).await;
        take(&stream, &mut expected, &put, &parts);
        stream.put(5).await;
        stream.puts.iter().rev().take(5).for_each(|put| stream.take(&mut expected, put));
    }
    let mut packed = parts(&mut articles, 2, true);
    for (number, part) in packed.iter_mut().enumerate() {
        part.data = json!({"article_id": format!("packed-{number}"), "content": "two words"}).to_string().into_bytes();
    }
    let zipped: Vec<Part> = packed.iter().map(|part| Part { data: gzip(&part.data), ..part.clone() }).collect();
    let put = put(&mut stream, 0, aggregate(&zipped)).await;
    take(&stream, &mut expected, &put, &packed);
    let mut pipeline = reader(&[&stream], &server(Kind::KinesisLocal).await.endpoint, "").await;
    pipeline.run_to_the_end(2).await;
    pipeline.check(&expected).await;
}

/// Would catch records that come twice when the library sends an aggregate again after a split: of a part that does not belong to
/// the shard, the library knows that it has to send it to the right one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_another_shard_are_left_to_that_shard() {
    let mut stream = Stream::new(Kind::Kinesalite, "foreign-parts", 2).await;
    let (mut articles, mut expected) = (Articles::named("foreign"), Expected::default());
    let (lower, upper) = (parts(&mut articles, 10, true), parts(&mut articles, 10, false));
    let mixed: Vec<Part> = lower.iter().zip(&upper).flat_map(|(one, other)| [one.clone(), other.clone()]).collect();
    for first in [0, 1] {
        let put = put(&mut stream, [0, MIDDLE][first], aggregate(&mixed)).await;
        for (number, part) in mixed.iter().enumerate().skip(first).step_by(2) {
            stream.take_part(&mut expected, &put, number, &part.data);
        }
    }
    let mut pipeline = reader(&[&stream], &server(Kind::Kinesalite).await.endpoint, "").await;
    pipeline.run_to_the_end(1).await;
    pipeline.check(&expected).await;
}

/// Would catch a reader that drops, or takes apart, what merely begins like an aggregate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_looks_like_an_aggregate_is_a_record() {
    let mut stream = Stream::new(Kind::KinesisLocal, "looks-like", 1).await;
    let mut wrong_sum = aggregate(&parts(&mut Articles::named("looks"), 3, true));
    *wrong_sum.last_mut().unwrap() ^= 1;
    let whole = aggregate(&parts(&mut Articles::named("looks"), 3, true));
    let pretenders = [
        wrong_sum,
        whole[..whole.len() - 1].to_vec(),
        whole[..4].to_vec(),
        whole[..20].to_vec(),
        sealed(b"this is no protobuf message"),
        // A part whose key is not in the table.
        sealed(&[0x1A, 0x04, 0x08, 0x07, 0x1A, 0x00]),
    ];
    for data in pretenders {
        put(&mut stream, 0, data).await;
    }
    stream.put(5).await;
    let mut pipeline = reader(&[&stream], &server(Kind::KinesisLocal).await.endpoint, "").await;
    pipeline.run_to_the_end(1).await;
    pipeline.check(&stream.expected()).await;
}

/// Would catch a position that knows only the record of the stream: a restart then repeats an aggregate's first parts, or loses
/// its last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_inside_aggregates_neither_loses_nor_repeats_a_part() {
    let mut stream = Stream::new(Kind::Kinesalite, "kill-inside", 2).await;
    let (mut articles, mut expected, mut rng) =
        (Articles::named("inside"), Expected::default(), StdRng::seed_from_u64(5));
    let mut pipeline = reader(&[&stream], &server(Kind::Kinesalite).await.endpoint, "").await;
    let mut kills = 0;
    for round in 0..12 {
        for lower in [true, false] {
            // Many times what an epoch holds here.
            let parts = parts(&mut articles, 400, lower);
            let put = put(&mut stream, if lower { 0 } else { MIDDLE }, aggregate(&parts)).await;
            take(&stream, &mut expected, &put, &parts);
        }
        let process = pipeline.run(1 + round % 2, &[]);
        sleep(Duration::from_millis(rng.random_range(100..700))).await;
        kills += u32::from(process.kill().await.was_killed());
        assert!(committed(&mut pipeline).await <= expected.rows.len() + expected.rejects.len());
    }
    assert_eq!(kills, 12, "a run did not live to be killed");
    let mut process = pipeline.run(2, &[]);
    until_committed(&mut pipeline, &mut process, expected.rows.len() + expected.rejects.len()).await;
    stop(process).await;
    pipeline.check(&expected).await;
}
