//! Proves that every source keeps the promises of the `Source` trait, on which exactly-once stands: the same records whenever a
//! split is read again, exactly the rest from any position on, positions that only grow, parents named before children, an
//! end when the pipeline stops, and memory asked for before bytes are fetched.
//!
//! Would catch a reader that loses or repeats a record at a batch border, a chunk border or a member of a packed file; one
//! that takes a changed file for the old one; and one that waits for memory while it holds some.

#![allow(clippy::field_reassign_with_default, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod services;
mod whole;

#[path = "source_conformance/changes.rs"]
mod changes;
#[path = "source_conformance/files.rs"]
mod files;
#[path = "source_conformance/generate.rs"]
mod generate;
#[path = "source_conformance/guide.rs"]
mod guide;
#[path = "source_conformance/hostile.rs"]
mod hostile;
#[path = "source_conformance/inline.rs"]
mod inline;
#[path = "source_conformance/kafka.rs"]
mod kafka;
#[path = "source_conformance/kinesis.rs"]
mod kinesis;
#[path = "source_conformance/laws.rs"]
mod laws;
#[path = "source_conformance/memory.rs"]
mod memory;
#[path = "source_conformance/outlet.rs"]
mod outlet;
#[path = "source_conformance/shelf.rs"]
mod shelf;
