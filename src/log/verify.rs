//! `verify`: gathers the facts of a log and of what lies beside it, and asks the one predicate.
//!
//! Reads every file that the log names, whole: its size, its checksum, its rows. Averages are counted again from the rows,
//! each file with the definition in force when it was written. Costs one pass over the data; a file at a time is spooled to
//! a temporary file, so memory does not grow with what is verified.
//!
//! It may run beside the pipeline. What must stay true: nothing is accused by a look that is older than what it is held
//! against. Visible files are listed first and the log is read after that; a file that is not visible yet is waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt;
use futures::stream::BoxStream;
use millstream_operators::average::{AverageTotals, differences};
use millstream_operators::protocol::check::{Checker, Found, Named};
use millstream_operators::protocol::commit::Lost;
use millstream_operators::protocol::{Commit, Place};
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;

use crate::averages::recount::{Layout, Recount};
use crate::connector::{Store, StoreError};
use crate::exit::Fatal;
use crate::log::data_files::{Downloaded, download, for_each_batch};
use crate::log::fold::Folds;
use crate::log::past::Past;
use crate::log::read::StateEntries;
use crate::log::{Places, neighbours, read, snapshot};
use crate::stages::Stages;

/// Looks for files that are committed and not visible yet, and the pause between two of them.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// What verifying came to; this is the form that scripts read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub ok: bool,
    pub commits: u64,
    pub files: u64,
    pub rows: u64,
    pub rejects: u64,
    pub problems: Vec<String>,
    /// Losses that somebody accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// What could not be compared, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A log from its beginning: what the predicate knows of it, and which definition was in force when.
pub struct Facts<'a> {
    pub checker: Checker,
    past: Past<'a>,
    /// Definitions, each with the first commit that it holds for.
    definitions: Vec<(u64, Value)>,
    /// Files that stand in for others: the commit whose records they hold.
    stand_ins: BTreeMap<(Place, String), u64>,
}

impl<'a> Facts<'a> {
    /// None yet.
    pub fn new(stages: &'a Stages) -> Self {
        let (checker, definitions, stand_ins) = Default::default();
        Facts { checker, past: Past::new(stages), definitions, stand_ins }
    }

    /// Takes commits in.
    pub async fn take_in(
        &mut self,
        store: &dyn Store,
        mut commits: BoxStream<'_, Result<(Commit, u64), Fatal>>,
    ) -> Result<(), Fatal> {
        if self.checker.state().commit == 0 {
            for (fold, missing) in Folds::read(store).await?.missing() {
                self.checker.begin_behind(fold.last, missing.epoch);
            }
        }
        while let Some((commit, _)) = commits.try_next().await? {
            self.commit(&commit);
        }
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) {
        self.checker.commit(commit);
        if let Some(definition) = &commit.definition {
            self.definitions.push((commit.commit, definition.clone()));
        }
        for lost in &commit.replaces {
            let before = (lost.place.clone(), lost.path.clone());
            let first = self.stand_ins.get(&before).copied().unwrap_or(lost.commit);
            self.stand_ins.insert((lost.place.clone(), lost.by.clone()), first);
        }
    }

    /// The files that must be there.
    pub fn named(&self) -> Vec<(Place, String, Named)> {
        self.checker.named().map(|(place, path, named)| (place.clone(), path.to_owned(), named.clone())).collect()
    }

    /// The stages by which a file was made.
    pub fn stages_of(&mut self, place: &Place, path: &str, commit: u64) -> Result<Stages, Fatal> {
        let commit = self.stand_ins.get(&(place.clone(), path.to_owned())).copied().unwrap_or(commit);
        let before = self.definitions.partition_point(|(first, _)| *first <= commit);
        // Commits before the first recorded definition are of the first release, which recorded none.
        let definition = self.definitions.get(before.saturating_sub(1)).map(|(_, definition)| definition);
        self.past.stages(definition, commit)
    }
}

/// Verifies everything. `progress` hears of each file.
pub async fn verify(places: &Places, stages: &Stages, progress: impl FnMut(&str)) -> Result<Report, Fatal> {
    let (facts, recount) = (Facts::new(stages), Recount::new(stages, None));
    let mut verifying = Verifying { places, facts, recount, report: Report::default(), progress };
    let last = read::end(&*places.log).await?;
    verifying.take_in(1, last).await?;
    verifying.look_at_snapshot().await?;
    verifying.look_at_the_visible(last).await?;
    verifying.compare_averages().await?;
    Ok(verifying.reported())
}

struct Verifying<'a, P> {
    places: &'a Places,
    facts: Facts<'a>,
    recount: Recount,
    report: Report,
    progress: P,
}

impl<P: FnMut(&str)> Verifying<'_, P> {
    /// Takes these commits in, and examines the files that they name.
    async fn take_in(&mut self, first: u64, last: u64) -> Result<(), Fatal> {
        let store = &*self.places.log;
        self.facts.take_in(store, read::stream(store, first, last).await?).await?;
        self.report.commits = last;
        let files = self.facts.named();
        let mut late = Vec::new();
        for file in files.into_iter().filter(|(_, _, named)| (first..=last).contains(&named.commit)) {
            late.extend(self.file(file).await?);
        }
        self.wait_for(late).await
    }

    /// Examines a file; gives it back where it is not there and may become visible yet.
    async fn file(
        &mut self,
        (place, path, named): (Place, String, Named),
    ) -> Result<Option<(Place, String, Named)>, Fatal> {
        (self.progress)(&path);
        let found = self.examine(&place, &path, named.commit).await?;
        if found.is_none() && named.commit > self.facts.checker.state().published {
            return Ok(Some((place, path, named)));
        }
        self.report.add(&place, found.as_ref());
        self.facts.checker.found(&path, &named, found.as_ref());
        Ok(None)
    }

    /// Files of commits that may not be published yet.
    async fn wait_for(&mut self, mut late: Vec<(Place, String, Named)>) -> Result<(), Fatal> {
        let store = &*self.places.log;
        if !late.is_empty() {
            let last = read::end(store).await?;
            let published = read::head(store, last).await?.published;
            self.facts.checker.published(published);
        }
        for look in 0..LOOKS {
            let mut still = Vec::new();
            for (place, path, named) in late {
                let there = self.places.of(&place)?.look(&path).await?.is_some();
                let final_look = look + 1 == LOOKS || named.commit <= self.facts.checker.state().published;
                if there || final_look {
                    let found = self.examine(&place, &path, named.commit).await?;
                    self.report.add(&place, found.as_ref());
                    self.facts.checker.found(&path, &named, found.as_ref());
                } else {
                    still.push((place, path, named));
                }
            }
            if still.is_empty() {
                return Ok(());
            }
            late = still;
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Reads a file and counts its rows again; `None`: it is not there.
    async fn examine(&mut self, place: &Place, path: &str, commit: u64) -> Result<Option<Found>, Fatal> {
        let Downloaded { file, bytes, crc } = match download(&**self.places.of(place)?, path).await {
            Ok(downloaded) => downloaded,
            Err(Fatal::Store(StoreError::Missing { .. })) => return Ok(None),
            Err(fatal) => return Err(fatal),
        };
        let layout = if place.is_rejects() { None } else { self.layout(place, path, commit) };
        let recount = &mut self.recount;
        let rows = match for_each_batch(file, |batch| match &layout {
            Some(layout) => recount.add(path, layout, batch),
            None => Ok(()),
        }) {
            Ok(rows) => Some(rows),
            Err(problem) => {
                self.facts.checker.problem(format!("{path}: {problem}"));
                None
            }
        };
        Ok(Some(Found { bytes, rows, crc: Some(format!("{crc:016x}")) }))
    }

    /// How the rows of a data file are counted again; `None` where they are not.
    fn layout(&mut self, place: &Place, path: &str, commit: u64) -> Option<Layout> {
        match self.facts.stages_of(place, path, commit) {
            Ok(stages) => self.recount.layout_of(&stages, place),
            Err(fatal) => {
                self.report.notes.push(format!("{path} was not counted again: {fatal}"));
                None
            }
        }
    }

    /// The newest snapshot must say what the commits say.
    async fn look_at_snapshot(&mut self) -> Result<(), Fatal> {
        let store = &*self.places.log;
        let commits = self.facts.checker.state();
        let newest = match commits.commit {
            0 => None,
            last => crate::log::ending::read(store, last, commits.generation).await?.and_then(|ended| ended.snapshot),
        };
        let Some(snapshot) = newest.or(commits.snapshot.clone()) else { return Ok(()) };
        if self.facts.checker.is_blind() {
            return Ok(());
        }
        let problem = match snapshot::read(store, &snapshot, StateEntries::Load).await {
            // A running pipeline deletes a snapshot once it has made newer ones.
            Err(Fatal::Log(problem)) => {
                let newest = read::covered(store, read::end(store).await?).await?;
                (newest <= snapshot.commit).then_some(problem)
            }
            Err(fatal) => return Err(fatal),
            Ok(mut state) => {
                read::take_in(store, &mut state, commits.commit, StateEntries::Load).await?;
                // The objects of older commits may be gone: then the commits do not tell all entries.
                let operators = match commits.incomplete.is_empty() {
                    true => state.operators == commits.operators,
                    false => state.operators.without_entries() == commits.operators.without_entries(),
                };
                let same = state.positions == commits.positions
                    && operators
                    && state.definition == commits.definition
                    && state.log == commits.log
                    && state.pins == commits.pins
                    && state.sinks == commits.sinks
                    && state.former_sinks == commits.former_sinks;
                (!same).then(|| format!("{}: differs from what the commits add up to", snapshot.key))
            }
        };
        problem.into_iter().for_each(|problem| self.facts.checker.problem(problem));
        Ok(())
    }

    /// Whatever a plain glob would find must be named by a commit. Files are listed before the log is looked at again: a
    /// file becomes visible only after its commit is there.
    async fn look_at_the_visible(&mut self, last: u64) -> Result<(), Fatal> {
        let mut visible: Vec<(Vec<&Place>, BTreeMap<String, ()>)> = Vec::new();
        for (places, store) in self.places.folders() {
            let entries = store.list("").await?;
            visible.push((places, entries.into_iter().map(|entry| (entry.key, ())).collect()));
        }
        let log = self.facts.checker.state().log;
        let ours: Vec<(&[&Place], &str)> = visible
            .iter()
            .flat_map(|(places, keys)| neighbours::ours(keys, log).into_iter().map(|key| (places.as_slice(), key)))
            .collect();
        let is_wrong = |(places, key): &(&[&Place], &str)| {
            let checker = &self.facts.checker;
            checker.visible_problem(&checker.place_of(places, key), key).is_some()
        };
        if ours.iter().any(is_wrong) {
            let now = read::end(&*self.places.log).await?;
            if now > last {
                self.take_in(last + 1, now).await?;
            }
        }
        for (places, key) in ours {
            let place = self.facts.checker.place_of(places, key);
            if self.facts.checker.may_be_of_a_missing_commit(&place, key) {
                let found = self.examine(&place, key, 0).await?;
                self.report.add(&place, found.as_ref());
            } else {
                self.facts.checker.visible(&place, key);
            }
        }
        Ok(())
    }

    /// An average that no start has counted yet, or not as it is defined now, has nothing to be compared with.
    async fn compare_averages(&mut self) -> Result<(), Fatal> {
        for average in self.recount.leave_out_all_but(self.facts.checker.state().operators.defined::<AverageTotals>()) {
            let note = format!("average {average} is new or changed: the next start counts it");
            self.report.notes.push(note);
        }
        let files: AverageTotals = self.recount.totals().into_iter().collect();
        let files = self.recount.comparable(&files);
        let state = self.facts.checker.state();
        let state = match self.facts.checker.is_blind() || !state.incomplete.is_empty() {
            true => &read::state(&*self.places.log, state.commit).await?,
            false => state,
        };
        let none = AverageTotals::default();
        let log = self.recount.comparable(state.operators.get().unwrap_or(&none));
        let missing = self.missing_rows()?;
        let problems = differences(&log, &files, missing);
        problems.into_iter().for_each(|problem| self.facts.checker.problem(problem));
        for average in self.recount.uncountable() {
            let note = format!(
                "average {average} was not counted again: no sink takes every row, or some files do not hold all of its columns"
            );
            self.report.notes.push(note);
        }
        Ok(())
    }

    /// Rows of accepted losses that a recount would have counted: those of sinks that took every row.
    fn missing_rows(&mut self) -> Result<u64, Fatal> {
        let lost: Vec<Lost> = self.facts.checker.lost().filter(|lost| !lost.place.is_rejects()).cloned().collect();
        let mut missing = 0;
        for Lost { place, commit, path, rows } in lost {
            let then = self.facts.stages_of(&place, &path, commit)?;
            missing += if then.whole_sink().is_some_and(|sink| sink.place == place) { rows } else { 0 };
        }
        Ok(missing)
    }

    fn reported(mut self) -> Report {
        let checker = &self.facts.checker;
        self.report.accepted = checker
            .lost()
            .map(|lost| format!("{} of commit {} is lost, {} rows; accepted", lost.path, lost.commit, lost.rows))
            .collect();
        self.report.accepted.extend(checker.blind_behind().map(|commit| {
            format!("commits up to {commit} are lost; accepted: what they named is taken as it lies there")
        }));
        self.report.problems = checker.problems().to_vec();
        self.report.ok = self.report.problems.is_empty();
        self.report
    }
}

impl Report {
    fn add(&mut self, place: &Place, found: Option<&Found>) {
        let rows = found.and_then(|found| found.rows).unwrap_or(0);
        match place.is_rejects() {
            false => (self.files, self.rows) = (self.files + 1, self.rows + rows),
            true => self.rejects += rows,
        }
    }
}
