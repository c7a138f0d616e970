//! How much a signal can show.
//!
//! A signal u excites order n persistently if the covariance matrix of (u(t), …, u(t − n + 1)) is non-singular; then
//! n coefficients of a response to it can be told apart (Ljung 1999, def. 13.1; Söderström and Stoica 1989, §5.4).
//! The mean counts: a constant excites order 1. Take it away first where the model has an intercept or the data are
//! detrended.
//!
//! The matrix is estimated as mean φ φᵀ over the samples that have all n lags, not from autocovariances padded with
//! zeros at the ends, since padding would make any signal excite any order. Each signal is scaled to root mean
//! square 1, so that the condition does not hang on units.

use super::ExcitationError;
use super::eigen::extreme_eigenvalues;

/// An eigenvalue below this share of the greatest counts as zero in [`persistent_order`] where nothing else is known:
/// directions with less than 10⁻⁹ of the power are, in data with five significant digits, rounding of the data.
pub const RANK_TOLERANCE: f64 = 1e-9;

/// The largest magnitude over the root mean square; NaN for a signal that is zero or empty.
///
/// 1 for ±1, √2 for a sine. The lower, the more power fits between two limits.
pub fn crest_factor(signal: &[f64]) -> f64 {
    let mean_square = signal.iter().map(|value| value * value).sum::<f64>() / signal.len() as f64;
    let peak = signal.iter().fold(0.0_f64, |peak, value| peak.max(value.abs()));
    peak / mean_square.sqrt()
}

/// The largest order, up to `order_max`, that the signals together excite persistently: at which the least eigenvalue
/// of their joint covariance is above `tolerance` times the greatest.
///
/// A `tolerance` of about 1/samples leaves out what shows up only once, such as a single edge of a step.
///
/// # Shapes
/// For m signals the matrix of order n is m n × m n; signals of one length.
///
/// # Errors
/// [`ExcitationError::TooFew`] for no signals; [`ExcitationError::Lengths`]; [`ExcitationError::OutOfBounds`] if there
/// are fewer than m n + n − 1 samples for the greatest order, since then no signal could excite it.
pub fn persistent_order(
    signals: &[&[f64]],
    order_max: usize,
    tolerance: f64,
) -> Result<usize, ExcitationError> {
    let covariance = covariance(signals, order_max)?;
    // Lag by lag, so that the matrix of every lower order is the upper left corner; by interlacing the condition grows
    // with the order, and the first order that fails is the end.
    let size = signals.len() * order_max;
    let excites = |order: &usize| {
        let (low, high) = corner_eigenvalues(&covariance, size, order * signals.len());
        high > 0.0 && low > tolerance * high
    };
    Ok((1..=order_max).take_while(excites).count())
}

/// Greatest over least eigenvalue of the joint covariance of that order; infinite where it is singular to rounding.
///
/// # Errors
/// As [`persistent_order`].
pub fn condition_number(signals: &[&[f64]], order: usize) -> Result<f64, ExcitationError> {
    let size = signals.len() * order;
    let (low, high) = corner_eigenvalues(&covariance(signals, order)?, size, size);
    Ok(if low > size as f64 * f64::EPSILON * high { high / low } else { f64::INFINITY })
}

fn corner_eigenvalues(matrix: &[f64], size: usize, corner: usize) -> (f64, f64) {
    let mut copy: Vec<f64> =
        (0..corner).flat_map(|row| &matrix[row * size..row * size + corner]).copied().collect();
    extreme_eigenvalues(&mut copy, corner)
}

/// Mean of φ φᵀ with φ = (u₁(t), u₂(t), …, u₁(t − 1), …).
fn covariance(signals: &[&[f64]], order: usize) -> Result<Vec<f64>, ExcitationError> {
    let first = signals.first().ok_or(ExcitationError::TooFew { field: "signals", found: 0, needed: 1 })?;
    let n_samples = first.len();
    if let Some(position) = signals.iter().position(|signal| signal.len() != n_samples) {
        let found = signals[position].len();
        return Err(ExcitationError::Lengths { position, found, expected: n_samples });
    }
    let size = signals.len() * order;
    if order == 0 || size + order > n_samples + 1 {
        let allowed = format!("from 1 to {}", (n_samples + 1) / (signals.len() + 1));
        return Err(ExcitationError::OutOfBounds { field: "order", value: order as f64, allowed });
    }
    let scales: Vec<f64> = signals
        .iter()
        .map(|signal| {
            let mean_square = signal.iter().map(|value| value * value).sum::<f64>() / n_samples as f64;
            if mean_square > 0.0 { 1.0 / mean_square.sqrt() } else { 1.0 }
        })
        .collect();
    let mut matrix = vec![0.0; size * size];
    let mut regressors = vec![0.0; size];
    for t in order - 1..n_samples {
        for lag in 0..order {
            for (input, signal) in signals.iter().enumerate() {
                regressors[lag * signals.len() + input] = signal[t - lag] * scales[input];
            }
        }
        for (row, a) in regressors.iter().enumerate() {
            for (column, b) in regressors[..=row].iter().enumerate() {
                matrix[row * size + column] += a * b;
            }
        }
    }
    let n_rows = (n_samples + 1 - order) as f64;
    for row in 0..size {
        for column in 0..=row {
            let mean = matrix[row * size + column] / n_rows;
            matrix[row * size + column] = mean;
            matrix[column * size + row] = mean;
        }
    }
    Ok(matrix)
}
