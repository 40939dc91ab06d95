//! How a run ends: the exit codes that scripts rely on, and the error that stands behind each.

use std::process::ExitCode;
use std::time::Duration;

use thiserror::Error;

use crate::connector::{SourceError, StoreError};

/// The exit codes. They are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or stopped as asked.
    Done = 0,
    /// Failed; the message says whether starting again can help.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// Fenced out by a newer generation.
    Fenced = 3,
    /// Data that was to be read is gone from the source.
    Gone = 4,
    /// A peer was lost: start the cluster again.
    PeerLost = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// What ends a run.
#[derive(Debug, Error)]
pub enum Fatal {
    #[error(
        "fenced out: commit {commit} in {store} was made by generation {theirs}, and this process is of generation {ours}.\n\
         A newer start of this pipeline is at work; this process has stopped and lost nothing. Nothing needs to be done."
    )]
    Fenced { store: String, commit: u64, ours: u64, theirs: u64 },
    #[error(
        "generation {generation} of this pipeline is at work in {store}, and --take-over=never leaves it alone.\n\
         This start has changed nothing. Stop the other one first, or start with --take-over=always to fence it out"
    )]
    Owned { store: String, generation: u64 },
    /// The pipeline file does not go with what is there.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Log(String),
    #[error(
        "epoch {epoch} does not add up and was not committed: {problem}.\nThis is a defect of millstream; nothing committed is affected. Please report it"
    )]
    DoesNotAddUp { epoch: u64, problem: String },
    #[error(
        "process {process} ({host}) was lost: {why}.\n\
         All processes of this generation end with it. Nothing committed is lost: start all again, and they go on from the \
         last commit"
    )]
    PeerLost { process: usize, host: String, why: String },
    #[error("process {process} ({host}) has left: {why}")]
    Left { exit: Exit, process: usize, host: String, why: String },
    #[error("the cluster did not form within {} s: {missing}", within.as_secs())]
    NotFormed { within: Duration, missing: String },
    #[error("{0}")]
    Failed(String),
}

impl Fatal {
    /// The exit code it ends the process with.
    pub fn exit(&self) -> Exit {
        match self {
            Fatal::Fenced { .. } | Fatal::Owned { .. } => Exit::Fenced,
            Fatal::Usage(_) => Exit::Usage,
            Fatal::Source(SourceError::Gone { .. }) => Exit::Gone,
            Fatal::PeerLost { .. } | Fatal::NotFormed { .. } => Exit::PeerLost,
            Fatal::Left { exit, .. } => *exit,
            _ => Exit::Failed,
        }
    }
}
