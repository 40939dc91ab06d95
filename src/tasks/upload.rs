//! Uploads the pieces of files as the operators hand them over.
//!
//! Owns the uploads that are under way: a task for each file, from its first piece until it is told of as stored. How a file
//! is laid down is [`lay`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_operators::encode::{FileId, Piece};
use millstream_operators::stage::{StageRequest, Stored};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::bridge::{Replies, TokioEnd, Trouble};
use crate::connector::{Store, StoreError};
use crate::exit::Fatal;
use crate::log::lay::{Laid, lay};
use crate::log::{Places, read};

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
        log: places.log.clone(),
        generation,
    };
    let mut open: BTreeMap<FileId, mpsc::UnboundedSender<Piece>> = BTreeMap::new();
    let mut files = JoinSet::new();
    while let Some(StageRequest { place, piece }) = end.requests.recv().await {
        while files.try_join_next().is_some() {}
        let (file, last) = (piece.file, piece.end.is_some());
        let store = match places.of(&place) {
            Ok(store) => store.clone(),
            Err(fatal) => return shared.trouble.report(fatal),
        };
        let pieces = open.entry(file).or_insert_with(|| {
            #[expect(clippy::disallowed_methods, reason = "pieces hold permits: the byte budget bounds them")]
            let (sender, pieces) = mpsc::unbounded_channel();
            files.spawn(upload(store, piece.key.to_string(), file, pieces, shared.clone()));
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
    mut pieces: mpsc::UnboundedReceiver<Piece>,
    shared: Shared,
) {
    let pieces = futures::stream::poll_fn(|context| pieces.poll_recv(context));
    match lay(&*store, &key, pieces, &shared.calls).await {
        Ok(Some(Laid { upload, parts })) => {
            shared.replies.send(Stored { file, upload, parts }).await;
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
