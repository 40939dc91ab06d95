//! What the lake holds and how it moves. A record is a function of seed, split and index; so is what should become of it.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use millstream::connector::memory::source::Lake;
use rand::RngExt;
use rand::rngs::StdRng;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What should become of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Several records may have one `twin`.
    Row {
        words: u64,
        at: Option<DateTime<Utc>>,
        tongue: Option<&'static str>,
        twin: Option<u64>,
    },
    Reject(&'static str),
}

const TONGUES: [Option<&str>; 3] = [Some("en"), Some("ne"), None];

fn drawn(seed: u64, split: &str, index: u64) -> u64 {
    xxh3_64_with_seed(format!("{split}/{index}").as_bytes(), seed)
}

/// The seed of the pipeline that lies below ours.
pub(crate) fn neighbours_seed(seed: u64) -> u64 {
    seed ^ 0x5eed
}

/// What should become of record `index` of `split`.
pub(crate) fn fate(seed: u64, split: &str, index: u64) -> Fate {
    let drawn = drawn(seed, split, index);
    match drawn % 19 {
        0 => Fate::Reject("decode"),
        1 => Fate::Reject("missing"),
        2 => Fate::Reject("rule:content_not_empty"),
        _ => {
            let (day, hour) = (1 + (drawn >> 8) % 3, (drawn >> 16) % 3);
            let time = DateTime::parse_from_rfc3339(&format!("2024-02-{day:02}T{hour:02}:10:00Z")).unwrap();
            let at = (!(drawn >> 24).is_multiple_of(7)).then(|| time.to_utc());
            let twin = Some((drawn >> 48) % 150).filter(|twin| *twin > 4);
            Fate::Row { words: 1 + (drawn >> 32) % 9, at, tongue: TONGUES[(drawn >> 40) as usize % 3], twin }
        }
    }
}

/// The text of so many words. They differ, so that a text that is mixed up or cut shows.
pub(crate) fn content(words: u64) -> String {
    const WORDS: [&str; 4] = ["grain", "mühle", "water", "stone"];
    (0..words).map(|word| WORDS[(word * words % 4) as usize]).collect::<Vec<_>>().join("  ")
}

/// The bytes of a record.
pub(crate) fn make(seed: u64, split: &str, index: u64) -> Bytes {
    let id = format!("{split}/{index}");
    Bytes::from(match fate(seed, split, index) {
        Fate::Reject("decode") => format!("{{\"article_id\":\"{id}\","),
        Fate::Reject("missing") => format!("{{\"article_id\":\"{id}\"}}"),
        Fate::Reject(_) => format!("{{\"article_id\":\"{id}\",\"content\":\"\"}}"),
        Fate::Row { words, at, tongue, twin } => {
            let twin = twin.map_or("null".into(), |twin| twin.to_string());
            let at = at.map_or("null".into(), |at| format!("\"{}\"", at.to_rfc3339()));
            let tongue = tongue.map_or("null".into(), |tongue| format!("\"{tongue}\""));
            let content = content(words);
            let rest = format!("\"tongue\":{tongue},\"twin\":{twin},\"content\":\"{content}\"");
            format!("{{\"article_id\":\"{id}\",\"publish_date\":{at},{rest}}}")
        }
    })
}

/// A lake with its first splits.
pub(crate) fn new(seed: u64, rng: &mut StdRng) -> Arc<Lake> {
    let lake = Lake::new(seed, make);
    for split in 0..rng.random_range(1..=4) {
        lake.open(&format!("s{split}"), &[]);
        lake.arrive(&format!("s{split}"), rng.random_range(0..40));
    }
    lake
}

/// One thing happens to the lake; it tells which.
pub(crate) fn moves(lake: &Lake, rng: &mut StdRng) -> &'static str {
    let all = lake.splits();
    let open: Vec<String> = all.iter().filter(|(_, known)| !known.closed).map(|(name, _)| name.to_string()).collect();
    let next = format!("s{}", all.len());
    let Some(chosen) = open.get(rng.random_range(0..open.len().max(1))) else {
        lake.open(&next, &[]);
        return "split appears";
    };
    match rng.random_range(0..12) {
        0 if all.len() < 14 => {
            lake.divide(chosen, &[&next, &format!("s{}", all.len() + 1)]);
            "split divides"
        }
        1 if open.len() > 1 => {
            let other = open.iter().find(|name| *name != chosen).unwrap();
            lake.merge(&[chosen, other], &next);
            "splits merge"
        }
        2 if open.len() > 1 => {
            lake.close(chosen);
            "split closes"
        }
        3 if all.len() < 14 => {
            lake.open(&next, &[]);
            "split appears"
        }
        _ => {
            lake.arrive(chosen, rng.random_range(1..12));
            "records arrive"
        }
    }
}

/// No record and no split will come any more.
pub(crate) fn ends(lake: &Lake) {
    for (name, _) in lake.splits() {
        lake.close(&name);
    }
    lake.complete();
}
