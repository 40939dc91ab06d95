//! The tokio tasks beside the operators: each serves one port.
//!
//! | task | beside | does |
//! |---|---|---|
//! | [`read`] | ingest | runs a reader for each split that the worker was given |
//! | [`upload`] | stage | uploads the pieces of files, part by part |
//! | [`discover`] | control, on worker 0 | looks at the source, keeps the epoch's interval, passes a stop on |
//! | [`crate::log::committer`] | commit, on worker 0 | appends commits, publishes them |

pub mod discover;
pub mod read;
mod seen;
pub mod upload;
