//! Followers: told of every commit once its files are visible, in the order of the log.
//!
//! ```text
//! committer ── published ──► a task for each follower ──► tell ──► .millstream/followers/<name>.json
//!                                   └── the log, for what it has not heard of
//! ```
//! Owns the tasks and their progress. A follower may be slow, fail or be away for days: commits never wait for it. One that
//! hears all is tried again until it takes a commit, and only then hears of the next; what it has not heard of when a run
//! ends, the next start tells it. The end of a run waits for its followers for [`FAREWELL`] at most.
//!
//! What must stay true: a follower that hears all is told of every commit at least once, in order; its progress never says more
//! than it was told.

mod acknowledge;
pub mod notify;

pub use acknowledge::Acknowledge;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use millstream_operators::protocol::{Commit, Place};
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

/// How long the end of a run waits for followers that have not heard of everything.
pub const FAREWELL: Duration = Duration::from_secs(30);
/// Commits kept for followers that are a little behind; what is older is read from the log again.
const KEPT: usize = 64;
/// The pause before a commit is told again, which doubles up to the longest one.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Who is told of commits.
#[async_trait]
pub trait Follower: Send + Sync {
    /// What messages and its progress call it.
    fn name(&self) -> &str;

    /// Whether it must hear of every commit. One that need not is told of several at once when it is slow, and never again of what
    /// it did not take.
    fn hears_all(&self) -> bool;

    /// How long it may take for one commit.
    fn patience(&self) -> Duration;

    /// Tells it of a commit. An error says why it did not take it.
    async fn tell(&self, told: &Told) -> Result<(), String>;
}

/// What followers hear of a commit.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub commit: u64,
    /// The id of the log: with the number of the commit it names the commit in all the world.
    pub log: String,
    pub pipeline: String,
    pub epoch: u64,
    pub at: String,
    pub files: Vec<File>,
    pub rows: u64,
    pub rejects: u64,
    /// The averages over everything that the commit changed.
    pub averages: Vec<Overall>,
    pub positions: BTreeMap<Split, Position>,
}

/// A file that a commit made visible.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub sink: String,
}

/// The paths of the sinks, as the pipeline file says them.
pub type Roots = BTreeMap<Place, String>;

impl Told {
    pub fn of(commit: &Commit, roots: &Roots) -> Self {
        let file = |file: &millstream_operators::protocol::FileRecord| {
            let root = roots.get(&file.sink).map_or("", |root| root.trim_end_matches('/'));
            let path = format!("{root}/{}", file.path);
            File { path, rows: file.rows, bytes: file.bytes, sink: file.sink.name().to_owned() }
        };
        Told {
            commit: commit.commit,
            log: commit.log.map(|log| log.to_string()).unwrap_or_default(),
            pipeline: commit.pipeline.clone(),
            epoch: commit.epoch,
            at: commit.at.clone(),
            files: commit.files.iter().map(file).collect(),
            rows: commit.rows(),
            rejects: commit.reject_rows(),
            averages: averages::overall(commit),
            positions: commit.positions.iter().map(|(split, progress)| (split.clone(), progress.at.clone())).collect(),
        }
    }
}

/// How far a follower has heard, as it is kept beside the log.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Progress {
    pub commit: u64,
}

/// How far a follower has heard; `None`: it has not heard of anything, or nobody can read it.
pub async fn progress(store: &dyn Store, name: &str) -> Result<Option<u64>, Fatal> {
    let bytes = get(store, &follower_key(name)).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice::<Progress>(&bytes).ok()).map(|progress| progress.commit))
}

/// The followers of a pipeline, at work once they have [begun](Followers::begin).
#[derive(Clone, Default)]
pub struct Followers {
    followers: Arc<[Arc<dyn Follower>]>,
    roots: Arc<Roots>,
    at_work: Arc<Mutex<Option<AtWork>>>,
}

struct AtWork {
    news: Sender<Arc<Told>>,
    tasks: JoinSet<()>,
}

impl Followers {
    pub fn new(followers: Vec<Arc<dyn Follower>>, roots: Roots) -> Self {
        Followers { followers: followers.into(), roots: Arc::new(roots), at_work: Arc::default() }
    }

    /// Whether there is nobody to tell.
    pub fn is_empty(&self) -> bool {
        self.followers.is_empty()
    }

    /// What they will be told of a commit.
    pub fn told(&self, commit: &Commit) -> Told {
        Told::of(commit, &self.roots)
    }

    /// Begins the tasks. All commits up to `published` are visible.
    pub fn begin(&self, store: &Arc<dyn Store>, published: u64) {
        let (news, _) = broadcast::channel(KEPT);
        let mut tasks = JoinSet::new();
        for follower in self.followers.iter() {
            let following = Following {
                follower: follower.clone(),
                store: store.clone(),
                roots: self.roots.clone(),
                news: news.subscribe(),
            };
            tasks.spawn(following.run(published));
        }
        *self.at_work.lock().unwrap_or_else(PoisonError::into_inner) = Some(AtWork { news, tasks });
    }

    /// A commit is visible, and all before it.
    pub fn published(&self, told: Told) {
        if let Some(at_work) = &*self.at_work.lock().unwrap_or_else(PoisonError::into_inner) {
            // Where nobody listens, nobody is to be told.
            let _ = at_work.news.send(Arc::new(told));
        }
    }

    /// Nothing more will be published: waits until all is told, for as long as a farewell may take.
    pub async fn finish(&self) {
        let at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(AtWork { news, mut tasks }) = at_work else { return };
        drop(news);
        let all_told = async { while tasks.join_next().await.is_some() {} };
        if timeout(FAREWELL, all_told).await.is_err() {
            let seconds = FAREWELL.as_secs();
            tracing::warn!(
                "a follower did not take all commits within {seconds} s of the end; the next start tells the rest"
            );
        }
    }
}

/// A follower at work.
struct Following {
    follower: Arc<dyn Follower>,
    store: Arc<dyn Store>,
    roots: Arc<Roots>,
    news: Receiver<Arc<Told>>,
}

impl Following {
    async fn run(mut self, published: u64) {
        match self.follower.hears_all() {
            true => self.tell_all(published).await,
            false => self.tell_the_newest().await,
        }
    }

    /// Tells of every commit, in order.
    async fn tell_all(&mut self, published: u64) {
        let mut heard = self.heard(published).await;
        while heard < published {
            heard += 1;
            self.tell_as_logged(heard).await;
        }
        loop {
            let told = match self.news.recv().await {
                Ok(told) => told,
                // What was missed is read from the log, once the next one comes.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            while heard + 1 < told.commit {
                heard += 1;
                self.tell_as_logged(heard).await;
            }
            if heard < told.commit {
                self.until_taken(&told).await;
                heard = told.commit;
            }
        }
    }

    /// How far it has heard. One that is new to a log hears of what is published from now on.
    async fn heard(&self, published: u64) -> u64 {
        let mut pause = PAUSE;
        loop {
            match progress(&*self.store, self.follower.name()).await {
                Ok(Some(heard)) => return heard.min(published),
                Ok(None) => {
                    self.keep(published).await;
                    return published;
                }
                Err(error) => self.wait(&mut pause, &error.to_string()).await,
            }
        }
    }

    async fn tell_as_logged(&self, number: u64) {
        let mut pause = PAUSE;
        let told = loop {
            let read = async {
                let (mut commit, _) = read::commit(&*self.store, number).await?;
                states::fetch(&*self.store, &mut commit.state).await?;
                Ok::<_, Fatal>(Told::of(&commit, &self.roots))
            };
            match read.await {
                Ok(told) => break told,
                Err(error) => self.wait(&mut pause, &error.to_string()).await,
            }
        };
        self.until_taken(&told).await;
    }

    async fn until_taken(&self, told: &Told) {
        let mut pause = PAUSE;
        while let Err(why) = self.tell(told).await {
            self.wait(&mut pause, &why).await;
        }
        self.keep(told.commit).await;
    }

    async fn wait(&self, pause: &mut Duration, why: &str) {
        let seconds = pause.as_secs();
        tracing::warn!("{} was not told of a commit: {why}; trying again in {seconds} s", self.follower.name());
        sleep(*pause).await;
        *pause = LONGEST_PAUSE.min(*pause * 2);
    }

    /// Keeps how far it has heard. What could not be kept is told again by the next start.
    async fn keep(&self, heard: u64) {
        let bytes = serde_json::to_vec(&Progress { commit: heard }).unwrap_or_default();
        if let Err(error) = self.store.put(&follower_key(self.follower.name()), bytes.into()).await {
            tracing::debug!(%error, "how far {} has heard was not kept", self.follower.name());
        }
    }

    async fn tell(&self, told: &Told) -> Result<(), String> {
        let patience = self.follower.patience();
        match timeout(patience, self.follower.tell(told)).await {
            Ok(taken) => taken,
            Err(_) => Err(format!("it did not answer for {} s", patience.as_secs())),
        }
    }

    /// Tells of what is new, several commits as one.
    async fn tell_the_newest(&mut self) {
        loop {
            let mut told = match self.news.recv().await {
                Ok(told) => Told::clone(&told),
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            loop {
                match self.news.try_recv() {
                    Ok(newer) => {
                        let before = std::mem::take(&mut told.positions);
                        told = Told::clone(&newer);
                        told.positions = before.into_iter().chain(told.positions).collect();
                    }
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            if let Err(why) = self.tell(&told).await {
                let (name, commit) = (self.follower.name(), told.commit);
                tracing::warn!("{name} was not told of commit {commit} ({why}); nothing depends on it");
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
