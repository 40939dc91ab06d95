//! Parting a batch by the values of its partition columns.
//!
//! Owns the grouping and the path of a group. Does not own the text of a value (`path`). What must stay true: the groups
//! hold every row once, in the order of the batch; all rows of a group have the same path, and no two groups share one.

use std::sync::Arc;

use arrow::array::{ArrayRef, LargeStringArray, RecordBatch, Scalar, StringArray, StringViewArray, UInt32Array};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{nullif, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::options::EncodeError;
use super::path;
use crate::protocol::naming::FileName;

/// The partition columns of a schema.
pub(super) struct Partitions {
    columns: Vec<usize>,
    names: Vec<String>,
    converter: Option<RowConverter>,
}

/// The rows of a batch that share a path.
pub(super) struct Group {
    /// The values, in a form that is the same for the same values in every batch.
    pub(super) key: Box<[u8]>,
    /// The rows in the batch; all of them where there is none.
    pub(super) rows: Option<Vec<u32>>,
}

/// Partition columns and their values as text.
pub(super) type Values = Vec<(String, Option<String>)>;

impl Partitions {
    pub(super) fn new(schema: &SchemaRef, columns: Vec<usize>) -> Result<Self, EncodeError> {
        let fields = columns.iter().map(|index| SortField::new(schema.field(*index).data_type().clone())).collect();
        let names = columns.iter().map(|index| schema.field(*index).name().clone()).collect();
        let unsupported = |error: ArrowError| EncodeError::Partition {
            column: schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", "),
            kind: error.to_string(),
        };
        let converter = match columns.is_empty() {
            true => None,
            false => Some(RowConverter::new(fields).map_err(unsupported)?),
        };
        Ok(Partitions { columns, names, converter })
    }

    /// The groups of a batch, by first appearance. A batch with one value is one group and costs no list of rows.
    pub(super) fn groups(&self, rows: &RecordBatch) -> Result<Vec<Group>, ArrowError> {
        let Some(converter) = &self.converter else { return Ok(vec![Group { key: Box::default(), rows: None }]) };
        let column = |index: &usize| null_if_empty(rows.column(*index));
        let columns: Vec<ArrayRef> = self.columns.iter().map(column).collect::<Result<_, _>>()?;
        let values = converter.convert_columns(&columns)?;
        let value = |row: u32| values.row(row as usize).data();
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut by_value: HashTable<u32> = HashTable::new();
        let mut current = 0;
        for row in 0..rows.num_rows() as u32 {
            if row == 0 || value(row) != value(row - 1) {
                let hash = xxh3_64(value(row));
                let same = |group: &u32| value(groups[*group as usize][0]) == value(row);
                current = *by_value
                    .entry(hash, same, |group| xxh3_64(value(groups[*group as usize][0])))
                    .or_insert(groups.len() as u32)
                    .get() as usize;
            }
            if current == groups.len() {
                groups.push(Vec::new());
            }
            groups[current].push(row);
        }
        let whole = groups.len() == 1;
        let group = |rows: Vec<u32>| Group { key: value(rows[0]).into(), rows: (!whole).then_some(rows) };
        Ok(groups.into_iter().map(group).collect())
    }

    /// The partition path of a row, with a `/` at its end unless it is empty, and the values it says.
    pub(super) fn path(&self, rows: &RecordBatch, row: usize) -> Result<(String, Values), EncodeError> {
        let (mut path, mut values) = (String::new(), Values::new());
        for (name, index) in self.names.iter().zip(&self.columns) {
            let refused = |message: String| EncodeError::Value { column: name.clone(), message };
            let value = path::text(rows.column(*index), row).map_err(refused)?;
            let part = path::part(name, value.as_deref());
            if part.len() > path::LONGEST_PART || path.len() + part.len() > path::LONGEST_PATH {
                return Err(refused(format!("it is {} bytes long", part.len())));
            }
            path.push_str(&part);
            path.push('/');
            values.push((name.clone(), value));
        }
        Ok((path, values))
    }
}

/// A text column with nulls for empty texts, which have the same path and so belong to the same group.
fn null_if_empty(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let empty: ArrayRef = match column.data_type() {
        DataType::Utf8 => Arc::new(StringArray::from(vec![""])),
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from(vec![""])),
        DataType::Utf8View => Arc::new(StringViewArray::from(vec![""])),
        _ => return Ok(column.clone()),
    };
    let is_empty = eq(column, &Scalar::new(empty))?;
    if is_empty.true_count() == 0 { Ok(column.clone()) } else { nullif(column, &is_empty) }
}

impl Group {
    /// The row in the batch of the group's row `index`.
    pub(super) fn row(&self, index: usize) -> usize {
        self.rows.as_ref().map_or(index, |rows| rows[index] as usize)
    }

    /// The group's rows; a copy unless it is the whole batch.
    pub(super) fn take(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        match &self.rows {
            None => Ok(rows.clone()),
            Some(indices) => take_record_batch(rows, &UInt32Array::from(indices.clone())),
        }
    }
}

/// The one partition that is encoded, where others are left out.
pub(super) struct Only {
    path: String,
    /// Its key, once a row of it came. No other group has its path.
    key: Option<Box<[u8]>>,
}

impl Only {
    /// The partition of this path, without a slash at the end.
    pub(super) fn new(path: &str) -> Self {
        Only { path: path.to_owned(), key: None }
    }

    /// Whether a group of these rows is of that partition. A value that has no path is of none.
    pub(super) fn takes(&mut self, partitions: &Partitions, group: &Group, rows: &RecordBatch) -> bool {
        if let Some(key) = &self.key {
            return *key == group.key;
        }
        let path = partitions.path(rows, group.row(0));
        let ours = path.is_ok_and(|(path, _)| path.trim_end_matches('/') == self.path);
        if ours {
            self.key = Some(group.key.clone());
        }
        ours
    }
}

/// A key as it is shared by the pieces of a file.
pub(super) fn key(path: &str, name: FileName) -> Arc<str> {
    format!("{path}{name}").into()
}

#[cfg(test)]
mod tests {
    //! Holds the grouping against one made with strings and a map. Would catch rows that change order, groups that mix, and a
    //! group that is left out.
    use std::collections::BTreeMap;

    use arrow::array::Int32Array;
    use proptest::prelude::*;

    use super::*;

    /// An empty text has the path of null.
    fn by_path((text, number): &(Option<String>, Option<i32>)) -> (Option<String>, Option<i32>) {
        (text.clone().filter(|text| !text.is_empty()), *number)
    }

    proptest! {
        #[test]
        fn groups_hold_every_row_once_in_order(
            values in proptest::collection::vec((proptest::option::of("[ab]{0,2}"), proptest::option::of(0..3i32)), 1..60),
        ) {
            let texts: StringArray = values.iter().map(|(text, _)| text.clone()).collect();
            let numbers: Int32Array = values.iter().map(|(_, number)| *number).collect();
            let columns = [("t", Arc::new(texts) as ArrayRef, true), ("n", Arc::new(numbers) as ArrayRef, true)];
            let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
            let partitions = Partitions::new(&rows.schema(), vec![0, 1]).unwrap();
            let mut oracle: BTreeMap<_, Vec<usize>> = BTreeMap::new();
            for (row, value) in values.iter().enumerate() {
                oracle.entry(by_path(value)).or_default().push(row);
            }
            let groups = partitions.groups(&rows).unwrap();
            prop_assert_eq!(groups.len(), oracle.len());
            for group in groups {
                let of_group: Vec<usize> = {
                    let count = group.rows.as_ref().map_or(rows.num_rows(), Vec::len);
                    (0..count).map(|index| group.row(index)).collect()
                };
                prop_assert_eq!(&oracle[&by_path(&values[of_group[0]])], &of_group);
                prop_assert_eq!(group.take(&rows).unwrap().num_rows(), of_group.len());
            }
        }
    }
}
