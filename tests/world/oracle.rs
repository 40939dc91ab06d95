//! Counts every record from what lies in the stores, and knows from the lake alone what ought to be there.
//!
//! Shares nothing with the pipeline but the JSON of a commit and the Parquet reader: positions are taken from the commits
//! one by one, rows from the visible files, averages from the lake. Rows are compared whole, every column and the raw bytes of
//! rejects, and so is every count that a commit holds.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::lakeside::{self, Fate};

pub(crate) type Objects = BTreeMap<String, Bytes>;
/// Split and index.
pub(crate) type Record = (String, u64);
/// What was laid down of records.
pub(crate) type Rows = Vec<(Record, String)>;

/// From how many words on the sink `wordy` takes a row.
pub(crate) const WORDY: u64 = 6;

/// What lies there, and what is known besides.
pub(crate) struct Facts<'a> {
    pub(crate) seed: u64,
    /// The objects of the pipeline alone, by place.
    pub(crate) data: Objects,
    pub(crate) wordy: Objects,
    pub(crate) rejects: Objects,
    /// Rows of the first sink whose loss was accepted, by the path of their file.
    pub(crate) lost: &'a BTreeMap<String, Rows>,
    /// Where all is published, it must be all, and so must these averages.
    pub(crate) published: Option<&'a [&'a str]>,
}

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

/// The most data files that one worker made of one epoch.
pub(crate) fn most_files_of_a_worker(data: &Objects) -> usize {
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    for key in data.keys().filter(|key| key.ends_with(".parquet")) {
        let name = key.rsplit('/').next().unwrap();
        let owner: String = name.splitn(3, '-').take(2).collect::<Vec<_>>().join("-");
        *files.entry(owner).or_default() += 1;
    }
    files.into_values().max().unwrap_or(0)
}

fn number(at: &Value) -> u64 {
    let at = at.as_str().unwrap();
    if at.is_empty() { 0 } else { at.parse().unwrap() }
}

/// How many records of each split are committed.
pub(crate) fn positions(commits: &[Value]) -> BTreeMap<String, u64> {
    let mut positions = BTreeMap::new();
    for (split, progress) in commits.iter().filter_map(|commit| commit["positions"].as_object()).flatten() {
        positions.insert(split.clone(), number(&progress["at"]));
    }
    positions
}

/// What every sink ought to hold.
#[derive(Default)]
struct Expected {
    data: Rows,
    wordy: Rows,
    rejects: Rows,
    /// Records that no sink has since one like them came before.
    left_out: usize,
}

/// What is visible must be right and there once, and every count of every commit must be what the lake says. How many records
/// were left out since one like them came before.
pub(crate) fn check(facts: &Facts<'_>) -> usize {
    let commits = commits(&facts.data);
    let mut expected = expected(facts.seed, &commits);
    if let Some(kept) = facts.published {
        averages(facts, &commits, &expected.data, kept);
    }
    let left_out = expected.left_out;
    // Only files of the first sink are ever lost for good.
    let of_lost_files = facts.lost.iter().filter(|(path, _)| !facts.data.contains_key(*path));
    let lost: BTreeSet<&(Record, String)> = of_lost_files.flat_map(|(_, rows)| rows).collect();
    expected.data.retain(|row| !lost.contains(row));
    let mut found = Expected::default();
    for (key, bytes) in facts.data.iter().filter(|(key, _)| !key.starts_with(".millstream/")) {
        found.data.extend(data_rows(key, bytes));
    }
    for (key, bytes) in facts.wordy.iter().filter(|(key, _)| !key.starts_with(".millstream/")) {
        found.wordy.extend(data_rows(key, bytes));
    }
    for (key, bytes) in facts.rejects.iter().filter(|(key, _)| !key.starts_with(".millstream/")) {
        found.rejects.extend(reject_rows(facts.seed, key, bytes));
    }
    let pairs = [
        ("data", found.data, expected.data),
        ("wordy", found.wordy, expected.wordy),
        ("rejects", found.rejects, expected.rejects),
    ];
    for (place, found, expected) in pairs {
        compare(place, found, expected, facts.published.is_some());
    }
    left_out
}

fn compare(place: &str, mut found: Rows, mut expected: Rows, published: bool) {
    found.sort();
    expected.sort();
    if published {
        assert!(found == expected, "{place}: visible and committed differ: {}", first_difference(&found, &expected));
        return;
    }
    let twice = found.windows(2).find(|pair| pair[0].0 == pair[1].0);
    assert_eq!(twice, None, "{place}: visible twice");
    let wrong = found.iter().find(|row| expected.binary_search(row).is_err());
    assert_eq!(wrong, None, "{place}: visible, but not committed");
}

fn first_difference(found: &Rows, expected: &Rows) -> String {
    let extra = found.iter().find(|row| expected.binary_search(row).is_err());
    let lacks = expected.iter().find(|row| found.binary_search(row).is_err());
    format!("{} found, {} expected; extra {extra:?}, lacks {lacks:?}", found.len(), expected.len())
}

/// `[dedup]` as the definition has it, and the twins that it has met. The world is over within its days.
#[derive(Default)]
struct Twins {
    by: Value,
    met: BTreeSet<String>,
}

impl Twins {
    fn defined(&mut self, definition: &Value) {
        let by = &definition["dedup"]["by"];
        if *by != self.by {
            *self = Twins { by: by.clone(), met: BTreeSet::new() };
        }
    }

    /// Whether a record was met before.
    fn again(&mut self, fate: &Fate) -> bool {
        let Fate::Row { tongue, twin, .. } = fate else { return false };
        let Some(by) = self.by.as_array() else { return false };
        let values = by.iter().map(|column| match column.as_str().unwrap() {
            "tongue" => tongue.map(str::to_owned),
            _ => twin.map(|twin| twin.to_string()),
        });
        let key: Option<Vec<String>> = values.collect();
        key.is_some_and(|key| !self.met.insert(key.join(" ")))
    }
}

/// Goes through the commits: which records each read, and into which sinks these go. Holds every count against it.
fn expected(seed: u64, commits: &[Value]) -> Expected {
    let (mut expected, mut at) = (Expected::default(), BTreeMap::<String, u64>::new());
    let (mut has_wordy, mut twins) = (false, Twins::default());
    for commit in commits {
        if !commit["definition"].is_null() {
            twins.defined(&commit["definition"]);
        }
        if let Some(sinks) = commit["sinks"].as_object() {
            has_wordy = sinks.contains_key("wordy");
        }
        let mut of_commit = Expected::default();
        for (split, progress) in commit["positions"].as_object().into_iter().flatten() {
            let (from, until) = (at.get(split).copied().unwrap_or(0), number(&progress["at"]));
            assert_eq!(progress["records"], until - from, "records of {split} that commit {} read", commit["commit"]);
            // Splits come in the order of their names, as dedup looks at them.
            (from..until).for_each(|index| of_commit.add(seed, split, index, has_wordy, &mut twins));
            at.insert(split.clone(), until);
        }
        of_commit.check_counts(commit, has_wordy);
        expected.data.extend(of_commit.data);
        expected.wordy.extend(of_commit.wordy);
        expected.rejects.extend(of_commit.rejects);
        expected.left_out += of_commit.left_out;
    }
    expected
}

impl Expected {
    fn add(&mut self, seed: u64, split: &str, index: u64, has_wordy: bool, twins: &mut Twins) {
        let (record, fate) = ((split.to_owned(), index), lakeside::fate(seed, split, index));
        if twins.again(&fate) {
            self.left_out += 1;
            return;
        }
        let row = (record, wanted(&fate));
        match fate {
            Fate::Reject(_) => self.rejects.push(row),
            Fate::Row { words, .. } => {
                if has_wordy && words >= WORDY {
                    self.wordy.push(row.clone());
                }
                self.data.push(row);
            }
        }
    }

    fn check_counts(&self, commit: &Value, has_wordy: bool) {
        let stand_ins: BTreeSet<&str> =
            commit["replaces"].as_array().into_iter().flatten().filter_map(|lost| lost["by"].as_str()).collect();
        let rows = |field: &str, sink: Option<&str>| -> usize {
            let files = commit[field].as_array().into_iter().flatten();
            let new = files.filter(|file| !stand_ins.contains(file["path"].as_str().unwrap()));
            let of = new.filter(|file| sink.is_none_or(|sink| (file["sink"] == "wordy") == (sink == "wordy")));
            of.map(|file| file["rows"].as_u64().unwrap() as usize).sum()
        };
        let told = (rows("files", Some("data")), rows("files", Some("wordy")), rows("rejects", None));
        let wanted = (self.data.len(), self.wordy.len(), self.rejects.len());
        assert_eq!(told, wanted, "rows, rows of wordy and rejects of commit {}", commit["commit"]);
        let mut counted = BTreeMap::<(&str, &str), u64>::new();
        for (term, sinks) in commit["counts"].as_object().into_iter().flatten() {
            for (sink, splits) in sinks.as_object().unwrap() {
                let records = splits.as_object().unwrap().values().map(|records| records.as_u64().unwrap());
                counted.insert((term, sink), records.sum());
            }
        }
        let not_wordy = if has_wordy { self.data.len() - self.wordy.len() } else { 0 };
        let wanted = [(("filtered", "*"), self.left_out as u64), (("filtered", "wordy"), not_wordy as u64)];
        let wanted = wanted.into_iter().filter(|(_, records)| *records > 0).collect();
        assert_eq!(counted, wanted, "what commit {} counts", commit["commit"]);
    }
}

fn wanted(fate: &Fate) -> String {
    match fate {
        Fate::Reject(reason) => (*reason).to_owned(),
        Fate::Row { words, at, tongue, twin } => {
            let twin = twin.map_or("null".into(), |twin| twin.to_string());
            let day = at.map_or("null".into(), |at| at.date_naive().to_string());
            let time = at.map_or("null".into(), |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
            format!("{words} {day} {time} {} {twin} {}", tongue.unwrap_or("null"), lakeside::content(*words))
        }
    }
}

fn batches(key: &str, bytes: &Bytes) -> Vec<RecordBatch> {
    assert!(key.ends_with(".parquet"), "{key} is visible");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap_or_else(|e| panic!("{key}: {e}"));
    reader.build().unwrap().map(|batch| batch.unwrap()).collect()
}

/// The rows of a data file.
pub(crate) fn data_rows(key: &str, bytes: &Bytes) -> Rows {
    batches(key, bytes).iter().flat_map(|batch| data_rows_of(key, batch)).collect()
}

fn data_rows_of(key: &str, batch: &RecordBatch) -> Rows {
    let text = |name: &str, row: usize| match batch.column_by_name(name) {
        None => key
            .split('/')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
            .map_or_else(|| panic!("{key} has no {name}"), |value| value.replace("__HIVE_DEFAULT_PARTITION__", "null")),
        Some(column) if column.is_null(row) => "null".to_owned(),
        Some(column) => arrow::util::display::array_value_to_string(column, row).unwrap(),
    };
    let row = |row: usize| {
        let id = text("article_id", row);
        let (split, index) = id.split_once('/').unwrap();
        let columns = ["word_count", "event_date", "publish_date", "tongue", "twin", "content"];
        let what = columns.map(|name| text(name, row)).join(" ");
        ((split.to_owned(), index.parse().unwrap()), what)
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The rows of a rejects file.
pub(crate) fn reject_rows(seed: u64, key: &str, bytes: &Bytes) -> Rows {
    batches(key, bytes).iter().flat_map(|batch| reject_rows_of(seed, batch)).collect()
}

fn reject_rows_of(seed: u64, batch: &RecordBatch) -> Rows {
    let text = |name: &str, row: usize| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
    let raw = batch.column_by_name("raw").unwrap().as_binary::<i32>();
    let row = |row: usize| {
        let (split, index) = (text("_split", row), text("_position", row).parse().unwrap());
        assert_eq!(raw.value(row), lakeside::make(seed, &split, index), "the raw bytes of {split}/{index}");
        ((split, index), text("reason", row))
    };
    (0..batch.num_rows()).map(row).collect()
}

/// What a commit changes of averages: beside the rest, or in an object.
fn changed(data: &Objects, commit: &Value) -> Vec<Value> {
    let averages = &commit["state"]["averages"];
    let mut pairs = averages["entries"].as_array().cloned().unwrap_or_default();
    for object in averages["objects"].as_array().into_iter().flatten() {
        // Who needs it no longer takes it away.
        let Some(packed) = data.get(object["key"].as_str().unwrap()) else { continue };
        let rows = zstd::decode_all(&**packed).expect("an object of state is packed");
        for batch in StreamReader::try_new(&*rows, None).unwrap() {
            let mut json = arrow::json::ArrayWriter::new(Vec::new());
            json.write(&batch.unwrap()).unwrap();
            json.finish().unwrap();
            let rows: Vec<Value> = serde_json::from_slice(&json.into_inner()).unwrap();
            pairs.extend(rows.into_iter().map(|row| Value::Array(vec![row.clone(), row])));
        }
    }
    pairs
}

/// The averages of the log must be those of the rows that every sink takes. Where older changes are folded into a snapshot alone,
/// `verify` compares.
fn averages(facts: &Facts<'_>, commits: &[Value], rows: &Rows, kept: &[&str]) {
    let objects = commits.iter().flat_map(|commit| commit["state"]["averages"]["objects"].as_array()).flatten();
    if objects.into_iter().any(|object| !facts.data.contains_key(object["key"].as_str().unwrap())) {
        return;
    }
    let mut log: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for pair in commits.iter().flat_map(|commit| changed(&facts.data, commit)) {
        let (id, total) = (&pair[0], &pair[1]);
        let group = id["group"].as_array().and_then(|group| group.first()?.as_str()).unwrap_or("-");
        let name = id["average"].as_str().unwrap();
        if !kept.contains(&name) {
            continue;
        }
        let key = format!("{name} {} {} {group}", id["by"].as_str().unwrap(), id["from"].as_str().unwrap_or("-"));
        log.insert(key, (total["sum"].as_str().unwrap().to_owned(), total["count"].as_i64().unwrap()));
    }
    let mut counted: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for ((split, index), _) in rows {
        let Fate::Row { words, at, tongue, .. } = lakeside::fate(facts.seed, split, *index) else { continue };
        let buckets = buckets(at, tongue.unwrap_or("-")).into_iter();
        for bucket in buckets.filter(|bucket| kept.contains(&bucket.split(' ').next().unwrap())) {
            let total = counted.entry(bucket).or_default();
            *total = (total.0 + words, total.1 + 1);
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
