//! `epochs`, `files`, `averages`: what is committed, as text or as the JSON that scripts rely on.
//!
//! They read the log and nothing else, so they may be asked at any time, also while the pipeline runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use futures::TryStreamExt;
use millstream_operators::average::{AverageId, AverageTotals};
use millstream_operators::protocol::{Commit, Counts, Place, State, Term};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::averages::known::Known;
use crate::exit::Fatal;
use crate::followers::{self, notify};
use crate::log::read;
use crate::places;
use crate::stages::Stages;

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
    /// Records that no sink took.
    filtered: i64,
    /// Records that are kept until later.
    held: i64,
    bytes: u64,
    /// Rows by sink, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    sinks: Option<BTreeMap<String, u64>>,
    /// Who of `[notify]` has heard of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    notified: Option<bool>,
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
    sink: String,
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
    let (mut epochs, mut sinks) = (Vec::new(), State::default().sinks);
    each_commit(&stages, |commit| {
        if let Some(now) = &commit.sinks {
            sinks.clone_from(now);
        }
        epochs.push(epoch(&commit, &sinks));
    })?;
    if stages.config().notify.is_some() {
        let heard = with_log(&stages, async |store| followers::progress(store, notify::NAME).await)?;
        for epoch in &mut epochs {
            epoch.notified = Some(heard.is_some_and(|heard| epoch.commit <= heard));
        }
    }
    show(asked.json, out, &epochs, |out, shown| {
        let Epoch { commit, epoch, generation, at, files, rows, rejects, filtered, held, bytes, .. } = shown;
        let Epoch { sinks, notified, note, .. } = shown;
        let note = note.as_ref().map_or_else(String::new, |note| format!("  {note}"));
        let mut more = String::new();
        for (records, word) in
            [(filtered, "filtered"), (held, "held")].into_iter().filter(|(records, _)| **records != 0)
        {
            more.push_str(&format!("  {records} {word}"));
        }
        if *notified == Some(false) {
            more.push_str("  not notified yet");
        }
        let sinks = sinks.iter().flatten().map(|(sink, rows)| format!("  {sink}: {rows}"));
        more.extend(sinks);
        writeln!(
            out,
            "commit {commit}  epoch {epoch}  generation {generation}  {at}  {files} files  {rows} rows  {rejects} rejects{more}  {bytes} bytes{note}"
        )
    })
}

/// A commit; `sinks` are those in force.
fn epoch(commit: &Commit, sinks: &BTreeMap<Place, String>) -> Epoch {
    let rows = commit.rows_by_sink();
    let by_sink = || sinks.keys().map(|sink| (sink.name().to_owned(), rows.get(sink).copied().unwrap_or(0)));
    let every = Counts::every();
    Epoch {
        filtered: commit.counts.total(Term::Filtered, &every),
        held: commit.counts.total(Term::Held, &every),
        notified: None,
        sinks: (sinks.len() > 1).then(|| by_sink().collect()),
        commit: commit.commit,
        epoch: commit.epoch,
        generation: commit.generation,
        at: commit.at.clone(),
        files: commit.files.len(),
        rows: rows.values().sum(),
        rejects: commit.reject_rows(),
        bytes: commit.files.iter().map(|file| file.bytes).sum(),
        note: (!commit.notes.is_empty()).then(|| commit.notes.join("; ")),
    }
}

/// `files`.
pub(super) fn files(asked: &Look, out: &mut impl Write) -> Result<(), Failure> {
    let stages = load::stages(&asked.pipeline.path)?;
    let (mut files, mut gone) = (Vec::new(), BTreeSet::new());
    let mut roots = Roots::new(&stages);
    each_commit(&stages, |commit| {
        roots.take_in(&commit);
        let replaced = commit.replaces.iter().map(|file| (file.place.clone(), file.path.clone()));
        gone.extend(replaced.chain(commit.lost.iter().map(|file| (file.place.clone(), file.path.clone()))));
        files.extend(commit.files.iter().map(|file| {
            let shown = File {
                path: file.path.clone(),
                rows: file.rows,
                bytes: file.bytes,
                commit: commit.commit,
                sink: file.sink.name().to_owned(),
            };
            (file.sink.clone(), file.path.clone(), shown)
        }));
    })?;
    let there = files.into_iter().filter(|(sink, path, _)| !gone.contains(&(sink.clone(), path.clone())));
    let files: Vec<File> =
        there.map(|(sink, _, file)| File { path: format!("{}/{}", roots.of(&sink), file.path), ..file }).collect();
    show(asked.json, out, &files, |out, File { path, rows, bytes, commit, sink }| {
        let sink = if stages.config().sinks.len() > 1 { format!("  {sink}") } else { String::new() };
        writeln!(out, "{path}  {rows} rows  {bytes} bytes  commit {commit}{sink}")
    })
}

/// The path of each sink: as the pipeline file says it, or as the log does of a sink that the file has no more.
struct Roots {
    log: String,
    paths: BTreeMap<Place, String>,
}

impl Roots {
    fn new(stages: &Stages) -> Self {
        let root = |path: &str| path.trim_end_matches('/').to_owned();
        let config = stages.config();
        let paths = config.sinks.iter().map(|sink| (sink.place.clone(), root(sink.location.path.as_str())));
        Roots { log: root(config.log_location().path.as_str()), paths: paths.collect() }
    }

    fn take_in(&mut self, commit: &Commit) {
        for (place, path) in commit.sinks.iter().flatten() {
            let path = if path.is_empty() { &self.log } else { path };
            self.paths.entry(place.clone()).or_insert_with(|| path.clone());
        }
    }

    fn of(&self, place: &Place) -> &str {
        self.paths.get(place).unwrap_or(&self.log)
    }
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
        let complete = state.operators.defined::<AverageTotals>().get(&id.average);
        complete.is_some() && complete == present.get(&id.average) && known.has(id)
    };
    let totals = state.operators.get::<AverageTotals>().into_iter().flat_map(AverageTotals::iter);
    for (id, total) in totals.filter(|(id, _)| all || is_present(id)) {
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
        let places = places::open(stages).await?;
        look(&*places.log).await
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
