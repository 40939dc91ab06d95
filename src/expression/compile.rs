//! From text to something that can be evaluated.
//!
//! The order matters: names are checked before planning, where places are still known; times are rewritten before types
//! are coerced, which is what would make nanoseconds of them.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion_common::DFSchema;
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{Expr, ExprSchemable, cast};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_physical_expr::create_physical_expr;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast::Expr as SqlExpr;
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use millstream_operators::Kind;

use super::error::{ExpressionError, Place};
use super::registry::REGISTRY;
use super::{Compiled, Expression, names, output, overflow, times, words};

/// Compiles `sql` for batches of `schema`.
pub(super) fn compile(sql: &str, schema: &SchemaRef) -> Result<Expression, ExpressionError> {
    let mut parsed = parse(sql, schema)?;
    names::dots_to_brackets(&mut parsed);
    names::check(&parsed, schema)?;
    let known = Arc::new(DFSchema::try_from(schema.clone())?);
    let planned = plan(parsed, &known)?;
    let columns = named_columns(&planned, schema);
    let simplifier = ExprSimplifier::new(
        SimplifyContext::builder().with_schema(known.clone()).with_config_options(REGISTRY.shared_options()).build(),
    );
    let coerced = simplifier.coerce(times::keep_microseconds(planned, &known)?, &known)?;
    let (expr, kind) = to_kind(coerced, &known)?;
    let nullable = expr.nullable(&known)?;
    let expr = simplifier.simplify(overflow::prepare(expr, &known, &EXECUTION)?)?;
    let used = used_columns(&expr, schema);
    let physical = create_physical_expr(
        &expr,
        &DFSchema::try_from(used.clone())?,
        &EXECUTION,
        &PhysicalPlanningContext::default(),
    )?;
    let physical = overflow::checked(physical)?;
    Ok(Expression(Arc::new(Compiled { sql: sql.to_owned(), physical, kind, nullable, used, columns })))
}

static EXECUTION: LazyLock<ExecutionProps> = LazyLock::new(|| {
    let mut properties = ExecutionProps::new();
    properties.config_options = Some(REGISTRY.shared_options());
    properties
});

/// Parses one expression and nothing behind it.
fn parse(sql: &str, schema: &Schema) -> Result<SqlExpr, ExpressionError> {
    let dialect = GenericDialect {};
    let mut tokens = Tokenizer::new(&dialect, sql).tokenize_with_location()?;
    if tokens.iter().all(|token| matches!(token.token, Token::Whitespace(_) | Token::EOF)) {
        return Err(ExpressionError::new("the expression is empty"));
    }
    words::quote_columns(&mut tokens, schema);
    parse_tokens(&dialect, tokens.clone()).map_err(|mut error| {
        // The parser does not say where it was when the text ended.
        error.place = error.place.or_else(|| Some(Place::end_of(sql)));
        if let Some(word) = words::column_taken_for_sql(&tokens, schema) {
            let hint = format!("; a column named like the SQL word {word} is written \"{word}\"");
            error.message.push_str(&hint);
        }
        error
    })
}

fn parse_tokens(dialect: &GenericDialect, tokens: Vec<TokenWithSpan>) -> Result<SqlExpr, ExpressionError> {
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens);
    let parsed = parser.parse_expr()?;
    let next = parser.peek_token();
    match next.token {
        Token::EOF => Ok(parsed),
        unexpected => {
            let error = ExpressionError::new(format!("not SQL: the expression could end before `{unexpected}`"));
            Err(error.at(next.span.start))
        }
    }
}

fn plan(parsed: SqlExpr, schema: &DFSchema) -> Result<Expr, ExpressionError> {
    let options = ParserOptions::new().with_enable_ident_normalization(false).with_map_string_types_to_utf8view(false);
    let planner = SqlToRel::new_with_options(&*REGISTRY, options);
    Ok(planner.sql_to_expr(parsed, schema, &mut PlannerContext::new())?)
}

/// Brings the values to a type that a column can have.
fn to_kind(expr: Expr, schema: &DFSchema) -> Result<(Expr, Kind), ExpressionError> {
    let data_type = expr.get_type(schema)?;
    let Some(kind) = output::kind(&data_type) else { return Err(no_column_holds(&data_type)) };
    let target = kind.data_type();
    Ok((if target == data_type { expr } else { cast(expr, target) }, kind))
}

fn no_column_holds(data_type: &DataType) -> ExpressionError {
    if matches!(data_type, DataType::Duration(_) | DataType::Interval(_)) {
        return ExpressionError::new(
            "the result is an interval, which no column can hold; write date_part('epoch', …) for its seconds, or compare it",
        );
    }
    ExpressionError::new(format!(
        "the result is {}, which no column can hold; cast it to string, int32, int64, float64, bool, timestamp, date, \
         decimal(p, s) or binary, or make a struct or list of these",
        output::name(data_type)
    ))
}

fn named_columns(expr: &Expr, schema: &Schema) -> Vec<String> {
    let named = expr.column_refs();
    let fields = schema.fields().iter().map(|field| field.name());
    fields.filter(|name| named.iter().any(|column| column.name == **name)).cloned().collect()
}

fn used_columns(expr: &Expr, schema: &Schema) -> SchemaRef {
    let names = named_columns(expr, schema);
    let fields = schema.fields().iter().filter(|field| names.contains(field.name()));
    Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
}
