//! Scores in, intervals out; and how closely a fleet followed its demand.
//!
//! ```
//! use tidegate_core::Seed;
//! use tidegate_stats::interval::paired;
//!
//! let ours: Vec<f64> = (0..12).map(|day| 90.0 + f64::from(day % 4)).collect();
//! let theirs: Vec<f64> = (0..12).map(|day| 100.0 + f64::from(day % 3)).collect();
//! let difference = paired(&ours, &theirs, 0.95, Seed::evaluation(0)).expect("twelve pairs are enough");
//! assert!(difference.high < 0.0, "ours is cheaper");
//! // Below ten pairs there is no interval.
//! assert!(paired(&ours[..9], &theirs[..9], 0.95, Seed::evaluation(0)).is_none());
//! ```

pub mod correlation;
pub mod elasticity;
pub mod interval;

/// Arithmetic mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Unbiased variance; NaN below two values.
pub fn variance(values: &[f64]) -> f64 {
    let center = mean(values);
    values.iter().map(|value| (value - center).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
}

/// The middle value, or the mean of the two middle ones; NaN of nothing. Infinities sort as they should.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        // Twice the same infinity has no midpoint by arithmetic.
        n if sorted[n / 2 - 1] == sorted[n / 2] => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_a_few_numbers() {
        assert_eq!((mean(&[1.0, 2.0, 6.0]), variance(&[1.0, 2.0, 6.0])), (3.0, 7.0));
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0])), (2.0, 2.5));
        assert_eq!(median(&[1.0, f64::INFINITY, f64::INFINITY, f64::INFINITY]), f64::INFINITY);
        assert!(median(&[]).is_nan() && variance(&[1.0]).is_nan());
    }
}
