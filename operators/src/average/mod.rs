//! `average`: exact running averages, kept up to date by differential dataflow.
//!
//! ```text
//! batch → tally (per worker: key → sum, count) → differential: totals by key → what changed, once per epoch
//!                                                                └ old buckets are folded away (`keep`)
//! ```
//!
//! Owns the definition of an average, its keys, its exact numbers and their text, and the totals as the log keeps them
//! ([`AverageTotals`], an instance of [`Keeps`](crate::state::Keeps)). What must stay true: the totals after an
//! epoch are those of all rows up to it, to the last digit, in whatever batches, on however many workers and after
//! however many restarts they came.

mod failure;
mod flow;
mod groups;
mod id;
pub mod keep;
mod keeping;
mod keeps;
mod kept;
mod key;
mod limit;
mod number;
mod packed;
mod parcel;
mod spec;
mod tally;
mod totals;
mod value;

pub use failure::AverageFailure;
pub use flow::averages;
pub use id::{AverageId, Total};
pub use keeps::differences;
pub use kept::AverageTotals;
pub use key::{AverageKey, Bucket, Change, Totals, start_of_text};
pub use number::{FLOAT_LIMIT, FLOAT_SCALE, Unit, fixed};
pub use spec::{AverageError, AverageSpec};
pub use tally::{Averager, Tally};
