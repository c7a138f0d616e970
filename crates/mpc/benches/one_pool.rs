//! The dynamic programme of one pool, without and with switching cost and delay.
//!
//! Goals, for costs and ramp limits: T = 60, N = 100 under 20 µs; T = 288, N = 1,000 under 1.2 ms; T = 1,440, N = 1,000
//! under 9 ms. Switching cost needs two windows a stage instead of one, a delay a sum of rows beside them: both are
//! shown, with no goal of their own. With the stage costs built as well, for the counts that can be reached and from a
//! surface that is there, at most twice as long; from the nine levels of a forecast, as a controller does, without a
//! goal. The run fails where the fastest of the repeats misses a goal; machines are shared,
//! so the fastest is the least disturbed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_core::scenario::EXAMPLE;
use tidegate_core::{Replicas, Scenario};
use tidegate_mpc::formulate::{StageLoad, level_weights, stage_costs};
use tidegate_mpc::{DynamicProgramming, OnePool, PenaltySurface, Switching};

#[path = "programs/one_pool.rs"]
mod programs;
#[path = "../tests/services/fluid.rs"]
mod services;

use services::{Fluid, REPLICA};

/// T, N and the microseconds that are allowed.
const GOALS: [(usize, Replicas, f64); 3] = [(60, 100, 20.0), (288, 1000, 1200.0), (1440, 1000, 9000.0)];

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

/// The fastest solve of a program, and the fastest in which its stage costs are built as well, turn by turn, in
/// microseconds; `load` gives a stage's from what its fleet can serve.
fn fastest_with_costs(program: &OnePool, load: fn(f64) -> StageLoad, repeats: usize) -> [f64; 2] {
    let n_stages = program.limits.bounds.len();
    let replicas_max = program.limits.bounds[0].high;
    let prices = Scenario::parse(EXAMPLE).expect("the example is right").facts().prices;
    let fluid = Fluid { level: prices.level, tick_seconds: 15.0 };
    let mut surfaces = PenaltySurface::new(0.5 * REPLICA, replicas_max, 1).into();
    let needed = |stage: usize| programs::needed(stage, n_stages, replicas_max) * REPLICA;
    let loads: Vec<StageLoad> = (0..n_stages).map(|stage| load(needed(stage))).collect();
    let mut problem = program.clone();
    let (mut solver, mut wanted) = (DynamicProgramming::default(), Vec::new());
    let mut fastest = [f64::INFINITY; 2];
    for _ in 0..repeats {
        let start = Instant::now();
        let bands = problem.limits.reachable().expect("there is a plan");
        stage_costs(&mut surfaces, (&fluid, &prices), &loads, 15.0, 0, &bands, &mut problem.stage);
        let built = Instant::now();
        black_box(solver.plan(black_box(&problem), &mut wanted)).expect("the program is sound");
        let end = Instant::now();
        fastest[0] = fastest[0].min((end - built).as_secs_f64() * 1e6);
        fastest[1] = fastest[1].min((end - start).as_secs_f64() * 1e6);
    }
    fastest
}

/// Nine levels around a load, from half of it to twice as much.
fn levels(load: f64) -> StageLoad {
    let requests_per_second = [0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0].map(|factor| factor * load);
    StageLoad { requests_per_second, weights: level_weights(1.0) }
}

fn one_pool(criterion: &mut Criterion) {
    let mut misses = Vec::new();
    for (n_stages, replicas_max, goal_microseconds) in GOALS {
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
    for (n_stages, replicas_max, goal_microseconds) in GOALS {
        let program = programs::program(n_stages, replicas_max, replicas_max / 20);
        let repeats = 10_000_000 / (n_stages * replicas_max as usize) + 10;
        for (kind, load, is_goal) in
            [("a load", StageLoad::certain as fn(f64) -> StageLoad, true), ("nine levels", levels, false)]
        {
            let [alone, microseconds] = fastest_with_costs(&program, load, repeats);
            println!(
                "T = {n_stages}, N = {replicas_max}, costs of {kind} a stage built: {microseconds:.1} µs, {:.2} of the \
                 program alone (goal {:.1})",
                microseconds / alone,
                2.0 * goal_microseconds
            );
            if is_goal && microseconds > 2.0 * goal_microseconds {
                misses.push(format!("T = {n_stages}, costs of {kind} built: {microseconds:.1} µs"));
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
