//! What a method has to give, so that the rest (quantiles, paths, fallbacks, combination) can be written once.

use crate::history::History;

/// Takes the position of an origin, its forecasts, and the errors to be expected of them or nothing.
pub type EachWithSpread<'a> = &'a mut dyn FnMut(usize, &[f64], &[f64]);

/// A method of point forecasts: fitted to a part of a history, it forecasts from any moment of it.
///
/// [`crate::Calibrated`] makes a [`tidegate_core::Forecaster`] of one, [`crate::Ensemble`] a combination of several.
pub trait Point {
    /// By which method it would answer now; empty as long as it is not fitted.
    fn name(&self) -> &'static str;

    /// How far back it needs to see, in seconds.
    fn remembered_seconds(&self) -> f64;

    /// How long a fit is good for: within that time a refit may leave it as it is, unless the history was short.
    fn refit_seconds(&self) -> f64 {
        0.0
    }

    /// Forgets its fit. `seed` is the chance it may use, the same for every fit.
    fn reset(&mut self, seed: u64);

    /// Fits to the steps before `end`, and to no later ones. Where they are too few it is not fitted afterwards.
    fn fit(&mut self, history: &History, end: u64);

    /// The first step from which it can forecast with this fit.
    fn earliest_origin(&self, history: &History) -> u64;

    /// Forecasts as they would have been made with this fit, each of them before the step `origin` was seen.
    ///
    /// # Shapes
    /// `origins` rise, and so do `aheads`, of which 1 is the step `origin` itself. `each` gets the position of an
    /// origin, and a forecast for each of `aheads`.
    fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    );

    /// The same, and with each forecast how large an error of it is to be expected, in the unit of the values and up to a
    /// factor that is the same for all; nothing of a method that does not say.
    fn forecast_with_spread(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: EachWithSpread<'_>,
    ) {
        self.forecast(history, origins, aheads, &mut |index, forecast| each(index, forecast, &[]));
    }
}

/// A forecast, and the size of error that the method expects of it, where it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Guess {
    pub(crate) point: f64,
    pub(crate) spread: Option<f64>,
}

/// One for each horizon, of what [`Point::forecast_with_spread`] gives.
pub(crate) fn guesses<'a>(points: &'a [f64], spreads: &'a [f64]) -> impl Iterator<Item = Guess> + 'a {
    points
        .iter()
        .enumerate()
        .map(|(place, point)| Guess { point: *point, spread: spreads.get(place).copied() })
}

/// A method that can go to another thread with its controller.
pub type BoxedPoint = Box<dyn Point + Send>;

impl Point for BoxedPoint {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn remembered_seconds(&self) -> f64 {
        (**self).remembered_seconds()
    }

    fn refit_seconds(&self) -> f64 {
        (**self).refit_seconds()
    }

    fn reset(&mut self, seed: u64) {
        (**self).reset(seed);
    }

    fn fit(&mut self, history: &History, end: u64) {
        (**self).fit(history, end);
    }

    fn earliest_origin(&self, history: &History) -> u64 {
        (**self).earliest_origin(history)
    }

    fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    ) {
        (**self).forecast(history, origins, aheads, each);
    }

    fn forecast_with_spread(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: EachWithSpread<'_>,
    ) {
        (**self).forecast_with_spread(history, origins, aheads, each);
    }
}

/// Whether a fit of so long ago is to be renewed: once its time is over, or the history is an eighth longer.
pub(crate) fn is_due<P: Point + ?Sized>(point: &P, history: &History, fitted_at: u64, end: u64) -> bool {
    let age = end.saturating_sub(fitted_at);
    let eighth = fitted_at.saturating_sub(history.first_seen()) / 8;
    age >= eighth || age as f64 * history.step_seconds() >= point.refit_seconds()
}
