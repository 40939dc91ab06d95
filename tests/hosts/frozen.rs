//! A process that stands still while its connections stay open.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, ENDS, PROCESSES};
use crate::trust::Trust;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_process_is_given_up_in_seconds_and_sees_it_when_it_wakes() {
    let mut cluster = Cluster::at_work("frozen", Trust::Key).await;
    // Process 0, which writes the log, and one of the others.
    for frozen in [2, 0] {
        let (before, ends) = (cluster.newest().await, cluster.crew.all_ends());
        assert!(cluster.crew.signal(frozen, "STOP"));
        let stopped = Instant::now();
        for other in (0..PROCESSES).filter(|other| *other != frozen) {
            let (code, at) = cluster.crew.ended(other, ends[other], |past| (past.ended.code, past.at)).await;
            assert_eq!(code, Some(5), "process {other}; {}", cluster.crew.said());
            println!(
                "frozen: process {other} ends {:.1} s after process {frozen} stopped",
                (at - stopped).as_secs_f64()
            );
            assert!(at - stopped < ENDS, "process {other} took {:?}", at - stopped);
        }
        // The others wait for it by now.
        sleep(Duration::from_secs(1)).await;
        assert!(cluster.crew.signal(frozen, "CONT"));
        let woken = Instant::now();
        let (code, at) = cluster.crew.ended(frozen, ends[frozen], |past| (past.ended.code, past.at)).await;
        assert_eq!(code, Some(5), "{}", cluster.crew.said());
        assert!(at - woken < ENDS, "the frozen one took {:?}", at - woken);
        cluster.is_back("a process woke up", woken, before).await;
    }
    cluster.ends_well(1).await;
}
