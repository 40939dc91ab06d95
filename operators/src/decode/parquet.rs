//! Parquet files, whose records come as columns.
//!
//! Owns the name of the format alone: `rows` brings the columns to the schema, whatever the format says. A record that is written by
//! hand has no columns and is JSON.

use super::format::{FormatSpec, InFiles};
use super::json;

pub(super) const FORMAT: FormatSpec = FormatSpec {
    word: "parquet",
    keys: &[],
    in_files: Ok(InFiles::Parquet),
    in_messages: Err("a message is no Parquet file; parquet is for type = \"files\""),
    schema: None,
    reader: json::FORMAT.reader,
};
