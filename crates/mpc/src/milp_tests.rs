//! The integer programs against the dynamic programme and brute force.

use rand::RngExt;
use tidegate_core::solver::{Outcome, Solver};

use crate::testing::{Kind, brute_force, brute_force_by, brute_force_pools, one_pool, pools, rng};
use crate::{DynamicProgramming, Dynamics, OnePoolMilp, PoolsMilp, ResponseMilp, ResponsePool};

/// Rows of microlp hold to 1e-7, costs are up to about a hundred of them.
const TOLERANCE: f64 = 1e-5;

#[test]
fn it_equals_the_dynamic_programme_on_1000_convex_programs() {
    let (mut dynamic, mut milp, mut n_optimal) = (DynamicProgramming::default(), OnePoolMilp::default(), 0);
    for seed in 0..1000 {
        let kind = Kind { n_stages: 12, replicas_max: 12, delay_max: 1, is_convex: true };
        let problem = one_pool(kind, &mut rng(seed + 5_000_000));
        let (truth, found) = (dynamic.solve(&problem), milp.solve(&problem));
        match (truth, found) {
            (Outcome::Infeasible(a), Outcome::Infeasible(b)) => assert_eq!(a, b),
            (Outcome::Optimal(truth), Outcome::Optimal(found)) => {
                let difference = (truth.dollars - found.dollars).abs();
                assert!(difference < TOLERANCE, "seed {seed}: {} is not {}", found.dollars, truth.dollars);
                n_optimal += 1;
            }
            (truth, found) => panic!("seed {seed}: {found:?} is not {truth:?}"),
        }
    }
    assert!(n_optimal > 700, "only {n_optimal} had plans");
}

#[test]
fn with_any_delay_it_equals_brute_force_and_the_dynamic_programme_bounds_it() {
    let mut n_bounded = 0;
    for seed in 0..300 {
        let kind = Kind { n_stages: 5, replicas_max: 5, delay_max: 4, is_convex: true };
        let problem = one_pool(kind, &mut rng(seed + 5_500_000));
        let Some(truth) = brute_force(&problem) else { continue };
        let Outcome::Optimal(plan) = OnePoolMilp::default().solve(&problem) else { panic!("seed {seed}") };
        assert!((plan.dollars - truth).abs() < TOLERANCE, "seed {seed}: {} is not {truth}", plan.dollars);
        if let Outcome::Feasible { plan, bound_dollars } = DynamicProgramming::default().solve(&problem) {
            assert!(bound_dollars < truth + TOLERANCE && truth < plan.dollars + TOLERANCE, "seed {seed}");
            n_bounded += 1;
        }
    }
    assert!(n_bounded > 5, "only {n_bounded} were bounded");
}

#[test]
fn it_equals_brute_force_on_several_pools() {
    let mut n_plans = 0;
    for seed in 0..300 {
        let problem = pools(2, 5, 2, &mut rng(seed + 6_000_000));
        match (PoolsMilp::default().solve(&problem), brute_force_pools(&problem)) {
            (Outcome::Infeasible(_), None) => {}
            (Outcome::Optimal(plan), Some(truth)) => {
                let difference = (plan.dollars - truth).abs();
                assert!(difference < TOLERANCE, "seed {seed}: {} is not {truth}", plan.dollars);
                n_plans += 1;
            }
            (found, truth) => panic!("seed {seed}: {found:?} is not {truth:?}"),
        }
    }
    assert!(n_plans > 200, "only {n_plans} had plans");
}

#[test]
fn a_start_is_kept_and_a_limit_gives_a_bound() {
    let mut n_limited = 0;
    for seed in 0..60 {
        let problem = pools(2, 6, 2, &mut rng(seed + 7_000_000));
        let Outcome::Optimal(best) = PoolsMilp::default().solve(&problem) else { continue };
        let mut limited = PoolsMilp { start: Some(best.wanted.clone()), ..PoolsMilp::default() };
        limited.limits.n_nodes_max = 0;
        match limited.solve(&problem) {
            Outcome::Optimal(plan) => assert!((plan.dollars - best.dollars).abs() < TOLERANCE),
            Outcome::Feasible { plan, bound_dollars } => {
                assert!(plan.dollars <= best.dollars + TOLERANCE, "seed {seed}");
                assert!(bound_dollars <= best.dollars + TOLERANCE, "seed {seed}");
                n_limited += 1;
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(n_limited > 5, "only {n_limited} needed the start");
}

#[test]
fn through_dynamics_it_equals_brute_force() {
    let mut n_plans = 0;
    for seed in 0..200 {
        let mut rng = rng(seed + 10_000_000);
        let kind = Kind { n_stages: 5, replicas_max: 4, delay_max: 0, is_convex: true };
        let pool = one_pool(kind, &mut rng);
        let n_stages = pool.n_stages();
        let dynamics = Dynamics {
            // Poles at 0.8 and 0.5: y decays slowly.
            autoregression: vec![-1.3, 0.4],
            replicas: vec![0.0, -rng.random_range(0.1..2.0), rng.random_range(-0.5..0.5)],
            known: (0..n_stages).map(|_| rng.random_range(0.0..6.0)).collect(),
            outputs_before: vec![rng.random_range(0.0..8.0), rng.random_range(0.0..8.0)],
            replicas_before: vec![f64::from(pool.limits.initial), 2.0],
            bound: 3.0,
            dollars_per_excess: rng.random_range(0.1..3.0),
        };
        let problem = ResponsePool { pool, dynamics };
        let truth = brute_force_by(&problem.pool, &|wanted| problem.dollars(wanted));
        match (ResponseMilp::default().solve(&problem), truth) {
            (Outcome::Infeasible(_), None) => {}
            (Outcome::Optimal(plan), Some(truth)) => {
                let difference = (plan.dollars - truth).abs();
                assert!(difference < TOLERANCE, "seed {seed}: {} is not {truth}", plan.dollars);
                n_plans += 1;
            }
            (found, truth) => panic!("seed {seed}: {found:?} is not {truth:?}"),
        }
    }
    assert!(n_plans > 150, "only {n_plans} had plans");
}

#[test]
fn the_output_of_a_first_order_lag_is_its_step_response() {
    // y_t = 0.5 y_{t−1} + 2 n_{t−1}: from rest, y_t = 4 · 3 · (1 − 0.5^t) for n = 3.
    let dynamics = Dynamics {
        autoregression: vec![-0.5],
        replicas: vec![0.0, 2.0],
        known: vec![0.0; 10],
        outputs_before: vec![0.0],
        replicas_before: vec![0.0],
        ..Dynamics::default()
    };
    for (stage, output) in (0..10).zip(dynamics.outputs(&[3; 10])) {
        let truth = 12.0 * (1.0 - 0.5_f64.powi(stage));
        assert!((output - truth).abs() < 1e-12, "stage {stage}: {output} is not {truth}");
    }
}

#[test]
fn dynamics_that_do_not_fit_are_named() {
    let kind = Kind { n_stages: 1, replicas_max: 4, delay_max: 0, is_convex: true };
    let pool = (0..50).map(|seed| one_pool(kind, &mut rng(seed))).find(|pool| pool.validate().is_ok());
    let good = ResponsePool {
        pool: pool.expect("some seed gives one"),
        dynamics: Dynamics { known: vec![0.0], ..Dynamics::default() },
    };
    let check = |change: &dyn Fn(&mut ResponsePool), expected: &str| {
        let mut problem = good.clone();
        change(&mut problem);
        let Outcome::Infeasible(constraint) = ResponseMilp::default().solve(&problem) else {
            panic!("{expected} is not found")
        };
        assert_eq!(constraint.what, expected);
    };
    check(&|p| p.dynamics.known.clear(), "`dynamics.known` must have length 1, but has 0");
    check(
        &|p| p.dynamics.autoregression = vec![0.5],
        "`dynamics.outputs_before` must have length 1, but has 0",
    );
    check(&|p| p.dynamics.bound = f64::NAN, "`dynamics.bound` must be finite, but is NaN at stage 0");
    let negative = "`dynamics.dollars_per_excess` must be finite and at least 0, but is -1";
    check(&|p| p.dynamics.dollars_per_excess = -1.0, negative);
}
