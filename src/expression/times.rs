//! Keeps times in microseconds, as columns have them.
//!
//! DataFusion brings times to nanoseconds wherever it is free to choose, and those reach from 1677 to 2262 only, while a
//! column may hold any day of the years 1 to 9999. So calls and comparisons that would go there are written otherwise,
//! with the same meaning: `to_timestamp(x)`, `date_trunc('day', x)`, a time compared with a date.

use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, Result};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::planner::ContextProvider;
use datafusion_expr::{Between, BinaryExpr, Expr, ExprSchemable, cast};
use datafusion_functions::datetime::{to_timestamp_micros, to_timestamp_seconds};
use millstream_operators::Kind;

use super::date_trunc::date_trunc;
use super::registry::REGISTRY;

/// Writes `expr` so that times stay in microseconds.
pub(super) fn keep_microseconds(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let rewritten = expr.transform_up(|expr| match expr {
        Expr::ScalarFunction(call) => rewrite_call(call, schema),
        Expr::BinaryExpr(binary) if binary.op.supports_propagation() => rewrite_comparison(binary, schema),
        Expr::Between(between) => rewrite_between(between, schema),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

fn rewrite_call(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match (call.func.name(), call.args.len()) {
        ("to_timestamp", 1..) => {
            let from = call.args[0].get_type(schema)?;
            Ok(rewrite_to_timestamp(call, &from))
        }
        ("date_trunc", 2) if is_time(&call.args[1].get_type(schema)?) => {
            let time = cast(call.args.remove(1), Kind::Timestamp.data_type());
            Ok(Transformed::yes(date_trunc().call(vec![call.args.remove(0), time])))
        }
        _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
    }
}

fn rewrite_to_timestamp(mut call: ScalarFunction, from: &DataType) -> Transformed<Expr> {
    let timestamp = Kind::Timestamp.data_type();
    if (from.is_string() || is_time(from)) && call.args.len() == 1 {
        return Transformed::yes(cast(call.args.remove(0), timestamp));
    }
    if from.is_string() {
        call.func = to_timestamp_micros(REGISTRY.options());
        return Transformed::yes(Expr::ScalarFunction(call));
    }
    if from.is_integer() {
        call.func = to_timestamp_seconds(REGISTRY.options());
        return Transformed::yes(cast(Expr::ScalarFunction(call), timestamp));
    }
    Transformed::no(Expr::ScalarFunction(call))
}

fn rewrite_comparison(comparison: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (left, right) = (comparison.left.get_type(schema)?, comparison.right.get_type(schema)?);
    let mixed = matches!(
        (&left, &right),
        (DataType::Timestamp(_, _), DataType::Date32) | (DataType::Date32, DataType::Timestamp(_, _))
    );
    if !mixed {
        return Ok(Transformed::no(Expr::BinaryExpr(comparison)));
    }
    let left = date_to_timestamp(*comparison.left, schema)?;
    let right = date_to_timestamp(*comparison.right, schema)?;
    Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), comparison.op, Box::new(right)))))
}

fn rewrite_between(between: Between, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let types = [&between.expr, &between.low, &between.high].map(|expr| expr.get_type(schema));
    let times = types.iter().flatten().filter(|data_type| matches!(data_type, DataType::Timestamp(_, _))).count();
    if times == 0 {
        return Ok(Transformed::no(Expr::Between(between)));
    }
    Ok(Transformed::yes(Expr::Between(Between::new(
        Box::new(date_to_timestamp(*between.expr, schema)?),
        between.negated,
        Box::new(date_to_timestamp(*between.low, schema)?),
        Box::new(date_to_timestamp(*between.high, schema)?),
    ))))
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, _) | DataType::Date32)
}

/// A date as the time at which it begins; anything else as it is.
fn date_to_timestamp(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let is_date = expr.get_type(schema)? == DataType::Date32;
    Ok(if is_date { cast(expr, Kind::Timestamp.data_type()) } else { expr })
}
