//! Which records the files of a commit hold, said once and not file by file.
//!
//! Every file has ranges: for each split the first and the last record in it, enough to write the file again from the
//! source. An epoch with thousands of partitions has thousands of files over the same few splits, so their ranges would
//! outweigh all else. Where a worker has one file of a partition, that file holds all rows of the partition that the worker
//! read; it is enough to say once what the worker read.
//!
//! What must stay true: from the coverage, a file without ranges finds every record that it holds; no record of another
//! worker's file lies in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::position::{Position, Split};
use crate::protocol::commit::{FileRecord, Range};
use crate::protocol::naming::FileName;
use crate::protocol::place::Place;
use crate::reject::Stage;

/// Fewer ranges than this stay with their files: a small commit is easier to read so.
const FEW: usize = 64;

/// The records that one worker read, as far as files of one place hold them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    pub place: Place,
    pub worker: usize,
    pub spans: Vec<Span>,
}

/// Consecutive records of a split.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    pub split: Split,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<Stage>,
    pub first: Position,
    pub last: Position,
}

impl Span {
    fn of(range: &Range) -> Self {
        let Range { split, refused_by, first, last, rows: _ } = range.clone();
        Span { split, refused_by, first, last }
    }

    fn is_before(&self, other: &Span) -> bool {
        (&self.split, self.refused_by) != (&other.split, other.refused_by) || self.last < other.first
    }
}

/// The folder of a file and the worker that wrote it.
fn owner(file: &FileRecord) -> (&str, Option<usize>) {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    (folder, FileName::parse(&file.path).map(|name| name.worker))
}

/// Moves the ranges of files that are their worker's only one of a partition into the coverage. `files` are those of one place.
pub fn share(place: &Place, files: &mut [FileRecord]) -> Vec<Coverage> {
    if files.iter().map(|file| file.ranges.len()).sum::<usize>() < FEW {
        return Vec::new();
    }
    let mut by_worker: BTreeMap<usize, Vec<Span>> = BTreeMap::new();
    let mut together: BTreeMap<(&str, Option<usize>), usize> = BTreeMap::new();
    for file in &*files {
        let owner = owner(file);
        *together.entry(owner).or_default() += 1;
        if let Some(worker) = owner.1 {
            by_worker.entry(worker).or_default().extend(file.ranges.iter().map(Span::of));
        }
    }
    by_worker.values_mut().for_each(unite);
    if overlap(&by_worker) {
        return Vec::new();
    }
    let alone: Vec<bool> = files.iter().map(|file| owner(file).1.is_some() && together[&owner(file)] == 1).collect();
    for (file, alone) in files.iter_mut().zip(alone) {
        if alone {
            file.ranges = Vec::new();
        }
    }
    by_worker.into_iter().map(|(worker, spans)| Coverage { place: place.clone(), worker, spans }).collect()
}

/// Sorts the spans and joins those that overlap.
fn unite(spans: &mut Vec<Span>) {
    spans.sort();
    let mut united: Vec<Span> = Vec::new();
    for span in spans.drain(..) {
        match united.last_mut().filter(|last| !last.is_before(&span)) {
            Some(last) => last.last = last.last.clone().max(span.last),
            None => united.push(span),
        }
    }
    *spans = united;
}

/// Whether two workers read from one stretch of a split: then only the exact ranges tell their records apart.
fn overlap(by_worker: &BTreeMap<usize, Vec<Span>>) -> bool {
    let mut all: Vec<&Span> = by_worker.values().flatten().collect();
    all.sort();
    all.windows(2).any(|pair| !pair[0].is_before(pair[1]))
}

/// The records of a file: its own ranges, or else what its worker read.
pub fn spans(place: &Place, file: &FileRecord, coverage: &[Coverage]) -> Vec<Span> {
    if !file.ranges.is_empty() {
        return file.ranges.iter().map(Span::of).collect();
    }
    let worker = owner(file).1;
    let ours = |coverage: &&Coverage| coverage.place == *place && Some(coverage.worker) == worker;
    coverage.iter().filter(ours).flat_map(|coverage| coverage.spans.clone()).collect()
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: a lost file that is written again with records of another, or without some of its own.

    use super::*;

    fn file(path: &str, ranges: &[(&str, u64, u64)]) -> FileRecord {
        let range = |&(split, first, last): &(&str, u64, u64)| Range {
            split: split.into(),
            refused_by: None,
            first: Position::at(first),
            last: Position::at(last),
            rows: 1,
        };
        FileRecord { path: path.into(), ranges: ranges.iter().map(range).collect(), ..FileRecord::default() }
    }

    fn days(worker: usize, split: &str, from: u64) -> Vec<FileRecord> {
        (0..70)
            .map(|day| file(&format!("d={day}/e1-w{worker}-{day}-g1.parquet"), &[(split, from + day, from + 90 + day)]))
            .collect()
    }

    #[test]
    fn files_alone_in_their_partition_share_what_their_worker_read() {
        let mut files = [days(0, "a", 0), days(1, "b", 7)].concat();
        let coverage = share(&Place::data(), &mut files);
        assert!(files.iter().all(|file| file.ranges.is_empty()));
        assert_eq!(coverage.iter().map(|coverage| coverage.spans.len()).collect::<Vec<_>>(), [1, 1]);
        let spans = spans(&Place::data(), &files[80], &coverage);
        let span = &spans[0];
        assert_eq!((&*span.split, &span.first, &span.last), ("b", &Position::at(7), &Position::at(166)));
    }

    #[test]
    fn two_files_of_a_partition_keep_their_ranges() {
        let mut files = days(0, "a", 0);
        files.push(file("d=3/e1-w0-77-g1.parquet", &[("a", 95, 99)]));
        let coverage = share(&Place::data(), &mut files);
        let kept: Vec<&str> = files.iter().filter(|file| !file.ranges.is_empty()).map(|file| &*file.path).collect();
        assert_eq!(kept, ["d=3/e1-w0-3-g1.parquet", "d=3/e1-w0-77-g1.parquet"]);
        assert_eq!(coverage.len(), 1);
        assert_eq!(spans(&Place::data(), &files[3], &coverage)[0].last, Position::at(93));
    }

    #[test]
    fn workers_that_read_one_stretch_keep_their_ranges() {
        let mut files = [days(0, "a", 0), days(1, "a", 60)].concat();
        assert!(share(&Place::data(), &mut files).is_empty());
        assert!(files.iter().all(|file| !file.ranges.is_empty()));
    }

    #[test]
    fn a_few_files_stay_as_they_are() {
        let mut files = days(0, "a", 0)[..9].to_vec();
        assert!(share(&Place::data(), &mut files).is_empty());
        assert!(files.iter().all(|file| !file.ranges.is_empty()));
    }
}
