//! What lies in a sink, by a plain listing of `*.parquet` and a plain reader of Parquet.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::oracle::{Expected, Row};
use crate::services::s3::{BUCKET, Kind, server};

/// A sink: a path beside which the rejects lie.
#[derive(Clone)]
pub(crate) enum Sink {
    Local(PathBuf),
    /// A prefix of the bucket on a real server.
    S3(String),
}

/// Every visible `*.parquet` (and the whole log), by path below the sink's parent.
pub(crate) type Visible = BTreeMap<String, Bytes>;

impl Sink {
    /// As a pipeline file writes it.
    pub(crate) fn path(&self) -> String {
        match self {
            Sink::Local(folder) => folder.display().to_string(),
            Sink::S3(prefix) => format!("s3://{BUCKET}/{prefix}"),
        }
    }

    /// The bytes of everything under `sub` (`""`: the data, `"-rejects"`: the rejects) that ends in `ending`, by key.
    /// What `known` holds already is not read again.
    pub(crate) async fn read(&self, sub: &str, ending: &str, known: &mut Visible) -> BTreeSet<String> {
        let keys = match self {
            Sink::Local(folder) => walk(&PathBuf::from(format!("{}{sub}", folder.display()))),
            Sink::S3(prefix) => list(&format!("{prefix}{sub}/")).await,
        };
        let keys: BTreeSet<String> = keys.into_iter().filter(|key| key.ends_with(ending)).collect();
        for key in &keys {
            let named = format!("{sub}/{key}");
            if let Entry::Vacant(unread) = known.entry(named) {
                unread.insert(self.get(sub, key).await);
            }
        }
        keys
    }

    async fn get(&self, sub: &str, key: &str) -> Bytes {
        match self {
            Sink::Local(folder) => std::fs::read(format!("{}{sub}/{key}", folder.display())).unwrap().into(),
            Sink::S3(prefix) => {
                let client = server(Kind::Versitygw).await.client();
                let got = client.get_object().bucket(BUCKET).key(format!("{prefix}{sub}/{key}")).send().await.unwrap();
                got.body.collect().await.unwrap().into_bytes()
            }
        }
    }

    /// What must hold at any moment: each visible file is whole, and a commit names it, with its size and its rows.
    pub(crate) async fn check_visible(&self, known: &mut Visible) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let seen = [self.read("", ".parquet", known).await, self.read("-rejects", ".parquet", known).await];
        // The log is read after the listing: whatever is visible must be in it by now.
        let commits = self.read("/.millstream/commits", ".json", known).await;
        let mut named = BTreeMap::new();
        for commit in commits {
            let commit: Value = serde_json::from_slice(&known[&format!("/.millstream/commits/{commit}")]).unwrap();
            for (sub, list) in [("", "files"), ("-rejects", "rejects")] {
                for file in commit[list].as_array().into_iter().flatten() {
                    let (path, rows) = (file["path"].as_str().unwrap(), file["rows"].as_u64().unwrap());
                    named.insert(format!("{sub}/{path}"), (rows, file["bytes"].as_u64().unwrap()));
                }
            }
        }
        for (sub, keys) in ["", "-rejects"].into_iter().zip(seen) {
            for key in keys {
                let key = format!("{sub}/{key}");
                let rows: usize = batches(&known[&key]).iter().map(RecordBatch::num_rows).sum();
                let (wanted, bytes) =
                    *named.get(&key).unwrap_or_else(|| panic!("{key} is visible; no commit names it"));
                assert_eq!((rows as u64, known[&key].len() as u64), (wanted, bytes), "{key}");
                all.insert(key);
            }
        }
        all
    }

    /// What came out, from all that is visible.
    pub(crate) fn found(known: &Visible, visible: &BTreeSet<String>) -> Expected {
        let mut found = Expected::default();
        for key in visible {
            for batch in batches(&known[key]) {
                match key.starts_with("-rejects/") {
                    true => take_rejects(&batch, &mut found),
                    false => take_rows(key, &batch, &mut found),
                }
            }
        }
        found
    }
}

fn take_rows(key: &str, batch: &RecordBatch, found: &mut Expected) {
    let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("{key} has no {name}")).clone();
    let text = |name: &str, row: usize| {
        let column = column(name);
        let column = column.as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let day = key.split('/').find_map(|part| part.strip_prefix("event_date=")).unwrap();
    let (times, words) = (column("publish_date"), column("word_count"));
    let times = times.as_primitive::<TimestampMicrosecondType>();
    for row in 0..batch.num_rows() {
        let id = text("article_id", row).unwrap();
        let there = Row {
            title: text("title", row),
            author: text("author", row),
            published: times.is_valid(row).then(|| times.value(row)),
            content: text("content", row).unwrap(),
            word_count: words.as_primitive::<Int64Type>().value(row),
            day: (day != "__HIVE_DEFAULT_PARTITION__").then(|| day.to_owned()),
        };
        assert!(found.rows.insert(id.clone(), there).is_none(), "{id} is there twice");
    }
}

fn take_rejects(batch: &RecordBatch, found: &mut Expected) {
    let text = |name: &str, row| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
    for row in 0..batch.num_rows() {
        let key = (text("_split", row), text("_position", row));
        let raw = batch.column_by_name("raw").unwrap().as_binary::<i32>().value(row).to_vec();
        let twice = found.rejects.insert(key.clone(), (text("reason", row), raw));
        assert!(twice.is_none(), "{key:?} is refused twice");
    }
}

pub(crate) fn batches(bytes: &Bytes) -> Vec<RecordBatch> {
    ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().build().unwrap().map(Result::unwrap).collect()
}

/// All files below a folder, hidden ones too, by path from there.
fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found
}

async fn list(prefix: &str) -> Vec<String> {
    let client = server(Kind::Versitygw).await.client();
    let mut pages = client.list_objects_v2().bucket(BUCKET).prefix(prefix).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        found.extend(page.contents().iter().map(|object| object.key().unwrap()[prefix.len()..].to_owned()));
    }
    found
}
