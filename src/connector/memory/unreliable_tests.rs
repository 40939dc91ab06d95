//! The weather is what it says: each fate does, or does not do, what the world is told, and a dead process does nothing.
//! A wrapper that gets this wrong proves the commit protocol against faults that never happened.

use std::time::Duration;

use futures::TryStreamExt;
use tokio::time::{Instant, timeout};

use super::super::MemoryStore;
use super::super::faults::{Chance, Counters};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A store in which every call has one fate.
fn doomed(fate: Fate) -> (MemoryStore, Unreliable) {
    let store = MemoryStore::new("memory");
    (store.clone(), Unreliable::new(Arc::new(store), Arc::new(Faults::new(move |_| fate))))
}

fn is_unclear<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unclear { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_fate_says_whether_a_write_happens_and_whether_it_is_told() {
    for (fate, happens, is_told) in [
        (Fate::Works, true, true),
        (Fate::Fails, false, false),
        (Fate::LostAnswer, true, false),
        (Fate::LostRequest, false, false),
        (Fate::Slow(SECOND), true, true),
        (Fate::SlowAnswer(SECOND), true, true),
        (Fate::Stale(SECOND), true, true),
    ] {
        let (base, store) = doomed(fate);
        let answer = store.create("a", "x".into()).await;
        assert_eq!(answer.is_ok(), is_told, "{fate:?}");
        assert_eq!(base.objects().contains_key("a"), happens, "{fate:?}");
        let lost = matches!(fate, Fate::LostAnswer | Fate::LostRequest);
        assert_eq!(is_unclear(&answer), lost, "{fate:?}");
        let counted = fate.kind().map_or(0, |kind| store.faults.counters().get(Operation::Create, kind));
        assert_eq!(counted, u64::from(!matches!(fate, Fate::Works | Fate::Stale(_))), "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_write_lands_after_its_process_died() {
    let (base, store) = doomed(Fate::Late(SECOND));
    assert!(is_unclear(&store.create("a", "x".into()).await));
    store.kill();
    assert!(base.objects().is_empty());
    tokio::time::sleep(2 * SECOND).await;
    assert!(base.objects().contains_key("a"));
}

#[tokio::test(start_paused = true)]
async fn reading_is_never_unclear() {
    for fate in [Fate::LostAnswer, Fate::LostRequest, Fate::Late(SECOND)] {
        let (_, store) = doomed(fate);
        assert!(matches!(store.get("a").await, Err(StoreError::Unavailable { .. })), "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_breaks_off_after_its_first_piece() {
    let (base, store) = doomed(Fate::LostAnswer);
    base.put("a", vec![7; 1 << 20].into()).await.unwrap();
    let mut stream = store.read("a", 0).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    assert!(stream.try_next().await.is_err());
    assert!(stream.try_next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_late_listing_lacks_what_is_new() {
    let (_, store) = doomed(Fate::Stale(SECOND));
    store.put("old", "x".into()).await.unwrap();
    let old = store.begin("upload").await.unwrap();
    tokio::time::sleep(2 * SECOND).await;
    store.put("new", "x".into()).await.unwrap();
    store.put("old", "y".into()).await.unwrap();
    store.begin("upload").await.unwrap();
    let keys: Vec<String> = store.list("").await.unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["old"]);
    assert_eq!(store.uploads("").await.unwrap(), [old]);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(store.list("").await.unwrap().len(), 2);
    assert_eq!(store.uploads("").await.unwrap().len(), 2);
}

/// The nth call dies before or after what it does; nothing after it is heard or happens, of this process alone.
#[tokio::test(start_paused = true)]
async fn a_killed_process_does_nothing_more() {
    for (when, happens) in [(When::Before, false), (When::After, true)] {
        let base = MemoryStore::new("memory");
        let faults = Arc::new(Faults::none());
        let halt = move |call: &Call<'_>, at| call.key == "b" && at == when;
        let store = Unreliable::new(Arc::new(base.clone()), faults.clone()).with_halt(halt);
        store.put("a", "x".into()).await.unwrap();
        assert!(!store.is_dead());
        for key in ["b", "c"] {
            assert!(timeout(SECOND, store.put(key, "x".into())).await.is_err(), "{key} was answered");
        }
        timeout(SECOND, store.death()).await.unwrap();
        assert_eq!(base.objects().contains_key("b"), happens);
        assert!(!base.objects().contains_key("c"));
        let other = Unreliable::new(Arc::new(base), faults.clone());
        other.put("c", "x".into()).await.unwrap();
        let kind = if happens { Kind::KilledAfter } else { Kind::KilledBefore };
        assert_eq!(faults.counters().get(Operation::Put, kind), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_dies_with_its_process() {
    let (base, store) = doomed(Fate::Slow(SECOND));
    let store = Arc::new(store);
    let call = tokio::spawn({
        let store = store.clone();
        async move { store.put("a", "x".into()).await }
    });
    tokio::time::sleep(SECOND / 2).await;
    store.kill();
    assert!(timeout(10 * SECOND, call).await.is_err(), "it was answered");
    assert!(base.objects().is_empty());
}

async fn one_world(seed: u64) -> (Vec<String>, Counters, Duration) {
    let faults = Arc::new(Faults::seeded(seed, Chance::each(100, SECOND)));
    let store = Unreliable::new(Arc::new(MemoryStore::new("memory")), faults.clone());
    let began = Instant::now();
    let mut answers = Vec::new();
    for n in 0..40 {
        let key = format!("{}", n % 7);
        answers.push(format!("{:?}", store.create(&key, "x".into()).await));
        answers.push(format!("{:?}", store.list("").await));
        answers.push(format!("{:?}", store.begin(&key).await));
    }
    (answers, faults.counters(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_seed_is_enough_to_repeat_a_world() {
    let first = one_world(7).await;
    assert_eq!(first, one_world(7).await);
    assert_ne!(first, one_world(8).await);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_never_fired_is_told() {
    let mut counters = Counters::default();
    for seed in 0..20 {
        counters.add(&one_world(seed).await.1);
    }
    let used = [Operation::Create, Operation::List, Operation::Begin];
    let never: Vec<Kind> = counters.never(&used).into_iter().map(|(_, kind)| kind).collect();
    // Nobody was killed in these worlds, and all else happened.
    assert!(never.iter().all(|kind| matches!(kind, Kind::KilledBefore | Kind::KilledAfter)), "{never:?}");
    assert_eq!(never.len(), 6);
    assert_eq!(counters.never(&[Operation::Put]).len(), Kind::of(Operation::Put).len());
}
