//! What holds for every method, measured.

use std::num::NonZeroU32;

use proptest::prelude::*;
use rand_distr::{Distribution, StandardNormal, StudentT};
use tidegate_core::{Forecaster, Paths, Quantiles, Seed, Stream};

use crate::testing::{Ar1, History as Values, forecast, never_wrong, reset, values_of_all_kinds};
use crate::{Calibrated, Ensemble, Forest, Fourier, HoltWinters, Linear, Mstl, Naive, Neural};

const HOUR: f64 = 3600.0;

type Boxed = Box<dyn Forecaster>;

fn methods(step_seconds: f64) -> Vec<(&'static str, Boxed)> {
    vec![
        ("naive", Box::new(Calibrated::new(step_seconds, Naive::last_value()))),
        ("naive day", Box::new(Calibrated::new(step_seconds, Naive::day()))),
        ("linear", Box::new(Linear::forecaster(step_seconds))),
        ("fourier", Box::new(Fourier::forecaster(step_seconds))),
        ("holt-winters", Box::new(HoltWinters::forecaster(step_seconds))),
        ("mstl", Box::new(Mstl::forecaster(step_seconds))),
        ("forest", Box::new(Calibrated::new(step_seconds, Forest::new(5)))),
        ("neural", Box::new(Calibrated::new(step_seconds, Neural::new(40)))),
        ("weighted", Box::new(Ensemble::weighted(Ensemble::quick_members()).forecaster(step_seconds))),
        ("median", Box::new(Ensemble::median(Ensemble::quick_members()).forecaster(step_seconds))),
    ]
}

/// Share of values between the 5 % and the 95 % quantile, for each of `aheads`: of those forecast and seen in the
/// steps from `from` on. A refit after each `refit_every` steps.
fn coverage(
    forecaster: &mut dyn Forecaster,
    refit_every: u64,
    aheads: &[u32],
    values: &[f64],
    from: usize,
) -> Vec<f64> {
    reset(forecaster);
    let longest = *aheads.last().expect("horizons");
    let mut quantiles = Quantiles::default();
    // Step by step, for each horizon.
    let mut intervals = vec![vec![(0.0, f64::INFINITY); aheads.len()]; values.len() + longest as usize];
    for (step, value) in values.iter().enumerate() {
        forecaster.observe(Some(*value));
        if (step as u64 + 1).is_multiple_of(refit_every) {
            forecaster.refit();
        }
        if step + 1 >= from {
            forecaster.forecast(NonZeroU32::new(longest).expect("a step"), &mut quantiles);
            for (index, ahead) in aheads.iter().enumerate() {
                let levels = quantiles.values[*ahead as usize - 1];
                intervals[step + *ahead as usize][index] = (levels[1], levels[7]);
            }
        }
    }
    (0..aheads.len())
        .map(|index| {
            let counted = from + aheads[index] as usize..values.len();
            let inside = counted.clone().filter(|step| {
                let (low, high) = intervals[*step][index];
                (low..=high).contains(&values[*step])
            });
            inside.count() as f64 / counted.len() as f64
        })
        .collect()
}

fn wave(step: u64) -> f64 {
    let at = std::f64::consts::TAU * (step % 24) as f64 / 24.0;
    200.0 - 80.0 * at.cos() + 30.0 * (2.0 * at).sin()
}

/// Days with a shape, and errors that are correlated, or have heavy tails, or are wider at noon than at night.
fn series(kind: &str, n: u64) -> Vec<f64> {
    let mut noise = Ar1::new(0.7, 10.0, 21);
    let mut rng = Seed::training(22).rng(Stream::Excitation);
    let tails = StudentT::new(3.0).expect("degrees of freedom");
    (0..n)
        .map(|step| match kind {
            "ar1" => 200.0 + noise.draw(),
            "seasonal" => wave(step) + noise.draw(),
            "heavy" => wave(step) + 6.0 * tails.sample(&mut rng),
            "counts" => {
                let normal: f64 = StandardNormal.sample(&mut rng);
                let mean = (wave(step) - 90.0).max(1.0);
                (mean + 2.0 * mean.sqrt() * normal).max(0.0)
            }
            "shift" => wave(step) + noise.draw() + if step < n / 2 { 0.0 } else { 300.0 },
            _ => unreachable!("no such series"),
        })
        .collect()
}

/// Forty-five days of hours, of which the last thirty-one count. Misses of neighbouring origins go together: with some
/// sixty independent ones, ± 0.1 is two and a half standard errors.
#[test]
fn ninety_percent_intervals_cover_ninety_percent() {
    for kind in ["ar1", "seasonal", "heavy", "counts"] {
        let values = series(kind, 45 * 24);
        for (name, mut forecaster) in methods(HOUR) {
            let shares = coverage(&mut *forecaster, 12, &[1, 6, 24], &values, 14 * 24);
            for (ahead, share) in [1, 6, 24].into_iter().zip(shares) {
                assert!((0.80..=0.98).contains(&share), "{kind}, {name}, {ahead} ahead: {share}");
            }
        }
    }
}

/// The level rises by thirty standard deviations of the noise and stays there. Forecasts made from a day later on, over
/// five days, cover as before. Those are 120 values, and of a day ahead some ten independent ones: one method may be
/// lower, all together may not.
#[test]
fn coverage_is_back_a_day_after_a_level_shift() {
    let values = series("shift", 30 * 24);
    let shift = 15 * 24;
    let (mut sum, mut n) = (0.0, 0.0);
    for (name, mut forecaster) in methods(HOUR) {
        let shares = coverage(&mut *forecaster, 2, &[1, 6, 24], &values[..shift + 7 * 24], shift + 24);
        for (ahead, share) in [1, 6, 24].into_iter().zip(shares) {
            assert!(share >= 0.8, "{name}, {ahead} ahead: {share}");
            (sum, n) = (sum + share, n + 1.0);
        }
    }
    assert!((0.86..=0.97).contains(&(sum / n)), "{}", sum / n);
}

fn standard_deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// The sum of the next twelve values of an AR(1), φ = 0.8: from its own state the standard deviation is
/// σₑ √Σₖ ((1 − φᵏ)/(1 − φ))², k = 1 … 12. Quantiles stacked over the horizon (perfect correlation) would give the sum of the
/// standard deviations, a third more, and independent draws less than half.
#[test]
fn the_sum_over_a_path_spreads_as_that_of_an_ar1() {
    let (phi, sigma, n) = (0.8_f64, 10.0, 12_u32);
    let innovation = sigma * (1.0 - phi * phi).sqrt();
    let gain = |k: u32| (1.0 - phi.powi(k.cast_signed())) / (1.0 - phi);
    let truth = innovation * (1..=n).map(|k| gain(k).powi(2)).sum::<f64>().sqrt();
    for mut forecaster in [
        Box::new(Linear::forecaster(900.0)) as Boxed,
        Box::new(
            Ensemble::weighted(vec![Box::new(Linear::new()), Box::new(Naive::last_value())])
                .forecaster(900.0),
        ),
    ] {
        reset(&mut *forecaster);
        let mut noise = Ar1::new(phi, sigma, 31);
        for _ in 0..15 * 96 {
            forecaster.observe(Some(500.0 + noise.draw()));
        }
        let quantiles = forecast(&mut *forecaster, n);
        let mut paths = Paths { n_paths: 2000, ..Paths::default() };
        forecaster.paths(NonZeroU32::new(n).expect("twelve"), &mut paths);
        let sums: Vec<f64> = paths.values.chunks(n as usize).map(|path| path.iter().sum()).collect();
        let spread = standard_deviation(&sums);
        assert!((spread / truth - 1.0).abs() < 0.15, "{spread}, not {truth}");
        // 90 % of a normal are 3.29 standard deviations.
        let stacked: f64 = quantiles.values.iter().map(|levels| (levels[7] - levels[1]) / 3.29).sum();
        assert!(stacked > 1.2 * truth, "{stacked}");
    }
}

/// By construction, to one path in the sample, at every step; so for few paths as well, over many draws.
#[test]
fn paths_have_the_quantiles_of_the_forecast() {
    for (name, mut forecaster) in methods(HOUR) {
        reset(&mut *forecaster);
        for value in series("seasonal", 15 * 24) {
            forecaster.observe(Some(value));
        }
        let quantiles = forecast(&mut *forecaster, 24);
        for (n_paths, draws) in [(2000, 1), (5, 400)] {
            // Below, and at or below: where a quantile is cut off at 0, many values are.
            let (mut below, mut up_to) = (vec![[0.0; 9]; 24], vec![[0.0; 9]; 24]);
            for _ in 0..draws {
                let mut paths = Paths { n_paths, ..Paths::default() };
                forecaster.paths(NonZeroU32::new(24).expect("a day"), &mut paths);
                for path in paths.values.chunks(24) {
                    for (ahead, value) in path.iter().enumerate() {
                        for (index, quantile) in quantiles.values[ahead].iter().enumerate() {
                            below[ahead][index] += f64::from(u8::from(value < quantile)) / 2000.0;
                            up_to[ahead][index] += f64::from(u8::from(value <= quantile)) / 2000.0;
                        }
                    }
                }
            }
            // The draws of five share their uniforms among templates: four and a half standard errors of 2000, as there are as many checks.
            let most = if draws == 1 { 0.001 } else { 0.044 } + 1e-9;
            for ahead in 0..24 {
                for (index, level) in Quantiles::LEVELS.into_iter().enumerate() {
                    let (below, up_to) = (below[ahead][index], up_to[ahead][index]);
                    let fits = below <= level + most && up_to >= level - most;
                    assert!(fits, "{name}, {ahead}, {level}: {below} to {up_to}");
                }
            }
        }
    }
}

/// On days with a shape, the next day is nearer than by the last value; and it is said by which method.
#[test]
fn each_method_knows_the_day() {
    let values = series("seasonal", 22 * 24);
    for (name, mut forecaster) in methods(HOUR).into_iter().skip(1) {
        reset(&mut *forecaster);
        let (mut error, mut of_last) = (0.0, 0.0);
        for (step, value) in values.iter().enumerate() {
            forecaster.observe(Some(*value));
            if step >= 14 * 24 && step % 5 == 0 && step + 24 < values.len() {
                let quantiles = forecast(&mut *forecaster, 24);
                for ahead in 0..24 {
                    error += (quantiles.median(ahead) - values[step + 1 + ahead]).abs();
                    of_last += (value - values[step + 1 + ahead]).abs();
                }
            }
        }
        assert!(error < 0.25 * of_last, "{name}: {error}, last value {of_last}");
        assert_ne!(forecaster.method(), "last value", "{name}");
    }
}

#[test]
fn before_it_is_fitted_it_says_what_stands_in() {
    for (name, mut forecaster) in methods(HOUR) {
        reset(&mut *forecaster);
        assert_eq!(forecaster.method(), "nothing seen");
        let mut said = Vec::new();
        for step in 0..21 * 24 {
            forecaster.observe(Some(wave(step)));
            forecaster.refit();
            if said.last() != Some(&forecaster.method()) {
                said.push(forecaster.method());
            }
        }
        let expected: &[&str] = match name {
            "naive" => &["last value"],
            "naive day" => &["last value", "seasonal naive, day"],
            "linear" => &[
                "last value",
                "linear, time of day and autoregression",
                "linear, day and autoregression",
                "linear, trend, week, day and autoregression",
            ],
            "fourier" => &[
                "last value",
                "Fourier, no period: level",
                "Fourier",
                "Fourier, no period: level",
                "Fourier, day",
            ],
            "holt-winters" => &["last value", "Holt, damped", "Holt–Winters, damped"],
            "mstl" => &["last value", "MSTL, day", "MSTL, day and week"],
            "forest" => &["last value", "forest, calendar, yesterday and newest values"],
            "neural" => &[
                "last value",
                "neural, calendar, days before and newest values",
                "neural, calendar, week, days and newest values",
            ],
            // Of the members Fourier is fitted first, and one alone is no ensemble.
            "weighted" => &["last value", "Fourier, no period: level", "ensemble, weighted"],
            _ => &["last value", "Fourier, no period: level", "ensemble, median"],
        };
        assert_eq!(said, expected, "{name}");
    }
}

#[test]
fn a_value_costs_no_allocation() {
    for (name, mut forecaster) in methods(HOUR) {
        reset(&mut *forecaster);
        (0..400).for_each(|step| forecaster.observe(Some(wave(step))));
        forecaster.refit();
        let counted = allocation_counter::measure(|| {
            (400..1000).for_each(|step| forecaster.observe((step % 7 > 0).then(|| wave(step))));
        });
        assert_eq!(counted.count_total, 0, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// In steps of an hour and of half a day, with one refit at the end.
    #[test]
    fn whatever_it_saw_its_answer_is_in_order(values in values_of_all_kinds(), horizon in 1..100_u32) {
        for step_seconds in [HOUR, 12.0 * HOUR] {
            for (_, mut forecaster) in methods(step_seconds) {
                never_wrong(&mut *forecaster, &values as &Values, horizon);
            }
        }
    }

    /// With refits all the time, each of which is scored.
    #[test]
    fn whatever_it_sees_and_whenever_it_is_refitted(values in values_of_all_kinds(), every in 1..40_usize) {
        for (name, mut forecaster) in methods(2.0 * HOUR) {
            reset(&mut *forecaster);
            for (step, value) in values.iter().enumerate() {
                forecaster.observe(*value);
                if step % every == 0 {
                    for levels in forecast(&mut *forecaster, 30).values {
                        prop_assert!(levels.is_sorted() && levels[0] >= 0.0 && levels[8].is_finite(), "{}", name);
                    }
                }
            }
        }
    }
}
