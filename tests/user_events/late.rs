//! Late events: each lies in the day that it happened on, whenever it came; what was there before stays as it is; and the
//! averages of its hour take it in to the last one. And whoever wants to do something else with late ones can tell them.

use crate::folder::{EXAMPLE, Folder, files, root};
use crate::judge::{Averages, averages};

fn event(second: usize, day: &str, hour: usize, platform: &str) -> Vec<u8> {
    let time = format!("2023-10-{day}T{hour:02}:{:02}:{:02}Z", second / 60, second % 60);
    let name = ["view", "click", "search"][second % 3];
    format!(
        r#"{{"timestamp":"{time}","event_name":"{name}","user_identifiers":{{"platform":"{platform}","id":"user_{second}"}}}}"#
    )
    .into_bytes()
}

/// The two days of the first epoch, with some of each hour.
fn at_first() -> Vec<Vec<u8>> {
    (0..600)
        .map(|number| event(number, ["23", "24"][number % 2], number % 24, ["web", "ios"][number % 5 / 4]))
        .collect()
}

/// Some of a day that is over, in an hour that had been counted, some of a day long before, and one of the next day.
fn late() -> Vec<Vec<u8>> {
    let same_hour = (0..50).map(|number| event(number, "23", 4, "android"));
    let long_before = (0..7).map(|number| event(number, "02", 23, "web"));
    same_hour.chain(long_before).chain([event(0, "25", 0, "web")]).collect()
}

#[test]
fn late_events_join_their_day_and_rewrite_nothing() {
    let folder = Folder::new();
    folder.write("first.ndjson", &at_first());
    folder.run(EXAMPLE, &[]);
    let (before, counted) = (files(&folder.out()), folder.averages(EXAMPLE));
    assert_eq!(counted, averages(&folder.expected().rows));

    folder.write("later.ndjson", &late());
    folder.run(EXAMPLE, &["-w", "2"]);
    let (after, recounted) = (files(&folder.out()), folder.averages(EXAMPLE));
    assert!(folder.found() == folder.expected());
    for (path, bytes) in &before {
        assert_eq!(after.get(path), Some(bytes), "{path} was there and is another now");
    }
    let new: Vec<&String> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    let days = ["event_date=2023-10-02/", "event_date=2023-10-23/", "event_date=2023-10-25/"];
    assert!(days.iter().all(|day| new.iter().any(|path| path.starts_with(day))), "{new:?}");
    assert!(new.iter().all(|path| days.iter().any(|day| path.starts_with(day))), "{new:?}");

    assert_eq!(recounted, averages(&folder.expected().rows));
    let changed: Averages = recounted.into_iter().filter(|(key, total)| counted.get(key) != Some(total)).collect();
    let of_old_hour = changed.keys().filter(|(by, from, _)| by == "hour" && from == "2023-10-23T04:00:00Z").count();
    assert_eq!(of_old_hour, 3, "{changed:?}");
    assert!(changed.keys().all(|(_, from, _)| !from.starts_with("2023-10-24")), "{changed:?}");
}

#[test]
fn what_the_page_on_event_time_shows_holds() {
    let page = std::fs::read_to_string(root().join("docs/event-time.md")).unwrap();
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (pipeline, _) = rest.split_once("```").unwrap();
    let folder = Folder::new();
    let said = folder.millstream(&["test", &folder.pipeline(pipeline)]);
    assert!(said.ends_with("3 passed, 0 failed\n"), "{said}");
}
