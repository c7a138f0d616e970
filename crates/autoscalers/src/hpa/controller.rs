//! The controller of kind `hpa`: one pass of the real controller on what the simulated service shows.
//!
//! | of a pass | from |
//! | --- | --- |
//! | `spec.replicas`, `status.replicas` | declared, observed |
//! | a pod | a replica of the pool that is neither warm nor gone: pending until its containers start, then running; deleted while it drains |
//! | its condition `Ready`, its start time | whether it passes its readiness check and since when; when its containers started |
//! | its requests | those of the pool's containers |
//! | resource metrics | its last usage sample, container by container |
//! | pods metrics | `requests_per_second` and `concurrency` of the same sample |
//! | object metrics | a channel of the service-wide scrape, by name, whatever the object |
//! | external metrics | the external metric of that name, one value |
//!
//! A metric whose newest value is older than `stale_seconds` fails, as does one that never had a value; a value that
//! is no number was not measured. Values become quantities as Kubernetes has them: nine digits after the point, then
//! up to the next thousandth. The manifest's bounds count within the pool's.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::observation::{CONTAINERS_MAX, ReplicaSample, ReplicaState, ReplicaUsage};
use tidegate_core::{
    Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts, PoolFacts, Reason, Replicas,
    Scrape,
};

use super::behavior::{Limit, Memory};
use super::manifest;
use super::pods::{Container, ContainerKind, Phase, Pod, Readiness, Requests, Sample};
use super::reconcile::{End, Pass, Reading, Scale, Selector, State, reconcile};
use super::report::Report;
use super::spec::{
    Behavior, Flags, Metric, Policy, Resource, ScalingRules, Select, Spec, ToleranceForm, ZeroRule,
};
use crate::catalog::{About, Parameter, Rule, Search};
use crate::rule::{ActingPool, POOL, not_negative, positive, wrong};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct Parameters {
    pub pool: Option<String>,
    pub manifest: Option<String>,
    pub replicas_min: Option<Replicas>,
    pub replicas_max: Option<Replicas>,
    pub target_utilization: Option<f64>,
    pub up_window_seconds: Option<u32>,
    pub up_pods: Option<u32>,
    pub up_percent: Option<u32>,
    pub up_period_seconds: Option<u32>,
    pub down_window_seconds: Option<u32>,
    pub down_pods: Option<u32>,
    pub down_percent: Option<u32>,
    pub down_period_seconds: Option<u32>,
    pub tolerance: f64,
    pub tolerance_form: ToleranceForm,
    pub downscale_stabilization_seconds: f64,
    pub cpu_initialization_seconds: f64,
    pub initial_readiness_seconds: f64,
    pub zero_rule: ZeroRule,
    pub stale_seconds: f64,
    pub period_seconds: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        let flags = Flags::default();
        Self {
            pool: None,
            manifest: None,
            replicas_min: None,
            replicas_max: None,
            target_utilization: None,
            up_window_seconds: None,
            up_pods: None,
            up_percent: None,
            up_period_seconds: None,
            down_window_seconds: None,
            down_pods: None,
            down_percent: None,
            down_period_seconds: None,
            tolerance: flags.tolerance,
            tolerance_form: flags.tolerance_form,
            downscale_stabilization_seconds: flags.downscale_stabilization_seconds,
            cpu_initialization_seconds: flags.cpu_initialization_seconds,
            initial_readiness_seconds: flags.initial_readiness_seconds,
            zero_rule: flags.zero_rule,
            stale_seconds: 300.0,
            period_seconds: 15.0,
        }
    }
}

impl Parameters {
    /// What a manifest says in their place, those that are set.
    fn of_the_spec(&self) -> impl Iterator<Item = &'static str> {
        let set = [
            ("replicas_min", self.replicas_min.is_some()),
            ("replicas_max", self.replicas_max.is_some()),
            ("target_utilization", self.target_utilization.is_some()),
        ];
        let behavior = self.of_the_behavior().map(|(name, value)| (name, value.is_some()));
        set.into_iter().chain(behavior).filter(|(_, is_set)| *is_set).map(|(name, _)| name)
    }

    fn of_the_behavior(&self) -> [(&'static str, Option<u32>); 8] {
        [
            ("up_window_seconds", self.up_window_seconds),
            ("up_pods", self.up_pods),
            ("up_percent", self.up_percent),
            ("up_period_seconds", self.up_period_seconds),
            ("down_window_seconds", self.down_window_seconds),
            ("down_pods", self.down_pods),
            ("down_percent", self.down_percent),
            ("down_period_seconds", self.down_period_seconds),
        ]
    }

    fn flags(&self) -> Flags {
        Flags {
            tolerance: self.tolerance,
            tolerance_form: self.tolerance_form,
            downscale_stabilization_seconds: self.downscale_stabilization_seconds,
            cpu_initialization_seconds: self.cpu_initialization_seconds,
            initial_readiness_seconds: self.initial_readiness_seconds,
            zero_rule: self.zero_rule,
            ..Flags::default()
        }
    }

    /// The spec that these parameters or their manifest stand for.
    fn spec(&self) -> Result<Spec, FieldError> {
        if let Some(text) = &self.manifest {
            let read = manifest::read(text).map_err(|error| {
                let line = error.line.map_or(String::new(), |line| format!(", line {line}"));
                wrong("manifest", format!("`{}`{line}: {}", error.field, error.problem))
            })?;
            return Ok(read.spec);
        }
        let percent = (100.0 * self.target_utilization.unwrap_or(0.8)).round() as i32;
        let behavior = self.of_the_behavior().iter().any(|(_, value)| value.is_some()).then(|| Behavior {
            up: rules(
                &ScalingRules::up(),
                self.up_window_seconds,
                (self.up_pods, self.up_percent, self.up_period_seconds),
            ),
            down: rules(
                &ScalingRules::down(),
                self.down_window_seconds,
                (self.down_pods, self.down_percent, self.down_period_seconds),
            ),
        });
        Ok(Spec {
            // A metric of pods cannot bring it back from zero, so the API wants one at least.
            replicas_min: count(self.replicas_min.unwrap_or(1).max(1)),
            replicas_max: count(self.replicas_max.unwrap_or(Replicas::MAX)),
            metrics: vec![Metric::cpu_utilization(percent)],
            behavior,
        })
    }
}

/// Rules of one direction; what is not set is as by default.
fn rules(
    default: &ScalingRules,
    window_seconds: Option<u32>,
    (pods, percent, period): (Option<u32>, Option<u32>, Option<u32>),
) -> ScalingRules {
    let period_seconds = count(period.unwrap_or(15));
    let mut policies: Vec<_> = [
        pods.map(|value| Policy::pods(count(value), period_seconds)),
        percent.map(|value| Policy::percent(count(value), period_seconds)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if policies.is_empty() {
        policies = default.policies.iter().map(|policy| Policy { period_seconds, ..*policy }).collect();
    }
    ScalingRules {
        window_seconds: window_seconds.map(count).or(default.window_seconds),
        select: Select::Max,
        policies,
        tolerance: None,
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Hpa {
    pool: ActingPool,
    /// As written; the bounds of `spec` are cut to the pool's.
    bounds: (i32, i32),
    spec: Spec,
    flags: Flags,
    stale_seconds: f64,
    period_seconds: f64,
    sources: Vec<Source>,
    memory: Memory,
    pass: Pass,
    /// One a pod that has ever been looked at, with its containers; the first `n_pods` count.
    pods: Vec<Pod>,
    n_pods: usize,
    template: Pod,
    readings: Vec<Reading>,
    now_seconds: f64,
    scale: Scale<'static>,
}

/// Where the values of one metric come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The last usage sample of each pod.
    Pods(fn(&ReplicaUsage, usize) -> Option<i64>, usize),
    /// A channel of the service-wide scrape, with its last value.
    Channel(fn(&Scrape) -> Option<f64>, Last),
    /// An external metric by position, with its last value.
    External(u16, Last),
    /// Another controller gives the value ([`Hpa::give`]).
    Given(Option<i64>),
}

/// The last value, with its time.
type Last = Option<(f64, i64)>;

impl Rule for Hpa {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "hpa",
        summary: "The Kubernetes horizontal pod autoscaler, autoscaling/v2, with its pods, \
                  conditions and behavior.",
        source: "kubernetes/kubernetes pkg/controller/podautoscaler (1.33 and later)",
        parameters: &[
            POOL,
            Parameter::new(
                "manifest",
                "",
                "(none)",
                "An autoscaling/v2 manifest, as text; takes the place of bounds, target and policies below.",
            ),
            Parameter::new(
                "replicas_min",
                "replicas",
                "(the pool's, at least 1)",
                "`minReplicas`, within the pool's bounds.",
            ),
            Parameter::new(
                "replicas_max",
                "replicas",
                "(the pool's)",
                "`maxReplicas`, within the pool's bounds.",
            ),
            Parameter::new(
                "target_utilization",
                "1",
                "(0.8)",
                "Cpu used over cpu requested that it aims at; rounded to whole percent.",
            )
            .searched(Search::Linear { low: 0.3, high: 0.95 }),
            Parameter::new(
                "up_window_seconds",
                "s",
                "(0)",
                "`behavior.scaleUp.stabilizationWindowSeconds`. Any parameter from here to \
                 `down_period_seconds` makes a `behavior`; without one the older rules apply.",
            )
            .searched(Search::Count { low: 1, high: 600 }),
            Parameter::new(
                "up_pods",
                "replicas",
                "(4)",
                "A policy upwards: so many in a period. Of two policies the one with more change \
                 counts; one alone replaces both defaults.",
            )
            .searched(Search::Count { low: 1, high: 20 }),
            Parameter::new("up_percent", "%", "(100)", "The same in percent.")
                .searched(Search::Count { low: 10, high: 400 }),
            Parameter::new("up_period_seconds", "s", "(15)", "The period of the policies upwards."),
            Parameter::new(
                "down_window_seconds",
                "s",
                "(downscale_stabilization_seconds)",
                "`behavior.scaleDown.stabilizationWindowSeconds`.",
            )
            .searched(Search::Count { low: 1, high: 1800 }),
            Parameter::new("down_pods", "replicas", "(no such policy)", "A policy downwards."),
            Parameter::new("down_percent", "%", "(100)", "The same in percent.")
                .searched(Search::Count { low: 5, high: 100 }),
            Parameter::new("down_period_seconds", "s", "(15)", "The period of the policies downwards."),
            Parameter::new(
                "tolerance",
                "1",
                "0.1",
                "Nothing changes while usage over target is this near to 1; a flag of the cluster, \
                 like all below.",
            )
            .searched(Search::Linear { low: 0.0, high: 0.3 }),
            Parameter::new(
                "tolerance_form",
                "",
                "\"interval\"",
                "How that is compared: `interval` since 1.33, `distance` before. They differ in the \
                 last bit.",
            ),
            Parameter::new(
                "downscale_stabilization_seconds",
                "s",
                "300.0",
                "It goes no lower than the highest proposal of this time.",
            ),
            Parameter::new(
                "cpu_initialization_seconds",
                "s",
                "300.0",
                "For so long after its start, cpu of a pod counts only while it is ready and for \
                 whole windows.",
            )
            .searched(Search::Linear { low: 0.0, high: 600.0 }),
            Parameter::new(
                "initial_readiness_seconds",
                "s",
                "30.0",
                "A pod that is not ready, and whose readiness last changed this soon after its \
                 start, never was.",
            )
            .searched(Search::Linear { low: 0.0, high: 120.0 }),
            Parameter::new(
                "zero_rule",
                "",
                "\"minimum\"",
                "At zero it acts if the minimum is 0 (`minimum`), or if it went there itself \
                 (`condition`, 1.36 with gate HPAScaleToZero).",
            ),
            Parameter::new("stale_seconds", "s", "300.0", "A value older than this is none."),
            Parameter::new("period_seconds", "s", "15.0", "How often it decides."),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        if parameters.manifest.is_some()
            && let Some(field) = parameters.of_the_spec().next()
        {
            return Err(wrong(field, "must not be set beside `manifest`, which says it"));
        }
        positive(&[
            ("period_seconds", parameters.period_seconds),
            ("stale_seconds", parameters.stale_seconds),
        ])?;
        not_negative(&[
            ("tolerance", parameters.tolerance),
            ("cpu_initialization_seconds", parameters.cpu_initialization_seconds),
            ("initial_readiness_seconds", parameters.initial_readiness_seconds),
        ])?;
        let window = parameters.downscale_stabilization_seconds;
        if !(0.0..=604_800.0).contains(&window) {
            let problem = format!("must be 0 to 604800 (a week), but is {window}");
            return Err(wrong("downscale_stabilization_seconds", problem));
        }
        if let Some(target) = parameters.target_utilization.filter(|target| !(0.01..=100.0).contains(target))
        {
            return Err(wrong("target_utilization", format!("must be 0.01 to 100, but is {target}")));
        }
        for (name, value) in parameters.of_the_behavior() {
            let (low, high) = match name {
                "up_window_seconds" | "down_window_seconds" => (0, 3600),
                "up_period_seconds" | "down_period_seconds" => (1, 1800),
                _ => (1, i32::MAX as u32),
            };
            if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
                return Err(wrong(name, format!("must be {low} to {high}, but is {value}")));
            }
        }
        let (least, most) = (parameters.replicas_min.unwrap_or(1), parameters.replicas_max);
        if least == 0 {
            let problem = "must be at least 1 without an object or external metric, but is 0";
            return Err(wrong("replicas_min", problem));
        }
        if let Some(most) = most.filter(|most| *most < least) {
            let problem = format!("must be at least `replicas_min`, which is {least}, but is {most}");
            return Err(wrong("replicas_max", problem));
        }
        parameters.spec().map(|_| ())
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let (spec, flags) = (parameters.spec()?, parameters.flags());
        let sources: Result<Vec<_>, _> = spec
            .metrics
            .iter()
            .enumerate()
            .map(|(index, metric)| Source::of(index, metric, pool.facts(facts), facts))
            .collect();
        let periods = (parameters.stale_seconds, parameters.period_seconds);
        Ok(Self::build(spec, flags, sources?, pool, periods, facts))
    }
}

impl Controller for Hpa {
    fn period_seconds(&self) -> f64 {
        self.period_seconds
    }

    fn needs(&self) -> Needs {
        Needs::REPLICAS
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.memory.clear();
        self.pass.end = End::NoScale;
        for source in &mut self.sources {
            match source {
                Source::Channel(_, last) | Source::External(_, last) => *last = None,
                Source::Given(value) => *value = None,
                Source::Pods(..) => {}
            }
        }
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        self.run(observation);
        if matches!(self.pass.end, End::MetricsFailed | End::NoScale | End::NoSelector) {
            return self.pool.hold(observation, "metrics failed");
        }
        self.pool.decide(observation, self.pass.desired.max(0) as Replicas, self.reason())
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        if self.pass.end == End::NoScale {
            return Ok(());
        }
        let report = self.report();
        for metric in &report.metrics {
            match (&metric.calculation, &metric.error) {
                (Some(found), _) => writeln!(
                    out,
                    "{}: {} (ratio {:.3}; {} ready, {} unready, {} missing, {} ignored)",
                    metric.name,
                    found.replicas,
                    found.ratio,
                    found.counts.ready,
                    found.counts.unready,
                    found.counts.missing,
                    found.counts.ignored,
                )?,
                (None, error) => writeln!(out, "{}: {}", metric.name, error.as_deref().unwrap_or_default())?,
            }
        }
        for condition in &report.conditions {
            let status = if condition.status { "True" } else { "False" };
            writeln!(out, "{} {status} {}: {}", condition.kind, condition.reason, condition.message)?;
        }
        Ok(())
    }
}

impl Hpa {
    /// One whose external metrics another controller reads (KEDA).
    pub(crate) fn driven(
        spec: Spec,
        pool: ActingPool,
        stale_seconds: f64,
        period_seconds: f64,
        facts: &OperatorFacts,
    ) -> Result<Self, FieldError> {
        let sources: Result<Vec<_>, _> = spec
            .metrics
            .iter()
            .enumerate()
            .map(|(index, metric)| match metric {
                Metric::External { .. } => Ok(Source::Given(None)),
                _ => Source::of(index, metric, pool.facts(facts), facts),
            })
            .collect();
        Ok(Self::build(spec, Flags::default(), sources?, pool, (stale_seconds, period_seconds), facts))
    }

    /// The value of an external metric for the next pass, in milli-units; none if it failed.
    pub(crate) fn give(&mut self, metric: usize, milli: Option<i64>) {
        if let Source::Given(value) = &mut self.sources[metric] {
            *value = milli;
        }
    }

    /// One pass.
    pub(crate) fn run(&mut self, observation: &Observation<'_>) -> &Pass {
        let status = self.pool.status(observation);
        self.look(observation);
        self.scale = Scale {
            spec_replicas: count(status.declared),
            status_replicas: count(status.observed),
            selector: Selector::Fine,
        };
        let (least, most) = (count(status.bounds.replicas_min), count(status.bounds.replicas_max));
        self.spec.replicas_min = self.bounds.0.clamp(least, most.max(least));
        self.spec.replicas_max = self.bounds.1.clamp(least, most.max(least));
        let state = state(self.now_seconds, self.scale, &self.pods[..self.n_pods], &self.readings);
        reconcile(&self.spec, &self.flags, &state, &mut self.memory, &mut self.pass);
        &self.pass
    }

    fn build(
        spec: Spec,
        flags: Flags,
        sources: Vec<Source>,
        pool: ActingPool,
        (stale_seconds, period_seconds): (f64, f64),
        facts: &OperatorFacts,
    ) -> Self {
        let mut hpa = Self {
            pool,
            bounds: (spec.replicas_min, spec.replicas_max),
            stale_seconds,
            period_seconds,
            sources,
            memory: Memory::default(),
            pass: Pass::default(),
            pods: Vec::new(),
            n_pods: 0,
            template: template(pool.facts(facts)),
            readings: vec![Reading::default(); spec.metrics.len()],
            now_seconds: 0.0,
            scale: Scale { spec_replicas: 0, status_replicas: 0, selector: Selector::Fine },
            spec,
            flags,
        };
        // Twice the pool, since those that drain still exist; a fleet that grows beyond makes room once.
        let most = pool.facts(facts).bounds.replicas_max;
        hpa.make_room((2 * most.min(10_000) + 16) as usize);
        hpa
    }

    /// The last pass in words. Pods have no names.
    pub fn report(&self) -> Report {
        let state = state(self.now_seconds, self.scale, &self.pods[..self.n_pods], &self.readings);
        Report::new(&self.spec, &state, &self.pass)
    }

    /// Makes room for so many pods.
    fn make_room(&mut self, n_pods: usize) {
        if n_pods <= self.pods.len() {
            return;
        }
        self.pods.resize(n_pods, self.template.clone());
        for (reading, source) in self.readings.iter_mut().zip(&self.sources) {
            match source {
                Source::Pods(..) => reading.samples.resize(n_pods, None),
                Source::Channel(..) | Source::External(..) | Source::Given(_) => reading.values.reserve(1),
            }
        }
        self.memory.reserve(&self.spec, &self.flags, self.period_seconds);
        self.pass.reserve(&self.spec, n_pods);
    }

    /// Takes over what is to be seen.
    fn look(&mut self, observation: &Observation<'_>) {
        let now_seconds = observation.now_seconds;
        self.now_seconds = now_seconds;
        let since = now_seconds - self.stale_seconds;
        let pool = self.pool.index() as u16;
        let is_pod = |replica: &&ReplicaSample| {
            replica.pool == pool && !matches!(replica.state, ReplicaState::Warm | ReplicaState::Gone)
        };
        self.make_room(observation.replicas.len());
        self.n_pods = 0;
        for (replica, pod) in observation.replicas.iter().filter(is_pod).zip(&mut self.pods) {
            pod.phase = if replica.started_seconds.is_some() { Phase::Running } else { Phase::Pending };
            pod.is_deleted = replica.state == ReplicaState::Draining;
            pod.started_seconds = replica.started_seconds;
            pod.ready = Some(Readiness {
                status: Some(replica.is_ready),
                changed_seconds: replica.ready_changed_seconds,
            });
            self.n_pods += 1;
        }
        for (source, reading) in self.sources.iter_mut().zip(&mut self.readings) {
            reading.failure = None;
            reading.values.clear();
            let last = match source {
                Source::Given(given) => {
                    match given {
                        Some(milli) => reading.values.push(*milli),
                        None => reading.failure = Some(Cow::Borrowed("no value in time")),
                    }
                    continue;
                }
                Source::Pods(value, which) => {
                    reading.samples.clear();
                    let samples = observation.replicas.iter().filter(is_pod).map(|replica| {
                        let usage = replica.usage.as_ref().filter(|usage| usage.at_seconds >= since)?;
                        let milli = value(usage, *which)?;
                        Some(Sample {
                            milli,
                            at_seconds: usage.at_seconds,
                            window_seconds: usage.window_seconds,
                        })
                    });
                    reading.samples.extend(samples);
                    continue;
                }
                Source::Channel(value, last) => {
                    for scrape in observation.scrapes {
                        if let Some(milli) = value(scrape).and_then(milli) {
                            *last = Some((scrape.at_seconds, milli));
                        }
                    }
                    last
                }
                Source::External(metric, last) => {
                    for sample in observation.external.iter().filter(|sample| sample.metric == *metric) {
                        if let Some(milli) = sample.value.and_then(milli) {
                            *last = Some((sample.at_seconds, milli));
                        }
                    }
                    last
                }
            };
            match last {
                Some((at_seconds, milli)) if *at_seconds >= since => reading.values.push(*milli),
                _ => reading.failure = Some(Cow::Borrowed("no value in time")),
            }
        }
    }

    /// Why, in a phrase.
    fn reason(&self) -> Reason {
        let Pass { end, current, desired, proposal, winner, stabilized, limited, .. } = self.pass;
        let what = match end {
            End::NoScale | End::NoSelector | End::MetricsFailed => "metrics failed",
            End::Disabled => "off at zero",
            End::AboveMaximum => "above the maximum",
            End::BelowMinimum => "below the minimum",
            End::Metrics => match limited.map_or(Limit::Within, |limited| limited.limit) {
                Limit::RateUp => "up, as fast as it may",
                Limit::RateDown => "down, as fast as it may",
                Limit::Maximum => "at the maximum",
                Limit::Minimum => "at the minimum",
                Limit::Within if stabilized.map(|stabilized| stabilized.replicas) != proposal => "stabilized",
                Limit::Within if desired > current => "metric above target",
                Limit::Within if desired < current => "all metrics below target",
                Limit::Within => "at target",
            },
        };
        let mut reason = Reason::new(what);
        if let Some(Ok(found)) = winner.map(|index| self.pass.metrics[index]) {
            reason = reason.about(kind(&self.spec.metrics[winner.unwrap_or(0)])).with("ratio", found.ratio);
        }
        if let Some(proposal) = proposal {
            reason = reason.with("proposal", f64::from(proposal));
        }
        reason
    }
}

impl Source {
    fn of(
        index: usize,
        metric: &Metric,
        pool: &PoolFacts,
        facts: &OperatorFacts,
    ) -> Result<Self, FieldError> {
        let unknown = |what: &str, name: &str, known: &[&str]| {
            let must = if known.is_empty() {
                "must be left out, since the service has none".to_owned()
            } else {
                format!("must be `{}`", known.join("`, `"))
            };
            let problem = format!("`spec.metrics[{index}]`: {what} {must}, but is {name:?}");
            Err(wrong("manifest", problem))
        };
        match metric {
            Metric::Resource { resource, .. } => {
                let n_containers = pool.containers.len().min(CONTAINERS_MAX);
                Ok(Self::Pods(
                    match resource {
                        Resource::Cpu => |usage, n| sum(&usage.cpu_cores[..n], milli),
                        Resource::Memory => |usage, n| sum(&usage.memory_gib[..n], bytes),
                    },
                    n_containers,
                ))
            }
            Metric::ContainerResource { resource, container, .. } => {
                let names: Vec<_> = pool.containers.iter().map(|known| known.name.as_str()).collect();
                let Some(which) = names.iter().position(|name| name == container) else {
                    return unknown("a container", container, &names);
                };
                Ok(Self::Pods(
                    match resource {
                        Resource::Cpu => |usage, which| milli(*usage.cpu_cores.get(which)?),
                        Resource::Memory => |usage, which| bytes(*usage.memory_gib.get(which)?),
                    },
                    which,
                ))
            }
            Metric::Pods { name, .. } => match name.as_str() {
                "requests_per_second" => Ok(Self::Pods(|usage, _| milli(usage.requests_per_second), 0)),
                "concurrency" => Ok(Self::Pods(|usage, _| milli(usage.concurrency), 0)),
                _ => unknown("a pods metric", name, &["requests_per_second", "concurrency"]),
            },
            Metric::Object { name, .. } => {
                let value = CHANNELS.iter().find(|(known, _)| known == name);
                let names = || CHANNELS.map(|(name, _)| name);
                value.map_or_else(
                    || unknown("an object metric", name, &names()),
                    |(_, value)| Ok(Self::Channel(*value, None)),
                )
            }
            Metric::External { name, .. } => {
                let names: Vec<_> = facts.external_metrics.iter().map(String::as_str).collect();
                match names.iter().position(|known| known == name) {
                    Some(position) => Ok(Self::External(position as u16, None)),
                    None => unknown("an external metric", name, &names),
                }
            }
            Metric::Unknown { kind } => unknown("a type", kind, &["Resource", "Pods", "Object", "External"]),
        }
    }
}

/// A channel of the scrape.
type Channel = fn(&Scrape) -> Option<f64>;

/// The channels of the scrape that an object metric can name.
const CHANNELS: [(&str, Channel); 10] = [
    ("requests_per_second", |scrape| scrape.requests_per_second),
    ("first_attempts_per_second", |scrape| scrape.first_attempts_per_second),
    ("errors_per_second", |scrape| scrape.errors_per_second),
    ("latency_mean_seconds", |scrape| scrape.latency_mean_seconds),
    ("latency_p50_seconds", |scrape| scrape.latency_p50_seconds),
    ("latency_p95_seconds", |scrape| scrape.latency_p95_seconds),
    ("latency_p99_seconds", |scrape| scrape.latency_p99_seconds),
    ("queue_length", |scrape| scrape.queue_length),
    ("concurrency", |scrape| scrape.concurrency),
    ("oldest_age_seconds", |scrape| scrape.oldest_age_seconds),
];

fn state<'a>(now_seconds: f64, scale: Scale<'a>, pods: &'a [Pod], readings: &'a [Reading]) -> State<'a> {
    State { now_seconds, namespace: "default", scale: Ok(scale), pods, readings, write_error: None }
}

/// A pod of this pool.
fn template(pool: &PoolFacts) -> Pod {
    let containers = pool.containers.iter().map(|container| Container {
        name: container.name.clone(),
        kind: ContainerKind::Regular,
        requests: Requests {
            cpu_milli: milli(container.cpu_cores_requested),
            memory_milli: bytes(container.memory_gib_requested),
        },
    });
    Pod {
        name: String::new(),
        phase: Phase::Pending,
        is_deleted: false,
        started_seconds: None,
        ready: None,
        containers: containers.collect(),
        requests: None,
        overhead: Requests::default(),
    }
}

/// What a metric is about.
const fn kind(metric: &Metric) -> &'static str {
    match metric {
        Metric::Resource { resource, .. } | Metric::ContainerResource { resource, .. } => resource.name(),
        Metric::Pods { .. } => "pods metric",
        Metric::Object { .. } => "object metric",
        Metric::External { .. } => "external metric",
        Metric::Unknown { .. } => "",
    }
}

/// Over containers; none if one of them has no number, since the metrics server then leaves out the pod.
fn sum(containers: &[f64], quantity: impl Fn(f64) -> Option<i64>) -> Option<i64> {
    containers.iter().try_fold(0_i64, |sum, value| Some(sum.saturating_add(quantity(*value)?)))
}

/// A quantity in thousandths, rounded up from nine digits; none if it is no number.
fn milli(value: f64) -> Option<i64> {
    if value.abs() < 9e9 {
        // The usual case without calls of `round` and `ceil`, which cost more than all else of a sample.
        let nano = (value * 1e9 + if value < 0.0 { -0.5 } else { 0.5 }) as i64;
        return Some(if nano > 0 { (nano + 999_999) / 1_000_000 } else { nano / 1_000_000 });
    }
    value.is_finite().then(|| (value * 1e3).ceil() as i64)
}

/// Whole bytes, in thousandths.
fn bytes(gib: f64) -> Option<i64> {
    const BYTES_PER_GIB: f64 = 1_073_741_824.0;
    gib.is_finite().then(|| ((gib * BYTES_PER_GIB + 0.5) as i64).saturating_mul(1000))
}

fn count(replicas: Replicas) -> i32 {
    i32::try_from(replicas).unwrap_or(i32::MAX)
}
