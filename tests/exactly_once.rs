//! Exactly once, with real processes: they are killed, stopped, frozen and raced, and what lies there afterwards is held
//! against an oracle that reads the input itself.
//!
//! The oracle shares nothing with the pipeline: `serde_json` reads the lines, words are counted by Python's definition, and
//! what is visible comes from a plain listing of `*.parquet`. Would catch a record lost or written twice across a restart,
//! a file that shows before its commit, a process that commits after it was fenced out, and one that does not end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod services;
mod whole;

#[path = "exactly_once/careless.rs"]
mod careless;
#[path = "exactly_once/changed.rs"]
mod changed;
#[path = "exactly_once/hostile.rs"]
mod hostile;
#[path = "exactly_once/kills.rs"]
mod kills;
#[path = "exactly_once/stops.rs"]
mod stops;
#[path = "exactly_once/surroundings.rs"]
mod surroundings;
#[path = "exactly_once/zombies.rs"]
mod zombies;
