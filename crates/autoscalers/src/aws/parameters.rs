//! What can be set of a group and of its policies, and what AWS would refuse.

use serde::{Deserialize, Serialize};
use tidegate_core::Replicas;
use tidegate_core::locate::FieldError;

use super::adjustment::{AdjustmentType, StepAdjustment, check_steps};
use super::alarm::Comparison;
use super::series::MetricChoice;
use crate::cron_clock::read_time_zone;
use crate::rule::{low_below_high, not_negative, positive, share, wrong};
use crate::scheduled::{EntryParameters, check_entries};
use crate::signal::Metric;

/// A whole group.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `GROUP_PARAMETERS`
pub struct GroupParameters {
    pub pool: Option<String>,
    pub target_tracking: Option<Vec<TargetTrackingParameters>>,
    pub step: Option<Vec<StepParameters>>,
    pub simple: Option<Vec<SimpleParameters>>,
    pub scheduled: Option<Vec<EntryParameters>>,
    pub predictive: Option<Vec<PredictiveParameters>>,
    pub capacity_min: Option<Replicas>,
    pub capacity_max: Option<Replicas>,
    pub default_instance_warm_up_seconds: Option<f64>,
    pub default_cooldown_seconds: f64,
    pub warm_pool_min: Replicas,
    pub warm_pool_prepared_max: Option<Replicas>,
    pub time_zone: Option<String>,
    pub schedule_lateness_seconds: f64,
    pub period_seconds: f64,
}

impl Default for GroupParameters {
    fn default() -> Self {
        Self {
            pool: None,
            target_tracking: None,
            step: None,
            simple: None,
            scheduled: None,
            predictive: None,
            capacity_min: None,
            capacity_max: None,
            default_instance_warm_up_seconds: None,
            default_cooldown_seconds: 300.0,
            warm_pool_min: 0,
            warm_pool_prepared_max: None,
            time_zone: None,
            schedule_lateness_seconds: 0.0,
            period_seconds: 60.0,
        }
    }
}

/// The metric of a policy, read from the fields that all of them spell alike. They stand in each, since serde cannot both
/// share fields and refuse unknown ones.
macro_rules! metric_choice {
    ($($policy:ty)*) => {$(
        impl $policy {
            pub(super) fn metric(&self) -> MetricChoice<'_> {
                MetricChoice {
                    metric: self.metric,
                    external: self.external.as_deref(),
                    per_replica: self.per_replica,
                    period_seconds: self.metric_period_seconds,
                }
            }
        }
    )*};
}

metric_choice! { TargetTrackingParameters StepParameters SimpleParameters }

/// The alarm of a policy that comes with one, in the same way.
macro_rules! alarm_choice {
    ($($policy:ty)*) => {$(
        impl $policy {
            pub(super) fn alarm(&self) -> AlarmChoice<'_> {
                AlarmChoice {
                    metric: self.metric(),
                    threshold: self.threshold,
                    comparison: self.comparison,
                    datapoints: self.datapoints_to_alarm.unwrap_or(self.evaluation_periods),
                    evaluation_periods: self.evaluation_periods,
                }
            }
        }
    )*};
}

alarm_choice! { StepParameters SimpleParameters }

/// When an alarm is on, as written in a policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlarmChoice<'a> {
    pub(super) metric: MetricChoice<'a>,
    pub(super) threshold: f64,
    pub(super) comparison: Comparison,
    /// How many of the last `evaluation_periods` must breach.
    pub(super) datapoints: u32,
    pub(super) evaluation_periods: u32,
}

impl AlarmChoice<'_> {
    fn check(&self, path: &str, decides_seconds: f64) -> Result<(), FieldError> {
        self.metric.check(path, decides_seconds)?;
        if !self.threshold.is_finite() {
            let problem = format!("must be a number, but is {}", self.threshold);
            return Err(wrong(&format!("{path}threshold"), problem));
        }
        let (m, n) = (self.datapoints, self.evaluation_periods);
        datapoints(&format!("{path}evaluation_periods"), n)?;
        if m < 1 || m > n {
            let problem = format!("must be 1 to `evaluation_periods`, which is {n}, but is {m}");
            return Err(wrong(&format!("{path}datapoints_to_alarm"), problem));
        }
        Ok(())
    }
}

/// A target tracking policy.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct TargetTrackingParameters {
    /// What is kept at the target; it must fall as capacity rises.
    pub metric: Metric,
    /// Name of the external metric, with `metric = "external"`.
    pub external: Option<String>,
    /// Whether an external metric is divided by the instances in service (backlog per instance).
    pub per_replica: bool,
    /// The target.
    pub target: f64,
    /// Whether the policy leaves scaling in to others.
    pub disable_scale_in: bool,
    /// Time after which an instance that came into service counts; default: the group's.
    pub warm_up_seconds: Option<f64>,
    /// Time between datapoints: 60 with detailed monitoring, 300 with basic, 10 for high-resolution metrics.
    pub metric_period_seconds: f64,
    /// Datapoints above the target until it scales out.
    pub datapoints_out: u32,
    /// Datapoints below 0.9 of the target until it scales in.
    pub datapoints_in: u32,
}

impl Default for TargetTrackingParameters {
    fn default() -> Self {
        Self {
            metric: Metric::Cpu,
            external: None,
            per_replica: true,
            target: 0.5,
            disable_scale_in: false,
            warm_up_seconds: None,
            metric_period_seconds: 60.0,
            datapoints_out: 3,
            datapoints_in: 15,
        }
    }
}

impl TargetTrackingParameters {
    pub(super) fn check(&self, path: &str, decides_seconds: f64) -> Result<(), FieldError> {
        falls_with_capacity(&format!("{path}metric"), self.metric)?;
        self.metric().check(path, decides_seconds)?;
        positive(&[(&format!("{path}target"), self.target)])?;
        warm_up(&format!("{path}warm_up_seconds"), self.warm_up_seconds)?;
        datapoints(&format!("{path}datapoints_out"), self.datapoints_out)?;
        datapoints(&format!("{path}datapoints_in"), self.datapoints_in)
    }
}

/// A step scaling policy with its alarm.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StepParameters {
    /// What the alarm watches.
    #[serde(default = "cpu")]
    pub metric: Metric,
    /// Name of the external metric, with `metric = "external"`.
    pub external: Option<String>,
    /// Whether an external metric is divided by the instances in service.
    #[serde(default)]
    pub per_replica: bool,
    /// The alarm's threshold.
    pub threshold: f64,
    /// On which side of it the alarm is on.
    pub comparison: Comparison,
    /// How adjustments are meant.
    pub adjustment_type: AdjustmentType,
    /// What is done how far beyond the threshold.
    pub steps: Vec<StepAdjustment>,
    /// The least change of a percentage.
    #[serde(default)]
    pub min_adjustment_magnitude: Replicas,
    /// Time after which an instance that came into service counts; default: the group's.
    pub warm_up_seconds: Option<f64>,
    /// Time between datapoints.
    #[serde(default = "minute")]
    pub metric_period_seconds: f64,
    /// Datapoints that the alarm looks at.
    #[serde(default = "three")]
    pub evaluation_periods: u32,
    /// How many of them must breach; default: all.
    pub datapoints_to_alarm: Option<u32>,
}

impl StepParameters {
    pub(super) fn check(&self, path: &str, decides_seconds: f64) -> Result<(), FieldError> {
        self.alarm().check(path, decides_seconds)?;
        check_steps(&format!("{path}steps"), &self.steps)?;
        for (index, step) in self.steps.iter().enumerate() {
            self.adjustment_type.check(&format!("{path}steps[{index}].adjustment"), step.adjustment)?;
        }
        magnitude(path, self.adjustment_type, self.min_adjustment_magnitude)?;
        warm_up(&format!("{path}warm_up_seconds"), self.warm_up_seconds)
    }
}

/// A simple scaling policy with its alarm.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SimpleParameters {
    /// What the alarm watches.
    #[serde(default = "cpu")]
    pub metric: Metric,
    /// Name of the external metric, with `metric = "external"`.
    pub external: Option<String>,
    /// Whether an external metric is divided by the instances in service.
    #[serde(default)]
    pub per_replica: bool,
    /// The alarm's threshold.
    pub threshold: f64,
    /// On which side of it the alarm is on.
    pub comparison: Comparison,
    /// How the adjustment is meant.
    pub adjustment_type: AdjustmentType,
    /// What is done.
    pub adjustment: f64,
    /// The least change of a percentage.
    #[serde(default)]
    pub min_adjustment_magnitude: Replicas,
    /// Wait after the end of the last launch or termination; default: the group's.
    pub cooldown_seconds: Option<f64>,
    /// Time between datapoints.
    #[serde(default = "minute")]
    pub metric_period_seconds: f64,
    /// Datapoints that the alarm looks at.
    #[serde(default = "three")]
    pub evaluation_periods: u32,
    /// How many of them must breach; default: all.
    pub datapoints_to_alarm: Option<u32>,
}

impl SimpleParameters {
    pub(super) fn check(&self, path: &str, decides_seconds: f64) -> Result<(), FieldError> {
        self.alarm().check(path, decides_seconds)?;
        self.adjustment_type.check(&format!("{path}adjustment"), self.adjustment)?;
        magnitude(path, self.adjustment_type, self.min_adjustment_magnitude)?;
        not_negative(&[(&format!("{path}cooldown_seconds"), self.cooldown_seconds.unwrap_or(0.0))])
    }
}

/// A predictive scaling policy.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct PredictiveParameters {
    /// What is kept at the target; its sum over the instances is what is forecast.
    pub metric: Metric,
    /// Name of the external metric, with `metric = "external"`; it is forecast as it is.
    pub external: Option<String>,
    /// The target of one instance.
    pub target: f64,
    /// Whether it acts.
    pub mode: PredictiveMode,
    /// How much earlier than the hour it acts.
    pub scheduling_buffer_seconds: f64,
    /// What happens where the forecast is above the group's most.
    pub max_capacity_breach_behavior: BreachBehavior,
    /// Share of the forecast by which the group's most may lie above it.
    pub max_capacity_buffer: f64,
    /// Hours of data before the first forecast.
    pub history_hours_min: u32,
    /// Whether demand before the run, where it is known, stands in for the metric of that time.
    pub history_from_demand: bool,
}

impl Default for PredictiveParameters {
    fn default() -> Self {
        Self {
            metric: Metric::Cpu,
            external: None,
            target: 0.5,
            mode: PredictiveMode::ForecastOnly,
            scheduling_buffer_seconds: 300.0,
            max_capacity_breach_behavior: BreachBehavior::HonorMaxCapacity,
            max_capacity_buffer: 0.0,
            history_hours_min: 24,
            history_from_demand: false,
        }
    }
}

/// Whether a predictive policy acts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PredictiveMode {
    /// It forecasts and explains, and never acts: a dry run.
    ForecastOnly,
    /// It acts.
    ForecastAndScale,
}

/// What a predictive policy does where its forecast is above the group's most.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum BreachBehavior {
    /// It stays there.
    HonorMaxCapacity,
    /// It raises the most to the forecast and the buffer; nothing lowers it again.
    IncreaseMaxCapacity,
}

impl PredictiveParameters {
    fn check(&self, path: &str) -> Result<(), FieldError> {
        falls_with_capacity(&format!("{path}metric"), self.metric)?;
        if (self.metric == Metric::External) != self.external.is_some() {
            let problem = "must be given if and only if `metric` is \"external\"";
            return Err(wrong(&format!("{path}external"), problem));
        }
        positive(&[(&format!("{path}target"), self.target)])?;
        let buffer = self.scheduling_buffer_seconds;
        if !(0.0..3600.0).contains(&buffer) {
            let problem = format!("must be at least 0 and less than 3600, but is {buffer}");
            return Err(wrong(&format!("{path}scheduling_buffer_seconds"), problem));
        }
        let share = self.max_capacity_buffer;
        if !(0.0..=1.0).contains(&share) {
            let problem = format!("must be 0 to 1, but is {share}");
            return Err(wrong(&format!("{path}max_capacity_buffer"), problem));
        }
        if share > 0.0 && self.max_capacity_breach_behavior == BreachBehavior::HonorMaxCapacity {
            let problem = format!(
                "needs `max_capacity_breach_behavior = \"increase_max_capacity\"`, but is {share} without it"
            );
            return Err(wrong(&format!("{path}max_capacity_buffer"), problem));
        }
        Ok(())
    }
}

impl GroupParameters {
    /// Complains about what AWS would refuse; `has_forecaster` says whether predictive policies can be.
    pub(super) fn check(&self, has_forecaster: bool) -> Result<(), FieldError> {
        positive(&[("period_seconds", self.period_seconds)])?;
        warm_up("default_instance_warm_up_seconds", self.default_instance_warm_up_seconds)?;
        not_negative(&[("default_cooldown_seconds", self.default_cooldown_seconds)])?;
        let lateness = self.schedule_lateness_seconds;
        if !(0.0..=120.0).contains(&lateness) {
            return Err(wrong("schedule_lateness_seconds", format!("must be 0 to 120, but is {lateness}")));
        }
        if let Some(name) = &self.time_zone {
            read_time_zone(name, "time_zone")?;
        }
        if let (Some(least), Some(most)) = (self.capacity_min, self.capacity_max)
            && least > most
        {
            let problem = format!("must be at most `capacity_max`, which is {most}, but is {least}");
            return Err(wrong("capacity_min", problem));
        }
        for (index, policy) in self.target_tracking.iter().flatten().enumerate() {
            policy.check(&format!("target_tracking[{index}]."), self.period_seconds)?;
            let twice = self.target_tracking.iter().flatten().take(index).any(|other| {
                (other.metric, &other.external, other.per_replica)
                    == (policy.metric, &policy.external, policy.per_replica)
            });
            if twice {
                let problem = "must differ from the other target tracking policies' metrics, but comes twice";
                return Err(wrong(&format!("target_tracking[{index}].metric"), problem));
            }
        }
        for (index, policy) in self.step.iter().flatten().enumerate() {
            policy.check(&format!("step[{index}]."), self.period_seconds)?;
        }
        for (index, policy) in self.simple.iter().flatten().enumerate() {
            policy.check(&format!("simple[{index}]."), self.period_seconds)?;
        }
        if let Some(entries) = &self.scheduled {
            check_entries(entries, "scheduled")?;
        }
        let mut n_acting = 0;
        for (index, policy) in self.predictive.iter().flatten().enumerate() {
            if !has_forecaster {
                let problem = "needs a forecaster, which only the kind `aws_predictive` has";
                return Err(wrong("predictive", problem));
            }
            policy.check(&format!("predictive[{index}]."))?;
            n_acting += u32::from(policy.mode == PredictiveMode::ForecastAndScale);
            if n_acting > 1 {
                let problem = "must be \"forecast_only\" in all predictive policies but one";
                return Err(wrong(&format!("predictive[{index}].mode"), problem));
            }
        }
        Ok(())
    }

    /// What policies have that set no warm-up of their own: the group's, or else its cooldown.
    pub(super) fn warm_up_seconds(&self, of_policy: Option<f64>) -> f64 {
        of_policy.or(self.default_instance_warm_up_seconds).unwrap_or(self.default_cooldown_seconds)
    }
}

/// Complains about metrics that say how much load there is, and not how busy one instance is.
fn falls_with_capacity(field: &str, metric: Metric) -> Result<(), FieldError> {
    let falls = matches!(
        metric,
        Metric::Cpu
            | Metric::Memory
            | Metric::Network
            | Metric::Disk
            | Metric::RequestsPerSecondPerReplica
            | Metric::QueuePerReplica
            | Metric::External
    );
    if falls {
        return Ok(());
    }
    let name = toml::Value::try_from(metric).expect("a metric has a name");
    let problem = format!(
        "must fall as capacity rises (\"cpu\", \"memory\", \"network\", \"disk\", \"requests_per_second_per_replica\", \"queue_per_replica\" or \"external\"), but is {name}"
    );
    Err(wrong(field, problem))
}

fn warm_up(field: &str, seconds: Option<f64>) -> Result<(), FieldError> {
    match seconds {
        Some(seconds) if !(0.0..=3600.0).contains(&seconds) => {
            Err(wrong(field, format!("must be 0 to 3600, but is {seconds}")))
        }
        _ => Ok(()),
    }
}

fn datapoints(field: &str, n: u32) -> Result<(), FieldError> {
    if (1..=1440).contains(&n) { Ok(()) } else { Err(wrong(field, format!("must be 1 to 1440, but is {n}"))) }
}

fn magnitude(path: &str, kind: AdjustmentType, magnitude: Replicas) -> Result<(), FieldError> {
    if magnitude > 0 && kind != AdjustmentType::PercentChangeInCapacity {
        let problem = format!(
            "needs `adjustment_type = \"percent_change_in_capacity\"`, but is {magnitude} without it"
        );
        return Err(wrong(&format!("{path}min_adjustment_magnitude"), problem));
    }
    Ok(())
}

/// One target tracking policy, flat.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct OneTargetParameters {
    pub pool: Option<String>,
    pub metric: Metric,
    pub external: Option<String>,
    pub per_replica: bool,
    pub target: f64,
    pub disable_scale_in: bool,
    pub warm_up_seconds: f64,
    pub datapoints_out: u32,
    pub datapoints_in: u32,
    pub metric_period_seconds: f64,
    pub warm_pool_min: Replicas,
    pub warm_pool_prepared_max: Option<Replicas>,
    pub period_seconds: f64,
}

impl Default for OneTargetParameters {
    fn default() -> Self {
        Self {
            pool: None,
            metric: Metric::Cpu,
            external: None,
            per_replica: true,
            target: 0.5,
            disable_scale_in: false,
            warm_up_seconds: 300.0,
            datapoints_out: 3,
            datapoints_in: 15,
            metric_period_seconds: 60.0,
            warm_pool_min: 0,
            warm_pool_prepared_max: None,
            period_seconds: 60.0,
        }
    }
}

impl OneTargetParameters {
    pub(super) fn group(&self) -> GroupParameters {
        GroupParameters {
            pool: self.pool.clone(),
            target_tracking: Some(vec![TargetTrackingParameters {
                metric: self.metric,
                external: self.external.clone(),
                per_replica: self.per_replica,
                target: self.target,
                disable_scale_in: self.disable_scale_in,
                warm_up_seconds: Some(self.warm_up_seconds),
                metric_period_seconds: self.metric_period_seconds,
                datapoints_out: self.datapoints_out,
                datapoints_in: self.datapoints_in,
            }]),
            warm_pool_min: self.warm_pool_min,
            warm_pool_prepared_max: self.warm_pool_prepared_max,
            period_seconds: self.period_seconds,
            ..GroupParameters::default()
        }
    }
}

/// One target tracking policy of Application Auto Scaling, flat.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct EcsParameters {
    pub pool: Option<String>,
    pub metric: Metric,
    pub external: Option<String>,
    pub per_replica: bool,
    pub target: f64,
    pub disable_scale_in: bool,
    pub scale_out_cooldown_seconds: f64,
    pub scale_in_cooldown_seconds: f64,
    pub datapoints_out: u32,
    pub datapoints_in: u32,
    pub metric_period_seconds: f64,
    pub period_seconds: f64,
}

impl Default for EcsParameters {
    fn default() -> Self {
        Self {
            pool: None,
            metric: Metric::Cpu,
            external: None,
            per_replica: true,
            target: 0.5,
            disable_scale_in: false,
            scale_out_cooldown_seconds: 300.0,
            scale_in_cooldown_seconds: 300.0,
            datapoints_out: 3,
            datapoints_in: 15,
            metric_period_seconds: 60.0,
            period_seconds: 60.0,
        }
    }
}

impl EcsParameters {
    pub(super) fn group(&self) -> GroupParameters {
        OneTargetParameters {
            pool: self.pool.clone(),
            metric: self.metric,
            external: self.external.clone(),
            per_replica: self.per_replica,
            target: self.target,
            disable_scale_in: self.disable_scale_in,
            datapoints_out: self.datapoints_out,
            datapoints_in: self.datapoints_in,
            metric_period_seconds: self.metric_period_seconds,
            period_seconds: self.period_seconds,
            ..OneTargetParameters::default()
        }
        .group()
    }
}

/// One step policy out and one in, flat.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct OneStepParameters {
    pub pool: Option<String>,
    pub metric: Metric,
    pub external: Option<String>,
    pub per_replica: bool,
    pub high: f64,
    pub low: f64,
    pub step_width: f64,
    pub small_adjustment: f64,
    pub large_adjustment: f64,
    pub min_adjustment_magnitude: Replicas,
    pub warm_up_seconds: f64,
    pub datapoints_out: u32,
    pub datapoints_in: u32,
    pub metric_period_seconds: f64,
    pub warm_pool_min: Replicas,
    pub warm_pool_prepared_max: Option<Replicas>,
    pub period_seconds: f64,
}

impl Default for OneStepParameters {
    fn default() -> Self {
        Self {
            pool: None,
            metric: Metric::Cpu,
            external: None,
            per_replica: false,
            high: 0.6,
            low: 0.4,
            step_width: 0.1,
            small_adjustment: 0.1,
            large_adjustment: 0.3,
            min_adjustment_magnitude: 0,
            warm_up_seconds: 300.0,
            datapoints_out: 3,
            datapoints_in: 15,
            metric_period_seconds: 60.0,
            warm_pool_min: 0,
            warm_pool_prepared_max: None,
            period_seconds: 60.0,
        }
    }
}

impl OneStepParameters {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        low_below_high("", self.low, self.high)?;
        positive(&[("step_width", self.step_width)])?;
        share(&[("small_adjustment", self.small_adjustment), ("large_adjustment", self.large_adjustment)])?;
        self.group().check(false).map_err(flat)
    }

    pub(super) fn group(&self) -> GroupParameters {
        let width = self.step_width;
        let policy = |threshold, comparison, n, steps: [(Option<f64>, Option<f64>, f64); 2]| StepParameters {
            metric: self.metric,
            external: self.external.clone(),
            per_replica: self.per_replica,
            threshold,
            comparison,
            adjustment_type: AdjustmentType::PercentChangeInCapacity,
            steps: steps
                .map(|(lower, upper, adjustment)| StepAdjustment { lower, upper, adjustment })
                .to_vec(),
            min_adjustment_magnitude: self.min_adjustment_magnitude,
            warm_up_seconds: Some(self.warm_up_seconds),
            metric_period_seconds: self.metric_period_seconds,
            evaluation_periods: n,
            datapoints_to_alarm: None,
        };
        let (small, large) = (self.small_adjustment, self.large_adjustment);
        GroupParameters {
            pool: self.pool.clone(),
            step: Some(vec![
                policy(
                    self.high,
                    Comparison::GreaterThanOrEqualToThreshold,
                    self.datapoints_out,
                    [(Some(0.0), Some(width), small), (Some(width), None, large)],
                ),
                policy(
                    self.low,
                    Comparison::LessThanOrEqualToThreshold,
                    self.datapoints_in,
                    [(Some(-width), Some(0.0), -small), (None, Some(-width), -large)],
                ),
            ]),
            warm_pool_min: self.warm_pool_min,
            warm_pool_prepared_max: self.warm_pool_prepared_max,
            period_seconds: self.period_seconds,
            ..GroupParameters::default()
        }
    }
}

/// One simple policy out and one in, flat.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each is documented where users read it, in `ABOUT`
pub struct OneSimpleParameters {
    pub pool: Option<String>,
    pub metric: Metric,
    pub external: Option<String>,
    pub per_replica: bool,
    pub high: f64,
    pub low: f64,
    pub adjustment_type: AdjustmentType,
    pub adjustment_out: f64,
    pub adjustment_in: f64,
    pub min_adjustment_magnitude: Replicas,
    pub cooldown_seconds: f64,
    pub datapoints_out: u32,
    pub datapoints_in: u32,
    pub metric_period_seconds: f64,
    pub warm_pool_min: Replicas,
    pub warm_pool_prepared_max: Option<Replicas>,
    pub period_seconds: f64,
}

impl Default for OneSimpleParameters {
    fn default() -> Self {
        Self {
            pool: None,
            metric: Metric::Cpu,
            external: None,
            per_replica: false,
            high: 0.7,
            low: 0.3,
            adjustment_type: AdjustmentType::PercentChangeInCapacity,
            adjustment_out: 0.3,
            adjustment_in: -0.1,
            min_adjustment_magnitude: 0,
            cooldown_seconds: 300.0,
            datapoints_out: 3,
            datapoints_in: 15,
            metric_period_seconds: 60.0,
            warm_pool_min: 0,
            warm_pool_prepared_max: None,
            period_seconds: 60.0,
        }
    }
}

impl OneSimpleParameters {
    pub(super) fn check(&self) -> Result<(), FieldError> {
        low_below_high("", self.low, self.high)?;
        self.adjustment_type.check("adjustment_out", self.adjustment_out)?;
        self.adjustment_type.check("adjustment_in", self.adjustment_in)?;
        self.group().check(false).map_err(flat)
    }

    pub(super) fn group(&self) -> GroupParameters {
        let policy = |threshold, comparison, n, adjustment| SimpleParameters {
            metric: self.metric,
            external: self.external.clone(),
            per_replica: self.per_replica,
            threshold,
            comparison,
            adjustment_type: self.adjustment_type,
            adjustment,
            min_adjustment_magnitude: self.min_adjustment_magnitude,
            cooldown_seconds: Some(self.cooldown_seconds),
            metric_period_seconds: self.metric_period_seconds,
            evaluation_periods: n,
            datapoints_to_alarm: None,
        };
        GroupParameters {
            pool: self.pool.clone(),
            simple: Some(vec![
                policy(
                    self.high,
                    Comparison::GreaterThanOrEqualToThreshold,
                    self.datapoints_out,
                    self.adjustment_out,
                ),
                policy(
                    self.low,
                    Comparison::LessThanOrEqualToThreshold,
                    self.datapoints_in,
                    self.adjustment_in,
                ),
            ]),
            warm_pool_min: self.warm_pool_min,
            warm_pool_prepared_max: self.warm_pool_prepared_max,
            period_seconds: self.period_seconds,
            ..GroupParameters::default()
        }
    }
}

/// A complaint about the only policy of a kind, by the names that the flat parameters have.
pub(super) fn flat(error: FieldError) -> FieldError {
    let name = error.field.rsplit("].").next().unwrap_or(&error.field);
    let field = match name {
        "evaluation_periods" if error.field.contains("[0]") => "datapoints_out",
        "evaluation_periods" => "datapoints_in",
        "threshold" if error.field.contains("[0]") => "high",
        "threshold" => "low",
        name => name,
    };
    FieldError { field: field.to_owned(), ..error }
}

fn cpu() -> Metric {
    Metric::Cpu
}

fn minute() -> f64 {
    60.0
}

fn three() -> u32 {
    3
}
