//! The program of several pools by hand: bills, lives, risk, and what is wrong with a program.

use expect_test::{Expect, expect};
use tidegate_core::solver::{Outcome, Solver};

use crate::{Band, Chance, Convex, Course, Decomposition, Pool, Pools, PoolsMilp, Risk, Switching};

/// A pool at $1 a stage without delay or limits.
fn pool(n_stages: usize) -> Pool {
    Pool {
        dollars_per_replica: vec![1.0; n_stages],
        bounds: Band::new(0, 9),
        ramp_up: 9,
        ramp_down: 9,
        delay_ticks: 0,
        up_ticks_min: 0,
        quantum_ticks: 1,
        switching: Switching::default(),
        capacity: 1.0,
        initial: 0,
        terminal_dollars_per_replica: 0.0,
    }
}

/// One pool, one course that charges $10 for each unit of capacity below `needed`.
fn program(pool: Pool, needed: &[f64]) -> Pools {
    let penalty = needed.iter().map(|needed| Convex::shortage(*needed, 10.0)).collect();
    let courses = vec![Course { probability: 1.0, penalty }];
    Pools { pools: vec![pool], courses, risk: Risk::Expected, chance: None }
}

#[test]
fn what_a_plan_costs() {
    let check = |change: &dyn Fn(&mut Pool), wanted: &[u32], expected: &Expect| {
        let mut pool = pool(wanted.len());
        change(&mut pool);
        let cost = program(pool, &vec![0.0; wanted.len()]).dollars(&[wanted.to_vec()]);
        expected.assert_eq(&cost.map_or_else(|constraint| constraint.what, |dollars| format!("${dollars}")));
    };
    check(&|_| {}, &[1, 2, 0, 1], &expect!["$4"]);
    check(
        &|p| p.switching = Switching { up_dollars: 0.5, down_dollars: 0.25 },
        &[1, 2, 0, 1],
        &expect!["$6"],
    );
    // Starts at stages 0, 1 and 3 pay for three stages each; the first runs for two of them.
    check(&|p| p.quantum_ticks = 3, &[1, 2, 0, 1], &expect!["$9"]);
    // The replica of stage 0 is due at stage 3, that of stage 1 at 4: the stop at 3 takes the first.
    check(&|p| p.quantum_ticks = 3, &[1, 2, 2, 1], &expect!["$6"]);
    check(&|p| p.quantum_ticks = 3, &[1, 2, 2, 2], &expect!["$9"]);
    let broken = "pool 0: bounds, ramp limits or minimum up time";
    check(&|p| p.up_ticks_min = 2, &[1, 1, 0, 0], &expect!["$2"]);
    for (change, wanted) in [
        (&(|p: &mut Pool| p.up_ticks_min = 2) as &dyn Fn(&mut Pool), [1, 0, 0, 0]),
        (&|p| p.up_ticks_min = 3, [1, 2, 1, 0]),
        (&|p| p.delay_ticks = 2, [0, 1, 0, 0]),
        (&|p| p.ramp_up = 1, [0, 2, 2, 2]),
        (&|p| p.ramp_down = 1, [2, 2, 0, 0]),
        (&|p| p.bounds.low = 1, [1, 1, 0, 1]),
    ] {
        let mut pool = pool(4);
        change(&mut pool);
        let cost = program(pool, &[0.0; 4]).dollars(&[wanted.to_vec()]);
        assert_eq!(cost.expect_err("a limit is broken").what, broken, "{wanted:?}");
    }
}

#[test]
fn replicas_serve_after_their_delay() {
    let mut late = pool(4);
    (late.delay_ticks, late.initial) = (2, 1);
    // Paid 1 + 3 + 3 + 3; ready 1, 1, 1, 3 of 3 needed, so 2 are missing three times.
    let cost = program(late, &[3.0; 4]).dollars(&[vec![1, 3, 3, 3]]);
    assert_eq!(cost, Ok(10.0 + 60.0));
}

#[test]
fn the_conditional_value_is_the_mean_of_the_worst() {
    // Capacity 0: penalties of $10, $20, $30 and $40, a quarter each.
    let course = |needed: f64| Course { probability: 0.25, penalty: vec![Convex::shortage(needed, 10.0)] };
    let mut problem = program(pool(1), &[0.0]);
    problem.courses = [2.0, 4.0, 1.0, 3.0].map(course).to_vec();
    for (level, weight, truth) in [
        (0.0, 1.0, 25.0),
        (0.5, 1.0, 35.0),
        (0.75, 1.0, 40.0),
        (0.9, 1.0, 40.0),
        // Four tenths: a quarter at 40 and 0.15 at 30.
        (0.6, 1.0, (0.25 * 40.0 + 0.15 * 30.0) / 0.4),
        (0.5, 0.5, 30.0),
    ] {
        problem.risk = Risk::ConditionalValue { level, weight };
        let found = problem.penalty(&[0.0]).expect("there is no chance constraint");
        assert!((found - truth).abs() < 1e-12, "level {level}, weight {weight}: {found} is not {truth}");
    }
}

#[test]
fn what_cannot_be_solved_says_why() {
    let check = |change: &dyn Fn(&mut Pools), expected: &Expect| {
        let mut problem = program(pool(2), &[1.0, 2.0]);
        change(&mut problem);
        let Outcome::Infeasible(constraint) = PoolsMilp::default().solve(&problem) else {
            panic!("it is solved")
        };
        expected.assert_eq(&constraint.what);
        assert_eq!(Decomposition::default().solve(&problem), Outcome::Infeasible(constraint));
    };
    check(&|p| p.pools.clear(), &expect!["a program must have a stage, but has none"]);
    check(&|p| p.pools[0].bounds = Band::new(3, 2), &expect!["pool 0: at least 3 and at most 2 replicas"]);
    check(
        &|p| (p.pools[0].bounds.low, p.pools[0].ramp_up) = (3, 2),
        &expect!["pool 0: start 0 cannot reach at least 3 by a step of 2"],
    );
    check(
        &|p| (p.pools[0].initial, p.pools[0].ramp_down) = (12, 2),
        &expect!["pool 0: start 12 cannot reach at most 9 by a step of 2"],
    );
    check(&|p| p.pools[0].quantum_ticks = 0, &expect!["`quantum_ticks` must be at least 1, but is 0"]);
    check(
        &|p| (p.pools[0].quantum_ticks, p.pools[0].dollars_per_replica[1]) = (2, 3.0),
        &expect!["`dollars_per_replica` must be constant where the billing quantum is above 1, but is 3"],
    );
    check(
        &|p| p.pools[0].capacity = f64::NAN,
        &expect!["`capacity` must be finite and at least 0, but is NaN"],
    );
    check(&|p| p.courses[0].probability = 0.5, &expect!["`probability` must be 1 in sum, but is 0.5"]);
    check(
        &|p| p.courses[0].penalty[1].pieces[0].slope_dollars = f64::INFINITY,
        &expect!["`penalty` must be finite, but is inf at stage 1"],
    );
    check(
        &|p| p.risk = Risk::ConditionalValue { level: 1.0, weight: 0.5 },
        &expect!["`risk.level` must be at least 0 and below 1, but is 1"],
    );
    check(
        &|p| p.chance = Some(Chance { level: 0.9, needed: vec![vec![1.0, 11.0]] }),
        &expect!["chance: capacity as needed with probability 0.9, but at most 0 by any plan"],
    );
}
