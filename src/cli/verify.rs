//! `verify`: counts again what is committed, and compares.

use std::io::Write;

use crate::exit::{Exit, Fatal};
use crate::log::verify;
use crate::places;

use super::{Failure, Look, load};

/// Verifies a pipeline's output; exit 1 when anything is wrong with it.
pub(super) fn verify(asked: &Look, out: &mut impl Write) -> Result<Exit, Failure> {
    let stages = load::stages(&asked.pipeline.path)?;
    let report = load::runtime()?.block_on(async {
        let places = places::open_all(&stages).await?;
        verify::verify(&places, &stages, |path| tracing::debug!(path, "reading")).await
    });
    let report = report.map_err(|fatal: Fatal| Failure::new(fatal.exit(), fatal))?;
    if asked.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(Failure::failed)?;
        writeln!(out)?;
    } else {
        let verdict = if report.ok { "everything holds" } else { "something is wrong" };
        let verify::Report { commits, files, rows, rejects, .. } = &report;
        writeln!(out, "{verdict}: {commits} commits, {files} files, {rows} rows, {rejects} rejects")?;
        let lines = report.problems.iter().chain(&report.accepted).chain(&report.notes);
        lines.into_iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    }
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}
