//! The task beside the commit operator: drafts become commits, commits become visible files.
//!
//! ```text
//! draft ─► append ─► (acknowledge the source) ─► publish, several at once ─► sealed
//!             │                                     └► how far all is published, told in the next commit
//!             └► now and then: a snapshot, the hint
//! ```
//! Owns the number of the next commit. Appends one at a time, in order; publishes a few commits side by side. With nothing
//! to commit it looks at the log now and then, so that a process that was fenced out learns of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millstream_operators::commit::{CommitRequest, Draft, Sealed};
use millstream_operators::protocol::{Commit, SnapshotRef, State, recover};
use tokio::task::JoinSet;

use crate::bridge::{TokioEnd, Trouble};
use crate::clock::Clock;
use crate::connector::Source;
use crate::exit::Fatal;
use crate::log::append::{Appended, append};
use crate::log::claim::Claimant;
use crate::log::{Places, commit_key, publish, read, snapshot};

/// Commits that may wait for their files to appear before the next one is made.
const UNPUBLISHED: usize = 4;
/// How long to sit with nothing to commit before looking whether we are fenced out.
const IDLE_LOOK: Duration = Duration::from_secs(20);
/// No snapshot is made for less than this many bytes of commits, unless a test wants to see one sooner.
pub const LEAST_SNAPSHOT: u64 = 1 << 20;
/// A hint is left every so many commits.
const HINT_EVERY: u64 = 16;

/// Told of every commit made.
pub type OnCommit = Arc<dyn Fn(&Commit) + Send + Sync>;

/// What the committer needs of its surroundings.
#[derive(Clone)]
pub struct Committing {
    pub places: Places,
    pub source: Arc<dyn Source>,
    pub who: Claimant,
    pub clock: Clock,
    pub trouble: Trouble,
    pub on_commit: OnCommit,
    /// No snapshot is made for less than this many bytes of commits.
    pub least_snapshot: u64,
}

/// What a task of the committer came to.
enum Came {
    Published { commit: u64, epoch: u64, result: Result<(), Fatal> },
    Snapshot(Result<SnapshotRef, Fatal>),
}

struct Committer {
    around: Committing,
    /// The log as far as it concerns the next commit: its maps stay empty.
    log: State,
    published: BTreeSet<u64>,
    publishing: usize,
    snapshotting: bool,
    tasks: JoinSet<Came>,
}

/// Runs until the operator is gone. `state` is the claimed log, everything before it published.
pub async fn run(around: Committing, state: State, mut end: TokioEnd<CommitRequest, Sealed>) {
    let log = State { positions: Default::default(), averages: Default::default(), ..state };
    let trouble = around.trouble.clone();
    let mut committer = Committer {
        around,
        log,
        published: BTreeSet::new(),
        publishing: 0,
        snapshotting: false,
        tasks: JoinSet::new(),
    };
    if let Err(fatal) = committer.serve(&mut end).await {
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
        let store = self.around.places.data.clone();
        let epoch = draft.epoch;
        let commit = self.make(draft);
        match append(&*store, &commit).await? {
            Appended::Ours => {}
            Appended::Theirs(theirs) => return Err(self.fenced(&theirs)),
        }
        self.log.positions.clear();
        self.log.averages.clear();
        let bytes = commit.to_bytes().len() as u64;
        self.log.apply(&commit, bytes).map_err(|broken| Fatal::Log(broken.to_string()))?;
        (self.around.on_commit)(&commit);
        if commit.commit.is_multiple_of(HINT_EVERY) {
            read::leave_hint(&*store, commit.commit).await;
        }
        self.acknowledge(&commit).await;
        self.publish(commit, epoch);
        Ok(())
    }

    fn make(&self, draft: Draft) -> Commit {
        Commit {
            commit: self.log.commit + 1,
            generation: self.log.generation,
            writer: self.around.who.writer.clone(),
            pipeline: self.around.who.pipeline.clone(),
            at: self.around.clock.text(),
            epoch: draft.epoch,
            published: self.log.published,
            snapshot: self.log.snapshot.clone(),
            files: draft.files,
            rejects: draft.rejects,
            positions: draft.positions,
            averages: draft.averages,
            ..Commit::default()
        }
    }

    /// The source may like to know; the log is the truth all the same.
    async fn acknowledge(&self, commit: &Commit) {
        let positions: Vec<_> =
            commit.positions.iter().map(|(split, progress)| (split.clone(), progress.at.clone())).collect();
        if let Err(error) = self.around.source.acknowledge(&positions).await {
            tracing::warn!(%error, "the source was not told of commit {}; nothing depends on it", commit.commit);
        }
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
                Err(fatal @ Fatal::Failed(_)) => Err(read::fenced_or(&*places.data, generation, fatal).await),
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
                }
                self.snapshot_if_due();
                Ok(Some(Sealed { epoch, commit }))
            }
            Came::Snapshot(result) => {
                self.snapshotting = false;
                match result {
                    Ok(snapshot) => {
                        self.log.since_snapshot = 0;
                        self.log.snapshot = Some(snapshot);
                    }
                    // A snapshot saves a start some reading, nothing more: the next commit tries again.
                    Err(Fatal::Store(error)) if error.can_retry() => tracing::warn!(%error, "no snapshot was made"),
                    Err(fatal) => return Err(fatal),
                }
                Ok(None)
            }
        }
    }

    fn snapshot_if_due(&mut self) {
        if self.snapshotting || !self.log.wants_snapshot(self.around.least_snapshot) {
            return;
        }
        self.snapshotting = true;
        let (store, last) = (self.around.places.data.clone(), self.log.snapshot.clone());
        let (at, generation) = (self.log.published, self.log.generation);
        let work = async move { Came::Snapshot(snapshot::write(&*store, last, at, generation).await) };
        self.tasks.spawn(work);
    }

    async fn look_for_a_newer_generation(&self) -> Result<(), Fatal> {
        let store = &*self.around.places.data;
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
            store: self.around.places.data.name().to_owned(),
            commit: theirs.commit,
            ours: self.log.generation,
            theirs: theirs.generation,
        }
    }
}
