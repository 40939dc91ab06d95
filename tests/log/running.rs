//! Beside a pipeline that is at work: looking commands accuse nobody, and a second start leaves it alone where it was told to.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream::config::Config;
use millstream::log::verify;
use millstream::places;
use millstream::stages::Stages;

use crate::folder::{Folder, PIPELINE};
use crate::lake::walk;

/// A pipeline that makes many small epochs.
fn generating(folder: &Folder) {
    let source = "type = \"generate\"\nkind = \"articles\"\nsplits = 3\nrate = 4000\nseed = 5\nbroken = 0.1";
    let text = PIPELINE
        .replace("type = \"files\"\npath = \"in\"", source)
        .replace("interval = \"100ms\"", "interval = \"20ms\"")
        // Few files, so that reading all of them stays faster than making more.
        .replace("partition = [\"event_date\"]\n", "");
    folder.write("pipeline.toml", &text);
}

fn start(folder: &Folder, line: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(line.split(' ')).current_dir(folder.path(".")).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn until(what: &str, mut there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// 94 of 362 calls once reported "visible, but named by no commit".
#[test]
fn verify_accuses_nobody_while_the_pipeline_runs() {
    let folder = Folder::new();
    generating(&folder);
    let mut running = start(&folder, "run pipeline.toml");
    until("the third commit", || folder.commit(3).exists());
    for _ in 0..15 {
        let report = folder.say("verify pipeline.toml");
        assert_eq!(report.code, 0, "{report:?}");
    }
    signal(&running, "TERM");
    assert!(running.wait().unwrap().success());
    folder.verified();
}

/// A snapshot that `verify` knew of was once missed, though the pipeline had deleted it after making newer ones.
#[test]
fn verify_misses_no_snapshot_that_the_pipeline_has_replaced() {
    let folder = Folder::after_a_run();
    let (out, later) = (folder.path("out"), folder.path("later"));
    let newest = || walk(&out).into_iter().rfind(|key| key.starts_with(".millstream/snapshots/")).unwrap();
    let replaced = newest();
    copy(&out, &folder.path("earlier"));
    for input in ["b", "c"] {
        folder.add_input(&format!("{input}.ndjson"), &[(input, "2024-03-01", "one two")]);
        folder.run();
        assert_ne!(newest(), replaced);
    }
    fs::rename(&out, &later).unwrap();
    fs::remove_file(later.join(&replaced)).unwrap();
    fs::rename(folder.path("earlier"), &out).unwrap();
    let text = PIPELINE.replace("path = \"", &format!("path = \"{}/", folder.path("").display()));
    let config = Config::parse("pipeline.toml", &text, &|_| None).unwrap();
    let stages = Stages::compile(Arc::new(config)).unwrap();
    // The pipeline moves on while the first file is read.
    let mut goes_on = Some(|| {
        fs::remove_file(out.join(&replaced)).unwrap();
        copy(&later, &out);
    });
    let report = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let places = places::open_all(&stages).await.unwrap();
        verify::verify(&places, &stages, |_| goes_on.take().into_iter().for_each(|it| it())).await.unwrap()
    });
    assert!(goes_on.is_none(), "no file was read");
    assert_eq!(report.problems, Vec::<String>::new());
    // One that was not replaced is missed.
    fs::remove_file(out.join(newest())).unwrap();
    assert!(folder.say("verify pipeline.toml").stdout.contains("is missing"));
}

fn copy(from: &Path, to: &Path) {
    for path in walk(from) {
        fs::create_dir_all(to.join(&path).parent().unwrap()).unwrap();
        fs::copy(from.join(&path), to.join(&path)).unwrap();
    }
}

#[test]
fn a_start_that_takes_nothing_over_waits_for_silence() {
    let folder = Folder::new();
    generating(&folder);
    let mut first = start(&folder, "run pipeline.toml");
    let owner = folder.log().join("owner.json");
    until("the note of the owner", || owner.exists());
    // It is alive: the second start leaves it alone.
    let said = folder.fails("run pipeline.toml --take-over=never", 3);
    assert!(said.contains("is at work") && said.contains("--take-over=always"), "{said}");
    assert!(first.try_wait().unwrap().is_none(), "the first one was fenced out all the same");
    // It ends cleanly: nothing to wait for.
    signal(&first, "TERM");
    assert!(first.wait().unwrap().success());
    assert!(!owner.exists());
    // It dies: the next one takes over once nobody renews the note.
    let mut second = start(&folder, "run pipeline.toml");
    until("the note of the owner", || owner.exists());
    signal(&second, "KILL");
    second.wait().unwrap();
    let commits = walk(&folder.log().join("commits")).len();
    let mut third = start(&folder, "run pipeline.toml --take-over never");
    until("a commit of the third", || walk(&folder.log().join("commits")).len() > commits);
    signal(&third, "TERM");
    assert!(third.wait().unwrap().success());
    folder.verified();
}
