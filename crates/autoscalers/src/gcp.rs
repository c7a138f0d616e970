//! Google Compute Engine's autoscaler: the largest recommendation over signals and schedules, held for ten minutes.
//!
//! n = maxᵢ nᵢ; scale-in no lower than the largest n of the stabilization period, nor than the peak of the trailing
//! window less what the scale-in control allows
//!
//! | signal | recommendation |
//! | --- | --- |
//! | cpu | ⌈Σ uⱼ / target⌉ over the replicas j, uⱼ cpu used over requested |
//! | load balancer | ⌈λ / (target · capacity of one)⌉ |
//! | metric per instance | ⌈mean · ready / target⌉ |
//! | metric per group | ⌈value / `single_instance_assignment`⌉ |
//! | schedule | `replicas_min` from each due time of its cron expression for its duration |
//!
//! A replica that started less than the initialization period ago is left out of Σ when that would scale out, and
//! counts when it would scale in. Google publishes no formula; these are read from its documents
//! (cloud.google.com/compute/docs/autoscaler, API `AutoscalingPolicy`), and docs/controllers.md says where we chose.

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::observation::{CONTAINERS_MAX, ReplicaState};
use tidegate_core::{
    Calendar, Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts, Reason, Replicas,
};

use crate::catalog::{About, Parameter, Rule, Search};
use crate::cron_clock::{CronClock, read_cron, read_time_zone};
use crate::rule::{
    ActingPool, POOL, Stabiliser, Window, not_negative, positive, remembered, round_up, share, wrong,
};
use crate::signal::{Metric, Signal};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub mode: Mode,
    pub cpu_target: f64,
    pub serving_target: f64,
    pub serving_capacity: Option<f64>,
    pub signals: Vec<SignalParameters>,
    pub schedules: Vec<ScheduleParameters>,
    pub replicas_min: Option<Replicas>,
    pub replicas_max: Option<Replicas>,
    pub initialization_seconds: f64,
    pub stabilization_seconds: f64,
    pub scale_in_replicas: Option<Replicas>,
    pub scale_in_share: Option<f64>,
    pub scale_in_window_seconds: f64,
    pub window_seconds: f64,
    pub stale_seconds: f64,
    pub period_seconds: f64,
}

/// What it may do.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything.
    On,
    /// Scale out only.
    OnlyScaleOut,
    /// Nothing.
    Off,
}

/// One metric: per instance with `target`, per group with `single_instance_assignment`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SignalParameters {
    /// What it looks at.
    pub metric: Metric,
    /// Name of the external metric, with `metric = "external"`.
    pub external: Option<String>,
    /// Value that each instance should have; the metric is the mean over the instances.
    pub target: Option<f64>,
    /// Amount that one instance can work on; the metric is the amount for the whole group.
    pub single_instance_assignment: Option<f64>,
}

/// At least so many replicas from each due time on for so long.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ScheduleParameters {
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    /// For so long; at least 300 s.
    pub duration_seconds: f64,
    /// IANA name; the operator's zone if there is none.
    pub time_zone: Option<String>,
    /// Least replicas meanwhile.
    pub replicas_min: Replicas,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            mode: Mode::On,
            cpu_target: 0.6,
            serving_target: 0.8,
            serving_capacity: None,
            signals: Vec::new(),
            schedules: Vec::new(),
            replicas_min: None,
            replicas_max: None,
            initialization_seconds: 60.0,
            stabilization_seconds: 600.0,
            scale_in_replicas: None,
            scale_in_share: None,
            scale_in_window_seconds: 600.0,
            window_seconds: 60.0,
            stale_seconds: 300.0,
            period_seconds: 60.0,
        }
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Gcp {
    pool: ActingPool,
    calendar: Calendar,
    cpu_requested: f64,
    cpu: (Signal, Window),
    /// Signal, its window, and what the recommendation is made of.
    signals: Vec<(Signal, Window, Demand)>,
    schedules: Vec<Schedule>,
    recommended: Stabiliser,
    sizes: Stabiliser,
    parameters: Parameters,
}

/// How a value becomes a count.
#[derive(Clone, Copy, Debug)]
enum Demand {
    PerInstance { target: f64 },
    PerGroup { assignment: f64 },
}

#[derive(Clone, Debug)]
struct Schedule {
    clock: CronClock,
    duration_seconds: f64,
    replicas_min: Replicas,
}

impl Rule for Gcp {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "gcp",
        summary: "Google Compute Engine's autoscaler: the largest recommendation over signals and schedules, held for ten minutes.",
        source: "cloud.google.com/compute/docs/autoscaler; Compute Engine API v1, AutoscalingPolicy",
        parameters: &[
            POOL,
            Parameter::new("mode", "", "\"on\"", "`on`, `only_scale_out` or `off`."),
            Parameter::new("cpu_target", "1", "0.6", "Cpu utilization it aims at; 0 for no cpu signal.")
                .searched(Search::Linear { low: 0.3, high: 0.95 }),
            Parameter::new("serving_target", "1", "0.8", "Share of the serving capacity it aims at.")
                .searched(Search::Linear { low: 0.3, high: 1.0 }),
            Parameter::new(
                "serving_capacity",
                "1/s",
                "(no load-balancer signal)",
                "Requests a second that the balancer takes one replica to serve.",
            ),
            Parameter::new("signals", "", "[]", "Metrics, per instance or per group; see below."),
            Parameter::new("schedules", "", "[]", "Least replicas at given times; see below."),
            Parameter::new(
                "replicas_min",
                "replicas",
                "(the pool's, at least 1)",
                "Least, within the pool's bounds.",
            ),
            Parameter::new("replicas_max", "replicas", "(the pool's)", "Most, within the pool's bounds."),
            Parameter::new(
                "initialization_seconds",
                "s",
                "60.0",
                "For so long after its start, cpu of a replica does not count for scaling out.",
            )
            .searched(Search::Linear { low: 0.0, high: 600.0 }),
            Parameter::new(
                "stabilization_seconds",
                "s",
                "600.0",
                "Scale-in goes no lower than the largest recommendation of this time.",
            )
            .searched(Search::Linear { low: 0.0, high: 1800.0 }),
            Parameter::new(
                "scale_in_replicas",
                "replicas",
                "(no control)",
                "Most that the size may fall below the peak of the trailing window.",
            )
            .searched(Search::Count { low: 1, high: 20 }),
            Parameter::new("scale_in_share", "1", "(no control)", "The same as a share of the peak."),
            Parameter::new("scale_in_window_seconds", "s", "600.0", "The trailing window."),
            Parameter::new(
                "window_seconds",
                "s",
                "60.0",
                "Service-wide signals are averaged over this time.",
            ),
            Parameter::new(
                "stale_seconds",
                "s",
                "300.0",
                "A signal without a value younger than this has none.",
            ),
            Parameter::new("period_seconds", "s", "60.0", "How often it decides."),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        positive(&[
            ("period_seconds", parameters.period_seconds),
            ("stale_seconds", parameters.stale_seconds),
            ("serving_capacity", parameters.serving_capacity.unwrap_or(1.0)),
        ])?;
        not_negative(&[
            ("cpu_target", parameters.cpu_target),
            ("initialization_seconds", parameters.initialization_seconds),
        ])?;
        share(&[
            ("serving_target", parameters.serving_target),
            ("scale_in_share", parameters.scale_in_share.unwrap_or(1.0)),
        ])?;
        if parameters.cpu_target > 0.0 {
            share(&[("cpu_target", parameters.cpu_target)])?;
        }
        remembered(&[
            ("stabilization_seconds", parameters.stabilization_seconds),
            ("scale_in_window_seconds", parameters.scale_in_window_seconds),
            ("window_seconds", parameters.window_seconds),
        ])?;
        if parameters.scale_in_replicas.is_some() && parameters.scale_in_share.is_some() {
            return Err(wrong("scale_in_share", "must not be set beside `scale_in_replicas`"));
        }
        if let (Some(least), Some(most)) = (parameters.replicas_min, parameters.replicas_max)
            && least > most
        {
            let problem = format!("must be at most `replicas_max`, which is {most}, but is {least}");
            return Err(wrong("replicas_min", problem));
        }
        for (index, signal) in parameters.signals.iter().enumerate() {
            let path = format!("signals[{index}]");
            let ((Some(value), None) | (None, Some(value))) =
                (signal.target, signal.single_instance_assignment)
            else {
                let problem = "must set one of `target` and `single_instance_assignment`";
                return Err(wrong(&path, problem));
            };
            positive(&[(&path, value)])?;
            if signal.external.is_some() != (signal.metric == Metric::External) {
                let problem = "must be set with `metric = \"external\"`, and only then";
                return Err(wrong(&format!("{path}.external"), problem));
            }
        }
        for (index, schedule) in parameters.schedules.iter().enumerate() {
            let path = format!("schedules[{index}]");
            read_cron(&schedule.cron, &format!("{path}.cron"))?;
            if let Some(name) = &schedule.time_zone {
                read_time_zone(name, &format!("{path}.time_zone"))?;
            }
            let duration = schedule.duration_seconds;
            if !(duration >= 300.0 && duration.is_finite()) {
                let problem = format!("must be at least 300, but is {duration}");
                return Err(wrong(&format!("{path}.duration_seconds"), problem));
            }
        }
        Ok(())
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let window = Window::new(parameters.window_seconds, parameters.stale_seconds, facts.scrape_seconds);
        let mut signals = Vec::new();
        if let Some(capacity) = parameters.serving_capacity {
            let assignment = parameters.serving_target * capacity;
            let signal = Signal::new(Metric::RequestsPerSecond, pool, facts);
            signals.push((signal, window.clone(), Demand::PerGroup { assignment }));
        }
        for (index, written) in parameters.signals.iter().enumerate() {
            let signal = match &written.external {
                Some(name) => Signal::external(name, pool, facts).map_err(|error| FieldError {
                    field: format!("signals[{index}].{}", error.field),
                    ..error
                })?,
                None => Signal::new(written.metric, pool, facts),
            };
            let demand = match (written.target, written.single_instance_assignment) {
                (Some(target), _) => Demand::PerInstance { target },
                (_, assignment) => Demand::PerGroup { assignment: assignment.unwrap_or(f64::INFINITY) },
            };
            signals.push((signal, window.clone(), demand));
        }
        let mut schedules = Vec::new();
        for (index, written) in parameters.schedules.iter().enumerate() {
            let path = format!("schedules[{index}]");
            let time_zone = match &written.time_zone {
                Some(name) => read_time_zone(name, &format!("{path}.time_zone"))?,
                None => facts.calendar.time_zone,
            };
            schedules.push(Schedule {
                clock: CronClock::new(read_cron(&written.cron, &format!("{path}.cron"))?, time_zone),
                duration_seconds: written.duration_seconds,
                replicas_min: written.replicas_min,
            });
        }
        let containers = pool.facts(facts).containers.iter().take(CONTAINERS_MAX);
        Ok(Self {
            pool,
            calendar: facts.calendar,
            cpu_requested: containers.map(|container| container.cpu_cores_requested).sum(),
            cpu: (Signal::new(Metric::Cpu, pool, facts), window),
            signals,
            schedules,
            recommended: Stabiliser::new(parameters.stabilization_seconds, parameters.period_seconds),
            sizes: Stabiliser::new(parameters.scale_in_window_seconds, parameters.period_seconds),
            parameters: parameters.clone(),
        })
    }
}

impl Controller for Gcp {
    fn period_seconds(&self) -> f64 {
        self.parameters.period_seconds
    }

    fn needs(&self) -> Needs {
        if self.parameters.cpu_target > 0.0 { Needs::REPLICAS } else { Needs::AGGREGATES }
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.cpu.1.clear();
        for (_, window, _) in &mut self.signals {
            window.clear();
        }
        for schedule in &mut self.schedules {
            schedule.clock.clear();
        }
        self.recommended.clear();
        self.sizes.clear();
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let now = observation.now_seconds;
        let status = self.pool.status(observation);
        let declared = status.declared;
        self.cpu.0.feed(observation, &mut self.cpu.1);
        for (signal, window, _) in &mut self.signals {
            signal.feed(observation, window);
        }
        let peak = self.sizes.settle(now, declared, declared);

        // The largest count that anything asks for, what that is, and how many could not say anything.
        let (mut wanted, mut what, mut n_silent) = (0, "nothing to do", 0);
        let mut ask = |asked: Option<Replicas>, by: &'static str| {
            n_silent += usize::from(asked.is_none());
            if let Some(asked) = asked.filter(|asked| *asked > wanted) {
                (wanted, what) = (asked, by);
            }
        };
        let has_cpu = self.parameters.cpu_target > 0.0;
        if has_cpu {
            ask(self.by_cpu(observation), "cpu");
        }
        let ready = f64::from(status.ready);
        let others: Replicas = self.pool.others(observation).map(|(_, pool)| pool.declared).sum();
        for (_, window, demand) in &self.signals {
            let asked = window.mean(now).map(|value| match demand {
                Demand::PerInstance { target } => round_up(value * ready / target),
                Demand::PerGroup { assignment } => round_up(value / assignment).saturating_sub(others),
            });
            ask(asked, "signal");
        }
        for schedule in &mut self.schedules {
            schedule.clock.advance(&self.calendar, now);
            if schedule.clock.was_due_within(&self.calendar, now, schedule.duration_seconds) {
                ask(Some(schedule.replicas_min), "schedule");
            }
        }
        if self.parameters.mode == Mode::Off {
            return self.pool.decide(observation, declared, Reason::new("off"));
        }
        let most = self.parameters.replicas_max.unwrap_or(Replicas::MAX);
        // Google's own default is above 0 as well: cpu could not bring it back.
        let least = self.parameters.replicas_min.unwrap_or(1).min(most);
        if declared < least && wanted < least {
            return self.pool.decide(observation, least, Reason::new("below the minimum"));
        }
        if n_silent > 0 && n_silent == self.signals.len() + usize::from(has_cpu) && wanted <= declared {
            return self.pool.hold(observation, "no signal has data");
        }
        if n_silent > 0 {
            // A signal that says nothing does not stand in the way of scaling out, but of scaling in.
            wanted = wanted.max(declared);
        }
        let stabilised = self.recommended.settle(now, declared, wanted);
        let mut reason = Reason::new(what).with("recommended", f64::from(wanted));
        let allowed = match (self.parameters.scale_in_replicas, self.parameters.scale_in_share) {
            (Some(replicas), _) => peak.saturating_sub(replicas),
            (None, Some(share)) => peak - ((share * f64::from(peak) + 1e-9).floor() as Replicas).min(peak),
            (None, None) => 0,
        };
        let mut size = stabilised.max(allowed.min(declared));
        if self.parameters.mode == Mode::OnlyScaleOut {
            size = size.max(declared);
        }
        if size > wanted {
            reason =
                reason.with("stabilized", f64::from(stabilised)).with("least by control", f64::from(allowed));
        }
        self.pool.decide(observation, size.min(most).max(least), reason)
    }
}

impl Gcp {
    /// What cpu asks for: out by the replicas that are initialized, in by all of them, else as it is.
    fn by_cpu(&self, observation: &Observation<'_>) -> Option<Replicas> {
        let status = self.pool.status(observation);
        let now = observation.now_seconds;
        let target = self.parameters.cpu_target;
        let (mut all, mut initialized, mut n_samples) = (0.0, 0.0, 0);
        for replica in observation.replicas {
            let serves = matches!(replica.state, ReplicaState::Ready | ReplicaState::Unhealthy);
            if usize::from(replica.pool) != self.pool.index() || !serves {
                continue;
            }
            let Some(usage) =
                replica.usage.filter(|usage| usage.at_seconds >= now - self.parameters.stale_seconds)
            else {
                continue;
            };
            let used: f64 = usage.cpu_cores.iter().sum::<f64>() / self.cpu_requested;
            if !used.is_finite() {
                continue;
            }
            n_samples += 1;
            all += used;
            let started = replica.started_seconds.unwrap_or(replica.created_seconds);
            if now - started >= self.parameters.initialization_seconds {
                initialized += used;
            }
        }
        if n_samples == 0 {
            // Where no replica is shown, the service-wide mean has to do; it has no ages.
            let mean = self.cpu.1.mean(now).filter(|_| status.ready > 0)?;
            return Some(round_up(mean * f64::from(status.ready) / target));
        }
        let (out, scale_in) = (round_up(initialized / target), round_up(all / target));
        let declared = status.declared;
        Some(if out > declared { out } else { scale_in.min(declared) })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use tidegate_core::observation::{ExternalSample, ReplicaSample, ReplicaUsage};
    use tidegate_core::{Calendar, OperatorFacts, ReplicaState, Scrape};

    use crate::testing::{self, Desk, cpu, wanted, wanted_by_cpu};

    const AT_ONCE: &str = "stabilization_seconds = 0\nwindow_seconds = 0\n";

    /// 4 replicas at first; every row is what was seen against what was wanted.
    fn check(parameters: &str, series: &[f64], expected: &Expect) {
        expected.assert_eq(&wanted_by_cpu("gcp", parameters, series));
    }

    /// Google's example: a target of 75 %, utilization of 85 % on 4 is 4.53, so 5.
    #[test]
    fn cpu_is_brought_to_its_target() {
        check(&format!("{AT_ONCE}cpu_target = 0.75"), &[0.85, 0.75, 0.6, 0.3], &expect!["5 5 4 2"]);
        check(&format!("{AT_ONCE}mode = \"only_scale_out\""), &[0.9, 0.1, 0.1], &expect!["6 6 6"]);
        check(&format!("{AT_ONCE}mode = \"off\""), &[0.9, 0.1], &expect!["4 4"]);
        check(&format!("{AT_ONCE}replicas_min = 3\nreplicas_max = 5"), &[0.9, 0.1], &expect!["5 3"]);
    }

    /// The peak of the last ten minutes stays, then all of the excess goes in one step.
    #[test]
    fn the_peak_of_ten_minutes_is_kept() {
        let mut series = vec![0.9];
        series.resize(14, 0.1);
        check("window_seconds = 0", &series, &expect!["6 6 6 6 6 6 6 6 6 6 1 1 1 1"]);
    }

    /// At most 2 below the peak of the last 5 minutes; at most half of it.
    #[test]
    fn scale_in_controls_spread_the_way_down() {
        let mut series = vec![0.6];
        series.resize(16, 0.01);
        let window = "scale_in_window_seconds = 300\nreplicas_min = 1\n";
        check(
            &format!("{AT_ONCE}{window}scale_in_replicas = 2"),
            &series,
            &expect!["4 2 2 2 2 2 1 1 1 1 1 1 1 1 1 1"],
        );
        check(
            &format!("{AT_ONCE}{window}scale_in_share = 0.5"),
            &series,
            &expect!["4 2 2 2 2 2 1 1 1 1 1 1 1 1 1 1"],
        );
    }

    #[test]
    fn the_largest_recommendation_wins_and_a_silent_signal_blocks_scale_in_only() {
        let mut facts = testing::facts();
        facts.external_metrics = vec!["jobs".into()];
        let text = format!(
            "{AT_ONCE}serving_capacity = 10\n\
             signals = [{{ metric = \"external\", external = \"jobs\", single_instance_assignment = 5 }}]"
        );
        let run = |utilization: f64, rate: f64, jobs: Option<f64>| {
            let mut controller = testing::controller("gcp", &text, &facts);
            let mut desk = Desk::new(&facts);
            desk.external = vec![ExternalSample { metric: 0, at_seconds: 0.0, value: jobs }];
            let scrape = Scrape { requests_per_second: Some(rate), ..cpu(utilization) };
            wanted(&mut *controller, &mut desk, &[scrape])
        };
        // 4 · 0.75 / 0.6 = 5; 47 / 8 = 5.9; 34 / 5 = 6.8.
        assert_eq!(run(0.75, 8.0, Some(1.0)), "5");
        assert_eq!(run(0.75, 47.0, Some(1.0)), "6");
        assert_eq!(run(0.75, 47.0, Some(34.0)), "7");
        assert_eq!(run(0.1, 8.0, Some(1.0)), "1");
        assert_eq!(run(0.1, 8.0, None), "4");
        assert_eq!(run(0.9, 8.0, None), "6");
    }

    #[test]
    fn a_metric_per_instance_is_brought_to_its_target() {
        let text = format!("{AT_ONCE}cpu_target = 0\nsignals = [{{ metric = \"memory\", target = 0.5 }}]");
        let mut controller = testing::controller("gcp", &text, &testing::facts());
        let memory = |share| Scrape { memory_utilization: Some(share), ..Scrape::default() };
        let mut desk = Desk::new(&testing::facts());
        assert_eq!(wanted(&mut *controller, &mut desk, &[memory(0.7), memory(0.5), memory(0.2)]), "6 6 3");
    }

    #[test]
    fn a_schedule_holds_for_its_duration_in_its_time_zone() {
        let start = "2025-03-03T08:50:00".parse().expect("a local time");
        let facts = OperatorFacts {
            calendar: Calendar::new(start, chrono_tz::Europe::Berlin, 0),
            ..testing::facts()
        };
        let run = |zone: &str| {
            let text = format!(
                "{AT_ONCE}period_seconds = 600\nschedules = [{{ cron = \"0 9 * * *\", duration_seconds = 1800, \
                 replicas_min = 12{zone} }}]"
            );
            let mut controller = testing::controller("gcp", &text, &facts);
            wanted(&mut *controller, &mut Desk::new(&facts), &[cpu(0.1); 6])
        };
        // 8:50, 9:00, ... 9:40; the count without it is that of the minimum.
        assert_eq!(run(""), "1 12 12 12 2 1");
        assert_eq!(run(", time_zone = \"UTC\""), "1 1 1 1 1 1");
    }

    /// Two replicas of three are new. At full load on all they are left out of scaling out; nearly idle they count.
    #[test]
    fn young_replicas_do_not_scale_out() {
        let facts = testing::facts();
        let run = |shares: [f64; 4], ages: [f64; 4]| {
            let mut controller = testing::controller("gcp", AT_ONCE, &facts);
            let mut desk = Desk::new(&facts);
            desk.now_seconds = 1000.0;
            let requested: f64 = facts.pools[0].containers.iter().map(|one| one.cpu_cores_requested).sum();
            desk.replicas = (0..4)
                .map(|index| ReplicaSample {
                    pool: 0,
                    id: index as u64,
                    state: ReplicaState::Ready,
                    created_seconds: 0.0,
                    started_seconds: Some(1000.0 - ages[index]),
                    is_ready: true,
                    ready_changed_seconds: 0.0,
                    usage: Some(ReplicaUsage {
                        at_seconds: 1000.0,
                        window_seconds: 15.0,
                        cpu_cores: [shares[index] * requested, 0.0],
                        memory_gib: [0.0; 2],
                        requests_per_second: 0.0,
                        concurrency: 0.0,
                    }),
                })
                .collect();
            let decision = controller.decide(&desk.observation());
            decision.targets[0].wanted
        };
        assert_eq!(run([1.0; 4], [500.0; 4]), 7);
        assert_eq!(run([1.0; 4], [500.0, 500.0, 30.0, 30.0]), 4);
        assert_eq!(run([0.1; 4], [500.0, 500.0, 30.0, 30.0]), 1);
        assert_eq!(run([0.2, 0.2, 1.0, 1.0], [500.0, 500.0, 30.0, 30.0]), 4);
    }

    #[test]
    fn without_data_what_is_declared_stays() {
        check("", &[f64::NAN, f64::NAN], &expect!["4? 4?"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Never more than 3 below the largest size of the last ten minutes.
        #[test]
        fn it_never_falls_faster_than_its_control(series in prop::collection::vec(0.0..1.5_f64, 1..80)) {
            let text = format!("{AT_ONCE}scale_in_replicas = 3\n");
            let sizes: Vec<u32> = wanted_by_cpu("gcp", &text, &series)
                .split(' ')
                .map(|size| size.parse().expect("a count"))
                .collect();
            for (index, size) in sizes.iter().enumerate() {
                let lately = &sizes[index.saturating_sub(9)..index];
                let peak = lately.iter().max().copied().unwrap_or(4);
                prop_assert!(size + 3 >= peak);
                prop_assert!((1..=20).contains(size));
            }
        }
    }
}
