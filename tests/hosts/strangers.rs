//! Strangers who knock by the thousand, with nonsense, half a greeting, or nothing at all.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{Cluster, PROCESSES, place};
use crate::services::hosts::Hosts;
use crate::trust::Trust;
use crate::whole::process::Process;

/// How many knock at each door, in all, while the cluster forms; and as many while it runs.
const STRANGERS: usize = 10_000;
/// How many stand at each door all the time when the one comes that belongs there: more than have a place.
const CROWD: usize = 200;
/// Before which nobody is turned away for being silent.
const CROWD_LASTS: Duration = Duration::from_secs(4);
/// What all of them may cost a process, in KiB, most of which the sockets' buffers have for a moment.
const MEMORY: u64 = 48 << 10;

/// Strangers on a host of their own.
struct Knocking {
    _child: Child,
    told: Lines<BufReader<ChildStdout>>,
}

impl Knocking {
    fn at(hosts: &Hosts, process: usize, count: usize) -> Self {
        Self::start("knock", hosts, process, count)
    }

    /// They come, say nothing, and come again when they are sent away.
    async fn standing_at(hosts: &Hosts, process: usize, count: usize) -> Self {
        let mut standing = Self::start("stand", hosts, process, count);
        for _ in 0..count {
            standing.line().await;
        }
        standing
    }

    fn start(what: &str, hosts: &Hosts, process: usize, count: usize) -> Self {
        let mut child = hosts.start(PROCESSES, &[what, &place(process), &count.to_string()]);
        let told = BufReader::new(child.stdout.take().unwrap()).lines();
        Knocking { _child: child, told }
    }

    async fn line(&mut self) -> String {
        let line = timeout(Duration::from_secs(60), self.told.next_line()).await;
        line.expect("the strangers hang").unwrap().expect("the strangers are gone")
    }

    /// Waits until so many have knocked.
    async fn until(&mut self, count: usize) {
        while self.line().await.parse::<usize>().unwrap() < count {}
    }

    /// Waits for the last one; how many were let in to the door, and how many found none.
    async fn all(&mut self) -> (usize, usize) {
        loop {
            let line = self.line().await;
            if let Some(counts) = line.strip_suffix(" in all") {
                let (there, refused) = counts.split_once(' ').unwrap();
                return (there.parse().unwrap(), refused.parse().unwrap());
            }
        }
    }
}

/// The most memory that a process ever had, in KiB.
fn most_memory(cluster: &Cluster, process: usize) -> u64 {
    let status = cluster.crew.with(process, |running| running.status("VmHWM")).flatten().expect("it runs");
    status.trim_end_matches(" kB").parse().unwrap()
}

/// Every reason once, however many strangers gave it.
fn check_log(said: &str) {
    let mut reasons = BTreeMap::<&str, u32>::new();
    for line in said.lines().filter(|line| line.contains("turned away: ")) {
        let (_, reason) = line.split_once("turned away: ").unwrap();
        *reasons.entry(reason.split(" address=").next().unwrap()).or_default() += 1;
    }
    assert!(reasons.len() >= 2, "who was turned away?\n{said}");
    assert!(reasons.len() <= 8 && reasons.values().all(|times| *times == 1), "{reasons:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_by_the_thousand_keep_nobody_out_and_cost_nothing() {
    let mut cluster = Cluster::new("strangers", 1, Trust::Key).await;
    cluster.crew.keep(0);
    cluster.crew.keep(1);
    for process in [0, 1] {
        while cluster.crew.with(process, Process::said).is_none_or(|said| !said.contains("waiting for the cluster")) {
            sleep(Duration::from_millis(20)).await;
        }
    }
    let before = [most_memory(&cluster, 0), most_memory(&cluster, 1)];
    let mut at_doors = [Knocking::at(&cluster.hosts, 0, STRANGERS), Knocking::at(&cluster.hosts, 1, STRANGERS)];
    for knocking in &mut at_doors {
        knocking.until(STRANGERS * 8 / 10).await;
    }
    for process in [0, 1] {
        // The system counts in strides, so that it may be less.
        let more = most_memory(&cluster, process).saturating_sub(before[process]);
        println!("strangers: process {process} takes {more} KiB more at most");
        assert!(more < MEMORY, "process {process} took {more} KiB");
    }
    // While the rest knock and the doors are full, the one comes that belongs here.
    let standing =
        [Knocking::standing_at(&cluster.hosts, 0, CROWD).await, Knocking::standing_at(&cluster.hosts, 1, CROWD).await];
    let there = Instant::now();
    cluster.crew.keep(2);
    let nothing = cluster.newest().await;
    cluster.is_back("the last one came", there, nothing).await;
    assert!(there.elapsed() < CROWD_LASTS, "it waited for those at the door: {:?}", there.elapsed());
    drop(standing);
    for knocking in &mut at_doors {
        let (at_door, _) = knocking.all().await;
        assert!(at_door >= STRANGERS * 8 / 10, "only {at_door} found a door");
    }
    let mut at_work: Vec<Knocking> =
        (0..PROCESSES).map(|process| Knocking::at(&cluster.hosts, process, STRANGERS)).collect();
    for knocking in &mut at_work {
        println!("strangers: while it runs {:?}", knocking.all().await);
    }
    cluster.works(3).await;
    for process in 0..PROCESSES {
        println!("strangers: process {process} has taken {} KiB in all", most_memory(&cluster, process));
    }
    assert_eq!(cluster.crew.all_ends(), [0; PROCESSES], "{}", cluster.crew.said());
    for process in [0, 1] {
        check_log(&cluster.crew.with(process, |running| running.said()).unwrap());
    }
    cluster.ends_well(2).await;
}
