//! SQL expressions over Arrow batches: `[validate]`, `[enrich]`, and whatever else of a pipeline is a calculation.
//!
//! ```text
//! text → words → parse → names → plan → times → coerce → output → overflow → simplify → evaluate
//! ```
//!
//! Owns the way from SQL text to columns; the language is DataFusion's, its engine is not here. What must stay true:
//!
//! - An expression depends on its row alone. Nothing that reads a clock or rolls dice compiles, so a replay gives the same
//!   rows, and how rows are cut into batches makes no difference: a row fails if and only if it fails on its own.
//! - Names are case-sensitive. A column may be named like an SQL word and needs no quotes; `words` says how.
//! - What comes out is of one of the types of [`Kind`].
//! - A value that cannot be calculated costs its row, never the batch and never the process.

mod compile;
mod date_trunc;
mod error;
mod evaluate;
mod lengths;
mod names;
mod nearest;
mod output;
mod overflow;
mod path;
mod registry;
mod times;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use millstream_operators::Kind;

pub use error::{ExpressionError, Place};

/// A compiled expression. Cloning shares it; any number of threads may evaluate it at once.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    sql: String,
    /// Reads the columns of `used`, in that order.
    physical: Arc<dyn PhysicalExpr>,
    kind: Kind,
    nullable: bool,
    /// The columns that the calculation needs, after simplification.
    used: SchemaRef,
    /// The columns that the text names, in order of the schema.
    columns: Vec<String>,
}

/// What an expression made of a batch.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// A value for each row; null for the rows that failed.
    pub values: ArrayRef,
    /// The rows whose value could not be calculated, ascending, and why.
    pub failed: Vec<(u32, String)>,
}

/// What a rule made of a batch.
#[derive(Clone, Debug)]
pub struct Ruled {
    /// For each row whether the rule is true. Never null: a rule that is null or fails is not true.
    pub passed: BooleanArray,
    /// The rows for which the rule could not be calculated, ascending, and why.
    pub failed: Vec<(u32, String)>,
}

impl Expression {
    /// Compiles `sql` for batches with the columns of `schema`.
    pub fn compile(sql: &str, schema: &SchemaRef) -> Result<Self, ExpressionError> {
        compile::compile(sql, schema)
    }

    /// Compiles a rule: an expression that is true or false.
    pub fn compile_rule(sql: &str, schema: &SchemaRef) -> Result<Self, ExpressionError> {
        let rule = Self::compile(sql, schema)?;
        match rule.kind() {
            Kind::Bool => Ok(rule),
            _ => Err(ExpressionError::new(format!(
                "a rule has to be true or false, and this is {}; compare it with something",
                output::name(&rule.data_type())
            ))),
        }
    }

    /// The text that it was compiled from.
    pub fn sql(&self) -> &str {
        &self.0.sql
    }

    /// What it calculates, in the words of `[schema]`.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The Arrow type of its values.
    pub fn data_type(&self) -> DataType {
        self.0.kind.data_type()
    }

    /// Whether a row that did not fail may have null.
    pub fn nullable(&self) -> bool {
        self.0.nullable
    }

    /// The Arrow field of its values under a name.
    pub fn field(&self, name: &str) -> Field {
        Field::new(name, self.data_type(), self.nullable())
    }

    /// The top-level columns that it names, in order of the schema.
    pub fn columns(&self) -> &[String] {
        &self.0.columns
    }

    /// Calculates a value for each row. Columns are found by name, so `rows` may have more than the schema it was compiled
    /// for. Costs one pass over the batch when no row fails, and some `2 f log₂(n / f)`
    /// smaller ones to find `f` rows that do: a few microseconds each. A condition that guards a calculation which would
    /// fail is cheapest as `case when … then … end`, which never calculates what it does not need.
    pub fn evaluate(&self, rows: &RecordBatch) -> Evaluated {
        evaluate::evaluate(&self.0, rows)
    }

    /// Asks a rule of each row. An expression that is no rule is true of no row.
    pub fn evaluate_rule(&self, rows: &RecordBatch) -> Ruled {
        evaluate::evaluate_rule(&self.0, rows)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.0.sql)
    }
}
