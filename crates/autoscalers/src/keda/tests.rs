//! Polls, cooldown, fallback, formulas and pauses, and what is refused.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use tidegate_core::observation::ExternalSample;
use tidegate_core::{Bounds, Calendar, OperatorFacts, Scrape};

use crate::catalog::Catalog;
use crate::testing::{self, Desk};

/// A pool that may go to zero, and a queue's length.
fn facts() -> OperatorFacts {
    let mut facts = testing::facts();
    facts.external_metrics = vec!["queue".into(), "other".into()];
    facts.pools[0].bounds = Bounds { replicas_min: 0, replicas_max: 50 };
    facts
}

fn trigger(threshold: f64, activation: f64) -> String {
    format!(
        "triggers = [{{ kind = \"external\", metric = \"queue\", threshold = {threshold}, activation = {activation} }}]\n"
    )
}

/// What is wanted after each decision, 15 s apart, for these values of the queue; `?` where it held and `!` where it
/// fell back.
fn run(parameters: &str, facts: &OperatorFacts, declared: u32, series: &[Option<f64>]) -> String {
    let mut controller = testing::controller("keda", parameters, facts);
    let mut desk = Desk::new(facts);
    (desk.pools[0].declared, desk.pools[0].observed, desk.pools[0].ready) = (declared, declared, declared);
    let mut line = Vec::new();
    for value in series {
        desk.external = [(0, *value), (1, Some(2.0))]
            .map(|(metric, value)| ExternalSample { metric, at_seconds: desk.now_seconds, value })
            .to_vec();
        let decision = desk.decide(&mut *controller);
        let mark = match decision.basis.name() {
            "held" => "?",
            "fallback" => "!",
            _ => "",
        };
        line.push(format!("{}{mark}", decision.targets[0].wanted));
        desk.wait(15.0);
    }
    line.join(" ")
}

fn check(parameters: &str, declared: u32, series: &[Option<f64>], expected: &Expect) {
    expected.assert_eq(&run(parameters, &facts(), declared, series));
}

/// The documented example: threshold 10 asks for 4 at a value of 40, but activation 50 says that there is nothing
/// to do, so it goes to 0.
#[test]
fn activation_wins_over_scaling() {
    check(&trigger(10.0, 50.0), 4, &[Some(40.0); 3], &expect!["4 4 0"]);
    check(&trigger(10.0, 50.0), 0, &[Some(40.0); 3], &expect!["0 0 0"]);
    check(&trigger(10.0, 50.0), 0, &[Some(51.0); 4], &expect!["1 4 6 6"]);
    // With a minimum it is of no effect.
    check(&format!("{}replicas_min = 1", trigger(10.0, 50.0)), 4, &[Some(40.0); 3], &expect!["4 4 4"]);
}

/// Active at 0 s and 30 s; nothing from 45 s on. From any count straight to zero more than 300 s after 30 s.
#[test]
fn zero_comes_straight_after_the_cooldown() {
    let mut series = vec![Some(100.0); 3];
    series.resize(26, Some(0.0));
    check(
        &trigger(10.0, 0.0),
        0,
        &series,
        &expect!["1 4 8 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 1 0 0"],
    );
    check(
        &format!("{}cooldown_seconds = 60", trigger(10.0, 0.0)),
        0,
        &series[..12],
        &expect!["1 4 8 10 10 10 10 10 0 0 0 0"],
    );
}

#[test]
fn polls_come_at_the_next_decision_after_they_are_due() {
    // Due at 0, 40, 80: seen at 0, 45, 90.
    let series: Vec<_> = [0.0, 9.0, 9.0, 9.0, 9.0].map(Some).to_vec();
    check(&format!("{}polling_seconds = 40", trigger(10.0, 0.0)), 0, &series, &expect!["0 0 0 1 1"]);
}

#[test]
fn a_fallback_stands_in_after_enough_failures() {
    let mut series = vec![Some(20.0); 2];
    series.resize(10, None);
    let base = format!("{}stale_seconds = 10\nreplicas_min = 1\n", trigger(10.0, 0.0));
    check(&base, 2, &series, &expect!["2 2 2? 2? 2? 2? 2? 2? 2? 2?"]);
    let fallback = |behavior: &str| {
        format!("{base}fallback = {{ failure_threshold = 3, replicas = 6, behavior = \"{behavior}\" }}")
    };
    check(&fallback("static"), 2, &series, &expect!["2 2 2? 2? 2? 4! 6! 6! 6! 6!"]);
    check(&fallback("current_replicas"), 2, &series, &expect!["2 2 2? 2? 2? 2! 2! 2! 2! 2!"]);
    check(&fallback("current_replicas_if_lower"), 2, &series, &expect!["2 2 2? 2? 2? 2! 2! 2! 2! 2!"]);
}

#[test]
fn a_formula_makes_one_metric() {
    let triggers = "triggers = [{ kind = \"external\", metric = \"queue\", threshold = 1 }, \
                        { kind = \"external\", metric = \"other\", threshold = 1 }]\nstale_seconds = 10\n";
    let modifiers =
        |formula: &str| format!("{triggers}scaling_modifiers = {{ formula = \"{formula}\", target = 2 }}\n");
    check(&modifiers("queue + other"), 1, &[Some(8.0); 3], &expect!["4 5 5"]);
    check(&modifiers("queue > 5 ? other : 1"), 1, &[Some(8.0); 3], &expect!["1 1 1"]);
    let nil = "fallback = { failure_threshold = 1, replicas = 3, behavior = \"scaling_modifiers\" }";
    check(
        &format!("{}{nil}", modifiers("queue ?? other * 5")),
        1,
        &[Some(8.0), None, None, None],
        &expect!["4 4? 5! 5!"],
    );
}

#[test]
fn pauses_and_forced_activation() {
    let base = trigger(10.0, 0.0);
    check(&format!("{base}paused = true"), 3, &[Some(100.0); 2], &expect!["3 3"]);
    check(&format!("{base}paused_replicas = 5"), 3, &[Some(100.0); 2], &expect!["5 5"]);
    check(
        &format!("{base}paused_scale_in = true"),
        3,
        &[Some(0.0), Some(0.0), Some(60.0)],
        &expect!["3 3 6"],
    );
    check(&format!("{base}paused_scale_out = true"), 3, &[Some(60.0); 3], &expect!["3 3 3"]);
    check(&format!("{base}force_activation = true"), 0, &[Some(0.0); 3], &expect!["1 1 1"]);
}

#[test]
fn the_pod_autoscalers_behavior_is_passed_on() {
    let rules = "scale_up = { policies = [{ pods = 2, period_seconds = 30 }] }\n";
    check(&format!("{}{rules}", trigger(10.0, 0.0)), 1, &[Some(90.0); 6], &expect!["3 3 5 5 7 7"]);
}

/// From 9:00 to 9:01; at other times 1, and inactive.
#[test]
fn cron_asks_for_its_count_between_start_and_end() {
    let start = "2025-03-03T08:59:30".parse().expect("a local time");
    let facts = OperatorFacts { calendar: Calendar::new(start, chrono_tz::UTC, 0), ..facts() };
    let text = "triggers = [{ kind = \"cron\", start = \"0 9 * * *\", end = \"1 9 * * *\", desired_replicas = 7 }]\n\
                    cooldown_seconds = 20\n";
    let shown = run(text, &facts, 0, &[Some(0.0); 12]);
    expect!["0 0 1 4 7 7 0 0 0 0 0 0"].assert_eq(&shown);
}

/// By default as many as concurrency over slots; it comes back from zero.
#[test]
fn by_default_it_looks_at_concurrency() {
    let facts = facts();
    let mut controller = testing::controller("keda", "cooldown_seconds = 30", &facts);
    let mut desk = Desk::new(&facts);
    let load = |value| Scrape { concurrency: Some(value), ..Scrape::default() };
    let series: Vec<_> = [30.0, 30.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 9.0, 9.0].map(load).to_vec();
    expect!["8 8 8 8 0 0 0 0 1 4"].assert_eq(&testing::wanted(&mut *controller, &mut desk, &series));
}

#[test]
fn what_cannot_be_is_refused() {
    let complain = |text: &str| {
        let table = text.parse().expect("this is TOML");
        Catalog::rules()
            .build("keda", &table, &facts())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    expect!["`triggers` must hold at least one trigger, but is empty"].assert_eq(&complain("triggers = []"));
    expect!["`replicas_idle` must be below `replicas_min`, which is 2, but is 2"]
        .assert_eq(&complain("replicas_idle = 2\nreplicas_min = 2"));
    expect!["`triggers[0].threshold` must be a positive number, but is 0"]
        .assert_eq(&complain(&trigger(0.0, 0.0)));
    expect![[
        r#"`triggers[0].metric` must be an external metric of the scenario (`queue`, `other`), but is "lag""#
    ]]
    .assert_eq(&complain("triggers = [{ kind = \"external\", metric = \"lag\", threshold = 1 }]"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Within bounds; up no faster than the policy; to zero only after the cooldown.
    #[test]
    fn it_keeps_to_its_limits(series in prop::collection::vec(prop::option::weighted(0.9, 0.0..400.0_f64), 1..80)) {
        let text = format!(
            "{}replicas_max = 20\nstale_seconds = 20\ncooldown_seconds = 60\n\
             scale_up = {{ policies = [{{ pods = 3, period_seconds = 15 }}] }}",
            trigger(10.0, 30.0)
        );
        let shown = run(&text, &facts(), 1, &series);
        let counts: Vec<u32> =
            shown.split(' ').map(|one| one.trim_end_matches(['?', '!']).parse().expect("a count")).collect();
        let mut before = 1;
        for (index, count) in counts.iter().enumerate() {
            prop_assert!(*count <= 20);
            prop_assert!(*count <= before + 3);
            if *count == 0 && before > 0 {
                let since = index.saturating_sub(4);
                let was_active = series[since..=index].iter().flatten().any(|value| *value > 30.0);
                // Polls are 30 s apart, so every other value is not seen.
                let polled = (since..=index).filter(|at| at % 2 == 0);
                let seen = polled.filter_map(|at| series[at]).any(|value| value > 30.0);
                prop_assert!(!seen || !was_active);
            }
            before = *count;
        }
    }
}
