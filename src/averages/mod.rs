//! Averages outside the dataflow: their form in the log, and recounts from committed files.
//!
//! | file | |
//! |---|---|
//! | [`known`] | converts totals between the log's form and the dataflow's |
//! | [`recount`] | recounts averages from committed files |
//! | [`backfill`] | computes a new average from a recount |
//!
//! The dataflow of averages and their state are in `millstream_operators::average`. What must stay true: averages equal a recount
//! of the committed files.

pub mod backfill;
pub mod known;
pub mod recount;

use millstream_operators::average::{AverageTotals, Total};
use millstream_operators::protocol::Commit;
use serde::Serialize;

/// An overall average.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overall {
    pub average: String,
    /// Exact, as text.
    pub sum: String,
    pub count: i64,
    /// `None` if the count is 0.
    pub mean: Option<f64>,
}

/// The overall averages that a commit changed.
pub fn overall(commit: &Commit) -> Vec<Overall> {
    let totals = commit.state.get::<AverageTotals>().into_iter().flat_map(AverageTotals::overall);
    let overall = |(average, Total { sum, count }): (&str, Total)| {
        let mean = sum.parse::<f64>().ok().filter(|_| count > 0).map(|sum| sum / count as f64);
        Overall { average: average.to_owned(), sum, count, mean }
    };
    totals.map(overall).collect()
}

/// The same as text, for the progress line of a commit.
pub fn line(commit: &Commit) -> String {
    let told = |of: Overall| format!(" · {} {:.2} over {}", of.average, of.mean.unwrap_or(f64::NAN), of.count);
    overall(commit).into_iter().map(told).collect()
}
