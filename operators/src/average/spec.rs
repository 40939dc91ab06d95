//! What an `[[average]]` asks for, checked against the columns that there are.
//!
//! Owns the definition and its check. What must stay true: an average that passes the check can be kept of any rows of that
//! schema without a failure or an overflow.

use arrow::datatypes::{DataType, Fields, SchemaRef, TimeUnit};
use thiserror::Error;

use super::key::Bucket;
use super::number::{MOST_DIGITS, Unit};

/// One `[[average]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AverageSpec {
    /// What users know it by.
    pub name: String,
    /// The column averaged; columns are named by path (`user.age`), the exact name of a column comes first.
    pub of: String,
    pub by: Vec<Bucket>,
    /// The column that says which hour and day a row belongs to.
    pub time: Option<String>,
    /// More columns to keep averages by.
    pub group: Vec<String>,
    /// How many microseconds before the newest bucket of its kind a bucket may begin; one that begins earlier is folded
    /// away. None: all are kept for ever. See [`keep`](super::keep).
    pub keep: Option<i64>,
    /// How many totals there may be, one for each bucket of each group. None: any number.
    pub max_groups: Option<u64>,
}

/// Why an average cannot be kept.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AverageError {
    #[error("average {average}: there is no column {column}")]
    NoColumn { average: String, column: String },
    #[error("average {average}: {column} is a {kind} and has no average; cast it to a number in [enrich]")]
    NotANumber { average: String, column: String, kind: String },
    #[error(
        "average {average}: sums of {column}, a {kind}, could overflow; cast it to at most {MOST_DIGITS} digits in [enrich]"
    )]
    TooWide { average: String, column: String, kind: String },
    #[error("average {average}: by hour or by day needs `time`, a timestamp or date column{}", not(.kind))]
    NoTime { average: String, kind: Option<String> },
    #[error("average {average}: {column} is a {kind} and cannot be grouped by; cast it to a text in [enrich]")]
    NoGroup { average: String, column: String, kind: String },
    #[error("there are more than 65,535 averages")]
    TooMany,
}

fn not(kind: &Option<String>) -> String {
    kind.as_ref().map_or_else(String::new, |kind| format!(", and the given one is a {kind}"))
}

impl AverageSpec {
    /// The unit of its sums, once all of its columns are found to serve.
    pub fn check(&self, schema: &SchemaRef) -> Result<Unit, AverageError> {
        self.check_time(schema)?;
        for column in &self.group {
            let kind = self.kind(schema, column)?;
            if kind.is_nested() {
                let (average, column) = (self.name.clone(), column.clone());
                return Err(AverageError::NoGroup { average, column, kind: kind.to_string() });
            }
        }
        self.unit(&self.kind(schema, &self.of)?)
    }

    fn check_time(&self, schema: &SchemaRef) -> Result<(), AverageError> {
        if self.by.iter().all(|bucket| *bucket == Bucket::Overall) {
            return Ok(());
        }
        let average = self.name.clone();
        let Some(time) = &self.time else { return Err(AverageError::NoTime { average, kind: None }) };
        match self.kind(schema, time)? {
            DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(()),
            other => Err(AverageError::NoTime { average, kind: Some(other.to_string()) }),
        }
    }

    fn unit(&self, kind: &DataType) -> Result<Unit, AverageError> {
        use DataType::{Boolean, Decimal128, Float32, Float64};
        let (average, column) = (self.name.clone(), self.of.clone());
        match kind {
            Boolean => Ok(Unit::ONE),
            kind if kind.is_integer() => Ok(Unit::ONE),
            Float32 | Float64 => Ok(Unit::FLOAT),
            Decimal128(precision, scale) if *precision <= MOST_DIGITS => Ok(Unit { scale: *scale, trim: false }),
            Decimal128(..) => Err(AverageError::TooWide { average, column, kind: kind.to_string() }),
            other => Err(AverageError::NotANumber { average, column, kind: other.to_string() }),
        }
    }

    fn kind(&self, schema: &SchemaRef, column: &str) -> Result<DataType, AverageError> {
        let missing = || AverageError::NoColumn { average: self.name.clone(), column: column.to_owned() };
        find(schema.fields(), column).ok_or_else(missing)
    }
}

fn find(fields: &Fields, path: &str) -> Option<DataType> {
    if let Some((_, field)) = fields.find(path) {
        return Some(field.data_type().clone());
    }
    let (first, rest) = path.split_once('.')?;
    match fields.find(first)?.1.data_type() {
        DataType::Struct(fields) => find(fields, rest),
        _ => None,
    }
}
