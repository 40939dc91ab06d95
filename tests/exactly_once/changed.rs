//! A file may grow at its end. One whose read part changed or shrank is an error that names it, not a record lost or read
//! twice in silence.

use std::fs::OpenOptions;

use crate::whole::input::{Input, name};
use crate::whole::oracle::Expected;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_appended_is_read_on() {
    let (mut pipeline, mut input) = Input::with_pipeline("appended", false).await;
    for workers in [1, 3, 2] {
        input.append(50);
        pipeline.run_to_the_end(workers).await;
        pipeline.check(&Expected::of_folder(&input.folder)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_shrank_or_changed_is_named() {
    for shrinks in [true, false] {
        let (mut pipeline, mut input) = Input::with_pipeline("changed", false).await;
        input.append(50);
        pipeline.run_to_the_end(1).await;
        let before = Expected::of_folder(&input.folder);
        let path = input.growing();
        let bytes = std::fs::read(&path).unwrap();
        if shrinks {
            OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes.len() as u64 / 2).unwrap();
        } else {
            let other = String::from_utf8(bytes).unwrap().replacen("article_id", "article_ID", 1);
            std::fs::write(&path, other + "{}\n").unwrap();
        }
        let ended = pipeline.run(1, &["--until-end"]).wait().await.with(1);
        assert!(ended.stderr.contains(name(&path)), "{}", ended.stderr);
        assert!(ended.stderr.contains("a file may grow at its end"), "{}", ended.stderr);
        pipeline.check(&before).await;
    }
}
