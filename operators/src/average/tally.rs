//! The pre-aggregation: rows of an epoch on one worker become a few sums and counts.
//!
//! Owns the loops over rows. What must stay true: nothing is allocated per row (only for a group or span met for the first
//! time); a null value counts nowhere, a null time in the overall average only.

use arrow::array::{Array, ArrayRef, PrimitiveArray, RecordBatch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use hashbrown::{HashMap, HashTable};
use xxhash_rust::xxh3::xxh3_64;

use super::key::{AverageKey, Bucket, Totals, span_number};
use super::number::Unit;
use super::packed::{Texts, push_value, values};
use super::parcel::{GroupSum, Parcel, keeper};
use super::spec::{AverageError, AverageSpec};
use super::value;

/// The averages of a pipeline, ready to be added up.
///
/// It needs no dataflow: [`Averager::add`] batches to a [`Tally`] and [`Tally::drain`] it.
pub struct Averager {
    specs: Vec<Checked>,
}

struct Checked {
    spec: AverageSpec,
    unit: Unit,
    converter: Option<RowConverter>,
}

/// Sums and counts of some rows.
#[derive(Default)]
pub struct Tally {
    specs: Vec<SpecTally>,
}

#[derive(Default)]
struct SpecTally {
    groups: Groups,
    /// By bucket, number of the span, and group.
    sums: HashMap<(Bucket, i64, u32), Totals>,
}

/// The groups met, numbered.
#[derive(Default)]
struct Groups {
    numbers: HashTable<u32>,
    /// As their rows are compared.
    rows: Texts,
    /// As they are kept.
    packed: Texts,
}

impl Averager {
    /// Checks the averages against the columns that rows will have.
    pub fn new(specs: Vec<AverageSpec>, schema: &SchemaRef) -> Result<Self, AverageError> {
        if specs.len() > usize::from(u16::MAX) {
            return Err(AverageError::TooMany);
        }
        let specs = specs.into_iter().map(|spec| Checked::new(spec, schema)).collect::<Result<_, _>>()?;
        Ok(Averager { specs })
    }

    /// The averages, in order.
    pub fn specs(&self) -> impl Iterator<Item = (&AverageSpec, Unit)> {
        self.specs.iter().map(|checked| (&checked.spec, checked.unit))
    }

    /// Adds rows of the schema that the averages were checked against; another schema is an error, and a part of the
    /// rows may have been added then.
    pub fn add(&self, rows: &RecordBatch, tally: &mut Tally) -> Result<(), ArrowError> {
        tally.specs.resize_with(self.specs.len(), SpecTally::default);
        for (checked, tally) in self.specs.iter().zip(&mut tally.specs) {
            checked.add(rows, tally)?;
        }
        Ok(())
    }
}

impl Checked {
    fn new(spec: AverageSpec, schema: &SchemaRef) -> Result<Self, AverageError> {
        let unit = spec.check(schema)?;
        let empty = RecordBatch::new_empty(schema.clone());
        let mut fields = Vec::new();
        for column in &spec.group {
            let missing = |_| AverageError::NoColumn { average: spec.name.clone(), column: column.clone() };
            fields.push(SortField::new(value::column(&empty, column).map_err(missing)?.data_type().clone()));
        }
        let refused = |error: ArrowError| AverageError::NoGroup {
            average: spec.name.clone(),
            column: spec.group.join(", "),
            kind: error.to_string(),
        };
        let converter = match fields.is_empty() {
            true => None,
            false => Some(RowConverter::new(fields).map_err(refused)?),
        };
        Ok(Checked { spec, unit, converter })
    }

    fn add(&self, rows: &RecordBatch, tally: &mut SpecTally) -> Result<(), ArrowError> {
        let values = value::column(rows, &self.spec.of)?;
        let groups = self.groups(rows, &mut tally.groups)?;
        let group = |row: usize| groups.get(row).copied().unwrap_or(0);
        let times = match &self.spec.time {
            Some(time) => Some(value::times(&value::column(rows, time)?)?),
            None => None,
        };
        for bucket in &self.spec.by {
            match (bucket.length(), &times) {
                (None, _) => tally.add_overall(&values, group)?,
                (Some(length), Some(times)) => tally.add_by_time(*bucket, length, &values, times, group)?,
                (Some(_), None) => {}
            }
        }
        Ok(())
    }

    /// For each row the number of its group; empty where there is but one.
    fn groups(&self, rows: &RecordBatch, groups: &mut Groups) -> Result<Vec<u32>, ArrowError> {
        let Some(converter) = &self.converter else {
            if groups.packed.len() == 0 {
                groups.packed.push(&[]);
            }
            return Ok(Vec::new());
        };
        let path = |path: &String| value::column(rows, path);
        let columns: Vec<ArrayRef> = self.spec.group.iter().map(path).collect::<Result<_, _>>()?;
        groups.number(&converter.convert_columns(&columns)?, &columns)
    }
}

impl Groups {
    fn number(&mut self, rows: &Rows, columns: &[ArrayRef]) -> Result<Vec<u32>, ArrowError> {
        let mut numbers = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let value = rows.row(row).data();
            let hash = xxh3_64(value);
            let known = self.numbers.find(hash, |number| self.rows.get(*number) == value).copied();
            numbers.push(match known {
                Some(number) => number,
                None => self.begin(hash, value, row, columns)?,
            });
        }
        Ok(numbers)
    }

    fn begin(&mut self, hash: u64, value: &[u8], row: usize, columns: &[ArrayRef]) -> Result<u32, ArrowError> {
        let number = self.packed.add(|bytes| {
            columns.iter().try_for_each(|column| {
                push_value(bytes, value::text(column, row)?.as_deref());
                Ok::<_, ArrowError>(())
            })
        })?;
        self.rows.push(value);
        let rows = &self.rows;
        self.numbers.insert_unique(hash, number, |number| xxh3_64(rows.get(*number)));
        Ok(number)
    }
}

impl SpecTally {
    fn add_overall(&mut self, values: &ArrayRef, group: impl Fn(usize) -> u32) -> Result<(), ArrowError> {
        let mut sums: Vec<Totals> = vec![(0, 0); self.groups.packed.len()];
        value::for_each_value(values, |row, value| {
            let totals = &mut sums[group(row) as usize];
            *totals = (totals.0 + value, totals.1 + 1);
        })?;
        for (group, totals) in (0u32..).zip(sums) {
            self.enter((Bucket::Overall, 0, group), totals);
        }
        Ok(())
    }

    /// Neighbours often share a span and a group, so a run of them is looked up once.
    fn add_by_time(
        &mut self,
        bucket: Bucket,
        length: i64,
        values: &ArrayRef,
        times: &PrimitiveArray<TimestampMicrosecondType>,
        group: impl Fn(usize) -> u32,
    ) -> Result<(), ArrowError> {
        let mut run = ((bucket, 0, 0), (0, 0));
        value::for_each_value(values, |row, value| {
            if times.is_null(row) {
                return;
            }
            let key = (bucket, span_number(times.value(row), length), group(row));
            if key != run.0 {
                self.enter(run.0, run.1);
                run = (key, (0, 0));
            }
            run.1 = (run.1.0 + value, run.1.1 + 1);
        })?;
        self.enter(run.0, run.1);
        Ok(())
    }

    fn enter(&mut self, key: (Bucket, i64, u32), (sum, count): Totals) {
        if count > 0 {
            let totals = self.sums.entry(key).or_insert((0, 0));
            *totals = (totals.0 + sum, totals.1 + count);
        }
    }
}

impl Tally {
    /// How many sums are held.
    pub fn len(&self) -> usize {
        self.specs.iter().map(|spec| spec.sums.len()).sum()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory, about.
    pub fn size(&self) -> usize {
        let sum = size_of::<((Bucket, i64, u32), Totals)>();
        let of = |spec: &SpecTally| spec.groups.rows.size() + spec.groups.packed.size() + spec.sums.capacity() * sum;
        self.specs.iter().map(of).sum()
    }

    /// Takes all sums, in no particular order, and leaves an empty tally.
    pub fn drain(&mut self) -> Vec<(AverageKey, Totals)> {
        let mut drained = Vec::with_capacity(self.len());
        for (average, spec) in (0u16..).zip(std::mem::take(&mut self.specs)) {
            for ((by, span, group), totals) in spec.sums {
                let group = values(spec.groups.packed.get(group));
                drained.push((AverageKey { average, by, from: by.start(span), group }, totals));
            }
        }
        drained
    }

    /// Takes all sums, packed for the workers that keep them, and leaves an empty tally.
    pub(super) fn parcels(&mut self, workers: usize) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        for (average, spec) in (0u16..).zip(std::mem::take(&mut self.specs)) {
            spec.pack(average, workers, &mut parcels);
        }
        parcels
    }
}

impl SpecTally {
    fn pack(self, average: u16, workers: usize, parcels: &mut Vec<Parcel>) {
        let fresh = |to: usize| Parcel { to: to as u64, average, ..Parcel::default() };
        let mut out: Vec<Parcel> = (0..workers).map(fresh).collect();
        let packed = &self.groups.packed;
        // Where each group goes, and its number there.
        let mut places: Vec<Option<(usize, u32)>> = vec![None; packed.len()];
        for ((by, span, group), totals) in self.sums {
            let (to, group) = *places[group as usize].get_or_insert_with(|| {
                let bytes = packed.get(group);
                let to = keeper(average, bytes, workers);
                (to, out[to].groups.push(bytes))
            });
            out[to].sums.push(GroupSum { group, by, span, totals });
        }
        parcels.extend(out.into_iter().filter(|parcel| !parcel.sums.is_empty()));
    }
}
