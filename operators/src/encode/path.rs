//! Partition values as path parts: `column=value`, escaped as Hive escapes them.
//!
//! Owns the text of a value, its escaping, and the limit on its length. What must stay true: two values that differ have
//! different parts (but for null and the empty text, which Hive does not tell apart), the part reads back as the value,
//! and no part is ever cut: a value without a part is refused.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{max, min};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime};

/// What Hive writes for null, and for an empty text.
pub const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The longest `column=value` in bytes, escaped: what a file system allows for the name of a folder. With the few columns
/// that one partitions by, keys then stay below the 1,024 bytes of S3.
pub const LONGEST_PART: usize = 255;

/// The longest partition path in bytes, all columns together, for the same 1,024 bytes.
pub const LONGEST_PATH: usize = 700;

/// Writes a text as a part of a path, as Hive does.
///
/// ```
/// use millstream_operators::encode::path::{escape, unescape};
///
/// assert_eq!(escape("10:11 a/b"), "10%3A11 a%2Fb");
/// assert_eq!(unescape("10%3A11 a%2Fb").unwrap(), "10:11 a/b");
/// ```
pub fn escape(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    let mut rest = text;
    if text == NULL {
        // A text that looks like Hive's null must not become one.
        part.push_str("%5F");
        rest = &text[1..];
    }
    for character in rest.chars() {
        match character {
            '\0'..='\x1f' | '\x7f' => push_hex(&mut part, character),
            '"' | '#' | '%' | '\'' | '*' | '/' | ':' | '=' | '?' | '\\' | '[' | ']' | '^' | '{' => {
                push_hex(&mut part, character);
            }
            _ => part.push(character),
        }
    }
    part
}

fn push_hex(part: &mut String, character: char) {
    // Writing to a String cannot fail.
    let _ = write!(part, "%{:02X}", u32::from(character));
}

/// Reads a part back; `None` where it is no text that [`escape`] writes.
pub fn unescape(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// One part of a partition path.
pub fn part(column: &str, value: Option<&str>) -> String {
    let value = match value {
        None | Some("") => NULL.to_owned(),
        Some(value) => escape(value),
    };
    format!("{}={value}", escape(column))
}

/// Whether columns of this type can be partitioned by.
pub fn supports(kind: &DataType) -> bool {
    use DataType::{Boolean, Date32, Decimal128, Int8, Int16, Int32, Int64, LargeUtf8, Timestamp, Utf8, Utf8View};
    matches!(kind, Utf8 | LargeUtf8 | Utf8View | Int8 | Int16 | Int32 | Int64 | Boolean | Date32 | Decimal128(..))
        || matches!(kind, Timestamp(TimeUnit::Microsecond, _))
}

/// The text of a partition value; `Ok(None)` for null, and what is wrong with a value that has no text.
pub(super) fn text(column: &ArrayRef, row: usize) -> Result<Option<String>, String> {
    if column.is_null(row) {
        return Ok(None);
    }
    let text = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => column.as_string_view().value(row).to_owned(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Date32 => date(column.as_primitive::<Date32Type>().value(row))?,
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row))?
        }
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(row),
        other => return Err(format!("a value of type {other} cannot be a part of a path")),
    };
    Ok(Some(text))
}

/// Whether all days or times of a column lie in the years that have a text.
pub(super) fn years_fit(column: &ArrayRef) -> bool {
    let within = |earliest: Option<i64>, latest: Option<i64>| {
        let day = |day: i64| i32::try_from(day).is_ok_and(|day| DAYS.contains(&day));
        earliest.is_none_or(day) && latest.is_none_or(day)
    };
    match column.data_type() {
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>();
            within(min(days).map(i64::from), max(days).map(i64::from))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let (times, day) =
                (column.as_primitive::<TimestampMicrosecondType>(), |micros: i64| micros.div_euclid(MICROS_PER_DAY));
            within(min(times).map(day), max(times).map(day))
        }
        _ => false,
    }
}

/// Days since 1970 of 0001-01-01 and 9999-12-31: what a four-digit year can say.
const DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;
const MICROS_PER_DAY: i64 = 86_400_000_000;

fn date(days: i32) -> Result<String, String> {
    match date32_to_datetime(days) {
        Some(day) if DAYS.contains(&days) => Ok(day.format("%Y-%m-%d").to_string()),
        _ => Err(format!("the date {days} days from 1970 is outside the years 0001 to 9999")),
    }
}

fn timestamp(micros: i64) -> Result<String, String> {
    let in_range = DAYS.contains(&(micros.div_euclid(MICROS_PER_DAY) as i32));
    match timestamp_us_to_datetime(micros) {
        Some(time) if in_range && micros % 1_000_000 == 0 => Ok(time.format("%Y-%m-%d %H:%M:%S").to_string()),
        Some(time) if in_range => Ok(time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()),
        _ => Err(format!("the time {micros} µs from 1970 is outside the years 0001 to 9999")),
    }
}

#[cfg(test)]
mod tests {
    //! Shows that a partition value survives the path and that no two values share one. Would catch a character that is
    //! not escaped, an escape that swallows its neighbour, and a text mistaken for null.
    use std::sync::Arc;

    use arrow::array::{Date32Array, Decimal128Array, StringArray, TimestampMicrosecondArray};
    use proptest::prelude::*;

    use super::*;

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[\\x00-\\x7f]{0,12}",
            "[%0-9A-F/=.]{0,8}",
            Just(NULL.to_owned()),
            Just("..".to_owned()),
            Just(".".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn reads_back_and_never_leaves_its_folder(text in texts()) {
            let escaped = escape(&text);
            prop_assert_eq!(unescape(&escaped), Some(text));
            prop_assert!(!escaped.contains(['/', '=', '\0']));
            let part = part("c", Some(&escaped));
            prop_assert!(part != "." && part != "..");
        }

        #[test]
        fn different_values_have_different_parts(a in proptest::option::of(texts()), b in proptest::option::of(texts())) {
            let (a, b) = (a.filter(|a| !a.is_empty()), b.filter(|b| !b.is_empty()));
            prop_assert_eq!(a == b, part("c", a.as_deref()) == part("c", b.as_deref()));
        }
    }

    /// Would catch a year without a text that nobody looks at.
    #[test]
    fn years_that_have_no_text_are_seen() {
        let dates = |days: &[Option<i32>]| Arc::new(Date32Array::from(days.to_vec())) as ArrayRef;
        let times = |micros: &[Option<i64>]| Arc::new(TimestampMicrosecondArray::from(micros.to_vec())) as ArrayRef;
        let day = MICROS_PER_DAY;
        for (column, fits) in [
            (dates(&[]), true),
            (dates(&[None, Some(-719_162), Some(2_932_896)]), true),
            (dates(&[Some(0), Some(2_932_897)]), false),
            (dates(&[Some(-719_163), None]), false),
            (times(&[None, Some(-719_162 * day), Some(2_932_897 * day - 1)]), true),
            (times(&[Some(2_932_897 * day)]), false),
            (times(&[Some(0), Some(-719_162 * day - 1)]), false),
            (times(&[Some(i64::MAX)]), false),
        ] {
            let each = (0..column.len()).all(|row| text(&column, row).is_ok());
            assert_eq!((years_fit(&column), each), (fits, fits), "{column:?}");
        }
    }

    #[test]
    fn values_are_written_as_hive_and_spark_write_them() {
        let times = [0, 1_709_115_072_000_000, 1_709_115_072_500_000, -1];
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC"));
        let of = |row| escape(&text(&times, row).unwrap().unwrap());
        assert_eq!(of(0), "1970-01-01 00%3A00%3A00");
        assert_eq!(of(1), "2024-02-28 10%3A11%3A12");
        assert_eq!(of(2), "2024-02-28 10%3A11%3A12.500000");
        assert_eq!(of(3), "1969-12-31 23%3A59%3A59.999999");
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![19_781, -719_162, -719_163, 2_932_896, 2_932_897]));
        assert_eq!(text(&dates, 0).unwrap().unwrap(), "2024-02-28");
        assert_eq!(text(&dates, 1).unwrap().unwrap(), "0001-01-01");
        assert_eq!(text(&dates, 3).unwrap().unwrap(), "9999-12-31");
        assert!(text(&dates, 2).is_err() && text(&dates, 4).is_err());
        let decimals = Decimal128Array::from(vec![-1205]).with_precision_and_scale(9, 2).unwrap();
        let decimals: ArrayRef = Arc::new(decimals);
        assert_eq!(text(&decimals, 0).unwrap().unwrap(), "-12.05");
        let nothing: ArrayRef = Arc::new(StringArray::from(vec![None, Some("")]));
        assert_eq!(part("c", text(&nothing, 0).unwrap().as_deref()), part("c", text(&nothing, 1).unwrap().as_deref()));
    }
}
