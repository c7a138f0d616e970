//! Several pools with start-up delay and minimum up time: seconds and gap of the decomposition, its default effort.
//!
//! Goals: T = 48, K = 2 within 1 % of the optimum in 1 s (held by the gap to the proven bound, which is wider); T = 48,
//! K = 4 within 2 % of the bound in 10 s. The run fails where one is missed; machines are shared, so the fastest of
//! three runs counts.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_core::Replicas;
use tidegate_core::solver::{Outcome, Solver};
use tidegate_mpc::{Decomposition, PoolsMilp, SearchLimits};

#[path = "programs/pools.rs"]
mod programs;

fn pools(criterion: &mut Criterion) {
    let mut misses = Vec::new();
    for (n_pools, quantum_ticks, goal_gap, goal_seconds) in
        [(2, 1, 0.01, 1.0), (4, 1, 0.02, 10.0), (4, 4, 0.02, 10.0)]
    {
        let problem = programs::program(48, n_pools, quantum_ticks);
        let mut seconds = f64::INFINITY;
        let mut outcome = None;
        for _ in 0..3 {
            let start = Instant::now();
            outcome = Some(Decomposition::default().solve(&problem));
            seconds = seconds.min(start.elapsed().as_secs_f64());
        }
        let (plan, bound) = match outcome.expect("it ran") {
            Outcome::Optimal(plan) => (plan.clone(), plan.dollars),
            Outcome::Feasible { plan, bound_dollars } => (plan, bound_dollars),
            other => panic!("{other:?}"),
        };
        let gap = plan.dollars / bound - 1.0;
        let most: Vec<Option<&Replicas>> = plan.wanted.iter().map(|wanted| wanted.iter().max()).collect();
        println!(
            "T = 48, K = {n_pools}, quantum {quantum_ticks}: ${:.3} above ${bound:.3}, gap {:.3} %, {seconds:.3} s; most {most:?}",
            plan.dollars,
            100.0 * gap
        );
        // What branching adds, with and without that plan as its start; shown, with no goal.
        for start in [None, Some(plan.wanted.clone())] {
            let limits = SearchLimits { n_nodes_max: 3_000, gap: 0.0 };
            let name = if start.is_some() { "from that plan" } else { "from nothing" };
            let began = Instant::now();
            let outcome = PoolsMilp { limits, start, ..PoolsMilp::default() }.solve(&problem);
            let milp_seconds = began.elapsed().as_secs_f64();
            match outcome {
                Outcome::Optimal(plan) => {
                    println!("    3,000 nodes {name}: ${:.3}, optimal, {milp_seconds:.3} s", plan.dollars);
                }
                Outcome::Feasible { plan, bound_dollars } => println!(
                    "    3,000 nodes {name}: ${:.3} above ${bound_dollars:.3}, gap {:.3} %, {milp_seconds:.3} s",
                    plan.dollars,
                    100.0 * (plan.dollars / bound_dollars - 1.0)
                ),
                other => println!("    3,000 nodes {name}: {other:?}, {milp_seconds:.3} s"),
            }
        }
        if gap > goal_gap || seconds > goal_seconds {
            misses.push(format!("K = {n_pools}, quantum {quantum_ticks}: gap {gap:.4} in {seconds:.2} s"));
        }
    }
    let mut group = criterion.benchmark_group("pools");
    group.sample_size(10);
    let problem = programs::program(48, 2, 1);
    let mut quick = Decomposition { n_steps: 500, n_kicks: 0, ..Decomposition::default() };
    group.bench_function("T = 48, K = 2, 500 steps", |bencher| bencher.iter(|| quick.solve(&problem)));
    group.finish();
    assert!(misses.is_empty(), "{misses:?}");
}

criterion_group!(benches, pools);
criterion_main!(benches);
