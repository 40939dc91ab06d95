//! Evaluates a compiled expression over a batch, and finds the rows at fault when a batch as a whole fails.
//!
//! Kernels work on whole columns, and one bad value fails them all. Then the batch is halved until the rows that fail
//! stand alone. So the answer for a row is the one it would get alone, whatever its neighbours: where a kernel does more
//! than a row asks for (both sides of an `and`), halving takes that back.
//!
//! A kernel that panics has failed like any other: no record may end the process.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, new_empty_array, new_null_array};
use arrow::compute::{concat, prep_null_mask_filter};

use super::error::{plain, shorten};
use super::{Compiled, Evaluated, Ruled};
use crate::panics;

pub(super) fn evaluate(compiled: &Compiled, rows: &RecordBatch) -> Evaluated {
    let rows = match used_columns(compiled, rows) {
        Ok(rows) => rows,
        Err(message) => return all_failed(compiled, rows.num_rows(), &message),
    };
    match whole(compiled, &rows) {
        Ok(values) => Evaluated { values, failed: Vec::new() },
        Err(message) => halved(compiled, &rows, message),
    }
}

pub(super) fn evaluate_rule(compiled: &Compiled, rows: &RecordBatch) -> Ruled {
    let Evaluated { values, failed } = evaluate(compiled, rows);
    let passed = match values.as_boolean_opt() {
        Some(values) if values.null_count() > 0 => prep_null_mask_filter(values),
        Some(values) => values.clone(),
        None => BooleanArray::from(vec![false; rows.num_rows()]),
    };
    Ruled { passed, failed }
}

/// The columns that the expression reads, by name.
fn used_columns(compiled: &Compiled, rows: &RecordBatch) -> Result<RecordBatch, String> {
    let schema = rows.schema_ref();
    let mut places = Vec::with_capacity(compiled.used.fields().len());
    for field in compiled.used.fields() {
        let place = schema.index_of(field.name()).map_err(|_| format!("the batch has no column `{}`", field.name()))?;
        places.push(place);
    }
    rows.project(&places).map_err(|error| error.to_string())
}

/// All rows at once.
fn whole(compiled: &Compiled, rows: &RecordBatch) -> Result<ArrayRef, String> {
    if rows.num_rows() == 0 {
        return Ok(new_empty_array(&compiled.kind.data_type()));
    }
    let evaluated =
        panics::caught(|| compiled.physical.evaluate(rows).and_then(|values| values.into_array(rows.num_rows())));
    match evaluated {
        Ok(Ok(values)) => Ok(values),
        Ok(Err(error)) => Err(plain(&error)),
        Err(panic) => Err(panic_message(panic.as_ref())),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    shorten(&format!("the calculation broke off: {}", text.unwrap_or("no reason given")))
}

/// Rows that failed together, each half on its own.
fn halved(compiled: &Compiled, rows: &RecordBatch, message: String) -> Evaluated {
    let mut pieces = Vec::new();
    let mut failed = Vec::new();
    halve(compiled, rows, 0, message, &mut pieces, &mut failed);
    let pieces: Vec<&dyn Array> = pieces.iter().map(|piece| piece.as_ref()).collect();
    match concat(&pieces) {
        Ok(values) => Evaluated { values, failed },
        Err(error) => all_failed(compiled, rows.num_rows(), &error.to_string()),
    }
}

/// `rows`, which begin at row `first` of the batch, failed with `message`.
fn halve(
    compiled: &Compiled,
    rows: &RecordBatch,
    first: usize,
    message: String,
    pieces: &mut Vec<ArrayRef>,
    failed: &mut Vec<(u32, String)>,
) {
    let count = rows.num_rows();
    if count <= 1 {
        pieces.push(new_null_array(&compiled.kind.data_type(), count));
        failed.push((u32::try_from(first).unwrap_or(u32::MAX), message));
        return;
    }
    let middle = count / 2;
    for (start, length) in [(0, middle), (middle, count - middle)] {
        let half = rows.slice(start, length);
        match whole(compiled, &half) {
            Ok(values) => pieces.push(values),
            Err(message) => halve(compiled, &half, first + start, message, pieces, failed),
        }
    }
}

fn all_failed(compiled: &Compiled, count: usize, message: &str) -> Evaluated {
    let rows = 0..u32::try_from(count).unwrap_or(u32::MAX);
    Evaluated {
        values: new_null_array(&compiled.kind.data_type(), count),
        failed: rows.map(|row| (row, message.to_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    //! Catches a panic in a kernel that ends the process, or that takes other rows along.
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Int64Type, Schema};
    use datafusion_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
    use datafusion_physical_expr::ScalarFunctionExpr;
    use datafusion_physical_expr::expressions::col;
    use millstream_operators::{Column, Kind};

    use super::*;

    /// Gives numbers back as they are, and panics at 13.
    fn superstitious() -> Arc<ScalarUDF> {
        let body = |args: &[ColumnarValue]| {
            let numbers = args[0].to_array(1)?;
            assert!(numbers.as_primitive::<Int64Type>().values().iter().all(|number| *number != 13), "thirteen");
            Ok(ColumnarValue::Array(numbers))
        };
        let name = "superstitious";
        Arc::new(create_udf(name, vec![DataType::Int64], DataType::Int64, Volatility::Immutable, Arc::new(body)))
    }

    #[test]
    fn a_panic_costs_its_row_only() {
        let column = Column::new("number", Kind::Int64);
        let used = Arc::new(Schema::new(vec![column.field()]));
        let args = vec![col("number", &used).unwrap()];
        let physical = ScalarFunctionExpr::try_new(superstitious(), args, &used, Arc::default()).unwrap();
        let compiled = Compiled {
            sql: String::new(),
            physical: Arc::new(physical),
            kind: Kind::Int64,
            nullable: true,
            used: used.clone(),
            columns: Vec::new(),
        };
        let numbers = Int64Array::from(vec![1, 12, 13, 14, 15]);
        let rows = RecordBatch::try_new(used, vec![Arc::new(numbers)]).unwrap();
        let evaluated = evaluate(&compiled, &rows);
        let expected = Int64Array::from(vec![Some(1), Some(12), None, Some(14), Some(15)]);
        assert_eq!(evaluated.values.as_primitive(), &expected);
        assert_eq!(evaluated.failed, [(2, "the calculation broke off: thirteen".to_owned())]);
    }
}
