//! At a start: which uploads to complete, which to abort, and what was lost.
//!
//! A commit that may not have been published names uploads that must become files: completing is safe to do again, by
//! anyone. Every other upload of an older generation belongs to an epoch that no commit will ever name, since the claim has
//! fenced its writer out: it is aborted. Uploads that do not carry our kind of name are somebody else's and left alone.

use serde::{Deserialize, Serialize};

use crate::protocol::commit::{Commit, FileRecord, Replaced};

/// Under which of the two paths a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Place {
    Data,
    Rejects,
}

/// A file that a commit names and that may not be visible yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    pub commit: u64,
    pub place: Place,
    pub file: FileRecord,
}

/// The files to complete, in the order of their commits.
pub fn to_finish(commits: &[Commit]) -> Vec<Unfinished> {
    let mut unfinished = Vec::new();
    for commit in commits {
        for (place, files) in [(Place::Data, &commit.files), (Place::Rejects, &commit.rejects)] {
            let stands = |file: &&FileRecord| !is_replaced(commits, commit.commit, place, &file.path);
            let of = |file: &FileRecord| Unfinished { commit: commit.commit, place, file: file.clone() };
            unfinished.extend(files.iter().filter(stands).map(of));
        }
    }
    unfinished
}

fn is_replaced(commits: &[Commit], commit: u64, place: Place, path: &str) -> bool {
    let is_it = |r: &Replaced| r.commit == commit && r.place == place && r.path == path;
    commits.iter().any(|later| later.replaces.iter().any(is_it))
}

/// Whether an upload found at a start is to be aborted: ours by its name, of an older generation, and named by no commit
/// that may still have to be published.
pub fn to_abort(key: &str, upload: &str, generation: u64, unfinished: &[Unfinished]) -> bool {
    let older = generation_of(key).is_some_and(|theirs| theirs < generation);
    older && !unfinished.iter().any(|wanted| wanted.file.upload == upload)
}

/// The generation in a file name of ours, `e<epoch>-w<worker>-<part>-g<generation>.parquet`.
pub fn generation_of(key: &str) -> Option<u64> {
    let name = key.rsplit('/').next()?.strip_suffix(".parquet")?;
    let mut parts = name.split('-');
    let numbered = |part: Option<&str>, letter: &str| part?.strip_prefix(letter)?.parse::<u64>().ok();
    numbered(parts.next(), "e")?;
    numbered(parts.next(), "w")?;
    parts.next()?.parse::<u64>().ok()?;
    let generation = numbered(parts.next(), "g")?;
    parts.next().is_none().then_some(generation)
}

/// What completing an upload came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The file is there, whole.
    Done,
    /// Neither the upload nor the file is there: it has to be written again from the source.
    Lost,
    /// Something else lies under the key.
    Wrong,
}

/// What follows when the store does not know the upload (any more): the object under the key tells.
pub fn after_no_such_upload(file: &FileRecord, found: Option<(u64, Option<u64>)>) -> Finish {
    match found {
        None => Finish::Lost,
        Some((bytes, crc)) => {
            let same_crc = crc.is_none_or(|crc| format!("{crc:016x}") == file.crc);
            if bytes == file.bytes && same_crc { Finish::Done } else { Finish::Wrong }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, upload: &str) -> FileRecord {
        FileRecord {
            path: path.into(),
            upload: upload.into(),
            bytes: 9,
            crc: format!("{:016x}", 7),
            ..FileRecord::default()
        }
    }

    /// The mistake this would catch: aborting an upload that a commit names (a lost file), or one of another program.
    #[test]
    fn only_our_own_old_uploads_that_no_commit_names_are_aborted() {
        let named = file("d=1/e4-w0-0-g2.parquet", "u1");
        let unfinished = to_finish(&[Commit { commit: 8, files: vec![named], ..Commit::default() }]);
        assert!(!to_abort("d=1/e4-w0-0-g2.parquet", "u1", 3, &unfinished));
        assert!(to_abort("d=1/e4-w0-0-g2.parquet", "u0", 3, &unfinished), "a begin whose answer was lost");
        assert!(to_abort("d=1/e5-w0-0-g2.parquet", "u2", 3, &unfinished));
        assert!(!to_abort("d=1/e5-w0-0-g3.parquet", "u3", 3, &unfinished), "our own generation");
        assert!(!to_abort("backup/part-0.parquet", "u4", 3, &unfinished), "not ours");
        assert!(!to_abort("e5-w0-0-g2.parquet.bak", "u5", 3, &unfinished), "not ours");
    }

    #[test]
    fn a_missing_upload_is_done_lost_or_wrong_by_what_lies_there() {
        let file = file("e1-w0-0-g1.parquet", "u");
        assert_eq!(after_no_such_upload(&file, None), Finish::Lost);
        assert_eq!(after_no_such_upload(&file, Some((9, None))), Finish::Done);
        assert_eq!(after_no_such_upload(&file, Some((9, Some(7)))), Finish::Done);
        assert_eq!(after_no_such_upload(&file, Some((9, Some(8)))), Finish::Wrong);
        assert_eq!(after_no_such_upload(&file, Some((8, None))), Finish::Wrong);
    }
}
