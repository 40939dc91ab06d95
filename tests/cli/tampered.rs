//! `verify` finds what was done to the output behind our back, names it, and ends with 1.

use std::fs;

use super::folder::Folder;

/// What verify says of a folder after `damage`.
fn problems(damage: impl FnOnce(&Folder)) -> String {
    let folder = Folder::after_a_run();
    folder.ok("verify pipeline.toml");
    damage(&folder);
    let said = folder.say("verify pipeline.toml --json");
    assert_eq!(said.code, 1, "{said:?}");
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let text = folder.say("verify pipeline.toml");
    assert_eq!(text.code, 1);
    assert!(text.stdout.starts_with("something is wrong: 2 commits"), "{}", text.stdout);
    report["problems"].to_string()
}

#[test]
fn a_file_that_was_removed() {
    let problems = problems(|folder| fs::remove_file(folder.data_file("2024-02-28")).unwrap());
    assert!(
        problems.contains("event_date=2024-02-28/e1-w0-0-g1-")
            && problems.contains(": named by commit 2, but not there"),
        "{problems}"
    );
}

#[test]
fn a_byte_that_was_changed() {
    let problems = problems(|folder| {
        let path = folder.data_file("2024-02-28");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    });
    assert!(problems.contains("event_date=2024-02-28/e1-w0-0-g1-"), "{problems}");
}

#[test]
fn a_file_that_no_commit_names() {
    let problems = problems(|folder| {
        fs::copy(folder.data_file("2024-02-28"), folder.path("out/event_date=2024-02-28/extra.parquet")).unwrap();
    });
    assert!(problems.contains("event_date=2024-02-28/extra.parquet"), "{problems}");
}

#[test]
fn a_reject_that_was_removed() {
    let problems = problems(|folder| {
        for entry in fs::read_dir(folder.path("out-rejects")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "parquet") {
                fs::remove_file(path).unwrap();
            }
        }
    });
    assert!(problems.contains("named by commit 2, but not there"), "{problems}");
}
