//! The one predicate: what must hold of any commit log and of what lies beside it.
//!
//! The seeded world, the tests that kill real processes and `millstream verify` all feed this checker; none has rules of
//! its own. It takes commits one by one and keeps no more than the names of files, so that a long log costs little.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::commit::{AverageId, Commit, FileRecord, Total};
use crate::protocol::recover::Place;
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
    replaced: BTreeSet<(Place, String)>,
    problems: Vec<String>,
}

impl Checker {
    /// The next commit of the log.
    pub fn commit(&mut self, commit: &Commit) {
        if let Err(broken) = self.state.apply(commit, 0) {
            self.problems.push(broken.to_string());
        }
        let read: u64 = commit.positions.values().map(|progress| progress.records).sum();
        let (rows, rejects) = (commit.rows(), commit.reject_rows());
        if read != rows + rejects {
            let n = commit.commit;
            self.problems
                .push(format!("commit {n}: {read} records were read, {rows} rows and {rejects} rejects laid down"));
        }
        self.name_all(Place::Data, commit.commit, &commit.files);
        self.name_all(Place::Rejects, commit.commit, &commit.rejects);
        for replaced in &commit.replaces {
            self.replaced.insert((replaced.place, replaced.path.clone()));
        }
    }

    fn name_all(&mut self, place: Place, commit: u64, files: &[FileRecord]) {
        for file in files {
            let in_ranges: u64 = file.ranges.iter().map(|range| range.rows).sum();
            if in_ranges != file.rows {
                self.problems.push(format!("{}: {} rows, but its ranges tell of {in_ranges}", file.path, file.rows));
            }
            let named = Named { commit, rows: file.rows, bytes: file.bytes, crc: file.crc.clone() };
            if self.named.insert((place, file.path.clone()), named).is_some() {
                self.problems.push(format!("{}: named by two commits", file.path));
            }
        }
    }

    /// The files that must be there, lost and replaced ones left out.
    pub fn named(&self) -> impl Iterator<Item = (Place, &str, &Named)> {
        let here = |key: &&(Place, String)| !self.replaced.contains(*key);
        self.named.iter().filter(move |(key, _)| here(key)).map(|((place, path), named)| (*place, path.as_str(), named))
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

    /// A file that is visible under one of the two paths: it must be one that the log names.
    pub fn visible(&mut self, place: Place, path: &str) {
        if !self.named.contains_key(&(place, path.to_owned())) {
            self.problems.push(format!("{path}: visible, but named by no commit"));
        }
    }

    /// Averages counted again from the files must be those of the log, to the last digit.
    pub fn recounted(&mut self, log: &BTreeMap<AverageId, Total>, files: &BTreeMap<AverageId, Total>) {
        let ids: BTreeSet<&AverageId> = files.keys().chain(log.keys()).collect();
        for id in ids {
            let (said, found) = (log.get(id), files.get(id));
            if said != found {
                let show = |total: Option<&Total>| total.map_or("none".into(), |t| format!("{}/{}", t.sum, t.count));
                let (name, at, group) = (&id.average, id.from.as_deref().unwrap_or("overall"), &id.group);
                let (said, found) = (show(said), show(found));
                self.problems.push(format!("average {name} {at} {group:?}: the log says {said}, the files {found}"));
            }
        }
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
