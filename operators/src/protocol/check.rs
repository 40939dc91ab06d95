//! The one predicate: what must hold of any commit log and of what lies beside it.
//!
//! The seeded world, the tests that kill real processes and `millstream verify` all feed this checker; none has rules of
//! its own. It takes commits one by one and keeps no more than the names of files, so that a long log costs little.
//!
//! A loss that somebody accepted is no problem: it is listed apart, for ever.

use std::collections::BTreeMap;

use crate::protocol::commit::{Commit, FileRecord, Lost};
use crate::protocol::equation::Epoch;
use crate::protocol::naming::FileName;
use crate::protocol::place::Place;
use crate::protocol::state::State;

/// A file that the log says is part of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub commit: u64,
    pub rows: u64,
    pub bytes: u64,
    pub crc: String,
}

/// A file as it was found. What was not looked at is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub bytes: u64,
    pub rows: Option<u64>,
    pub crc: Option<String>,
}

/// Takes a log and what lies beside it, and tells everything that is wrong.
#[derive(Debug, Default)]
pub struct Checker {
    state: State,
    named: BTreeMap<(Place, String), Named>,
    /// Lost files, and the ones that stand in for them.
    replaced: BTreeMap<(Place, String), String>,
    lost: BTreeMap<(Place, String), Lost>,
    /// Commits up to the first number are gone, which somebody accepted; they may have named files of epochs up to the
    /// second one.
    blind: Option<(u64, u64)>,
    problems: Vec<String>,
}

impl Checker {
    /// The next commit of the log.
    pub fn commit(&mut self, commit: &Commit) {
        if let Err(broken) = self.state.apply(commit, 0) {
            self.problems.push(broken.to_string());
        }
        let epoch = Epoch { positions: &commit.positions, counts: &commit.counts };
        let files: Vec<_> = commit.new_files().collect();
        if let Some(problem) = epoch.problem_in_log(self.state.sinks.keys(), files.iter().copied()) {
            self.problems.push(format!("commit {}: {problem}", commit.commit));
        }
        commit.all_files().for_each(|(place, file)| self.name(place, commit.commit, file));
        for replaced in &commit.replaces {
            self.replaced.insert((replaced.place.clone(), replaced.path.clone()), replaced.by.clone());
        }
        for lost in &commit.lost {
            self.lost.insert((lost.place.clone(), lost.path.clone()), lost.clone());
        }
    }

    /// Begins behind commits that are gone for good, and that may have named files of epochs up to `epoch`.
    pub fn begin_behind(&mut self, commit: u64, epoch: u64) {
        self.state.commit = commit;
        self.blind = Some((commit, epoch));
    }

    /// Whether commits are missing at the beginning, so that the commits do not add up to the whole state.
    pub fn is_blind(&self) -> bool {
        self.blind.is_some()
    }

    /// The last of the commits that are missing.
    pub fn blind_behind(&self) -> Option<u64> {
        self.blind.map(|(commit, _)| commit)
    }

    /// Whether a visible file may be one that a missing commit named.
    pub fn may_be_of_a_missing_commit(&self, place: &Place, path: &str) -> bool {
        let Some((_, epoch)) = self.blind else { return false };
        let named = self.named.contains_key(&(place.clone(), path.to_owned()));
        !named && FileName::parse(path).is_some_and(|name| name.epoch <= epoch)
    }

    /// Learns how far all is published beyond what the commits say.
    pub fn published(&mut self, commit: u64) {
        self.state.ended(commit, None);
    }

    fn name(&mut self, place: &Place, commit: u64, file: &FileRecord) {
        let in_ranges: u64 = file.ranges.iter().map(|range| range.rows).sum();
        if !file.ranges.is_empty() && in_ranges != file.rows {
            self.problems.push(format!("{}: {} rows, but its ranges tell of {in_ranges}", file.path, file.rows));
        }
        let named = Named { commit, rows: file.rows, bytes: file.bytes, crc: file.crc.clone() };
        if self.named.insert((place.clone(), file.path.clone()), named).is_some() {
            self.problems.push(format!("{}: named by two commits", file.path));
        }
    }

    /// The files that must be there: all but those that another stands in for and those whose loss was accepted.
    pub fn named(&self) -> impl Iterator<Item = (&Place, &str, &Named)> {
        let here = |key: &&(Place, String)| !self.replaced.contains_key(*key) && !self.lost.contains_key(*key);
        self.named.iter().filter(move |(key, _)| here(key)).map(|((place, path), named)| (place, path.as_str(), named))
    }

    /// The losses that somebody accepted.
    pub fn lost(&self) -> impl Iterator<Item = &Lost> {
        self.lost.values()
    }

    /// What the log adds up to so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What a file that the log names was found to be; none: it is not there.
    pub fn found(&mut self, path: &str, named: &Named, found: Option<&Found>) {
        let Some(found) = found else {
            self.problems.push(format!("{path}: named by commit {}, but not there", named.commit));
            return;
        };
        let mut differs = |what: &str, log: &str, file: &str| {
            self.problems.push(format!("{path}: {what} is {file}, commit {} says {log}", named.commit));
        };
        if found.bytes != named.bytes {
            differs("size", &named.bytes.to_string(), &found.bytes.to_string());
        }
        if let Some(rows) = found.rows.filter(|rows| *rows != named.rows) {
            differs("row count", &named.rows.to_string(), &rows.to_string());
        }
        if let Some(crc) = found.crc.as_ref().filter(|crc| **crc != named.crc) {
            differs("checksum", &named.crc, crc);
        }
    }

    /// Of places that share a folder, the one that a file lies in: the one under which it is named, else the first.
    pub fn place_of(&self, places: &[&Place], path: &str) -> Place {
        let named = |place: &&&Place| self.named.contains_key(&((**place).clone(), path.to_owned()));
        places.iter().find(named).or(places.first()).map_or_else(Place::default, |place| (*place).clone())
    }

    /// A file that is visible under one of the two paths: it must be one that the log names and that nothing stands in for.
    pub fn visible(&mut self, place: &Place, path: &str) {
        if let Some(problem) = self.visible_problem(place, path) {
            self.problems.push(problem);
        }
    }

    /// What is wrong with a file being visible.
    pub fn visible_problem(&self, place: &Place, path: &str) -> Option<String> {
        let key = (place.clone(), path.to_owned());
        if let Some(by) = self.replaced.get(&key) {
            return Some(format!(
                "{path}: visible again, and {by} stands in for it: its rows are there twice; remove one"
            ));
        }
        (!self.named.contains_key(&key)).then(|| format!("{path}: visible, but named by no commit"))
    }

    /// Something else that is wrong, found by whoever gathers the facts.
    pub fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Everything that is wrong; empty: the log holds.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

#[cfg(test)]
mod tests {
    //! Everything that can be wrong with a log has a case here that the checker must name.

    use super::*;
    use crate::position::Position;
    use crate::protocol::commit::{Replaced, SplitProgress};

    fn file(path: &str, rows: u64) -> FileRecord {
        FileRecord { path: path.into(), rows, bytes: 9, crc: "c".into(), ..FileRecord::default() }
    }

    fn commit(number: u64, read: u64, files: &[FileRecord]) -> Commit {
        let progress = SplitProgress { at: Position::at(number), records: read, digest: None, done: false };
        let positions = BTreeMap::from([("s".into(), progress)]);
        Commit { commit: number, files: files.to_vec(), positions, ..Commit::default() }
    }

    fn fed(commits: &[Commit]) -> Checker {
        let mut checker = Checker::default();
        commits.iter().for_each(|commit| checker.commit(commit));
        checker
    }

    #[test]
    fn a_log_that_holds_has_no_problem() {
        let mut checker = fed(&[commit(1, 2, &[file("a", 2)]), commit(2, 1, &[file("b", 1)])]);
        let named = checker.named().map(|(_, path, named)| (path.to_owned(), named.clone())).collect::<Vec<_>>();
        for (path, named) in named {
            let found = Found { bytes: 9, rows: Some(named.rows), crc: Some("c".into()) };
            checker.found(&path, &named, Some(&found));
            checker.visible(&Place::data(), &path);
        }
        assert_eq!(checker.problems(), &[] as &[String]);
    }

    #[test]
    fn records_that_are_nowhere_or_twice_are_named() {
        let checker = fed(&[commit(1, 3, &[file("a", 2)])]);
        assert!(
            checker.problems()[0].contains("3 records were read, 2 rows and 0 rejects"),
            "{:?}",
            checker.problems()
        );
        let checker = fed(&[commit(1, 2, &[file("a", 2)]), commit(2, 2, &[file("a", 2)])]);
        assert!(checker.problems()[0].contains("named by two commits"));
        let checker = fed(&[commit(2, 0, &[])]);
        assert!(checker.problems()[0].contains("commits are missing"));
    }

    #[test]
    fn a_file_that_differs_is_named() {
        let named = Named { commit: 1, rows: 2, bytes: 9, crc: "c".into() };
        let problem = |found: Option<Found>| {
            let mut checker = Checker::default();
            checker.found("a", &named, found.as_ref());
            checker.problems().concat()
        };
        let found = Found { bytes: 9, rows: Some(2), crc: Some("c".into()) };
        assert_eq!(problem(Some(found.clone())), "");
        assert!(problem(None).contains("not there"));
        assert!(problem(Some(Found { bytes: 8, ..found.clone() })).contains("size"));
        assert!(problem(Some(Found { rows: Some(3), ..found.clone() })).contains("row count"));
        assert!(problem(Some(Found { crc: Some("d".into()), ..found })).contains("checksum"));
    }

    /// Would catch what doubled rows behind a `verify` that said ok: a lost file that was put back beside its stand-in.
    #[test]
    fn a_replaced_file_that_is_visible_again_is_named() {
        let replaced = Replaced { place: Place::data(), commit: 1, path: "a".into(), by: "b".into() };
        let later = Commit { replaces: vec![replaced], ..commit(2, 0, &[file("b", 2)]) };
        let mut checker = fed(&[commit(1, 2, &[file("a", 2)]), later]);
        assert_eq!(checker.named().map(|(_, path, _)| path.to_owned()).collect::<Vec<_>>(), ["b"]);
        checker.visible(&Place::data(), "b");
        assert_eq!(checker.problems(), &[] as &[String]);
        checker.visible(&Place::data(), "a");
        checker.visible(&Place::data(), "c");
        assert!(checker.problems()[0].contains("b stands in for it"), "{:?}", checker.problems());
        assert!(checker.problems()[1].contains("named by no commit"));
    }

    #[test]
    fn an_accepted_loss_is_listed_and_no_problem() {
        let lost = Lost { place: Place::data(), commit: 1, path: "a".into(), rows: 2 };
        let later = Commit { lost: vec![lost.clone()], ..commit(2, 0, &[]) };
        let checker = fed(&[commit(1, 5, &[file("a", 2), file("b", 3)]), later]);
        assert_eq!(checker.named().count(), 1);
        assert_eq!(checker.lost().collect::<Vec<_>>(), [&lost]);
        assert_eq!(checker.problems(), &[] as &[String]);
    }
}
