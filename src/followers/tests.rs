//! Would catch a pipeline that stalls because a follower does not answer, a commit that is never delivered or delivered out of order,
//! and progress that runs ahead of deliveries.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use tokio::time::Instant;

use super::*;
use crate::connector::memory::MemoryStore;
use crate::log::append::append;

/// Accepts commits while `willing` says so, and records what it received.
struct Taker {
    all: bool,
    willing: fn(u64, usize) -> bool,
    told: Mutex<Vec<u64>>,
}

impl Taker {
    fn new(all: bool, willing: fn(u64, usize) -> bool) -> Arc<Self> {
        Arc::new(Taker { all, willing, told: Mutex::default() })
    }

    fn told(&self) -> Vec<u64> {
        self.told.lock().unwrap().clone()
    }
}

#[async_trait]
impl Follower for Taker {
    fn name(&self) -> &str {
        "taker"
    }

    fn at_least_once(&self) -> bool {
        self.all
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn deliver(&self, published: &PublishedCommit) -> Result<(), String> {
        let times = {
            let mut all = self.told.lock().unwrap();
            all.push(published.commit);
            all.len()
        };
        match (self.willing)(published.commit, times) {
            true => Ok(()),
            false if published.commit.is_multiple_of(2) => std::future::pending().await,
            false => Err("not now".into()),
        }
    }
}

/// A log of so many commits.
async fn log(commits: u64) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new("lake"));
    for commit in 1..=commits {
        append(&*store, &Commit { commit, ..Commit::default() }).await.unwrap();
    }
    store
}

fn of(commit: u64) -> PublishedCommit {
    PublishedCommit { commit, ..PublishedCommit::default() }
}

fn following(taker: &Arc<Taker>) -> Followers {
    Followers::new(vec![taker.clone() as Arc<dyn Follower>], Roots::new())
}

#[tokio::test(start_paused = true)]
async fn every_commit_is_told_in_order_until_it_is_taken() {
    let (store, taker) = (log(9).await, Taker::new(true, |_, times| times.is_multiple_of(3)));
    let followers = following(&taker);
    followers.begin(&store, 6);
    (7..=9).for_each(|commit| followers.published(of(commit)));
    followers.finish().await;
    assert_eq!(taker.told(), [7, 7, 7, 8, 8, 8, 9, 9, 9]);
    assert_eq!(progress(&*store, "taker").await.unwrap(), Some(9));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_taken_is_told_by_the_next_start_from_the_log() {
    let (store, stubborn) = (log(8).await, Taker::new(true, |commit, _| commit < 5));
    let followers = following(&stubborn);
    followers.begin(&store, 2);
    (3..=6).for_each(|commit| followers.published(of(commit)));
    let begun = Instant::now();
    followers.finish().await;
    assert!(begun.elapsed() <= SHUTDOWN_TIMEOUT + Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(progress(&*store, "taker").await.unwrap(), Some(4));

    let willing = Taker::new(true, |_, _| true);
    let followers = following(&willing);
    followers.begin(&store, 7);
    followers.published(of(8));
    followers.finish().await;
    assert_eq!(willing.told(), [5, 6, 7, 8]);
}

/// More commits than are kept for those that are behind.
#[tokio::test(start_paused = true)]
async fn one_that_is_far_behind_reads_the_log() {
    let last = 4 * BUFFERED_COMMITS as u64;
    let (store, taker) = (log(last).await, Taker::new(true, |_, times| times > 1));
    let followers = following(&taker);
    followers.begin(&store, 1);
    followers.published(of(2));
    tokio::task::yield_now().await;
    (3..=last).for_each(|commit| followers.published(of(commit)));
    followers.finish().await;
    assert_eq!(taker.told()[1..], (2..=last).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn one_that_need_not_hear_all_holds_nobody_up() {
    let (store, silent) = (log(0).await, Taker::new(false, |_, _| false));
    let followers = following(&silent);
    followers.begin(&store, 0);
    let begun = Instant::now();
    for commit in [2, 4, 6] {
        followers.published(of(commit));
        sleep(Duration::from_millis(1)).await;
    }
    followers.finish().await;
    assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
    assert_eq!(silent.told(), [2, 6], "what came meanwhile is one");
    assert_eq!(progress(&*store, "taker").await.unwrap(), None);
}
