//! What `[balance] exchange = "batches"` does for a hot split: `cargo bench --bench hot_split [-- mb=500 rounds=3]`.
//!
//! All articles lie in one file, so they are one split, and without the exchange one of two workers reads them all. With it
//! the batches are dealt out to both. Both run on the first two cores, in turn; fails where the exchange gains less than a
//! quarter.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and waits for processes")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use measure::{Usage, argument, articles, median, parquet_files, pipeline, run};

const LEAST_GAIN: f64 = 1.25;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, count) = articles(&folder.path().join("in"), argument("mb", 500), 1);
    println!("{count} articles, {:.0} MB of NDJSON in one file, two workers on two cores", bytes as f64 / 1e6);
    let rounds: Vec<(Usage, Usage)> =
        (0..argument("rounds", 3)).map(|_| (piped(folder.path(), "none"), piped(folder.path(), "batches"))).collect();
    let line = |name: &str, of: &dyn Fn(&(Usage, Usage)) -> Usage| {
        let (wall, ..) = median(rounds.iter().map(|round| of(round).wall));
        let (cpu, ..) = median(rounds.iter().map(|round| of(round).cpu));
        let (peak, ..) = median(rounds.iter().map(|round| of(round).peak));
        let speed = bytes as f64 / 1e6 / wall;
        println!("{name:<30} {wall:6.2} s  {speed:5.0} MB/s  cpu {cpu:6.2} s  peak {peak:4.0} MiB");
    };
    line("batches stay with their worker", &|round| round.0);
    line("batches are dealt out", &|round| round.1);
    let (gain, least, most) = median(rounds.iter().map(|round| round.0.wall / round.1.wall));
    println!("gain {gain:.2} ({least:.2}–{most:.2})");
    if gain >= LEAST_GAIN { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn piped(folder: &Path, exchange: &str) -> Usage {
    let (input, output) = (folder.join("in"), folder.join("out"));
    // What was never written is not there to take away.
    let _ = fs::remove_dir_all(&output);
    let path = pipeline(folder, &input, &output, "[]");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}[balance]\nexchange = \"{exchange}\"\n")).unwrap();
    let usage = run(Some(2), &path, 2);
    assert!(!parquet_files(&output).is_empty());
    usage
}
