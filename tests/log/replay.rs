//! A committed file whose upload was lost is written again as it was, or not at all; one that was published is never
//! written again.

use std::fs;

use crate::folder::Folder;
use crate::lake::{column, parquet};

const DAY: &str = "2024-02-28";

fn lost() -> (Folder, String, Vec<crate::lake::Row>) {
    let folder = Folder::after_a_run();
    let rows = folder.rows();
    let name = folder.lose(DAY);
    (folder, name, rows)
}

fn is_refused(folder: &Folder, name: &str, says: &str) {
    for _ in 0..2 {
        let said = folder.fails("run pipeline.toml --until-end", 1);
        assert!(said.contains(name) && said.contains(says) && said.contains("millstream repair"), "{said}");
    }
}

#[test]
fn a_lost_file_is_written_again() {
    let (folder, name, rows) = lost();
    let said = folder.run();
    assert!(said.contains("writing it again"), "{said}");
    assert_eq!(folder.rows(), rows);
    assert!(!parquet(&folder.path("out")).iter().any(|path| path.ends_with(&name)));
    folder.verified();
    folder.run();
    assert_eq!(folder.rows(), rows);
}

/// An edited source of equal rows once gave a committed file with other values, and exit 0.
#[test]
fn an_edited_source_is_not_taken_for_the_old_one() {
    let (folder, name, _) = lost();
    folder.change("in/a.ndjson", "two words", "twp wards");
    is_refused(&folder, &name, "reading the records of a.ndjson again gave other ones");
    folder.change("in/a.ndjson", "twp wards", "two words");
    folder.run();
    folder.verified();
}

/// A changed expression or selection once changed the file that was written again.
#[test]
fn a_lost_file_is_written_with_the_definition_of_its_time() {
    let (folder, _, rows) = lost();
    folder.change(
        "pipeline.toml",
        "word_count = \"word_count(content)\"",
        "word_count = \"word_count(content) * 100\"",
    );
    folder.change(
        "pipeline.toml",
        "partition = [\"event_date\"]",
        "partition = [\"event_date\"]\nselect = [\"article_id\", \"word_count\"]",
    );
    folder.change(
        "pipeline.toml",
        "content_not_empty = \"length(content) > 0\"",
        "content_not_empty = \"length(content) > 10\"",
    );
    folder.change("pipeline.toml", "name = \"words are counted\"", "name = \"words\"");
    folder.run();
    assert_eq!(folder.rows(), rows);
    folder.verified();
}

/// Every start once exited with 1, and there was no way out.
#[test]
fn a_loss_can_be_accepted() {
    let (folder, name, _) = lost();
    fs::remove_file(folder.path("in/a.ndjson")).unwrap();
    let said = folder.fails("run pipeline.toml --until-end", 1);
    assert!(said.contains(&name) && said.contains("millstream repair"), "{said}");
    let shown = folder.say("repair pipeline.toml --json");
    assert_eq!(shown.code, 1);
    let report: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(report["problems"][0]["blocks"], true, "{report}");
    assert_eq!(report["problems"][0]["choices"][1]["do"], "accept-loss", "{report}");
    folder.fails("repair pipeline.toml --do roll-back", 2);
    folder.ok("repair pipeline.toml --do accept-loss");
    folder.add_input("b.ndjson", &[("b1", "2024-03-01", "one two three")]);
    folder.run();
    assert_eq!(column(&folder.rows(), "article_id"), ["a3", "b1"]);
    let report = folder.json("verify pipeline.toml");
    assert_eq!(report["ok"], true, "{report}");
    assert!(report["accepted"].to_string().contains(&name), "{report}");
    assert!(folder.json("epochs pipeline.toml").to_string().contains("accepted the loss of 1 files with 2 rows"));
    assert!(!folder.json("files pipeline.toml").to_string().contains(&name));
    folder.ok("repair pipeline.toml");
}

/// A user who moved files away after each run once got 700 rows for 400 records.
#[test]
fn published_files_that_are_moved_away_are_never_written_again() {
    let folder = Folder::after_a_run();
    fs::create_dir(folder.path("taken")).unwrap();
    let mut taken = Vec::new();
    for round in 0..3 {
        for path in parquet(&folder.path("out")) {
            let to = folder.path(&format!("taken/{}", path.replace('/', "-")));
            fs::rename(folder.path("out").join(&path), &to).unwrap();
            taken.push(to);
        }
        folder.add_input(&format!("m{round}.ndjson"), &[(&format!("m{round}"), "2024-03-01", "one two")]);
        let said = folder.run();
        assert!(!said.contains("writing it again"), "{said}");
    }
    let rows = crate::lake::rows(&folder.path("taken")).len() + folder.rows().len();
    assert_eq!(rows, 6, "each record once");
    let report = folder.say("verify pipeline.toml");
    assert_eq!(report.code, 1, "verify reports what was moved away");
    assert_eq!(folder.say("repair pipeline.toml").code, 1);
    folder.ok("repair pipeline.toml --do accept-loss");
    folder.verified();
}

/// `verify` once said ok while rows were there twice.
#[test]
fn a_lost_file_that_is_put_back_beside_its_stand_in_is_named() {
    let folder = Folder::after_a_run();
    let file = folder.data_file(DAY);
    let bytes = fs::read(&file).unwrap();
    folder.lose(DAY);
    folder.run();
    fs::write(&file, bytes).unwrap();
    let report = folder.say("verify pipeline.toml");
    assert_eq!(report.code, 1);
    assert!(report.stdout.contains("stands in for it"), "{}", report.stdout);
    folder.ok("repair pipeline.toml --do set-aside");
    folder.verified();
    assert_eq!(folder.rows().len(), 3);
}

/// The encoder's limit of open files once closed the lost file early: "gave 1075 rows where it had 1075", for ever.
#[test]
fn a_file_of_one_of_many_partitions_is_written_again() {
    let folder = Folder::new();
    let text = "word ".repeat(2_000);
    let line = |row: usize| {
        format!(
            "{{\"article_id\":\"p{row:05}\",\"publish_date\":\"2024-01-{:02}T00:00:00Z\",\"content\":\"{row} {text}\"}}\n",
            1 + row % 30
        )
    };
    // One epoch: what an earlier one published is never written again.
    folder.change("pipeline.toml", "interval = \"100ms\"", "interval = \"1m\"");
    folder.write("in/many.ndjson", &(0..6_000).map(line).collect::<String>());
    folder.run();
    let before = folder.rows();
    folder.lose("2024-01-17");
    folder.run();
    assert!(folder.rows() == before);
    folder.verified();
}

#[test]
fn a_lost_rejects_file_is_written_again() {
    let folder = Folder::after_a_run();
    let rejects = folder.path("out-rejects");
    // The time of arrival is of the clock.
    let rows = || {
        let mut rows = crate::lake::rows(&rejects);
        rows.iter_mut().for_each(|row| drop(row.remove("_arrived_at")));
        rows
    };
    let before = rows();
    let name = parquet(&rejects).remove(0);
    fs::remove_file(rejects.join(&name)).unwrap();
    fs::remove_dir_all(folder.log().join("ends")).unwrap();
    folder.run();
    assert_eq!(rows(), before);
    folder.verified();
}
