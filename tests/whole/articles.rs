//! Articles, some broken on purpose.

use std::io::Write;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// What stands between words, as Python sees it.
const SPACES: [&str; 8] = [" ", " ", " ", "  ", "\n", "\u{1f}", "\u{a0}", "\u{3000}"];
const WORDS: [&str; 8] = ["river", "Zürich", "of", "the", "日本", "market", "“said”", "2024."];

/// Articles, the same for the same seed.
pub(crate) struct Articles {
    rng: StdRng,
    /// What their ids begin with.
    name: String,
    records: u32,
}

impl Articles {
    pub(crate) fn new(seed: u64) -> Self {
        Articles { rng: StdRng::seed_from_u64(seed), name: "a".to_owned(), records: 0 }
    }

    /// Articles that can lie in one sink with those of another name.
    pub(crate) fn named(name: &str) -> Self {
        let seed = name.bytes().fold(7, |seed, byte| seed * 31 % 1_000_003 + u64::from(byte));
        Articles { name: format!("{name}-"), ..Articles::new(seed) }
    }

    /// The next one, as JSON or nearly so.
    pub(crate) fn record(&mut self) -> Vec<u8> {
        self.records += 1;
        let words = 5 + self.rng.random_range(0..40);
        let mut record = json!({
            "article_id": format!("{}{}", self.name, self.records),
            "title": self.text(3),
            "author": if self.rng.random_bool(0.2) { Value::Null } else { json!("Desk 1") },
            "publish_date": self.time(),
            "content": self.text(words),
            "ignored": { "deep": [1, 2, 3] },
        });
        match if self.rng.random_bool(0.08) { self.rng.random_range(0..6) } else { 6 } {
            0 => return record.to_string().trim_end_matches('}').as_bytes().to_vec(),
            1 => record["article_id"] = json!(self.records),
            2 => record["publish_date"] = json!("2023-13-40T25:61:00Z"),
            3 => record["content"] = Value::Null,
            4 => record["content"] = json!(""),
            5 => drop(record.as_object_mut().unwrap().remove("content")),
            _ => {}
        }
        record.to_string().into_bytes()
    }

    fn time(&mut self) -> Value {
        if self.rng.random_bool(0.05) {
            return Value::Null;
        }
        let (day, hour, minute) =
            (self.rng.random_range(1..4), self.rng.random_range(0..24), self.rng.random_range(0..60));
        json!(format!("2024-03-{day:02}T{hour:02}:{minute:02}:07.25Z"))
    }

    fn text(&mut self, words: u32) -> String {
        (0..words)
            .map(|_| {
                WORDS[self.rng.random_range(0..WORDS.len())].to_owned() + SPACES[self.rng.random_range(0..SPACES.len())]
            })
            .collect()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}
