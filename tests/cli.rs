//! The command line as scripts and people see it: what is printed, as snapshots; the JSON that scripts rely on; exit codes.
//!
//! Would catch a renamed JSON key, an exit code that changes, a message that loses the name of the thing or the way out, and
//! a `verify` that finds nothing. Paths and times are the only things replaced before a comparison.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/folder.rs"]
mod folder;
#[path = "cli/gone.rs"]
mod gone;
#[path = "cli/limits.rs"]
mod limits;
#[path = "cli/mistakes.rs"]
mod mistakes;
#[path = "cli/shapes.rs"]
mod shapes;
#[path = "cli/snapshots.rs"]
mod snapshots;
#[path = "cli/tampered.rs"]
mod tampered;
