//! `[decode]`: what a record looks like on the wire.

mod written;

pub use written::{Registry, Written};

use super::key::{Key, Spec};
use super::scalar::{Fault, Scalar, Words};
use super::section::Section;
use super::source::Source;
use super::text::Text;

const FORMAT: Key =
    Key::with_default("format", "json, csv, text (a payload is one value), avro, protobuf or parquet", "json");
const COMPRESSION: Key = Key::with_default(
    "compression",
    "none, gzip, zstd, or auto (by the first bytes; with avro, protobuf or a registry it means none)",
    "auto",
);
const HEADER: Key = Key::with_default(
    "header",
    "csv: whether the first line of a file names the columns; if not, they are those of [schema] in order. A message of a \
     stream has no such line: write false",
    "true",
);
const DELIMITER: Key = Key::with_default("delimiter", "csv: what stands between values", ",");
const NULL: Key = Key::with_default("null", "csv: the text that means null", "");

pub(super) const SPEC: Spec = Spec {
    heading: "[decode]",
    what: "what a record looks like",
    keys: &[
        FORMAT,
        COMPRESSION,
        HEADER,
        DELIMITER,
        NULL,
        written::SCHEMA,
        written::MESSAGE,
        written::REGISTRY,
        written::USER,
        written::PASSWORD,
        written::CA_FILE,
    ],
};

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Csv,
    /// A payload is one value.
    Text,
    Avro,
    Protobuf,
    Parquet,
}

impl Words for Format {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("json", Format::Json),
        ("csv", Format::Csv),
        ("text", Format::Text),
        ("avro", Format::Avro),
        ("protobuf", Format::Protobuf),
        ("parquet", Format::Parquet),
    ];
}

impl Format {
    /// Whether its records cannot be read without the schema that they were written with.
    pub fn needs_schema(self) -> bool {
        matches!(self, Format::Avro | Format::Protobuf)
    }
}

/// How a file or a payload is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    None,
    Gzip,
    Zstd,
    /// Whichever its first bytes say.
    #[default]
    Auto,
}

impl Words for Packing {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Packing::None), ("gzip", Packing::Gzip), ("zstd", Packing::Zstd), ("auto", Packing::Auto)];
}

/// `[decode]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decode {
    pub format: Format,
    pub compression: Packing,
    pub csv: Csv,
    pub written: Written,
}

/// What CSV leaves open; it holds where the format is CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    /// Whether the first line of a file names the columns.
    pub header: bool,
    pub delimiter: u8,
    /// The text that means null.
    pub null: Text,
}

/// One byte between values.
#[derive(Clone, Copy, Default)]
struct Delimiter(u8);

impl Scalar for Delimiter {
    const WANTED: &'static str = "a delimiter; write one ASCII character that is not a quote or the end of a line";

    fn read(text: &str) -> Result<Self, Fault> {
        match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | 0) => Ok(Delimiter(*byte)),
            _ => Err(Fault::Unlike),
        }
    }
}

pub(super) fn read(section: Section<'_>, source: &Source) -> Decode {
    let said: Option<Format> = section.optional(&FORMAT);
    // A format that could not be read may have been meant to be any.
    let format = said.or_else(|| (!section.has(&FORMAT)).then(Format::default));
    let decode = Decode {
        format: said.unwrap_or_default(),
        compression: section.get(&COMPRESSION),
        csv: Csv {
            header: section.get(&HEADER),
            delimiter: section.get::<Delimiter>(&DELIMITER).0,
            null: section.get(&NULL),
        },
        written: written::read(&section, format),
    };
    if format.is_some_and(|format| format != Format::Csv) {
        for key in [HEADER, DELIMITER, NULL].iter().filter(|key| section.has(key)) {
            section.reader.report(section.at_key(key).error("means something for format = \"csv\" only; take it out"));
        }
    }
    if format.is_some() && source.is_said() {
        check(&section, &decode, source);
    }
    section.finish();
    decode
}

/// What has to go with messages, and what with files.
fn check(section: &Section<'_>, decode: &Decode, source: &Source) {
    let stream = source.is_stream();
    let report = |key: &Key, problem: &str| section.reader.report(section.at_key(key).error(problem));
    let registry = matches!(decode.written, Written::ById(_));
    match decode.format {
        Format::Csv if stream && decode.csv.header => {
            report(
                &HEADER,
                "no header line comes with a message; write header = false, and fields in the order of [schema]",
            );
        }
        Format::Parquet if stream => report(&FORMAT, "a message is no Parquet file; parquet is for type = \"files\""),
        // What a source makes itself is said where sources are checked.
        Format::Avro | Format::Protobuf if matches!(source, Source::Files(_)) => {
            report(&FORMAT, "comes as the messages of a stream; nothing says where its records end in a file");
        }
        _ if registry && !stream => report(&written::REGISTRY, "is for the messages of a stream; take it out"),
        _ => {}
    }
    if registry && matches!(decode.compression, Packing::Gzip | Packing::Zstd) {
        report(&COMPRESSION, "the id of a schema is never packed with its record; write none, or leave it out");
    }
}
