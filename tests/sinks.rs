//! Several sinks of one pipeline, with the real binary: every record is in exactly one place per sink, whatever changes.
//!
//! Each case is held against the input itself, read again by the Parquet reader. The mistakes to catch: a row that a sink
//! takes twice or not at all, a count that is none, files of a sink that is gone and that nobody finds, a lost file that is
//! written again with the rows of another sink.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "it kills processes after a while, and waits for them")]

#[path = "cli/folder.rs"]
mod folder;
#[path = "log/lake.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod lake;

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::folder::Folder;
use crate::lake::{Row, column, parquet, rows};

const SINKS: &str = r#"[[sink]]
name = "all"
path = "out"
partition = ["event_date"]

[[sink]]
name = "long"
path = "long"
where = "word_count >= 3"
select = ["article_id", "word_count"]

[[sink]]
name = "dated"
path = "dated"
where = "event_date is not null"
partition = ["event_date"]
keep_partition_columns = true
"#;

/// A pipeline with three sinks.
fn three() -> Folder {
    let folder = Folder::new();
    folder.change("pipeline.toml", "[sink]\npath = \"out\"\npartition = [\"event_date\"]\n", SINKS);
    folder
}

fn ids(folder: &Folder, sink: &str) -> Vec<String> {
    let mut ids = column(&rows(&folder.path(sink)), "article_id");
    ids.sort();
    ids
}

fn last_epoch(folder: &Folder) -> Value {
    folder.json("epochs pipeline.toml").as_array().unwrap().iter().rfind(|epoch| epoch["rows"] != 0).unwrap().clone()
}

#[test]
fn each_sink_holds_the_rows_that_it_takes() {
    let folder = three();
    folder.run();
    assert_eq!(ids(&folder, "out"), ["a1", "a2", "a3"]);
    assert_eq!(ids(&folder, "long"), ["a2"]);
    assert_eq!(ids(&folder, "dated"), ["a1", "a2"]);
    let long: Vec<Row> = rows(&folder.path("long"));
    assert_eq!(long[0].keys().collect::<Vec<_>>(), ["article_id", "word_count"]);
    folder.verified();
    let epoch = last_epoch(&folder);
    assert_eq!(
        (&epoch["rows"], &epoch["rejects"], &epoch["filtered"], &epoch["held"]),
        (&json!(6), &json!(2), &json!(0), &json!(0))
    );
    assert_eq!(epoch["sinks"], json!({"all": 3, "dated": 2, "long": 1}));
    let files = folder.json("files pipeline.toml");
    for file in files.as_array().unwrap() {
        let (sink, path) = (file["sink"].as_str().unwrap(), file["path"].as_str().unwrap());
        let root = if sink == "all" { "out" } else { sink };
        assert!(path.starts_with(&format!("{root}/")) && folder.path(path).exists(), "{file}");
    }
    let report = folder.json("verify pipeline.toml");
    assert_eq!((&report["rows"], &report["rejects"]), (&json!(6), &json!(2)));
    folder.run();
    folder.verified();
    assert_eq!(ids(&folder, "out").len(), 3, "a second run adds nothing");
}

/// A partition column that is kept is in the file too, not in the path alone.
#[test]
fn partition_columns_are_kept_where_asked_for() {
    let folder = three();
    folder.run();
    let names = |sink: &str| -> Vec<String> {
        let file = parquet(&folder.path(sink)).into_iter().next().unwrap();
        let file = fs::File::open(folder.path(sink).join(file)).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        reader.schema().fields().iter().map(|field| field.name().clone()).collect()
    };
    assert!(!names("out").contains(&"event_date".to_owned()));
    assert!(names("dated").contains(&"event_date".to_owned()));
}

/// Records that no sink takes are counted, and so are averages over them; nothing can count those again from the files.
#[test]
fn what_no_sink_takes_is_filtered() {
    let folder = three();
    folder.change(
        "pipeline.toml",
        "name = \"all\"\npath = \"out\"",
        "name = \"all\"\npath = \"out\"\nwhere = \"word_count = 2 and event_date is null\"",
    );
    folder.run();
    let epoch = last_epoch(&folder);
    assert_eq!((&epoch["rows"], &epoch["filtered"]), (&json!(4), &json!(0)), "{epoch}");
    folder.add_input("b.ndjson", &[]);
    folder.write("in/b.ndjson", "{\"article_id\":\"b1\",\"content\":\"one\"}\n");
    folder.run();
    let epochs = folder.json("epochs pipeline.toml");
    let filtered: i64 = epochs.as_array().unwrap().iter().map(|epoch| epoch["filtered"].as_i64().unwrap()).sum();
    assert_eq!(filtered, 1, "{epochs}");
    let averages = folder.json("averages pipeline.toml");
    let overall = averages.as_array().unwrap().iter().find(|average| average["by"] == "overall").unwrap();
    assert_eq!((&overall["sum"], &overall["count"]), (&json!("8"), &json!(4)));
    let report = folder.json("verify pipeline.toml");
    assert_eq!(report["ok"], true, "{report}");
    assert!(report["notes"][0].as_str().unwrap().contains("no sink takes every row"), "{report}");
}

/// One sink becomes two, one is dropped, and one comes back: every file stays part of the log.
#[test]
fn sinks_come_and_go() {
    let folder = Folder::after_a_run();
    folder.change("pipeline.toml", "[sink]\npath = \"out\"\npartition = [\"event_date\"]\n", SINKS);
    folder.add_input("b.ndjson", &[("b1", "2024-03-01", "one two three four")]);
    let said = folder.run();
    assert!(said.contains("[[sink]] adds long"), "{said}");
    folder.verified();
    assert_eq!(ids(&folder, "out"), ["a1", "a2", "a3", "b1"]);
    assert_eq!(ids(&folder, "long"), ["b1"], "what was laid down before stays as it is");
    let without = SINKS.split("[[sink]]\nname = \"dated\"").next().unwrap();
    folder.change("pipeline.toml", SINKS, without);
    folder.add_input("c.ndjson", &[("c1", "2024-03-02", "five")]);
    folder.run();
    folder.verified();
    assert_eq!(ids(&folder, "dated"), ["b1"]);
    let files = folder.json("files pipeline.toml");
    let dated = files.as_array().unwrap().iter().find(|file| file["sink"] == "dated").unwrap();
    assert!(dated["path"].as_str().unwrap().ends_with(".parquet"));
    assert_eq!(folder.json("repair pipeline.toml")["ok"], true);
    // A file of a sink that is gone is still missed.
    let gone = folder.path("dated").join(&parquet(&folder.path("dated"))[0]);
    let kept = fs::read(&gone).unwrap();
    fs::remove_file(&gone).unwrap();
    assert_eq!(folder.say("verify pipeline.toml").code, 1);
    fs::write(&gone, kept).unwrap();
    folder.verified();
    folder.change("pipeline.toml", without, SINKS);
    folder.add_input("d.ndjson", &[("d1", "2024-03-03", "six")]);
    folder.run();
    folder.verified();
    assert_eq!(ids(&folder, "dated"), ["b1", "d1"]);
}

/// A folder once opened under both names: then `verify` took its files for strangers.
#[test]
fn a_sink_may_get_another_name() {
    let folder = three();
    folder.run();
    folder.change("pipeline.toml", "name = \"long\"", "name = \"longer\"");
    folder.add_input("b.ndjson", &[("b1", "2024-03-01", "one two three four")]);
    folder.run();
    folder.verified();
    assert_eq!(ids(&folder, "long"), ["a2", "b1"]);
    assert_eq!(folder.json("repair pipeline.toml")["ok"], true);
}

/// What is lost of one sink says nothing of averages that are counted from another.
#[test]
fn a_loss_in_a_filtered_sink_excuses_no_average() {
    let folder = three();
    folder.run();
    let lost = folder.path("long").join(&parquet(&folder.path("long"))[0]);
    fs::remove_file(lost).unwrap();
    folder.ok("repair pipeline.toml --do accept-loss");
    folder.verified();
    // One record less in the file that averages are counted from, and nothing else wrong with it, cannot be made by hand; so the
    // log's total is made one more.
    let commit = folder.commit(2);
    let text = fs::read_to_string(&commit).unwrap();
    let forged = text.replacen("{\"sum\":\"7\",\"count\":3}", "{\"sum\":\"10\",\"count\":4}", 1);
    assert_ne!(text, forged, "{text}");
    fs::write(&commit, forged).unwrap();
    fs::remove_dir_all(folder.log().join("snapshots")).unwrap();
    let said = folder.say("verify pipeline.toml");
    assert!(said.code == 1 && said.stdout.contains("average word_count overall"), "{said:?}");
}

#[test]
fn a_sink_keeps_its_path() {
    let folder = three();
    folder.run();
    folder.change("pipeline.toml", "path = \"long\"", "path = \"longer\"");
    let said = folder.fails("run pipeline.toml --until-end", 2);
    assert!(said.contains("sink long") && said.contains("--accept sink"), "{said}");
    fs::rename(folder.path("long"), folder.path("longer")).unwrap();
    folder.say_ok("run pipeline.toml --until-end --accept sink");
    folder.verified();
    assert_eq!(ids(&folder, "longer"), ["a2"]);
}

#[test]
fn a_folder_with_a_log_of_its_own_is_no_second_sink() {
    let folder = Folder::after_a_run();
    let other = folder::PIPELINE.replace("name = \"articles\"", "name = \"other\"").replace(
        "[sink]\npath = \"out\"\npartition = [\"event_date\"]\n",
        "[[sink]]\nname = \"one\"\npath = \"one\"\n\n[[sink]]\nname = \"two\"\npath = \"out\"\nwhere = \"true\"\n",
    );
    folder.write("other.toml", &other);
    let said = folder.fails("run other.toml --until-end", 2);
    assert!(said.contains("holds a log of its own, of the pipeline \"articles\""), "{said}");
    assert!(!folder.path("one/.millstream/commits").exists());
}

#[test]
fn the_log_may_lie_beside_the_sinks() {
    let folder = three();
    folder.change("pipeline.toml", "[epoch]", "[log]\npath = \"log\"\n\n[epoch]");
    folder.run();
    folder.verified();
    assert!(folder.path("log/.millstream/commits/1.json").exists());
    assert!(!folder.path("out/.millstream/commits").exists());
    folder.add_input("b.ndjson", &[("b1", "2024-03-01", "one two three four")]);
    folder.run();
    folder.verified();
    assert_eq!(ids(&folder, "out"), ["a1", "a2", "a3", "b1"]);
}

/// The lost file of one sink is written again with the rows of that sink.
#[test]
fn a_lost_file_comes_back_in_its_own_sink() {
    let folder = three();
    folder.run();
    let lost = folder.path("long").join(&parquet(&folder.path("long"))[0]);
    fs::remove_file(&lost).unwrap();
    fs::remove_dir_all(folder.log().join("ends")).unwrap();
    folder.run();
    folder.verified();
    assert_eq!(ids(&folder, "long"), ["a2"]);
    assert_eq!(ids(&folder, "out"), ["a1", "a2", "a3"]);
    assert!(!lost.exists(), "another file stands in for it");
}

#[test]
fn looking_commands_know_sinks() {
    let folder = three();
    let plan = folder.ok("plan pipeline.toml");
    assert!(plan.contains("stage long") && plan.contains("the sink long takes rows with word_count >= 3"), "{plan}");
    let check = folder.ok("check pipeline.toml");
    assert!(check.contains("the sink dated takes rows with event_date is not null"), "{check}");
    let sample: Value = serde_json::from_str(&folder.ok("sample pipeline.toml --sink long --json")).unwrap();
    assert_eq!(sample, json!([{"article_id": "a2", "word_count": 3}]));
    let said = folder.fails("sample pipeline.toml --sink lang", 2);
    assert!(said.contains("no sink \"lang\"") && said.contains("all, long, dated"), "{said}");
    let case = "\n[[test]]\nname = \"long ones\"\ninput = [{ article_id = \"x\", content = \"a b c\" }]\n\
                expect = { all = [{ article_id = \"x\" }], long = [{ word_count = 3 }], dated = [] }\n";
    folder.write("pipeline.toml", &(fs::read_to_string(folder.path("pipeline.toml")).unwrap() + case));
    folder.ok("test pipeline.toml");
    folder.change("pipeline.toml", "dated = []", "dated = [{ article_id = \"x\" }]");
    let said = folder.say("test pipeline.toml");
    assert!(said.code == 1 && said.stdout.contains("dated: expected 1 rows, found 0"), "{said:?}");
}

#[test]
fn mistakes_in_sinks_are_named() {
    for (from, to, problem) in [
        ("name = \"long\"\n", "", "there are several sinks"),
        ("name = \"long\"", "name = \"all\"", "there is a sink called \"all\" already"),
        ("name = \"long\"", "name = \"rejects\"", "is kept for the rejects"),
        ("path = \"long\"", "path = \"out/long\"", "one lies in the other"),
        ("where = \"word_count >= 3\"", "where = \"word_cuont >= 3\"", "word_cuont"),
        ("where = \"word_count >= 3\"", "where = \"word_count\"", "where"),
        ("where = \"word_count >= 3\"", "where = \"\"", "is empty"),
        ("where = \"word_count >= 3\"", "were = \"word_count >= 3\"", "did you mean \"where\"?"),
        ("path = \"long\"", "path = \"out-rejects\"", "rejects"),
    ] {
        let folder = three();
        folder.change("pipeline.toml", from, to);
        let said = folder.fails("check pipeline.toml", 2);
        assert!(said.contains(problem) && said.contains("pipeline.toml:"), "{to}: {said}");
    }
}

/// A row of which a sink cannot tell whether to take it is a reject, and in no sink.
#[test]
fn a_condition_that_cannot_be_told_is_a_reject() {
    let folder = three();
    folder.change("pipeline.toml", "where = \"word_count >= 3\"", "where = \"6 / (word_count - 2) > 0\"");
    folder.run();
    folder.verified();
    assert_eq!(ids(&folder, "out"), ["a2"]);
    let rejects = rows(&folder.path("out-rejects"));
    let of_type = rejects.iter().filter(|row| row["reason"] == "type").collect::<Vec<_>>();
    assert!(of_type.len() == 2 && of_type[0]["message"].contains("sink long"), "{rejects:?}");
}

/// Starts with one and two processes, and with other numbers of workers, each killed somewhere on its way. When a supervisor
/// is killed its processes go on for a while, so the next start meets rivals.
#[test]
fn every_sink_is_whole_after_kills() {
    let folder = three();
    folder.ok("populate files --count 3000 --splits 3 made");
    folder.change("pipeline.toml", "path = \"in\"", "path = \"made\"");
    folder.change("pipeline.toml", "interval = \"100ms\"", "interval = \"100ms\"\nmax_bytes = \"200KiB\"");
    folder.change("pipeline.toml", "where = \"word_count >= 3\"", "where = \"word_count >= 400\"");
    for round in 0..20_u64 {
        let line = ["-w 1", "-w 3", "-w 1 -n 2", "-w 2"][round as usize % 4];
        let mut start = Command::new(env!("CARGO_BIN_EXE_millstream"));
        start.args(["run", "pipeline.toml", "--until-end"]).args(line.split(' ')).current_dir(folder.path(""));
        let mut start = start.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(40 + round * 173 % 700));
        // One that has ended is not there to be killed.
        let _ = start.kill();
        start.wait().unwrap();
    }
    folder.run();
    folder.verified();
    let all = rows(&folder.path("out"));
    let (mut ids, mut long) = (column(&all, "article_id"), Vec::new());
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), all.len()), (3000, 3000));
    long.extend(
        all.iter().filter(|row| row["word_count"].parse::<u64>().unwrap() >= 400).map(|row| row["article_id"].clone()),
    );
    long.sort();
    assert_eq!(self::ids(&folder, "long"), long);
    assert!(long.len() > 100, "{} of them are long", long.len());
    assert_eq!(self::ids(&folder, "dated").len(), 3000);
    let epochs = folder.json("epochs pipeline.toml");
    let told = |sink: &str| -> u64 {
        epochs.as_array().unwrap().iter().map(|epoch| epoch["sinks"][sink].as_u64().unwrap()).sum()
    };
    assert_eq!((told("all"), told("long")), (3000, long.len() as u64));
}
