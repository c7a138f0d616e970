//! Trend, calendar and autoregression in one ridge regression, carried on step by step.
//!
//! y(t) = b₀ + b_trend t + Σₖ (cₖ cos + sₖ sin)(2π k τ) + d\[weekday\] + weekend · Σₖ (…)(2π k τ) + Σ_w a_w ȳ_w(t) + Σ_w g_w ȳ_w(t − m) + …
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | τ | time of day by the clock on the wall, in slots of five minutes or a step | days |
//! | ȳ_w(t) | mean of the w values before t, w = 1, 4, 16, 64: what an autoregression of order 64 is allowed to be | |
//! | m | one day in steps; besides ȳ_w(t − m), y(t − m) and the mean of the values around it are features | steps |
//!
//! Means over windows in place of single lags: heterogeneous autoregression (Corsi, "A simple approximate long-memory
//! model of realized volatility", J. Financial Econometrics 7, 2009). "Augmented linear regression" is all that is
//! known of Scryer's linear predictor (Netflix technology blog, December 2013); this one is ours.
//!
//! **Fit.** Ridge on standardised features; λ is the one of [`LAMBDAS`] with the least squared error one step ahead on a
//! rolling origin: fitted to the first third of the rows and scored on the second, fitted to two thirds and scored on
//! the last. All of it from sums of products, one set a third; what belongs to the calendar is the same in all rows of a
//! slot of the week, so its products are taken once a slot and not once a row. Rows whose value is a gap are left out;
//! gaps among their features are filled from the past.
//!
//! **Forecast.** Recursive: what is not known yet is its own forecast. Values are kept between 0 and twice the largest
//! that was seen, so that an unstable fit cannot run away.
//!
//! **Short histories** have fewer features: the time of day once a day was seen, the day before once two were, weekday
//! and trend once a week was. Fewer than [`ROWS_MIN`] rows are not fitted.

use nalgebra::DVector;
use tidegate_core::SECONDS_PER_DAY;

use crate::calibrated::Calibrated;
use crate::history::{History, Moment, WallClock};
use crate::normal_equations::Products;
use crate::point::Point;

/// Penalties that are tried, relative to the features' variance.
pub const LAMBDAS: [f64; 6] = [1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1.0];

/// Rows that a fit needs at least.
pub const ROWS_MIN: usize = 24;

/// History that is fitted to, and the day before its first row.
pub const REMEMBERED_SECONDS: f64 = 15.0 * SECONDS_PER_DAY;

/// Slots of the calendar are no shorter.
const SLOT_SECONDS: f64 = 300.0;

/// Harmonics of the day, and of the weekend's own day.
const HARMONICS: [usize; 2] = [12, 4];

/// Values that are averaged before a step.
const WINDOWS: [usize; 4] = [1, 4, 16, 64];

/// Parts of the rows on which λ is chosen.
const PARTS: usize = 3;

/// Trend, means of the windows, the value a day before and the mean around it, means of the windows a day before.
const DYNAMIC_MAX: usize = 1 + WINDOWS.len() + 2 + WINDOWS.len();

/// The method.
#[derive(Clone, Debug)]
pub struct Linear {
    fit: Option<Fit>,
}

#[derive(Clone, Debug)]
struct Fit {
    shape: Shape,
    /// Values are (y − base) / unit in the regression.
    base: f64,
    unit: f64,
    /// With the intercept, slot of the week by slot.
    by_slot: Vec<f64>,
    /// Coefficients of the dynamic features, trend first.
    dynamic: [f64; DYNAMIC_MAX],
    /// The trend counts from here, in days.
    trend_from: u64,
    most: f64,
}

/// Which features there are.
#[derive(Clone, Copy, Debug)]
struct Shape {
    day: usize,
    slots_a_day: usize,
    /// Steps to either side of the same time a day before that are averaged.
    around: usize,
    has_day: bool,
    has_week: bool,
    has_day_before: bool,
}

impl Default for Linear {
    fn default() -> Self {
        Self::new()
    }
}

impl Linear {
    /// The method, not fitted yet.
    pub const fn new() -> Self {
        Self { fit: None }
    }

    /// A forecaster by this method, for steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn forecaster(step_seconds: f64) -> Calibrated<Self> {
        Calibrated::new(step_seconds, Self::new())
    }
}

impl Shape {
    fn of(history: &History, n_steps: usize) -> Self {
        let day = history.steps_a_day();
        // Steps of some hours: a day of them has no shape that harmonics could tell.
        let has_day = day >= 4 && n_steps >= day;
        Self {
            day,
            slots_a_day: (SECONDS_PER_DAY / history.step_seconds().max(SLOT_SECONDS)).round().max(1.0) as usize,
            around: (day / 96).min(8),
            has_day,
            has_week: n_steps >= 7 * day,
            has_day_before: has_day && n_steps >= 2 * day + WINDOWS[WINDOWS.len() - 1],
        }
    }

    /// Steps that a row needs before it.
    fn lead(&self) -> usize {
        let longest = WINDOWS[WINDOWS.len() - 1].min(self.day.max(4));
        longest + if self.has_day_before { self.day } else { 0 }
    }

    fn slot(&self, at: Moment) -> usize {
        let slot = (at.second_of_day / SECONDS_PER_DAY * self.slots_a_day as f64) as usize;
        at.day_of_week as usize * self.slots_a_day + slot.min(self.slots_a_day - 1)
    }

    /// Features of the calendar, of every slot of the week; one slot after the other.
    fn calendar(&self) -> (usize, Vec<f64>) {
        let harmonics = |n: usize| n.min((self.slots_a_day - 1) / 2);
        let [of_day, of_weekend] = [self.has_day, self.has_day && self.has_week];
        let n_day = if of_day { harmonics(HARMONICS[0]) } else { 0 };
        let n_weekend = if of_weekend { harmonics(HARMONICS[1]) } else { 0 };
        let mut features = Vec::new();
        for day_of_week in 0..7 {
            for slot in 0..self.slots_a_day {
                let time = std::f64::consts::TAU * (slot as f64 + 0.5) / self.slots_a_day as f64;
                let wave = |k: usize| [(k as f64 * time).cos(), (k as f64 * time).sin()];
                features.extend((1..=n_day).flat_map(wave));
                let is_weekend = f64::from(u8::from(day_of_week >= 5));
                features.extend((1..=n_weekend).flat_map(wave).map(|value| is_weekend * value));
                if self.has_week {
                    features.extend((0..7).map(|day| f64::from(u8::from(day == day_of_week))));
                }
            }
        }
        (features.len() / (7 * self.slots_a_day), features)
    }

    /// The dynamic features of the step at `at`, but the trend: `sums[i]` is the sum of the i values before place i.
    fn dynamic(&self, sums: &[f64], at: usize) -> [f64; DYNAMIC_MAX] {
        let mean = |at: usize, window: usize| (sums[at] - sums[at - window]) / window as f64;
        let longest = self.day.max(4);
        let mut features = [0.0; DYNAMIC_MAX];
        for (index, window) in WINDOWS.into_iter().enumerate() {
            features[1 + index] = mean(at, window.min(longest));
        }
        if self.has_day_before {
            let before = at - self.day;
            features[5] = sums[before + 1] - sums[before];
            // Of a day of four steps the values around it would reach today.
            features[6] = mean(before + 1 + self.around, 1 + 2 * self.around);
            for (index, window) in WINDOWS.into_iter().enumerate() {
                features[7 + index] = mean(before, window.min(longest));
            }
        }
        features
    }
}

/// Values before a window, as sums: the first is 0.
fn sums(values: &[f64], base: f64, unit: f64) -> Vec<f64> {
    let mut sums = Vec::with_capacity(values.len() + 1);
    sums.push(0.0);
    let mut sum = 0.0;
    for value in values {
        sum += (value - base) / unit;
        sums.push(sum);
    }
    sums
}

impl Point for Linear {
    fn name(&self) -> &'static str {
        match &self.fit {
            None => "",
            Some(fit) if fit.shape.has_week => "linear, trend, week, day and autoregression",
            Some(fit) if fit.shape.has_day_before => "linear, day and autoregression",
            Some(fit) if fit.shape.has_day => "linear, time of day and autoregression",
            Some(_) => "linear, autoregression",
        }
    }

    fn remembered_seconds(&self) -> f64 {
        REMEMBERED_SECONDS
    }

    fn reset(&mut self, _: u64) {
        self.fit = None;
    }

    fn fit(&mut self, history: &History, end: u64) {
        self.fit = fit(history, end);
    }

    fn earliest_origin(&self, history: &History) -> u64 {
        history.first_seen() + self.fit.as_ref().map_or(0, |fit| fit.shape.lead() as u64)
    }

    fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    ) {
        let (Some(fit), Some((first, last))) = (&self.fit, origins.first().zip(origins.last())) else { return };
        let lead = fit.shape.lead();
        let from = first - lead as u64;
        let known = sums(&history.filled(from, *last), fit.base, fit.unit);
        let most_ahead = *aheads.last().expect("a forecast looks ahead") as usize;
        let n_slots = (*last - *first) as usize + most_ahead;
        let slots: Vec<usize> =
            WallClock::new(history, *first).take(n_slots).map(|at| fit.shape.slot(at)).collect();
        let mut sums = vec![0.0; lead + most_ahead + 1];
        let mut wanted = Vec::with_capacity(aheads.len());
        for (index, origin) in origins.iter().enumerate() {
            let offset = (origin - first) as usize;
            sums[..=lead].copy_from_slice(&known[offset..=offset + lead]);
            wanted.clear();
            let mut next = aheads.iter().peekable();
            for ahead in 0..most_ahead {
                let value = fit.next(&sums, lead + ahead, slots[offset + ahead], origin + ahead as u64);
                sums[lead + ahead + 1] = sums[lead + ahead] + (value - fit.base) / fit.unit;
                if next.next_if(|wanted| **wanted as usize == ahead + 1).is_some() {
                    wanted.push(value);
                }
            }
            each(index, &wanted);
        }
    }
}

impl Fit {
    /// The step at a place of `sums`.
    fn next(&self, sums: &[f64], at: usize, slot: usize, step: u64) -> f64 {
        let features = self.shape.dynamic(sums, at);
        let trend = (step as f64 - self.trend_from as f64) / self.shape.day as f64;
        let mut value = self.by_slot[slot] + self.dynamic[0] * trend;
        for (coefficient, feature) in self.dynamic.iter().zip(features).skip(1) {
            value += coefficient * feature;
        }
        (self.base + self.unit * value).clamp(0.0, self.most)
    }
}

fn fit(history: &History, end: u64) -> Option<Fit> {
    let first = history.recent(end, REMEMBERED_SECONDS);
    let shape = Shape::of(history, end.saturating_sub(first) as usize);
    let rows_from = first + shape.lead() as u64;
    if end < rows_from + ROWS_MIN as u64 {
        return None;
    }
    let values = history.filled(first, end);
    let most = 2.0 * values.iter().fold(0.0_f64, |most, value| most.max(*value));
    let n = values.len() as f64;
    let base = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - base) * (value - base) / n).sum::<f64>();
    let unit = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    let parts = products(history, &shape, rows_from, end, &sums(&values, base, unit), |step| {
        history.get(step).map(|value| (value - base) / unit)
    });
    let mut all = parts[0].clone();
    let mut before = Vec::with_capacity(PARTS - 1);
    for part in &parts[1..] {
        before.push(all.clone());
        all.add(part);
    }
    if all.n_rows() < ROWS_MIN as f64 {
        return None;
    }
    let rolling = |lambda: f64| {
        let scored = before.iter().zip(&parts[1..]).filter(|(seen, _)| seen.n_rows() > 1.0);
        scored.map(|(seen, coming)| coming.squared_error(&seen.ridge(lambda))).sum::<f64>()
    };
    let (_, lambda) = LAMBDAS
        .map(|lambda| (rolling(lambda), lambda))
        .into_iter()
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .expect("there are some to try");
    Some(Fit::new(shape, (base, unit), &all.ridge(lambda), rows_from, most))
}

impl Fit {
    fn new(shape: Shape, (base, unit): (f64, f64), coefficients: &DVector<f64>, from: u64, most: f64) -> Self {
        let (n_calendar, calendar) = shape.calendar();
        let of_calendar = &coefficients.as_slice()[1..=n_calendar];
        let mut by_slot = vec![coefficients[0]; 7 * shape.slots_a_day];
        if n_calendar > 0 {
            for (sum, features) in by_slot.iter_mut().zip(calendar.chunks(n_calendar)) {
                *sum += features.iter().zip(of_calendar).map(|(feature, by)| feature * by).sum::<f64>();
            }
        }
        let mut dynamic = [0.0; DYNAMIC_MAX];
        dynamic.copy_from_slice(&coefficients.as_slice()[1 + n_calendar..]);
        Self { shape, base, unit, by_slot, dynamic, trend_from: from, most }
    }
}

/// Sums of products of the rows from `from` up to `end`, in [`PARTS`] parts one after the other.
fn products(
    history: &History,
    shape: &Shape,
    from: u64,
    end: u64,
    sums: &[f64],
    target: impl Fn(u64) -> Option<f64>,
) -> Vec<Products> {
    /// Dynamic features, target, and 1 for the count.
    const WIDTH: usize = DYNAMIC_MAX + 2;
    let (n_calendar, calendar) = shape.calendar();
    let n_features = n_calendar + DYNAMIC_MAX;
    let n_rows = (end - from) as usize;
    let mut clock = WallClock::new(history, from);
    let mut by_slot = vec![[0.0; WIDTH]; 7 * shape.slots_a_day];
    let mut parts = Vec::with_capacity(PARTS);
    for part in 0..PARTS {
        by_slot.fill([0.0; WIDTH]);
        let mut dynamic = [[0.0; WIDTH]; WIDTH];
        for row in n_rows * part / PARTS..n_rows * (part + 1) / PARTS {
            let slot = shape.slot(clock.next().expect("it goes on for ever"));
            let Some(target) = target(from + row as u64) else { continue };
            let features = shape.dynamic(sums, shape.lead() + row);
            let mut values = [0.0; WIDTH];
            values[..DYNAMIC_MAX].copy_from_slice(&features);
            // Below a week the trend is left out, as a column that does not vary.
            values[0] = if shape.has_week { row as f64 / shape.day as f64 } else { 0.0 };
            (values[DYNAMIC_MAX], values[DYNAMIC_MAX + 1]) = (target, 1.0);
            for (sum, value) in by_slot[slot].iter_mut().zip(values) {
                *sum += value;
            }
            for (left, sums) in values.iter().zip(&mut dynamic) {
                for (sum, right) in sums.iter_mut().zip(values) {
                    *sum += left * right;
                }
            }
        }
        let mut products = Products::new(n_features);
        // Where each of the dynamic values stands among 1, calendar, dynamic features, target.
        let place = |index: usize| if index == WIDTH - 1 { 0 } else { 1 + n_calendar + index };
        for (i, row) in dynamic.iter().enumerate() {
            for (j, sum) in row.iter().enumerate() {
                products.sums[(place(i), place(j))] = *sum;
            }
        }
        for (slot, sums) in by_slot.iter().enumerate().filter(|(_, sums)| sums[WIDTH - 1] > 0.0) {
            let features = &calendar[slot * n_calendar..][..n_calendar];
            for (i, left) in features.iter().enumerate() {
                let mut column = products.sums.column_mut(1 + i);
                for (j, right) in features.iter().enumerate() {
                    column[1 + j] += sums[WIDTH - 1] * left * right;
                }
                for (j, sum) in sums.iter().enumerate() {
                    column[place(j)] += left * sum;
                }
            }
        }
        // So far the calendar's columns have the products with the dynamic values, but not the other way round.
        for i in 1..=n_calendar {
            for j in (0..1).chain(1 + n_calendar..n_features + 2) {
                products.sums[(i, j)] = products.sums[(j, i)];
            }
        }
        parts.push(products);
    }
    parts
}
