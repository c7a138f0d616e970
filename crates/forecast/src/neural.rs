//! A small network from what was seen to the quantiles of each coming step.
//!
//! q(t+h) = g⁻¹(ℓ + net(calendar(t+h), g(y) − ℓ some days before t+h, g(y) − ℓ of the newest values before t, h)), g(y) = ln(1 + y/u)
//!
//! | symbol | word |
//! | --- | --- |
//! | u | mean of the training part; g is then standardised by mean and deviation of that part |
//! | ℓ | mean of g(y) over the day before t: after a change of level has lasted a day, forecasts have moved by as much without a new fit |
//! | net | two hidden layers of [`HIDDEN`] with `ReLU`; out come the quantiles at [`Quantiles::LEVELS`], which cannot cross |
//! | h | horizon, an input: one network for all of them, each forecast directly and not from other forecasts |
//!
//! Calendar features of the step that is forecast and lags of its own stand beside what is known at the origin, as in
//! the local decoder of Wen et al., "A multi-horizon quantile recurrent forecaster" (2017), with means over windows in
//! place of their recurrent encoder. `features.rs` has them all.
//!
//! **Fit.** From scratch, on batches of [`BATCH`] drawn anew from the steps of the training part and the horizons of `rolling.rs` of this crate, by
//! Adam on the pinball loss over all levels. The newest [`HELD_BACK`] of the steps are held back: the parameters that
//! did best on them are kept, and training ends when [`PATIENCE`] looks in a row did no better, or after the steps it was given. Units and
//! standardisation come from the training part only. Every draw comes from one generator, whose seed is the one that
//! [`Point::reset`] was given: the same history gives the same bits.
//!
//! As a [`Point`] it gives the median, and the distance from its 10 % to its 90 % quantile as the spread that
//! [`Calibrated`] sets right by past errors: learnt quantiles alone cover what the training part held, and no change since. A
//! monotone g carries quantiles over, so the median of g(y) is that of y. What it says is kept between 0 and twice the
//! largest value that was seen.

mod features;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidegate_core::{Quantiles, SECONDS_PER_DAY};
use tidegate_net::{Activation, Initial, Network, Pass, QuantileHead, Schedule, Shape, Trainer};

use self::features::{Features, Layout, Unit};
use crate::calibrated::Calibrated;
use crate::history::History;
use crate::point::{EachWithSpread, Point};
use crate::rolling::Rolling;

/// History that is fitted to: three weeks, and the day before the first of them.
pub const REMEMBERED_SECONDS: f64 = 22.0 * SECONDS_PER_DAY;

/// Units in each of the two hidden layers.
pub const HIDDEN: usize = 48;

/// Rows in a training step.
pub const BATCH: usize = 256;

/// Training steps at most, if not told otherwise.
pub const STEPS: u32 = 1000;

/// Share of the steps that decides when to stop.
pub const HELD_BACK: f64 = 0.15;

/// Looks at the held-back steps without anything better, after which training ends.
pub const PATIENCE: u32 = 10;

/// Values that a fit needs at least, beside those that the first of them looks back on. Few, so that eight days of hours
/// have errors to take quantiles from; that a network fits two days by heart is what the held-back steps are for.
pub const ROWS_MIN: usize = 48;

/// Training steps between two looks, as a share of all.
const LOOKS: u32 = 40;

/// Held-back rows that are looked at, at most.
const HELD_BACK_ROWS: usize = 2048;

/// Rows that the inputs are standardised by, at most.
const STANDARD_ROWS: usize = 4096;

const LEARNING_RATE: (f64, f64) = (3e-3, 1e-5);

/// The norm of all gradients together is kept below.
const NORM_MOST: f64 = 1.0;

/// Standardised inputs are kept within this: while a change of level is a day old at most, values before it lie further
/// out than any that was fitted to, and a network with `ReLU` would go on in a straight line.
const INPUT_MOST: f32 = 4.0;

/// Positions among the levels of 10 %, the median and 90 %.
const SPREAD: [usize; 3] = [2, 4, 6];

/// The method.
#[derive(Clone, Debug)]
pub struct Neural {
    n_steps: u32,
    seed: u64,
    fit: Option<Fit>,
}

#[derive(Clone, Debug)]
struct Fit {
    network: Network,
    layout: Layout,
    unit: Unit,
    /// Mean and inverse deviation of each input.
    standard: Vec<(f32, f32)>,
    most: f64,
}

impl Default for Neural {
    fn default() -> Self {
        Self::new(STEPS)
    }
}

impl Neural {
    /// Trained for so many steps at most.
    ///
    /// # Panics
    /// Without any.
    pub const fn new(n_steps: u32) -> Self {
        assert!(n_steps > 0, "training takes steps");
        Self { n_steps, seed: 0, fit: None }
    }

    /// A forecaster by this method with [`STEPS`], for steps of this length.
    ///
    /// # Panics
    /// If that is no positive number.
    pub fn forecaster(step_seconds: f64) -> Calibrated<Self> {
        Calibrated::new(step_seconds, Self::default())
    }
}

impl Point for Neural {
    fn name(&self) -> &'static str {
        match &self.fit {
            None => "",
            Some(fit) if fit.layout.has_week() => "neural, calendar, week, days and newest values",
            Some(fit) if fit.layout.n_days > 0 => "neural, calendar, days before and newest values",
            Some(_) => "neural, calendar and newest values",
        }
    }

    fn remembered_seconds(&self) -> f64 {
        REMEMBERED_SECONDS
    }

    fn refit_seconds(&self) -> f64 {
        SECONDS_PER_DAY
    }

    fn reset(&mut self, seed: u64) {
        (self.seed, self.fit) = (seed, None);
    }

    fn fit(&mut self, history: &History, end: u64) {
        self.fit = self.train(history, end);
    }

    fn earliest_origin(&self, history: &History) -> u64 {
        history.first_seen() + self.fit.as_ref().map_or(0, |fit| fit.layout.lead())
    }

    fn forecast(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: &mut dyn FnMut(usize, &[f64]),
    ) {
        self.forecast_with_spread(history, origins, aheads, &mut |index, points, _| each(index, points));
    }

    fn forecast_with_spread(
        &self,
        history: &History,
        origins: &[u64],
        aheads: &[u32],
        each: EachWithSpread<'_>,
    ) {
        let (Some(fit), Some((first, last))) = (&self.fit, origins.first().zip(origins.last())) else {
            return;
        };
        let coming = u64::from(*aheads.last().expect("a forecast looks ahead"));
        let from = first - fit.layout.lead();
        let features = Features::new(history, fit.layout, fit.unit, from..*last, *first..last + coming);
        let head = QuantileHead::new(&Quantiles::LEVELS);
        let (mut rows, mut pass, mut answers) = (Vec::new(), Pass::default(), Vec::new());
        let (mut medians, mut spreads) = (Vec::new(), Vec::new());
        for (index, origin) in origins.iter().enumerate() {
            rows.clear();
            for ahead in aheads {
                features.row(*origin, *ahead, &mut rows);
            }
            standardise(&fit.standard, &mut rows);
            answers.clear();
            answers.extend_from_slice(fit.network.forward(&rows, &mut pass));
            head.quantiles(&mut answers);
            medians.clear();
            spreads.clear();
            let level = features.level(*origin);
            for levels in answers.chunks_exact(Quantiles::LEVELS.len()) {
                let [low, median, high] =
                    SPREAD.map(|index| fit.unit.value(level + f64::from(levels[index])).clamp(0.0, fit.most));
                medians.push(median);
                spreads.push(high - low);
            }
            each(index, &medians, &spreads);
        }
    }
}

impl Neural {
    fn train(&self, history: &History, end: u64) -> Option<Fit> {
        let first = history.recent(end, REMEMBERED_SECONDS);
        let cut = end - ((end.saturating_sub(first)) as f64 * HELD_BACK).ceil() as u64;
        let layout = Layout::of(history, cut.saturating_sub(first));
        let rows_from = first + layout.lead();
        // A row is a step that was seen, with an origin from which it is forecast.
        let seen = |from: u64, to: u64| -> Vec<u64> {
            (from..to).filter(|step| history.get(*step).is_some()).collect()
        };
        let (rows, held_back) = (seen(rows_from, cut), seen(cut, end));
        if rows.len() < ROWS_MIN || held_back.is_empty() {
            return None;
        }
        let unit = Unit::of(&(first..cut).filter_map(|step| history.get(step)));
        let most = 2.0 * (first..end).filter_map(|step| history.get(step)).fold(0.0, f64::max);
        let features = Features::new(history, layout, unit, first..end, rows_from..end);
        let target = |step: u64, ahead: u32| {
            let level = features.level(step + 1 - u64::from(ahead));
            history.get(step).map_or(f32::NAN, |value| (unit.number(value) - level) as f32)
        };
        let horizons = Rolling::new(history).aheads;
        let longest = |step: u64, from: u64, ahead: u32| u64::from(ahead).min(step - from + 1) as u32;
        let row = |step: u64, ahead: u32, rows: &mut Vec<f32>| {
            features.row(step + 1 - u64::from(ahead), ahead, rows);
        };

        let mut inputs = Vec::new();
        for (step, ahead) in thinned(&rows, STANDARD_ROWS).zip(horizons.iter().cycle()) {
            row(step, longest(step, rows_from, *ahead), &mut inputs);
        }
        let standard = standard(layout.n_features(), &inputs);

        let (mut held_inputs, mut held_targets) = (Vec::new(), Vec::new());
        for (step, ahead) in thinned(&held_back, HELD_BACK_ROWS).zip(horizons.iter().cycle()) {
            let ahead = longest(step, cut, *ahead);
            row(step, ahead, &mut held_inputs);
            held_targets.push(target(step, ahead));
        }
        standardise(&standard, &mut held_inputs);

        let head = QuantileHead::new(&Quantiles::LEVELS);
        let shape = Shape::new(&[layout.n_features(), HIDDEN, HIDDEN, head.n_levels()], Activation::Relu)
            .expect("layers have units");
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut network = Network::new(shape, Initial::TorchLinear, &mut rng);
        let (from, to) = LEARNING_RATE;
        let rate = Schedule::Cosine { from, to, steps: u64::from(self.n_steps) };
        let mut trainer = Trainer::new(&network, rate).clipped(NORM_MOST);
        let (mut pass, mut unused) = (Pass::default(), vec![0.0; held_targets.len() * head.n_levels()]);
        let mut best: Option<(f64, Network)> = None;
        let (mut idle, mut targets) = (0, Vec::with_capacity(BATCH));
        for step in 1..=self.n_steps {
            inputs.clear();
            targets.clear();
            for _ in 0..BATCH {
                let step = rows[rng.random_range(0..rows.len())];
                let ahead = horizons[rng.random_range(0..horizons.len())];
                let ahead = longest(step, rows_from, ahead);
                row(step, ahead, &mut inputs);
                targets.push(target(step, ahead));
            }
            standardise(&standard, &mut inputs);
            let stepped = trainer.step(&mut network, &inputs, |outputs, by| head.mean(outputs, &targets, by));
            if stepped.is_err() {
                break;
            }
            if step % self.n_steps.div_ceil(LOOKS) == 0 || step == self.n_steps {
                let loss = head.mean(network.forward(&held_inputs, &mut pass), &held_targets, &mut unused);
                if best.as_ref().map_or(loss.is_finite(), |(least, _)| loss < *least) {
                    best = Some((loss, network.clone()));
                    idle = 0;
                } else {
                    idle += 1;
                }
                if idle == PATIENCE {
                    break;
                }
            }
        }
        let (_, network) = best?;
        Some(Fit { network, layout, unit, standard, most })
    }
}

/// So many of them at most, evenly spaced.
fn thinned(steps: &[u64], most: usize) -> impl Iterator<Item = u64> {
    steps.iter().copied().step_by(steps.len().div_ceil(most))
}

/// Mean and inverse deviation of each column; one that does not vary is left out, with an inverse deviation of 0.
fn standard(n_columns: usize, rows: &[f32]) -> Vec<(f32, f32)> {
    let n = (rows.len() / n_columns) as f64;
    (0..n_columns)
        .map(|column| {
            let values = || rows.iter().skip(column).step_by(n_columns).map(|value| f64::from(*value));
            let mean = values().sum::<f64>() / n;
            let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
            let varies = deviation > 1e-6 * mean.abs().max(1.0);
            (mean as f32, if varies { deviation.recip() as f32 } else { 0.0 })
        })
        .collect()
}

fn standardise(standard: &[(f32, f32)], rows: &mut [f32]) {
    for row in rows.chunks_exact_mut(standard.len()) {
        for (value, (mean, by)) in row.iter_mut().zip(standard) {
            *value = ((*value - mean) * by).clamp(-INPUT_MOST, INPUT_MOST);
        }
    }
}

#[cfg(test)]
mod tests;
