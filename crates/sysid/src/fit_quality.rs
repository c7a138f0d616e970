//! How well a model's series agrees with a measured one.
//!
//! fit = 100 (1 − ‖y − ŷ‖ / ‖y − ȳ‖) percent, ȳ the mean of y over the samples compared: 100 is perfect, 0 is as good as
//! that mean, and it can be as negative as it likes.

use std::num::NonZeroU32;

use tidegate_core::{Model, Record, Start};

use crate::input_output::InputOutputModel;
use crate::prepared::mean;
use crate::running::inputs_of;

/// The fit of one series to another, in percent. Of a constant y it is 100 where all agree and −∞ else.
///
/// # Panics
/// Where the series differ in length or are empty.
pub fn fit_percent(measured: &[f64], modelled: &[f64]) -> f64 {
    assert_eq!(measured.len(), modelled.len(), "both series have one value a sample");
    assert!(!measured.is_empty(), "there is something to compare");
    let centre = mean(measured);
    let missed: f64 = measured.iter().zip(modelled).map(|(y, m)| (y - m).powi(2)).sum();
    let moved: f64 = measured.iter().map(|y| (y - centre).powi(2)).sum();
    if missed == 0.0 { 100.0 } else { 100.0 * (1.0 - (missed / moved).sqrt()) }
}

impl InputOutputModel {
    /// The fit of predictions `ahead` steps ahead, over the samples that can be predicted; in percent.
    ///
    /// # Panics
    /// Where none can, or as [`Self::residuals`].
    pub fn fit_predicted(&self, record: &Record, ahead: NonZeroU32) -> f64 {
        let first = self.first_predicted(ahead);
        let predicted = self.predict(record, ahead);
        fit_percent(&record.outputs[0].values[first..], &predicted.as_slice()[first..])
    }

    /// The fit of a free run over the whole record; in percent. [`Start::Zero`] starts at the means,
    /// [`Self::best_start`] gives the start that fits best.
    ///
    /// # Panics
    /// As [`Self::residuals`].
    pub fn fit_simulated(&self, record: &Record, start: Start) -> f64 {
        fit_percent(&record.outputs[0].values, self.simulate(&inputs_of(record), start).as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn percent_of_the_spread_explained() {
        let y = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(fit_percent(&y, &y), 100.0);
        assert_relative_eq!(fit_percent(&y, &[2.5; 4]), 0.0, epsilon = 1e-12);
        // Errors of half the spread: ‖(½, …)‖ = 1 against ‖(−1.5, −0.5, 0.5, 1.5)‖ = √5.
        let off: Vec<f64> = y.iter().map(|y| y + 0.5).collect();
        assert_relative_eq!(fit_percent(&y, &off), 100.0 * (1.0 - 1.0 / 5.0_f64.sqrt()), epsilon = 1e-12);
        assert_eq!(fit_percent(&[2.0; 3], &[2.0; 3]), 100.0);
        assert_eq!(fit_percent(&[2.0; 3], &[1.0; 3]), f64::NEG_INFINITY);
    }
}
