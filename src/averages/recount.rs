//! Averages counted again from committed files, with no dataflow and no memory of what the log says.
//!
//! A file is read with the definition in force when it was written: that says which columns it holds, and which its path
//! holds. An average counts a file that has all of its columns. A file without one of them adds nothing if the average was
//! not yet defined then; if it was, the records are in the log's totals and in no file's, and the average cannot be counted
//! again. What must stay true: `verify` and the count of a new average are this one count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray, new_null_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use millstream_operators::average::keep::fold_away;
use millstream_operators::average::{
    AverageId, AverageKey, AverageSpec, AverageTotals, Averager, Change, Tally, Total, Totals,
};
use millstream_operators::encode::path;
use millstream_operators::protocol::Place;
use millstream_operators::state::Defined;

use crate::averages::known::Known;
use crate::config::Sink;
use crate::stages::Stages;

/// Totals of the rows seen so far.
pub struct Recount {
    /// Today's columns that averages need, in today's types.
    schema: SchemaRef,
    specs: Vec<AverageSpec>,
    /// All of today's averages.
    known: Known,
    /// What was counted, by which averages took part.
    counts: BTreeMap<Vec<usize>, Count>,
    /// Averages that cannot be counted again.
    uncountable: BTreeSet<String>,
    /// Averages that are not to be compared.
    left_out: BTreeSet<String>,
    /// Columns that some path held: there, an empty text and null are one.
    in_paths: BTreeSet<String>,
}

/// Some of the averages, counted together.
struct Count {
    schema: SchemaRef,
    averager: Averager,
    tally: Tally,
}

/// How files of one definition are counted.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The averages that take part.
    part: Vec<usize>,
    /// Columns in the path.
    partition: Vec<String>,
}

/// Whether two averages count the same; in which order buckets are named, and how long they are kept, plays no part.
fn is_the_same(one: &AverageSpec, other: &AverageSpec) -> bool {
    let counted = |spec: &AverageSpec| {
        let by: BTreeSet<&str> = spec.by.iter().map(|by| by.name()).collect();
        (spec.name.clone(), spec.of.clone(), spec.time.clone(), spec.group.clone(), by.into_iter().collect::<String>())
    };
    counted(one) == counted(other)
}

/// The top-level column that a path begins with.
fn root<'a>(schema: &Schema, path: &'a str) -> &'a str {
    if schema.field_with_name(path).is_ok() { path } else { path.split('.').next().unwrap_or(path) }
}

fn roots<'a>(schema: &Schema, spec: &'a AverageSpec) -> BTreeSet<&'a str> {
    let time = spec.time.iter();
    std::iter::once(&spec.of).chain(time).chain(&spec.group).map(|path| root(schema, path)).collect()
}

impl Recount {
    /// Nothing counted yet. `only`: the averages to count; all of them where there is none.
    pub fn new(stages: &Stages, only: Option<&BTreeSet<String>>) -> Self {
        let schema = stages.enriched();
        let wanted = |spec: &&AverageSpec| only.is_none_or(|only| only.contains(&spec.name));
        let specs: Vec<AverageSpec> = stages.averages().iter().filter(wanted).cloned().collect();
        let known = Averager::new(specs.clone(), &schema).map(|averager| Known::new(&averager)).unwrap_or_default();
        let (counts, uncountable, left_out, in_paths) = Default::default();
        Recount { schema, specs, known, counts, uncountable, left_out, in_paths }
    }

    /// How files of a sink that these stages wrote are counted.
    fn layout(&mut self, then: &Stages, sink: &Sink) -> Layout {
        let laid_down = then.laid_down(sink);
        // What files hold themselves is exact; what is in the path alone has to be read from it.
        let partition = if sink.keep_partition_columns { Vec::new() } else { sink.partition.clone() };
        let there = |column: &&str| laid_down.iter().chain(&partition).any(|name| name == column);
        let mut part = Vec::new();
        for (index, spec) in self.specs.iter().enumerate() {
            if roots(&self.schema, spec).iter().all(there) {
                part.push(index);
            } else if then.averages().iter().any(|average| is_the_same(average, spec)) {
                self.uncountable.insert(spec.name.clone());
            }
        }
        self.in_paths.extend(partition.iter().cloned());
        Layout { part, partition }
    }

    /// Takes note that these stages had no sink that took every row: what they averaged is in no file.
    fn without_a_whole_sink(&mut self, then: &Stages) {
        let then = then.averages();
        let counted = self.specs.iter().filter(|spec| then.iter().any(|average| is_the_same(average, spec)));
        self.uncountable.extend(counted.map(|spec| spec.name.clone()));
    }

    /// How a file of these stages is counted; `None` where another sink's files tell of its rows.
    pub fn layout_of(&mut self, then: &Stages, place: &Place) -> Option<Layout> {
        match then.whole_sink() {
            Some(sink) => (sink.place == *place).then(|| self.layout(then, sink)),
            None => {
                self.without_a_whole_sink(then);
                None
            }
        }
    }

    /// Takes rows of a file in.
    pub fn add(&mut self, path: &str, layout: &Layout, rows: &RecordBatch) -> Result<(), String> {
        if layout.part.is_empty() {
            return Ok(());
        }
        let failed = |error: &dyn std::fmt::Display| format!("cannot be counted again: {error}");
        if !self.counts.contains_key(&layout.part) {
            let count = self.count(&layout.part).map_err(|error| failed(&error))?;
            self.counts.insert(layout.part.clone(), count);
        }
        let Some(count) = self.counts.get_mut(&layout.part) else { return Ok(()) };
        let rows = whole(&count.schema, path, &layout.partition, rows).map_err(|error| failed(&error))?;
        count.averager.add(&rows, &mut count.tally).map_err(|error| failed(&error))
    }

    fn count(&self, part: &[usize]) -> Result<Count, millstream_operators::average::AverageError> {
        let specs: Vec<AverageSpec> = part.iter().map(|index| self.specs[*index].clone()).collect();
        let needed: BTreeSet<&str> = specs.iter().flat_map(|spec| roots(&self.schema, spec)).collect();
        let fields = self.schema.fields().iter().filter(|field| needed.contains(field.name().as_str()));
        let nullable = fields.map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(nullable.collect::<Vec<Field>>()));
        Ok(Count { averager: Averager::new(specs, &schema)?, schema, tally: Tally::default() })
    }

    /// The totals, as the log would write them down.
    pub fn totals(&mut self) -> BTreeMap<AverageId, Total> {
        let mut merged: BTreeMap<AverageKey, Totals> = BTreeMap::new();
        for count in self.counts.values_mut() {
            let known = Known::new(&count.averager);
            let written = |(key, (sum, n))| known.written(&Change { key, sum, count: n });
            let counted: AverageTotals = count.tally.drain().into_iter().map(written).collect();
            for (key, total) in self.known.restored(&counted) {
                merge(&mut merged, key, total);
            }
        }
        let mut totals = self.written(merged);
        for (average, keep) in self.known.keeps() {
            fold_away(&mut totals, average, keep);
        }
        totals
    }

    /// Totals in a form in which those of the log and those of the files compare: averages that cannot be counted again are
    /// left out, and so is the difference between an empty text and null where a path held the value.
    pub fn comparable(&self, totals: &AverageTotals) -> BTreeMap<AverageId, Total> {
        let mut merged: BTreeMap<AverageKey, Totals> = BTreeMap::new();
        for (mut key, total) in self.known.restored(totals) {
            let columns = self.known.columns(&key);
            for (value, column) in key.group.iter_mut().zip(columns) {
                if self.in_paths.contains(&column) && value.as_deref() == Some("") {
                    *value = None;
                }
            }
            merge(&mut merged, key, total);
        }
        let mut written = self.written(merged);
        let compared = |average: &String| !self.uncountable.contains(average) && !self.left_out.contains(average);
        written.retain(|id, _| compared(&id.average));
        written
    }

    /// Leaves out the averages whose definition is not the given one; which those are.
    pub fn leave_out_all_but(&mut self, kept: &Defined) -> Vec<String> {
        let defined = self.known.definitions().into_iter();
        let changed: Vec<String> =
            defined.filter(|(name, text)| kept.get(name) != Some(text)).map(|(name, _)| name).collect();
        self.left_out.extend(changed.iter().cloned());
        changed
    }

    /// The averages that cannot be counted again.
    pub fn uncountable(&self) -> &BTreeSet<String> {
        &self.uncountable
    }

    fn written(&self, totals: BTreeMap<AverageKey, Totals>) -> BTreeMap<AverageId, Total> {
        totals.into_iter().map(|(key, (sum, count))| self.known.written(&Change { key, sum, count })).collect()
    }
}

fn merge(merged: &mut BTreeMap<AverageKey, Totals>, key: AverageKey, (sum, count): Totals) {
    let total = merged.entry(key).or_default();
    *total = (total.0 + sum, total.1 + count);
}

/// The columns that averages need, those of the path too, in today's types.
fn whole(schema: &SchemaRef, path: &str, partition: &[String], rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let parts = partition_parts(path);
    let columns = schema.fields().iter().map(|field| match partition.contains(field.name()) {
        true => from_path(parts.get(path::escape(field.name()).as_str()).copied(), field, rows.num_rows()),
        false => conform(rows.column(rows.schema().index_of(field.name())?), field.data_type()),
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
}

/// The columns in a partition path, as they are escaped there.
fn partition_parts(path: &str) -> BTreeMap<&str, &str> {
    path.split('/').filter_map(|part| part.split_once('=')).collect()
}

/// A column in another type; fields that a struct did not have yet are null.
fn conform(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    match (column.as_struct_opt(), wanted) {
        _ if column.data_type() == wanted => Ok(column.clone()),
        (Some(rows), DataType::Struct(fields)) => {
            let nullable = fields.iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
            let columns = fields.iter().map(|field| match rows.column_by_name(field.name()) {
                Some(column) => conform(column, field.data_type()),
                None => Ok(new_null_array(field.data_type(), rows.len())),
            });
            let columns = columns.collect::<Result<_, _>>()?;
            let inner = StructArray::try_new(nullable.collect(), columns, rows.nulls().cloned())?;
            cast(&inner, wanted)
        }
        _ => cast(column, wanted),
    }
}

fn from_path(part: Option<&str>, field: &Field, rows: usize) -> Result<ArrayRef, ArrowError> {
    let value = part.filter(|part| *part != path::NULL).and_then(path::unescape);
    let one: ArrayRef = cast(&StringArray::from(vec![value]), field.data_type())
        .or_else(|_| cast(&StringArray::from(vec![None::<String>]), &DataType::Null))?;
    match rows {
        0 => Ok(one.slice(0, 0)),
        rows => concat(&vec![one.as_ref(); rows]),
    }
}
