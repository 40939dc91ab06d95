//! Averages beside the dataflow: how the log writes them down, and how committed files are counted for them again.
//!
//! | file | |
//! |---|---|
//! | [`known`] | totals in the log's form and in the dataflow's |
//! | [`recount`] | averages counted from committed files |
//! | [`backfill`] | an average that is new to a log starts from such a count |
//!
//! The dataflow of averages and their state are in `millstream_operators::average`. What must stay true: averages equal a recount
//! of the committed files.

pub mod backfill;
pub mod known;
pub mod recount;

use millstream_operators::average::{AverageId, AverageTotals, Total};
use millstream_operators::protocol::Commit;
use serde::Serialize;

/// An average over everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overall {
    pub average: String,
    /// Exact, as text.
    pub sum: String,
    pub count: i64,
    /// None: it is of nothing.
    pub mean: Option<f64>,
}

/// The averages over everything that a commit changed.
pub fn overall(commit: &Commit) -> Vec<Overall> {
    let totals = commit.state.get::<AverageTotals>().into_iter().flat_map(AverageTotals::iter);
    let overall = totals.filter(|(id, _)| id.from.is_none() && id.group.is_empty());
    let told = |(id, Total { sum, count }): (AverageId, Total)| {
        let mean = sum.parse::<f64>().ok().filter(|_| count > 0).map(|sum| sum / count as f64);
        Overall { average: id.average, sum, count, mean }
    };
    overall.map(told).collect()
}

/// The same for a line that tells of the commit.
pub fn line(commit: &Commit) -> String {
    let told = |of: Overall| format!(" · {} {:.2} over {}", of.average, of.mean.unwrap_or(f64::NAN), of.count);
    overall(commit).into_iter().map(told).collect()
}
