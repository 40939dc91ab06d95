//! What a commit holds.
//!
//! A commit is one JSON object in the log, and says only what its epoch changed: files, rejects, positions, averages. Its
//! `writer` is unique to one start of one cluster, so that no two writers can ever make the same bytes: that is how a
//! writer tells its own commit, found again after a lost answer, from another's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::position::{Position, Split};
use crate::protocol::recover::Place;
use crate::reject::Stage;

/// One entry of the commit log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Commit {
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
    /// When parts of a source were first part of the pipeline, RFC 3339 in UTC: what `start = "latest"` stands for. Here are
    /// those that the log did not know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, String>,
    /// Data files, under the sink's path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
    /// Rejects files, under the rejects' path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<FileRecord>,
    /// Files of earlier commits whose uploads were lost, and which files of this commit stand in for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<Replaced>,
    /// How far each split that moved is read now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions: BTreeMap<Split, SplitProgress>,
    /// Definitions of averages that are new or not what they were: what the log said of them before counts no more, and
    /// `averages` holds what they come to instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, String>,
    /// The new totals of the averages that changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub averages: Vec<(AverageId, Total)>,
}

/// A file that a commit makes part of the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
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
    /// Which records it holds: enough to write it again from the source.
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

/// How far a split is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitProgress {
    /// Where reading goes on.
    pub at: Position,
    /// Records read in this commit's epoch: each is in a file or in a reject of the same commit.
    #[serde(default)]
    pub records: u64,
    /// Whether the split is closed and read to its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

/// A snapshot object: what the log adds up to at a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// The last commit in it.
    pub commit: u64,
    pub key: String,
    pub bytes: u64,
}

/// Which total: an average, a bucket of time, a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AverageId {
    pub average: String,
    /// `overall`, `hour` or `day`.
    pub by: String,
    /// The bucket's start, RFC 3339 in UTC; none for overall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The values of the group's columns, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<Option<String>>,
}

/// An exact sum and what it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// The sum, exact, as decimal text.
    pub sum: String,
    pub count: i64,
}

impl Commit {
    /// The bytes that lie in the log.
    pub fn to_bytes(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "strings, numbers and maps keyed by strings always have a JSON form")]
        serde_json::to_vec(self).expect("a commit has a JSON form")
    }

    /// A commit from its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Rows laid down by this commit (files that stand in for lost ones add none).
    pub fn rows(&self) -> u64 {
        self.files.iter().filter(|file| !self.stands_in(Place::Data, file)).map(|file| file.rows).sum()
    }

    /// Records refused in this commit.
    pub fn reject_rows(&self) -> u64 {
        self.rejects.iter().filter(|file| !self.stands_in(Place::Rejects, file)).map(|file| file.rows).sum()
    }

    /// Whether a file of this commit stands in for a lost one.
    pub fn stands_in(&self, place: Place, file: &FileRecord) -> bool {
        self.replaces.iter().any(|replaced| replaced.place == place && replaced.by == file.path)
    }
}
