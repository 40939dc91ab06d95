//! What every command on a pipeline begins with: its file, read and compiled, and a runtime for what waits.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::clock::Clock;
use crate::config::Config;
use crate::stages::Stages;
use crate::threads::{self, NotGranted, Threads};

use super::Failure;

/// Reads and compiles a pipeline file.
pub(super) fn stages(path: &Path) -> Result<Stages, Failure> {
    let config = Config::load(path, &|name| environment(name))?;
    Ok(Stages::compile(Arc::new(config))?)
}

/// The one place where the environment is read for what a file or a command line names.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is handed down from")]
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A runtime for a command that asks a few questions.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    runtime_with(Threads::FEW)
}

/// A runtime for everything that waits; the work itself is done by the workers' own threads.
pub(super) fn runtime_with(threads: Threads) -> Result<Runtime, Failure> {
    threads::runtime(threads).map_err(|refused| Failure::failed(refused).hint(NotGranted::HINT))
}

/// A name that no other start of any pipeline has.
pub(super) fn writer(clock: &Clock) -> String {
    // The standard library seeds every such hasher from the system's random numbers.
    let random = RandomState::new().build_hasher().finish();
    format!("{:x}-{:x}-{random:016x}", clock.micros(), std::process::id())
}
