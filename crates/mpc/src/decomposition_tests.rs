//! The decomposition against brute force: its bound is below the optimum, its plan keeps all limits and is close.

use tidegate_core::solver::{Outcome, Solver};

use crate::Decomposition;
use crate::testing::{brute_force_pools, pools, rng};

/// Sums of some dozen terms.
const TOLERANCE: f64 = 1e-6;

#[test]
fn bound_below_optimum_below_plan() {
    let (mut n_plans, mut n_optimal, mut gaps, mut slack) = (0_u32, 0_u32, 0.0, 0.0);
    for seed in 0..300 {
        let problem = pools(2, 5, 2, &mut rng(seed + 6_000_000));
        let mut solver = Decomposition { n_steps: 300, n_kicks: 5, ..Decomposition::default() };
        match (solver.solve(&problem), brute_force_pools(&problem)) {
            (Outcome::Infeasible(_), None) => {}
            (Outcome::Optimal(plan), Some(truth)) => {
                assert!(
                    (plan.dollars - truth).abs() < TOLERANCE,
                    "seed {seed}: {} is not {truth}",
                    plan.dollars
                );
                (n_plans, n_optimal) = (n_plans + 1, n_optimal + 1);
            }
            (Outcome::Feasible { plan, bound_dollars }, Some(truth)) => {
                assert_eq!(problem.dollars(&plan.wanted), Ok(plan.dollars), "seed {seed}");
                assert!(
                    bound_dollars <= truth + TOLERANCE,
                    "seed {seed}: bound {bound_dollars} above {truth}"
                );
                assert!(
                    plan.dollars >= truth - TOLERANCE,
                    "seed {seed}: plan {} below {truth}",
                    plan.dollars
                );
                n_plans += 1;
                n_optimal += u32::from(plan.dollars < truth + TOLERANCE);
                gaps += plan.dollars / truth - 1.0;
                slack += 1.0 - bound_dollars / truth;
            }
            (found, truth) => panic!("seed {seed}: {found:?} is not {truth:?}"),
        }
    }
    let n = f64::from(n_plans);
    // Small programs have the widest relaxations: a replica is a large part of the fleet.
    let (gap, slack) = (gaps / n, slack / n);
    assert!(f64::from(n_optimal) > 0.97 * n, "{n_optimal} of {n_plans} are optimal");
    assert!(gap < 0.001 && slack < 0.02, "plans are {gap} above, bounds {slack} below the optimum");
}

#[test]
fn the_same_program_gives_the_same_bits() {
    let problem = pools(3, 12, 4, &mut rng(8_000_000));
    let solve = || Decomposition { n_steps: 300, n_kicks: 3, ..Decomposition::default() }.solve(&problem);
    assert_eq!(solve(), solve());
}
