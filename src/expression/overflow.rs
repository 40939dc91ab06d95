//! Makes `+`, `-` and `*` fail where the result does not fit.
//!
//! DataFusion's wrap around, so that a sum of two large numbers is a negative one: a value in the training data that
//! nobody would ever notice. Here a row whose result does not fit fails, and a constant that does not fit does not compile.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, Operator, lit};
use datafusion_physical_expr::expressions::BinaryExpr as PhysicalBinary;
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};

/// Prepares a coerced expression, before constants are folded: negation becomes a subtraction, which can be checked, and
/// constants are calculated once with checks, because folding them has none.
pub(super) fn prepare(expr: Expr, schema: &DFSchema, properties: &ExecutionProps) -> Result<Expr> {
    let prepared = expr.transform_up(|expr| match expr {
        Expr::Negative(of) if of.get_type(schema)?.is_integer() => {
            let zero = lit(ScalarValue::new_zero(&of.get_type(schema)?)?);
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(zero), Operator::Minus, of))))
        }
        other => Ok(Transformed::no(other)),
    })?;
    prepared.data.apply(|expr| {
        if is_arithmetic(expr) && expr.column_refs().is_empty() {
            check_constant(expr, properties)?;
        }
        Ok(datafusion_common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(prepared.data)
}

fn is_arithmetic(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryExpr(BinaryExpr { op: Operator::Plus | Operator::Minus | Operator::Multiply, .. }))
}

/// Fails where a constant overflows. Another failure (a division by zero) is left to the rows that come upon it.
fn check_constant(expr: &Expr, properties: &ExecutionProps) -> Result<()> {
    let planned = create_physical_expr(expr, &DFSchema::empty(), properties, &PhysicalPlanningContext::default())?;
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one_row)?;
    match checked(planned)?.evaluate(&row) {
        Err(error) if is_overflow(&error) => Err(error),
        _ => Ok(()),
    }
}

fn is_overflow(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ArrowError(error, _) if matches!(**error, ArrowError::ArithmeticOverflow(_)))
}

/// The same calculation with checks.
pub(super) fn checked(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let checked = expr.transform_up(|expr| match expr.downcast_ref::<PhysicalBinary>() {
        Some(binary) => {
            let checked: Arc<dyn PhysicalExpr> = Arc::new(binary.clone().with_fail_on_overflow(true));
            Ok(Transformed::yes(checked))
        }
        None => Ok(Transformed::no(expr)),
    })?;
    Ok(checked.data)
}
