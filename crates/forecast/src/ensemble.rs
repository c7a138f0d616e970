//! Several methods in one: weighted by how they did in the past, or their median.
//!
//! ŷ(t+h) = Σₘ wₘ ŷₘ(t+h), wₘ ∝ Eₘ^−[`POWER`]; or the median of ŷₘ(t+h)
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | Eₘ | mean absolute error of member m in the bucket of h, from rolling origins; an error counts half after [`HALF_LIFE_SECONDS`] | that of the values |
//!
//! A member whose error is more than [`DROPPED_AT`] times that of the best has no weight, and neither has one with fewer
//! than [`ERRORS_MIN`] errors in the bucket, as long as others have them; before any has, the fitted ones count alike. Weights
//! that fall with a power of the error go from the mean (power 0) to the best member alone; Bates and Granger, "The combination of
//! forecasts", Operational Research Quarterly 20, 1969, have power 2 for independent errors. Errors of forecasters of
//! one series are far from independent, so the power is higher here. The median needs no errors and is not moved by one bad member.
//!
//! Errors are out of sample as in [`crate::calibrated`]: a fit is scored on what came after it, before it is renewed;
//! the first time, fits to the first two thirds are scored on the last. Quantiles and paths come from the combination's
//! own errors, not from the members'. A member is fitted once a refit at most, and no more often than its
//! [`Point::refit_seconds`]; when errors are taken anew (as often as the history has doubled) three times.

use tidegate_core::SECONDS_PER_DAY;

use crate::calibrated::Calibrated;
use crate::forest::Forest;
use crate::fourier::Fourier;
use crate::history::History;
use crate::holt_winters::HoltWinters;
use crate::last_value::ERRORS_MIN;
use crate::linear::Linear;
use crate::mstl::Mstl;
use crate::naive::Naive;
use crate::neural::Neural;
use crate::point::{BoxedPoint, Guess, Point, is_due};
use crate::rolling::{Issued, Rolling};

/// How sharply weights fall with the error.
pub const POWER: f64 = 6.0;

/// Members with so many times the best one's error are left out.
pub const DROPPED_AT: f64 = 1.5;

/// After this an error counts half.
pub const HALF_LIFE_SECONDS: f64 = 3.0 * SECONDS_PER_DAY;

/// The method.
pub struct Ensemble {
    members: Vec<Member>,
    combination: Combination,
    /// Known once there is a history.
    rolling: Option<Rolling>,
    /// Member by member, then bucket by bucket.
    weights: Vec<Vec<f64>>,
    fitted_until: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Combination {
    Weighted,
    Median,
}

struct Member {
    point: BoxedPoint,
    fitted_at: u64,
    issued: Issued,
    losses: Vec<Loss>,
}

/// A mean of absolute errors that forgets.
#[derive(Clone, Copy, Debug, Default)]
struct Loss {
    sum: f64,
    weight: f64,
    n_errors: usize,
}

impl Ensemble {
    /// Weighted by past errors.
    ///
    /// # Panics
    /// Without members.
    pub fn weighted(members: Vec<BoxedPoint>) -> Self {
        Self::new(members, Combination::Weighted)
    }

    /// The median of the members.
    ///
    /// # Panics
    /// Without members.
    pub fn median(members: Vec<BoxedPoint>) -> Self {
        Self::new(members, Combination::Median)
    }

    /// The methods of this crate that are fitted within a tenth of a second: seasonal naive by day and week, linear, Fourier,
    /// Holt–Winters.
    pub(crate) fn quick_members() -> Vec<BoxedPoint> {
        vec![
            Box::new(Naive::day()),
            Box::new(Naive::week()),
            Box::new(Linear::new()),
            Box::new(Fourier::new()),
            Box::new(HoltWinters::day()),
        ]
    }

    /// All methods of this crate: the last value, which is hard to beat one step ahead, the quick ones, MSTL, the forest, and the
    /// network.
    pub fn all_members() -> Vec<BoxedPoint> {
        let mut members: Vec<BoxedPoint> = vec![Box::new(Naive::last_value())];
        members.extend(Self::quick_members());
        members.push(Box::new(Mstl::new()));
        members.push(Box::new(Forest::default()));
        members.push(Box::new(Neural::default()));
        members
    }

    /// A forecaster by this method, for steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn forecaster(self, step_seconds: f64) -> Calibrated<Self> {
        Calibrated::new(step_seconds, self)
    }

    /// Weights of the members, in their order, for forecasts so many steps ahead; 0 for those that are not fitted.
    pub fn weights(&self, ahead: u32) -> Vec<f64> {
        let bucket = self.rolling.as_ref().map_or(0, |rolling| rolling.bucket(ahead));
        self.weights.iter().map(|weights| weights.get(bucket).copied().unwrap_or(0.0)).collect()
    }

    fn new(members: Vec<BoxedPoint>, combination: Combination) -> Self {
        assert!(!members.is_empty(), "an ensemble has members");
        let member = |point| Member { point, fitted_at: 0, issued: Issued::default(), losses: Vec::new() };
        let members: Vec<Member> = members.into_iter().map(member).collect();
        Self {
            weights: vec![Vec::new(); members.len()],
            members,
            combination,
            rolling: None,
            fitted_until: 0,
        }
    }

    fn weigh(&mut self, n_buckets: usize) {
        for bucket in 0..n_buckets {
            let fitted = |member: &Member| !member.point.name().is_empty();
            let mean = |member: &Member| {
                let loss = member.losses[bucket];
                (fitted(member) && loss.n_errors >= ERRORS_MIN).then(|| loss.sum / loss.weight)
            };
            let best = self.members.iter().filter_map(mean).fold(f64::INFINITY, f64::min);
            let raw: Vec<f64> = self
                .members
                .iter()
                .map(|member| match mean(member) {
                    _ if best.is_infinite() => f64::from(u8::from(fitted(member))),
                    Some(mean) if mean <= best => 1.0,
                    Some(mean) if mean <= DROPPED_AT * best => (best / mean).powf(POWER),
                    _ => 0.0,
                })
                .collect();
            let sum: f64 = raw.iter().sum();
            for (weights, raw) in self.weights.iter_mut().zip(raw) {
                weights[bucket] = if sum > 0.0 { raw / sum } else { 0.0 };
            }
        }
    }
}

impl Member {
    fn is_fitted(&self) -> bool {
        !self.point.name().is_empty()
    }
}

impl Loss {
    fn add(&mut self, error: f64, kept: f64) {
        *self = Self {
            sum: kept * self.sum + error.abs(),
            weight: kept * self.weight + 1.0,
            n_errors: self.n_errors + 1,
        };
    }
}

impl Point for Ensemble {
    fn name(&self) -> &'static str {
        let mut fitted = self.members.iter().filter(|member| member.is_fitted());
        // One alone is no ensemble.
        match (fitted.next(), fitted.next(), self.combination) {
            (None, ..) => "",
            (Some(only), None, _) => only.point.name(),
            (_, _, Combination::Weighted) => "ensemble, weighted",
            (_, _, Combination::Median) => "ensemble, median",
        }
    }

    fn remembered_seconds(&self) -> f64 {
        self.members.iter().map(|member| member.point.remembered_seconds()).fold(0.0, f64::max)
    }

    fn reset(&mut self, seed: u64) {
        for (index, member) in (0..).zip(&mut self.members) {
            // Each its own chance, so that two of a kind differ.
            member.point.reset(seed.wrapping_add(index));
            member.fitted_at = 0;
        }
        (self.rolling, self.fitted_until) = (None, 0);
    }

    fn fit(&mut self, history: &History, end: u64) {
        let first = history.first_seen();
        let is_first = self.rolling.is_none() || !self.members.iter().any(Member::is_fitted);
        let is_anew = is_first || end <= self.fitted_until;
        let rolling = self.rolling.get_or_insert_with(|| Rolling::new(history)).clone();
        let n_buckets = rolling.aheads.len();
        let kept = 0.5_f64.powf(rolling.stride as f64 * history.step_seconds() / HALF_LIFE_SECONDS);
        let split = first + end.saturating_sub(first) * 2 / 3;
        for member in &mut self.members {
            if is_anew {
                member.losses = vec![Loss::default(); n_buckets];
                member.point.fit(history, split);
            }
            let is_fitted = member.is_fitted();
            let (losses, point) = (&mut member.losses, &member.point);
            let add = |bucket: usize, guess: Guess, value: f64| losses[bucket].add(value - guess.point, kept);
            match (is_fitted, is_anew) {
                (true, true) => rolling.over(point, history, split, end, add),
                (true, false) => member.issued.advance(&rolling, point, history, end, add),
                (false, _) => {}
            }
            if is_anew || !is_fitted {
                member.issued.restart(end);
            }
            if is_anew || is_due(&member.point, history, member.fitted_at, end) {
                member.point.fit(history, end);
                member.fitted_at = end;
            }
        }
        self.fitted_until = end;
        self.weights.iter_mut().for_each(|weights| weights.resize(n_buckets, 0.0));
        self.weigh(n_buckets);
    }

    fn earliest_origin(&self, history: &History) -> u64 {
        let fitted = self.members.iter().filter(|member| member.is_fitted());
        fitted.map(|member| member.point.earliest_origin(history)).max().unwrap_or(history.n_steps())
    }

    fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    ) {
        let Some(rolling) = &self.rolling else { return };
        let n_aheads = aheads.len();
        let used = |(member, weights): &(&Member, &Vec<f64>)| match self.combination {
            Combination::Weighted => weights.iter().any(|weight| *weight > 0.0),
            Combination::Median => member.is_fitted(),
        };
        let used: Vec<_> = self.members.iter().zip(&self.weights).filter(used).collect();
        let mut forecasts = vec![0.0; used.len() * origins.len() * n_aheads];
        for ((member, _), place) in used.iter().zip(forecasts.chunks_mut((origins.len() * n_aheads).max(1))) {
            member.point.forecast(history, origins, aheads, &mut |index, forecast| {
                place[index * n_aheads..][..n_aheads].copy_from_slice(forecast);
            });
        }
        let buckets: Vec<usize> = aheads.iter().map(|ahead| rolling.bucket(*ahead)).collect();
        let mut combined = vec![0.0; n_aheads];
        let mut of_members = Vec::with_capacity(used.len());
        for origin in 0..origins.len() {
            for (ahead, combined) in combined.iter_mut().enumerate() {
                let of = |member: usize| forecasts[(member * origins.len() + origin) * n_aheads + ahead];
                *combined = match self.combination {
                    Combination::Weighted => used
                        .iter()
                        .enumerate()
                        .map(|(member, (_, weights))| weights[buckets[ahead]] * of(member))
                        .sum(),
                    Combination::Median => {
                        of_members.clear();
                        of_members.extend((0..used.len()).map(of));
                        of_members.sort_unstable_by(f64::total_cmp);
                        let middle = used.len() / 2;
                        f64::midpoint(of_members[middle], of_members[(used.len() - 1) / 2])
                    }
                };
            }
            each(origin, &combined);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tidegate_core::{Forecaster, Quantiles};

    use super::*;
    use crate::testing::{Ar1, forecast, reset};

    /// Says always the same.
    struct Constant(f64);

    impl Point for Constant {
        fn name(&self) -> &'static str {
            "constant"
        }

        fn remembered_seconds(&self) -> f64 {
            SECONDS_PER_DAY
        }

        fn reset(&mut self, _: u64) {}

        fn fit(&mut self, _: &History, _: u64) {}

        fn earliest_origin(&self, history: &History) -> u64 {
            history.first_seen()
        }

        fn forecast(
            &self,
            _: &History,
            origins: &[u64],
            aheads: &[u32],
            each: &mut dyn FnMut(usize, &[f64]),
        ) {
            let forecast = vec![self.0; aheads.len()];
            (0..origins.len()).for_each(|index| each(index, &forecast));
        }
    }

    fn constants(of: &[f64]) -> Vec<BoxedPoint> {
        of.iter().map(|value| Box::new(Constant(*value)) as BoxedPoint).collect()
    }

    fn fed(ensemble: Ensemble, value: f64) -> Calibrated<Ensemble> {
        let mut forecaster = ensemble.forecaster(3600.0);
        reset(&mut forecaster);
        for step in 0..20 * 24 {
            forecaster.observe(Some(value));
            if step % 24 == 23 {
                forecaster.refit();
            }
        }
        forecaster
    }

    /// Errors of 10, 12, 14 and 40 of a constant: 1, (10/12)⁶ and (10/14)⁶ over their sum, and nothing for the last.
    #[test]
    fn weights_fall_with_a_power_of_the_error() {
        let forecaster = fed(Ensemble::weighted(constants(&[110.0, 88.0, 114.0, 60.0])), 100.0);
        let weights = forecaster.point().weights(1);
        let raw = [1.0, (10.0_f64 / 12.0).powi(6), (10.0_f64 / 14.0).powi(6), 0.0];
        let sum: f64 = raw.iter().sum();
        for (weight, raw) in weights.iter().zip(raw) {
            approx::assert_relative_eq!(*weight, raw / sum, max_relative = 1e-9);
        }
    }

    /// The median of an odd and an even number; its own errors take the bias out of the quantiles.
    #[test]
    fn the_median_is_in_the_middle_and_calibrated() {
        for (members, middle) in [(vec![90.0, 300.0, 120.0], 120.0), (vec![90.0, 300.0, 120.0, 130.0], 125.0)]
        {
            let mut forecaster = fed(Ensemble::median(constants(&members)), 100.0);
            let mut points = Vec::new();
            let history = History::new(3600.0, 1.0);
            forecaster.point().forecast(&history, &[0], &[1, 24], &mut |_, forecast| {
                points.extend_from_slice(forecast);
            });
            assert_eq!(points, [middle; 2]);
            assert_eq!(forecast(&mut forecaster, 24).median(23), 100.0);
        }
    }

    /// With a season that one member knows, the ensemble stays near that member over the next day: 5.2 % above it,
    /// as the naive day takes its share.
    #[test]
    fn it_stays_near_its_best_member() {
        let mean_error = |members: Vec<BoxedPoint>| {
            let mut forecaster = Ensemble::weighted(members).forecaster(3600.0);
            reset(&mut forecaster);
            let mut noise = Ar1::new(0.3, 5.0, 17);
            let value = |step: u64| 100.0 + 50.0 * (std::f64::consts::TAU * step as f64 / 24.0).sin();
            let values: Vec<f64> = (0..30 * 24).map(|step| value(step) + noise.draw()).collect();
            let mut quantiles = Quantiles::default();
            let (mut error, mut n) = (0.0, 0.0);
            for (step, seen) in values.iter().enumerate() {
                forecaster.observe(Some(*seen));
                if step % 12 == 0 {
                    forecaster.refit();
                }
                if step >= 14 * 24 && step + 24 < values.len() {
                    forecaster.forecast(NonZeroU32::new(24).expect("a day"), &mut quantiles);
                    error += (0..24)
                        .map(|ahead| (quantiles.median(ahead) - values[step + 1 + ahead]).abs())
                        .sum::<f64>();
                    n += 24.0;
                }
            }
            error / n
        };
        let best = mean_error(vec![Box::new(Fourier::new())]);
        let all = || -> Vec<BoxedPoint> {
            vec![
                Box::new(Naive::last_value()),
                Box::new(Naive::day()),
                Box::new(Fourier::new()),
                Box::new(Linear::new()),
            ]
        };
        let ensemble = mean_error(all());
        assert!(ensemble < 1.06 * best, "{ensemble}, the best {best}");
    }
}
