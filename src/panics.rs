//! What a panic does to a run.
//!
//! A task or thread that panics leaves others waiting for its answer, for ever. So a panic anywhere ends the run, with exit
//! code 1 and a message that it is a defect. Excepted is work inside [`caught`], whose panic is an answer like any other. Timely's
//! threads that serve workers panic where those never came to be, since the system granted too few threads: the run says
//! that, and they wait for its end before they say anything.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;

use crate::exit::Exit;

/// What is told when the process ends on account of a panic.
pub const DEFECT: &str = "a thread panicked; what it said stands above. This is a defect of millstream, and nothing committed \
                          is affected. Please report it";

/// How long the run has to end by itself before the process is ended.
const GRACE: Duration = Duration::from_secs(5);

/// What the names of the threads begin with that carry messages between timely's workers.
const SERVANTS: &str = "timely:";

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Does work that may panic, and gives the panic back. It must not be nested.
pub fn caught<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    CAUGHT.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(false);
    done
}

/// Makes every panic end the process: tells the run, which has a moment to end by itself. Called once, by the binary.
pub fn end_the_process() -> Arc<Notify> {
    let (told, before) = (Arc::new(Notify::new()), take_hook());
    let tell = told.clone();
    set_hook(Box::new(move |panic| {
        if CAUGHT.get() {
            return;
        }
        if thread::current().name().is_some_and(|name| name.starts_with(SERVANTS)) {
            wait();
        }
        before(panic);
        tell.notify_one();
        // The main thread is the one that would hear of it.
        if thread::current().name() != Some("main") {
            wait();
        }
        leave();
    }));
    told
}

/// Gives the run its moment.
fn wait() {
    let (_open, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(GRACE);
}

#[expect(clippy::disallowed_methods, reason = "whoever should end the run may be waiting for the thread that panicked")]
fn leave() -> ! {
    use std::io::Write;
    // Where stderr is gone, the exit code is all that is left to say.
    let _ = writeln!(std::io::stderr(), "error: {DEFECT}");
    std::process::exit(Exit::Failed as i32)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    //! What breaks when these fail: a run that hangs behind a task that is gone, or one that a record's panic ends.
    //!
    //! A hook is the whole process's, so each case is this test binary once more, with the case's name in its environment.

    use std::process::{Command, Output};

    use super::*;

    const CASE: &str = "MILLSTREAM_PANICS_CASE";

    fn run(case: &str) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "panics::tests::case", "--nocapture"]).env(CASE, case).output().unwrap()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "only this test's own process has the variable")]
    fn case() {
        let Ok(case) = std::env::var(CASE) else { return };
        let told = end_the_process();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        match &*case {
            "caught" => {
                let panic = caught::<()>(|| panic!("of a record")).unwrap_err();
                assert_eq!(panic.downcast_ref(), Some(&"of a record"));
                std::process::exit(7);
            }
            "servant" => {
                let servant = std::thread::Builder::new().name(format!("{SERVANTS}send-0"));
                drop(servant.spawn(|| panic!("of a servant")).unwrap());
                runtime.block_on(async { tokio::time::sleep(GRACE / 5).await });
                std::process::exit(7);
            }
            "heard" => {
                drop(runtime.spawn(async { panic!("of a task") }));
                runtime.block_on(told.notified());
                std::process::exit(7);
            }
            _ => {
                drop(runtime.spawn(async { panic!("of a task") }));
                runtime.block_on(std::future::pending::<()>());
            }
        }
    }

    #[test]
    fn a_panic_that_is_caught_ends_nothing_and_says_nothing() {
        let ended = run("caught");
        assert_eq!(ended.status.code(), Some(7), "{ended:?}");
        assert!(!String::from_utf8_lossy(&ended.stderr).contains("of a record"), "{ended:?}");
    }

    /// Would catch a start that has too few threads and buries its message under a backtrace.
    #[test]
    fn a_servant_lets_the_run_speak_first() {
        let ended = run("servant");
        assert_eq!(ended.status.code(), Some(7), "{ended:?}");
        assert!(!String::from_utf8_lossy(&ended.stderr).contains("of a servant"), "{ended:?}");
    }

    #[test]
    fn a_panic_of_a_task_is_told_to_the_run() {
        let ended = run("heard");
        assert_eq!(ended.status.code(), Some(7), "{ended:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("of a task"), "{ended:?}");
    }

    #[test]
    fn a_process_that_does_not_hear_of_it_is_ended() {
        let ended = run("unheard");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("of a task") && said.contains(&format!("error: {DEFECT}")), "{said}");
    }
}
