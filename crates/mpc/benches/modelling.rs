//! What it takes to write an integer program down and to read its plan, against what its solver takes.
//!
//! Goal: under a fifth of the solver's own time, for one pool of T = 60, N = 100 and for two pools of T = 24. The run
//! fails where the fastest of the repeats misses it; machines are shared, so the fastest is the least disturbed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_core::solver::Solver;
use tidegate_mpc::milp::{Engine, Found, Model};
use tidegate_mpc::{Microlp, OnePoolMilp, PoolsMilp, SearchLimits};

#[path = "programs/one_pool.rs"]
mod one_pool;
#[path = "programs/pools.rs"]
mod pools;

const GOAL_SHARE: f64 = 0.2;
const REPEATS: usize = 30;

/// `microlp` with a clock around its own work.
#[derive(Default)]
struct Clocked {
    seconds: Cell<f64>,
}

impl Engine for Clocked {
    fn search(&self, model: Model, limits: SearchLimits, start: Option<&[f64]>) -> Option<Found> {
        let written = Microlp::written(model);
        let began = Instant::now();
        let found = Microlp::solve(&written, limits, start);
        self.seconds.set(began.elapsed().as_secs_f64());
        found
    }
}

/// Seconds of the solver and of all the rest, each the fastest of the repeats.
fn fastest<S: Solver>(mut solver: S, inside: impl Fn(&S) -> f64, problem: &S::Problem) -> (f64, f64) {
    let (mut own, mut rest) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..REPEATS {
        let began = Instant::now();
        black_box(solver.solve(black_box(problem)));
        let seconds = began.elapsed().as_secs_f64();
        own = own.min(inside(&solver));
        rest = rest.min(seconds - inside(&solver));
    }
    (own, rest)
}

fn modelling(_: &mut Criterion) {
    let one_pool = fastest(
        OnePoolMilp::by(Clocked::default()),
        |solver| solver.engine.seconds.get(),
        &one_pool::program(60, 100, 5),
    );
    let pools = fastest(
        PoolsMilp::by(Clocked::default()),
        |solver| solver.engine.seconds.get(),
        &pools::program(24, 2, 1),
    );
    let mut misses = Vec::new();
    for (name, (own, rest)) in [("one pool, T = 60, N = 100", one_pool), ("two pools, T = 24", pools)] {
        let share = rest / own;
        println!(
            "{name}: solver {:.3} ms, modelling {:.3} ms, {:.1} %",
            1e3 * own,
            1e3 * rest,
            100.0 * share
        );
        if share > GOAL_SHARE {
            misses.push(format!("{name}: {:.1} %", 100.0 * share));
        }
    }
    assert!(misses.is_empty(), "{misses:?}");
}

criterion_group!(benches, modelling);
criterion_main!(benches);
