//! The dominant periods, each as the low frequencies of its mean cycle, on the level of the last day.
//!
//! `ŷ(t+h) = level(t) + Σ_P s_P(t+h)`
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | P | periods of `periods.rs` of this crate: up to [`PERIODS_MAX`], the day first, then by falling power | steps |
//! | `s_P` | mean of each phase of P over all cycles of what the periods before leave, less its mean, low-passed | |
//! | level | mean of `y − Σ s_P` over the day before t, or over the longest period below it | |
//!
//! Low-pass: of the cycle's harmonics the first [`HARMONICS_MAX`] stay, and of those the ones whose power is above
//! [`POWER_RATIO`] times what noise would have: the variance within a phase over the number of cycles (a harmonic of
//! noise exceeds that by a chance of e⁻⁴). Crane's predictor (`pkg/prediction/dsp`) has the same parts: gaps filled,
//! outliers clipped at [`CLIPPED_SHARE`] from either end, candidates by FFT above a shuffled background, hills of the
//! autocorrelation, low-pass reconstruction; Scryer had "FFT based smoothing" (Netflix technology blog, December 2013).
//! Here the level moves with the last day, the trend is not carried on, and any period counts, not the day and the week
//! only. Periods are steps of elapsed time: at a change of daylight saving the shape is an hour off until it is refitted
//! to enough days after it.
//!
//! Where no period is confirmed (among them all histories shorter than two of them) the level stands alone.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;
use tidegate_core::SECONDS_PER_DAY;

use crate::calibrated::Calibrated;
use crate::history::History;
use crate::periods::periods;
use crate::point::Point;
use crate::seasons::Seasons;

/// History that is looked at.
pub const REMEMBERED_SECONDS: f64 = 14.0 * SECONDS_PER_DAY;

/// Periods at most.
pub const PERIODS_MAX: usize = 3;

/// Harmonics of a period at most: half an hour of a day.
pub const HARMONICS_MAX: usize = 48;

/// A harmonic that stays has so many times the power of noise.
pub const POWER_RATIO: f64 = 4.0;

/// Share of the values at each end that counts as outliers.
pub const CLIPPED_SHARE: f64 = 0.001;

/// The method.
#[derive(Clone, Debug, Default)]
pub struct Fourier {
    seed: u64,
    seasons: Option<Seasons>,
}

impl Fourier {
    /// The method, not fitted yet.
    pub const fn new() -> Self {
        Self { seed: 0, seasons: None }
    }

    /// A forecaster by this method, for steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn forecaster(step_seconds: f64) -> Calibrated<Self> {
        Calibrated::new(step_seconds, Self::new())
    }

    /// The confirmed periods in steps: the day, if it is one, then by falling power.
    pub fn periods(&self) -> impl Iterator<Item = usize> + '_ {
        self.seasons.iter().flat_map(|seasons| seasons.shapes.iter().map(Vec::len))
    }
}

impl Point for Fourier {
    fn name(&self) -> &'static str {
        self.seasons.as_ref().map_or("", |seasons| seasons.name)
    }

    fn remembered_seconds(&self) -> f64 {
        REMEMBERED_SECONDS
    }

    fn reset(&mut self, seed: u64) {
        *self = Self { seed, seasons: None };
    }

    fn fit(&mut self, history: &History, end: u64) {
        let first = history.recent(end, REMEMBERED_SECONDS);
        self.seasons = None;
        if end <= first + 1 {
            return;
        }
        let mut values = history.filled(first, end);
        clip(&mut values);
        let day = history.steps_a_day();
        let mut chance = ChaCha8Rng::seed_from_u64(self.seed);
        let mut found = periods(&values, &[day, 7 * day], PERIODS_MAX, &mut chance);
        // The strongest first, as a weaker one may be an echo of it; but a week must not take the day with it.
        found.sort_by_key(|period| *period != day);
        let longest_below = found.iter().copied().filter(|period| *period <= day).max();
        let level_steps = longest_below.unwrap_or(day);
        let name = match (found.is_empty(), found.contains(&day), found.contains(&(7 * day))) {
            (true, ..) => "Fourier, no period: level",
            (_, true, true) => "Fourier, day and week",
            (_, true, false) => "Fourier, day",
            (_, false, true) => "Fourier, week",
            _ => "Fourier",
        };
        // Periods need a series without holes; a mean cycle does not, and what stood in is not to count in it.
        for (step, value) in (first..end).zip(&mut values) {
            if history.get(step).is_none() {
                *value = f64::NAN;
            }
        }
        let mut planner = FftPlanner::new();
        let shapes =
            found.into_iter().map(|period| shape(&mut values, first, period, &mut planner)).collect();
        self.seasons = Some(Seasons { name, shapes, level_steps });
    }

    fn earliest_origin(&self, history: &History) -> u64 {
        history.first_seen() + 1
    }

    fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    ) {
        if let Some(seasons) = &self.seasons {
            seasons.forecast(history, origins, aheads, each);
        }
    }
}

/// Values beyond the quantiles are those quantiles.
fn clip(values: &mut [f64]) {
    let mut sorted = values.to_vec();
    let n_clipped = (CLIPPED_SHARE * values.len() as f64).ceil() as usize;
    let (low, high) = (n_clipped.min(values.len() - 1), values.len() - 1 - n_clipped.min(values.len() - 1));
    if low >= high {
        return;
    }
    let low = *sorted.select_nth_unstable_by(low, f64::total_cmp).1;
    let high = *sorted.select_nth_unstable_by(high, f64::total_cmp).1;
    for value in values {
        *value = value.clamp(low, high);
    }
}

/// The low-passed mean cycle, which is taken out of the values. The first of them is of step `first`.
fn shape(values: &mut [f64], first: u64, period: usize, planner: &mut FftPlanner<f64>) -> Vec<f64> {
    let offset = (first % period as u64) as usize;
    let mut phases = vec![(0.0, 0.0, 0.0); period];
    let mut phase = offset;
    for value in values.iter() {
        if !value.is_nan() {
            let (sum, squares, n) = &mut phases[phase];
            (*sum, *squares, *n) = (*sum + value, *squares + value * value, *n + 1.0);
        }
        phase = if phase + 1 == period { 0 } else { phase + 1 };
    }
    let seen = || phases.iter().filter(|(.., n)| *n > 0.0);
    let n_seen: f64 = seen().map(|(.., n)| n).sum();
    let within: f64 = seen().map(|(sum, squares, n)| (squares - sum * sum / n).max(0.0)).sum();
    let variance = within / (n_seen - seen().count() as f64).max(1.0);
    let n_cycles = n_seen / period as f64;
    let noise = variance / n_cycles * period as f64;

    // A phase that was never seen is as the mean of all.
    let mean = seen().map(|(sum, ..)| sum).sum::<f64>() / n_seen;
    let mean_of = |(sum, _, n): &(f64, f64, f64)| if *n > 0.0 { sum / n } else { mean };
    let mut cycle: Vec<_> = phases.iter().map(|phase| Complex::new(mean_of(phase), 0.0)).collect();
    planner.plan_fft_forward(period).process(&mut cycle);
    let zero = Complex::default();
    cycle[0] = zero;
    for k in 1..=period / 2 {
        if k > HARMONICS_MAX || cycle[k].norm_sqr() <= POWER_RATIO * noise {
            (cycle[k], cycle[period - k]) = (zero, zero);
        }
    }
    planner.plan_fft_inverse(period).process(&mut cycle);
    let shape: Vec<f64> = cycle.iter().map(|value| value.re / period as f64).collect();
    for (value, fitted) in values.iter_mut().zip(shape.iter().cycle().skip(offset)) {
        *value -= fitted;
    }
    shape
}

#[cfg(test)]
mod tests {
    use tidegate_core::Forecaster;

    use super::*;
    use crate::testing::{Ar1, reset};

    fn value(step: u64, day: u64) -> f64 {
        let at = |period: u64| std::f64::consts::TAU * step as f64 / period as f64;
        200.0 + 60.0 * at(day).sin() + 20.0 * (3.0 * at(day)).cos() + 30.0 * at(7 * day).sin()
    }

    fn fed(step_seconds: f64, mut value: impl FnMut(u64) -> Option<f64>) -> Calibrated<Fourier> {
        let mut forecaster = Fourier::forecaster(step_seconds);
        reset(&mut forecaster);
        let n_steps = (REMEMBERED_SECONDS / step_seconds) as u64;
        (0..n_steps).for_each(|step| forecaster.observe(value(step)));
        forecaster.refit();
        forecaster
    }

    /// Points, not quantiles: those know the errors of a fit to nine days, which cannot know the week.
    fn next_day(forecaster: &Calibrated<Fourier>, first: u64, day: u64) -> Vec<f64> {
        let mut points = Vec::new();
        let aheads: Vec<u32> = (1..=day as u32).collect();
        let history = forecaster.history();
        assert_eq!(history.n_steps(), first);
        forecaster
            .point()
            .forecast(history, &[first], &aheads, &mut |_, forecast| points.extend_from_slice(forecast));
        points
    }

    fn mean_error(points: &[f64], first: u64, day: u64) -> f64 {
        let error = |(step, point): (u64, &f64)| (point - value(step, day)).abs();
        (first..).zip(points).map(error).sum::<f64>() / points.len() as f64
    }

    /// Day, third of a day and week, without noise: clipping the highest tide is all that is lost.
    #[test]
    fn a_day_and_a_week_come_back() {
        for (step_seconds, day) in [(3600.0, 24), (300.0, 288)] {
            let forecaster = fed(step_seconds, |step| Some(value(step, day)));
            assert_eq!(forecaster.point().periods().collect::<Vec<_>>(), [day as usize, 7 * day as usize]);
            let error = mean_error(&next_day(&forecaster, 14 * day, day), 14 * day, day);
            assert!(error < 1.0, "{step_seconds}: {error}");
        }
    }

    /// With noise, a gap of half a day and outliers of two hundred standard deviations: off by less than one.
    #[test]
    fn gaps_and_outliers_do_not_matter() {
        let mut noise = Ar1::new(0.0, 5.0, 12);
        let forecaster = fed(300.0, |step| {
            let outlier = if step % 1500 == 700 { 1000.0 } else { 0.0 };
            (!(2000..2144).contains(&step)).then(|| value(step, 288) + noise.draw() + outlier)
        });
        assert_eq!(forecaster.method(), "Fourier, day and week");
        let error = mean_error(&next_day(&forecaster, 14 * 288, 288), 14 * 288, 288);
        assert!(error < 5.0, "{error}");
    }
}
