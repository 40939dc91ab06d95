//! SIGTERM, SIGINT and SIGHUP, for commands that have work to finish when they are asked to stop.
//!
//! Owns the handlers. What must stay true: they are installed before anything else is done, so that only what happens before
//! `main` (the loading of the binary) can still be cut short by a signal; a SIGHUP that was ignored at the start (`nohup`)
//! stays ignored.

use std::ffi::OsString;
use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The commands that catch signals. Every other command ends at once, as any program does.
const CATCHING: [&str; 2] = ["run", "populate"];

/// Signals, caught from the moment this is made; none is lost before somebody waits for it.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` if the parent ignores it.
    hangup: Option<Signal>,
}

/// How a process is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// By a person or a service manager: SIGTERM or SIGINT.
    Stop,
    /// By a terminal that closed: SIGHUP. It may come several times, from the shell and from the system.
    Hangup,
}

impl Signals {
    /// Installs the handlers, if the command is one that has work to finish.
    pub(super) fn of_command(arguments: &[OsString]) -> io::Result<Option<Self>> {
        if has_work_to_finish(arguments) { Signals::catch().map(Some) } else { Ok(None) }
    }

    /// Installs the handlers.
    pub(super) fn catch() -> io::Result<Self> {
        // The handlers outlive this runtime; it has no threads, so it is ready long before the one that does the work.
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let _inside = runtime.enter();
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Asked {
        let Signals { terminate, interrupt, hangup } = self;
        let hangup = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => Asked::Stop,
            _ = interrupt.recv() => Asked::Stop,
            _ = hangup => Asked::Hangup,
        }
    }

    /// A token that the first signal cancels. Must be called inside a runtime.
    pub(super) fn stop(mut self) -> CancellationToken {
        let stop = CancellationToken::new();
        let asked = stop.clone();
        tokio::spawn(async move {
            self.next().await;
            asked.cancel();
        });
        stop
    }
}

/// A look at the command before the arguments are parsed, which takes its time.
fn has_work_to_finish(arguments: &[OsString]) -> bool {
    let command = arguments.iter().skip(1).find(|argument| !argument.as_encoded_bytes().starts_with(b"-"));
    command.is_some_and(|command| CATCHING.iter().any(|catching| command == catching))
}

/// Whether this process was started with SIGHUP ignored. Without `/proc` there is no way to know, and it is caught.
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

fn ignores_hangup(status: &str) -> bool {
    const SIGHUP: u64 = 1;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & SIGHUP != 0)
}

#[cfg(test)]
mod tests {
    //! Would catch a `nohup` that is undone, and a command that does not end when it is told to.
    use super::*;

    #[test]
    fn a_mask_tells_whether_sighup_is_ignored() {
        assert!(ignores_hangup("Name:\tm\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }

    #[test]
    fn only_commands_with_work_to_finish_catch_signals() {
        let caught = |line: &str| {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            has_work_to_finish(&arguments)
        };
        assert!(caught("millstream -vv run p.toml") && caught("millstream populate files"));
        assert!(!caught("millstream verify run") && !caught("millstream --help") && !caught("run"));
    }
}
