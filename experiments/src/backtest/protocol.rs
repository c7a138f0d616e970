//! One method on one path: fitted to the training part, then forecasts from evenly spaced origins as time goes on.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tidegate_core::{Forecaster, Quantiles, SECONDS_PER_DAY, SECONDS_PER_HOUR, Seed};

use super::horizon::{Ahead, Horizon, on_grid};
use super::score::{Sums, scale};
use super::workload::Series;

/// Share of a series that training takes at most.
const TRAINING_SHARE: f64 = 0.6;

/// Origins in a test part at least, where it has so many steps.
const ORIGINS_MIN: usize = 100;

/// Steps that a series needs at least.
const STEPS_MIN: usize = 50;

/// Origins whose whole forecast is kept for figures.
pub const FANS: usize = 3;

/// Steps of a kept forecast.
const FAN_STEPS: usize = 96;

/// What is fixed before a method sees anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Steps of the training part; the test part is the rest.
    pub n_train: usize,
    /// Steps of a day.
    pub day_steps: usize,
    /// Steps from one origin to the next.
    pub stride: usize,
    /// Rising.
    pub aheads: Vec<Ahead>,
    /// The season of the scale, in steps.
    pub season: usize,
    /// What errors are divided by, in 1/s.
    pub scale: f64,
    /// Origins whose whole forecast is kept.
    pub fans: Vec<usize>,
}

/// What came out for one method on one path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// By horizon, then by day of the origin, counted from the start of the series; days without a value are left out.
    pub days: Vec<Vec<(u32, Sums)>>,
    /// Whole forecasts.
    pub fans: Vec<Fan>,
    /// By which method it answered at the last origin.
    pub answered: String,
    /// Wall times.
    pub times: Times,
}

/// A forecast as a figure shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fan {
    /// The first step that is forecast.
    pub origin: usize,
    /// Steps from one of the quantiles to the next; the first is that of the origin.
    pub every: usize,
    /// In the order of [`Quantiles::LEVELS`].
    pub quantiles: Vec<[f64; Quantiles::LEVELS.len()]>,
}

/// Wall times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// The first fit, to the training part.
    pub fit_first: f64,
    /// Median of the refits after it; 0 if there was none.
    pub refit_median: f64,
    /// The longest of them.
    pub refit_longest: f64,
    /// Median of the forecasts up to the longest horizon.
    pub forecast_median: f64,
}

impl Plan {
    /// For a series; `train_days` at most are for training.
    ///
    /// # Errors
    /// If it is too short, or has no scale.
    pub fn new(series: &Series, horizons: &[Horizon], train_days: f64) -> anyhow::Result<Self> {
        let n = series.values.len();
        ensure!(n >= STEPS_MIN, "a series must have at least {STEPS_MIN} steps, but this one has {n}");
        let steps_in = |seconds: f64| ((seconds / series.step_seconds).round() as usize).max(1);
        let (day_steps, hour_steps) = (steps_in(SECONDS_PER_DAY), steps_in(SECONDS_PER_HOUR));
        let wanted = (train_days * day_steps as f64).min(TRAINING_SHARE * n as f64) as usize;
        // Whole days, so that the days of the test part are those of the clock.
        let n_train = if wanted >= day_steps { wanted - wanted % day_steps } else { wanted };
        let n_test = n - n_train;
        let aheads = on_grid(horizons, series.step_seconds, n_test / 2);
        ensure!(
            !aheads.is_empty(),
            "--horizons: none lies between a step of {} s and half of the {n_test} steps to test on",
            series.step_seconds
        );
        let season = if n_train >= 2 * day_steps { day_steps } else { 1 };
        let training = &series.values[..n_train];
        let scale = scale(training, season)
            .with_context(|| format!("nothing varies in the {n_train} steps of the training part"))?;
        let stride = stride(hour_steps.min(n_test / ORIGINS_MIN).max(1), day_steps);
        let mut plan = Self { n_train, day_steps, stride, aheads, season, scale, fans: Vec::new() };
        let origins = plan.origins(n);
        plan.fans = (0..FANS).map(|index| origins[(2 * index + 1) * origins.len() / (2 * FANS)]).collect();
        plan.fans.dedup();
        Ok(plan)
    }

    /// The origins in a series of so many steps: all whose longest horizon is still in it, so that every horizon has
    /// the same ones.
    pub fn origins(&self, n: usize) -> Vec<usize> {
        (self.n_train..n - self.steps_max()).step_by(self.stride).collect()
    }

    fn steps_max(&self) -> usize {
        self.aheads.last().map_or(1, |ahead| ahead.steps as usize)
    }
}

/// The number nearest to `wanted` that has no divisor in common with a day: then origins come to every time of the day,
/// and not always to the same minute, at which some clock may start jobs.
fn stride(wanted: usize, day_steps: usize) -> usize {
    let fits = |steps: &usize| *steps >= 1 && greatest_common_divisor(*steps, day_steps) == 1;
    (0..=wanted)
        .find_map(|off| [wanted - off, wanted + off].into_iter().find(fits))
        .expect("1 divides everything, and has no other divisor")
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Runs `forecaster` along the series. `watch` gets every origin with its forecast.
///
/// It is refitted as controllers do it: after a quarter as many steps as it has seen, at last once an hour; what a method
/// then renews, and how often, is its own affair.
pub fn run(
    series: &Series,
    plan: &Plan,
    forecaster: &mut dyn Forecaster,
    watch: &mut dyn FnMut(usize, &Quantiles),
) -> Outcome {
    let n = series.values.len();
    let hour = ((SECONDS_PER_HOUR / series.step_seconds) as usize).max(1);
    forecaster.reset(series.calendar, Seed::training(0).controller(0));
    for value in &series.values[..plan.n_train] {
        forecaster.observe(*value);
    }
    let fit_first = timed(|| forecaster.refit());
    let until_refit = |seen: usize| (seen / 4).clamp(1, hour);
    let mut refit_at = plan.n_train + until_refit(plan.n_train);
    let horizon = NonZeroU32::new(plan.steps_max() as u32).expect("a horizon is at least a step");
    let mut days = vec![BTreeMap::<u32, Sums>::new(); plan.aheads.len()];
    let (mut fans, mut refits, mut forecasts) = (Vec::new(), Vec::new(), Vec::new());
    let mut quantiles = Quantiles::default();
    let mut answered = forecaster.method();
    for step in plan.n_train..n {
        if step >= refit_at {
            refits.push(timed(|| forecaster.refit()));
            refit_at = step + until_refit(step);
        }
        if (step - plan.n_train).is_multiple_of(plan.stride) && step + plan.steps_max() < n {
            forecasts.push(timed(|| forecaster.forecast(horizon, &mut quantiles)));
            answered = forecaster.method();
            watch(step, &quantiles);
            let day = (step / plan.day_steps) as u32;
            for (ahead, days) in plan.aheads.iter().zip(&mut days) {
                let ahead = ahead.steps as usize - 1;
                if let Some(value) = series.values[step + ahead] {
                    days.entry(day).or_default().add(&quantiles.values[ahead], value, plan.scale);
                }
            }
            if plan.fans.contains(&step) {
                let every = plan.steps_max().div_ceil(FAN_STEPS);
                let kept = quantiles.values.iter().step_by(every).copied().collect();
                fans.push(Fan { origin: step, every, quantiles: kept });
            }
        }
        forecaster.observe(series.values[step]);
    }
    let times = Times {
        fit_first,
        refit_median: median(&mut refits),
        refit_longest: refits.iter().copied().fold(0.0, f64::max),
        forecast_median: median(&mut forecasts),
    };
    let days = days.into_iter().map(|days| days.into_iter().collect()).collect();
    Outcome { days, fans, answered: answered.to_owned(), times }
}

/// Milliseconds.
fn timed(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1e3
}

/// The upper one of two; 0 of nothing.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use tidegate_core::Calendar;

    use super::*;
    use crate::forecasters::{NAMES, without_history};

    fn series(n: usize, step_seconds: f64, value: impl Fn(usize) -> Option<f64>) -> Series {
        let start = "2025-03-03T00:00:00".parse().expect("a date");
        let calendar = Calendar::new(start, chrono_tz::UTC, 0);
        Series { values: (0..n).map(value).collect(), step_seconds, calendar }
    }

    fn horizons(texts: &[&str]) -> Vec<Horizon> {
        texts.iter().map(|text| text.parse().expect("a horizon")).collect()
    }

    fn wave(step: usize) -> f64 {
        let hour = step as f64 / 2.0;
        10.0 + 5.0 * (hour * std::f64::consts::TAU / 24.0).sin() + ((step * 7919) % 13) as f64 / 13.0
    }

    #[test]
    fn the_plan_is_what_the_docs_say() {
        let all = horizons(&["1", "15m", "1h", "4h", "1d"]);
        let steps = |plan: &Plan| plan.aheads.iter().map(|ahead| ahead.steps).collect::<Vec<_>>();
        let long = series(30 * 1440, 60.0, |step| Some(step as f64));
        let plan = Plan::new(&long, &all, 14.0).expect("a month");
        assert_eq!((plan.n_train, plan.season, plan.stride), (14 * 1440, 1440, 59));
        assert_eq!(steps(&plan), [1, 15, 60, 240, 1440]);
        // A rise of one a step: a day before, all is 1440 less.
        assert_eq!(plan.scale, 1440.0);
        let origins = plan.origins(long.values.len());
        assert!(origins.last().expect("some") + 1440 < long.values.len());
        assert_eq!(origins.len(), (15 * 1440_usize).div_ceil(59));

        let week = series(7 * 96, 900.0, |step| Some(step as f64));
        let plan = Plan::new(&week, &all, 14.0).expect("a week");
        assert_eq!((plan.n_train, plan.season, plan.stride), (4 * 96, 96, 1));
        assert_eq!(steps(&plan), [1, 4, 16, 96]);

        let hour = series(60, 60.0, |step| Some(step as f64));
        let plan = Plan::new(&hour, &all, 14.0).expect("an hour");
        assert_eq!((plan.n_train, plan.season, plan.stride, plan.scale), (36, 1, 1, 1.0));
        assert_eq!(steps(&plan), [1]);

        let said = |series: &Series| Plan::new(series, &all, 14.0).expect_err("no plan").to_string();
        let flat = series(60, 60.0, |_| Some(3.0));
        assert_eq!(said(&flat), "nothing varies in the 36 steps of the training part");
        let short = series(49, 60.0, |step| Some(step as f64));
        assert_eq!(said(&short), "a series must have at least 50 steps, but this one has 49");
    }

    #[test]
    fn origins_come_to_every_minute_of_the_day() {
        assert_eq!([60, 12, 4, 1].map(|hour| stride(hour, 24 * hour)), [59, 11, 5, 1]);
        assert_eq!(stride(10, 1440), 11);
    }

    /// Every method of the catalogue: what comes after an origin changes no forecast made before it, bit for bit.
    #[test]
    fn no_method_looks_ahead() {
        const CUT: usize = 48 * 5 + 13;
        let known = series(48 * 7, 1800.0, |step| Some(wave(step)));
        let other = series(48 * 7, 1800.0, |step| {
            if step < CUT { Some(wave(step)) } else { (step % 5 > 0).then(|| 3.0 * wave(step + 7)) }
        });
        let all = horizons(&["1", "4h", "1d"]);
        let (plan, same) = (Plan::new(&known, &all, 14.0), Plan::new(&other, &all, 14.0));
        let plan = plan.expect("a week");
        assert_eq!(same.expect("a week"), plan);
        for name in NAMES {
            let forecasts = |series: &Series| {
                let mut all = Vec::new();
                let mut forecaster = (without_history().make)(name, series.step_seconds);
                run(series, &plan, &mut *forecaster, &mut |origin, quantiles| {
                    all.push((origin, quantiles.clone()));
                });
                all
            };
            let (known, other) = (forecasts(&known), forecasts(&other));
            let until = known.iter().filter(|(origin, _)| *origin <= CUT).count();
            assert!(until > 20 && until < known.len());
            assert_eq!(known[..until], other[..until], "{name}");
            assert_ne!(known[until..], other[until..], "{name}");
        }
    }

    /// What repeats exactly day by day is forecast without an error by the seasonal naive method, from all origins.
    #[test]
    fn an_exact_repetition_scores_zero_and_gaps_are_not_scored() {
        // One odd value, the scale's only one: the day before and the day after it differ.
        let day = |step: usize| 10.0 + (step % 48) as f64 + if step == 20 { 1.0 } else { 0.0 };
        let known = series(48 * 7, 1800.0, |step| (step != 48 * 6 + 3).then(|| day(step)));
        let plan = Plan::new(&known, &horizons(&["1", "1d"]), 14.0).expect("a week");
        let mut forecaster = (without_history().make)("seasonal_naive_day", 1800.0);
        let mut n_origins = 0_u32;
        let outcome = run(&known, &plan, &mut *forecaster, &mut |_, _| n_origins += 1);
        assert_eq!(n_origins as usize, plan.origins(known.values.len()).len());
        for days in &outcome.days {
            let n: u32 = days.iter().map(|(_, sums)| sums.n).sum();
            // The gap is the target of one origin at each horizon, or of none.
            assert!(n == n_origins || n + 1 == n_origins, "{n} of {n_origins}");
            assert!(days.iter().all(|(_, sums)| sums.absolute == 0.0), "{days:?}");
        }
        let last_day: u32 = outcome.days[1].iter().map(|(_, sums)| sums.n).sum();
        assert_eq!(last_day + 1, n_origins);
        assert_eq!(outcome.fans.len(), FANS);
    }
}
