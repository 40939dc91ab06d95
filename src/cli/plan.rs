//! `plan`: shows the dataflow of a pipeline, as text or as a Mermaid diagram.

use std::io::Write;

use crate::config::{Exchange, Source};
use crate::stages::Stages;

use super::{Failure, Plan, load};

/// A box of the dataflow: its name, and what it does in this pipeline.
struct Stage {
    name: &'static str,
    what: String,
    after: &'static [&'static str],
}

/// Shows the dataflow.
pub(super) fn plan(asked: &Plan, out: &mut impl Write) -> Result<(), Failure> {
    let stages = load::stages(&asked.pipeline.path)?;
    let boxes = boxes(&stages);
    let workers = asked.workers.get() * asked.processes.get();
    if asked.mermaid {
        writeln!(out, "flowchart LR")?;
        for stage in &boxes {
            let id = stage.name.replace(' ', "_");
            writeln!(out, "  {id}[\"{}<br/>{}\"]", stage.name, stage.what.replace('"', "&quot;"))?;
            for after in stage.after {
                writeln!(out, "  {} --> {id}", after.replace(' ', "_"))?;
            }
        }
        return Ok(());
    }
    writeln!(out, "{:?}: {workers} workers, each with this dataflow; worker 0 commits", stages.config().name)?;
    for stage in &boxes {
        let after = if stage.after.is_empty() { String::new() } else { format!("  ← {}", stage.after.join(", ")) };
        writeln!(out, "  {:<14} {}{after}", stage.name, stage.what)?;
    }
    Ok(())
}

fn boxes(stages: &Stages) -> Vec<Stage> {
    let config = stages.config();
    let stage = |name, what, after| Stage { name, what, after };
    let names = |names: Vec<&str>| if names.is_empty() { "nothing to do".to_owned() } else { names.join(", ") };
    let rules = names(config.validate.iter().map(|rule| rule.name.as_str()).collect());
    let columns = names(config.enrich.iter().map(|column| column.name.as_str()).collect());
    let averages = names(stages.averages().iter().map(|average| average.name.as_str()).collect());
    let sink = config.sink.location.path.written();
    let by = config.sink.partition.join(", ");
    let laid = if by.is_empty() { "one folder".to_owned() } else { format!("by {by}") };
    let spread = match config.balance.exchange {
        Exchange::None => "",
        Exchange::Batches => ", of batches from all workers",
    };
    vec![
        stage("ingest", source(&config.source), &[]),
        stage("decode", format!("{} columns{spread}", config.schema.columns.len()), &["ingest"]),
        stage("validate", rules, &["decode"]),
        stage("enrich", columns, &["validate"]),
        stage("encode", format!("Parquet, {laid}"), &["enrich"]),
        stage("stage", format!("uploads to {sink}"), &["encode"]),
        stage("rejects", format!("to {}", config.rejects.path.written()), &["decode", "validate", "enrich"]),
        stage("average", averages, &["enrich"]),
        stage("commit", format!("{sink}/.millstream/commits"), &["ingest", "stage", "rejects", "average"]),
        stage("publish", "completes the uploads".to_owned(), &["commit"]),
    ]
}

fn source(source: &Source) -> String {
    match source {
        Source::Kinesis(kinesis) => {
            let streams: Vec<&str> = kinesis.streams.iter().map(|stream| stream.written()).collect();
            format!("shards of {}", streams.join(", "))
        }
        Source::Files(files) => format!("files of {}", files.location.path.written()),
        Source::Generate(generate) => format!("generated, {} splits", generate.splits),
    }
}
