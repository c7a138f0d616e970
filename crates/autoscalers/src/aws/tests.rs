//! Groups against the examples of the documentation.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::Mutex;

use expect_test::{Expect, expect};
use tidegate_core::forecast::Paths;
use tidegate_core::observation::{ExternalSample, ReplicaUsage};
use tidegate_core::{
    Basis, Bounds, Calendar, ControllerStream, Forecaster, Observation, OperatorFacts, Quantiles,
    ReplicaSample, ReplicaState, Replicas, Scrape, Seed,
};
use toml::Table;

use super::*;
use crate::catalog::{BoxedController, Catalog};
use crate::testing::{self, Desk, cpu, wanted, wanted_by_cpu};

/// The facts of the tests with so many replicas at the start, least and most.
fn facts(initial: Replicas, least: Replicas, most: Replicas) -> OperatorFacts {
    let mut facts = testing::facts();
    facts.pools[0].replicas_initial = initial;
    facts.pools[0].bounds = Bounds { replicas_min: least, replicas_max: most };
    facts
}

fn group(parameters: &str, facts: &OperatorFacts) -> BoxedController {
    testing::controller("aws", parameters, facts)
}

/// What a group wants of the first pool, minute by minute; replicas are ready at once unless said otherwise.
fn check(parameters: &str, desk: &mut Desk, series: &[f64], expected: &Expect) {
    let mut controller = group(parameters, &desk.facts);
    let series: Vec<_> = series.iter().map(|utilization| cpu(*utilization)).collect();
    expected.assert_eq(&wanted(&mut *controller, desk, &series));
}

/// The policies of the documentation's example: threshold 50, out +10 % from 60 and +30 % from 70, in −10 % from 40
/// and −30 % from 30, with alarms of one datapoint.
const DOCUMENTED_STEPS: &str = r#"
    [[step]]
    threshold = 0.5
    comparison = "greater_than_or_equal_to_threshold"
    adjustment_type = "percent_change_in_capacity"
    evaluation_periods = 1
    warm_up_seconds = 120
    steps = [{ lower = 0, upper = 0.1, adjustment = 0 }, { lower = 0.1, upper = 0.2, adjustment = 0.1 },
             { lower = 0.2, adjustment = 0.3 }]
    [[step]]
    threshold = 0.5
    comparison = "less_than_or_equal_to_threshold"
    adjustment_type = "percent_change_in_capacity"
    evaluation_periods = 1
    warm_up_seconds = 120
    steps = [{ lower = -0.1, upper = 0, adjustment = 0 }, { lower = -0.2, upper = -0.1, adjustment = -0.1 },
             { upper = -0.2, adjustment = -0.3 }]
"#;

/// 10 instances: 60 makes 11; once that has warmed up, 70 makes 14 (30 % of 11 is 3.3); 40 makes 13 (10 % of 14 is
/// 1.4), 30 makes 10 (30 % of 13 is 3.9).
#[test]
fn the_documented_step_example() {
    let mut desk = Desk { startup_seconds: 60.0, ..Desk::new(&facts(10, 1, 100)) };
    check(
        DOCUMENTED_STEPS,
        &mut desk,
        &[0.59, 0.60, 0.5, 0.5, 0.5, 0.70, 0.5, 0.5, 0.5, 0.41, 0.40, 0.30],
        &expect!["10 11 11 11 11 14 14 14 14 14 13 10"],
    );
}

/// While the 11th warms up, 62 adds nothing, and 70 adds 2, to the 13 that 30 % of 10 make. No scale-in meanwhile.
#[test]
fn breaches_of_one_step_make_one_activity_while_instances_warm_up() {
    let mut desk = Desk { startup_seconds: 60.0, ..Desk::new(&facts(10, 1, 100)) };
    check(
        DOCUMENTED_STEPS,
        &mut desk,
        &[0.60, 0.62, 0.70, 0.3, 0.3, 0.3, 0.3],
        &expect!["11 11 13 13 13 10 7"],
    );
}

/// 30 % of the 13 that run or terminate.
#[test]
fn what_terminates_still_counts_when_scaling_in() {
    let facts = facts(13, 1, 100);
    let mut controller = group(DOCUMENTED_STEPS, &facts);
    let mut desk = Desk::new(&facts);
    let mut line = String::new();
    for draining in [0, 3, 3, 0] {
        desk.pools[0].draining = draining;
        desk.see(cpu(0.2));
        write!(line, "{} ", desk.decide(&mut *controller).targets[0].wanted).expect("a string takes all");
        desk.wait(60.0);
    }
    expect!["10 10 10 7 "].assert_eq(&line);
}

#[test]
fn target_tracking_goes_out_after_three_datapoints_and_in_after_fifteen() {
    let one = |parameters: &str, series: &[f64], expected: &Expect| {
        expected.assert_eq(&wanted_by_cpu("aws_target_tracking", parameters, series));
    };
    // 4 · 0.8 / 0.5 = 6.4; the three that come are no capacity for 300 s, and then 7 · 0.8 / 0.5 = 11.2.
    one("", &[0.8; 11], &expect!["4 4 7 7 7 7 7 7 12 12 12"]);
    // On the target is not above it, and 0.45 is not below 0.9 of it.
    one("", &[0.5, 0.51, 0.51, 0.5, 0.51, 0.51], &expect!["4 4 4 4 4 4"]);
    one("", &[0.45; 20], &expect!["4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4"]);
    // 4 · 0.2 / 0.5 = 1.6.
    one("", &[0.2; 17], &expect!["4 4 4 4 4 4 4 4 4 4 4 4 4 4 2 1 1"]);
    one("disable_scale_in = true", &[0.2; 17], &expect!["4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4"]);
    // 1.5 missing: two are added. 1.5 too many: one goes.
    one("warm_up_seconds = 0", &[0.6875, 0.6875, 0.6875], &expect!["4 4 6"]);
    one("datapoints_in = 1", &[0.3125], &expect!["3"]);
    // Basic monitoring: datapoints every five minutes, of which the alarms need three.
    one("metric_period_seconds = 300", &[0.8; 17], &expect!["4 4 4 4 4 4 4 4 4 4 7 7 7 7 7 7 7"]);
}

#[test]
fn nothing_is_scaled_in_while_something_warms_up() {
    let facts = testing::facts();
    let mut desk = Desk { startup_seconds: 120.0, ..Desk::new(&facts) };
    let mut controller =
        testing::controller("aws_target_tracking", "datapoints_in = 2\ndatapoints_out = 1", &facts);
    let series: Vec<_> = [0.8].into_iter().chain([0.2; 9]).map(cpu).collect();
    // Two minutes to start, five to warm up.
    expect!["7 7 7 7 7 7 7 3 2 1"].assert_eq(&wanted(&mut *controller, &mut desk, &series));
}

#[test]
fn missing_data_means_no_action() {
    let lost = f64::NAN;
    let one = |series: &[f64], expected: &Expect| {
        expected.assert_eq(&wanted_by_cpu("aws_target_tracking", "", series));
    };
    one(&[lost; 4], &expect!["4? 4? 4? 4?"]);
    // A gap is bridged, and a single breach that is old enough is believed where nothing contradicts it (the
    // documentation's row `--X--`); with nothing left the alarm has insufficient data.
    one(&[0.8, lost, 0.8, 0.8], &expect!["4 4 7 7"]);
    one(&[lost, lost, 0.8, lost, lost, lost, lost, lost], &expect!["4? 4? 4 4 7 7 7 7?"]);
}

/// One policy adds one, the other two: two. One takes three, the other 25 % of 8: two go.
#[test]
fn the_largest_capacity_wins_in_both_directions() {
    let policy = |threshold: f64, comparison: &str, kind: &str, adjustment: f64| {
        format!(
            "[[simple]]\nthreshold = {threshold}\ncomparison = \"{comparison}\"\nadjustment_type = \"{kind}\"\n\
             adjustment = {adjustment:.2}\nevaluation_periods = 1\ncooldown_seconds = 0\n"
        )
    };
    let out = |n: f64| policy(0.7, "greater_than_threshold", "change_in_capacity", n);
    check(&(out(1.0) + &out(2.0)), &mut Desk::new(&facts(4, 1, 20)), &[0.8], &expect!["6"]);
    let inwards = policy(0.3, "less_than_threshold", "change_in_capacity", -3.0)
        + &policy(0.3, "less_than_threshold", "percent_change_in_capacity", -0.25);
    check(&inwards, &mut Desk::new(&facts(8, 1, 20)), &[0.2], &expect!["6"]);
    // Adding 3 to 2 with a most of 3; taking 2 of 3 with a least of 2.
    check(&out(3.0), &mut Desk::new(&facts(2, 1, 3)), &[0.8], &expect!["3"]);
    let two = policy(0.3, "less_than_threshold", "change_in_capacity", -2.0);
    check(&two, &mut Desk::new(&facts(3, 2, 20)), &[0.2], &expect!["2"]);
}

/// Cpu wants out or in; memory agrees or does not.
#[test]
fn several_targets_go_out_if_any_and_in_only_if_all() {
    let facts = facts(8, 1, 20);
    let parameters = |more: &str| {
        format!(
            "[[target_tracking]]\ndatapoints_out = 1\ndatapoints_in = 1\n\
             [[target_tracking]]\nmetric = \"memory\"\ndatapoints_out = 1\ndatapoints_in = 1\n{more}"
        )
    };
    let decide = |more: &str, utilization: f64, memory: Option<f64>| {
        let mut desk = Desk::new(&facts);
        desk.see(Scrape { memory_utilization: memory, ..cpu(utilization) });
        desk.decide(&mut *group(&parameters(more), &facts)).targets[0].wanted
    };
    assert_eq!(decide("", 0.25, Some(0.6)), 10, "memory wants out");
    assert_eq!(decide("", 0.25, Some(0.5)), 8, "memory does not want in");
    assert_eq!(decide("", 0.25, None), 8, "memory has no data");
    assert_eq!(decide("", 0.25, Some(0.3)), 5, "both want in, memory less so");
    assert_eq!(decide("disable_scale_in = true", 0.25, Some(0.5)), 4, "memory has no say");
    // A step policy is not asked to wait for target tracking, which the documentation warns of.
    let step = "[[step]]\nthreshold = 0.3\ncomparison = \"less_than_threshold\"\nevaluation_periods = 1\n\
                adjustment_type = \"change_in_capacity\"\nsteps = [{ upper = 0, adjustment = -1 }]";
    assert_eq!(decide(step, 0.25, Some(0.5)), 7, "the step goes in alone");
}

#[test]
fn a_simple_policy_waits_from_the_end_of_the_activity() {
    let parameters = "adjustment_type = \"change_in_capacity\"\nadjustment_out = 1\nadjustment_in = -1\n\
                      datapoints_out = 1\ndatapoints_in = 1\ncooldown_seconds = 120\n";
    let facts = testing::facts();
    let run = |startup_seconds: f64, parameters: &str, series: &[f64], expected: &Expect| {
        let mut desk = Desk { startup_seconds, ..Desk::new(&facts) };
        let mut controller = testing::controller("aws_simple", parameters, &facts);
        let series: Vec<_> = series.iter().map(|utilization| cpu(*utilization)).collect();
        expected.assert_eq(&wanted(&mut *controller, &mut desk, &series));
    };
    run(0.0, parameters, &[0.9; 6], &expect!["5 5 6 6 7 7"]);
    // Two minutes to start, and only then two to cool down.
    run(120.0, parameters, &[0.9; 9], &expect!["5 5 5 5 6 6 6 6 7"]);
    run(0.0, parameters, &[0.9, 0.1, 0.1, 0.1, 0.1, 0.1], &expect!["5 5 4 4 3 3"]);
    run(0.0, "datapoints_out = 1", &[0.9, 0.9], &expect!["5 5"]);
}

#[test]
fn scheduled_actions_set_bounds_that_stay_and_a_capacity_that_does_not() {
    // From 08:00 (after 20 minutes of warm-up); hourly.
    let facts = facts(4, 1, 20);
    let actions = "schedule_lateness_seconds = 60\n\
                   [[scheduled]]\ncron = \"0 9 * * *\"\nreplicas_min = 6\nreplicas_max = 20\nwanted = 10\n\
                   [[scheduled]]\ncron = \"0 10 * * *\"\nreplicas_min = 2\nreplicas_max = 5\n\
                   [[target_tracking]]\ndatapoints_in = 5\n";
    let mut controller = group(actions, &facts);
    let mut desk = Desk::new(&facts);
    let (mut line, mut last) = (String::new(), 0);
    while desk.now_seconds < 9600.0 {
        desk.see(cpu(if desk.now_seconds < 3600.0 { 0.48 } else { 0.1 }));
        let target = desk.decide(&mut *controller).targets[0];
        if target.wanted != last {
            let bounds = target.bounds.unwrap_or(facts.pools[0].bounds);
            let at = facts.calendar.at(desk.now_seconds).format("%H:%M");
            write!(line, "{at} {} of {}-{}, ", target.wanted, bounds.replicas_min, bounds.replicas_max)
                .expect("a string takes all");
            last = target.wanted;
        }
        desk.wait(60.0);
    }
    expect!["07:40 5 of 2-5, 08:44 2 of 2-5, 09:01 10 of 6-20, 09:07 6 of 6-20, 10:01 2 of 2-5, "]
        .assert_eq(&line);
}

#[test]
fn the_group_sets_bounds_of_its_own() {
    let mut desk = Desk::new(&facts(4, 1, 20));
    check("capacity_max = 6", &mut desk, &[0.99; 5], &expect!["6 6 6 6 6"]);
    let mut desk = Desk::new(&facts(4, 1, 20));
    check("capacity_min = 6", &mut desk, &[0.5; 2], &expect!["6 6"]);
    assert_eq!(desk.pools[0].bounds, Bounds { replicas_min: 6, replicas_max: 20 });
}

/// 6 of 10 desired: 4; with 8 prepared at most: 2; below the least size, that.
#[test]
fn the_warm_pool_has_the_documented_size() {
    assert_eq!(warm_pool_size(6, 10, None, 0), 4);
    assert_eq!(warm_pool_size(6, 10, Some(8), 0), 2);
    assert_eq!(warm_pool_size(6, 10, Some(4), 0), 0);
    assert_eq!(warm_pool_size(6, 10, Some(4), 1), 1);
    let mut facts = facts(4, 1, 20);
    let warm = |parameters: &str, facts: &OperatorFacts| {
        Desk::new(facts).decide(&mut *group(parameters, facts)).targets[0].warm
    };
    assert_eq!(warm("", &facts), None, "the pool has none");
    facts.pools[0].warm_max = 20;
    assert_eq!(warm("", &facts), Some(16));
    assert_eq!(warm("warm_pool_prepared_max = 7", &facts), Some(3));
    assert_eq!(warm("capacity_max = 9\nwarm_pool_min = 6", &facts), Some(6));
}

/// A scale-out by 2, and one by 3 within its cooldown: only one more is added. A scale-out ends the cooldown of a
/// scale-in.
#[test]
fn cooldowns_of_application_auto_scaling() {
    let facts = facts(10, 1, 100);
    let run = |parameters: &str, series: &[f64], expected: &Expect| {
        let mut controller = testing::controller("ecs_target_tracking", parameters, &facts);
        let series: Vec<_> = series.iter().map(|utilization| cpu(*utilization)).collect();
        expected.assert_eq(&wanted(&mut *controller, &mut Desk::new(&facts), &series));
    };
    run("datapoints_out = 1", &[0.6, 0.65, 0.65, 0.65, 0.6, 0.6], &expect!["12 13 13 13 13 16"]);
    run("datapoints_out = 1\ndatapoints_in = 1", &[0.4, 0.4, 0.4, 0.4, 0.4, 0.4], &expect!["8 8 8 8 8 7"]);
    run("datapoints_out = 1\ndatapoints_in = 1", &[0.4, 0.6, 0.4], &expect!["8 10 8"]);
    run("datapoints_out = 1\nscale_out_cooldown_seconds = 0", &[0.6, 0.6, 0.6], &expect!["12 15 18"]);
}

/// Backlog per instance: 90 messages for 4 instances of which each should have 10.
#[test]
fn a_custom_metric_may_be_the_backlog_per_instance() {
    let mut facts = testing::facts();
    facts.external_metrics = vec!["backlog".into()];
    let parameters = "metric = \"external\"\nexternal = \"backlog\"\ntarget = 10\ndatapoints_out = 1\n";
    let mut controller = testing::controller("aws_target_tracking", parameters, &facts);
    let mut desk = Desk::new(&facts);
    desk.external = vec![ExternalSample { metric: 0, at_seconds: 0.0, value: Some(90.0) }];
    assert_eq!(desk.decide(&mut *controller).targets[0].wanted, 9);
}

/// Four busy replicas and four that have just come and idle: the average over all is 0.4, that of those that count 0.8.
#[test]
fn instances_that_warm_up_are_left_out_of_the_metric() {
    let facts = facts(4, 1, 50);
    let mut controller = testing::controller("aws_target_tracking", "datapoints_out = 1", &facts);
    assert!(controller.needs().replicas);
    let mut desk = Desk::new(&facts);
    desk.see(cpu(0.4));
    desk.decide(&mut *controller);
    desk.wait(60.0);
    desk.pools[0].ready = 8;
    (desk.pools[0].declared, desk.pools[0].observed) = (8, 8);
    desk.see(cpu(0.4));
    let sample = |id: u64| {
        let cores = facts.pools[0].containers[0].cpu_cores_requested;
        let (since, busy) = if id < 4 { (0.0, 0.8) } else { (40.0, 0.0) };
        ReplicaSample {
            pool: 0,
            id,
            state: ReplicaState::Ready,
            created_seconds: 0.0,
            started_seconds: Some(since),
            is_ready: true,
            ready_changed_seconds: since,
            usage: Some(ReplicaUsage {
                at_seconds: 60.0,
                window_seconds: 15.0,
                cpu_cores: [busy * cores, 0.0],
                memory_gib: [1.0, 0.0],
                requests_per_second: 1.0,
                concurrency: 1.0,
            }),
        }
    };
    let replicas: Vec<_> = (0..8).map(sample).collect();
    let observation = Observation { replicas: &replicas, ..desk.observation() };
    // 4 · 0.8 / 0.5 = 6.4 is less than the 8 desired: nothing more is launched, but the alarm is on.
    let decision = controller.decide(&observation);
    assert_eq!(decision.targets[0].wanted, 8);
    let mut text = String::new();
    controller.explain(&mut text).expect("a string takes all");
    expect![[r"
        what is needed is on its way: desired 8, wanted 8
        target_tracking[0]: metric 0.800, target 0.5, high ALARM, low OK
    "]]
    .assert_eq(&text);
}

/// Says what the truth is: a load of 20 busy replicas in hour 1 of the run, 2 in all others.
struct Oracle;

impl Forecaster for Oracle {
    fn reset(&mut self, _start: Calendar, _chance: ControllerStream) {}
    fn observe(&mut self, _value: Option<f64>) {}
    fn refit(&mut self) {}
    fn forecast(&self, horizon: NonZeroU32, into: &mut Quantiles) {
        into.values.clear();
        into.values.extend((0..horizon.get()).map(|ahead| [if ahead == 1 { 20.0 } else { 2.0 }; 9]));
    }
    fn paths(&mut self, _horizon: NonZeroU32, into: &mut Paths) {
        into.values.clear();
    }
}

fn nothing() -> Arc<MakeHistory> {
    Arc::new(|_, _| Vec::new())
}

fn predictive(parameters: &str, facts: &OperatorFacts) -> BoxedController {
    let make = |needs: &ForecastNeeds| -> BoxedForecaster {
        assert_eq!((needs.step_seconds, needs.history_steps, needs.horizon_steps), (3600.0, 336, 48));
        Box::new(Oracle)
    };
    let catalog = Catalog::rules().with(predictive_kind(make, nothing()));
    let table: Table = parameters.parse().expect("this is TOML");
    let mut controller = catalog.build("aws_predictive", &table, facts).expect("the parameters are right");
    controller.reset(Seed::training(0).controller(0));
    controller
}

/// Changes of the wanted count over three hours from 07:40, with the bounds where they are set.
fn changes(parameters: &str, facts: &OperatorFacts, utilization: f64) -> String {
    let mut controller = predictive(parameters, facts);
    let mut desk = Desk::new(facts);
    let (mut line, mut last) = (String::new(), 0);
    while desk.now_seconds <= 3.0 * 3600.0 {
        desk.see(cpu(utilization));
        let target = desk.decide(&mut *controller).targets[0];
        if target.wanted != last {
            let at = facts.calendar.at(desk.now_seconds).format("%H:%M");
            let most = target.bounds.map_or(String::new(), |bounds| format!(" of {}", bounds.replicas_max));
            write!(line, "{at} {}{most}, ", target.wanted).expect("a string takes all");
            last = target.wanted;
        }
        desk.wait(60.0);
    }
    line
}

const FORECAST: &str = "[[predictive]]\nmode = \"forecast_and_scale\"\nhistory_hours_min = 0\n";

#[test]
fn a_forecast_is_bought_ahead_of_the_hour_and_never_scales_in() {
    let facts = facts(4, 1, 100);
    // 20 / 0.5 = 40, five minutes before eight.
    expect!["07:40 4, 07:55 40, "].assert_eq(&changes(FORECAST, &facts, 0.5));
    let later = format!("{FORECAST}scheduling_buffer_seconds = 0\n");
    expect!["07:40 4, 08:00 40, "].assert_eq(&changes(&later, &facts, 0.5));
    // Target tracking scales in afterwards, but not before the hour is over.
    let with_tracking = format!("{FORECAST}[[target_tracking]]\n");
    expect!["07:40 4, 07:55 40, 09:00 16, 09:01 7, 09:02 4, "].assert_eq(&changes(
        &with_tracking,
        &facts,
        0.2,
    ));
    // 4 by the forecast, 13 by target tracking: the larger.
    let facts = self::facts(8, 1, 100);
    let mut controller = predictive(&with_tracking, &facts);
    expect!["8 8 13"].assert_eq(&wanted(&mut *controller, &mut Desk::new(&facts), &[cpu(0.8); 3]));
}

#[test]
fn predictive_decisions_allocate_nothing() {
    let facts = facts(4, 1, 100);
    let mut controller = predictive(
        &format!("{FORECAST}[[target_tracking]]\n[[scheduled]]\ncron = \"0 9 * * *\"\nwanted = 7\n"),
        &facts,
    );
    let mut desk = Desk::new(&facts);
    let mut allocations = 0;
    while desk.now_seconds < 86_400.0 {
        desk.see(cpu(0.5));
        let counted = allocation_counter::measure(|| {
            std::hint::black_box(controller.decide(&desk.observation()));
        });
        allocations += counted.count_total;
        desk.scrapes.clear();
        desk.wait(60.0);
    }
    assert_eq!(allocations, 0);
}

#[test]
fn forecast_only_explains_and_never_acts() {
    let facts = facts(4, 1, 100);
    let parameters = "[[predictive]]\nhistory_hours_min = 0\n";
    expect!["07:40 4, "].assert_eq(&changes(parameters, &facts, 0.5));
    let mut controller = predictive(parameters, &facts);
    let mut desk = Desk { now_seconds: 1000.0, ..Desk::new(&facts) };
    desk.decide(&mut *controller);
    let mut text = String::new();
    controller.explain(&mut text).expect("a string takes all");
    expect![[r"
        nothing to do: desired 4, wanted 4
        predictive[0]: 40, forecast only
    "]]
    .assert_eq(&text);
}

#[test]
fn a_forecast_needs_a_day_of_data_by_default() {
    let facts = facts(4, 1, 100);
    expect!["07:40 4, "].assert_eq(&changes("[[predictive]]\nmode = \"forecast_and_scale\"\n", &facts, 0.5));
    let mut controller = predictive("[[predictive]]\nmode = \"forecast_and_scale\"\n", &facts);
    let mut desk = Desk::new(&facts);
    while desk.now_seconds < 26.0 * 3600.0 {
        desk.see(cpu(0.5));
        if desk.decide(&mut *controller).targets[0].wanted > 4 {
            break;
        }
        desk.wait(60.0);
    }
    // From 07:40 24 hours of the clock are begun and over at 07:00; the peak is an hour ahead, less the buffer.
    expect!["Tue 07:55"].assert_eq(&facts.calendar.at(desk.now_seconds).format("%a %H:%M").to_string());
}

/// Remembers what it saw; says the mean of it for all hours, and how often it was fitted through the fraction.
#[derive(Default)]
struct Memory {
    seen: Arc<Mutex<Vec<String>>>,
    sum: f64,
    n: u32,
}

impl Forecaster for Memory {
    fn reset(&mut self, start: Calendar, _chance: ControllerStream) {
        (self.sum, self.n) = (0.0, 0);
        self.note(format!("from {}", start.at(0.0).format("%a %d %H:%M")));
    }
    fn observe(&mut self, value: Option<f64>) {
        self.sum += value.unwrap_or(0.0);
        self.n += u32::from(value.is_some());
    }
    fn refit(&mut self) {
        self.note(format!("fitted to {}", self.n));
    }
    fn forecast(&self, horizon: NonZeroU32, into: &mut Quantiles) {
        self.note(format!("asked for {horizon}"));
        into.values.clear();
        into.values.resize(horizon.get() as usize, [self.sum / f64::from(self.n); 9]);
    }
    fn paths(&mut self, _horizon: NonZeroU32, into: &mut Paths) {
        into.values.clear();
    }
}

impl Memory {
    fn note(&self, text: String) {
        self.seen.lock().expect("no test panics with it").push(text);
    }
}

/// What the forecaster was asked over so many hours from 07:40, with 20 days of 60 requests a second before, and what was
/// wanted at first.
fn remembered(parameters: &str, facts: &OperatorFacts, scrape: Scrape, hours: f64) -> String {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let make = move |_: &ForecastNeeds| -> BoxedForecaster {
        Box::new(Memory { seen: Arc::clone(&notes), ..Memory::default() })
    };
    let history: Arc<MakeHistory> = Arc::new(|_, step_seconds| {
        assert_eq!(step_seconds, 3600.0);
        vec![Some(60.0); 20 * 24]
    });
    let table: Table = parameters.parse().expect("this is TOML");
    let catalog = Catalog::rules().with(predictive_kind(make, history));
    let mut controller = catalog.build("aws_predictive", &table, facts).expect("the parameters are right");
    controller.reset(Seed::training(0).controller(0));
    let mut desk = Desk::new(facts);
    let mut first = 0;
    while desk.now_seconds <= hours * 3600.0 {
        desk.see(scrape);
        let wanted = desk.decide(&mut *controller).targets[0].wanted;
        first = if desk.now_seconds == 60.0 { wanted } else { first };
        desk.wait(60.0);
    }
    format!("{first}: {}", seen.lock().expect("no test panics with it").join(", "))
}

/// 14 days before the hour of the start are seen at once, and then a forecast is made every six hours. 60/s with 0.5 s a
/// request are 7.5 busy replicas of 4 slots, so 15 at a half; or 6 with 10/s each.
#[test]
fn a_history_of_14_days_is_used_and_refreshed_every_six_hours() {
    let facts = facts(4, 1, 100);
    let usual = Scrape {
        requests_per_second: Some(24.0),
        errors_per_second: Some(0.0),
        queue_length: Some(0.0),
        ..cpu(0.75)
    };
    let own = "[[predictive]]\nmode = \"forecast_and_scale\"\n";
    expect!["4: from Mon 03 07:00"].assert_eq(&remembered(own, &facts, usual, 2.0));
    let cpu_metric = &format!("{own}history_from_demand = true\n");
    expect!["15: from Mon 17 07:00, fitted to 336, asked for 48, fitted to 342, asked for 48, fitted to 348, asked for 48"].assert_eq(&remembered(cpu_metric, &facts, usual, 13.0));
    let requests = format!("{cpu_metric}metric = \"requests_per_second_per_replica\"\ntarget = 10\n");
    expect!["6: from Mon 17 07:00, fitted to 336, asked for 48"]
        .assert_eq(&remembered(&requests, &facts, usual, 1.0));
    // Without a service time the history cannot be told in busy replicas, and nothing is forecast.
    expect!["4: from Mon 17 07:00"].assert_eq(&remembered(cpu_metric, &facts, cpu(0.75), 2.0));
    let memory = format!("{cpu_metric}metric = \"memory\"\n");
    expect!["4: from Mon 03 07:00"].assert_eq(&remembered(&memory, &facts, usual, 2.0));
}

/// A forecast of 50 with a most of 40 and a buffer of 10 % makes 55.
#[test]
fn a_forecast_may_raise_the_most() {
    assert_eq!(raised_max_capacity(50, 40, 0.1), 55);
    assert_eq!(raised_max_capacity(50, 40, 0.0), 50);
    assert_eq!(raised_max_capacity(38, 40, 0.1), 42);
    assert_eq!(raised_max_capacity(30, 40, 0.1), 40);
    let facts = facts(4, 1, 100);
    let honor = format!("capacity_max = 30\n{FORECAST}");
    expect!["07:40 4 of 30, 07:55 30 of 30, "].assert_eq(&changes(&honor, &facts, 0.5));
    let increase = format!(
        "{honor}max_capacity_breach_behavior = \"increase_max_capacity\"\nmax_capacity_buffer = 0.1\n\
         [[target_tracking]]\n"
    );
    expect!["07:40 4 of 30, 07:55 40 of 44, 09:00 16 of 44, 09:01 7 of 44, 09:02 4 of 44, "]
        .assert_eq(&changes(&increase, &facts, 0.2));
}

#[test]
fn a_whole_group_is_explained() {
    let facts = testing::facts();
    let parameters = "[[target_tracking]]\n[[simple]]\nthreshold = 0.9\ncomparison = \"greater_than_threshold\"\n\
                      adjustment_type = \"change_in_capacity\"\nadjustment = 1\n";
    let mut controller = group(&format!("{parameters}{DOCUMENTED_STEPS}"), &facts);
    let mut text = String::new();
    controller.explain(&mut text).expect("a string takes all");
    let mut desk = Desk::new(&facts);
    for utilization in [0.5, 0.7] {
        desk.see(cpu(utilization));
        let decision = desk.decide(&mut *controller);
        writeln!(text, "{}", decision.reason).expect("a string takes all");
        desk.wait(60.0);
    }
    controller.explain(&mut text).expect("a string takes all");
    expect![[r"
        no decision yet
        nothing to do (desired 4.000, metric 0.500)
        scale out (desired 4.000, metric 0.700)
        scale out: desired 4, wanted 5
        target_tracking[0]: metric 0.700, target 0.5, high OK, low OK
        step[0]: metric 0.700, threshold 0.5, ALARM
        step[1]: metric 0.700, threshold 0.5, OK
        simple[0]: metric 0.700, threshold 0.9, OK
        last activity ended 0 s ago
    "]]
    .assert_eq(&text);
}

#[test]
fn schedules_alone_are_no_want_of_data() {
    let facts = testing::facts();
    let mut controller = group("[[scheduled]]\ncron = \"0 9 * * *\"\nwanted = 10\n", &facts);
    let decision = Desk::new(&facts).decide(&mut *controller);
    assert_eq!((decision.basis, decision.targets[0].wanted), (Basis::Normal, 10));
}

#[test]
fn what_aws_would_refuse_is_refused() {
    let complain = |kind: &str, parameters: &str, expected: &Expect| {
        let table: Table = parameters.parse().expect("this is TOML");
        let catalog = Catalog::rules().with(predictive_kind(|_| Box::new(Oracle), nothing()));
        let built = catalog.build(kind, &table, &testing::facts());
        expected.assert_eq(&built.err().expect("it is wrong").to_string());
    };
    let target = "aws_target_tracking";
    complain(
        target,
        "metric = \"latency_p95_seconds\"",
        &expect![[
            r#"`metric` must fall as capacity rises ("cpu", "memory", "network", "disk", "requests_per_second_per_replica", "queue_per_replica" or "external"), but is "latency_p95_seconds""#
        ]],
    );
    complain(
        target,
        "metric = \"requests_per_second\"",
        &expect![[
            r#"`metric` must fall as capacity rises ("cpu", "memory", "network", "disk", "requests_per_second_per_replica", "queue_per_replica" or "external"), but is "requests_per_second""#
        ]],
    );
    complain(target, "target = 0", &expect!["`target` must be a positive number, but is 0"]);
    complain(target, "warm_up_seconds = 3601", &expect!["`warm_up_seconds` must be 0 to 3600, but is 3601"]);
    complain(
        target,
        "metric_period_seconds = 90",
        &expect!["`metric_period_seconds` must be a multiple of `period_seconds`, which is 60, but is 90"],
    );
    complain(
        target,
        "metric = \"external\"",
        &expect![[r#"`external` must name the external metric, since `metric` is "external""#]],
    );
    complain(
        target,
        "metric = \"external\"\nexternal = \"jobs\"",
        &expect![[r#"`external` must be an external metric of the scenario (none), but is "jobs""#]],
    );
    complain(
        target,
        "external = \"jobs\"",
        &expect![[r#"`external` needs `metric = "external"`, but is "jobs""#]],
    );
    complain(target, "datapoints_in = 0", &expect!["`datapoints_in` must be 1 to 1440, but is 0"]);
    complain("aws_step", "low = 0.7", &expect!["`low` must be below `high`, which is 0.6, but is 0.7"]);
    complain(
        "aws_step",
        "small_adjustment = 10",
        &expect!["`small_adjustment` must be above 0 and at most 1, but is 10"],
    );
    complain("aws_step", "datapoints_in = 0", &expect!["`datapoints_in` must be 1 to 1440, but is 0"]);
    complain(
        "aws_simple",
        "adjustment_out = 30",
        &expect!["`adjustment_out` must be a share from -1 to 5 (0.1 is 10 percent), but is 30"],
    );
    complain(
        "ecs_target_tracking",
        "scale_in_cooldown_seconds = -1",
        &expect!["`scale_in_cooldown_seconds` must be a number that is not negative, but is -1"],
    );
    complain(
        "aws",
        "capacity_max = 21",
        &expect!["`capacity_max` must be at most 20, the pool's limit, but is 21"],
    );
    complain(
        "aws",
        "capacity_max = 5\ncapacity_min = 6",
        &expect!["`capacity_min` must be at most `capacity_max`, which is 5, but is 6"],
    );
    complain(
        "aws",
        "schedule_lateness_seconds = 300",
        &expect!["`schedule_lateness_seconds` must be 0 to 120, but is 300"],
    );
    complain(
        "aws",
        "[[predictive]]",
        &expect!["`predictive` needs a forecaster, which only the kind `aws_predictive` has"],
    );
    complain(
        "aws",
        "[[target_tracking]]\n[[target_tracking]]",
        &expect![
            "`target_tracking[1].metric` must differ from the other target tracking policies' metrics, but comes twice"
        ],
    );
    complain(
        "aws",
        "[[scheduled]]\ncron = \"0 9 * * *\"",
        &expect!["`scheduled[0]` must set `wanted`, `replicas_min` or `replicas_max`, but sets none"],
    );
    complain(
        "aws",
        "[[target_tracking]]\ntraget = 3",
        &expect![
            "`target_tracking[0].traget` unknown field `traget`, expected one of `metric`, `external`, `per_replica`, `target`, `disable_scale_in`, `warm_up_seconds`, `metric_period_seconds`, `datapoints_out`, `datapoints_in`"
        ],
    );
    let step = "[[step]]\nthreshold = 0.5\ncomparison = \"greater_than_threshold\"\n\
                adjustment_type = \"change_in_capacity\"\n";
    complain(
        "aws",
        &format!("{step}steps = [{{ lower = 0, upper = 0.1, adjustment = 1 }}]"),
        &expect!["`step[0].steps` must leave out `upper` in one step, since one has a positive `upper`"],
    );
    complain(
        "aws",
        &format!("{step}steps = [{{ lower = 0, adjustment = 0.3 }}]"),
        &expect![
            "`step[0].steps[0].adjustment` must be a whole number of replicas, -100000 to 100000, but is 0.3"
        ],
    );
    complain(
        "aws",
        &format!("{step}steps = [{{ lower = 0, adjustment = 1 }}]\nmin_adjustment_magnitude = 2"),
        &expect![[
            r#"`step[0].min_adjustment_magnitude` needs `adjustment_type = "percent_change_in_capacity"`, but is 2 without it"#
        ]],
    );
    complain(
        "aws",
        &format!("{step}steps = [{{ lower = 0, adjustment = 1 }}]\ndatapoints_to_alarm = 4"),
        &expect!["`step[0].datapoints_to_alarm` must be 1 to `evaluation_periods`, which is 3, but is 4"],
    );
    let predictive = "aws_predictive";
    complain(
        predictive,
        "[[predictive]]\nscheduling_buffer_seconds = 3600",
        &expect![
            "`predictive[0].scheduling_buffer_seconds` must be at least 0 and less than 3600, but is 3600"
        ],
    );
    complain(
        predictive,
        "[[predictive]]\nmax_capacity_buffer = 0.1",
        &expect![[
            r#"`predictive[0].max_capacity_buffer` needs `max_capacity_breach_behavior = "increase_max_capacity"`, but is 0.1 without it"#
        ]],
    );
    complain(
        predictive,
        &format!("{FORECAST}{FORECAST}"),
        &expect![[r#"`predictive[1].mode` must be "forecast_only" in all predictive policies but one"#]],
    );
}
