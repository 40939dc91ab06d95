//! `sample`: a few enriched rows, to the screen or a folder. It reads the source from its beginning and commits nothing.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::{ArrayWriter, LineDelimitedWriter};
use async_trait::async_trait;
use millstream_operators::protocol::Place;
use millstream_operators::protocol::assign::Bounds;
use millstream_operators::{Batch, Permit, RawBatch};
use parquet::arrow::ArrowWriter;

use crate::clock::Clock;
use crate::config::Sink;
use crate::connector::kind::Carries;
use crate::connector::{Outlet, registry};
use crate::exit::{Exit, Fatal};
use crate::stages::{Stages, Through};

use super::{Failure, Sample, load};

/// Takes a few records through the pipeline and shows what became of them.
pub(super) fn sample(asked: &Sample, out: &mut impl Write) -> Result<(), Failure> {
    let stages = load::stages(&asked.look.pipeline.path)?;
    let through = Through::new(&stages)?;
    let sink = sink_of(&stages, asked)?;
    let mut taking =
        Taking { through, place: sink.place.clone(), wanted: asked.rows.get(), rows: Vec::new(), rejects: Vec::new() };
    let taken = load::runtime()?.block_on(take(&stages, &mut taking));
    taken.map_err(|fatal| Failure::new(fatal.exit(), fatal))?;
    let kept: Vec<RecordBatch> = taking.rows.iter().map(|rows| project(rows, &stages.laid_down(sink))).collect();
    match &asked.out {
        Some(folder) => write_folder(folder, &kept, &taking.rejects),
        None => print(asked.look.json, out, &kept, &taking.rejects),
    }
}

/// The sink whose rows are asked for; the first one, unless it is said.
fn sink_of<'a>(stages: &'a Stages, asked: &Sample) -> Result<&'a Sink, Failure> {
    let Some(name) = &asked.sink else { return Ok(stages.config().first_sink()) };
    stages.sink(&Place::sink(name)).ok_or_else(|| {
        let names: Vec<&str> = stages.config().sinks.iter().map(|sink| sink.place.name()).collect();
        Failure::new(Exit::Usage, format!("there is no sink {name:?}; there are {}", names.join(", ")))
    })
}

async fn take(stages: &Stages, taking: &mut Taking) -> Result<(), Fatal> {
    // A stream may hold less than is wanted; more of it than there is now is not waited for.
    let bounds =
        if stages.config().source.carries() == Carries::Messages { Bounds::UntilEnd } else { Bounds::Unbounded };
    let source = registry::source(stages.config(), stages.origin(), bounds, &Clock::system()).await?;
    for split in source.discover().await?.splits {
        if taking.wanted == 0 {
            break;
        }
        source.read(&split, split.from.clone(), taking).await?;
    }
    Ok(())
}

/// Takes batches until there are enough rows.
struct Taking {
    through: Through,
    /// The sink whose rows are taken.
    place: Place,
    wanted: usize,
    rows: Vec<RecordBatch>,
    rejects: Vec<RecordBatch>,
}

#[async_trait]
impl Outlet for Taking {
    async fn reserve(&mut self, _bytes: usize) -> Option<Permit> {
        (self.wanted > 0).then(Permit::free)
    }

    async fn send(&mut self, batch: RawBatch) -> bool {
        let outcome = self.through.apply(&Arc::new(batch));
        for (_, Batch { rows, .. }) in outcome.sinks.into_iter().filter(|(place, _)| *place == self.place) {
            let taken = rows.num_rows().min(self.wanted);
            self.wanted -= taken;
            self.rows.push(rows.slice(0, taken));
        }
        self.rejects.extend(outcome.rejects.into_iter().map(|batch: Batch| batch.rows));
        self.wanted > 0
    }
}

fn project(rows: &RecordBatch, columns: &[String]) -> RecordBatch {
    let schema = rows.schema();
    let indices: Vec<usize> = columns.iter().filter_map(|column| schema.index_of(column).ok()).collect();
    rows.project(&indices).unwrap_or_else(|_| rows.clone())
}

fn print(json: bool, out: &mut impl Write, rows: &[RecordBatch], rejects: &[RecordBatch]) -> Result<(), Failure> {
    let rows: Vec<&RecordBatch> = rows.iter().collect();
    if json {
        let mut writer = ArrayWriter::new(&mut *out);
        writer.write_batches(&rows).and_then(|()| writer.finish()).map_err(Failure::failed)?;
        writeln!(out)?;
    } else {
        let mut writer = LineDelimitedWriter::new(&mut *out);
        writer.write_batches(&rows).and_then(|()| writer.finish()).map_err(Failure::failed)?;
    }
    let refused: usize = rejects.iter().map(RecordBatch::num_rows).sum();
    if refused > 0 {
        tracing::warn!("{refused} records on the way were refused; `--out` writes them down");
    }
    Ok(())
}

fn write_folder(folder: &Path, rows: &[RecordBatch], rejects: &[RecordBatch]) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    for (name, batches) in [("sample.parquet", rows), ("rejects.parquet", rejects)] {
        let Some(first) = batches.first() else { continue };
        let file = File::create(folder.join(name))?;
        let mut writer = ArrowWriter::try_new(file, first.schema(), None).map_err(Failure::failed)?;
        batches.iter().try_for_each(|batch| writer.write(batch)).map_err(Failure::failed)?;
        writer.close().map_err(Failure::failed)?;
    }
    Ok(())
}
