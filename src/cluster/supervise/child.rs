//! A process's side of its supervision.
//!
//! What must stay true: a process whose supervisor is gone stops, and commits what there is before it does.

use std::io::{self, BufRead, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::words::{Down, Up};
use crate::cluster::hosts::{Host, Hosts};
use crate::cluster::member::{Listen, Member, loopback};
use crate::cluster::proof::{Key, Proof};

/// How long the others may take: they are started at the same moment on this machine.
const WAIT: Duration = Duration::from_secs(60);

/// A process that was started by a supervisor.
pub struct Supervised {
    begin: oneshot::Receiver<(Vec<u16>, Vec<u8>)>,
    listener: std::net::TcpListener,
}

impl Supervised {
    /// Listens, says where, and begins to hear the supervisor, which cancels `stop` when it says so or is gone.
    pub fn new(stop: CancellationToken) -> io::Result<Self> {
        let (listener, port) = loopback()?;
        let (begin, begins) = oneshot::channel();
        say(&Up::Listens(port));
        std::thread::Builder::new().name("supervisor".to_owned()).spawn(move || hear(begin, &stop))?;
        Ok(Supervised { begin: begins, listener })
    }

    /// Waits to be told who the others are; none: to stop before that.
    pub async fn member(self, process: usize) -> Option<Member> {
        let (ports, key) = self.begin.await.ok()?;
        let host = |port| Host { name: "127.0.0.1".to_owned(), port };
        Some(Member {
            process,
            hosts: Hosts::new(ports.into_iter().map(host).collect()),
            proof: Proof::Key(Key::new(&key)),
            listen: Listen::On(self.listener),
            wait: WAIT,
        })
    }
}

fn hear(begin: oneshot::Sender<(Vec<u16>, Vec<u8>)>, stop: &CancellationToken) {
    let mut begin = Some(begin);
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(Down::Begin { ports, key }) => {
                if let Some(begin) = begin.take() {
                    let _ = begin.send((ports, key));
                }
            }
            Ok(Down::Stop) => stop.cancel(),
            Err(error) => tracing::debug!(%error, "the supervisor said something else"),
        }
    }
    // Its end of the pipe is closed: it is gone, or has nothing more to say.
    stop.cancel();
}

/// Tells the supervisor that something was committed.
pub fn committed(commit: u64) {
    say(&Up::Committed(commit));
}

/// One line at a time, whoever says it.
fn say(word: &Up) {
    static LINES: Mutex<()> = Mutex::new(());
    let _line = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(mut line) = serde_json::to_vec(word) else { return };
    line.push(b'\n');
    // A supervisor that is gone is found out by listening to it.
    let mut out = io::stdout();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}
