//! Two processes on one sink: the newest start wins, the older one ends with 3 and changes nothing, whenever it wakes up.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::whole::input::Input;
use crate::whole::oracle::Expected;
use crate::whole::pipeline::Pipeline;
use crate::whole::process::{Ended, Process};

const SOON: Duration = Duration::from_millis(20);

async fn until_commits(pipeline: &mut Pipeline, at_least: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while pipeline.commits().await < at_least {
        assert!(Instant::now() < deadline, "there are no {at_least} commits");
        sleep(SOON).await;
    }
}

fn is_fenced(ended: Ended) {
    let ended = ended.with(3);
    assert!(ended.stderr.contains("fenced out: commit"), "it does not say why:\n{}", ended.stderr);
    assert!(ended.stderr.contains("Nothing needs to be done"), "it does not say what to do:\n{}", ended.stderr);
}

/// One is frozen, another takes over and is through, then the first one wakes up. With `news` there is something that it
/// would commit; without, it has to look by itself.
async fn frozen(test: &str, on_s3: bool, news: bool) {
    let (mut pipeline, mut input) = Input::with_pipeline(test, on_s3).await;
    input.add_file(200);
    let old = pipeline.run(2, &[]);
    until_commits(&mut pipeline, 2).await;
    if news {
        input.add_file(200);
    }
    old.signal("STOP");
    pipeline.run_to_the_end(1).await;
    if news {
        input.append(100);
    }
    old.signal("CONT");
    let woken = Instant::now();
    is_fenced(old.wait().await);
    assert!(woken.elapsed() < Duration::from_secs(60), "a fenced one learns it within a minute");
    pipeline.run_to_the_end(3).await;
    pipeline.check(&Expected::of_folder(&input.folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_process_is_fenced_out_of_a_folder() {
    frozen("frozen-local", false, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_process_is_fenced_out_of_a_bucket() {
    frozen("frozen-s3", true, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_process_with_nothing_to_do_learns_it_too() {
    frozen("frozen-idle", false, false).await;
}

async fn race(test: &str, on_s3: bool) {
    let (mut pipeline, mut input) = Input::with_pipeline(test, on_s3).await;
    for _ in 0..3 {
        let (mut one, mut other) = (pipeline.run(2, &[]), pipeline.run(1, &[]));
        let deadline = Instant::now() + Duration::from_secs(60);
        // Only who has something to commit loses, so there is always more.
        while one.runs() && other.runs() {
            assert!(Instant::now() < deadline, "both go on");
            input.add_file(20);
            sleep(SOON).await;
        }
        let (winner, loser): (Process, Process) = if one.runs() { (one, other) } else { (other, one) };
        is_fenced(loser.wait().await);
        winner.catches_sigterm().await;
        winner.signal("TERM");
        winner.wait().await.with(0);
    }
    pipeline.run_to_the_end(1).await;
    pipeline.check(&Expected::of_folder(&input.folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_start_on_a_folder_one_wins() {
    race("race-local", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_start_on_a_bucket_one_wins() {
    race("race-s3", true).await;
}
