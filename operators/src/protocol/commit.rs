//! What a commit holds.
//!
//! A commit is one JSON object in the log. It holds only what its epoch changed: files, rejects, positions, the
//! state of operators. Its
//! `writer` is unique to one start of one cluster, so no two writers ever produce the same bytes: that is how a writer
//! recognises its own commit after a lost answer.
//!
//! A large commit keeps its lists in an object of its own, the [`Body`], which is written first and which the commit names
//! with its checksum. What must stay true: a commit and its body together are what a commit without a body would be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::RecordDigest;
use crate::position::{Position, Split};
use crate::protocol::coverage::Coverage;
use crate::protocol::equation::Counts;
use crate::protocol::naming::LogId;
use crate::protocol::place::Place;
use crate::reject::Stage;
use crate::state::Operators;

/// The format that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 3;
/// The first format with `state`.
const WITH_OPERATORS: u32 = 3;

/// One entry of the commit log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The format it is written in. The first release wrote none, which is 1.
    #[serde(default = "first_format")]
    pub format: u32,
    /// The version of Millstream that wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The id of the log. Logs of the first release have none until a newer build claims them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogId>,
    /// Its number: one more than the commit before.
    pub commit: u64,
    /// The start of the cluster that made it. A newer generation fences an older one out.
    pub generation: u64,
    /// Unique to that start.
    pub writer: String,
    /// The name of the pipeline.
    pub pipeline: String,
    /// When it was made, RFC 3339 in UTC.
    pub at: String,
    /// The newest epoch that is committed once this commit is.
    pub epoch: u64,
    /// All commits up to this one are known to have been published when this commit was made.
    pub published: u64,
    /// The newest snapshot of what the log adds up to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotRef>,
    /// What `start = "latest"` stands for, for each part of a source that is new to the log: a time or offsets, as the
    /// source wrote them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, String>,
    /// The definition from this commit on, where it is not what it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<serde_json::Value>,
    /// The sinks from this commit on, where they are not what they were before: the path of each, as a user writes it; empty
    /// where it is the one that the log lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sinks: Option<BTreeMap<Place, String>>,
    /// What changed or was accepted with this commit, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Finished splits that the source will never name again: they are known no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgotten: Vec<Split>,
    /// Files that are gone, whose loss somebody accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
    /// Where the lists below are, when they are too large for the commit itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<ObjectRef>,
    /// Data files, each under the path of its sink.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
    /// Rejects files, under the rejects' path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<FileRecord>,
    /// Files of earlier commits whose uploads were lost, and which files of this commit stand in for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<Replaced>,
    /// Which records each worker read, for the files that do not say it themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coverage: Vec<Coverage>,
    /// How far each split that moved is read now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions: BTreeMap<Split, SplitProgress>,
    /// What became of records that were neither laid down nor rejected, as far as there were any.
    #[serde(default, skip_serializing_if = "Counts::is_empty")]
    pub counts: Counts,
    /// Records that a stateful operator filtered. A replay uses them, since it has no state to decide with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filtered_ranges: FilteredRanges,
    /// Changes of the state of operators.
    #[serde(default, skip_serializing_if = "Operators::is_empty")]
    pub state: Operators,
}

/// A file that a commit makes part of the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The sink of a data file.
    #[serde(default, skip_serializing_if = "Place::is_data")]
    pub sink: Place,
    /// Its key, relative to the sink's (or the rejects') path.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    /// CRC-64/NVME of the whole file, in hexadecimal.
    pub crc: String,
    /// The store's name for the upload that completes to the file.
    pub upload: String,
    /// What the store answered for each part, in order.
    pub parts: Vec<String>,
    /// Which records it holds: enough to write it again from the source. Empty where the file holds all rows of its
    /// partition that its worker read: then the commit's `coverage` says which records those were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Range>,
}

/// A run of one split's records, some or all of which are in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub split: Split,
    /// The stage that refused the records, in a file of rejects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<Stage>,
    /// The first and the last record of the split in the file.
    pub first: Position,
    pub last: Position,
    /// How many records of the split are in the file.
    pub rows: u64,
}

/// A lost file and the one that stands in for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Under which path both lie: data and rejects may have files of one name.
    pub place: Place,
    /// The commit that named the lost file.
    pub commit: u64,
    pub path: String,
    pub by: String,
}

/// A file that is gone for good: somebody accepted its loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    pub place: Place,
    /// The commit that named the file.
    pub commit: u64,
    pub path: String,
    pub rows: u64,
}

/// Ranges of positions by split, both ends included.
pub type FilteredRanges = BTreeMap<Split, Vec<(Position, Position)>>;

/// How far a split is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitProgress {
    /// Where reading goes on.
    pub at: Position,
    /// Records read in this commit's epoch: each is in a file or in a reject of the same commit.
    #[serde(default)]
    pub records: u64,
    /// Digest of those records: a replay must reproduce it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<RecordDigest>,
    /// Whether the split is closed and read to its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

/// An object that a commit or a snapshot names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    pub key: String,
    pub bytes: u64,
    /// CRC-64/NVME of the object, in hexadecimal.
    pub crc: String,
}

/// The lists of a commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Body {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<FileRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coverage: Vec<Coverage>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions: BTreeMap<Split, SplitProgress>,
    #[serde(default, skip_serializing_if = "Counts::is_empty")]
    pub counts: Counts,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filtered_ranges: FilteredRanges,
}

/// A snapshot object: what the log adds up to at a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// The last commit in it.
    pub commit: u64,
    pub key: String,
    pub bytes: u64,
}

/// Why bytes are no commit that this build reads.
#[derive(Debug, Error)]
pub enum Unreadable {
    #[error("{0}")]
    NotACommit(serde_json::Error),
    #[error(
        "it is written in format {format}, and this build reads formats up to {FORMAT}; use millstream {version} or newer"
    )]
    Newer { format: u32, version: String },
}

/// What of a commit every format has.
#[derive(Deserialize)]
struct Header {
    #[serde(default = "first_format")]
    format: u32,
    #[serde(default)]
    version: String,
}

fn first_format() -> u32 {
    1
}

impl Commit {
    /// The bytes that lie in the log.
    pub fn to_bytes(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "strings, numbers and maps keyed by strings always have a JSON form")]
        serde_json::to_vec(self).expect("a commit has a JSON form")
    }

    /// A commit from its bytes. One whose format is newer than this build is refused before anything else of it is read.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let Header { format, version } = serde_json::from_slice(bytes).map_err(Unreadable::NotACommit)?;
        if format > FORMAT {
            let version = if version.is_empty() { "of a later release".to_owned() } else { version };
            return Err(Unreadable::Newer { format, version });
        }
        let mut commit: Commit = serde_json::from_slice(bytes).map_err(Unreadable::NotACommit)?;
        commit.add_from_before(bytes);
        Ok(commit)
    }

    /// Adds state from the JSON of this commit or its body, if the format is older.
    pub fn add_from_before(&mut self, json: &[u8]) {
        if self.format < WITH_OPERATORS {
            self.state.add_changes(Operators::from_before(json));
        }
    }

    /// Takes the lists out, to be stored beside the commit.
    pub fn take_body(&mut self) -> Body {
        Body {
            files: std::mem::take(&mut self.files),
            rejects: std::mem::take(&mut self.rejects),
            coverage: std::mem::take(&mut self.coverage),
            positions: std::mem::take(&mut self.positions),
            counts: std::mem::take(&mut self.counts),
            filtered_ranges: std::mem::take(&mut self.filtered_ranges),
        }
    }

    /// Puts the lists back; the commit then reads as if it had never had a body.
    pub fn put_body(&mut self, body: Body) {
        let Body { files, rejects, coverage, positions, counts, filtered_ranges } = body;
        (self.files, self.rejects, self.coverage) = (files, rejects, coverage);
        (self.positions, self.counts, self.filtered_ranges) = (positions, counts, filtered_ranges);
    }

    /// The files of a place.
    pub fn files_of<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = &'a FileRecord> {
        self.all_files().filter(move |(of, _)| *of == place).map(|(_, file)| file)
    }

    /// All files with their places: data first, then rejects.
    pub fn all_files(&self) -> impl Iterator<Item = (&Place, &FileRecord)> {
        static REJECTS: LazyLock<Place> = LazyLock::new(Place::rejects);
        let rejects = self.rejects.iter().map(|file| (&*REJECTS, file));
        self.files.iter().map(|file| (&file.sink, file)).chain(rejects)
    }

    /// Adds a file to its place.
    pub fn add_file(&mut self, place: &Place, file: FileRecord) {
        match place.is_rejects() {
            true => self.rejects.push(file),
            false => self.files.push(FileRecord { sink: place.clone(), ..file }),
        }
    }

    /// The files that hold records of this commit's own epoch: those that stand in for lost ones hold older ones.
    pub fn new_files(&self) -> impl Iterator<Item = (&Place, &FileRecord)> {
        let stand_ins: BTreeSet<(&Place, &str)> =
            self.replaces.iter().map(|lost| (&lost.place, lost.by.as_str())).collect();
        self.all_files().filter(move |(place, file)| !stand_ins.contains(&(*place, file.path.as_str())))
    }

    /// Rows laid down by this commit, by sink. Files that stand in for lost ones add none.
    pub fn rows_by_sink(&self) -> BTreeMap<Place, u64> {
        let mut rows = BTreeMap::new();
        for (place, file) in self.new_files().filter(|(place, _)| !place.is_rejects()) {
            *rows.entry(place.clone()).or_default() += file.rows;
        }
        rows
    }

    /// Rows laid down by this commit, over all sinks.
    pub fn rows(&self) -> u64 {
        self.rows_by_sink().values().sum()
    }

    /// Records rejected in this commit.
    pub fn reject_rows(&self) -> u64 {
        self.new_files().filter(|(place, _)| place.is_rejects()).map(|(_, file)| file.rows).sum()
    }
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: logs of the first release, and a build that reads what it does not understand.

    use super::*;
    use crate::average::AverageTotals;

    #[test]
    fn a_commit_of_the_first_release_reads() {
        let text = r#"{"commit":1,"generation":1,"writer":"w","pipeline":"p","at":"2024-01-01T00:00:00Z","epoch":0,"published":0}"#;
        let commit = Commit::from_bytes(text.as_bytes()).unwrap();
        assert_eq!((commit.format, commit.log), (1, None));
    }

    /// Format 2 had averages in the commit or in its body.
    #[test]
    fn averages_of_format_2_become_state() {
        let pair = r#"[{"average":"words","by":"overall"},{"sum":"7","count":3}]"#;
        let text = format!(
            r#"{{"format":2,"commit":4,"generation":1,"writer":"w","pipeline":"p","at":"","epoch":0,"published":0,
                "kept":{{"words":"of words"}},"dropped":["old"],"averages":[{pair}]}}"#
        );
        let mut commit = Commit::from_bytes(text.as_bytes()).unwrap();
        let totals = |commit: &Commit| commit.state.get::<AverageTotals>().map(AverageTotals::len);
        assert_eq!((totals(&commit), commit.state.defined::<AverageTotals>().len()), (Some(1), 1));
        assert_eq!(commit.state.of("averages").dropped, ["old"]);
        commit.add_from_before(br#"{"averages":[[{"average":"words","by":"day"},{"sum":"8","count":1}]]}"#);
        assert_eq!(totals(&commit), Some(2));
        // What is written again is read again.
        assert_eq!(Commit::from_bytes(&commit.to_bytes()).unwrap(), commit);
    }

    #[test]
    fn a_newer_format_is_refused_with_the_version_that_reads_it() {
        let refused = |text: &str| Commit::from_bytes(text.as_bytes()).unwrap_err().to_string();
        let text = refused(r#"{"format":99,"version":"9.1.0","everything":"else"}"#);
        assert!(text.contains("format 99") && text.contains("millstream 9.1.0 or newer"), "{text}");
        assert!(refused(r#"{"format":99}"#).contains("of a later release"));
    }

    #[test]
    fn a_body_goes_out_and_comes_back() {
        let file = FileRecord { path: "a".into(), rows: 3, ..FileRecord::default() };
        let whole = Commit { commit: 4, files: vec![file.clone()], rejects: vec![file], ..Commit::default() };
        let mut commit = whole.clone();
        let body = commit.take_body();
        assert!(commit.files.is_empty() && commit.rejects.is_empty());
        let body: Body = serde_json::from_slice(&serde_json::to_vec(&body).unwrap()).unwrap();
        commit.put_body(body);
        assert_eq!(commit, whole);
    }
}
