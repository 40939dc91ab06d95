//! What a listing proves about records that were never read. Would catch a shard that was trimmed unread and passed over in
//! silence, and a healthy stream that is taken for one with losses.

use millstream_operators::Position;

use super::*;
use crate::connector::kinesis::pin::Pin;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Of the clock, in milliseconds.
const NOW: i64 = 100 * DAY;

fn shard(id: &str, parents: &[&str]) -> Shard {
    let parents = parents.iter().map(|parent| (*parent).to_owned()).collect();
    Shard { id: id.to_owned(), parents, closed: false, keys: HashKeys::ALL }
}

fn told(pin: i64, positions: &[(&str, &str, bool)]) -> Told {
    let mut told = Told::nothing(NOW * 1000);
    told.pins.insert("s".into(), Pin { service: pin, here: pin });
    for (shard, at, done) in positions {
        told.positions.insert(split("s", shard), SplitState { at: Position::new(*at), done: *done });
    }
    told
}

fn check(shards: &[Shard], told: &Told) -> Result<(), SourceError> {
    Looking::default().check("s", shards, &summary(0), told, NOW * 1000)
}

fn summary(created: i64) -> Summary {
    Summary { arn: "".into(), retention: DAY, created, by_key: true, at: None }
}

fn lost(result: Result<(), SourceError>) -> String {
    match result {
        Err(SourceError::Gone { split, range, .. }) => format!("{split} {range}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn shards_become_splits_with_their_parents() {
    let info = shard("c", &["a", "b"]).info("s", Bounds::UntilEnd, 17);
    assert_eq!(
        (&*info.name, info.parents, info.until.as_deref()),
        ("s/c", vec!["s/a".into(), "s/b".into()], Some("17"))
    );
    let closed = Shard { closed: true, ..shard("c", &[]) };
    assert_eq!(closed.info("s", Bounds::UntilEnd, 17).until, None, "a closed shard is read to its end");
    assert_eq!(shard("c", &[]).info("s", Bounds::Unbounded, 17).until, None);
}

#[test]
fn an_unfinished_shard_that_is_forgotten_is_a_loss_and_a_finished_one_is_not() {
    let told = told(0, &[("a", "7.1", true), ("b", "9.1", false), ("x/a", "3.0", false)]);
    assert!(check(&[shard("b", &[]), shard("x/a", &[])], &told).is_ok());
    assert_eq!(lost(check(&[shard("a", &[]), shard("x/a", &[])], &told)), "s/b from 9.1 on");
    // While the process runs, the reader of a shard sees to it; it may have been finished by now.
    let mut looking = Looking::default();
    looking.check("s", &[shard("b", &[]), shard("x/a", &[])], &summary(0), &told, NOW * 1000).unwrap();
    assert!(looking.check("s", &[], &summary(0), &told, NOW * 1000).is_ok());
}

/// Would catch a log that grows with every reshard, a child taken for one with a lost parent, and a stream of the same name
/// that is read as if it were the old one.
#[test]
fn what_no_listing_names_again_is_forgotten() {
    let read = |time: i64| format!("7.1#whole,read={time}");
    let (old, new) = (read(NOW - DAY), read(NOW - HOUR));
    let told =
        told(0, &[("a", &old, true), ("b", &old, true), ("c", &new, true), ("d", &new, false), ("x/a", &new, true)]);
    let forgotten = |shards: &[Shard], created| forgotten("s", shards, &summary(created), &told.positions);
    let shards = [shard("d", &["b"]), shard("c", &[]), shard("x/a", &[])];
    assert_eq!(forgotten(&shards, 0), ["s/a".into()]);
    assert_eq!(
        forgotten(&shards, NOW - HOUR - HOUR),
        [] as [Split; 0],
        "some of it was read before the stream was made"
    );
}

#[test]
fn a_generation_that_came_and_went_is_a_loss() {
    let known = [("a", "7.1#whole,read=8640000000", true)];
    let shards = [shard("c", &["b"])];
    assert_eq!(lost(check(&shards, &told(0, &known))), "s/b all of it");
    let merged = [shard("c", &["a", "b"])];
    assert_eq!(lost(check(&merged, &told(0, &known))), "s/b all of it");
    assert!(check(&[shard("c", &["a"])], &told(0, &known)).is_ok());
    assert!(check(&shards, &told(0, &[])).is_ok(), "nothing was read yet");
    assert!(check(&shards, &told(NOW - HOUR, &known)).is_ok(), "it ended before the pipeline began");
    assert!(check(&shards, &told(0, &[known[0], ("c", "0.0", false)])).is_ok(), "it is being read");
    // A parent that this process has seen needs to be listed no longer.
    let (told, mut looking) = (told(0, &known), Looking::default());
    looking.check("s", &[shard("b", &["a"])], &summary(0), &told, NOW * 1000).unwrap();
    assert!(looking.check("s", &shards, &summary(0), &told, NOW * 1000).is_ok());
}

#[test]
fn a_stream_that_was_made_again_is_another_one() {
    let told = told(0, &[("a", "7.1#whole,read=5000000", false)]);
    let check = |created| Looking::default().check("s", &[shard("a", &[])], &summary(created), &told, NOW * 1000);
    assert!(check(4_000_000).is_ok() && check(5_000_000 + SKEW).is_ok());
    assert_eq!(lost(check(5_000_001 + SKEW)), "s/a from 7.1 on");
}

#[test]
fn a_listing_is_read() {
    let range = types::HashKeyRange::builder().starting_hash_key("0").ending_hash_key("170").build().unwrap();
    let sequences = types::SequenceNumberRange::builder().starting_sequence_number("4").ending_sequence_number("9");
    let listed = types::Shard::builder()
        .shard_id("c")
        .adjacent_parent_shard_id("b")
        .parent_shard_id("a")
        .hash_key_range(range)
        .sequence_number_range(sequences.build().unwrap())
        .build()
        .unwrap();
    let read = Shard::read(&listed);
    assert_eq!((read.parents, read.closed), (vec!["a".to_owned(), "b".to_owned()], true));
    assert_eq!(read.keys, HashKeys { first: 0, last: 170 });
}
