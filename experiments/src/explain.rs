//! What a Kubernetes autoscaler would do now, and why: one pass of the real rule on a state that somebody wrote down.
//!
//! The pass is [`tidegate_autoscalers::hpa::reconcile()`]; here its working is put beside what it was made of, so that a
//! page ([`page`]) or a JSON text can be made of it. [`replay`] does the same along a whole trace, for any controller.

pub mod page;
pub mod replay;
pub mod state;

use serde::Serialize;
use tidegate_autoscalers::hpa::behavior::{Limit, Limited, change_in_period};
use tidegate_autoscalers::hpa::manifest::Manifest;
use tidegate_autoscalers::hpa::pods::request_milli;
use tidegate_autoscalers::hpa::reconcile::End;
use tidegate_autoscalers::hpa::replicas::{Because, Calculation, Counts};
use tidegate_autoscalers::hpa::report::Condition;
use tidegate_autoscalers::hpa::{
    Behavior, Flags, Group, Memory, Metric, Pass, Pod, Policy, PolicyKind, Readiness, Report, Resource,
    Scale, Select, Selector, Spec, State, Target, Why, reconcile,
};

use self::state::{Situation, path_of};
use crate::report::number;

/// One pass, with its working. As JSON it is documented in docs/explain.md.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Namespace and name.
    pub autoscaler: String,
    /// Kind and name of what it scales.
    pub target: String,
    /// When, as the state file writes times.
    pub now: String,
    /// `spec.replicas` of the target.
    pub spec_replicas: i32,
    /// `status.replicas` of the target.
    pub status_replicas: i32,
    /// `minReplicas`.
    pub replicas_min: i32,
    /// `maxReplicas`.
    pub replicas_max: i32,
    /// How the pass ended.
    pub end: End,
    /// One a metric of the manifest; empty where no metric was read.
    pub metrics: Vec<MetricExplanation>,
    /// What the metrics ask for together, where they decide.
    pub proposal: Option<i32>,
    /// What stabilization made of that.
    pub stabilization: Option<Stabilization>,
    /// What rate limits and bounds left of it.
    pub limits: Option<Limits>,
    /// As `kubectl describe hpa` shows them.
    pub conditions: Vec<Condition>,
    /// The count that is written.
    pub desired_replicas: i32,
    /// As the event `SuccessfulRescale` says; empty where nothing changes.
    pub reason: String,
    /// As the controller logs it.
    pub error: Option<String>,
    /// One sentence: from what to what, or stay, and why.
    pub conclusion: String,
    /// What the controller remembers afterwards.
    pub memory: Memory,
}

/// One metric.
#[derive(Clone, Debug, Serialize)]
pub struct MetricExplanation {
    /// Where it stands in the manifest.
    pub field: String,
    /// As the controller's messages name it.
    pub name: String,
    /// The same in short.
    pub label: String,
    /// What it asks for; none if it failed.
    pub proposal: Option<i32>,
    /// Whether it is the one that the decision follows.
    pub decides: bool,
    /// Why it failed, as the controller logs it.
    pub error: Option<String>,
    /// Why it failed, in the words of the metrics API where it was that.
    pub failure: Option<String>,
    /// What it is now, with its unit.
    pub value: Option<String>,
    /// What it should be, with its unit.
    pub target: String,
    /// Value over target.
    pub ratio: Option<f64>,
    /// Lower and upper end of what counts as on target.
    pub tolerated: [f64; 2],
    /// How the count follows.
    pub working: Option<String>,
    /// Which rule gave the count.
    pub rule: Option<Because>,
    /// How many pods of each group there are.
    pub counts: Option<Counts>,
    /// Each pod that the selector lists, for metrics of pods.
    pub pods: Vec<PodExplanation>,
}

/// One pod's part in one metric.
#[derive(Clone, Debug, Serialize)]
pub struct PodExplanation {
    /// Its name.
    pub name: String,
    /// `ready`, `unready`, `missing` or `ignored`.
    pub group: &'static str,
    /// Why, where that is not plain.
    pub why: String,
    /// Its sample, with its unit.
    pub usage: Option<String>,
    /// What it requests, with its unit, where the target is a share of that.
    pub request: Option<String>,
    /// What was taken in place of a sample, with its unit.
    pub filled: Option<String>,
}

/// What stabilization did.
#[derive(Clone, Debug, Serialize)]
pub struct Stabilization {
    /// What came in.
    pub proposal: i32,
    /// What is left.
    pub replicas: i32,
    /// What it may go up to; none without `behavior`.
    pub up: Option<Window>,
    /// What it may go down to.
    pub down: Window,
}

/// The recommendations that a stabilization window holds, the newest one left out.
#[derive(Clone, Debug, Serialize)]
pub struct Window {
    /// Its length.
    pub seconds: f64,
    /// What it holds, youngest first.
    pub recommendations: Vec<Recommended>,
    /// The lowest upwards, the highest downwards, the proposal among them.
    pub replicas: i32,
}

/// One recommendation of an earlier pass.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Recommended {
    /// How many.
    pub replicas: i32,
    /// How long ago.
    pub age_seconds: f64,
}

/// What rate limits and bounds did.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    /// What came in.
    pub stabilized: i32,
    /// What is left.
    pub replicas: i32,
    /// `selectPolicy` of the direction asked for; none without `behavior`, or if no change is asked for.
    pub select: Option<&'static str>,
    /// The policies of that direction.
    pub policies: Vec<PolicyExplanation>,
    /// What they allow together, where a change is asked for.
    pub rate_limit: Option<i32>,
    /// What it came up against.
    pub limit: Limit,
}

/// One policy.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyExplanation {
    /// As one would say it: `4 pods in 60 s`.
    pub policy: String,
    /// The net change of the period, which counts towards the policy.
    pub changed: i32,
    /// How many there were when the period began.
    pub base: i32,
    /// How far it lets the count go.
    pub limit: i32,
}

/// One pass of the autoscaler of a manifest in this situation.
pub fn explain(manifest: &Manifest, situation: &Situation) -> Explanation {
    let spec = &manifest.spec;
    let state = State {
        now_seconds: situation.now_seconds,
        namespace: &manifest.namespace,
        scale: Ok(Scale {
            spec_replicas: situation.spec_replicas,
            status_replicas: situation.status_replicas,
            selector: Selector::Fine,
        }),
        pods: &situation.pods,
        readings: &situation.readings,
        write_error: None,
    };
    let mut before = situation.memory.clone();
    before.seed(situation.spec_replicas, situation.now_seconds);
    let mut memory = situation.memory.clone();
    let mut pass = Pass::default();
    reconcile(spec, &situation.flags, &state, &mut memory, &mut pass);
    let report = Report::new(spec, &state, &pass);
    let teller = Teller { spec, situation, before: &before, pass: &pass, report: &report };
    let (stabilization, limits) = (teller.stabilization(), teller.limits());
    let metrics: Vec<MetricExplanation> =
        (0..report.metrics.len()).map(|index| teller.metric(index)).collect();
    let conclusion = teller.conclusion(&metrics, stabilization.as_ref(), limits.as_ref());
    Explanation {
        autoscaler: format!("{}/{}", manifest.namespace, manifest.name),
        target: format!("{}/{}", manifest.target_kind, manifest.target_name),
        now: situation.shown(situation.now_seconds),
        spec_replicas: situation.spec_replicas,
        status_replicas: situation.status_replicas,
        replicas_min: spec.replicas_min,
        replicas_max: spec.replicas_max,
        end: report.end,
        metrics,
        proposal: pass.proposal,
        stabilization,
        limits,
        conditions: report.conditions,
        desired_replicas: report.desired_replicas,
        reason: report.reason,
        error: report.error,
        conclusion,
        memory,
    }
}

/// What there is to tell of a pass.
struct Teller<'a> {
    spec: &'a Spec,
    situation: &'a Situation,
    /// What was remembered when the pass began.
    before: &'a Memory,
    pass: &'a Pass,
    report: &'a Report,
}

impl Teller<'_> {
    fn metric(&self, index: usize) -> MetricExplanation {
        let metric = &self.spec.metrics[index];
        let report = &self.report.metrics[index];
        let calculation = report.calculation.as_ref();
        let tolerances = self.situation.flags.tolerances(self.spec);
        MetricExplanation {
            field: path_of(index),
            name: report.name.clone(),
            label: label(metric),
            proposal: calculation.map(|it| it.replicas),
            decides: report.is_winner && self.pass.end == End::Metrics,
            error: report.error.clone(),
            failure: report.error.clone().map(|error| {
                self.situation.readings[index]
                    .failure
                    .as_ref()
                    .map_or(error, |failure| failure.clone().into_owned())
            }),
            value: calculation.map(|it| value(metric, it)),
            target: target(metric),
            ratio: calculation.map(|it| it.ratio),
            tolerated: [1.0 - tolerances.down, 1.0 + tolerances.up],
            working: calculation.map(|it| self.working(index, it)),
            rule: calculation.map(|it| it.because),
            counts: calculation.filter(|_| is_of_pods(metric)).map(|it| it.counts),
            pods: self.pods(index, calculation),
        }
    }

    fn working(&self, index: usize, it: &Calculation) -> String {
        let current = self.pass.current;
        let metric = &self.spec.metrics[index];
        let tolerances = self.situation.flags.tolerances(self.spec);
        let band = format!("{} to {}", ratio(1.0 - tolerances.down), ratio(1.0 + tolerances.up));
        let filled = it.filled.map_or(String::new(), |filled| {
            format!(
                "with these values the ratio over {} is {}",
                count(filled.samples, "pod"),
                ratio(filled.ratio)
            )
        });
        match it.because {
            Because::WithinTolerance => {
                format!(
                    "{} is within {band}, which counts as on target: the {current} declared stay",
                    ratio(it.ratio)
                )
            }
            Because::FilledWithinTolerance => {
                format!("{filled}, within {band}, which counts as on target: the {current} declared stay")
            }
            Because::FilledTurnsDirection => {
                format!("{filled}, on the other side of 1: nobody knows, so the {current} declared stay")
            }
            Because::CountTurnsDirection => {
                let (ratio_used, pods) =
                    it.filled.map_or((it.ratio, it.counts.ready), |it| (it.ratio, it.samples));
                format!(
                    "{} × {} would turn the direction, since not all of the {current} declared are there: they stay",
                    ratio(ratio_used),
                    count(pods, "pod")
                )
            }
            Because::Proportional => match it.filled {
                Some(at) => {
                    format!(
                        "{filled}; {} × {}, rounded up, is {}",
                        ratio(at.ratio),
                        count(at.samples, "pod"),
                        it.replicas
                    )
                }
                None => format!(
                    "{} × {}, rounded up, is {}",
                    ratio(it.ratio),
                    count(it.counts.ready, "ready pod"),
                    it.replicas
                ),
            },
            Because::PerPod => {
                let milli = match metric {
                    Metric::Object { target: Target::AverageValue { milli }, .. }
                    | Metric::External { target: Target::AverageValue { milli }, .. } => *milli,
                    _ => 0,
                };
                let whole: i64 = self.whole_milli(index);
                format!("{} / {} a pod, rounded up, is {}", plain(whole), plain(milli), it.replicas)
            }
            Because::FromZero => format!("from zero, {} rounded up is {}", ratio(it.ratio), it.replicas),
        }
    }

    /// The value of an object or external metric as a whole.
    fn whole_milli(&self, index: usize) -> i64 {
        let values = &self.situation.readings[index].values;
        match self.spec.metrics[index] {
            Metric::Object { .. } => values.first().copied().unwrap_or_default(),
            _ => values.iter().fold(0_i64, |sum, value| sum.saturating_add(*value)),
        }
    }

    fn pods(&self, index: usize, calculation: Option<&Calculation>) -> Vec<PodExplanation> {
        let metric = &self.spec.metrics[index];
        let unit = unit_of(metric);
        let groups = self.report.metrics[index].pods.iter();
        groups
            .enumerate()
            .map(|(place, report)| {
                let pod = &self.situation.pods[place];
                let sample = self.situation.readings[index].samples.get(place).copied().flatten();
                let request = share_of(metric).and_then(|(resource, container, _)| {
                    request_milli(pod, place, container, resource, &self.situation.flags).ok()
                });
                PodExplanation {
                    name: report.name.clone(),
                    group: group_name(report.group),
                    why: self.why(
                        pod,
                        report.group,
                        sample.map(|sample| (sample.at_seconds, sample.window_seconds)),
                    ),
                    usage: sample.map(|sample| unit.shown(sample.milli)),
                    request: request.map(|milli| unit.shown(milli)),
                    filled: calculation
                        .and_then(|it| filled_milli(metric, report.group, it, request))
                        .map(|milli| unit.shown(milli)),
                }
            })
            .collect()
    }

    fn why(&self, pod: &Pod, group: Group, sample: Option<(f64, f64)>) -> String {
        let now = self.situation.now_seconds;
        let Flags { cpu_initialization_seconds, initial_readiness_seconds, .. } = self.situation.flags;
        let since = |seconds: f64| duration(now - seconds);
        let started = pod.started_seconds.map_or("never".into(), since);
        let changed = pod.ready.map(|Readiness { changed_seconds, .. }| changed_seconds);
        match group {
            Group::Ready => String::new(),
            Group::Missing => "has no sample".into(),
            Group::Unready(why) | Group::Ignored(why) => match why {
                Why::Deleted => "is being deleted".into(),
                Why::Failed => "has failed".into(),
                Why::Pending => "is pending".into(),
                Why::NoReadyCondition => "has no condition Ready".into(),
                Why::NoStartTime => "has no start time".into(),
                Why::Initializing => format!(
                    "not ready, and it started less than {} ago ({started})",
                    duration(cpu_initialization_seconds)
                ),
                Why::SampleBeforeReady => {
                    let (end, window) = sample.unwrap_or((now, 0.0));
                    format!(
                        "ready for {}, but its sample begins {} ago, and it started less than {} ago ({started})",
                        changed.map_or("–".into(), since),
                        duration(now - end + window),
                        duration(cpu_initialization_seconds)
                    )
                }
                Why::NeverReady => format!(
                    "not ready since {} after its start, less than the {} allowed for: taken as never ready",
                    pod.started_seconds
                        .zip(changed)
                        .map_or("–".into(), |(start, changed)| duration(changed - start)),
                    duration(initial_readiness_seconds)
                ),
            },
        }
    }

    fn stabilization(&self) -> Option<Stabilization> {
        let (done, proposal) = self.pass.stabilized.zip(self.pass.proposal)?;
        let now = self.situation.now_seconds;
        let window = |seconds: f64, is_included: &dyn Fn(f64) -> bool, replicas: i32| {
            let past = self.before.recommendations.iter();
            let mut recommendations: Vec<Recommended> = past
                .map(|it| Recommended { replicas: it.replicas, age_seconds: now - it.at_seconds })
                .filter(|it| is_included(it.age_seconds))
                .collect();
            recommendations.sort_by(|a, b| a.age_seconds.total_cmp(&b.age_seconds));
            Window { seconds, recommendations, replicas }
        };
        let flag = self.situation.flags.downscale_stabilization_seconds;
        Some(match &self.spec.behavior {
            None => Stabilization {
                proposal,
                replicas: done.replicas,
                up: None,
                down: window(flag, &|age| age <= flag, done.highest),
            },
            Some(behavior) => {
                let up = f64::from(behavior.up.window_seconds.unwrap_or(0));
                let down = behavior.down.window_seconds.map_or(flag.trunc(), f64::from);
                Stabilization {
                    proposal,
                    replicas: done.replicas,
                    up: Some(window(up, &|age| age < up, done.lowest)),
                    down: window(down, &|age| age < down, done.highest),
                }
            }
        })
    }

    fn limits(&self) -> Option<Limits> {
        let (limited, stabilized) = self.pass.limited.zip(self.pass.stabilized)?;
        let Limited { replicas, rate_limit, limit } = limited;
        let (stabilized, current) = (stabilized.replicas, self.pass.current);
        let rules = self.spec.behavior.as_ref().filter(|_| stabilized != current);
        let rules = rules.map(|Behavior { up, down }| if stabilized > current { up } else { down });
        let policies = rules.map_or(&[][..], |rules| &rules.policies);
        Some(Limits {
            stabilized,
            replicas,
            select: rules.map(|rules| match rules.select {
                Select::Max => "Max",
                Select::Min => "Min",
                Select::Disabled => "Disabled",
            }),
            policies: policies.iter().map(|policy| self.policy(policy, stabilized > current)).collect(),
            rate_limit,
            limit,
        })
    }

    fn policy(&self, policy: &Policy, is_up: bool) -> PolicyExplanation {
        let Policy { kind, value, period_seconds } = *policy;
        let in_period = |events| change_in_period(events, period_seconds, self.situation.now_seconds);
        let changed = in_period(&self.before.up) - in_period(&self.before.down);
        let base = self.pass.current - changed;
        let share = f64::from(value) / 100.0;
        // As the engine has it: up is rounded up, down is cut.
        let limit = match (kind, is_up) {
            (PolicyKind::Pods, true) => base.saturating_add(value),
            (PolicyKind::Pods, false) => base.saturating_sub(value),
            (PolicyKind::Percent, true) => (f64::from(base) * (1.0 + share)).ceil() as i32,
            (PolicyKind::Percent, false) => (f64::from(base) * (1.0 - share)) as i32,
        };
        let what = match kind {
            PolicyKind::Pods => count(value as usize, "pod"),
            PolicyKind::Percent => format!("{value} %"),
        };
        let policy = format!("{what} in {}", duration(f64::from(period_seconds)));
        PolicyExplanation { policy, changed, base, limit }
    }

    fn conclusion(
        &self,
        metrics: &[MetricExplanation],
        stabilization: Option<&Stabilization>,
        limits: Option<&Limits>,
    ) -> String {
        let (current, desired) = (self.pass.current, self.pass.desired);
        let head = if current == desired {
            format!("stay at {current}")
        } else {
            format!("scale from {current} to {desired}")
        };
        let Spec { replicas_min, replicas_max, .. } = *self.spec;
        let why = match self.pass.end {
            End::NoScale => "the target's scale is unknown".to_owned(),
            End::NoSelector => "the pods of the target are unknown".to_owned(),
            End::Disabled => "the target has no replicas, which switches autoscaling off".to_owned(),
            End::AboveMaximum => {
                format!("there are more than maxReplicas, {replicas_max}; no metric was looked at")
            }
            End::BelowMinimum => {
                format!("there are fewer than minReplicas, {replicas_min}; no metric was looked at")
            }
            End::MetricsFailed => failed(metrics, current),
            End::Metrics => {
                let mut words = asked(metrics, self.pass.proposal.unwrap_or(current), current);
                if let Some(it) = stabilization.filter(|it| it.replicas != it.proposal) {
                    words.push(held(it, current));
                }
                if let Some(it) = limits.filter(|it| it.limit != Limit::Within) {
                    words.push(self.bounded(it));
                }
                words.join("; ")
            }
        };
        format!("{head} because {why}")
    }

    fn bounded(&self, limits: &Limits) -> String {
        let Spec { replicas_min, replicas_max, .. } = *self.spec;
        let binding = |limits: &Limits| {
            let found = limits.policies.iter().find(|policy| Some(policy.limit) == limits.rate_limit);
            found.map_or(String::new(), |policy| format!(" ({})", policy.policy))
        };
        match limits.limit {
            Limit::Within => "within bounds".into(),
            Limit::Maximum => format!("maxReplicas is {replicas_max}"),
            Limit::Minimum => format!("minReplicas is {replicas_min}"),
            _ if limits.select == Some("Disabled") => "selectPolicy is Disabled in this direction".into(),
            Limit::RateUp if self.spec.behavior.is_none() => {
                format!("one pass goes up to {} at most (twice the count, or 4)", limits.replicas)
            }
            Limit::RateUp => {
                format!("the policies allow no more than {} now{}", limits.replicas, binding(limits))
            }
            Limit::RateDown => {
                format!("the policies allow no fewer than {} now{}", limits.replicas, binding(limits))
            }
        }
    }
}

/// What the metrics ask for, as the beginning of a reason.
fn asked(metrics: &[MetricExplanation], proposal: i32, current: i32) -> Vec<String> {
    let Some(it) = metrics.iter().find(|metric| metric.decides) else {
        return vec!["no metric asks for anything".into()];
    };
    let value = it.value.as_deref().unwrap_or("–");
    let against = format!("{} is {value} against a target of {}", it.label, it.target);
    let mut words = vec![match it.rule {
        Some(Because::WithinTolerance) => format!("{against}, near enough"),
        Some(Because::FilledWithinTolerance) => {
            format!("{against}, but near enough with values filled in for pods that do not count")
        }
        Some(Because::FilledTurnsDirection | Because::CountTurnsDirection) => {
            format!("{against}, but with the pods that do not count nobody can tell")
        }
        _ => {
            let filled = it.pods.iter().filter(|pod| pod.filled.is_some()).count();
            let taken = match (filled, it.ratio) {
                (0, _) => String::new(),
                (n, Some(ratio)) if ratio > 1.0 => format!(", with {} taken as idle,", count(n, "pod")),
                (n, _) => format!(", with {} taken as busy,", count(n, "pod")),
            };
            let most = if metrics.len() > 1 { "the most, " } else { "" };
            format!("{against} and{taken} asks for {most}{proposal}")
        }
    }];
    let failed: Vec<&str> =
        metrics.iter().filter(|it| it.error.is_some()).map(|it| it.label.as_str()).collect();
    if !failed.is_empty() && proposal >= current {
        words.push(format!("{} failed, which prevents only scaling down", failed.join(" and ")));
    }
    words
}

fn failed(metrics: &[MetricExplanation], current: i32) -> String {
    let failed: Vec<&str> =
        metrics.iter().filter(|it| it.error.is_some()).map(|it| it.label.as_str()).collect();
    let most = metrics.iter().filter_map(|it| it.proposal).max();
    match most {
        Some(most) => format!(
            "{} failed: what it would ask for is unknown, so the {most} of the others, fewer than {current}, are not \
             enough to scale down",
            failed.join(" and ")
        ),
        None if failed.len() == 1 => format!("{} failed, and there is no other metric", failed[0]),
        None => "all metrics failed".into(),
    }
}

fn held(it: &Stabilization, current: i32) -> String {
    if let Some(up) = it.up.as_ref().filter(|_| it.proposal > current) {
        return format!("the lowest recommendation of the last {} is {}", duration(up.seconds), up.replicas);
    }
    format!("the highest recommendation of the last {} is {}", duration(it.down.seconds), it.down.replicas)
}

fn is_of_pods(metric: &Metric) -> bool {
    !matches!(metric, Metric::Object { .. } | Metric::External { .. })
}

fn group_name(group: Group) -> &'static str {
    match group {
        Group::Ready => "ready",
        Group::Unready(_) => "unready",
        Group::Missing => "missing",
        Group::Ignored(_) => "ignored",
    }
}

/// What was taken in place of a pod's sample.
fn filled_milli(metric: &Metric, group: Group, it: &Calculation, request_milli: Option<i64>) -> Option<i64> {
    let filled = it.filled?;
    match group {
        Group::Unready(_) => filled.with_unready.then_some(0),
        Group::Missing => {
            filled.missing_milli?;
            if it.ratio > 1.0 {
                return Some(0);
            }
            match (share_of(metric), target_of(metric)) {
                (Some((_, _, percent)), _) => {
                    request_milli.map(|milli| milli * i64::from(percent.max(100)) / 100)
                }
                (None, Some(Target::AverageValue { milli })) => Some(milli),
                _ => None,
            }
        }
        Group::Ready | Group::Ignored(_) => None,
    }
}

/// Resource, container and percent of a target that is a share of what is requested.
fn share_of(metric: &Metric) -> Option<(Resource, Option<&str>, i32)> {
    match metric {
        Metric::Resource { resource, target: Target::Utilization { percent } } => {
            Some((*resource, None, *percent))
        }
        Metric::ContainerResource { resource, container, target: Target::Utilization { percent } } => {
            Some((*resource, Some(container), *percent))
        }
        _ => None,
    }
}

fn target_of(metric: &Metric) -> Option<Target> {
    match metric {
        Metric::Resource { target, .. }
        | Metric::ContainerResource { target, .. }
        | Metric::Object { target, .. }
        | Metric::External { target, .. } => Some(*target),
        Metric::Pods { average_milli, .. } => Some(Target::AverageValue { milli: *average_milli }),
        Metric::Unknown { .. } => None,
    }
}

/// A metric in a word or two.
fn label(metric: &Metric) -> String {
    match metric {
        Metric::Resource { resource, .. } => resource.name().to_owned(),
        Metric::ContainerResource { resource, container, .. } => {
            format!("{} of container {container}", resource.name())
        }
        Metric::Object { name, object_kind, object_name, .. } => {
            format!("{name} of {object_kind}/{object_name}")
        }
        Metric::Pods { name, .. } | Metric::External { name, .. } | Metric::Unknown { kind: name } => {
            name.clone()
        }
    }
}

/// What a metric is, with its unit.
fn value(metric: &Metric, it: &Calculation) -> String {
    let unit = unit_of(metric);
    match (it.utilization_percent, target_of(metric)) {
        (Some(percent), _) => format!("{percent} %"),
        (None, Some(Target::Value { .. })) => unit.shown(it.usage_milli),
        _ => format!("{} a pod", unit.shown(it.usage_milli)),
    }
}

/// What a metric should be, with its unit.
fn target(metric: &Metric) -> String {
    let unit = unit_of(metric);
    match target_of(metric) {
        Some(Target::Utilization { percent }) => format!("{percent} %"),
        Some(Target::Value { milli }) => unit.shown(milli),
        Some(Target::AverageValue { milli }) => format!("{} a pod", unit.shown(milli)),
        None => "–".into(),
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Cores,
    Bytes,
    Plain,
}

fn unit_of(metric: &Metric) -> Unit {
    match metric {
        Metric::Resource { resource, .. } | Metric::ContainerResource { resource, .. } => match resource {
            Resource::Cpu => Unit::Cores,
            Resource::Memory => Unit::Bytes,
        },
        _ => Unit::Plain,
    }
}

impl Unit {
    /// As `kubectl top` has it: thousandths of a core, Mi.
    fn shown(self, milli: i64) -> String {
        match self {
            Self::Cores => format!("{milli}m"),
            Self::Bytes => format!("{}Mi", number(milli as f64 / 1000.0 / f64::from(1 << 20))),
            Self::Plain => plain(milli),
        }
    }
}

fn plain(milli: i64) -> String {
    let text = format!("{:.3}", milli as f64 / 1000.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Three decimals at most, none idle.
pub(crate) fn ratio(value: f64) -> String {
    if !value.is_finite() {
        return number(value);
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A length of time as people say it.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round();
    if seconds.abs() < 60.0 && whole != seconds {
        return format!("{} s", ratio(seconds));
    }
    let (minutes, rest) = ((whole / 60.0).floor(), whole % 60.0);
    if whole < 120.0 {
        return format!("{whole} s");
    }
    if minutes < 120.0 {
        return if rest == 0.0 { format!("{minutes} min") } else { format!("{minutes} min {rest} s") };
    }
    let (hours, minutes) = ((minutes / 60.0).floor(), minutes % 60.0);
    if hours < 48.0 {
        return if minutes == 0.0 { format!("{hours} h") } else { format!("{hours} h {minutes} min") };
    }
    format!("{} days", (hours / 24.0).round())
}

/// "1 pod", "2 pods".
pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
