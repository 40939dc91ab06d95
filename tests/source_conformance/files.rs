//! The files source: the laws for each format, packing and size of fetch, and random texts against a plain reader.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use millstream::connector::files::{Compression, Files, Format, Options};
use millstream::connector::{Bounds, Source, SplitInfo};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::laws;
use super::outlet::{clock, read};
use super::shelf::Shelf;

/// How a test packs a file: in members of about so many bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pack {
    Plain,
    Gzip(usize),
    Zstd(usize),
}

impl Pack {
    pub(crate) fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Pack::Plain => bytes.to_vec(),
            Pack::Gzip(member) => members(bytes, member, gzip),
            Pack::Zstd(member) => members(bytes, member, |part| zstd::encode_all(part, 1).unwrap()),
        }
    }
}

fn members(bytes: &[u8], member: usize, pack: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    bytes.chunks(member.max(1)).flat_map(pack).collect()
}

fn gzip(part: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(part).unwrap();
    out.finish().unwrap()
}

pub(crate) fn options(bounds: Bounds) -> Options {
    Options::new(bounds, clock())
}

pub(crate) fn source(shelf: &Arc<Shelf>, options: Options) -> Arc<dyn Source> {
    Arc::new(Files::new(shelf.clone(), "", options).unwrap())
}

/// The only file of a source.
pub(crate) async fn only(source: &dyn Source) -> SplitInfo {
    let mut splits = source.discover().await.unwrap().splits;
    assert_eq!(splits.len(), 1);
    splits.remove(0)
}

/// Lines of many lengths, with blank ones, `\r\n` and characters of several bytes.
fn lines(count: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for index in 0..count {
        let fill = "grain – Körner ".repeat(index * 7919 % 23);
        let end = if index % 5 == 0 { "\r\n" } else { "\n" };
        write!(text, "{{\"n\":{index},\"text\":\"{fill}\"}}{end}").unwrap();
        if index % 11 == 0 {
            text.extend_from_slice(b"\n \t\r\n");
        }
    }
    text
}

/// Lines as a plain reader finds them.
fn plain_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.trim_ascii().is_empty()).map(<[u8]>::to_vec).collect()
}

#[tokio::test]
async fn lines_keep_the_laws() {
    let text = lines(3000);
    let wanted = plain_lines(&text);
    for pack in [Pack::Plain, Pack::Gzip(usize::MAX), Pack::Gzip(50_000), Pack::Zstd(usize::MAX), Pack::Zstd(9999)] {
        for fetch in [700, 64 << 10, 1 << 20] {
            let shelf = Arc::new(Shelf::default());
            shelf.set("2024/a.ndjson", pack.pack(&text));
            for bounds in [Bounds::UntilEnd, Bounds::Unbounded] {
                let make = || source(&shelf, Options { fetch, ..options(bounds) });
                laws::all(&make, &|_| wanted.clone(), 4 << 20).await;
            }
        }
    }
}

#[tokio::test]
async fn csv_keeps_the_laws() {
    let mut text = b"\xEF\xBB\xBFid,\"a\nname\",text\r\n".to_vec();
    let mut wanted = Vec::new();
    for index in 0..2000 {
        let record = format!("{index},\"line one\nline \"\"two\"\"\n\",5\" disk {}", "x".repeat(index % 40));
        text.extend_from_slice(record.as_bytes());
        text.extend_from_slice(if index % 3 == 0 { b"\r\n" } else { b"\n\n" });
        wanted.push(record.into_bytes());
    }
    for pack in [Pack::Plain, Pack::Gzip(30_000), Pack::Zstd(usize::MAX)] {
        for fetch in [500, 1 << 20] {
            let shelf = Arc::new(Shelf::default());
            shelf.set("a.csv", pack.pack(&text));
            let format = Format::Csv { delimiter: b',', header: true };
            let make = || source(&shelf, Options { fetch, format, ..options(Bounds::UntilEnd) });
            laws::all(&make, &|_| wanted.clone(), 4 << 20).await;
            let (_, collect) = read(&*make(), &only(&*make()).await, None).await;
            assert!(collect.records.iter().all(|record| record.header.as_deref() == Some(b"id,\"a\nname\",text")));
        }
    }
}

/// A Parquet file of `rows` rows in groups of 1,000.
pub(crate) fn parquet(rows: i64) -> Vec<u8> {
    let text = |row| "stream ".repeat((row * 31 % 97) as usize);
    let batch = RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from_iter_values(0..rows)) as _),
        ("text", Arc::new(StringArray::from_iter_values((0..rows).map(text))) as _),
    ])
    .unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(1000)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn parquet_keeps_the_laws() {
    let shelf = Arc::new(Shelf::default());
    shelf.set("a.parquet", parquet(9500));
    let row = |row: usize| {
        let text = "stream ".repeat(row * 31 % 97);
        format!("{{\"n\":{row},\"text\":\"{text}\"}}\n").into_bytes()
    };
    let wanted: Vec<Vec<u8>> = (0..9500).map(row).collect();
    for fetch in [16 << 10, 1 << 20] {
        let make = || source(&shelf, Options { fetch, format: Format::Parquet, ..options(Bounds::UntilEnd) });
        laws::all(&make, &|_| wanted.clone(), 6 << 20).await;
    }
}

#[tokio::test]
async fn the_packing_is_that_of_the_first_bytes_or_the_one_said() {
    let shelf = Arc::new(Shelf::default());
    shelf.set("a.gz", b"{}\n".to_vec());
    let (end, collect) = {
        let source = source(&shelf, options(Bounds::UntilEnd));
        read(&*source, &only(&*source).await, None).await
    };
    assert!(end.is_ok() && collect.texts() == ["{}"]);
    shelf.set("a.gz", Pack::Gzip(99).pack(b"{}\n"));
    let plain = source(&shelf, Options { compression: Compression::None, ..options(Bounds::UntilEnd) });
    let (_, collect) = read(&*plain, &only(&*plain).await, None).await;
    assert_ne!(collect.texts(), ["{}"]);
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(vec!["\n", "\r\n", "ab", " ", "é", "{\"k\":1}\n"]);
    proptest::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat().into_bytes())
}

fn any_pack() -> impl Strategy<Value = Pack> {
    prop_oneof![Just(Pack::Plain), (1usize..60).prop_map(Pack::Gzip), (1usize..60).prop_map(Pack::Zstd)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_as_its_lines(text in any_text(), pack in any_pack(), fetch in 1usize..40) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let shelf = Arc::new(Shelf::default());
            shelf.set("a", pack.pack(&text));
            let make = || source(&shelf, Options { fetch, ..options(Bounds::UntilEnd) });
            laws::all(&make, &|_| plain_lines(&text), 22 << 20).await;
        });
    }
}

/// Prints how fast lines are framed and hashed: `cargo test --release --test source_conformance speed -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn speed_of_lines() {
    let record = [&vec![b'x'; 1900][..], b"\n"].concat();
    for pack in [Pack::Plain, Pack::Gzip(1 << 20), Pack::Zstd(1 << 24)] {
        let shelf = Arc::new(Shelf::default());
        let text = record.repeat(400 << 20 >> 11);
        shelf.set("a", pack.pack(&text));
        let source = source(&shelf, options(Bounds::UntilEnd));
        let split = only(&*source).await;
        let mut sink = super::outlet::Sink::default();
        let began = tokio::time::Instant::now();
        source.read(&split, None, &mut sink).await.unwrap();
        println!("{pack:?}: {:.0} MB/s, {} records", text.len() as f64 / began.elapsed().as_secs_f64() / 1e6, sink.0);
    }
}
