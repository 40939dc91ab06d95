//! The definition changes between two starts; what was laid down before stays as it was, and is read as it was.

use serde_json::Value;

use crate::folder::Folder;
use crate::lake::column;

fn averages(folder: &Folder) -> Vec<(String, String, i64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told = folder.json("averages pipeline.toml");
    let of = |average: &Value| (text(&average["average"]), text(&average["sum"]), average["count"].as_i64().unwrap());
    told.as_array().unwrap().iter().filter(|average| average["by"] == "overall").map(of).collect()
}

fn more(folder: &Folder, name: &str) {
    folder.add_input(&format!("{name}.ndjson"), &[(name, "2024-03-01", "one two three")]);
}

/// The note of the commit that told a change.
fn notes(folder: &Folder) -> String {
    let epochs = folder.json("epochs pipeline.toml");
    let notes = epochs.as_array().unwrap().iter().filter_map(|epoch| epoch["note"].as_str().map(str::to_owned));
    notes.collect::<Vec<_>>().join(" | ")
}

/// `verify` once failed for ever after this, and every start after the next average exited with 1.
#[test]
fn a_column_is_added_and_then_an_average_of_it() {
    let folder = Folder::after_a_run();
    folder.change("pipeline.toml", "[enrich]", "[enrich]\nlength = \"length(content)\"");
    more(&folder, "b1");
    let said = folder.run();
    assert!(said.contains("the definition changed"), "{said}");
    folder.verified();
    assert!(notes(&folder).contains("length"), "{}", notes(&folder));
    folder.change("pipeline.toml", "[sink]", "[[average]]\nof = \"length\"\n\n[sink]");
    more(&folder, "b2");
    folder.run();
    folder.verified();
    let length = averages(&folder).into_iter().find(|(name, ..)| name == "length").unwrap();
    assert_eq!(length, ("length".into(), "26".into(), 2), "the rows that have the column");
    let words = averages(&folder).into_iter().find(|(name, ..)| name == "word_count").unwrap();
    assert_eq!(words, ("word_count".into(), "13".into(), 5));
    folder.run();
    folder.verified();
}

#[test]
fn a_schema_column_is_added() {
    let folder = Folder::after_a_run();
    folder.change("pipeline.toml", "content = \"string!\"", "content = \"string!\"\nauthor = \"string\"");
    folder.write("in/c.ndjson", "{\"article_id\":\"c1\",\"author\":\"x\",\"content\":\"one\"}\n");
    folder.run();
    folder.verified();
    assert_eq!(column(&folder.rows(), "author").iter().filter(|author| *author == "x").count(), 1);
}

#[test]
fn a_partition_is_removed_and_added_again() {
    let folder = Folder::after_a_run();
    folder.change("pipeline.toml", "partition = [\"event_date\"]", "partition = []");
    more(&folder, "b1");
    folder.run();
    folder.verified();
    // Old rows were once counted under group null: the column was looked for in their path.
    folder.change("pipeline.toml", "partition = []", "partition = [\"event_date\"]");
    folder.change(
        "pipeline.toml",
        "[sink]",
        "[[average]]\nname = \"daily\"\nof = \"word_count\"\ngroup = [\"event_date\"]\n\n[sink]",
    );
    more(&folder, "b2");
    folder.run();
    folder.verified();
    let told = folder.json("averages pipeline.toml");
    let daily: Vec<(Value, Value)> = told
        .as_array()
        .unwrap()
        .iter()
        .filter(|average| average["average"] == "daily")
        .map(|average| (average["group"]["event_date"].clone(), average["count"].clone()))
        .collect();
    let of = |day: Value, count: i64| (day, Value::from(count));
    assert_eq!(daily, [of(Value::Null, 1), of("2024-02-28".into(), 2), of("2024-03-01".into(), 2)]);
}

/// The log once said 598/200 where the files said 897/300.
#[test]
fn an_average_is_removed_and_added_again() {
    let folder = Folder::after_a_run();
    let average = "[[average]]\nof = \"word_count\"\nby = [\"overall\", \"day\"]\ntime = \"publish_date\"\n";
    folder.change("pipeline.toml", average, "");
    more(&folder, "b1");
    folder.run();
    folder.verified();
    assert_eq!(averages(&folder), []);
    let all = folder.json("averages pipeline.toml --all").to_string();
    assert!(all.contains("word_count"), "{all}");
    folder.change("pipeline.toml", "[sink]", &format!("{average}\n[sink]"));
    more(&folder, "b2");
    folder.run();
    folder.verified();
    assert_eq!(averages(&folder), [("word_count".into(), "13".into(), 5)]);
}

#[test]
fn an_expression_changes_and_old_rows_stay() {
    let folder = Folder::after_a_run();
    folder.change(
        "pipeline.toml",
        "word_count = \"word_count(content)\"",
        "word_count = \"word_count(content) * 100\"",
    );
    more(&folder, "b1");
    folder.run();
    folder.verified();
    let mut counts = column(&folder.rows(), "word_count");
    counts.sort();
    assert_eq!(counts, ["2", "2", "3", "300"]);
    assert!(notes(&folder).contains("word_count"), "{}", notes(&folder));
}

#[test]
fn another_source_has_to_be_accepted() {
    let folder = Folder::after_a_run();
    std::fs::create_dir(folder.path("elsewhere")).unwrap();
    folder.write("elsewhere/x.ndjson", "{\"article_id\":\"x1\",\"content\":\"one\"}\n");
    folder.change("pipeline.toml", "path = \"in\"", "path = \"elsewhere\"");
    let said = folder.fails("run pipeline.toml --until-end", 2);
    assert!(said.contains("--accept source"), "{said}");
    assert_eq!(folder.rows().len(), 3);
    folder.say_ok("run pipeline.toml --until-end --accept source");
    assert_eq!(folder.rows().len(), 4);
    assert!(notes(&folder).contains("accepted"), "{}", notes(&folder));
    folder.run();
    folder.verified();
}

#[test]
fn what_does_not_change_is_not_told() {
    let folder = Folder::after_a_run();
    folder.change("pipeline.toml", "interval = \"100ms\"", "interval = \"200ms\"");
    assert!(!folder.run().contains("the definition changed"));
    assert_eq!(notes(&folder), "");
}
