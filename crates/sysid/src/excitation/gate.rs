//! Whether a loop that is running shows enough of itself to be identified.
//!
//! In closed loop the regressors move only as far as load and controller move them: a loop that holds its set point
//! well teaches nothing, and an estimator that goes on learning then drifts. The gate keeps the information matrix
//! over the memory of the estimator,
//!
//! R(t) = λ R(t − 1) + φ(t) φ(t)ᵀ, w(t) = λ w(t − 1) + 1,
//!
//! with the regressors φ in units of what counts as a movement of each, and asks for the least eigenvalue of R/w (the
//! mean square of the least excited combination: what has been seen) and for the condition of R after scaling to a
//! unit diagonal (collinear regressors, as under linear feedback without delay: Ljung 1999, §13.4).

use super::ExcitationError;
use super::eigen::extreme_eigenvalues;

/// Information about regressors over the window of an estimator, and whether it suffices.
#[derive(Clone, Debug)]
pub struct ExcitationGate {
    forgetting: f64,
    inverse_scales: Vec<f64>,
    power_min: f64,
    condition_max: f64,
    weight: f64,
    scaled: Vec<f64>,
    information: Vec<f64>,
    scratch: Vec<f64>,
}

/// What the window holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Excitation {
    /// Mean square, in units of the scales, of the least excited combination of regressors.
    pub power_least: f64,
    /// Condition number of the correlation form of the information matrix; infinite where a regressor never moved.
    pub condition: f64,
    /// Effective number of samples, Σ λ^k.
    pub samples: f64,
    /// Whether to learn from it: there are more samples than regressors, the power is enough and the condition is
    /// small enough.
    pub suffices: bool,
}

impl ExcitationGate {
    /// A gate for regressors whose movements count from about `scales` on (in their units), over a memory of
    /// 1/(1 − `forgetting`) samples. `power_min` is the least mean square in those units, `condition_max` the
    /// greatest condition of the correlation form.
    ///
    /// An estimate then has a standard error of at most σ / √(samples × `power_min`) in the worst direction, in units
    /// of 1/scale, with σ the deviation of the noise: choose `power_min` from the error that can be afforded.
    ///
    /// # Errors
    /// [`ExcitationError::TooFew`] for no scales, [`ExcitationError::OutOfBounds`] for one that is not positive, for a
    /// forgetting that is not in (0, 1], a negative `power_min`, or a condition below 1.
    pub fn new(
        scales: &[f64],
        forgetting: f64,
        power_min: f64,
        condition_max: f64,
    ) -> Result<Self, ExcitationError> {
        let n = scales.len();
        if n == 0 {
            return Err(ExcitationError::TooFew { field: "scales", found: 0, needed: 1 });
        }
        let bounds = |field, value: f64, holds: bool, allowed: &str| {
            if holds {
                Ok(())
            } else {
                Err(ExcitationError::OutOfBounds { field, value, allowed: allowed.to_owned() })
            }
        };
        for &scale in scales {
            bounds("scales", scale, scale > 0.0 && scale.is_finite(), "positive")?;
        }
        bounds("forgetting", forgetting, forgetting > 0.0 && forgetting <= 1.0, "above 0 and at most 1")?;
        bounds("power_min", power_min, power_min >= 0.0, "at least 0")?;
        bounds("condition_max", condition_max, condition_max >= 1.0, "at least 1")?;
        Ok(Self {
            forgetting,
            inverse_scales: scales.iter().map(|scale| 1.0 / scale).collect(),
            power_min,
            condition_max,
            weight: 0.0,
            scaled: vec![0.0; n],
            information: vec![0.0; n * n],
            scratch: vec![0.0; n * n],
        })
    }

    /// Sees the regressors of one step, n²/2 multiplications. A step with a missing one counts as no step.
    ///
    /// # Panics
    /// If their number is not that of the scales.
    pub fn update(&mut self, regressors: &[f64]) {
        let n = self.inverse_scales.len();
        assert_eq!(regressors.len(), n, "the gate was made for {n} regressors");
        if !regressors.iter().all(|value| value.is_finite()) {
            return;
        }
        for ((scaled, value), inverse) in self.scaled.iter_mut().zip(regressors).zip(&self.inverse_scales) {
            *scaled = value * inverse;
        }
        self.weight = self.forgetting * self.weight + 1.0;
        for (row, a) in self.information.chunks_exact_mut(n).zip(&self.scaled) {
            for (element, b) in row.iter_mut().zip(&self.scaled) {
                *element = self.forgetting * *element + a * b;
            }
        }
    }

    /// What the window holds now: about 10 n³ operations, no allocation.
    pub fn excitation(&mut self) -> Excitation {
        let n = self.inverse_scales.len();
        self.scratch.copy_from_slice(&self.information);
        let (low, _) = extreme_eigenvalues(&mut self.scratch, n);
        let power_least = if self.weight > 0.0 { (low / self.weight).max(0.0) } else { 0.0 };
        let condition = self.condition();
        let suffices =
            self.weight > n as f64 && power_least >= self.power_min && condition <= self.condition_max;
        Excitation { power_least, condition, samples: self.weight, suffices }
    }

    fn condition(&mut self) -> f64 {
        let n = self.inverse_scales.len();
        let diagonal = |i: usize| self.information[i * n + i];
        if (0..n).any(|i| diagonal(i) <= 0.0) {
            return f64::INFINITY;
        }
        for row in 0..n {
            for column in 0..n {
                self.scratch[row * n + column] =
                    self.information[row * n + column] / (diagonal(row) * diagonal(column)).sqrt();
            }
        }
        let (low, high) = extreme_eigenvalues(&mut self.scratch, n);
        // Below this the least eigenvalue is rounding of the sums.
        if low > n as f64 * f64::EPSILON * high { high / low } else { f64::INFINITY }
    }
}
