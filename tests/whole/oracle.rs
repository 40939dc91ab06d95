//! What must come out, from the input alone.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use millstream::connector::generate::Kind;
use millstream::connector::generate::record::Records;
use serde_json::Value;

/// A record that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) title: Option<String>,
    pub(crate) author: Option<String>,
    /// Microseconds.
    pub(crate) published: Option<i64>,
    pub(crate) content: String,
    pub(crate) word_count: i64,
    /// As it stands in the path.
    pub(crate) day: Option<String>,
}

/// All that must come out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// By `article_id`.
    pub(crate) rows: BTreeMap<String, Row>,
    /// Reason and raw bytes, by split and position.
    pub(crate) rejects: BTreeMap<(String, String), (String, Vec<u8>)>,
}

/// Sum and count, by kind of bucket and its start.
pub(crate) type Averages = BTreeMap<(String, Option<String>), (i128, i64)>;

impl Expected {
    /// What must come out of the files of a folder.
    pub(crate) fn of_folder(folder: &Path) -> Self {
        let mut expected = Expected::default();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name.starts_with('.') {
                continue;
            }
            let mut at = 0;
            for line in unpacked(&path).split_inclusive(|byte| *byte == b'\n') {
                let text = line.strip_suffix(b"\n").unwrap_or(line);
                if !text.is_empty() {
                    expected.take(&name, at, text);
                }
                at += line.len();
            }
        }
        expected
    }

    /// What must come out of `generate`, asked for so many articles in so many splits.
    pub(crate) fn of_generated(count: u64, splits: u64, seed: u64, broken: f64) -> Self {
        let (records, mut expected) = (Records::new(Kind::Articles, seed, broken), Expected::default());
        for split in 0..splits {
            for index in 0..count / splits + u64::from(split < count % splits) {
                let mut record = Vec::new();
                records.write(split, index, &mut record);
                expected.take(&format!("generate-{split}"), index as usize, &record);
            }
        }
        expected
    }

    /// Takes in what must become of one record.
    pub(crate) fn take(&mut self, split: &str, position: impl ToString, record: &[u8]) {
        match judge(record) {
            Ok((id, row)) => assert!(self.rows.insert(id, row).is_none(), "the input itself holds a record twice"),
            Err(reason) => {
                let key = (split.to_owned(), position.to_string());
                self.rejects.insert(key, (reason.to_owned(), record.to_vec()));
            }
        }
    }

    /// The averages of `word_count`.
    pub(crate) fn averages(&self) -> Averages {
        let mut averages = Averages::new();
        for row in self.rows.values() {
            let time = row.published.map(|micros| DateTime::<Utc>::from_timestamp_micros(micros).unwrap());
            let hour = time.map(|time| time.format("%Y-%m-%dT%H:00:00Z").to_string());
            let day = time.map(|time| time.format("%Y-%m-%dT00:00:00Z").to_string());
            let buckets = [("overall", Some(None)), ("hour", hour.map(Some)), ("day", day.map(Some))];
            for (by, from) in buckets.into_iter().filter_map(|(by, from)| Some((by, from?))) {
                let total = averages.entry((by.to_owned(), from)).or_default();
                *total = (total.0 + i128::from(row.word_count), total.1 + 1);
            }
        }
        averages
    }
}

fn unpacked(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => {
            let mut plain = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&*bytes), &mut plain).unwrap();
            plain
        }
        Some("zst") => zstd::decode_all(&*bytes).unwrap(),
        _ => bytes,
    }
}

/// The row that a record is, or the reason that it is refused for. A broken record has one fault.
fn judge(record: &[u8]) -> Result<(String, Row), &'static str> {
    let value: Value = serde_json::from_slice(record).map_err(|_| "decode")?;
    let needed = |name: &str| match value.get(name) {
        None => Err("missing"),
        Some(Value::Null) => Err("null"),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err("type"),
    };
    let published = match &value["publish_date"] {
        Value::Null => None,
        Value::String(text) => Some(text.parse::<DateTime<Utc>>().map_err(|_| "type")?),
        _ => return Err("type"),
    };
    let (id, content) = (needed("article_id")?, needed("content")?);
    if content.is_empty() {
        return Err("rule:content_not_empty");
    }
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let row = Row {
        title: text("title"),
        author: text("author"),
        published: published.map(|time| time.timestamp_micros()),
        word_count: words(&content),
        day: published.map(|time| time.format("%Y-%m-%d").to_string()),
        content,
    };
    Ok((id, row))
}

/// Python's `len(text.split())`, from the list in Python's documentation of `str.isspace`.
fn words(text: &str) -> i64 {
    let space = |letter: char| matches!(letter as u32, 9..=13 | 28..=32 | 0x85 | 0xA0 | 0x1680 | 0x2000..=0x200A | 0x2028 | 0x2029 | 0x202F | 0x205F | 0x3000);
    text.split(space).filter(|word| !word.is_empty()).count() as i64
}
