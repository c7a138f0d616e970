//! Noise by which a rate is multiplied: log-normal, of mean 1.
//!
//! exp(σ x(t) − σ²/2)
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | x | stationary Ornstein–Uhlenbeck process, Var x = 1, correlation e^(−τ/`correlation_seconds`) | 1 |
//! | σ | √ln(1 + `variation`²), so that the noise has mean 1 and CV `variation` | 1 |
//!
//! x is stepped exactly from tick to tick, as an AR(1) with coefficient e^(−Δ/`correlation_seconds`).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tidegate_core::scenario::Noise;

/// Noise on a grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoiseProcess {
    sigma: f64,
    persistence: f64,
}

impl NoiseProcess {
    pub(crate) fn new(noise: Noise, tick_seconds: f64) -> Self {
        Self {
            sigma: log_sigma(noise.variation),
            persistence: (-tick_seconds / noise.correlation_seconds).exp(),
        }
    }

    /// A path from the stationary distribution.
    pub(crate) fn begin(&self, rng: &mut ChaCha8Rng) -> NoisePath {
        NoisePath { process: *self, x: rng.sample(StandardNormal) }
    }
}

/// One path, tick by tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoisePath {
    process: NoiseProcess,
    x: f64,
}

impl NoisePath {
    /// The factor of the next tick. Noise of no variation draws nothing.
    #[inline]
    pub(crate) fn next(&mut self, rng: &mut ChaCha8Rng) -> f64 {
        let NoiseProcess { sigma, persistence } = self.process;
        if sigma == 0.0 {
            return 1.0;
        }
        let factor = log_normal(sigma, self.x);
        let innovation = (1.0 - persistence * persistence).sqrt();
        self.x = persistence * self.x + innovation * rng.sample::<f64, _>(StandardNormal);
        factor
    }
}

/// Standard deviation of the logarithm of a log-normal variable with this coefficient of variation.
pub(crate) fn log_sigma(coefficient_of_variation: f64) -> f64 {
    (coefficient_of_variation * coefficient_of_variation).ln_1p().sqrt()
}

/// The log-normal variable of mean 1 that belongs to a standard normal one.
pub(crate) fn log_normal(sigma: f64, normal: f64) -> f64 {
    (sigma * (normal - 0.5 * sigma)).exp()
}
