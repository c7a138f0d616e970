//! What can be set of a scaled object and of its triggers, and what KEDA would refuse.

use serde::{Deserialize, Serialize};
use tidegate_core::Replicas;
use tidegate_core::locate::FieldError;

use super::executor::FallbackBehavior;
use super::formula::Formula;
use crate::cron_clock::{read_cron, read_time_zone};
use crate::hpa::{Behavior, Policy, ScalingRules, Select};
use crate::rule::{not_negative, positive, wrong};
use crate::signal::Metric;

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

impl Parameters {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        positive(&[
            ("polling_seconds", self.polling_seconds),
            ("period_seconds", self.period_seconds),
            ("stale_seconds", self.stale_seconds),
            ("backlog_per_replica", self.backlog_per_replica.unwrap_or(1.0)),
        ])?;
        not_negative(&[
            ("cooldown_seconds", self.cooldown_seconds),
            ("initial_cooldown_seconds", self.initial_cooldown_seconds),
            ("activation", self.activation),
        ])?;
        let (least, most) = (self.replicas_min, self.replicas_max);
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            let problem = format!("must be at most `replicas_max`, which is {most}, but is {least}");
            return Err(wrong("replicas_min", problem));
        }
        if most == Some(0) {
            return Err(wrong("replicas_max", "must be at least 1, but is 0"));
        }
        if let (Some(idle), Some(least)) = (self.replicas_idle, least)
            && idle >= least
        {
            let problem = format!("must be below `replicas_min`, which is {least}, but is {idle}");
            return Err(wrong("replicas_idle", problem));
        }
        for (name, rules) in [("scale_up", &self.scale_up), ("scale_down", &self.scale_down)] {
            if let Some(rules) = rules {
                rules.check(name)?;
            }
        }
        let has_own = self.backlog_per_replica.is_some();
        if let Some(triggers) = &self.triggers {
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
        let names = self.names();
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                let problem = format!("must have different names, but {name:?} comes twice");
                return Err(wrong("triggers", problem));
            }
        }
        if let Some(modifiers) = &self.scaling_modifiers {
            positive(&[("scaling_modifiers.target", modifiers.target)])?;
            Formula::read(&modifiers.formula, &names)?;
        }
        Ok(())
    }

    pub(super) fn written(&self, slots: f64) -> Vec<TriggerParameters> {
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
    pub(super) fn names(&self) -> Vec<String> {
        let triggers = self.written(1.0);
        triggers.iter().enumerate().filter_map(|(index, trigger)| trigger.name(index)).collect()
    }

    /// `behavior` of the pod autoscaler; none if nothing here asks for one.
    pub(super) fn behavior(&self) -> Option<Behavior> {
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

pub(super) fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
