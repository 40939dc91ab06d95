//! How fast JSON becomes columns: our decoder beside arrow-json's, on the same articles of about 2 KB, on one core; and how
//! fast the same articles do as Avro and as Protobuf.
//!
//! ```text
//! cargo bench --bench decode
//! ```
//!
//! The articles are those of the generate source, and wider ones with a list and many escapes. Each is given 4 MiB of
//! records at a time and prints the best of several rounds, ours and theirs in turn, in MB/s of JSON. Ours is told where
//! records begin and end, as a source tells it; arrow-json finds the ends of lines itself. It checks less: keys given twice
//! and nulls where none may be are taken, and one bad record fails its whole batch. Avro and Protobuf come as a payload
//! each, and their MB are of their own bytes.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow::json::ReaderBuilder;
use bytes::Bytes;
use millstream::connector::generate::record::{Kind, Records as Generated};
use millstream_operators::batch::{Beside, Permit, Positions, RawBatch, Records};
use millstream_operators::decode::{Compression, Decode, DecodeOptions, Decoder, Format, Written};
use millstream_operators::{Column, Definition, Kind as Type, Position, Schema};

#[path = "decode/binary.rs"]
mod binary;

const ARTICLES: usize = 32_768;
const BATCH_BYTES: usize = 4 << 20;
const ROUNDS: usize = 7;

fn main() {
    let records = Generated::new(Kind::Articles, 1, 0.0);
    compare("generated", &narrow(), |id, out| records.write(0, id as u64, out));
    let mut words = Words(7);
    compare("wide, with escapes", &wide(), |id, out| out.extend_from_slice(words.article(id).as_bytes()));
}

fn compare(name: &str, schema: &Schema, write: impl FnMut(usize, &mut Vec<u8>)) {
    let batches = batches(write);
    let bytes: usize = batches.iter().map(|(data, _)| data.len()).sum();
    println!("{name}: {ARTICLES} articles, {:.1} MB", bytes as f64 / 1e6);
    let (mut best_of_ours, mut best_of_theirs) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        best_of_ours = f64::max(best_of_ours, speed(bytes, || ours(schema, &batches)));
        best_of_theirs = f64::max(best_of_theirs, speed(bytes, || theirs(schema, &batches)));
    }
    println!("  ours       {best_of_ours:7.0} MB/s");
    println!("  arrow-json {best_of_theirs:7.0} MB/s");
    println!("  ratio      {:7.2}", best_of_ours / best_of_theirs);
    for (name, format, definition, records) in binary::forms(&batches) {
        let bytes: usize = records.iter().flatten().map(Bytes::len).sum();
        let best = (0..ROUNDS).map(|_| speed(bytes, || binary(schema, format, &definition, &records)));
        let best = best.fold(0.0, f64::max);
        println!("  {name:<10} {best:7.0} MB/s of {:.1} MB", bytes as f64 / 1e6);
    }
}

fn binary(schema: &Schema, format: Format, definition: &Arc<Definition>, batches: &[Vec<Bytes>]) -> usize {
    let written = Written::With(definition.clone());
    let compression = Compression::None;
    let options = DecodeOptions { format, compression, written, schema: schema.clone(), ..Default::default() };
    let mut decoder = Decoder::new(options).unwrap();
    let decoded = batches.iter().map(|records| {
        let raw = RawBatch { records: Records::Payloads(records.clone()), ..raw(Bytes::new(), Vec::new()) };
        let decoded = decoder.decode(&Arc::new(raw));
        assert!(decoded.refused.is_empty());
        black_box(&decoded.rows).num_rows()
    });
    decoded.sum()
}

/// The speed of one round in MB/s. Each round says how many rows it made.
fn speed(bytes: usize, round: impl FnOnce() -> usize) -> f64 {
    let start = Instant::now();
    assert_eq!(black_box(round()), ARTICLES);
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn ours(schema: &Schema, batches: &[(Bytes, Vec<(u32, u32)>)]) -> usize {
    let mut decoder = Decoder::new(DecodeOptions { schema: schema.clone(), ..Default::default() }).unwrap();
    let decoded = batches.iter().map(|(data, spans)| {
        let decoded = decoder.decode(&Arc::new(raw(data.clone(), spans.clone())));
        assert!(decoded.refused.is_empty());
        black_box(&decoded.rows).num_rows()
    });
    decoded.sum()
}

fn theirs(schema: &Schema, batches: &[(Bytes, Vec<(u32, u32)>)]) -> usize {
    let rows = batches.iter().map(|(_, spans)| spans.len()).max().unwrap_or(1);
    let mut decoder = ReaderBuilder::new(schema.arrow()).with_batch_size(rows).build_decoder().unwrap();
    let decoded = batches.iter().map(|(data, _)| {
        decoder.decode(data).unwrap();
        black_box(decoder.flush().unwrap().unwrap()).num_rows()
    });
    decoded.sum()
}

fn narrow() -> Schema {
    let text = |name: &str| Column::new(name, Type::String);
    let published = Column::new("publish_date", Type::Timestamp);
    Schema {
        columns: vec![
            text("article_id").required(),
            text("title"),
            text("author"),
            published,
            text("content").required(),
        ],
    }
}

/// With a list and a number before the content.
fn wide() -> Schema {
    let Schema { mut columns } = narrow();
    let tags = Column::new("tags", Type::List(Box::new(Column::new("item", Type::String))));
    columns.splice(4..4, [tags, Column::new("views", Type::Int64)]);
    Schema { columns }
}

fn raw(data: Bytes, spans: Vec<(u32, u32)>) -> RawBatch {
    RawBatch {
        split: "bench".into(),
        until: Position::at(data.len() as u64),
        size: data.len(),
        records: Records::Framed { data, spans },
        positions: Positions::Offsets { base: 0 },
        arrived_at: 0,
        refused: Vec::new(),
        beside: Beside::default(),
        permit: Permit::free(),
    }
}

/// All articles as lines, and where each is, in buffers of about [`BATCH_BYTES`].
fn batches(mut write: impl FnMut(usize, &mut Vec<u8>)) -> Vec<(Bytes, Vec<(u32, u32)>)> {
    let (mut batches, mut data, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    for id in 0..ARTICLES {
        let start = data.len() as u32;
        write(id, &mut data);
        spans.push((start, data.len() as u32));
        data.push(b'\n');
        if data.len() > BATCH_BYTES || id + 1 == ARTICLES {
            batches.push((std::mem::take(&mut data).into(), std::mem::take(&mut spans)));
        }
    }
    batches
}

/// Words drawn with a fixed seed, a few of them not ASCII.
struct Words(u64);

impl Words {
    fn draw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn text(&mut self, bytes: usize) -> String {
        const WORDS: [&str; 16] = [
            "the", "of", "minister", "said", "on", "Tuesday", "markets", "rose", "after", "a", "report", "from",
            "région", "that", "growth", "slowed",
        ];
        let mut text = String::new();
        while text.len() < bytes {
            text.push_str(WORDS[self.draw(16) as usize]);
            text.push_str(match self.draw(60) {
                0 => ".\\n\\n",
                1 => " \\\"",
                2..6 => ", ",
                _ => " ",
            });
        }
        text
    }

    fn article(&mut self, id: usize) -> String {
        let (title, author, content) = (self.text(60), self.text(14), self.text(1_700));
        let (tag, views) = (self.text(5), self.draw(100_000));
        format!(
            r#"{{"article_id":"a-{id:08}","title":"{title}","author":"{author}","publish_date":"2024-02-28T10:11:12Z","tags":["world","{tag}"],"views":{views},"url":"https://news.example.com/{id}","content":"{content}"}}"#
        )
    }
}
