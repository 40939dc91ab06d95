//! `dedup`: keeps the first record of each key and drops later duplicates.
//!
//! ```text
//! rows ─ Ask ─┬─ (keys, to their owner) ─ Decide ─┬─ (duplicates, back) ─ Hold ─┬→ first rows
//!             │                                   └→ state changes              ├→ counts
//!             └─ rows, held until the end of their epoch ───────────────────────┘→ filtered ranges
//! ```
//! Owns the rule. Records are ordered by epoch, then by split name, then by position. A record is a duplicate if an earlier record
//! has the same key and their days of arrival differ by at most `within` days. A key with a null is never a duplicate. A key
//! expires when the newest day of arrival, over all records, is more than `within` days later than its own.
//!
//! Keys cross between workers as 128-bit hashes; rows stay where they are. What must stay true: the result depends only on the
//! records and their epochs, not on the number of workers, the batch boundaries, or the moment when a key was in fact removed.

mod columns;
mod decide;
mod flow;
mod seen;
mod table;

pub use columns::{DedupError, DedupSpec, KeyColumns, remove_filtered};
pub use decide::{DedupFailure, Owner};
pub use flow::{Deduped, dedup, reports};
pub use seen::Seen;

/// The hash of a key.
pub(crate) type Key = u128;

/// Length of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// Days since 1970.
pub(crate) fn day_of(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY_MICROS)).unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX })
}

/// The oldest day that has not expired when `newest` is the newest.
fn horizon(newest: i32, within: u32) -> i32 {
    newest.saturating_sub_unsigned(within)
}
