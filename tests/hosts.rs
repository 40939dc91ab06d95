//! A cluster on hosts of its own, whose machines and network fail: processes are killed and frozen, cables are pulled, lines
//! are slow, strangers knock, and two clusters are started on one sink; meanwhile the input grows, and at the end what lies
//! in the sink is held against an oracle that reads the input itself.
//!
//! Would catch records lost or written twice when a cluster begins again, a process that hangs where its peers are gone or
//! that takes a slow peer for a lost one, one that ends without saying which peer and why, a mesh that does not form again
//! once it could, and strangers that keep the others out or fill memory and log. How soon it goes on after each fault is
//! measured, printed (`cargo test --workspace --test hosts -- --nocapture`), and must be less than ten seconds.
//!
//! The hosts are network namespaces (`tests/services/hosts`); the supervisor that starts a process again, which would be
//! Kubernetes elsewhere, is `crew`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, reason = "how long each took is to be seen")]

mod services;
mod whole;

#[path = "hosts/cables.rs"]
mod cables;
#[path = "hosts/cluster.rs"]
mod cluster;
#[path = "hosts/crew.rs"]
mod crew;
#[path = "hosts/frozen.rs"]
mod frozen;
#[path = "hosts/kills.rs"]
mod kills;
#[path = "hosts/rivals.rs"]
mod rivals;
#[path = "hosts/strangers.rs"]
mod strangers;
#[path = "hosts/trust.rs"]
mod trust;
