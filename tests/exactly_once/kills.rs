//! Killed at random moments, many times, and started again with another number of workers.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

use crate::whole::input::Input;
use crate::whole::oracle::Expected;
use crate::whole::pipeline::Pipeline;
use crate::whole::process::{Ended, Process};

/// Kills that must have hit a living process.
const KILLS: u32 = 22;

/// A moment: every second one within the start, where the log is claimed and what was left is finished.
fn moment(rng: &mut StdRng, kill: u32) -> Duration {
    let longest = if kill.is_multiple_of(2) { 80 } else { 500 };
    Duration::from_millis(rng.random_range(5..longest))
}

/// What the starts met that the kills had left.
#[derive(Debug, Default)]
struct Left {
    /// Starts that came as far as the claim.
    claims: u64,
    finished: u64,
    aborted: u64,
}

impl Left {
    fn take(&mut self, ended: &Ended) {
        self.claims += u64::from(ended.at_start("generation") > 0);
        self.finished += ended.at_start("finished");
        self.aborted += ended.at_start("aborted");
    }
}

/// Kills runs until enough were alive when it came, and until starts have met what they are `to_meet`; checks what is visible
/// after each.
async fn kill_often(
    pipeline: &mut Pipeline,
    more: &[&str],
    to_meet: fn(&Left) -> bool,
    mut grow: impl FnMut(u32),
) -> Left {
    let mut rng = StdRng::seed_from_u64(11);
    let (mut kills, mut starts, mut left) = (0, 0, Left::default());
    while kills < KILLS || !to_meet(&left) {
        assert!(starts < 3 * KILLS, "{kills} of {starts} runs lived to be killed, and left {left:?}");
        let process: Process = pipeline.run(1 + starts as usize % 3, more);
        let moment = moment(&mut rng, starts);
        sleep(moment / 2).await;
        grow(starts);
        sleep(moment / 2).await;
        let ended = process.kill().await;
        kills += u32::from(ended.was_killed());
        starts += 1;
        left.take(&ended);
        pipeline.sink.check_visible(&mut pipeline.known).await;
    }
    left
}

async fn killed_over_files(test: &str, on_s3: bool) -> Left {
    let (mut pipeline, mut input) = Input::with_pipeline(test, on_s3).await;
    input.add_file(400);
    let folder = input.folder.clone();
    let grow = |start: u32| match start % 2 {
        0 => (0..3).for_each(|_| input.add_file(60)),
        _ => input.append(80),
    };
    let every_kind = |left: &Left| left.claims >= 8 && left.finished > 0 && left.aborted > 0;
    let mut left = kill_often(&mut pipeline, &[], every_kind, grow).await;
    left.take(&pipeline.run_to_the_end(2).await);
    pipeline.check(&Expected::of_folder(&folder)).await;
    let commits = pipeline.look("epochs").await;
    let with_rows = commits.as_array().unwrap().iter().filter(|commit| commit["rows"].as_u64() > Some(0)).count();
    assert!(with_rows >= 10, "too few commits for a kill to hit one: {with_rows}");
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_comes_out_exactly_once_however_often_it_is_killed() {
    let left = killed_over_files("kills-local", false).await;
    println!("a folder: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_holds_everything_exactly_once_however_often_it_is_killed() {
    let left = killed_over_files("kills-s3", true).await;
    println!("a bucket: {left:?}");
}

/// Made-up records at a rate, so that the runs are alive when they are killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_generated_comes_out_exactly_once_however_often_it_is_killed() {
    const COUNT: u64 = 12_001;
    let source = format!(
        "type = \"generate\"\nkind = \"articles\"\nsplits = 5\ncount = {COUNT}\nrate = 3000\nseed = 3\nbroken = 0.04"
    );
    let mut pipeline = Pipeline::new(tempfile::tempdir().unwrap(), "kills-generate", false, &source).await;
    kill_often(&mut pipeline, &["--until-end"], |_| true, |_| {}).await;
    pipeline.run_to_the_end(3).await;
    pipeline.check(&Expected::of_generated(COUNT, 5, 3, 0.04)).await;
}
