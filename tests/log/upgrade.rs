//! Logs of earlier releases, made by their binaries, are read and continued: of the first one (tests/data/log-0.1), and of
//! the one that wrote format 2 (tests/data/log-format-2).

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::folder::Folder;
use crate::lake::{column, walk};

/// The log of then, in a folder of its own. Its last commit was killed before its files became visible.
fn of_then() -> Folder {
    copied("tests/data/log-0.1")
}

fn copied(fixture: &str) -> Folder {
    let folder = Folder::new();
    fs::remove_dir_all(folder.path("in")).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
    for path in walk(&from) {
        let to = folder.path(&path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(path), to).unwrap();
    }
    folder
}

fn ids(folder: &Folder) -> Vec<String> {
    let mut ids = column(&folder.rows(), "article_id");
    ids.sort();
    ids
}

fn expected(folder: &Folder) -> Vec<String> {
    let mut ids = Vec::new();
    for path in walk(&folder.path("in")) {
        for line in fs::read_to_string(folder.path("in").join(path)).unwrap().lines() {
            if let Ok(record) = serde_json::from_str::<Value>(line)
                && record["content"].as_str().is_some_and(|content| !content.is_empty())
            {
                ids.push(record["article_id"].as_str().unwrap().to_owned());
            }
        }
    }
    ids.sort();
    ids
}

#[test]
fn it_answers_before_it_is_claimed() {
    let folder = of_then();
    let epochs = folder.json("epochs pipeline.toml");
    assert!(epochs.as_array().unwrap().len() > 5, "{epochs}");
    assert!(!folder.json("files pipeline.toml").as_array().unwrap().is_empty());
    assert!(!folder.json("averages pipeline.toml").as_array().unwrap().is_empty());
}

#[test]
fn it_goes_on_exactly_once() {
    let folder = of_then();
    folder.run();
    assert_eq!(ids(&folder), expected(&folder), "what was committed and not visible is finished");
    folder.verified();
    folder.add_input("new.ndjson", &[("new", "2024-05-05", "one two")]);
    folder.run();
    assert_eq!(ids(&folder), expected(&folder));
    folder.verified();
    let first: Value = serde_json::from_slice(&fs::read(folder.commit(1)).unwrap()).unwrap();
    assert!(first["log"].is_null() && first["format"].is_null(), "the fixture is not of the first release: {first}");
    let last = folder.json("epochs pipeline.toml").as_array().unwrap().len() as u64;
    let last: Value = serde_json::from_slice(&fs::read(folder.commit(last)).unwrap()).unwrap();
    assert_eq!((last["format"].as_u64(), last["log"].as_str().map(str::len)), (Some(3), Some(12)), "{last}");
}

#[test]
fn its_definition_may_change_with_the_release() {
    let folder = of_then();
    folder.change("pipeline.toml", "[enrich]", "[enrich]\nlength = \"length(content)\"");
    folder.run();
    folder.verified();
    assert_eq!(ids(&folder), expected(&folder));
}

/// A log of the release before, in format 2: averages in commits and in a snapshot. It was made in another folder.
#[test]
fn a_log_of_format_2_goes_on() {
    let folder = copied("tests/data/log-format-2");
    let before = folder.json("averages pipeline.toml");
    assert!(before.as_array().unwrap().len() > 8, "{before}");
    let first: Value = serde_json::from_slice(&fs::read(folder.commit(1)).unwrap()).unwrap();
    assert!(first["format"] == 2 && !first["kept"].is_null(), "the fixture is not of format 2: {first}");
    folder.say_ok("run pipeline.toml --until-end --accept source");
    assert_eq!(ids(&folder), expected(&folder), "nothing is read again");
    folder.verified();
    assert_eq!(folder.json("averages pipeline.toml"), before, "they go on from where they were");
    folder.add_input("new.ndjson", &[("new", "2024-05-05", "one two")]);
    folder.run();
    assert_eq!(ids(&folder), expected(&folder));
    folder.verified();
    let after = folder.json("averages pipeline.toml");
    let count = |averages: &Value| {
        let overall = averages.as_array().unwrap().iter().find(|average| average["by"] == "overall").unwrap();
        overall["count"].as_i64().unwrap()
    };
    assert_eq!(count(&after), count(&before) + 1);
}
