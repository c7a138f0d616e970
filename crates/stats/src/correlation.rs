//! What running two controllers on the same seeds gains over running them on different ones.

use crate::{mean, variance};

/// Pearson's correlation of pairs; None below two pairs or where one side does not vary.
///
/// # Panics
/// If the two are not equally long.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "pairs come in twos");
    let scale = (variance(a) * variance(b)).sqrt();
    (a.len() > 1 && scale > 0.0).then(|| (covariance(a, b) / scale).clamp(-1.0, 1.0))
}

/// How many times smaller the variance of the difference is on shared seeds than it would be on separate ones:
/// (var a + var b) / var(a − b). Above 1 pairing helps; infinite if the difference never varies; None below two
/// pairs or where nothing varies at all.
///
/// # Panics
/// If the two are not equally long.
pub fn variance_reduction(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "pairs come in twos");
    let apart = variance(a) + variance(b);
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    (a.len() > 1 && apart > 0.0).then(|| apart / variance(&differences))
}

fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let (center_a, center_b) = (mean(a), mean(b));
    a.iter().zip(b).map(|(a, b)| (a - center_a) * (b - center_b)).sum::<f64>() / (a.len() as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_of_a_hand_worked_table() {
        // Centred: (-1.5, -0.5, 0.5, 1.5) and (-1.25, 0.75, -0.25, 0.75): 2.5 / sqrt(5 · 2.75).
        let r = pearson(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 3.0]).expect("both vary");
        approx::assert_relative_eq!(r, 2.5 / (5.0_f64 * 2.75).sqrt(), max_relative = 1e-12);
        assert_eq!(pearson(&[1.0, 2.0], &[5.0, 3.0]), Some(-1.0));
        assert_eq!(pearson(&[1.0, 1.0], &[5.0, 3.0]), None);
    }

    /// With equal variances the reduction is 1 / (1 − r).
    #[test]
    fn variance_falls_with_the_correlation() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        let b = [2.0, 1.0, 3.0, 5.0, 4.0];
        let r = pearson(&a, &b).expect("both vary");
        let reduction = variance_reduction(&a, &b).expect("both vary");
        approx::assert_relative_eq!(reduction, 1.0 / (1.0 - r), max_relative = 1e-12);
        assert_eq!(variance_reduction(&a, &a), Some(f64::INFINITY));
        assert_eq!(variance_reduction(&[1.0, 1.0], &[2.0, 2.0]), None);
    }
}
