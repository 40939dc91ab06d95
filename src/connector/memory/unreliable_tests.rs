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
        (Fate::Refused, false, false),
        (Fate::Unseen(SECOND), true, true),
        (Fate::UnseenUnclear(SECOND), true, true),
    ] {
        let (base, store) = doomed(fate);
        let answer = store.create("a", "x".into()).await;
        assert_eq!(answer.is_ok(), is_told, "{fate:?}");
        assert_eq!(base.objects().contains_key("a"), happens, "{fate:?}");
        let lost = matches!(fate, Fate::LostAnswer | Fate::LostRequest);
        assert_eq!(is_unclear(&answer), lost, "{fate:?}");
        let counted = fate.kind().map_or(0, |kind| store.faults.counters().get(Operation::Create, kind));
        // What makes no sense for a create works, and is not counted.
        let works = matches!(fate, Fate::Works | Fate::Stale(_) | Fate::Unseen(_) | Fate::UnseenUnclear(_));
        assert_eq!(counted, u64::from(!works), "{fate:?}");
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

/// Every operation is refused once and not again: nothing has happened, and the same call then goes through.
#[tokio::test(start_paused = true)]
async fn what_was_refused_once_goes_through_the_next_time() {
    let refused = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let once = move |call: &Call<'_>| match refused.lock().unwrap().insert(call.operation) {
        true => Fate::Refused,
        false => Fate::Works,
    };
    let base = MemoryStore::new("memory");
    let store = Unreliable::new(Arc::new(base.clone()), Arc::new(Faults::new(once)));
    let is_refused = |answer: Option<StoreError>| matches!(answer, Some(StoreError::Refused { .. }));
    assert!(is_refused(store.create("a", "x".into()).await.err()) && base.objects().is_empty());
    assert_eq!(store.create("a", "x".into()).await.unwrap(), Created::New);
    assert!(is_refused(store.get("a").await.err()));
    assert_eq!(store.get("a").await.unwrap().unwrap(), "x");
    assert!(is_refused(store.begin("b").await.err()) && base.uploads("").await.unwrap().is_empty());
    store.begin("b").await.unwrap();
    let counters = store.faults.counters();
    assert_eq!(counters.get(Operation::Create, Kind::Refused), 1);
    let asked = [Operation::Create, Operation::Get, Operation::Begin, Operation::Delete];
    assert_eq!(counters.never_refused(&asked), [Operation::Delete]);
}

/// The upload is gone at once and its object shows later, for every process and every way to look.
#[tokio::test(start_paused = true)]
async fn a_completed_object_can_show_late() {
    for (fate, is_told) in [(Fate::Unseen(SECOND), true), (Fate::UnseenUnclear(SECOND), false)] {
        let (base, store) = doomed(fate);
        let upload = store.begin("a").await.unwrap();
        let tag = store.put_part(&upload, 1, "x".into()).await.unwrap();
        let answer = store.complete(&upload, std::slice::from_ref(&tag)).await;
        assert_eq!((answer.is_ok(), is_unclear(&answer)), (is_told, !is_told), "{fate:?}");
        assert_eq!(answer.ok().and_then(|completed| completed.crc), None, "a sum would prove what is not to be seen");
        let other = store.beside(Arc::new(base.clone()));
        for store in [&store, &other] {
            let again = store.complete(&upload, std::slice::from_ref(&tag)).await;
            assert!(matches!(again, Err(StoreError::NoSuchUpload { .. })) || is_unclear(&again), "{again:?}");
            assert_eq!((store.look("a").await.unwrap(), store.get("a").await.unwrap()), (None, None));
            assert!(matches!(store.get_range("a", 0, 1).await, Err(StoreError::Missing { .. })));
            assert!(matches!(store.read("a", 0).await.map(drop), Err(StoreError::Missing { .. })));
            assert_eq!(store.list("").await.unwrap(), []);
        }
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(store.get("a").await.unwrap().unwrap(), "x");
        assert_eq!(store.list("").await.unwrap().len(), 1);
        assert!(store.faults.counters().get(Operation::Complete, fate.kind().unwrap()) > 0);
    }
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
