//! Several processes of one pipeline on this machine: started together, watched, and started again together.
//!
//! ```text
//!                ┌─ "listens" ── process i ◄─ hosts, key, "stop" ─┐
//! supervisor ◄───┤                                               ├── supervisor
//!                └─ "committed"                                   ┘      (lines of JSON on stdout and stdin)
//! ```
//! Owns the processes of one pipeline and what becomes of the whole when one of them ends. They prove themselves to each
//! other with a key that is made for each start and goes through a pipe, so that no file and no list of processes shows it.
//!
//! What must stay true: all run, or none does; a generation that was lost is begun again from the last commit, with a pause
//! that grows and a number of tries in a row that has an end; what trying again cannot mend ends the whole at once, with its
//! exit code; when the supervisor itself is killed, its processes stop.

mod child;
mod life;
mod words;

use std::ffi::OsString;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

pub use child::{Supervised, committed};
use life::{Ended, Life};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Starts in a row that come to nothing before it is given up.
const STARTS: u32 = 10;
/// How long a generation has to live to have come to something, where there is nothing to commit.
const LASTING: Duration = Duration::from_secs(60);

/// What to start.
pub struct Launch {
    /// The arguments of each process, all but those that say which one it is.
    pub arguments: Vec<OsString>,
    pub processes: usize,
    /// Cancelled to end with a last commit.
    pub stop: CancellationToken,
    /// Cancelled to end at once.
    pub at_once: CancellationToken,
}

/// How it ended, for a report.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    pub exit: Exit,
    /// Which process it was, and how it ended; none where all is well.
    pub why: Option<String>,
}

/// Starts all, and starts all again when one is lost, until they are done.
pub async fn supervise(launch: &Launch) -> std::io::Result<Verdict> {
    let (mut pause, mut starts) = (FIRST_PAUSE, 0);
    loop {
        let began = Instant::now();
        let life = Life::begin(launch).await?.run(launch).await;
        let why = match verdict(&life.ended, launch.stop.is_cancelled()) {
            Next::Over(verdict) => return Ok(verdict),
            Next::Again(why) => why,
        };
        if life.committed || began.elapsed() > LASTING {
            (pause, starts) = (FIRST_PAUSE, 0);
        }
        starts += 1;
        if starts > STARTS {
            let why = format!("{why}. Given up after {STARTS} starts in a row that committed nothing");
            return Ok(Verdict { exit: Exit::PeerLost, why: Some(why) });
        }
        tracing::warn!("{why}. Starting all again from the last commit in {:.1} s", pause.as_secs_f64());
        tokio::select! {
            () = sleep(pause) => {}
            () = launch.stop.cancelled() => return Ok(Verdict { exit: Exit::Done, why: None }),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

enum Next {
    Over(Verdict),
    Again(String),
}

/// What is to come after a life that ended like this, first to last.
fn verdict(ended: &[Ended], stopped: bool) -> Next {
    let with = |exit: Exit| ended.iter().find(|one| one.code == Some(exit as i32));
    for exit in [Exit::Fenced, Exit::Gone, Exit::Usage, Exit::Failed] {
        if let Some(one) = with(exit) {
            return Next::Over(Verdict { exit, why: Some(one.to_string()) });
        }
    }
    match ended.iter().find(|one| one.code != Some(Exit::Done as i32)) {
        None => Next::Over(Verdict { exit: Exit::Done, why: None }),
        // What it had not committed is read again at the next start.
        Some(_) if stopped => Next::Over(Verdict { exit: Exit::Done, why: None }),
        Some(_) => {
            // Those that lost a peer say so; the one that was lost is the reason.
            let cause = ended.iter().find(|one| one.code.is_none_or(|code| code > Exit::PeerLost as i32));
            let told = cause.or_else(|| with(Exit::PeerLost)).or(ended.first());
            Next::Again(told.map(Ended::to_string).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: a cluster that starts for ever though it cannot work, and one that does not though it
    //! could.

    use super::*;

    fn ended(process: usize, code: Option<i32>) -> Ended {
        Ended { process, code, signal: code.is_none().then_some(9), last_words: None }
    }

    fn told(codes: &[Option<i32>], stopped: bool) -> Result<Exit, String> {
        let ended: Vec<Ended> = codes.iter().enumerate().map(|(process, code)| ended(process, *code)).collect();
        match verdict(&ended, stopped) {
            Next::Over(verdict) => Ok(verdict.exit),
            Next::Again(why) => Err(why),
        }
    }

    #[test]
    fn what_can_be_mended_by_starting_again_is_and_nothing_else() {
        assert_eq!(told(&[Some(0), Some(0)], false), Ok(Exit::Done));
        assert_eq!(told(&[Some(5), Some(3)], false), Ok(Exit::Fenced));
        assert_eq!(told(&[Some(5), Some(4), Some(5)], false), Ok(Exit::Gone));
        assert_eq!(told(&[Some(1), Some(5)], false), Ok(Exit::Failed));
        assert_eq!(told(&[Some(5), None, Some(5)], false), Err("process 1 was ended by signal 9 (SIGKILL)".into()));
        assert_eq!(told(&[Some(101), Some(5)], false), Err("process 0 ended with exit code 101".into()));
        assert_eq!(told(&[Some(5), Some(5)], false), Err("process 0 ended with exit code 5".into()));
    }

    #[test]
    fn whoever_is_asked_to_stop_ends_well_even_in_the_middle_of_a_loss() {
        assert_eq!(told(&[Some(0), Some(5), None], true), Ok(Exit::Done));
        assert_eq!(told(&[Some(0), Some(1)], true), Ok(Exit::Failed), "but a failure stays one");
    }
}
