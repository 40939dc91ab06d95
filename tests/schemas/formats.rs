//! Formats without a registry, from a stream.

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use prost::Message;
use tokio::time::Duration;

use super::pipeline::{Events, batches};
use crate::whole::process::Process;

/// A message as `prost` writes it.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
    #[prost(sint64, repeated, tag = "4")]
    ignored: Vec<i64>,
}

const PROTO: &str = "syntax = \"proto3\"; package shop;
    message Event { int64 id = 1; optional string name = 2; optional int64 number = 3; repeated sint64 ignored = 4; }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_in_a_file_is_enough() {
    let decode = "format = \"protobuf\"\nschema = \"event.proto\"\nmessage = \"shop.Event\"";
    let mut events = Events::new("protobuf-file", decode).await;
    events.beside("event.proto", PROTO.as_bytes());
    let event = |id: i64| Event { id, name: (id % 2 == 0).then(|| "two".into()), ignored: vec![-1, id] };
    events.put((1..60).map(|id| event(id).encode_to_vec())).await;
    events.start("run", &["--until-end"]).wait().await.with(0);
    let expected = (1..60).map(|id| (id, (id % 2 == 0).then(|| "two".to_owned()), None));
    assert_eq!(events.events(), expected.collect());
    let sampled = events.start("sample", &["--rows", "3", "--json"]).wait().await.with(0);
    assert_eq!(sampled.stdout.matches("\"id\"").count(), 3, "{}", sampled.stdout);
}

/// Would catch a header that is waited for, or taken from a message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csv_in_messages_has_no_header() {
    let mut events = Events::new("csv-stream", "format = \"csv\"\nheader = false").await;
    events.put((0..50).map(|id| format!("{id},\"a, b\",\n").into_bytes()).chain([b"id,name,number".to_vec()])).await;
    tokio::time::timeout(Duration::from_secs(60), events.start("run", &["--until-end"]).wait()).await.unwrap().with(0);
    assert_eq!(events.events(), (0..50).map(|id| (id, Some("a, b".to_owned()), None)).collect());
    let rejects = events.rejects();
    assert_eq!(rejects.first().map(|(reason, ..)| reason.as_str()), Some("type"));
    assert_eq!(rejects.len(), 1);
}

/// Would catch a case of `[[test]]` that is to be written in bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases_of_a_binary_format_are_written_as_json() {
    let decode = "format = \"protobuf\"\nschema = \"event.proto\"\nmessage = \"shop.Event\"\n\
                  [[test]]\nname = \"one\"\ninput = [{ id = 1, name = \"x\" }, { name = \"y\" }]\n\
                  expect = [{ id = 1, name = \"x\" }]\nrejects = [{ reason = \"missing\", field = \"id\" }]";
    let events = Events::new("protobuf-cases", decode).await;
    events.beside("event.proto", PROTO.as_bytes());
    let ended = events.start("test", &[]).wait().await;
    assert_eq!((ended.code, ended.stdout.lines().last()), (Some(0), Some("1 passed, 0 failed")), "{}", ended.stdout);
}

/// Would catch lines of a log that are trimmed, and a blank one that is a record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_files_are_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("in")).unwrap();
    std::fs::write(path("in/a.log"), " one {\"\n\ntwo\r\n\u{e9} three").unwrap();
    let text = format!(
        "name = \"logs\"\n[source]\ntype = \"files\"\npath = {:?}\n[decode]\nformat = \"text\"\n[schema]\nline = \"string!\"\n\
         [enrich]\nsize = \"length(line)\"\n[sink]\npath = {:?}\n",
        path("in"),
        path("out")
    );
    std::fs::write(path("pipeline.toml"), text).unwrap();
    let file = path("pipeline.toml");
    let ended = Process::start(&["run", file.to_str().unwrap(), "--until-end"], &[]).wait().await.with(0);
    let lines: Vec<(String, i32)> = batches(&path("out"))
        .iter()
        .flat_map(|batch| {
            let sizes = batch.column(1).as_primitive::<Int32Type>().values().to_vec();
            let lines = batch.column(0).as_string::<i32>().iter().map(|line| line.unwrap().to_owned());
            lines.zip(sizes).collect::<Vec<_>>()
        })
        .collect();
    let expected = [(" one {\"", 7), ("two", 3), ("é three", 7)].map(|(line, size)| (line.to_owned(), size));
    assert_eq!(lines, expected, "{}", ended.stderr);
}
