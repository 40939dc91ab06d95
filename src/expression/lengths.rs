//! The time between two times: compared with an interval, `_arrived_at - sent_at > interval '7 days'`, or as seconds.
//!
//! DataFusion makes intervals of both sides and compares their parts in turn: months, then days, then the rest. So a thousand
//! days that are told in microseconds count as less than seven that are told in days. Here both sides become lengths in
//! microseconds. A month has no length, so an interval with months is refused, with the way to write what is meant. Seconds
//! are taken from the microseconds as well: by way of an interval all that is longer than 292 years would be null.

use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion_common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion_expr::{Expr, ExprSchemable, cast, lit};

use super::output;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The sides of a comparison, as lengths where one of them is a length; as they are otherwise.
pub(super) fn comparable<const N: usize>(sides: [Expr; N], schema: &DFSchema) -> Result<[Expr; N]> {
    let types = sides.iter().map(|side| side.get_type(schema)).collect::<Result<Vec<_>>>()?;
    if !types.iter().any(is_length) {
        return Ok(sides);
    }
    let lengths = sides.into_iter().zip(&types).map(|(side, of)| length(side, of)).collect::<Result<Vec<_>>>()?;
    match lengths.try_into() {
        Ok(lengths) => Ok(lengths),
        Err(_) => plan_err!("a comparison lost one of its sides"),
    }
}

/// What `date_part(part, length)` means: the seconds, with their fraction.
pub(super) fn date_part(part: &Expr, length: Expr) -> Result<Expr> {
    match part {
        Expr::Literal(part, _)
            if part.try_as_str().flatten().is_some_and(|part| part.eq_ignore_ascii_case("epoch")) =>
        {
            let micros = cast(cast(length, DataType::Duration(TimeUnit::Microsecond)), DataType::Int64);
            Ok(cast(micros, DataType::Float64) / lit(1e6))
        }
        _ => plan_err!(
            "a length of time is told in seconds, by date_part('epoch', …); divide them for minutes, hours or days"
        ),
    }
}

fn is_length(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Duration(_) | DataType::Interval(_))
}

fn length(side: Expr, of: &DataType) -> Result<Expr> {
    match of {
        DataType::Duration(_) => Ok(cast(side, DataType::Duration(TimeUnit::Microsecond))),
        DataType::Interval(_) => Ok(lit(ScalarValue::DurationMicrosecond(Some(micros(&side)?)))),
        DataType::Null => Ok(side),
        other => plan_err!(
            "a length of time is compared with an interval, as interval '7 days', and this is {}",
            output::name(other)
        ),
    }
}

/// How long an interval is that is written out.
fn micros(interval: &Expr) -> Result<i64> {
    match interval {
        Expr::Negative(interval) => Ok(-micros(interval)?),
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months, .. })), _)
            if *months != 0 =>
        {
            plan_err!(
                "a month has no length of its own; compare with days, or write: this time + interval '1 month' < that time"
            )
        }
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { days, nanoseconds, .. })), _) => {
            Ok(i64::from(*days) * MICROS_PER_DAY + nanoseconds / 1_000)
        }
        _ => plan_err!("an interval that a length of time is compared with is written out, as interval '7 days'"),
    }
}
