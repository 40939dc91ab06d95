//! Uploads the pieces of files, part by part.
//!
//! Owns the uploads that are under way. A file begins with its first piece and is told of as stored once its last is up and
//! all of them are settled; parts of one file go up side by side, as many as the store likes, and each piece's permit goes
//! back once it is stored. Calls that may or
//! may not have happened are simply made again: a part replaces itself, and an upload whose beginning we never heard of is
//! aborted by the next start.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{FuturesOrdered, StreamExt};
use millstream_operators::encode::{FileId, Piece};
use millstream_operators::stage::{StageRequest, Stored};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::bridge::{Replies, TokioEnd, Trouble};
use crate::connector::store::{PartTag, Upload};
use crate::connector::{Store, StoreError};
use crate::exit::Fatal;
use crate::log::{Places, read};
use crate::retry::Pause;

/// Calls that all files of a worker's place have on their way at once.
const CALLS_AT_ONCE: usize = 32;

/// What all uploads of a worker share.
#[derive(Clone)]
struct Shared {
    calls: Arc<Semaphore>,
    replies: Replies<Stored>,
    trouble: Trouble,
    log: Arc<dyn Store>,
    generation: u64,
}

/// Serves the stage of one worker, of a process of this generation, until it is gone.
pub async fn run(places: Places, generation: u64, trouble: Trouble, mut end: TokioEnd<StageRequest, Stored>) {
    let shared = Shared {
        calls: Arc::new(Semaphore::new(CALLS_AT_ONCE)),
        replies: end.replies.clone(),
        trouble,
        log: places.data.clone(),
        generation,
    };
    let mut open: BTreeMap<FileId, mpsc::UnboundedSender<Piece>> = BTreeMap::new();
    let mut files = JoinSet::new();
    while let Some(StageRequest { place, piece }) = end.requests.recv().await {
        while files.try_join_next().is_some() {}
        let (file, last) = (piece.file, piece.end.is_some());
        let pieces = open.entry(file).or_insert_with(|| {
            #[expect(clippy::disallowed_methods, reason = "pieces hold permits: the byte budget bounds them")]
            let (sender, pieces) = mpsc::unbounded_channel();
            files.spawn(upload(places.of(place).clone(), piece.key.to_string(), file, pieces, shared.clone()));
            sender
        });
        // A file whose task is gone has reported why.
        let _ = pieces.send(piece);
        if last {
            open.remove(&file);
        }
    }
    files.detach_all();
}

async fn upload(
    store: Arc<dyn Store>,
    key: String,
    file: FileId,
    pieces: mpsc::UnboundedReceiver<Piece>,
    shared: Shared,
) {
    match parts(&*store, &key, pieces, &shared).await {
        Ok(Some((upload, tags))) => {
            let parts = tags.into_iter().map(|tag| tag.0).collect();
            shared.replies.send(Stored { file, upload: upload.id, parts }).await;
        }
        // The worker is gone before the file was whole: the run is ending.
        Ok(None) => {}
        Err(error) => {
            let taken = matches!(error, StoreError::NoSuchUpload { .. });
            let fatal = Fatal::from(error);
            shared.trouble.report(match taken {
                true => read::fenced_or(&*shared.log, shared.generation, fatal).await,
                false => fatal,
            });
        }
    }
}

async fn parts(
    store: &dyn Store,
    key: &str,
    mut pieces: mpsc::UnboundedReceiver<Piece>,
    shared: &Shared,
) -> Result<Option<(Upload, Vec<PartTag>)>, StoreError> {
    let mut next = pieces.recv().await;
    let upload = again(shared, || store.begin(key)).await?;
    let mut tags = Vec::new();
    let mut under_way = FuturesOrdered::new();
    while let Some(piece) = next.take() {
        let last = piece.end.is_some();
        under_way.push_back(part(store, &upload, piece, shared));
        while under_way.len() >= if last { 1 } else { store.parts_at_once() } {
            tags.extend(under_way.next().await.transpose()?);
        }
        if last {
            drop(under_way);
            again(shared, || store.settle(&upload)).await?;
            return Ok(Some((upload, tags)));
        }
        next = loop {
            tokio::select! {
                biased;
                Some(tag) = under_way.next() => tags.push(tag?),
                piece = pieces.recv() => break piece,
            }
        };
    }
    Ok(None)
}

async fn part(store: &dyn Store, upload: &Upload, piece: Piece, shared: &Shared) -> Result<PartTag, StoreError> {
    again(shared, || store.put_part(upload, piece.number, piece.bytes.clone())).await
}

/// Makes a call until it has gone through or cannot.
async fn again<T, F>(shared: &Shared, call: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = Pause::default();
    loop {
        let permit = shared.calls.acquire().await;
        let result = call().await;
        drop(permit);
        match result {
            Err(error) if error.can_retry() => pause.wait(&error.to_string()).await,
            settled => return settled,
        }
    }
}
