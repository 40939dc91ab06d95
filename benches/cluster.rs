//! What more processes bring, and what they say to each other: `cargo bench --bench cluster [-- mb=300 rounds=3]`.
//!
//! - Throughput: the same articles in eight files through one process of one worker on one core, one process of two workers
//!   and two processes of one worker on two cores, in turn, so that the ratios come from the same minutes.
//! - The wire: bytes that all processes have sent to each other, frames and heartbeats too, for each byte of input; without
//!   `[balance]` it must be under 1 %, with epochs of the default size and with small ones. And what an epoch costs by
//!   itself, whatever is in it, for one to five processes: that is what grows with a cluster.
//!
//! `MILLSTREAM_WRITE_DOCS=1` draws the throughput into docs/cluster.svg.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench waits for processes and is told what to write")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

#[path = "cluster/chart.rs"]
mod chart;
mod measure;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use measure::{MILLSTREAM, argument, articles, median, on, parquet_files, pipeline};

/// The most that may cross the wire for each byte of input.
const MOST: f64 = 0.01;
/// Files of the input: as many splits.
const FILES: u64 = 8;

/// Processes, and workers of each.
type Size = (usize, usize);

/// What a run came to.
struct Ran {
    wall: f64,
    /// Bytes that all processes together have sent to each other.
    sent: f64,
    commits: f64,
}

fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, count) = articles(&folder.path().join("in"), argument("mb", 300), FILES);
    println!("{count} articles, {:.0} MB of NDJSON in {FILES} files\n", bytes as f64 / 1e6);
    throughput(folder.path(), bytes as f64);
    let good = wire(folder.path(), bytes as f64);
    epochs();
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn throughput(folder: &Path, bytes: f64) {
    let settings: [(&str, usize, Size); 3] = [
        ("1 process × 1 worker, 1 core", 1, (1, 1)),
        ("1 process × 2 workers, 2 cores", 2, (1, 2)),
        ("2 processes × 1 worker, 2 cores", 2, (2, 1)),
    ];
    let round = || settings.map(|(_, cores, size)| run(folder, Some(cores), size, "").wall);
    let rounds: Vec<[f64; 3]> = (0..argument("rounds", 3)).map(|_| round()).collect();
    println!("| | MB/s | of one on one core |\n|---|---|---|");
    let mut bars = Vec::new();
    for (number, (name, ..)) in settings.iter().enumerate() {
        let (speed, ..) = median(rounds.iter().map(|walls| bytes / 1e6 / walls[number]));
        let (gain, least, most) = median(rounds.iter().map(|walls| walls[0] / walls[number]));
        println!("| {name} | {speed:.0} | {gain:.2} ({least:.2}–{most:.2}) |");
        bars.push((*name, speed));
    }
    if std::env::var_os("MILLSTREAM_WRITE_DOCS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cluster.svg"), chart::bars(&bars, "MB/s")).unwrap();
    }
}

fn wire(folder: &Path, bytes: f64) -> bool {
    println!("\n| two processes × 2 workers | commits | sent, MB | of the input |\n|---|---|---|---|");
    let mut good = true;
    for (name, more, limited) in [
        ("epochs of 256 MiB", "", true),
        ("epochs of 8 MiB", "[epoch]\nmax_bytes = \"8MiB\"\n", true),
        ("epochs of 256 MiB, batches exchanged", "[balance]\nexchange = \"batches\"\n", false),
    ] {
        let ran = run(folder, None, (2, 2), more);
        let share = ran.sent / bytes;
        println!("| {name} | {:.0} | {:.3} | {:.4} % |", ran.commits, ran.sent / 1e6, share * 100.0);
        good &= !limited || share < MOST;
    }
    println!("{}", if good { "under 1 % without [balance]: ok" } else { "1 % without [balance]: MISSED" });
    good
}

/// The bytes of an epoch, by the number of processes: little data, many epochs.
fn epochs() {
    println!("\n| processes × 1 worker | epochs | bytes an epoch, all processes together |\n|---|---|---|");
    for processes in 1..=5 {
        let folder = tempfile::tempdir().unwrap();
        articles(&folder.path().join("in"), 10, 20);
        let more = "[epoch]\nmax_bytes = \"200KB\"\n";
        let ran = run(folder.path(), None, (processes, 1), more);
        println!("| {processes} | {:.0} | {:.0} |", ran.commits, ran.sent / ran.commits);
    }
}

fn run(folder: &Path, cores: Option<usize>, (processes, workers): Size, more: &str) -> Ran {
    let (input, output) = (folder.join("in"), folder.join("out"));
    // What was never written is not there to take away.
    let _ = fs::remove_dir_all(&output);
    let path = pipeline(folder, &input, &output, r#"["event_date"]"#);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{more}")).unwrap();
    let mut command = cores.map_or_else(|| Command::new(MILLSTREAM), |cores| on(cores, MILLSTREAM));
    let command = command.arg("--verbose").arg("run").arg(path).args(["--until-end", "-w", &workers.to_string()]);
    let began = Instant::now();
    let ended = command.args(["-n", &processes.to_string()]).stdin(Stdio::null()).output().unwrap();
    let wall = began.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    assert!(!parquet_files(&output).is_empty());
    let sent = said.split_whitespace().filter_map(|word| word.strip_prefix("sent=")?.parse::<f64>().ok());
    let told: Vec<f64> = sent.collect();
    assert_eq!(told.len(), if processes == 1 { 0 } else { processes }, "every process says what it sent: {said}");
    let commits = fs::read_dir(output.join(".millstream/commits")).unwrap().count() as f64 - 1.0;
    // The sum of nothing is -0.
    Ran { wall, sent: told.iter().sum::<f64>() + 0.0, commits }
}
