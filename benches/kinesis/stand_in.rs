//! A stand-in for Kinesis that answers from memory as fast as it is asked. It keeps no limits and checks no signature.
//!
//! A folder of NDJSON files is a stream: each file a shard, each line a record. Payloads are encoded before the first call;
//! an answer puts them together with their sequence numbers.

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What one answer of GetRecords holds at most: the service's own limits.
const RECORDS: usize = 10_000;
const BYTES: usize = 10_000_000;
/// Before the index of a record, so that sequence numbers are as long as the service's.
const SEQUENCE: &str = "49590338271490256608559692538361571095921";
const ARRIVED: f64 = 1_700_000_000.123;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A record's payload as JSON carries it.
struct Encoded {
    text: String,
    bytes: usize,
}

type Stream = Arc<Vec<Vec<Encoded>>>;

/// Serves the records until standard input ends, and says on standard output where.
pub(crate) fn serve(folder: &Path) -> ! {
    let stream = load(folder);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        loop {
            let (client, _) = listener.accept().await.unwrap();
            client.set_nodelay(true).unwrap();
            tokio::spawn(answer_all(client, stream.clone()));
        }
    })
}

fn load(folder: &Path) -> Stream {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let record = |line: &[u8]| Encoded { text: base64(line), bytes: line.len() };
    let shard = |path| fs::read(path).unwrap().trim_ascii_end().split(|byte| *byte == b'\n').map(record).collect();
    Arc::new(paths.into_iter().map(shard).collect())
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > three.len() { '=' } else { letter.into() });
        }
    }
    text
}

/// Call after call on one connection.
async fn answer_all(mut client: TcpStream, stream: Stream) {
    let mut bytes = Vec::new();
    while let Some((action, body, rest)) = next_call(&mut client, bytes).await {
        let answer = answer(&action, &body, &stream);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: ";
        let answer = format!("{head}{}\r\n\r\n{answer}", answer.len());
        // Who hangs up has what it wanted.
        if client.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        bytes = rest;
    }
}

/// The action and the body of the next call, and what came behind it.
async fn next_call(client: &mut TcpStream, mut bytes: Vec<u8>) -> Option<(String, Value, Vec<u8>)> {
    loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let action = header("x-amz-target")?.rsplit('.').next()?.to_owned();
                let rest = bytes.split_off(end + 4 + length);
                return Some((action, serde_json::from_slice(&bytes[end + 4..]).ok()?, rest));
            }
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn answer(action: &str, asked: &Value, stream: &Stream) -> String {
    match action {
        "listshards" => {
            json!({"Shards": (0..stream.len()).map(|shard| listed(shard, stream.len())).collect::<Vec<_>>()})
                .to_string()
        }
        "describestreamsummary" => summary(stream.len()).to_string(),
        "getsharditerator" => {
            let shard = asked["ShardId"].as_str().unwrap().rsplit('-').next().unwrap();
            let next = match asked["ShardIteratorType"].as_str().unwrap() {
                "AFTER_SEQUENCE_NUMBER" => index(asked) + 1,
                "AT_SEQUENCE_NUMBER" => index(asked),
                _ => 0,
            };
            json!({"ShardIterator": format!("{shard}:{next}")}).to_string()
        }
        "getrecords" => {
            let (shard, next) = asked["ShardIterator"].as_str().unwrap().split_once(':').unwrap();
            let limit = asked["Limit"].as_u64().map_or(RECORDS, |limit| limit as usize);
            records(shard.parse().unwrap(), next.parse().unwrap(), limit, stream)
        }
        other => panic!("the stand-in does not know {other}"),
    }
}

fn listed(shard: usize, shards: usize) -> Value {
    let width = u128::MAX / shards as u128;
    let last = if shard + 1 == shards { u128::MAX } else { width * (shard as u128 + 1) - 1 };
    json!({
        "ShardId": format!("shardId-{shard:012}"),
        "HashKeyRange": {"StartingHashKey": (width * shard as u128).to_string(), "EndingHashKey": last.to_string()},
        "SequenceNumberRange": {"StartingSequenceNumber": sequence(0)},
    })
}

fn summary(shards: usize) -> Value {
    json!({"StreamDescriptionSummary": {
        "StreamName": "bench",
        "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/bench",
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": ARRIVED,
        "EnhancedMonitoring": [],
        "OpenShardCount": shards,
    }})
}

fn sequence(index: usize) -> String {
    format!("{SEQUENCE}{index:015}")
}

fn index(asked: &Value) -> usize {
    asked["StartingSequenceNumber"].as_str().unwrap()[SEQUENCE.len()..].parse().unwrap()
}

fn records(shard: usize, first: usize, limit: usize, stream: &Stream) -> String {
    let all = &stream[shard];
    let (mut next, mut bytes, mut answer) = (first, 0, String::from("{\"Records\":["));
    while next < all.len() && next - first < limit && bytes + all[next].bytes <= BYTES {
        let comma = if next == first { "" } else { "," };
        let (sequence, data) = (sequence(next), &all[next].text);
        write!(
            answer,
            "{comma}{{\"ApproximateArrivalTimestamp\":{ARRIVED},\"Data\":\"{data}\",\"PartitionKey\":\"{next}\",\"SequenceNumber\":\"{sequence}\"}}"
        )
        .unwrap();
        bytes += all[next].bytes;
        next += 1;
    }
    let behind = if next == all.len() { 0 } else { 60_000 };
    write!(answer, "],\"NextShardIterator\":\"{shard}:{next}\",\"MillisBehindLatest\":{behind}}}").unwrap();
    answer
}
