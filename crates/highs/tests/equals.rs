//! Programs by `HiGHS` against the dynamic programme and brute force.

use rand::{Rng, RngExt};
use tidegate_core::solver::{Outcome, Solver};
use tidegate_core::{Replicas, Seed, seed::Stream};
use tidegate_highs::{GAP, Highs};
use tidegate_mpc::{
    Band, Chance, Convex, Course, DynamicProgramming, Dynamics, Limits, OnePool, OnePoolMilp, Pool, Pools,
    PoolsMilp, ResponseMilp, ResponsePool, Risk, SearchLimits, Switching, Table,
};

const LIMITS: SearchLimits = SearchLimits { n_nodes_max: 10_000, gap: GAP };

/// The gap asked for, of objectives of at most about a hundred, and rows that hold to 1e-6.
const TOLERANCE: f64 = 1e-3;

fn rng(index: u64) -> impl Rng {
    Seed::training(index).rng(Stream::Search)
}

/// Quarters, so that ties are common and sums are exact.
fn quarter(rng: &mut impl Rng, most: u32) -> f64 {
    f64::from(rng.random_range(0..=most)) / 4.0
}

/// Any bounds, ramps, switching and delay; a shortage is charged, so costs are convex and do not rise.
fn one_pool(n_stages: usize, top: Replicas, delay_max: u32, rng: &mut impl Rng) -> OnePool {
    let mut ramp = || if rng.random_bool(0.2) { Replicas::MAX } else { rng.random_range(1..=3) };
    let (ramp_up, ramp_down) = (ramp(), ramp());
    let bounds = (0..n_stages)
        .map(|_| Band::new(u32::from(rng.random_bool(0.3)), rng.random_range(top / 2..=top)))
        .collect();
    let initial = rng.random_range(0..=top);
    let delay_ticks = rng.random_range(0..=delay_max);
    let limits = Limits { bounds, ramp_up, ramp_down, initial, delay_ticks, starting: Vec::new() };
    let costs: Vec<Convex> = (0..n_stages)
        .map(|_| Convex::shortage(f64::from(top) * quarter(rng, 4), 0.5 + quarter(rng, 12)))
        .collect();
    OnePool {
        limits,
        dollars_per_replica: (0..n_stages).map(|_| quarter(rng, 8)).collect(),
        stage: Table::from_convex(&vec![Band::new(0, top); n_stages], &costs),
        switching: Switching { up_dollars: quarter(rng, 4), down_dollars: quarter(rng, 4) },
        terminal: None,
    }
}

fn pools(n_stages: usize, top: Replicas, rng: &mut impl Rng) -> Pools {
    let pool = |rng: &mut dyn FnMut(u32) -> u32| {
        let quantum_ticks = 1 + rng(1) * 2;
        let high = 1 + rng(top - 1);
        Pool {
            dollars_per_replica: vec![f64::from(1 + rng(7)) / 4.0; n_stages],
            bounds: Band::new(rng(1), high),
            ramp_up: 1 + rng(1),
            ramp_down: 1 + rng(1),
            delay_ticks: rng(2),
            up_ticks_min: rng(3),
            quantum_ticks,
            switching: Switching {
                up_dollars: f64::from(rng(4)) / 4.0,
                down_dollars: f64::from(rng(4)) / 4.0,
            },
            capacity: [1.0, 0.5, 1.5][rng(2) as usize],
            initial: rng(high),
            terminal_dollars_per_replica: f64::from(rng(4)) / 4.0 - 0.5,
        }
    };
    let mut draw = |most: u32| rng.random_range(0..=most);
    let pools: Vec<Pool> = (0..2).map(|_| pool(&mut draw)).collect();
    let (mut courses, mut needed_half) = (Vec::new(), Vec::new());
    for probability in [0.5, 0.25, 0.25] {
        let dollars = 0.5 + quarter(rng, 18);
        let needed: Vec<f64> = (0..n_stages).map(|_| quarter(rng, 8 * top)).collect();
        let penalty = needed.iter().map(|needed| Convex::shortage(*needed, dollars)).collect();
        needed_half.push(needed.iter().map(|needed| 0.5 * needed).collect());
        courses.push(Course { probability, penalty });
    }
    let risk = if rng.random_bool(0.5) {
        Risk::Expected
    } else {
        Risk::ConditionalValue { level: [0.0, 0.5, 0.9][rng.random_range(0..3)], weight: 0.5 }
    };
    let chance = rng.random_bool(0.3).then_some(Chance { level: 0.7, needed: needed_half });
    Pools { pools, courses, risk, chance }
}

/// Calls `each` with every list of `n_stages` counts of a band.
fn each_plan(band: Band, n_stages: usize, mut each: impl FnMut(Vec<Replicas>)) {
    let n_counts = band.n_counts();
    for code in 0..n_counts.pow(n_stages as u32) {
        let digit = |stage: usize| (code / n_counts.pow(stage as u32) % n_counts) as Replicas;
        each((0..n_stages).map(|stage| band.low + digit(stage)).collect());
    }
}

#[test]
fn one_pool_equals_the_dynamic_programme() {
    let (mut dynamic, mut n_optimal) = (DynamicProgramming::default(), 0);
    let mut milp = OnePoolMilp { limits: LIMITS, ..OnePoolMilp::by(Highs) };
    for seed in 0..300 {
        let problem = one_pool(12, 12, 1, &mut rng(seed + 12_000_000));
        match (dynamic.solve(&problem), milp.solve(&problem)) {
            (Outcome::Infeasible(a), Outcome::Infeasible(b)) => assert_eq!(a, b),
            (Outcome::Optimal(truth), Outcome::Optimal(found)) => {
                let difference = (truth.dollars - found.dollars).abs();
                assert!(difference < TOLERANCE, "seed {seed}: {} is not {}", found.dollars, truth.dollars);
                n_optimal += 1;
            }
            (truth, found) => panic!("seed {seed}: {found:?} is not {truth:?}"),
        }
    }
    assert!(n_optimal > 200, "only {n_optimal} had plans");
}

#[test]
fn through_dynamics_it_equals_brute_force() {
    let mut milp = ResponseMilp { limits: LIMITS, ..ResponseMilp::by(Highs) };
    let mut n_plans = 0;
    for seed in 0..100 {
        let mut rng = rng(seed + 12_500_000);
        let pool = one_pool(5, 4, 0, &mut rng);
        let dynamics = Dynamics {
            autoregression: vec![-1.3, 0.4],
            replicas: vec![0.0, -rng.random_range(0.1..2.0), rng.random_range(-0.5..0.5)],
            known: (0..5).map(|_| rng.random_range(0.0..6.0)).collect(),
            outputs_before: vec![rng.random_range(0.0..8.0), rng.random_range(0.0..8.0)],
            replicas_before: vec![f64::from(pool.limits.initial), 2.0],
            bound: 3.0,
            dollars_per_excess: rng.random_range(0.1..3.0),
        };
        let problem = ResponsePool { pool, dynamics };
        let mut truth = f64::INFINITY;
        each_plan(Band::new(0, 4), 5, |plan| {
            truth = problem.dollars(&plan).map_or(truth, |dollars| dollars.min(truth));
        });
        match milp.solve(&problem) {
            Outcome::Infeasible(_) => assert!(truth.is_infinite(), "seed {seed}: {truth}"),
            Outcome::Optimal(plan) => {
                assert!(
                    (plan.dollars - truth).abs() < TOLERANCE,
                    "seed {seed}: {} is not {truth}",
                    plan.dollars
                );
                n_plans += 1;
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(n_plans > 60, "only {n_plans} had plans");
}

#[test]
fn several_pools_equal_brute_force_from_nothing_and_from_a_plan() {
    let mut n_plans = 0;
    for seed in 0..100 {
        let problem = pools(4, 2, &mut rng(seed + 13_000_000));
        let mut truth = f64::INFINITY;
        each_plan(problem.pools[0].bounds, 4, |first| {
            each_plan(problem.pools[1].bounds, 4, |second| {
                truth = problem.dollars(&[first.clone(), second]).map_or(truth, |dollars| dollars.min(truth));
            });
        });
        let mut milp = PoolsMilp { limits: LIMITS, ..PoolsMilp::by(Highs) };
        let outcome = milp.solve(&problem);
        if truth.is_infinite() {
            assert!(matches!(outcome, Outcome::Infeasible(_)), "seed {seed}: {outcome:?}");
            continue;
        }
        let Outcome::Optimal(plan) = outcome else { panic!("seed {seed}: {outcome:?} is not {truth}") };
        assert!((plan.dollars - truth).abs() < TOLERANCE, "seed {seed}: {} is not {truth}", plan.dollars);
        milp.start = Some(plan.wanted);
        let Outcome::Optimal(again) = milp.solve(&problem) else {
            panic!("seed {seed}: its plan is no start")
        };
        assert!((again.dollars - truth).abs() < TOLERANCE, "seed {seed}: {} is not {truth}", again.dollars);
        n_plans += 1;
    }
    assert!(n_plans > 60, "only {n_plans} had plans");
}

#[test]
fn the_same_program_gives_the_same_plan_and_a_node_limit_a_bound() {
    let problem = pools(12, 6, &mut rng(14_000_001));
    let limits = SearchLimits { n_nodes_max: 1, gap: GAP };
    let solve = || PoolsMilp { limits, ..PoolsMilp::by(Highs) }.solve(&problem);
    let outcome = solve();
    assert_eq!(outcome, solve());
    let best = PoolsMilp { limits: LIMITS, ..PoolsMilp::by(Highs) }.solve(&problem);
    let Outcome::Optimal(best) = best else { panic!("{best:?}") };
    match outcome {
        Outcome::Optimal(plan) => assert!((plan.dollars - best.dollars).abs() < TOLERANCE),
        Outcome::Feasible { plan, bound_dollars } => {
            assert!(bound_dollars < best.dollars + TOLERANCE && best.dollars < plan.dollars + TOLERANCE);
        }
        other => panic!("{other:?}"),
    }
}
