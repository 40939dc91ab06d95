//! Laws of listings: all of it, in order, nothing else, whatever the names are made of.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use millstream::connector::store::{Entry, Store};

async fn keys(store: &Arc<dyn Store>, prefix: &str) -> Vec<String> {
    store.list(prefix).await.unwrap().into_iter().map(|entry| entry.key).collect()
}

/// Catches a listing that stops after its first page, and one that is not in order.
pub(crate) async fn a_listing_has_every_page(store: Arc<dyn Store>) {
    let written: Vec<String> = (0..1_234).map(|n| format!("many/{}/{n:05}", n % 7)).collect();
    let puts = written.iter().map(|key| store.put(key, "x".into()));
    futures::stream::iter(puts).buffer_unordered(16).try_collect::<Vec<()>>().await.unwrap();
    let mut sorted = written.clone();
    sorted.sort();
    assert_eq!(keys(&store, "many/").await, sorted);
    assert_eq!(keys(&store, "many/3/").await.len(), 176);
}

/// Catches a prefix taken for a folder, or for a pattern.
pub(crate) async fn a_prefix_is_a_beginning(store: Arc<dyn Store>) {
    for key in ["a", "ab/c", "ab/d/e", "abc", "b/a", "ab-c"] {
        store.put(&format!("top/{key}"), "x".into()).await.unwrap_or_else(|error| panic!("{error}"));
    }
    // Below, `-` sorts before `/` and that before `c`: a walk through folders that is not sorted again differs.
    assert_eq!(keys(&store, "top/ab").await, ["top/ab-c", "top/ab/c", "top/ab/d/e", "top/abc"]);
    assert_eq!(keys(&store, "top/ab/").await, ["top/ab/c", "top/ab/d/e"]);
    assert_eq!(keys(&store, "top/ab/d/e").await, ["top/ab/d/e"]);
    for prefix in ["top/ab/x", "none/", "top/a*", "a"] {
        assert!(keys(&store, prefix).await.is_empty(), "{prefix} found something");
    }
    assert_eq!(keys(&store, "").await.len(), 6);
}

/// Catches a name that is escaped on the way out and not on the way back; partition values hold anything.
pub(crate) async fn names_come_back_as_they_went(store: Arc<dyn Store>) {
    let names = [
        "event_date=2024-02-28/a.parquet",
        "a=b/c d/é%=",
        "a=b/c d/100%25/+&?#",
        "a=b/日本語/x",
        "a=b/quote'\"<&>/x",
        "a=b/~!@$^*()[]{}|;:,/x",
    ];
    for name in names {
        store.put(name, name.into()).await.unwrap();
    }
    for name in names {
        assert_eq!(store.get(name).await.unwrap().unwrap(), name);
        assert_eq!(store.look(name).await.unwrap().unwrap().key, name);
        assert_eq!(keys(&store, name).await, [name]);
    }
    assert_eq!(keys(&store, "a=b/").await.len(), 5);
    assert_eq!(keys(&store, "a=b/c d/").await.len(), 2);
}

/// Catches a listing that tells another size or version than a look; both decide whether a file has changed.
pub(crate) async fn a_listing_tells_what_a_look_tells(store: Arc<dyn Store>) {
    store.put("a/one", "1".into()).await.unwrap();
    store.put("a/three", "333".into()).await.unwrap();
    for listed in store.list("a/").await.unwrap() {
        let looked = store.look(&listed.key).await.unwrap().unwrap();
        assert_eq!(Entry { crc: None, ..looked }, Entry { crc: None, ..listed });
    }
}

/// Catches a store that hides its own folder from those who ask for it: the commit log lies there.
pub(crate) async fn the_commit_log_can_be_listed(store: Arc<dyn Store>) {
    for n in 1..=3 {
        store.create(&format!(".millstream/commits/{n:020}.json"), "{}".into()).await.unwrap();
    }
    let upload = store.begin(".millstream/snapshots/1.json").await.unwrap();
    assert_eq!(keys(&store, ".millstream/commits/").await.len(), 3);
    assert_eq!(keys(&store, ".millstream/").await.len(), 3);
    assert_eq!(keys(&store, "").await.len(), 3);
    store.abort(&upload).await.unwrap();
}
