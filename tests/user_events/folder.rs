//! A folder of events, the example run over it by the real binary, and what it laid down, by a plain walk and a plain reader.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::judge::{Averages, Refused, Row, judge};

pub(crate) const EXAMPLE: &str = "examples/user-events/files.toml";

/// A folder with events in it and what came of them.
pub(crate) struct Folder(tempfile::TempDir);

/// What there is to come out, or came out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// Sorted.
    pub(crate) rows: Vec<Row>,
    /// By split and position.
    pub(crate) rejects: BTreeMap<(String, u64), (Refused, Vec<u8>)>,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.input()).unwrap();
        folder
    }

    pub(crate) fn input(&self) -> PathBuf {
        self.0.path().join("in")
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.0.path().join("out")
    }

    /// A file of the input, packed where its name says so.
    pub(crate) fn write(&self, name: &str, records: &[Vec<u8>]) {
        let lines: Vec<u8> = records.iter().flat_map(|record| [record, &b"\n"[..]].concat()).collect();
        let bytes = match name.ends_with(".gz") {
            true => {
                let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packed.write_all(&lines).unwrap();
                packed.finish().unwrap()
            }
            false => lines,
        };
        std::fs::write(self.input().join(name), bytes).unwrap();
    }

    /// Another pipeline file, in the folder.
    pub(crate) fn pipeline(&self, text: &str) -> String {
        let path = self.0.path().join("pipeline.toml");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What the program says, run where a newcomer would run it, over this folder's events.
    pub(crate) fn millstream(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.current_dir(root()).env("EVENTS_IN", self.input()).env("EVENTS_OUT", self.out());
        let done = command.args(arguments).output().unwrap();
        let said = || [&done.stdout[..], &done.stderr].concat();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said()));
        String::from_utf8(done.stdout).unwrap()
    }

    pub(crate) fn run(&self, pipeline: &str, more: &[&str]) {
        self.millstream(&[&["run", pipeline, "--until-end"], more].concat());
        let verified: Value = serde_json::from_str(&self.millstream(&["verify", pipeline, "--json"])).unwrap();
        assert_eq!(verified["ok"], true, "{verified}");
    }

    /// What must come out of the input.
    pub(crate) fn expected(&self) -> Events {
        Events::of_folder(&self.input())
    }

    /// What came out.
    pub(crate) fn found(&self) -> Events {
        let mut found = Events::default();
        for (path, bytes) in files(&self.out()) {
            batches(&bytes).iter().for_each(|batch| take_rows(&path, batch, &mut found.rows));
        }
        for (_, bytes) in files(&self.0.path().join("out-rejects")) {
            batches(&bytes).iter().for_each(|batch| take_rejects(batch, &mut found.rejects));
        }
        found.rows.sort();
        found
    }

    /// What the program tells of its averages.
    pub(crate) fn averages(&self, pipeline: &str) -> Averages {
        let told: Value = serde_json::from_str(&self.millstream(&["averages", pipeline, "--json"])).unwrap();
        let of = |average: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let key = (text(&average["by"]), text(&average["from"]), text(&average["group"]["event_name"]));
            (key, (average["sum"].as_str().unwrap().parse().unwrap(), average["count"].as_i64().unwrap()))
        };
        told.as_array().unwrap().iter().map(of).collect()
    }
}

impl Events {
    /// What must come out of the files of a folder.
    pub(crate) fn of_folder(folder: &Path) -> Self {
        let mut events = Events::default();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let (name, mut at) = (path.file_name().unwrap().to_str().unwrap().to_owned(), 0);
            for line in unpacked(&path).split_inclusive(|byte| *byte == b'\n') {
                let record = line.strip_suffix(b"\n").unwrap_or(line);
                match judge(record) {
                    _ if record.is_empty() => {}
                    Ok(row) => events.rows.push(row),
                    Err(why) => drop(events.rejects.insert((name.clone(), at), (why, record.to_vec()))),
                }
                at += line.len() as u64;
            }
        }
        events.rows.sort();
        events
    }
}

fn unpacked(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    if path.extension().is_none_or(|ending| ending != "gz") {
        return bytes;
    }
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut plain).unwrap();
    plain
}

/// All `*.parquet` below a folder, by path from there.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Bytes> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "parquet") {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(path).unwrap().into());
            }
        }
    }
    found
}

pub(crate) fn batches(bytes: &Bytes) -> Vec<RecordBatch> {
    ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().build().unwrap().map(Result::unwrap).collect()
}

fn take_rows(path: &str, batch: &RecordBatch, rows: &mut Vec<Row>) {
    let schema = batch.schema();
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(columns, ["event_datetime", "user_id", "platform", "product_name", "SKU"], "{path}");
    let parts: Vec<&str> = path.split('/').collect();
    let [date, event, _] = parts[..] else { panic!("{path}") };
    let text = |name: &str, row: usize| {
        let column = batch.column_by_name(name).unwrap().as_string::<i32>();
        assert!(column.is_valid(row), "{path}: {name} is null");
        column.value(row).to_owned()
    };
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    rows.extend((0..batch.num_rows()).map(|row| Row {
        datetime: times.value(row),
        date: date.strip_prefix("event_date=").unwrap().to_owned(),
        event: event.strip_prefix("event_name=").unwrap().to_owned(),
        user: text("user_id", row),
        platform: text("platform", row),
        product: text("product_name", row),
        sku: text("SKU", row),
    }));
}

fn take_rejects(batch: &RecordBatch, rejects: &mut BTreeMap<(String, u64), (Refused, Vec<u8>)>) {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let text = |name: &str, row| column(name).as_string::<i32>().value(row).to_owned();
    for row in 0..batch.num_rows() {
        let key = (text("_split", row), text("_position", row).parse().unwrap());
        let field = column("field").is_valid(row).then(|| text("field", row));
        let message = text("message", row);
        assert!(!message.is_empty() && !message.contains('\n'), "{key:?}: {message}");
        let raw = column("raw").as_binary::<i32>().value(row).to_vec();
        let twice = rejects.insert(key.clone(), ((text("reason", row), field), raw));
        assert!(twice.is_none(), "{key:?} is refused twice");
    }
}
