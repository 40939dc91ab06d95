//! The protocol's decisions: what to commit, what to finish, what to abort, who reads what. Pure functions and plain state.
//!
//! Owns the form of a commit and every choice made about one. Knows of no store, no network and no clock: the binary's
//! `log` acts on what is decided here, and so does the seeded world of the tests.
//!
//! | file | decides |
//! |---|---|
//! | [`commit`] | what a commit holds, and its bytes |
//! | [`coverage`] | which records the files of a commit hold, said once |
//! | [`equation`] | whether every record of an epoch is in exactly one place per sink |
//! | [`place`] | (nothing) the names of sinks |
//! | [`naming`] | names of files, and which log they belong to |
//! | [`state`] | what a log of commits adds up to |
//! | [`append`] | after trying to create a commit: ours, theirs, or look again |
//! | [`publish`] | after trying to complete an upload: published, lost, wrong, or look again |
//! | [`recover`] | at a start: which uploads to complete, which to abort, what was lost |
//! | [`assign`] | which worker reads which split, when children begin, when a run is over |
//! | [`check`] | the one predicate: what must hold of any log |
//! | [`damage`] | what a start concludes from the objects of a log that are there and those that are not |

pub mod append;
pub mod assign;
pub mod check;
pub mod commit;
pub mod coverage;
pub mod damage;
pub mod equation;
pub mod naming;
pub mod place;
pub mod publish;
pub mod recover;
pub mod state;

pub use commit::{Commit, FileRecord, Range, SnapshotRef, SplitProgress};
pub use equation::{Counts, Term};
pub use naming::{FileKind, FileName, LogId};
pub use place::Place;
pub use state::{Claim, State};
