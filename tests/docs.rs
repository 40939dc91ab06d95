//! Proves that what the documents promise is so: the reference of a pipeline file is the one that the code would write,
//! links lead somewhere, and the example gives what its data holds, however often it is run. Would catch a key that was
//! added or renamed without its line, a document that moved, and a first command that does not work for a newcomer.
//!
//! The reference is written again by `MILLSTREAM_WRITE_DOCS=1 cargo test --workspace --test docs`.

#![allow(clippy::unwrap_used, reason = "what cannot be read or run fails the test")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const PREFACE: &str = "# The pipeline file\n\n\
    Every section and every key. This file is written from the tables that the program reads by; after a change of those:\n\
    `MILLSTREAM_WRITE_DOCS=1 cargo test --workspace --test docs`.\n\n\
    `${VAR}` and `${VAR:-default}` work in every value. `name` at the top is the pipeline's name. A key that does not exist\n\
    is an error that names the file, the line and the nearest key that does. Sizes are written `64MiB`, intervals `30s`.\n\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_reference_is_the_one_that_the_code_writes() {
    let path = root().join("docs/configuration.md");
    let now = format!("{PREFACE}{}\n", millstream::config::reference::markdown().trim_end());
    if std::env::var_os("MILLSTREAM_WRITE_DOCS").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    assert!(
        committed == now,
        "docs/configuration.md is not what the code says; the head of this test says how to write it"
    );
}

/// The flow is drawn once, from the table of steps; Rust documentation includes it, and so does the architecture.
#[test]
fn the_picture_is_the_one_of_the_table() {
    let now = millstream::stages::steps::picture();
    let (path, around) = (root().join("docs/flow.md"), root().join("docs/architecture.md"));
    let text = fs::read_to_string(&around).unwrap();
    let (before, rest) = text.split_once("```text\n").unwrap();
    let (_, after) = rest.split_once("```\n").unwrap();
    let with = format!("{before}{now}{after}");
    if std::env::var_os("MILLSTREAM_WRITE_DOCS").is_some() {
        fs::write(&path, &now).unwrap();
        fs::write(&around, &with).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), now);
    assert_eq!(fs::read_to_string(&around).unwrap(), with);
}

/// The source in the guide is the one that the conformance suite runs.
#[test]
fn the_guide_shows_the_source_that_is_tested() {
    let (path, code) = (root().join("docs/adding-a-connector.md"), root().join("tests/source_conformance/inline.rs"));
    let (text, code) = (fs::read_to_string(&path).unwrap(), fs::read_to_string(&code).unwrap());
    let (before, rest) = text.split_once("```rust\n").unwrap();
    let (_, after) = rest.split_once("```\n").unwrap();
    let now = format!("{before}```rust\n{code}```\n{after}");
    if std::env::var_os("MILLSTREAM_WRITE_DOCS").is_some() {
        fs::write(&path, &now).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), now);
}

#[test]
fn links_lead_somewhere() {
    let mut documents = vec![root().join("README.md")];
    for example in fs::read_dir(root().join("examples")).unwrap() {
        documents.push(example.unwrap().path().join("README.md"));
    }
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        documents.extend(
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    let mut links = 0;
    for document in &documents {
        let text = fs::read_to_string(document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                links += 1;
                assert!(document.parent().unwrap().join(file).exists(), "{}: {link} leads nowhere", document.display());
            }
        }
    }
    assert!(links > 10, "only {links} links were found");
}

/// Runs the program where a newcomer would, with the example's output elsewhere.
fn millstream(out: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    let done = command.current_dir(root()).env("ARTICLES_OUT", out).args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The lines of the committed data.
fn lines() -> Vec<String> {
    let data = root().join("examples/articles/data");
    let mut text = fs::read_to_string(data.join("articles-7-00000.ndjson")).unwrap();
    let packed = fs::File::open(data.join("articles-7-00001.ndjson.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The words of a line's article; none where the pipeline has to refuse it.
fn words(line: &str) -> Option<usize> {
    let article: Value = serde_json::from_str(line).ok()?;
    article["article_id"].as_str()?;
    let content = article["content"].as_str().filter(|content| !content.is_empty())?;
    let is_time = |text: &str| text.len() == 20 && text.ends_with('Z') && text.starts_with("20");
    let time = &article["publish_date"];
    (time.is_null() || time.as_str().is_some_and(is_time)).then(|| content.split_whitespace().count())
}

#[test]
fn the_example_gives_what_its_data_holds_also_the_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let out: PathBuf = folder.path().join("articles");
    let pipeline = "examples/articles/pipeline.toml";
    millstream(&out, &["check", pipeline]);
    millstream(&out, &["test", pipeline]);
    let (lines, good): (usize, Vec<usize>) = (lines().len(), lines().iter().filter_map(|line| words(line)).collect());
    assert!(lines > good.len(), "the data has no record that is to be refused");
    for _ in 0..2 {
        millstream(&out, &["run", pipeline, "--until-end"]);
        let report: Value = serde_json::from_str(&millstream(&out, &["verify", pipeline, "--json"])).unwrap();
        assert_eq!(report["ok"], true, "{report}");
        assert_eq!(
            (report["rows"].as_u64(), report["rejects"].as_u64()),
            (Some(good.len() as u64), Some((lines - good.len()) as u64))
        );
        let averages: Value = serde_json::from_str(&millstream(&out, &["averages", pipeline, "--json"])).unwrap();
        let overall = averages.as_array().unwrap().iter().find(|average| average["by"] == "overall").unwrap();
        assert_eq!(overall["sum"], good.iter().sum::<usize>().to_string());
        assert_eq!(overall["count"], good.len());
    }
}
