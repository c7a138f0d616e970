//! The real manifest, `autoscaling/v2`, as `kubectl apply` takes it.
//!
//! It is read with the Kubernetes types, filled as `pkg/apis/autoscaling/v2/defaults.go` fills it, and refused where
//! `pkg/apis/autoscaling/validation` refuses it; every complaint has the line, the field as the manifest writes it,
//! what was found and what is allowed. Stricter than the API server in three things, since each is a mistake that it
//! lets pass and that the controller then does not act upon: an unknown field is an error also outside strict
//! validation; `target.type` must name the field that is set, and no other may be set (the controller goes by the type
//! for Object metrics and by the field for all others); and a resource must be cpu or memory, since the metrics server
//! knows no other. What the API server writes into an object is let pass: `status` and `metadata.managedFields` are
//! not read. Not checked: whether the labels of a selector are well formed, and the group of `scaleTargetRef`.

mod quantity;
pub mod typed;
pub mod yaml;

use std::fmt::{Display, Write as _};

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingRules, HorizontalPodAutoscaler, MetricIdentifier, MetricSpec,
    MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_yaml_ng::Value;
use tidegate_core::locate::FieldError;

pub use self::quantity::thousandths;
use self::yaml::{Document, below};
use super::{Behavior, Metric, Policy, PolicyKind, Resource, ScalingRules, Select, Spec, Target};

/// Longest `periodSeconds` of a policy.
const PERIOD_SECONDS_MAX: i32 = 1800;

/// Longest `stabilizationWindowSeconds`.
const WINDOW_SECONDS_MAX: i32 = 3600;

const API_VERSION: &str = "autoscaling/v2";
const KIND: &str = "HorizontalPodAutoscaler";

/// What a manifest says.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`; `default` where it is not written.
    pub namespace: String,
    /// `spec.scaleTargetRef.kind`.
    pub target_kind: String,
    /// `spec.scaleTargetRef.name`.
    pub target_name: String,
    /// `spec`, with the defaults filled in.
    pub spec: Spec,
}

/// Reads a manifest, in YAML or JSON.
///
/// ```
/// let text = "
/// apiVersion: autoscaling/v2
/// kind: HorizontalPodAutoscaler
/// metadata: { name: web }
/// spec:
///   scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }
///   maxReplicas: 0
/// ";
/// let error = tidegate_autoscalers::hpa::manifest::read(text).expect_err("there is no room");
/// assert_eq!(error.to_string(), "line 7: `spec.maxReplicas` must be at least 1, but is 0");
/// ```
///
/// # Errors
/// If the text is no manifest of this kind and version, or the API server would refuse it.
pub fn read(text: &str) -> Result<Manifest, FieldError> {
    let mut document = Document::read(text)?;
    check_kind(&document)?;
    if let Value::Mapping(object) = &mut document.value {
        object.remove("status");
        if let Some(Value::Mapping(metadata)) = object.get_mut("metadata") {
            metadata.remove("managedFields");
        }
    }
    let object: HorizontalPodAutoscaler = typed::read(&document)?;
    Reader { document: &document }.manifest(&object)
}

fn check_kind(document: &Document) -> Result<(), FieldError> {
    let Value::Mapping(object) = &document.value else {
        let problem = format!("must be a {KIND} of {API_VERSION}, but is {}", shown(&document.value));
        return Err(document.complaint("yaml", problem));
    };
    let version = object.get("apiVersion");
    match object.get("kind") {
        Some(Value::String(kind)) if kind == KIND => {}
        Some(Value::String(kind)) if kind == "List" || kind == "HorizontalPodAutoscalerList" => {
            let n = object.get("items").and_then(Value::as_sequence).map_or(0, Vec::len);
            let problem = format!("must be {KIND}, but is {kind:?} with {n} `items`: take one of them");
            return Err(document.complaint("kind", problem));
        }
        other => return Err(document.complaint("kind", differs(KIND, other))),
    }
    match version {
        Some(Value::String(version)) if version == API_VERSION => Ok(()),
        Some(Value::String(version)) if version.starts_with("autoscaling/") => {
            let problem = format!(
                "must be {API_VERSION}, but is {version:?}; a cluster prints it as {API_VERSION} with \
                 `kubectl get hpa.v2.autoscaling NAME -o yaml`"
            );
            Err(document.complaint("apiVersion", problem))
        }
        other => Err(document.complaint("apiVersion", differs(API_VERSION, other))),
    }
}

fn differs(allowed: &str, found: Option<&Value>) -> String {
    found.map_or_else(
        || format!("must be {allowed}, but is missing"),
        |found| format!("must be {allowed}, but is {}", shown(found)),
    )
}

/// A value in a message.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "empty".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => format!("{value:?}"),
        Value::Sequence(_) => "a list".into(),
        Value::Mapping(_) => "a mapping".into(),
        Value::Tagged(tagged) => format!("tagged {}", tagged.tag),
    }
}

/// Checks, with the place of every complaint at hand.
struct Reader<'a> {
    document: &'a Document,
}

type Checked<T> = Result<T, FieldError>;

impl Reader<'_> {
    fn manifest(&self, object: &HorizontalPodAutoscaler) -> Checked<Manifest> {
        let metadata = &object.metadata;
        let name = metadata.name.clone().or_else(|| metadata.generate_name.clone()).unwrap_or_default();
        self.subdomain("metadata.name", &name)?;
        let spec = &object.spec;
        self.given("spec")?;
        self.reference("spec.scaleTargetRef", &spec.scale_target_ref)?;
        let replicas_max = spec.max_replicas;
        self.given("spec.maxReplicas")?;
        self.at_least("spec.maxReplicas", replicas_max, 1)?;
        let replicas_min = spec.min_replicas.unwrap_or(1);
        self.at_least("spec.minReplicas", replicas_min, 0)?;
        if replicas_max < replicas_min {
            let allowed = format!("at least `spec.minReplicas`, which is {replicas_min}");
            return Err(self.wrong("spec.maxReplicas", allowed, replicas_max));
        }
        let mut read = Spec::new(replicas_max);
        read.replicas_min = replicas_min;
        if let Some(metrics) = spec.metrics.as_deref().filter(|metrics| !metrics.is_empty()) {
            let metrics = metrics.iter().enumerate();
            read.metrics = metrics
                .map(|(index, metric)| self.metric(&format!("spec.metrics[{index}]"), metric))
                .collect::<Checked<_>>()?;
        }
        if replicas_min == 0 && !read.has_object_or_external() {
            let allowed = "at least 1 unless there is an Object or External metric to come back by";
            return Err(self.wrong("spec.minReplicas", allowed, 0));
        }
        if let Some(behavior) = &spec.behavior {
            let rules = |name: &str, written: Option<&HPAScalingRules>, default: ScalingRules| match written {
                Some(rules) => self.rules(&format!("spec.behavior.{name}"), rules, default),
                None => Ok(default),
            };
            read.behavior = Some(Behavior {
                up: rules("scaleUp", behavior.scale_up.as_ref(), ScalingRules::up())?,
                down: rules("scaleDown", behavior.scale_down.as_ref(), ScalingRules::down())?,
            });
        }
        Ok(Manifest {
            name,
            namespace: metadata.namespace.clone().unwrap_or_else(|| "default".into()),
            target_kind: spec.scale_target_ref.kind.clone(),
            target_name: spec.scale_target_ref.name.clone(),
            spec: read,
        })
    }

    fn metric(&self, path: &str, metric: &MetricSpec) -> Checked<Metric> {
        let sources = [
            ("Resource", "resource", metric.resource.is_some()),
            ("ContainerResource", "containerResource", metric.container_resource.is_some()),
            ("Pods", "pods", metric.pods.is_some()),
            ("Object", "object", metric.object.is_some()),
            ("External", "external", metric.external.is_some()),
        ];
        let types = sources.map(|(kind, ..)| kind);
        let field = below(path, "type");
        self.given(&field)?;
        let Some((kind, source, is_there)) = sources.iter().find(|(kind, ..)| *kind == metric.type_) else {
            return Err(self.none_of(&field, &types, &metric.type_));
        };
        if let Some((_, other, _)) = sources.iter().find(|(_, other, is_there)| *is_there && other != source)
        {
            let problem = format!("must not be there: a metric of type {kind} has its source in `{source}`");
            return Err(self.document.complaint(&below(path, other), problem));
        }
        let at = below(path, source);
        if !is_there {
            let problem = format!("must be given for a metric of type {kind}, but is missing");
            return Err(self.document.complaint(&at, problem));
        }
        let in_metric = |name: &str| below(&at, name);
        if let Some(it) = &metric.resource {
            let resource = self.resource(&in_metric("name"), &it.name)?;
            let target =
                self.target(&in_metric("target"), kind, &it.target, &[UTILIZATION, AVERAGE_VALUE])?;
            return Ok(Metric::Resource { resource, target });
        }
        if let Some(it) = &metric.container_resource {
            let resource = self.resource(&in_metric("name"), &it.name)?;
            self.label(&in_metric("container"), &it.container)?;
            let target =
                self.target(&in_metric("target"), kind, &it.target, &[UTILIZATION, AVERAGE_VALUE])?;
            return Ok(Metric::ContainerResource { resource, container: it.container.clone(), target });
        }
        if let Some(it) = &metric.pods {
            let name = self.identifier(&in_metric("metric"), &it.metric)?;
            let target = self.target(&in_metric("target"), kind, &it.target, &[AVERAGE_VALUE])?;
            let Target::AverageValue { milli } = target else { unreachable!("no other target is allowed") };
            return Ok(Metric::Pods { name, average_milli: milli });
        }
        if let Some(it) = &metric.object {
            self.reference(&in_metric("describedObject"), &it.described_object)?;
            let name = self.identifier(&in_metric("metric"), &it.metric)?;
            let target = self.target(&in_metric("target"), kind, &it.target, &[VALUE, AVERAGE_VALUE])?;
            let CrossVersionObjectReference { kind, name: object_name, .. } = it.described_object.clone();
            let selector = selector(it.metric.selector.as_ref());
            return Ok(Metric::Object { object_kind: kind, object_name, name, selector, target });
        }
        let it = metric.external.as_ref().expect("the last of the five sources");
        let name = self.identifier(&in_metric("metric"), &it.metric)?;
        let target = self.target(&in_metric("target"), kind, &it.target, &[VALUE, AVERAGE_VALUE])?;
        Ok(Metric::External { name, selector: selector(it.metric.selector.as_ref()), target })
    }

    fn target(
        &self,
        path: &str,
        kind: &str,
        target: &MetricTarget,
        allowed: &[(&str, &str)],
    ) -> Checked<Target> {
        let type_field = below(path, "type");
        self.given(&type_field)?;
        let types: Vec<&str> = allowed.iter().map(|(name, _)| *name).collect();
        let Some((name, wanted)) = allowed.iter().find(|(name, _)| *name == target.type_) else {
            let problem = format!(
                "must be {} for a metric of type {kind}, but is {:?}",
                types.join(" or "),
                target.type_
            );
            return Err(self.document.complaint(&type_field, problem));
        };
        let set = [
            (VALUE.1, target.value.is_some()),
            (AVERAGE_VALUE.1, target.average_value.is_some()),
            (UTILIZATION.1, target.average_utilization.is_some()),
        ];
        if let Some((other, _)) = set.iter().find(|(field, is_set)| *is_set && field != wanted) {
            let problem = format!("must not be there: a target of type {name} is set by `{wanted}`");
            return Err(self.document.complaint(&below(path, other), problem));
        }
        let field = below(path, wanted);
        let positive = |quantity: Option<&Quantity>| -> Checked<i64> {
            let Some(quantity) = quantity else { return Err(self.missing(&field)) };
            let milli = self.quantity(&field, quantity)?;
            if milli > 0 { Ok(milli) } else { Err(self.wrong(&field, "above 0", &quantity.0)) }
        };
        match *wanted {
            "averageUtilization" => {
                let Some(percent) = target.average_utilization else { return Err(self.missing(&field)) };
                self.at_least(&field, percent, 1)?;
                Ok(Target::Utilization { percent })
            }
            "averageValue" => Ok(Target::AverageValue { milli: positive(target.average_value.as_ref())? }),
            _ => Ok(Target::Value { milli: positive(target.value.as_ref())? }),
        }
    }

    fn rules(&self, path: &str, rules: &HPAScalingRules, mut read: ScalingRules) -> Checked<ScalingRules> {
        if let Some(window) = rules.stabilization_window_seconds {
            self.between(&below(path, "stabilizationWindowSeconds"), window, 0, WINDOW_SECONDS_MAX)?;
            read.window_seconds = Some(window);
        }
        if let Some(select) = &rules.select_policy {
            read.select = match select.as_str() {
                "Max" => Select::Max,
                "Min" => Select::Min,
                "Disabled" => Select::Disabled,
                other => {
                    return Err(self.none_of(
                        &below(path, "selectPolicy"),
                        &["Max", "Min", "Disabled"],
                        other,
                    ));
                }
            };
        }
        if let Some(policies) = &rules.policies {
            let field = below(path, "policies");
            if policies.is_empty() {
                let problem = "must hold at least one policy or be left out, but is empty";
                return Err(self.document.complaint(&field, problem));
            }
            let policies = policies.iter().enumerate();
            read.policies = policies
                .map(|(index, policy)| {
                    let at = format!("{field}[{index}]");
                    let type_field = below(&at, "type");
                    self.given(&type_field)?;
                    let kind = match policy.type_.as_str() {
                        "Pods" => PolicyKind::Pods,
                        "Percent" => PolicyKind::Percent,
                        other => return Err(self.none_of(&type_field, &["Pods", "Percent"], other)),
                    };
                    let (value, period) = (below(&at, "value"), below(&at, "periodSeconds"));
                    self.given(&value)?;
                    self.at_least(&value, policy.value, 1)?;
                    self.given(&period)?;
                    self.between(&period, policy.period_seconds, 1, PERIOD_SECONDS_MAX)?;
                    Ok(Policy { kind, value: policy.value, period_seconds: policy.period_seconds })
                })
                .collect::<Checked<_>>()?;
        }
        if let Some(tolerance) = &rules.tolerance {
            let field = below(path, "tolerance");
            self.quantity(&field, tolerance)?;
            let share = quantity::number(&tolerance.0).filter(|share| *share >= 0.0);
            read.tolerance = Some(share.ok_or_else(|| self.wrong(&field, "0 or more", &tolerance.0))?);
        }
        Ok(read)
    }

    fn resource(&self, field: &str, name: &str) -> Checked<Resource> {
        self.given(field)?;
        match name {
            "cpu" => Ok(Resource::Cpu),
            "memory" => Ok(Resource::Memory),
            other => Err(self.none_of(field, &["cpu", "memory"], other)),
        }
    }

    fn identifier(&self, path: &str, metric: &MetricIdentifier) -> Checked<String> {
        let field = below(path, "name");
        self.given(&field)?;
        self.segment(&field, &metric.name)?;
        Ok(metric.name.clone())
    }

    fn reference(&self, path: &str, reference: &CrossVersionObjectReference) -> Checked<()> {
        for (name, value) in [("kind", &reference.kind), ("name", &reference.name)] {
            let field = below(path, name);
            self.given(&field)?;
            self.segment(&field, value)?;
        }
        Ok(())
    }

    fn quantity(&self, field: &str, quantity: &Quantity) -> Checked<i64> {
        thousandths(&quantity.0)
            .ok_or_else(|| self.wrong(field, quantity::ALLOWED, format!("{:?}", quantity.0)))
    }

    /// A part of an URL's path.
    fn segment(&self, field: &str, name: &str) -> Checked<()> {
        let is_right = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%']);
        let allowed = "a name without `/` and `%`";
        if is_right { Ok(()) } else { Err(self.wrong(field, allowed, format!("{name:?}"))) }
    }

    /// Labels of a domain, with dots between.
    fn subdomain(&self, field: &str, name: &str) -> Checked<()> {
        self.given(field).or_else(|missing| self.given("metadata.generateName").map_err(|_| missing))?;
        let name = if self.at(field).is_some() { name } else { name.trim_end_matches('-') };
        let is_right = name.len() <= 253 && name.split('.').all(is_label);
        let allowed =
            "lower-case letters, digits, `-` and `.`, with a letter or digit at both ends of each part";
        if is_right { Ok(()) } else { Err(self.wrong(field, allowed, format!("{name:?}"))) }
    }

    fn label(&self, field: &str, name: &str) -> Checked<()> {
        self.given(field)?;
        let is_right = name.len() <= 63 && is_label(name);
        let allowed = "the name of a container: at most 63 lower-case letters, digits and `-`";
        if is_right { Ok(()) } else { Err(self.wrong(field, allowed, format!("{name:?}"))) }
    }

    fn at_least(&self, field: &str, value: i32, least: i32) -> Checked<()> {
        if value >= least { Ok(()) } else { Err(self.wrong(field, format!("at least {least}"), value)) }
    }

    fn between(&self, field: &str, value: i32, least: i32, most: i32) -> Checked<()> {
        let is_right = (least..=most).contains(&value);
        if is_right { Ok(()) } else { Err(self.wrong(field, format!("{least} to {most}"), value)) }
    }

    fn given(&self, field: &str) -> Checked<()> {
        if self.at(field).is_some_and(|value| !value.is_null()) { Ok(()) } else { Err(self.missing(field)) }
    }

    /// What stands at a path.
    fn at(&self, field: &str) -> Option<&Value> {
        let parts = field.split(['.', '[', ']']).filter(|part| !part.is_empty());
        let mut here = &self.document.value;
        for part in parts {
            here = match part.parse::<usize>() {
                Ok(index) => here.get(index)?,
                Err(_) => here.get(part)?,
            };
        }
        Some(here)
    }

    fn missing(&self, field: &str) -> FieldError {
        self.document.complaint(field, "must be given, but is missing")
    }

    fn none_of(&self, field: &str, allowed: &[&str], found: &str) -> FieldError {
        self.wrong(field, format!("one of {}", allowed.join(", ")), format!("{found:?}"))
    }

    fn wrong(&self, field: &str, allowed: impl Display, found: impl Display) -> FieldError {
        self.document.complaint(field, format!("must be {allowed}, but is {found}"))
    }
}

/// Types of targets, each with the field that sets it.
const UTILIZATION: (&str, &str) = ("Utilization", "averageUtilization");
const AVERAGE_VALUE: (&str, &str) = ("AverageValue", "averageValue");
const VALUE: (&str, &str) = ("Value", "value");

fn is_label(name: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    is_end(name.chars().next())
        && is_end(name.chars().last())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// A selector as Go prints it with `%+v`, because the controller's messages quote it so.
fn selector(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".into() };
    let mut text = String::from("&LabelSelector{MatchLabels:map[string]string{");
    for (name, value) in selector.match_labels.iter().flatten() {
        write!(text, "{name}: {value},").expect("a string takes all");
    }
    text.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for it in selector.match_expressions.iter().flatten() {
        let values = it.values.as_deref().unwrap_or_default().join(" ");
        write!(
            text,
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
            it.key, it.operator
        )
        .expect("a string takes all");
    }
    text + "},}"
}

#[cfg(test)]
mod tests;
