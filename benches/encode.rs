//! What laying rows down costs beside the bare Parquet writer: `cargo bench --bench encode [-- mb=200]`.
//!
//! The same enriched articles, in the same batches, go through the encoder (files, row groups by size, pieces for the upload,
//! the checksum of each file, ranges of positions) and through arrow-rs' own writer with row groups of the same size; both at
//! zstd(3) and without compression, in turn, on one core. The ratio without compression is what the encoder adds.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

#[path = "enriched/mod.rs"]
mod enriched;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use millstream::stages::Stages;
use millstream_operators::encode::{Compression, EncodeOptions, Encoder, ZstdLevel};
use millstream_operators::{Batch, Unlimited};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const ROW_GROUP: usize = 64 << 20;

fn main() {
    let asked = std::env::args().find_map(|argument| argument.strip_prefix("mb=")?.parse().ok());
    let (stages, batches, bytes) = enriched::articles(asked.unwrap_or(200));
    println!("{} batches of articles, {:.0} MB of JSON", batches.len(), bytes as f64 / 1e6);
    let zstd = Compression::ZSTD(ZstdLevel::try_new(3).unwrap());
    for (name, compression) in [("zstd(3)", zstd), ("none", Compression::UNCOMPRESSED)] {
        let (mut ours, mut bare) = (0.0, 0.0);
        for _ in 0..ROUNDS {
            ours = f64::max(ours, speed(bytes, || encoded(&stages, &batches, compression)));
            bare = f64::max(bare, speed(bytes, || written(&batches, compression)));
        }
        println!("{name:<8} encoder {ours:6.0} MB/s, bare writer {bare:6.0} MB/s, ratio {:.2}", ours / bare);
    }
}

/// The speed of a round in MB/s of JSON. Each round tells how many bytes it made.
fn speed(bytes: usize, round: impl FnOnce() -> u64) -> f64 {
    let start = Instant::now();
    assert!(black_box(round()) > 0);
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn encoded(stages: &Stages, batches: &[Batch], compression: Compression) -> u64 {
    let options =
        EncodeOptions { compression, ..stages.data_options(stages.config().first_sink(), Arc::new(Unlimited)) };
    let (mut encoder, mut bytes) = (Encoder::new(options).unwrap(), 0);
    let mut give = |encoder: &mut Encoder| {
        bytes += encoder.pieces().iter().filter_map(|piece| piece.end.as_ref()).map(|end| end.bytes).sum::<u64>();
    };
    for batch in batches {
        encoder.push(1, batch).unwrap();
        give(&mut encoder);
    }
    while !encoder.close(1, usize::MAX).unwrap() {}
    give(&mut encoder);
    bytes
}

fn written(batches: &[Batch], compression: Compression) -> u64 {
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(None)
        .set_data_page_size_limit(1 << 20)
        .build();
    let mut writer = ArrowWriter::try_new(Counted(0), batches[0].rows.schema(), Some(properties)).unwrap();
    let mut group = 0;
    for batch in batches {
        writer.write(&batch.rows).unwrap();
        group += batch.rows.get_array_memory_size();
        if group >= ROW_GROUP {
            writer.flush().unwrap();
            group = 0;
        }
    }
    writer.into_inner().unwrap().0
}

/// Counts what is written, and drops it.
struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += black_box(bytes).len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
