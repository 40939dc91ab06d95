//! Cables that are pulled, that carry one way only, and lines that are slow.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{Cluster, ENDS, PROCESSES, place};
use crate::services::hosts::Cut;
use crate::trust::Trust;
use crate::whole::process::Process;

/// How long a cable is out, at least.
const OUT: Duration = Duration::from_secs(6);

/// Cuts the cable of each of these hosts in turn: all processes end in time, and go on once it is mended.
async fn cut_off(test: &'static str, trust: Trust, cuts: &[(usize, Cut)]) {
    let mut cluster = Cluster::at_work(test, trust).await;
    for (host, cut) in cuts {
        let (before, ends) = (cluster.newest().await, cluster.crew.all_ends());
        let pulled = Instant::now();
        cluster.hosts.cut(*host, *cut).await;
        cluster.hosts.check(*host, Some(*cut)).await;
        for (process, ends) in ends.iter().enumerate() {
            let (code, at) = cluster.crew.ended(process, *ends, |past| (past.ended.code, past.at)).await;
            assert_eq!(code, Some(5), "process {process}; {}", cluster.crew.said());
            println!("{test}: process {process} ends {:.1} s after {cut:?} of {host}", (at - pulled).as_secs_f64());
            assert!(at - pulled < ENDS, "process {process} took {:?} to see {cut:?} of {host}", at - pulled);
        }
        sleep(OUT.saturating_sub(pulled.elapsed())).await;
        assert_eq!(cluster.newest().await.rows_of, before.generation, "who commits, with {cut:?} of {host}?");
        cluster.hosts.mend(*host, *cut).await;
        let mended = Instant::now();
        cluster.hosts.check(*host, None).await;
        cluster.is_back(&format!("{cut:?} of {host}"), mended, before).await;
    }
    cluster.ends_well(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_cable_is_pulled_is_given_up_and_comes_back() {
    cut_off("cable", Trust::Tls, &[(0, Cut::BothWays), (2, Cut::BothWays)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_not_heard_is_given_up_though_it_hears() {
    cut_off("not-heard", Trust::Key, &[(0, Cut::Sent), (1, Cut::Sent)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_does_not_hear_is_given_up_though_it_is_heard() {
    cut_off("does-not-hear", Trust::Key, &[(0, Cut::Received), (2, Cut::Received)]).await;
}

/// A cable goes while the cluster forms, at a moment between the first call and the first commit: whoever has joined ends,
/// and whoever has not waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cable_may_be_pulled_while_the_cluster_forms() {
    let mut cluster = Cluster::at_work("cable-forming", Trust::Key).await;
    let mut rng = StdRng::seed_from_u64(23);
    let cuts = [(1, Cut::BothWays), (0, Cut::Received), (2, Cut::Sent), (0, Cut::BothWays)];
    for (host, cut) in cuts {
        assert!(cluster.crew.signal((host + 1) % PROCESSES, "KILL"), "{}", cluster.crew.said());
        // It is started again after 200 ms, and all are linked 100 ms later.
        sleep(Duration::from_millis(rng.random_range(200..450))).await;
        cluster.hosts.cut(host, cut).await;
        sleep(ENDS).await;
        let before = cluster.newest().await;
        cluster.hosts.mend(host, cut).await;
        cluster.is_back(&format!("{cut:?} of {host}"), Instant::now(), before).await;
    }
    cluster.ends_well(0).await;
}

/// How long the line is watched.
const WATCHED: Duration = Duration::from_secs(12);

/// Less than a process may be silent, with the delay of the line and the pause between two signs of life.
const STALLED: Duration = Duration::from_millis(1_500);

async fn stall(line: &Child, signal: &str) {
    let line = line.id().unwrap().to_string();
    assert!(Command::new("kill").args([&format!("-{signal}"), &line]).status().await.unwrap().success());
}

/// How many seconds something takes from host 2 to process 0, once that is there, and back.
async fn there_and_back(cluster: &Cluster, near_end: &str) -> f64 {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !cluster.crew.with(0, Process::said).is_some_and(|said| said.contains("turned away")) {
        assert!(Instant::now() < deadline, "process 0 does not listen; {}", cluster.crew.said());
        cluster.hosts.start(2, &["round", &place(0)]).wait().await.unwrap();
    }
    let told = cluster.hosts.start(2, &["round", near_end]).wait_with_output().await.unwrap();
    String::from_utf8_lossy(&told.stdout).trim().parse().unwrap()
}

/// 200 ms each way and 64 KiB/s between processes 0 and 2: nobody is taken for lost, and work goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_is_slow_and_nothing_else() {
    let mut cluster = Cluster::new("slow", 0, Trust::Key).await;
    let near_end = format!("{}:2102", crate::services::hosts::Hosts::address(2));
    let mut line = cluster.hosts.start(2, &["line", &near_end, &place(0), "0.2", "65536"]);
    let mut told = BufReader::new(line.stdout.take().unwrap()).lines();
    assert_eq!(told.next_line().await.unwrap().as_deref(), Some("ready"));
    cluster.crew = cluster.crew_on(0, |process, other| (process == 2 && other == 0).then(|| near_end.clone()));
    cluster.crew.keep(0);
    let there_and_back = there_and_back(&cluster, &near_end).await;
    assert!(there_and_back >= 0.4, "the line is not slow: {there_and_back} s");
    while timeout(Duration::from_millis(100), told.next_line()).await.is_ok() {}
    cluster.crew.keep(1);
    cluster.crew.keep(2);
    cluster.works(1).await;
    assert_eq!(told.next_line().await.unwrap().as_deref(), Some("connected"), "the line is not in use");
    let before = cluster.newest().await;
    sleep(WATCHED / 2).await;
    // Nor is one lost of whom nothing is heard for a moment.
    stall(&line, "STOP").await;
    sleep(STALLED).await;
    stall(&line, "CONT").await;
    sleep(WATCHED / 2).await;
    let after = cluster.newest().await;
    println!("slow: {} commits in {WATCHED:?}", after.rows_in - before.rows_in);
    assert_eq!(after.generation, before.generation, "{}", cluster.crew.said());
    assert_eq!(cluster.crew.all_ends(), [0; PROCESSES]);
    assert!(after.rows_in - before.rows_in >= 5, "{before:?}, {after:?}; {}", cluster.crew.said());
    cluster.ends_well(2).await;
}
