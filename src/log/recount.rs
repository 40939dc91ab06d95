//! Averages counted again from committed files, with no dataflow and no memory of what the log says.
//!
//! Owns putting back the columns that a file's path holds and not the file. An average whose columns are not laid down
//! cannot be counted again and is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_operators::average::{AverageKey, AverageSpec, Averager, Change, Tally, Totals};
use millstream_operators::encode::path;
use millstream_operators::protocol::{AverageId, Total};

use crate::log::verify::partition_parts;
use crate::stages::Stages;
use crate::totals::Known;

/// Totals of the rows seen so far.
pub struct Recount {
    schema: SchemaRef,
    partition: Vec<String>,
    averager: Option<Averager>,
    known: Known,
    tally: Tally,
}

impl Recount {
    /// Nothing counted yet.
    pub fn new(stages: &Stages) -> Self {
        let laid_down = stages.laid_down();
        let partition = stages.config().sink.partition.clone();
        let there = |name: &str| laid_down.iter().chain(&partition).any(|column| column == name);
        let fields = stages.enriched().fields().iter().filter(|field| there(field.name())).cloned().collect::<Vec<_>>();
        let schema = Arc::new(Schema::new(fields));
        let specs: Vec<AverageSpec> =
            stages.averages().iter().filter(|spec| spec.check(&schema).is_ok()).cloned().collect();
        let averager = Averager::new(specs, &schema).ok();
        let known = averager.as_ref().map(Known::new).unwrap_or_default();
        Recount { schema, partition, averager, known, tally: Tally::default() }
    }

    /// Takes rows of a file in.
    pub fn add(&mut self, path: &str, rows: &RecordBatch) -> Result<(), String> {
        let Some(averager) = &self.averager else { return Ok(()) };
        if self.known.is_empty() {
            return Ok(());
        }
        let rows = self.whole(path, rows).map_err(|error| format!("cannot be counted again: {error}"))?;
        averager.add(&rows, &mut self.tally).map_err(|error| format!("cannot be counted again: {error}"))
    }

    /// The totals, as the log would write them down.
    pub fn totals(mut self) -> BTreeMap<AverageId, Total> {
        let written = |(key, (sum, count))| self.known.written(&Change { key, sum, count });
        self.tally.drain().into_iter().map(written).collect()
    }

    /// What the log says of the averages that are counted again here, for comparing: in a path an empty text and null are
    /// one, so groups that differ in that alone are taken together.
    pub fn comparable(&self, log: &BTreeMap<AverageId, Total>) -> BTreeMap<AverageId, Total> {
        let mut merged: BTreeMap<AverageKey, Totals> = BTreeMap::new();
        for (mut key, (sum, count)) in self.known.restored(log) {
            let columns = self.known.columns(&key);
            for (value, column) in key.group.iter_mut().zip(columns) {
                if self.partition.contains(&column) && value.as_deref() == Some("") {
                    *value = None;
                }
            }
            let total = merged.entry(key).or_default();
            *total = (total.0 + sum, total.1 + count);
        }
        let written = |(key, (sum, count))| self.known.written(&Change { key, sum, count });
        merged.into_iter().map(written).collect()
    }

    /// The rows with the columns of their path, in the types that they had before they were laid down.
    fn whole(&self, path: &str, rows: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
        let parts = partition_parts(path);
        let columns = self.schema.fields().iter().map(|field| match self.partition.contains(field.name()) {
            true => from_path(parts.get(path::escape(field.name()).as_str()).copied(), field, rows.num_rows()),
            false => cast(rows.column(rows.schema().index_of(field.name())?), field.data_type()),
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
        let nullable = self.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        RecordBatch::try_new(Arc::new(Schema::new(nullable.collect::<Vec<Field>>())), columns)
    }
}

fn from_path(part: Option<&str>, field: &Field, rows: usize) -> Result<ArrayRef, arrow::error::ArrowError> {
    let value = part.filter(|part| *part != path::NULL).and_then(path::unescape);
    let one: ArrayRef = cast(&StringArray::from(vec![value]), field.data_type())
        .or_else(|_| cast(&StringArray::from(vec![None::<String>]), &DataType::Null))?;
    match rows {
        0 => Ok(one.slice(0, 0)),
        rows => concat(&vec![one.as_ref(); rows]),
    }
}
