//! A pipeline over a stream of events, and what became of them.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::services::kinesis::{ENVIRONMENT, Kind, server};
use crate::whole::process::Process;
use crate::whole::reader::source;
use crate::whole::stream::{Record, Stream};

/// A pipeline of events: an id, a name, a number.
pub(crate) struct Events {
    folder: tempfile::TempDir,
    stream: Option<Stream>,
    environment: Vec<(&'static str, String)>,
}

/// An event as it came out.
pub(crate) type Event = (i64, Option<String>, Option<i64>);

impl Events {
    /// A pipeline with these lines in `[decode]`, and its stream.
    pub(crate) async fn new(name: &str, decode: &str) -> Self {
        Self::with_shards(2, name, decode).await
    }

    /// The same, with a stream of so many shards.
    pub(crate) async fn with_shards(shards: i32, name: &str, decode: &str) -> Self {
        let stream = Stream::new(Kind::Kinesalite, name, shards).await;
        let source = source(&[&stream], &server(Kind::Kinesalite).await.endpoint, "");
        Events { stream: Some(stream), ..Self::over(&source, decode) }
    }

    /// The same over any source, which the test fills itself.
    pub(crate) fn over(source: &str, decode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "name = \"events\"\n[source]\n{source}[decode]\n{decode}\n[schema]\nid = \"int64!\"\nname = \"string\"\n\
             number = \"int64\"\n[sink]\npath = {:?}\n[epoch]\ninterval = \"100ms\"\n",
            folder.path().join("out")
        );
        std::fs::write(folder.path().join("pipeline.toml"), text).unwrap();
        let environment = ENVIRONMENT.map(|(name, value)| (name, value.to_owned())).into();
        Events { folder, stream: None, environment }
    }

    /// Sets a variable of the pipeline's processes.
    pub(crate) fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.environment.push((variable, value.to_owned()));
        self
    }

    /// Lays a file beside the pipeline file.
    pub(crate) fn beside(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    /// Puts records into the stream.
    pub(crate) async fn put(&mut self, records: impl IntoIterator<Item = Vec<u8>>) {
        let record = |(at, data)| Record { key: format!("key-{at}"), data, ..Record::default() };
        let records: Vec<Record> = records.into_iter().enumerate().map(record).collect();
        for some in records.chunks(100) {
            self.stream.as_mut().unwrap().put_all(some.to_vec()).await;
        }
    }

    /// Starts a command on the pipeline.
    pub(crate) fn start(&self, command: &str, more: &[&str]) -> Process {
        let file = self.folder.path().join("pipeline.toml");
        Process::start(&[&[command, file.to_str().unwrap()], more].concat(), &self.environment)
    }

    /// The events in the sink, by id.
    pub(crate) fn events(&self) -> BTreeSet<Event> {
        let mut events = BTreeSet::new();
        for batch in batches(&self.folder.path().join("out")) {
            let (ids, names) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_string::<i32>());
            let numbers = batch.column(2).as_primitive::<Int64Type>();
            for ((id, name), number) in ids.values().iter().zip(names).zip(numbers) {
                assert!(events.insert((*id, name.map(str::to_owned), number)), "{id} is there twice");
            }
        }
        events
    }

    /// The names of its files.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("out")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The rejects: reason and message of each, and its raw bytes.
    pub(crate) fn rejects(&self) -> BTreeSet<(String, String, Vec<u8>)> {
        let mut rejects = BTreeSet::new();
        for batch in batches(&self.folder.path().join("out-rejects")) {
            let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
            let raw = batch.column_by_name("raw").unwrap().as_binary::<i32>();
            for ((reason, message), raw) in text("reason").iter().zip(&text("message")).zip(raw) {
                rejects.insert((reason.unwrap().to_owned(), message.unwrap().to_owned(), raw.unwrap().to_vec()));
            }
        }
        rejects
    }
}

/// All rows of the files of a folder.
pub(crate) fn batches(folder: &std::path::Path) -> Vec<arrow::array::RecordBatch> {
    let mut batches = Vec::new();
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    for path in entries.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(std::fs::read(path).unwrap())).unwrap();
        batches.extend(reader.build().unwrap().map(Result::unwrap));
    }
    batches
}
