//! Time to fit two weeks of minutes, to renew the fit and its errors, and to see a value.
//!
//! Goals for one core and 20,160 values: the linear and the Fourier method are fitted in 20 ms, with their errors on
//! the last third (which needs a fit to the first two); the forest, of 40 trees, in 1 s; the network, trained from scratch
//! twice, in 20 s; a value is seen in 1 µs. A busy machine may take longer, never shorter: the fastest of some repeats
//! counts, and the median of the first fit stands beside it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench reads the clock and prints"
)]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_core::{Calendar, Forecaster, Quantiles, Seed};
use tidegate_forecast::{Ensemble, Forest, Fourier, HoltWinters, Linear, Mstl, Neural};

type Boxed = Box<dyn Forecaster>;
/// Name, the forecaster, and the goal for its first fit in seconds, if there is one.
type Row = (&'static str, fn() -> Boxed, Option<f64>);

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
    forecaster.reset(Calendar::new(start, chrono_tz::UTC, 0), Seed::training(0).controller(0));
    (0..N_VALUES).for_each(|step| forecaster.observe(Some(value(step))));
}

/// Fastest and median of the repeats, in seconds.
fn times<T>(mut prepare: impl FnMut() -> T, mut run: impl FnMut(&mut T)) -> [f64; 2] {
    let mut seconds = [0.0; REPEATS];
    for seconds in &mut seconds {
        let mut prepared = prepare();
        let start = Instant::now();
        run(&mut prepared);
        *seconds = start.elapsed().as_secs_f64();
    }
    seconds.sort_unstable_by(f64::total_cmp);
    [seconds[0], seconds[REPEATS / 2]]
}

fn fit(criterion: &mut Criterion) {
    let methods: [Row; 7] = [
        ("linear", || Box::new(Linear::forecaster(STEP_SECONDS)), Some(0.020)),
        ("fourier", || Box::new(Fourier::forecaster(STEP_SECONDS)), Some(0.020)),
        ("forest", || Box::new(Forest::forecaster(STEP_SECONDS)), Some(1.0)),
        ("neural", || Box::new(Neural::forecaster(STEP_SECONDS)), Some(20.0)),
        ("holt-winters", || Box::new(HoltWinters::forecaster(STEP_SECONDS)), None),
        ("mstl", || Box::new(Mstl::forecaster(STEP_SECONDS)), None),
        ("ensemble", || Box::new(Ensemble::weighted(Ensemble::all_members()).forecaster(STEP_SECONDS)), None),
    ];
    let mut missed = Vec::new();
    let mut group = criterion.benchmark_group("fit");
    group.sample_size(10);
    for (name, make, goal_seconds) in methods {
        let prepare = || {
            let mut forecaster = make();
            fed(&mut *forecaster);
            forecaster
        };
        let [first, median] = times(prepare, |forecaster| forecaster.refit());
        let mut forecaster = prepare();
        forecaster.refit();
        // An hour later.
        let [again, _] = times(
            || (),
            |()| {
                (0..60).for_each(|step| forecaster.observe(Some(value(N_VALUES + step))));
                forecaster.refit();
            },
        );
        let mut quantiles = Quantiles::default();
        let day = NonZeroU32::new(1440).expect("a day");
        let [forecast, _] = times(|| (), |()| forecaster.forecast(day, &mut quantiles));
        let [ten_thousand, _] =
            times(|| (), |()| (0..10_000).for_each(|step| forecaster.observe(black_box(Some(value(step))))));
        let observe = ten_thousand / 1e4;
        println!(
            "{name}: first fit {:.1} ms (median {:.1}), an hour later {:.1} ms, a day's forecast {:.2} ms, a value {:.0} ns",
            first * 1e3,
            median * 1e3,
            again * 1e3,
            forecast * 1e3,
            observe * 1e9,
        );
        if goal_seconds.is_some_and(|goal| first >= goal) || observe >= 1e-6 {
            missed.push(name);
        }
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                prepare,
                |mut forecaster| forecaster.refit(),
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    assert!(missed.is_empty(), "slower than the goal: {missed:?}");
}

criterion_group!(benches, fit);
criterion_main!(benches);
