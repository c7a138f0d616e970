//! One pass of the controller: metrics, failing metrics, bounds, stabilization, rate limits, conditions.
//!
//! In order: no scale, nothing happens. The log of recommendations starts with what is declared. At zero it is off,
//! unless [`ZeroRule`] says otherwise. Above the maximum or below the minimum it goes there at once; no metric is read
//! and no `behavior` applies. Else the proposal is the largest that a metric asks for; if one fails, only if that
//! is not below the current count, so that one failing metric prevents going down but not going up. Stabilization and
//! limits follow ([`super::behavior`]), and what differs is written. Source: `reconcileAutoscaler` and
//! `computeReplicasForMetrics` of `horizontal.go`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::behavior::limit_without;
use super::behavior::{Event, Limited, Memory, Stabilized};
use super::pods::{Group, Pod, Sample};
use super::replicas::{Calculation, Failure, Question, calculate};
use super::spec::{Flags, Spec, ZeroRule};

/// One pass: what it did is in `pass`, what it remembers in `memory`. Both have room from earlier passes, so that
/// nothing is allocated.
///
/// # Panics
/// If there is not one reading for each metric.
pub fn reconcile(spec: &Spec, flags: &Flags, state: &State<'_>, memory: &mut Memory, pass: &mut Pass) {
    pass.start(spec);
    let Ok(scale) = state.scale else {
        pass.end = End::NoScale;
        return;
    };
    let (now, current) = (state.now_seconds, scale.spec_replicas);
    (pass.current, pass.desired) = (current, current);
    memory.seed(current, now);

    let (least, most) = (spec.replicas_min, spec.replicas_max);
    let came_from_zero = flags.zero_rule == ZeroRule::Condition && memory.scaled_to_zero;
    let is_off = current == 0
        && match flags.zero_rule {
            ZeroRule::Minimum => least != 0,
            ZeroRule::Condition => !(came_from_zero && (least != 0 || spec.has_object_or_external())),
        };
    if is_off {
        pass.end = End::Disabled;
        return;
    }
    if current > most {
        (pass.end, pass.desired) = (End::AboveMaximum, most);
    } else if current < least && current != 0 {
        (pass.end, pass.desired) = (End::BelowMinimum, least);
    } else {
        let Some(proposal) = propose(spec, flags, state, &scale, pass) else { return };
        pass.end = End::Metrics;
        pass.proposal = Some(proposal);
        let bounds = (least, most);
        let (stabilized, limited) = match &spec.behavior {
            None => {
                let window = flags.downscale_stabilization_seconds;
                let stabilized = memory.stabilize(proposal, window, now);
                (stabilized, limit_without(flags, current, stabilized.replicas, bounds))
            }
            Some(behavior) => {
                let stabilized = memory.stabilize_with(behavior, flags, current, proposal, now);
                (stabilized, memory.limit(behavior, current, stabilized.replicas, bounds, now))
            }
        };
        (pass.stabilized, pass.limited) = (Some(stabilized), Some(limited));
        pass.desired = limited.replicas;
        if current == 0 {
            // The minimum was raised while it was at zero.
            pass.desired = pass.desired.max(least);
        }
    }
    if pass.desired == current {
        return;
    }
    if state.write_error.is_some() {
        return;
    }
    pass.is_written = true;
    memory.last_scale_seconds = Some(now);
    pass.stored = spec.behavior.as_ref().map(|behavior| memory.store(behavior, current, pass.desired, now));
    if flags.zero_rule == ZeroRule::Condition {
        memory.scaled_to_zero =
            current > 0 && pass.desired == 0 && least == 0 && spec.has_object_or_external();
        pass.scaled_to_zero = Some(memory.scaled_to_zero);
    }
}

/// What the metrics ask for together; none if they may not decide.
fn propose(spec: &Spec, flags: &Flags, state: &State<'_>, scale: &Scale<'_>, pass: &mut Pass) -> Option<i32> {
    if scale.selector != Selector::Fine {
        pass.end = End::NoSelector;
        return None;
    }
    assert_eq!(spec.metrics.len(), state.readings.len(), "every metric has a reading");
    let tolerances = flags.tolerances(spec);
    let (mut most, mut n_failed) = (0, 0);
    for (index, (metric, reading)) in spec.metrics.iter().zip(state.readings).enumerate() {
        let question = Question {
            now_seconds: state.now_seconds,
            current: scale.spec_replicas,
            observed: scale.status_replicas,
            pods: state.pods,
            reading,
            tolerances,
            flags,
        };
        let asked = calculate(metric, &question, &mut pass.groups[index]);
        match asked {
            Ok(calculation) if most == 0 || calculation.replicas > most => {
                (most, pass.winner) = (calculation.replicas, Some(index));
            }
            Ok(_) => {}
            Err(_) => n_failed += 1,
        }
        pass.metrics.push(asked);
    }
    if n_failed >= spec.metrics.len() || (n_failed > 0 && most < scale.spec_replicas) {
        pass.end = End::MetricsFailed;
        return None;
    }
    Some(most.max(0))
}

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
    /// What the metrics ask for together, where they could decide.
    pub proposal: Option<i32>,
    /// What stabilization did, where it was asked.
    pub stabilized: Option<Stabilized>,
    /// What limits did, where they were asked.
    pub limited: Option<Limited>,
    /// The event that was stored.
    pub stored: Option<Event>,
    /// What the condition `ScaledToZero` was set to, where it was.
    pub scaled_to_zero: Option<bool>,
}

impl Pass {
    /// Makes room for passes over so many pods.
    pub fn reserve(&mut self, spec: &Spec, n_pods: usize) {
        self.metrics.reserve(spec.metrics.len().saturating_sub(self.metrics.len()));
        self.groups.resize_with(spec.metrics.len(), Vec::new);
        for groups in &mut self.groups {
            groups.reserve(n_pods.saturating_sub(groups.len()));
        }
    }

    /// Forgets the pass before.
    fn start(&mut self, spec: &Spec) {
        let Self { metrics, groups, .. } = std::mem::take(self);
        *self = Self { metrics, groups, ..Self::default() };
        self.metrics.clear();
        self.groups.resize_with(spec.metrics.len(), Vec::new);
        self.groups.iter_mut().for_each(Vec::clear);
    }
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
