//! Laying a file down as an upload, part by part: begun, filled, settled, and not yet visible.
//!
//! Owns the calls and their repetition, for files of an epoch and for lost files written again. Calls that may or may not
//! have happened are simply made again: a part replaces itself, and an upload whose beginning we never heard of is aborted
//! by the next start. What must stay true: an upload is handed back only when its last part is up and all of it is settled.

use futures::stream::FuturesOrdered;
use futures::{Stream, StreamExt};
use millstream_operators::encode::Piece;
use tokio::sync::Semaphore;

use crate::connector::store::{PartTag, Upload};
use crate::connector::{Store, StoreError};
use crate::retry::persistently;

/// A file whose bytes are stored and that nobody sees yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laid {
    /// The store's name for the upload.
    pub upload: String,
    /// What it answered for each part, in order.
    pub parts: Vec<String>,
}

/// Lays the pieces of one file down under `key`, up to the one that ends it: as they come, as many side by side as the store
/// likes and `calls` has permits for. A piece's permit goes back once it is stored. `None` where the pieces stop before the
/// file is whole.
pub async fn lay(
    store: &dyn Store,
    key: &str,
    pieces: impl Stream<Item = Piece> + Unpin,
    calls: &Semaphore,
) -> Result<Option<Laid>, StoreError> {
    let mut pieces = pieces.fuse();
    let Some(first) = pieces.next().await else { return Ok(None) };
    let upload = call(calls, || store.begin(key)).await?;
    let mut next = Some(first);
    let (mut tags, mut under_way) = (Vec::new(), FuturesOrdered::new());
    while let Some(piece) = next.take() {
        let last = piece.end.is_some();
        under_way.push_back(part(store, &upload, piece, calls));
        while under_way.len() >= if last { 1 } else { store.parts_at_once() } {
            tags.extend(under_way.next().await.transpose()?);
        }
        if last {
            drop(under_way);
            call(calls, || store.settle(&upload)).await?;
            let parts = tags.into_iter().map(|tag: PartTag| tag.0).collect();
            return Ok(Some(Laid { upload: upload.id, parts }));
        }
        next = loop {
            tokio::select! {
                biased;
                Some(tag) = under_way.next() => tags.push(tag?),
                piece = pieces.next() => break piece,
            }
        };
    }
    Ok(None)
}

async fn part(store: &dyn Store, upload: &Upload, piece: Piece, calls: &Semaphore) -> Result<PartTag, StoreError> {
    call(calls, || store.put_part(upload, piece.number, piece.bytes.clone())).await
}

async fn call<T, F>(calls: &Semaphore, call: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    persistently(async || {
        let _permit = calls.acquire().await;
        call().await
    })
    .await
}

#[cfg(test)]
#[path = "lay_tests.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
