//! Kubernetes quantities ("500m", "1Gi", "1e3") in thousandths, as exactly as the API server reads them.
//!
//! quantity = sign digits [. digits] suffix, where the suffix is one of n u m (nothing) k M G T P E, of
//! Ki Mi Gi Ti Pi Ei, or an exponent e±n or E±n [k8s.io/apimachinery/pkg/api/resource, type Quantity].
//!
//! The controller works on thousandths ("milli"), which it gets by rounding away from zero what is finer, and by
//! capping what is larger than 2^63 − 1; so does this. There is no float on the way: 0.1 is 100 thousandths.

/// Ends of quantities, longest first, as powers of ten or two.
const SUFFIXES: [(&str, Factor); 15] = [
    ("Ki", Factor::Two(10)),
    ("Mi", Factor::Two(20)),
    ("Gi", Factor::Two(30)),
    ("Ti", Factor::Two(40)),
    ("Pi", Factor::Two(50)),
    ("Ei", Factor::Two(60)),
    ("n", Factor::Ten(-9)),
    ("u", Factor::Ten(-6)),
    ("m", Factor::Ten(-3)),
    ("k", Factor::Ten(3)),
    ("M", Factor::Ten(6)),
    ("G", Factor::Ten(9)),
    ("T", Factor::Ten(12)),
    ("P", Factor::Ten(15)),
    ("E", Factor::Ten(18)),
];

#[derive(Clone, Copy)]
enum Factor {
    Ten(i32),
    Two(u32),
}

/// What is allowed, for messages.
pub(crate) const ALLOWED: &str = "a quantity such as 500m, 2, 1.5, 100k or 1Gi";

/// The quantity in thousandths; none if it is not written as one.
///
/// ```
/// use tidegate_autoscalers::hpa::manifest::thousandths;
///
/// assert_eq!(thousandths("500m"), Some(500));
/// assert_eq!(thousandths("1Gi"), Some(1024 * 1024 * 1024 * 1000));
/// assert_eq!(thousandths("80%"), None);
/// ```
pub fn thousandths(text: &str) -> Option<i64> {
    let Written { is_negative, digits, places, factor } = Written::read(text)?;
    let magnitude = match factor {
        Factor::Ten(power) => scaled(&digits, 38, (3 - places).saturating_add(power), 1),
        Factor::Two(power) => scaled(&digits, 19, 3 - places, 1 << power),
    };
    let capped = i64::try_from(magnitude).unwrap_or(i64::MAX);
    Some(if is_negative { -capped } else { capped })
}

/// The quantity as the nearest number, the way Go gets it (`AsApproximateFloat64`): digits times a power of ten.
pub(crate) fn number(text: &str) -> Option<f64> {
    let Written { is_negative, digits, places, factor } = Written::read(text)?;
    let (power, factor) = match factor {
        Factor::Ten(power) => (power.saturating_sub(places), 1.0),
        Factor::Two(power) => (-places, 2_f64.powi(power.cast_signed())),
    };
    let unscaled = format!("0{digits}").parse::<f64>().expect("digits") * factor;
    let ten = 10_f64.powi(power.saturating_abs());
    let value = if power < 0 { unscaled * (1.0 / ten) } else { unscaled * ten };
    Some(if is_negative { -value } else { value })
}

/// A quantity taken apart: digits · 10^−places · factor.
struct Written {
    is_negative: bool,
    digits: String,
    places: i32,
    factor: Factor,
}

impl Written {
    fn read(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let places = i32::try_from(fraction.len()).ok()?;
        Some(Self { is_negative, digits: format!("{whole}{fraction}"), places, factor: factor(suffix)? })
    }
}

fn factor(suffix: &str) -> Option<Factor> {
    if suffix.is_empty() {
        return Some(Factor::Ten(0));
    }
    if let Some((_, factor)) = SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Some(*factor);
    }
    // "1E" is 10^18, "1E3" is 1000.
    let power = suffix.strip_prefix(['e', 'E'])?;
    let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // No quantity has so large a power; cut, it is capped or rounded all the same.
    is_number.then(|| {
        let size = digits.parse::<i32>().unwrap_or(i32::MAX).min(10_000);
        Factor::Ten(if power.starts_with('-') { -size } else { size })
    })
}

/// digits · 10^exponent · factor, rounded up, capped; digits behind the first `kept` are rounded up, too. With at
/// most 38 digits times 1, or 19 times 2^60, nothing overflows, and everything that fits into the answer is exact.
fn scaled(digits: &str, kept: usize, exponent: i32, factor: u128) -> u128 {
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return 0;
    }
    let (head, tail) = significant.split_at(significant.len().min(kept));
    let exponent = exponent.saturating_add(i32::try_from(tail.len()).unwrap_or(i32::MAX));
    let is_cut = tail.bytes().any(|byte| byte != b'0');
    let value = head.parse::<u128>().expect("digits, few enough") * factor;
    if exponent >= 0 {
        let power = 10_u128.checked_pow(exponent.unsigned_abs());
        let product = power.and_then(|power| value.checked_mul(power)).unwrap_or(u128::MAX);
        return product.saturating_add(u128::from(is_cut));
    }
    let Some(divisor) = 10_u128.checked_pow(exponent.unsigned_abs()) else { return 1 };
    value / divisor + u128::from(!value.is_multiple_of(divisor) || is_cut)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_suffix_scales_as_documented() {
        let unit = [
            ("1n", 1),
            ("1u", 1),
            ("1m", 1),
            ("1", 1000),
            ("1k", 1_000_000),
            ("1M", 1_000_000_000),
            ("1G", 1_000_000_000_000),
            ("1T", 1_000_000_000_000_000),
            ("1P", 1_000_000_000_000_000_000),
            ("1E", i64::MAX),
            ("1Ki", 1024 * 1000),
            ("1Mi", 1024 * 1024 * 1000),
            ("1Gi", 1024 * 1024 * 1024 * 1000),
            ("1Ti", 1024 * 1024 * 1024 * 1024 * 1000),
            ("1Pi", 1024 * 1024 * 1024 * 1024 * 1024 * 1000),
            ("1Ei", i64::MAX),
            ("1e3", 1_000_000),
            ("1E3", 1_000_000),
            ("1e+3", 1_000_000),
            ("5000e-3", 5000),
        ];
        for (text, expected) in unit {
            assert_eq!(thousandths(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_finer_than_a_thousandth_rounds_away_from_zero() {
        let cases = [
            ("0", 0),
            ("-0", 0),
            ("0.1", 100),
            ("1.5", 1500),
            (".5", 500),
            ("5.", 5000),
            ("+2", 2000),
            ("0.1m", 1),
            ("1500u", 2),
            ("-0.1m", -1),
            ("-500m", -500),
            ("1.5Gi", 1536 * 1024 * 1024 * 1000),
            ("0.0005Ki", 512),
            ("1.0001", 1001),
            ("007", 7000),
            ("1e-9999999999", 1),
            ("1e9999999999", i64::MAX),
            ("0e99", 0),
            ("9223372036854775.807", i64::MAX),
            ("9223372036854775.806", i64::MAX - 1),
            ("99999999999999999999999999999999999999999", i64::MAX),
            ("0.00000000000000000000000000000000000000001", 1),
        ];
        for (text, expected) in cases {
            assert_eq!(thousandths(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in [
            "", "-", "+", ".", "m", "Gi", "80%", "1 Gi", " 1", "1gi", "1K", "1mi", "1e", "1e+", "1.2.3",
            "--1", "1e3Gi", "1Gi1", "0x10", "NaN", "inf", "1,5", "½", "1e1.5",
        ] {
            assert_eq!(thousandths(text), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_digits_times_a_power_of_ten() {
        for (text, expected) in
            [("0.1", 0.1), ("100m", 0.1), ("0", 0.0), ("15m", 0.015), ("1Ki", 1024.0), ("-2k", -2000.0)]
        {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        assert_eq!(number("5 %"), None);
    }

    proptest! {
        /// Whatever is written, it is read or refused; what is made of thousandths is read back.
        #[test]
        fn reading_never_fails(text in "[-+]?[0-9.]{0,50}[a-zA-Z]{0,3}[-+]?[0-9]{0,12}") {
            let _ = (thousandths(&text), number(&text));
        }

        #[test]
        fn thousandths_are_read_back(value in -i64::MAX..=i64::MAX) {
            prop_assert_eq!(thousandths(&format!("{value}m")), Some(value));
            let (whole, rest) = (value.unsigned_abs() / 1000, value.unsigned_abs() % 1000);
            let sign = if value < 0 { "-" } else { "" };
            prop_assert_eq!(thousandths(&format!("{sign}{whole}.{rest:03}")), Some(value));
        }
    }
}
