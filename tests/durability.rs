//! What a power cut may take, by the order of the binary's own system calls: a file is synced before a commit names it, a
//! commit before it has its number, and a name before anybody builds on it.
//!
//! The real binary runs under strace over a small folder, and the trace is read as a file system would have to keep it. Would
//! catch any sync that is left out, and one that comes too late; nothing else here would, since no test cuts the power. Where
//! strace is missing or may not trace, these tests fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod services;
mod whole;

#[path = "durability/links.rs"]
mod links;
#[path = "durability/order.rs"]
mod order;
#[path = "durability/trace.rs"]
mod trace;
