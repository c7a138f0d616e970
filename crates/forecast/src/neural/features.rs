//! What the network is told about a step and the origin it is forecast from.

use std::f64::consts::TAU;
use std::ops::Range;

use tidegate_core::SECONDS_PER_DAY;

use crate::history::{History, WallClock};

/// Harmonics of the day, and of the weekend's own day.
const HARMONICS: [usize; 2] = [4, 2];

/// Features of the calendar: harmonics, weekend, harmonics of the weekend.
const N_CALENDAR: usize = 2 * HARMONICS[0] + 1 + 2 * HARMONICS[1];

/// Values that are averaged before an origin, and a day before it; where steps are long, no more than a day of them.
const WINDOWS: [u64; 4] = [1, 4, 16, 64];

/// Days before that are features, at most.
const DAYS_MAX: u64 = 2;

/// The unit in which the network sees values: (ln(1 + y/scale) − mean)/deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    scale: f64,
    mean: f64,
    deviation: f64,
}

impl Unit {
    /// Of these values; 1 where they are all 0, or all alike.
    pub(super) fn of(values: &(impl Iterator<Item = f64> + Clone)) -> Self {
        let mean = |of: &dyn Fn(f64) -> f64| {
            let (sum, n) = values.clone().fold((0.0, 0.0), |(sum, n), value| (sum + of(value), n + 1.0));
            sum / f64::max(n, 1.0)
        };
        let average = mean(&|value| value);
        let scale = if average > f64::MIN_POSITIVE { average } else { 1.0 };
        let mean_of_logs = mean(&|value| (value / scale).ln_1p());
        let deviation = mean(&|value| ((value / scale).ln_1p() - mean_of_logs).powi(2)).sqrt();
        // What is left of a constant by rounding.
        let deviation = if deviation > 1e-9 { deviation } else { 1.0 };
        Self { scale, mean: mean_of_logs, deviation }
    }

    pub(super) fn number(&self, value: f64) -> f64 {
        ((value / self.scale).ln_1p() - self.mean) / self.deviation
    }

    /// The inverse; far out it is infinite, or below 0.
    pub(super) fn value(&self, number: f64) -> f64 {
        self.scale * (number * self.deviation + self.mean).exp_m1()
    }
}

/// Which features there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    /// Steps of a day.
    day: u64,
    /// Days before that are features.
    pub(super) n_days: u64,
    /// Whether the week before is one.
    with_week: bool,
    /// Steps to either side of the same time a day before that are averaged.
    around: u64,
    /// Steps of the longest window.
    longest: u64,
}

impl Layout {
    /// Those that a training part of so many steps can teach: one day before from three days on, two from six, a week
    /// from sixteen. So what an origin looks back on is two thirds of it at most, and rows are left to fit to.
    pub(super) fn of(history: &History, n_steps: u64) -> Self {
        let day = history.steps_a_day() as u64;
        let has_shape = day >= 4;
        let days = if has_shape { n_steps / day } else { 0 };
        let longest = WINDOWS[WINDOWS.len() - 1];
        Self {
            day,
            n_days: (days / 3).min(DAYS_MAX),
            with_week: days >= 16,
            around: (day / 96).min(8),
            longest: if has_shape { longest.min(day) } else { longest },
        }
    }

    pub(super) fn has_week(&self) -> bool {
        self.with_week
    }

    /// Steps that an origin needs before it: the longest window that ends a day before, or the longest time that a step just
    /// after the origin looks back.
    pub(super) fn lead(&self) -> u64 {
        let days = if self.with_week { 7 } else { self.n_days };
        days * self.day + self.longest.max(self.around)
    }

    fn windows(&self) -> [u64; WINDOWS.len()] {
        WINDOWS.map(|window| window.min(self.longest))
    }

    pub(super) fn n_features(&self) -> usize {
        let of_days = if self.n_days > 0 { WINDOWS.len() + 1 } else { 0 };
        N_CALENDAR + WINDOWS.len() + of_days + self.n_days as usize + usize::from(self.with_week) + 2
    }
}

/// Values and calendar of a part of a history, from which rows are made.
pub(super) struct Features {
    layout: Layout,
    /// The first step that has a value.
    from: u64,
    /// Sums of the values before each step; the first is 0.
    sums: Vec<f64>,
    /// The first step that has a calendar.
    calendar_from: u64,
    calendar: Vec<[f32; N_CALENDAR]>,
}

impl Features {
    /// Origins need values of [`Layout::lead`] steps before them, and forecast steps a calendar.
    pub(super) fn new(
        history: &History,
        layout: Layout,
        unit: Unit,
        values: Range<u64>,
        calendar: Range<u64>,
    ) -> Self {
        let mut sums = Vec::with_capacity((values.end - values.start) as usize + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for value in history.filled(values.start, values.end) {
            sum += unit.number(value);
            sums.push(sum);
        }
        let clock = WallClock::new(history, calendar.start).take((calendar.end - calendar.start) as usize);
        let calendar_from = calendar.start;
        let calendar = clock
            .map(|at| {
                let weekend = f32::from(u8::from(at.day_of_week >= 5));
                let time = TAU * at.second_of_day / SECONDS_PER_DAY;
                let mut features = [0.0; N_CALENDAR];
                for k in 0..HARMONICS[0] {
                    let (sin, cos) = ((k + 1) as f64 * time).sin_cos();
                    features[2 * k] = cos as f32;
                    features[2 * k + 1] = sin as f32;
                }
                let (of_day, of_weekend) = features.split_at_mut(2 * HARMONICS[0]);
                of_weekend[0] = weekend;
                for (feature, of_day) in of_weekend[1..].iter_mut().zip(of_day) {
                    *feature = weekend * *of_day;
                }
                features
            })
            .collect();
        Self { layout, from: values.start, sums, calendar_from, calendar }
    }

    /// The level that values are relative to in all forecasts from an origin: the mean of the day before it, or of the
    /// longest window as long as no day was seen.
    pub(super) fn level(&self, origin: u64) -> f64 {
        self.mean(origin, if self.layout.n_days > 0 { self.layout.day } else { self.layout.longest })
    }

    /// Appends the features of the step `ahead` of an origin; 1 is the origin itself, which is not seen yet.
    pub(super) fn row(&self, origin: u64, ahead: u32, into: &mut Vec<f32>) {
        let Layout { day, n_days, with_week, .. } = self.layout;
        let level = self.level(origin);
        let relative = |value: f64| (value - level) as f32;
        let step = origin + u64::from(ahead) - 1;
        into.extend(&self.calendar[(step - self.calendar_from) as usize]);
        into.extend(self.layout.windows().map(|window| relative(self.mean(origin, window))));
        if n_days > 0 {
            into.extend(self.layout.windows().map(|window| relative(self.mean(origin - day, window))));
            let newest = self.before(step, origin, day);
            into.push(relative(self.mean(newest + 1, 1)));
            into.extend(
                (0..n_days)
                    .map(|earlier| relative(self.mean_around(self.back(newest, earlier * day), origin))),
            );
        }
        if with_week {
            into.push(relative(self.mean_around(self.before(step, origin, 7 * day), origin)));
        }
        let days_ahead = f64::from(ahead) / day as f64;
        into.extend([f64::from(ahead).ln() as f32, days_ahead as f32]);
    }

    /// The newest step that is known at the origin and lies whole seasons before `step`.
    fn before(&self, step: u64, origin: u64, season: u64) -> u64 {
        let seasons = (step + 1 - origin).div_ceil(season);
        (step - seasons * season).max(self.from)
    }

    fn back(&self, step: u64, steps: u64) -> u64 {
        step.saturating_sub(steps).max(self.from)
    }

    /// The mean of the values about a step, as far as they are known at the origin.
    fn mean_around(&self, step: u64, origin: u64) -> f64 {
        let around = self.layout.around.min(origin - 1 - step).min(step - self.from);
        self.mean(step + around + 1, 2 * around + 1)
    }

    /// The mean of the `window` values before `end`.
    fn mean(&self, end: u64, window: u64) -> f64 {
        let end = (end - self.from) as usize;
        (self.sums[end] - self.sums[end - window as usize]) / window as f64
    }
}
