//! Whole passes: which metric decides, what is written, and how conditions word it.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use tidegate_autoscalers::hpa::{
    Behavior, Flags, Memory, Metric, Pass, Policy, Reading, Recommendation, Report, Scale, ScalingRules,
    Select, Selector, Spec, State, ZeroRule, reconcile,
};

use super::{
    NOW, average, cpu, cpu_average, external, failed, flags, memory, object, of_pods, pods, value, values,
};

/// One pass, of which a row says what is not plain: 2 to 10 replicas, 4 declared and observed, cpu at 50 % of pods that
/// use 60 %, a log that begins now.
struct Row<'a> {
    bounds: (i32, i32),
    declared: i32,
    observed: Option<i32>,
    pods: &'a str,
    metrics: Vec<(Metric, Option<Reading>)>,
    behavior: Option<Behavior>,
    flags: Flags,
    memory: Memory,
    selector: Selector<'a>,
    scale_error: Option<&'a str>,
    write_error: Option<&'a str>,
}

impl Default for Row<'_> {
    fn default() -> Self {
        Self {
            bounds: (2, 10),
            declared: 4,
            observed: None,
            pods: "r600 r600 r600 r600",
            metrics: vec![(cpu(50), None)],
            behavior: None,
            flags: flags(),
            memory: Memory::default(),
            selector: Selector::Fine,
            scale_error: None,
            write_error: None,
        }
    }
}

impl Row<'_> {
    fn run(mut self) -> (Report, Memory) {
        let (pods, samples) = pods(self.pods);
        let (metrics, readings): (Vec<_>, Vec<_>) = self
            .metrics
            .drain(..)
            .map(|(metric, reading)| (metric, reading.unwrap_or(samples.clone())))
            .unzip();
        let (replicas_min, replicas_max) = self.bounds;
        let spec = Spec { replicas_min, replicas_max, metrics, behavior: self.behavior };
        let scale = Scale {
            spec_replicas: self.declared,
            status_replicas: self.observed.unwrap_or(self.declared),
            selector: self.selector,
        };
        let state = State {
            now_seconds: NOW,
            namespace: "shop",
            scale: self.scale_error.map_or(Ok(scale), Err),
            pods: &pods,
            readings: &readings,
            write_error: self.write_error,
        };
        let mut pass = Pass::default();
        reconcile(&spec, &self.flags, &state, &mut self.memory, &mut pass);
        (Report::new(&spec, &state, &pass), self.memory)
    }
}

/// The count, `=` where it is not written; then the conditions by their reasons, `!` before those that are false.
fn check(row: Row<'_>, expected: &Expect) {
    let (report, _) = row.run();
    expected.assert_eq(&text(&report));
}

fn text(report: &Report) -> String {
    let mut text = format!("{}{}", if report.is_written { "" } else { "=" }, report.desired_replicas);
    for condition in &report.conditions {
        text += if condition.status { " " } else { " !" };
        text += condition.reason;
    }
    text
}

fn begun(entries: &[(i32, f64)]) -> Memory {
    let entry = |(replicas, ago): &(i32, f64)| Recommendation { replicas: *replicas, at_seconds: NOW - ago };
    Memory { recommendations: entries.iter().map(entry).collect(), is_seeded: true, ..Memory::default() }
}

#[test]
fn one_metric() {
    check(Row::default(), &expect!["5 SucceededRescale ValidMetricFound !DesiredWithinRange"]);
    check(
        Row { pods: "r500 r500 r500 r500", ..Row::default() },
        &expect!["=4 ReadyForNewScale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { pods: "r900 r900 r900 r900", ..Row::default() },
        &expect!["8 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { pods: "r1600 r1600 r1600 r1600", ..Row::default() },
        &expect!["8 SucceededRescale ValidMetricFound ScaleUpLimit"],
    );
    check(
        Row { bounds: (1, 100), pods: "r1600 r1600 r1600 r1600", ..Row::default() },
        &expect!["8 SucceededRescale ValidMetricFound ScaleUpLimit"],
    );
    check(
        Row { pods: "r300 r300 r300 r300", memory: begun(&[]), ..Row::default() },
        &expect!["3 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { pods: "r1 r1 r1 r1", memory: begun(&[]), ..Row::default() },
        &expect!["2 SucceededRescale ValidMetricFound TooFewReplicas"],
    );
    check(
        Row { pods: "r0 r0 r0 r0", memory: begun(&[]), ..Row::default() },
        &expect!["2 SucceededRescale ValidMetricFound TooFewReplicas"],
    );
}

#[test]
fn the_log_begins_with_what_is_declared() {
    check(
        Row { pods: "r300 r300 r300 r300", ..Row::default() },
        &expect!["=4 ScaleDownStabilized ValidMetricFound !DesiredWithinRange"],
    );
    let (_, memory) = Row { pods: "r300 r300 r300 r300", ..Row::default() }.run();
    let log: Vec<_> = memory.recommendations.iter().map(|past| (past.replicas, past.at_seconds)).collect();
    assert_eq!(log, [(4, NOW), (3, NOW)]);
    // Also where no metric is read.
    let (_, memory) = Row { declared: 20, ..Row::default() }.run();
    assert_eq!(memory.recommendations.len(), 1);
    check(
        Row { pods: "r300 r300 r300 r300", memory: begun(&[(4, 299.0)]), ..Row::default() },
        &expect!["=4 ScaleDownStabilized ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { pods: "r300 r300 r300 r300", memory: begun(&[(4, 301.0)]), ..Row::default() },
        &expect!["3 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
}

#[test]
fn bounds_pass_by_metrics_and_behavior() {
    let slow = || {
        let rules = ScalingRules { select: Select::Disabled, ..ScalingRules::up() };
        Some(Behavior { up: rules.clone(), down: rules })
    };
    check(Row { declared: 20, ..Row::default() }, &expect!["10 SucceededRescale"]);
    check(Row { declared: 1, ..Row::default() }, &expect!["2 SucceededRescale"]);
    check(Row { declared: 20, behavior: slow(), ..Row::default() }, &expect!["10 SucceededRescale"]);
    check(Row { declared: 1, behavior: slow(), ..Row::default() }, &expect!["2 SucceededRescale"]);
    check(
        Row { declared: 1, metrics: vec![(cpu(50), Some(failed("gone")))], ..Row::default() },
        &expect!["2 SucceededRescale"],
    );
    // With behavior these changes count as events.
    let (_, memory) = Row { declared: 20, behavior: slow(), ..Row::default() }.run();
    assert_eq!((memory.down[0].change, memory.up.len()), (10, 0));
    let (_, memory) = Row { declared: 20, ..Row::default() }.run();
    assert_eq!(memory.down.len(), 0);
}

#[test]
fn the_largest_of_several_metrics_decides() {
    let two = |a: i64, b: i64| {
        vec![(external(average(1000)), Some(values(&[a]))), (object(average(1000)), Some(values(&[b])))]
    };
    check(
        Row { metrics: two(6000, 5000), ..Row::default() },
        &expect!["6 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { metrics: two(3000, 5000), ..Row::default() },
        &expect!["5 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { metrics: two(3000, 2000), memory: begun(&[]), ..Row::default() },
        &expect!["3 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { bounds: (0, 10), metrics: two(0, 0), memory: begun(&[]), ..Row::default() },
        &expect!["0 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    let (report, _) = Row { metrics: two(5000, 6000), ..Row::default() }.run();
    expect!["external metric hits(nil) above target"].assert_eq(&report.reason);
    let (report, _) = Row { metrics: two(3000, 2000), memory: begun(&[]), ..Row::default() }.run();
    expect!["All metrics below target"].assert_eq(&report.reason);
    let winners: Vec<_> = report.metrics.iter().map(|metric| metric.is_winner).collect();
    assert_eq!(winners, [true, false]);
}

#[test]
fn a_failing_metric_prevents_going_down_and_not_going_up() {
    let with = |milli: i64| {
        vec![(external(value(1)), Some(failed("no answer"))), (object(average(1000)), Some(values(&[milli])))]
    };
    check(
        Row { metrics: with(6000), ..Row::default() },
        &expect!["6 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { metrics: with(4000), ..Row::default() },
        &expect!["=4 ReadyForNewScale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { metrics: with(3000), memory: begun(&[]), ..Row::default() },
        &expect!["=4 SucceededGetScale !FailedGetExternalMetric"],
    );
    check(
        Row { metrics: vec![(cpu(50), Some(failed("no answer")))], ..Row::default() },
        &expect!["=4 SucceededGetScale !FailedGetResourceMetric"],
    );
    let all = || {
        let none = || Some(failed("no answer"));
        vec![(of_pods(1), none()), (cpu(50), none()), (external(value(1)), none())]
    };
    check(Row { metrics: all(), ..Row::default() }, &expect!["=4 SucceededGetScale !FailedGetPodsMetric"]);
    let error = |row: Row<'_>| row.run().0.error.unwrap_or_default();
    expect!["invalid metrics (3 invalid out of 3), first error is: failed to get pods metric value: unable to get metric qps: no answer"]
        .assert_eq(&error(Row { metrics: all(), ..Row::default() }));
    // Going up with one failed, the pass scales and has an error.
    expect!["invalid metrics (1 invalid out of 2), first error is: failed to get lag external metric value: failed to get external metric lag: unable to get external metric shop/lag/nil: no answer"]
        .assert_eq(&error(Row { metrics: with(6000), ..Row::default() }));
    assert_eq!(error(Row::default()), "");
}

#[test]
fn zero_means_off_unless_the_minimum_is_zero() {
    let lag = |milli: i64| vec![(external(average(1000)), Some(values(&[milli])))];
    let zero = || Row { declared: 0, pods: "", ..Row::default() };
    check(zero(), &expect!["=0 SucceededGetScale !ScalingDisabled"]);
    check(Row { bounds: (0, 10), ..zero() }, &expect!["=0 SucceededGetScale !FailedGetResourceMetric"]);
    check(
        Row { bounds: (0, 10), metrics: lag(0), ..zero() },
        &expect!["=0 ReadyForNewScale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { bounds: (0, 10), metrics: lag(1), ..zero() },
        &expect!["1 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { bounds: (0, 10), metrics: lag(3001), ..zero() },
        &expect!["4 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { bounds: (0, 10), metrics: lag(9000), ..zero() },
        &expect!["4 SucceededRescale ValidMetricFound ScaleUpLimit"],
    );
    check(
        Row { bounds: (0, 10), metrics: lag(9000), behavior: Some(Behavior::default()), ..zero() },
        &expect!["4 SucceededRescale ValidMetricFound ScaleUpLimit"],
    );
    let percent = Behavior {
        up: ScalingRules { policies: vec![Policy::percent(100, 15)], ..ScalingRules::up() },
        ..Behavior::default()
    };
    check(
        Row { bounds: (0, 10), metrics: lag(9000), behavior: Some(percent), ..zero() },
        &expect!["=0 ReadyForNewScale ValidMetricFound ScaleUpLimit"],
    );
    check(
        Row { bounds: (0, 10), metrics: lag(0), memory: begun(&[]), ..Row::default() },
        &expect!["0 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { bounds: (0, 10), metrics: vec![(external(average(1)), None)], ..zero() },
        &expect!["=0 SucceededGetScale !FailedGetExternalMetric"],
    );
}

#[test]
fn by_condition_only_who_went_to_zero_comes_back() {
    let by_condition = || Flags { zero_rule: ZeroRule::Condition, ..flags() };
    let lag = |milli: i64| vec![(external(value(1000)), Some(values(&[milli])))];
    let went = || Memory { scaled_to_zero: true, ..Memory::default() };
    let row = || Row {
        bounds: (0, 10),
        declared: 0,
        pods: "",
        flags: by_condition(),
        metrics: lag(2500),
        ..Row::default()
    };
    check(row(), &expect!["=0 SucceededGetScale !ScalingDisabled"]);
    check(
        Row { memory: went(), ..row() },
        &expect!["3 SucceededRescale ValidMetricFound !DesiredWithinRange !NotScaledToZero"],
    );
    check(
        Row { memory: went(), metrics: lag(0), ..row() },
        &expect!["=0 ReadyForNewScale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { memory: went(), metrics: vec![(cpu(50), None)], ..row() },
        &expect!["=0 SucceededGetScale !ScalingDisabled"],
    );
    // The minimum was raised meanwhile.
    check(
        Row { memory: went(), bounds: (3, 10), ..row() },
        &expect!["3 SucceededRescale ValidMetricFound !DesiredWithinRange !NotScaledToZero"],
    );
    check(
        Row { memory: went(), bounds: (3, 10), metrics: lag(0), ..row() },
        &expect!["3 SucceededRescale ValidMetricFound TooFewReplicas !NotScaledToZero"],
    );
    check(Row { bounds: (3, 10), ..row() }, &expect!["=0 SucceededGetScale !ScalingDisabled"]);
    check(
        Row { declared: 4, pods: "r r r r", metrics: lag(0), memory: begun(&[]), ..row() },
        &expect!["0 SucceededRescale ValidMetricFound !DesiredWithinRange ScaledToZero"],
    );
    check(
        Row { declared: 4, pods: "r r r r", metrics: lag(2500), ..row() },
        &expect!["8 SucceededRescale ValidMetricFound ScaleUpLimit !NotScaledToZero"],
    );
    let (_, memory) =
        Row { declared: 4, pods: "r r r r", metrics: lag(0), memory: begun(&[]), ..row() }.run();
    assert!(memory.scaled_to_zero);
    let (_, memory) = Row { memory: went(), ..row() }.run();
    assert!(!memory.scaled_to_zero);
}

#[test]
fn declared_and_observed_counts_are_kept_apart() {
    // A surge pod is not written back.
    let five = "r500 r500 r500 r500 r500";
    check(
        Row { observed: Some(5), pods: five, ..Row::default() },
        &expect!["=4 ReadyForNewScale ValidMetricFound !DesiredWithinRange"],
    );
    // Per-pod targets go by the observed count, and write it.
    let lag = || vec![(external(average(1000)), Some(values(&[5000])))];
    check(
        Row { observed: Some(5), metrics: lag(), ..Row::default() },
        &expect!["5 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { observed: Some(4), metrics: lag(), ..Row::default() },
        &expect!["5 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { observed: Some(0), metrics: lag(), ..Row::default() },
        &expect!["5 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
}

#[test]
fn behavior_in_a_pass() {
    let behavior = |up: ScalingRules, down: ScalingRules| Some(Behavior { up, down });
    let pods_a_minute = |n| ScalingRules { policies: vec![Policy::pods(n, 60)], ..ScalingRules::up() };
    let off = || ScalingRules { select: Select::Disabled, ..ScalingRules::up() };
    let busy = "r1600 r1600 r1600 r1600";
    let idle = "r100 r100 r100 r100";
    check(
        Row { behavior: behavior(pods_a_minute(1), off()), pods: busy, ..Row::default() },
        &expect!["5 SucceededRescale ValidMetricFound ScaleUpLimit"],
    );
    check(
        Row { behavior: behavior(off(), off()), pods: busy, ..Row::default() },
        &expect!["=4 ReadyForNewScale ValidMetricFound ScaleUpLimit"],
    );
    check(
        Row { behavior: behavior(off(), pods_a_minute(1)), pods: idle, memory: begun(&[]), ..Row::default() },
        &expect!["3 SucceededRescale ValidMetricFound ScaleDownLimit"],
    );
    check(
        Row { behavior: behavior(off(), off()), pods: idle, memory: begun(&[]), ..Row::default() },
        &expect!["=4 ReadyForNewScale ValidMetricFound ScaleDownLimit"],
    );
    let waits = ScalingRules { window_seconds: Some(120), ..ScalingRules::up() };
    check(
        Row {
            behavior: behavior(waits.clone(), off()),
            pods: busy,
            memory: begun(&[(5, 60.0)]),
            ..Row::default()
        },
        &expect!["5 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { behavior: behavior(waits, off()), pods: busy, memory: begun(&[(2, 60.0)]), ..Row::default() },
        &expect!["=4 ScaleUpStabilized ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row {
            behavior: Some(Behavior::default()),
            pods: idle,
            memory: begun(&[(3, 60.0)]),
            ..Row::default()
        },
        &expect!["3 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { behavior: Some(Behavior::default()), pods: busy, ..Row::default() },
        &expect!["8 SucceededRescale ValidMetricFound ScaleUpLimit"],
    );
    // A tolerance of its own, where that is switched on.
    let wide = || behavior(ScalingRules { tolerance: Some(0.3), ..ScalingRules::up() }, ScalingRules::down());
    check(
        Row { behavior: wide(), ..Row::default() },
        &expect!["=4 ReadyForNewScale ValidMetricFound !DesiredWithinRange"],
    );
    let off = Flags { configurable_tolerance: false, ..flags() };
    check(
        Row { behavior: wide(), flags: off, ..Row::default() },
        &expect!["5 SucceededRescale ValidMetricFound !DesiredWithinRange"],
    );
}

#[test]
fn what_goes_wrong_around_a_pass() {
    check(Row { scale_error: Some("no such thing"), ..Row::default() }, &expect!["=0 !FailedGetScale"]);
    check(
        Row { write_error: Some("conflict"), ..Row::default() },
        &expect!["=5 !FailedUpdateScale ValidMetricFound !DesiredWithinRange"],
    );
    check(
        Row { selector: Selector::Empty, ..Row::default() },
        &expect!["=4 SucceededGetScale !InvalidSelector"],
    );
    check(
        Row { selector: Selector::Unreadable("cheese"), ..Row::default() },
        &expect!["=4 SucceededGetScale !InvalidSelector"],
    );
    let ambiguous = Selector::Ambiguous { selector: "app=web", autoscalers: "[shop/a shop/b]" };
    check(Row { selector: ambiguous, ..Row::default() }, &expect!["=4 SucceededGetScale !AmbiguousSelector"]);
    // Bounds are minded before the selector.
    check(Row { selector: Selector::Empty, declared: 1, ..Row::default() }, &expect!["2 SucceededRescale"]);
    // What could not be written is no event.
    let (report, memory) =
        Row { write_error: Some("conflict"), behavior: Some(Behavior::default()), ..Row::default() }.run();
    assert_eq!((memory.up.len(), memory.last_scale_seconds), (0, None));
    expect!["failed to rescale: conflict"].assert_eq(&report.error.unwrap_or_default());
}

/// The sentences, of each kind once.
#[test]
fn conditions_are_worded_as_upstream() {
    let sentence = |row: Row<'_>, index: usize, expected: &Expect| {
        let (report, _) = row.run();
        let condition = &report.conditions[index];
        expected.assert_eq(&format!("{}: {}", condition.kind, condition.message));
    };
    sentence(
        Row::default(),
        0,
        &expect!["AbleToScale: the HPA controller was able to update the target scale to 5"],
    );
    sentence(
        Row::default(),
        1,
        &expect![
            "ScalingActive: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)"
        ],
    );
    sentence(Row::default(), 2, &expect!["ScalingLimited: the desired count is within the acceptable range"]);
    sentence(
        Row { pods: "r500 r500 r500 r500", ..Row::default() },
        0,
        &expect!["AbleToScale: recommended size matches current size"],
    );
    sentence(
        Row { pods: "r300 r300 r300 r300", ..Row::default() },
        0,
        &expect![
            "AbleToScale: recent recommendations were higher than current one, applying the highest recent recommendation"
        ],
    );
    sentence(
        Row { pods: "r1600 r1600 r1600 r1600", ..Row::default() },
        2,
        &expect![
            "ScalingLimited: the desired replica count is increasing faster than the maximum scale rate"
        ],
    );
    sentence(
        Row { scale_error: Some("no such thing"), ..Row::default() },
        0,
        &expect![
            "AbleToScale: the HPA controller was unable to get the target's current scale: no such thing"
        ],
    );
    sentence(
        Row { write_error: Some("conflict"), ..Row::default() },
        0,
        &expect!["AbleToScale: the HPA controller was unable to update the target scale: conflict"],
    );
    sentence(
        Row { declared: 0, ..Row::default() },
        0,
        &expect!["AbleToScale: the HPA controller was able to get the target's current scale"],
    );
    sentence(
        Row { declared: 0, ..Row::default() },
        1,
        &expect!["ScalingActive: scaling is disabled since the replica count of the target is zero"],
    );
    sentence(
        Row { selector: Selector::Empty, ..Row::default() },
        1,
        &expect!["ScalingActive: the HPA target's scale is missing a selector"],
    );
    sentence(
        Row { selector: Selector::Unreadable("cheese"), ..Row::default() },
        1,
        &expect![
            "ScalingActive: couldn't convert selector into a corresponding internal selector object: cheese"
        ],
    );
    let ambiguous = Selector::Ambiguous { selector: "app=web", autoscalers: "[shop/a shop/b]" };
    sentence(
        Row { selector: ambiguous, ..Row::default() },
        1,
        &expect!["ScalingActive: pods by selector app=web are controlled by multiple HPAs: [shop/a shop/b]"],
    );
    let found = |metric: Metric, reading: Reading, expected: &Expect| {
        sentence(Row { metrics: vec![(metric, Some(reading))], ..Row::default() }, 1, expected);
    };
    found(
        external(average(1000)),
        values(&[4000]),
        &expect![
            "ScalingActive: the HPA was able to successfully calculate a replica count from external metric lag(nil)"
        ],
    );
    found(
        object(value(1000)),
        values(&[1000]),
        &expect![
            "ScalingActive: the HPA was able to successfully calculate a replica count from Ingress metric hits"
        ],
    );
    found(
        cpu(50),
        failed("no answer"),
        &expect![
            "ScalingActive: the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: no answer"
        ],
    );
    found(
        cpu_average(50),
        failed("no answer"),
        &expect![
            "ScalingActive: the HPA was unable to compute the replica count: failed to get cpu usage: unable to get metrics for resource cpu: no answer"
        ],
    );
    found(
        memory(50),
        Reading::default(),
        &expect![
            "ScalingActive: the HPA was unable to compute the replica count: failed to get memory utilization: unable to get metrics for resource memory: no metrics returned from resource metrics API"
        ],
    );
    found(
        of_pods(50),
        Reading::default(),
        &expect![
            "ScalingActive: the HPA was unable to compute the replica count: unable to get metric qps: no metrics returned from custom metrics API"
        ],
    );
    found(
        external(value(5)),
        Reading::default(),
        &expect![
            "ScalingActive: the HPA was unable to compute the replica count: unable to get external metric shop/lag/nil: no metrics returned from external metrics API"
        ],
    );
    found(
        object(value(5)),
        failed("no answer"),
        &expect![
            "ScalingActive: the HPA was unable to compute the replica count: unable to get metric hits: Ingress on shop main/no answer"
        ],
    );
    found(
        Metric::Unknown { kind: "Cheese".into() },
        Reading::default(),
        &expect![[
            r#"ScalingActive: the HPA was unable to compute the replica count: unknown metric source type "Cheese""#
        ]],
    );
    sentence(
        Row { pods: "u500 u500", ..Row::default() },
        1,
        &expect![
            "ScalingActive: the HPA was unable to compute the replica count: failed to get cpu utilization: did not receive metrics for targeted pods (pods might be unready)"
        ],
    );
    sentence(
        Row { pods: "r500/-", ..Row::default() },
        1,
        &expect![
            "ScalingActive: the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container app of Pod web-0"
        ],
    );
    sentence(
        Row { pods: "x500", ..Row::default() },
        1,
        &expect![
            "ScalingActive: the HPA was unable to compute the replica count: failed to get cpu utilization: no pods returned by selector while calculating replica count"
        ],
    );
    sentence(
        Row { pods: "r x500", ..Row::default() },
        1,
        &expect![
            "ScalingActive: the HPA was unable to compute the replica count: failed to get cpu utilization: no metrics returned matched known pods"
        ],
    );
}

fn behaviors() -> impl Strategy<Value = Option<Behavior>> {
    let policy = (any::<bool>(), 1..100_i32, 1..120_i32).prop_map(|(is_pods, value, period)| {
        if is_pods { Policy::pods(value, period) } else { Policy::percent(value, period) }
    });
    let select = prop::sample::select(vec![Select::Max, Select::Min, Select::Disabled]);
    let rules = (prop::option::of(0..400_i32), select, prop::collection::vec(policy, 1..4)).prop_map(
        |(window_seconds, select, policies)| ScalingRules {
            window_seconds,
            select,
            policies,
            tolerance: None,
        },
    );
    prop::option::of((rules.clone(), rules).prop_map(|(up, down)| Behavior { up, down }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the metrics say or fail to say: within the bounds; without a usable metric nothing changes; zero only
    /// where the minimum is zero; a report can always be written.
    #[test]
    fn a_pass_keeps_to_its_bounds(
        behavior in behaviors(), bounds in (0..5_i32, 0..30_i32), start in 0..40_i32,
        moments in prop::collection::vec((prop::option::of(any::<i64>()), prop::option::of(0..4000_i64), 0..6_usize, 0..6_usize), 1..25),
    ) {
        let spec = Spec {
            replicas_min: bounds.0,
            replicas_max: bounds.0.max(1) + bounds.1,
            metrics: vec![external(value(1000)), cpu(50), external(average(700))],
            behavior,
        };
        let (mut memory, mut pass, mut current) = (Memory::default(), Pass::default(), start);
        for (index, (lag, usage, ready, missing)) in moments.into_iter().enumerate() {
            let word = usage.map_or("r ".to_owned(), |usage| format!("r{usage} "));
            let (pods, samples) = pods(&(word.repeat(ready) + &"r ".repeat(missing)));
            let lags = lag.map_or(failed("gone"), |lag| values(&[lag]));
            let readings = [lags.clone(), samples, lags];
            let state = State {
                now_seconds: 15.0 * index as f64, namespace: "shop",
                scale: Ok(Scale { spec_replicas: current, status_replicas: current, selector: Selector::Fine }),
                pods: &pods, readings: &readings, write_error: None,
            };
            reconcile(&spec, &flags(), &state, &mut memory, &mut pass);
            let report = Report::new(&spec, &state, &pass);
            let is_off = current == 0 && spec.replicas_min > 0;
            prop_assert!(is_off || (spec.replicas_min..=spec.replicas_max).contains(&pass.desired) || !pass.is_written);
            let (has_lag, has_usage) = (lag.is_some(), usage.is_some() && ready > 0);
            let is_inside = (spec.replicas_min..=spec.replicas_max).contains(&current);
            prop_assert!(!is_inside || has_lag || has_usage || !pass.is_written, "{report:?}");
            prop_assert!(!is_inside || has_lag || pass.desired >= current, "a failed metric let it go down");
            current = pass.desired;
        }
    }
}
