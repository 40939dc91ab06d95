//! Followers: notified of every commit after its files are published.
//!
//! ```text
//! committer ── published ──► one task per follower ──► deliver ──► .millstream/followers/<name>.json
//!                                   └── reads commits that it missed from the log
//! ```
//! Owns the tasks and their progress. Commits never wait for a follower. Delivery is either at least once (in order, retried until
//! it succeeds, resumed by the next start) or best effort (the newest positions only). Shutdown waits for followers for
//! [`SHUTDOWN_TIMEOUT`] at most.
//!
//! What must stay true: an at-least-once follower receives every commit, in order; its stored progress never runs ahead of what was
//! delivered.

mod acknowledge;
pub mod notify;

pub use acknowledge::Acknowledge;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::protocol::{Commit, FileRecord, Place};
use millstream_operators::{Position, Split};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::averages::{self, Overall};
use crate::connector::Store;
use crate::exit::Fatal;
use crate::log::objects::{follower_key, get};
use crate::log::{read, states};

/// How long shutdown waits for deliveries.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// Commits buffered for slow followers; older ones are read from the log again.
const BUFFERED_COMMITS: usize = 16;
/// The first pause before a retry. It doubles up to the longest one.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// A receiver of commits.
#[async_trait]
pub trait Follower: Send + Sync {
    /// Its name in messages and in the key of its progress.
    fn name(&self) -> &str;

    /// Delivery guarantee: at least once and in order, or best effort. A slow best-effort follower gets several commits merged into
    /// one, and no retry.
    fn at_least_once(&self) -> bool;

    /// Timeout of one delivery.
    fn timeout(&self) -> Duration;

    /// Delivers a commit. The error says why it failed.
    async fn deliver(&self, commit: &PublishedCommit) -> Result<(), String>;
}

/// A commit as followers see it.
#[derive(Clone, Debug, Default)]
pub struct PublishedCommit {
    pub commit: u64,
    /// New positions by split.
    pub positions: BTreeMap<Split, Position>,
    /// The rest, for at-least-once followers only.
    pub content: Content,
}

/// What a commit published.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Content {
    pub pipeline: String,
    /// The log id. Together with the commit number it identifies a commit globally.
    pub log: String,
    pub epoch: u64,
    pub at: String,
    pub rows: u64,
    pub rejects: u64,
    pub files: Vec<CommittedFile>,
    /// Overall averages that the commit changed.
    pub averages: Vec<Overall>,
}

/// A published data file.
#[derive(Clone, Debug, Serialize)]
pub struct CommittedFile {
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub sink: String,
}

/// Paths of the sinks, as in the pipeline file.
pub type Roots = BTreeMap<Place, String>;

impl PublishedCommit {
    /// The commit number and the positions alone.
    fn positions_of(commit: &Commit) -> Self {
        let positions = commit.positions.iter().map(|(split, progress)| (split.clone(), progress.at.clone()));
        PublishedCommit { commit: commit.commit, positions: positions.collect(), content: Content::default() }
    }

    fn whole(commit: &Commit, roots: &Roots) -> Self {
        PublishedCommit { content: Content::of(commit, roots), ..Self::positions_of(commit) }
    }
}

impl Content {
    fn of(commit: &Commit, roots: &Roots) -> Self {
        let file = |file: &FileRecord| {
            let root = roots.get(&file.sink).map_or("", |root| root.trim_end_matches('/'));
            let path = format!("{root}/{}", file.path);
            CommittedFile { path, rows: file.rows, bytes: file.bytes, sink: file.sink.name().to_owned() }
        };
        Content {
            pipeline: commit.pipeline.clone(),
            log: commit.log.map(|log| log.to_string()).unwrap_or_default(),
            epoch: commit.epoch,
            at: commit.at.clone(),
            rows: commit.rows(),
            rejects: commit.reject_rows(),
            files: commit.files.iter().map(file).collect(),
            averages: averages::overall(commit),
        }
    }
}

/// The progress of a follower, as stored beside the log.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct FollowerProgress {
    commit: u64,
}

/// The last commit delivered to a follower; `None` if there is no readable progress.
pub async fn progress(store: &dyn Store, name: &str) -> Result<Option<u64>, Fatal> {
    let bytes = get(store, &follower_key(name)).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice::<FollowerProgress>(&bytes).ok()).map(|progress| progress.commit))
}

/// The followers of a pipeline. [`Followers::begin`] starts their tasks.
#[derive(Clone, Default)]
pub struct Followers {
    followers: Arc<[Arc<dyn Follower>]>,
    roots: Arc<Roots>,
    running: Arc<Mutex<Option<Running>>>,
}

struct Running {
    news: Sender<Arc<PublishedCommit>>,
    tasks: JoinSet<()>,
}

impl Followers {
    pub fn new(followers: Vec<Arc<dyn Follower>>, roots: Roots) -> Self {
        Followers { followers: followers.into(), roots: Arc::new(roots), running: Arc::default() }
    }

    /// Converts a commit to what these followers need of it.
    pub fn prepare(&self, commit: &Commit) -> PublishedCommit {
        match self.followers.iter().any(|follower| follower.at_least_once()) {
            true => PublishedCommit::whole(commit, &self.roots),
            false => PublishedCommit::positions_of(commit),
        }
    }

    /// Starts the tasks. All commits up to `published` are already published.
    pub fn begin(&self, store: &Arc<dyn Store>, published: u64) {
        let (news, _) = broadcast::channel(BUFFERED_COMMITS);
        let mut tasks = JoinSet::new();
        for follower in self.followers.iter() {
            let (follower, store, roots) = (follower.clone(), store.clone(), self.roots.clone());
            tasks.spawn(Following { follower, store, roots, news: news.subscribe() }.run(published));
        }
        *self.running() = Some(Running { news, tasks });
    }

    /// Hands over the next published commit.
    pub fn published(&self, commit: PublishedCommit) {
        if let Some(running) = &*self.running() {
            // Without followers nobody receives it.
            let _ = running.news.send(Arc::new(commit));
        }
    }

    /// Ends the tasks once everything is delivered, or after [`SHUTDOWN_TIMEOUT`].
    pub async fn finish(&self) {
        let Some(Running { news, mut tasks }) = self.running().take() else { return };
        drop(news);
        let delivered = async { while tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_TIMEOUT, delivered).await.is_err() {
            let seconds = SHUTDOWN_TIMEOUT.as_secs();
            tracing::warn!(
                "a follower is behind {seconds} s after the last commit; the next start resumes its deliveries"
            );
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of one follower.
struct Following {
    follower: Arc<dyn Follower>,
    store: Arc<dyn Store>,
    roots: Arc<Roots>,
    news: Receiver<Arc<PublishedCommit>>,
}

impl Following {
    async fn run(mut self, published: u64) {
        match self.follower.at_least_once() {
            true => self.deliver_all(published).await,
            false => self.deliver_newest().await,
        }
    }

    /// Delivers every commit, in order.
    async fn deliver_all(&mut self, published: u64) {
        let mut delivered = self.resume_after(published).await;
        while delivered < published {
            delivered += 1;
            self.deliver_from_log(delivered).await;
        }
        loop {
            let commit = match self.news.recv().await {
                Ok(commit) => commit,
                // The next one received reveals the gap, which is then read from the log.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            while delivered + 1 < commit.commit {
                delivered += 1;
                self.deliver_from_log(delivered).await;
            }
            if delivered < commit.commit {
                self.deliver_until_accepted(&commit).await;
                delivered = commit.commit;
            }
        }
    }

    /// The last commit delivered. A follower that is new to a log starts with the next commit.
    async fn resume_after(&self, published: u64) -> u64 {
        let mut pause = RETRY_PAUSE;
        loop {
            match progress(&*self.store, self.follower.name()).await {
                Ok(Some(delivered)) => return delivered.min(published),
                Ok(None) => {
                    self.store_progress(published).await;
                    return published;
                }
                Err(error) => self.pause(&mut pause, &error.to_string()).await,
            }
        }
    }

    async fn deliver_from_log(&self, number: u64) {
        let mut pause = RETRY_PAUSE;
        let commit = loop {
            let read = async {
                let (mut commit, _) = read::commit(&*self.store, number).await?;
                states::fetch(&*self.store, &mut commit.state).await?;
                Ok::<_, Fatal>(PublishedCommit::whole(&commit, &self.roots))
            };
            match read.await {
                Ok(commit) => break commit,
                Err(error) => self.pause(&mut pause, &error.to_string()).await,
            }
        };
        self.deliver_until_accepted(&commit).await;
    }

    async fn deliver_until_accepted(&self, commit: &PublishedCommit) {
        let mut pause = RETRY_PAUSE;
        while let Err(why) = self.deliver(commit).await {
            self.pause(&mut pause, &why).await;
        }
        self.store_progress(commit.commit).await;
    }

    async fn pause(&self, pause: &mut Duration, why: &str) {
        let seconds = pause.as_secs();
        tracing::warn!("{} did not accept a commit: {why}; retrying in {seconds} s", self.follower.name());
        sleep(*pause).await;
        *pause = LONGEST_RETRY_PAUSE.min(*pause * 2);
    }

    /// Stores the progress. If that fails, the next start delivers some commits again.
    async fn store_progress(&self, commit: u64) {
        let bytes = serde_json::to_vec(&FollowerProgress { commit }).unwrap_or_default();
        if let Err(error) = self.store.put(&follower_key(self.follower.name()), bytes.into()).await {
            tracing::debug!(%error, "the progress of {} was not stored", self.follower.name());
        }
    }

    async fn deliver(&self, commit: &PublishedCommit) -> Result<(), String> {
        let limit = self.follower.timeout();
        match timeout(limit, self.follower.deliver(commit)).await {
            Ok(delivered) => delivered,
            Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
        }
    }

    /// Delivers the newest positions, several commits merged into one.
    async fn deliver_newest(&mut self) {
        loop {
            let mut newest = match self.news.recv().await {
                Ok(commit) => PublishedCommit::clone(&commit),
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            loop {
                match self.news.try_recv() {
                    Ok(newer) => {
                        newest.commit = newer.commit;
                        newest.positions.extend(newer.positions.clone());
                    }
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            if let Err(why) = self.deliver(&newest).await {
                let (name, commit) = (self.follower.name(), newest.commit);
                tracing::warn!("{name} did not accept commit {commit} ({why}); nothing depends on it");
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
