//! `plan`: shows the dataflow of a pipeline, as text or as a Mermaid diagram, and with `--connect` who would read what.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use millstream_operators::protocol::assign::Bounds;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, Exchange, Hook, Sink};
use crate::log::owner::TakeOver;
use crate::run::{self, Options};
use crate::stages::{Stages, steps};

use super::{Failure, Plan, load};

/// A box of the dataflow: its name, and what it does in this pipeline.
struct Stage {
    name: String,
    what: String,
    after: Vec<String>,
}

/// Shows the dataflow.
pub(super) fn plan(asked: &Plan, out: &mut impl Write) -> Result<(), Failure> {
    let stages = load::stages(&asked.pipeline.path)?;
    let boxes = boxes(&stages);
    let readers = if asked.connect { Some(Readers::look(&stages, asked)?) } else { None };
    if asked.mermaid {
        writeln!(out, "flowchart LR")?;
        for stage in &boxes {
            let id = stage.name.replace([' ', '-'], "_");
            writeln!(out, "  {id}[\"{}<br/>{}\"]", stage.name, stage.what.replace('"', "&quot;"))?;
            for after in &stage.after {
                writeln!(out, "  {} --> {id}", after.replace([' ', '-'], "_"))?;
            }
        }
        return readers.map_or(Ok(()), |readers| Ok(readers.draw(out)?));
    }
    let (name, workers) = (&stages.config().name, asked.workers.get() * asked.processes.get());
    let processes = match asked.processes.get() {
        1 => String::new(),
        processes => format!(" in {processes} processes"),
    };
    writeln!(out, "{name:?}: {workers} workers{processes}, each with this dataflow; worker 0 commits")?;
    for stage in &boxes {
        let after = if stage.after.is_empty() { String::new() } else { format!("  ← {}", stage.after.join(", ")) };
        writeln!(out, "  {:<14} {}{after}", stage.name, stage.what)?;
    }
    readers.map_or(Ok(()), |readers| Ok(readers.list(out)?))
}

/// Who would read what, were the pipeline started now.
struct Readers {
    /// The splits of each worker.
    of: Vec<Vec<String>>,
    /// Those that wait: for their parents to be read to the end, or for a worker to have room.
    waiting: Vec<String>,
    workers: usize,
}

impl Readers {
    fn look(stages: &Stages, asked: &Plan) -> Result<Self, Failure> {
        let (workers, clock) = (asked.workers.get(), Clock::system());
        let all = workers * asked.processes.get();
        let options = Options {
            workers: all,
            bounds: Bounds::Unbounded,
            writer: load::writer(&clock),
            sources: run::sources(Bounds::Unbounded, &clock),
            clock,
            on_commit: Arc::new(|_| {}),
            accept: BTreeSet::new(),
            take_over: TakeOver::default(),
            stop: CancellationToken::new(),
        };
        let foreseen = load::runtime()?.block_on(run::foresee(stages, &options));
        let mut foreseen = foreseen.map_err(|fatal| Failure::new(fatal.exit(), fatal))?;
        let mut of = vec![Vec::new(); all];
        for start in foreseen.starts {
            foreseen.splits.remove(&start.split.name);
            let from = start.from.map(|from| format!(" from {}", from.order())).unwrap_or_default();
            of[start.worker].push(format!("{}{from}", start.split.name));
        }
        let waiting = foreseen.splits.iter().map(|split| split.to_string()).collect();
        Ok(Readers { of, waiting, workers })
    }

    fn list(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "  at a start now:")?;
        for (worker, splits) in self.of.iter().enumerate() {
            let reads = if splits.is_empty() { "nothing".to_owned() } else { some_of(splits) };
            writeln!(out, "  worker {worker:<7} process {}  reads {reads}", worker / self.workers)?;
        }
        match self.waiting.is_empty() {
            true => Ok(()),
            false => writeln!(out, "  later, or already read to the end: {}", some_of(&self.waiting)),
        }
    }

    fn draw(&self, out: &mut impl Write) -> io::Result<()> {
        for (process, workers) in self.of.chunks(self.workers).enumerate() {
            writeln!(out, "  subgraph process_{process}")?;
            for (worker, splits) in workers.iter().enumerate() {
                let worker = process * self.workers + worker;
                let reads = if splits.is_empty() { "nothing".to_owned() } else { some_of(splits) };
                writeln!(out, "    worker_{worker}[\"worker {worker}<br/>{}\"]", reads.replace('"', "&quot;"))?;
            }
            writeln!(out, "  end\n  process_{process} --> ingest")?;
        }
        Ok(())
    }
}

/// The first few of many names.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len() - names.len().min(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn boxes(stages: &Stages) -> Vec<Stage> {
    let config = stages.config();
    let stage = |name: &str, what: String, after: &[&str]| Stage {
        name: name.to_owned(),
        what,
        after: after.iter().map(|name| (*name).to_owned()).collect(),
    };
    let averages: Vec<&str> = stages.averages().iter().map(|average| average.name.as_str()).collect();
    let averages = if averages.is_empty() { "nothing to do".to_owned() } else { averages.join(", ") };
    let spread = match config.balance.exchange {
        Exchange::None => "",
        Exchange::Batches => ", of batches from all workers",
    };
    let mut boxes = vec![
        stage("ingest", config.source.shown(), &[]),
        stage("decode", format!("{} columns{spread}", config.schema.columns.len()), &["ingest"]),
    ];
    let (mut last, mut refusing) = ("decode", vec!["decode"]);
    for step in &steps::STEPS {
        let Some(does) = (step.does)(config) else { continue };
        boxes.push(stage(step.name, does, &[last]));
        last = step.name;
        refusing.extend(step.refuses.then_some(step.name));
    }
    refusing.push("route");
    boxes.push(stage("route", routed(config), &[last]));
    let mut laid = vec!["ingest".to_owned(), "route".to_owned()];
    for sink in &config.sinks {
        let by = sink.partition.join(", ");
        let by = if by.is_empty() { "one folder".to_owned() } else { format!("by {by}") };
        let name = |step: &str| if sink.place.is_data() { step.to_owned() } else { format!("{step} {}", sink.place) };
        boxes.push(stage(&name("encode"), format!("Parquet, {by}"), &["route"]));
        boxes.push(stage(&name("stage"), format!("uploads to {}", sink.location.path.written()), &[&name("encode")]));
        laid.push(name("stage"));
    }
    laid.extend(["rejects".to_owned(), "average".to_owned()]);
    let rejects = format!("to {}", config.rejects.path.written());
    boxes.push(stage("rejects", rejects, &refusing));
    boxes.push(stage("average", averages, &["route"]));
    let log = format!("{}/.millstream/commits", config.log_location().path.written());
    boxes.push(Stage { name: "commit".to_owned(), what: log, after: laid });
    boxes.push(stage("publish", "completes the uploads".to_owned(), &["commit"]));
    if let Some(notify) = &config.notify {
        let receiver = match &notify.hook {
            Hook::Webhook(url) => format!("POST to {}", url.written()),
            Hook::WebhookFile(file) => format!("POST to the URL in {}", file.written()),
            Hook::Command(command) => {
                format!("runs {}", command.iter().map(|word| word.written()).collect::<Vec<_>>().join(" "))
            }
        };
        boxes.push(stage("notify", receiver, &["publish"]));
    }
    boxes
}

fn routed(config: &Config) -> String {
    let takes = |sink: &Sink| match &sink.filter {
        None => format!("{} takes every row", sink.told()),
        Some(filter) => format!("{} takes rows with {}", sink.told(), filter.sql.written()),
    };
    config.sinks.iter().map(takes).collect::<Vec<_>>().join("; ")
}
