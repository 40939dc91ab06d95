//! What many small files cost: `cargo bench --bench files [-- files=1000000]`.
//!
//! Makes so many files of one record, in folders of a thousand, and watches the release binary from outside: reading them
//! all, and a restart that finds nothing new. Does the same with a quarter of the files before, so that a cost that grows
//! faster than the number of files shows. A look is the listing alone, as a running pipeline makes it every few seconds.
//!
//! Fails where a restart or a look takes 10 s or more with up to a million files.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and waits for processes")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use measure::{argument, pipeline, run};
use millstream::connector::files::{Files, Options};
use millstream::connector::local::LocalStore;
use millstream::connector::{Bounds, Source};

const FOLDER: u64 = 1_000;
const LIMIT: f64 = 10.0;
const LIMITED: u64 = 1_000_000;

fn main() -> ExitCode {
    let files = argument("files", 20_000);
    println!("{:>9}  {:<8} {:>9} {:>12} {:>9} {:>10}", "files", "", "s", "files/s", "cpu s", "peak MiB");
    let good = [files / 4, files].map(measured);
    if good.iter().all(|good| *good) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads so many files and starts again; whether that was quick enough.
fn measured(files: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    make(&input, files);
    let pipeline = pipeline(folder.path(), &input, &output, "[]");
    let watched = |name: &str| {
        let usage = run(None, &pipeline, 1);
        row(files, name, usage.wall, Some((usage.cpu, usage.peak)));
        usage.wall
    };
    watched("read");
    let restart = watched("restart");
    let look = look(&input, files);
    row(files, "look", look, None);
    files > LIMITED || (restart < LIMIT && look < LIMIT)
}

fn make(input: &Path, files: u64) {
    for file in 0..files {
        let folder = input.join(format!("{:04}", file / FOLDER));
        if file % FOLDER == 0 {
            fs::create_dir_all(&folder).unwrap();
        }
        let (day, hour) = (1 + file % 28, file % 24);
        let record = format!(
            r#"{{"article_id":"a{file}","publish_date":"2024-02-{day:02}T{hour:02}:00:00Z","content":"grain in the mill"}}"#
        );
        fs::write(folder.join(format!("{file:07}.ndjson")), record + "\n").unwrap();
    }
}

fn look(input: &Path, files: u64) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = Options::new(Bounds::Unbounded, Arc::new(|| 0));
    let source = Files::new(Arc::new(LocalStore::new(input)), "", options).unwrap();
    let begun = Instant::now();
    let found = runtime.block_on(source.discover()).unwrap();
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(found.splits.len() as u64, files);
    took
}

fn row(files: u64, name: &str, wall: f64, usage: Option<(f64, f64)>) {
    let usage = usage.map_or(String::new(), |(cpu, peak)| format!("{cpu:9.2} {peak:10.0}"));
    println!("{files:>9}  {name:<8} {wall:9.2} {:12.0} {usage}", files as f64 / wall);
}
