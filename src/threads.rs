//! The threads of the process: whether the system grants them, and the runtime that has all of its own from the start.
//!
//! A runtime of tokio starts threads when it wants them. If the system refuses one, it panics, or leaves the work to threads
//! that may never be free: a run would hang hours after its start. So what must stay true:
//!
//! - a start that cannot have its threads fails at once, with the limit and the way out;
//! - the runtime starts no thread later: its pool is full when it is handed over, and never shrinks.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// Threads that drive sockets and timers.
const IO: usize = 2;
/// How long threads that were granted may take to start or to be gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Idle threads of the pool stay as long as any process lives.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How many threads a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    /// For calls that block: files, names of hosts.
    pub blocking: usize,
    /// Started later and by others: workers, the network of a cluster, clients of a source.
    pub others: usize,
}

impl Threads {
    /// For a command that asks a few questions.
    pub const FEW: Threads = Threads { blocking: 8, others: 0 };

    fn all(self) -> usize {
        IO + self.blocking + self.others
    }
}

/// The system does not grant the threads that the process needs.
#[derive(Debug, Error)]
pub struct NotGranted {
    wanted: usize,
    granted: usize,
    error: io::Error,
}

impl NotGranted {
    /// What to do about it.
    pub const HINT: &str = "raise the limit on processes and threads (`ulimit -u`, TasksMax= of a systemd unit, --pids-limit of a \
                            container), end other processes of this user, or run with fewer --workers";
}

impl fmt::Display for NotGranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotGranted { wanted, granted, error } = self;
        write!(f, "the system grants {granted} of the {wanted} threads that are needed: {error}")?;
        match user_limit() {
            Some(limit) => write!(f, ". This user may have {limit} processes and threads (`ulimit -u`)"),
            None => Ok(()),
        }
    }
}

/// A runtime with all its threads, once the system grants them and all others that will be needed.
pub fn runtime(threads: Threads) -> Result<Runtime, NotGranted> {
    try_all(threads.all())?;
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(IO).max_blocking_threads(threads.blocking).thread_keep_alive(FOR_EVER).enable_all();
    let refused = |error| NotGranted { wanted: threads.all(), granted: 0, error };
    // It panics where the system has changed its mind since the try.
    let built = catch_unwind(AssertUnwindSafe(|| builder.build()));
    let built = built.unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into())).map_err(refused)?;
    match fill(&built, threads.blocking) {
        Ok(()) => Ok(built),
        Err(granted) => {
            built.shutdown_background();
            Err(NotGranted { wanted: threads.all(), granted, error: io::ErrorKind::WouldBlock.into() })
        }
    }
}

/// Starts so many threads and ends them again.
fn try_all(wanted: usize) -> Result<(), NotGranted> {
    let (before, gate) = (running(), Arc::new(Mutex::new(())));
    let closed = gate.lock();
    let mut started = Vec::with_capacity(wanted);
    let mut refused = None;
    while started.len() < wanted && refused.is_none() {
        let gate = gate.clone();
        match thread::Builder::new().spawn(move || drop(gate.lock())) {
            Ok(thread) => started.push(thread),
            Err(error) => refused = Some(error),
        }
    }
    drop(closed);
    let granted = started.len();
    for thread in started {
        // It cannot have panicked.
        let _ = thread.join();
    }
    until_gone(before);
    refused.map_or(Ok(()), |error| Err(NotGranted { wanted, granted, error }))
}

/// A thread that was joined counts for a moment longer.
fn until_gone(before: Option<usize>) {
    let began = Instant::now();
    while running() > before && began.elapsed() < PATIENCE {
        thread::yield_now();
    }
}

/// Starts all threads of the pool: each takes a task that waits until all have one. Otherwise says how many came.
fn fill(runtime: &Runtime, threads: usize) -> Result<(), usize> {
    let (here, arrived) = mpsc::sync_channel(threads);
    let gate = Arc::new(Mutex::new(()));
    let _closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..threads {
        let (gate, here) = (gate.clone(), here.clone());
        runtime.spawn_blocking(move || {
            let _ = here.send(());
            drop(gate.lock());
        });
    }
    (0..threads).try_for_each(|came| arrived.recv_timeout(PATIENCE).map_err(|_| came))
}

/// How many threads this process has; `None` without `/proc`.
fn running() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

/// The limit on this user's processes and threads, where there is one.
fn user_limit() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix("Max processes"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    //! Would catch a pool that grows or shrinks during a run. That a limit is told of is proved with the real binary
    //! (`tests/cli/limits.rs`).
    use super::*;

    #[test]
    fn the_pool_is_full_from_the_start_and_takes_no_more() {
        let runtime = runtime(Threads { blocking: 3, others: 1 }).unwrap();
        let (told, heard) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        for _ in 0..4 {
            let (told, gate) = (told.clone(), gate.clone());
            runtime.spawn_blocking(move || {
                told.send(thread::current().id()).unwrap();
                drop(gate.lock());
            });
        }
        drop(told);
        let first: Vec<_> = (0..3).map(|_| heard.recv().unwrap()).collect();
        drop(closed);
        let last = heard.recv().unwrap();
        assert!(first.contains(&last), "a fourth thread was started");
    }
}
