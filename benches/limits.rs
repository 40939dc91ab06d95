//! What a run may cost, and how soon it commits: `cargo bench --bench limits [-- mb=2000]`.
//!
//! Watches the release binary from outside, with the defaults of the articles example (partitioned by day, a budget of
//! 256 MiB), and fails where a limit is missed:
//!
//! - memory: the most that is ever resident on 2 GB of input is under 512 MiB;
//! - start: a file of the example's size is committed, visible and the process gone within a second;
//! - idle: a run that watches a folder in which nothing changes takes under 2 % of a core.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and waits for processes")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;

use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use measure::{MILLSTREAM, TICKS, argument, articles, median, parquet_files, pipeline, run, ticks};

const MEMORY: f64 = 512.0;
const START: f64 = 1.0;
const IDLE: f64 = 2.0;
const STARTS: usize = 5;
const IDLE_SECONDS: u64 = 20;

fn main() -> ExitCode {
    let good = [start(), idle(), memory(1), memory(2)];
    if good.iter().all(|good| *good) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn memory(workers: usize) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    let (bytes, _) = articles(&input, argument("mb", 2_000), 4);
    let usage = run(None, &pipeline(folder.path(), &input, &output, r#"["event_date"]"#), workers);
    let (megabytes, wall, cpu) = (bytes as f64 / 1e6, usage.wall, usage.cpu);
    let name = format!("memory, {workers} worker(s), {megabytes:.0} MB, {wall:.1} s, cpu {cpu:.1} s");
    judge(&name, usage.peak, MEMORY, "MiB")
}

fn start() -> bool {
    let starts = (0..STARTS).map(|_| {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        articles(&input, 1, 1);
        run(None, &pipeline(folder.path(), &input, &output, r#"["event_date"]"#), 1).wall
    });
    let (middle, least, most) = median(starts);
    judge(&format!("start, 1 MB ({least:.2}–{most:.2})"), middle, START, "s")
}

fn idle() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    articles(&input, 1, 1);
    let pipeline = pipeline(folder.path(), &input, &output, r#"["event_date"]"#);
    let mut command = Command::new(MILLSTREAM);
    let command = command.arg("run").arg(&pipeline).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let busy = idle_share(&mut child, &output);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(!parquet_files(&output).is_empty(), "what was read before the end is committed");
    judge(&format!("idle, over {IDLE_SECONDS} s"), busy, IDLE, "%")
}

/// The share of a core that the process takes once it has settled, in percent.
fn idle_share(child: &mut Child, output: &Path) -> f64 {
    let begun = Instant::now();
    while !output.join(".millstream/commits").is_dir() {
        assert!(begun.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(), "it did not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(2));
    let (before, begun) = (cpu_of(child), Instant::now());
    std::thread::sleep(Duration::from_secs(IDLE_SECONDS));
    (cpu_of(child) - before) / begun.elapsed().as_secs_f64() * 100.0
}

/// Seconds of processor time that a running process has taken.
fn cpu_of(child: &Child) -> f64 {
    let path = format!("/proc/{}/stat", child.id());
    (ticks(&path, 11) + ticks(&path, 12)) / TICKS
}

fn judge(name: &str, figure: f64, limit: f64, unit: &str) -> bool {
    let good = figure < limit;
    println!("{name:<48} {figure:7.2} {unit:<3} of {limit} {}", if good { "ok" } else { "MISSED" });
    good
}
