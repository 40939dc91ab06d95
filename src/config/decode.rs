//! `[decode]`: what a record looks like on the wire.

use super::key::{Key, Spec};
use super::scalar::{Fault, Scalar, Words};
use super::section::Section;
use super::text::Text;

const FORMAT: Key = Key::with_default("format", "json, csv or parquet", "json");
const COMPRESSION: Key = Key::with_default("compression", "none, gzip, zstd, or auto (by the first bytes)", "auto");
const HEADER: Key = Key::with_default(
    "header",
    "csv: whether the first line names the columns; if not, they are those of [schema] in order",
    "true",
);
const DELIMITER: Key = Key::with_default("delimiter", "csv: what stands between values", ",");
const NULL: Key = Key::with_default("null", "csv: the text that means null", "");

pub(super) const SPEC: Spec = Spec {
    heading: "[decode]",
    what: "what a record looks like",
    keys: &[FORMAT, COMPRESSION, HEADER, DELIMITER, NULL],
};

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Csv,
    Parquet,
}

impl Words for Format {
    const WORDS: &'static [(&'static str, Self)] =
        &[("json", Format::Json), ("csv", Format::Csv), ("parquet", Format::Parquet)];
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

pub(super) fn read(section: Section<'_>) -> Decode {
    let said: Option<Format> = section.optional(&FORMAT);
    let decode = Decode {
        format: said.unwrap_or_default(),
        compression: section.get(&COMPRESSION),
        csv: Csv {
            header: section.get(&HEADER),
            delimiter: section.get::<Delimiter>(&DELIMITER).0,
            null: section.get(&NULL),
        },
    };
    // A format that could not be read may have been meant to be CSV.
    let is_csv = said == Some(Format::Csv) || (said.is_none() && section.has(&FORMAT));
    for key in [HEADER, DELIMITER, NULL].iter().filter(|key| section.has(key) && !is_csv) {
        section.reader.report(section.at_key(key).error("means something for format = \"csv\" only; take it out"));
    }
    section.finish();
    decode
}
