//! `log fold`: old commits become a few large objects.

use std::io::Write;

use chrono::{DateTime, TimeDelta};

use crate::clock::Clock;
use crate::log::fold;
use crate::places;

use super::{Failure, Fold, load};

/// Folds away the commits that are older than was asked for.
pub(super) fn fold(asked: &Fold, out: &mut impl Write) -> Result<(), Failure> {
    let stages = load::stages(&asked.look.pipeline.path)?;
    let now = DateTime::from_timestamp_micros(Clock::system().micros()).unwrap_or_default();
    let age = TimeDelta::from_std(asked.before).unwrap_or(TimeDelta::MAX);
    let before = now.checked_sub_signed(age).unwrap_or(DateTime::UNIX_EPOCH);
    let folded = load::runtime()?.block_on(async {
        let places = places::open(&stages).await?;
        let is_old = |at: &str| DateTime::parse_from_rfc3339(at).is_ok_and(|at| at < before);
        fold::fold(&*places.log, |commit| is_old(&commit.at)).await
    });
    let folded = folded.map_err(|fatal| Failure::new(fatal.exit(), fatal))?;
    match (asked.look.json, folded) {
        (true, folded) => {
            serde_json::to_writer_pretty(&mut *out, &folded.unwrap_or_default()).map_err(Failure::failed)?;
            writeln!(out)?;
        }
        (false, Some(fold::Folded { first, last, .. })) => writeln!(out, "folded commits {first} to {last}")?,
        (false, None) => writeln!(out, "nothing to fold: no commit is that old and covered by a snapshot")?,
    }
    Ok(())
}
