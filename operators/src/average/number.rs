//! Exact numbers: every value is a whole number of some unit, so sums do not depend on their order.
//!
//! Owns the units and the text of a sum. An integer is counted in ones, a decimal in units of its last digit, a float in
//! units of 10^-9: its exact value rounded to the nearest unit, a half to the even one. Sums are `i128`: with values kept
//! under 10^27 units, a hundred billion rows fit.

use serde::{Deserialize, Serialize};

/// Digits after the point that a float is counted with.
pub const FLOAT_SCALE: u32 = 9;

/// A float of this size or more is not counted, as infinities, NaN and nulls are not.
pub const FLOAT_LIMIT: f64 = 1e18;

/// The most digits of a decimal that is averaged.
pub(super) const MOST_DIGITS: u8 = 27;

/// What a sum is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// A unit is 10^-scale.
    pub scale: i8,
    /// Whether zeros at the end of the text say nothing (floats) or belong to the type (decimals).
    pub trim: bool,
}

/// A float as a whole number of 10^-9; `None` where it is not counted.
///
/// ```
/// use millstream_operators::average::fixed;
///
/// assert_eq!(fixed(0.5), Some(500_000_000));
/// assert_eq!(fixed(0.1 + 0.2), Some(300_000_000));
/// assert_eq!(fixed(f64::NAN), None);
/// ```
pub fn fixed(value: f64) -> Option<i128> {
    const UNITS: i128 = 10i128.pow(FLOAT_SCALE);
    if value.is_nan() || value.abs() >= FLOAT_LIMIT {
        return None;
    }
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let fraction = i128::from(bits & ((1 << 52) - 1));
    let (mantissa, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    // The mantissa has 53 bits and 10^9 has 30: the product fits, and so does its shift, below the limit.
    let scaled = mantissa * UNITS;
    let units = if exponent >= 0 { scaled << exponent } else { halve(scaled, exponent.unsigned_abs()) };
    Some(if value.is_sign_negative() { -units } else { units })
}

/// `number / 2^times`, rounded to the nearest, a half to the even one.
fn halve(number: i128, times: u32) -> i128 {
    if times > 120 {
        return 0;
    }
    let (whole, rest, half) = (number >> times, number & ((1 << times) - 1), 1i128 << (times - 1));
    if rest > half || (rest == half && whole & 1 == 1) { whole + 1 } else { whole }
}

impl Unit {
    /// Ones: integers and bools.
    pub const ONE: Unit = Unit { scale: 0, trim: false };
    /// What floats are counted in.
    pub const FLOAT: Unit = Unit { scale: FLOAT_SCALE as i8, trim: true };

    /// A sum as exact decimal text.
    ///
    /// ```
    /// use millstream_operators::average::Unit;
    ///
    /// assert_eq!(Unit { scale: 2, trim: false }.text(-1_230), "-12.30");
    /// assert_eq!(Unit::FLOAT.text(12_300_000_000), "12.3");
    /// ```
    pub fn text(self, sum: i128) -> String {
        if self.scale <= 0 {
            let zeros = if sum == 0 { 0 } else { usize::from(self.scale.unsigned_abs()) };
            return format!("{sum}{:0<zeros$}", "");
        }
        let digits = usize::from(self.scale.unsigned_abs());
        let all = format!("{:0>width$}", sum.unsigned_abs(), width = digits + 1);
        let (whole, mut rest) = all.split_at(all.len() - digits);
        if self.trim {
            rest = rest.trim_end_matches('0');
        }
        let (sign, point) = (if sum < 0 { "-" } else { "" }, if rest.is_empty() { "" } else { "." });
        format!("{sign}{whole}{point}{rest}")
    }

    /// Reads a sum back from its text; `None` where it is no whole number of units, or too large.
    pub fn parse(self, text: &str) -> Option<i128> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
        let digits = usize::from(self.scale.max(0).unsigned_abs());
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(rest) || rest.len() > digits {
            return None;
        }
        let mut units = format!("{whole}{rest:0<digits$}").parse::<i128>().ok()?;
        if self.scale < 0 {
            let ones = 10i128.checked_pow(u32::from(self.scale.unsigned_abs()))?;
            units = (units % ones == 0).then_some(units / ones)?;
        }
        Some(if negative { -units } else { units })
    }

    /// The average of `count` values, as near as a float can be but for its last bit.
    pub fn mean(self, sum: i128, count: i64) -> f64 {
        let units = sum as f64 / count as f64;
        let scale = 10f64.powi(i32::from(self.scale.unsigned_abs()));
        if self.scale >= 0 { units / scale } else { units * scale }
    }
}

#[cfg(test)]
mod tests {
    //! Holds `fixed` against the exact decimal expansion of a float, rounded digit by digit. Would catch a rounding that goes
    //! through a float, and a sum whose text is not the sum.
    use proptest::prelude::*;

    use super::*;

    /// Every float has an exact decimal expansion of at most 1,074 digits, which `format!` prints.
    fn oracle(value: f64) -> i128 {
        let text = format!("{:.1100}", value.abs());
        let (whole, rest) = text.split_once('.').unwrap();
        let (kept, cut) = rest.split_at(FLOAT_SCALE as usize);
        let units: i128 = format!("{whole}{kept}").parse().unwrap();
        let half = format!("5{}", "0".repeat(cut.len() - 1));
        let up = *cut > *half || (*cut == *half && units % 2 == 1);
        let units = units + i128::from(up);
        if value < 0.0 { -units } else { units }
    }

    proptest! {
        #[test]
        fn floats_are_rounded_from_their_exact_value(value in prop_oneof![
            any::<f64>(), -1e3..1e3f64, -1e-8..1e-8f64, (-4000i64..4000).prop_map(|n| n as f64 / 2f64.powi(12)), -1e18..1e18f64,
        ]) {
            match fixed(value) {
                Some(units) => prop_assert_eq!(units, oracle(value)),
                None => prop_assert!(!value.is_finite() || value.abs() >= FLOAT_LIMIT),
            }
        }

        #[test]
        fn sums_read_back(sum in any::<i64>().prop_map(i128::from), scale in -3..20i8, trim in any::<bool>()) {
            let unit = Unit { scale, trim };
            prop_assert_eq!(unit.parse(&unit.text(sum)), Some(sum));
        }
    }

    #[test]
    fn halves_go_to_the_even_unit() {
        // 2^-10 is 0.0009765625: nine digits end in a half.
        assert_eq!(fixed(2f64.powi(-10)), Some(976_562));
        assert_eq!(fixed(3.0 * 2f64.powi(-10)), Some(2_929_688));
        assert_eq!(fixed(f64::INFINITY), None);
        assert_eq!(fixed(-0.0), Some(0));
        assert_eq!(fixed(f64::from_bits(1)), Some(0));
    }

    #[test]
    fn text_that_is_no_sum_is_refused() {
        let cents = Unit { scale: 2, trim: false };
        for text in ["", "-", "1.234", "1e3", ".5", "1.-5", "+1", "--1"] {
            assert_eq!(cents.parse(text), None, "{text:?}");
        }
        assert_eq!(cents.parse("-0.05"), Some(-5));
    }
}
