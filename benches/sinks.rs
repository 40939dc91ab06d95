//! The cost of a second sink and of `[dedup]`: `cargo bench --bench sinks [-- mb=300 rounds=3 keys=10000000 old=/path]`.
//!
//! Part 1 writes articles as zstd(3) Parquet with one worker on one core. It alternates between one sink, a second sink that takes a
//! tenth of the rows, `[dedup]` without duplicates, and the binary `old` if given. Part 2 deduplicates `keys` distinct keys and
//! reports memory, the restart, and log sizes.
//!
//! Fails if a row of the second sink costs more than one of the first, if dedup costs 15 % or runs below 60 MB/s, or if a key
//! needs 60 bytes of resident memory.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and waits for processes")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use measure::{MILLSTREAM, Usage, argument, articles, median, on, parquet_files, pipeline, run, watch};

const LEAST_SPEED: f64 = 60.0;
const MOST_LOSS: f64 = 0.15;
const MOST_BYTES: f64 = 60.0;

fn main() -> ExitCode {
    let good = [sinks(), keys(argument("keys", 10_000_000))];
    if good.iter().all(|good| *good) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Name and additional configuration of each variant.
fn variants(folder: &Path) -> [(&'static str, String); 3] {
    let tenth = format!(
        "[[sink]]\nname = \"tenth\"\npath = \"{}\"\ncompression = \"zstd(3)\"\nwhere = \"word_count % 10 = 0\"\n",
        folder.join("tenth").display()
    );
    let dedup = "[dedup]\nby = \"article_id\"\nwithin = \"7 days\"\n".to_owned();
    [("one sink", String::new()), ("a second one of a tenth", tenth), ("dedup", dedup)]
}

fn old() -> Option<PathBuf> {
    std::env::args().find_map(|argument| argument.strip_prefix("old=").map(PathBuf::from))
}

fn sinks() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (bytes, count) = articles(&folder.join("in"), argument("mb", 300), 4);
    println!("{count} articles, {:.0} MB of NDJSON, one worker on one core", bytes as f64 / 1e6);
    let variants = variants(folder);
    let mut usages: Vec<Vec<Usage>> = vec![Vec::new(); variants.len() + 1];
    for _ in 0..argument("rounds", 3) {
        for (index, (_, more)) in variants.iter().enumerate() {
            usages[index].push(piped(folder, more, MILLSTREAM.as_ref()));
        }
        if let Some(old) = old() {
            usages[variants.len()].push(piped(folder, "", &old));
        }
    }
    let mut names: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
    names.push("one sink, the old binary");
    for (name, usages) in names.iter().zip(&usages).filter(|(_, usages)| !usages.is_empty()) {
        let (cpu, least, most) = median(usages.iter().map(|usage| usage.cpu));
        let (peak, ..) = median(usages.iter().map(|usage| usage.peak));
        let speed = bytes as f64 / 1e6 / cpu;
        println!(
            "{name:<26} cpu {cpu:6.2} s ({least:.2}–{most:.2})  {speed:5.0} MB/s of processor time  peak {peak:4.0} MiB"
        );
    }
    let ratio = |of: usize, to: usize| median(usages[of].iter().zip(&usages[to]).map(|(of, to)| of.cpu / to.cpu));
    let tenth = parquet_rows(&folder.join("tenth")) as f64 / count as f64;
    let (second, ..) = ratio(1, 0);
    let per_row = (second - 1.0) / tenth;
    println!("the second sink takes {:.1} % of the rows: {per_row:.2} of what a row of the first costs", tenth * 100.0);
    let (loss, ..) = ratio(2, 0);
    let (cpu, ..) = median(usages[2].iter().map(|usage| usage.cpu));
    let speed = bytes as f64 / 1e6 / cpu;
    println!("dedup: {speed:.0} MB/s, {:.1} % more than without", (loss - 1.0) * 100.0);
    if !usages[variants.len()].is_empty() {
        let (same, least, most) = ratio(0, variants.len());
        println!("one sink, by the old binary: {same:.3} ({least:.3}–{most:.3}) of its processor time");
    }
    per_row <= 1.0 && speed >= LEAST_SPEED && loss - 1.0 < MOST_LOSS
}

fn piped(folder: &Path, more: &str, program: &Path) -> Usage {
    for name in ["out", "out-rejects", "tenth"] {
        // The second sink's output is kept for the row count at the end.
        if name != "tenth" || more.contains("tenth") {
            let _ = fs::remove_dir_all(folder.join(name));
        }
    }
    let path = pipeline(folder, &folder.join("in"), &folder.join("out"), "[]");
    let mut text = fs::read_to_string(&path).unwrap();
    if more.contains("[[sink]]") {
        text = text.replace("[sink]\n", "[[sink]]\nname = \"all\"\n");
    }
    fs::write(&path, format!("{text}{more}")).unwrap();
    let usage = watch(on(1, program).arg("run").arg(&path).args(["--until-end", "-w", "1"]));
    assert!(!parquet_files(&folder.join("out")).is_empty());
    usage
}

fn parquet_rows(folder: &Path) -> i64 {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let rows = |path: PathBuf| {
        let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
        reader.metadata().file_metadata().num_rows()
    };
    parquet_files(folder).into_iter().map(rows).sum()
}

/// Part 2.
fn keys(keys: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("in")).unwrap();
    for file in 0..4 {
        let out = fs::File::create(folder.join(format!("in/{file}.ndjson"))).unwrap();
        let mut out = BufWriter::new(out);
        for key in (file..keys).step_by(4) {
            writeln!(out, "{{\"id\":\"event-{key:016x}\"}}").unwrap();
        }
    }
    let dedup = "[dedup]\nby = \"id\"\nwithin = \"7 days\"\n";
    let plain = keyed(folder, "plain", "");
    let deduped = keyed(folder, "deduped", dedup);
    let again = keyed(folder, "deduped", dedup);
    let resident = settled(folder, "deduped") - settled(folder, "plain");
    let log = folder.join("deduped/.millstream");
    let (objects, largest) = sizes(&log.join("state"));
    let (snapshots, _) = sizes(&log.join("snapshots"));
    let each = |mebibytes: f64| mebibytes * (1 << 20) as f64 / keys as f64;
    let per_key = each(resident);
    println!(
        "{keys} keys: {per_key:.1} bytes of memory a key while it runs, {:.1} at the most; {:.2} s of wall time, {:.2} s without dedup",
        each(deduped.peak - plain.peak),
        deduped.wall,
        plain.wall
    );
    println!("a start with all of them, and nothing new: {:.2} s, peak {:.0} MiB", again.wall, again.peak);
    println!(
        "in the log: {:.1} MB of changes, {:.2} MB the largest object, {:.1} MB in snapshots, {:.1} bytes a key",
        objects as f64 / 1e6,
        largest as f64 / 1e6,
        snapshots as f64 / 1e6,
        snapshots as f64 / keys as f64
    );
    per_key < MOST_BYTES
}

fn keyed(folder: &Path, name: &str, more: &str) -> Usage {
    let path = folder.join(format!("{name}.toml"));
    let text = format!(
        "name = \"keys\"\n[source]\ntype = \"files\"\npath = \"{}\"\n[schema]\nid = \"string!\"\n{more}\
         [sink]\npath = \"{}\"\ncompression = \"zstd(1)\"\n[limits]\nmemory = \"2GiB\"\n[epoch]\nmax_bytes = \"64MiB\"\n",
        folder.join("in").display(),
        folder.join(name).display()
    );
    fs::write(&path, text).unwrap();
    run(Some(1), &path, 1)
}

/// Resident memory in MiB of a run that has read everything, once it is stable.
fn settled(folder: &Path, name: &str) -> f64 {
    let mut run = Command::new(MILLSTREAM);
    run.arg("run").arg(folder.join(format!("{name}.toml"))).args(["-w", "1"]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut same, mut last) = (0, 0.0);
    while same < 8 {
        std::thread::sleep(Duration::from_millis(500));
        let status = fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let now = line.trim().strip_suffix("kB").unwrap().trim().parse::<f64>().unwrap() / 1024.0;
        same = if f64::abs(now - last) < 1.0 { same + 1 } else { 0 };
        last = now;
    }
    run.kill().unwrap();
    run.wait().unwrap();
    last
}

/// Bytes of the files in a folder, and of the largest.
fn sizes(folder: &Path) -> (u64, u64) {
    let Ok(entries) = fs::read_dir(folder) else { return (0, 0) };
    let sizes: Vec<u64> = entries.map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
    (sizes.iter().sum(), sizes.into_iter().max().unwrap_or(0))
}
