//! What the tests of all methods share.

use std::num::NonZeroU32;

use proptest::prelude::*;
use rand_distr::{Distribution, StandardNormal};
use tidegate_core::{Calendar, Forecaster, Paths, Quantiles, Seed, Stream};

pub(crate) type History = [Option<f64>];

pub(crate) fn calendar_in(time_zone: chrono_tz::Tz, start: &str) -> Calendar {
    Calendar::new(start.parse().expect("a local time"), time_zone, 0)
}

pub(crate) fn reset(forecaster: &mut dyn Forecaster) {
    forecaster.reset(calendar_in(chrono_tz::UTC, "2025-03-03T00:00:00"), Seed::training(0).controller(0));
}

/// After a refit, so many steps.
pub(crate) fn forecast(forecaster: &mut dyn Forecaster, horizon: u32) -> Quantiles {
    let mut quantiles = Quantiles::default();
    forecaster.refit();
    forecaster.forecast(NonZeroU32::new(horizon).expect("a step"), &mut quantiles);
    quantiles
}

/// x(t) = φ x(t−1) + √(1−φ²) σ ε(t), from its stationary distribution.
pub(crate) struct Ar1 {
    correlation: f64,
    sigma: f64,
    value: f64,
    rng: rand_chacha::ChaCha8Rng,
}

impl Ar1 {
    pub(crate) fn new(correlation: f64, sigma: f64, seed: u64) -> Self {
        let mut rng = Seed::training(seed).rng(Stream::Excitation);
        let first: f64 = StandardNormal.sample(&mut rng);
        Self { correlation, sigma, value: first * sigma, rng }
    }

    pub(crate) fn draw(&mut self) -> f64 {
        let noise: f64 = StandardNormal.sample(&mut self.rng);
        self.value = self.correlation * self.value
            + (1.0 - self.correlation * self.correlation).sqrt() * self.sigma * noise;
        self.value
    }
}

/// Share of so many values that fell between the 5 % and the 95 % quantile of the forecast made `ahead` steps before.
pub(crate) fn covered(
    forecaster: &mut dyn Forecaster,
    warm_up: u64,
    origins: u64,
    ahead: u32,
    mut value: impl FnMut(u64) -> f64,
) -> f64 {
    reset(forecaster);
    let mut intervals = std::collections::VecDeque::new();
    let mut inside = 0;
    for step in 0..warm_up + origins + u64::from(ahead) {
        let value = value(step);
        if intervals.len() == ahead as usize {
            let (low, high) = intervals.pop_front().expect("it is full");
            inside += u64::from((low..=high).contains(&value));
        }
        forecaster.observe(Some(value));
        if step >= warm_up && step < warm_up + origins {
            let quantiles = forecast(forecaster, ahead);
            let last = quantiles.values[ahead as usize - 1];
            intervals.push_back((last[1], last[7]));
        }
    }
    inside as f64 / origins as f64
}

/// Constant, zero, gappy, exploding, or no numbers at all; from nothing to a few hundred steps.
pub(crate) fn values_of_all_kinds() -> impl Strategy<Value = Vec<Option<f64>>> {
    let value = prop_oneof![
        3 => (0.0..100.0_f64).prop_map(Some),
        1 => Just(Some(0.0)),
        1 => Just(Some(5.0)),
        1 => Just(None),
        1 => any::<f64>().prop_map(Some),
        1 => Just(Some(f64::MAX)),
    ];
    prop_oneof![
        4 => prop::collection::vec(value, 0..400),
        1 => (0..400_usize).prop_map(|n| vec![Some(0.0); n]),
        1 => (0..400_usize).prop_map(|n| vec![None; n]),
        1 => (0..400_i32).prop_map(|n| (0..n).map(|step| Some(10.0_f64.powi(step))).collect()),
    ]
}

/// Quantiles in order, paths and quantiles finite and not negative, of the asked-for length, or empty before anything
/// was seen; and the same again after a reset.
pub(crate) fn never_wrong(forecaster: &mut dyn Forecaster, values: &History, horizon: u32) {
    let mut answers = Vec::new();
    for _ in 0..2 {
        reset(forecaster);
        for value in values {
            forecaster.observe(*value);
        }
        let quantiles = forecast(forecaster, horizon);
        let mut paths = Paths { n_paths: 3, ..Paths::default() };
        forecaster.paths(NonZeroU32::new(horizon).expect("a step"), &mut paths);
        let has_seen = values.iter().flatten().any(|value| value.is_finite());
        let n_steps = if has_seen { horizon as usize } else { 0 };
        assert_eq!((quantiles.values.len(), paths.values.len()), (n_steps, 3 * n_steps));
        assert_eq!(forecaster.method() == "nothing seen", !has_seen);
        for step in &quantiles.values {
            assert!(step.is_sorted() && step[0] >= 0.0 && step[8].is_finite(), "{step:?}");
        }
        assert!(paths.values.iter().all(|value| *value >= 0.0 && value.is_finite()));
        answers.push((quantiles, paths));
    }
    assert_eq!(answers[0], answers[1], "a reset forgets everything");
}
