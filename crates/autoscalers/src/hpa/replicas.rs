//! How many replicas one metric asks for, with the working.

use serde::Serialize;

/// What one metric asks for, and how that came about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calculation {
    /// How many replicas.
    pub replicas: i32,
    /// Usage over request in whole percent, where that is what the target is about.
    pub utilization_percent: Option<i32>,
    /// The mean over the pods that counted, or the value as a whole, in milli-units, as the status reports it.
    pub usage_milli: i64,
    /// Usage over target.
    pub ratio: f64,
    /// How many pods of each group there were.
    pub counts: Counts,
    /// What was filled in for pods without a usable sample, where something was.
    pub filled: Option<Filled>,
    /// The rule that gave the count.
    pub because: Because,
}

/// How many pods of each group there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Pods that count with their sample.
    pub ready: usize,
    /// Pods of which the sample is dropped.
    pub unready: usize,
    /// Pods without a sample.
    pub missing: usize,
    /// Pods that do not count.
    pub ignored: usize,
    /// Samples of pods that are not in the list at all.
    pub strays: usize,
}

/// The second look, with values filled in for pods without a usable sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Filled {
    /// What the missing pods are taken to use, in milli-units and in all; none if they were left out.
    pub missing_milli: Option<i64>,
    /// Whether unready pods were taken to use nothing.
    pub with_unready: bool,
    /// Samples, real and filled in.
    pub samples: usize,
    /// Usage over target, over all of them.
    pub ratio: f64,
}

/// Which rule gave the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The ratio is within the tolerance: the current count.
    WithinTolerance,
    /// The ratio with filled values is within the tolerance: the current count.
    FilledWithinTolerance,
    /// The filled values turn the direction: the current count.
    FilledTurnsDirection,
    /// The number of samples turns the direction: the current count.
    CountTurnsDirection,
    /// The ratio times the number of pods, rounded up.
    Proportional,
    /// The value over the target, rounded up.
    PerPod,
    /// From zero: the ratio, rounded up.
    FromZero,
}

/// Why a metric asks for nothing; `Report` has the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The metrics API failed; the reading has its words.
    Api,
    /// The metrics API gave nothing.
    Nothing,
    /// There are no pods.
    NoPods,
    /// None of the samples counts.
    NoSamples,
    /// A container requests nothing of the resource.
    NoRequest {
        /// Position of the pod.
        pod: usize,
        /// Position of the container.
        container: usize,
    },
    /// A pod with requests as a whole requests nothing of the resource.
    NoPodRequest {
        /// Position of the pod.
        pod: usize,
    },
    /// A pod has no container of that name.
    NoContainer {
        /// Position of the pod.
        pod: usize,
    },
    /// Requests of the pods with samples come to nothing.
    NoMatch,
    /// The target does not fit the metric.
    Target,
    /// There is no such type of metric.
    Type,
}
