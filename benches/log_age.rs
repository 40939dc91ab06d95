//! What a log costs with age: `cargo bench --bench log_age [-- commits=1000000 splits=10000]`.
//!
//! On versitygw, a real S3 server (`tests/services/s3 install` first):
//!
//! - start: the release binary starts on a log of 100 commits and on one of `commits`, made by this tool with the library's
//!   own snapshots, with nothing new to read; fails where the old one takes more than 1.5 times as long, or 2 s;
//! - fold: the old log's commits are folded away; the start and `epochs` are measured again;
//! - commit: one commit of `splits` splits, with its lists, from draft to durable; fails at 100 ms.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and waits for processes")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot run has nothing to say")]

mod measure;
#[path = "../tests/services/mod.rs"]
mod services;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, stream};
use measure::{MILLSTREAM, argument, articles, median};
use millstream::connector::Store;
use millstream::connector::local::LocalStore;
use millstream::log::append::{Large, append_with};
use millstream::log::objects::commit_key;
use millstream::log::{read, snapshot};
use millstream_operators::Position;
use millstream_operators::protocol::{Commit, SplitProgress, State};
use services::s3::{BUCKET, Kind, Server, server, store};

const STARTS: usize = 5;
const YOUNG: u64 = 100;
/// How often the tool lays down a snapshot, as a run would.
const SNAPSHOT_EVERY: u64 = 1_000;
const PUTS_AT_ONCE: usize = 64;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    // It has a runtime of its own.
    articles(&folder.path().join("in"), 1, 1);
    tokio::runtime::Runtime::new().unwrap().block_on(measured(folder.path()))
}

async fn measured(folder: &Path) -> ExitCode {
    let server = server(Kind::Versitygw).await;
    let commits = argument("commits", 20_000);
    let young = aged(folder, server, "young", YOUNG).await;
    let old = aged(folder, server, "old", commits).await;
    let good = [compare(server, &young, &old, commits), folded(server, &old), commit(server).await];
    if good.iter().all(|good| *good) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A pipeline with a log of so many commits.
async fn aged(folder: &Path, server: &Server, name: &str, commits: u64) -> PathBuf {
    let file = folder.join(format!("{name}.toml"));
    let text = format!(
        "name = \"aged\"\n[source]\ntype = \"files\"\npath = {:?}\n[schema]\narticle_id = \"string!\"\ncontent = \"string!\"\n\
         [enrich]\nword_count = \"word_count(content)\"\n[[average]]\nof = \"word_count\"\n\
         [sink]\npath = \"s3://{BUCKET}/log-age/{name}\"\nendpoint = {:?}\n",
        folder.join("in"),
        server.endpoint
    );
    std::fs::write(&file, text).unwrap();
    millstream(server, &file, "run", &["--until-end"]);
    let (store, begun) = (store(Kind::Versitygw, &format!("log-age/{name}")).await, Instant::now());
    let last = read::end(&*store).await.unwrap();
    let mut state = read::state(&*store, last).await.unwrap();
    while state.commit < commits {
        let until = commits.min(state.commit + SNAPSHOT_EVERY);
        let batch = batch(&mut state, until);
        let puts = stream::iter(batch).map(|(key, bytes)| {
            let store = store.clone();
            async move { store.put(&key, bytes.into()).await.unwrap() }
        });
        puts.buffer_unordered(PUTS_AT_ONCE).collect::<Vec<()>>().await;
        state.published = state.commit - 1;
        let generation = state.generation;
        let laid = snapshot::lay(&*store, &mut state, generation).await.unwrap();
        state.ended(state.published, Some(laid));
    }
    read::leave_hint(&*store, state.commit).await;
    println!("{name}: {commits} commits made in {:.0} s", begun.elapsed().as_secs_f64());
    file
}

/// The commits up to `until`, as an epoch without files leaves them.
fn batch(state: &mut State, until: u64) -> Vec<(String, Vec<u8>)> {
    let mut made = Vec::new();
    while state.commit < until {
        let commit = Commit {
            writer: "tool".into(),
            version: "0.0.0".into(),
            at: "2024-01-01T00:00:00.000Z".into(),
            epoch: state.epoch + 1,
            published: state.commit,
            ..state.next()
        };
        let bytes = commit.to_bytes();
        state.apply(&commit, bytes.len() as u64).unwrap();
        made.push((commit_key(commit.commit), bytes));
    }
    made
}

/// Runs the release binary; seconds of wall time.
fn millstream(server: &Server, file: &Path, command: &str, more: &[&str]) -> f64 {
    let begun = Instant::now();
    let mut process = Command::new(MILLSTREAM);
    process.args([command, file.to_str().unwrap()]).args(more).stdout(Stdio::null()).stderr(Stdio::null());
    process.env("AWS_ACCESS_KEY_ID", server.credentials.access_key_id());
    process.env("AWS_SECRET_ACCESS_KEY", server.credentials.secret_access_key());
    assert!(process.status().unwrap().success(), "{command} {}", file.display());
    begun.elapsed().as_secs_f64()
}

fn compare(server: &Server, young: &Path, old: &Path, commits: u64) -> bool {
    let pairs: Vec<(f64, f64)> = (0..STARTS)
        .map(|_| {
            let start = |file| millstream(server, file, "run", &["--until-end"]);
            (start(young), start(old))
        })
        .collect();
    let (young, ..) = median(pairs.iter().map(|pair| pair.0));
    let (old, least, most) = median(pairs.iter().map(|pair| pair.1));
    let good = old < 2.0 && old < 1.5 * young;
    println!(
        "start after {commits} commits {old:.3} s ({least:.3}–{most:.3}), after {YOUNG} {young:.3} s: {:.2} times {}",
        old / young,
        if good { "ok" } else { "MISSED" }
    );
    good
}

fn folded(server: &Server, old: &Path) -> bool {
    let before = millstream(server, old, "epochs", &[]);
    let began = Instant::now();
    let mut process = Command::new(MILLSTREAM);
    process.args(["log", "fold", old.to_str().unwrap(), "--before", "1s"]);
    process.env("AWS_ACCESS_KEY_ID", server.credentials.access_key_id());
    process.env("AWS_SECRET_ACCESS_KEY", server.credentials.secret_access_key());
    assert!(process.status().unwrap().success());
    let fold = began.elapsed().as_secs_f64();
    let after = millstream(server, old, "epochs", &[]);
    let start = millstream(server, old, "run", &["--until-end"]);
    println!(
        "folded in {fold:.1} s; epochs took {before:.1} s before and {after:.1} s after; a start after it {start:.3} s"
    );
    true
}

/// One commit of many splits.
async fn commit(server: &Server) -> bool {
    let splits = argument("splits", 10_000);
    let local = tempfile::tempdir().unwrap();
    let stores: [(&str, Arc<dyn Store>); 2] = [
        ("local", Arc::new(LocalStore::new(local.path().to_str().unwrap()))),
        (
            "versitygw",
            Arc::new(millstream::connector::s3::S3Store::connect(server.place("log-age/splits")).await.unwrap()),
        ),
    ];
    let mut good = true;
    for (name, store) in stores {
        let times = stream::iter(1..=STARTS as u64).then(|number| {
            let store = store.clone();
            async move {
                let progress = |at| SplitProgress { at: Position::at(at), records: 7, digest: None, done: false };
                let positions: BTreeMap<_, _> = (0..splits)
                    .map(|split| (format!("shardId-{split:012}").into(), progress(split + number)))
                    .collect();
                let mut commit = Commit { commit: number, epoch: number, positions, ..State::default().next() };
                let begun = Instant::now();
                append_with(&*store, &mut commit, Large::default()).await.unwrap();
                begun.elapsed().as_secs_f64() * 1e3
            }
        });
        let times: Vec<f64> = times.collect().await;
        let (middle, least, most) = median(times);
        let fine = middle < 100.0;
        println!(
            "commit of {splits} splits, {name}: {middle:.1} ms ({least:.1}–{most:.1}) {}",
            if fine { "ok" } else { "MISSED" }
        );
        good &= fine;
    }
    good
}
