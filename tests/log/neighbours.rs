//! Pipelines beside, below and on each other.

use std::os::unix::fs::symlink;

use crate::folder::{Folder, PIPELINE};
use crate::lake::{parquet, rows};

/// A second pipeline in the folder, with an input of its own.
fn beside(folder: &Folder, change: impl Fn(String) -> String) {
    let text = PIPELINE.replace("name = \"articles\"", "name = \"others\"").replace("path = \"in\"", "path = \"in2\"");
    folder.write("others.toml", &change(text));
    std::fs::create_dir_all(folder.path("in2")).unwrap();
    folder.write(
        "in2/b.ndjson",
        "{\"article_id\":\"b1\",\"content\":\"\"}\n{\"article_id\":\"b2\",\"content\":\"three of them\"}\nbad\n",
    );
}

fn is_whole(folder: &Folder, file: &str) {
    let report = folder.json(&format!("verify {file}"));
    assert_eq!(report["ok"], true, "{report}");
}

/// Both once overwrote each other's `e1-w0-0-g1.parquet`, and both ended with 0.
#[test]
fn two_pipelines_share_a_rejects_folder() {
    let folder = Folder::new();
    let shared = "\n[rejects]\npath = \"refused\"\n";
    folder.write("pipeline.toml", &format!("{PIPELINE}{shared}"));
    beside(&folder, |text| text.replace("path = \"out\"", "path = \"out2\"") + shared);
    folder.run();
    folder.say_ok("run others.toml --until-end");
    assert_eq!(rows(&folder.path("refused")).len(), 4, "{:?}", parquet(&folder.path("refused")));
    is_whole(&folder, "pipeline.toml");
    is_whole(&folder, "others.toml");
    folder.run();
    folder.say_ok("run others.toml --until-end");
    assert_eq!(rows(&folder.path("refused")).len(), 4);
}

#[test]
fn a_pipeline_lies_below_another() {
    let folder = Folder::new();
    beside(&folder, |text| text.replace("path = \"out\"", "path = \"out/below\""));
    folder.say_ok("run others.toml --until-end");
    folder.run();
    folder.say_ok("run others.toml --until-end");
    is_whole(&folder, "pipeline.toml");
    is_whole(&folder, "others.toml");
    assert_eq!(rows(&folder.path("out/below")).len(), 1);
}

#[test]
fn another_pipeline_on_a_sink_is_refused_with_both_names() {
    let folder = Folder::after_a_run();
    beside(&folder, |text| text);
    let commits = folder.json("epochs pipeline.toml").as_array().unwrap().len();
    let said = folder.fails("run others.toml --until-end", 2);
    assert!(said.contains("\"articles\"") && said.contains("\"others\""), "{said}");
    assert_eq!(
        folder.json("epochs pipeline.toml").as_array().unwrap().len(),
        commits,
        "a refused start has changed something"
    );
    folder.change("pipeline.toml", "name = \"articles\"", "name = \"news\"");
    folder.fails("run pipeline.toml --until-end", 2);
    folder.say_ok("run pipeline.toml --until-end --accept name");
    folder.run();
    let epochs = folder.json("epochs pipeline.toml");
    assert!(epochs.to_string().contains("accepted: the pipeline articles is now called news"), "{epochs}");
}

/// Rejects once replaced rows there.
#[test]
fn rejects_do_not_lead_into_the_sink_by_a_link() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("out")).unwrap();
    symlink(folder.path("out"), folder.path("refused")).unwrap();
    folder.write("pipeline.toml", &format!("{PIPELINE}\n[rejects]\npath = \"refused\"\n"));
    let said = folder.fails("run pipeline.toml --until-end", 2);
    assert!(said.contains("leads into the sink"), "{said}");
    assert!(parquet(&folder.path("out")).is_empty());
}
