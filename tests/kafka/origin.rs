//! What is known of a message besides its value.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};

use crate::services::kafka::broker;
use crate::source;
use crate::whole::process::Process;
use crate::whole::sink::batches;
use crate::whole::topic::{Record, Topic};

/// A pipeline that lays down what each message was, and what an expression makes of it.
const REST: &str = r#"
[schema]
n = "int64!"

[validate]
not_from_the_tests = "coalesce(_headers['made by'], '') <> 'test'"

[enrich]
trace = "_headers.trace"
key = "upper(_key)"
hour = "date_trunc('hour', _timestamp)"

[sink]
select = ["n", "_topic", "_partition", "_offset", "_timestamp", "_key", "_headers", "trace", "key", "hour"]
"#;

/// Would catch a key, a header or a time that goes to the row beside its own, and bytes that are no text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_headers_time_and_place_are_columns() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "origin", 2).await;
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let record = |n: usize, key: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]| Record {
        partition: (n % 2) as i32,
        key: key.map(<[u8]>::to_vec),
        data: text(&format!("{{\"n\":{n}}}")),
        headers: headers.iter().map(|(name, value)| (name.to_string(), value.map(<[u8]>::to_vec))).collect(),
        millis: Some(1_700_000_000_000 + n as i64 * 3_600_000),
    };
    topic.put_all(vec![
        record(0, Some(b"alpha"), &[("trace", Some(b"t0")), ("trace", Some(b"t0-last"))]),
        record(1, None, &[]),
        record(2, Some(b"\xff\xfe"), &[("trace", Some(b"\xff")), ("other", Some(b"x"))]),
        Record { data: text("no json"), ..record(3, Some(b"refused"), &[("trace", Some(b"refused"))]) },
        record(4, Some(b""), &[("trace", None), ("made by", Some(b"hand"))]),
        record(5, Some(b"beta"), &[("trace", Some(b"t5"))]),
        record(6, Some(b"from a test"), &[("made by", Some(b"test"))]),
        Record { data: None, ..record(7, Some(b"tombstone"), &[]) },
    ]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.toml");
    let out = folder.path().join("out");
    let source = source(&broker.plain(), "\"origin\"", "headers = [\"trace\", \"made by\"]");
    let rest = REST.replace("[sink]", &format!("[sink]\npath = {:?}", out.display().to_string()));
    std::fs::write(&file, format!("name = \"origin\"\n[source]\n{source}\n{rest}")).unwrap();
    Process::start(&["run", file.to_str().unwrap(), "--until-end"], &[]).wait().await.with(0);

    let mut found: Vec<_> = parquet(&out).iter().flat_map(rows).collect();
    found.sort();
    let hour = |n: i64| 1_699_999_200_000_000 + n * 3_600_000_000;
    let at = |n: i64| 1_700_000_000_000_000 + n * 3_600_000_000;
    let row = |n: i64, partition: i32, offset: i64, key: Option<&str>, trace: Option<&str>, by: Option<&str>| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        (n, partition, offset, at(n), text(key), text(trace), text(by), key.map(str::to_uppercase), hour(n))
    };
    assert_eq!(
        found,
        [
            row(0, 0, 0, Some("alpha"), Some("t0-last"), None),
            row(1, 1, 0, None, None, None),
            row(2, 0, 1, None, None, None),
            row(4, 0, 2, Some(""), None, Some("hand")),
            row(5, 1, 2, Some("beta"), Some("t5"), None),
        ]
    );
    let mut refused: Vec<(String, String, String)> = Vec::new();
    for batch in parquet(&folder.path().join("out-rejects")) {
        let text = |name: &str, row| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
        refused.extend(
            (0..batch.num_rows()).map(|row| (text("_split", row), text("_position", row), text("reason", row))),
        );
    }
    refused.sort();
    let reject = |split: &str, at: &str, reason: &str| (split.to_owned(), at.to_owned(), reason.to_owned());
    assert_eq!(
        refused,
        [
            reject("origin/0", "3", "rule:not_from_the_tests"),
            reject("origin/1", "1", "decode"),
            reject("origin/1", "3", "decode"),
        ]
    );
}

type Row = (i64, i32, i64, i64, Option<String>, Option<String>, Option<String>, Option<String>, i64);

fn rows(batch: &arrow::array::RecordBatch) -> Vec<Row> {
    let column = |name: &str| batch.column_by_name(name).unwrap().clone();
    let text = |array: &arrow::array::ArrayRef, row: usize| {
        array.is_valid(row).then(|| array.as_string::<i32>().value(row).to_owned())
    };
    let headers = column("_headers");
    let headers = headers.as_struct();
    let (trace, by) = (headers.column_by_name("trace").unwrap(), headers.column_by_name("made by").unwrap());
    (0..batch.num_rows())
        .map(|row| {
            assert_eq!(text(&column("trace"), row), text(trace, row));
            assert_eq!(text(&column("_topic"), row).unwrap(), "origin");
            (
                column("n").as_primitive::<Int64Type>().value(row),
                column("_partition").as_primitive::<Int32Type>().value(row),
                column("_offset").as_primitive::<Int64Type>().value(row),
                column("_timestamp").as_primitive::<TimestampMicrosecondType>().value(row),
                text(&column("_key"), row),
                text(trace, row),
                text(by, row),
                text(&column("key"), row),
                column("hour").as_primitive::<TimestampMicrosecondType>().value(row),
            )
        })
        .collect()
}

fn parquet(folder: &std::path::Path) -> Vec<arrow::array::RecordBatch> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    files.flat_map(|path| batches(&std::fs::read(path).unwrap().into())).collect()
}

/// Would catch messages without a value that stop or fill a pipeline whose user has said that they mean nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_without_a_value_are_skipped_where_that_is_asked_for() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "tombstones", 1).await;
    let mut pipeline = crate::reader(broker, "\"tombstones\"", "tombstones = \"skip\"").await;
    for _ in 0..3 {
        topic.put(10);
        topic.send(vec![Record { key: Some(b"k".to_vec()), ..Record::default() }; 5]);
    }
    pipeline.run_to_the_end(1).await;
    pipeline.check(&topic.expected()).await;
    pipeline.run_to_the_end(1).await;
    pipeline.check(&topic.expected()).await;
}
