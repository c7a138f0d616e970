//! Several pools by `microlp`, the decomposition and `HiGHS`, with and without the decomposition's plan as the start.
//!
//! No goals: a table in Markdown for docs/validation/highs. Node limits end every search, so all of it but the seconds
//! repeats bit for bit.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::time::Instant;

use tidegate_core::solver::{Outcome, Solver};
use tidegate_highs::{GAP, Highs};
use tidegate_mpc::milp::Engine;
use tidegate_mpc::{Decomposition, Microlp, Pools, PoolsMilp, SearchLimits};

#[path = "../../mpc/benches/programs/pools.rs"]
mod programs;

/// Solves, prints a row, and gives the plan.
fn row<S: Solver<Problem = Pools>>(program: &str, name: &str, mut solver: S, problem: &Pools) -> Outcome {
    let began = Instant::now();
    let outcome = solver.solve(problem);
    let seconds = began.elapsed().as_secs_f64();
    let (status, dollars, bound) = match &outcome {
        Outcome::Optimal(plan) => ("optimal", plan.dollars, plan.dollars),
        Outcome::Feasible { plan, bound_dollars } => ("feasible", plan.dollars, *bound_dollars),
        Outcome::Unsolved { bound_dollars } => ("no plan", f64::NAN, *bound_dollars),
        Outcome::Infeasible(constraint) => panic!("{constraint:?}"),
    };
    let gap = 100.0 * (dollars / bound - 1.0);
    println!("| {program} | {name} | {status} | {dollars:.4} | {bound:.4} | {gap:.4} | {seconds:.2} |");
    outcome
}

fn milp<E: Engine>(engine: E, n_nodes_max: u64, start: Option<&Outcome>) -> PoolsMilp<E> {
    let start = start.and_then(|outcome| match outcome {
        Outcome::Optimal(plan) | Outcome::Feasible { plan, .. } => Some(plan.wanted.clone()),
        _ => None,
    });
    PoolsMilp { engine, limits: SearchLimits { n_nodes_max, gap: GAP }, start }
}

fn main() {
    println!("| program | solver | status | objective, $ | bound, $ | gap, % | seconds |");
    println!("| --- | --- | --- | ---: | ---: | ---: | ---: |");
    for (n_stages, n_pools, quantum_ticks) in [(24, 2, 1), (24, 3, 1), (48, 2, 1), (48, 4, 1), (48, 4, 4)] {
        let problem = programs::program(n_stages, n_pools, quantum_ticks);
        let program = format!("T = {n_stages}, K = {n_pools}, quantum {quantum_ticks}");
        let first = row(&program, "decomposition", Decomposition::default(), &problem);
        for (start, how) in [(None, "from nothing"), (Some(&first), "from the decomposition's plan")] {
            row(&program, &format!("microlp {how}"), milp(Microlp, 3_000, start), &problem);
            row(&program, &format!("HiGHS {how}"), milp(Highs, 3_000, start), &problem);
        }
    }
}
