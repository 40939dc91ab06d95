//! Laws of whole objects: created once, written over, read in full, in part and in pieces.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use millstream::connector::store::{Created, Store, StoreError};

use super::noise;

/// Catches a `create` that looks first and writes then: two winners are two commits with one number.
pub(crate) async fn one_of_many_creators_wins(store: Arc<dyn Store>) {
    for round in 0..5 {
        let key = format!("race/{round}.json");
        let race = (0..16).map(|racer| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                let bytes = Bytes::from(format!("written by {racer}"));
                let won = store.create(&key, bytes).await.unwrap() == Created::New;
                // Whoever lost builds on what it reads next.
                (won.then_some(racer), store.get(&key).await.unwrap().unwrap())
            })
        });
        let ends: Vec<_> = join_all(race).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<i32> = ends.iter().filter_map(|(winner, _)| *winner).collect();
        let read: BTreeSet<Bytes> = ends.into_iter().map(|(_, read)| read).collect();
        assert_eq!(winners.len(), 1, "winners of round {round}: {winners:?}");
        assert_eq!(read, BTreeSet::from([Bytes::from(format!("written by {}", winners[0]))]));
    }
}

/// Catches a refused `create` that leaves its own bytes behind.
pub(crate) async fn a_refused_create_changes_nothing(store: Arc<dyn Store>) {
    assert_eq!(store.create("a", "one".into()).await.unwrap(), Created::New);
    assert_eq!(store.create("a", "another".into()).await.unwrap(), Created::Exists);
    assert_eq!(store.get("a").await.unwrap().unwrap(), "one");
    store.delete("a").await.unwrap();
    assert_eq!(store.create("a", "another".into()).await.unwrap(), Created::New);
    assert_eq!(store.get("a").await.unwrap().unwrap(), "another");
}

/// Catches a `put` that creates only, and a version that stays the same when the content does not.
pub(crate) async fn put_writes_over(store: Arc<dyn Store>) {
    store.put("folder/a", "one".into()).await.unwrap();
    let before = store.look("folder/a").await.unwrap().unwrap();
    store.put("folder/a", "two".into()).await.unwrap();
    let after = store.look("folder/a").await.unwrap().unwrap();
    assert_eq!(store.get("folder/a").await.unwrap().unwrap(), "two");
    assert_eq!((before.size, after.size), (3, 3));
    assert_ne!(before.version, after.version);
}

/// Catches a missing object told as an error where the trait says `None`, or as `None` where it says an error.
pub(crate) async fn what_is_not_there_is_missing(store: Arc<dyn Store>) {
    assert_eq!(store.get("a/b").await.unwrap(), None);
    assert_eq!(store.look("a/b").await.unwrap(), None);
    assert!(matches!(store.get_range("a/b", 0, 1).await, Err(StoreError::Missing { .. })));
    assert!(matches!(store.get_range("a/b", 0, 0).await, Err(StoreError::Missing { .. })));
    assert!(matches!(store.read("a/b", 0).await.map(drop), Err(StoreError::Missing { .. })));
}

/// Catches an empty object taken for none: the last commit of an idle epoch may well hold an empty file.
pub(crate) async fn an_empty_object_is_an_object(store: Arc<dyn Store>) {
    assert_eq!(store.create("created", Bytes::new()).await.unwrap(), Created::New);
    store.put("put", Bytes::new()).await.unwrap();
    for key in ["created", "put"] {
        assert_eq!(store.get(key).await.unwrap().unwrap(), "");
        assert_eq!(store.look(key).await.unwrap().unwrap().size, 0);
        assert_eq!(store.get_range(key, 0, 10).await.unwrap(), "");
        assert_eq!(store.read(key, 0).await.unwrap().count().await, 0);
    }
    assert_eq!(store.create("created", "more".into()).await.unwrap(), Created::Exists);
}

/// Catches a range off by one at either end; Parquet footers are read by range.
pub(crate) async fn ranges_are_exact(store: Arc<dyn Store>) {
    let whole = noise(10_000, 1);
    store.put("a", whole.clone()).await.unwrap();
    for (offset, length) in [(0, 1), (0, 10_000), (1, 9_999), (9_999, 1), (5_000, 0), (4_321, 1_234)] {
        let read = store.get_range("a", offset, length).await.unwrap();
        assert_eq!(read, whole.slice(offset as usize..(offset + length) as usize), "{length} bytes from {offset}");
    }
    for (offset, length) in [(9_990, 100), (9_990, u64::MAX), (0, u64::MAX)] {
        let read = store.get_range("a", offset, length).await.unwrap();
        assert_eq!(read, whole.slice(offset as usize..), "past the end from {offset}");
    }
    assert_eq!(store.get_range("a", 10_000, 5).await.unwrap(), "");
    assert_eq!(store.get_range("a", 20_000, 5).await.unwrap(), "");
}

/// Catches a stream that loses, repeats or reorders pieces, or starts at the wrong place.
pub(crate) async fn a_stream_goes_on_from_its_offset(store: Arc<dyn Store>) {
    let whole = noise(3_500_000, 2);
    store.put("a", whole.clone()).await.unwrap();
    for offset in [0, 1, 1 << 20, 3_499_999, 3_500_000, 9_000_000] {
        let pieces: Vec<Bytes> = store.read("a", offset).await.unwrap().try_collect().await.unwrap();
        assert!(pieces.iter().all(|piece| !piece.is_empty()), "an empty piece from {offset}");
        assert!(pieces.concat() == whole.slice(whole.len().min(offset as usize)..), "other bytes from {offset}");
    }
}

/// Catches a `delete` that fails the second time, when a start repeats what the one before it had begun.
pub(crate) async fn deleting_twice_is_deleting_once(store: Arc<dyn Store>) {
    store.put("folder/a", "one".into()).await.unwrap();
    store.put("folder/b", "two".into()).await.unwrap();
    for _ in 0..2 {
        store.delete("folder/a").await.unwrap();
        assert_eq!(store.get("folder/a").await.unwrap(), None);
    }
    assert_eq!(store.get("folder/b").await.unwrap().unwrap(), "two");
    store.delete("never/there").await.unwrap();
}

/// Catches a wrong sum: a published file is held against the one in its commit.
pub(crate) async fn a_sum_that_is_kept_is_right(store: Arc<dyn Store>) {
    let whole = noise(100_000, 3);
    store.put("a", whole.clone()).await.unwrap();
    let entry = store.look("a").await.unwrap().unwrap();
    let right = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &whole);
    assert!(entry.crc.is_none_or(|crc| crc == right), "{:x?} is not {right:x}", entry.crc);
}

/// Catches a write of which a reader sees the first half.
pub(crate) async fn a_reader_never_sees_half_an_object(store: Arc<dyn Store>) {
    let contents: Vec<Bytes> = (0..4).map(|seed| noise(300_000, seed)).collect();
    store.put("a", contents[0].clone()).await.unwrap();
    let writer = tokio::spawn({
        let (store, contents) = (store.clone(), contents.clone());
        async move {
            for round in 0..20 {
                store.put("a", contents[round % contents.len()].clone()).await.unwrap();
            }
        }
    });
    while !writer.is_finished() {
        let read = store.get("a").await.unwrap().unwrap();
        assert!(contents.contains(&read), "{} bytes that nobody wrote", read.len());
    }
    writer.await.unwrap();
}
