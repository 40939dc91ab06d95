//! Records into batches without a service. Would catch a record handed on twice after a resume or a renewed subscription, one
//! left out, and a place that counts a shard as read further than it is.

use std::sync::Mutex;

use async_trait::async_trait;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use md5::{Digest, Md5};
use millstream_operators::protocol::assign::Bounds;

use super::super::aggregate::HashKeys;
use super::super::discover::Shard;
use super::super::stream::StreamId;
use super::*;
use crate::connector::aws::Access;

const NOW: i64 = 1_700_000_000_000;
/// Room for one record of two bytes.
const RESERVED: usize = BESIDE + 2;

#[derive(Default)]
struct Kept {
    batches: Vec<RawBatch>,
    reserved: Vec<usize>,
}

#[async_trait]
impl Outlet for Kept {
    async fn reserve(&mut self, bytes: usize) -> Option<Permit> {
        self.reserved.push(bytes);
        Some(Permit::free())
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        self.batches.push(batch);
        true
    }
}

fn record(sequence: &str, arrived: i64, data: impl Into<Vec<u8>>) -> Record {
    let record = Record::builder().sequence_number(sequence).partition_key("k").data(Blob::new(data));
    record.approximate_arrival_timestamp(DateTime::from_millis(arrived)).build().unwrap()
}

/// Three user records: x, y and z.
fn aggregate() -> Vec<u8> {
    let mut message = vec![0x0A, 1, b'k'];
    for user in *b"xyz" {
        message.extend([0x1A, 5, 0x08, 0, 0x1A, 1, user]);
    }
    let sum = Md5::digest(&message);
    [&[0xF3, 0x89, 0x9A, 0xC2], &message[..], &sum[..]].concat()
}

struct Case {
    place: &'static str,
    bounds: Bounds,
}

/// What came of a case: texts with their positions, the place in the end, the answers, memory asked for.
struct Came {
    records: Vec<(String, String)>,
    places: Vec<String>,
    ends: Vec<Option<End>>,
    reserved: Vec<usize>,
}

impl Case {
    /// Takes some records, then hears that the shard has nothing more.
    async fn run(&self, answers: Vec<Vec<Record>>) -> Came {
        let access = Access { region: Some("us-east-1".into()), ..Access::default() };
        let stream = Stream::connect(vec![StreamId::parse("s").unwrap()], &access).await.unwrap().remove(0);
        let shard = Shard { id: "a".into(), parents: Vec::new(), closed: false, keys: HashKeys::ALL };
        let split = shard.info("s", self.bounds, NOW);
        let place = match self.place {
            "" => Place::default(),
            place => Place::parse(&Position::new(place)).unwrap(),
        };
        let plan = Plan { beginning: From::Oldest, place, keys: HashKeys::ALL };
        let now = Arc::new(Mutex::new(NOW));
        let clock: Clock = Arc::new(move || *now.lock().unwrap() * 1000);
        let mut kept = Kept::default();
        let mut intake = Intake::new(stream, "a".into(), &split, plan, &clock, Arc::default(), &mut kept);
        let mut ends = Vec::new();
        for records in answers {
            ends.push(intake.take(Permit::free(), RESERVED, records).await);
        }
        ends.push(intake.at_the_tip(NOW).await);
        let (texts, places) = (kept.batches.iter(), kept.batches.iter());
        let each = |batch: &RawBatch| {
            let text = |i| String::from_utf8(batch.records.bytes(i).unwrap().to_vec()).unwrap();
            (0..batch.records.len()).map(|i| (text(i), batch.position(i).as_str().to_owned())).collect::<Vec<_>>()
        };
        Came {
            records: texts.flat_map(each).collect(),
            places: places.map(|batch| batch.until.as_str().to_owned()).collect(),
            ends,
            reserved: kept.reserved,
        }
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(text, at)| ((*text).to_owned(), (*at).to_owned())).collect()
}

#[tokio::test]
async fn each_record_has_its_place_and_the_shard_is_read_up_to_the_last() {
    let case = Case { place: "", bounds: Bounds::Unbounded };
    let came =
        case.run(vec![vec![record("8", NOW - 9, "a"), record("9", NOW - 7, aggregate()), record("10", NOW - 5, "b")]]);
    let came = came.await;
    assert_eq!(came.records, pairs(&[("a", "8.0"), ("x", "9.0"), ("y", "9.1"), ("z", "9.2"), ("b", "10.0")]));
    assert_eq!(came.places, [format!("10.1#whole,read={}", NOW - 5)], "a tip in the same minutes is no news");
    assert_eq!(came.ends, [None, None]);
}

#[tokio::test]
async fn a_resume_is_strictly_behind_sequence_and_sub_sequence() {
    let answer = || vec![record("8", NOW, "a"), record("9", NOW, aggregate()), record("10", NOW, "b")];
    for (place, wanted) in [
        ("8.1#whole", &["9.0", "9.1", "9.2", "10.0"][..]),
        ("9.0", &["9.0", "9.1", "9.2", "10.0"]),
        ("9.2", &["9.2", "10.0"]),
        ("9.3", &["10.0"]),
        ("9.3#whole", &["10.0"]),
        ("10.0", &["10.0"]),
        ("10.1", &[]),
    ] {
        let came = Case { place, bounds: Bounds::Unbounded }.run(vec![answer(), answer()]).await;
        let places: Vec<&str> = came.records.iter().map(|(_, place)| place.as_str()).collect();
        assert_eq!(places, wanted, "from {place}, and once more");
    }
}

#[tokio::test]
async fn an_idle_shard_tells_that_it_is_read_up_to_now() {
    let came = Case { place: "", bounds: Bounds::Unbounded }.run(vec![]).await;
    assert_eq!(came.places, [format!("0.0#read={NOW}")], "a shard without a position is to have one soon");
    let long_ago = "8.1#whole,read=1600000000000";
    let came = Case { place: long_ago, bounds: Bounds::Unbounded }.run(vec![]).await;
    assert_eq!(came.places, [format!("8.1#whole,read={NOW}")]);
}

#[tokio::test]
async fn a_bounded_run_ends_at_the_tip_or_with_what_came_after_it_began() {
    let case = Case { place: "8.1#whole", bounds: Bounds::UntilEnd };
    assert_eq!(case.run(vec![]).await.ends, [Some(End::Resting)]);
    let later = NOW + SKEW + 1;
    let came = case.run(vec![vec![record("9", NOW, "a"), record("10", later, "b")]]).await;
    assert_eq!((came.records, came.ends[0]), (pairs(&[("a", "9.0")]), Some(End::Resting)));
}

#[tokio::test]
async fn memory_is_asked_for_again_when_more_came_than_was_set_aside() {
    let case = Case { place: "", bounds: Bounds::Unbounded };
    let came = case.run(vec![vec![record("8", NOW, vec![b'x'; 2])], vec![record("9", NOW, vec![b'x'; 3])]]).await;
    assert_eq!(came.reserved, [RESERVED + 1]);
}
