//! Killed while the surroundings move: the pipeline file changes between starts, and a neighbour works below the same prefix.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

use crate::whole::input::Input;
use crate::whole::oracle::Expected;

const ROUNDS: usize = 18;

/// Another definition for each start; what a row is stays the same in all of them.
fn variants(text: &str) -> [String; 4] {
    let column = text.replace("[[average]]", "extra = \"length(content)\"\n\n[[average]]");
    let average =
        column.replace("[epoch]", "[[average]]\nname = \"extra\"\nof = \"extra\"\ngroup = [\"author\"]\n\n[epoch]");
    let rule = text.replace("[enrich]", "always = \"length(content) < 100000000\"\n\n[enrich]");
    [text.to_owned(), column, average, rule]
}

async fn definition_changes(test: &str, on_s3: bool) {
    let (mut pipeline, mut input) = Input::with_pipeline(test, on_s3).await;
    let original = std::fs::read_to_string(&pipeline.file).unwrap();
    let variants = variants(&original);
    let mut rng = StdRng::seed_from_u64(23);
    let mut kills = 0;
    for round in 0..ROUNDS {
        std::fs::write(&pipeline.file, &variants[rng.random_range(0..variants.len())]).unwrap();
        input.add_file(60);
        let process = pipeline.run(1 + round % 3, &[]);
        sleep(Duration::from_millis(rng.random_range(20..500))).await;
        kills += u32::from(process.kill().await.was_killed());
        pipeline.sink.check_visible(&mut pipeline.known).await;
    }
    assert!(kills > ROUNDS as u32 / 2, "{kills} of {ROUNDS} runs lived to be killed");
    let epochs = pipeline.look("epochs").await.to_string();
    assert!(epochs.contains("[[average]] adds extra") && epochs.contains("[enrich]"), "nothing changed: {epochs}");
    // The log and its averages hold under the last definition that it saw, and under the first one again.
    pipeline.run_to_the_end(2).await;
    assert_eq!(pipeline.look("verify").await["ok"], true);
    std::fs::write(&pipeline.file, &original).unwrap();
    pipeline.run_to_the_end(2).await;
    pipeline.check(&Expected::of_folder(&input.folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_definition_changes_under_kills_in_a_folder() {
    definition_changes("definition-local", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_definition_changes_under_kills_in_a_bucket() {
    definition_changes("definition-s3", true).await;
}

/// A start of the outer pipeline once aborted the uploads of the inner one: 60 of 6,000 rows were left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_neighbours_are_killed_and_harm_nothing_of_each_other() {
    let (outer, mut outer_input) = Input::with_pipeline("neighbours", true).await;
    let (mut inner, mut inner_input) = Input::with_pipeline("neighbours/below", true).await;
    let mut rng = StdRng::seed_from_u64(29);
    for round in 0..ROUNDS {
        outer_input.add_file(50);
        inner_input.add_file(50);
        let (one, other) = (outer.run(1 + round % 2, &[]), inner.run(1 + round % 3, &[]));
        let moment = Duration::from_millis(rng.random_range(20..300));
        sleep(moment).await;
        let first = if round % 2 == 0 { one.kill().await } else { other.kill().await };
        drop(first);
        // Whoever is left goes on beside a start of the other.
        let again = if round % 2 == 0 { outer.run(1, &[]) } else { inner.run(1, &[]) };
        sleep(moment).await;
        drop(again.kill().await);
    }
    outer.run_to_the_end(2).await;
    inner.run_to_the_end(2).await;
    inner.check(&Expected::of_folder(&inner_input.folder)).await;
    let expected = Expected::of_folder(&outer_input.folder);
    let report = outer.look("verify").await;
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!((&report["rows"], &report["rejects"]), (&expected.rows.len().into(), &expected.rejects.len().into()));
}
