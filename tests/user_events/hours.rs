//! Partitions by hour, as docs/event-time.md shows them: what readers that are not ours make of the folder is the hour of each
//! event. Would catch a path that a reader takes for another value or another type, and an hour of another zone.

use std::process::Command;

use crate::folder::{Folder, files, root};

/// The example, by day and hour.
fn by_hour() -> String {
    let example = std::fs::read_to_string(root().join(crate::folder::EXAMPLE)).unwrap();
    let (before_tests, _) = example.split_once("[[test]]").unwrap();
    let with = |from: &str, to: &str, text: String| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    };
    let hours =
        "event_hour = \"date_part('hour', timestamp)\"\nhour_start = \"date_trunc('hour', timestamp)\"\nuser_id =";
    let text = with("user_id =", hours, before_tests.to_owned());
    let text = with(
        r#"select = ["event_datetime", "event_date","#,
        r#"select = ["event_datetime", "event_date", "event_hour", "hour_start","#,
        text,
    );
    with(
        r#"partition = ["event_date", "event_name"]"#,
        r#"partition = ["event_date", "event_hour", "hour_start"]"#,
        text,
    )
}

#[test]
fn hours_in_paths_read_back_as_the_hours_of_the_events() {
    let folder = Folder::new();
    let input = folder.input();
    folder.millstream(&[
        "populate",
        "files",
        "--kind",
        "events",
        "--count",
        "500",
        "--seed",
        "3",
        input.to_str().unwrap(),
    ]);
    let pipeline = folder.pipeline(&by_hour());
    folder.run(&pipeline, &[]);
    let paths = files(&folder.out());
    assert!(
        paths.keys().any(|path| path.contains("/event_hour=0/"))
            && paths.keys().any(|path| path.contains("/event_hour=23/"))
    );
    assert!(
        paths.keys().all(|path| path.contains("/hour_start=2023-10-2") && path.contains("%3A00%3A00/")),
        "{paths:?}"
    );
    let told = Command::new(root().join("tests/readers/install")).arg("--where").output().unwrap();
    let python = String::from_utf8(told.stdout).unwrap();
    assert!(std::path::Path::new(python.trim()).exists(), "the readers are not installed; run: tests/readers/install");
    let read =
        Command::new(python.trim()).arg(root().join("tests/user_events/hours.py")).arg(folder.out()).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert_eq!(String::from_utf8(read.stdout).unwrap(), "pyarrow: 500 rows\nduckdb: 500 rows\n");
}
