//! What a folder owes beyond the laws of all stores: what a killed process leaves behind can be found and cleared, readers
//! who walk the folder see no unfinished file, and a message names the path and the way out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::connector::local::path::STAGED;

/// Every file and folder under `root`.
fn everything(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
        }
        found.insert(path);
    }
    found
}

/// Catches the one thing that a plain `*.parquet` glob must never find.
#[tokio::test]
async fn nothing_unfinished_looks_like_parquet() {
    let root = tempfile::tempdir().unwrap();
    let store = LocalStore::new(root.path());
    let upload = store.begin("day=1/a.parquet").await.unwrap();
    store.put_part(&upload, 1, "bytes".into()).await.unwrap();
    let files: Vec<_> = everything(root.path()).into_iter().filter(|path| path.is_file()).collect();
    assert_eq!(files.len(), 1);
    assert!(files[0].starts_with(root.path().join(STAGED)));
    assert_ne!(files[0].extension().unwrap(), "parquet");
}

/// Catches a folder that fills up with what was only on its way.
#[tokio::test]
async fn nothing_is_left_over_when_all_is_done() {
    let root = tempfile::tempdir().unwrap();
    let store = LocalStore::new(root.path());
    store.create("x/created", "1".into()).await.unwrap();
    store.create("x/created", "2".into()).await.unwrap();
    store.put("x/put", "1".into()).await.unwrap();
    let upload = store.begin("x/uploaded").await.unwrap();
    let second = store.put_part(&upload, 2, "2".into()).await.unwrap();
    let first = store.put_part(&upload, 1, "1".into()).await.unwrap();
    store.complete(&upload, &[first, second]).await.unwrap();
    store.abort(&store.begin("x/aborted").await.unwrap()).await.unwrap();
    let left = ["x", "x/created", "x/put", "x/uploaded", ".millstream", STAGED];
    assert_eq!(everything(root.path()), left.iter().map(|path| root.path().join(path)).collect());
}

/// Catches a write that fails since another one, done a moment earlier, clears the staging folder that both lie in.
#[test]
fn writers_do_not_take_each_other_s_folder_away() {
    let root = tempfile::tempdir().unwrap();
    let folder = LocalStore::new(root.path()).folder;
    let write = |worker: usize| {
        for n in 0..2_000 {
            let key = format!("deep/er/{worker}-{n}");
            let path = durable::new_file(&folder, &key, path::Kind::Temporary).map(|(_, path, _)| path);
            let path = path.unwrap_or_else(|failure| panic!("{key}: {failure:?}"));
            durable::remove_unfinished(&folder, &path);
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|worker| drop(scope.spawn(move || write(worker)))));
}

/// Catches an upload that counts as lost since, while it was on its way into a folder that was not there yet, another one
/// made that folder.
#[test]
fn uploads_that_go_to_the_same_new_folder_all_arrive() {
    let root = tempfile::tempdir().unwrap();
    let folder = LocalStore::new(root.path()).folder;
    let at_once = std::sync::Barrier::new(4);
    let move_all = &|worker: usize| {
        let moved = |n: usize| {
            let key = format!("day={n}/{worker}");
            let (_, unfinished, _) = durable::new_file(&folder, &key, path::Kind::Temporary).unwrap();
            at_once.wait();
            objects::move_to(&unfinished, &folder.object(&key).unwrap()).is_ok()
        };
        // Whoever fails goes on: the others wait for it.
        (0..500).filter(|n| !moved(*n)).count()
    };
    let lost: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|worker| scope.spawn(move || move_all(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(lost, 0);
}

/// Catches a temporary file that nobody ever takes away: a process was killed between writing and linking it.
#[tokio::test]
async fn what_a_dead_process_left_is_listed_and_aborted() {
    let root = tempfile::tempdir().unwrap();
    let store = LocalStore::new(root.path());
    let key = ".millstream/commits/7.json";
    durable::write_temporary(&store.folder, key, b"half a commit").unwrap();
    assert_eq!(store.list("").await.unwrap(), []);
    let left = store.uploads("").await.unwrap();
    assert_eq!(left.iter().map(|upload| upload.key.as_str()).collect::<Vec<_>>(), [key]);
    store.abort(&left[0]).await.unwrap();
    assert!(store.uploads("").await.unwrap().is_empty());
    assert_eq!(store.create(key, "{}".into()).await.unwrap(), Created::New);
}

/// Catches looking at a pipeline that never ran making folders where it would run.
#[tokio::test]
async fn looking_makes_no_folder() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("not/there");
    let store = LocalStore::new(&path);
    assert_eq!(store.list("").await.unwrap(), []);
    assert_eq!(store.uploads("").await.unwrap(), []);
    assert_eq!(store.get("a").await.unwrap(), None);
    store.delete("a").await.unwrap();
    assert!(!path.exists());
}

/// Catches a message that leaves the user to guess which file is in the way.
#[tokio::test]
async fn a_file_in_the_way_is_named() {
    let root = tempfile::tempdir().unwrap();
    let store = LocalStore::new(root.path());
    store.put("day", "a file where a folder has to be".into()).await.unwrap();
    let upload = store.begin("day/a").await.unwrap();
    let tag = store.put_part(&upload, 1, "1".into()).await.unwrap();
    for answer in [
        store.put("day/a", "1".into()).await.map(drop),
        store.create("day/a", "1".into()).await.map(drop),
        store.complete(&upload, &[tag]).await,
    ] {
        let Err(refused @ StoreError::Refused { .. }) = answer else { panic!("{answer:?}") };
        assert!(refused.to_string().contains(&root.path().join("day").display().to_string()), "{refused}");
        assert!(refused.to_string().contains("move it away"), "{refused}");
    }
    assert_eq!(store.get("day/a").await.unwrap(), None);
    // What failed left nothing but the upload, which can still be completed elsewhere or aborted.
    assert_eq!(store.uploads("").await.unwrap(), [upload]);
}

/// Catches bytes of a part that were acknowledged and are not there being taken for the object.
#[tokio::test]
async fn an_upload_that_lost_bytes_is_not_completed() {
    let root = tempfile::tempdir().unwrap();
    let store = LocalStore::new(root.path());
    let upload = store.begin("a").await.unwrap();
    let tag = store.put_part(&upload, 1, "bytes".into()).await.unwrap();
    let staged = store.folder.unfinished("a", &upload.id).unwrap();
    fs::write(&staged, "byt").unwrap();
    assert!(matches!(store.complete(&upload, &[tag]).await, Err(StoreError::Refused { .. })));
    assert_eq!(store.get("a").await.unwrap(), None);
}
