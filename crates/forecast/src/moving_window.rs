//! The quantiles of the last values are those of the coming ones.
//!
//! quantile q of step t+h: y₍⌈(n+1)q⌉₎ above one half, y₍⌊(n+1)q⌋₎ below it, of the n values in the window
//!
//! The order statistics of `errors.rs` of this crate, of the values themselves: as long as values are exchangeable, the
//! coming one lies at or below the quantile of level q > ½ with probability q at least. It knows neither season nor
//! horizon; over a window of some days it is the spread of demand at any time, which is what capacity is planned for
//! without a forecast. At most 1024 values count, thinned out evenly. Gaps are left out.
//!
//! A sample path is a stretch of the window that begins anywhere and goes on at the oldest value where it reaches the
//! present. Over a gap the last value stays, and before the first refit it is the answer.

use std::num::NonZeroU32;

use rand::RngExt;
use tidegate_core::{Calendar, ControllerStream, Forecaster, Paths, Quantiles};

use crate::errors::{ERRORS_MAX, Levels, Offsets};
use crate::history::History;

/// The method.
#[derive(Clone, Debug)]
pub struct MovingWindow {
    history: History,
    /// Of the window; none before the first refit.
    quantiles: Option<Levels>,
    scratch: Vec<f64>,
    chance: Option<ControllerStream>,
}

impl MovingWindow {
    /// For steps of this length, over the values of the last `window_seconds`.
    ///
    /// # Panics
    /// If the step is no positive number.
    pub fn new(step_seconds: f64, window_seconds: f64) -> Self {
        Self {
            history: History::new(step_seconds, window_seconds),
            quantiles: None,
            scratch: Vec::with_capacity(ERRORS_MAX + 1),
            chance: None,
        }
    }
}

impl Forecaster for MovingWindow {
    fn reset(&mut self, start: Calendar, chance: ControllerStream) {
        self.history.reset(start);
        self.quantiles = None;
        self.chance = Some(chance);
    }

    fn observe(&mut self, value: Option<f64>) {
        self.history.push(value);
    }

    fn refit(&mut self) {
        let history = &self.history;
        let of_window =
            Offsets::of(history.first(), history.n_steps(), &mut self.scratch, |step| history.get(step));
        // Through a gap as long as the window the last quantiles stay.
        if of_window.n_errors > 0 {
            self.quantiles = Some(of_window.about(0.0, 1.0));
        }
    }

    fn forecast(&self, horizon: NonZeroU32, into: &mut Quantiles) {
        into.values.clear();
        if let Some(newest) = self.history.newest() {
            let quantiles = self.quantiles.unwrap_or([newest; Quantiles::LEVELS.len()]);
            into.values.resize(horizon.get() as usize, quantiles);
        }
    }

    fn paths(&mut self, horizon: NonZeroU32, into: &mut Paths) {
        into.values.clear();
        let Some(newest) = self.history.newest() else { return };
        let (first, end) = (self.history.first(), self.history.n_steps());
        for _ in 0..into.n_paths {
            let begin = self.chance.as_mut().map_or(0, |chance| chance.0.random_range(0..end - first));
            let mut value = newest;
            for ahead in 0..u64::from(horizon.get()) {
                value = self.history.get(first + (begin + ahead) % (end - first)).unwrap_or(value);
                into.values.push(value);
            }
        }
    }

    fn method(&self) -> &'static str {
        match (self.history.newest(), &self.quantiles) {
            (None, _) => "nothing seen",
            (Some(_), None) => "last value",
            (Some(_), Some(_)) => "moving window",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{
        Ar1, History as Values, covered, forecast, never_wrong, reset, values_of_all_kinds,
    };

    /// Nineteen values 1 … 19 in the window, any before it: the positions are 20 q.
    #[test]
    fn the_quantiles_are_order_statistics_of_the_window() {
        let mut forecaster = MovingWindow::new(60.0, 19.0 * 60.0);
        reset(&mut forecaster);
        for value in [900.0, 800.0].into_iter().chain((1..=19).map(|step| f64::from(step * 7 % 20))) {
            forecaster.observe(Some(value));
        }
        for values in forecast(&mut forecaster, 5).values {
            assert_eq!(values, [1.0, 1.0, 2.0, 5.0, 10.0, 15.0, 18.0, 19.0, 19.0]);
        }
    }

    #[test]
    fn the_ninety_percent_interval_covers_ninety_percent() {
        for ahead in [1, 50] {
            let mut noise = Ar1::new(0.0, 5.0, 13);
            let share = covered(&mut MovingWindow::new(60.0, 500.0 * 60.0), 500, 2000, ahead, |_| {
                50.0 + noise.draw()
            });
            assert!((0.87..0.93).contains(&share), "{ahead} ahead: {share}");
        }
    }

    /// Nothing, then the last value, then the window: never a zero that nobody saw.
    #[test]
    fn before_the_first_refit_the_last_value_answers() {
        let mut forecaster = MovingWindow::new(60.0, 600.0);
        reset(&mut forecaster);
        assert_eq!(forecaster.method(), "nothing seen");
        for value in [3.0, 7.0] {
            forecaster.observe(Some(value));
        }
        let mut quantiles = Quantiles::default();
        forecaster.forecast(NonZeroU32::new(2).expect("two"), &mut quantiles);
        assert_eq!((forecaster.method(), quantiles.values), ("last value", vec![[7.0; 9]; 2]));
        forecaster.refit();
        assert_eq!(forecaster.method(), "moving window");
    }

    /// A stretch of the window, as it was.
    #[test]
    fn a_path_is_a_stretch_of_the_window() {
        let mut forecaster = MovingWindow::new(60.0, 10.0 * 60.0);
        reset(&mut forecaster);
        (0..25).for_each(|step| forecaster.observe(Some(f64::from(step))));
        let mut paths = Paths { n_paths: 50, ..Paths::default() };
        forecaster.paths(NonZeroU32::new(12).expect("twelve"), &mut paths);
        for path in paths.values.chunks(12) {
            assert!(path.windows(2).all(|pair| pair[1] == 15.0 + (pair[0] - 14.0) % 10.0), "{path:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_it_saw_its_answer_is_in_order(values in values_of_all_kinds(), horizon in 1..300_u32) {
            never_wrong(&mut MovingWindow::new(600.0, 36_000.0), &values as &Values, horizon);
        }
    }
}
