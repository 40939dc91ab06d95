//! What the benches of the whole have in common: articles made once in a temporary folder, processes watched from outside,
//! medians.
//!
//! Owns no figure and no limit. A process is watched through `/proc`, so these benches run on Linux.

#![allow(dead_code, reason = "each bench uses some of it")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millstream::cli::populate::{Packing, Populate};
use millstream::connector::generate::record::{Kind, Records};

/// The release binary, built beside the bench.
pub(crate) const MILLSTREAM: &str = env!("CARGO_BIN_EXE_millstream");
/// Clock ticks a second in `/proc`: the same on every Linux that a program sees.
pub(crate) const TICKS: f64 = 100.0;

/// What a process took from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) wall: f64,
    /// Seconds of processor time, user and system.
    pub(crate) cpu: f64,
    /// The most memory that it ever had resident, in MiB.
    pub(crate) peak: f64,
}

/// Runs a command to its end, which must be a good one.
pub(crate) fn watch(command: &mut Command) -> Usage {
    let before = children_ticks();
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (id, done) = (child.id(), AtomicBool::new(false));
    let (wall, peak) = std::thread::scope(|scope| {
        let peak = scope.spawn(|| peak_until(id, &done));
        let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        let ended = child.wait().unwrap();
        let wall = begun.elapsed().as_secs_f64();
        done.store(true, Ordering::Relaxed);
        assert!(ended.success(), "{command:?}: {ended}\n{said}");
        (wall, peak.join().unwrap())
    });
    Usage { wall, cpu: (children_ticks() - before) / TICKS, peak }
}

/// The last peak that could be read before the process was gone.
fn peak_until(id: u32, done: &AtomicBool) -> f64 {
    let mut peak = 0.0;
    while !done.load(Ordering::Relaxed) {
        peak = f64::max(peak, resident_peak(id).unwrap_or(0.0));
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}

fn resident_peak(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

/// Ticks that all children waited for have taken.
fn children_ticks() -> f64 {
    ticks("/proc/self/stat", 13) + ticks("/proc/self/stat", 14)
}

/// A number behind the name of the process, counted from 0.
pub(crate) fn ticks(path: &str, field: usize) -> f64 {
    let stat = fs::read_to_string(path).unwrap();
    let (_, numbers) = stat.rsplit_once(')').unwrap();
    numbers.split_whitespace().nth(field).unwrap().parse().unwrap()
}

/// About `megabytes` of articles, as NDJSON in `files` files of a new folder. Gives back the bytes and the articles.
pub(crate) fn articles(folder: &Path, megabytes: u64, files: u64) -> (u64, u64) {
    populate(Kind::Articles, folder, megabytes, files)
}

/// The same of any kind of record.
pub(crate) fn populate(kind: Kind, folder: &Path, megabytes: u64, files: u64) -> (u64, u64) {
    let (records, mut sample) = (Records::new(kind, 1, 0.0), Vec::new());
    (0..1_000).for_each(|index| records.write(0, index, &mut sample));
    let count = megabytes * 1_000_000 * 1_000 / sample.len() as u64;
    let populate = Populate {
        folder: folder.to_owned(),
        kind,
        seed: 1,
        files,
        count,
        rate: None,
        broken: 0.0,
        packing: Packing::None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let written = runtime.block_on(populate.write(|_| {})).unwrap();
    (written.bytes, written.records)
}

/// Writes the pipeline of the articles example, as the defaults have it, from `input` to `output`.
pub(crate) fn pipeline(folder: &Path, input: &Path, output: &Path, partition: &str) -> PathBuf {
    let path = folder.join("pipeline.toml");
    let text = format!(
        r#"
name = "bench"
[source]
type = "files"
path = "{}"
[schema]
article_id = "string!"
title = "string"
author = "string"
publish_date = "timestamp"
content = "string!"
[validate]
content_not_empty = "length(content) > 0"
[enrich]
word_count = "word_count(content)"
event_date = "cast(publish_date as date)"
[[average]]
of = "word_count"
by = ["overall", "hour", "day"]
time = "publish_date"
[sink]
path = "{}"
partition = {partition}
compression = "zstd(3)"
"#,
        input.display(),
        output.display()
    );
    fs::write(&path, text).unwrap();
    path
}

/// A program, its arguments still to come, on the first `cores` cores.
pub(crate) fn on(cores: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &format!("0-{}", cores - 1)]).arg(program);
    command
}

/// `millstream run` on a pipeline, to its end; on the first so many cores, or on all.
pub(crate) fn run(cores: Option<usize>, pipeline: &Path, workers: usize) -> Usage {
    let mut launch = cores.map_or_else(|| Command::new(MILLSTREAM), |cores| on(cores, MILLSTREAM));
    watch(launch.arg("run").arg(pipeline).args(["--until-end", "-w", &workers.to_string()]))
}

/// All Parquet files below a folder.
pub(crate) fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| match path.is_dir() {
        true => parquet_files(&path),
        false => Vec::from_iter((path.extension() == Some("parquet".as_ref())).then_some(path)),
    });
    files.collect()
}

/// The middle one, and the least and the most.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

/// The number that an argument of the bench gives as `name=number`.
pub(crate) fn argument(name: &str, otherwise: u64) -> u64 {
    let named = |argument: String| argument.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
    std::env::args().find_map(named).unwrap_or(otherwise)
}
