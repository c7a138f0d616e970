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
mod parameters;
#[cfg(test)]
mod tests;
mod trigger;

use std::fmt;

use tidegate_core::locate::FieldError;
use tidegate_core::{
    Basis, Calendar, Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts, Reason,
    Replicas,
};

use self::executor::{Activity, Bounds, Executor, FallbackBehavior, fallback_value};
use self::formula::Formula;
use self::parameters::count;
pub use self::parameters::{
    FallbackParameters, MetricType, ModifiersParameters, Parameters, PolicyParameters, RulesParameters,
    SelectParameter, TriggerParameters,
};
use self::trigger::{Built, Goal, Trigger};
use crate::catalog::{About, Parameter, Rule, Search};
use crate::hpa::reconcile::End;
use crate::hpa::{Hpa, Metric as HpaMetric, Spec, Target};
use crate::rule::{ActingPool, POOL};

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
        parameters.check()
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
        self.triggers.iter_mut().for_each(Trigger::clear);
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

/// A quantity in thousandths, cut as KEDA cuts it; none if it is no number.
fn milli(value: f64) -> Option<i64> {
    value.is_finite().then_some((value * 1e3) as i64)
}
