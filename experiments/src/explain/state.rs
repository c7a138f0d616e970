//! What `explain` is told of a cluster: pods, their usage, other metrics, and what happened before.
//!
//! The file is JSON or YAML, in the words of the Kubernetes API; docs/explain.md and docs/explain-state.schema.json
//! describe it. What is left out is as it usually is: a pod runs, is ready and has been for long, its usage was
//! measured just now over 30 s.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, de};
use tidegate_autoscalers::hpa::manifest::yaml::Document;
use tidegate_autoscalers::hpa::manifest::{Manifest, thousandths, typed};
use tidegate_autoscalers::hpa::{
    Container, ContainerKind, Event, Flags, Memory, Metric, Phase, Pod, Readiness, Reading, Recommendation,
    Requests, Resource, Sample, ToleranceForm, ZeroRule,
};
use tidegate_core::locate::FieldError;

/// Window of the metrics server's samples where the file does not say.
const WINDOW_SECONDS: f64 = 30.0;

/// So long ago is before everything that counts.
const LONG_AGO_SECONDS: f64 = 7.0 * 86_400.0;

/// What the file says, as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    now: Time,
    spec_replicas: i32,
    status_replicas: Option<i32>,
    #[serde(default)]
    pods: Vec<PodFile>,
    #[serde(default)]
    external: BTreeMap<String, Values>,
    #[serde(default)]
    objects: BTreeMap<String, Values>,
    #[serde(default)]
    errors: BTreeMap<String, String>,
    #[serde(default)]
    recommendations: Vec<RecommendationFile>,
    #[serde(default)]
    scale_events: Vec<EventFile>,
    last_scale_at: Option<Time>,
    #[serde(default)]
    scaled_to_zero: bool,
    #[serde(default)]
    flags: FlagsFile,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodFile {
    name: String,
    #[serde(default)]
    phase: PhaseFile,
    #[serde(default)]
    deleting: bool,
    #[serde(default)]
    started_at: Written<Time>,
    #[serde(default)]
    ready: Written<bool>,
    ready_since: Option<Time>,
    #[serde(default)]
    containers: Vec<ContainerFile>,
    requests: Option<Amounts>,
    overhead: Option<Amounts>,
    usage_at: Option<Time>,
    usage_window_seconds: Option<f64>,
    #[serde(default)]
    metrics: BTreeMap<String, Quantity>,
}

#[derive(Debug, Default, Deserialize)]
enum PhaseFile {
    Pending,
    #[default]
    Running,
    Succeeded,
    Failed,
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerFile {
    name: String,
    #[serde(default)]
    kind: KindFile,
    #[serde(default)]
    requests: Amounts,
    usage: Option<Amounts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum KindFile {
    #[default]
    Regular,
    Sidecar,
    Init,
}

#[derive(Debug, Default, Deserialize)]
struct Amounts {
    cpu: Option<Quantity>,
    memory: Option<Quantity>,
}

#[derive(Debug, Deserialize)]
struct RecommendationFile {
    at: Time,
    replicas: i32,
}

#[derive(Debug, Deserialize)]
struct EventFile {
    at: Time,
    change: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlagsFile {
    tolerance: Option<f64>,
    tolerance_form: Option<ToleranceFormFile>,
    downscale_stabilization_seconds: Option<f64>,
    cpu_initialization_seconds: Option<f64>,
    initial_readiness_seconds: Option<f64>,
    configurable_tolerance: Option<bool>,
    zero_rule: Option<ZeroRuleFile>,
    pod_level_resources: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ToleranceFormFile {
    Interval,
    Distance,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ZeroRuleFile {
    Minimum,
    Condition,
}

/// A quantity as it is written, text or number.
#[derive(Debug)]
struct Quantity(String);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("Quantity")
            }
            fn visit_i64<E>(self, value: i64) -> Result<Quantity, E> {
                Ok(Quantity(value.to_string()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Quantity, E> {
                Ok(Quantity(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Quantity, E> {
                Ok(Quantity(value.to_string()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Quantity, E> {
                Ok(Quantity(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// One value or a list of them.
#[derive(Debug)]
struct Values(Vec<Quantity>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Values;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity or a list of them")
            }
            fn visit_i64<E>(self, value: i64) -> Result<Values, E> {
                Ok(Values(vec![Quantity(value.to_string())]))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Values, E> {
                Ok(Values(vec![Quantity(value.to_string())]))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Values, E> {
                Ok(Values(vec![Quantity(value.to_string())]))
            }
            fn visit_str<E>(self, value: &str) -> Result<Values, E> {
                Ok(Values(vec![Quantity(value.to_owned())]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A point in time as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Time {
    /// RFC 3339.
    Clock(DateTime<Utc>),
    /// Seconds on any one clock.
    Seconds(f64),
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"2026-03-03T02:14:30Z\" or a number of seconds")
            }
            fn visit_i64<E>(self, value: i64) -> Result<Time, E> {
                Ok(Time::Seconds(value as f64))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Time, E> {
                Ok(Time::Seconds(value as f64))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Time, E> {
                Ok(Time::Seconds(value))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Time, E> {
                DateTime::parse_from_rfc3339(value)
                    .map(|time| Time::Clock(time.to_utc()))
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A field that may be left out, or be null, which is something else.
#[derive(Clone, Copy, Debug, Default)]
enum Written<T> {
    #[default]
    LeftOut,
    Null,
    Given(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Given))
    }
}

/// What the autoscaler sees, in the words of the engine.
#[derive(Clone, Debug)]
pub struct Situation {
    /// Now, in seconds on the clock of all other times.
    pub now_seconds: f64,
    /// Whether that is Unix time.
    pub is_clock: bool,
    /// `spec.replicas` of the target.
    pub spec_replicas: i32,
    /// `status.replicas` of the target.
    pub status_replicas: i32,
    /// The pods that the target's selector lists.
    pub pods: Vec<Pod>,
    /// One a metric, in the order of the spec.
    pub readings: Vec<Reading>,
    /// What the controller remembers.
    pub memory: Memory,
    /// Flags of the controller.
    pub flags: Flags,
}

impl Situation {
    /// Reads a state file for an autoscaler.
    ///
    /// # Errors
    /// With line and field, if the text cannot be read or does not say what the autoscaler looks at.
    pub fn read(text: &str, manifest: &Manifest) -> Result<Self, FieldError> {
        // What the reader calls the text as a whole.
        let renamed = |error: FieldError| match error.field.as_str() {
            "yaml" => FieldError { field: "state".into(), ..error },
            _ => error,
        };
        let document = Document::read(text).map_err(renamed)?;
        let file: File = typed::read(&document).map_err(renamed)?;
        Reader { document: &document, file: &file, manifest }.situation()
    }

    /// A time on the clock of the file, as text: of day where it has one.
    pub fn shown(&self, seconds: f64) -> String {
        let time = self
            .is_clock
            .then(|| DateTime::from_timestamp_millis((seconds * 1000.0).round() as i64))
            .flatten();
        time.map_or_else(
            || format!("{} s", crate::report::number(seconds)),
            |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        )
    }
}

type Checked<T> = Result<T, FieldError>;

/// Checks, with the place of every complaint at hand.
struct Reader<'a> {
    document: &'a Document,
    file: &'a File,
    manifest: &'a Manifest,
}

impl Reader<'_> {
    fn situation(&self) -> Checked<Situation> {
        let file = self.file;
        let now_seconds = self.time("now", file.now)?;
        for (field, replicas) in
            [("specReplicas", Some(file.spec_replicas)), ("statusReplicas", file.status_replicas)]
        {
            if replicas.is_some_and(|replicas| replicas < 0) {
                return Err(self.wrong(field, "0 or more", replicas.unwrap_or_default()));
            }
        }
        let pods = file.pods.iter().enumerate();
        let pods =
            pods.map(|(index, pod)| self.pod(index, pod, now_seconds)).collect::<Checked<Vec<Pod>>>()?;
        for (index, pod) in pods.iter().enumerate() {
            if pods[..index].iter().any(|other| other.name == pod.name) {
                let field = format!("pods[{index}].name");
                return Err(self.document.complaint(
                    &field,
                    format!("must differ from the others', but {:?} comes twice", pod.name),
                ));
            }
        }
        Ok(Situation {
            now_seconds,
            is_clock: matches!(file.now, Time::Clock(_)),
            spec_replicas: file.spec_replicas,
            status_replicas: file.status_replicas.unwrap_or(file.spec_replicas),
            readings: self.readings(now_seconds)?,
            pods,
            memory: self.memory()?,
            flags: self.flags()?,
        })
    }

    fn pod(&self, index: usize, pod: &PodFile, now_seconds: f64) -> Checked<Pod> {
        let at = |name: &str| format!("pods[{index}].{name}");
        let runs = !matches!(pod.phase, PhaseFile::Pending);
        let long_ago = now_seconds - LONG_AGO_SECONDS;
        let started_seconds = match pod.started_at {
            Written::Given(time) => Some(self.past(&at("startedAt"), time)?),
            Written::Null => None,
            Written::LeftOut => runs.then_some(long_ago),
        };
        let is_ready = match pod.ready {
            Written::Given(is_ready) => Some(is_ready),
            Written::Null => None,
            Written::LeftOut => Some(matches!(pod.phase, PhaseFile::Running)),
        };
        let changed_seconds = match pod.ready_since {
            Some(time) => self.past(&at("readySince"), time)?,
            None => started_seconds.unwrap_or(long_ago),
        };
        let containers = pod.containers.iter().enumerate();
        let containers = containers.map(|(place, container)| {
            let at = at(&format!("containers[{place}]"));
            if pod.containers[..place].iter().any(|other| other.name == container.name) {
                let problem = format!("must differ from the others', but {:?} comes twice", container.name);
                return Err(self.document.complaint(&format!("{at}.name"), problem));
            }
            Ok(Container {
                name: container.name.clone(),
                kind: match container.kind {
                    KindFile::Regular => ContainerKind::Regular,
                    KindFile::Sidecar => ContainerKind::Sidecar,
                    KindFile::Init => ContainerKind::Init,
                },
                requests: self.amounts(&format!("{at}.requests"), &container.requests)?,
            })
        });
        let amounts = |name: &str, amounts: Option<&Amounts>| {
            amounts.map(|amounts| self.amounts(&at(name), amounts)).transpose()
        };
        Ok(Pod {
            name: pod.name.clone(),
            phase: match pod.phase {
                PhaseFile::Pending => Phase::Pending,
                PhaseFile::Running => Phase::Running,
                PhaseFile::Succeeded => Phase::Succeeded,
                PhaseFile::Failed => Phase::Failed,
                PhaseFile::Unknown => Phase::Unknown,
            },
            is_deleted: pod.deleting,
            started_seconds,
            ready: is_ready.map(|is_ready| Readiness { status: Some(is_ready), changed_seconds }),
            containers: containers.collect::<Checked<_>>()?,
            requests: amounts("requests", pod.requests.as_ref())?,
            overhead: amounts("overhead", pod.overhead.as_ref())?.unwrap_or_default(),
        })
    }

    /// What the metrics API says of each metric.
    fn readings(&self, now_seconds: f64) -> Checked<Vec<Reading>> {
        let metrics = &self.manifest.spec.metrics;
        self.names_are_known(metrics)?;
        metrics.iter().enumerate().map(|(index, metric)| self.reading(index, metric, now_seconds)).collect()
    }

    fn reading(&self, index: usize, metric: &Metric, now_seconds: f64) -> Checked<Reading> {
        let path = path_of(index);
        let name = name_of(metric);
        let error = self.file.errors.get(&path).or_else(|| self.file.errors.get(name));
        if let Some(error) = error {
            return Ok(Reading { failure: Some(Cow::Owned(error.clone())), ..Reading::default() });
        }
        let values = |list: &str, values: &BTreeMap<String, Values>| -> Checked<Reading> {
            let Some((key, values)) = values.get_key_value(&path).or_else(|| values.get_key_value(name))
            else {
                let problem = format!(
                    "must give {name:?}, which `{path}` looks at, but does not; say what it is, or under `errors` why it \
                     cannot be had"
                );
                return Err(self.document.complaint(list, problem));
            };
            let values = values.0.iter().enumerate().map(|(place, value)| {
                let whole = format!("{list}.{key}");
                let item = format!("{whole}[{place}]");
                self.quantity(if self.document.has(&item) { &item } else { &whole }, value)
            });
            Ok(Reading { values: values.collect::<Checked<_>>()?, ..Reading::default() })
        };
        match metric {
            Metric::External { .. } => values("external", &self.file.external),
            Metric::Object { .. } => values("objects", &self.file.objects),
            _ => {
                let pods = self.file.pods.iter().enumerate();
                let samples = pods.map(|(index, pod)| self.sample(index, pod, metric, now_seconds));
                Ok(Reading { samples: samples.collect::<Checked<_>>()?, ..Reading::default() })
            }
        }
    }

    /// A key that no metric looks at is a slip of the pen, and the metric meant by it would be reported as missing.
    fn names_are_known(&self, metrics: &[Metric]) -> Checked<()> {
        let known = |wanted: &dyn Fn(&Metric) -> bool| -> Vec<String> {
            let metrics = metrics.iter().enumerate().filter(|(_, metric)| wanted(metric));
            metrics.flat_map(|(index, metric)| [name_of(metric).to_owned(), path_of(index)]).collect()
        };
        let lists: [(&str, Vec<&String>, Vec<String>); 3] = [
            (
                "external",
                self.file.external.keys().collect(),
                known(&|metric| matches!(metric, Metric::External { .. })),
            ),
            (
                "objects",
                self.file.objects.keys().collect(),
                known(&|metric| matches!(metric, Metric::Object { .. })),
            ),
            ("errors", self.file.errors.keys().collect(), known(&|_| true)),
        ];
        for (list, keys, known) in lists {
            if let Some(key) = keys.into_iter().find(|key| !known.contains(key)) {
                let problem = if known.is_empty() {
                    "must not be there: the manifest has no such metric".to_owned()
                } else {
                    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                    format!("is no metric of the manifest, expected one of {}", known.join(", "))
                };
                return Err(self.document.complaint(&format!("{list}.{key}"), problem));
            }
        }
        Ok(())
    }

    /// As the metrics client makes it: of a resource the sum over the containers that are measured, if each is measured
    /// in that resource.
    fn sample(
        &self,
        index: usize,
        pod: &PodFile,
        metric: &Metric,
        now_seconds: f64,
    ) -> Checked<Option<Sample>> {
        let at = |name: &str| format!("pods[{index}].{name}");
        let milli = match metric {
            Metric::Pods { name, .. } => pod
                .metrics
                .get(name)
                .map(|value| self.quantity(&at(&format!("metrics.{name}")), value))
                .transpose()?,
            Metric::Resource { resource, .. } => self.usage(index, pod, *resource, None)?,
            Metric::ContainerResource { resource, container, .. } => {
                self.usage(index, pod, *resource, Some(container))?
            }
            _ => None,
        };
        let at_seconds = pod.usage_at.map_or(Ok(now_seconds), |time| self.past(&at("usageAt"), time))?;
        let window_seconds = pod.usage_window_seconds.unwrap_or(WINDOW_SECONDS);
        if !(window_seconds >= 0.0 && window_seconds.is_finite()) {
            return Err(self.wrong(&at("usageWindowSeconds"), "0 or more", window_seconds));
        }
        Ok(milli.map(|milli| Sample { milli, at_seconds, window_seconds }))
    }

    fn usage(
        &self,
        index: usize,
        pod: &PodFile,
        resource: Resource,
        of: Option<&str>,
    ) -> Checked<Option<i64>> {
        let mut sum = None;
        for (place, container) in pod.containers.iter().enumerate() {
            let Some(usage) = &container.usage else { continue };
            if of.is_some_and(|name| name != container.name) {
                continue;
            }
            let value = match resource {
                Resource::Cpu => &usage.cpu,
                Resource::Memory => &usage.memory,
            };
            let Some(value) = value else { return Ok(None) };
            let field = format!("pods[{index}].containers[{place}].usage.{}", resource.name());
            let milli = self.quantity(&field, value)?;
            sum = Some(sum.unwrap_or(0_i64).saturating_add(milli));
        }
        Ok(sum)
    }

    fn memory(&self) -> Checked<Memory> {
        let file = self.file;
        let mut memory = Memory { scaled_to_zero: file.scaled_to_zero, ..Memory::default() };
        for (index, it) in file.recommendations.iter().enumerate() {
            let at = |name: &str| format!("recommendations[{index}].{name}");
            if it.replicas < 0 {
                return Err(self.wrong(&at("replicas"), "0 or more", it.replicas));
            }
            let at_seconds = self.past(&at("at"), it.at)?;
            memory.recommendations.push(Recommendation { replicas: it.replicas, at_seconds });
        }
        for (index, it) in file.scale_events.iter().enumerate() {
            let at_seconds = self.past(&format!("scaleEvents[{index}].at"), it.at)?;
            let events = if it.change > 0 { &mut memory.up } else { &mut memory.down };
            let change = it.change.checked_abs().filter(|change| *change > 0);
            let change = change.ok_or_else(|| {
                self.wrong(
                    &format!("scaleEvents[{index}].change"),
                    "above 0 for a change upwards or below 0 for one downwards",
                    it.change,
                )
            })?;
            events.push(Event { change, at_seconds, is_outdated: false });
        }
        memory.last_scale_seconds =
            file.last_scale_at.map(|time| self.past("lastScaleAt", time)).transpose()?;
        Ok(memory)
    }

    fn flags(&self) -> Checked<Flags> {
        let file = &self.file.flags;
        let not_negative = |name: &str, value: Option<f64>, default: f64| match value {
            Some(value) if value >= 0.0 && value.is_finite() => Ok(value),
            Some(value) => Err(self.wrong(&format!("flags.{name}"), "0 or more", value)),
            None => Ok(default),
        };
        let default = Flags::default();
        Ok(Flags {
            tolerance: not_negative("tolerance", file.tolerance, default.tolerance)?,
            tolerance_form: match file.tolerance_form {
                Some(ToleranceFormFile::Interval) => ToleranceForm::Interval,
                Some(ToleranceFormFile::Distance) => ToleranceForm::Distance,
                None => default.tolerance_form,
            },
            downscale_stabilization_seconds: not_negative(
                "downscaleStabilizationSeconds",
                file.downscale_stabilization_seconds,
                default.downscale_stabilization_seconds,
            )?,
            cpu_initialization_seconds: not_negative(
                "cpuInitializationSeconds",
                file.cpu_initialization_seconds,
                default.cpu_initialization_seconds,
            )?,
            initial_readiness_seconds: not_negative(
                "initialReadinessSeconds",
                file.initial_readiness_seconds,
                default.initial_readiness_seconds,
            )?,
            configurable_tolerance: file.configurable_tolerance.unwrap_or(default.configurable_tolerance),
            zero_rule: match file.zero_rule {
                Some(ZeroRuleFile::Minimum) => ZeroRule::Minimum,
                Some(ZeroRuleFile::Condition) => ZeroRule::Condition,
                None => default.zero_rule,
            },
            pod_level_resources: file.pod_level_resources.unwrap_or(default.pod_level_resources),
            ..default
        })
    }

    fn amounts(&self, at: &str, amounts: &Amounts) -> Checked<Requests> {
        let milli = |name: &str, value: &Option<Quantity>| {
            value.as_ref().map(|value| self.quantity(&format!("{at}.{name}"), value)).transpose()
        };
        Ok(Requests {
            cpu_milli: milli("cpu", &amounts.cpu)?,
            memory_milli: milli("memory", &amounts.memory)?,
        })
    }

    /// A quantity that is not negative, in thousandths.
    fn quantity(&self, field: &str, quantity: &Quantity) -> Checked<i64> {
        let allowed = "a quantity such as 500m, 2, 1.5, 100k or 1Gi";
        let milli = thousandths(&quantity.0)
            .ok_or_else(|| self.wrong(field, allowed, format!("{:?}", quantity.0)))?;
        if milli < 0 { Err(self.wrong(field, "0 or more", &quantity.0)) } else { Ok(milli) }
    }

    /// A time that is not after now.
    fn past(&self, field: &str, time: Time) -> Checked<f64> {
        let (seconds, now) = (self.time(field, time)?, self.time("now", self.file.now)?);
        if seconds > now {
            let problem =
                format!("must not be after `now`, but is {} s later", crate::report::number(seconds - now));
            return Err(self.document.complaint(field, problem));
        }
        Ok(seconds)
    }

    fn time(&self, field: &str, time: Time) -> Checked<f64> {
        match (time, self.file.now) {
            (Time::Clock(time), Time::Clock(_)) => Ok(time.timestamp_millis() as f64 / 1000.0),
            (Time::Seconds(seconds), Time::Seconds(_)) if seconds.is_finite() => Ok(seconds),
            (Time::Seconds(seconds), _) => Err(self.wrong(field, "a time of day, as `now` is", seconds)),
            (Time::Clock(time), _) => {
                let found = format!("{:?}", time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
                Err(self.wrong(field, "a number of seconds, as `now` is", found))
            }
        }
    }

    fn wrong(&self, field: &str, allowed: &str, found: impl fmt::Display) -> FieldError {
        self.document.complaint(field, format!("must be {allowed}, but is {found}"))
    }
}

/// Where a metric stands in the manifest.
pub fn path_of(index: usize) -> String {
    format!("spec.metrics[{index}]")
}

/// What a state file calls a metric.
fn name_of(metric: &Metric) -> &str {
    match metric {
        Metric::Resource { resource, .. } | Metric::ContainerResource { resource, .. } => resource.name(),
        Metric::Pods { name, .. } | Metric::Object { name, .. } | Metric::External { name, .. } => name,
        Metric::Unknown { kind } => kind,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::Value;
    use tidegate_autoscalers::hpa::manifest;

    use super::*;

    const SCHEMA: &str = include_str!("../../../docs/explain-state.schema.json");

    const MANIFEST: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec:
  scaleTargetRef: { kind: Deployment, name: web }
  maxReplicas: 10
  metrics:
  - { type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 60 } } }
  - { type: Resource, resource: { name: memory, target: { type: AverageValue, averageValue: 1Gi } } }
  - { type: Pods, pods: { metric: { name: rate }, target: { type: AverageValue, averageValue: 10 } } }
  - { type: External, external: { metric: { name: queue }, target: { type: Value, value: 10 } } }
";

    fn read(text: &str) -> Result<Situation, FieldError> {
        Situation::read(text, &manifest::read(MANIFEST).expect("it is right"))
    }

    /// The schema's file and the reader know the same fields, object by object, and the same ones must be given.
    #[test]
    fn the_schema_names_the_fields_that_are_read() {
        let schema: Value = serde_json::from_str(SCHEMA).expect("it is JSON");
        let names = |schema: &Value| -> Vec<String> {
            let mut names: Vec<String> =
                schema["properties"].as_object().expect("an object").keys().cloned().collect();
            names.sort();
            names
        };
        let sorted = |names: Vec<&'static str>| {
            let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(names(&schema), sorted(typed::names_at::<File>("")));
        for (name, path) in [
            ("pod", "pods[0]"),
            ("container", "pods[0].containers[0]"),
            ("amounts", "pods[0].containers[0].requests"),
            ("recommendation", "recommendations[0]"),
            ("scaleEvent", "scaleEvents[0]"),
            ("flags", "flags"),
        ] {
            let of = &schema["$defs"][name];
            assert_eq!(names(of), sorted(typed::names_at::<File>(path)), "{path}");
            assert_eq!(of["additionalProperties"], Value::Bool(false), "{path}");
        }
    }

    #[test]
    fn what_is_left_out_is_as_it_usually_is() {
        let text = r#"{ "now": 1000000, "specReplicas": 2, "external": { "queue": [3, "1500m"] },
            "pods": [ { "name": "a" }, { "name": "b", "phase": "Pending" }, { "name": "c", "ready": null, "startedAt": null } ] }"#;
        let it = read(text).expect("it is right");
        assert_eq!((it.spec_replicas, it.status_replicas), (2, 2));
        let brief = |pod: &Pod| (pod.started_seconds, pod.ready.and_then(|ready| ready.status));
        assert_eq!(brief(&it.pods[0]), (Some(1_000_000.0 - LONG_AGO_SECONDS), Some(true)));
        assert_eq!(brief(&it.pods[1]), (None, Some(false)));
        assert_eq!(brief(&it.pods[2]), (None, None));
        assert_eq!(it.readings[3].values, [3000, 1500]);
        assert_eq!(it.readings[0].samples, [None, None, None]);
        assert_eq!(it.flags, Flags::default());
        assert_eq!(it.memory, Memory::default());
        assert_eq!(it.shown(12.5), "12.5 s");
    }

    /// Of a resource the containers that are measured are added up; if one of them is not measured in it, the pod has
    /// no sample, as with the real metrics client.
    #[test]
    fn usage_is_added_up_over_containers() {
        let text = r#"{ "now": "2026-03-03T00:01:00Z", "specReplicas": 1, "external": { "spec.metrics[3]": 1 },
            "pods": [ { "name": "a", "usageAt": "2026-03-03T00:00:45+00:00", "usageWindowSeconds": 15, "metrics": { "rate": 7.5 },
              "containers": [
                { "name": "app", "requests": { "cpu": 1 }, "usage": { "cpu": "250m", "memory": "1Mi" } },
                { "name": "side", "kind": "sidecar", "usage": { "cpu": "0.05" } },
                { "name": "init", "kind": "init" } ] } ] }"#;
        let it = read(text).expect("it is right");
        let sample = |milli| Some(Sample { milli, at_seconds: it.now_seconds - 15.0, window_seconds: 15.0 });
        assert_eq!(it.readings[0].samples, [sample(300)]);
        assert_eq!(it.readings[1].samples, [None]);
        assert_eq!(it.readings[2].samples, [sample(7500)]);
        let kinds: Vec<ContainerKind> = it.pods[0].containers.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, [ContainerKind::Regular, ContainerKind::Sidecar, ContainerKind::Init]);
        assert_eq!(it.shown(it.now_seconds), "2026-03-03T00:01:00Z");
    }

    #[test]
    fn yaml_is_read_too_and_history_keeps_its_signs() {
        let text = "
now: 100
specReplicas: 3
errors: { queue: gone, 'spec.metrics[0]': away }
recommendations: [{ at: 90, replicas: 4 }]
scaleEvents: [{ at: 80, change: 2 }, { at: 95, change: -3 }]
lastScaleAt: 95
scaledToZero: true
flags: { tolerance: 0.2, toleranceForm: distance, zeroRule: condition, podLevelResources: false }
";
        let it = read(text).expect("it is right");
        let failures: Vec<Option<&str>> = it.readings.iter().map(|it| it.failure.as_deref()).collect();
        assert_eq!(failures, [Some("away"), None, None, Some("gone")]);
        let event = |change, at_seconds| Event { change, at_seconds, is_outdated: false };
        assert_eq!((it.memory.up, it.memory.down), (vec![event(2, 80.0)], vec![event(3, 95.0)]));
        assert_eq!(it.memory.recommendations, [Recommendation { replicas: 4, at_seconds: 90.0 }]);
        assert!(it.memory.scaled_to_zero && it.flags.tolerance == 0.2 && !it.flags.pod_level_resources);
        assert_eq!(
            (it.flags.tolerance_form, it.flags.zero_rule),
            (ToleranceForm::Distance, ZeroRule::Condition)
        );
    }

    fn check(text: &str, expected: &Expect) {
        expected.assert_eq(&read(text).expect_err("it is wrong").to_string());
    }

    #[test]
    fn wrong_states_name_line_field_value_and_what_is_allowed() {
        let with = |rest: &str| {
            format!("{{ \"now\": 100, \"specReplicas\": 2, \"external\": {{ \"queue\": 1 }},\n{rest} }}")
        };
        check("", &expect!["`state` must hold one document, but is empty"]);
        check("{", &expect!["line 2: `state` cannot be read: did not find expected node content"]);
        check("[]", &expect!["`state` must be a mapping of fields, but is a list"]);
        check("{ \"specReplicas\": 2 }", &expect!["`now` must be given, but is missing"]);
        check("{ \"now\": 100 }", &expect!["`specReplicas` must be given, but is missing"]);
        check(
            "{ \"now\": \"noon\", \"specReplicas\": 2 }",
            &expect![[
                r#"line 1: `now` must be a time such as "2026-03-03T02:14:30Z" or a number of seconds, but is the text "noon""#
            ]],
        );
        check(
            "{ \"now\": 100, \"specReplicas\": -2 }",
            &expect!["line 1: `specReplicas` must be 0 or more, but is -2"],
        );
        check(
            "{ \"now\": 100, \"specReplicas\": 2 }",
            &expect![[
                r#"`external` must give "queue", which `spec.metrics[3]` looks at, but does not; say what it is, or under `errors` why it cannot be had"#
            ]],
        );
        check(
            &with("\"replicas\": 2"),
            &expect![
                "line 2: `replicas` is unknown, expected one of `now`, `specReplicas`, `statusReplicas`, `pods`, `external`, `objects`, `errors`, `recommendations`, `scaleEvents`, `lastScaleAt`, `scaledToZero`, `flags` (did you mean `specReplicas`?)"
            ],
        );
        check(&with("\"now\": 2"), &expect!["line 2: `now` must stand once, but stands on line 1, too"]);
        check(
            &with("\"pods\": [ { \"name\": \"a\", \"phase\": \"running\" } ]"),
            &expect![[
                r#"line 2: `pods[0].phase` must be one of `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`, but is "running""#
            ]],
        );
        check(
            &with("\"pods\": [ { \"phase\": \"Running\" } ]"),
            &expect!["line 2: `pods[0].name` must be given, but is missing"],
        );
        check(
            &with("\"pods\": [ { \"name\": \"a\", \"status\": 1 } ]"),
            &expect![
                "line 2: `pods[0].status` is unknown, expected one of `name`, `phase`, `deleting`, `startedAt`, `ready`, `readySince`, `containers`, `requests`, `overhead`, `usageAt`, `usageWindowSeconds`, `metrics`"
            ],
        );
        check(
            &with("\"pods\": [ { \"name\": \"a\" },\n { \"name\": \"a\" } ]"),
            &expect![[r#"line 3: `pods[1].name` must differ from the others', but "a" comes twice"#]],
        );
        check(
            &with("\"pods\": [ { \"name\": \"a\", \"startedAt\": 101 } ]"),
            &expect!["line 2: `pods[0].startedAt` must not be after `now`, but is 1.00 s later"],
        );
        check(
            &with("\"pods\": [ { \"name\": \"a\", \"startedAt\": \"2026-03-03T00:00:00Z\" } ]"),
            &expect![[
                r#"line 2: `pods[0].startedAt` must be a number of seconds, as `now` is, but is "2026-03-03T00:00:00Z""#
            ]],
        );
        check(
            &with("\"pods\": [ { \"name\": \"a\", \"usageWindowSeconds\": -1 } ]"),
            &expect!["line 2: `pods[0].usageWindowSeconds` must be 0 or more, but is -1"],
        );
        check(
            &with(
                "\"pods\": [ { \"name\": \"a\", \"containers\": [ { \"name\": \"b\", \"usage\": { \"cpu\": \"5%\" } } ] } ]",
            ),
            &expect![[
                r#"line 2: `pods[0].containers[0].usage.cpu` must be a quantity such as 500m, 2, 1.5, 100k or 1Gi, but is "5%""#
            ]],
        );
        check(
            &with(
                "\"pods\": [ { \"name\": \"a\", \"containers\": [ { \"name\": \"b\", \"requests\": { \"cpu\": -1 } } ] } ]",
            ),
            &expect!["line 2: `pods[0].containers[0].requests.cpu` must be 0 or more, but is -1"],
        );
        check(
            &with("\"errors\": { \"gpu\": \"none\" }"),
            &expect![
                "line 2: `errors.gpu` is no metric of the manifest, expected one of `cpu`, `spec.metrics[0]`, `memory`, `spec.metrics[1]`, `rate`, `spec.metrics[2]`, `queue`, `spec.metrics[3]`"
            ],
        );
        check(
            &with("\"objects\": { \"queue\": 1 }"),
            &expect!["line 2: `objects.queue` must not be there: the manifest has no such metric"],
        );
        check(
            &with("\"recommendations\": [ { \"at\": 90, \"replicas\": -1 } ]"),
            &expect!["line 2: `recommendations[0].replicas` must be 0 or more, but is -1"],
        );
        check(
            &with("\"scaleEvents\": [ { \"at\": 90, \"change\": 0 } ]"),
            &expect![
                "line 2: `scaleEvents[0].change` must be above 0 for a change upwards or below 0 for one downwards, but is 0"
            ],
        );
        check(
            &with("\"scaleEvents\": [ { \"change\": 2 } ]"),
            &expect!["line 2: `scaleEvents[0].at` must be given, but is missing"],
        );
        check(
            &with("\"flags\": { \"tolerance\": -0.1 }"),
            &expect!["line 2: `flags.tolerance` must be 0 or more, but is -0.1"],
        );
        check(
            &with("\"flags\": { \"toleranceForm\": \"ring\" }"),
            &expect![[r#"line 2: `flags.toleranceForm` must be `interval` or `distance`, but is "ring""#]],
        );
    }
}
