//! A pass in words: what `kubectl describe hpa` shows, and the working.
//!
//! Conditions, reasons and messages are the real controller's, down to its slips (the message about an object's metric
//! names the error last, where the object's name belongs), because people search for them. Conditions that an earlier
//! pass set and this one did not touch are not repeated.

use serde::Serialize;

use super::behavior::{Event, Limit, Limited, Stabilized};
use super::pods::Group;
use super::reconcile::{End, Pass, Selector, State};
use super::replicas::{Calculation, Failure};
use super::spec::{Metric, Spec, Target};

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
    pub fn new(spec: &Spec, state: &State<'_>, pass: &Pass) -> Self {
        let words = Words { spec, state, pass };
        Self {
            end: pass.end,
            current_replicas: pass.current,
            desired_replicas: pass.desired,
            is_written: pass.is_written,
            reason: words.reason(),
            error: words.error(),
            metrics: words.metrics(),
            stabilized: pass.stabilized,
            limited: pass.limited,
            stored: pass.stored,
            conditions: words.conditions(),
        }
    }
}

impl Metric {
    /// As messages name it.
    pub fn name(&self) -> String {
        match self {
            Self::Resource { resource, target: Target::Utilization { .. } } => {
                format!("{} resource utilization (percentage of request)", resource.name())
            }
            Self::ContainerResource { resource, target: Target::Utilization { .. }, .. } => {
                format!("{} container resource utilization (percentage of request)", resource.name())
            }
            Self::Resource { resource, .. } | Self::ContainerResource { resource, .. } => {
                format!("{} resource", resource.name())
            }
            Self::Pods { name, .. } => format!("pods metric {name}"),
            Self::Object { object_kind, name, target: Target::Value { .. }, .. } => {
                format!("{object_kind} metric {name}")
            }
            // An object's average value is called external upstream, too.
            Self::Object { name, selector, .. } | Self::External { name, selector, .. } => {
                format!("external metric {name}({selector})")
            }
            Self::Unknown { kind } => kind.clone(),
        }
    }

    /// The reason of the condition that says that it failed.
    const fn failure_reason(&self) -> &'static str {
        match self {
            Self::Resource { .. } => "FailedGetResourceMetric",
            Self::ContainerResource { .. } => "FailedGetContainerResourceMetric",
            Self::Pods { .. } => "FailedGetPodsMetric",
            Self::Object { .. } => "FailedGetObjectMetric",
            Self::External { .. } => "FailedGetExternalMetric",
            Self::Unknown { .. } => "InvalidMetricSourceType",
        }
    }
}

const BELOW: &str = "Current number of replicas below Spec.MinReplicas";

const NO_PODS: &str = "no pods returned by selector while calculating replica count";

/// What there is to say.
struct Words<'a> {
    spec: &'a Spec,
    state: &'a State<'a>,
    pass: &'a Pass,
}

impl Words<'_> {
    fn reason(&self) -> String {
        let Pass { current, desired, proposal, winner, .. } = *self.pass;
        match self.pass.end {
            End::AboveMaximum => "Current number of replicas above Spec.MaxReplicas".to_owned(),
            End::BelowMinimum => BELOW.to_owned(),
            End::Metrics if desired != current => match proposal {
                Some(proposal) if proposal > current => {
                    let name = winner.map(|index| self.spec.metrics[index].name());
                    format!("{} above target", name.unwrap_or_default())
                }
                Some(proposal) if proposal < current => "All metrics below target".to_owned(),
                _ if current == 0 => BELOW.to_owned(),
                _ => String::new(),
            },
            _ => String::new(),
        }
    }

    fn error(&self) -> Option<String> {
        if let Err(why) = self.state.scale {
            return Some(format!("failed to query scale subresource: {why}"));
        }
        if self.pass.end == End::NoSelector {
            return self.selector().map(|(_, _, error)| error);
        }
        if let Some(why) = self.state.write_error.filter(|_| self.pass.desired != self.pass.current) {
            return Some(format!("failed to rescale: {why}"));
        }
        let (index, failure) = self.first_failure()?;
        let (failed, all) =
            (self.pass.metrics.iter().filter(|asked| asked.is_err()).count(), self.pass.metrics.len());
        let first = self.metric_error(index, failure);
        Some(format!("invalid metrics ({failed} invalid out of {all}), first error is: {first}"))
    }

    fn metrics(&self) -> Vec<MetricReport> {
        let metrics = self.spec.metrics.iter().zip(&self.pass.metrics).enumerate();
        metrics
            .map(|(index, (metric, asked))| MetricReport {
                name: metric.name(),
                calculation: asked.ok(),
                error: asked.err().map(|failure| self.metric_error(index, failure)),
                is_winner: self.pass.winner == Some(index),
                pods: self.pods(index),
            })
            .collect()
    }

    fn pods(&self, metric: usize) -> Vec<PodReport> {
        let counted = self.state.pods.iter().zip(&self.pass.groups[metric]);
        counted.map(|(pod, group)| PodReport { name: pod.name.clone(), group: *group }).collect()
    }

    fn conditions(&self) -> Vec<Condition> {
        let mut conditions = vec![self.able_to_scale()];
        conditions.extend(self.scaling_active());
        conditions.extend(self.scaling_limited());
        conditions.extend(self.pass.scaled_to_zero.map(|status| {
            let (reason, message) = if status {
                ("ScaledToZero", "the HPA controller scaled the workload to zero")
            } else {
                ("NotScaledToZero", "the HPA controller did not scale the workload to zero")
            };
            Condition { kind: "ScaledToZero", status, reason, message: message.to_owned() }
        }));
        conditions
    }

    fn able_to_scale(&self) -> Condition {
        let able =
            |status, reason, message: String| Condition { kind: "AbleToScale", status, reason, message };
        if let Err(why) = self.state.scale {
            let message = format!("the HPA controller was unable to get the target's current scale: {why}");
            return able(false, "FailedGetScale", message);
        }
        let Pass { desired, current, proposal, stabilized, .. } = *self.pass;
        if desired != current {
            if let Some(why) = self.state.write_error {
                let message = format!("the HPA controller was unable to update the target scale: {why}");
                return able(false, "FailedUpdateScale", message);
            }
            let message = format!("the HPA controller was able to update the target scale to {desired}");
            return able(true, "SucceededRescale", message);
        }
        let Some((proposal, stabilized)) = proposal.zip(stabilized) else {
            let message = "the HPA controller was able to get the target's current scale";
            return able(true, "SucceededGetScale", message.to_owned());
        };
        if proposal == stabilized.replicas {
            return able(true, "ReadyForNewScale", "recommended size matches current size".to_owned());
        }
        let (reason, past, pick) = if self.spec.behavior.is_some() && proposal >= current {
            ("ScaleUpStabilized", "lower", "lowest")
        } else {
            ("ScaleDownStabilized", "higher", "highest")
        };
        let message = format!(
            "recent recommendations were {past} than current one, applying the {pick} recent recommendation"
        );
        able(true, reason, message)
    }

    fn scaling_active(&self) -> Option<Condition> {
        let active = |status, reason, message| Condition { kind: "ScalingActive", status, reason, message };
        match self.pass.end {
            End::NoScale | End::AboveMaximum | End::BelowMinimum => None,
            End::Disabled => {
                let message = "scaling is disabled since the replica count of the target is zero";
                Some(active(false, "ScalingDisabled", message.to_owned()))
            }
            End::NoSelector => self.selector().map(|(reason, message, _)| active(false, reason, message)),
            End::MetricsFailed => {
                let (index, failure) = self.first_failure()?;
                let why = self.metric_failure(index, failure);
                let message = format!("the HPA was unable to compute the replica count: {why}");
                Some(active(false, self.spec.metrics[index].failure_reason(), message))
            }
            End::Metrics => {
                let name = self.pass.winner.map(|index| self.spec.metrics[index].name()).unwrap_or_default();
                let message =
                    format!("the HPA was able to successfully calculate a replica count from {name}");
                Some(active(true, "ValidMetricFound", message))
            }
        }
    }

    fn scaling_limited(&self) -> Option<Condition> {
        let (stabilized, limited) = self.pass.stabilized.zip(self.pass.limited)?;
        let (reason, message) = match limited.limit {
            Limit::Within => ("DesiredWithinRange", "the desired count is within the acceptable range"),
            Limit::RateUp => {
                ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
            }
            Limit::Maximum => {
                ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
            }
            Limit::RateDown => (
                "ScaleDownLimit",
                "the desired replica count is decreasing faster than the maximum scale rate",
            ),
            Limit::Minimum => {
                ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
            }
        };
        let status = limited.replicas != stabilized.replicas;
        Some(Condition { kind: "ScalingLimited", status, reason, message: message.to_owned() })
    }

    /// Reason, message and error of a selector that lists no pods.
    fn selector(&self) -> Option<(&'static str, String, String)> {
        match self.state.scale.ok()?.selector {
            Selector::Fine => None,
            Selector::Empty => {
                let message = "the HPA target's scale is missing a selector".to_owned();
                Some(("InvalidSelector", message, "selector is required".to_owned()))
            }
            Selector::Unreadable(why) => {
                let message =
                    format!("couldn't convert selector into a corresponding internal selector object: {why}");
                Some(("InvalidSelector", message.clone(), message))
            }
            Selector::Ambiguous { selector, autoscalers } => {
                let message =
                    format!("pods by selector {selector} are controlled by multiple HPAs: {autoscalers}");
                Some(("AmbiguousSelector", message.clone(), message))
            }
        }
    }

    fn first_failure(&self) -> Option<(usize, Failure)> {
        let metrics = self.pass.metrics.iter().enumerate();
        metrics.into_iter().find_map(|(index, asked)| Some((index, asked.err()?)))
    }

    /// Why a metric failed, as the error of the pass says it.
    fn metric_error(&self, index: usize, failure: Failure) -> String {
        let why = self.metric_failure(index, failure);
        match (&self.spec.metrics[index], failure) {
            (Metric::Unknown { .. }, _) => why,
            (Metric::Resource { resource, .. }, _) => {
                format!("failed to get {} resource metric value: {why}", resource.name())
            }
            (Metric::ContainerResource { container, .. }, _) => {
                format!("failed to get {container} container metric value: {why}")
            }
            (Metric::Pods { .. }, _) => format!("failed to get pods metric value: {why}"),
            (Metric::Object { name, target: Target::AverageValue { .. }, .. }, _) => {
                format!("failed to get object metric value: failed to get {name} object metric: {why}")
            }
            (Metric::Object { .. }, _) => format!("failed to get object metric value: {why}"),
            (Metric::External { name, .. }, Failure::Target) => {
                format!("failed to get {name} external metric value: {why}")
            }
            (Metric::External { name, target: Target::AverageValue { .. }, .. }, _) => format!(
                "failed to get {name} external metric value: failed to get {name} external metric: {why}"
            ),
            (Metric::External { name, .. }, _) => format!(
                "failed to get {name} external metric value: failed to get external metric {name}: {why}"
            ),
        }
    }

    /// Why a metric failed, as the condition says it.
    fn metric_failure(&self, index: usize, failure: Failure) -> String {
        let metric = &self.spec.metrics[index];
        let why = self.failure(index, failure);
        match metric {
            _ if failure == Failure::Target => why,
            Metric::Resource { resource, target: Target::Utilization { .. } }
            | Metric::ContainerResource { resource, target: Target::Utilization { .. }, .. } => {
                format!("failed to get {} utilization: {why}", resource.name())
            }
            Metric::Resource { resource, .. } | Metric::ContainerResource { resource, .. } => {
                format!("failed to get {} usage: {why}", resource.name())
            }
            _ => why,
        }
    }

    /// Why a metric failed, as its calculation says it.
    fn failure(&self, index: usize, failure: Failure) -> String {
        let metric = &self.spec.metrics[index];
        let resource = match metric {
            Metric::Resource { resource, .. } | Metric::ContainerResource { resource, .. } => resource.name(),
            _ => "",
        };
        let pod = |pod: usize| &self.state.pods[pod].name;
        match failure {
            Failure::Api => {
                let why = self.state.readings[index].failure.as_deref().unwrap_or_default();
                self.unable_to_get(metric, why)
            }
            Failure::Nothing => {
                let api = match metric {
                    Metric::Resource { .. } | Metric::ContainerResource { .. } => "resource",
                    Metric::External { .. } => "external",
                    _ => "custom",
                };
                self.unable_to_get(metric, &format!("no metrics returned from {api} metrics API"))
            }
            Failure::NoPods if matches!(metric, Metric::Object { .. } | Metric::External { .. }) => {
                format!("unable to calculate ready pods: {NO_PODS}")
            }
            Failure::NoPods => NO_PODS.to_owned(),
            Failure::NoSamples => {
                "did not receive metrics for targeted pods (pods might be unready)".to_owned()
            }
            Failure::NoRequest { pod: at, container } => {
                let container = &self.state.pods[at].containers[container].name;
                format!("missing request for {resource} in container {container} of Pod {}", pod(at))
            }
            Failure::NoPodRequest { pod: at } => {
                format!("missing pod-level request for {resource} in Pod {}", pod(at))
            }
            Failure::NoContainer { pod: at } => {
                let Metric::ContainerResource { container, .. } = metric else { return String::new() };
                format!("container {container} not found in Pod {}", pod(at))
            }
            Failure::NoMatch => "no metrics returned matched known pods".to_owned(),
            Failure::Target => match metric {
                Metric::Object { .. } => {
                    "invalid object metric source: neither a value target nor an average value target was set"
                        .to_owned()
                }
                Metric::External { .. } => {
                    "invalid external metric source: neither a value target nor an average value target was set"
                        .to_owned()
                }
                _ => "invalid resource metric source: neither an average utilization target nor an average value \
                      (usage) target was set"
                    .to_owned(),
            },
            Failure::Type => format!("unknown metric source type {:?}", metric.name()),
        }
    }

    fn unable_to_get(&self, metric: &Metric, why: &str) -> String {
        let namespace = self.state.namespace;
        match metric {
            Metric::Resource { resource, .. } | Metric::ContainerResource { resource, .. } => {
                format!("unable to get metrics for resource {}: {why}", resource.name())
            }
            Metric::Object { object_kind, object_name, name, .. } => {
                format!("unable to get metric {name}: {object_kind} on {namespace} {object_name}/{why}")
            }
            Metric::External { name, selector, .. } => {
                format!("unable to get external metric {namespace}/{name}/{selector}: {why}")
            }
            Metric::Pods { name, .. } => format!("unable to get metric {name}: {why}"),
            Metric::Unknown { .. } => why.to_owned(),
        }
    }
}
