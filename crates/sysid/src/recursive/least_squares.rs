//! Recursive least squares with exponential forgetting that cannot wind up.

use super::ud::Ud;
use super::{Forgetting, RecursiveError, Trust, check};

/// Below this share of its prior variance a parameter is known well enough to do without the prior.
const PRIOR_SHARE: f64 = 0.1;

/// Parameters θ of y(t) = φ(t)ᵀ θ + e(t), learnt sample by sample.
///
/// | symbol | word | shape |
/// | --- | --- | --- |
/// | θ | parameters | n |
/// | φ | regressors | n |
/// | P | covariance of θ over the variance of e | n × n |
/// | λ | forgetting | 1 |
///
/// ε = y − φᵀ θ, K = P φ / (λ + φᵀ P φ), θ ← θ + K ε, P ← (P − K φᵀ P) / λ (Ljung 1999, eq. 11.12), and then
/// P⁻¹ ← P⁻¹ + (1 − λ) n / p₀ₖ · eₖ eₖᵀ for one parameter k, which takes turns, if Pₖₖ has come above p₀ₖ/10. Over a
/// round of n steps this gives back the information that was forgotten of the prior diag(p₀)⁻¹, and it moves no
/// parameter, as if each had been measured to be what it is (regularised least squares of Gunnarsson, Proc. 35th CDC,
/// 1996, with the cost of a rank-one update). So no variance grows beyond p₀ₖ λ¹⁻ⁿ, however long nothing excites it,
/// excited directions are forgotten at λ all the time, and while all is excited it is the textbook's recursion.
/// (Switching the forgetting off while the trace of P is large would let one input that rests stop the tracking of all
/// others.) With λ = 1 it is least squares with the prior 1/p₀, exactly.
#[derive(Clone, Debug)]
pub struct RecursiveLeastSquares {
    parameters: Vec<f64>,
    prior_variances: Vec<f64>,
    covariance: Ud,
    forgetting: Forgetting,
    lambda: f64,
    turn: usize,
    noise: Noise,
}

impl RecursiveLeastSquares {
    /// From zero parameters, with variances `prior_variances` over that of the noise: large ones (10⁴ to 10⁸ of what
    /// the data will give) if nothing is known.
    ///
    /// # Errors
    /// If there is no parameter, a variance is not positive, or `forgetting` is not within its bounds.
    pub fn new(prior_variances: &[f64], forgetting: Forgetting) -> Result<Self, RecursiveError> {
        let n = prior_variances.len();
        check("prior_variances.len()", n as f64, n > 0, "at least 1")?;
        for &variance in prior_variances {
            check("prior_variances", variance, variance > 0.0 && variance.is_finite(), "positive")?;
        }
        let forgetting = forgetting.checked()?;
        Ok(Self {
            parameters: vec![0.0; n],
            prior_variances: prior_variances.to_vec(),
            covariance: Ud::new(prior_variances),
            forgetting,
            lambda: forgetting.start,
            turn: 0,
            noise: Noise::default(),
        })
    }

    /// θ.
    pub fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    /// Sets θ, for example to what a fit of recorded data gave; what is known about it stays.
    ///
    /// # Panics
    /// If their number is another one.
    pub fn start_from(&mut self, parameters: &[f64]) {
        self.parameters.copy_from_slice(parameters);
    }

    /// φᵀ θ.
    #[inline]
    pub fn predict(&self, regressors: &[f64]) -> f64 {
        self.parameters.iter().zip(regressors).map(|(theta, phi)| theta * phi).sum()
    }

    /// Learns from one sample and gives ε, the error of its prediction. A sample in which anything is missing or
    /// infinite gives None, and nothing changes.
    ///
    /// # Panics
    /// If the number of regressors is not that of parameters.
    #[inline]
    pub fn update(&mut self, regressors: &[f64], y: f64) -> Option<f64> {
        assert_eq!(regressors.len(), self.parameters.len(), "one regressor for each parameter");
        let error = y - self.predict(regressors);
        if !error.is_finite() || !regressors.iter().all(|value| value.is_finite()) {
            return None;
        }
        self.learn(regressors, error);
        self.move_along_gain(error);
        self.restore_prior();
        Some(error)
    }

    /// Estimated variance of e; None until there are more samples than parameters.
    ///
    /// The weighted sum of squares ends at V(t) = λ V(t − 1) + ε² λ / (λ + φᵀ P φ), exactly that of the residuals of the
    /// latest θ. With weights w = λ^age, its expectation is σ² (Σ w − n Σ w² / Σ w): N − n for λ = 1.
    pub fn noise_variance(&self) -> Option<f64> {
        let degrees = self.noise.weight - self.parameters.len() as f64 * self.noise.overlap();
        (degrees > 0.0).then(|| self.noise.sum_squares / degrees)
    }

    /// Variance of parameter `k` over that of e, as the recursion has it (Pₖₖ).
    pub fn relative_variance(&self, k: usize) -> f64 {
        self.covariance.variance(k)
    }

    /// Standard error of parameter `k`: √(σ² Pₖₖ Σ w² / Σ w), the last factor since a weighted sum of independent
    /// samples varies less than one of Σ w samples. None as long as the noise variance is not known.
    pub fn standard_error(&self, k: usize) -> Option<f64> {
        let variance = self.noise_variance()? * self.relative_variance(k) * self.noise.overlap();
        Some(variance.sqrt())
    }

    /// Whether every parameter's variance is below `share_max` of the prior one.
    pub fn trust(&self, share_max: f64) -> Trust {
        let share = |parameter| self.relative_variance(parameter) / self.prior_variances[parameter];
        let mut worst = (0, share(0));
        for parameter in 1..self.parameters.len() {
            let share = share(parameter);
            if share > worst.1 {
                worst = (parameter, share);
            }
        }
        let (parameter, share) = worst;
        if share < share_max { Trust::Trusted } else { Trust::NotExcited { parameter, share } }
    }

    /// Updates the covariance and the noise for a prediction error with this gradient; the parameters are up to the
    /// caller.
    #[inline]
    pub(super) fn learn(&mut self, gradient: &[f64], error: f64) {
        let alpha = self.covariance.observe(gradient, self.lambda);
        self.noise.update(self.lambda, error * error * self.lambda / alpha);
    }

    pub(super) fn gain(&self) -> &[f64] {
        self.covariance.gain()
    }

    /// θ ← θ + K · `length`.
    #[inline]
    pub(super) fn move_along_gain(&mut self, length: f64) {
        for (parameter, gain) in self.parameters.iter_mut().zip(self.covariance.gain()) {
            *parameter += gain * length;
        }
    }

    /// The second half of a step; it overwrites the gain.
    #[inline]
    pub(super) fn restore_prior(&mut self) {
        let n = self.parameters.len();
        if self.lambda < 1.0 {
            let prior = self.prior_variances[self.turn];
            if self.covariance.variance(self.turn) > PRIOR_SHARE * prior {
                self.covariance.inform(self.turn, (1.0 - self.lambda) * n as f64 / prior);
            }
            self.turn = if self.turn + 1 == n { 0 } else { self.turn + 1 };
        }
        self.lambda = self.forgetting.after(self.lambda);
    }
}

/// Weighted squares of prediction errors.
#[derive(Clone, Copy, Debug, Default)]
struct Noise {
    sum_squares: f64,
    /// Σ w.
    weight: f64,
    /// Σ w².
    weight_squares: f64,
}

impl Noise {
    #[inline]
    fn update(&mut self, lambda: f64, square: f64) {
        self.sum_squares = lambda * self.sum_squares + square;
        self.weight = lambda * self.weight + 1.0;
        self.weight_squares = lambda * lambda * self.weight_squares + 1.0;
    }

    /// Σ w² / Σ w; 1 for equal weights.
    fn overlap(&self) -> f64 {
        if self.weight > 0.0 { self.weight_squares / self.weight } else { 1.0 }
    }
}
