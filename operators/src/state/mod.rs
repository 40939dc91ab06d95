//! State: what an operator keeps from one epoch to the next, and how the log keeps it.
//!
//! ```text
//! operator ── what an epoch changed ──► commit ──► the log adds changes up ──► snapshot
//!    ▲                                                        │
//!    └────── all entries, dealt to the workers by key ◄───────┘ at a start
//! ```
//! An operator that has state implements [`Keeps`] for the entries that it keeps and adds a line to [`KINDS`]. Everything else
//! (commits, snapshots, objects of large changes, what goes from process to process) works on [`Entries`] and [`Operators`] and
//! knows none of the operators. What must stay true: changes that are taken in one after the other come to the same entries as the
//! same changes with snapshots between them; a definition that is not what it was makes its part begin anew, unless the
//! operator says that it may go on.

mod entries;
mod operators;
mod room;

pub use entries::{Entries, KINDS, Kind, kind};
pub use operators::{Change, Operators};
pub use room::{Room, Share};

use std::collections::BTreeMap;
use std::fmt::Debug;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The parts of an operator (each average is one) by name, each with the text of its definition.
pub type Defined = BTreeMap<String, String>;

/// The entries of an operator: all that it keeps, or what one epoch changed. Of two entries with one key the newer one counts.
pub trait Keeps: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The operator's name in the log.
    const NAME: &'static str;
    /// Whether a part that is added to a log with records starts from what those records come to. Somebody has to count
    /// them, so the claim of a log does not take the part in.
    const COUNTS_BACK: bool;

    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes of memory they take.
    fn weight(&self) -> usize;

    /// Takes in newer entries.
    fn take_in(&mut self, newer: &Self);

    /// A part is defined so from now on; `before`: its definition until now. Whether it begins anew, without its entries of before.
    fn redefine(&mut self, part: &str, before: Option<&str>, now: &str) -> bool;

    /// A part is defined no longer.
    fn drop_part(&mut self, part: &str);

    /// Forgets what no later record can need.
    fn compact(&mut self, defined: &Defined);

    /// The columns of [`Keeps::rows`].
    fn columns() -> SchemaRef;

    /// All entries, some thousands at a time.
    fn rows(&self) -> Box<dyn Iterator<Item = RecordBatch> + Send + '_>;

    /// Adds entries from such rows; or says why the rows are none.
    fn add_rows(&mut self, rows: &RecordBatch) -> Result<(), String>;

    /// What a commit, a body or a snapshot says in a format that had no place for the state of any operator.
    fn from_before(_json: &[u8]) -> Option<Change> {
        None
    }
}
