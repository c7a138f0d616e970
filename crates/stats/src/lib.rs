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
