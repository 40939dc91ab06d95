//! Laws of uploads: unseen until completed, whole from then on, and gone for good when aborted.

use std::sync::Arc;

use bytes::Bytes;
use millstream::connector::store::{PartTag, Store, StoreError, Upload};

use super::noise;

/// The smallest part that the store takes, and more than one page of a file.
fn part_size(store: &Arc<dyn Store>) -> usize {
    store.min_part().max(100_000)
}

async fn is_absent(store: &Arc<dyn Store>, key: &str) -> bool {
    store.get(key).await.unwrap().is_none()
        && store.look(key).await.unwrap().is_none()
        && store.list(key).await.unwrap().is_empty()
}

async fn upload(store: &Arc<dyn Store>, key: &str, parts: &[Bytes]) -> (Upload, Vec<PartTag>) {
    let upload = store.begin(key).await.unwrap();
    let mut tags = Vec::new();
    for (number, part) in (1..).zip(parts) {
        tags.push(store.put_part(&upload, number, part.clone()).await.unwrap());
    }
    (upload, tags)
}

fn is_no_such_upload<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::NoSuchUpload { .. }))
}

/// Catches a half-written file under its name, which a reader's glob would find.
pub(crate) async fn nothing_is_seen_before_it_is_complete(store: Arc<dyn Store>) {
    let key = "event_date=2024-02-28/a.parquet";
    let upload = store.begin(key).await.unwrap();
    assert!(is_absent(&store, key).await, "begun");
    let tag = store.put_part(&upload, 1, "all of it".into()).await.unwrap();
    assert!(is_absent(&store, key).await, "uploaded");
    assert!(store.list("").await.unwrap().is_empty());
    store.complete(&upload, &[tag]).await.unwrap();
    assert_eq!(store.get(key).await.unwrap().unwrap(), "all of it");
    assert_eq!(store.list("").await.unwrap().len(), 1);
}

/// Catches parts that are lost, repeated or put together in the wrong order.
pub(crate) async fn three_parts_are_one_object(store: Arc<dyn Store>) {
    let size = part_size(&store);
    let parts = [noise(size, 1), noise(size + 1, 2), noise(77, 3)];
    let (upload, tags) = upload(&store, "large", &parts).await;
    store.complete(&upload, &tags).await.unwrap();
    let whole = parts.concat();
    assert!(store.get("large").await.unwrap().unwrap() == whole);
    let across = store.get_range("large", size as u64 - 10, 20).await.unwrap();
    assert_eq!(across, whole[size - 10..size + 10]);
    let entry = store.look("large").await.unwrap().unwrap();
    assert_eq!(entry.size, whole.len() as u64);
    let right = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &whole);
    assert!(entry.crc.is_none_or(|crc| crc == right), "{:x?} is not {right:x}", entry.crc);
}

/// Catches a start that trips over what the one before it had finished already.
pub(crate) async fn completing_twice_is_completing_once(store: Arc<dyn Store>) {
    let (upload, tags) = upload(&store, "a", &["bytes".into()]).await;
    store.complete(&upload, &tags).await.unwrap();
    let before = store.look("a").await.unwrap();
    let again = store.complete(&upload, &tags).await;
    // AWS itself answers a repeated completion as it did the first, for a while.
    assert!(again.is_ok() || is_no_such_upload(&again), "{again:?}");
    assert_eq!(store.look("a").await.unwrap(), before);
    assert_eq!(store.get("a").await.unwrap().unwrap(), "bytes");
    assert!(store.uploads("").await.unwrap().is_empty());
}

/// Catches two workers that both publish, each a part of the bytes.
pub(crate) async fn many_complete_at_once(store: Arc<dyn Store>) {
    let size = part_size(&store);
    let parts = [noise(size, 1), noise(100, 2)];
    let (upload, tags) = upload(&store, "a", &parts).await;
    let all = (0..8).map(|_| {
        let (store, upload, tags) = (store.clone(), upload.clone(), tags.clone());
        tokio::spawn(async move { store.complete(&upload, &tags).await })
    });
    for answer in futures::future::join_all(all).await {
        let answer = answer.unwrap();
        let can_be_looked_into = matches!(answer, Err(StoreError::Unclear { .. } | StoreError::Unavailable { .. }));
        assert!(answer.is_ok() || is_no_such_upload(&answer) || can_be_looked_into, "{answer:?}");
    }
    let (read, whole) = (store.get("a").await.unwrap().unwrap(), parts.concat());
    assert!(read == whole, "{} bytes are not the {} that were uploaded", read.len(), whole.len());
}

/// Catches an aborted upload that comes back, or that cannot be aborted by two starts.
pub(crate) async fn what_is_aborted_is_gone(store: Arc<dyn Store>) {
    let (aborted, tags) = upload(&store, "a", &["bytes".into()]).await;
    for _ in 0..2 {
        store.abort(&aborted).await.unwrap();
    }
    assert!(is_absent(&store, "a").await);
    assert!(store.uploads("").await.unwrap().is_empty());
    let late = store.put_part(&aborted, 2, "more".into()).await;
    assert!(is_no_such_upload(&late), "{late:?}");
    let completed = store.complete(&aborted, &tags).await;
    assert!(is_no_such_upload(&completed), "{completed:?}");
    assert!(is_absent(&store, "a").await);
}

/// Catches a part sent again after a lost answer that ends up in the object twice.
pub(crate) async fn a_part_sent_again_replaces_the_first(store: Arc<dyn Store>) {
    let size = part_size(&store);
    let (first, second, third) = (noise(size, 1), noise(size + 5, 2), noise(10, 3));
    let upload = store.begin("a").await.unwrap();
    store.put_part(&upload, 1, noise(size + 9, 4)).await.unwrap();
    let mut tags = vec![store.put_part(&upload, 1, first.clone()).await.unwrap()];
    tags.push(store.put_part(&upload, 2, second.clone()).await.unwrap());
    store.put_part(&upload, 3, third.clone()).await.unwrap();
    tags.push(store.put_part(&upload, 3, third.clone()).await.unwrap());
    store.complete(&upload, &tags).await.unwrap();
    assert!(store.get("a").await.unwrap().unwrap() == [first, second, third].concat());
    assert!(store.uploads("").await.unwrap().is_empty());
}

/// Catches parts that are laid down in the order in which they come; several are sent side by side.
pub(crate) async fn parts_may_come_in_any_order(store: Arc<dyn Store>) {
    let size = part_size(&store);
    let parts = [noise(size, 1), noise(size + 3, 2), noise(size + 1, 3), noise(10, 4)];
    let upload = store.begin("a").await.unwrap();
    let last = store.put_part(&upload, 4, parts[3].clone()).await.unwrap();
    let (third, first, second) = tokio::join!(
        store.put_part(&upload, 3, parts[2].clone()),
        store.put_part(&upload, 1, parts[0].clone()),
        store.put_part(&upload, 2, parts[1].clone()),
    );
    store.complete(&upload, &[first.unwrap(), second.unwrap(), third.unwrap(), last]).await.unwrap();
    assert!(store.get("a").await.unwrap().unwrap() == parts.concat());
}

/// Catches an empty file that cannot be uploaded.
pub(crate) async fn an_upload_may_be_empty(store: Arc<dyn Store>) {
    let (upload, tags) = upload(&store, "a", &[Bytes::new()]).await;
    store.complete(&upload, &tags).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap(), "");
}

/// Catches an upload that nobody can find again: what a dead process began is aborted by the next start.
pub(crate) async fn uploads_under_way_are_listed(store: Arc<dyn Store>) {
    let mut begun = Vec::new();
    for key in ["x/a", "x/a", "x/b=1/é c%", "y/a"] {
        begun.push(store.begin(key).await.unwrap());
    }
    store.put_part(&begun[0], 1, "bytes".into()).await.unwrap();
    let of_x = store.uploads("x/").await.unwrap();
    let mut expected = begun[..3].to_vec();
    expected.sort();
    assert_eq!(of_x, expected);
    assert_eq!(store.uploads("x/b").await.unwrap(), begun[2..3]);
    assert_eq!(store.uploads("").await.unwrap().len(), 4);
    for upload in &begun {
        store.abort(upload).await.unwrap();
    }
    assert!(store.uploads("").await.unwrap().is_empty());
}

/// Catches a page of uploads taken for all of them.
pub(crate) async fn uploads_have_every_page(store: Arc<dyn Store>) {
    let begun = (0..1_050).map(|n| {
        let store = store.clone();
        async move { store.begin(&format!("many/{n:05}")).await.unwrap() }
    });
    let mut begun: Vec<Upload> =
        futures::StreamExt::collect(futures::StreamExt::buffer_unordered(futures::stream::iter(begun), 16)).await;
    begun.sort();
    assert!(store.uploads("many/").await.unwrap() == begun);
}

/// Catches a second upload of one key that takes the first one's parts, or its place.
pub(crate) async fn uploads_of_one_key_do_not_meet(store: Arc<dyn Store>) {
    let (first, first_tags) = upload(&store, "a", &["first".into()]).await;
    let (second, second_tags) = upload(&store, "a", &["the second".into()]).await;
    store.complete(&second, &second_tags).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap(), "the second");
    store.complete(&first, &first_tags).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap(), "first");
}

/// Catches an answer that tells a fencing start nothing: an id that the store never gave.
pub(crate) async fn an_unknown_upload_is_told_as_such(store: Arc<dyn Store>) {
    let (real, tags) = upload(&store, "a", &["bytes".into()]).await;
    store.abort(&real).await.unwrap();
    for id in [real.id.clone(), real.id.chars().rev().collect()] {
        let unknown = Upload { key: "a".to_owned(), id };
        let answer = store.complete(&unknown, &tags).await;
        assert!(is_no_such_upload(&answer), "{answer:?}");
        store.abort(&unknown).await.unwrap();
    }
}
