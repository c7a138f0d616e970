//! The dynamic programme against brute force, against itself, and on cases solved by hand.

use expect_test::{Expect, expect};
use rand::RngExt;
use tidegate_core::{
    Replicas,
    solver::{Outcome, Solver},
};

use crate::testing::{Kind, brute_force, one_pool, rng};
use crate::{Band, DynamicProgramming, Limits, OnePool, Table};

/// Sums of quarters below 1e4 are exact; with a delay sums of differences are, too.
const TOLERANCE: f64 = 1e-9;

#[test]
fn it_equals_brute_force_on_10_000_random_programs() {
    let (mut solver, mut n_infeasible, mut n_bounds, mut n_delayed) =
        (DynamicProgramming::default(), 0, 0, 0);
    for seed in 0..10_000 {
        let mut rng = rng(seed);
        let n_stages = if seed % 50 == 0 { 7 } else { 5 };
        let kind = Kind { n_stages, replicas_max: 5, delay_max: 4, is_convex: seed % 3 == 0 };
        let problem = one_pool(kind, &mut rng);
        let truth = brute_force(&problem);
        match (solver.solve(&problem), truth) {
            (Outcome::Infeasible(constraint), None) => {
                assert!(constraint.what.contains("cannot reach"), "seed {seed}: {}", constraint.what);
                n_infeasible += 1;
            }
            (Outcome::Optimal(plan), Some(truth)) => {
                let recomputed = problem.dollars(&plan.wanted[0]).expect("a plan keeps the limits");
                assert_eq!(plan.dollars, recomputed, "seed {seed}");
                assert!(
                    (plan.dollars - truth).abs() < TOLERANCE,
                    "seed {seed}: {} is not {truth}",
                    plan.dollars
                );
                n_delayed += usize::from(problem.limits.delay_ticks > 1);
            }
            (Outcome::Feasible { plan, bound_dollars }, Some(truth)) => {
                assert!(bound_dollars <= truth + TOLERANCE, "seed {seed}: {bound_dollars} is above {truth}");
                assert!(plan.dollars >= truth - TOLERANCE, "seed {seed}: {} is below {truth}", plan.dollars);
                n_bounds += 1;
            }
            (outcome, truth) => panic!("seed {seed}: {outcome:?} is not {truth:?}"),
        }
    }
    expect!["532 infeasible, 681 bounded, 4969 optimal with a delay of several stages"].assert_eq(&format!(
        "{n_infeasible} infeasible, {n_bounds} bounded, {n_delayed} optimal with a delay of several stages"
    ));
}

#[test]
fn without_peaks_of_the_least_bound_delays_are_exact() {
    let mut solver = DynamicProgramming::default();
    for seed in 0..2_000 {
        let mut rng = rng(seed + 1_000_000);
        let kind = Kind { n_stages: 6, replicas_max: 4, delay_max: 4, is_convex: false };
        let mut problem = one_pool(kind, &mut rng);
        problem.limits.bounds.iter_mut().for_each(|band| band.low = 0);
        let Some(truth) = brute_force(&problem) else { continue };
        let Outcome::Optimal(plan) = solver.solve(&problem) else { panic!("seed {seed} has no peak") };
        assert!((plan.dollars - truth).abs() < TOLERANCE, "seed {seed}: {} is not {truth}", plan.dollars);
    }
}

#[test]
fn wider_limits_never_cost_more() {
    let mut solver = DynamicProgramming::default();
    let mut n_cheaper = 0;
    for seed in 0..1_000 {
        let mut rng = rng(seed + 2_000_000);
        let kind = Kind { n_stages: 40, replicas_max: 30, delay_max: 1, is_convex: false };
        let problem = one_pool(kind, &mut rng);
        let Outcome::Optimal(plan) = solver.solve(&problem) else { continue };
        let mut wider = problem.clone();
        match rng.random_range(0..4) {
            0 => wider.limits.ramp_up = wider.limits.ramp_up.saturating_add(1),
            1 => wider.limits.ramp_down = wider.limits.ramp_down.saturating_add(1),
            2 => wider.limits.bounds.iter_mut().for_each(|band| band.low = band.low.saturating_sub(1)),
            _ => wider.limits.bounds.iter_mut().for_each(|band| band.high = (band.high + 1).min(30)),
        }
        let Outcome::Optimal(cheaper) = solver.solve(&wider) else {
            panic!("seed {seed}: wider is infeasible")
        };
        assert!(cheaper.dollars <= plan.dollars + TOLERANCE, "seed {seed}");
        n_cheaper += usize::from(cheaper.dollars < plan.dollars - TOLERANCE);
    }
    assert!(n_cheaper > 100, "only {n_cheaper} became cheaper");
}

#[test]
fn the_law_is_the_first_move_of_the_plan_from_every_state() {
    let mut solver = DynamicProgramming::default();
    for seed in 0..200 {
        let mut rng = rng(seed + 3_000_000);
        let mut problem =
            one_pool(Kind { n_stages: 8, replicas_max: 9, delay_max: 1, is_convex: false }, &mut rng);
        problem.limits.starting.clear();
        let Ok(law) = solver.law(&problem, 0, Band::new(0, 9)) else { continue };
        for state in 0..=9 {
            problem.limits.initial = state;
            match (solver.solve(&problem), law.wanted[state as usize]) {
                (Outcome::Infeasible(_), None) => {}
                (Outcome::Optimal(plan), Some(wanted)) => {
                    assert_eq!(plan.wanted[0][0], wanted, "seed {seed}, state {state}");
                    assert!((plan.dollars - law.dollars[state as usize]).abs() < TOLERANCE);
                }
                (outcome, wanted) => panic!("seed {seed}, state {state}: {outcome:?} is not {wanted:?}"),
            }
        }
    }
}

#[test]
fn the_law_of_a_later_stage_is_that_of_the_rest_of_the_program() {
    let mut solver = DynamicProgramming::default();
    let mut n_laws = 0;
    for seed in 0..100 {
        let kind = Kind { n_stages: 8, replicas_max: 9, delay_max: 3, is_convex: false };
        let mut problem = one_pool(kind, &mut rng(seed + 3_500_000));
        problem.limits.starting.clear();
        let first = problem.n_stages() / 2;
        let mut rest = problem.clone();
        rest.limits.bounds.drain(..first);
        rest.dollars_per_replica.drain(..first);
        let bands: Vec<Band> = (first..problem.n_stages()).map(|stage| problem.stage.band(stage)).collect();
        rest.stage = Table::from_fn(&bands, |stage, replicas| problem.stage.at(first + stage, replicas));
        let states = Band::new(2, 7);
        match (solver.law(&problem, first, states), solver.law(&rest, 0, states)) {
            (Ok(law), Ok(truth)) => {
                assert_eq!(law, truth, "seed {seed}");
                n_laws += 1;
            }
            (Err(_), Err(_)) => {}
            (law, truth) => panic!("seed {seed}: {law:?} is not {truth:?}"),
        }
    }
    assert!(n_laws > 50, "only {n_laws} had a law");
}

#[test]
fn a_solve_of_the_same_size_does_not_allocate() {
    let kind = Kind { n_stages: 50, replicas_max: 40, delay_max: 3, is_convex: false };
    let problems: Vec<OnePool> = (0..40).map(|seed| one_pool(kind, &mut rng(seed))).collect();
    let (mut solver, mut wanted) = (DynamicProgramming::default(), Vec::new());
    let mut solve_all = || {
        for problem in problems.iter().filter(|problem| problem.validate().is_ok()) {
            solver.plan(problem, &mut wanted).expect("it is valid");
        }
    };
    solve_all();
    let valid: Vec<&OnePool> = problems.iter().filter(|problem| problem.validate().is_ok()).collect();
    assert!(valid.len() > 20);
    let again = allocation_counter::measure(|| {
        for problem in &valid {
            solver.plan(problem, &mut wanted).expect("it is valid");
        }
    });
    assert_eq!(again.count_total, 0);
}

/// One pool with prices of 0, costs as given from count 0 on, and steps of `ramp`.
fn small(initial: Replicas, ramp: Replicas, rows: &[&[f64]]) -> OnePool {
    let bands: Vec<Band> = rows.iter().map(|row| Band::new(0, row.len() as Replicas - 1)).collect();
    OnePool {
        limits: Limits {
            bounds: bands.clone(),
            ramp_up: ramp,
            ramp_down: ramp,
            initial,
            ..Limits::default()
        },
        dollars_per_replica: vec![0.0; rows.len()],
        stage: Table::from_fn(&bands, |stage, replicas| rows[stage][replicas as usize]),
        ..OnePool::default()
    }
}

fn check(problem: &OnePool, expected: &Expect) {
    let text = match DynamicProgramming::default().solve(problem) {
        Outcome::Optimal(plan) => format!("optimal ${:.2}: {:?}", plan.dollars, plan.wanted[0]),
        Outcome::Feasible { plan, bound_dollars } => {
            format!("${:.2} above ${bound_dollars:.2}: {:?}", plan.dollars, plan.wanted[0])
        }
        Outcome::Infeasible(constraint) => format!("infeasible: {}", constraint.what),
        Outcome::Unsolved { .. } => "unsolved".to_owned(),
    };
    expected.assert_eq(&text);
}

#[test]
fn what_is_solved_by_hand() {
    let rows: &[&[f64]] = &[&[1., 2., 3.], &[1., 2., 3.], &[9., 9., 3.]];
    check(&small(1, 1, rows), &expect!["optimal $6.00: [0, 1, 2]"]);
    check(&small(1, 2, rows), &expect!["optimal $5.00: [0, 0, 2]"]);
    // All cost the same: stay; then the smallest change.
    check(&small(2, 2, &[&[1., 1., 1.]]), &expect!["optimal $1.00: [2]"]);
    check(&small(1, 2, &[&[0., 5., 0.]]), &expect!["optimal $0.00: [0]"]);
    // An order takes two stages; the second stage is the first that it serves, so it is not worth its price.
    let mut late = small(0, 9, &[&[5., 0.], &[5., 0.], &[5., 0.]]);
    late.limits.delay_ticks = 2;
    late.dollars_per_replica = vec![1.0; 3];
    check(&late, &expect!["optimal $13.00: [1, 1, 1]"]);
    late.dollars_per_replica = vec![2.0; 3];
    check(&late, &expect!["optimal $15.00: [0, 0, 0]"]);
    // One of two is still starting.
    late.limits.initial = 1;
    late.limits.starting = vec![1];
    check(&late, &expect!["optimal $11.00: [1, 1, 1]"]);
}

#[test]
fn what_cannot_be_solved_says_why() {
    let rows: &[&[f64]] = &[&[1., 2., 3.], &[1., 2., 3.]];
    let with = |change: &dyn Fn(&mut OnePool)| {
        let mut problem = small(1, 1, rows);
        change(&mut problem);
        problem
    };
    check(
        &with(&|p| p.limits.bounds.clear()),
        &expect!["infeasible: a program must have a stage, but has none"],
    );
    check(
        &with(&|p| p.limits.initial = 9),
        &expect!["infeasible: start 9 cannot reach at most 2 at stage 0 by steps of 1"],
    );
    check(
        &with(&|p| p.limits.bounds[1] = Band::new(5, 7)),
        &expect!["infeasible: start 1 cannot reach at least 5 at stage 1 by steps of 1"],
    );
    check(
        &with(&|p| p.limits.bounds[1] = Band::new(2, 1)),
        &expect!["infeasible: stage 1: at least 2 and at most 1 replicas"],
    );
    check(
        &with(&|p| p.limits.bounds[1] = Band::new(0, 9)),
        &expect!["infeasible: `stage` must cover 0 to 3 replicas at stage 1, but covers 0 to 2"],
    );
    check(
        &with(&|p| p.dollars_per_replica[1] = f64::NAN),
        &expect!["infeasible: `dollars_per_replica` must be finite, but is NaN at stage 1"],
    );
    check(
        &with(&|p| p.dollars_per_replica[1] = -1.0),
        &expect!["infeasible: `dollars_per_replica` must be finite and at least 0, but is -1"],
    );
    check(
        &with(&|p| p.dollars_per_replica.push(0.0)),
        &expect!["infeasible: `dollars_per_replica` must have length 2, but has 3"],
    );
    check(
        &with(&|p| p.switching.up_dollars = f64::INFINITY),
        &expect!["infeasible: `switching.up_dollars` must be finite and at least 0, but is inf"],
    );
    check(
        &with(&|p| p.limits.starting = vec![1]),
        &expect!["infeasible: `starting` must have length 0, but has 1"],
    );
    let infinite: &[&[f64]] = &[&[1., 2., 3.], &[1., f64::INFINITY, 3.]];
    check(&small(1, 1, infinite), &expect!["infeasible: `stage` must be finite, but is inf at stage 1"]);
    check(
        &with(&|p| p.limits.delay_ticks = 1),
        &expect![
            "infeasible: `stage` must not rise with ready replicas where there is a delay, but does at stage 0 from 0 on"
        ],
    );
}
