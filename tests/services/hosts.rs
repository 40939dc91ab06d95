//! Separate hosts, made of network namespaces, and what can happen to their cables.
//!
//! Owns the hosts of one test. What must stay true: a fault is shown to be one before a test goes on with it, by datagrams
//! that come through or do not.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::started::Started;

/// A MAC address that no host has: what is sent there arrives nowhere, and nobody is told.
const NOBODY: &str = "02:00:00:00:00:99";
/// How long a datagram may take.
const ARRIVES: Duration = Duration::from_secs(1);

/// Hosts on one switch, gone when this is.
pub(crate) struct Hosts {
    _started: Started,
    switch: String,
    hosts: Vec<String>,
}

/// Which way a cable no longer carries, as the host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// What it sends and what it is sent are lost, and both ends see that the cable is out.
    BothWays,
    /// What it sends is lost; nobody is told.
    Sent,
    /// What it is sent is lost; nobody is told.
    Received,
}

impl Hosts {
    pub(crate) async fn new(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hosts");
        let arguments = [count.to_string(), file.display().to_string()];
        let mut started = Started::new("hosts", &arguments, &[]);
        let there = started.until(async || file.exists()).await;
        if let Err(said) = there {
            panic!("no hosts; see tests/services/hosts. It said:\n{said}");
        }
        let written = std::fs::read_to_string(&file).unwrap();
        let mut lines = written.lines().map(str::to_owned);
        let hosts = Hosts { switch: lines.next().unwrap(), hosts: lines.collect(), _started: started };
        assert_eq!(hosts.hosts.len(), count);
        hosts
    }

    /// The address of a host.
    pub(crate) fn address(host: usize) -> String {
        format!("10.77.0.{}", host + 1)
    }

    /// The beginning of a command line that runs the rest on a host.
    pub(crate) fn on(&self, host: usize) -> Vec<String> {
        within(&self.hosts[host])
    }

    /// Starts a part of `tests/services/hosts.py` on a host.
    pub(crate) fn start(&self, host: usize, arguments: &[&str]) -> Child {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/services/hosts.py");
        let mut command = command(&self.on(host));
        command.arg("python3").arg(script).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        command.kill_on_drop(true).spawn().unwrap()
    }

    /// Cuts the cable of a host.
    pub(crate) async fn cut(&self, host: usize, cut: Cut) {
        match cut {
            Cut::BothWays => self.plug(host, "down").await,
            Cut::Sent | Cut::Received => self.misdirect(host, cut, "replace").await,
        }
    }

    /// Sees that the cable of a host carries what it should.
    pub(crate) async fn check(&self, host: usize, cut: Option<Cut>) {
        let other = self.other_than(host);
        let sends = !matches!(cut, Some(Cut::BothWays | Cut::Sent));
        let receives = !matches!(cut, Some(Cut::BothWays | Cut::Received));
        assert_eq!(self.carries(host, other).await, sends, "what is sent, {cut:?}");
        assert_eq!(self.carries(other, host).await, receives, "what is received, {cut:?}");
    }

    /// Mends what [`Hosts::cut`] did.
    pub(crate) async fn mend(&self, host: usize, cut: Cut) {
        match cut {
            Cut::BothWays => self.plug(host, "up").await,
            Cut::Sent | Cut::Received => self.misdirect(host, cut, "delete").await,
        }
    }

    async fn plug(&self, host: usize, state: &str) {
        let port = format!("port{host}");
        run(&within(&self.switch), &["ip", "link", "set", &port, state]).await;
    }

    async fn misdirect(&self, host: usize, cut: Cut, how: &str) {
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            let (from, to) = if cut == Cut::Sent { (host, other) } else { (other, host) };
            let to = Self::address(to);
            let arguments: &[&str] = match how {
                "replace" => &["ip", "neigh", "replace", &to, "lladdr", NOBODY, "nud", "permanent", "dev", "eth0"],
                _ => &["ip", "neigh", "delete", &to, "dev", "eth0"],
            };
            run(&self.on(from), arguments).await;
        }
    }

    fn other_than(&self, host: usize) -> usize {
        (host + 1) % self.hosts.len()
    }

    /// Whether a datagram comes through.
    async fn carries(&self, from: usize, to: usize) -> bool {
        let address = Self::address(to);
        let mut hears = self.start(to, &["hear", &address]);
        let mut lines = BufReader::new(hears.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().unwrap();
        let mut tells = self.start(from, &["tell", &address, &port]);
        let heard = matches!(timeout(ARRIVES, lines.next_line()).await, Ok(Ok(Some(_))));
        tells.kill().await.unwrap();
        hears.kill().await.unwrap();
        heard
    }
}

fn within(process: &str) -> Vec<String> {
    ["nsenter", "-t", process, "-U", "--preserve-credentials", "-n", "--"].map(str::to_owned).to_vec()
}

fn command(prefix: &[String]) -> Command {
    let mut command = Command::new(&prefix[0]);
    command.args(&prefix[1..]);
    command
}

async fn run(prefix: &[String], arguments: &[&str]) {
    let Output { status, stderr, .. } = command(prefix).args(arguments).output().await.unwrap();
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
}
