//! The process behind one or more views of stores: it runs, is frozen, or is dead.
//!
//! Owns that state and the waiting for it. What must stay true: those who wait are woken in the order of waiting, so that a
//! seeded run stays the same.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::faults::{Call, When};

/// Decides at a step of a call whether the process dies there.
pub(super) type Halt = dyn Fn(&Call<'_>, When) -> bool + Send + Sync;

/// The process that looks at one or more stores.
#[derive(Default)]
pub(super) struct Process {
    pub(super) halt: Option<Box<Halt>>,
    pub(super) calls: AtomicU64,
    pub(super) state: Mutex<State>,
    /// Wakes in the order of waiting. A watch channel wakes in an order that it draws by itself, and not from the seed.
    pub(super) turned: Notify,
}

/// How a process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Running,
    /// It does nothing for now, as after SIGSTOP.
    Frozen,
    Dead,
}

impl Process {
    /// One that dies where `halt` says.
    pub(super) fn with_halt(halt: Box<Halt>) -> Self {
        Process { halt: Some(halt), ..Process::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn turn(&self, next: impl FnOnce(State) -> State) {
        {
            let mut state = self.state();
            *state = next(*state);
        }
        self.turned.notify_waiters();
    }

    pub(super) async fn until(&self, wanted: State) {
        loop {
            let turned = self.turned.notified();
            if *self.state() == wanted {
                return;
            }
            turned.await;
        }
    }
}
