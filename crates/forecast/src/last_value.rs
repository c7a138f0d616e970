//! The last value goes on: the least that any forecaster has to beat.
//!
//! ŷ(t+h) = y(t), quantile q: y(t) + the offset of level q among the past errors y(s) − y(s−ℓ)
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | h | steps ahead | 1 |
//! | ℓ | the horizon bucket of h: the least of 1, 2, 3, 4, 6, 8, 12, 16, 24, … that is no less than h | 1 |
//!
//! How the offsets are taken from the errors is said in `errors.rs` of this crate. A bucket is used once there are as
//! many errors as it is long, and [`ERRORS_MIN`] at least; beyond the longest one, L, its offsets grow by √(h/L), as those of a random
//! walk do. Before the first bucket can be used all quantiles are the last value: nothing is known of the spread yet.
//! Errors are those of the last [`REMEMBERED_SECONDS`].
//!
//! In a gap the last value before it stays; errors with a gap at either end are left out. A sample path continues the
//! last value by the steps y(s+1) − y(s), y(s+2) − y(s+1), … of a stretch of the past that begins anywhere and, where
//! it reaches the present, goes on at the oldest step; so it keeps what correlation there is between steps. A step next
//! to a gap counts as no change.

use std::num::NonZeroU32;

use rand::RngExt;
use tidegate_core::{Calendar, ControllerStream, Forecaster, Paths, Quantiles};

use crate::errors::{ERRORS_MAX, Levels, Offsets, not_negative};
use crate::history::History;

/// How far back errors are taken from: a week.
pub const REMEMBERED_SECONDS: f64 = 7.0 * tidegate_core::SECONDS_PER_DAY;

/// Errors that a set of offsets needs at least.
pub const ERRORS_MIN: usize = 20;

/// The method.
#[derive(Clone, Debug)]
pub struct LastValue {
    history: History,
    spread: Spread,
    chance: Option<ControllerStream>,
}

impl LastValue {
    /// For steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn new(step_seconds: f64) -> Self {
        let history = History::new(step_seconds, REMEMBERED_SECONDS);
        Self { history, spread: Spread::new(), chance: None }
    }
}

impl Forecaster for LastValue {
    fn reset(&mut self, start: Calendar, chance: ControllerStream) {
        self.history.reset(start);
        self.spread.clear();
        self.chance = Some(chance);
    }

    fn observe(&mut self, value: Option<f64>) {
        self.history.push(value);
    }

    fn refit(&mut self) {
        self.spread.refit(&self.history);
    }

    fn forecast(&self, horizon: NonZeroU32, into: &mut Quantiles) {
        into.values.clear();
        let Some(newest) = self.history.newest() else { return };
        into.values.extend((1..=horizon.get()).map(|ahead| self.spread.about(newest, ahead)));
    }

    fn paths(&mut self, horizon: NonZeroU32, into: &mut Paths) {
        into.values.clear();
        let Some(newest) = self.history.newest() else { return };
        for _ in 0..into.n_paths {
            go_on(&self.history, newest, horizon, self.chance.as_mut(), &mut into.values);
        }
    }

    fn method(&self) -> &'static str {
        if self.history.newest().is_some() { "last value" } else { "nothing seen" }
    }
}

/// Offsets of each horizon bucket.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    /// (ℓ, offsets), rising; only those that can be used.
    buckets: Vec<(u64, Offsets)>,
    scratch: Vec<f64>,
}

impl Spread {
    pub(crate) fn new() -> Self {
        // As many buckets as there can be, so that a refit does not allocate.
        Self { buckets: Vec::with_capacity(128), scratch: Vec::with_capacity(ERRORS_MAX + 1) }
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.clear();
    }

    pub(crate) fn refit(&mut self, history: &History) {
        self.buckets.clear();
        let (first, end) = (history.first(), history.n_steps());
        // Longer horizons than a day are left to the random walk: too few errors are independent of each other.
        let most = history.steps_in(tidegate_core::SECONDS_PER_DAY).max(1);
        for lag in lags().take_while(|lag| *lag <= most && first + 2 * lag <= end) {
            let error = |step: u64| Some(history.get(step)? - history.get(step.checked_sub(lag)?)?);
            let offsets = Offsets::of(first + lag, end, &mut self.scratch, error);
            if offsets.n_errors >= ERRORS_MIN {
                self.buckets.push((lag, offsets));
            }
        }
    }

    pub(crate) fn about(&self, newest: f64, ahead: u32) -> Levels {
        let (offsets, factor) = self.offsets(ahead);
        offsets.about(newest, factor)
    }

    /// About a point forecast of another method, whose bias is not the last value's.
    pub(crate) fn centred_about(&self, point: f64, ahead: u32) -> Levels {
        let (offsets, factor) = self.offsets(ahead);
        offsets.centred().about(point, factor)
    }

    /// Those of the horizon's bucket, and how much wider they are to be; without any bucket, no spread.
    fn offsets(&self, ahead: u32) -> (Offsets, f64) {
        let ahead = u64::from(ahead);
        let fitting = self.buckets.iter().find(|(lag, _)| *lag >= ahead);
        fitting.or(self.buckets.last()).map_or((Offsets::default(), 1.0), |(lag, offsets)| {
            (*offsets, (ahead as f64 / *lag as f64).sqrt().max(1.0))
        })
    }
}

/// 1, 2, 3, 4, 6, 8, 12, 16, …
pub(crate) fn lags() -> impl Iterator<Item = u64> {
    std::iter::once(1).chain((0..60_u32).flat_map(|octave| [2 << octave, 3 << octave]))
}

/// Appends one path that goes on from the newest value as some stretch of the past did.
pub(crate) fn go_on(
    history: &History,
    newest: f64,
    horizon: NonZeroU32,
    chance: Option<&mut ControllerStream>,
    into: &mut Vec<f64>,
) {
    let (first, end) = (history.first(), history.n_steps());
    // Steps between neighbours: the first has none before it.
    let n_moves = (end - first).saturating_sub(1);
    let begin = chance.filter(|_| n_moves > 0).map_or(0, |chance| chance.0.random_range(0..n_moves));
    let mut value = newest;
    for ahead in 0..u64::from(horizon.get()) {
        if n_moves > 0 {
            let step = first + 1 + (begin + ahead) % n_moves;
            let moved = history.get(step).zip(history.get(step - 1)).map_or(0.0, |(to, from)| to - from);
            value += moved;
        }
        into.push(not_negative(value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{
        Ar1, History as Values, covered, forecast, never_wrong, reset, values_of_all_kinds,
    };

    #[test]
    fn what_does_not_change_is_forecast_exactly() {
        let mut forecaster = LastValue::new(60.0);
        reset(&mut forecaster);
        assert_eq!(forecaster.method(), "nothing seen");
        assert!(forecast(&mut forecaster, 3).values.is_empty());
        for _ in 0..50 {
            forecaster.observe(Some(7.5));
            forecaster.observe(None);
        }
        for values in forecast(&mut forecaster, 200).values {
            assert_eq!(values, [7.5; 9]);
        }
        assert_eq!(forecaster.method(), "last value");
    }

    /// A straight line: every error at lag ℓ is ℓ times the slope, so the median is the line itself at a bucket.
    #[test]
    fn a_steady_trend_is_a_bias_that_is_corrected() {
        let mut forecaster = LastValue::new(60.0);
        reset(&mut forecaster);
        for step in 0..200 {
            forecaster.observe(Some(3.0 * f64::from(step)));
        }
        let quantiles = forecast(&mut forecaster, 64);
        for ahead in [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64] {
            assert_eq!(quantiles.median(ahead - 1), 3.0 * (199.0 + ahead as f64), "{ahead} ahead");
        }
    }

    /// A random walk: the offsets grow as √h, in the buckets and beyond them.
    #[test]
    fn the_spread_of_a_random_walk_grows_with_the_root_of_the_horizon() {
        let mut forecaster = LastValue::new(3600.0);
        reset(&mut forecaster);
        let mut noise = Ar1::new(0.0, 1.0, 3);
        let mut level = 1000.0;
        for _ in 0..160 {
            level += noise.draw();
            forecaster.observe(Some(level));
        }
        let quantiles = forecast(&mut forecaster, 96);
        let width = |ahead: usize| quantiles.values[ahead - 1][7] - quantiles.values[ahead - 1][1];
        assert!((2.5..4.5).contains(&width(1)), "a standard normal step: 3.29, not {}", width(1));
        approx::assert_relative_eq!(
            quantiles.values[95][7] - level,
            2.0 * (quantiles.values[23][7] - level),
            max_relative = 1e-12
        );
    }

    /// 2000 origins; the errors overlap, so the bounds are wider than those of a binomial.
    #[test]
    fn the_ninety_percent_interval_covers_ninety_percent() {
        for (ahead, least, most) in [(1, 0.87, 0.93), (4, 0.86, 0.94), (16, 0.84, 0.96)] {
            let mut noise = Ar1::new(0.9, 1.0, 11);
            let share = covered(&mut LastValue::new(60.0), 500, 2000, ahead, |_| 50.0 + noise.draw());
            assert!((least..=most).contains(&share), "{ahead} ahead: {share}");
        }
    }

    #[test]
    fn a_path_is_the_past_gone_on() {
        let mut forecaster = LastValue::new(60.0);
        reset(&mut forecaster);
        for step in 0..100_u32 {
            forecaster.observe(Some(f64::from(step % 2)));
        }
        let mut paths = Paths { n_paths: 20, ..Paths::default() };
        forecaster.paths(NonZeroU32::new(5).expect("five"), &mut paths);
        assert_eq!(paths.values.len(), 100);
        // From 1 it goes down and up, or up and down; what would be below 0 is not.
        for path in paths.values.chunks(5) {
            let down = [0.0, 1.0, 0.0, 1.0, 0.0];
            let up = [2.0, 1.0, 2.0, 1.0, 2.0];
            assert!(path == down || path == up, "{path:?}");
        }
        let again = |forecaster: &mut LastValue| {
            let mut paths = Paths { n_paths: 20, ..Paths::default() };
            forecaster.chance = Some(tidegate_core::Seed::training(1).controller(0));
            forecaster.paths(NonZeroU32::new(5).expect("five"), &mut paths);
            paths.values
        };
        assert_eq!(again(&mut forecaster), again(&mut forecaster), "the chance is the controller's");
    }

    proptest! {
        #[test]
        fn whatever_it_saw_its_answer_is_in_order(values in values_of_all_kinds(), horizon in 1..300_u32) {
            never_wrong(&mut LastValue::new(600.0), &values as &Values, horizon);
        }
    }
}
