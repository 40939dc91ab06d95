//! A file is published, lost, or somebody else's, whatever the store answers and however late. Would catch: a file of
//! somebody else taken for ours, a file that is there written a second time, and a store that keeps a run for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use millstream_operators::protocol::{FileRecord, Place};

use super::*;
use crate::connector::memory::{Call, Fate, Faults, MemoryStore, Operation, Unreliable};
use crate::retry::GIVE_UP;

const BYTES: &str = "rows";
const SECOND: Duration = Duration::from_secs(1);

/// A bucket, the files of one commit in it, and how a process sees it.
struct Scene {
    base: MemoryStore,
    files: Vec<Unfinished>,
    places: Places,
    looks: Arc<AtomicU64>,
    completes: Arc<AtomicU64>,
}

impl Scene {
    /// So many uploads, and the fate of each call to publish them.
    async fn new(uploads: usize, fate: impl Fn(&Call<'_>) -> Fate + Send + Sync + 'static) -> Self {
        let base = MemoryStore::new("lake");
        let mut files = Vec::new();
        for number in 0..uploads {
            files.push(uploaded(&base, &format!("e1-w0-{number}-g1.parquet")).await);
        }
        let (looks, completes) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let counters = (looks.clone(), completes.clone());
        let faults = Faults::new(move |call| {
            match call.operation {
                Operation::Look => counters.0.fetch_add(1, Ordering::Relaxed),
                Operation::Complete => counters.1.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            };
            fate(call)
        });
        let store: Arc<dyn Store> = Arc::new(Unreliable::new(Arc::new(base.clone()), Arc::new(faults)));
        let places = Places::single(store.clone(), store);
        Scene { base, files, places, looks, completes }
    }

    async fn publish(&self) -> Result<Vec<Unfinished>, Fatal> {
        publish(&self.places, self.files.clone()).await
    }

    /// How it fails.
    async fn error(&self) -> Fatal {
        self.publish().await.expect_err("it was published")
    }

    fn is_visible(&self) -> bool {
        self.base.objects().get(&self.files[0].file.path) == Some(&Bytes::from(BYTES))
    }

    fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }
}

async fn uploaded(store: &MemoryStore, path: &str) -> Unfinished {
    let upload = store.begin(path).await.unwrap();
    let tag = store.put_part(&upload, 1, BYTES.into()).await.unwrap();
    let file = FileRecord {
        path: path.to_owned(),
        bytes: BYTES.len() as u64,
        crc: format!("{:016x}", crc_fast::checksum(CrcAlgorithm::Crc64Nvme, BYTES.as_bytes())),
        upload: upload.id,
        parts: vec![tag.0],
        ..FileRecord::default()
    };
    Unfinished { commit: 7, place: Place::data(), file }
}

fn upload_of(unfinished: &Unfinished) -> Upload {
    Upload { key: unfinished.file.path.clone(), id: unfinished.file.upload.clone() }
}

/// Works but for one operation.
fn only(operation: Operation, fate: Fate) -> impl Fn(&Call<'_>) -> Fate {
    move |call| if call.operation == operation { fate } else { Fate::Works }
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_the_sum_needs_no_look() {
    let scene = Scene::new(3, |_| Fate::Works).await;
    assert_eq!(scene.publish().await.unwrap(), []);
    assert!(scene.is_visible());
    assert_eq!(scene.looks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_file_of_somebody_else_is_named_and_never_taken_for_ours() {
    for theirs in ["other rows", "ROWS"] {
        let scene = Scene::new(1, |_| Fate::Works).await;
        scene.base.abort(&upload_of(&scene.files[0])).await.unwrap();
        scene.base.put(&scene.files[0].file.path, theirs.into()).await.unwrap();
        let error = scene.error().await.to_string();
        for part in ["e1-w0-0-g1.parquet in lake", "commit 7", "something else has written it", "Move it away"] {
            assert!(error.contains(part), "{theirs}: {error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_becomes_other_bytes_than_the_commit_says_is_told() {
    let mut scene = Scene::new(1, |_| Fate::Works).await;
    scene.files[0].file.crc = "0000000000000001".to_owned();
    assert!(scene.error().await.to_string().contains("is not the file that commit 7 names"));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_completed_before_is_not_lost() {
    let scene = Scene::new(1, |_| Fate::Works).await;
    let parts = [PartTag(scene.files[0].file.parts[0].clone())];
    scene.base.complete(&upload_of(&scene.files[0]), &parts).await.unwrap();
    assert_eq!(scene.publish().await.unwrap(), []);
    assert_eq!(scene.looks(), 1);
}

/// The answer is lost or not, the upload is gone, and looks find nothing for a while.
#[tokio::test(start_paused = true)]
async fn an_object_that_shows_late_is_waited_for() {
    for fate in [Fate::Unseen(3 * SECOND), Fate::UnseenUnclear(3 * SECOND), Fate::Late(3 * SECOND)] {
        let scene = Scene::new(1, only(Operation::Complete, fate)).await;
        assert_eq!(scene.publish().await.unwrap(), [], "{fate:?}");
        assert!(scene.is_visible(), "{fate:?}");
        assert!(scene.looks() > 1, "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_lost_only_after_many_looks() {
    let scene = Scene::new(1, |_| Fate::Works).await;
    scene.base.abort(&upload_of(&scene.files[0])).await.unwrap();
    let began = Instant::now();
    assert_eq!(scene.publish().await.unwrap(), scene.files);
    assert!(began.elapsed() >= LOOKS && began.elapsed() < 2 * LOOKS, "{:?}", began.elapsed());
    assert!(scene.looks() >= u64::from(LEAST_LOOKS), "{}", scene.looks());
}

/// A rule that took all uploads of a commit must not cost the wait once for each.
#[tokio::test(start_paused = true)]
async fn files_are_looked_for_side_by_side() {
    let scene = Scene::new(500, |_| Fate::Works).await;
    for file in &scene.files {
        scene.base.abort(&upload_of(file)).await.unwrap();
    }
    let began = Instant::now();
    assert_eq!(scene.publish().await.unwrap().len(), 500);
    assert!(began.elapsed() < 2 * LOOKS, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn parts_that_cannot_make_the_file_are_lost_and_dropped() {
    let mut scene = Scene::new(1, |_| Fate::Works).await;
    scene.files[0].file.parts[0] = "another".to_owned();
    assert_eq!(scene.publish().await.unwrap(), scene.files);
    assert_eq!(scene.base.uploads("").await.unwrap(), [], "it could appear after all");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_it_unless_the_file_is_there() {
    let scene = Scene::new(1, only(Operation::Complete, Fate::Refused)).await;
    let error = scene.error().await;
    assert!(matches!(error, Fatal::Store(StoreError::Refused { .. })), "{error}");
    assert!(error.to_string().contains("complete the upload of e1-w0-0-g1.parquet"), "{error}");
    let parts = [PartTag(scene.files[0].file.parts[0].clone())];
    scene.base.complete(&upload_of(&scene.files[0]), &parts).await.unwrap();
    assert_eq!(scene.publish().await.unwrap(), []);
}

/// Nobody may look, but the store said yes; and where it did not, its refusal is what is told.
#[tokio::test(start_paused = true)]
async fn without_the_right_to_look_the_answer_counts() {
    let scene = Scene::new(1, only(Operation::Look, Fate::Refused)).await;
    assert_eq!(scene.publish().await.unwrap(), []);
    let again = scene.error().await.to_string();
    assert!(again.contains("refused to look at e1-w0-0-g1.parquet"), "{again}");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_never_shows_is_told() {
    let scene = Scene::new(1, only(Operation::Complete, Fate::Unseen(10 * GIVE_UP))).await;
    let error = scene.error().await.to_string();
    for part in ["lake said that e1-w0-0-g1.parquet of commit 7 is complete", "not there", "Start again"] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_for_ever() {
    for fate in [Fate::Fails, Fate::LostRequest] {
        let scene = Scene::new(1, only(Operation::Complete, fate)).await;
        let began = Instant::now();
        let error = scene.error().await.to_string();
        assert!(began.elapsed() >= GIVE_UP && began.elapsed() < GIVE_UP + 20 * SECOND, "{:?}", began.elapsed());
        for part in ["e1-w0-0-g1.parquet of commit 7", "in lake", "tries in 15 minutes", "Start again once"] {
            assert!(error.contains(part), "{fate:?}: {error}");
        }
        assert!(scene.completes.load(Ordering::Relaxed) > 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_is_waited_for() {
    let began = Instant::now();
    let away = move |_: &Call<'_>| if began.elapsed() < 300 * SECOND { Fate::Fails } else { Fate::Works };
    let scene = Scene::new(2, away).await;
    assert_eq!(scene.publish().await.unwrap(), []);
    assert!(scene.is_visible());
}
