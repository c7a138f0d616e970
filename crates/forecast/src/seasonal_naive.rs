//! What was a day or a week ago comes again.
//!
//! ŷ(t+h) = y(s − k m), s = t+h, with the least k ≥ 1 for which that was observed
//!
//! quantile q: ŷ(t+h) + the offset of level q among the past errors y(s) − y(s − m)
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | m | the season, by the clock on the wall: at a change of daylight saving it is an hour shorter or longer | s |
//!
//! Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", section on simple methods; how the offsets are
//! taken from the errors is said in `errors.rs` of this crate. The error does not depend on h within a season, so one
//! set of offsets serves all horizons (also those with k > 1, whose errors are somewhat larger). A season must be a whole
//! number of steps to be exact; else it is rounded to the nearest step.
//!
//! **Gaps.** What would be repeated and is missing is taken from the season before, and so on as far back as is
//! remembered; then from the day where the week has nothing; then it is the last value. Errors with a gap at either end
//! are left out.
//!
//! **Before one season** there is nothing to repeat: the week stands on the day, the day on [`crate::last_value`],
//! formula and spread. [`Forecaster::method`] says which of them gives the next step. After one season and before
//! twenty errors of its own, the point is the season's and the spread that of the last value about its median, which is
//! wider where there is a season at all.
//!
//! A sample path adds to ŷ the errors of a stretch of the past, one after the other, which begins anywhere and goes on
//! at the oldest error where it reaches the present; so it keeps the correlation between steps. Over a gap the last
//! error stays.

use std::num::NonZeroU32;

use rand::RngExt;
use tidegate_core::{Calendar, ControllerStream, Forecaster, Paths, Quantiles, SECONDS_PER_DAY};

use crate::errors::{ERRORS_MAX, Offsets, not_negative};
use crate::history::History;
use crate::last_value::{ERRORS_MIN, Spread, go_on};

/// Seasons that are remembered, so that a gap can be filled from an older one.
pub(crate) const SEASONS_REMEMBERED: f64 = 5.0;

/// A season's length, its name, and the offsets of its errors.
#[derive(Clone, Debug)]
struct Season {
    seconds: f64,
    name: &'static str,
    offsets: Offsets,
    /// The step of the first error.
    errors_from: u64,
}

/// The method.
#[derive(Clone, Debug)]
pub struct SeasonalNaive {
    history: History,
    /// The longest first.
    seasons: Vec<Season>,
    spread: Spread,
    chance: Option<ControllerStream>,
    scratch: Vec<f64>,
}

impl SeasonalNaive {
    /// Yesterday comes again, in steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn day(step_seconds: f64) -> Self {
        Self::new(step_seconds, &[(SECONDS_PER_DAY, "seasonal naive, day")])
    }

    /// Last week comes again, in steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn week(step_seconds: f64) -> Self {
        let day = (SECONDS_PER_DAY, "seasonal naive, day");
        Self::new(step_seconds, &[(7.0 * SECONDS_PER_DAY, "seasonal naive, week"), day])
    }

    fn new(step_seconds: f64, seasons: &[(f64, &'static str)]) -> Self {
        let season = |&(seconds, name): &(f64, &'static str)| Season {
            seconds,
            name,
            offsets: Offsets::default(),
            errors_from: 0,
        };
        Self {
            history: History::new(step_seconds, SEASONS_REMEMBERED * seasons[0].0),
            seasons: seasons.iter().map(season).collect(),
            spread: Spread::new(),
            chance: None,
            scratch: Vec::with_capacity(ERRORS_MAX + 1),
        }
    }

    /// What is repeated at a step that is still to come, and of which season.
    fn repeated(&self, step: u64) -> Option<(f64, usize)> {
        self.seasons.iter().enumerate().find_map(|(index, season)| {
            Some((self.history.repeated(step, self.history.n_steps(), season.seconds)?, index))
        })
    }

    /// The first season that has enough errors of its own.
    fn with_errors(&self) -> Option<&Season> {
        self.seasons.iter().find(|season| season.offsets.n_errors >= ERRORS_MIN)
    }
}

impl Forecaster for SeasonalNaive {
    fn reset(&mut self, start: Calendar, chance: ControllerStream) {
        self.history.reset(start);
        self.spread.clear();
        for season in &mut self.seasons {
            (season.offsets, season.errors_from) = (Offsets::default(), 0);
        }
        self.chance = Some(chance);
    }

    fn observe(&mut self, value: Option<f64>) {
        self.history.push(value);
    }

    fn refit(&mut self) {
        let history = &self.history;
        let (first, end) = (history.first(), history.n_steps());
        for season in &mut self.seasons {
            season.errors_from = (first + history.steps_in(season.seconds)).min(end);
            season.offsets = Offsets::of(season.errors_from, end, &mut self.scratch, |step| {
                season_error(history, season.seconds, step)
            });
        }
        // Once every season has errors of its own, nothing falls back on the last value's spread.
        if self.seasons.iter().any(|season| season.offsets.n_errors < ERRORS_MIN) {
            self.spread.refit(&self.history);
        }
    }

    fn forecast(&self, horizon: NonZeroU32, into: &mut Quantiles) {
        into.values.clear();
        let Some(newest) = self.history.newest() else { return };
        let next = self.history.n_steps();
        into.values.extend((1..=horizon.get()).map(
            |ahead| match self.repeated(next + u64::from(ahead) - 1) {
                Some((point, index)) if self.seasons[index].offsets.n_errors >= ERRORS_MIN => {
                    self.seasons[index].offsets.about(point, 1.0)
                }
                Some((point, _)) => self.spread.centred_about(point, ahead),
                None => self.spread.about(newest, ahead),
            },
        ));
    }

    fn paths(&mut self, horizon: NonZeroU32, into: &mut Paths) {
        into.values.clear();
        let Some(newest) = self.history.newest() else { return };
        let (next, mut chance) = (self.history.n_steps(), self.chance.take());
        for _ in 0..into.n_paths {
            let Some(season) = self.with_errors() else {
                go_on(&self.history, newest, horizon, chance.as_mut(), &mut into.values);
                continue;
            };
            let (from, n_errors) = (season.errors_from, next - season.errors_from);
            let begin = chance.as_mut().map_or(0, |chance| chance.0.random_range(0..n_errors));
            let mut error = 0.0;
            for ahead in 0..u64::from(horizon.get()) {
                let step = from + (begin + ahead) % n_errors;
                error = season_error(&self.history, season.seconds, step).unwrap_or(error);
                let point = self.repeated(next + ahead).map_or(newest, |(value, _)| value);
                into.values.push(not_negative(point + error));
            }
        }
        self.chance = chance;
    }

    fn method(&self) -> &'static str {
        match (self.repeated(self.history.n_steps()), self.history.newest()) {
            (Some((_, index)), _) => self.seasons[index].name,
            (None, Some(_)) => "last value",
            (None, None) => "nothing seen",
        }
    }
}

fn season_error(history: &History, seconds: f64, step: u64) -> Option<f64> {
    Some(history.get(step)? - history.get(history.earlier(step, seconds)?)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_core::Seed;

    use super::*;
    use crate::testing::{
        Ar1, History as Values, calendar_in, covered, forecast, never_wrong, reset, values_of_all_kinds,
    };

    const HOUR: f64 = 3600.0;

    fn wave(step: u64) -> f64 {
        100.0 + 40.0 * (std::f64::consts::TAU * (step % 24) as f64 / 24.0).sin()
    }

    #[test]
    fn a_periodic_series_is_forecast_exactly() {
        for (mut forecaster, period) in [
            (SeasonalNaive::day(HOUR), 24),
            (SeasonalNaive::week(HOUR), 168),
            (SeasonalNaive::day(900.0), 96),
        ] {
            reset(&mut forecaster);
            let value = |step: u64| ((step % period) * 37 % 101) as f64;
            for step in 0..2 * period + 5 {
                forecaster.observe(Some(value(step)));
            }
            let quantiles = forecast(&mut forecaster, 2 * period as u32);
            for (ahead, values) in (0_u64..).zip(&quantiles.values) {
                assert_eq!(*values, [value(2 * period + 5 + ahead); 9], "{period}, {ahead} ahead");
            }
            let mut paths = Paths { n_paths: 3, ..Paths::default() };
            forecaster.paths(NonZeroU32::new(period as u32).expect("a season"), &mut paths);
            for (place, path_value) in (0_u64..).zip(&paths.values) {
                assert_eq!(*path_value, value(2 * period + 5 + place % period));
            }
        }
    }

    #[test]
    fn before_a_season_it_says_what_stands_in() {
        let mut forecaster = SeasonalNaive::week(HOUR);
        reset(&mut forecaster);
        let mut said = vec![forecaster.method()];
        for step in 0..200_u64 {
            forecaster.observe(Some(wave(step)));
            if said.last() != Some(&forecaster.method()) {
                said.push(forecaster.method());
                assert!([1, 24, 168].contains(&(step + 1)), "it changes at {step}");
            }
            assert_eq!(forecast(&mut forecaster, 200).values.len(), 200);
        }
        assert_eq!(said, ["nothing seen", "last value", "seasonal naive, day", "seasonal naive, week"]);
    }

    /// A hole in the third day: what is missing comes from the second.
    #[test]
    fn a_gap_is_filled_from_the_season_before() {
        let mut forecaster = SeasonalNaive::day(HOUR);
        reset(&mut forecaster);
        for step in 0..72_u64 {
            forecaster.observe((!(54..60).contains(&step)).then_some(step as f64));
        }
        let quantiles = forecast(&mut forecaster, 24);
        assert_eq!(forecaster.method(), "seasonal naive, day");
        // 42 errors of 24 each: the bias of 24 is in the median.
        for (ahead, values) in quantiles.values.iter().enumerate() {
            let source = if (6..12).contains(&ahead) { 24 + ahead } else { 48 + ahead };
            assert!((values[4] - source as f64 - 24.0).abs() < 1e-9, "{ahead}: {values:?}");
        }
    }

    /// At the end of March the clock in Berlin skips an hour: at nine by the clock comes what was at nine.
    #[test]
    fn the_season_keeps_to_the_clock_on_the_wall() {
        let mut forecaster = SeasonalNaive::day(HOUR);
        forecaster.reset(
            calendar_in(chrono_tz::Europe::Berlin, "2025-03-29T00:00:00"),
            Seed::training(0).controller(0),
        );
        let hour_of = |step: u64| if step < 26 { step % 24 } else { (step + 1) % 24 };
        for step in 0..30 {
            forecaster.observe(Some(hour_of(step) as f64));
        }
        let quantiles = forecast(&mut forecaster, 17);
        for ahead in 0..17 {
            assert_eq!(quantiles.median(ahead as usize), hour_of(30 + ahead) as f64, "{ahead}");
        }
    }

    /// Errors at a season's distance are x(t) − x(t − m) of an AR(1): as good as exchangeable over weeks. 2000 origins;
    /// neighbours are correlated, so the bounds are wider than those of a binomial (0.013).
    #[test]
    fn the_ninety_percent_interval_covers_ninety_percent() {
        for (correlation, least, most) in [(0.0, 0.87, 0.93), (0.7, 0.86, 0.94)] {
            for ahead in [1, 12, 24] {
                let mut noise = Ar1::new(correlation, 5.0, 5);
                let share = covered(&mut SeasonalNaive::day(HOUR), 24 * 10, 2000, ahead, |step| {
                    wave(step) + noise.draw()
                });
                assert!((least..=most).contains(&share), "{correlation}, {ahead} ahead: {share}");
            }
        }
    }

    /// The paths' share below a quantile is its level, as both come from the same errors.
    #[test]
    fn paths_and_quantiles_agree() {
        let mut forecaster = SeasonalNaive::day(HOUR);
        reset(&mut forecaster);
        let mut noise = Ar1::new(0.7, 5.0, 9);
        for step in 0..24 * 5 {
            forecaster.observe(Some(wave(step) + noise.draw()));
        }
        let quantiles = forecast(&mut forecaster, 10);
        let mut paths = Paths { n_paths: 4000, ..Paths::default() };
        forecaster.paths(NonZeroU32::new(10).expect("ten"), &mut paths);
        for ahead in [0, 9] {
            for (level, quantile) in Quantiles::LEVELS.iter().zip(quantiles.values[ahead]) {
                let below =
                    paths.values.chunks(10).filter(|path| path[ahead] <= quantile).count() as f64 / 4000.0;
                assert!((below - level).abs() < 0.04, "{ahead} ahead, {level}: {below}");
            }
        }
    }

    #[test]
    fn observing_refitting_and_forecasting_allocate_nothing() {
        let mut forecaster = SeasonalNaive::week(HOUR);
        reset(&mut forecaster);
        let mut quantiles = Quantiles { values: Vec::with_capacity(48) };
        let counted = allocation_counter::measure(|| {
            for step in 0..500_u64 {
                forecaster.observe(Some(wave(step)));
                forecaster.refit();
                forecaster.forecast(NonZeroU32::new(48).expect("two days"), &mut quantiles);
            }
        });
        assert_eq!(counted.count_total, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_it_saw_its_answer_is_in_order(values in values_of_all_kinds(), horizon in 1..300_u32) {
            never_wrong(&mut SeasonalNaive::day(HOUR), &values as &Values, horizon);
            never_wrong(&mut SeasonalNaive::week(6.0 * HOUR), &values as &Values, horizon);
        }
    }
}
