//! More than one worker thread: every worker is given its splits, and what they lay down is committed together.
//!
//! Would catch words between workers that are never sent (a run that reads nothing and waits for ever), a split that no
//! worker reads, and one that two of them do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MILLSTREAM: &str = env!("CARGO_BIN_EXE_millstream");
/// Far more than such a run takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn pipeline(folder: &Path) -> String {
    let path = folder.join("pipeline.toml");
    let text = format!(
        r#"
name = "workers"
[source]
type = "files"
path = "{folder}/in"
[schema]
article_id = "string!"
content = "string!"
[enrich]
word_count = "word_count(content)"
[sink]
path = "{folder}/out"
"#,
        folder = folder.display()
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn populate(folder: &Path, files: u64, count: u64) {
    let (files, count, to) = (files.to_string(), count.to_string(), folder.join("in"));
    let mut command = Command::new(MILLSTREAM);
    let command = command.args(["populate", "files", "--splits", &files, "--count", &count]).arg(to);
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
}

/// Waits for the end, but not for ever.
fn ended_well(mut child: Child) -> bool {
    let begun = now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        #[expect(clippy::disallowed_methods, reason = "another process is waited for; nothing depends on how long")]
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

#[expect(clippy::disallowed_methods, reason = "another process is waited for, in real time")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn each_number_of_workers_commits_every_record_once() {
    for workers in ["2", "3"] {
        let folder = tempfile::tempdir().unwrap();
        populate(folder.path(), 5, 1_000);
        let pipeline = pipeline(folder.path());
        let mut run = Command::new(MILLSTREAM);
        let run =
            run.args(["run", &pipeline, "--until-end", "-w", workers]).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(ended_well(run.spawn().unwrap()), "{workers} workers did not come to an end");
        let verify = Command::new(MILLSTREAM).args(["verify", &pipeline, "--json"]).output().unwrap();
        let found: serde_json::Value = serde_json::from_slice(&verify.stdout).unwrap();
        assert_eq!((&found["ok"], &found["rows"]), (&true.into(), &1_000.into()), "{workers} workers: {found}");
        let files: serde_json::Value = {
            let told = Command::new(MILLSTREAM).args(["files", &pipeline, "--json"]).output().unwrap();
            serde_json::from_slice(&told.stdout).unwrap()
        };
        let of_worker = |worker: usize| {
            let named = |file: &serde_json::Value| file["path"].as_str().unwrap().contains(&format!("-w{worker}-"));
            files.as_array().unwrap().iter().any(named)
        };
        assert!((0..workers.parse().unwrap()).all(of_worker), "every one of {workers} workers has read: {files}");
    }
}
