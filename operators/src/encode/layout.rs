//! How each column of a file is written, decided by what was asked for and by the file's first rows.
//!
//! Owns the Parquet properties of a file. What is asked for a column holds; what is left open, the rows decide that a file
//! starts with: a dictionary where at least half of the values repeat and none is long; page statistics except for long
//! text, which has them by row group. A dictionary of unique ids or long text costs time and saves nothing. The decision
//! depends on the rows alone, so a file written again from the same rows is laid out the same.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use hashbrown::HashSet;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh3::xxh3_64;

use super::options::{Bloom, ColumnChoice, EncodeOptions, Statistics};

/// Texts longer than this on average are long: not worth a dictionary or statistics by page.
const LONG: usize = 64;
/// How many rows are looked at.
const SAMPLE: usize = 4_096;

/// The values of one leaf column, as far as they were looked at.
#[derive(Default)]
struct Leaf {
    path: Vec<String>,
    values: usize,
    bytes: usize,
    distinct: HashSet<u64>,
}

/// The properties of a file that starts with these rows.
pub(super) fn properties(options: &EncodeOptions, first: &[RecordBatch]) -> WriterProperties {
    let leaves = sample(first);
    let metadata = options.metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("millstream version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(options.compression)
        .set_coerce_types(true)
        .set_max_row_group_row_count(None)
        .set_data_page_size_limit(options.page_bytes)
        .set_key_value_metadata(Some(metadata))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Page);
    for leaf in &leaves {
        let name = leaf.path.join(".");
        let choice = options.choices.iter().find(|choice| matches(&choice.column, &name));
        builder = lay_out(builder, leaf, choice);
    }
    builder.build()
}

/// Whether a column as the user names it is this leaf, or the list or struct that the leaf is a part of.
fn matches(asked: &str, leaf: &str) -> bool {
    leaf.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn lay_out(
    mut builder: WriterPropertiesBuilder,
    leaf: &Leaf,
    choice: Option<&ColumnChoice>,
) -> WriterPropertiesBuilder {
    let column = ColumnPath::new(leaf.path.clone());
    let dictionary = choice.and_then(|choice| choice.dictionary).unwrap_or(leaf.repeats());
    builder = builder.set_column_dictionary_enabled(column.clone(), dictionary);
    let statistics = match choice.and_then(|choice| choice.statistics) {
        Some(Statistics::None) => EnabledStatistics::None,
        Some(Statistics::RowGroup) => EnabledStatistics::Chunk,
        Some(Statistics::Page) => EnabledStatistics::Page,
        None if leaf.is_long() => EnabledStatistics::Chunk,
        None => EnabledStatistics::Page,
    };
    builder = builder.set_column_statistics_enabled(column.clone(), statistics);
    if let Some(Bloom { false_positives, distinct }) = choice.and_then(|choice| choice.bloom) {
        builder = builder
            .set_column_bloom_filter_enabled(column.clone(), true)
            .set_column_bloom_filter_fpp(column.clone(), false_positives)
            .set_column_bloom_filter_max_ndv(column, distinct);
    }
    builder
}

impl Leaf {
    fn average(&self) -> usize {
        self.bytes.checked_div(self.values).unwrap_or(0)
    }

    fn is_long(&self) -> bool {
        self.average() > LONG
    }

    fn repeats(&self) -> bool {
        !self.is_long() && self.values > 0 && self.distinct.len() * 2 <= self.values
    }

    fn see(&mut self, value: &[u8]) {
        self.values += 1;
        self.bytes += value.len();
        self.distinct.insert(xxh3_64(value));
    }

    /// Long text is measured and not looked into.
    fn see_all<'a>(&mut self, bytes: usize, values: impl Iterator<Item = Option<&'a [u8]>>, count: usize) {
        if bytes > LONG * count {
            self.values += count;
            self.bytes += bytes;
        } else {
            values.flatten().for_each(|value| self.see(value));
        }
    }
}

fn sample(batches: &[RecordBatch]) -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut left = SAMPLE;
    for batch in batches {
        let rows = batch.slice(0, left.min(batch.num_rows()));
        left -= rows.num_rows();
        let mut at = 0;
        for (field, column) in batch.schema_ref().fields().iter().zip(rows.columns()) {
            visit(column, &mut vec![field.name().clone()], &mut leaves, &mut at);
        }
    }
    leaves
}

/// Walks to the leaves in the order of the Parquet schema, which is the same in every batch.
fn visit(column: &ArrayRef, path: &mut Vec<String>, leaves: &mut Vec<Leaf>, at: &mut usize) {
    match column.data_type() {
        DataType::Struct(fields) => {
            for (field, child) in fields.iter().zip(column.as_struct().columns()) {
                path.push(field.name().clone());
                visit(child, path, leaves, at);
                path.pop();
            }
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let offsets = list.offsets();
            let (start, end) = (offsets[0] as usize, offsets[list.len()] as usize);
            path.extend(["list".to_owned(), "element".to_owned()]);
            visit(&list.values().slice(start, end - start), path, leaves, at);
            path.truncate(path.len() - 2);
        }
        _ => {
            if *at == leaves.len() {
                leaves.push(Leaf { path: path.clone(), ..Leaf::default() });
            }
            look(column, &mut leaves[*at]);
            *at += 1;
        }
    }
}

fn look(column: &ArrayRef, leaf: &mut Leaf) {
    match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            let bytes = texts.offsets()[texts.len()] - texts.offsets()[0];
            leaf.see_all(bytes as usize, texts.iter().map(|text| text.map(str::as_bytes)), texts.len());
        }
        DataType::Binary => {
            let values = column.as_binary::<i32>();
            let bytes = values.offsets()[values.len()] - values.offsets()[0];
            leaf.see_all(bytes as usize, values.iter(), values.len());
        }
        DataType::LargeUtf8 => {
            let texts = column.as_string::<i64>();
            let bytes = texts.offsets()[texts.len()] - texts.offsets()[0];
            leaf.see_all(bytes as usize, texts.iter().map(|text| text.map(str::as_bytes)), texts.len());
        }
        DataType::Utf8View => column.as_string_view().iter().flatten().for_each(|text| leaf.see(text.as_bytes())),
        kind => {
            // Numbers, dates and times lie side by side. A bool has no dictionary in Parquet, and what else there is goes
            // without one.
            let Some(width) = kind.primitive_width() else { return };
            let data = column.to_data();
            let values = &data.buffers()[0].as_slice()[data.offset() * width..(data.offset() + data.len()) * width];
            let valid = |row: &usize| column.is_valid(*row);
            (0..data.len()).filter(valid).for_each(|row| leaf.see(&values[row * width..(row + 1) * width]));
        }
    }
}
