//! Three sinks and `[dedup]` on S3 under twenty kills, with another number of processes and workers at every start.
//!
//! The input has every record twice. The oracle reads the input and the objects: each sink must hold each of its articles once, and
//! every copy must be counted. Would catch a key that is lost with a killed process or with a rescale, and a sink that misses or
//! repeats a row.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "it kills processes after a while, and waits for them")]

mod services;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use arrow::util::display::array_value_to_string;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::services::s3::{BUCKET, Kind, Server, server, store};

const MILLSTREAM: &str = env!("CARGO_BIN_EXE_millstream");
const ARTICLES: usize = 3000;

fn pipeline(server: &Server) -> String {
    let sink = |name: &str, more: &str| {
        let path = format!("s3://{BUCKET}/kills/{name}");
        format!("[[sink]]\nname = \"{name}\"\npath = \"{path}\"\nendpoint = {:?}\n{more}\n", server.endpoint)
    };
    format!(
        "name = \"articles\"\n[source]\ntype = \"files\"\npath = \"made\"\n\
         [schema]\narticle_id = \"string!\"\npublish_date = \"timestamp\"\ncontent = \"string!\"\n\
         [enrich]\nword_count = \"word_count(content)\"\nevent_date = \"cast(publish_date as date)\"\n\
         [dedup]\nby = \"article_id\"\nwithin = \"7 days\"\n\
         [[average]]\nof = \"word_count\"\nby = [\"overall\", \"day\"]\ntime = \"publish_date\"\n\
         {}{}{}[epoch]\ninterval = \"100ms\"\nmax_bytes = \"400KiB\"\n",
        sink("all", "partition = [\"event_date\"]"),
        sink("long", "where = \"word_count >= 400\""),
        sink("even", "where = \"word_count % 2 = 0\""),
    )
}

fn millstream(folder: &Path, server: &Server, line: &str) -> Command {
    let mut command = Command::new(MILLSTREAM);
    command.args(line.split(' ')).current_dir(folder).env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", server.credentials.access_key_id());
    command.env("AWS_SECRET_ACCESS_KEY", server.credentials.secret_access_key());
    command
}

fn said(mut command: Command) -> String {
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

/// How many words each article has, by its id.
fn made(folder: &Path) -> BTreeMap<String, usize> {
    let mut words = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        for line in fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            let article: Value = serde_json::from_str(line).unwrap();
            let count = article["content"].as_str().unwrap().split_whitespace().count();
            words.insert(article["article_id"].as_str().unwrap().to_owned(), count);
        }
    }
    words
}

/// What lies in a sink, an id a row.
async fn laid_down(sink: &str) -> Vec<(String, usize)> {
    let store = store(Kind::Versitygw, &format!("kills/{sink}")).await;
    let mut rows = Vec::new();
    for entry in store.list("").await.unwrap().iter().filter(|entry| entry.key.ends_with(".parquet")) {
        let bytes = store.get(&entry.key).await.unwrap().unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let text = |name: &str, row| array_value_to_string(batch.column_by_name(name).unwrap(), row).unwrap();
            rows.extend(
                (0..batch.num_rows()).map(|row| (text("article_id", row), text("word_count", row).parse().unwrap())),
            );
        }
    }
    rows.sort();
    rows
}

#[tokio::test]
async fn every_article_is_in_each_of_its_sinks_once() {
    let server = server(Kind::Versitygw).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("pipeline.toml"), pipeline(server)).unwrap();
    said(millstream(folder, server, &format!("populate files --count {ARTICLES} --splits 3 made")));
    let made_once = made(&folder.join("made"));
    assert_eq!(made_once.len(), ARTICLES);
    for entry in fs::read_dir(folder.join("made")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>() {
        let name = entry.file_name().unwrap().to_str().unwrap();
        fs::copy(&entry, folder.join("made").join(format!("again-{name}"))).unwrap();
    }
    for round in 0..20_u64 {
        let line = ["-w 1", "-w 3", "-w 1 -n 2", "-w 2"][round as usize % 4];
        let mut start = millstream(folder, server, &format!("run pipeline.toml --until-end {line}"));
        let mut start = start.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(150 + round * 173 % 700));
        // One that has ended is not there to be killed.
        let _ = start.kill();
        start.wait().unwrap();
    }
    said(millstream(folder, server, "run pipeline.toml --until-end -w 1 -n 2"));

    type Takes = fn(usize) -> bool;
    let takes: [(&str, Takes); 3] =
        [("all", |_| true), ("long", |words| words >= 400), ("even", |words| words % 2 == 0)];
    for (sink, takes) in takes {
        let wanted: Vec<_> = made_once.clone().into_iter().filter(|(_, words)| takes(*words)).collect();
        assert!(wanted.len() > 100, "{sink}: {}", wanted.len());
        let found = laid_down(sink).await;
        assert!(found == wanted, "{sink}: {} rows, {} wanted", found.len(), wanted.len());
    }
    let epochs: Value = serde_json::from_str(&said(millstream(folder, server, "epochs pipeline.toml --json"))).unwrap();
    let filtered: i64 = epochs.as_array().unwrap().iter().map(|epoch| epoch["filtered"].as_i64().unwrap()).sum();
    assert_eq!(filtered, ARTICLES as i64, "every copy is counted");
    let report: Value = serde_json::from_str(&said(millstream(folder, server, "verify pipeline.toml --json"))).unwrap();
    assert_eq!(report["ok"], true, "{report}");
}
