//! Runs a reader for each split that a worker was given.
//!
//! Owns the readers' lives: starts them when the ingest asks, starts them again from behind what they delivered when the
//! source was unavailable for a while, drops them all when the ingest stops. What must stay true: nothing that was
//! delivered is delivered again, and the end of a split is told after everything of it.

use std::sync::Arc;

use async_trait::async_trait;
use millstream_operators::ingest::{Read, ReadRequest};
use millstream_operators::{Permit, Position, RawBatch};
use tokio::task::JoinSet;

use crate::bridge::{Budget, Replies, TokioEnd, Trouble};
use crate::connector::{End, Outlet, Source, SourceError, SplitInfo};
use crate::exit::Fatal;
use crate::retry::Pause;

/// Serves the ingest of one worker until it stops or is gone.
pub async fn run(source: Arc<dyn Source>, budget: Budget, trouble: Trouble, mut end: TokioEnd<ReadRequest, Read>) {
    let mut readers = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(ended) = readers.join_next(), if !readers.is_empty() => {
                if let Err(broken) = ended && broken.is_panic() {
                    trouble.report(Fatal::Failed(format!("a reader broke off: {broken}")));
                }
            }
            request = end.requests.recv() => match request {
                Some(ReadRequest::Start { split, from }) => {
                    let outlet = Queue { budget: budget.clone(), replies: end.replies.clone(), delivered: None };
                    readers.spawn(read(source.clone(), split, from, outlet, trouble.clone()));
                }
                Some(ReadRequest::Stop) | None => return,
            },
        }
    }
}

async fn read(
    source: Arc<dyn Source>,
    split: SplitInfo,
    mut from: Option<Position>,
    mut outlet: Queue,
    trouble: Trouble,
) {
    let mut pause = Pause::default();
    loop {
        match source.read(&split, from.clone(), &mut outlet).await {
            Ok(End::Stopped) => return,
            Ok(end) => {
                outlet.replies.send(Read::Ended { split: split.name, end }).await;
                return;
            }
            Err(SourceError::Unavailable { name, message }) => {
                if outlet.delivered.is_some() {
                    (from, pause) = (outlet.delivered.take(), Pause::default());
                }
                pause.wait(&format!("{name}: {message}")).await;
            }
            Err(error) => return trouble.report(error.into()),
        }
    }
}

/// The queue of a worker's ingest, as a reader sees it.
struct Queue {
    budget: Budget,
    replies: Replies<Read>,
    /// How far this reader has delivered since it was last started.
    delivered: Option<Position>,
}

#[async_trait]
impl Outlet for Queue {
    async fn reserve(&mut self, bytes: usize) -> Option<Permit> {
        Some(self.budget.take(bytes).await)
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        let until = batch.until.clone();
        let taken = self.replies.send(Read::Batch(Arc::new(batch))).await;
        if taken {
            self.delivered = Some(until);
        }
        taken
    }
}
