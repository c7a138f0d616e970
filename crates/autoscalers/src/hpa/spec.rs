//! What an operator writes: the spec of one autoscaler, and the flags of the controller that runs them all.
//!
//! Defaults from `pkg/apis/autoscaling/v2/defaults.go` and `pkg/controller/podautoscaler/config/v1alpha1/defaults.go`.

use serde::{Deserialize, Serialize};

/// One autoscaler, with the API's defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// `minReplicas`; 1 where it is not written.
    pub replicas_min: i32,
    /// `maxReplicas`.
    pub replicas_max: i32,
    /// `metrics`; where none is written, cpu at 80 % of what is requested.
    pub metrics: Vec<Metric>,
    /// `behavior`; without it the older rules apply, which are not the same as an empty `behavior`.
    pub behavior: Option<Behavior>,
}

impl Spec {
    /// What the API makes of a spec that says only how many there may be.
    pub fn new(replicas_max: i32) -> Self {
        Self { replicas_min: 1, replicas_max, metrics: vec![Metric::cpu_utilization(80)], behavior: None }
    }

    /// Whether a metric exists that is no property of pods, so that there is something to look at without any.
    pub fn has_object_or_external(&self) -> bool {
        self.metrics.iter().any(|metric| matches!(metric, Metric::Object { .. } | Metric::External { .. }))
    }
}

/// One entry of `metrics`.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    /// `type: Resource`: what all containers of a pod use. Utilization or average value.
    Resource {
        /// `resource.name`.
        resource: Resource,
        /// `resource.target`.
        target: Target,
    },
    /// `type: ContainerResource`: what one container of a pod uses. Utilization or average value.
    ContainerResource {
        /// `containerResource.name`.
        resource: Resource,
        /// `containerResource.container`.
        container: String,
        /// `containerResource.target`.
        target: Target,
    },
    /// `type: Pods`: a metric that every pod has. Average value only.
    Pods {
        /// `pods.metric.name`.
        name: String,
        /// `pods.target.averageValue`, in milli-units.
        average_milli: i64,
    },
    /// `type: Object`: a metric of one other object. Value or average value.
    Object {
        /// `object.describedObject.kind`.
        object_kind: String,
        /// `object.describedObject.name`.
        object_name: String,
        /// `object.metric.name`.
        name: String,
        /// `object.metric.selector`, as for [`Metric::External`].
        selector: String,
        /// `object.target`.
        target: Target,
    },
    /// `type: External`: a metric of no object. Value or average value.
    External {
        /// `external.metric.name`.
        name: String,
        /// `external.metric.selector` as Go prints it with `%+v`, since messages quote it; `nil` where there is none.
        selector: String,
        /// `external.target`.
        target: Target,
    },
    /// A type that the API's validation would have refused.
    Unknown {
        /// `type` as written.
        kind: String,
    },
}

impl Metric {
    /// Cpu, as a share of what is requested, in percent.
    pub const fn cpu_utilization(percent: i32) -> Self {
        Self::Resource { resource: Resource::Cpu, target: Target::Utilization { percent } }
    }
}

/// A resource of which the metrics server knows the usage. It knows no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// In thousandths of a core.
    Cpu,
    /// In thousandths of a byte.
    Memory,
}

impl Resource {
    /// As manifests and messages call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// What a metric should be. One that does not fit its metric makes the metric fail, as upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Usage over request, in whole percent.
    Utilization {
        /// `averageUtilization`.
        percent: i32,
    },
    /// The metric as it is, whatever the number of pods.
    Value {
        /// `value`, in milli-units.
        milli: i64,
    },
    /// The metric over the number of pods.
    AverageValue {
        /// `averageValue`, in milli-units.
        milli: i64,
    },
}

/// `behavior`, with the API's defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// `scaleUp`.
    pub up: ScalingRules,
    /// `scaleDown`.
    pub down: ScalingRules,
}

impl Default for Behavior {
    /// What the API makes of `behavior: {}`.
    fn default() -> Self {
        Self { up: ScalingRules::up(), down: ScalingRules::down() }
    }
}

/// How fast it may go in one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingRules {
    /// `stabilizationWindowSeconds`; where none is written, 0 upwards and the controller's flag downwards.
    pub window_seconds: Option<i32>,
    /// `selectPolicy`.
    pub select: Select,
    /// `policies`, in the order in which they are written.
    pub policies: Vec<Policy>,
    /// `tolerance`; the controller's flag where none is written.
    pub tolerance: Option<f64>,
}

impl ScalingRules {
    /// What the API makes of an absent `scaleUp`: no window; 4 pods or 100 % in 15 s, whichever is more.
    pub fn up() -> Self {
        let policies = vec![Policy::pods(4, 15), Policy::percent(100, 15)];
        Self { window_seconds: Some(0), select: Select::Max, policies, tolerance: None }
    }

    /// What the API makes of an absent `scaleDown`: the controller's window; all pods in 15 s.
    pub fn down() -> Self {
        let policies = vec![Policy::percent(100, 15)];
        Self { window_seconds: None, select: Select::Max, policies, tolerance: None }
    }
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// The one that allows the most change.
    Max,
    /// The one that allows the least.
    Min,
    /// None: no change in this direction.
    Disabled,
}

/// So much change in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `type`.
    pub kind: PolicyKind,
    /// `value`: pods or percent.
    pub value: i32,
    /// `periodSeconds`.
    pub period_seconds: i32,
}

impl Policy {
    /// So many pods in so many seconds.
    pub const fn pods(value: i32, period_seconds: i32) -> Self {
        Self { kind: PolicyKind::Pods, value, period_seconds }
    }

    /// So many percent of the pods at the start of the period in so many seconds.
    pub const fn percent(value: i32, period_seconds: i32) -> Self {
        Self { kind: PolicyKind::Percent, value, period_seconds }
    }
}

/// What a policy's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Pods.
    Pods,
    /// Percent of the pods at the start of the period.
    Percent,
}

/// Flags and feature gates of the controller: the same for every autoscaler of a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flags {
    /// `--horizontal-pod-autoscaler-tolerance`.
    pub tolerance: f64,
    /// How a ratio is held against the tolerance.
    pub tolerance_form: ToleranceForm,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`.
    pub downscale_stabilization_seconds: f64,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`.
    pub cpu_initialization_seconds: f64,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`.
    pub initial_readiness_seconds: f64,
    /// Without `behavior`: one pass goes up to this times the current count at most. A constant upstream, which its
    /// tests set to 8.
    pub scale_up_factor: f64,
    /// Without `behavior`: or up to this, if that is more. A constant upstream.
    pub scale_up_minimum: f64,
    /// Gate `HPAConfigurableTolerance`: whether `behavior` may set tolerances.
    pub configurable_tolerance: bool,
    /// Gate `HPAScaleToZero` as far as the controller minds it: how it comes back from zero.
    pub zero_rule: ZeroRule,
    /// Gate `PodLevelResources`: whether requests of a pod as a whole count.
    pub pod_level_resources: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            tolerance: 0.1,
            tolerance_form: ToleranceForm::Interval,
            downscale_stabilization_seconds: 300.0,
            cpu_initialization_seconds: 300.0,
            initial_readiness_seconds: 30.0,
            scale_up_factor: 2.0,
            scale_up_minimum: 4.0,
            configurable_tolerance: true,
            zero_rule: ZeroRule::Minimum,
            pod_level_resources: true,
        }
    }
}

impl Flags {
    /// The tolerances of one autoscaler: its own where it may have some, else the controller's.
    pub fn tolerances(&self, spec: &Spec) -> Tolerances {
        let behavior = spec.behavior.as_ref().filter(|_| self.configurable_tolerance);
        Tolerances {
            up: behavior.and_then(|behavior| behavior.up.tolerance).unwrap_or(self.tolerance),
            down: behavior.and_then(|behavior| behavior.down.tolerance).unwrap_or(self.tolerance),
            form: self.tolerance_form,
        }
    }
}

/// How far a ratio may be from 1 without a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Above 1.
    pub up: f64,
    /// Below 1.
    pub down: f64,
    /// How a ratio is held against them.
    pub form: ToleranceForm,
}

impl Tolerances {
    /// Whether a ratio is so near to 1 that nothing changes; no number never is.
    pub fn hold(self, ratio: f64) -> bool {
        match self.form {
            ToleranceForm::Interval => 1.0 - self.down <= ratio && ratio <= 1.0 + self.up,
            ToleranceForm::Distance => (1.0 - ratio).abs() <= if ratio < 1.0 { self.down } else { self.up },
        }
    }
}

/// How a ratio is held against the tolerance. The two differ in the last bit: 1.1 is within 0.1 by the first and
/// outside by the second, since |1 − 1.1| is 0.100 000 000 000 000 09.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToleranceForm {
    /// 1 − down ≤ ratio ≤ 1 + up: since version 1.33.
    Interval,
    /// |1 − ratio| ≤ tolerance: before. A direction's own tolerance counts on its side of 1.
    Distance,
}

/// When an autoscaler may act at zero replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroRule {
    /// If `minReplicas` is 0: up to version 1.35, and with the gate off.
    Minimum,
    /// If it was itself what went to zero, as its condition `ScaledToZero` says: since 1.36, with the gate on. Then 0
    /// set by hand means off.
    Condition,
}
