//! KEDA: triggers that wake a service from zero and put it to sleep, and a horizontal pod autoscaler in between.
//!
//! Two loops. Every polling interval KEDA asks its triggers whether they are active (value > activation) and goes
//! between 0 and 1, or idle and minimum ([`executor`]). Every 15 s the pod autoscaler ([`crate::hpa`]) goes between 1 and
//! N on the triggers' values as external metrics, ⌈value / threshold⌉ by default; its own minimum is max(1, minimum).
//! So activation wins over scaling: with threshold 10, activation 50 and value 40 it goes to 0, not to 4. And the
//! cooldown is only that of the step to 0; what is above 1 comes down by the rules of the pod autoscaler.
//!
//! A decision is one pass of the pod autoscaler, with a poll before it if one is due. Where the poll changes the
//! count, the pod autoscaler waits for the next decision. A poll that falls between two decisions waits for the next one.
//!
//! Source: kedacore/keda 8b4f083c, `pkg/scaling/executor/scale_scaledobjects.go`, `pkg/fallback`, `pkg/scalers`.

pub mod executor;
mod formula;

use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{
    Basis, Calendar, Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts, Reason,
    Replicas,
};

use self::executor::{Activity, Bounds, Executor, FallbackBehavior, fallback_value};
use self::formula::Formula;
use crate::catalog::{About, Parameter, Rule, Search};
use crate::cron_clock::{CronClock, read_cron, read_time_zone};
use crate::hpa::reconcile::End;
use crate::hpa::{Behavior, Hpa, Metric as HpaMetric, Policy, Resource, ScalingRules, Select, Spec, Target};
use crate::rule::{ActingPool, POOL, Window, not_negative, positive, wrong};
use crate::signal::{Metric, Signal};

/// What can be set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
#[allow(clippy::struct_excessive_bools)] // KEDA's annotations are switches
pub struct Parameters {
    pub pool: Option<String>,
    pub triggers: Option<Vec<TriggerParameters>>,
    pub backlog_per_replica: Option<f64>,
    pub activation: f64,
    pub polling_seconds: f64,
    pub cooldown_seconds: f64,
    pub initial_cooldown_seconds: f64,
    pub replicas_idle: Option<Replicas>,
    pub replicas_min: Option<Replicas>,
    pub replicas_max: Option<Replicas>,
    pub fallback: Option<FallbackParameters>,
    pub scaling_modifiers: Option<ModifiersParameters>,
    pub scale_up: Option<RulesParameters>,
    pub scale_down: Option<RulesParameters>,
    pub paused: bool,
    pub paused_replicas: Option<Replicas>,
    pub paused_scale_in: bool,
    pub paused_scale_out: bool,
    pub force_activation: bool,
    pub stale_seconds: f64,
    pub period_seconds: f64,
}

/// One trigger.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TriggerParameters {
    /// An external metric of the scenario.
    External {
        /// Its name.
        metric: String,
        /// As formulas call it; default `metric`.
        name: Option<String>,
        /// Value that one replica should have, or all of them with `value`.
        threshold: f64,
        /// It is active above this; default 0.
        #[serde(default)]
        activation: f64,
        /// How the value is compared; default per replica.
        #[serde(default)]
        metric_type: MetricType,
        /// Whether the pod autoscaler sees the value of the last poll; default false.
        #[serde(default)]
        use_cached_metrics: bool,
    },
    /// A channel of the service, as those of `metric_vote`.
    Service {
        /// The channel.
        metric: Metric,
        /// As formulas call it; default `trigger_` and its position.
        name: Option<String>,
        /// As above.
        threshold: f64,
        /// As above.
        #[serde(default)]
        activation: f64,
        /// As above.
        #[serde(default)]
        metric_type: MetricType,
        /// As above.
        #[serde(default)]
        use_cached_metrics: bool,
    },
    /// So many replicas from one cron expression to the next.
    Cron {
        /// As formulas call it.
        name: Option<String>,
        /// When it begins.
        start: String,
        /// When it ends.
        end: String,
        /// IANA name; the operator's zone if there is none.
        time_zone: Option<String>,
        /// Replicas meanwhile; 1 at other times.
        desired_replicas: Replicas,
    },
    /// Cpu used over requested.
    Cpu {
        /// Target as a share, rounded to whole percent.
        utilization: f64,
    },
    /// Memory used over requested.
    Memory {
        /// Target as a share, rounded to whole percent.
        utilization: f64,
    },
}

/// How a value is compared with a threshold.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum MetricType {
    /// ⌈value / threshold⌉ replicas.
    #[default]
    AverageValue,
    /// ⌈ready · value / threshold⌉ replicas.
    Value,
}

/// What to do when triggers fail.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct FallbackParameters {
    /// It begins with one failure in a row more than this.
    pub failure_threshold: u32,
    /// Replicas then.
    pub replicas: Replicas,
    /// What it makes of that; default `static`.
    #[serde(default)]
    pub behavior: FallbackBehavior,
}

/// One metric in place of all triggers but cpu and memory.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ModifiersParameters {
    /// An expression over the triggers' names.
    pub formula: String,
    /// As a trigger's threshold.
    pub target: f64,
    /// It is active above this; default 0.
    #[serde(default)]
    pub activation_target: f64,
    /// How it is compared; default per replica.
    #[serde(default)]
    pub metric_type: MetricType,
}

/// `behavior.scaleUp` or `scaleDown` of the pod autoscaler; what is not set is as by its API.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RulesParameters {
    /// `stabilizationWindowSeconds`.
    pub window_seconds: Option<u32>,
    /// `selectPolicy`: `max`, `min` or `disabled`.
    pub select: SelectParameter,
    /// `policies`.
    pub policies: Option<Vec<PolicyParameters>>,
    /// `tolerance`.
    pub tolerance: Option<f64>,
}

/// `selectPolicy`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SelectParameter {
    /// The policy with the most change.
    #[default]
    Max,
    /// The policy with the least.
    Min,
    /// No change.
    Disabled,
}

/// One policy; either `pods` or `percent`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PolicyParameters {
    /// So many pods in a period.
    pub pods: Option<u32>,
    /// So many percent in a period.
    pub percent: Option<u32>,
    /// The period, 1 to 1800.
    pub period_seconds: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            pool: None,
            triggers: None,
            backlog_per_replica: None,
            activation: 0.0,
            polling_seconds: 30.0,
            cooldown_seconds: 300.0,
            initial_cooldown_seconds: 0.0,
            replicas_idle: None,
            replicas_min: None,
            replicas_max: None,
            fallback: None,
            scaling_modifiers: None,
            scale_up: None,
            scale_down: None,
            paused: false,
            paused_replicas: None,
            paused_scale_in: false,
            paused_scale_out: false,
            force_activation: false,
            stale_seconds: 300.0,
            period_seconds: 15.0,
        }
    }
}

/// The controller.
#[derive(Debug)]
pub struct Keda {
    pool: ActingPool,
    calendar: Calendar,
    triggers: Vec<Trigger>,
    /// Of triggers in their order, without cpu and memory: their values now, for the formula.
    values: Vec<Option<f64>>,
    modifiers: Option<Modifiers>,
    hpa: Hpa,
    needs: Needs,
    /// None until the first decision.
    executor: Option<Executor>,
    next_poll_seconds: f64,
    parameters: Parameters,
}

#[derive(Debug)]
struct Trigger {
    source: Source,
    goal: Goal,
    /// Whether the pod autoscaler sees the last poll's value.
    is_cached: bool,
    polled: Option<f64>,
    n_failures: u32,
}

#[derive(Debug)]
enum Source {
    Measured(Signal, Window),
    Cron(Box<Times>),
}

/// From `start` to `end`, over and over.
#[derive(Debug)]
struct Times {
    start: CronClock,
    end: CronClock,
    desired: Replicas,
    is_active: bool,
}

/// What a value is compared with.
#[derive(Clone, Copy, Debug)]
struct Goal {
    threshold: f64,
    activation: f64,
    metric_type: MetricType,
}

#[derive(Debug)]
struct Modifiers {
    formula: Formula,
    goal: Goal,
}

impl Rule for Keda {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "keda",
        summary: "KEDA: triggers that wake a service from zero and put it to sleep, and a horizontal pod autoscaler in between.",
        source: "kedacore/keda 8b4f083c, pkg/scaling/executor, pkg/fallback, pkg/scalers; keda-docs a55c5d34",
        parameters: &[
            POOL,
            Parameter::new(
                "triggers",
                "",
                "(concurrency of the service)",
                "What it looks at; see below. Takes the place of the next two.",
            ),
            Parameter::new(
                "backlog_per_replica",
                "1",
                "(one replica's slots)",
                "Without `triggers`: threshold of the service's concurrency, waiting or in service.",
            )
            .searched(Search::Log { low: 0.5, high: 64.0 }),
            Parameter::new(
                "activation",
                "1",
                "0.0",
                "Without `triggers`: it is active above this concurrency.",
            ),
            Parameter::new("polling_seconds", "s", "30.0", "How often it asks whether a trigger is active.")
                .searched(Search::Log { low: 15.0, high: 120.0 }),
            Parameter::new(
                "cooldown_seconds",
                "s",
                "300.0",
                "Wait after the last activity before it goes to zero or idle.",
            )
            .searched(Search::Linear { low: 0.0, high: 1800.0 }),
            Parameter::new(
                "initial_cooldown_seconds",
                "s",
                "0.0",
                "The same from the start, as long as there was no activity.",
            ),
            Parameter::new(
                "replicas_idle",
                "replicas",
                "(the least)",
                "Replicas while inactive, below the least; KEDA supports 0 only.",
            ),
            Parameter::new(
                "replicas_min",
                "replicas",
                "(the pool's)",
                "Least while active, within the pool's bounds.",
            ),
            Parameter::new(
                "replicas_max",
                "replicas",
                "(the pool's)",
                "Most, within the pool's bounds; 100 in KEDA.",
            ),
            Parameter::new("fallback", "", "(none)", "What to do when triggers fail; see below."),
            Parameter::new(
                "scaling_modifiers",
                "",
                "(none)",
                "One metric made of all triggers by a formula; see below.",
            ),
            Parameter::new(
                "scale_up",
                "",
                "(as in hpa)",
                "`behavior.scaleUp` of the pod autoscaler; see below.",
            ),
            Parameter::new(
                "scale_down",
                "",
                "(as in hpa)",
                "`behavior.scaleDown` of the pod autoscaler; see below.",
            ),
            Parameter::new("paused", "", "false", "Whether it keeps what is declared."),
            Parameter::new("paused_replicas", "replicas", "(not paused)", "It goes there and stays."),
            Parameter::new("paused_scale_in", "", "false", "Whether it never scales in."),
            Parameter::new("paused_scale_out", "", "false", "Whether it never scales out."),
            Parameter::new(
                "force_activation",
                "",
                "false",
                "Whether it counts as active whatever triggers say.",
            ),
            Parameter::new(
                "stale_seconds",
                "s",
                "300.0",
                "A trigger without a value younger than this fails.",
            ),
            Parameter::new("period_seconds", "s", "15.0", "How often the pod autoscaler decides."),
        ],
    };

    fn check(parameters: &Parameters) -> Result<(), FieldError> {
        positive(&[
            ("polling_seconds", parameters.polling_seconds),
            ("period_seconds", parameters.period_seconds),
            ("stale_seconds", parameters.stale_seconds),
            ("backlog_per_replica", parameters.backlog_per_replica.unwrap_or(1.0)),
        ])?;
        not_negative(&[
            ("cooldown_seconds", parameters.cooldown_seconds),
            ("initial_cooldown_seconds", parameters.initial_cooldown_seconds),
            ("activation", parameters.activation),
        ])?;
        let (least, most) = (parameters.replicas_min, parameters.replicas_max);
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            let problem = format!("must be at most `replicas_max`, which is {most}, but is {least}");
            return Err(wrong("replicas_min", problem));
        }
        if most == Some(0) {
            return Err(wrong("replicas_max", "must be at least 1, but is 0"));
        }
        if let (Some(idle), Some(least)) = (parameters.replicas_idle, least)
            && idle >= least
        {
            let problem = format!("must be below `replicas_min`, which is {least}, but is {idle}");
            return Err(wrong("replicas_idle", problem));
        }
        for (name, rules) in [("scale_up", &parameters.scale_up), ("scale_down", &parameters.scale_down)] {
            if let Some(rules) = rules {
                rules.check(name)?;
            }
        }
        let has_own = parameters.backlog_per_replica.is_some();
        if let Some(triggers) = &parameters.triggers {
            if triggers.is_empty() {
                return Err(wrong("triggers", "must hold at least one trigger, but is empty"));
            }
            if has_own {
                return Err(wrong("backlog_per_replica", "must not be set beside `triggers`"));
            }
            for (index, trigger) in triggers.iter().enumerate() {
                trigger.check(&format!("triggers[{index}]"))?;
            }
        }
        let names = parameters.names();
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                let problem = format!("must have different names, but {name:?} comes twice");
                return Err(wrong("triggers", problem));
            }
        }
        if let Some(modifiers) = &parameters.scaling_modifiers {
            positive(&[("scaling_modifiers.target", modifiers.target)])?;
            Formula::read(&modifiers.formula, &names)?;
        }
        Ok(())
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let slots = f64::from(pool.facts(facts).concurrency);
        let written = parameters.written(slots);
        let (mut triggers, mut metrics, mut resources) = (Vec::new(), Vec::new(), Vec::new());
        for (index, trigger) in written.iter().enumerate() {
            match trigger.build(index, pool, parameters.stale_seconds, facts)? {
                Built::Trigger(trigger) => triggers.push(*trigger),
                Built::Resource(metric) => resources.push(metric),
            }
        }
        let names = parameters.names();
        let modifiers = match &parameters.scaling_modifiers {
            None => None,
            Some(written) => Some(Modifiers {
                formula: Formula::read(&written.formula, &names)?,
                goal: Goal {
                    threshold: written.target,
                    activation: written.activation_target,
                    metric_type: written.metric_type,
                },
            }),
        };
        match &modifiers {
            Some(modifiers) => metrics.push(modifiers.goal.metric("composite-metric")),
            None => {
                metrics.extend(triggers.iter().zip(&names).map(|(trigger, name)| trigger.goal.metric(name)));
            }
        }
        let needs_pods = !resources.is_empty()
            || metrics
                .iter()
                .any(|metric| matches!(metric, HpaMetric::External { target: Target::Value { .. }, .. }));
        metrics.extend(resources);
        let most = parameters.replicas_max.unwrap_or(Replicas::MAX);
        let spec = Spec {
            replicas_min: count(parameters.replicas_min.unwrap_or(0).max(1)),
            replicas_max: count(most),
            metrics,
            behavior: parameters.behavior(),
        };
        Ok(Self {
            pool,
            calendar: facts.calendar,
            values: vec![None; triggers.len()],
            triggers,
            modifiers,
            hpa: Hpa::driven(spec, pool, parameters.stale_seconds, parameters.period_seconds, facts)?,
            needs: if needs_pods { Needs::REPLICAS } else { Needs::AGGREGATES },
            executor: None,
            next_poll_seconds: 0.0,
            parameters: parameters.clone(),
        })
    }
}

impl Controller for Keda {
    fn period_seconds(&self) -> f64 {
        self.parameters.period_seconds
    }

    fn needs(&self) -> Needs {
        self.needs
    }

    fn reset(&mut self, chance: ControllerStream) {
        for trigger in &mut self.triggers {
            (trigger.polled, trigger.n_failures) = (None, 0);
            match &mut trigger.source {
                Source::Measured(_, window) => window.clear(),
                Source::Cron(times) => {
                    times.start.clear();
                    times.end.clear();
                }
            }
        }
        self.hpa.reset(chance);
        self.executor = None;
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let now = observation.now_seconds;
        let status = *self.pool.status(observation);
        for trigger in &mut self.triggers {
            trigger.look(observation, &self.calendar);
        }
        if self.executor.is_none() {
            self.executor = Some(Executor::new(now));
            self.next_poll_seconds = now;
        }
        // A poll that is due is made whether or not its answer may be used, as is the pod autoscaler's pass.
        let polled = if now + 1e-9 >= self.next_poll_seconds {
            while self.next_poll_seconds <= now + 1e-9 {
                self.next_poll_seconds += self.parameters.polling_seconds;
            }
            self.poll(observation)
        } else {
            None
        };
        if let Some(replicas) = self.parameters.paused_replicas {
            return self.pool.decide(observation, replicas, Reason::new("paused"));
        }
        if self.parameters.paused {
            return self.pool.decide(observation, status.declared, Reason::new("paused"));
        }
        if let Some(wanted) = polled {
            let what = if wanted > status.declared { "a trigger is active" } else { "no trigger is active" };
            return self.pool.decide(observation, wanted, Reason::new(what));
        }
        let is_fallback = self.give_metrics(observation);
        let pass = self.hpa.run(observation);
        let (end, desired) = (pass.end, pass.desired);
        match end {
            End::MetricsFailed | End::NoScale | End::NoSelector => {
                self.pool.hold(observation, "triggers fail")
            }
            End::Disabled => self.pool.decide(observation, status.declared, Reason::new("asleep")),
            End::AboveMaximum | End::BelowMinimum | End::Metrics => {
                let decision =
                    self.pool.decide(observation, desired.max(0) as Replicas, Reason::new("pod autoscaler"));
                if is_fallback { Decision { basis: Basis::Fallback, ..decision } } else { decision }
            }
        }
    }

    fn explain(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        for (name, trigger) in self.parameters.names().iter().zip(&self.triggers) {
            let Goal { threshold, activation, .. } = trigger.goal;
            match trigger.value(f64::NEG_INFINITY) {
                Some(value) => {
                    writeln!(out, "{name}: {value:.3} (threshold {threshold}, activation {activation})")?;
                }
                None => writeln!(out, "{name}: {} failures in a row", trigger.n_failures)?,
            }
        }
        self.hpa.explain(out)
    }
}

impl Keda {
    /// One poll: what KEDA itself declares, if anything.
    fn poll(&mut self, observation: &Observation<'_>) -> Option<Replicas> {
        let now = observation.now_seconds;
        let status = self.pool.status(observation);
        // With cpu and memory alone there is nothing that could wake it, so it never sleeps.
        let mut is_active = self.triggers.is_empty();
        let mut is_error = false;
        for (trigger, value) in self.triggers.iter_mut().zip(&mut self.values) {
            *value = trigger.value(now);
            trigger.polled = *value;
            is_error |= value.is_none();
            if self.modifiers.is_none() {
                is_active |= trigger.is_active(*value);
            }
        }
        if let Some(modifiers) = &mut self.modifiers {
            let composite = modifiers.formula.value(&self.values);
            is_active |= composite.is_some_and(|value| value > modifiers.goal.activation);
            is_error |= composite.is_none();
        }
        is_active |= self.parameters.force_activation;
        let parameters = &self.parameters;
        let bounds = Bounds {
            replicas_min: parameters.replicas_min.unwrap_or(0).max(status.bounds.replicas_min),
            replicas_idle: parameters.replicas_idle,
            cooldown_seconds: parameters.cooldown_seconds,
            initial_cooldown_seconds: parameters.initial_cooldown_seconds,
            fallback: parameters.fallback.as_ref().map(|fallback| fallback.replicas),
        };
        let activity = Activity { is_active, is_error };
        let executor = self.executor.as_mut().expect("the first decision made one");
        let declared = status.declared;
        let wanted = executor.scale(&bounds, now, declared, activity)?;
        let wanted = self.pool.bounded(observation, wanted);
        let is_paused =
            if wanted > declared { parameters.paused_scale_out } else { parameters.paused_scale_in };
        (!is_paused && wanted != declared).then_some(wanted)
    }

    /// Gives the pod autoscaler its metrics; says whether a fallback is among them.
    fn give_metrics(&mut self, observation: &Observation<'_>) -> bool {
        let now = observation.now_seconds;
        let status = self.pool.status(observation);
        let fallback = self.parameters.fallback.as_ref();
        let stand_in = |goal: &Goal, fallback: &FallbackParameters| {
            let ready = (goal.metric_type == MetricType::Value).then_some(status.ready);
            fallback_value(fallback.behavior, fallback.replicas, status.declared, goal.threshold, ready)
        };
        let (mut is_fallback, mut any_failing, mut all_known) = (false, false, true);
        for (index, trigger) in self.triggers.iter_mut().enumerate() {
            let mut value = if trigger.is_cached { trigger.polled } else { trigger.value(now) };
            let is_failing = trigger.count_failures(value.is_none(), fallback);
            any_failing |= is_failing;
            self.values[index] = value;
            let is_nil_allowed = is_failing
                && fallback.is_some_and(|fallback| fallback.behavior == FallbackBehavior::ScalingModifiers);
            all_known &= value.is_some() || is_nil_allowed;
            is_fallback |= is_nil_allowed && self.modifiers.is_some();
            if self.modifiers.is_none() {
                if let Some(fallback) = fallback.filter(|_| is_failing) {
                    value = stand_in(&trigger.goal, fallback);
                    is_fallback = true;
                }
                self.hpa.give(index, value.and_then(milli));
            }
        }
        if let Some(modifiers) = &mut self.modifiers {
            let mut value = modifiers.formula.value(&self.values).filter(|_| all_known);
            if let Some(fallback) = fallback.filter(|_| any_failing && value.is_none()) {
                value = stand_in(&modifiers.goal, fallback);
                is_fallback = true;
            }
            self.hpa.give(0, value.and_then(milli));
        }
        is_fallback
    }
}

impl Trigger {
    fn look(&mut self, observation: &Observation<'_>, calendar: &Calendar) {
        match &mut self.source {
            Source::Measured(signal, window) => signal.feed(observation, window),
            Source::Cron(times) => {
                times.start.advance(calendar, observation.now_seconds);
                times.end.advance(calendar, observation.now_seconds);
                // Between start and end the end comes first. An expression that never comes again is infinitely far.
                times.is_active = match (times.start.next(), times.end.next()) {
                    (Some(start), Some(end)) => start >= end,
                    (start, _) => start.is_none(),
                };
            }
        }
    }

    /// Its value; none if it fails.
    fn value(&self, now_seconds: f64) -> Option<f64> {
        match &self.source {
            Source::Measured(_, window) => window.mean(now_seconds),
            Source::Cron(times) => Some(if times.is_active { f64::from(times.desired) } else { 1.0 }),
        }
    }

    fn is_active(&self, value: Option<f64>) -> bool {
        match &self.source {
            Source::Measured(..) => value.is_some_and(|value| value > self.goal.activation),
            Source::Cron(times) => times.is_active,
        }
    }

    /// Counts failures in a row; says whether they are enough for the fallback.
    fn count_failures(&mut self, is_failure: bool, fallback: Option<&FallbackParameters>) -> bool {
        self.n_failures = if is_failure { self.n_failures.saturating_add(1) } else { 0 };
        fallback.is_some_and(|fallback| self.n_failures > fallback.failure_threshold)
    }
}

impl Goal {
    fn metric(&self, name: &str) -> HpaMetric {
        let milli = ((self.threshold * 1e3).round() as i64).max(1);
        HpaMetric::External {
            name: name.into(),
            selector: "nil".into(),
            target: match self.metric_type {
                MetricType::AverageValue => Target::AverageValue { milli },
                MetricType::Value => Target::Value { milli },
            },
        }
    }
}

enum Built {
    Trigger(Box<Trigger>),
    Resource(HpaMetric),
}

impl TriggerParameters {
    fn check(&self, path: &str) -> Result<(), FieldError> {
        match self {
            Self::External { threshold, activation, .. } | Self::Service { threshold, activation, .. } => {
                positive(&[(&format!("{path}.threshold"), *threshold)])?;
                not_negative(&[(&format!("{path}.activation"), *activation)])?;
                if matches!(self, Self::Service { metric: Metric::External, .. }) {
                    let problem = "must be a channel; an external metric has `kind = \"external\"`";
                    return Err(wrong(&format!("{path}.metric"), problem));
                }
                Ok(())
            }
            Self::Cron { start, end, time_zone, .. } => {
                read_cron(start, &format!("{path}.start"))?;
                read_cron(end, &format!("{path}.end"))?;
                if start == end {
                    return Err(wrong(&format!("{path}.end"), "must differ from `start`, but is the same"));
                }
                match time_zone {
                    Some(name) => read_time_zone(name, &format!("{path}.time_zone")).map(|_| ()),
                    None => Ok(()),
                }
            }
            Self::Cpu { utilization } | Self::Memory { utilization } => {
                if (0.01..=100.0).contains(utilization) {
                    return Ok(());
                }
                let problem = format!("must be 0.01 to 100, but is {utilization}");
                Err(wrong(&format!("{path}.utilization"), problem))
            }
        }
    }

    /// As formulas call it; none for cpu and memory, which no formula sees.
    fn name(&self, index: usize) -> Option<String> {
        match self {
            Self::External { name, metric, .. } => Some(name.clone().unwrap_or_else(|| metric.clone())),
            Self::Service { name, .. } | Self::Cron { name, .. } => {
                Some(name.clone().unwrap_or_else(|| format!("trigger_{index}")))
            }
            Self::Cpu { .. } | Self::Memory { .. } => None,
        }
    }

    fn build(
        &self,
        index: usize,
        pool: ActingPool,
        stale_seconds: f64,
        facts: &OperatorFacts,
    ) -> Result<Built, FieldError> {
        let path = format!("triggers[{index}]");
        let measured = |signal, threshold, activation, metric_type, is_cached| {
            // The newest value only, as a query gives it.
            let source = Source::Measured(signal, Window::new(0.0, stale_seconds, facts.scrape_seconds));
            let goal = Goal { threshold, activation, metric_type };
            Built::Trigger(Box::new(Trigger { source, goal, is_cached, polled: None, n_failures: 0 }))
        };
        let resource = |resource, utilization: f64| {
            let percent = (100.0 * utilization).round().max(1.0) as i32;
            Built::Resource(HpaMetric::Resource { resource, target: Target::Utilization { percent } })
        };
        Ok(match self {
            Self::External { metric, threshold, activation, metric_type, use_cached_metrics, .. } => {
                let signal = Signal::external(metric, pool, facts)
                    .map_err(|error| FieldError { field: format!("{path}.metric"), ..error })?;
                measured(signal, *threshold, *activation, *metric_type, *use_cached_metrics)
            }
            Self::Service { metric, threshold, activation, metric_type, use_cached_metrics, .. } => {
                let signal = Signal::new(*metric, pool, facts);
                measured(signal, *threshold, *activation, *metric_type, *use_cached_metrics)
            }
            Self::Cron { start, end, time_zone, desired_replicas, .. } => {
                let zone = match time_zone {
                    Some(name) => read_time_zone(name, &format!("{path}.time_zone"))?,
                    None => facts.calendar.time_zone,
                };
                let clock = |text: &str, field: &str| {
                    Ok::<_, FieldError>(CronClock::new(read_cron(text, &format!("{path}.{field}"))?, zone))
                };
                let source = Source::Cron(Box::new(Times {
                    start: clock(start, "start")?,
                    end: clock(end, "end")?,
                    desired: *desired_replicas,
                    is_active: false,
                }));
                // One replica for each that is wanted.
                let goal = Goal { threshold: 1.0, activation: 0.0, metric_type: MetricType::AverageValue };
                Built::Trigger(Box::new(Trigger {
                    source,
                    goal,
                    is_cached: false,
                    polled: None,
                    n_failures: 0,
                }))
            }
            Self::Cpu { utilization } => resource(Resource::Cpu, *utilization),
            Self::Memory { utilization } => resource(Resource::Memory, *utilization),
        })
    }
}

impl Parameters {
    fn written(&self, slots: f64) -> Vec<TriggerParameters> {
        self.triggers.clone().unwrap_or_else(|| {
            vec![TriggerParameters::Service {
                metric: Metric::Concurrency,
                name: None,
                threshold: self.backlog_per_replica.unwrap_or(slots),
                activation: self.activation,
                metric_type: MetricType::AverageValue,
                use_cached_metrics: false,
            }]
        })
    }

    /// Of the triggers that formulas see, in their order.
    fn names(&self) -> Vec<String> {
        let triggers = self.written(1.0);
        triggers.iter().enumerate().filter_map(|(index, trigger)| trigger.name(index)).collect()
    }

    /// `behavior` of the pod autoscaler; none if nothing here asks for one.
    fn behavior(&self) -> Option<Behavior> {
        let asks = self.scale_up.is_some() || self.scale_down.is_some();
        if !(asks || self.paused_scale_in || self.paused_scale_out) {
            return None;
        }
        let mut behavior = Behavior::default();
        if let Some(rules) = &self.scale_up {
            rules.apply(&mut behavior.up);
        }
        if let Some(rules) = &self.scale_down {
            rules.apply(&mut behavior.down);
        }
        if self.paused_scale_out {
            behavior.up.select = Select::Disabled;
        }
        if self.paused_scale_in {
            behavior.down.select = Select::Disabled;
        }
        Some(behavior)
    }
}

impl RulesParameters {
    fn check(&self, path: &str) -> Result<(), FieldError> {
        if let Some(seconds) = self.window_seconds.filter(|seconds| *seconds > 3600) {
            let problem = format!("must be 0 to 3600, but is {seconds}");
            return Err(wrong(&format!("{path}.window_seconds"), problem));
        }
        not_negative(&[(&format!("{path}.tolerance"), self.tolerance.unwrap_or(0.0))])?;
        let Some(policies) = &self.policies else { return Ok(()) };
        if policies.is_empty() {
            return Err(wrong(&format!("{path}.policies"), "must hold at least one policy, but is empty"));
        }
        for (index, policy) in policies.iter().enumerate() {
            let path = format!("{path}.policies[{index}]");
            let ((Some(value), None) | (None, Some(value))) = (policy.pods, policy.percent) else {
                return Err(wrong(&path, "must set one of `pods` and `percent`"));
            };
            if value == 0 || value > 1_000_000 {
                return Err(wrong(&path, format!("must allow 1 to 1000000, but is {value}")));
            }
            if !(1..=1800).contains(&policy.period_seconds) {
                let problem = format!("must be 1 to 1800, but is {}", policy.period_seconds);
                return Err(wrong(&format!("{path}.period_seconds"), problem));
            }
        }
        Ok(())
    }

    fn apply(&self, rules: &mut ScalingRules) {
        rules.window_seconds = self.window_seconds.map(count).or(rules.window_seconds);
        rules.select = match self.select {
            SelectParameter::Max => Select::Max,
            SelectParameter::Min => Select::Min,
            SelectParameter::Disabled => Select::Disabled,
        };
        rules.tolerance = self.tolerance;
        if let Some(policies) = &self.policies {
            let policy = |policy: &PolicyParameters| {
                let period = count(policy.period_seconds);
                match (policy.pods, policy.percent) {
                    (Some(pods), _) => Policy::pods(count(pods), period),
                    (None, percent) => Policy::percent(count(percent.unwrap_or(0)), period),
                }
            };
            rules.policies = policies.iter().map(policy).collect();
        }
    }
}

/// A quantity in thousandths, cut as KEDA cuts it; none if it is no number.
fn milli(value: f64) -> Option<i64> {
    value.is_finite().then_some((value * 1e3) as i64)
}

fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
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
        (desk.pools[0].declared, desk.pools[0].observed, desk.pools[0].ready) =
            (declared, declared, declared);
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
        let modifiers = |formula: &str| {
            format!("{triggers}scaling_modifiers = {{ formula = \"{formula}\", target = 2 }}\n")
        };
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
        expect!["`triggers` must hold at least one trigger, but is empty"]
            .assert_eq(&complain("triggers = []"));
        expect!["`replicas_idle` must be below `replicas_min`, which is 2, but is 2"]
            .assert_eq(&complain("replicas_idle = 2\nreplicas_min = 2"));
        expect!["`triggers[0].threshold` must be a positive number, but is 0"]
            .assert_eq(&complain(&trigger(0.0, 0.0)));
        expect![[r#"`triggers[0].metric` must be an external metric of the scenario (`queue`, `other`), but is "lag""#]]
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
}
