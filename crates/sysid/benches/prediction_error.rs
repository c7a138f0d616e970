//! What estimating input-output models costs, on one core.
//!
//! Goals: ARX(2,2,1) on 10,000 samples under 0.2 ms; ARMAX(2,2,2,1) under 10 ms, and 100 ms on 100,000; OE(2,2,1) under
//! 20 ms; BJ(2,2,2,2,1) under 60 ms. The run fails where the fastest of the repeats misses one; machines are shared, so the
//! fastest is the least disturbed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_core::{Fit, Record};
use tidegate_sysid::testing::Plant;
use tidegate_sysid::{Armax, Arx, BoxJenkins, FitError, InputOutputModel, OutputError};

type Estimator = dyn Fit<Model = InputOutputModel, Error = FitError>;

/// The fastest of the repeats, in milliseconds.
fn fastest(repeats: usize, estimator: &Estimator, record: &Record) -> f64 {
    let mut fastest = f64::INFINITY;
    for _ in 0..repeats {
        let start = Instant::now();
        black_box(estimator.fit(black_box(record))).expect("the plant can be identified");
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    fastest * 1e3
}

fn prediction_error(criterion: &mut Criterion) {
    let armax = Plant::armax(&[-1.5, 0.7], &[0.0, 1.0, 0.5], &[-1.0, 0.2], 1.0);
    let output_error = Plant::box_jenkins(&[&[0.0, 0.4, 0.2]], &[&[-1.3, 0.6]], &[], &[], 0.5);
    let box_jenkins =
        Plant::box_jenkins(&[&[0.0, 0.5, 0.3]], &[&[-1.4, 0.65]], &[0.6, 0.1], &[-0.8, 0.15], 0.3);
    let arx_fit = Arx::new(2, &[2], &[1]);
    let armax_fit = Armax::new(2, &[2], 2, &[1]);
    let oe_fit = OutputError::new(&[2], &[2], &[1]);
    let bj_fit = BoxJenkins::new(&[2], 2, 2, &[2], &[1]);
    let rows: [(&str, &Estimator, Record, usize, f64); 5] = [
        ("ARX(2,2,1), 10,000 samples", &arx_fit, armax.record(10_000, 1), 500, 0.2),
        ("ARMAX(2,2,2,1), 10,000 samples", &armax_fit, armax.record(10_000, 2), 40, 10.0),
        ("ARMAX(2,2,2,1), 100,000 samples", &armax_fit, armax.record(100_000, 3), 10, 100.0),
        ("OE(2,2,1), 10,000 samples", &oe_fit, output_error.record(10_000, 4), 40, 20.0),
        ("BJ(2,2,2,2,1), 10,000 samples", &bj_fit, box_jenkins.record(10_000, 5), 20, 60.0),
    ];
    let mut missed = Vec::new();
    for (name, estimator, record, repeats, goal) in &rows {
        let milliseconds = fastest(*repeats, *estimator, record);
        println!("{name}: {milliseconds:.3} ms (goal {goal} ms)");
        if milliseconds >= *goal {
            missed.push(format!("{name} took {milliseconds:.3} ms, goal {goal} ms"));
        }
    }

    let mut group = criterion.benchmark_group("prediction error");
    group.sample_size(10);
    for (name, estimator, record, ..) in &rows {
        group.bench_function(*name, |bencher| bencher.iter(|| estimator.fit(record)));
    }
    group.finish();
    assert!(missed.is_empty(), "{}", missed.join("; "));
}

criterion_group!(benches, prediction_error);
criterion_main!(benches);
