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
        for n in 0..500 {
            let key = format!("deep/er/{worker}-{n}");
            let path = durable::new_file(&folder, &key, path::Kind::Temporary).map(|(_, path, _)| path);
            let path = path.unwrap_or_else(|failure| panic!("{key}: {failure:?}"));
            durable::remove_unfinished(&folder, &path);
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|worker| drop(scope.spawn(move || write(worker)))));
}

/// Catches an upload taken for lost since another one, completed at the same moment, made the folder that both go to.
#[test]
fn uploads_to_one_new_folder_do_not_lose_each_other() {
    let root = tempfile::tempdir().unwrap();
    let folder = LocalStore::new(root.path()).folder;
    for round in 0..200 {
        let begin = |worker: usize| {
            let upload = staged::begin(&folder, &format!("day={round}/{worker}.parquet")).unwrap();
            let part = staged::put_part(&folder, &upload.key, &upload.id, 1, b"rows").unwrap();
            (upload, part)
        };
        let (uploads, start) = ((0..4).map(begin).collect::<Vec<_>>(), std::sync::Barrier::new(4));
        let complete = |(upload, part): &(crate::connector::store::Upload, _)| {
            start.wait();
            staged::complete(&folder, &upload.key, &upload.id, std::slice::from_ref(part))
        };
        std::thread::scope(|scope| {
            let completing: Vec<_> = uploads.iter().map(|upload| scope.spawn(|| complete(upload))).collect();
            completing.into_iter().for_each(|one| one.join().unwrap().unwrap());
        });
    }
}

/// Catches a temporary file that nobody ever takes away: a process was killed between writing and linking it. And one
/// that is taken away from a live process, of this pipeline or of another in the same folder.
#[tokio::test]
async fn what_a_dead_process_left_is_removed_and_nothing_of_a_live_one() {
    let root = tempfile::tempdir().unwrap();
    let store = LocalStore::new(root.path());
    let key = ".millstream/commits/7.json";
    // A closed file is what a process leaves that was killed.
    drop(durable::write_temporary(&store.folder, key, b"half a commit").unwrap());
    let live = durable::write_temporary(&store.folder, key, b"a commit under way").unwrap();
    let upload = store.begin("day=1/a.parquet").await.unwrap();
    assert_eq!(store.list("").await.unwrap(), []);
    assert_eq!(store.uploads("").await.unwrap(), std::slice::from_ref(&upload));
    for removed in [1, 0] {
        assert_eq!(store.remove_leftovers().await.unwrap(), removed);
        assert!(live.path.exists());
        assert_eq!(store.uploads("").await.unwrap(), std::slice::from_ref(&upload));
    }
    drop(live);
    assert_eq!(store.remove_leftovers().await.unwrap(), 1);
    store.abort(&upload).await.unwrap();
    assert_eq!(everything(root.path()), [".millstream", STAGED].iter().map(|path| root.path().join(path)).collect());
    assert_eq!(store.create(key, "{}".into()).await.unwrap(), Created::New);
}

/// Catches a commit that fails, or is made twice, because a neighbour starts at the same moment and clears away.
#[test]
fn creating_and_clearing_away_do_not_disturb_each_other() {
    let root = tempfile::tempdir().unwrap();
    let folder = LocalStore::new(root.path()).folder;
    let (done, creators) = (std::sync::atomic::AtomicBool::new(false), 3);
    let ordering = std::sync::atomic::Ordering::SeqCst;
    let create = |creator: usize| {
        for n in 0..400 {
            let key = format!("{}/{creator}-{n}", n % 5);
            assert_eq!(objects::create(&folder, &key, b"{}").unwrap(), Created::New);
            objects::put(&folder, &key, b"[]").unwrap();
        }
    };
    std::thread::scope(|scope| {
        let clearing = scope.spawn(|| {
            while !done.load(ordering) {
                leftovers::remove(&folder).unwrap();
            }
        });
        let creating: Vec<_> = (0..creators).map(|creator| scope.spawn(move || create(creator))).collect();
        creating.into_iter().for_each(|one| one.join().unwrap());
        done.store(true, ordering);
        clearing.join().unwrap();
    });
    assert_eq!(objects::list(&folder, "").unwrap().len(), creators * 400);
    assert_eq!(leftovers::remove(&folder).unwrap(), 0);
}

/// Catches two winners on a file system without hard links, where a rename takes the place of the link.
#[test]
fn one_of_many_exclusive_renames_wins() {
    let root = tempfile::tempdir().unwrap();
    for round in 0..100 {
        let (target, start) = (root.path().join(format!("{round}.json")), std::sync::Barrier::new(4));
        let race = |racer: usize| {
            let temporary = root.path().join(format!("{round}-{racer}.temp"));
            fs::write(&temporary, racer.to_string()).unwrap();
            start.wait();
            exclusive::rename_exclusively(&temporary, &target).unwrap()
        };
        let created: Vec<_> = std::thread::scope(|scope| {
            let racing: Vec<_> = (0..4).map(|racer| scope.spawn(move || race(racer))).collect();
            racing.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let winners: Vec<_> = (0..4).filter(|racer| created[*racer] == Created::New).collect();
        let [winner] = winners.as_slice() else { panic!("winners: {winners:?}") };
        assert_eq!(fs::read_to_string(&target).unwrap(), winner.to_string());
    }
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
        store.complete(&upload, &[tag]).await.map(drop),
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
    assert!(matches!(store.complete(&upload, &[tag]).await, Err(StoreError::BadParts { .. })));
    assert_eq!(store.get("a").await.unwrap(), None);
}
