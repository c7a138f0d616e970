//! Quantiles from a method's own errors, whose levels are corrected by how often they were right.
//!
//! offset of level q = e₍a₎, the order statistic at level a of the newest errors; after each error e
//!
//! a ← a + γ (q − \[e ≤ offset\])
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | q | level that is wanted; a starts there | 1 |
//! | a | level that is used | 1 |
//! | γ | rate: [`RATE_PER_DAY`] over the errors of one day | 1 |
//!
//! This is adaptive conformal inference (Gibbs and Candès, "Adaptive conformal inference under distribution shift",
//! NIPS 34, 2021, eq. 2), for each quantile by itself as in Angelopoulos, Candès and Tibshirani, "Conformal PID control
//! for time series prediction", NIPS 36, 2023, rather than for an interval. Where e rises or falls for good, the share
//! of values at or below the quantile comes back to q, whatever the errors are: the sum of q − \[e ≤ offset\] is (a − q)/γ,
//! which is bounded. Split conformal prediction, as in `errors.rs` of this crate, is the case γ = 0.
//!
//! Where it differs: above the level of the largest error, n/(n+1), their formula gives an infinite quantile. Here the
//! offset goes on in a straight line, by the distance from the median error to the largest one for [`BEYOND`] of level,
//! and a is held within [`BEYOND`] of 0 and 1 so that it comes back soon. The median keeps its level:
//! errors of a day ahead come a day late, and a median that chases them corrects a second time what the method itself
//! has corrected by then. Each bucket of horizons has its own errors and levels. The quantiles of one step are put in order at the end (Chernozhukov, Fernández-Val and Galichon,
//! "Quantile and probability curves without crossing", Econometrica 78, 2010): sorting never makes them worse.

use tidegate_core::Quantiles;

use crate::errors::{ERRORS_MAX, Levels, not_negative};

/// γ times the errors of a day: a day of misses moves a level from end to end.
pub const RATE_PER_DAY: f64 = 1.0;

/// The rate is no higher, however few errors a day has.
const RATE_MAX: f64 = 0.05;

/// How far a level may lie outside 0 and 1.
pub const BEYOND: f64 = 0.02;

/// Errors that are remembered in a bucket: a week of them at one in a quarter of an hour.
const REMEMBERED: usize = 672;

const _: () = assert!(REMEMBERED <= ERRORS_MAX);

/// The errors of one bucket of horizons, and its levels.
#[derive(Clone, Debug)]
pub(crate) struct Adaptive {
    /// A ring, the oldest at `oldest` once it is full.
    errors: Vec<f64>,
    oldest: usize,
    /// The same in order, as of the last [`Adaptive::settle`].
    sorted: Vec<f64>,
    levels: Levels,
    /// Of the levels, as of the last [`Adaptive::settle`].
    offsets: Levels,
    rate: f64,
}

impl Adaptive {
    /// With errors so far apart.
    pub(crate) fn new(seconds_apart: f64) -> Self {
        let rate = (RATE_PER_DAY * seconds_apart / tidegate_core::SECONDS_PER_DAY).min(RATE_MAX);
        Self {
            errors: Vec::with_capacity(REMEMBERED),
            oldest: 0,
            sorted: Vec::with_capacity(REMEMBERED),
            levels: Quantiles::LEVELS,
            offsets: Levels::default(),
            rate,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.errors.clear();
        self.sorted.clear();
        (self.oldest, self.levels, self.offsets) = (0, Quantiles::LEVELS, Levels::default());
    }

    /// As many as offsets come from.
    pub(crate) fn n_errors(&self) -> usize {
        self.sorted.len()
    }

    /// Remembers an error without a say on the levels.
    pub(crate) fn remember(&mut self, error: f64) {
        if self.errors.len() < REMEMBERED {
            self.errors.push(error);
        } else {
            self.errors[self.oldest] = error;
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
    }

    /// Corrects the levels by an error that came, and remembers it.
    pub(crate) fn score(&mut self, error: f64) {
        if !self.sorted.is_empty() {
            for (index, wanted) in Quantiles::LEVELS.iter().enumerate().filter(|(_, level)| **level != 0.5) {
                let is_below = error <= self.offset(self.levels[index]);
                let step = self.rate * (wanted - f64::from(u8::from(is_below)));
                self.levels[index] = (self.levels[index] + step).clamp(-BEYOND, 1.0 + BEYOND);
            }
        }
        self.remember(error);
    }

    /// Takes what was remembered into account.
    pub(crate) fn settle(&mut self) {
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.errors);
        self.sorted.sort_unstable_by(f64::total_cmp);
        if !self.sorted.is_empty() {
            self.offsets = self.levels.map(|level| self.offset(level));
        }
    }

    /// Offsets of the levels from the point forecast; all 0 without errors.
    pub(crate) fn offsets(&self) -> &Levels {
        &self.offsets
    }

    fn offset(&self, level: f64) -> f64 {
        let n_errors = self.sorted.len();
        let order = |position: f64| self.sorted[(position as usize).clamp(1, n_errors) - 1];
        let position = (n_errors as f64 + 1.0) * level;
        // Levels of decimal fractions: 0.95 · 20 is to be 19.
        let (below, above) = (order((position + 1e-9).floor()), order((position - 1e-9).ceil()));
        let median = order(f64::midpoint(n_errors as f64, 1.0));
        let at_most = n_errors as f64 / (n_errors as f64 + 1.0);
        if level < 0.5 {
            let outside = (1.0 - at_most - level).max(0.0) / BEYOND;
            below - outside.min(1.0) * (median - below)
        } else if level > 0.5 {
            let outside = (level - at_most).max(0.0) / BEYOND;
            above + outside.min(1.0) * (above - median)
        } else {
            f64::midpoint(below, above)
        }
    }
}

/// The quantiles about a point forecast, the offsets `factor` times as large: in order, never negative.
pub(crate) fn about(point: f64, factor: f64, offsets: &Levels) -> Levels {
    let mut levels = offsets.map(|offset| not_negative(point + factor * offset));
    levels.sort_unstable_by(f64::total_cmp);
    levels
}

/// The quantile of any level: in straight lines between the levels, and on in the same slope outside.
pub(crate) fn quantile(levels: &Levels, level: f64) -> f64 {
    let known = Quantiles::LEVELS;
    let right = known.partition_point(|known| *known < level).clamp(1, known.len() - 1);
    let share = (level - known[right - 1]) / (known[right] - known[right - 1]);
    not_negative(levels[right - 1] + share * (levels[right] - levels[right - 1]))
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};
    use tidegate_core::{Seed, Stream};

    use super::*;

    fn normal(n: usize) -> impl Iterator<Item = f64> {
        let mut rng = Seed::training(2).rng(Stream::Excitation);
        (0..n).map(move |_| StandardNormal.sample(&mut rng))
    }

    /// With the rate at 0 it is split conformal prediction.
    #[test]
    fn without_a_rate_it_is_split_conformal() {
        let mut adaptive = Adaptive::new(0.0);
        for (index, error) in normal(500).enumerate() {
            adaptive.score(error);
            adaptive.settle();
            let mut scratch = Vec::new();
            let split = crate::errors::Offsets::of(0, index as u64 + 1, &mut scratch, |step| {
                Some(adaptive.errors[step as usize])
            });
            // From 100 errors on all levels but the outermost have an error beyond them.
            if index > 100 {
                assert_eq!(about(1000.0, 1.0, adaptive.offsets()), split.about(1000.0, 1.0));
            }
        }
    }

    /// Errors jump by five standard deviations, and stay there or come back: the shares below each level, counted from
    /// there on, are off by no more than the room of the level over its rate, as eq. 4 of Gibbs and Candès says. The median
    /// is that of the newest errors.
    #[test]
    fn the_share_below_each_level_comes_back() {
        for shift in [-5.0, 0.0, 5.0, 50.0] {
            let mut adaptive = Adaptive::new(900.0);
            let mut below = [0.0; 9];
            let n_after = 960;
            for (index, error) in normal(672 + n_after).enumerate() {
                let error = if index < 672 { error } else { error + shift };
                if index >= 672 {
                    let offsets = *adaptive.offsets();
                    for (count, offset) in below.iter_mut().zip(offsets) {
                        *count += f64::from(u8::from(error <= offset));
                    }
                }
                adaptive.score(error);
                adaptive.settle();
            }
            for (count, level) in below.iter().zip(Quantiles::LEVELS).filter(|(_, level)| *level != 0.5) {
                let share = count / n_after as f64;
                assert!((share - level).abs() < 0.06, "{shift}: {share} below {level}");
            }
            let median = adaptive.offsets()[4];
            assert!((median - shift).abs() < 0.15, "{shift}: {median}");
        }
    }

    #[test]
    fn a_quantile_between_levels_lies_on_a_line() {
        let levels = Quantiles::LEVELS.map(|level| 100.0 * level);
        for level in [0.0, 0.005, 0.3, 0.5, 0.77, 0.99, 1.0] {
            approx::assert_relative_eq!(quantile(&levels, level), 100.0 * level, epsilon = 1e-12);
        }
    }
}
