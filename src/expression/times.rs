//! Keeps times in microseconds, as columns have them.
//!
//! DataFusion brings times to nanoseconds wherever it is free to choose, and those reach from 1677 to 2262 only, while a
//! column may hold any day of the years 1 to 9999. So calls and comparisons that would go there are written otherwise,
//! with the same meaning: `to_timestamp(x)`, `date_trunc('day', x)`, a time compared with a date or less a date.

use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, Result};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::planner::ContextProvider;
use datafusion_expr::{Between, BinaryExpr, Expr, ExprSchemable, Operator, cast};
use datafusion_functions::datetime::{to_timestamp_micros, to_timestamp_seconds};
use millstream_operators::Kind;

use super::date_trunc::date_trunc;
use super::lengths;
use super::registry::REGISTRY;

/// Writes `expr` so that times stay in microseconds.
pub(super) fn keep_microseconds(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let rewritten = expr.transform_up(|expr| match expr {
        Expr::ScalarFunction(call) => rewrite_call(call, schema),
        Expr::BinaryExpr(binary) if binary.op.supports_propagation() => rewrite_comparison(binary, schema),
        Expr::BinaryExpr(binary) if binary.op == Operator::Minus => rewrite_mixed(binary, schema),
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
        ("date_part", 2) if matches!(call.args[1].get_type(schema)?, DataType::Duration(_)) => {
            let length = call.args.remove(1);
            Ok(Transformed::yes(lengths::date_part(&call.args[0], length)?))
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
    let [left, right] = lengths::comparable([*comparison.left, *comparison.right], schema)?;
    rewrite_mixed(BinaryExpr::new(Box::new(left), comparison.op, Box::new(right)), schema)
}

/// Makes two times of a time and a date.
fn rewrite_mixed(pair: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (left, right) = (pair.left.get_type(schema)?, pair.right.get_type(schema)?);
    let mixed = matches!(
        (&left, &right),
        (DataType::Timestamp(_, _), DataType::Date32) | (DataType::Date32, DataType::Timestamp(_, _))
    );
    if !mixed {
        return Ok(Transformed::yes(Expr::BinaryExpr(pair)));
    }
    let left = date_to_timestamp(*pair.left, schema)?;
    let right = date_to_timestamp(*pair.right, schema)?;
    Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), pair.op, Box::new(right)))))
}

fn rewrite_between(between: Between, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let [expr, low, high] = lengths::comparable([*between.expr, *between.low, *between.high], schema)?;
    let between = Between::new(Box::new(expr), between.negated, Box::new(low), Box::new(high));
    let types = [&between.expr, &between.low, &between.high].map(|expr| expr.get_type(schema));
    let times = types.iter().flatten().filter(|data_type| matches!(data_type, DataType::Timestamp(_, _))).count();
    if times == 0 {
        return Ok(Transformed::yes(Expr::Between(between)));
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
