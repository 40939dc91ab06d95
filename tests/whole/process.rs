//! A process of the real binary: started, signalled, waited for, and gone when its handle is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that runs.
pub(crate) struct Process {
    child: Child,
    said: File,
    printed: File,
}

/// How one ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None: by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts `millstream` with these arguments, and these variables in its environment.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, String)]) -> Self {
        Self::start_behind(&[], arguments, environment)
    }

    /// The same behind another command, which becomes the process.
    pub(crate) fn start_behind(before: &[String], arguments: &[&str], environment: &[(&str, String)]) -> Self {
        let (said, printed) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let line: Vec<&str> = before.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_millstream")]).collect();
        let child = Command::new(line[0])
            .args(&line[1..])
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(printed.try_clone().unwrap())
            .stderr(said.try_clone().unwrap())
            .spawn()
            .unwrap();
        Process { child, said, printed }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// The processes that it has started, in that order, once they are so many.
    pub(crate) async fn children_when(&self, so_many: usize) -> Vec<u32> {
        let (deadline, id) = (Instant::now() + PATIENCE, self.child.id());
        loop {
            let mut all = Vec::new();
            // The supervisor starts processes from any of its threads.
            for thread in std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
                let listed = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                all.extend(listed.split_whitespace().map(|id| id.parse::<u32>().unwrap()));
            }
            all.sort_unstable();
            all.dedup();
            if all.len() == so_many {
                return all;
            }
            assert!(Instant::now() < deadline, "{all:?} run, and not {so_many}; it said:\n{}", self.said());
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Kills it, if it still runs.
    pub(crate) async fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.wait().await
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) async fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let (stdout, stderr) = (written(&self.printed), written(&self.said));
                return Ended { code: status.code(), signal: status.signal(), stdout, stderr };
            }
            assert!(Instant::now() < deadline, "it hangs; it said:\n{}", written(&self.said));
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// A line of its `/proc/<pid>/status`; none once it is gone.
    pub(crate) fn status(&self, name: &str) -> Option<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }

    /// What it has said on standard error so far.
    pub(crate) fn said(&self) -> String {
        written(&self.said)
    }

    /// Waits until it has said something.
    pub(crate) async fn until_it_says(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said().contains(what) {
            assert!(Instant::now() < deadline, "it does not say {what:?}, but:\n{}", self.said());
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Whether it catches a signal, by its name, now.
    pub(crate) fn catches(&self, name: &str) -> bool {
        let number = match name {
            "HUP" => 1,
            "INT" => 2,
            "TERM" => 15,
            other => panic!("SIG{other}"),
        };
        let caught = self.status("SigCgt").expect("it ended before it listened to signals");
        u64::from_str_radix(&caught, 16).unwrap() & 1 << (number - 1) != 0
    }

    /// Waits until it catches SIGTERM: before that the signal ends it as it ends any program.
    pub(crate) async fn catches_sigterm(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.catches("TERM") {
            assert!(Instant::now() < deadline, "it does not listen to SIGTERM");
            sleep(Duration::from_micros(200)).await;
        }
    }
}

/// Sends a signal by its name to a process; one that has ended meanwhile is no longer there to get it.
pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).output().unwrap();
    let gone = String::from_utf8_lossy(&sent.stderr).contains("No such process");
    assert!(sent.status.success() || gone, "SIG{name} was not sent");
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where it has been waited for, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Whether it ran until it was killed.
    pub(crate) fn was_killed(&self) -> bool {
        self.signal == Some(9)
    }

    /// What the line about its start says under a name; 0 where it did not come so far.
    pub(crate) fn at_start(&self, name: &str) -> u64 {
        let line = self.stderr.lines().find(|line| line.contains("the log is claimed")).unwrap_or_default();
        let told = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        told.map_or(0, |number| number.parse().unwrap())
    }

    /// Holds its exit code against what was expected of it.
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "signal {:?}; it said:\n{}", self.signal, self.stderr);
        self
    }
}

/// What is written so far. Not by reading on: the process writes through the same offset.
fn written(file: &File) -> String {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
