//! A random forest on the calendar, yesterday, and what was last seen.
//!
//! ŷ(t+h) = mean over the trees of f(calendar(t+h), y about a day before t+h, newest values before t, h)
//!
//! The calendar features are those of the source document: hour, weekday, day of the month, month, weekend, business
//! hours (9 to 17), and the minute of the day besides, so that there is a shape within an hour. The lags are the value a
//! day before (once two days were seen), and the means of the last 1, 4, 16 and 64 values before the origin. The horizon is a
//! feature (direct multi-step forecasts, by one model): a tree learns from it how far the newest values still tell.
//! Breiman, "Random forests", Machine Learning 45, 2001, by the library `smartcore`.
//!
//! Rows are [`ROWS_MAX`] steps of the history at most, evenly spaced, each as seen from one of the horizons of
//! `rolling.rs` of this crate in turn. A forest cannot say more than it has seen: a trend is not carried on.

use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;
use tidegate_core::{SECONDS_PER_DAY, SECONDS_PER_HOUR};

use crate::calibrated::Calibrated;
use crate::history::{History, Moment, WallClock};
use crate::point::Point;
use crate::rolling::Rolling;

/// History that is fitted to.
pub const REMEMBERED_SECONDS: f64 = 15.0 * SECONDS_PER_DAY;

/// Trees, if not told otherwise.
pub const TREES: u16 = 40;

/// Rows that are fitted to, at most.
pub const ROWS_MAX: usize = 6000;

/// Rows that a fit needs at least.
pub const ROWS_MIN: usize = 48;

/// Rows in a leaf at least.
const LEAF_MIN: usize = 5;

/// Values that are averaged before an origin.
const WINDOWS: [u64; 4] = [1, 4, 16, 64];

const N_FEATURES: usize = 7 + 1 + WINDOWS.len() + 1;

type Trees = RandomForestRegressor<f64, f64, DenseMatrix<f64>, Vec<f64>>;

/// The method.
#[derive(Debug)]
pub struct Forest {
    n_trees: u16,
    seed: u64,
    fit: Option<Fit>,
}

#[derive(Debug)]
struct Fit {
    trees: Trees,
    /// Steps of a day, if the day before is a feature.
    day: Option<u64>,
    /// Values are taken in this unit.
    unit: f64,
}

impl Default for Forest {
    fn default() -> Self {
        Self::new(TREES)
    }
}

impl Forest {
    /// So many trees, not grown yet.
    ///
    /// # Panics
    /// Without any.
    pub const fn new(n_trees: u16) -> Self {
        assert!(n_trees > 0, "a forest has trees");
        Self { n_trees, seed: 0, fit: None }
    }

    /// A forecaster by this method with [`TREES`] trees, for steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn forecaster(step_seconds: f64) -> Calibrated<Self> {
        Calibrated::new(step_seconds, Self::default())
    }
}

impl Point for Forest {
    fn name(&self) -> &'static str {
        match &self.fit {
            None => "",
            Some(fit) if fit.day.is_some() => "forest, calendar, yesterday and newest values",
            Some(_) => "forest, calendar and newest values",
        }
    }

    fn remembered_seconds(&self) -> f64 {
        REMEMBERED_SECONDS
    }

    fn refit_seconds(&self) -> f64 {
        6.0 * SECONDS_PER_HOUR
    }

    fn reset(&mut self, seed: u64) {
        (self.seed, self.fit) = (seed, None);
    }

    fn fit(&mut self, history: &History, end: u64) {
        self.fit = self.grow(history, end);
    }

    fn earliest_origin(&self, history: &History) -> u64 {
        let day = self.fit.as_ref().and_then(|fit| fit.day).unwrap_or(0);
        history.first_seen() + WINDOWS[WINDOWS.len() - 1].max(day)
    }

    fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    ) {
        let (Some(fit), Some((first, last))) = (&self.fit, origins.first().zip(origins.last())) else {
            return;
        };
        let from = first - (WINDOWS[WINDOWS.len() - 1]).max(fit.day.unwrap_or(0));
        let seen = Seen::new(history, from, *last, fit.unit);
        let most = u64::from(*aheads.last().expect("a forecast looks ahead"));
        let clock: Vec<Moment> =
            WallClock::new(history, *first).take((last - first + most) as usize).collect();
        let mut rows = Vec::with_capacity(aheads.len() * N_FEATURES);
        let mut forecast = Vec::with_capacity(aheads.len());
        for (index, origin) in origins.iter().enumerate() {
            rows.clear();
            for ahead in aheads {
                let step = origin + u64::from(*ahead) - 1;
                rows.extend(seen.features(clock[(step - first) as usize], *origin, *ahead, fit.day));
            }
            let rows = DenseMatrix::new(aheads.len(), N_FEATURES, rows.clone(), false)
                .expect("rows have so many features");
            let predicted = fit.trees.predict(&rows).expect("it has been grown");
            forecast.clear();
            forecast.extend(predicted.into_iter().map(|value| (value * fit.unit).max(0.0)));
            each(index, &forecast);
        }
    }
}

impl Forest {
    fn grow(&self, history: &History, end: u64) -> Option<Fit> {
        let first = history.recent(end, REMEMBERED_SECONDS);
        let day = history.steps_a_day() as u64;
        let day = (day >= 4 && end >= first + 2 * day).then_some(day);
        let rows_from = first + WINDOWS[WINDOWS.len() - 1].max(day.unwrap_or(0));
        if end < rows_from + ROWS_MIN as u64 {
            return None;
        }
        let values = history.filled(first, end);
        let unit = values.iter().fold(0.0_f64, |most, value| most.max(*value)).max(f64::MIN_POSITIVE);
        let seen = Seen::new(history, first, end, unit);
        let horizons = Rolling::new(history).aheads;
        let stride = (end - rows_from).div_ceil(ROWS_MAX as u64);
        let clock = WallClock::new(history, rows_from).take((end - rows_from) as usize);
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for (step, moment) in (rows_from..end).zip(clock).step_by(stride as usize) {
            let Some(value) = history.get(step) else { continue };
            // In turn, as far as there is something to be seen from.
            let ahead = u64::from(horizons[targets.len() % horizons.len()]).min(step - rows_from + 1);
            rows.extend(seen.features(moment, step + 1 - ahead, ahead as u32, day));
            targets.push(value / unit);
        }
        if targets.len() < ROWS_MIN {
            return None;
        }
        let rows = DenseMatrix::new(targets.len(), N_FEATURES, rows, false).ok()?;
        let parameters = RandomForestRegressorParameters::default()
            .with_n_trees(usize::from(self.n_trees))
            .with_min_samples_leaf(LEAF_MIN)
            .with_m(N_FEATURES / 2)
            .with_seed(self.seed);
        let trees = Trees::fit(&rows, &targets, parameters).ok()?;
        Some(Fit { trees, day, unit })
    }
}

/// Filled values, and sums of them.
struct Seen {
    from: u64,
    sums: Vec<f64>,
}

impl Seen {
    fn new(history: &History, from: u64, end: u64, unit: f64) -> Self {
        let mut sums = vec![0.0];
        let mut sum = 0.0;
        for value in history.filled(from, end) {
            sum += value / unit;
            sums.push(sum);
        }
        Self { from, sums }
    }

    fn mean(&self, end: u64, window: u64) -> f64 {
        let end = (end - self.from) as usize;
        (self.sums[end] - self.sums[end - window as usize]) / window as f64
    }

    fn features(&self, at: Moment, origin: u64, ahead: u32, day: Option<u64>) -> [f64; N_FEATURES] {
        let hour = (at.second_of_day / SECONDS_PER_HOUR).floor();
        let is = |truth: bool| f64::from(u8::from(truth));
        let mut features = [0.0; N_FEATURES];
        features[0] = hour;
        features[1] = f64::from(at.day_of_week);
        features[2] = f64::from(at.day_of_month);
        features[3] = f64::from(at.month);
        features[4] = is(at.day_of_week >= 5);
        features[5] = is((9.0..17.0).contains(&hour));
        features[6] = (at.second_of_day / 60.0).floor();
        if let Some(day) = day {
            // The newest day that is known of the same time.
            let mut before = origin + u64::from(ahead) - 1;
            while before >= origin {
                before -= day;
            }
            let around = (day / 96).min(origin - before - 1).min(before - self.from);
            features[7] = self.mean(before + around + 1, 2 * around + 1);
        }
        for (feature, window) in features[8..].iter_mut().zip(WINDOWS) {
            *feature = self.mean(origin, window);
        }
        features[N_FEATURES - 1] = f64::from(ahead);
        features
    }
}
