//! The Kubernetes horizontal pod autoscaler, `autoscaling/v2`, rule for rule.
//!
//! Two layers. The pure one takes everything as an argument (spec, flags, pods, metric samples, memory, time) and says
//! what one pass of the real controller would do and why: [`reconcile`](reconcile::reconcile). The controller of kind
//! `hpa` ([`Hpa`]) builds these arguments from what the simulated service shows, and carries the result out.
//!
//! | module | upstream (kubernetes/kubernetes `pkg/controller/podautoscaler`) |
//! | --- | --- |
//! | [`spec`] | `autoscaling/v2` types and their defaults, controller flags, feature gates |
//! | [`pods`] | `groupPods`, `calculateRequests` |
//! | [`replicas`] | `replica_calculator.go`, `metrics/utilization.go` |
//! | [`behavior`] | stabilization, rate limits, the path without `behavior` |
//! | [`mod@reconcile`] | one `reconcileAutoscaler` |
//! | [`report`] | conditions, reasons and messages as `kubectl describe hpa` shows them |
//!
//! Counts are `i32` and quantities milli-units in `i64`, as upstream, because truncation and saturation are part of
//! what the rule does. Points in time are seconds on any one clock. What a state or a report file holds derives serde;
//! specs do not, because they are read from manifests.

pub mod behavior;
pub mod controller;
pub mod manifest;
pub mod pods;
pub mod reconcile;
pub mod replicas;
pub mod report;
pub mod spec;

pub use behavior::{Event, Memory, Recommendation};
pub use controller::Hpa;
pub use pods::{Container, ContainerKind, Group, Phase, Pod, Readiness, Requests, Sample, Why};
pub use reconcile::{Pass, Reading, Scale, Selector, State, reconcile};
pub use replicas::{Calculation, Failure, Question, calculate};
pub use report::Report;
pub use spec::{
    Behavior, Flags, Metric, Policy, PolicyKind, Resource, ScalingRules, Select, Spec, Target, ToleranceForm,
    Tolerances, ZeroRule,
};
