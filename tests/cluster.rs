//! Many processes as one, with real processes: whatever their number, the same rows and averages come out, exactly once; they
//! are killed, frozen and stopped, and begin again together.
//!
//! Would catch a split that no process reads or that two do, an average that depends on how many add it up, words that do
//! not cross from one process to another, a process that is left behind when the others end, and a supervisor that gives up
//! too soon, never, or without saying why. Separate hosts and their networks are `tests/hosts.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod services;
mod whole;

#[path = "cluster/sizes.rs"]
mod sizes;
#[path = "cluster/supervised.rs"]
mod supervised;
#[path = "cluster/wrong.rs"]
mod wrong;
