//! What ends a run because of its averages.

use arrow::error::ArrowError;
use thiserror::Error;

/// Why averages cannot be kept any further. The epoch in which it shows is never told, so it is not committed.
#[derive(Debug, Error)]
pub enum AverageFailure {
    /// A batch without the columns that the averages were checked against.
    #[error(transparent)]
    Columns(#[from] ArrowError),
    #[error(
        "average {average}: more than {most} totals (a total is one bucket of one group), which is its max_groups. Nothing of \
         this epoch was committed. Raise [[average]] max_groups, group by columns with fewer values, or have old buckets \
         folded away with [[average]] keep; then start again: the run goes on from the last commit"
    )]
    TooManyGroups { average: String, most: u64 },
    #[error(
        "average {average}: its {totals} totals (a total is one bucket of one group), with all other state, take more \
         than the {most} bytes that [limits] memory leaves to state. Nothing of this epoch was committed. Raise [limits] \
         memory, or keep fewer totals: group by columns with fewer values, set [[average]] keep or max_groups; then start \
         again: the run goes on from the last commit"
    )]
    NoRoom { average: String, totals: i64, most: usize },
}
