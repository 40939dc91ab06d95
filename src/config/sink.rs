//! `[sink]` or `[[sink]]`: where enriched rows go and how their files are laid out.
//!
//! What must stay true: sinks of a list are told apart by name and by path, and none lies in another, so that a reader of one
//! finds its rows alone.

use millstream_operators::protocol::Place;

use super::columns::{Columns, Reach};
use super::expressions::Expression;
use super::key::{Key, Spec};
use super::location::{ENDPOINT, Location, PATH_STYLE, PROFILE, REGION};
use super::scalar::{Fault, Scalar};
use super::section::Section;
use super::text::Text;
use super::units::Size;

const NAME: Key = Key::optional(
    "name",
    "what the sink is called; several sinks each have a `[[sink]]` of their own, with a name",
    "long_articles",
);
const WHERE: Key = Key::optional(
    "where",
    "SQL expression: the sink takes the rows on which it is true; by default all of them",
    "word_count >= 1000",
);
const PATH: Key = Key::required("path", "a folder, or s3://bucket/prefix", "out");
const PARTITION: Key =
    Key::with_default("partition", "columns that make folders (column=value) and are not in the files", "[]");
const KEEP_PARTITION_COLUMNS: Key = Key::with_default(
    "keep_partition_columns",
    "whether the files hold the columns of partition too, as Hugging Face and Iceberg need",
    "false",
);
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

const KEYS: &[Key] = &[
    NAME,
    WHERE,
    PATH,
    ENDPOINT,
    REGION,
    PROFILE,
    PATH_STYLE,
    PARTITION,
    KEEP_PARTITION_COLUMNS,
    COMPRESSION,
    SELECT,
    FILE_SIZE,
    ROW_GROUP_SIZE,
    PAGE_SIZE,
    DICTIONARY,
    STATISTICS,
    BLOOM,
    PAGE_INDEX,
];

pub(super) const SPEC: Spec =
    Spec { heading: "[sink]", what: "where enriched rows go, and how their Parquet files are laid out", keys: KEYS };

const LISTED: Spec = Spec { heading: "[[sink]]", ..SPEC };

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

/// A sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// How the log calls it.
    pub place: Place,
    /// The rows that it takes; all of them where there is none.
    pub filter: Option<Expression>,
    pub location: Location,
    pub partition: Vec<String>,
    pub keep_partition_columns: bool,
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
    /// Its path in [`super::Config::at`].
    pub key: String,
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

/// Reads the sinks of a file, at least one.
pub(super) fn read(top: &Section<'_>, columns: &Columns) -> Vec<Sink> {
    if !top.is_list(SINK) {
        return vec![one(super::needed(top, SINK, &SPEC), columns, SINK.to_owned())];
    }
    let sections = top.open_each(SINK, &LISTED);
    let several = sections.len() > 1;
    let mut sinks: Vec<Sink> = Vec::new();
    for (index, section) in sections.into_iter().enumerate() {
        if several {
            check_named(&section);
        }
        let (reader, at, name) = (section.reader, section.at_key(&PATH), section.at_key(&NAME));
        let sink = one(section, columns, format!("{SINK}.{index}"));
        for other in &sinks {
            if other.place == sink.place {
                let problem = format!(
                    "there is a sink called {:?} already; give one of them a name of its own",
                    sink.place.name()
                );
                reader.report(name.error(problem));
            } else if other.location.holds(&sink.location) || sink.location.holds(&other.location) {
                let problem = format!(
                    "{:?} and {:?} of the sink {} are one place, or one lies in the other: readers of one would find rows of both",
                    sink.location.path, other.location.path, other.place
                );
                reader.report(at.error(problem));
            }
        }
        sinks.push(sink);
    }
    if sinks.is_empty() {
        top.reader.report(top.at.error("there is no sink in the list; begin each with [[sink]]"));
        sinks.push(Sink::nowhere());
    }
    sinks
}

const SINK: &str = "sink";

/// Of several sinks each needs a name.
fn check_named(section: &Section<'_>) {
    if !section.has(&NAME) {
        let problem = "is missing: there are several sinks, and files and counts are told by name; write name = \"…\"";
        section.reader.report(section.at.with_key(NAME.name).error(problem));
    }
}

fn one(section: Section<'_>, columns: &Columns, key: String) -> Sink {
    let sink = Sink {
        place: place(&section),
        filter: filter(&section),
        location: Location::read(&section, &PATH),
        partition: columns.many(&section, &PARTITION, Reach::Columns),
        keep_partition_columns: section.get(&KEEP_PARTITION_COLUMNS),
        compression: section.get(&COMPRESSION),
        select: section.has(&SELECT).then(|| columns.many(&section, &SELECT, Reach::Columns)),
        file_size: section.get::<Size>(&FILE_SIZE).0,
        row_group_size: section.get::<Size>(&ROW_GROUP_SIZE).0,
        page_size: section.get::<Size>(&PAGE_SIZE).0,
        dictionary: choice(&section, &DICTIONARY, columns),
        statistics: choice(&section, &STATISTICS, columns),
        bloom: columns.many(&section, &BLOOM, Reach::Fields),
        page_index: section.get(&PAGE_INDEX),
        key,
    };
    check_select(&section, &sink);
    section.finish();
    sink
}

impl Sink {
    /// What messages call it.
    pub fn told(&self) -> String {
        if self.place.is_data() { "the sink".to_owned() } else { format!("the sink {}", self.place) }
    }

    /// A stand-in for a sink that the file does not have.
    fn nowhere() -> Self {
        Sink {
            place: Place::default(),
            filter: None,
            location: Location::default(),
            partition: Vec::new(),
            keep_partition_columns: false,
            compression: Compression::default(),
            select: None,
            file_size: 1,
            row_group_size: 1,
            page_size: 1,
            dictionary: Choice::default(),
            statistics: Choice::default(),
            bloom: Vec::new(),
            page_index: false,
            key: SINK.to_owned(),
        }
    }
}

fn place(section: &Section<'_>) -> Place {
    let Some(name) = section.optional::<Text>(&NAME) else { return Place::default() };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let place = Place::sink(name.as_str());
    if place.is_rejects() {
        section.reader.report(section.at_key(&NAME).error("is kept for the rejects; choose another name"));
    } else if name.as_str().is_empty() || !name.as_str().bytes().all(plain) {
        let problem = format!("{name:?} is no name for a sink; it may hold letters, digits, _ and -");
        section.reader.report(section.at_key(&NAME).error(problem));
    }
    place
}

fn filter(section: &Section<'_>) -> Option<Expression> {
    let sql: Text = section.optional(&WHERE)?;
    let at = section.at_key(&WHERE);
    if sql.as_str().trim().is_empty() {
        section.reader.report(at.error("is empty; write an SQL expression, or take it out"));
    }
    Some(Expression { name: WHERE.name.to_owned(), sql, at })
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
    let Some(select) = sink.select.as_ref().filter(|_| !sink.keep_partition_columns) else { return };
    if select.iter().all(|name| sink.partition.contains(name))
        && section.value(&SELECT).is_some_and(|(_, value)| value.get_ref().is_array())
    {
        let problem =
            "leaves the files without a column: those of partition are in the path; name one more, or take it out";
        section.reader.report(section.at_key(&SELECT).error(problem));
    }
}
