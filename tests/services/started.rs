//! A server that a script of this folder started: spawned, waited for, read, and gone when its handle is.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that runs.
pub(crate) struct Started {
    /// Its standard input ends with us, and it with that.
    child: Child,
    log: File,
}

impl Started {
    /// Runs `tests/services/<script> serve …`.
    pub(crate) fn new(script: &str, arguments: &[String], environment: &[(&str, &str)]) -> Self {
        let log = tempfile::tempfile().unwrap();
        let child = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/services").join(script))
            .arg("serve")
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap();
        Started { child, log }
    }

    /// Waits until it answers. Where it ends instead, or takes too long, what it said.
    pub(crate) async fn until(&mut self, answers: impl AsyncFn() -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && self.child.try_wait().unwrap().is_none() {
            if answers().await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(self.child.stdin.take());
        Err(self.said())
    }

    /// Ends it, and waits until it is gone.
    pub(crate) fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }

    /// All that it said so far.
    pub(crate) fn said(&self) -> String {
        // Not by reading on: the server writes through the same offset.
        let mut bytes = vec![0; self.log.metadata().unwrap().len() as usize];
        self.log.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A port that is free now, and may be taken when the server wants it: whoever starts one tries again.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
