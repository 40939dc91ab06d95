//! Processes that die, at any moment.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, ENDS, PROCESSES};
use crate::trust::Trust;

/// Kills that hit a living process.
const KILLS: usize = 8;

/// Every second one falls into what the one before has set off: the end of the others, the forming, the claim.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_dies_at_any_moment_costs_nothing() {
    let mut cluster = Cluster::at_work("kills", Trust::Key).await;
    let (mut rng, mut kills) = (StdRng::seed_from_u64(17), 0);
    while kills < KILLS {
        let before = cluster.newest().await;
        let mut over = Instant::now();
        for longest in [400, 800] {
            sleep(Duration::from_millis(rng.random_range(0..longest))).await;
            // One that is just being started again is waited for.
            while !cluster.crew.signal(rng.random_range(0..PROCESSES), "KILL") {
                sleep(Duration::from_millis(1)).await;
            }
            (kills, over) = (kills + 1, Instant::now());
        }
        // The second kill may have come so late that the cluster was at work again.
        let before =
            if cluster.newest().await.generation > before.generation { cluster.newest().await } else { before };
        cluster.is_back("two kills", over, before).await;
    }
    cluster.ends_well(0).await;
}

/// As a rolling restart does it: the processes are told to stop, one by one, and each is started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_restarted_alone_takes_the_others_along_and_all_begin_again() {
    let mut cluster = Cluster::at_work("restart", Trust::Key).await;
    for process in 0..PROCESSES {
        let (before, ends) = (cluster.newest().await, cluster.crew.all_ends());
        let asked = Instant::now();
        assert!(cluster.crew.signal(process, "TERM"));
        for (other, ends) in ends.iter().enumerate() {
            let (code, at) = cluster.crew.ended(other, *ends, |past| (past.ended.code, past.at)).await;
            assert_eq!(code, Some(0), "process {other}; {}", cluster.crew.said());
            assert!(at - asked < ENDS, "process {other} went on for {:?}", at - asked);
        }
        cluster.crew.keep_all();
        cluster.is_back("a restart of one alone", asked, before).await;
    }
    cluster.ends_well(2).await;
}

/// While the cluster forms nobody depends on anybody, so the others just wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_starts_again_while_the_cluster_forms_costs_the_others_nothing() {
    let mut cluster = Cluster::new("forming", 0, Trust::Key).await;
    cluster.crew.keep(0);
    cluster.crew.keep(1);
    // Of two, one calls and one is called.
    for killed in [1, 0, 1, 0] {
        let ends = cluster.crew.ends(killed);
        sleep(Duration::from_millis(700)).await;
        assert!(cluster.crew.signal(killed, "KILL"), "{}", cluster.crew.said());
        cluster.crew.ended(killed, ends, |past| assert!(past.ended.was_killed())).await;
    }
    let there = Instant::now();
    cluster.crew.keep(2);
    let nothing = cluster.newest().await;
    cluster.is_back("the last one came", there, nothing).await;
    assert_eq!(cluster.crew.all_ends(), [2, 2, 0], "{}", cluster.crew.said());
    cluster.ends_well(1).await;
}
