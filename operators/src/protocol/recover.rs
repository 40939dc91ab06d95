//! At a start: which uploads to complete, which to abort, and what was lost.
//!
//! A commit that may not have been published names uploads that must become files. Completing one again is harmless, and
//! anyone may do it. Every other upload of an older generation of this log belongs to an epoch that no commit will ever
//! name, because the claim has fenced its writer out: it is aborted. Uploads that do not carry this log's id are somebody
//! else's and left alone.

use std::collections::BTreeSet;

use crate::protocol::commit::{Commit, FileRecord};
use crate::protocol::naming::{FileName, LogId};
use crate::protocol::place::Place;

/// A file that a commit names and that may not be visible yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    pub commit: u64,
    pub place: Place,
    pub file: FileRecord,
}

/// The files to complete, in the order of their commits: all that no other file stands in for and whose loss nobody has
/// accepted.
pub fn to_finish(commits: &[Commit]) -> Vec<Unfinished> {
    let replaced = commits.iter().flat_map(|commit| &commit.replaces).map(|file| (&file.place, file.path.as_str()));
    let lost = commits.iter().flat_map(|commit| &commit.lost).map(|file| (&file.place, file.path.as_str()));
    let gone: BTreeSet<(&Place, &str)> = replaced.chain(lost).collect();
    let mut unfinished = Vec::new();
    for commit in commits {
        let stands = |(place, file): &(&Place, &FileRecord)| !gone.contains(&(*place, file.path.as_str()));
        let of = |(place, file): (&Place, &FileRecord)| Unfinished {
            commit: commit.commit,
            place: place.clone(),
            file: file.clone(),
        };
        unfinished.extend(commit.all_files().filter(stands).map(of));
    }
    unfinished
}

/// Tells which uploads, found at a start, are to be aborted.
///
/// Those of an older generation of this very log that no commit names which may still have to be published. The name of an
/// upload's file says whose it is; an upload of another log, or of no log, is somebody else's, whatever folder it lies in.
pub struct Aborting<'a> {
    pub log: LogId,
    pub generation: u64,
    named: BTreeSet<&'a str>,
}

impl<'a> Aborting<'a> {
    /// For a start of this generation that found these files unfinished.
    pub fn new(log: LogId, generation: u64, unfinished: &'a [Unfinished]) -> Self {
        Aborting { log, generation, named: unfinished.iter().map(|wanted| wanted.file.upload.as_str()).collect() }
    }

    /// Whether to abort an upload.
    pub fn wants(&self, key: &str, upload: &str) -> bool {
        let Some(name) = FileName::parse(key) else { return false };
        name.log == Some(self.log) && name.generation < self.generation && !self.named.contains(upload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::commit::{Lost, Replaced};

    fn file(path: &str, upload: &str) -> FileRecord {
        FileRecord {
            path: path.into(),
            upload: upload.into(),
            bytes: 9,
            crc: format!("{:016x}", 7),
            ..FileRecord::default()
        }
    }

    /// The mistake this would catch: aborting an upload that a commit names (a lost file), or one of another pipeline or
    /// program.
    #[test]
    fn only_old_uploads_of_this_log_that_no_commit_names_are_aborted() {
        let (ours, theirs) = (LogId::from_seed("ours"), LogId::from_seed("theirs"));
        let key = |epoch: u64, generation: u64, log: LogId| format!("d=1/e{epoch}-w0-0-g{generation}-{log}.parquet");
        let named = file(&key(4, 2, ours), "u1");
        let unfinished = to_finish(&[Commit { commit: 8, files: vec![named], ..Commit::default() }]);
        let aborting = Aborting::new(ours, 3, &unfinished);
        assert!(!aborting.wants(&key(4, 2, ours), "u1"));
        assert!(aborting.wants(&key(4, 2, ours), "u0"), "a begin whose answer was lost");
        assert!(aborting.wants(&key(5, 2, ours), "u2"));
        assert!(!aborting.wants(&key(5, 3, ours), "u3"), "our own generation");
        assert!(!aborting.wants(&key(5, 2, theirs), "u4"), "a neighbour's");
        assert!(!aborting.wants("d=1/e5-w0-0-g2.parquet", "u5"), "of a log that has no id");
        assert!(!aborting.wants("backup/part-0.parquet", "u6"), "not ours");
        assert!(!aborting.wants(&format!("{}.bak", key(5, 2, ours)), "u7"), "not ours");
    }

    #[test]
    fn files_that_are_replaced_or_lost_are_not_finished() {
        let files = ["a", "b", "c"].map(|path| file(path, path)).to_vec();
        let replaced = Replaced { place: Place::data(), commit: 8, path: "a".into(), by: "d".into() };
        let lost = Lost { place: Place::data(), commit: 8, path: "b".into(), rows: 1 };
        let later = Commit { commit: 9, replaces: vec![replaced], lost: vec![lost], ..Commit::default() };
        let first = Commit { commit: 8, files: files.clone(), rejects: files, ..Commit::default() };
        let left: Vec<(Place, String)> =
            to_finish(&[first, later]).into_iter().map(|file| (file.place, file.file.path)).collect();
        let of = |place, path: &str| (place, path.to_owned());
        let rejects = ["a", "b", "c"].map(|path| of(Place::rejects(), path));
        assert_eq!(left, [vec![of(Place::data(), "c")], rejects.to_vec()].concat());
    }
}
