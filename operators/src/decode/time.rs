//! Times and dates as text.
//!
//! Owns which texts are a time: RFC 3339, and of it also a date alone, a space or a lower-case `t` between date and time, no
//! seconds, no zone (then it is UTC) and a zone without its colon. Digits past microseconds are cut. What must stay true:
//! whatever is not exactly one of these is refused and not guessed (a leap second, 24:00, spaces around), and so is what
//! lies outside the years 0001 to 9999 in UTC, which the readers of the files could not show.

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// 0001-01-01 and 9999-12-31 in days since 1970.
const FIRST_DAY: i32 = -719_162;
const LAST_DAY: i32 = 2_932_896;

/// Microseconds since 1970, UTC.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let day = i64::from(day(bytes.get(..10)?)?);
    if bytes.len() == 10 {
        return Some(day * SECONDS_PER_DAY * MICROS_PER_SECOND);
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let (seconds, micros, rest) = clock(&bytes[11..])?;
    let utc = day * SECONDS_PER_DAY + seconds - zone(rest)?;
    within_years(utc * MICROS_PER_SECOND + micros)
}

/// Days since 1970.
pub(super) fn date(text: &str) -> Option<i32> {
    day(text.as_bytes())
}

/// The same time, if it lies within the years that we write.
pub(super) fn within_years(micros: i64) -> Option<i64> {
    let day = micros.div_euclid(SECONDS_PER_DAY * MICROS_PER_SECOND);
    (i64::from(FIRST_DAY)..=i64::from(LAST_DAY)).contains(&day).then_some(micros)
}

/// The same day, if it lies within the years that we write.
pub(super) fn day_within_years(day: i32) -> Option<i32> {
    (FIRST_DAY..=LAST_DAY).contains(&day).then_some(day)
}

/// `YYYY-MM-DD`.
fn day(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let there = year > 0 && (1..=12).contains(&month) && day > 0 && day <= days_in(year, month);
    there.then(|| days_since_1970(year, month, day))
}

fn days_in(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts in years that begin in March, so that the leap day is the last of its year.
fn days_since_1970(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    let leap_days = year / 4 - year / 100 + year / 400;
    const DAYS_BEFORE_1970: i32 = 719_468;
    year * 365 + leap_days + day_of_year - DAYS_BEFORE_1970
}

/// `HH:MM`, `HH:MM:SS` or `HH:MM:SS.f…`: seconds of the day, microseconds, and what follows.
fn clock(text: &[u8]) -> Option<(i64, i64, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let (hour, minute) = (two(*h1, *h2)?, two(*m1, *m2)?);
    let (second, micros, rest) = match rest {
        [b':', s1, s2, b'.', rest @ ..] => {
            let (micros, rest) = fraction(rest)?;
            (two(*s1, *s2)?, micros, rest)
        }
        [b':', s1, s2, rest @ ..] => (two(*s1, *s2)?, 0, rest),
        rest => (0, 0, rest),
    };
    let there = hour < 24 && minute < 60 && second < 60;
    there.then(|| (i64::from(hour * 3600 + minute * 60 + second), micros, rest))
}

/// At least one digit; those past the sixth are cut.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let counted = text[..digits].iter().take(6);
    let missing = 6 - counted.len() as u32;
    let micros = counted.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')) * 10_i64.pow(missing);
    (digits > 0).then_some((micros, &text[digits..]))
}

/// How far a zone is ahead of UTC, in seconds. No zone is UTC.
fn zone(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match *text {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, two(h1, h2)?, two(m1, m2)?),
        _ => return None,
    };
    let seconds = i64::from(hours * 3600 + minutes * 60);
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn two(tens: u8, ones: u8) -> Option<i32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}

/// What this proves: every text is the time that the contract says, or none. It would catch a time that is guessed, a
/// calendar that is wrong on some day, and rounding where digits are to be cut.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MIDNIGHT: i64 = 1_709_078_400_000_000; // 2024-02-28

    #[test]
    fn every_day_of_all_years_is_the_one_after_the_day_before() {
        let mut expected = FIRST_DAY;
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    assert_eq!(date(&format!("{year:04}-{month:02}-{day:02}")), Some(expected));
                    expected += 1;
                }
            }
        }
        assert_eq!((expected - 1, date("1970-01-01"), date("2000-03-01")), (LAST_DAY, Some(0), Some(11_017)));
    }

    #[test]
    fn texts_that_are_times() {
        let at = |h: i64, m: i64, s: i64, us: i64| Some(MIDNIGHT + ((h * 60 + m) * 60 + s) * 1_000_000 + us);
        for (text, expected) in [
            ("2024-02-28", at(0, 0, 0, 0)),
            ("2024-02-28 10:11:12", at(10, 11, 12, 0)),
            ("2024-02-28T10:11", at(10, 11, 0, 0)),
            ("2024-02-28t10:11z", at(10, 11, 0, 0)),
            ("2024-02-28T10:11:12Z", at(10, 11, 12, 0)),
            ("2024-02-28T10:11:12.5Z", at(10, 11, 12, 500_000)),
            ("2024-02-28T10:11:12.123456789", at(10, 11, 12, 123_456)),
            ("2024-02-28T10:11:12.9999999Z", at(10, 11, 12, 999_999)),
            ("2024-02-28T10:11:12+05:30", at(4, 41, 12, 0)),
            ("2024-02-28T10:11:12-0130", at(11, 41, 12, 0)),
            ("2024-02-28T00:00:00-00:00", at(0, 0, 0, 0)),
            ("1969-12-31T23:59:59.9999999", Some(-1)),
            ("0001-01-01", Some(-62_135_596_800_000_000)),
            ("9999-12-31T23:59:59.999999Z", Some(253_402_300_799_999_999)),
        ] {
            assert_eq!(timestamp(text), expected, "{text}");
        }
    }

    #[test]
    fn texts_that_are_none() {
        for text in [
            "",
            "2024",
            "2024-2-28",
            "2024-13-01",
            "2024-00-01",
            "2024-02-30",
            "2023-02-29",
            "1900-02-29",
            "2024-02-00",
            "0000-01-01",
            "10000-01-01",
            "-001-01-01",
            "+024-01-01",
            " 2024-02-28",
            "2024-02-28 ",
            "2024-02-28T",
            "2024-02-28T10",
            "2024-02-28T10:11:",
            "2024-02-28T10:11:12.",
            "2024-02-28T10:11:12,5",
            "2024-02-28T10:11.5",
            "2024-02-28T10:11:60Z",
            "2024-02-28T24:00:00Z",
            "2024-02-28T10:60",
            "2024-02-28  10:11",
            "2024-02-28T10:11:12 Z",
            "2024-02-28T10:11:12+5:30",
            "2024-02-28T10:11:12+24:00",
            "2024-02-28T10:11:12+05:60",
            "2024-02-28T10:11:12+05",
            "2024-02-28Z",
            "2024-02-28T10:11:12Zulu",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "２024-02-28",
            "2024-02-2é",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}
