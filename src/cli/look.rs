//! `epochs`, `files`, `averages`: what is committed, as text or as the JSON that scripts rely on.
//!
//! They read the log and nothing else, so they may be asked at any time, also while the pipeline runs.

use std::collections::BTreeSet;
use std::io::Write;

use futures::TryStreamExt;
use millstream_operators::protocol::recover::Place;
use millstream_operators::protocol::{AverageId, Commit, State};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::exit::Fatal;
use crate::log::read;
use crate::run;
use crate::stages::Stages;
use crate::totals::Known;

use super::{Averages, Failure, Look, load};

/// A commit, as `epochs` shows it.
#[derive(Serialize)]
struct Epoch {
    commit: u64,
    epoch: u64,
    generation: u64,
    at: String,
    files: usize,
    rows: u64,
    rejects: u64,
    bytes: u64,
    /// What changed or was accepted.
    note: Option<String>,
}

/// A data file, as `files` shows it.
#[derive(Serialize)]
struct File {
    path: String,
    rows: u64,
    bytes: u64,
    commit: u64,
}

/// An average, as `averages` shows it.
#[derive(Serialize)]
struct Average {
    average: String,
    by: String,
    from: Option<String>,
    group: Map<String, Value>,
    sum: String,
    count: i64,
    mean: Option<f64>,
}

/// `epochs`.
pub(super) fn epochs(asked: &Look, out: &mut impl Write) -> Result<(), Failure> {
    let stages = load::stages(&asked.pipeline.path)?;
    let mut epochs = Vec::new();
    each_commit(&stages, |commit| epochs.push(epoch(&commit)))?;
    show(asked.json, out, &epochs, |out, epoch| {
        let Epoch { commit, epoch, generation, at, files, rows, rejects, bytes, note } = epoch;
        let note = note.as_ref().map_or_else(String::new, |note| format!("  {note}"));
        writeln!(
            out,
            "commit {commit}  epoch {epoch}  generation {generation}  {at}  {files} files  {rows} rows  {rejects} rejects  {bytes} bytes{note}"
        )
    })
}

fn epoch(commit: &Commit) -> Epoch {
    Epoch {
        commit: commit.commit,
        epoch: commit.epoch,
        generation: commit.generation,
        at: commit.at.clone(),
        files: commit.files.len(),
        rows: commit.rows(),
        rejects: commit.reject_rows(),
        bytes: commit.files.iter().map(|file| file.bytes).sum(),
        note: (!commit.notes.is_empty()).then(|| commit.notes.join("; ")),
    }
}

/// `files`.
pub(super) fn files(asked: &Look, out: &mut impl Write) -> Result<(), Failure> {
    let stages = load::stages(&asked.pipeline.path)?;
    let root = stages.config().sink.location.path.as_str().trim_end_matches('/').to_owned();
    let (mut files, mut gone): (Vec<File>, BTreeSet<String>) = Default::default();
    each_commit(&stages, |commit| {
        let replaced = commit.replaces.iter().map(|file| (file.place, &file.path));
        let gone_now = replaced.chain(commit.lost.iter().map(|file| (file.place, &file.path)));
        gone.extend(gone_now.filter(|(place, _)| *place == Place::Data).map(|(_, path)| format!("{root}/{path}")));
        files.extend(commit.files.iter().map(|file| File {
            path: format!("{root}/{}", file.path),
            rows: file.rows,
            bytes: file.bytes,
            commit: commit.commit,
        }));
    })?;
    files.retain(|file| !gone.contains(&file.path));
    show(asked.json, out, &files, |out, File { path, rows, bytes, commit }| {
        writeln!(out, "{path}  {rows} rows  {bytes} bytes  commit {commit}")
    })
}

/// `averages`.
pub(super) fn averages(asked: &Averages, out: &mut impl Write) -> Result<(), Failure> {
    let stages = load::stages(&asked.look.pipeline.path)?;
    let known = Known::new(&stages.averager()?);
    let state = with_log(&stages, async |store| read::state(store, read::end(store).await?).await)?;
    show(asked.look.json, out, &all_averages(&known, &state, asked.all), |out, average| {
        let Average { average, by, from, group, sum, count, mean } = average;
        let from = from.as_deref().unwrap_or("");
        let group: String = group.iter().map(|(column, value)| format!("  {column}={value}")).collect();
        let mean = mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.4}"));
        writeln!(out, "{average}  {by}  {from}{group}  mean {mean}  sum {sum}  count {count}")
    })
}

/// The averages of the present definition; with `all` those too that it no longer has.
fn all_averages(known: &Known, state: &State, all: bool) -> Vec<Average> {
    let mut averages = Vec::new();
    let present = known.definitions();
    let is_present = |id: &AverageId| {
        let complete = state.kept.get(&id.average);
        complete.is_some() && complete == present.get(&id.average) && known.has(id)
    };
    for (id, total) in state.averages.iter().filter(|(id, _)| all || is_present(id)) {
        let columns = known.named(&id.average).map(|(spec, _)| spec.group.clone()).unwrap_or_default();
        let values = id.group.iter().map(|value| value.clone().map_or(Value::Null, Value::String));
        averages.push(Average {
            average: id.average.clone(),
            by: id.by.clone(),
            from: id.from.clone(),
            group: columns.into_iter().zip(values).collect(),
            sum: total.sum.clone(),
            count: total.count,
            mean: known.mean(&id, &total),
        });
    }
    averages
}

/// Calls `each` with every commit of a pipeline, in order.
fn each_commit(stages: &Stages, mut each: impl FnMut(Commit)) -> Result<(), Failure> {
    with_log(stages, async |store| {
        let mut commits = read::stream(store, 1, read::end(store).await?).await?;
        while let Some((commit, _)) = commits.try_next().await? {
            each(commit);
        }
        Ok(())
    })
}

fn with_log<T>(
    stages: &Stages,
    look: impl AsyncFnOnce(&dyn crate::connector::Store) -> Result<T, Fatal>,
) -> Result<T, Failure> {
    let looked = load::runtime()?.block_on(async {
        let places = run::places(stages).await?;
        look(&*places.data).await
    });
    looked.map_err(|fatal| Failure::new(fatal.exit(), fatal))
}

/// One line a thing, or all of them as a JSON array.
fn show<T: Serialize, W: Write>(
    json: bool,
    out: &mut W,
    things: &[T],
    line: impl Fn(&mut W, &T) -> std::io::Result<()>,
) -> Result<(), Failure> {
    if json {
        serde_json::to_writer_pretty(&mut *out, things).map_err(Failure::failed)?;
        writeln!(out)?;
    } else {
        things.iter().try_for_each(|thing| line(out, thing))?;
    }
    Ok(())
}
