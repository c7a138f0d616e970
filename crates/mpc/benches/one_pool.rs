//! The dynamic programme of one pool, without and with switching cost and delay.
//!
//! Goals, for costs and ramp limits: T = 60, N = 100 under 20 µs; T = 288, N = 1,000 under 1.2 ms; T = 1,440, N = 1,000
//! under 9 ms. Switching cost needs two windows a stage instead of one, a delay a sum of rows beside them: both are
//! shown, with no goal of their own. The run fails where the fastest of the repeats misses a goal; machines are shared,
//! so the fastest is the least disturbed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_mpc::{DynamicProgramming, OnePool, Switching};

#[path = "programs/one_pool.rs"]
mod programs;

/// The fastest of the repeats, in microseconds a solve.
fn fastest(problem: &OnePool, repeats: usize) -> f64 {
    let (mut solver, mut wanted) = (DynamicProgramming::default(), Vec::new());
    let mut fastest = f64::INFINITY;
    for _ in 0..repeats {
        let start = Instant::now();
        black_box(solver.plan(black_box(problem), &mut wanted)).expect("the program is sound");
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    fastest * 1e6
}

fn one_pool(criterion: &mut Criterion) {
    let mut misses = Vec::new();
    for (n_stages, replicas_max, goal_microseconds) in
        [(60, 100, 20.0), (288, 1000, 1200.0), (1440, 1000, 9000.0)]
    {
        for (name, ramp) in [("ramp N/20", replicas_max / 20), ("ramp 5", 5), ("no ramp", replicas_max)] {
            let plain = programs::program(n_stages, replicas_max, ramp);
            let switching =
                OnePool { switching: Switching { up_dollars: 0.5, down_dollars: 0.25 }, ..plain.clone() };
            let mut delayed = switching.clone();
            delayed.limits.delay_ticks = 4;
            let repeats = 60_000_000 / (n_stages * replicas_max as usize) + 20;
            for (kind, problem, is_goal) in [
                ("plain", &plain, true),
                ("switching cost", &switching, false),
                ("and delay 4", &delayed, false),
            ] {
                let microseconds = fastest(problem, repeats);
                println!(
                    "T = {n_stages}, N = {replicas_max}, {name}, {kind}: {microseconds:.1} µs (goal {goal_microseconds})"
                );
                if is_goal && microseconds > goal_microseconds {
                    misses.push(format!("T = {n_stages}, {name}, {kind}: {microseconds:.1} µs"));
                }
            }
        }
    }
    let mut group = criterion.benchmark_group("one pool");
    group.sample_size(20);
    let problem = programs::program(60, 100, 5);
    let (mut solver, mut wanted) = (DynamicProgramming::default(), Vec::new());
    group.bench_function("T = 60, N = 100", |bencher| {
        bencher.iter(|| solver.plan(&problem, &mut wanted).expect("the program is sound"));
    });
    group.finish();
    assert!(misses.is_empty(), "{misses:?}");
}

criterion_group!(benches, one_pool);
criterion_main!(benches);
