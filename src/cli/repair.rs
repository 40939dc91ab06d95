//! `repair`: what keeps a start from going on, the choices, and taking one of them.

use std::io::Write;

use crate::clock::Clock;
use crate::exit::{Exit, Fatal};
use crate::log::repair::{self, Report};
use crate::places;
use crate::run;

use super::{Failure, Repair, load};

/// Looks, and takes the choice that was asked for; exit 1 while anything is wrong.
pub(super) fn repair(asked: &Repair, out: &mut impl Write) -> Result<Exit, Failure> {
    let stages = load::stages(&asked.look.pipeline.path)?;
    let clock = Clock::system();
    let writer = load::writer(&clock);
    let report = load::runtime()?.block_on(async {
        let places = places::open_all(&stages).await?;
        let who = run::inspector(&stages, &writer)?;
        let mut report = repair::look(&places, &stages, &who).await?;
        if let Some(choice) = asked.choice {
            let done = repair::act(&places, &report, choice, &writer, &clock).await?;
            report = Report { done: Some(done), ..repair::look(&places, &stages, &who).await? };
        }
        Ok::<_, Fatal>(report)
    });
    let report = report.map_err(|fatal| Failure::new(fatal.exit(), fatal))?;
    if asked.look.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(Failure::failed)?;
        writeln!(out)?;
    } else {
        show(&report, out)?;
    }
    // A choice that was asked for is done by now.
    Ok(if report.ok || report.done.is_some() { Exit::Done } else { Exit::Failed })
}

fn show(report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    if let Some(done) = &report.done {
        writeln!(out, "done: {done}")?;
    }
    if report.ok {
        return writeln!(out, "nothing is wrong");
    }
    for problem in &report.problems {
        let blocks = if problem.blocks { "blocks a start" } else { "blocks nothing" };
        writeln!(out, "{} ({blocks})", problem.what)?;
        for offer in &problem.choices {
            match offer.choice {
                Some(choice) => writeln!(out, "  --do {}: {}", choice.word(), offer.says)?,
                None => writeln!(out, "  by hand: {}", offer.says)?,
            }
        }
    }
    Ok(())
}
