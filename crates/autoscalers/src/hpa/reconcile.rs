//! One pass of the controller: metrics, failing metrics, bounds, stabilization, rate limits, conditions.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::behavior::{Event, Limited, Memory, Stabilized};
use super::pods::{Group, Pod, Sample};
use super::replicas::{Calculation, Failure};
use super::spec::{Flags, Spec};

/// Everything one pass looks at.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// Now.
    pub now_seconds: f64,
    /// Namespace of the autoscaler; only messages use it.
    pub namespace: &'a str,
    /// The target's scale, or why there is none.
    pub scale: Result<Scale<'a>, &'a str>,
    /// The pods that the target's selector lists.
    pub pods: &'a [Pod],
    /// One a metric, in the order of the spec.
    pub readings: &'a [Reading],
    /// Why a new count cannot be written, if it cannot.
    pub write_error: Option<&'a str>,
}

/// The scale of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale<'a> {
    /// `spec.replicas`: as declared.
    pub spec_replicas: i32,
    /// `status.replicas`: as observed.
    pub status_replicas: i32,
    /// `status.selector`.
    pub selector: Selector<'a>,
}

/// What became of the target's selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector<'a> {
    /// It lists the pods.
    Fine,
    /// It is empty.
    Empty,
    /// It cannot be read, for this reason.
    Unreadable(&'a str),
    /// Other autoscalers list the same pods.
    Ambiguous {
        /// The selector.
        selector: &'a str,
        /// The autoscalers, as Go prints a list of them.
        autoscalers: &'a str,
    },
}

/// What the metrics API said of one metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reading {
    /// Why it failed, if it failed.
    pub failure: Option<Cow<'static, str>>,
    /// Of pods and their resources: one a pod, in the order of the pods.
    pub samples: Vec<Option<Sample>>,
    /// And the values, in milli-units, of pods that are not in the list.
    pub strays: Vec<i64>,
    /// Of objects (the first counts) and external metrics (all are added): in milli-units.
    pub values: Vec<i64>,
}

/// What one pass did. Reused from pass to pass, so that a pass allocates nothing; [`super::Report`] puts it into words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// How it ended.
    pub end: End,
    /// `spec.replicas` as it was.
    pub current: i32,
    /// What it should be; as it was where the pass failed.
    pub desired: i32,
    /// Whether that was written.
    pub is_written: bool,
    /// One a metric, in the order of the spec; empty where no metric was read.
    pub metrics: Vec<Result<Calculation, Failure>>,
    /// How each pod counted: one list a metric, in the order of the spec; empty for metrics of no pods.
    pub groups: Vec<Vec<Group>>,
    /// The metric that asked for the most.
    pub winner: Option<usize>,
    /// What stabilization did, where it was asked.
    pub stabilized: Option<Stabilized>,
    /// What limits did, where they were asked.
    pub limited: Option<Limited>,
    /// The event that was stored.
    pub stored: Option<Event>,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// There is no scale to look at.
    #[default]
    NoScale,
    /// It is off, since the target has no replicas.
    Disabled,
    /// It stood above the maximum; no metric was read.
    AboveMaximum,
    /// It stood below the minimum; no metric was read.
    BelowMinimum,
    /// The selector lists no pods of this autoscaler alone.
    NoSelector,
    /// All metrics failed, or one did and the others ask for fewer.
    MetricsFailed,
    /// The metrics decided.
    Metrics,
}

/// One pass: what it did is in `pass`, what it remembers in `memory`.
pub fn reconcile(spec: &Spec, flags: &Flags, state: &State<'_>, memory: &mut Memory, pass: &mut Pass) {
    let _ = (spec, flags, state, memory, pass);
    todo!("follows in the next commit")
}
