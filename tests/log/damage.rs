//! A log that lost objects: never taken for a new one or a shorter one, and never without a way out.

use std::fs;

use crate::folder::{Folder, Said};
use crate::lake::parquet;

/// A folder with several commits, in two runs.
fn with_commits() -> Folder {
    let folder = Folder::after_a_run();
    folder.add_input("b.ndjson", &[("b1", "2024-03-01", "one two three"), ("b2", "2024-03-02", "four")]);
    folder.run();
    folder
}

/// Nothing was read again, and nothing was written.
fn is_stopped(folder: &Folder, says: &str) {
    let before = (parquet(&folder.path("out")), folder.rows());
    let said: Said = folder.say("run pipeline.toml --until-end");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains(says), "{}", said.stderr);
    assert_eq!((parquet(&folder.path("out")), folder.rows()), before);
}

fn repaired(folder: &Folder, choice: &str) {
    let shown = folder.say("repair pipeline.toml");
    assert_eq!(shown.code, 1, "{shown:?}");
    assert!(shown.stdout.contains(&format!("--do {choice}")), "{}", shown.stdout);
    folder.ok(&format!("repair pipeline.toml --do {choice}"));
}

fn goes_on(folder: &Folder) {
    folder.run();
    let ids: Vec<String> = crate::lake::column(&folder.rows(), "article_id");
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!(sorted, ["a1", "a2", "a3", "b1", "b2"]);
    assert_eq!(folder.say("repair pipeline.toml").code, 0);
}

/// The records of the missing commit were once read again, beside the files that it had named: 100 duplicates, exit 0.
#[test]
fn the_last_commit_is_gone() {
    let folder = with_commits();
    fs::remove_file(folder.commit(4)).unwrap();
    is_stopped(&folder, "the hint names commit 4, which is not there");
    repaired(&folder, "roll-back");
    goes_on(&folder);
    folder.verified();
    let epochs = folder.json("epochs pipeline.toml").to_string();
    assert!(epochs.contains("rolled back to commit 3"), "{epochs}");
}

#[test]
fn the_last_commit_is_cut() {
    let folder = with_commits();
    let bytes = fs::read(folder.commit(4)).unwrap();
    fs::write(folder.commit(4), &bytes[..bytes.len() / 2]).unwrap();
    is_stopped(&folder, "commit 4 cannot be read");
    repaired(&folder, "roll-back");
    goes_on(&folder);
    folder.verified();
}

#[test]
fn a_commit_in_the_middle_is_gone_and_put_back() {
    let folder = with_commits();
    fs::remove_dir_all(folder.log().join("snapshots")).unwrap();
    let bytes = fs::read(folder.commit(2)).unwrap();
    fs::remove_file(folder.commit(2)).unwrap();
    is_stopped(&folder, "commit 2 is not there");
    assert_eq!(folder.say("repair pipeline.toml").code, 1);
    fs::write(folder.commit(2), bytes).unwrap();
    goes_on(&folder);
    folder.verified();
}

/// A start once made a new generation 1 over a full sink: 500 duplicates.
#[test]
fn the_commits_and_the_hint_are_gone() {
    let folder = with_commits();
    for number in 1..=4 {
        fs::remove_file(folder.commit(number)).unwrap();
    }
    fs::remove_file(folder.log().join("hint.json")).unwrap();
    is_stopped(&folder, "commit 1 is not there");
    assert_eq!(folder.say("repair pipeline.toml").code, 1);
}

#[test]
fn the_whole_log_is_gone() {
    let folder = with_commits();
    fs::remove_dir_all(folder.log()).unwrap();
    is_stopped(&folder, "has no commit log, and yet holds files of one");
    assert_eq!(folder.say("repair pipeline.toml").code, 1);
    folder.say_ok("run pipeline.toml --until-end --accept sink");
    assert_eq!(folder.rows().len(), 10, "a new log beside the old files, as was asked for");
}

/// A start once said "made by generation 1, and this process is of generation 1", for ever.
#[test]
fn the_first_commit_and_the_hint_are_gone() {
    let folder = with_commits();
    folder.run();
    fs::remove_file(folder.commit(1)).unwrap();
    fs::remove_file(folder.log().join("hint.json")).unwrap();
    is_stopped(&folder, "commit 1 is not there");
    repaired(&folder, "accept-missing");
    goes_on(&folder);
    let report = folder.json("verify pipeline.toml");
    assert_eq!((&report["ok"], &report["rows"]), (&true.into(), &5.into()), "{report}");
    assert!(report["accepted"].to_string().contains("commits up to 1 are lost"), "{report}");
}

#[test]
fn a_snapshot_that_differs_is_named_by_verify_and_one_that_is_gone_holds_nobody_up() {
    let folder = with_commits();
    folder.verified();
    let snapshots = folder.log().join("snapshots");
    let newest = fs::read_dir(&snapshots).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let text = zstd::decode_all(&*fs::read(&newest).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let changed = text.replace("\"count\":5", "\"count\":6");
    assert_ne!(changed, text);
    fs::write(&newest, zstd::encode_all(changed.as_bytes(), 1).unwrap()).unwrap();
    let report = folder.say("verify pipeline.toml");
    assert_eq!(report.code, 1);
    assert!(report.stdout.contains("differs from what the commits add up to"), "{}", report.stdout);
    fs::remove_dir_all(snapshots).unwrap();
    goes_on(&folder);
}

#[test]
fn a_newer_format_is_refused_with_the_version_that_reads_it() {
    let folder = with_commits();
    let text = fs::read_to_string(folder.commit(4)).unwrap();
    let newer = text.replacen("\"format\":3", "\"format\":7", 1).replacen(env!("CARGO_PKG_VERSION"), "9.4.0", 1);
    fs::write(folder.commit(4), newer).unwrap();
    is_stopped(&folder, "use millstream 9.4.0 or newer");
}
