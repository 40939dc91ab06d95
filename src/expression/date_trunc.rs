//! `date_trunc('month', time)` for every time that a column can hold.
//!
//! DataFusion's own counts in nanoseconds and so ends in 2262. This one stays in microseconds; the meaning is the same:
//! the beginning of the second, minute, hour, day, week (Monday), month, quarter or year, in UTC.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use millstream_operators::Kind;

use super::nearest::did_you_mean;

/// The function `date_trunc(unit, timestamp)`.
pub(super) fn date_trunc() -> Arc<ScalarUDF> {
    static DATE_TRUNC: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let arguments = vec![DataType::Utf8, Kind::Timestamp.data_type()];
        Arc::new(ScalarUDF::from(DateTrunc { signature: Signature::exact(arguments, Volatility::Immutable) }))
    });
    DATE_TRUNC.clone()
}

const UNITS: [(&str, Unit); 10] = [
    ("microsecond", Unit::Micros(1)),
    ("millisecond", Unit::Micros(1_000)),
    ("second", Unit::Micros(1_000_000)),
    ("minute", Unit::Micros(60_000_000)),
    ("hour", Unit::Micros(3_600_000_000)),
    ("day", Unit::Micros(DAY)),
    ("week", Unit::Week),
    ("month", Unit::Months(1)),
    ("quarter", Unit::Months(3)),
    ("year", Unit::Months(12)),
];

/// Microseconds in a day.
const DAY: i64 = 86_400_000_000;

#[derive(Clone, Copy)]
enum Unit {
    Micros(i64),
    Week,
    Months(i64),
}

fn unit(name: &str) -> Result<Unit> {
    let found = UNITS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    match found {
        Some((_, unit)) => Ok(*unit),
        None => {
            let near = did_you_mean(name, UNITS.iter().map(|(known, _)| *known));
            plan_err!("date_trunc knows no unit '{name}'{near}")
        }
    }
}

/// The beginning of the unit in which `micros` lies; `None` where that is before all time.
fn truncate(unit: Unit, micros: i64) -> Option<i64> {
    let day = micros.div_euclid(DAY);
    match unit {
        Unit::Micros(length) => micros.checked_sub(micros.rem_euclid(length)),
        // Day 0 was a Thursday.
        Unit::Week => (day - (day + 3).rem_euclid(7)).checked_mul(DAY),
        Unit::Months(length) => {
            let month = month_of(day);
            first_day_of(month - month.rem_euclid(length)).checked_mul(DAY)
        }
    }
}

// Both count from 1 March of the year 0, so that a leap day is the last of its year and months have a regular length:
// the days before the m-th month from March are (153 m + 2) / 5. After 400 years, 146,097 days, all repeats.

/// Days from 1 March of the year 0 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// The month in which a day since 1970 lies, counted from January of the year 0.
fn month_of(day: i64) -> i64 {
    let shifted = day + EPOCH;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    (era * 400 + year_of_era) * 12 + month_from_march + 2
}

/// The first day of a month counted from January of the year 0, in days since 1970.
fn first_day_of(month: i64) -> i64 {
    let from_march = month - 2;
    let (year, month_of_year) = (from_march.div_euclid(12), from_march.rem_euclid(12));
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month_of_year + 2) / 5 - EPOCH
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTrunc {
    signature: Signature,
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        "date_trunc"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(Kind::Timestamp.data_type())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.scalar_arguments[0].and_then(|name| name.try_as_str().flatten()) {
            Some(name) => unit(name)?,
            None => return plan_err!("the unit of date_trunc has to be written out: date_trunc('day', …)"),
        };
        let nullable = args.arg_fields[1].is_nullable();
        Ok(Arc::new(Field::new(self.name(), Kind::Timestamp.data_type(), nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ColumnarValue::Scalar(name) = &args.args[0] else {
            return exec_err!("the unit of date_trunc has to be written out");
        };
        let unit = unit(name.try_as_str().flatten().unwrap_or_default())?;
        match &args.args[1] {
            ColumnarValue::Array(times) => Ok(ColumnarValue::Array(truncate_all(unit, times)?)),
            ColumnarValue::Scalar(time) => {
                let truncated = truncate_all(unit, &time.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&truncated, 0)?))
            }
        }
    }
}

fn truncate_all(unit: Unit, times: &ArrayRef) -> Result<ArrayRef> {
    let Some(times) = times.as_primitive_opt::<TimestampMicrosecondType>() else {
        return exec_err!("date_trunc takes a timestamp, not {}", times.data_type());
    };
    let truncated: TimestampMicrosecondArray = times.try_unary(|micros| {
        truncate(unit, micros).ok_or_else(|| ArrowError::ComputeError("a time before all time".into()))
    })?;
    Ok(Arc::new(truncated.with_timezone("UTC")))
}

#[cfg(test)]
mod tests {
    //! Against a calendar counted day by day over all years that a column can hold. Catches a wrong leap year, a wrong
    //! rounding before 1970, weeks that begin on another day.
    use super::*;

    /// 0001-01-01, a Monday, in days since 1970.
    const FIRST: i64 = -719_162;

    #[test]
    fn agrees_with_a_calendar_counted_day_by_day() {
        let mut day = FIRST;
        for year in 1..10_000 {
            let new_year = day;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let lengths = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let mut quarter = day;
            for (month, length) in lengths.into_iter().enumerate() {
                let first = day;
                quarter = if month % 3 == 0 { first } else { quarter };
                for _ in 0..length {
                    let late = day * DAY + DAY - 1;
                    assert_eq!(truncate(Unit::Months(1), late), Some(first * DAY), "{year}-{month}");
                    assert_eq!(truncate(Unit::Months(3), late), Some(quarter * DAY), "{year}-{month}");
                    assert_eq!(truncate(Unit::Months(12), late), Some(new_year * DAY), "{year}-{month}");
                    assert_eq!(truncate(Unit::Week, late), Some((day - (day - FIRST) % 7) * DAY), "{year}-{month}");
                    assert_eq!(truncate(Unit::Micros(DAY), late), Some(day * DAY), "{year}-{month}");
                    day += 1;
                }
            }
        }
        assert_eq!(day, 2_932_897, "10000-01-01");
    }

    #[test]
    fn the_ends_of_time_do_not_break_it() {
        for (_, unit) in UNITS {
            truncate(unit, i64::MIN);
            assert!(truncate(unit, i64::MAX).is_some());
        }
    }
}
