//! What is written is read by readers that are not ours: pyarrow, DuckDB, Polars and Hugging Face `datasets`.
//!
//! The test makes up records, runs the real binary over them, and writes down as JSON what every reader must then find: each
//! row with its values, the columns in their order, their types, the null partition. Would catch a file that only our own
//! Parquet library understands, a time without its zone, a partition value that readers take for text, a lost null.
//!
//! The readers come from `tests/readers/install`; where they are not installed the test fails and says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};

const PIPELINE: &str = r#"
name = "readers"
[source]
type = "files"
path = "in"
[schema]
id = "string!"
published = "timestamp"
amount = "int64"
user = { platform = "string", id = "string!" }
tags = ["string"]
text = "string"
[enrich]
word_count = "word_count(coalesce(text, ''))"
event_date = "cast(published as date)"
[sink]
path = "out"
partition = ["event_date"]
"#;

/// Seconds since 1970 of 2024-02-28, the day before a leap day.
const FIRST_DAY: i64 = 1_709_078_400;
const DAYS: [&str; 3] = ["2024-02-28", "2024-02-29", "2024-03-01"];

/// Record `number` as it is read, and as every reader must show it.
fn record(number: usize) -> (Value, Value) {
    let (day, second, micros) = (number % 3, number % 60, number % 1_000_000);
    let (sparse, dated) = (number.is_multiple_of(7), !number.is_multiple_of(10));
    let time = format!("{}T10:11:{second:02}.{micros:06}Z", DAYS[day]);
    let at = (FIRST_DAY + day as i64 * 86_400 + 36_660 + second as i64) * 1_000_000 + micros as i64;
    let unless_sparse = |value: Value| if sparse { Value::Null } else { value };
    let words = number % 5;
    let mut row = json!({
        "id": format!("r{number}"),
        "published": dated.then_some(time),
        "amount": unless_sparse(json!(i64::MAX - number as i64)),
        "user": { "platform": unless_sparse(json!("ios")), "id": format!("u{number}") },
        "tags": unless_sparse(json!((0..number % 4).map(|tag| format!("täg{tag}")).collect::<Vec<_>>())),
        "text": vec!["wörd"; words].join("\u{3000}"),
    });
    let read = row.clone();
    row["published"] = json!(dated.then_some(at));
    row["word_count"] = json!(words);
    row["event_date"] = json!(dated.then_some(DAYS[day]));
    (read, row)
}

fn python() -> PathBuf {
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/install");
    let told = Command::new(install).arg("--where").output().unwrap();
    let python = PathBuf::from(String::from_utf8(told.stdout).unwrap().trim());
    assert!(python.exists(), "the readers are not installed; run: tests/readers/install");
    python
}

#[test]
fn four_readers_find_what_was_written() {
    let python = python();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    let (mut lines, mut expected) = (String::new(), Map::new());
    for number in 0..1000 {
        let (read, row) = record(number);
        lines += &format!("{read}\n");
        expected.insert(format!("r{number}"), row);
    }
    std::fs::write(folder.path().join("in/a.ndjson"), lines).unwrap();
    std::fs::write(folder.path().join("pipeline.toml"), PIPELINE).unwrap();
    std::fs::write(folder.path().join("expected.json"), Value::Object(expected).to_string()).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .args(["run", "pipeline.toml", "--until-end"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let read = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read.py"))
        .args(["out", "expected.json"])
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", folder.path().join("hf"))
        .env("HF_DATASETS_CACHE", folder.path().join("hf/datasets"))
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let said = String::from_utf8(read.stdout).unwrap();
    let wanted: String =
        ["pyarrow", "duckdb", "polars", "datasets"].map(|reader| format!("{reader}: 1000 rows\n")).concat();
    assert_eq!(said, wanted);
}
