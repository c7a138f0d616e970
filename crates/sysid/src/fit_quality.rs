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
