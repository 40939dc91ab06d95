//! From sections of the configuration to the options of operators.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use millstream_operators::average::{AverageSpec, Bucket};
use millstream_operators::decode::{self, DecodeOptions};
use millstream_operators::encode::{Bloom, ColumnChoice, Compression, EncodeOptions, Statistics, ZstdLevel};
use millstream_operators::protocol::FileKind;
use millstream_operators::{Column, Reserve};

use crate::config::{self, Choice, Config, ConfigError, Sink};

pub(super) fn decode(config: &Config, origin: Vec<Column>) -> DecodeOptions {
    let written = match &config.decode.written {
        config::Written::Plainly => decode::Written::Plainly,
        config::Written::With(definition) => decode::Written::With(definition.clone()),
        config::Written::ById(_) => decode::Written::ById,
    };
    // What is binary itself may begin as anything packed does.
    let format = config.decode.format;
    let guess = !format.needs_schema() && matches!(written, decode::Written::Plainly);
    let compression = match config.decode.compression {
        config::Packing::Auto if !guess => decode::Compression::None,
        config::Packing::None => decode::Compression::None,
        config::Packing::Gzip => decode::Compression::Gzip,
        config::Packing::Zstd => decode::Compression::Zstd,
        config::Packing::Auto => decode::Compression::Auto,
    };
    let csv = decode::Csv {
        header: config.decode.csv.header,
        delimiter: config.decode.csv.delimiter,
        null: config.decode.csv.null.as_str().to_owned(),
    };
    let limits = decode::Limits {
        record_bytes: config.limits.record as usize,
        depth: config.limits.depth as usize,
        ..decode::Limits::default()
    };
    DecodeOptions { format, compression, schema: config.schema.clone(), limits, csv, written, origin }
}

pub(super) fn data(
    config: &Config,
    sink: &Sink,
    schema: SchemaRef,
    columns: Vec<String>,
    reserve: Arc<dyn Reserve>,
) -> EncodeOptions {
    let mut metadata = metadata(config);
    metadata.extend((!sink.place.is_data()).then(|| ("millstream.sink".to_owned(), sink.place.name().to_owned())));
    EncodeOptions {
        columns: Some(columns),
        partition: sink.partition.clone(),
        keep_partition: sink.keep_partition_columns,
        compression: compression(sink.compression),
        row_group_bytes: sink.row_group_size as usize,
        page_bytes: sink.page_size as usize,
        file_bytes: sink.file_size,
        choices: choices(sink, &schema),
        metadata,
        apart: config.balance.exchange == config::Exchange::Batches,
        ..EncodeOptions::new(schema, reserve)
    }
}

pub(super) fn rejects(config: &Config, schema: SchemaRef, reserve: Arc<dyn Reserve>) -> EncodeOptions {
    EncodeOptions {
        kind: FileKind::Rejects,
        compression: compression(config.first_sink().compression),
        metadata: metadata(config),
        apart: config.balance.exchange == config::Exchange::Batches,
        ..EncodeOptions::new(schema, reserve)
    }
}

fn compression(asked: config::Compression) -> Compression {
    match asked {
        config::Compression::None => Compression::UNCOMPRESSED,
        config::Compression::Snappy => Compression::SNAPPY,
        config::Compression::Lz4 => Compression::LZ4_RAW,
        config::Compression::Zstd(level) => Compression::ZSTD(ZstdLevel::try_new(level.into()).unwrap_or_default()),
    }
}

/// What every file says of how it was made.
fn metadata(config: &Config) -> Vec<(String, String)> {
    vec![
        ("millstream.pipeline".into(), config.name.as_str().into()),
        ("millstream.definition".into(), config.definition().id().to_string()),
        ("millstream.version".into(), env!("CARGO_PKG_VERSION").into()),
        ("millstream.word_count".into(), "len(text.split()) of Python 3".into()),
        ("millstream.word_count_uax29".into(), "words of Unicode UAX #29 that hold a letter or a digit".into()),
    ]
}

fn choices(sink: &Sink, schema: &SchemaRef) -> Vec<ColumnChoice> {
    let mut choices: Vec<ColumnChoice> = Vec::new();
    let mut choose = |column: &str, set: &dyn Fn(&mut ColumnChoice)| {
        let known = choices.iter_mut().find(|choice| choice.column == column);
        match known {
            Some(choice) => set(choice),
            None => {
                let mut choice = ColumnChoice { column: column.to_owned(), ..ColumnChoice::default() };
                set(&mut choice);
                choices.push(choice);
            }
        }
    };
    let leaves = leaves(schema);
    for leaf in &leaves {
        if let Some(on) = chosen(&sink.dictionary, leaf) {
            choose(leaf, &|choice| choice.dictionary = Some(on));
        }
        if let Some(on) = chosen(&sink.statistics, leaf) {
            let finest = if sink.page_index { Statistics::Page } else { Statistics::RowGroup };
            choose(leaf, &|choice| choice.statistics = Some(if on { finest } else { Statistics::None }));
        } else if !sink.page_index {
            choose(leaf, &|choice| choice.statistics = Some(Statistics::RowGroup));
        }
    }
    for column in &sink.bloom {
        choose(column, &|choice| choice.bloom = Some(Bloom::default()));
    }
    choices
}

/// Whether a column is chosen; none: whatever is best for it.
fn chosen(choice: &Choice, column: &str) -> Option<bool> {
    match choice {
        Choice::ByColumn => None,
        Choice::All => Some(true),
        Choice::None => Some(false),
        Choice::Columns(columns) => Some(columns.iter().any(|chosen| chosen == column)),
    }
}

fn leaves(schema: &SchemaRef) -> Vec<String> {
    use arrow::datatypes::{DataType, Field};
    fn add(field: &Field, path: String, leaves: &mut Vec<String>) {
        match field.data_type() {
            DataType::Struct(fields) => {
                fields.iter().for_each(|field| add(field, format!("{path}.{}", field.name()), leaves));
            }
            DataType::List(_) => {}
            _ => leaves.push(path),
        }
    }
    let mut leaves = Vec::new();
    for field in schema.fields() {
        add(field, field.name().clone(), &mut leaves);
    }
    leaves
}

pub(super) fn averages(config: &Config, schema: &SchemaRef, errors: &mut Vec<ConfigError>) -> Vec<AverageSpec> {
    let mut specs = Vec::new();
    for average in &config.averages {
        let by = average.by.iter().map(|bucket| match bucket {
            config::Bucket::Overall => Bucket::Overall,
            config::Bucket::Hour => Bucket::Hour,
            config::Bucket::Day => Bucket::Day,
        });
        let spec = AverageSpec {
            name: average.name.as_str().to_owned(),
            of: average.of.clone(),
            by: by.collect(),
            time: average.time.clone(),
            group: average.group.clone(),
            // Longer than an i64 of microseconds is as good as for ever.
            keep: average.keep.and_then(|keep| i64::try_from(keep.as_micros()).ok()),
            max_groups: Some(average.max_groups.into()),
        };
        match spec.check(schema) {
            Ok(_) => specs.push(spec),
            Err(error) => errors.push(average.at.error(error.to_string())),
        }
    }
    specs
}
