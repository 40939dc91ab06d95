//! Proves that generated text looks to a compressor and a tokenizer as news does, that every record is one line of the
//! form its kind promises, and that broken ones come in the share asked for. Would catch a vocabulary so poor that
//! benchmarks on it lie, an escape forgotten, and a "broken" record that is fine.

use serde_json::Value;

use super::broken::Fault;
use super::record::{Kind, Records};

fn lines(kind: Kind, broken: f64, bytes: usize) -> Vec<u8> {
    let records = Records::new(kind, 7, broken);
    let (mut out, mut index) = (Vec::new(), 0);
    while out.len() < bytes {
        records.write(0, index, &mut out);
        out.push(b'\n');
        index += 1;
    }
    out
}

fn contents(bytes: usize) -> String {
    let lines = lines(Kind::Articles, 0.0, bytes);
    let content = |line: &str| {
        let article: Value = serde_json::from_str(line).unwrap();
        article["content"].as_str().unwrap().to_owned() + "\n"
    };
    std::str::from_utf8(&lines).unwrap().lines().map(content).collect()
}

#[test]
fn text_compresses_as_news_does() {
    let text = contents(5 << 20);
    for block in text.as_bytes().chunks_exact(1 << 20) {
        let ratio = block.len() as f64 / zstd::bulk::compress(block, 3).unwrap().len() as f64;
        println!("zstd-3: {ratio:.2}");
        assert!((2.3..=3.3).contains(&ratio), "zstd-3 makes 1 MiB {ratio:.2} times smaller");
    }
}

#[test]
fn text_splits_into_words_as_news_does() {
    let text = contents(4 << 20);
    let letters: usize =
        text.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).chars().count()).sum();
    let mean = letters as f64 / text.split_whitespace().count() as f64;
    assert!((4.5..=6.5).contains(&mean), "a word has {mean:.2} letters");
    let share = text.chars().filter(|c| !c.is_ascii()).count() as f64 / text.chars().count() as f64;
    println!("letters {mean:.2}, not ASCII {share:.4}");
    assert!((0.01..=0.05).contains(&share), "{:.2} % of characters are not ASCII", share * 100.0);
    let distinct: std::collections::BTreeSet<&str> = text.split_whitespace().collect();
    assert!(distinct.len() > 5000, "only {} different words", distinct.len());
}

#[test]
fn lengths_are_log_normal_around_300_words() {
    let text = contents(8 << 20);
    let records = Records::new(Kind::Articles, 7, 0.0);
    assert!(text.contains("\n\n"));
    let mut words: Vec<usize> = (0..2000)
        .map(|index| {
            let mut out = Vec::new();
            records.write(1, index, &mut out);
            let article: Value = serde_json::from_slice(&out).unwrap();
            article["content"].as_str().unwrap().split_whitespace().count()
        })
        .collect();
    words.sort_unstable();
    let (low, median, high) = (words[320], words[1000], words[1680]);
    assert!((260..=360).contains(&median), "the median article has {median} words");
    // One deviation up and one down are the same factor in a log-normal distribution.
    let (up, down) = (high as f64 / median as f64, median as f64 / low as f64);
    assert!((1.5..=2.3).contains(&up) && (1.4..=2.3).contains(&down), "{low} {median} {high}");
    assert!(*words.last().unwrap() < 5000);
}

#[test]
fn every_record_has_the_keys_of_its_kind() {
    for (kind, keys) in [
        (Kind::Articles, &["article_id", "title", "author", "publish_date", "content"][..]),
        (Kind::Events, &["timestamp", "event_name", "user_identifiers", "product_information"][..]),
    ] {
        for line in std::str::from_utf8(&lines(kind, 0.0, 1 << 18)).unwrap().lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            assert_eq!(record.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
        }
    }
}

/// Whether the record is one that the schema and the rules of its kind refuse, found out with other means than the generator's.
fn refused(kind: Kind, line: &str) -> bool {
    let Ok(record) = serde_json::from_str::<Value>(line) else { return true };
    let time = |value: &Value| {
        value.as_str().is_some_and(|time| time.len() == 20 && time.starts_with("2023-10-") && time.ends_with('Z'))
    };
    match kind {
        Kind::Articles => {
            !record["article_id"].is_string() || !record["content"].is_string() || !time(&record["publish_date"])
        }
        Kind::Events => {
            let (user, product) = (&record["user_identifiers"], &record["product_information"]);
            let known = ["view", "click", "add_to_cart", "search", "purchase"].map(|name| Some(name.into()));
            let is_text = |value: &Value| value.is_null() || value.is_string();
            !time(&record["timestamp"])
                || record["timestamp"].as_str().is_some_and(|time| time.contains("T24") || time.contains(":60Z"))
                || !known.contains(&record.get("event_name").cloned())
                || user["id"].as_str().is_none_or(|id| id.trim().is_empty())
                || !is_text(&user["platform"])
                || !(product.is_null() || product.is_object())
                || !is_text(&product["SKU"])
                || line.contains("[[[[")
        }
    }
}

#[test]
fn the_share_of_broken_records_is_the_one_asked_for() {
    for kind in [Kind::Articles, Kind::Events] {
        for (broken, wanted) in [(0.0, 0.0..=0.0), (0.2, 0.16..=0.24), (1.0, 1.0..=1.0)] {
            let records = Records::new(kind, 3, broken);
            let mut line = Vec::new();
            let bad = (0..2000).filter(|index| {
                line.clear();
                records.write(0, *index, &mut line);
                let line = std::str::from_utf8(&line).unwrap();
                assert!(!line.contains('\n') && !line.is_empty());
                let refused = refused(kind, line);
                assert_eq!(refused, records.fault(0, *index).is_some(), "{line}");
                refused
            });
            let share = bad.count() as f64 / 2000.0;
            assert!(wanted.contains(&share), "{kind:?}: {share} of {broken}");
        }
    }
}

#[test]
fn records_are_broken_in_every_way_of_their_kind() {
    for kind in [Kind::Articles, Kind::Events] {
        let records = Records::new(kind, 5, 1.0);
        let mut seen: Vec<Fault> = (0..500).filter_map(|index| records.fault(0, index)).collect();
        seen.sort_unstable();
        seen.dedup();
        let mut all = Fault::of(kind).to_vec();
        all.sort_unstable();
        assert_eq!(seen, all);
    }
}

#[test]
fn a_key_is_the_id_in_the_record() {
    for index in 0..50 {
        for (kind, id) in [(Kind::Articles, "/article_id"), (Kind::Events, "/user_identifiers/id")] {
            let (whole, broken) = (Records::new(kind, 5, 0.0), Records::new(kind, 5, 1.0));
            let mut line = Vec::new();
            whole.write(2, index, &mut line);
            let record: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(record.pointer(id).unwrap(), &Value::from(whole.key(2, index)));
            assert!(!broken.key(2, index).is_empty());
        }
    }
}

#[test]
fn a_record_is_a_function_of_seed_split_and_index() {
    let one = |seed, split, index| {
        let mut out = b"what was there before".to_vec();
        Records::new(Kind::Articles, seed, 0.1).write(split, index, &mut out);
        out
    };
    assert_eq!(one(1, 2, 3), one(1, 2, 3));
    assert_ne!(one(1, 2, 3), one(2, 2, 3));
    assert_ne!(one(1, 2, 3), one(1, 3, 3));
    assert_ne!(one(1, 2, 3), one(1, 2, 4));
}

/// Prints how fast articles are made: `cargo test --release speed_of_articles -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed_of_articles() {
    let records = Records::new(Kind::Articles, 7, 0.0);
    let mut out = Vec::with_capacity(2 << 20);
    let (mut bytes, began) = (0, tokio::time::Instant::now());
    for index in 0..200_000 {
        records.write(0, index, &mut out);
        if out.len() > 1 << 20 {
            bytes += out.len();
            out.clear();
        }
    }
    println!("{:.0} MB/s", bytes as f64 / began.elapsed().as_secs_f64() / 1e6);
}
