//! Numbers and bytes as text.
//!
//! Owns the conversions that are exact or fail. What must stay true: nothing is rounded but a `float64` to its nearest value,
//! and the work on a text is linear in its length, whatever exponent it names.

/// An integer in plain digits.
pub(super) fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    // The parser of the standard library also takes a plus sign, which is no digit.
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// A finite float, written in digits: `inf`, `NaN` and what overflows are none.
pub(super) fn float(text: &str) -> Option<f64> {
    let plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    if text.starts_with('+') || !text.as_bytes().iter().all(plain) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A decimal of `precision` digits, `scale` of them behind the point, exactly as the text says it. Zeros that change nothing
/// may be more than fit (`1.500` is a `decimal(2,1)`).
pub(super) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, self::exponent(exponent)?),
        None => (digits, 0),
    };
    let Significant { value, count, zeros } = significant(digits)?;
    if value == 0 {
        return Some(0);
    }
    let shift = i64::from(scale) + exponent + zeros;
    if shift < 0 || shift + count > i64::from(precision) {
        return None;
    }
    let value = value.checked_mul(10_i128.checked_pow(shift as u32)?)?;
    Some(if negative { -value } else { value })
}

/// Exponents beyond this are alike: no decimal reaches there. It leaves room for adding up without overflow.
const FAR: i64 = 1 << 40;

fn exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let far = |sum: i64, digit: &u8| (sum * 10 + i64::from(digit - b'0')).min(FAR);
    Some(sign * digits.iter().fold(0, far))
}

/// `value` in `count` digits, without zeros around it, times ten to the `zeros`.
struct Significant {
    value: i128,
    count: i64,
    zeros: i64,
}

fn significant(text: &str) -> Option<Significant> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || part.is_empty() {
        return None;
    }
    let mut found = Significant { value: 0, count: 0, zeros: 0 };
    for digit in whole.bytes().chain(part.bytes()) {
        match digit {
            b'0' if found.value == 0 => {}
            b'0' => found.zeros += 1,
            b'1'..=b'9' => found.push(digit - b'0')?,
            _ => return None,
        }
    }
    found.zeros -= part.len() as i64;
    Some(found)
}

impl Significant {
    /// Another digit, behind the zeros that were held back.
    fn push(&mut self, digit: u8) -> Option<()> {
        self.count += self.zeros + 1;
        if self.count > 38 {
            return None;
        }
        let tens = 10_i128.pow((self.zeros + 1) as u32);
        self.value = self.value.checked_mul(tens)?.checked_add(i128::from(digit))?;
        self.zeros = 0;
        Some(())
    }
}

/// What this proves: a decimal is the exact value of its text or none. It would catch rounding, a lost sign, and an exponent
/// that costs time or overflows.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_none() {
        for (text, precision, scale, expected) in [
            ("12.34", 10, 2, Some(1234)),
            ("-12.3", 10, 2, Some(-1230)),
            ("1.500", 2, 1, Some(15)),
            ("1.55", 10, 1, None),
            ("99.9", 3, 1, Some(999)),
            ("100.0", 3, 1, None),
            ("1e2", 5, 2, Some(10_000)),
            ("1e3", 5, 2, None),
            ("120e-1", 2, 0, Some(12)),
            ("12000", 2, -3, Some(12)),
            ("12001", 5, -3, None),
            ("0e999999999999999999999", 5, 2, Some(0)),
            ("1e999999999999999999999", 5, 2, None),
            ("1e-999999999999999999999", 5, 2, None),
            ("-0.00", 5, 2, Some(0)),
            ("99999999999999999999999999999999999999", 38, 0, Some(10_i128.pow(38) - 1)),
            ("100000000000000000000000000000000000000", 38, 0, None),
            ("1.", 5, 2, None),
            (".5", 5, 2, None),
            ("", 5, 2, None),
            ("-", 5, 2, None),
            ("+1", 5, 2, None),
            (" 1", 5, 2, None),
            ("1e", 5, 2, None),
            ("1e+", 5, 2, None),
            ("0x1", 5, 2, None),
            ("NaN", 5, 2, None),
        ] {
            assert_eq!(decimal(text, precision, scale), expected, "{text} as decimal({precision},{scale})");
        }
        let long = format!("1.5{}", "0".repeat(100_000));
        assert_eq!(decimal(&long, 2, 1), Some(15));
    }

    #[test]
    fn floats_and_integers_are_written_in_digits() {
        assert_eq!(float("1e3"), Some(1000.0));
        assert!(float("-0.0").unwrap().is_sign_negative());
        for text in ["NaN", "inf", "-infinity", "1e999", "", "+1", "1_0", "0x10", " 1"] {
            assert_eq!(float(text), None, "{text}");
        }
        assert_eq!((integer::<i32>("2147483647"), integer::<i32>("2147483648")), (Some(i32::MAX), None));
        assert_eq!((integer::<i64>("+1"), integer::<i64>("1.0"), integer::<i64>("")), (None, None, None));
    }
}
