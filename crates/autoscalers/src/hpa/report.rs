//! A pass in words: what `kubectl describe hpa` shows, and the working.

use serde::Serialize;

use super::behavior::{Event, Limited, Stabilized};
use super::pods::Group;
use super::reconcile::{End, Pass, State};
use super::replicas::Calculation;
use super::spec::{Flags, Spec};

/// One pass in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How it ended.
    pub end: End,
    /// `spec.replicas` as it was.
    pub current_replicas: i32,
    /// What it should be.
    pub desired_replicas: i32,
    /// Whether that was written.
    pub is_written: bool,
    /// Why the count changes, as the event `SuccessfulRescale` says; empty where it does not.
    pub reason: String,
    /// The error of the pass, as the controller logs it; a pass may scale and have one.
    pub error: Option<String>,
    /// One a metric, in the order of the spec; empty where no metric was read.
    pub metrics: Vec<MetricReport>,
    /// What stabilization did, where it was asked.
    pub stabilized: Option<Stabilized>,
    /// What limits did, where they were asked.
    pub limited: Option<Limited>,
    /// The event that was stored.
    pub stored: Option<Event>,
    /// Conditions that the pass set, in the order in which the controller adds them.
    pub conditions: Vec<Condition>,
}

/// One metric in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricReport {
    /// As messages name it, for example `cpu resource utilization (percentage of request)`.
    pub name: String,
    /// What it asked for, with the working; none if it failed.
    pub calculation: Option<Calculation>,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether it asked for the most.
    pub is_winner: bool,
    /// How each pod counted, by name, in the order of the pods.
    pub pods: Vec<PodReport>,
}

/// How one pod counted towards one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PodReport {
    /// Its name.
    pub name: String,
    /// Its group, and why where that is not plain.
    pub group: Group,
}

/// A condition of the autoscaler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// `AbleToScale`, `ScalingActive`, `ScalingLimited` or `ScaledToZero`.
    pub kind: &'static str,
    /// `True` or `False`.
    pub status: bool,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

impl Report {
    /// Puts a pass into words.
    pub fn new(spec: &Spec, flags: &Flags, state: &State<'_>, pass: &Pass) -> Self {
        let _ = (spec, flags, state, pass);
        todo!("follows in the next commit")
    }
}
