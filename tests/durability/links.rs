//! File systems without hard links, played by strace: `link` answers as it does on exFAT.

use crate::trace::{Call, traced};
use crate::whole::input::Input;
use crate::whole::oracle::Expected;

const NO_LINKS: &str = "link,linkat:error=EPERM";

/// Would catch a folder on exFAT that is refused, and told to give rights that nobody lacks.
#[tokio::test]
async fn without_hard_links_a_rename_makes_the_decision() {
    for error in ["EPERM", "EOPNOTSUPP", "EMLINK"] {
        let (mut pipeline, mut input) = Input::with_pipeline("without-links", false).await;
        input.add_file(40);
        let (ended, events) = traced(&pipeline, 1, &[&format!("link,linkat:error={error}")]).await;
        ended.with(0);
        let commit = std::path::PathBuf::from(pipeline.sink.path()).join(".millstream/commits/1.json");
        let named = events.iter().filter(|event| matches!(&event.call, Call::Named { to, .. } if *to == commit));
        assert_eq!(named.count(), 1, "{error}");
        pipeline.check(&Expected::of_folder(&input.folder)).await;
        // A second start finds each number taken, as it should.
        input.add_file(40);
        traced(&pipeline, 1, &[NO_LINKS]).await.0.with(0);
        pipeline.check(&Expected::of_folder(&input.folder)).await;
    }
}

#[tokio::test]
async fn a_file_system_that_cannot_decide_is_named_as_such() {
    let (pipeline, mut input) = Input::with_pipeline("without-either", false).await;
    input.add_file(1);
    let (ended, _) = traced(&pipeline, 1, &[NO_LINKS, "renameat2:error=EINVAL"]).await;
    let ended = ended.with(1);
    for part in ["the file system of", "hard links", "such as ext4", "/out/.millstream/"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("the right"), "{}", ended.stderr);
}
