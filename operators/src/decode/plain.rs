//! Payloads that are one value each: a line of a log, a document.
//!
//! Owns the format "text": the one column of the schema is the payload, as text or as bytes. Nothing is trimmed.

use super::DecodeError;
use super::builder::Builder;
use super::columns::Columns;
use super::fault::Fault;
use super::format::{Appended, FormatSpec, InFiles, Record, RecordReader};
use crate::schema::{Kind, Schema};

pub(super) const FORMAT: FormatSpec = FormatSpec {
    word: "text",
    keys: &[],
    in_files: Ok(InFiles::Lines),
    in_messages: Ok(()),
    schema: None,
    reader: |options| Ok(Box::new(PlainReader::new(&options.schema)?)),
};

/// Reads payloads into the one column that there is.
pub(super) struct PlainReader {
    name: String,
}

impl PlainReader {
    fn new(schema: &Schema) -> Result<Self, DecodeError> {
        match &schema.columns[..] {
            [column] if matches!(column.kind, Kind::String | Kind::Binary) => {
                Ok(PlainReader { name: column.name.clone() })
            }
            _ => Err(DecodeError::NotOneColumn),
        }
    }
}

impl RecordReader for PlainReader {
    fn record(&mut self, Record { payload, .. }: Record<'_>, columns: &mut Columns) -> Result<Appended, Box<Fault>> {
        let text = match columns.first() {
            Some(Builder::String(_)) => payload.text().map_err(|fault| fault.in_field(&self.name))?,
            _ => "",
        };
        let result = columns.append(|_, builder| {
            match builder {
                Builder::Binary { values, .. } => values.append_value(payload.bytes()),
                builder => drop(builder.append_text(text)),
            }
            Ok(())
        });
        Ok(Appended { values: 0, result })
    }
}
