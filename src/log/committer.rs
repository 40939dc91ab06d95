//! The task beside the commit operator: drafts become commits, commits become visible files.
//!
//! ```text
//! draft ─► (lists and state beside it) ─► append ─► publish, several at once ─► sealed, followers notified
//!                                 │                                     └► how far all is published, told in the next commit
//!                                 └► the hint; now and then a snapshot
//! ```
//! Owns the number of the next commit. Appends one at a time, in order; publishes a few commits side by side. With nothing
//! to commit it looks at the log now and then, so that a process that was fenced out learns of it. While it lives it renews
//! the note of who runs the pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millstream_operators::commit::{CommitRequest, Draft, Sealed};
use millstream_operators::protocol::{Commit, FileRecord, Place, SnapshotRef, State, coverage, recover};
use millstream_operators::state::Operators;
use tokio::task::JoinSet;

use crate::bridge::{TokioEnd, Trouble};
use crate::clock::Clock;
use crate::connector::Source;
use crate::exit::Fatal;
use crate::followers::{Followers, PublishedCommit};
use crate::log::append::{Appended, Large, append_with};
use crate::log::claim::Claimant;
use crate::log::objects::commit_key;
use crate::log::{Places, owner, publish, read, snapshot, states};

/// Commits that may wait for their files to appear before the next one is made.
const UNPUBLISHED: usize = 4;
/// How long to sit with nothing to commit before looking whether we are fenced out.
const IDLE_LOOK: Duration = Duration::from_secs(20);

/// Called with every commit made.
pub type OnCommit = Arc<dyn Fn(&Commit) + Send + Sync>;

/// When objects beside the commits are worth it. Tests want to see them sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worth {
    /// No snapshot for fewer bytes of commits than this, unless there are `commits` of them.
    pub snapshot: u64,
    /// Most commits that a start has to read.
    pub commits: u64,
    /// What of a commit lies beside it.
    pub large: Large,
}

impl Default for Worth {
    fn default() -> Self {
        Worth { snapshot: 1 << 20, commits: 1_000, large: Large::default() }
    }
}

/// What the committer needs of its surroundings.
#[derive(Clone)]
pub struct Committing {
    pub places: Places,
    pub source: Arc<dyn Source>,
    pub followers: Followers,
    pub who: Claimant,
    pub clock: Clock,
    pub trouble: Trouble,
    pub on_commit: OnCommit,
    pub worth: Worth,
}

/// What a task of the committer came to.
enum Came {
    Published { commit: u64, epoch: u64, result: Result<(), Fatal> },
    Snapshot(Result<SnapshotRef, Fatal>),
    Cleared,
    Hinted(u64),
}

struct Committer {
    around: Committing,
    /// The log as far as it concerns the next commit: its maps stay empty.
    log: State,
    published: BTreeSet<u64>,
    /// Commits that are not published yet, for the followers.
    unpublished: BTreeMap<u64, PublishedCommit>,
    publishing: usize,
    snapshotting: bool,
    /// The commit that the hint names, and whether it is being written.
    hinted: u64,
    hinting: bool,
    tasks: JoinSet<Came>,
}

/// Runs until the operator is gone. `state` is the claimed log, everything before it published. Its positions and entries are not
/// needed.
pub async fn run(around: Committing, state: State, mut end: TokioEnd<CommitRequest, Sealed>) {
    let log = state.head();
    let trouble = around.trouble.clone();
    let (store, who, clock) = (around.places.log.clone(), around.who.clone(), around.clock.clone());
    let (generation, hinted) = (log.generation, log.commit);
    around.followers.begin(&store, log.published);
    let mut committer = Committer {
        around,
        log,
        published: BTreeSet::new(),
        unpublished: BTreeMap::new(),
        publishing: 0,
        snapshotting: false,
        hinted,
        hinting: false,
        tasks: JoinSet::new(),
    };
    let served = tokio::select! {
        biased;
        served = committer.serve(&mut end) => served,
        () = owner::renew(&*store, generation, &who.writer, &clock) => Ok(()),
    };
    if let Err(fatal) = served {
        trouble.report(fatal);
    }
}

impl Committer {
    async fn serve(&mut self, end: &mut TokioEnd<CommitRequest, Sealed>) -> Result<(), Fatal> {
        loop {
            let room = self.publishing < UNPUBLISHED;
            tokio::select! {
                biased;
                Some(came) = self.tasks.join_next() => {
                    let came = came.map_err(|broken| Fatal::Failed(format!("publishing broke off: {broken}")))?;
                    if let Some(sealed) = self.take(came)? {
                        end.replies.send(sealed).await;
                    }
                }
                request = end.requests.recv(), if room => match request {
                    Some(CommitRequest::Commit(draft)) => self.commit(draft).await?,
                    Some(CommitRequest::Refuse { epoch, problem }) => return Err(Fatal::DoesNotAddUp { epoch, problem }),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(IDLE_LOOK) => self.look_for_a_newer_generation().await?,
            }
        }
    }

    async fn commit(&mut self, draft: Draft) -> Result<(), Fatal> {
        let store = self.around.places.log.clone();
        let epoch = draft.epoch;
        let mut commit = self.make(draft);
        let bytes = match append_with(&*store, &mut commit, self.around.worth.large).await? {
            Appended::Ours(bytes) => bytes,
            Appended::Theirs(theirs) => return Err(self.fenced(&theirs)),
        };
        // Of the state only what the next commit needs is kept here.
        let state = std::mem::take(&mut commit.state);
        self.log.apply(&commit, bytes).map_err(|broken| Fatal::Log(broken.to_string()))?;
        self.log.positions.clear();
        commit.state = state;
        (self.around.on_commit)(&commit);
        self.hint();
        self.unpublished.insert(commit.commit, self.around.followers.prepare(&commit));
        commit.state = Operators::default();
        self.publish(commit, epoch);
        Ok(())
    }

    fn make(&self, mut draft: Draft) -> Commit {
        let mut coverage = Vec::new();
        // A draft's files are sorted by sink.
        for files in draft.files.chunk_by_mut(|a, b| a.sink == b.sink) {
            let sink = files.first().map(|file: &FileRecord| file.sink.clone()).unwrap_or_default();
            coverage.extend(coverage::share(&sink, files));
        }
        coverage.extend(coverage::share(&Place::rejects(), &mut draft.rejects));
        Commit {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            writer: self.around.who.writer.clone(),
            at: self.around.clock.text(),
            epoch: draft.epoch,
            files: draft.files,
            rejects: draft.rejects,
            coverage,
            counts: draft.counts,
            positions: draft.positions,
            filtered_ranges: draft.filtered_ranges,
            state: draft.state,
            ..self.log.next()
        }
    }

    /// Renews the hint beside the work, one at a time.
    fn hint(&mut self) {
        if self.hinting || self.hinted == self.log.commit {
            return;
        }
        self.hinting = true;
        let (store, commit) = (self.around.places.log.clone(), self.log.commit);
        self.tasks.spawn(async move {
            read::leave_hint(&*store, commit).await;
            Came::Hinted(commit)
        });
    }

    fn publish(&mut self, commit: Commit, epoch: u64) {
        let (places, generation) = (self.around.places.clone(), self.log.generation);
        let (number, files) = (commit.commit, recover::to_finish(&[commit]));
        self.publishing += 1;
        let work = async move {
            let result = publish::publish(&places, files).await.and_then(|lost| match lost.first() {
                None => Ok(()),
                Some(file) => Err(Fatal::Failed(format!(
                    "the upload of {} was lost before commit {number} could make it visible (a lifecycle rule?). Start \
                     again: the file is then written again from the source",
                    file.file.path
                ))),
            });
            let result = match result {
                Err(fatal @ Fatal::Failed(_)) => Err(read::fenced_or(&*places.log, generation, fatal).await),
                settled => settled,
            };
            Came::Published { commit: number, epoch, result }
        };
        self.tasks.spawn(work);
    }

    fn take(&mut self, came: Came) -> Result<Option<Sealed>, Fatal> {
        match came {
            Came::Published { commit, epoch, result } => {
                result?;
                self.publishing -= 1;
                self.published.insert(commit);
                while self.published.remove(&(self.log.published + 1)) {
                    self.log.published += 1;
                    if let Some(commit) = self.unpublished.remove(&self.log.published) {
                        self.around.followers.published(commit);
                    }
                }
                self.snapshot_if_due();
                Ok(Some(Sealed { epoch, commit }))
            }
            Came::Snapshot(result) => {
                self.snapshotting = false;
                match result {
                    Ok(snapshot) => {
                        self.clear_before(self.log.snapshot.as_ref().map_or(0, |last| last.commit));
                        self.log.since_snapshot = 0;
                        self.log.snapshot = Some(snapshot);
                    }
                    // A snapshot saves a start some reading, nothing more: the next commit tries again.
                    Err(Fatal::Store(error)) if error.can_retry() => tracing::warn!(%error, "no snapshot was made"),
                    Err(Fatal::Log(problem)) => tracing::warn!(problem, "no snapshot was made"),
                    Err(fatal) => return Err(fatal),
                }
                Ok(None)
            }
            Came::Hinted(commit) => {
                (self.hinting, self.hinted) = (false, commit);
                self.hint();
                Ok(None)
            }
            Came::Cleared => Ok(None),
        }
    }

    fn snapshot_if_due(&mut self) {
        if self.snapshotting || !self.log.wants_snapshot(self.around.worth.snapshot, self.around.worth.commits) {
            return;
        }
        self.snapshotting = true;
        let (store, last) = (self.around.places.log.clone(), self.log.snapshot.clone());
        let (at, generation) = (self.log.published, self.log.generation);
        let work = async move { Came::Snapshot(snapshot::write(&*store, last, at, generation).await) };
        self.tasks.spawn(work);
    }

    /// Commits that are still to be published may name the snapshot before the newest one; nobody needs those before it.
    fn clear_before(&mut self, commit: u64) {
        let store = self.around.places.log.clone();
        self.tasks.spawn(async move {
            snapshot::clear(&*store, commit).await;
            states::clear(&*store, commit).await;
            Came::Cleared
        });
    }

    async fn look_for_a_newer_generation(&self) -> Result<(), Fatal> {
        let store = &*self.around.places.log;
        let next = self.log.commit + 1;
        match store.look(&commit_key(next)).await {
            Ok(Some(_)) => Err(self.fenced(&read::commit(store, next).await?.0)),
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "could not look at the log");
                Ok(())
            }
        }
    }

    fn fenced(&self, theirs: &Commit) -> Fatal {
        Fatal::Fenced {
            store: self.around.places.log.name().to_owned(),
            commit: theirs.commit,
            ours: self.log.generation,
            theirs: theirs.generation,
        }
    }
}
