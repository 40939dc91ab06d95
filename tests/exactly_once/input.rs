//! A folder of input that grows: plain, gzip and zstd files, new ones and new lines, some records broken on purpose.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// What stands between words, as Python sees it.
const SPACES: [&str; 8] = [" ", " ", " ", "  ", "\n", "\u{1f}", "\u{a0}", "\u{3000}"];
const WORDS: [&str; 8] = ["river", "Zürich", "of", "the", "日本", "market", "“said”", "2024."];

/// A folder that grows.
pub(crate) struct Input {
    pub(crate) folder: PathBuf,
    rng: StdRng,
    files: u32,
    records: u32,
}

impl Input {
    pub(crate) fn new(folder: PathBuf, seed: u64) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        Input { folder, rng: StdRng::seed_from_u64(seed), files: 0, records: 0 }
    }

    /// A new file, packed in turns; it shows when it is whole.
    pub(crate) fn add_file(&mut self, records: u32) {
        let lines = self.lines(records);
        self.files += 1;
        let (ending, bytes) = match self.files % 3 {
            0 => ("", lines),
            1 => (".gz", gzip(&lines)),
            _ => (".zst", zstd::encode_all(&*lines, 1).unwrap()),
        };
        let name = format!("part-{:04}.ndjson{ending}", self.files);
        let hidden = self.folder.join(format!(".{name}"));
        std::fs::write(&hidden, bytes).unwrap();
        std::fs::rename(hidden, self.folder.join(name)).unwrap();
    }

    /// More lines in the one file that grows, in two writes that part a line.
    pub(crate) fn append(&mut self, records: u32) {
        let lines = self.lines(records);
        let mut file = OpenOptions::new().create(true).append(true).open(self.growing()).unwrap();
        let (head, tail) = lines.split_at(lines.len() / 2);
        file.write_all(head).unwrap();
        file.write_all(tail).unwrap();
    }

    pub(crate) fn growing(&self) -> PathBuf {
        self.folder.join("growing.ndjson")
    }

    fn lines(&mut self, records: u32) -> Vec<u8> {
        let mut lines = Vec::new();
        for _ in 0..records {
            lines.extend(self.record());
            lines.push(b'\n');
        }
        lines
    }

    fn record(&mut self) -> Vec<u8> {
        self.records += 1;
        let words = 5 + self.rng.random_range(0..40);
        let mut record = json!({
            "article_id": format!("a{}", self.records),
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

/// The name of a file of the input.
pub(crate) fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}
