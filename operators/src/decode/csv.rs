//! CSV records into Arrow builders.
//!
//! Owns the splitting of a record into fields (RFC 4180; a quote inside an unquoted field is taken as it is) and which field
//! is which column: by name where files have a header, by place where not. Cutting a file into records is its reader's work.
//! What must stay true: an unquoted field that is empty or says the null text is null, a quoted one never is.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::DecodeError;
use super::builder::Builder;
use super::columns::Columns;
use super::fault::{Fault, abbreviated};
use super::format::{Appended, FormatSpec, InFiles, Record, RecordReader};
use crate::batch::Beside;
use crate::reject::Reason;
use crate::schema::{Kind, Schema};

/// How CSV is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    /// Whether the first line of each file names the columns.
    pub header: bool,
    pub delimiter: u8,
    /// A text that stands for null, besides the empty one.
    pub null: String,
}

impl Default for Csv {
    fn default() -> Self {
        Csv { header: true, delimiter: b',', null: String::new() }
    }
}

pub(super) const FORMAT: FormatSpec = FormatSpec {
    word: "csv",
    keys: &["header", "delimiter", "null"],
    in_files: Ok(InFiles::Csv),
    in_messages: Ok(()),
    schema: None,
    reader: |options| Ok(Box::new(CsvReader::new(&options.schema, &options.csv)?)),
};

/// Reads CSV records of one schema.
pub(super) struct CsvReader {
    csv: Csv,
    columns: Vec<(String, bool)>,
    header: Option<Header>,
    fields: Fields,
}

/// A header line, and what it says.
struct Header {
    line: Bytes,
    places: Result<Places, String>,
}

/// For each column of the schema its field in a record, and the number of fields that a record has.
struct Places {
    fields: Vec<Option<usize>>,
    count: usize,
}

impl RecordReader for CsvReader {
    fn begin(&mut self, beside: &Beside) {
        let line = beside.header.as_ref().filter(|_| self.csv.header).cloned().unwrap_or_default();
        if self.header.as_ref().is_none_or(|known| known.line != line) {
            let places = if self.csv.header { self.by_name(&line) } else { Ok(self.by_place()) };
            self.header = Some(Header { line, places });
        }
    }

    fn record(&mut self, record: Record<'_>, columns: &mut Columns) -> Result<Appended, Box<Fault>> {
        let text = trimmed(record.payload.text()?);
        let header = self.header.as_ref();
        let header = header.ok_or_else(|| Fault::new(Reason::Decode, "no header line came with the record"))?;
        let wrong = |problem: &String| Fault::new(Reason::Decode, format!("the file's header line: {problem}"));
        let places = header.places.as_ref().map_err(wrong)?;
        split(&mut self.fields, text, self.csv.delimiter, places.count)?;
        let (fields, names, null) = (&self.fields, &self.columns, self.csv.null.as_str());
        let result = columns.append(|column, builder| {
            let (name, required) = &names[column];
            let field = places.fields[column].map(|place| fields.get(text, place));
            append(field, *required, null, builder).map_err(|fault| fault.in_field(name))
        });
        Ok(Appended { values: 0, result })
    }
}

impl CsvReader {
    fn new(schema: &Schema, csv: &Csv) -> Result<Self, DecodeError> {
        if let Some(nested) = schema.columns.iter().find(|c| matches!(c.kind, Kind::Struct(_) | Kind::List(_))) {
            return Err(DecodeError::NestedInCsv { column: nested.name.clone() });
        }
        if matches!(csv.delimiter, b'"' | b'\r' | b'\n') || !csv.delimiter.is_ascii() {
            return Err(DecodeError::Delimiter { delimiter: char::from(csv.delimiter) });
        }
        let columns = schema.columns.iter().map(|column| (column.name.clone(), column.required)).collect();
        Ok(CsvReader { csv: csv.clone(), columns, header: None, fields: Fields::default() })
    }

    fn by_place(&self) -> Places {
        Places { fields: (0..self.columns.len()).map(Some).collect(), count: self.columns.len() }
    }

    fn by_name(&mut self, line: &[u8]) -> Result<Places, String> {
        let text = std::str::from_utf8(line).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
        let text = trimmed(text);
        if text.is_empty() {
            return Err("there is none".into());
        }
        self.fields.split(text, self.csv.delimiter)?;
        let count = self.fields.spans.len();
        // Of two equal names the last counts, as of two equal keys in JSON.
        let names: BTreeMap<&str, usize> = (0..count).map(|place| (self.fields.get(text, place).text, place)).collect();
        let fields = self.columns.iter().map(|(name, _)| names.get(name.as_str()).copied()).collect();
        Ok(Places { fields, count })
    }
}

fn split(fields: &mut Fields, text: &str, delimiter: u8, count: usize) -> Result<(), Box<Fault>> {
    if text.is_empty() {
        return Err(Fault::new(Reason::Decode, "an empty message is no record"));
    }
    fields.split(text, delimiter).map_err(|problem| Fault::new(Reason::Decode, format!("not CSV: {problem}")))?;
    let found = fields.spans.len();
    if found != count {
        return Err(Fault::new(Reason::Decode, format!("{found} fields, where {count} belong")));
    }
    Ok(())
}

/// Without the byte-order mark before and the line's end after it.
fn trimmed(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn append(field: Option<Field<'_>>, required: bool, null: &str, builder: &mut Builder) -> Result<(), Box<Fault>> {
    let Some(field) = field else { return append_nothing(required, Fault::missing, builder) };
    if !field.quoted && (field.text.is_empty() || field.text == null) {
        return append_nothing(required, Fault::null, builder);
    }
    let fits = match builder {
        Builder::Int32(_) | Builder::Int64(_) | Builder::Float64(_) => builder.append_number(field.text),
        Builder::Bool(_) if field.text == "true" || field.text == "false" => builder.append_bool(field.text == "true"),
        _ => builder.append_text(field.text),
    };
    if fits {
        return Ok(());
    }
    Err(Fault::type_of(&builder.name(), &format!("\"{}\"", abbreviated(field.text))))
}

fn append_nothing(required: bool, fault: fn() -> Box<Fault>, builder: &mut Builder) -> Result<(), Box<Fault>> {
    if required {
        builder.append_zero();
        return Err(fault());
    }
    builder.append_null();
    Ok(())
}

/// One field of a record, without its quotes.
struct Field<'a> {
    text: &'a str,
    quoted: bool,
}

/// Where the fields of the current record stand in it; those with quotes inside are resolved into a text of their own.
#[derive(Default)]
struct Fields {
    spans: Vec<Span>,
    resolved: String,
}

struct Span {
    start: usize,
    end: usize,
    quoted: bool,
    /// Whether it stands in `resolved` and not in the record.
    resolved: bool,
}

impl Fields {
    fn split(&mut self, record: &str, delimiter: u8) -> Result<(), String> {
        self.spans.clear();
        self.resolved.clear();
        let mut next = Some(0);
        while let Some(start) = next {
            next = match record.as_bytes().get(start) {
                Some(b'"') => self.quoted(record, start + 1, delimiter)?,
                _ => self.unquoted(record, start, delimiter),
            };
        }
        Ok(())
    }

    /// Takes the field that begins at `start`; where the next one begins, if there is one.
    fn unquoted(&mut self, record: &str, start: usize, delimiter: u8) -> Option<usize> {
        let found = memchr::memchr(delimiter, &record.as_bytes()[start..]);
        let end = found.map_or(record.len(), |length| start + length);
        self.spans.push(Span { start, end, quoted: false, resolved: false });
        found.map(|_| end + 1)
    }

    /// The same for a field whose opening quote is just before `start`.
    fn quoted(&mut self, record: &str, start: usize, delimiter: u8) -> Result<Option<usize>, String> {
        let bytes = record.as_bytes();
        let (mut run, resolved_from) = (start, self.resolved.len());
        let end = loop {
            let length = memchr::memchr(b'"', &bytes[run..]).ok_or("a quote is never closed")?;
            let quote = run + length;
            if bytes.get(quote + 1) != Some(&b'"') {
                break quote;
            }
            self.resolved.push_str(&record[run..=quote]);
            run = quote + 2;
        };
        if run == start {
            self.spans.push(Span { start, end, quoted: true, resolved: false });
        } else {
            self.resolved.push_str(&record[run..end]);
            let (start, end) = (resolved_from, self.resolved.len());
            self.spans.push(Span { start, end, quoted: true, resolved: true });
        }
        match bytes.get(end + 1) {
            None => Ok(None),
            Some(next) if *next == delimiter => Ok(Some(end + 2)),
            Some(_) => Err(format!("something follows the closing quote of field {}", self.spans.len())),
        }
    }

    fn get<'a>(&'a self, record: &'a str, index: usize) -> Field<'a> {
        let span = &self.spans[index];
        let text = if span.resolved { &self.resolved } else { record };
        Field { text: &text[span.start..span.end], quoted: span.quoted }
    }
}
