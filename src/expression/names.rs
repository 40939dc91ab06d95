//! Asks of every name in a parsed expression whether there is such a column, field or function, before it is planned:
//! here the place in the text is still known.
//!
//! Owns what is refused by name: functions that give another answer each time, aggregates, queries inside an expression.

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion_expr::Volatility;
use datafusion_sql::sqlparser::ast::{
    AccessExpr, Expr, Function, Ident, Spanned, Subscript, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::error::ExpressionError;
use super::nearest::did_you_mean;
use super::output;
use super::registry::REGISTRY;

/// Checks all names of `expression`.
pub(super) fn check(expression: &Expr, schema: &Schema) -> Result<(), ExpressionError> {
    match expression.visit(&mut Names { schema }) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Writes `a['b'].c` as `a['b']['c']`: the planner knows the dot only where it follows a name.
pub(super) fn dots_to_brackets(expression: &mut Expr) {
    let _: ControlFlow<()> = expression.visit(&mut Brackets);
}

struct Brackets;

impl VisitorMut for Brackets {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundFieldAccess { access_chain, .. } = expression else { return ControlFlow::Continue(()) };
        for access in access_chain {
            if let AccessExpr::Dot(Expr::Identifier(part)) = access {
                let name = Value::SingleQuotedString(part.value.clone()).with_span(part.span);
                *access = AccessExpr::Subscript(Subscript::Index { index: Expr::Value(name) });
            }
        }
        ControlFlow::Continue(())
    }
}

struct Names<'a> {
    schema: &'a Schema,
}

impl Visitor for Names<'_> {
    type Break = ExpressionError;

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<ExpressionError> {
        let checked = match expression {
            Expr::Identifier(name) => column(self.schema, name).map(|_| ()),
            Expr::CompoundIdentifier(path) => path_exists(self.schema, path),
            Expr::Function(function) => callable(function),
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                Err(refused(expression, "an expression looks at one record and cannot hold a query"))
            }
            Expr::Lambda(_) => Err(refused(expression, "functions as arguments (`x -> …`) are not available")),
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                Err(refused(expression, "nothing fills in parameters here; write the value itself"))
            }
            _ => Ok(()),
        };
        match checked {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn refused(expression: &Expr, why: &str) -> ExpressionError {
    ExpressionError::new(why).at(expression.span().start)
}

fn column<'a>(schema: &'a Schema, name: &Ident) -> Result<&'a Field, ExpressionError> {
    schema.field_with_name(&name.value).map_err(|_| {
        let near = did_you_mean(&name.value, schema.fields().iter().map(|field| field.name().as_str()));
        ExpressionError::new(format!("there is no column `{}`{near}", name.value)).at(name.span.start)
    })
}

fn path_exists(schema: &Schema, path: &[Ident]) -> Result<(), ExpressionError> {
    let Some((first, parts)) = path.split_first() else { return Ok(()) };
    let mut field = column(schema, first)?;
    for part in parts {
        field = part_of(field, part)?;
    }
    Ok(())
}

fn part_of<'a>(field: &'a Field, part: &Ident) -> Result<&'a Field, ExpressionError> {
    let none = |why: String| ExpressionError::new(why).at(part.span.start);
    let DataType::Struct(fields) = field.data_type() else {
        let is = output::name(field.data_type());
        return Err(none(format!("`{}` has no field `{}`: it is {is}", field.name(), part.value)));
    };
    let found = fields.iter().find(|inner| *inner.name() == part.value);
    found.map(|inner| inner.as_ref()).ok_or_else(|| none(missing_field(field.name(), fields, &part.value)))
}

/// What to say of a struct that lacks a field.
pub(super) fn missing_field(of: &str, fields: &Fields, wanted: &str) -> String {
    let near = did_you_mean(wanted, fields.iter().map(|field| field.name().as_str()));
    format!("`{of}` has no field `{wanted}`{near}")
}

/// Aggregates and window functions that users try, so that the message can say what does their work.
const AGGREGATES: [&str; 14] = [
    "avg",
    "count",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "max",
    "mean",
    "median",
    "min",
    "rank",
    "row_number",
    "stddev",
    "sum",
];

fn callable(function: &Function) -> Result<(), ExpressionError> {
    let written = function.name.to_string();
    let name = written.to_lowercase();
    let wrong = |why: String| Err(ExpressionError::new(why).at(function.name.span().start));
    if AGGREGATES.contains(&name.as_str()) || function.over.is_some() {
        return wrong(format!(
            "{written} looks at many records, an expression at one; averages are made by [[average]]"
        ));
    }
    match REGISTRY.function(&name) {
        None => wrong(format!("there is no function {written}{}", did_you_mean(&name, REGISTRY.names()))),
        Some(found) if found.signature().volatility != Volatility::Immutable => wrong(format!(
            "{written} gives another answer each time, and a replay must give the same rows; \
             use a column of the record, or _arrived_at for the time of arrival"
        )),
        Some(_) => Ok(()),
    }
}
