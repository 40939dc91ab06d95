//! `repair`: what keeps a start from going on, or is not as the log says, and what can be done about it.
//!
//! ```text
//! look ─► problems, each with its choices ─► (--do one of them) ─► a commit that records it
//! ```
//! Looking changes nothing. A choice is taken only when it is named. What must stay true: whatever is accepted or set aside
//! is recorded in the log and shown for ever; nothing is deleted that is not kept aside first; a record is never lost by a
//! choice that does not say so.

mod aside;
mod look;

use std::collections::BTreeSet;

use millstream_operators::protocol::commit::Lost;
use millstream_operators::protocol::{Commit, Place, State};
use serde::Serialize;

use crate::clock::Clock;
use crate::exit::Fatal;
use crate::log::append::{Appended, append};
use crate::log::fold::{Fold, Folds, Missing};
use crate::log::{Places, read};

pub use look::look;

/// What can be done by `--do`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Record in the log that files are lost.
    AcceptLoss,
    /// Record in the log that commits at its beginning are lost; go on from the snapshot that covers them.
    AcceptMissing,
    /// Go on from the last commit before the damage; set aside what came after it, to be read again.
    RollBack,
    /// Move files aside that no commit names.
    SetAside,
}

impl Choice {
    /// The words of the command line.
    pub const WORDS: [(&'static str, Choice); 4] = [
        ("accept-loss", Choice::AcceptLoss),
        ("accept-missing", Choice::AcceptMissing),
        ("roll-back", Choice::RollBack),
        ("set-aside", Choice::SetAside),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Choice::AcceptLoss => "accept-loss",
            Choice::AcceptMissing => "accept-missing",
            Choice::RollBack => "roll-back",
            Choice::SetAside => "set-aside",
        }
    }
}

/// What `repair` found; this is the form that scripts read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub ok: bool,
    pub problems: Vec<Problem>,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
}

/// Something that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub what: String,
    /// Whether a start cannot go on because of it.
    pub blocks: bool,
    pub choices: Vec<Offer>,
    #[serde(skip)]
    finding: Finding,
}

/// A way out.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
    /// The name that `--do` takes; none: it is for the user to do.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    pub says: String,
}

/// The facts behind a problem.
#[derive(Clone, Debug)]
enum Finding {
    /// For the user to settle.
    Theirs,
    Lost(Lost),
    /// A file that no commit names, or not this one.
    Stray {
        place: Place,
        key: String,
    },
    /// The log holds up to this commit, and not beyond.
    Torn {
        whole: u64,
    },
    /// Commits before this one are missing, and a snapshot covers them.
    Beheaded {
        first: u64,
    },
}

/// Takes a choice; what was done.
pub async fn act(
    places: &Places,
    report: &Report,
    choice: Choice,
    writer: &str,
    clock: &Clock,
) -> Result<String, Fatal> {
    let offered = |problem: &&Problem| problem.choices.iter().any(|offer| offer.choice == Some(choice));
    let findings: Vec<&Finding> = report.problems.iter().filter(offered).map(|problem| &problem.finding).collect();
    if findings.is_empty() {
        return Err(Fatal::Usage("none of the problems offers this choice; nothing was changed".into()));
    }
    let acting = Acting { places, writer, clock };
    match choice {
        Choice::AcceptLoss => acting.accept_loss(&findings).await,
        Choice::SetAside => acting.set_aside(&findings).await,
        Choice::RollBack => acting.roll_back(&findings).await,
        Choice::AcceptMissing => acting.accept_missing(&findings).await,
    }
}

struct Acting<'a> {
    places: &'a Places,
    writer: &'a str,
    clock: &'a Clock,
}

impl Acting<'_> {
    async fn accept_loss(&self, findings: &[&Finding]) -> Result<String, Fatal> {
        let lost: Vec<Lost> = findings
            .iter()
            .filter_map(|finding| match finding {
                Finding::Lost(lost) => Some(lost.clone()),
                _ => None,
            })
            .collect();
        let (files, rows) = (lost.len(), lost.iter().map(|lost| lost.rows).sum::<u64>());
        let said = format!("accepted the loss of {files} files with {rows} rows");
        let mut notes = vec![said.clone()];
        notes.extend(
            lost.iter().map(|lost| format!("lost: {} of commit {}, {} rows", lost.path, lost.commit, lost.rows)),
        );
        let state = self.state().await?;
        self.record(&state, state.generation, Commit { lost, notes, ..Commit::default() }).await?;
        Ok(said)
    }

    async fn set_aside(&self, findings: &[&Finding]) -> Result<String, Fatal> {
        let mut moved = Vec::new();
        for finding in findings {
            let Finding::Stray { place, key } = finding else { continue };
            aside::move_aside(&**self.places.of(place)?, key).await?;
            moved.push(key.clone());
        }
        let said = format!("set aside {} files, below .millstream/aside", moved.len());
        let notes = std::iter::once(said.clone()).chain(moved.iter().map(|key| format!("set aside: {key}"))).collect();
        let state = self.state().await?;
        self.record(&state, state.generation, Commit { notes, ..Commit::default() }).await?;
        Ok(said)
    }

    /// Everything behind the last whole commit is set aside: commits, and files of later epochs. Their records are read
    /// again, from the positions of that commit.
    async fn roll_back(&self, findings: &[&Finding]) -> Result<String, Fatal> {
        let whole = findings.iter().find_map(|finding| match finding {
            Finding::Torn { whole } => Some(*whole),
            _ => None,
        });
        let whole = whole.unwrap_or_default();
        let store = &*self.places.log;
        let state = read::head(store, whole).await?;
        let (mut generation, mut files) = (state.generation, 0);
        for (_, within) in self.places.folders() {
            for key in aside::files_behind(&**within, &state, &mut generation).await? {
                aside::move_aside(&**within, &key).await?;
                files += 1;
            }
        }
        let commits = aside::commits_behind(store, whole).await?;
        for key in &commits {
            aside::move_aside(store, key).await?;
        }
        read::leave_hint(store, whole).await;
        let said = format!(
            "rolled back to commit {whole}: set aside {} commits and {files} files; their records are read again",
            commits.len()
        );
        self.record(&state, generation, Commit { notes: vec![said.clone()], ..Commit::default() }).await?;
        Ok(said)
    }

    async fn accept_missing(&self, findings: &[&Finding]) -> Result<String, Fatal> {
        let first = findings.iter().find_map(|finding| match finding {
            Finding::Beheaded { first } => Some(*first),
            _ => None,
        });
        let store = &*self.places.log;
        let folds = Folds::read(store).await?;
        let (first, last) = (folds.upto() + 1, first.unwrap_or_default().saturating_sub(1));
        let newest = aside::last_commit(store).await?;
        let epoch = read::commit(store, last + 1).await?.0.epoch;
        let missing = Some(Missing { at: self.clock.text(), epoch });
        folds.add(store, &Fold { first, last, segments: Vec::new(), missing }).await?;
        read::leave_hint(store, newest).await;
        let said = format!("accepted that commits {first} to {last} are lost");
        let state = self.state().await?;
        self.record(&state, state.generation, Commit { notes: vec![said.clone()], ..Commit::default() }).await?;
        Ok(said)
    }

    async fn state(&self) -> Result<State, Fatal> {
        let store = &*self.places.log;
        read::head(store, read::end(store).await?).await
    }

    /// Records what was done, by a commit of a generation of its own: a run that is still at work is fenced out.
    async fn record(&self, state: &State, generation: u64, what: Commit) -> Result<(), Fatal> {
        let next = state.next();
        let commit = Commit {
            format: next.format,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            log: next.log,
            commit: next.commit,
            generation: generation + 1,
            writer: self.writer.to_owned(),
            pipeline: next.pipeline,
            at: self.clock.text(),
            epoch: next.epoch,
            published: next.published,
            snapshot: next.snapshot,
            ..what
        };
        match append(&*self.places.log, &commit).await? {
            Appended::Ours(_) => {
                read::leave_hint(&*self.places.log, commit.commit).await;
                Ok(())
            }
            Appended::Theirs(theirs) => Err(Fatal::Failed(format!(
                "generation {} of the pipeline committed meanwhile: stop it, and repair again",
                theirs.generation
            ))),
        }
    }
}

impl Report {
    fn new(problems: Vec<Problem>) -> Self {
        Report { ok: problems.is_empty(), problems, done: None }
    }

    /// The choices that some problem offers.
    pub fn choices(&self) -> BTreeSet<Choice> {
        self.problems.iter().flat_map(|problem| &problem.choices).filter_map(|offer| offer.choice).collect()
    }
}
