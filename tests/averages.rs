//! Limits of averages, by the real binary: an average with more totals than it may have ends the run with exit code 1 and one clear line,
//! and so does one that the memory has no room for; nothing is lost by it, and with a higher limit the next start goes on to
//! exactly the totals of all records.
//!
//! Would catch an epoch that is committed though it is over a limit, a restart that forgets the limit, or the records
//! read before it, and a message without the name of the average or the way out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path("in")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of records, one for each number: number `n` is of user `n`, counts `n` and happened in hour `n` modulo 24.
    fn records(&self, file: &str, numbers: impl Iterator<Item = u32>) {
        let line = |n: u32| format!("{{\"user\":\"user {n}\",\"n\":{n},\"at\":\"2024-02-28T{:02}:30:00Z\"}}\n", n % 24);
        std::fs::write(self.path("in").join(file), numbers.map(line).collect::<String>()).unwrap();
    }

    fn pipeline(&self, average: &str, more: &str) {
        let text = format!(
            "name = \"users\"\n[source]\ntype = \"files\"\npath = \"in\"\n[schema]\nuser = \"string\"\nn = \"int64\"\nat = \"timestamp\"\n\
             [[average]]\nname = \"n by user\"\nof = \"n\"\ngroup = [\"user\"]\n{average}\n[sink]\npath = \"out\"\n{more}\n"
        );
        std::fs::write(self.path("pipeline.toml"), text).unwrap();
    }

    /// Runs it; what it said on stderr where it ended with that code.
    fn run(&self, code: i32, more: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(["run", "pipeline.toml", "--until-end"]).args(more).current_dir(&self.0);
        let ended = command.output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{said}");
        said
    }

    fn json(&self, command: &str) -> Value {
        let mut millstream = Command::new(env!("CARGO_BIN_EXE_millstream"));
        let ended = millstream.args([command, "pipeline.toml", "--json"]).current_dir(&self.0).output().unwrap();
        serde_json::from_slice(&ended.stdout).unwrap()
    }

    /// Sum and count by user.
    fn totals(&self) -> BTreeMap<String, (String, i64)> {
        let averages = self.json("averages");
        let of = |average: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&average["group"]["user"]), (text(&average["sum"]), average["count"].as_i64().unwrap()))
        };
        averages.as_array().unwrap().iter().map(of).collect()
    }

    fn rows(&self) -> u64 {
        self.json("epochs").as_array().unwrap().iter().map(|epoch| epoch["rows"].as_u64().unwrap()).sum()
    }
}

/// The line that tells of an average.
fn told(said: &str) -> &str {
    said.lines().find(|line| line.contains("average n by user")).unwrap_or_else(|| panic!("{said}"))
}

fn expected(numbers: impl Iterator<Item = u32>) -> BTreeMap<String, (String, i64)> {
    let mut totals: BTreeMap<String, (u32, i64)> = BTreeMap::new();
    for n in numbers {
        let (sum, count) = totals.entry(format!("user {n}")).or_default();
        (*sum, *count) = (*sum + n, *count + 1);
    }
    totals.into_iter().map(|(user, (sum, count))| (user, (sum.to_string(), count))).collect()
}

#[test]
fn one_group_too_many_ends_the_run_and_a_higher_limit_goes_on_exactly() {
    let folder = Folder::new();
    folder.pipeline("max_groups = 100", "");
    folder.records("a.ndjson", 0..100);
    folder.run(0, &[]);
    assert_eq!((folder.rows(), folder.totals()), (100, expected(0..100)));

    folder.records("b.ndjson", 50..150);
    let said = folder.run(1, &["-w", "2"]);
    let line = told(&said).to_owned();
    assert!(line.contains("more than 100 totals") && line.contains("[[average]] max_groups"), "{line}");
    assert_eq!((folder.rows(), folder.totals()), (100, expected(0..100)), "nothing of that epoch is committed");
    assert_eq!(told(&folder.run(1, &["-w", "1"])), line, "the next start fails in the same way");
    assert_eq!((folder.rows(), folder.totals()), (100, expected(0..100)));

    folder.pipeline("max_groups = 150", "");
    folder.run(0, &["-w", "2"]);
    assert_eq!((folder.rows(), folder.totals()), (200, expected((0..100).chain(50..150))));
    assert_eq!(folder.json("verify")["ok"], true);
}

#[test]
fn totals_that_the_memory_has_no_room_for_end_the_run_and_more_memory_goes_on_exactly() {
    let (folder, few) = (Folder::new(), "[limits]\nrecord = \"100KB\"\nmemory = \"1MB\"");
    folder.pipeline("", few);
    folder.records("a.ndjson", 0..4_000);
    let line = told(&folder.run(1, &[])).to_owned();
    for part in ["[limits] memory", "max_groups", "4000 totals", "468750 bytes"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert_eq!((folder.rows(), folder.totals()), (0, BTreeMap::new()));

    folder.pipeline("", &few.replace("1MB", "4MB"));
    folder.run(0, &[]);
    assert_eq!((folder.rows(), folder.totals()), (4_000, expected(0..4_000)));
    // What is committed does not fit any more: that is told before anything is read.
    folder.pipeline("", few);
    assert_eq!(told(&folder.run(1, &[])), line);
}
