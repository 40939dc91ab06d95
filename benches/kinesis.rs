//! What reading from Kinesis costs: `cargo bench --bench kinesis [-- mb=500 rounds=3 shards=50]`.
//!
//! A stand-in for the service answers ListShards, GetShardIterator and GetRecords from memory, in a process of its own whose
//! processor time is not counted. The release binary reads all of it with one worker through decoding, a rule, word
//! counts, averages and zstd(3) Parquet; then it reads the same records from files. What the second takes less is what the
//! client costs: HTTP, JSON, base64, pacing.
//!
//! Wall time says little here, since a reader of Kinesis keeps to 2 MB/s a shard by itself. What counts is megabytes of
//! payload by second of the pipeline's processor time, user and system, all its threads. Fails where that is under 100: one
//! core has to carry 50 shards at 2 MB/s. Then the two figures say which side stops it.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and waits for processes")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot run has nothing to say")]

mod measure;
#[path = "kinesis/stand_in.rs"]
mod stand_in;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use measure::{MILLSTREAM, Usage, argument, articles, median, parquet_files, pipeline, watch};
use parquet::file::reader::{FileReader, SerializedFileReader};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Megabytes of payload by second of processor time.
const LEAST: f64 = 100.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, records] = arguments.as_slice()
        && mode == "stand-in"
    {
        stand_in::serve(Path::new(records));
    }
    compare(argument("mb", 500), argument("rounds", 3), argument("shards", 50))
}

fn compare(megabytes: u64, rounds: u64, shards: u64) -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    let (bytes, count) = articles(&input, megabytes, shards);
    // A line break is not part of a payload.
    let payload = (bytes - count) as f64 / 1e6;
    println!("{count} articles, {payload:.0} MB, in {shards} shards and in as many files");
    let service = Service::start(&input);
    let from_files = pipeline(folder.path(), &input, &output, "[]");
    let from_kinesis = folder.path().join("kinesis.toml");
    fs::write(&from_kinesis, reading_kinesis(&from_files, &service.endpoint)).unwrap();
    // Not counted: it warms the page cache.
    measure::run(None, &from_files, 1);
    let rounds: Vec<(Usage, Usage)> =
        (0..rounds).map(|_| (run(&from_kinesis, &output, count), run(&from_files, &output, count))).collect();
    let kinesis = line("from Kinesis", payload, rounds.iter().map(|round| round.0));
    let files = line("from files", payload, rounds.iter().map(|round| round.1));
    let (client, ..) = median(rounds.iter().map(|round| (round.0.cpu - round.1.cpu) / payload * 1e3));
    println!(
        "the client of Kinesis takes {client:.2} ms of processor time for a MB; all the rest {:.2} ms",
        1e3 / files
    );
    if kinesis >= LEAST {
        return ExitCode::SUCCESS;
    }
    let what = if files < LEAST { "decoding, counting and compressing alone" } else { "the client" };
    println!("missed: {LEAST} MB by second of processor time are wanted; what stops it is {what}");
    ExitCode::FAILURE
}

/// Prints what a side took, and gives back megabytes by second of processor time.
fn line(name: &str, payload: f64, usages: impl Iterator<Item = Usage> + Clone) -> f64 {
    let (wall, ..) = median(usages.clone().map(|usage| usage.wall));
    let (speed, least, most) = median(usages.clone().map(|usage| payload / usage.cpu));
    let (peak, ..) = median(usages.map(|usage| usage.peak));
    println!(
        "{name:<14} {speed:6.1} MB by second of processor time ({least:.1}–{most:.1})  wall {wall:6.2} s  peak {peak:4.0} MiB"
    );
    speed
}

/// The same pipeline with the stand-in for its source.
fn reading_kinesis(files: &Path, endpoint: &str) -> String {
    let text = fs::read_to_string(files).unwrap();
    let (before, rest) = text.split_once("[source]").unwrap();
    let (_, after) = rest.split_once("[schema]").unwrap();
    let source = format!("type = \"kinesis\"\nstream = \"bench\"\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"");
    format!("{before}[source]\n{source}\nstart = \"trim_horizon\"\n[schema]{after}")
}

/// One run into an empty sink, which must come to all records.
fn run(pipeline: &Path, output: &Path, count: u64) -> Usage {
    // What was never written is not there to take away.
    let _ = fs::remove_dir_all(output);
    let _ = fs::remove_dir_all(format!("{}-rejects", output.display()));
    let mut command = Command::new(MILLSTREAM);
    command.env("AWS_ACCESS_KEY_ID", "bench").env("AWS_SECRET_ACCESS_KEY", "bench");
    let usage = watch(command.arg("run").arg(pipeline).args(["--until-end", "-w", "1"]));
    let file = |path: PathBuf| SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let rows: i64 =
        parquet_files(output).into_iter().map(|path| file(path).metadata().file_metadata().num_rows()).sum();
    assert_eq!(rows as u64, count, "rows and records");
    usage
}

/// The stand-in: this program again, as a process of its own, ended with the bench.
struct Service {
    endpoint: String,
    child: Child,
}

impl Service {
    fn start(records: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child =
            command.arg("stand-in").arg(records).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        Service { endpoint: said.trim().to_owned(), child }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It also ends by itself when its standard input does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
