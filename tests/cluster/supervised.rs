//! `-n`: started together, watched over, started again together.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::whole::input::Input;
use crate::whole::oracle::Expected;
use crate::whole::pipeline::Pipeline;
use crate::whole::process::{Process, signal};

const PATIENCE: Duration = Duration::from_secs(60);
/// How long a cluster may take from the end of a fault to its next commit.
const BACK: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_millis(10);

/// A cluster that goes on until it is stopped.
fn cluster(pipeline: &Pipeline) -> Process {
    pipeline.run(2, &["-n", "3"])
}

/// Adds to the input until more is committed; how long that took.
async fn until_it_commits(pipeline: &mut Pipeline, input: &mut Input) -> Duration {
    let (began, before) = (Instant::now(), pipeline.commits().await);
    // The claims of a start that comes to nothing are commits, too; rows are what counts.
    input.add_file(20);
    let rows = rows(pipeline).await;
    while rows == self::rows(pipeline).await {
        assert!(began.elapsed() < PATIENCE, "nothing is committed, after {before} commits");
        sleep(SOON).await;
    }
    began.elapsed()
}

async fn rows(pipeline: &Pipeline) -> u64 {
    let epochs = pipeline.look("epochs").await;
    let of = |epoch: &serde_json::Value| epoch["rows"].as_u64().unwrap() + epoch["rejects"].as_u64().unwrap();
    epochs.as_array().unwrap().iter().map(of).sum()
}

/// Stops it; it ends well, and what it said in all its lives holds no wall of panics.
async fn stop(process: Process) -> String {
    process.signal("TERM");
    let said = process.wait().await.with(0).stderr;
    assert!(!said.contains("panicked"), "{said}");
    said
}

async fn at_the_end(pipeline: &mut Pipeline, input: &Input) {
    pipeline.run_to_the_end(2).await;
    pipeline.check(&Expected::of_folder(&input.folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_killed_are_started_again_together_from_the_last_commit() {
    const KILLS: usize = 12;
    let (mut pipeline, mut input) = Input::with_pipeline("supervised-kills", false).await;
    let mut rng = StdRng::seed_from_u64(5);
    input.add_file(100);
    let process = cluster(&pipeline);
    let mut longest = Duration::ZERO;
    for kill in 0..KILLS {
        until_it_commits(&mut pipeline, &mut input).await;
        // Every third time it is hit while it starts again, too.
        for _ in 0..1 + usize::from(kill % 3 == 2) {
            let children = process.children_when(3).await;
            input.append(50);
            sleep(Duration::from_millis(rng.random_range(0..200))).await;
            signal(children[rng.random_range(0..3)], "KILL");
        }
        longest = longest.max(until_it_commits(&mut pipeline, &mut input).await);
        pipeline.sink.check_visible(&mut pipeline.known).await;
    }
    let said = stop(process).await;
    assert!(longest < BACK, "{longest:?} until it was back:\n{said}");
    assert!(said.contains("was ended by signal 9 (SIGKILL)"), "{said}");
    assert!(said.matches("Starting all again from the last commit").count() >= KILLS, "{said}");
    println!("back within {longest:?}");
    at_the_end(&mut pipeline, &input).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_process_is_missed_and_replaced() {
    for frozen in 0..3 {
        let (mut pipeline, mut input) = Input::with_pipeline(&format!("supervised-frozen-{frozen}"), false).await;
        let process = cluster(&pipeline);
        until_it_commits(&mut pipeline, &mut input).await;
        let children = process.children_when(3).await;
        let began = Instant::now();
        signal(children[frozen], "STOP");
        process.until_it_says(&format!("process {frozen} (127.0.0.1:")).await;
        assert!(began.elapsed() < Duration::from_secs(5), "missed after {:?} only", began.elapsed());
        until_it_commits(&mut pipeline, &mut input).await;
        assert!(began.elapsed() < BACK, "back after {:?} only", began.elapsed());
        let said = stop(process).await;
        assert!(said.contains("was lost: nothing was heard of it for 3 s"), "{said}");
        at_the_end(&mut pipeline, &input).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_do_not_outlive_their_supervisor() {
    let (mut pipeline, mut input) = Input::with_pipeline("supervised-orphans", false).await;
    let process = cluster(&pipeline);
    until_it_commits(&mut pipeline, &mut input).await;
    let children = process.children_when(3).await;
    input.add_file(100);
    assert!(process.kill().await.was_killed());
    let began = Instant::now();
    while children.iter().any(|child| std::fs::exists(format!("/proc/{child}")).unwrap()) {
        assert!(began.elapsed() < PATIENCE, "a process is left behind");
        sleep(SOON).await;
    }
    at_the_end(&mut pipeline, &input).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_at_any_moment_ends_well() {
    let (mut pipeline, mut input) = Input::with_pipeline("supervised-stops", false).await;
    for millis in [0, 20, 40, 60, 90, 130, 200, 400] {
        input.append(30);
        let process = cluster(&pipeline);
        process.catches_sigterm().await;
        sleep(Duration::from_millis(millis)).await;
        stop(process).await;
    }
    // In the middle of a loss, and of the pause after it.
    for millis in [0, 30, 150, 250, 500] {
        let process = cluster(&pipeline);
        until_it_commits(&mut pipeline, &mut input).await;
        signal(process.children_when(3).await[1], "KILL");
        sleep(Duration::from_millis(millis)).await;
        stop(process).await;
    }
    at_the_end(&mut pipeline, &input).await;
}

/// Would catch a supervisor that waits for ever for a process that cannot hear it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_well_where_a_process_is_frozen() {
    let (mut pipeline, mut input) = Input::with_pipeline("supervised-stop-frozen", false).await;
    let process = cluster(&pipeline);
    until_it_commits(&mut pipeline, &mut input).await;
    signal(process.children_when(3).await[1], "STOP");
    input.add_file(50);
    let began = Instant::now();
    stop(process).await;
    assert!(began.elapsed() < BACK, "it ended after {:?} only", began.elapsed());
    at_the_end(&mut pipeline, &input).await;
}

/// A stop that reaches one process only is a stop of all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_asked_to_stop_takes_the_others_along() {
    let (mut pipeline, mut input) = Input::with_pipeline("supervised-one-stop", false).await;
    for asked in [2, 0] {
        let process = cluster(&pipeline);
        until_it_commits(&mut pipeline, &mut input).await;
        signal(process.children_when(3).await[asked], "TERM");
        process.wait().await.with(0);
    }
    at_the_end(&mut pipeline, &input).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_clusters_on_one_sink_one_wins_and_the_other_ends_with_3() {
    let (mut pipeline, mut input) = Input::with_pipeline("supervised-two", false).await;
    let (mut one, mut other) = (cluster(&pipeline), cluster(&pipeline));
    let deadline = Instant::now() + PATIENCE;
    // Only who has something to commit loses, so there is always more.
    while one.runs() && other.runs() {
        assert!(Instant::now() < deadline, "both go on:\n{}\n{}", one.said(), other.said());
        input.add_file(20);
        sleep(Duration::from_millis(50)).await;
    }
    let (winner, loser) = if one.runs() { (one, other) } else { (other, one) };
    let lost = loser.wait().await.with(3).stderr;
    assert!(lost.contains("fenced out: commit"), "{lost}");
    assert!(!lost.contains("panicked"), "{lost}");
    until_it_commits(&mut pipeline, &mut input).await;
    stop(winner).await;
    at_the_end(&mut pipeline, &input).await;
}
