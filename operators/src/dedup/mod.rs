//! `dedup`: of the records with one key, the first is laid down and the later ones are left out.
//!
//! ```text
//! rows ─ Ask ─┬─ (keys, to the worker that owns them) ─ Decide ─┬─ (verdicts, back) ─ Hold ─┬→ first rows
//!             │                                                 └→ changes of state         ├→ counts
//!             └─ the rows themselves, held until their epoch is whole ───────────────────────┘→ what was left out
//! ```
//! Owns the rule. Records of one epoch are asked about in the order of their splits' names and of their positions; those of
//! an epoch after those of the epochs before it. A record is left out if a record with its key came before it and the days on
//! which the two arrived are at most `within` days apart. A record whose key holds a null is never left out. A key is
//! forgotten once the newest day of arrival, over all records, is more than `within` days after its own.
//!
//! A key crosses between workers as a hash of 128 bits, the rows never do. What must stay true: which records of an epoch are left
//! out depends on the records of that epoch and those before it alone, not on the number of workers, on how they were cut into
//! batches or on when a key was in fact forgotten.

mod columns;
mod decide;
mod flow;
mod seen;
mod table;

pub use columns::{Dedup, DedupError, DedupSpec, without_left_out};
pub use decide::{DedupFailure, Owner};
pub use flow::{Deduped, dedup, reports};
pub use seen::Seen;

/// A hash of the values of a key.
pub(crate) type Key = u128;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The day of a time, counted from 1970.
pub(crate) fn day_of(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY)).unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX })
}

/// The first day of which keys are known when `newest` is the newest.
fn horizon(newest: i32, within: u32) -> i32 {
    newest.saturating_sub_unsigned(within)
}
