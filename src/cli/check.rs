//! `check`: looks for mistakes in a pipeline file without running it.

use std::io::Write;
use std::sync::Arc;

use millstream_operators::protocol::Place;
use millstream_operators::protocol::assign::Bounds;

use crate::clock::Clock;
use crate::connector::registry;
use crate::exit::Fatal;
use crate::log::read;
use crate::places;
use crate::stages::Stages;

use super::{Check, Failure, load};

/// Checks the file, and with `--connect` the source and the sink.
pub(super) fn check(asked: &Check, out: &mut impl Write) -> Result<(), Failure> {
    let path = asked.pipeline.path.display();
    let stages = load::stages(&asked.pipeline.path)?;
    writeln!(out, "{path}: the pipeline {:?} is in order", stages.config().name)?;
    for field in stages.enriched().fields() {
        writeln!(out, "  {}: {}", field.name(), field.data_type())?;
    }
    let sinks = &stages.config().sinks;
    for sink in sinks.iter().filter(|sink| sinks.len() > 1 || sink.filter.is_some()) {
        let takes = sink
            .filter
            .as_ref()
            .map_or_else(|| "every row".to_owned(), |filter| format!("rows with {}", filter.sql.written()));
        writeln!(out, "  → {} takes {takes}, in {}", sink.told(), sink.location.path.written())?;
    }
    if asked.connect {
        let found = load::runtime()?.block_on(connect(&stages));
        let lines = found.map_err(|fatal| Failure::new(fatal.exit(), fatal))?;
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    Ok(())
}

/// Asks the source what it has and the sink what is committed: each answer is the service's own.
async fn connect(stages: &Stages) -> Result<Vec<String>, Fatal> {
    let config = stages.config();
    let source = registry::source(config, stages.origin(), Bounds::Unbounded, &Clock::system()).await?;
    let schemas = registry::schemas(config)?;
    let found = source.discover().await?;
    let places = places::open(stages).await?;
    let last = read::end(&*places.log).await?;
    places.of(&Place::rejects())?.list(".millstream/").await?;
    let mut lines = vec![
        format!("the source answers: {} splits", found.splits.len()),
        format!("the sink {} answers: {last} commits", places.log.name()),
    ];
    for sink in &config.sinks {
        let store = places.of(&sink.place)?;
        if !Arc::ptr_eq(store, &places.log) {
            store.list(".millstream/").await?;
            lines.push(format!("{} in {} answers", sink.told(), store.name()));
        }
    }
    if let Some(schemas) = &schemas {
        lines.push(format!("the schema registry {} answers", schemas.knock().await?));
    }
    lines.extend(places.warnings().await);
    Ok(lines)
}
