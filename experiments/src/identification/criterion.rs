//! The prediction-error criterion, written out: nothing here is shared with the estimators that it judges.
//!
//! For A y = (B/F) u + (C/D) e on data whose means are removed: v = A y − Σ (Bᵢ/Fᵢ) uᵢ with 1/F from zero; s = max(na, max(nbᵢ +
//! nkᵢ − 1)) + nd; x = D v with xₜ = 0 for t < s; e = x/C; the loss is the mean of e² over t ≥ s. v and x are defined from
//! the first sample on which all terms of A, B and D exist; before, the conditional start makes x zero.

use tidegate_core::{Channel, Record};

use super::synthetic::filtered;

/// Polynomials, each from its first coefficient on: A, C, D and F start with 1, B with its delay as zeros.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Polynomials {
    /// Of the output.
    pub a: Vec<f64>,
    /// One an input.
    pub b: Vec<Vec<f64>>,
    /// Of the noise.
    pub c: Vec<f64>,
    /// Below the noise.
    pub d: Vec<f64>,
    /// One an input.
    pub f: Vec<Vec<f64>>,
}

impl Polynomials {
    /// Samples that the criterion leaves out.
    pub fn skip(&self) -> usize {
        let longest = self.b.iter().map(|b| b.len().saturating_sub(1)).max().unwrap_or(0);
        (self.a.len() - 1).max(longest) + self.d.len() - 1
    }

    /// The mean squared one-step error.
    pub fn loss(&self, inputs: &[Vec<f64>], output: &[f64]) -> f64 {
        let mut v = filtered(&self.a, &[1.0], output);
        for ((b, f), input) in self.b.iter().zip(&self.f).zip(inputs) {
            for (v, part) in v.iter_mut().zip(filtered(b, f, input)) {
                *v -= part;
            }
        }
        let skip = self.skip();
        let mut x = filtered(&self.d, &[1.0], &v);
        x[..skip.min(output.len())].fill(0.0);
        let e = filtered(&[1.0], &self.c, &x);
        tidegate_stats::mean(&e[skip..].iter().map(|e| e * e).collect::<Vec<_>>())
    }

    /// The same on a record, its means removed.
    pub fn loss_on(&self, record: &Record) -> f64 {
        let centred = |channel: &Channel| -> Vec<f64> {
            let mean = tidegate_stats::mean(&channel.values);
            channel.values.iter().map(|value| value - mean).collect()
        };
        let inputs: Vec<Vec<f64>> = record.inputs.iter().map(centred).collect();
        self.loss(&inputs, &centred(&record.outputs[0]))
    }

    /// The largest distance of a coefficient from another model's; infinite where the shapes differ.
    pub fn distance(&self, other: &Self) -> f64 {
        let parts = |it: &Self| -> Vec<Vec<f64>> {
            [&it.a, &it.c, &it.d].into_iter().chain(&it.b).chain(&it.f).cloned().collect()
        };
        let (ours, theirs) = (parts(self), parts(other));
        if ours.len() != theirs.len() || ours.iter().zip(&theirs).any(|(a, b)| a.len() != b.len()) {
            return f64::INFINITY;
        }
        ours.concat().iter().zip(theirs.concat()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }
}

/// 100 (1 − ‖y − ŷ‖/‖y − ȳ‖), in percent; gaps of the prediction are left out.
pub fn fit_percent(measured: &[f64], predicted: &[f64]) -> f64 {
    let there: Vec<(f64, f64)> = measured
        .iter()
        .zip(predicted)
        .filter(|(y, p)| !y.is_nan() && !p.is_nan())
        .map(|(y, p)| (*y, *p))
        .collect();
    let mean = there.iter().map(|(y, _)| y).sum::<f64>() / there.len() as f64;
    let norm = |of: &dyn Fn(&(f64, f64)) -> f64| there.iter().map(|it| of(it).powi(2)).sum::<f64>().sqrt();
    100.0 * (1.0 - norm(&|(y, p)| y - p) / norm(&|(y, _)| y - mean))
}

/// Root mean square of the errors; gaps are left out.
pub fn rmse(measured: &[f64], predicted: &[f64]) -> f64 {
    let squares: Vec<f64> =
        measured.iter().zip(predicted).map(|(y, p)| (y - p).powi(2)).filter(|it| !it.is_nan()).collect();
    tidegate_stats::mean(&squares).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identification::synthetic::ARMAX221;
    use tidegate_core::Seed;

    /// At the true parameters the residuals are the noise, but for the start.
    #[test]
    fn the_loss_at_the_truth_is_the_variance_of_the_noise() {
        let record = ARMAX221.draw(4000, Seed::training(3));
        let truth = ARMAX221.polynomials();
        assert_eq!(truth.skip(), 2);
        let loss = truth.loss(&[record.inputs[0].values.clone()], &record.outputs[0].values);
        // A variance of 4,000 normal draws has a standard error of 2.2 %.
        assert!((loss - 1.0).abs() < 0.08, "{loss}");
        let mut other = truth.clone();
        other.a[1] += 0.25;
        assert_eq!(truth.distance(&other), 0.25);
        assert!(other.loss(&[record.inputs[0].values.clone()], &record.outputs[0].values) > loss);
    }

    #[test]
    fn fits_of_a_few_numbers() {
        assert_eq!(fit_percent(&[1.0, 3.0], &[1.0, 3.0]), 100.0);
        assert_eq!(fit_percent(&[1.0, 3.0, 9.0], &[2.0, 2.0, f64::NAN]), 0.0);
        assert_eq!(rmse(&[1.0, 3.0, f64::NAN], &[2.0, 2.0, 0.0]), 1.0);
    }
}
