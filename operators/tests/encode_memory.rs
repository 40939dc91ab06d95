//! Proves that memory does not grow with the number of partitions: 5,000 of them, in no order, within a budget of 32 MiB.
//!
//! In a file of its own, since it looks at the memory of the whole process. Would catch a writer (with its compressors) opened
//! for every small partition, rows held by slices of a larger batch, and a file that is not counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::encode::{EncodeOptions, Encoder};
use millstream_operators::{Batch, Origin, Permit, Position, RawBatch, Records, Reserve};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const MEMORY: usize = 32 << 20;
const ROWS: i64 = 60_000;
const PARTITIONS: u64 = 5_000;

struct Free;
impl Reserve for Free {
    fn reserve(&self, _bytes: usize) -> Permit {
        Permit::free()
    }
}

/// The next number of a sequence without a pattern, the same in every run.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Five hundred rows of about a kilobyte.
fn batch(first: i64, seed: &mut u64) -> Batch {
    let keys: StringArray = (0..500).map(|_| Some(format!("{:04}", next(seed) % PARTITIONS))).collect();
    let texts: StringArray = (0..500).map(|_| Some(format!("{:x} ", next(seed)).repeat(120))).collect();
    let rows = RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from_iter_values(first..first + 500)) as ArrayRef),
        ("key", Arc::new(keys)),
        ("text", Arc::new(texts)),
    ]);
    let rows = rows.unwrap();
    let raw = RawBatch {
        split: "s".into(),
        records: Records::Payloads(Vec::new()),
        positions: Positions::Counted { first: first as u64 },
        until: Position::at(first as u64 + 500),
        arrived_at: 0,
        refused: vec![],
        beside: Beside::default(),
        permit: Permit::free(),
        size: 0,
    };
    Batch { rows, origin: Origin::all(Arc::new(raw)) }
}

/// Resident memory in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// Numbers of the rows in the files that are whole; files this small have one piece.
fn take(encoder: &mut Encoder, names: &mut BTreeSet<String>, numbers: &mut Vec<i64>) {
    for piece in encoder.pieces() {
        assert!(piece.number == 1 && piece.end.is_some() && names.insert(piece.key.to_string()));
        numbers.extend(read(piece.bytes));
    }
}

fn read(file: Bytes) -> Vec<i64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let of = |rows: RecordBatch| rows.column_by_name("n").unwrap().as_primitive::<Int64Type>().values().to_vec();
    reader.flat_map(|rows| of(rows.unwrap())).collect()
}

#[test]
fn five_thousand_partitions_stay_within_32_mib() {
    let mut seed = 7;
    let mut options = EncodeOptions::new(batch(0, &mut seed).rows.schema(), Arc::new(Free));
    (options.partition, options.memory) = (vec!["key".into()], MEMORY);
    let mut encoder = Encoder::new(options).unwrap();
    let (mut names, mut numbers) = (BTreeSet::new(), Vec::new());
    let (mut held, mut open, before, mut most) = (0, 0, resident(), 0);
    for first in (0..ROWS).step_by(500) {
        encoder.push(1, &batch(first, &mut seed)).unwrap();
        (held, open) = (held.max(encoder.held()), open.max(encoder.open().0));
        assert!(encoder.open().1 <= 16, "too many writers");
        take(&mut encoder, &mut names, &mut numbers);
        most = most.max(resident());
    }
    while !encoder.close(1, 64).unwrap() {
        take(&mut encoder, &mut names, &mut numbers);
        most = most.max(resident());
    }
    take(&mut encoder, &mut names, &mut numbers);
    let grown = most.saturating_sub(before);
    println!(
        "counted {} MiB, resident grew by {} MiB, {open} files open, {} written",
        held >> 20,
        grown >> 20,
        names.len()
    );
    numbers.sort_unstable();
    assert_eq!(numbers, (0..ROWS).collect::<Vec<_>>(), "every row is in exactly one file");
    assert!(held <= MEMORY, "{held} bytes are counted");
    assert!(grown <= 2 * MEMORY, "{grown} bytes are really used");
    assert!(open > 4_000, "only {open} partitions were open side by side");
    assert!(names.len() < 4 * PARTITIONS as usize, "{} files for {PARTITIONS} partitions", names.len());
}
