//! Positive random durations: work, patience, start-up.
//!
//! | kind | parameters | mean | squared coefficient of variation |
//! | --- | --- | --- | --- |
//! | constant | d | d | 0 |
//! | exponential | m | m | 1 |
//! | log-normal | m, c | m | c² |
//! | hyper-exponential, two phases, balanced means (Whitt 1982, eq. 3.7) | m, c ≥ 1 | m | c² |
//! | empirical | values at equally spaced probabilities, straight lines between | from the lines | from the lines |

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Exp1, StandardNormal};
use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::erf::erfc;

/// A checked distribution of a duration in seconds, with what sampling needs already computed.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant {
        /// The duration.
        seconds: f64,
    },
    /// Memoryless.
    Exponential {
        /// Its mean.
        mean_seconds: f64,
    },
    /// The exponential of a normal variable.
    LogNormal {
        /// Mean of the logarithm.
        location: f64,
        /// Standard deviation of the logarithm.
        scale: f64,
    },
    /// With probability `share` exponential with the first mean, else with the second.
    HyperExponential {
        /// Probability of the first phase.
        share: f64,
        /// Means of the two phases.
        mean_seconds: [f64; 2],
    },
    /// Values at probabilities 0, 1/(n−1), …, 1, with straight lines between them.
    Empirical {
        /// Not decreasing; at least two.
        quantiles_seconds: Vec<f64>,
    },
}

impl Distribution {
    /// A log-normal distribution with this mean and coefficient of variation.
    pub fn log_normal(mean_seconds: f64, coefficient_of_variation: f64) -> Self {
        let variance = (coefficient_of_variation * coefficient_of_variation).ln_1p();
        Self::LogNormal { location: mean_seconds.ln() - variance / 2.0, scale: variance.sqrt() }
    }

    /// A two-phase hyper-exponential distribution with balanced means: p₁ m₁ = p₂ m₂.
    ///
    /// # Panics
    /// If the coefficient of variation is below 1; no mixture of exponentials has that.
    pub fn hyper_exponential(mean_seconds: f64, coefficient_of_variation: f64) -> Self {
        let scv = coefficient_of_variation * coefficient_of_variation;
        assert!(scv >= 1.0, "a hyper-exponential distribution varies at least as much as an exponential one");
        let share = 0.5 * (1.0 + ((scv - 1.0) / (scv + 1.0)).sqrt());
        Self::HyperExponential {
            share,
            mean_seconds: [mean_seconds / (2.0 * share), mean_seconds / (2.0 * (1.0 - share))],
        }
    }

    /// The mean in seconds.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Constant { seconds } => *seconds,
            Self::Exponential { mean_seconds } => *mean_seconds,
            Self::LogNormal { location, scale } => (location + scale * scale / 2.0).exp(),
            Self::HyperExponential { share, mean_seconds: [first, second] } => {
                share * first + (1.0 - share) * second
            }
            Self::Empirical { quantiles_seconds } => {
                lines(quantiles_seconds).map(|(a, b)| f64::midpoint(a, b)).sum::<f64>()
                    / (quantiles_seconds.len() - 1) as f64
            }
        }
    }

    /// The squared coefficient of variation, variance over squared mean; 0 where the mean is 0.
    pub fn scv(&self) -> f64 {
        let second_moment = match self {
            Self::Constant { .. } => return 0.0,
            Self::Exponential { .. } => return 1.0,
            Self::LogNormal { scale, .. } => return (scale * scale).exp_m1(),
            Self::HyperExponential { share, mean_seconds: [first, second] } => {
                2.0 * (share * first * first + (1.0 - share) * second * second)
            }
            Self::Empirical { quantiles_seconds } => {
                lines(quantiles_seconds).map(|(a, b)| (a * a + a * b + b * b) / 3.0).sum::<f64>()
                    / (quantiles_seconds.len() - 1) as f64
            }
        };
        let mean = self.mean();
        if mean > 0.0 { (second_moment / (mean * mean) - 1.0).max(0.0) } else { 0.0 }
    }

    /// The same with every duration `factor` times as long: the mean is scaled, the coefficient of variation stays.
    ///
    /// # Panics
    /// If the factor is not positive and finite.
    pub fn scaled(&self, factor: f64) -> Self {
        assert!(factor > 0.0 && factor.is_finite(), "a scale must be positive, but is {factor}");
        match self {
            Self::Constant { seconds } => Self::Constant { seconds: factor * seconds },
            Self::Exponential { mean_seconds } => Self::Exponential { mean_seconds: factor * mean_seconds },
            Self::LogNormal { location, scale } => {
                Self::LogNormal { location: location + factor.ln(), scale: *scale }
            }
            Self::HyperExponential { share, mean_seconds } => Self::HyperExponential {
                share: *share,
                mean_seconds: mean_seconds.map(|seconds| factor * seconds),
            },
            Self::Empirical { quantiles_seconds } => Self::Empirical {
                quantiles_seconds: quantiles_seconds.iter().map(|seconds| factor * seconds).collect(),
            },
        }
    }

    /// One draw in seconds.
    #[inline]
    pub fn sample(&self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Constant { seconds } => *seconds,
            Self::Exponential { mean_seconds } => mean_seconds * rng.sample::<f64, _>(Exp1),
            Self::LogNormal { location, scale } => {
                (location + scale * rng.sample::<f64, _>(StandardNormal)).exp()
            }
            Self::HyperExponential { share, mean_seconds } => {
                let phase = usize::from(rng.random::<f64>() >= *share);
                mean_seconds[phase] * rng.sample::<f64, _>(Exp1)
            }
            Self::Empirical { quantiles_seconds } => interpolate(quantiles_seconds, rng.random()),
        }
    }

    /// Appends what the next `n` calls of [`Distribution::sample`] would give.
    pub fn sample_into(&self, n: usize, rng: &mut ChaCha8Rng, into: &mut Vec<f64>) {
        match self {
            Self::Constant { seconds } => into.resize(into.len() + n, *seconds),
            // The commonest one gets a loop without the choice in it: 40 instructions less a draw.
            Self::Exponential { mean_seconds } => {
                into.extend((0..n).map(|_| mean_seconds * rng.sample::<f64, _>(Exp1)));
            }
            _ => into.extend((0..n).map(|_| self.sample(rng))),
        }
    }

    /// The value that is not exceeded with probability `p`; for draws by counter hash, where one number must do.
    pub fn quantile(&self, p: f64) -> f64 {
        match self {
            Self::Constant { seconds } => *seconds,
            Self::Exponential { mean_seconds } => -mean_seconds * (-p).ln_1p(),
            Self::LogNormal { location, scale } => {
                (location + scale * Normal::standard().inverse_cdf(p)).exp()
            }
            Self::HyperExponential { .. } => self.quantile_by_bisection(p),
            Self::Empirical { quantiles_seconds } => interpolate(quantiles_seconds, p),
        }
    }

    /// The probability of lasting longer than `seconds`.
    pub fn survival(&self, seconds: f64) -> f64 {
        if seconds < 0.0 {
            return 1.0;
        }
        match self {
            Self::Constant { seconds: value } => f64::from(*value > seconds),
            Self::Exponential { mean_seconds } => (-seconds / mean_seconds).exp(),
            Self::LogNormal { location, scale } if *scale > 0.0 => {
                0.5 * erfc((seconds.ln() - location) / (scale * std::f64::consts::SQRT_2))
            }
            Self::LogNormal { location, .. } => f64::from(location.exp() > seconds),
            Self::HyperExponential { share, mean_seconds: [first, second] } => {
                share * (-seconds / first).exp() + (1.0 - share) * (-seconds / second).exp()
            }
            Self::Empirical { quantiles_seconds } => {
                let above: f64 = lines(quantiles_seconds)
                    .map(|(a, b)| {
                        if b > a { ((b - seconds) / (b - a)).clamp(0.0, 1.0) } else { f64::from(a > seconds) }
                    })
                    .sum();
                above / (quantiles_seconds.len() - 1) as f64
            }
        }
    }

    fn quantile_by_bisection(&self, p: f64) -> f64 {
        let mut high = self.mean().max(f64::MIN_POSITIVE);
        while 1.0 - self.survival(high) < p {
            high *= 2.0;
        }
        let mut low = 0.0;
        // 60 halvings reach the precision of an f64 from any start.
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if 1.0 - self.survival(middle) < p { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }
}

fn lines(values: &[f64]) -> impl Iterator<Item = (f64, f64)> + '_ {
    values.windows(2).map(|pair| (pair[0], pair[1]))
}

fn interpolate(values: &[f64], p: f64) -> f64 {
    let position = p * (values.len() - 1) as f64;
    let left = (position as usize).min(values.len() - 2);
    values[left] + (position - left as f64) * (values[left + 1] - values[left])
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::{Seed, Stream};

    fn all() -> Vec<Distribution> {
        vec![
            Distribution::Constant { seconds: 2.0 },
            Distribution::Exponential { mean_seconds: 0.5 },
            Distribution::log_normal(3.0, 0.7),
            Distribution::log_normal(0.2, 2.0),
            Distribution::hyper_exponential(1.5, 2.0),
            Distribution::Empirical { quantiles_seconds: vec![1.0, 2.0, 2.0, 8.0] },
        ]
    }

    #[test]
    fn samples_have_the_moments_that_the_formulas_give() {
        const N: usize = 400_000;
        for distribution in all() {
            let mut rng = Seed::training(11).rng(Stream::Work);
            let draws: Vec<f64> = (0..N).map(|_| distribution.sample(&mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / N as f64;
            let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / N as f64;
            assert_relative_eq!(mean, distribution.mean(), max_relative = 0.01);
            // The fourth moment of the widest log-normal makes its sample variance the loosest of all.
            assert_relative_eq!(variance / (mean * mean), distribution.scv(), max_relative = 0.15);
        }
    }

    #[test]
    fn a_scaled_distribution_is_as_wide_for_its_mean() {
        for distribution in all() {
            let scaled = distribution.scaled(1.7);
            assert_relative_eq!(scaled.mean(), 1.7 * distribution.mean(), max_relative = 1e-12);
            assert_relative_eq!(scaled.scv(), distribution.scv(), max_relative = 1e-9);
            assert_relative_eq!(scaled.survival(3.4), distribution.survival(2.0), max_relative = 1e-12);
        }
    }

    #[test]
    fn moments_of_wanted_distributions_are_the_wanted_ones() {
        for (mean, cv) in [(3.0, 0.7), (0.2, 2.0), (1.0, 1.0)] {
            let log_normal = Distribution::log_normal(mean, cv);
            assert_relative_eq!(log_normal.mean(), mean, max_relative = 1e-12);
            assert_relative_eq!(log_normal.scv(), cv * cv, max_relative = 1e-12);
        }
        let hyper = Distribution::hyper_exponential(1.5, 2.0);
        assert_relative_eq!(hyper.mean(), 1.5, max_relative = 1e-12);
        assert_relative_eq!(hyper.scv(), 4.0, max_relative = 1e-12);
    }

    #[test]
    fn quantile_inverts_survival() {
        for distribution in all().into_iter().skip(1) {
            for p in [0.001, 0.1, 0.5, 0.9, 0.999] {
                let x = distribution.quantile(p);
                let back = 1.0 - distribution.survival(x);
                // An empirical distribution may have an atom at x.
                assert!(back >= p - 1e-9, "{distribution:?} at {p}: {back}");
                assert!(1.0 - distribution.survival(x * (1.0 - 1e-9)) <= p + 1e-6, "{distribution:?} at {p}");
            }
        }
    }
}
