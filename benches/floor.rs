//! How near the pipeline comes to its floor: `cargo bench --bench floor [-- mb=1000 rounds=3]`.
//!
//! The floor is a plain loop on one thread over the same libraries: read a file, JSON to Arrow (once with our decoder, once
//! with arrow-json), `word_count`, zstd(3) Parquet with the properties of the pipeline's own files, one file written. It has
//! no epochs, no rules, no averages, no checksums, no log and syncs nothing. The pipeline has them all: the release binary
//! runs the articles example on the same input, with one worker and with two.
//!
//! A worker is a thread, and beside the workers the runtime's threads read, upload and sync. So that like is held against
//! like, the plain loop and one worker get one core, and two workers get two: what is asked is whether twice the machine
//! does twice the work. One worker with two cores is shown too: it is faster than the loop, for its reading and writing
//! then have a core of their own, and two workers gain less on it.
//!
//! Each round runs all of them one after the other, so that what else the machine does weighs on all alike; ratios are
//! taken within a round, and the middle one counts. Fails where one worker is under 85 % of the plain loop or two workers
//! are under 1.8 times one. Both sides must come to the same rows, the same words, and the same size within two in a hundred.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and waits for processes")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder as ArrowJson;
use bytes::Bytes;
use measure::{Usage, argument, articles, median, on, parquet_files, pipeline, run, watch};
use millstream::functions::word_count::word_count;
use millstream_operators::batch::{Beside, Permit, Positions, RawBatch, Records};
use millstream_operators::decode::{Decode, DecodeOptions, Decoder};
use millstream_operators::{Column, Kind, Position, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, SerializedFileReader};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes read at a time, as the pipeline's source does.
const READ: usize = 1 << 20;
/// Bytes of rows in a row group, as in the pipeline's files.
const ROW_GROUP: usize = 64 << 20;
const LEAST_OF_FLOOR: f64 = 0.85;
const LEAST_OF_TWO: f64 = 1.8;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, json, input, like, output] = arguments.as_slice()
        && mode == "plain"
    {
        plain(json, Path::new(input), Path::new(like), Path::new(output));
        return ExitCode::SUCCESS;
    }
    compare(argument("mb", 1_000), argument("rounds", 3))
}

/// One run of each side.
struct Round {
    ours: Usage,
    arrow: Usage,
    one: Usage,
    two: Usage,
    /// One worker that may use two cores.
    one_on_two: Usage,
}

fn compare(megabytes: u64, rounds: u64) -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    let (bytes, count) = articles(&input, megabytes, 4);
    println!("{count} articles, {:.0} MB of NDJSON in 4 files", bytes as f64 / 1e6);
    let pipeline = pipeline(folder.path(), &input, &output, "[]");
    // Not counted: it warms the page cache, and leaves a file whose properties the plain loop takes on.
    cleared(&output, || run(Some(2), &pipeline, 1));
    let (laid, like) = (contents(&parquet_files(&output)), folder.path().join("like.parquet"));
    fs::copy(&parquet_files(&output)[0], &like).unwrap();
    let plain = |json: &str| {
        let path = folder.path().join("plain.parquet");
        let itself = std::env::current_exe().unwrap();
        let usage = watch(on(1, itself).args(["plain", json]).args([&input, &like, &path]));
        check_same(laid, contents(std::slice::from_ref(&path)));
        usage
    };
    let rounds: Vec<Round> = (0..rounds)
        .map(|_| Round {
            ours: plain("ours"),
            one: cleared(&output, || run(Some(1), &pipeline, 1)),
            arrow: plain("arrow-json"),
            two: cleared(&output, || run(Some(2), &pipeline, 2)),
            one_on_two: cleared(&output, || run(Some(2), &pipeline, 1)),
        })
        .collect();
    print_rounds(&rounds, bytes as f64 / 1e6);
    judge(&rounds)
}

/// A run into a sink where nothing lies yet.
fn cleared(output: &Path, run: impl FnOnce() -> Usage) -> Usage {
    // What was never written is not there to take away.
    let _ = fs::remove_dir_all(output);
    let _ = fs::remove_dir_all(format!("{}-rejects", output.display()));
    run()
}

fn print_rounds(rounds: &[Round], megabytes: f64) {
    let line = |name: &str, of: &dyn Fn(&Round) -> Usage| {
        let (wall, least, most) = median(rounds.iter().map(|round| of(round).wall));
        let (cpu, ..) = median(rounds.iter().map(|round| of(round).cpu));
        let (peak, ..) = median(rounds.iter().map(|round| of(round).peak));
        let speed = megabytes / wall;
        println!(
            "{name:<24} {wall:6.2} s ({least:.2}–{most:.2})  {speed:5.0} MB/s  cpu {cpu:6.2} s  peak {peak:4.0} MiB"
        );
    };
    line("plain, our decoder", &|round| round.ours);
    line("plain, arrow-json", &|round| round.arrow);
    line("one worker, one core", &|round| round.one);
    line("two workers, two cores", &|round| round.two);
    line("one worker, two cores", &|round| round.one_on_two);
}

fn judge(rounds: &[Round]) -> ExitCode {
    let ratio = |name: &str, of: &dyn Fn(&Round) -> f64| {
        let (middle, least, most) = median(rounds.iter().map(of));
        println!("{name:<48} {middle:5.2} ({least:.2}–{most:.2})");
        middle
    };
    let floor = ratio("one worker / plain loop, by time", &|round| round.ours.wall / round.one.wall);
    ratio("one worker / plain loop with arrow-json, by time", &|round| round.arrow.wall / round.one.wall);
    ratio("one worker / plain loop, by processor", &|round| round.ours.cpu / round.one.cpu);
    let two = ratio("two workers on two cores / one on one, by time", &|round| round.one.wall / round.two.wall);
    ratio("two workers / one, by processor", &|round| round.one.cpu / round.two.cpu);
    ratio("two workers / one, both on two cores", &|round| round.one_on_two.wall / round.two.wall);
    ratio("one worker on two cores / plain loop, by time", &|round| round.ours.wall / round.one_on_two.wall);
    if floor >= LEAST_OF_FLOOR && two >= LEAST_OF_TWO {
        return ExitCode::SUCCESS;
    }
    println!("missed: at least {LEAST_OF_FLOOR} of the plain loop and {LEAST_OF_TWO} times one worker are wanted");
    ExitCode::FAILURE
}

/// Rows, words and bytes.
fn contents(paths: &[PathBuf]) -> (usize, i64, u64) {
    let mut sum = (0, 0, 0);
    for path in paths {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let words = builder.schema().index_of("word_count").unwrap();
        let mask = parquet::arrow::ProjectionMask::roots(builder.parquet_schema(), [words]);
        for rows in builder.with_projection(mask).build().unwrap() {
            let rows = rows.unwrap();
            let words = rows.column(0).as_primitive::<arrow::datatypes::Int64Type>();
            sum.0 += rows.num_rows();
            sum.1 += words.values().iter().sum::<i64>();
        }
        sum.2 += fs::metadata(path).unwrap().len();
    }
    sum
}

fn check_same(piped: (usize, i64, u64), plain: (usize, i64, u64)) {
    assert_eq!((piped.0, piped.1), (plain.0, plain.1), "rows and words of the pipeline and of the plain loop");
    let ratio = piped.2 as f64 / plain.2 as f64;
    assert!((0.98..1.02).contains(&ratio), "the pipeline's files are {ratio:.3} times the plain loop's");
}

/// The plain loop.
fn plain(json: &str, input: &Path, like: &Path, output: &Path) {
    let mut json = Json::new(json);
    let schema = with_words(&schema().arrow());
    let mut writer =
        ArrowWriter::try_new(File::create(output).unwrap(), schema.clone(), Some(properties(like))).unwrap();
    let mut group = 0;
    for entry in fs::read_dir(input).unwrap() {
        let mut file = File::open(entry.unwrap().path()).unwrap();
        let mut rest = Vec::new();
        while let Some(lines) = lines(&mut file, &mut rest) {
            let rows = counted(&schema, json.decode(lines));
            group += rows.get_array_memory_size();
            writer.write(&rows).unwrap();
            if group >= ROW_GROUP {
                writer.flush().unwrap();
                group = 0;
            }
        }
    }
    writer.close().unwrap();
}

/// The next whole lines; what follows them is kept in `rest`.
fn lines(file: &mut File, rest: &mut Vec<u8>) -> Option<Bytes> {
    let mut window = Vec::with_capacity(READ + rest.len());
    window.append(rest);
    let read = file.by_ref().take(READ as u64).read_to_end(&mut window).unwrap();
    if read > 0 {
        let end = memchr::memrchr(b'\n', &window).map_or(0, |end| end + 1);
        rest.extend_from_slice(&window[end..]);
        window.truncate(end);
    }
    (!window.is_empty()).then(|| window.into())
}

fn counted(schema: &SchemaRef, rows: RecordBatch) -> RecordBatch {
    let contents = rows.column_by_name("content").unwrap().as_string::<i32>();
    let words: Int64Array = (0..contents.len()).map(|row| Some(word_count(contents.value(row)) as i64)).collect();
    let date = arrow::compute::cast(rows.column_by_name("publish_date").unwrap(), &DataType::Date32).unwrap();
    let columns: Vec<ArrayRef> = rows.columns().iter().cloned().chain([Arc::new(words) as ArrayRef, date]).collect();
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}

fn with_words(schema: &SchemaRef) -> SchemaRef {
    let added = [Field::new("word_count", DataType::Int64, true), Field::new("event_date", DataType::Date32, true)];
    Arc::new(ArrowSchema::new(schema.fields().iter().cloned().chain(added.map(Arc::new)).collect::<Vec<_>>()))
}

fn schema() -> Schema {
    let text = |name: &str| Column::new(name, Kind::String);
    Schema {
        columns: vec![
            text("article_id").required(),
            text("title"),
            text("author"),
            Column::new("publish_date", Kind::Timestamp),
            text("content").required(),
        ],
    }
}

/// The properties that a file of the pipeline has, read off the file.
fn properties(like: &Path) -> WriterProperties {
    let file = SerializedFileReader::new(File::open(like).unwrap()).unwrap();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap()))
        .set_coerce_types(true)
        .set_max_row_group_row_count(None)
        .set_data_page_size_limit(1 << 20)
        .set_dictionary_enabled(false);
    for column in file.metadata().row_group(0).columns() {
        let statistics = match (column.statistics().is_some(), column.column_index_offset().is_some()) {
            (true, true) => EnabledStatistics::Page,
            (true, false) => EnabledStatistics::Chunk,
            _ => EnabledStatistics::None,
        };
        let path = column.column_path().clone();
        builder = builder
            .set_column_dictionary_enabled(path.clone(), column.dictionary_page_offset().is_some())
            .set_column_statistics_enabled(path, statistics);
    }
    builder.build()
}

/// Lines to rows, by either of the two.
enum Json {
    Ours(Box<Decoder>),
    Arrow(Box<ArrowJson>),
}

impl Json {
    fn new(which: &str) -> Self {
        if which == "ours" {
            let decoder = Decoder::new(DecodeOptions { schema: schema(), ..Default::default() }).unwrap();
            return Json::Ours(Box::new(decoder));
        }
        let decoder = ReaderBuilder::new(schema().arrow()).with_batch_size(READ).build_decoder().unwrap();
        Json::Arrow(Box::new(decoder))
    }

    fn decode(&mut self, lines: Bytes) -> RecordBatch {
        match self {
            Json::Ours(decoder) => decoder.decode(&Arc::new(raw(lines))).rows,
            Json::Arrow(decoder) => {
                assert_eq!(decoder.decode(&lines).unwrap(), lines.len());
                decoder.flush().unwrap().unwrap()
            }
        }
    }
}

fn raw(data: Bytes) -> RawBatch {
    let mut start = 0;
    let spans =
        memchr::memchr_iter(b'\n', &data).map(|end| (std::mem::replace(&mut start, end as u32 + 1), end as u32));
    RawBatch {
        split: "plain".into(),
        until: Position::at(0),
        size: data.len(),
        positions: Positions::Offsets { base: 0 },
        arrived_at: 0,
        refused: Vec::new(),
        beside: Beside::default(),
        permit: Permit::free(),
        records: Records::Framed { spans: spans.collect(), data: data.clone() },
    }
}
