//! `[decode]`: what a record looks like on the wire.

mod written;

pub use millstream_operators::decode::Format;
pub use written::{Registry, Written};

use millstream_operators::decode::FORMATS;

use super::key::{Key, Spec};
use super::scalar::{Fault, Scalar, Words, no_such_word};
use super::section::Section;
use super::source::Source;
use super::text::Text;
use crate::connector::kind::Carries;

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

impl Scalar for Format {
    const WANTED: &'static str = "a format";

    fn read(text: &str) -> Result<Self, Fault> {
        Format::named(text).ok_or_else(|| Fault::Said(no_such_word(text, FORMATS.iter().map(|format| format.word))))
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
    if format.is_some() && source.is_said() {
        check(&section, &decode, source);
    }
    section.finish();
    decode
}

/// What has to go with messages, and what with files.
fn check(section: &Section<'_>, decode: &Decode, source: &Source) {
    let registry = matches!(decode.written, Written::ById(_));
    let (format, carries) = (decode.format, source.carries());
    match (carries, format.in_messages, format.in_files) {
        (Carries::Messages, Err(why), _) | (Carries::Files, _, Err(why)) => section.report(&FORMAT, why),
        (Carries::Messages, Ok(()), _) if format.has(HEADER.name) && decode.csv.header => section.report(
            &HEADER,
            "no header line comes with a message; write header = false, and fields in the order of [schema]",
        ),
        (Carries::Files | Carries::Json, _, _) if registry => {
            section.report(&written::REGISTRY, "is for the messages of a stream; take it out")
        }
        _ => {}
    }
    if registry && matches!(decode.compression, Packing::Gzip | Packing::Zstd) {
        section.report(&COMPRESSION, "the id of a schema is never packed with its record; write none, or leave it out");
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a format that the reference does not tell of, and a key of a format that is in no table.
    use super::*;

    #[test]
    fn the_reference_tells_of_every_format() {
        for format in FORMATS {
            assert!(FORMAT.what.contains(format.word), "{}", format.word);
            assert!(format.keys.iter().all(|key| SPEC.keys.iter().any(|known| known.name == *key)), "{}", format.word);
        }
    }
}
