//! A folder with a small pipeline in it, and the commands run there.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

pub(crate) const PIPELINE: &str = r#"name = "articles"

[source]
type = "files"
path = "in"

[schema]
article_id = "string!"
publish_date = "timestamp"
content = "string!"

[validate]
content_not_empty = "length(content) > 0"

[enrich]
word_count = "word_count(content)"
event_date = "cast(publish_date as date)"

[[average]]
of = "word_count"
by = ["overall", "day"]
time = "publish_date"

[sink]
path = "out"
partition = ["event_date"]

[epoch]
interval = "100ms"

[[test]]
name = "words are counted"
input = [{ article_id = "a1", content = "two words" }, { article_id = "a2", content = "" }]
expect = [{ article_id = "a1", word_count = 2 }]
rejects = [{ reason = "rule:content_not_empty" }]
"#;

const INPUT: &str = r#"{"article_id":"a1","publish_date":"2024-02-28T10:11:12Z","content":"two words"}
{"article_id":"a2","publish_date":"2024-02-28T11:00:00Z","content":"one more here"}
{"article_id":"a3","content":"no day"}
{"article_id":"a4","content":""}
nonsense
"#;

pub(crate) struct Folder(tempfile::TempDir);

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    /// A folder with a pipeline and its input.
    pub(crate) fn new() -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("pipeline.toml", PIPELINE);
        std::fs::create_dir(folder.path("in")).unwrap();
        folder.write("in/a.ndjson", INPUT);
        folder
    }

    /// One in which the pipeline has run.
    pub(crate) fn after_a_run() -> Self {
        let folder = Folder::new();
        folder.ok("run pipeline.toml --until-end");
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Runs `millstream` with a line of arguments.
    pub(crate) fn say(&self, line: &str) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        let ended = command.args(line.split(' ')).current_dir(&self.0).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: ended.status.code().unwrap(), stdout: text(ended.stdout), stderr: text(ended.stderr) }
    }

    /// What a line that goes well prints.
    pub(crate) fn ok(&self, line: &str) -> String {
        let said = self.say(line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said.stdout
    }

    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{line} --json"))).unwrap()
    }

    /// What a line that ends with `code` says on stderr.
    pub(crate) fn fails(&self, line: &str, code: i32) -> String {
        let said = self.say(line);
        assert_eq!(said.code, code, "{line}: {said:?}");
        said.stderr
    }

    /// The one data file of a partition.
    pub(crate) fn data_file(&self, day: &str) -> PathBuf {
        let folder = self.path(&format!("out/event_date={day}"));
        std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
    }
}
