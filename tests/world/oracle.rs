//! Counts every record from what lies in the stores, and knows from the lake alone what ought to be there.
//!
//! Shares nothing with the pipeline but the JSON of a commit and the Parquet reader: positions are taken from the commits
//! one by one, rows from the visible files, averages from the lake.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::lakeside::{self, Fate};

type Objects = BTreeMap<String, Bytes>;
/// Split and index of a record, and what was laid down of it.
type Rows = Vec<((String, u64), String)>;

/// The commits, without a gap.
pub(crate) fn commits(data: &Objects) -> Vec<Value> {
    let mut commits = Vec::new();
    while let Some(bytes) = data.get(&format!(".millstream/commits/{}.json", commits.len() + 1)) {
        commits.push(whole(data, serde_json::from_slice(bytes).expect("a commit is JSON")));
    }
    let all = data.keys().filter(|key| key.starts_with(".millstream/commits/")).count();
    assert_eq!(all, commits.len(), "the log has a gap");
    commits
}

/// A commit with the lists that lie beside it.
fn whole(data: &Objects, mut commit: Value) -> Value {
    if let Some(key) = commit["body"]["key"].as_str() {
        let lists = zstd::decode_all(&*data[key]).expect("a body is packed");
        let lists: Value = serde_json::from_slice(&lists).expect("a body is JSON");
        commit.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
    }
    commit
}

/// How many records of each split are committed.
pub(crate) fn positions(commits: &[Value]) -> BTreeMap<String, u64> {
    let mut positions = BTreeMap::new();
    for (split, progress) in commits.iter().filter_map(|commit| commit["positions"].as_object()).flatten() {
        let at = progress["at"].as_str().unwrap();
        positions.insert(split.clone(), if at.is_empty() { 0 } else { at.parse().unwrap() });
    }
    positions
}

/// What is visible must be right and there once; where all is published, it must be all, and so must these averages.
pub(crate) fn check(seed: u64, data: &Objects, rejects: &Objects, published: Option<&&[&str]>) {
    let commits = commits(data);
    let positions = positions(&commits);
    let mut expected: Rows = Vec::new();
    for (split, &until) in &positions {
        expected.extend((0..until).map(|index| ((split.clone(), index), wanted(&lakeside::fate(seed, split, index)))));
    }
    expected.sort();
    let mut found = Rows::new();
    for (key, bytes) in data.iter().filter(|(key, _)| !key.starts_with(".millstream/")) {
        found.extend(rows(key, bytes, |batch| data_rows(key, batch)));
    }
    for (key, bytes) in rejects {
        found.extend(rows(key, bytes, |batch| reject_rows(seed, batch)));
    }
    found.sort();
    if let Some(kept) = published {
        assert!(found == expected, "visible and committed differ: {}", first_difference(&found, &expected));
        averages(seed, &commits, &positions, kept);
    } else {
        let twice = found.windows(2).find(|pair| pair[0].0 == pair[1].0);
        assert_eq!(twice, None, "visible twice");
        let wrong = found.iter().find(|row| expected.binary_search(row).is_err());
        assert_eq!(wrong, None, "visible, but not committed");
    }
}

fn first_difference(found: &Rows, expected: &Rows) -> String {
    let extra = found.iter().find(|row| expected.binary_search(row).is_err());
    let lacks = expected.iter().find(|row| found.binary_search(row).is_err());
    format!("{} found, {} expected; extra {extra:?}, lacks {lacks:?}", found.len(), expected.len())
}

fn wanted(fate: &Fate) -> String {
    match fate {
        Fate::Reject(reason) => (*reason).to_owned(),
        Fate::Row { words, at, tongue } => {
            format!(
                "{words} {} {}",
                at.map_or("null".into(), |at| at.date_naive().to_string()),
                tongue.unwrap_or("null")
            )
        }
    }
}

fn rows(key: &str, bytes: &Bytes, read: impl Fn(&RecordBatch) -> Rows) -> Rows {
    assert!(key.ends_with(".parquet"), "{key} is visible");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap_or_else(|e| panic!("{key}: {e}"));
    reader.build().unwrap().flat_map(|batch| read(&batch.unwrap())).collect()
}

fn data_rows(key: &str, batch: &RecordBatch) -> Rows {
    let text = |name: &str, row: usize| match batch.column_by_name(name) {
        None => key
            .split('/')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
            .map_or_else(|| panic!("{key} has no {name}"), |value| value.replace("__HIVE_DEFAULT_PARTITION__", "null")),
        Some(column) if column.is_null(row) => "null".to_owned(),
        Some(column) => arrow::util::display::array_value_to_string(column, row).unwrap(),
    };
    let counts = batch.column_by_name("word_count").unwrap().as_primitive::<Int64Type>();
    let row = |row: usize| {
        let id = text("article_id", row);
        let (split, index) = id.split_once('/').unwrap();
        let what = format!("{} {} {}", counts.value(row), text("event_date", row), text("tongue", row));
        ((split.to_owned(), index.parse().unwrap()), what)
    };
    (0..batch.num_rows()).map(row).collect()
}

fn reject_rows(seed: u64, batch: &RecordBatch) -> Rows {
    let text = |name: &str, row: usize| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
    let raw = batch.column_by_name("raw").unwrap().as_binary::<i32>();
    let row = |row: usize| {
        let (split, index) = (text("_split", row), text("_position", row).parse().unwrap());
        assert_eq!(raw.value(row), lakeside::make(seed, &split, index), "the raw bytes of {split}/{index}");
        ((split, index), text("reason", row))
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The averages of the log must be those of the lake's records up to the committed positions.
fn averages(seed: u64, commits: &[Value], positions: &BTreeMap<String, u64>, kept: &[&str]) {
    let mut log: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for pair in commits.iter().filter_map(|commit| commit["averages"].as_array()).flatten() {
        let (id, total) = (&pair[0], &pair[1]);
        let group = id["group"].as_array().and_then(|group| group[0].as_str()).unwrap_or("-");
        let name = id["average"].as_str().unwrap();
        if !kept.contains(&name) {
            continue;
        }
        let key = format!("{name} {} {} {group}", id["by"].as_str().unwrap(), id["from"].as_str().unwrap_or("-"));
        log.insert(key, (total["sum"].as_str().unwrap().to_owned(), total["count"].as_i64().unwrap()));
    }
    let mut counted: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for (split, &until) in positions {
        for index in 0..until {
            let Fate::Row { words, at, tongue } = lakeside::fate(seed, split, index) else { continue };
            let buckets = buckets(at, tongue.unwrap_or("-")).into_iter();
            for bucket in buckets.filter(|bucket| kept.contains(&bucket.split(' ').next().unwrap())) {
                let total = counted.entry(bucket).or_default();
                *total = (total.0 + words, total.1 + 1);
            }
        }
    }
    let counted: BTreeMap<_, _> = counted.into_iter().map(|(id, (sum, n))| (id, (sum.to_string(), n))).collect();
    assert_eq!(log, counted, "averages of the log (left) and of the lake (right)");
}

fn buckets(at: Option<DateTime<Utc>>, tongue: &str) -> Vec<String> {
    let mut buckets = vec!["words overall - -".to_owned(), format!("by_tongue overall - {tongue}")];
    if let Some(at) = at {
        buckets.push(format!("words hour {} -", at.format("%Y-%m-%dT%H:00:00Z")));
        buckets.push(format!("words day {} -", at.format("%Y-%m-%dT00:00:00Z")));
        buckets.push(format!("by_tongue day {} {tongue}", at.format("%Y-%m-%dT00:00:00Z")));
    }
    buckets
}
