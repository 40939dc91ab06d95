//! Two clusters on one sink, by mistake.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, PROCESSES};
use crate::trust::Trust;

/// The younger one wins where one was at work already; of two that start at once, either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_clusters_on_one_sink_one_goes_on_and_all_of_the_other_end_with_3() {
    let mut cluster = Cluster::new("rivals", PROCESSES, Trust::Key).await;
    for head_start in [true, false] {
        let before = cluster.newest().await;
        let (mut one, mut other) = (cluster.crew_on(0, |_, _| None), cluster.crew_on(PROCESSES, |_, _| None));
        one.keep_all();
        if head_start {
            cluster.works(2).await;
        }
        other.keep_all();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !one.is_done(0) && !other.is_done(0) {
            assert!(Instant::now() < deadline, "both go on; {}\n{}", one.said(), other.said());
            sleep(Duration::from_millis(20)).await;
        }
        let (mut loser, winner) = if one.is_done(0) { (one, other) } else { (other, one) };
        assert_eq!(loser.done().await, [Some(3); PROCESSES], "{}", loser.said());
        assert_eq!(loser.all_ends(), [1; PROCESSES], "{}", loser.said());
        loser.check_what_was_said();
        assert_eq!(winner.all_ends(), [0; PROCESSES], "{}", winner.said());
        cluster.crew = winner;
        cluster.works(3).await;
        assert_eq!(cluster.newest().await.generation, before.generation + 2, "each has claimed the log once");
        assert!(cluster.crew.signal(1, "TERM"));
        assert_eq!(cluster.crew.done().await, [Some(0); PROCESSES], "{}", cluster.crew.said());
        cluster.crew.check_what_was_said();
    }
    cluster.crew = cluster.crew_on(PROCESSES, |_, _| None);
    cluster.crew.keep_all();
    cluster.works(1).await;
    cluster.ends_well(0).await;
}
