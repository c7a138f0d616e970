//! Programs in files: the examples of the docs give these optima, and mistakes are named where they stand.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test of files reads and writes them"
)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::{Expect, expect};
use tidegate_core::solver::Outcome;
use tidegate_experiments::plan::solve::{self, SolverName};
use tidegate_experiments::plan::{Case, Program, detail, file, reporting, service};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/plan").join(name)
}

fn case(name: &str) -> Case {
    file::read(&fs::read_to_string(example(name)).expect("an example"), "example").expect("it is right")
}

fn answers(case: &Case) -> String {
    let mut out = String::new();
    // HiGHS is not in every build.
    for solver in solve::known(&case.program).into_iter().filter(|it| *it != SolverName::Highs) {
        let line = match solve::outcome(solver, &case.program) {
            Outcome::Optimal(plan) => format!("optimal {:.4}: {:?}", plan.dollars, plan.wanted),
            Outcome::Feasible { plan, bound_dollars } => {
                format!("feasible {:.2} above {bound_dollars:.2}", plan.dollars)
            }
            Outcome::Infeasible(constraint) => format!("infeasible: {}", constraint.what),
            Outcome::Unsolved { .. } => "no plan".into(),
        };
        writeln!(out, "{} {line}", solver.name()).expect("memory takes all");
    }
    out
}

#[test]
fn examples_have_these_optima() {
    let check = |case: &Case, expected: &Expect| expected.assert_eq(&answers(case));
    check(
        &case("one-pool.json"),
        &expect![[r"
        dynamic optimal 30.1450: [[3, 3, 3, 3, 3, 3, 3, 4, 4, 5, 7, 8, 8, 8, 7, 5, 4, 7, 10, 12, 12, 10, 8, 6]]
        milp optimal 30.1450: [[3, 3, 3, 3, 3, 3, 3, 4, 4, 5, 7, 8, 8, 8, 7, 5, 4, 7, 10, 12, 12, 10, 8, 6]]
        annealing feasible 30.15 above 25.67
    "]],
    );
    check(
        &case("response.json"),
        &expect![[r"
        milp optimal 0.7880: [[5, 5, 7, 9, 10, 10, 9, 7, 5, 4, 4, 2]]
    "]],
    );
    check(
        &case("pools.json"),
        &expect![[r"
        milp optimal 124.8312: [[2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 5, 5, 5, 5, 2, 1], [3, 3, 3, 3, 3, 3, 4, 4, 6, 8, 8, 8, 8, 8, 8, 6, 6, 8, 8, 8, 8, 8, 6, 4]]
        decomposition feasible 124.83 above 122.55
    "]],
    );
}

#[test]
fn a_load_and_a_service_make_a_program() {
    let case = service::read(&example("load.csv"), None, &example("service.toml")).expect("they are right");
    let Program::OnePool(problem) = &case.program else { panic!("one pool") };
    assert_eq!((case.program.n_stages(), problem.limits.delay_ticks), (96, 1));
    // $0.20 an hour for a quarter of an hour.
    assert!((problem.dollars_per_replica[0] - 0.05).abs() < 1e-12);
    // 60 requests a second of 0.4 s are 24 slots, six replicas of four: with five the queue grows.
    assert!(problem.stage.at(0, 5) > 10.0 * problem.stage.at(0, 8));
    for stage in 0..96 {
        assert!(problem.stage.row(stage).windows(2).all(|pair| pair[1] <= pair[0]), "stage {stage}");
    }
    assert!(matches!(solve::outcome(SolverName::Dynamic, &case.program), Outcome::Optimal(_)));
}

#[test]
fn stages_add_up_to_the_objective() {
    for name in ["one-pool.json", "response.json", "pools.json"] {
        let mut case = case(name);
        if let Program::Pools(problem) = &mut case.program {
            // Under CVaR the objective is not the sum of what is expected.
            problem.risk = tidegate_mpc::Risk::Expected;
        }
        let answer = solve::answer(solve::known(&case.program)[0], &case.program);
        let (plan, dollars) = answer.plan().expect("it has a plan");
        let stages = detail::stages(&case.program, plan);
        let sum: f64 = stages.iter().map(detail::StageOfPlan::dollars).sum();
        assert!((sum - dollars).abs() < 1e-9, "{name}: {sum} is not {dollars}");
        // The plan is optimal, so no other first move is cheaper.
        for other in detail::other_moves(&case.program, &answer) {
            assert!(other.more_dollars.is_ok_and(|more| more >= -1e-6) || name == "response.json", "{name}");
        }
        assert!(case.program.dollars(plan).is_some_and(|it| (it - dollars).abs() < 1e-9));
    }
}

#[test]
fn the_law_begins_as_the_plan_does() {
    let case = case("one-pool.json");
    let law = detail::law(&case.program).expect("one pool has a law");
    let Outcome::Optimal(plan) = solve::outcome(SolverName::Dynamic, &case.program) else {
        panic!("no plan")
    };
    let here = (4 - law.states.low) as usize;
    assert_eq!(law.wanted[here], Some(plan.wanted[0][0]));
    assert!((law.dollars[here] - plan.dollars).abs() < 1e-9);
}

#[test]
fn an_impossible_program_is_an_answer() {
    let text = fs::read_to_string(example("one-pool.json")).expect("an example");
    let case =
        file::read(&text.replace(r#""initial": 4"#, r#""initial": 60"#), "example").expect("it is read");
    let answers = vec![solve::answer(SolverName::Dynamic, &case.program)];
    let (report, stages) = reporting::report(&case, &answers);
    assert!(stages.is_none());
    expect![[r"
        # Plan: a day by the hour

        A program of kind one_pool, 24 stages, one pool.

        Infeasible: start 60 cannot reach at most 20 at stage 0 by steps of 2. No plan keeps this together with the other limits.
    "]].assert_eq(&report.markdown());
}

#[test]
fn mistakes_are_named_where_they_stand() {
    let check = |name: &str, from: &str, to: &str, expected: &Expect| {
        let text = fs::read_to_string(example(name)).expect("an example");
        assert!(text.contains(from), "{name} has no {from}");
        let error = file::read(&text.replacen(from, to, 1), "example").expect_err(to);
        expected.assert_eq(&error.to_string());
    };
    let one = |from: &str, to: &str, expected: &Expect| check("one-pool.json", from, to, expected);
    one(
        r#""kind": "one_pool""#,
        r#""kind": "one""#,
        &expect![[r#"line 2: `kind` must be one of one_pool, response, pools, but is "one""#]],
    );
    one(
        r#""kind": "one_pool","#,
        "",
        &expect!["`kind` must be one of one_pool, response, pools, but is missing"],
    );
    one(
        r#""kind": "one_pool""#,
        r#""kind": "response""#,
        &expect!["`dynamics` must be given, but is missing"],
    );
    one(
        r#""ramp_up": 3"#,
        r#""ramp_upp": 3"#,
        &expect![
            "line 9: `ramp_upp` is unknown, expected one of `kind`, `name`, `n_stages`, `stage_seconds`, `load`, `replicas_min`, `replicas_max`, `ramp_up`, `ramp_down`, `initial`, `delay_ticks`, `starting`, `dollars_per_replica`, `costs`, `up_dollars`, `down_dollars`, `terminal`, `dynamics` (did you mean `ramp_up`?)"
        ],
    );
    one(
        r#""ramp_up": 3"#,
        r#""ramp_up": -3"#,
        &expect!["line 9: `ramp_up` must be a whole number, but is -3"],
    );
    one(
        r#""ramp_up": 3,"#,
        r#""ramp_up": 3, "ramp_up": 4,"#,
        &expect!["line 9: `ramp_up` must stand once, but stands on line 9, too"],
    );
    one(
        r#""replicas_max": 20"#,
        r#""replicas_max": 20.5"#,
        &expect!["line 8: `replicas_max` must be a whole number up to 1000000, but is 20.5"],
    );
    one(
        r#""replicas_max": 20"#,
        r#""replicas_max": "many""#,
        &expect![[
            r#"line 8: `replicas_max` must be a number, or a list of one for each stage, but is the text "many""#
        ]],
    );
    one(
        r#""n_stages": 24"#,
        r#""n_stages": 23"#,
        &expect!["line 6: `load` must have 23 entries, one a stage, but has 24"],
    );
    one(
        r#""n_stages": 24"#,
        r#""n_stages": 0"#,
        &expect!["line 4: `n_stages` must be from 1 to 100000, but is 0"],
    );
    one(
        r#""stage_seconds": 3600"#,
        r#""stage_seconds": 0"#,
        &expect!["line 5: `stage_seconds` must be a positive number, but is 0"],
    );
    one(
        r#""dollars_per_replica": 0.2"#,
        r#""dollars_per_replica": -0.2"#,
        &expect!["line 13: `dollars_per_replica` must be finite and at least 0, but is -0.2"],
    );
    one(
        r#""dollars_per_missing": 1.5"#,
        r#""dollars_per_missing": .inf"#,
        &expect!["line 16: `costs.dollars_per_missing` must be finite and at least 0, but is inf"],
    );
    one(
        r#""dollars_per_missing": 1.5"#,
        r#""rows": []"#,
        &expect![
            "line 14: `costs` must be either `needed` and `dollars_per_missing`, or `pieces`, or (with one pool) `rows`"
        ],
    );
    one(
        r#""delay_ticks": 1"#,
        r#""delay_ticks": 1, "starting": [2]"#,
        &expect!["line 12: `starting` must have length 0, but has 1"],
    );
    one("}", "", &expect!["line 21: `program` cannot be read: did not find expected ',' or '}'"]);
    let response = |from: &str, to: &str, expected: &Expect| check("response.json", from, to, expected);
    response(
        r#""outputs_before": [0.6]"#,
        r#""outputs_before": []"#,
        &expect!["line 16: `dynamics.outputs_before` must have length 1, but has 0"],
    );
    response(
        r#""initial": 3"#,
        r#""initial": 3, "delay_ticks": 2"#,
        &expect![
            "line 10: `delay_ticks` must be 0, since the delay is a lag of `dynamics.replicas`, but is 2"
        ],
    );
    let pools = |from: &str, to: &str, expected: &Expect| check("pools.json", from, to, expected);
    pools(
        r#""probability": 0.5"#,
        r#""probability": 0.6"#,
        &expect!["line 11: `courses` must have probabilities that are 1 in sum, but is 1.0999999999999999"],
    );
    pools(
        r#""capacity": 0.9"#,
        r#""quantum_ticks": 0"#,
        &expect!["line 9: `pools[1].quantum_ticks` must be at least 1, but is 0"],
    );
    pools(
        r#""level": 0.8"#,
        r#""level": 1.0"#,
        &expect!["line 34: `risk.level` must be at least 0 and below 1, but is 1"],
    );
}

#[test]
fn the_binary_refuses_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let load = example("load.csv").display().to_string();
    let toml = fs::read_to_string(example("service.toml")).expect("an example");
    let check = |arguments: &[&str], expected: &Expect| {
        let out = folder.path().join("out");
        let output = Command::new(env!("CARGO_BIN_EXE_plan"))
            .args(arguments)
            .args(["--out", &out.display().to_string()])
            .output()
            .expect("the binary");
        let said = String::from_utf8_lossy(&output.stderr).replace(&folder.path().display().to_string(), "…");
        expected.assert_eq(&format!("exit {}: {said}", output.status.code().unwrap_or(-1)));
        assert!(!out.exists(), "something was written");
    };
    let bad = |name: &str, from: &str, to: &str, expected: &Expect| {
        assert!(toml.contains(from), "no {from}");
        let service = write(name, &toml.replacen(from, to, 1));
        check(&["--load", &load, "--service", &service], expected);
    };
    bad(
        "a.toml",
        "mean_seconds = 0.4",
        "mean_seconds = 0",
        &expect![[r"
        exit 2: error: …/a.toml: line 15: `service.mean_seconds` must be a positive number, but is 0
    "]],
    );
    bad(
        "b.toml",
        "ramp_up = 8",
        "ramp_upp = 8",
        &expect![[r"
        exit 2: error: …/b.toml: line 9: `pool.ramp_upp` unknown field `ramp_upp`, expected one of `dollars_per_replica_hour`, `replicas_min`, `replicas_max`, `replicas_initial`, `ramp_up`, `ramp_down`, `startup_seconds`, `up_dollars`, `down_dollars`
    "]],
    );
    bad(
        "c.toml",
        "dollars_per_user = 0.0005",
        "dollars_per_users = 0.0005",
        &expect![[r"
        exit 2: error: …/c.toml: line 21: `service_level.dollars_per_users` unknown field `dollars_per_users`, expected one of `bound_seconds`, `dollars_per_user`, `dollars_per_millisecond`
    "]],
    );
    bad(
        "d.toml",
        "dollars_per_user = 0.0005",
        "",
        &expect![[r"
        exit 2: error: …/d.toml: line 19: `service_level` must have either `dollars_per_user` or `dollars_per_millisecond`
    "]],
    );
    let service = example("service.toml").display().to_string();
    let csv = |text: &str, expected: &Expect| {
        check(&["--load", &write("load.csv", text), "--service", &service], expected);
    };
    csv(
        "time,load\na,1\nb,-2\n",
        &expect![[r#"
        exit 2: error: …/load.csv: line 3: `load` must be a finite number of requests a second, at least 0, but is "-2"
    "#]],
    );
    csv(
        "time,load\n0,1\n1,2\n",
        &expect![[r"
        exit 2: error: …/load.csv: --column must say which of time, load is the load
    "]],
    );
    csv(
        "time,load\n",
        &expect![[r"
        exit 2: error: …/load.csv: must have a row below the header, but has none
    "]],
    );
    #[cfg(not(feature = "highs"))]
    let program = example("one-pool.json").display().to_string();
    // Where HiGHS is in the build, it is one of them.
    #[cfg(not(feature = "highs"))]
    check(
        &["--program", &program, "--solver", "decomposition"],
        &expect![[r"
        exit 2: error: --solver must be, for a program of kind one_pool, one of dynamic, milp, annealing, but is decomposition
    "]],
    );
    #[cfg(not(feature = "highs"))]
    check(
        &["--program", &program, "--solver", "highs"],
        &expect![[r"
        exit 2: error: --solver highs: needs a build with `--features highs`, but this one has none
    "]],
    );
    check(
        &["--program", &write("empty.json", ""), "--solver", "all"],
        &expect![[r"
        exit 2: error: …/empty.json: `program` must hold one document, but is empty
    "]],
    );
}
