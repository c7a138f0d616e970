//! Which pods count towards a metric, which do not and why, and what they request.

use serde::{Deserialize, Serialize};

/// One pod as the API server shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// Its name; only messages use it.
    pub name: String,
    /// `status.phase`.
    pub phase: Phase,
    /// Whether it has a deletion timestamp.
    pub is_deleted: bool,
    /// `status.startTime`: when a node acknowledged it.
    pub started_seconds: Option<f64>,
    /// Its condition `Ready`.
    pub ready: Option<Readiness>,
    /// Its containers, init containers among them, in the order of the pod's spec: containers first.
    pub containers: Vec<Container>,
    /// `spec.resources.requests`: requests of the pod as a whole.
    pub requests: Option<Requests>,
    /// `spec.overhead`.
    pub overhead: Requests,
}

/// Where in its life a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not all containers run yet.
    Pending,
    /// On a node.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one of them badly.
    Failed,
    /// Its node does not answer.
    Unknown,
}

/// The condition `Ready` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// `True` or `False`; none for `Unknown`.
    pub status: Option<bool>,
    /// `lastTransitionTime`.
    pub changed_seconds: f64,
}

/// One container of a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Which list of the pod's spec it is in.
    pub kind: ContainerKind,
    /// `resources.requests`.
    pub requests: Requests,
}

/// Which list of a pod's spec a container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerKind {
    /// `containers`.
    Regular,
    /// `initContainers`, with `restartPolicy: Always`: a sidecar, which runs as long as the pod.
    Sidecar,
    /// `initContainers`, and over before the pod starts.
    Init,
}

/// Requested resources, in milli-units; none where nothing is requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requests {
    /// Thousandths of a core.
    pub cpu_milli: Option<i64>,
    /// Thousandths of a byte.
    pub memory_milli: Option<i64>,
}

/// What the metrics API says of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The value, in milli-units.
    pub milli: i64,
    /// End of the window over which it was measured.
    pub at_seconds: f64,
    /// Length of that window.
    pub window_seconds: f64,
}

/// How a pod counts towards one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// With its sample; its number multiplies the ratio.
    Ready,
    /// Its sample is dropped; counts as idle if that could prevent going up.
    Unready(Why),
    /// Has no sample; counts as idle against going up, and as busy against going down.
    Missing,
    /// Does not count.
    Ignored(Why),
}

/// Why a pod does not count with its sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is being deleted.
    Deleted,
    /// Its phase is `Failed`.
    Failed,
    /// Its phase is `Pending`.
    Pending,
    /// It has no condition `Ready`.
    NoReadyCondition,
    /// It has no start time.
    NoStartTime,
    /// Not ready, within the cpu initialization period.
    Initializing,
    /// Ready for less than its sample's window, within the cpu initialization period.
    SampleBeforeReady,
    /// Not ready, and never was since the initial readiness delay.
    NeverReady,
}
