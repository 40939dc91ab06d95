//! One column of a source into the type that the schema asks for.
//!
//! Owns the way through structs and lists, and what is refused where. In what is made here every field may be null: what is
//! null and must not be is a fault of its row, and leaves with it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};

use super::leaf;
use crate::decode::builder::Builder;
use crate::decode::fault::Fault;
use crate::decode::required::{first_leaf, is_required};
use crate::schema::{Column, Kind};

/// The faults found in a column, each with its row.
#[derive(Default)]
pub(super) struct Faults(Vec<(usize, Box<Fault>)>);

impl Faults {
    pub(super) fn add(&mut self, row: usize, fault: Box<Fault>) {
        self.0.push((row, fault));
    }

    /// By row; of one row in the order in which they were found.
    pub(super) fn in_rows(mut self) -> Vec<(usize, Box<Fault>)> {
        self.0.sort_by_key(|(row, _)| *row);
        self.0
    }

    /// The same fault in each row in which the struct around it is there.
    fn add_all(&mut self, rows: usize, fault: &Fault) {
        self.0.extend((0..rows).map(|row| (row, Box::new(fault.clone()))));
    }
}

/// The Arrow type of a kind, in which everything may be null.
pub(super) fn loose(kind: &Kind) -> DataType {
    match kind {
        Kind::Struct(columns) => DataType::Struct(loose_fields(columns)),
        Kind::List(element) => DataType::List(loose_field(element).into()),
        leaf => leaf.data_type(),
    }
}

fn loose_field(column: &Column) -> Field {
    Field::new(&column.name, loose(&column.kind), true)
}

fn loose_fields(columns: &[Column]) -> Fields {
    columns.iter().map(loose_field).collect()
}

/// The column that the schema wants, made of the one that is there.
pub(super) fn column(there: Option<&ArrayRef>, wanted: &Column, rows: usize, faults: &mut Faults) -> ArrayRef {
    let Some(array) = there else {
        if is_required(wanted) {
            let missing = Fault::missing();
            let fault = first_leaf(&wanted.kind).map_or_else(Fault::missing, |leaf| missing.in_field(&leaf));
            faults.add_all(rows, &fault);
        }
        return new_null_array(&loose(&wanted.kind), rows);
    };
    if is_required(wanted) {
        add_nulls(array, faults);
    }
    let converted = match &wanted.kind {
        Kind::Struct(fields) => structs(array, fields, faults),
        Kind::List(element) => list(array, element, faults),
        kind => leaf::convert(array, kind, faults),
    };
    converted.unwrap_or_else(|| {
        let name = Builder::new(&wanted.kind).map_or("another type".into(), |builder| builder.name());
        faults.add_all(rows, &Fault::type_of(&name, &array.data_type().to_string()));
        new_null_array(&loose(&wanted.kind), rows)
    })
}

fn add_nulls(array: &ArrayRef, faults: &mut Faults) {
    if let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
        let rows = nulls.iter().enumerate().filter(|(_, valid)| !valid);
        rows.for_each(|(row, _)| faults.add(row, Fault::null()));
    }
}

fn structs(array: &ArrayRef, wanted: &[Column], faults: &mut Faults) -> Option<ArrayRef> {
    let there = array.as_struct_opt()?;
    let mut children = Vec::with_capacity(wanted.len());
    for field in wanted {
        let mut below = Faults::default();
        children.push(column(there.column_by_name(&field.name), field, there.len(), &mut below));
        for (row, fault) in below.0 {
            if there.is_valid(row) {
                faults.add(row, fault.in_field(&field.name));
            }
        }
    }
    let nulls = there.nulls().cloned();
    Some(Arc::new(StructArray::try_new_with_length(loose_fields(wanted), children, nulls, there.len()).ok()?))
}

fn list(array: &ArrayRef, element: &Column, faults: &mut Faults) -> Option<ArrayRef> {
    let there = plain_list(array)?;
    let there = there.as_list::<i32>();
    let mut below = Faults::default();
    let values = column(Some(there.values()), element, there.values().len(), &mut below);
    let offsets = there.offsets();
    for (index, fault) in below.0 {
        // Lists that are null, and the room around a slice, may hold values that belong to no row.
        let row = offsets.partition_point(|offset| *offset as usize <= index).wrapping_sub(1);
        if row < there.len() && there.is_valid(row) {
            faults.add(row, fault.in_element(index - offsets[row] as usize));
        }
    }
    let field = Arc::new(loose_field(element));
    Some(Arc::new(ListArray::try_new(field, offsets.clone(), values, there.nulls().cloned()).ok()?))
}

/// A list of any form in the one form that we write.
fn plain_list(array: &ArrayRef) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::List(_) => Some(array.clone()),
        DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field) => cast(array, &DataType::List(field.clone())).ok(),
        _ => None,
    }
}
