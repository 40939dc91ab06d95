//! User events end to end: what `examples/user-events` promises, with the real binary, against an oracle that shares nothing
//! with the pipeline.
//!
//! Would catch a broken event that gets through, one refused for another reason or another field than its own, raw bytes that
//! are not the record's, a good event beside a broken one that is lost or doubled; a late event in the wrong day, or one that
//! has a file of that day written again; an hour that does not read back; an interval compared part by part; and an example
//! that does not do what its README shows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "user_events/broken.rs"]
mod broken;
#[path = "user_events/example.rs"]
mod example;
#[path = "user_events/folder.rs"]
mod folder;
#[path = "user_events/hours.rs"]
mod hours;
#[path = "user_events/judge.rs"]
mod judge;
#[path = "user_events/late.rs"]
mod late;
