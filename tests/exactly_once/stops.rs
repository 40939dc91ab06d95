//! SIGTERM at any moment from which it is listened to: it ends with 0, keeps what was committed, and the next run goes on.

use std::time::Duration;

use tokio::time::sleep;

use crate::whole::input::Input;
use crate::whole::oracle::Expected;

async fn stopped_at_any_moment(test: &str, on_s3: bool) {
    let (mut pipeline, mut input) = Input::with_pipeline(test, on_s3).await;
    let mut before = Default::default();
    for (round, millis) in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377].into_iter().enumerate() {
        input.add_file(80);
        let process = pipeline.run(1 + round % 3, &[]);
        process.catches_sigterm().await;
        sleep(Duration::from_millis(millis)).await;
        process.signal("TERM");
        process.wait().await.with(0);
        let now = pipeline.sink.check_visible(&mut pipeline.known).await;
        assert!(now.is_superset(&before), "after {millis} ms something that was committed is gone");
        before = now;
    }
    assert!(!before.is_empty(), "nothing was ever committed");
    pipeline.run_to_the_end(2).await;
    pipeline.check(&Expected::of_folder(&input.folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_left_in_order_by_sigterm() {
    stopped_at_any_moment("stops-local", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_left_in_order_by_sigterm() {
    stopped_at_any_moment("stops-s3", true).await;
}
