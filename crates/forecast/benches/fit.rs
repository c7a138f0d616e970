//! Time to fit two weeks of minutes, to renew the fit and its errors, and to see a value.
//!
//! Goals for one core and 20,160 values: the linear and the Fourier method are fitted in 20 ms, with their errors on
//! the last third (which needs a fit to the first two); the forest, of 40 trees, in 1 s; a value is seen in 1 µs.
//! A busy machine may take longer, never shorter: the fastest of some repeats counts.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "a bench reads the clock and prints")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_core::{Calendar, Forecaster, Quantiles, Seed};
use tidegate_forecast::{Ensemble, Forest, Fourier, HoltWinters, Linear, Mstl};

const STEP_SECONDS: f64 = 60.0;
const N_VALUES: u64 = 20_160;
const REPEATS: usize = 10;

/// Days with two humps, quieter weekends, and noise as wide as the root of the level.
fn value(step: u64) -> f64 {
    let day = (step % 1440) as f64 / 1440.0 * std::f64::consts::TAU;
    let level = if step / 1440 % 7 >= 5 { 60.0 } else { 100.0 };
    let noise = (step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
    let mean = level * (1.2 - day.cos() + 0.4 * (2.0 * day).sin());
    (mean + 3.0 * mean.max(1.0).sqrt() * noise).max(0.0)
}

fn fed(forecaster: &mut dyn Forecaster) {
    let start = "2025-03-03T00:00:00".parse().expect("a local time");
    forecaster.reset(Calendar::new(start, tidegate_core::Tz::UTC, 0), Seed::training(0).controller(0));
    (0..N_VALUES).for_each(|step| forecaster.observe(Some(value(step))));
}

/// The fastest of so many repeats, in seconds.
fn fastest<T>(repeats: usize, mut prepare: impl FnMut() -> T, mut run: impl FnMut(&mut T)) -> f64 {
    let mut fastest = f64::INFINITY;
    for _ in 0..repeats {
        let mut prepared = prepare();
        let start = Instant::now();
        run(&mut prepared);
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    fastest
}
