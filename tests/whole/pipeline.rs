//! One pipeline under test: its file, its sink, and the checks at the end.

use std::path::PathBuf;

use serde_json::Value;

use super::oracle::{Averages, Expected};
use super::process::{Ended, Process};
use super::sink::{Sink, Visible};
use crate::services::s3::{Kind, server};

const REST: &str = r#"
[decode]
compression = "auto"

[schema]
article_id = "string!"
title = "string"
author = "string"
publish_date = "timestamp"
content = "string!"

[validate]
content_not_empty = "length(content) > 0"

[enrich]
word_count = "word_count(content)"
event_date = "cast(publish_date as date)"

[[average]]
of = "word_count"
by = ["overall", "hour", "day"]
time = "publish_date"

[epoch]
interval = "100ms"
max_bytes = "16KiB"
"#;

/// A pipeline.
pub(crate) struct Pipeline {
    _folder: tempfile::TempDir,
    pub(crate) file: PathBuf,
    pub(crate) sink: Sink,
    /// What its processes find in their environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Files already read; they never change.
    pub(crate) known: Visible,
}

impl Pipeline {
    /// A pipeline over any source.
    pub(crate) async fn new(folder: tempfile::TempDir, test: &str, on_s3: bool, source: &str) -> Self {
        let (mut environment, mut more) = (Vec::new(), String::new());
        let sink = if on_s3 {
            let server = server(Kind::Versitygw).await;
            environment.push(("AWS_ACCESS_KEY_ID", server.credentials.access_key_id().to_owned()));
            environment.push(("AWS_SECRET_ACCESS_KEY", server.credentials.secret_access_key().to_owned()));
            more = format!("endpoint = {:?}\n", server.endpoint);
            Sink::S3(format!("exactly-once/{test}"))
        } else {
            Sink::Local(folder.path().join("out"))
        };
        let sinking = format!("[sink]\npath = {:?}\npartition = [\"event_date\"]\n{more}", sink.path());
        let file = folder.path().join("pipeline.toml");
        std::fs::write(&file, format!("name = \"test\"\n[source]\n{source}\n{REST}\n{sinking}")).unwrap();
        Pipeline { _folder: folder, file, sink, environment, known: Visible::new() }
    }

    /// Writes another text for one that the pipeline file holds once.
    pub(crate) fn change(&self, from: &str, to: &str) {
        let before = std::fs::read_to_string(&self.file).unwrap();
        assert_eq!(before.matches(from).count(), 1, "{from}");
        std::fs::write(&self.file, before.replace(from, to)).unwrap();
    }

    /// Starts `millstream run`.
    pub(crate) fn run(&self, workers: usize, more: &[&str]) -> Process {
        let workers = workers.to_string();
        let arguments = [&["run", self.file.to_str().unwrap(), "-w", &workers], more].concat();
        Process::start(&arguments, &self.environment)
    }

    /// Runs to the end of what is there.
    pub(crate) async fn run_to_the_end(&self, workers: usize) -> Ended {
        self.run(workers, &["--until-end"]).wait().await.with(0)
    }

    /// What a looking command answers.
    pub(crate) async fn look(&self, command: &str) -> Value {
        let arguments = [command, self.file.to_str().unwrap(), "--json"];
        let ended = Process::start(&arguments, &self.environment).wait().await.with(0);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// What `plan` answers.
    pub(crate) async fn plan(&self, more: &[&str]) -> String {
        let arguments = [&["plan", self.file.to_str().unwrap()], more].concat();
        Process::start(&arguments, &self.environment).wait().await.with(0).stdout
    }

    /// How many commits there are.
    pub(crate) async fn commits(&mut self) -> usize {
        self.sink.read("/.millstream/commits", ".json", &mut self.known).await.len()
    }

    /// Everything that must hold at the end.
    pub(crate) async fn check(&mut self, expected: &Expected) {
        let visible = self.sink.check_visible(&mut self.known).await;
        let found = Sink::found(&self.known, &visible);
        let missing: Vec<_> = expected.rows.keys().filter(|id| !found.rows.contains_key(*id)).take(9).collect();
        assert!(missing.is_empty(), "rows are missing, as {missing:?}");
        assert_eq!(found.rows.len(), expected.rows.len());
        assert!(found.rows == expected.rows, "a row differs from what was read");
        let reasons = |expected: &Expected| -> Vec<_> {
            expected.rejects.iter().map(|(key, (reason, _))| (key.clone(), reason.clone())).collect()
        };
        assert_eq!(reasons(&found), reasons(expected));
        assert!(found.rejects == expected.rejects, "a reject's raw bytes are not the record's");
        self.check_what_is_told(expected, visible.iter().filter(|key| key.starts_with('/'))).await;
    }

    async fn check_what_is_told(&mut self, expected: &Expected, visible: impl Iterator<Item = &String>) {
        let root = self.sink.path();
        let files = self.look("files").await;
        let mut told: Vec<&str> = files.as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
        told.sort_unstable();
        assert_eq!(told, visible.map(|key| format!("{root}{key}")).collect::<Vec<_>>());
        assert_eq!(averages(&self.look("averages").await), expected.averages());
        let verified = self.look("verify").await;
        assert_eq!(verified["ok"], true, "{verified}");
        assert_eq!(verified["rows"], expected.rows.len());
        assert_eq!(verified["rejects"], expected.rejects.len());
        let epochs = self.look("epochs").await;
        let numbers: Vec<u64> =
            epochs.as_array().unwrap().iter().map(|epoch| epoch["commit"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "commit numbers have gaps");
    }
}

fn averages(told: &Value) -> Averages {
    let of = |average: &Value| {
        let from = average["from"].as_str().map(str::to_owned);
        let total = (average["sum"].as_str().unwrap().parse().unwrap(), average["count"].as_i64().unwrap());
        ((average["by"].as_str().unwrap().to_owned(), from), total)
    };
    told.as_array().unwrap().iter().map(of).collect()
}
