//! Proves that the encoder loses and doubles nothing and stays within its memory: what is read back from the files is what
//! went in, each row in one file, in order, under the path of its values, whatever the limits are.
//!
//! Would catch a row lost at the seam of two batches, row groups, files or epochs, a range or a checksum that is not the
//! file's, two files with one name, memory that is not given back, and an epoch given up without its files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use bytes::{Bytes, BytesMut};
use millstream_operators::batch::{Beside, Positions};
use millstream_operators::encode::path::unescape;
use millstream_operators::encode::{
    Bloom, ColumnChoice, EncodeError, EncodeOptions, Encoder, PathLimit, Piece, Summary, encode as encode_stream,
};
use millstream_operators::protocol::naming::FileKind;
use millstream_operators::protocol::naming::{FileName, LogId};
use millstream_operators::{Batch, Origin, Permit, Position, RawBatch, Records, Reserve, reject};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::PageIndexPolicy;
use proptest::prelude::*;
use timely::dataflow::operators::vec::Input;
use timely::dataflow::operators::{Inspect, Probe};

/// Counts what is taken and given back.
#[derive(Clone, Default)]
struct Budget {
    taken: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Taken(Arc<AtomicUsize>, usize);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Relaxed);
    }
}

impl Reserve for Budget {
    fn reserve(&self, bytes: usize) -> Permit {
        let now = self.taken.fetch_add(bytes, Relaxed) + bytes;
        self.most.fetch_max(now, Relaxed);
        Permit::new(Taken(self.taken.clone(), bytes))
    }
}

/// Rows of one split, from a position on: a number that is the position, a key to part by, and a text.
fn batch(split: &str, first: u64, keys: &[Option<String>], text: &str) -> Batch {
    let count = keys.len() as u64;
    let rows = RecordBatch::try_new(
        Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("key", DataType::Utf8, true),
            Field::new("text", DataType::Utf8, true),
        ])),
        vec![
            Arc::new(Int64Array::from_iter_values(first as i64..(first + count) as i64)),
            Arc::new(keys.iter().map(Option::as_deref).collect::<StringArray>()) as ArrayRef,
            Arc::new((first..first + count).map(|n| Some(format!("{text} {n}"))).collect::<StringArray>()),
        ],
    )
    .unwrap();
    let raw = RawBatch {
        split: split.into(),
        records: Records::Rows(rows.clone()),
        positions: Positions::Counted { first },
        until: Position::at(first + count),
        arrived_at: 0,
        refused: vec![],
        beside: Beside::default(),
        permit: Permit::free(),
        size: 0,
    };
    Batch { rows, origin: Origin::all(Arc::new(raw)) }
}

fn options(budget: &Budget, partition: &[&str]) -> EncodeOptions {
    let mut options = EncodeOptions::new(batch("s", 0, &[], "").rows.schema(), Arc::new(budget.clone()));
    options.partition = partition.iter().map(|name| (*name).to_owned()).collect();
    options
}

/// A file put together again from its pieces.
struct File {
    epoch: u64,
    bytes: Bytes,
    summary: Summary,
}

impl File {
    fn rows(&self) -> RecordBatch {
        let reader = ParquetRecordBatchReaderBuilder::try_new(self.bytes.clone()).unwrap();
        let schema = reader.schema().clone();
        let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        concat_batches(&schema, &batches).unwrap()
    }

    fn numbers(&self) -> Vec<i64> {
        self.rows().column_by_name("n").unwrap().as_primitive::<Int64Type>().values().to_vec()
    }
}

/// Joins pieces to files and checks what must hold of every one.
#[derive(Default)]
struct Store {
    parts: BTreeMap<String, Vec<Piece>>,
    files: BTreeMap<String, File>,
}

impl Store {
    fn take(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            let key = piece.key.to_string();
            assert!(!self.files.contains_key(&key), "{key} goes on after its end");
            let parts = self.parts.entry(key.clone()).or_default();
            assert_eq!(piece.number as usize, parts.len() + 1, "pieces of {key} come in order");
            assert!(!piece.bytes.is_empty());
            let end = piece.end.clone();
            let epoch = piece.file.epoch;
            parts.push(piece);
            if let Some(summary) = end {
                let parts = self.parts.remove(&key).unwrap();
                let size = parts[0].bytes.len();
                let (last, before) = parts.split_last().unwrap();
                assert!(before.iter().all(|part| part.bytes.len() == size) && last.bytes.len() <= size);
                let mut bytes = BytesMut::new();
                parts.iter().for_each(|part| bytes.extend_from_slice(&part.bytes));
                let bytes = bytes.freeze();
                assert_eq!(summary.bytes, bytes.len() as u64);
                assert_eq!(summary.crc, crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &bytes));
                self.files.insert(key, File { epoch, bytes, summary });
            }
        }
    }
}

fn encode(mut encoder: Encoder, batches: &[(u64, Batch)]) -> Store {
    let mut store = Store::default();
    for (epoch, batch) in batches {
        encoder.push(*epoch, batch).unwrap();
        store.take(encoder.pieces());
    }
    let last = batches.iter().map(|(epoch, _)| *epoch).max().unwrap_or(0);
    for epoch in 0..=last {
        while !encoder.close(epoch, 2).unwrap() {
            store.take(encoder.pieces());
        }
        store.take(encoder.pieces());
    }
    assert!(store.parts.is_empty(), "every file has an end");
    assert_eq!((encoder.held(), encoder.open()), (0, (0, 0)));
    store
}

/// A row's split and number.
type Row = (String, i64);

/// What every row's file must be: its epoch, and its key's path.
fn check(store: &Store, batches: &[(u64, Batch)]) {
    let mut expected: BTreeMap<(u64, Option<String>), Vec<Row>> = BTreeMap::new();
    for (epoch, batch) in batches {
        let keys = batch.rows.column_by_name("key").unwrap().as_string::<i32>();
        for row in 0..keys.len() {
            let key = keys.is_valid(row).then(|| keys.value(row).to_owned()).filter(|key| !key.is_empty());
            let number: i64 = batch.origin.position(row).number().unwrap() as i64;
            expected.entry((*epoch, key)).or_default().push((batch.origin.raw.split.to_string(), number));
        }
    }
    let mut found: BTreeMap<(u64, Option<String>), Vec<i64>> = BTreeMap::new();
    for (path, file) in &store.files {
        let value = path.strip_prefix("key=").unwrap().split_once('/').unwrap().0;
        let key = (value != "__HIVE_DEFAULT_PARTITION__").then(|| unescape(value).unwrap());
        let rows = file.rows();
        assert!(rows.column_by_name("key").is_none(), "a partition column is in the path alone");
        assert_eq!(rows.num_rows() as u64, file.summary.rows);
        assert_eq!(file.summary.ranges.iter().map(|range| range.rows).sum::<u64>(), file.summary.rows);
        check_ranges(file, &expected[&(file.epoch, key.clone())]);
        found.entry((file.epoch, key)).or_default().extend(file.numbers());
    }
    let sorted = |mut numbers: Vec<i64>| {
        numbers.sort_unstable();
        numbers
    };
    let found: BTreeMap<_, _> = found.into_iter().map(|(key, numbers)| (key, sorted(numbers))).collect();
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(key, rows)| (key, sorted(rows.into_iter().map(|(_, number)| number).collect())))
        .collect();
    assert_eq!(found, expected);
}

/// A replay of a file's ranges, of the rows with the file's key, gives the file.
fn check_ranges(file: &File, of_key: &[Row]) {
    let numbers = file.numbers();
    let mut replayed = Vec::new();
    for range in &file.summary.ranges {
        let (first, last) = (range.first.number().unwrap() as i64, range.last.number().unwrap() as i64);
        let within = |row: &&Row| *row.0 == *range.split && (first..=last).contains(&row.1);
        let rows: Vec<i64> = of_key.iter().filter(within).map(|row| row.1).collect();
        assert_eq!(rows.len() as u64, range.rows);
        let in_file: Vec<i64> = numbers.iter().copied().filter(|number| rows.contains(number)).collect();
        assert_eq!(rows, in_file, "rows of a split keep their order");
        replayed.extend(rows);
    }
    replayed.sort_unstable();
    let mut numbers = numbers;
    numbers.sort_unstable();
    assert_eq!(replayed, numbers);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_in_one_file_whatever_the_limits(
        batches in proptest::collection::vec(
            (0..3u64, 0..2usize, proptest::collection::vec(proptest::option::of("[ab/%]{0,2}"), 0..30)), 1..12),
        row_group in prop_oneof![Just(1usize), Just(500), Just(4_000), Just(64 << 20)],
        file_bytes in prop_oneof![Just(1u64), Just(2_000), Just(1 << 30)],
        memory in prop_oneof![Just(0usize), Just(5_000), Just(3 << 20), Just(1 << 30)],
        max_open in 0..4usize,
    ) {
        let mut next = [0, 1_000_000];
        let batches: Vec<(u64, Batch)> = batches.into_iter().map(|(epoch, split, keys)| {
            let batch = batch(&format!("split {split}"), next[split], &keys, "text");
            next[split] += keys.len() as u64;
            (epoch, batch)
        }).collect();
        let budget = Budget::default();
        let mut options = options(&budget, &["key"]);
        (options.row_group_bytes, options.file_bytes, options.memory, options.max_open) =
            (row_group, file_bytes, memory, max_open);
        let store = encode(Encoder::new(options).unwrap(), &batches);
        check(&store, &batches);
        drop(store);
        prop_assert_eq!(budget.taken.load(Relaxed), 0, "all memory is given back");
    }
}

/// A replay of one file of thousands: would catch an encoder that opens files for the others, and closes the one that is wanted
/// before its last row to make room for them.
#[test]
fn one_partition_of_thousands_is_one_file() {
    let keys = |first: u64| -> Vec<_> {
        (first..first + 500).map(|n| (n % 50 > 0).then(|| format!("{}/", n % 2500))).collect()
    };
    let batches: Vec<(u64, Batch)> = (0..20).map(|at| (1, batch("s", at * 500, &keys(at * 500), "text"))).collect();
    for (path, rows) in
        [("key=7%2F", 4), ("key=2499%2F", 4), ("key=__HIVE_DEFAULT_PARTITION__", 200), ("key=nobody", 0)]
    {
        let mut options = options(&Budget::default(), &["key"]);
        (options.max_open, options.row_group_bytes, options.only) = (1, 1, Some(path.to_owned()));
        let mut encoder = Encoder::new(options).unwrap();
        for (epoch, batch) in &batches {
            encoder.push(*epoch, batch).unwrap();
            assert!(encoder.open().0 <= 1, "no file of another partition is opened");
        }
        while !encoder.close(1, usize::MAX).unwrap() {}
        let mut store = Store::default();
        store.take(encoder.pieces());
        let files: Vec<_> = store.files.iter().map(|(key, file)| (key.clone(), file.summary.rows)).collect();
        let expected: Vec<_> =
            [(format!("{path}/e1-w0-0-g0.parquet"), rows)].into_iter().filter(|_| rows > 0).collect();
        assert_eq!(files, expected);
        assert!(store.files.values().all(|file| file.numbers().is_sorted()));
    }
    let mut options = options(&Budget::default(), &[]);
    options.only = Some(String::new());
    assert_eq!(
        encode(Encoder::new(options).unwrap(), &batches).files.len(),
        1,
        "without a partition the path is empty"
    );
}

#[test]
fn a_name_says_which_log_and_whether_it_is_of_rejects() {
    let mut options = options(&Budget::default(), &["key"]);
    (options.kind, options.log) = (FileKind::Rejects, Some(LogId::from_seed("a start")));
    (options.worker, options.generation) = (3, 9);
    let name = options.log.unwrap();
    let store = encode(Encoder::new(options).unwrap(), &[(7, batch("s", 0, &[Some("x".into())], "text"))]);
    assert_eq!(store.files.keys().collect::<Vec<_>>(), [&format!("key=x/r7-w3-0-g9-{name}.parquet")]);
    let read = FileName::parse(store.files.keys().next().unwrap()).unwrap();
    assert_eq!((read.kind, read.worker, read.generation, read.log), (FileKind::Rejects, 3, 9, Some(name)));
}

/// The next number of a sequence without a pattern, the same in every run.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Text that does not compress to nothing.
fn noise(seed: &mut u64, length: usize) -> String {
    (0..length).map(|_| char::from(b'a' + (next(seed) % 26) as u8)).collect()
}

fn with_text(batch: &Batch, text: &mut dyn FnMut() -> String) -> Batch {
    let mut columns = batch.rows.columns().to_vec();
    columns[2] = Arc::new((0..batch.rows.num_rows()).map(|_| Some(text())).collect::<StringArray>());
    Batch { rows: RecordBatch::try_new(batch.rows.schema(), columns).unwrap(), origin: batch.origin.clone() }
}

#[test]
fn row_groups_pages_and_files_have_the_sizes_asked_for() {
    const MIB: usize = 1 << 20;
    let budget = Budget::default();
    let mut options = options(&budget, &[]);
    (options.row_group_bytes, options.file_bytes) = (8 * MIB, 12 * MIB as u64);
    options.choices = vec![ColumnChoice { column: "n".into(), bloom: Some(Bloom::default()), ..Default::default() }];
    options.metadata = vec![("millstream.pipeline".into(), "articles".into())];
    let mut seed = 1;
    let batches: Vec<(u64, Batch)> = (0..40u64)
        .map(|number| {
            let keys: Vec<_> = (0..250).map(|row| Some(format!("country {}", row % 7))).collect();
            (1, with_text(&batch("s", number * 250, &keys, ""), &mut || noise(&mut seed, 4_000)))
        })
        .collect();
    let store = encode(Encoder::new(options).unwrap(), &batches);
    assert!(store.files.len() > 1, "files end at their size");
    let mut rows = 0;
    for (key, file) in &store.files {
        let indexed = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file.bytes.clone(), indexed).unwrap();
        let metadata = reader.metadata();
        // Letters of noise pack to five eighths, so a page of a mebibyte has 640 KiB.
        let pages = metadata.offset_index().unwrap()[0][2].page_locations();
        let (_last, full_pages) = pages.split_last().unwrap();
        for page in full_pages {
            assert!((600 << 10..760 << 10).contains(&page.compressed_page_size), "{}", page.compressed_page_size);
        }
        rows += file.summary.rows;
        assert!(file.bytes.len() < 15 * MIB, "{key} has {} bytes", file.bytes.len());
        let (_last, full) = metadata.row_groups().split_last().unwrap();
        for group in full {
            let size = group.total_byte_size() as usize;
            assert!((6 * MIB..10 * MIB).contains(&size), "a row group of {size} bytes");
        }
        let facts = metadata.file_metadata();
        assert!(facts.created_by().unwrap().starts_with("millstream version "));
        assert_eq!(facts.key_value_metadata().unwrap()[0].key, "millstream.pipeline");
        let group = metadata.row_group(0);
        let (n, country, text) = (group.column(0), group.column(1), group.column(2));
        assert!(n.bloom_filter_offset().is_some() && country.bloom_filter_offset().is_none());
        assert!(n.dictionary_page_offset().is_none() && text.dictionary_page_offset().is_none());
        assert!(country.dictionary_page_offset().is_some(), "values that repeat have a dictionary");
        assert!(n.column_index_offset().is_some() && text.column_index_offset().is_none());
        assert!(text.offset_index_offset().is_some());
    }
    assert_eq!(rows, 10_000);
}

#[test]
fn a_value_too_long_for_a_path_is_a_reject_and_never_cut() {
    let budget = Budget::default();
    let long = "ü".repeat(127);
    let keys = [
        Some("short".into()),
        Some(long.clone()),
        None,
        Some("/".repeat(84)),
        Some("x".repeat(251)),
        Some("é".repeat(125)),
    ];
    let batch = batch("s", 10, &keys, "text");
    let error = Encoder::new(options(&budget, &["key"])).unwrap().push(1, &batch).unwrap_err();
    assert!(matches!(&error, EncodeError::Value { column, .. } if column == "key"), "{error}");

    let mut limit = PathLimit::new(&batch.rows.schema(), &["key".into()]).unwrap();
    let (kept, rejects) = limit.apply(batch);
    let positions: Vec<_> = (0..kept.rows.num_rows()).map(|row| kept.origin.position(row).to_string()).collect();
    assert_eq!(positions, ["10", "12", "14", "15"]);
    let rejects = rejects.unwrap();
    assert_eq!(rejects.rows.schema(), reject::schema());
    assert_eq!(rejects.rows.column_by_name("_position").unwrap().as_string::<i32>().value(0), "11");
    assert_eq!(rejects.rows.column_by_name("field").unwrap().as_string::<i32>().value(1), "key");
    assert_eq!(rejects.rows.num_rows(), 2);
    let store = encode(Encoder::new(options(&budget, &["key"])).unwrap(), &[(1, kept)]);
    assert_eq!(store.files.len(), 4);
}

#[test]
fn what_cannot_be_laid_out_is_refused_at_the_start() {
    let budget = Budget::default();
    let message = |change: &dyn Fn(&mut EncodeOptions)| {
        let mut options = options(&budget, &["key"]);
        change(&mut options);
        Encoder::new(options).err().unwrap().to_string()
    };
    assert!(message(&|o| o.partition = vec!["day".into()]).contains("no column day"));
    assert!(message(&|o| o.columns = Some(vec!["key".into()])).contains("no column is left"));
    assert!(message(&|o| o.columns = Some(vec!["nope".into()])).contains("no column nope"));
    let float = |o: &mut EncodeOptions| {
        o.schema = Arc::new(Schema::new(vec![Field::new("key", DataType::Float64, true)]));
    };
    assert!(message(&float).contains("key is a Float64"));
}

/// Epochs that end one after the other; the file of each comes out at its own time.
#[test]
fn the_operator_closes_an_epoch_once_the_frontier_has_passed_it() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let out = told.clone();
    timely::execute_directly(move |worker| {
        let budget = Budget::default();
        let encoder = Encoder::new(options(&budget, &["key"])).unwrap();
        let (mut input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, batches) = scope.new_input::<Batch>();
            let pieces = encode_stream(batches, encoder, |error| panic!("{error}"));
            let (probe, _) = pieces
                .inspect_time(move |time, piece| {
                    let rows = piece.end.as_ref().unwrap().rows;
                    out.lock().unwrap().push((*time, piece.file.epoch, rows));
                })
                .probe();
            (input, probe)
        });
        let keys = |count: usize| -> Vec<_> { (0..count).map(|key| Some(key.to_string())).collect() };
        input.send(batch("s", 0, &keys(1), "text"));
        input.advance_to(3);
        input.send(batch("s", 1, &keys(200), "text"));
        while probe.less_than(&3) {
            worker.step();
        }
        assert!(probe.less_equal(&3), "an open epoch is held");
        input.advance_to(4);
        while probe.less_than(&4) {
            worker.step();
        }
    });
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 201, "200 files take more than one turn to close");
    assert_eq!(told[0], (0, 0, 1));
    assert!(told[1..].iter().all(|file| *file == (3, 3, 1)));
}

#[test]
fn an_encoder_that_failed_never_gives_its_epochs_up() {
    let errors = Arc::new(AtomicUsize::new(0));
    let heard = errors.clone();
    let workers = timely::execute(timely::Config::thread(), move |worker| {
        let encoder = Encoder::new(options(&Budget::default(), &["key"])).unwrap();
        let heard = heard.clone();
        let (mut input, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, batches) = scope.new_input::<Batch>();
            let failed = move |_| {
                heard.fetch_add(1, Relaxed);
            };
            let (probe, _) = encode_stream(batches, encoder, failed).probe();
            (input, probe)
        });
        for first in [0, 1] {
            input.send(batch("s", first, &[Some("x".repeat(300))], "text"));
        }
        input.advance_to(1);
        for _ in 0..100 {
            worker.step();
        }
        assert!(probe.less_than(&1), "the epoch of a batch that was not encoded stays open");
        worker.drop_dataflow(0);
    });
    workers.unwrap().join().into_iter().for_each(|worker| worker.unwrap());
    assert_eq!(errors.load(Relaxed), 1, "it is told once");
}
