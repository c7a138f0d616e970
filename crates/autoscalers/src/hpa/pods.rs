//! Which pods count towards a metric, which do not and why, and what they request.
//!
//! After `groupPods` and `calculateRequests` of upstream's `replica_calculator.go`, and `PodRequests` of
//! `component-helpers/resource` for pods with requests as a whole.

use serde::{Deserialize, Serialize};

use super::replicas::Failure;
use super::spec::{Flags, Resource};

/// How a pod counts towards a metric of which this is its sample; `is_cpu` for metrics of cpu, the only ones that mind
/// readiness.
///
/// A deleted or failed pod is ignored, a pending one unready, one without a sample missing, in this order. Of cpu,
/// further: no condition `Ready` or no start time is unready; within the initialization period a pod is unready
/// while it is not ready, and until its sample's window lies wholly after it became ready; later only if it is not
/// ready and never was, that is, if the condition has not changed since the initial readiness delay.
#[inline]
pub fn group(pod: &Pod, sample: Option<&Sample>, is_cpu: bool, flags: &Flags, now_seconds: f64) -> Group {
    if pod.is_deleted {
        return Group::Ignored(Why::Deleted);
    }
    match pod.phase {
        Phase::Failed => return Group::Ignored(Why::Failed),
        Phase::Pending => return Group::Unready(Why::Pending),
        Phase::Running | Phase::Succeeded | Phase::Unknown => {}
    }
    let Some(sample) = sample else { return Group::Missing };
    if !is_cpu {
        return Group::Ready;
    }
    let Some(ready) = pod.ready else { return Group::Unready(Why::NoReadyCondition) };
    let Some(started) = pod.started_seconds else { return Group::Unready(Why::NoStartTime) };
    let is_unready = ready.status == Some(false);
    if started + flags.cpu_initialization_seconds > now_seconds {
        if is_unready {
            return Group::Unready(Why::Initializing);
        }
        if sample.at_seconds < ready.changed_seconds + sample.window_seconds {
            return Group::Unready(Why::SampleBeforeReady);
        }
    } else if is_unready && started + flags.initial_readiness_seconds > ready.changed_seconds {
        return Group::Unready(Why::NeverReady);
    }
    Group::Ready
}

/// What a pod requests, in the usual case: no requests as a whole, all containers together, each with one. Apart and
/// small, because it is asked once a pod and pass.
#[inline]
pub(super) fn plain_request_milli(pod: &Pod, container: Option<&str>, resource: Resource) -> Option<i64> {
    if container.is_some() || pod.requests.is_some() {
        return None;
    }
    let mut sum = 0_i64;
    for each in &pod.containers {
        if each.kind != ContainerKind::Init {
            sum = sum.wrapping_add(each.requests.milli(resource)?);
        }
    }
    Some(sum)
}

/// What the pod at this position requests of a resource, or one container of it, in milli-units.
///
/// # Errors
/// If a container requests nothing of it, or there is no such container.
pub fn request_milli(
    pod: &Pod,
    pod_index: usize,
    container: Option<&str>,
    resource: Resource,
    flags: &Flags,
) -> Result<i64, Failure> {
    let is_whole = flags.pod_level_resources
        && container.is_none()
        && pod.requests.is_some_and(|requests| requests != Requests::default());
    if is_whole {
        return whole_request_milli(pod, resource).ok_or(Failure::NoPodRequest { pod: pod_index });
    }
    let mut sum = 0_i64;
    let running = pod.containers.iter().enumerate().filter(|(_, each)| each.kind != ContainerKind::Init);
    for (index, each) in running {
        if container.is_some_and(|name| name != each.name) {
            continue;
        }
        let request = each.requests.milli(resource);
        let request = request.ok_or(Failure::NoRequest { pod: pod_index, container: index })?;
        if container.is_some() {
            return Ok(request); // a name comes once in a pod
        }
        sum = sum.wrapping_add(request);
    }
    if container.is_some() { Err(Failure::NoContainer { pod: pod_index }) } else { Ok(sum) }
}

/// What a pod with requests as a whole requests: these where they name the resource, else what its containers need at
/// once at the most (init containers run one by one, beside the sidecars before them); and the overhead.
fn whole_request_milli(pod: &Pod, resource: Resource) -> Option<i64> {
    let whole = pod.requests.and_then(|requests| requests.milli(resource));
    let requested = whole.or_else(|| {
        let of = |kind| pod.containers.iter().filter(move |each| each.kind == kind);
        let add = |sum: Option<i64>, more: Option<i64>| match (sum, more) {
            (Some(sum), Some(more)) => Some(sum.wrapping_add(more)),
            (sum, more) => sum.or(more),
        };
        let regular =
            of(ContainerKind::Regular).fold(None, |sum, each| add(sum, each.requests.milli(resource)));
        let (mut sidecars, mut starting) = (None, None);
        for each in pod.containers.iter().filter(|each| each.kind != ContainerKind::Regular) {
            let request = each.requests.milli(resource);
            let at_once = if each.kind == ContainerKind::Sidecar {
                sidecars = add(sidecars, request);
                sidecars
            } else {
                add(request, sidecars)
            };
            starting = starting.max(at_once);
        }
        add(regular, sidecars).max(starting)
    });
    match (requested, pod.overhead.milli(resource)) {
        (Some(requested), Some(overhead)) => Some(requested.wrapping_add(overhead)),
        (requested, overhead) => requested.or(overhead),
    }
}

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

impl Pod {
    /// Whether its condition `Ready` is `True`.
    pub fn is_ready(&self) -> bool {
        self.ready.is_some_and(|ready| ready.status == Some(true))
    }
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

impl Requests {
    /// Of one resource.
    pub const fn milli(self, resource: Resource) -> Option<i64> {
        match resource {
            Resource::Cpu => self.cpu_milli,
            Resource::Memory => self.memory_milli,
        }
    }
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
