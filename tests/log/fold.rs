//! Old commits folded away: every command answers as before.

use std::fs;

use serde_json::Value;

use crate::folder::Folder;
use crate::lake::walk;

const ANSWERS: [&str; 4] =
    ["epochs pipeline.toml", "files pipeline.toml", "averages pipeline.toml", "verify pipeline.toml"];

fn with_runs(runs: usize) -> Folder {
    let folder = Folder::after_a_run();
    for run in 0..runs {
        folder.add_input(&format!("r{run}.ndjson"), &[(&format!("r{run}"), "2024-03-01", "one two three")]);
        folder.run();
    }
    folder
}

fn answers(folder: &Folder) -> Vec<Value> {
    ANSWERS.iter().map(|line| folder.json(line)).collect()
}

fn commits(folder: &Folder) -> usize {
    walk(&folder.log().join("commits")).len()
}

#[test]
fn folded_commits_still_answer() {
    let folder = with_runs(5);
    let (before, objects) = (answers(&folder), commits(&folder));
    let said = folder.ok("log fold pipeline.toml --before 90d");
    assert!(said.contains("nothing to fold"), "{said}");
    std::thread::sleep(std::time::Duration::from_millis(20));
    let folded = folder.json("log fold pipeline.toml --before 1ms");
    assert!(folded["commits"].as_u64().unwrap() >= 9, "{folded}");
    assert_eq!(commits(&folder) as u64, objects as u64 - folded["commits"].as_u64().unwrap());
    assert_eq!(answers(&folder), before);
    // What was folded is known without the hint, and folds go on where the last one ended.
    fs::remove_file(folder.log().join("hint.json")).unwrap();
    folder.add_input("more.ndjson", &[("more", "2024-03-02", "one")]);
    folder.run();
    folder.verified();
    let before = answers(&folder);
    folder.run();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(folder.json("log fold pipeline.toml --before 1ms")["commits"].as_u64().unwrap() > 0);
    assert_eq!(answers(&folder)[1..3], before[1..3]);
    folder.verified();
    assert_eq!(folder.rows().len(), 9);
}

/// A fold that was killed after its record and before the commits were deleted.
#[test]
fn a_fold_that_was_cut_off_is_finished_by_the_next() {
    let folder = with_runs(2);
    let saved = folder.path("saved");
    fs::create_dir(&saved).unwrap();
    for name in walk(&folder.log().join("commits")) {
        fs::copy(folder.log().join("commits").join(&name), saved.join(&name)).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
    folder.ok("log fold pipeline.toml --before 1ms");
    let left = walk(&folder.log().join("commits"));
    let before = answers(&folder);
    for name in walk(&saved) {
        fs::copy(saved.join(&name), folder.log().join("commits").join(&name)).unwrap();
    }
    assert_eq!(answers(&folder), before);
    folder.ok("log fold pipeline.toml --before 1ms");
    assert!(commits(&folder) <= left.len());
    assert_eq!(answers(&folder), before);
    folder.run();
    folder.verified();
}
