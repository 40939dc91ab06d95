//! State: what an operator keeps from one epoch to the next, and how the log stores it.
//!
//! ```text
//! operator ── changes of an epoch ──► commit ──► the log merges changes ──► snapshot
//!    ▲                                                  │
//!    └──── all entries, partitioned by key ◄────────────┘ at a start
//! ```
//! A stateful operator implements [`Keeps`] for its entries and adds a line to [`KINDS`]. Commits, snapshots, objects of large
//! changes and messages between processes handle [`Entries`] and [`Operators`] only; none of them names an operator.
//!
//! What must stay true: merging changes one by one gives the same entries as merging them with snapshots in between. A part
//! whose definition changed starts empty unless its operator decides that it may continue.

mod entries;
mod operators;
mod room;

pub use entries::{Entries, KINDS, Kind, kind};
pub use operators::{OperatorState, Operators};
pub use room::{Room, Share};

use std::collections::BTreeMap;
use std::fmt::Debug;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The parts of an operator, for example its averages: name to definition.
pub type Defined = BTreeMap<String, String>;

/// Entries of an operator: its whole state, or the changes of one epoch. The newer of two entries with the same key wins.
pub trait Keeps: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The operator's name in the log.
    const NAME: &'static str;
    /// Whether a new part has to be computed from the records that are already committed. Then the claim does not define it; the
    /// commit with the computed entries does.
    const COUNTS_BACK: bool;

    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Approximate bytes of memory.
    fn weight(&self) -> usize;

    /// Merges newer entries.
    fn take_in(&mut self, newer: &Self);

    /// Changes the definition of a part; `before` is `None` for a new one. Returns whether the operator has forgotten all earlier
    /// entries, of every part.
    fn redefine(&mut self, part: &str, before: Option<&str>, now: &str) -> bool;

    /// Removes the definition of a part. Returns the same as [`Keeps::redefine`].
    fn drop_part(&mut self, part: &str) -> bool;

    /// Drops entries that no later record can need.
    fn compact(&mut self, defined: &Defined);

    /// The columns of [`Keeps::rows`].
    fn columns() -> SchemaRef;

    /// All entries, some thousands per batch.
    fn rows(&self) -> Box<dyn Iterator<Item = RecordBatch> + Send + '_>;

    /// Merges entries in the form of [`Keeps::rows`]. The error says what is wrong with the rows.
    fn add_rows(&mut self, rows: &RecordBatch) -> Result<(), String>;

    /// Reads the state from a commit, body or snapshot of format 2 or older.
    fn from_before(_json: &[u8]) -> Option<OperatorState> {
        None
    }
}
