//! From a configuration to its definition, and to what else its processes have to agree on.
//!
//! Owns the one walk over all of a configuration. Each struct is taken apart by name, so that a new key cannot be forgotten:
//! it goes into the definition, or into what the processes of a cluster compare besides, or nowhere because machines may
//! differ in it.

use std::fmt::Debug;
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_operators::{Column, Definition as WriterSchema, Kind};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use super::said::Said;
use super::{
    AverageForm, ChoiceForm, ColumnForm, CsvForm, DecodeForm, DedupForm, Definition, ExpressionForm, KindForm,
    LimitsForm, SinkForm, SourceForm, WrittenForm,
};
use crate::config::scalar::Words;
use crate::config::{
    Average, Balance, Choice, Config, Csv, Decode, Dedup, Epoch, Expression, Limits, Location, Registry, Sink, Written,
    schema,
};

/// A schema of more bytes is kept as its hash.
pub(super) const LARGEST_SCHEMA: usize = 256 << 10;

/// Makes a local path absolute, or leaves it as it is.
type Absolute<'a> = &'a dyn Fn(&Path) -> PathBuf;

/// What the processes of a cluster compare besides the definition. It is never shown or written down.
pub struct Besides<'a> {
    text: String,
    absolute: Absolute<'a>,
}

impl<'a> Besides<'a> {
    /// Nothing yet. `absolute` makes a local path absolute, or leaves it as it is.
    pub fn new(absolute: &'a dyn Fn(&Path) -> PathBuf) -> Self {
        Besides { text: String::new(), absolute }
    }

    /// Adds a value that has to be the same in every process.
    pub fn add(&mut self, key: &str, value: impl Debug) {
        self.text.push_str(&format!("{key}={value:?}\n"));
    }

    /// One spelling for one path.
    pub fn normal_path(&self, path: &str) -> String {
        normal_path(path, self.absolute)
    }
}

/// Takes a configuration apart.
pub(super) fn definition(config: &Config, absolute: Absolute<'_>) -> (Definition, String) {
    let Config {
        name,
        source,
        // Follows from the source.
        origin: _,
        decode,
        schema,
        validate,
        enrich,
        dedup,
        averages,
        sinks,
        log,
        rejects,
        epoch,
        limits,
        balance,
        cluster: _,
        notify: _,
        observe: _,
        tests: _,
        places: _,
        file: _,
    } = config;
    let mut besides = Besides::new(absolute);
    besides.add("name", name.as_str());
    besides.add("rejects", place(rejects));
    besides.add("log", log.as_ref().map(place));
    let Epoch { interval, max_bytes } = epoch;
    besides.add("epoch", (interval, max_bytes));
    let Balance { exchange } = balance;
    besides.add("exchange", exchange);
    let Limits { record, depth, memory: _ } = limits;
    let definition = Definition {
        source: SourceForm::of(source, &mut besides),
        decode: self::decode(decode),
        limits: LimitsForm { record: *record, depth: *depth },
        schema: schema.columns.iter().map(column).collect(),
        validate: validate.iter().map(expression).collect(),
        enrich: enrich.iter().map(expression).collect(),
        dedup: dedup.as_ref().map(|Dedup { by, within, at: _ }| DedupForm { by: by.clone(), within_days: *within }),
        average: self::averages(averages),
        sink: self::sink(&sinks[0], &mut besides),
        more_sinks: sinks[1..].iter().map(|sink| self::sink(sink, &mut besides)).collect(),
    };
    (definition, besides.text)
}

/// A path and how it is reached.
fn place(location: &Location) -> (&str, impl Debug) {
    (location.path.as_str(), location.reached())
}

/// One spelling for one path. What `..` leaves is taken as written: a link before it is not followed.
pub fn normal_path(path: &str, absolute: Absolute<'_>) -> String {
    if path.starts_with("s3://") {
        return path.trim_end_matches('/').to_owned();
    }
    let mut normal = PathBuf::new();
    for component in absolute(Path::new(path)).components() {
        let above_a_name = matches!(normal.components().next_back(), Some(Component::Normal(_)));
        match component {
            Component::CurDir => {}
            Component::ParentDir if above_a_name => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal.to_string_lossy().into_owned()
}

fn decode(Decode { format, compression, csv, written }: &Decode) -> DecodeForm {
    let Csv { header, delimiter, null } = csv;
    DecodeForm {
        format: format.word.into(),
        compression: compression.word().into(),
        csv: CsvForm { header: *header, delimiter: char::from(*delimiter), null: null.into() },
        written: match written {
            Written::Plainly => None,
            Written::With(schema) => Some(self::written(schema)),
            Written::ById(Registry { url, user: _, password: _, ca_file: _ }) => {
                Some(WrittenForm::Registry { url: Said::meaning(url, registry_address(url.as_str())) })
            }
        },
    }
}

/// A registry's address without what may stand behind it as a key to it.
pub(super) fn registry_address(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/')
}

/// Of a schema file it is the content that counts, and of that not how it is laid out.
pub(super) fn written(schema: &WriterSchema) -> WrittenForm {
    let compact = |text: &String| match serde_json::from_str::<Value>(text) {
        Ok(json) => json.to_string(),
        Err(_) => text.clone(),
    };
    match schema {
        WriterSchema::Avro { schema, references } => {
            let (schema, references) = (compact(schema), references.iter().map(compact).collect::<Vec<_>>());
            let bytes = schema.len() + references.iter().map(String::len).sum::<usize>();
            match bytes <= LARGEST_SCHEMA {
                true => WrittenForm::Avro { schema, references },
                false => hashed(format!("{schema}\n{}", references.join("\n")).as_bytes(), bytes),
            }
        }
        WriterSchema::Protobuf { files, root } if files.len() <= LARGEST_SCHEMA => {
            WrittenForm::Protobuf { files: STANDARD.encode(files), root: root.clone() }
        }
        WriterSchema::Protobuf { files, root } => {
            hashed(&[format!("{root:?}\n").as_bytes(), files].concat(), files.len())
        }
        WriterSchema::Unusable(why) => hashed(why.as_bytes(), why.len()),
    }
}

fn hashed(content: &[u8], bytes: usize) -> WrittenForm {
    WrittenForm::Hashed { hash: format!("{:032x}", xxh3_128(content)), bytes }
}

fn column(Column { name, kind, required }: &Column) -> ColumnForm {
    let kind = match kind {
        Kind::Struct(fields) => KindForm::Fields(fields.iter().map(column).collect()),
        Kind::List(element) => KindForm::Element(Box::new(column(element))),
        simple => KindForm::Word(schema::word(simple)),
    };
    ColumnForm { name: name.clone(), kind, required: *required }
}

fn expression(Expression { name, sql, at: _ }: &Expression) -> ExpressionForm {
    ExpressionForm { name: name.clone(), sql: Said(sql.map(|sql| sql.trim().to_owned())) }
}

/// Averages are told apart by name; in which order they stand plays no part.
fn averages(averages: &[Average]) -> Vec<AverageForm> {
    // How many totals there may be changes none of them.
    let form = |Average { name, of, by, time, group, keep, max_groups: _, at: _ }: &Average| {
        let mut by = by.clone();
        by.sort();
        AverageForm {
            name: name.into(),
            of: of.clone(),
            by: by.into_iter().map(|bucket| bucket.word().to_owned()).collect(),
            time: time.clone(),
            group: group.clone(),
            keep_millis: keep.map(|keep| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX)),
        }
    };
    let mut averages: Vec<AverageForm> = averages.iter().map(form).collect();
    averages.sort_by(|a, b| a.name.cmp(&b.name));
    averages
}

fn sink(sink: &Sink, besides: &mut Besides<'_>) -> SinkForm {
    let Sink {
        place: named,
        filter,
        location,
        partition,
        keep_partition_columns,
        compression,
        select,
        file_size,
        row_group_size,
        page_size,
        dictionary,
        statistics,
        bloom,
        page_index,
        // Where it stands in the file.
        key: _,
    } = sink;
    besides.add("sink", place(location));
    SinkForm {
        name: (!named.is_data()).then(|| named.name().to_owned()),
        filter: filter.as_ref().map(|filter| expression(filter).sql),
        partition: partition.clone(),
        keep_partition_columns: *keep_partition_columns,
        select: select.clone(),
        compression: compression.text(),
        file_size: *file_size,
        row_group_size: *row_group_size,
        page_size: *page_size,
        dictionary: choice(dictionary),
        statistics: choice(statistics),
        bloom: sorted(bloom),
        page_index: *page_index,
    }
}

fn choice(choice: &Choice) -> Option<ChoiceForm> {
    match choice {
        Choice::ByColumn => None,
        Choice::All => Some(ChoiceForm::All(true)),
        Choice::None => Some(ChoiceForm::All(false)),
        Choice::Columns(columns) => Some(ChoiceForm::Columns(sorted(columns))),
    }
}

fn sorted(columns: &[String]) -> Vec<String> {
    let mut columns = columns.to_vec();
    columns.sort();
    columns
}
