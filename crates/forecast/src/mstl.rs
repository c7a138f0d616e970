//! Seasons by MSTL, on the level of the last day.
//!
//! `ŷ(t+h) = level(t) + Σ_P s_P(t+h)`, with `s_P` the last cycle of each season
//!
//! Bandara, Hyndman and Bergmeir, "MSTL: a seasonal-trend decomposition algorithm for time series with multiple seasonal
//! patterns" (arXiv:2107.13462, 2021), by the library `stlrs`, with its defaults (those of R's `mstl`, a periodic season
//! apart). Seasons are a day and a week, each as soon as two of it were seen. The decomposition stands behind the crate
//! `augurs` too, which fits it in single precision. The level is the mean of what the seasons leave of the last day; a
//! trend model on the decomposition's trend would carry on its ends, which are its least certain part.
//!
//! With less than two days there is no season, and it is not fitted.

use tidegate_core::{SECONDS_PER_DAY, SECONDS_PER_HOUR};

use crate::calibrated::Calibrated;
use crate::history::History;
use crate::point::Point;
use crate::seasons::Seasons;

/// History that is decomposed.
pub const REMEMBERED_SECONDS: f64 = 14.0 * SECONDS_PER_DAY;

/// The method.
#[derive(Clone, Debug, Default)]
pub struct Mstl {
    seasons: Option<Seasons>,
}

impl Mstl {
    /// The method, not fitted yet.
    pub const fn new() -> Self {
        Self { seasons: None }
    }

    /// A forecaster by this method, for steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn forecaster(step_seconds: f64) -> Calibrated<Self> {
        Calibrated::new(step_seconds, Self::new())
    }
}

impl Point for Mstl {
    fn name(&self) -> &'static str {
        self.seasons.as_ref().map_or("", |seasons| seasons.name)
    }

    fn remembered_seconds(&self) -> f64 {
        REMEMBERED_SECONDS
    }

    fn refit_seconds(&self) -> f64 {
        6.0 * SECONDS_PER_HOUR
    }

    fn reset(&mut self, _: u64) {
        self.seasons = None;
    }

    fn fit(&mut self, history: &History, end: u64) {
        self.seasons = None;
        let first = history.recent(end, REMEMBERED_SECONDS);
        let day = history.steps_a_day();
        let n_steps = end.saturating_sub(first) as usize;
        let periods: Vec<usize> =
            [day, 7 * day].into_iter().filter(|period| day >= 2 && 2 * period <= n_steps).collect();
        if periods.is_empty() {
            return;
        }
        let values = history.filled(first, end);
        // The library's sums stay finite for values of order 1.
        let unit = values.iter().fold(0.0_f64, |most, value| most.max(*value)).max(f64::MIN_POSITIVE);
        let scaled: Vec<f64> = values.iter().map(|value| value / unit).collect();
        let Ok(parts) = stlrs::Mstl::fit(&scaled, &periods) else { return };
        let last_cycle = |(season, period): (&Vec<f64>, &usize)| {
            let mut shape = vec![0.0; *period];
            for (step, value) in (first..end).zip(season).skip(season.len() - period) {
                shape[(step % *period as u64) as usize] = value * unit;
            }
            shape
        };
        let shapes: Vec<Vec<f64>> = parts.seasonal().iter().zip(&periods).map(last_cycle).collect();
        if shapes.iter().flatten().all(|value| value.is_finite()) {
            let name = if periods.len() > 1 { "MSTL, day and week" } else { "MSTL, day" };
            self.seasons = Some(Seasons { name, shapes, level_steps: day });
        }
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
