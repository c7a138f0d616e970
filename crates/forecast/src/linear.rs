//! Trend, calendar and autoregression in one ridge regression, carried on step by step.
//!
//! y(t) = b₀ + b t + calendar(t) + Σ a(w) ȳ(w, t) + Σ g(w) ȳ(w, t − m) + g₀ y(t − m) + g₁ ỹ(t − m), sums over w
//!
//! calendar(t) = Σₖ (cₖ cos + sₖ sin)(2π k τ) + d(weekday), and Σₖ (…)(2π k τ) once more for the weekend
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | τ | time of day by the clock on the wall, in slots of ten minutes or a step | days |
//! | ȳ(w, t) | mean of the w values before t, w = 1, 4, 16, 64: in place of an autoregression of order 64 | that of y |
//! | m | one day | steps |
//! | ỹ(t) | mean of the values around t, a quarter of an hour or eight steps to either side, whichever is less | that of y |
//!
//! Means over windows in place of single lags: heterogeneous autoregression (Corsi, "A simple approximate long-memory
//! model of realized volatility", J. Financial Econometrics 7, 2009). "Augmented linear regression" is all that is
//! known of Scryer's linear predictor (Netflix technology blog, December 2013); this one is ours.
//!
//! **Fit.** Ridge on standardised features. λ is chosen on a rolling origin: fits to the first two thirds of the rows
//! forecast from [`ORIGINS`] origins in the last third, and the λ of [`LAMBDAS`] stays whose mean absolute errors, each
//! horizon's over the least one of that horizon, have the least sum (one step ahead alone would leave λ too small:
//! what is estimated badly is carried on by the recursion). The fit is from sums of products; what belongs to the
//! calendar is the same in all rows of a slot of the week, so its products are taken once a slot and not once a row.
//! Rows whose value is a gap are left out; gaps among their features are filled from the past. So are rows that jump:
//! whose step differs from that of the day before by more than [`JUMP`] times what steps differ by in the median. One
//! jump of the level would otherwise outweigh all other rows, and be explained by its weekday and the trend.
//!
//! **Forecast.** Recursive: what is not known yet is its own forecast. Values are kept between 0 and [`MOST`] times the
//! largest that was seen, so that an unstable fit cannot run away.
//!
//! **Short histories** have fewer features: the time of day once a day was seen, the day before once two were, weekday
//! and trend once a week was. Fewer than [`ROWS_MIN`] rows are not fitted.

mod features;

use std::ops::Range;

use nalgebra::DVector;
use tidegate_core::SECONDS_PER_DAY;

use crate::calibrated::Calibrated;
use crate::history::{History, WallClock};
use crate::normal_equations::Products;
use crate::point::Point;
use crate::rolling::Rolling;
use features::{DYNAMIC_MAX, Shape, Week};

/// Penalties that are tried, relative to the features' variance.
pub const LAMBDAS: [f64; 5] = [1e-5, 1e-3, 1e-2, 0.05, 0.3];

/// Origins from which they are tried, at most.
pub const ORIGINS: u64 = 8;

/// Rows that a fit needs at least.
pub const ROWS_MIN: usize = 24;

/// History that is fitted to, and the day before its first row.
pub const REMEMBERED_SECONDS: f64 = 15.0 * SECONDS_PER_DAY;

/// Rows that differ from the day before by so many medians are left out.
pub const JUMP: f64 = 15.0;

/// Forecasts are at most so many times the largest value of the history.
pub const MOST: f64 = 1.5;

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
    /// The dynamic features but the trend, as weights of the sums so many steps back; the newest last, as the others need
    /// not wait for it.
    taps: Vec<(usize, f64)>,
    trend: f64,
    /// The trend counts from here, in days.
    trend_from: u64,
    /// Between which forecasts are kept, in units about the base.
    least: f64,
    most: f64,
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
        if let Some(fit) = &self.fit {
            fit.forecast(history, origins, aheads, each);
        }
    }
}

impl Fit {
    /// See [`Point::forecast`].
    fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    ) {
        let Some((first, last)) = origins.first().zip(origins.last()) else { return };
        let lead = self.shape.lead();
        let from = first - lead as u64;
        let known = sums(&history.filled(from, *last), self.base, self.unit);
        let most_ahead = *aheads.last().expect("a forecast looks ahead") as usize;
        let n_slots = (*last - *first) as usize + most_ahead;
        let slots: Vec<usize> =
            WallClock::new(history, *first).take(n_slots).map(|at| self.shape.slot(at)).collect();
        let mut sums = vec![0.0; lead + most_ahead + 1];
        let mut wanted = Vec::with_capacity(aheads.len());
        for (index, origin) in origins.iter().enumerate() {
            let offset = (origin - first) as usize;
            sums[..=lead].copy_from_slice(&known[offset..=offset + lead]);
            wanted.clear();
            let mut next = aheads.iter().peekable();
            for ahead in 0..most_ahead {
                let value = self.next(&sums, lead + ahead, slots[offset + ahead], origin + ahead as u64);
                sums[lead + ahead + 1] = sums[lead + ahead] + value;
                if next.next_if(|wanted| **wanted as usize == ahead + 1).is_some() {
                    wanted.push((self.base + self.unit * value).max(0.0));
                }
            }
            each(index, &wanted);
        }
    }

    /// The step at a place of `sums`, in units about the base.
    fn next(&self, sums: &[f64], at: usize, slot: usize, step: u64) -> f64 {
        let days = (step as f64 - self.trend_from as f64) / self.shape.day as f64;
        let mut value = self.by_slot[slot] + self.trend * days;
        for (back, weight) in &self.taps {
            value += weight * sums[at - back];
        }
        value.clamp(self.least, self.most)
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
    let most = MOST * values.iter().fold(0.0_f64, |most, value| most.max(*value));
    let n = values.len() as f64;
    let base = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - base) * (value - base) / n).sum::<f64>();
    let unit = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    let is_jump = jumps(&values, shape.day);
    let week = shape.calendar();
    let sums = sums(&values, base, unit);
    let products = |from: u64, end: u64| {
        products(history, (&shape, &week), (rows_from, first), from..end, &sums, |step| {
            let value = history.get(step).filter(|_| !is_jump((step - first) as usize));
            value.map(|value| (value - base) / unit)
        })
    };
    let split = rows_from + (end - rows_from) * 2 / 3;
    let early = products(rows_from, split);
    let mut all = products(split, end);
    all.add(&early);
    if all.n_rows() < ROWS_MIN as f64 {
        return None;
    }
    let of = |products: &Products, lambda: f64| {
        Fit::new(shape, &week, (base, unit), &products.ridge(lambda), rows_from, most)
    };
    let lambda = if early.n_rows() < ROWS_MIN as f64 {
        LAMBDAS[LAMBDAS.len() - 1]
    } else {
        best_lambda(history, split..end, |lambda| of(&early, lambda))
    };
    Some(of(&all, lambda))
}

/// The λ whose fits have the least errors from origins in these steps: relative to the best in each horizon.
fn best_lambda(history: &History, steps: Range<u64>, fit: impl Fn(f64) -> Fit) -> f64 {
    let stride = (steps.end - steps.start).div_ceil(ORIGINS);
    let origins: Vec<u64> = steps.clone().step_by(stride as usize).collect();
    let aheads = Rolling::new(history).aheads;
    let longest = aheads.partition_point(|ahead| steps.start + u64::from(*ahead) <= steps.end);
    let aheads = &aheads[..longest];
    let errors = LAMBDAS.map(|lambda| {
        let mut sums = vec![0.0; aheads.len()];
        fit(lambda).forecast(history, &origins, aheads, &mut |index, forecast| {
            for ((sum, ahead), forecast) in sums.iter_mut().zip(aheads).zip(forecast) {
                let step = origins[index] + u64::from(*ahead) - 1;
                if let Some(value) = history.get(step).filter(|_| step < steps.end) {
                    *sum += (value - forecast).abs();
                }
            }
        });
        sums
    });
    let relative = |errors_of: &Vec<f64>| {
        let of = |place: usize| {
            let least = errors.iter().map(|errors| errors[place]).fold(f64::INFINITY, f64::min);
            // Where one makes no error at all, the horizon does not tell.
            if least > 0.0 { errors_of[place] / least } else { 1.0 }
        };
        (0..aheads.len()).map(of).sum::<f64>()
    };
    let sums = errors.iter().map(relative).zip(LAMBDAS);
    sums.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are some to try").1
}

/// Whether the value at a place jumps from the one before it.
fn jumps(values: &[f64], day: usize) -> impl Fn(usize) -> bool + '_ {
    let change = move |place: usize| {
        let step = |place: usize| if place > 0 { values[place] - values[place - 1] } else { 0.0 };
        (step(place) - place.checked_sub(day).map_or(0.0, step)).abs()
    };
    let mut changes: Vec<f64> = (0..values.len()).map(change).collect();
    let middle = changes.len() / 2;
    let median = *changes.select_nth_unstable_by(middle, f64::total_cmp).1;
    // Where most steps do not change at all, any that does would be a jump.
    let most = if median > 0.0 { JUMP * median } else { f64::INFINITY };
    move |place| change(place) > most
}

impl Fit {
    fn new(
        shape: Shape,
        week: &Week,
        (base, unit): (f64, f64),
        coefficients: &DVector<f64>,
        from: u64,
        most: f64,
    ) -> Self {
        let of_calendar = &coefficients.as_slice()[1..=week.n_features];
        let by_slot = (0..7 * shape.slots_a_day)
            .map(|slot| {
                let products = week.slot(slot).iter().zip(of_calendar).map(|(feature, by)| feature * by);
                coefficients[0] + products.sum::<f64>()
            })
            .collect();
        let dynamic = &coefficients.as_slice()[1 + week.n_features..];
        Self {
            shape,
            base,
            unit,
            by_slot,
            taps: shape.taps(dynamic),
            trend: dynamic[0],
            trend_from: from,
            least: -base / unit,
            most: (most - base) / unit,
        }
    }
}

/// Dynamic features, target, and 1 for the count.
const WIDTH: usize = DYNAMIC_MAX + 2;

/// Sums of products of the rows of some steps. The trend counts from the first of `begin`, `sums` from the second.
fn products(
    history: &History,
    (shape, week): (&Shape, &Week),
    begin: (u64, u64),
    steps: Range<u64>,
    sums: &[f64],
    target: impl Fn(u64) -> Option<f64>,
) -> Products {
    let mut by_slot = vec![[0.0; WIDTH]; 7 * shape.slots_a_day];
    let mut dynamic = [[0.0; WIDTH]; WIDTH];
    for (step, at) in steps.clone().zip(WallClock::new(history, steps.start)) {
        let Some(target) = target(step) else { continue };
        let mut values = [0.0; WIDTH];
        values[..DYNAMIC_MAX].copy_from_slice(&shape.dynamic(sums, (step - begin.1) as usize));
        // Below a week the trend is left out, as a column that does not vary.
        values[0] = if shape.has_week { (step - begin.0) as f64 / shape.day as f64 } else { 0.0 };
        (values[DYNAMIC_MAX], values[DYNAMIC_MAX + 1]) = (target, 1.0);
        add_scaled(&mut by_slot[shape.slot(at)], 1.0, &values);
        for (left, sums) in values.iter().zip(&mut dynamic) {
            add_scaled(sums, *left, &values);
        }
    }
    assemble(week, &by_slot, &dynamic)
}

/// From sums of products by slot of the week: what is of the calendar is the same in all rows of a slot.
fn assemble(week: &Week, by_slot: &[[f64; WIDTH]], dynamic: &[[f64; WIDTH]; WIDTH]) -> Products {
    let n_calendar = week.n_features;
    let mut of_calendar = vec![0.0; n_calendar * n_calendar];
    let mut across = vec![[0.0; WIDTH]; n_calendar];
    for (slot, sums) in by_slot.iter().enumerate().filter(|(_, sums)| sums[WIDTH - 1] > 0.0) {
        let features = week.slot(slot);
        for (i, feature) in features.iter().enumerate().filter(|(_, feature)| **feature != 0.0) {
            // The upper triangle.
            let row = &mut of_calendar[i * n_calendar..][i..n_calendar];
            add_scaled(row, sums[WIDTH - 1] * feature, &features[i..]);
            add_scaled(&mut across[i], *feature, sums);
        }
    }
    // Where each of the dynamic values stands among 1, calendar, dynamic features, target.
    let place = |index: usize| if index == WIDTH - 1 { 0 } else { 1 + n_calendar + index };
    let mut products = Products::new(n_calendar + DYNAMIC_MAX);
    for (i, row) in dynamic.iter().enumerate() {
        for (j, sum) in row.iter().enumerate() {
            products.sums[(place(i), place(j))] = *sum;
        }
    }
    for i in 0..n_calendar {
        for j in i..n_calendar {
            products.sums[(1 + i, 1 + j)] = of_calendar[i * n_calendar + j];
            products.sums[(1 + j, 1 + i)] = of_calendar[i * n_calendar + j];
        }
        for (j, sum) in across[i].iter().enumerate() {
            products.sums[(1 + i, place(j))] = *sum;
            products.sums[(place(j), 1 + i)] = *sum;
        }
    }
    products
}

fn add_scaled(sums: &mut [f64], by: f64, values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += by * value;
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{Forecaster, Seed};

    use super::*;
    use crate::testing::{Ar1, calendar_in, forecast};

    fn history(n: u64, step_seconds: f64, value: impl FnMut(u64) -> Option<f64>) -> History {
        let mut history = History::new(step_seconds, REMEMBERED_SECONDS);
        history.reset(calendar_in(chrono_tz::Europe::Berlin, "2025-03-20T00:00:00"));
        (0..n).map(value).for_each(|value| history.push(value));
        history
    }

    /// Every product by the row itself: calendar, trend, dynamic features and target, gaps left out, over the change to
    /// summer time.
    #[test]
    fn sums_by_slot_are_the_sums_over_the_rows() {
        let mut noise = Ar1::new(0.5, 10.0, 3);
        let history = history(15 * 96, 900.0, |step| {
            (step % 50 > 2).then(|| 100.0 + (step % 96) as f64 + noise.draw())
        });
        let end = history.n_steps();
        let shape = Shape::of(&history, end as usize);
        assert!(shape.has_week && shape.has_day_before);
        let from = history.first_seen() + shape.lead() as u64;
        let sums = sums(&history.filled(history.first_seen(), end), 0.0, 100.0);
        let target = |step| history.get(step).map(|value| value / 100.0);
        let begin = (from, history.first_seen());
        let week = shape.calendar();
        let mut fast = products(&history, (&shape, &week), begin, from..from + 500, &sums, target);
        fast.add(&products(&history, (&shape, &week), begin, from + 500..end, &sums, target));

        let mut slow = Products::new(week.n_features + DYNAMIC_MAX);
        for (row, at) in (0..end - from).zip(WallClock::new(&history, from)) {
            let Some(target) = target(from + row) else { continue };
            let slot = shape.slot(at);
            let mut values = vec![1.0];
            values.extend(week.slot(slot));
            values.push(row as f64 / 96.0);
            values.extend(&shape.dynamic(&sums, shape.lead() + row as usize)[1..]);
            values.push(target);
            let values = DVector::from_vec(values);
            slow.sums += &values * values.transpose();
        }
        for (fast, slow) in fast.sums.iter().zip(slow.sums.iter()) {
            approx::assert_relative_eq!(fast, slow, epsilon = 1e-6, max_relative = 1e-9);
        }

        // The taps are the dynamic features under their coefficients, but the trend.
        let coefficients: Vec<f64> = (0..DYNAMIC_MAX).map(|index| (index as f64).sin()).collect();
        let at = shape.lead() + 17;
        let features = shape.dynamic(&sums, at);
        let direct: f64 = coefficients.iter().zip(features).skip(1).map(|(by, feature)| by * feature).sum();
        let tapped: f64 =
            shape.taps(&coefficients).iter().map(|(back, weight)| weight * sums[at - back]).sum();
        approx::assert_relative_eq!(direct, tapped, max_relative = 1e-9);
    }

    /// An AR(1) about a level, φ = 0.8: over the next three days its errors are hardly larger than those of μ + φʰ (y − μ).
    #[test]
    fn an_autoregression_is_forecast_as_well_as_can_be() {
        let mut noise = Ar1::new(0.8, 10.0, 7);
        let history = history(15 * 96, 900.0, |_| Some(500.0 + noise.draw()));
        let end = history.n_steps() - 300;
        let mut linear = Linear::new();
        linear.fit(&history, end);
        let origins: Vec<u64> = (end..end + 290).collect();
        let mut squares = [[0.0; 2]; 4];
        let aheads = [1, 2, 4, 8];
        linear.forecast(&history, &origins, &aheads, &mut |index, forecast| {
            let value = |step: u64| history.get(step).expect("it was seen");
            let last = value(origins[index] - 1);
            for ((ahead, forecast), squares) in aheads.into_iter().zip(forecast).zip(&mut squares) {
                let truth = value(origins[index] + u64::from(ahead) - 1);
                let best = 500.0 + 0.8_f64.powi(ahead.cast_signed()) * (last - 500.0);
                squares[0] += (forecast - truth).powi(2);
                squares[1] += (best - truth).powi(2);
            }
        });
        for ([of_linear, of_best], ahead) in squares.into_iter().zip(aheads) {
            assert!(of_linear < 1.2 * of_best, "{ahead} ahead: {of_linear}, the least {of_best}");
        }
    }

    /// A shape of the day by the clock on the wall and quieter weekends, without noise: a day ahead, over a weekend's
    /// beginning, and at the change to summer time (Sunday, March 30).
    #[test]
    fn a_calendar_comes_back() {
        let mut forecaster = Linear::forecaster(900.0);
        let calendar = calendar_in(chrono_tz::Europe::Berlin, "2025-03-14T00:00:00");
        forecaster.reset(calendar, Seed::training(0).controller(0));
        let value = |step: u64| {
            let at = calendar.local((step as f64 + 0.5) * 900.0);
            let day = f64::from(at.second_of_day) / SECONDS_PER_DAY * std::f64::consts::TAU;
            let size = if at.day_of_week >= 5 { 30.0 } else { 60.0 };
            100.0 - size * day.cos() + 0.3 * size * (3.0 * day).sin()
        };
        for step in 0..15 * 96 {
            forecaster.observe(Some(value(step)));
        }
        let quantiles = forecast(&mut forecaster, 2 * 96);
        for ahead in 0..2 * 96 {
            let error = quantiles.median(ahead) - value(15 * 96 + ahead as u64);
            assert!(error.abs() < 6.0, "{ahead} ahead: {error}");
        }
    }

    /// One jump of the level is no row of the fit: a day later the forecast stays near what there is.
    #[test]
    fn a_jump_does_not_run_away() {
        let mut noise = Ar1::new(0.7, 5.0, 9);
        let level = |step: u64| if step < 12 * 24 { 200.0 } else { 500.0 };
        let history = history(14 * 24, 3600.0, |step| Some(level(step) + noise.draw()));
        let mut linear = Linear::new();
        linear.fit(&history, history.n_steps());
        let aheads: Vec<u32> = (1..=24).collect();
        linear.forecast(&history, &[history.n_steps()], &aheads, &mut |_, forecast| {
            assert!(forecast.iter().all(|value| (400.0..600.0).contains(value)), "{forecast:?}");
        });
    }
}
