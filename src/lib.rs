//! Millstream turns live streams into training-ready Parquet, exactly once.
//!
#![doc = include_str!("../docs/flow.md")]
//!
//! | box | operator (crate `millstream_operators`) | beside it, on tokio |
//! |---|---|---|
//! | ingest | `ingest`, `control` | [`tasks::read`], [`tasks::discover`], over a [`connector::Source`] |
//! | decode, validate, enrich | `decode`, `validate`, `enrich` | — ([`expression`] and [`functions`] compute) |
//! | dedup | `dedup`, `state` | — |
//! | route | `route` | — |
//! | encode, stage | `encode`, `stage` | [`tasks::upload`], over a [`connector::Store`] |
//! | average | `average` | [`averages`] |
//! | commit, publish | `commit` | [`log`] |
//! | followers | — | [`followers`] |
//!
//! [`pipeline`] puts the operators together, and is the one place that does; [`bridge`] is the only crossing between timely
//! and tokio; [`cluster`] makes one of many processes; [`places`] opens the stores of the sinks;
//! [`memory`] divides what a process may hold; [`threads`] and [`panics`] see to
//! it that no run waits for a thread that is not there; [`config`] turns the TOML file into checked types; [`cli`] has a file
//! per command.

pub mod averages;
pub mod bridge;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod connector;
pub mod exit;
pub mod expression;
pub mod followers;
pub mod functions;
pub mod log;
pub mod memory;
pub mod panics;
pub mod pipeline;
pub mod places;
pub mod retry;
pub mod run;
pub mod schemas;
pub mod stages;
pub mod tasks;
pub mod threads;
