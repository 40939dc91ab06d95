//! The surroundings of the commit log, with the real binary: neighbours, changes of the definition, damage, replay, age.
//!
//! Each case is a way in which records were once lost or doubled, a start was blocked for good, or a command gave a wrong
//! answer. What lies there afterwards is held against the input itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "it looks at processes from outside, and waits for them")]

#[path = "cli/folder.rs"]
mod folder;

#[path = "log/changes.rs"]
mod changes;
#[path = "log/damage.rs"]
mod damage;
#[path = "log/fold.rs"]
mod fold;
#[path = "log/lake.rs"]
mod lake;
#[path = "log/neighbours.rs"]
mod neighbours;
#[path = "log/replay.rs"]
mod replay;
#[path = "log/running.rs"]
mod running;
#[path = "log/upgrade.rs"]
mod upgrade;
