//! How many replicas one metric asks for, with the working.
//!
//! Resource utilization: util = trunc(100 Σ usage / Σ request), over the pods that count, in whole percent; ratio = util
//! / target. Resource average value and pods metrics: mean = trunc(Σ usage / n), ratio = mean / target. With no pod
//! missing, and none unready or a ratio of at most 1: the current count within the tolerance, else ⌈ratio · ready⌉.
//! Otherwise the others get values that argue against the change, and the ratio is taken again over all of them:
//!
//! | | ratio < 1 | ratio > 1 |
//! | --- | --- | --- |
//! | missing | max(100 %, target) of the request; or the target | 0 |
//! | unready | left out | 0 |
//!
//! The count is then ⌈ratio' · samples⌉, unless ratio' is within the tolerance, or it or the count turn the direction:
//! then it is the current count. The multiplier is the number of pods looked at, not the current count, so one pod of
//! four at twice the target gives two.
//!
//! Object and external value: ratio = value / target, ⌈ratio · pods running and ready⌉; with none declared ⌈ratio⌉.
//! Average value: ratio = value / (target · `status.replicas`), ⌈value / target⌉.
//!
//! Source: `replica_calculator.go`, `metrics/utilization.go`. Sums wrap as `int64` does, but for external metrics, which
//! upstream caps; a float that fits no count saturates, where Go leaves it to the processor.

use serde::Serialize;

use super::pods::{Group, Phase, Pod, group, plain_request_milli, request_milli};
use super::reconcile::Reading;
use super::spec::{Flags, Metric, Resource, Target, Tolerances};

/// What is asked, beside the metric.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Now.
    pub now_seconds: f64,
    /// `spec.replicas`.
    pub current: i32,
    /// `status.replicas`.
    pub observed: i32,
    /// The pods that the selector lists.
    pub pods: &'a [Pod],
    /// What the metrics API said of this metric.
    pub reading: &'a Reading,
    /// How far the ratio may be from 1.
    pub tolerances: Tolerances,
    /// Flags of the controller.
    pub flags: &'a Flags,
}

/// How many replicas a metric asks for. How each pod counted goes into `groups`, of metrics of pods.
///
/// # Errors
/// If it asks for nothing.
pub fn calculate(
    metric: &Metric,
    question: &Question<'_>,
    groups: &mut Vec<Group>,
) -> Result<Calculation, Failure> {
    groups.clear();
    let of_resource = |resource: &Resource, container, target: &Target, groups| match *target {
        Target::Utilization { percent } => {
            per_pod(question, Measure::Share { resource: *resource, container, percent }, groups)
        }
        Target::AverageValue { milli } => {
            per_pod(question, Measure::Mean { is_cpu: *resource == Resource::Cpu, milli }, groups)
        }
        Target::Value { .. } => Err(Failure::Target),
    };
    match metric {
        Metric::Resource { resource, target } => of_resource(resource, None, target, groups),
        Metric::ContainerResource { resource, container, target } => {
            of_resource(resource, Some(container.as_str()), target, groups)
        }
        Metric::Pods { average_milli, .. } => {
            per_pod(question, Measure::Mean { is_cpu: false, milli: *average_milli }, groups)
        }
        Metric::Object { target, .. } => match *target {
            Target::Value { milli } => as_a_whole(question, first(question.reading)?, milli),
            Target::AverageValue { milli } => {
                let value = first(question.reading)?;
                Ok(over_observed(question, value, milli, average(value, question.observed)))
            }
            Target::Utilization { .. } => Err(Failure::Target),
        },
        Metric::External { target, .. } => match *target {
            Target::Value { milli } => as_a_whole(question, capped_sum(question.reading)?, milli),
            Target::AverageValue { milli } => {
                let value = wrapped_sum(question.reading)?;
                // A value at the cap is reported as it is.
                let is_capped = value as f64 >= i64::MAX as f64;
                let usage = if is_capped { i64::MAX } else { average(value, question.observed) };
                Ok(over_observed(question, value, milli, usage))
            }
            Target::Utilization { .. } => Err(Failure::Target),
        },
        Metric::Unknown { .. } => Err(Failure::Type),
    }
}

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

/// How samples of pods become a ratio.
#[derive(Clone, Copy)]
enum Measure<'a> {
    /// Usage over request.
    Share { resource: Resource, container: Option<&'a str>, percent: i32 },
    /// Mean over pods.
    Mean { is_cpu: bool, milli: i64 },
}

/// Sums over some pods.
#[derive(Clone, Copy, Default)]
struct Sums {
    pods: usize,
    usage_milli: i64,
    request_milli: i64,
}

impl Sums {
    fn add(&mut self, usage_milli: i64, request_milli: i64) {
        self.pods += 1;
        self.usage_milli = self.usage_milli.wrapping_add(usage_milli);
        self.request_milli = self.request_milli.wrapping_add(request_milli);
    }

    fn and(self, other: Self) -> Self {
        Self {
            pods: self.pods + other.pods,
            usage_milli: self.usage_milli.wrapping_add(other.usage_milli),
            request_milli: self.request_milli.wrapping_add(other.request_milli),
        }
    }
}

/// A metric of pods.
fn per_pod(
    question: &Question<'_>,
    measure: Measure<'_>,
    groups: &mut Vec<Group>,
) -> Result<Calculation, Failure> {
    let Question { pods, reading, flags, current, tolerances, now_seconds, .. } = *question;
    if reading.failure.is_some() {
        return Err(Failure::Api);
    }
    if reading.strays.is_empty() && reading.samples.iter().all(Option::is_none) {
        return Err(Failure::Nothing);
    }
    if pods.is_empty() {
        return Err(Failure::NoPods);
    }
    let (is_cpu, of) = match measure {
        Measure::Share { resource, container, .. } => {
            (resource == Resource::Cpu, Some((resource, container)))
        }
        Measure::Mean { is_cpu, .. } => (is_cpu, None),
    };
    let (mut ready, mut unready, mut missing, mut ignored) =
        (Sums::default(), Sums::default(), Sums::default(), 0);
    let mut no_request = None;
    let mut samples = reading.samples.iter();
    for (index, pod) in pods.iter().enumerate() {
        let sample = samples.next().and_then(Option::as_ref);
        let group = group(pod, sample, is_cpu, flags, now_seconds);
        groups.push(group);
        // Requests of all pods are asked for, even of those that do not count.
        let request = of.map_or(0, |(resource, container)| {
            plain_request_milli(pod, container, resource).unwrap_or_else(|| {
                request_milli(pod, index, container, resource, flags).unwrap_or_else(|failure| {
                    no_request = no_request.or(Some(failure));
                    0
                })
            })
        });
        match group {
            Group::Ready => ready.add(sample.map_or(0, |sample| sample.milli), request),
            Group::Unready(_) => unready.add(0, request),
            Group::Missing => missing.add(measure.busy_milli(request), request),
            Group::Ignored(_) => ignored += 1,
        }
    }
    let counts = Counts {
        ready: ready.pods,
        unready: unready.pods,
        missing: missing.pods,
        ignored,
        strays: reading.strays.len(),
    };
    let mut sums = ready;
    for milli in &reading.strays {
        // They count as samples; usage over request leaves out what has no request.
        sums.add(if matches!(measure, Measure::Mean { .. }) { *milli } else { 0 }, 0);
    }
    if sums.pods == 0 {
        return Err(Failure::NoSamples);
    }
    if let Some(failure) = no_request {
        return Err(failure);
    }
    let (ratio, utilization_percent, usage_milli) = measure.ratio(sums, counts.strays)?;
    let result = |replicas, filled, because| {
        Ok(Calculation { replicas, utilization_percent, usage_milli, ratio, counts, filled, because })
    };
    let with_unready = unready.pods > 0 && ratio > 1.0;
    if !with_unready && missing.pods == 0 {
        return if tolerances.hold(ratio) {
            result(current, None, Because::WithinTolerance)
        } else {
            result(rounded_up(ratio * ready.pods as f64), None, Because::Proportional)
        };
    }
    let mut missing_milli = None;
    if missing.pods > 0 && ratio != 1.0 {
        let fill = Sums { usage_milli: if ratio < 1.0 { missing.usage_milli } else { 0 }, ..missing };
        missing_milli = Some(fill.usage_milli);
        sums = sums.and(fill);
    }
    if with_unready {
        sums = sums.and(unready);
    }
    let (second, _, _) = measure.ratio(sums, counts.strays)?;
    let filled = Some(Filled { missing_milli, with_unready, samples: sums.pods, ratio: second });
    if tolerances.hold(second) {
        return result(current, filled, Because::FilledWithinTolerance);
    }
    if (ratio < 1.0 && second > 1.0) || (ratio > 1.0 && second < 1.0) {
        return result(current, filled, Because::FilledTurnsDirection);
    }
    let replicas = rounded_up(second * sums.pods as f64);
    if (second < 1.0 && replicas > current) || (second > 1.0 && replicas < current) {
        return result(current, filled, Because::CountTurnsDirection);
    }
    result(replicas, filled, Because::Proportional)
}

impl Measure<'_> {
    /// What a pod without a sample may use at the most, by what it requests.
    fn busy_milli(self, request_milli: i64) -> i64 {
        match self {
            Self::Share { percent, .. } => request_milli.wrapping_mul(i64::from(percent.max(100))) / 100,
            Self::Mean { milli, .. } => milli,
        }
    }

    /// Usage over target, utilization, mean usage; the latter without the `n_strays` pods that have no request, where
    /// requests count.
    fn ratio(self, sums: Sums, n_strays: usize) -> Result<(f64, Option<i32>, i64), Failure> {
        match self {
            Self::Share { percent, .. } => {
                if sums.request_milli == 0 {
                    return Err(Failure::NoMatch);
                }
                let mean = sums.usage_milli / whole(sums.pods - n_strays).max(1);
                let utilization = sums.usage_milli.wrapping_mul(100).wrapping_div(sums.request_milli) as i32;
                Ok((f64::from(utilization) / f64::from(percent), Some(utilization), mean))
            }
            Self::Mean { milli, .. } => {
                let mean = sums.usage_milli / whole(sums.pods);
                Ok((mean as f64 / milli as f64, None, mean))
            }
        }
    }
}

/// Object and external metrics with a target for the whole.
fn as_a_whole(question: &Question<'_>, value: i64, target_milli: i64) -> Result<Calculation, Failure> {
    let ratio = value as f64 / target_milli as f64;
    let (replicas, counts, because) = if question.current == 0 {
        (rounded_up(ratio), Counts::default(), Because::FromZero)
    } else if question.tolerances.hold(ratio) {
        (question.current, Counts::default(), Because::WithinTolerance)
    } else if question.pods.is_empty() {
        return Err(Failure::NoPods);
    } else {
        let ready = question.pods.iter().filter(|pod| pod.phase == Phase::Running && pod.is_ready()).count();
        (rounded_up(ratio * ready as f64), Counts { ready, ..Counts::default() }, Because::Proportional)
    };
    Ok(Calculation {
        replicas,
        utilization_percent: None,
        usage_milli: value,
        ratio,
        counts,
        filled: None,
        because,
    })
}

/// Object and external metrics with a target per pod. Pods are counted by the scale's status; none gives a ratio that
/// is no number or infinite, which no tolerance holds.
fn over_observed(question: &Question<'_>, value: i64, target_milli: i64, usage_milli: i64) -> Calculation {
    let ratio = value as f64 / (target_milli as f64 * f64::from(question.observed));
    let (replicas, because) = if question.tolerances.hold(ratio) {
        (question.observed, Because::WithinTolerance)
    } else {
        (rounded_up(value as f64 / target_milli as f64), Because::PerPod)
    };
    Calculation {
        replicas,
        utilization_percent: None,
        usage_milli,
        ratio,
        counts: Counts::default(),
        filled: None,
        because,
    }
}

fn first(reading: &Reading) -> Result<i64, Failure> {
    values(reading).map(|values| values[0])
}

/// The sum, capped from above.
fn capped_sum(reading: &Reading) -> Result<i64, Failure> {
    let values = values(reading)?;
    let mut sum = 0_i64;
    for value in values {
        if *value > 0 && sum > i64::MAX - value {
            return Ok(i64::MAX);
        }
        sum = sum.wrapping_add(*value);
    }
    Ok(sum)
}

/// The sum; the largest number there is as soon as it falls below zero, which upstream takes for an overflow.
fn wrapped_sum(reading: &Reading) -> Result<i64, Failure> {
    let values = values(reading)?;
    let mut sum = 0_i64;
    for value in values {
        sum = sum.wrapping_add(*value);
        if sum < 0 {
            return Ok(i64::MAX);
        }
    }
    Ok(sum)
}

fn values(reading: &Reading) -> Result<&[i64], Failure> {
    if reading.failure.is_some() {
        return Err(Failure::Api);
    }
    if reading.values.is_empty() { Err(Failure::Nothing) } else { Ok(&reading.values) }
}

fn average(value: i64, observed: i32) -> i64 {
    (value as f64 / f64::from(observed)).ceil() as i64
}

fn rounded_up(replicas: f64) -> i32 {
    replicas.ceil() as i32
}

fn whole(n: usize) -> i64 {
    i64::try_from(n).expect("pods fit into memory")
}
