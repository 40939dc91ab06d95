//! A service played by a socket, for what a real one does once in a long while: records that passed out of the stream, a stream
//! that is deleted while it is read, iterators that expire, answers that are lost.
//!
//! Each test proves what a reader makes of it. The mistakes to catch: records skipped in silence, a run that ends for a
//! trouble that passes, and one that goes on where it must not.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_credential_types::Credentials;

use millstream_operators::protocol::State;
use millstream_operators::protocol::state::SplitState;
use millstream_operators::{Permit, Position, RawBatch};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const HOUR: i64 = 3_600_000;
const NOW: i64 = 1_700_000_000_000;

/// What the service does with a call: answers with a status, or (none) takes it and hangs up.
type Acts = Arc<dyn Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync>;

/// Bytes as the service's JSON has them.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits = (0..3).fold(0_u32, |bits, i| bits << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
        let letter = |i: usize| match i <= chunk.len() {
            true => LETTERS[(bits >> (18 - 6 * i) & 63) as usize] as char,
            false => '=',
        };
        (0..4).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

async fn serve(acts: Acts) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(converse(socket, acts.clone()));
        }
    });
    endpoint
}

/// Answers one call after the other until either side hangs up.
async fn converse(mut socket: TcpStream, acts: Acts) {
    let mut heard = Vec::new();
    loop {
        let Some((operation, body)) = hear(&mut socket, &mut heard).await else { return };
        let Some((status, answer)) = acts(&operation, &body) else { return };
        let text = answer.to_string();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: ");
        let answer = format!("{head}{}\r\n\r\n{text}", text.len());
        socket.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// The next call: its operation and its body.
async fn hear(socket: &mut TcpStream, heard: &mut Vec<u8>) -> Option<(String, Value)> {
    loop {
        let text = String::from_utf8_lossy(heard).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let field = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(": "));
                lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
            };
            let length: usize = field("content-length").unwrap_or_default().parse().unwrap_or_default();
            if rest.len() >= length {
                let operation = field("x-amz-target").unwrap_or_default().rsplit('.').next().unwrap().to_owned();
                let body = serde_json::from_str(&rest[..length]).unwrap_or_default();
                heard.drain(..head.len() + 4 + length);
                return Some((operation, body));
            }
        }
        let mut piece = [0; 4096];
        match socket.read(&mut piece).await {
            Ok(read @ 1..) => heard.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
}

fn error(code: &str) -> Option<(u16, Value)> {
    Some((400, json!({"__type": code, "message": "played"})))
}

fn summary() -> Option<(u16, Value)> {
    let said = json!({
        "StreamName": "s", "StreamARN": "arn:aws:kinesis:us-east-1:1:stream/s", "StreamStatus": "ACTIVE",
        "RetentionPeriodHours": 24, "StreamCreationTimestamp": 1_000_000, "EnhancedMonitoring": [], "OpenShardCount": 1,
    });
    Some((200, json!({"StreamDescriptionSummary": said})))
}

fn shards(shards: &[(&str, Option<&str>)]) -> Option<(u16, Value)> {
    let shard = |(id, parent): &(&str, Option<&str>)| {
        json!({
            "ShardId": id, "ParentShardId": parent, "SequenceNumberRange": {"StartingSequenceNumber": "1"},
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": u128::MAX.to_string()},
        })
    };
    Some((200, json!({"Shards": shards.iter().map(shard).collect::<Vec<_>>()})))
}

/// Records by sequence number and time of arrival; an iterator is the number of the first that it gives.
fn records(records: &[(u64, i64)], from: u64, limit: usize, closed: bool) -> Option<(u16, Value)> {
    let record = |(sequence, arrived): &(u64, i64)| {
        json!({
            "SequenceNumber": sequence.to_string(), "PartitionKey": "k", "Data": base64(sequence.to_string().as_bytes()),
            "ApproximateArrivalTimestamp": *arrived as f64 / 1000.0,
        })
    };
    let given: Vec<&(u64, i64)> = records.iter().filter(|(sequence, _)| *sequence >= from).take(limit).collect();
    let next = given.last().map_or(from, |(sequence, _)| sequence + 1);
    let next = (!closed || !given.is_empty()).then(|| next.to_string());
    let given: Vec<Value> = given.into_iter().map(record).collect();
    Some((200, json!({"Records": given, "NextShardIterator": next, "MillisBehindLatest": 0})))
}

/// A shard that behaves; `kept` are the records that it has.
fn well(kept: &'static [(u64, i64)], operation: &str, body: &Value) -> Option<(u16, Value)> {
    let number = |value: &Value| value.as_str().unwrap_or_default().parse::<u64>().unwrap_or_default();
    match operation {
        "DescribeStreamSummary" => summary(),
        "ListShards" => shards(&[("a", None)]),
        "GetShardIterator" => {
            let from = match body["ShardIteratorType"].as_str().unwrap() {
                "AFTER_SEQUENCE_NUMBER" => number(&body["StartingSequenceNumber"]) + 1,
                "AT_SEQUENCE_NUMBER" => number(&body["StartingSequenceNumber"]),
                _ => 0,
            };
            Some((200, json!({"ShardIterator": from.to_string()})))
        }
        "GetRecords" => {
            let limit = body["Limit"].as_u64().unwrap() as usize;
            records(kept, number(&body["ShardIterator"]), limit, true)
        }
        other => panic!("{other} was called"),
    }
}

#[derive(Default)]
struct Kept(Vec<String>);

#[async_trait]
impl Outlet for Kept {
    async fn reserve(&mut self, _: usize) -> Option<Permit> {
        Some(Permit::free())
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        let text = |index| String::from_utf8(batch.records.bytes(index).unwrap().to_vec()).unwrap();
        self.0.extend((0..batch.records.len()).map(text));
        true
    }
}

/// The stream `s` of this service.
async fn source(acts: Acts, start: Start) -> Kinesis {
    let access = Access {
        endpoint: Some(serve(acts).await),
        region: Some("us-east-1".into()),
        credentials: Some(Credentials::new("key", "the-secret", None, None, "test")),
        ..Access::default()
    };
    let clock: Clock = Arc::new(|| NOW * 1000);
    let (streams, bounds) = (vec!["s".to_owned()], Bounds::Unbounded);
    Kinesis::connect(Options { streams, start, access, consumer: None, bounds, clock }).await.unwrap()
}

/// Looks, and reads shard `a` from a position of the log (none: from its beginning).
async fn run(acts: Acts, at: Option<&str>, start: Start) -> (Result<End, SourceError>, Vec<String>) {
    let source = source(acts, start).await;
    let at = at.map(Position::new);
    let mut log = State::default();
    log.pins.insert("s".into(), "2000-01-01T00:00:00Z".into());
    log.positions.extend(at.iter().map(|at| ("s/a".into(), SplitState { at: at.clone(), done: false })));
    source.goes_on_from(&log);
    let mut kept = Kept::default();
    let split = match source.discover().await {
        Ok(found) => found.splits.into_iter().find(|split| &*split.name == "s/a").unwrap(),
        Err(error) => return (Err(error), kept.0),
    };
    (source.read(&split, at, &mut kept).await, kept.0)
}

fn is_gone(result: &Result<End, SourceError>, text: &str) {
    let Err(SourceError::Gone { split, .. }) = result else { panic!("{result:?}") };
    let said = result.as_ref().unwrap_err().to_string();
    assert!(split == "s/a" && said.contains(text), "{said}");
}

const OLD: &[(u64, i64)] = &[(7, NOW - 30 * HOUR), (8, NOW - 23 * HOUR), (9, NOW - HOUR)];

fn note(sequence: u64, hours_ago: i64) -> String {
    format!("{sequence}.1#whole,read={}", NOW - hours_ago * HOUR)
}

#[tokio::test]
async fn what_may_have_passed_while_the_pipeline_stood_still_is_a_loud_stop() {
    let acts: Acts = Arc::new(|operation, body| well(OLD, operation, body));
    // Read up to less than a retention ago: nothing is asked. Longer ago: the oldest record was read already, or it was not.
    let (end, read) = run(acts.clone(), Some(&note(5, 23)), Start::TrimHorizon).await;
    assert_eq!((end.unwrap(), read), (End::Finished, vec!["7".into(), "8".into(), "9".into()]));
    let (end, read) = run(acts.clone(), Some(&note(7, 30)), Start::TrimHorizon).await;
    assert_eq!((end.unwrap(), read), (End::Finished, vec!["8".into(), "9".into()]));
    let (end, read) = run(acts.clone(), Some(&note(6, 30)), Start::TrimHorizon).await;
    is_gone(&end, "what arrived between 2023-11-13T16:13:20Z and 2023-11-13T22:13:20Z is gone");
    assert!(read.is_empty());
    let empty: Acts = Arc::new(|operation, body| well(&[], operation, body));
    is_gone(
        &run(empty.clone(), Some(&note(6, 25)), Start::TrimHorizon).await.0,
        "the stream keeps records for 24 hours",
    );
    is_gone(
        &run(empty.clone(), Some(&format!("0.0#read={}", NOW - 25 * HOUR)), Start::TrimHorizon).await.0,
        "24 hours",
    );
    assert_eq!(run(empty, Some(&note(6, 23)), Start::TrimHorizon).await.0.unwrap(), End::Finished);
    // What `latest` stands for is longer ago than anything is kept, and nothing was ever committed.
    is_gone(&run(acts.clone(), None, Start::Latest).await.0, "2000-01-01T00:00:00Z");
    assert_eq!(run(acts, None, Start::TrimHorizon).await.1.len(), 3);
}

#[tokio::test]
async fn a_child_of_a_listed_parent_is_no_loss_and_an_orphan_is() {
    let acts = |listed: &'static [(&'static str, Option<&'static str>)]| -> Acts {
        Arc::new(move |operation, body| match operation {
            "ListShards" => shards(listed),
            _ => well(OLD, operation, body),
        })
    };
    let idle = format!("0.0#read={}", NOW - 25 * HOUR);
    let (end, read) = run(acts(&[("p", None), ("a", Some("p"))]), Some(&idle), Start::TrimHorizon).await;
    assert_eq!((end.unwrap(), read.len()), (End::Finished, 3));
    is_gone(&run(acts(&[("a", Some("p"))]), Some(&idle), Start::TrimHorizon).await.0, "between");
    // The shard that the log knows unfinished is not listed.
    is_gone(&run(acts(&[("b", None)]), Some(&note(7, 1)), Start::TrimHorizon).await.0, "has forgotten the shard");
}

/// Plays `first` instead of the first answers to an operation, then behaves.
fn once(operation: &'static str, first: Vec<Option<(u16, Value)>>) -> Acts {
    let first = Mutex::new(first.into_iter());
    Arc::new(move |called, body| {
        let played = if called == operation { first.lock().unwrap().next() } else { None };
        played.unwrap_or_else(|| well(OLD, called, body))
    })
}

#[tokio::test]
async fn troubles_that_pass_cost_no_record() {
    let busy = || error("ProvisionedThroughputExceededException");
    for acts in [
        once("GetRecords", vec![error("ExpiredIteratorException"), error("ExpiredIteratorException")]),
        once("GetRecords", vec![busy(), busy(), busy(), busy(), busy()]),
        once("GetRecords", vec![None, None]),
        once("GetRecords", vec![error("InvalidArgumentException")]),
        once("GetShardIterator", vec![busy(), None]),
        once("ListShards", vec![error("LimitExceededException"), None]),
        once("DescribeStreamSummary", vec![error("LimitExceededException")]),
    ] {
        let (end, read) = run(acts, Some(&note(6, 1)), Start::TrimHorizon).await;
        assert_eq!((end.unwrap(), read), (End::Finished, vec!["7".into(), "8".into(), "9".into()]));
    }
    // What lasts longer than a few tries is for the pipeline to wait out.
    let acts: Acts = Arc::new(|operation, body| match operation {
        "GetRecords" => Some((500, json!({}))),
        _ => well(OLD, operation, body),
    });
    let end = run(acts, None, Start::TrimHorizon).await.0;
    assert!(matches!(end, Err(SourceError::Unavailable { .. })), "{end:?}");
}

#[tokio::test]
async fn a_stream_that_goes_while_it_is_read_is_told_from_a_shard_that_does() {
    let gone = || error("ResourceNotFoundException");
    let deleted: Acts = Arc::new({
        let reading = Mutex::new(false);
        move |operation, body| {
            let mut reading = reading.lock().unwrap();
            *reading |= operation == "GetRecords";
            if *reading { error("ResourceNotFoundException") } else { well(OLD, operation, body) }
        }
    });
    let Err(SourceError::Refused { name, message }) = run(deleted, None, Start::TrimHorizon).await.0 else {
        panic!("a deleted stream was not refused")
    };
    assert!(name == "s" && message.contains("it was deleted"), "{name}: {message}");
    is_gone(
        &run(once("GetRecords", vec![gone(), gone()]), None, Start::TrimHorizon).await.0,
        "has forgotten the shard",
    );
}

#[tokio::test]
async fn a_position_that_the_stream_does_not_know_is_of_another_stream() {
    let acts = once("GetShardIterator", vec![error("InvalidArgumentException")]);
    is_gone(&run(acts, Some(&note(8, 1)), Start::TrimHorizon).await.0, "deleted and made again");
    // A time that the service's clock has not reached is waited for.
    let ahead =
        json!({"__type": "InvalidArgumentException", "message": "cannot be greater than the currentTimestampInMillis"});
    let acts = once("GetShardIterator", vec![Some((400, ahead))]);
    let (end, read) = run(acts, None, Start::At(NOW * 1000)).await;
    assert_eq!((end.unwrap(), read.len()), (End::Finished, 3));
}

/// Would catch a claim that asks the wrong stream, or that asks where nothing can be forgotten.
#[tokio::test]
async fn a_finished_shard_that_is_listed_no_more_is_forgotten() {
    let acts: Acts = Arc::new(|operation, body| match operation {
        "ListShards" => shards(&[("b", Some("a"))]),
        _ => well(OLD, operation, body),
    });
    let source = source(acts, Start::TrimHorizon).await;
    let mut log = State::default();
    let state = |done| SplitState { at: Position::new(note(7, 1)), done };
    log.positions.extend([("s/old".into(), state(true)), ("s/a".into(), state(true)), ("s/b".into(), state(false))]);
    assert_eq!(source.forgets(&log).await.unwrap(), ["s/old".into()]);
    let silent: Acts = Arc::new(|operation, _| panic!("{operation} was called"));
    log.positions.retain(|_, state| !state.done);
    assert_eq!(self::source(silent, Start::TrimHorizon).await.forgets(&log).await.unwrap(), []);
}

#[tokio::test]
async fn every_page_of_a_long_listing_is_read() {
    let acts: Acts = Arc::new(|operation, body| match (operation, body["NextToken"].as_str()) {
        ("ListShards", None) => {
            Some((200, json!({"Shards": shards(&[("b", None)]).unwrap().1["Shards"], "NextToken": "x"})))
        }
        ("ListShards", Some("x")) if body["StreamName"].is_null() => shards(&[("a", Some("b"))]),
        ("ListShards", _) => error("InvalidArgumentException"),
        _ => well(OLD, operation, body),
    });
    assert_eq!(run(acts, None, Start::TrimHorizon).await.1.len(), 3);
}
