//! The JSON that scripts rely on: its keys, in their order, and what stands under them.

use serde_json::{Value, json};

use super::folder::Folder;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn epochs() {
    let epochs = Folder::after_a_run().json("epochs pipeline.toml");
    let epochs = epochs.as_array().unwrap();
    assert_eq!(epochs.len(), 2, "the claim and one epoch");
    for (number, epoch) in epochs.iter().enumerate() {
        let wanted =
            ["commit", "epoch", "generation", "at", "files", "rows", "rejects", "filtered", "held", "bytes", "note"];
        assert_eq!(keys(epoch), wanted);
        assert_eq!(epoch["commit"], number + 1);
        assert_eq!(epoch["generation"], 1);
        chrono::DateTime::parse_from_rfc3339(epoch["at"].as_str().unwrap()).unwrap();
    }
    assert_eq!((&epochs[1]["files"], &epochs[1]["rows"], &epochs[1]["rejects"]), (&json!(2), &json!(3), &json!(2)));
}

#[test]
fn files() {
    let folder = Folder::after_a_run();
    let files = folder.json("files pipeline.toml");
    for file in files.as_array().unwrap() {
        assert_eq!(keys(file), ["path", "rows", "bytes", "commit", "sink"]);
        let size = std::fs::metadata(folder.path(file["path"].as_str().unwrap())).unwrap().len();
        assert_eq!((&file["bytes"], &file["commit"]), (&json!(size), &json!(2)));
    }
    let paths: Vec<&str> = files.as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), 2);
    assert!(paths[0].starts_with("out/event_date=2024-02-28/"), "{paths:?}");
    assert!(paths[1].starts_with("out/event_date=__HIVE_DEFAULT_PARTITION__/"), "{paths:?}");
}

#[test]
fn averages() {
    let averages = Folder::after_a_run().json("averages pipeline.toml");
    let wanted = json!([
        {"average": "word_count", "by": "day", "from": "2024-02-28T00:00:00Z", "group": {}, "sum": "5", "count": 2, "mean": 2.5},
        {"average": "word_count", "by": "overall", "from": null, "group": {}, "sum": "7", "count": 3, "mean": 7.0 / 3.0},
    ]);
    assert_eq!(averages, wanted);
    assert_eq!(keys(&averages[0]), keys(&wanted[0]));
}

#[test]
fn verify_and_sample() {
    let folder = Folder::after_a_run();
    let report = folder.json("verify pipeline.toml");
    assert_eq!(report, json!({"ok": true, "commits": 2, "files": 2, "rows": 3, "rejects": 2, "problems": []}));
    assert_eq!(keys(&report), ["ok", "commits", "files", "rows", "rejects", "problems"]);
    let rows = folder.json("sample pipeline.toml --rows 2");
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!((&rows[0]["article_id"], &rows[0]["word_count"]), (&json!("a1"), &json!(2)));
}

#[test]
fn before_the_first_run_there_is_nothing() {
    let folder = Folder::new();
    for command in ["epochs", "files", "averages"] {
        assert_eq!(folder.json(&format!("{command} pipeline.toml")), json!([]), "{command}");
    }
    assert_eq!(folder.json("verify pipeline.toml")["ok"], true);
    assert!(!folder.path("out").exists(), "looking made something");
}
