//! `[sink]`: where enriched rows go and how their files are laid out.

use super::columns::{Columns, Reach};
use super::key::{Key, Spec};
use super::location::{ENDPOINT, Location, PATH_STYLE, PROFILE, REGION};
use super::scalar::{Fault, Scalar};
use super::section::Section;
use super::units::Size;

const PATH: Key = Key::required("path", "a folder, or s3://bucket/prefix", "out");
const PARTITION: Key =
    Key::with_default("partition", "columns that make folders (column=value) and are not in the files", "[]");
const COMPRESSION: Key = Key::with_default("compression", "zstd(level), snappy, lz4 or none", "zstd(3)");
const SELECT: Key = Key::optional(
    "select",
    "columns of the files, in order; by default those of [schema], then those of [enrich]",
    "[\"title\", \"word_count\"]",
);
const FILE_SIZE: Key = Key::with_default("file_size", "a file of an epoch is closed at this size", "512MiB");
const ROW_GROUP_SIZE: Key = Key::with_default("row_group_size", "bytes of rows in a row group", "64MiB");
const PAGE_SIZE: Key = Key::with_default("page_size", "bytes of values in a page", "1MiB");
const DICTIONARY: Key = Key::optional(
    "dictionary",
    "true, false, or the columns that get one; by default it is chosen by column",
    "[\"author\"]",
);
const STATISTICS: Key =
    Key::optional("statistics", "true, false, or the columns that get them; by default it is chosen by column", "true");
const BLOOM: Key = Key::with_default("bloom", "columns that get a bloom filter", "[]");
const PAGE_INDEX: Key = Key::with_default("page_index", "whether files have a page index", "true");

pub(super) const SPEC: Spec = Spec {
    heading: "[sink]",
    what: "where enriched rows go, and how their Parquet files are laid out",
    keys: &[
        PATH,
        ENDPOINT,
        REGION,
        PROFILE,
        PATH_STYLE,
        PARTITION,
        COMPRESSION,
        SELECT,
        FILE_SIZE,
        ROW_GROUP_SIZE,
        PAGE_SIZE,
        DICTIONARY,
        STATISTICS,
        BLOOM,
        PAGE_INDEX,
    ],
};

/// How pages are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    #[default]
    None,
    Snappy,
    Lz4,
    /// With a level from 1 to 22.
    Zstd(u8),
}

/// Which columns get something that Parquet can give to each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Whatever is best for the kind of column.
    #[default]
    ByColumn,
    All,
    None,
    /// These, as names or dotted paths.
    Columns(Vec<String>),
}

/// `[sink]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    pub location: Location,
    pub partition: Vec<String>,
    pub compression: Compression,
    /// `None`: all columns but those of `partition`.
    pub select: Option<Vec<String>>,
    pub file_size: u64,
    pub row_group_size: u64,
    pub page_size: u64,
    pub dictionary: Choice,
    pub statistics: Choice,
    /// Names or dotted paths.
    pub bloom: Vec<String>,
    pub page_index: bool,
}

impl Scalar for Compression {
    const WANTED: &'static str = "a compression; write zstd(3) (1 to 22), snappy, lz4 or none";

    fn read(text: &str) -> Result<Self, Fault> {
        let level = |text: &str| text.strip_prefix("zstd(")?.strip_suffix(')')?.trim().parse().ok();
        match text {
            "none" => Ok(Compression::None),
            "snappy" => Ok(Compression::Snappy),
            "lz4" => Ok(Compression::Lz4),
            "zstd" => Ok(Compression::Zstd(3)),
            _ => level(text).filter(|level| (1..=22).contains(level)).map(Compression::Zstd).ok_or(Fault::Unlike),
        }
    }
}

impl Compression {
    /// How it is written.
    pub(super) fn text(self) -> String {
        match self {
            Compression::None => "none".into(),
            Compression::Snappy => "snappy".into(),
            Compression::Lz4 => "lz4".into(),
            Compression::Zstd(level) => format!("zstd({level})"),
        }
    }
}

pub(super) fn read(section: Section<'_>, columns: &Columns) -> Sink {
    let sink = Sink {
        location: Location::read(&section, &PATH),
        partition: columns.many(&section, &PARTITION, Reach::Columns),
        compression: section.get(&COMPRESSION),
        select: section.has(&SELECT).then(|| columns.many(&section, &SELECT, Reach::Columns)),
        file_size: section.get::<Size>(&FILE_SIZE).0,
        row_group_size: section.get::<Size>(&ROW_GROUP_SIZE).0,
        page_size: section.get::<Size>(&PAGE_SIZE).0,
        dictionary: choice(&section, &DICTIONARY, columns),
        statistics: choice(&section, &STATISTICS, columns),
        bloom: columns.many(&section, &BLOOM, Reach::Fields),
        page_index: section.get(&PAGE_INDEX),
    };
    check_select(&section, &sink);
    section.finish();
    sink
}

fn choice(section: &Section<'_>, key: &Key, columns: &Columns) -> Choice {
    match section.value(key) {
        None => Choice::ByColumn,
        Some((_, value)) if value.get_ref().is_array() => Choice::Columns(columns.many(section, key, Reach::Fields)),
        Some(_) => match section.optional(key) {
            Some(true) => Choice::All,
            Some(false) => Choice::None,
            None => Choice::ByColumn,
        },
    }
}

/// A file needs a column that is not in its path.
fn check_select(section: &Section<'_>, sink: &Sink) {
    let Some(select) = &sink.select else { return };
    if select.iter().all(|name| sink.partition.contains(name))
        && section.value(&SELECT).is_some_and(|(_, value)| value.get_ref().is_array())
    {
        let problem =
            "leaves the files without a column: those of partition are in the path; name one more, or take it out";
        section.reader.report(section.at_key(&SELECT).error(problem));
    }
}
