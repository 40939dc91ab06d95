//! `[dedup]` with the real binary: the first record of a key is kept, later ones are dropped and counted, and keys survive restarts
//! and lost files.
//!
//! The oracle is the list of ids that the test wrote. Would catch a duplicate that is kept, a record that is missing, a key that a
//! restart forgets, a lost file that is rewritten with other records, and a start that continues without its keys.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "files are made as old as so many days")]

#[path = "cli/folder.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod folder;
#[path = "log/lake.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod lake;

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::folder::Folder;
use crate::lake::column;

const DEDUP: &str = "[dedup]\nby = \"content\"\nwithin = \"7 days\"\n\n[[average]]";

fn deduped() -> Folder {
    let folder = Folder::new();
    folder.change("pipeline.toml", "[[average]]", DEDUP);
    folder
}

fn ids(folder: &Folder) -> Vec<String> {
    let mut ids = column(&folder.rows(), "article_id");
    ids.sort();
    ids
}

fn filtered(folder: &Folder) -> i64 {
    let epochs = folder.json("epochs pipeline.toml");
    epochs.as_array().unwrap().iter().map(|epoch| epoch["filtered"].as_i64().unwrap()).sum()
}

/// Records of one day, as old as so many days.
fn arrive(folder: &Folder, file: &str, days_ago: u64, records: &[(&str, &str)]) {
    let records: Vec<_> = records.iter().map(|(id, content)| (*id, "2024-03-01", *content)).collect();
    folder.add_input(file, &records);
    let then = SystemTime::now() - Duration::from_secs(days_ago * 86_400);
    File::options().write(true).open(folder.path(&format!("in/{file}"))).unwrap().set_modified(then).unwrap();
}

#[test]
fn later_records_of_a_key_are_left_out_and_counted() {
    let folder = deduped();
    arrive(&folder, "b.ndjson", 0, &[("b1", "two words"), ("b2", "new"), ("b3", "new"), ("b4", "newer")]);
    folder.run();
    assert_eq!(ids(&folder), ["a1", "a2", "a3", "b2", "b4"], "files come in the order of their names");
    assert_eq!(filtered(&folder), 2);
    folder.verified();
    arrive(&folder, "c.ndjson", 0, &[("c1", "newer"), ("c2", "no day"), ("c3", "newest")]);
    folder.run();
    assert_eq!((ids(&folder).last().map(String::as_str), filtered(&folder)), (Some("c3"), 4));
    folder.verified();
    let averages = folder.json("averages pipeline.toml");
    let overall = averages.as_array().unwrap().iter().find(|average| average["by"] == "overall").unwrap();
    assert_eq!(overall["count"], json!(6), "averages are of what was laid down");
    assert!(folder.ok("plan pipeline.toml").contains("dedup          the first by content within 7 days"));
}

#[test]
fn a_key_is_known_for_so_many_days_and_no_longer() {
    let folder = deduped();
    arrive(&folder, "a.ndjson", 31, &[("a1", "oldest")]);
    arrive(&folder, "b.ndjson", 30, &[("b1", "old"), ("b2", "old")]);
    folder.run();
    arrive(&folder, "c.ndjson", 24, &[("c1", "old")]);
    folder.run();
    arrive(&folder, "d.ndjson", 20, &[("d1", "old")]);
    folder.run();
    arrive(&folder, "e.ndjson", 31, &[("e1", "oldest"), ("e2", "oldest")]);
    folder.run();
    assert_eq!(
        ids(&folder),
        ["a1", "b1", "d1", "e1"],
        "a key that is older than what is known of is known for its epoch"
    );
    folder.verified();
}

/// Without what was left out then, the file would have more rows than it had, or other ones.
#[test]
fn a_lost_file_is_written_again_with_the_same_records() {
    let folder = deduped();
    arrive(&folder, "b.ndjson", 0, &[("b1", "two words"), ("b2", "new"), ("b3", "new"), ("b4", "newer")]);
    folder.run();
    let rows = folder.rows();
    folder.lose("2024-03-01");
    arrive(&folder, "c.ndjson", 0, &[("c1", "newer")]);
    let said = folder.run();
    assert!(said.contains("writing it again"), "{said}");
    assert_eq!(folder.rows(), rows);
    folder.verified();
}

#[test]
fn other_columns_begin_anew_and_other_days_go_on() {
    let folder = deduped();
    folder.run();
    folder.change("pipeline.toml", "within = \"7 days\"", "within = \"3 days\"");
    arrive(&folder, "b.ndjson", 0, &[("b1", "two words")]);
    let said = folder.run();
    assert!(said.contains("[dedup] within is now 3 days"), "{said}");
    assert_eq!(filtered(&folder), 1);
    folder.change("pipeline.toml", "by = \"content\"", "by = [\"content\", \"event_date\"]");
    arrive(&folder, "c.ndjson", 0, &[("c1", "two words"), ("c2", "two words")]);
    folder.run();
    assert_eq!(filtered(&folder), 2, "c1 is the first of its new key");
    folder.change(
        "pipeline.toml",
        &DEDUP.replace("7 days", "3 days").replace("\"content\"", "[\"content\", \"event_date\"]"),
        "[[average]]",
    );
    arrive(&folder, "d.ndjson", 0, &[("d1", "two words")]);
    folder.run();
    assert_eq!(filtered(&folder), 2, "nothing is left out any more");
    folder.verified();
}

/// Many keys lie in objects of their own, which a snapshot takes over.
#[test]
fn many_keys_lie_beside_the_log_and_are_missed_when_they_are_gone() {
    let folder = deduped();
    let many = |prefix: &str, from: usize| -> Vec<(String, String)> {
        (from..from + 6_000).map(|n| (format!("{prefix}{n}"), format!("text {n}"))).collect()
    };
    let arrive_many = |file: &str, records: &[(String, String)]| {
        let records: Vec<(&str, &str)> = records.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
        arrive(&folder, file, 0, &records);
    };
    arrive_many("b.ndjson", &many("b", 0));
    folder.run();
    let states = || -> Vec<String> {
        let Ok(listed) = fs::read_dir(folder.log().join("state")) else { return Vec::new() };
        listed.map(|entry| entry.unwrap().path().display().to_string()).collect()
    };
    assert!(states().iter().any(|path| path.contains("-dedup-0.arrow.zst")), "{:?}", states());
    arrive_many("c.ndjson", &many("c", 3_000));
    folder.run();
    assert_eq!(filtered(&folder), 3_000);
    folder.verified();
    // What only the log knows is missed, and a start says which object and what else can be done.
    let snapshots = folder.log().join("snapshots");
    let aside = folder.path("aside");
    fs::rename(folder.log().join("state"), &aside).unwrap();
    if snapshots.exists() {
        fs::remove_dir_all(&snapshots).unwrap();
    }
    let said = folder.fails("run pipeline.toml --until-end", 1);
    assert!(
        said.contains("-dedup-0.arrow.zst is missing")
            && said.contains("remove [dedup] from the pipeline file, start once"),
        "{said}"
    );
    folder.change("pipeline.toml", DEDUP, "[[average]]");
    folder.run();
    folder.change("pipeline.toml", "[[average]]", DEDUP);
    arrive_many("d.ndjson", &many("d", 0)[..10]);
    folder.run();
    assert_eq!(filtered(&folder), 3_000, "it begins anew");
    folder.verified();
}

#[test]
fn test_and_sample_leave_out_what_comes_again() {
    let folder = deduped();
    let case = "[[test]]\nname = \"once\"\ninput = [{ article_id = \"x\", content = \"same\" }, { article_id = \"y\", content = \"same\" }]\nexpect = [{ article_id = \"x\" }]\n";
    let file = fs::read_to_string(folder.path("pipeline.toml")).unwrap();
    folder.write("pipeline.toml", &format!("{file}\n{case}"));
    folder.ok("test pipeline.toml");
    arrive(&folder, "b.ndjson", 0, &[("b1", "two words"), ("b2", "new")]);
    let sample: Value = folder.json("sample pipeline.toml");
    let text = sample.to_string();
    assert!(text.contains("b2") && !text.contains("\"b1\""), "{text}");
}

#[test]
fn what_makes_no_sense_is_refused_where_it_stands() {
    for (wrong, says) in [
        ("by = \"contents\"\nwithin = \"7 days\"", "did you mean \"content\"?"),
        ("by = []\nwithin = \"7 days\"", "is empty; name at least one column"),
        ("by = \"content\"\nwithin = \"36h\"", "is not a number of whole days"),
        ("by = \"content\"", "within: is missing"),
        ("within = \"7 days\"", "by: is missing"),
    ] {
        let folder = Folder::new();
        folder.change("pipeline.toml", "[[average]]", &format!("[dedup]\n{wrong}\n[[average]]"));
        let said = folder.fails("check pipeline.toml", 2);
        assert!(said.contains("[dedup]") && said.contains(says), "{wrong}: {said}");
    }
}
