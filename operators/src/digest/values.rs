//! Hashes of rows by their values: equal rows have equal hashes, however their columns lie in memory.
//!
//! Owns a form of its own, because that of Arrow's row format may change with a release of Arrow. A column is hashed as a
//! whole, type by type; a row is its columns' hashes in order, each with the column's name. Text and bytes are told apart
//! from numbers, times by their unit, decimals by their scale; wider and narrower forms of one type are not.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use xxhash_rust::xxh3::xxh3_128;

/// What a null counts as. No number of up to eight bytes is the same.
const NULL: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834;

/// A hash of each row.
pub(crate) fn rows(rows: &RecordBatch) -> Vec<u128> {
    let schema = rows.schema();
    fields(schema.fields().iter().map(|field| &**field), rows.columns(), rows.num_rows())
}

/// A hash of each row of named columns.
fn fields<'a>(fields: impl Iterator<Item = &'a Field>, columns: &[ArrayRef], rows: usize) -> Vec<u128> {
    let mut hashes = vec![0; rows];
    for (field, column) in fields.zip(columns) {
        let name = mixed(xxh3_128(field.name().as_bytes()), meaning(field.data_type()));
        for (hash, value) in hashes.iter_mut().zip(of_column(column)) {
            *hash = mixed(mixed(*hash, name), value);
        }
    }
    hashes
}

fn mixed(one: u128, other: u128) -> u128 {
    let mut both = [0; 32];
    both[..16].copy_from_slice(&one.to_le_bytes());
    both[16..].copy_from_slice(&other.to_le_bytes());
    xxh3_128(&both)
}

/// What a number's bytes alone do not tell.
fn meaning(kind: &DataType) -> u128 {
    match kind {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) | DataType::Duration(unit) => {
            match unit {
                TimeUnit::Second => 1,
                TimeUnit::Millisecond => 2,
                TimeUnit::Microsecond => 3,
                TimeUnit::Nanosecond => 4,
            }
        }
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => 0x100 + u128::from(scale.to_le_bytes()[0]),
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            meaning(element.data_type())
        }
        DataType::Dictionary(_, values) => meaning(values),
        _ => 0,
    }
}

/// A hash of each value of a column.
fn of_column(column: &ArrayRef) -> Vec<u128> {
    match column.data_type() {
        DataType::Null => vec![NULL; column.len()],
        DataType::Boolean => {
            column.as_boolean().iter().map(|value| value.map_or(NULL, |value| u128::from(u8::from(value)))).collect()
        }
        DataType::Utf8 => bytes(column.as_string::<i32>().iter().map(|text| text.map(str::as_bytes))),
        DataType::LargeUtf8 => bytes(column.as_string::<i64>().iter().map(|text| text.map(str::as_bytes))),
        DataType::Utf8View => bytes(column.as_string_view().iter().map(|text| text.map(str::as_bytes))),
        DataType::Binary => bytes(column.as_binary::<i32>().iter()),
        DataType::LargeBinary => bytes(column.as_binary::<i64>().iter()),
        DataType::BinaryView => bytes(column.as_binary_view().iter()),
        DataType::FixedSizeBinary(_) => bytes(column.as_fixed_size_binary().iter()),
        DataType::Struct(inner) => {
            let hashes = fields(inner.iter().map(|field| &**field), column.as_struct().columns(), column.len());
            let hash = |(row, hash)| if column.is_null(row) { NULL } else { hash };
            hashes.into_iter().enumerate().map(hash).collect()
        }
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            of_lists(column, lists.values(), |row| lists.value_offsets()[row] as usize)
        }
        DataType::LargeList(_) => {
            let lists = column.as_list::<i64>();
            of_lists(column, lists.values(), |row| lists.value_offsets()[row] as usize)
        }
        DataType::FixedSizeList(_, _) => {
            let lists = column.as_fixed_size_list();
            of_lists(column, lists.values(), |row| lists.value_offset(row) as usize)
        }
        DataType::Map(_, _) => {
            let maps = column.as_map();
            let entries: ArrayRef = std::sync::Arc::new(maps.entries().clone());
            of_lists(column, &entries, |row| maps.value_offsets()[row] as usize)
        }
        DataType::Dictionary(_, _) => {
            let dictionary = column.as_any_dictionary();
            if dictionary.values().is_empty() {
                return vec![NULL; column.len()];
            }
            let (keys, values) = (dictionary.normalized_keys(), of_column(dictionary.values()));
            let value = |(row, key): (usize, &usize)| if column.is_null(row) { NULL } else { values[*key] };
            keys.iter().enumerate().map(value).collect()
        }
        kind => kind.primitive_width().map_or_else(|| as_text(column), |width| numbers(column, width)),
    }
}

fn bytes<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Vec<u128> {
    values.map(|value| value.map_or(NULL, xxh3_128)).collect()
}

/// Values of one width, as they lie in their buffer.
fn numbers(column: &ArrayRef, width: usize) -> Vec<u128> {
    let data = column.to_data();
    let Some(buffer) = data.buffers().first() else { return vec![NULL; column.len()] };
    let values = buffer[data.offset() * width..].chunks_exact(width).take(column.len());
    let number = |value: &[u8]| {
        let mut number = [0; 16];
        match number.get_mut(..width) {
            Some(low) => low.copy_from_slice(value),
            None => return xxh3_128(value),
        }
        u128::from_le_bytes(number)
    };
    values.enumerate().map(|(row, value)| if column.is_null(row) { NULL } else { number(value) }).collect()
}

/// Lists whose elements begin at `start`, which also tells the end of the last one.
fn of_lists(lists: &ArrayRef, elements: &ArrayRef, start: impl Fn(usize) -> usize) -> Vec<u128> {
    let rows = lists.len();
    let (first, end) = (start(0), start(rows));
    let hashes = of_column(&elements.slice(first, end - first));
    let list = |row: usize| {
        if lists.is_null(row) {
            return NULL;
        }
        let own = &hashes[start(row) - first..start(row + 1) - first];
        own.iter().fold(mixed(own.len() as u128, 0), |list, element| mixed(list, *element))
    };
    (0..rows).map(list).collect()
}

/// Types that no source has: by how Arrow writes them. What it cannot write counts as one value, so that a digest never
/// differs where the records do not.
fn as_text(column: &ArrayRef) -> Vec<u128> {
    let options = FormatOptions::default();
    let Ok(texts) = ArrayFormatter::try_new(&**column, &options) else { return vec![NULL; column.len()] };
    (0..column.len())
        .map(|row| texts.value(row).try_to_string().map_or(NULL, |text| xxh3_128(text.as_bytes())))
        .collect()
}
