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
mod typed;
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
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const HEAD: &str = "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: web
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: web
  maxReplicas: 10
";

    /// Every field that there is.
    const FULL: &str = "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: web
  namespace: shop
  labels:
    app: web
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: web
  minReplicas: 2
  maxReplicas: 40
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: 60
    - type: ContainerResource
      containerResource:
        name: memory
        container: app
        target:
          type: AverageValue
          averageValue: 1.5Gi
    - type: Pods
      pods:
        metric:
          name: requests_per_second
        target:
          type: AverageValue
          averageValue: 100k
    - type: Object
      object:
        describedObject:
          apiVersion: networking.k8s.io/v1
          kind: Ingress
          name: main
        metric:
          name: requests_per_second
        target:
          type: Value
          value: 2k
    - type: External
      external:
        metric:
          name: queue_length
          selector:
            matchLabels:
              queue: orders
              zone: a
            matchExpressions:
              - key: tier
                operator: In
                values: [gold, silver]
        target:
          type: AverageValue
          averageValue: 500m
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 30
      selectPolicy: Min
      tolerance: 0.05
      policies:
        - type: Pods
          value: 4
          periodSeconds: 60
        - type: Percent
          value: 50
          periodSeconds: 1800
    scaleDown:
      stabilizationWindowSeconds: 3600
      selectPolicy: Disabled
      tolerance: 0
";

    fn spec_of(text: &str) -> Spec {
        read(text).unwrap_or_else(|error| panic!("{error}\n{text}")).spec
    }

    #[test]
    fn every_field_is_read() {
        let manifest = read(FULL).expect("it is right");
        assert_eq!((manifest.name.as_str(), manifest.namespace.as_str()), ("web", "shop"));
        assert_eq!((manifest.target_kind.as_str(), manifest.target_name.as_str()), ("Deployment", "web"));
        let spec = manifest.spec;
        assert_eq!((spec.replicas_min, spec.replicas_max), (2, 40));
        let gi = 1024 * 1024 * 1024;
        let expected = [
            Metric::cpu_utilization(60),
            Metric::ContainerResource {
                resource: Resource::Memory,
                container: "app".into(),
                target: Target::AverageValue { milli: 1500 * gi },
            },
            Metric::Pods { name: "requests_per_second".into(), average_milli: 100_000_000 },
            Metric::Object {
                object_kind: "Ingress".into(),
                object_name: "main".into(),
                name: "requests_per_second".into(),
                selector: "nil".into(),
                target: Target::Value { milli: 2_000_000 },
            },
            Metric::External {
                name: "queue_length".into(),
                selector: "&LabelSelector{MatchLabels:map[string]string{queue: orders,zone: a,},\
                           MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:tier,Operator:In,\
                           Values:[gold silver],},},}"
                    .into(),
                target: Target::AverageValue { milli: 500 },
            },
        ];
        assert_eq!(spec.metrics, expected);
        let behavior = spec.behavior.expect("it is written");
        let up = ScalingRules {
            window_seconds: Some(30),
            select: Select::Min,
            policies: vec![Policy::pods(4, 60), Policy::percent(50, 1800)],
            tolerance: Some(0.05),
        };
        assert_eq!(behavior.up, up);
        let down = ScalingRules {
            window_seconds: Some(3600),
            select: Select::Disabled,
            tolerance: Some(0.0),
            ..ScalingRules::down()
        };
        assert_eq!(behavior.down, down);
    }

    #[test]
    fn what_is_left_out_is_as_the_api_fills_it() {
        assert_eq!(spec_of(HEAD), Spec::new(10));
        assert_eq!(spec_of(&format!("{HEAD}  metrics: []\n")), Spec::new(10));
        let with = |behavior: &str| spec_of(&format!("{HEAD}  behavior: {behavior}\n")).behavior;
        assert_eq!(with("{}"), Some(Behavior::default()));
        assert_eq!(with("~"), None);
        let only_up = with("{ scaleUp: { stabilizationWindowSeconds: 60 } }").expect("it is written");
        assert_eq!(only_up.down, ScalingRules::down());
        assert_eq!(only_up.up, ScalingRules { window_seconds: Some(60), ..ScalingRules::up() });
        assert_eq!(read(HEAD).expect("it is right").namespace, "default");
    }

    #[test]
    fn json_is_read_and_what_a_cluster_adds_is_let_pass() {
        let json = serde_yaml_ng::from_str::<serde_yaml_ng::Value>(FULL).expect("it is right");
        let text = json_of(&json);
        assert_eq!(spec_of(&text), spec_of(FULL));
        let added = "status:\n  currentReplicas: 3\n  something_new: 1\n";
        let managed = FULL.replace(
            "  namespace: shop",
            "  namespace: shop\n  uid: abc\n  managedFields: [{ manager: kubectl }]",
        );
        assert_eq!(spec_of(&format!("{managed}{added}")), spec_of(FULL));
    }

    /// JSON of a value, since no other crate here writes it.
    fn json_of(value: &Value) -> String {
        match value {
            Value::Mapping(map) => {
                let fields: Vec<String> =
                    map.iter().map(|(key, value)| format!("{}: {}", shown(key), json_of(value))).collect();
                format!("{{{}}}", fields.join(",\n\t"))
            }
            Value::Sequence(values) => {
                format!("[{}]", values.iter().map(json_of).collect::<Vec<_>>().join(", "))
            }
            other => shown(other),
        }
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        let text = FULL.replace("    scaleUp:\n", "    scaleUp: &rules\n").replace(
            "    scaleDown:\n      stabilizationWindowSeconds: 3600\n      selectPolicy: Disabled\n      tolerance: 0\n",
            "    scaleDown:\n      <<: *rules\n      stabilizationWindowSeconds: 7\n",
        );
        let behavior = spec_of(&text).behavior.expect("it is written");
        assert_eq!(behavior.down, ScalingRules { window_seconds: Some(7), ..behavior.up });
    }

    /// A field that nobody knows, below every mapping of a manifest, is named with its path and line.
    #[test]
    fn no_unknown_field_passes_anywhere() {
        let document = Document::read(FULL).expect("it is right");
        let mut paths = vec![String::new()];
        mappings("", &document.value, &mut paths);
        assert_eq!(paths.len(), 30, "{paths:?}");
        for path in paths {
            let mut value = document.value.clone();
            let mut here = &mut value;
            for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
                here = match part.parse::<usize>() {
                    Ok(index) => here.get_mut(index).expect("it is there"),
                    Err(_) => here.get_mut(part).expect("it is there"),
                };
            }
            here.as_mapping_mut().expect("a mapping").insert("bogus".into(), 1.into());
            let error = read(&json_of(&value)).map(|_| path.clone()).expect_err("it is unknown");
            assert_eq!(error.field, below(&path, "bogus"), "{error}");
            assert!(
                error.line.is_some() && error.problem.starts_with("is unknown, expected one of `"),
                "{error}"
            );
        }
    }

    /// Those in which a name is not free.
    fn mappings(path: &str, value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Mapping(map) => {
                for (key, value) in map {
                    let path = below(path, key.as_str().expect("a name"));
                    if value.is_mapping() && !path.ends_with("abels") {
                        into.push(path.clone());
                    }
                    mappings(&path, value, into);
                }
            }
            Value::Sequence(values) => {
                for (index, value) in values.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    if value.is_mapping() {
                        into.push(path.clone());
                    }
                    mappings(&path, value, into);
                }
            }
            _ => {}
        }
    }

    /// The full manifest with one thing changed.
    fn check(from: &str, to: &str, expected: &Expect) {
        assert_eq!(FULL.matches(from).count(), 1, "{from:?} is not unique");
        expected.assert_eq(&read(&FULL.replacen(from, to, 1)).expect_err("it is wrong").to_string());
    }

    fn check_text(text: &str, expected: &Expect) {
        expected.assert_eq(&read(text).expect_err("it is wrong").to_string());
    }

    #[test]
    fn texts_that_are_no_manifest() {
        check_text("", &expect!["`yaml` must hold one document, but is empty"]);
        check_text("# nothing\n---\n", &expect!["`yaml` must hold one document, but is empty"]);
        check_text(
            "web",
            &expect![[r#"`yaml` must be a HorizontalPodAutoscaler of autoscaling/v2, but is "web""#]],
        );
        check_text(
            "- a\n- b\n",
            &expect!["`yaml` must be a HorizontalPodAutoscaler of autoscaling/v2, but is a list"],
        );
        check_text(
            &format!("{HEAD}---\n{HEAD}"),
            &expect![
                "`yaml` must hold one document, but holds 2 (HorizontalPodAutoscaler, HorizontalPodAutoscaler)"
            ],
        );
        check_text(
            &format!("{HEAD}\tminReplicas: 2\n"),
            &expect![
                "line 11: `yaml` cannot be read: the line is indented by a tab, but YAML allows only spaces"
            ],
        );
        check_text(
            "spec: [1, 2\n",
            &expect!["line 2: `yaml` cannot be read: did not find expected ',' or ']'"],
        );
        check_text("spec: { a: &x 1, b: *y }\n", &expect!["line 1: `yaml` cannot be read: unknown anchor"]);
        assert_eq!(spec_of(&format!("---\n{HEAD}---\n")), Spec::new(10));
    }

    #[test]
    fn other_kinds_and_versions() {
        check(
            "kind: HorizontalPodAutoscaler\n",
            "kind: Deployment\n",
            &expect![[r#"line 2: `kind` must be HorizontalPodAutoscaler, but is "Deployment""#]],
        );
        check(
            "kind: HorizontalPodAutoscaler\n",
            "",
            &expect!["`kind` must be HorizontalPodAutoscaler, but is missing"],
        );
        check(
            "apiVersion: autoscaling/v2\n",
            "apiVersion: autoscaling/v1\n",
            &expect![[
                r#"line 1: `apiVersion` must be autoscaling/v2, but is "autoscaling/v1"; a cluster prints it as autoscaling/v2 with `kubectl get hpa.v2.autoscaling NAME -o yaml`"#
            ]],
        );
        check(
            "apiVersion: autoscaling/v2\n",
            "apiVersion: autoscaling/v2beta2\n",
            &expect![[
                r#"line 1: `apiVersion` must be autoscaling/v2, but is "autoscaling/v2beta2"; a cluster prints it as autoscaling/v2 with `kubectl get hpa.v2.autoscaling NAME -o yaml`"#
            ]],
        );
        check(
            "apiVersion: autoscaling/v2\n",
            "apiVersion: v2\n",
            &expect![[r#"line 1: `apiVersion` must be autoscaling/v2, but is "v2""#]],
        );
        check(
            "apiVersion: autoscaling/v2\n",
            "",
            &expect!["`apiVersion` must be autoscaling/v2, but is missing"],
        );
        check_text(
            "apiVersion: v1\nkind: List\nitems: [{ kind: HorizontalPodAutoscaler }]\n",
            &expect![[
                r#"line 2: `kind` must be HorizontalPodAutoscaler, but is "List" with 1 `items`: take one of them"#
            ]],
        );
    }

    #[test]
    fn misspelt_fields() {
        check(
            "  maxReplicas: 40",
            "  maxReplica: 40",
            &expect![
                "line 14: `spec.maxReplica` is unknown, expected one of `behavior`, `maxReplicas`, `metrics`, `minReplicas`, `scaleTargetRef` (did you mean `maxReplicas`?)"
            ],
        );
        check(
            "averageUtilization: 60",
            "targetAverageUtilization: 60",
            &expect![
                "line 21: `spec.metrics[0].resource.target.targetAverageUtilization` is unknown, expected one of `averageUtilization`, `averageValue`, `type`, `value` (did you mean `averageUtilization`?)"
            ],
        );
        check(
            "averageUtilization: 60",
            "averageutilization: 60",
            &expect![
                "line 21: `spec.metrics[0].resource.target.averageutilization` is unknown, expected one of `averageUtilization`, `averageValue`, `type`, `value` (did you mean `averageUtilization`?)"
            ],
        );
        check(
            "    scaleUp:",
            "    scaleup:",
            &expect![
                "line 63: `spec.behavior.scaleup` is unknown, expected one of `scaleDown`, `scaleUp` (did you mean `scaleUp`?)"
            ],
        );
        check(
            "      selectPolicy: Min",
            "      select: Min",
            &expect![
                "line 65: `spec.behavior.scaleUp.select` is unknown, expected one of `policies`, `selectPolicy`, `stabilizationWindowSeconds`, `tolerance` (did you mean `selectPolicy`?)"
            ],
        );
        check(
            "  minReplicas: 2",
            "  minReplicas: 2\n  replicas: 3",
            &expect![
                "line 14: `spec.replicas` is unknown, expected one of `behavior`, `maxReplicas`, `metrics`, `minReplicas`, `scaleTargetRef` (did you mean `maxReplicas`?)"
            ],
        );
        check(
            "  minReplicas: 2",
            "  minReplicas: 2\n  minReplicas: 3",
            &expect!["line 14: `spec.minReplicas` must stand once, but stands on line 13, too"],
        );
        check(
            "          periodSeconds: 1800",
            "          period: 1800",
            &expect![
                "line 73: `spec.behavior.scaleUp.policies[1].period` is unknown, expected one of `periodSeconds`, `type`, `value` (did you mean `periodSeconds`?)"
            ],
        );
    }

    #[test]
    fn wrong_types() {
        check(
            "averageUtilization: 60",
            "averageUtilization: \"60\"",
            &expect![[
                r#"line 21: `spec.metrics[0].resource.target.averageUtilization` must be a whole number, but is the text "60""#
            ]],
        );
        check(
            "averageUtilization: 60",
            "averageUtilization: 60%",
            &expect![[
                r#"line 21: `spec.metrics[0].resource.target.averageUtilization` must be a whole number, but is the text "60%""#
            ]],
        );
        check(
            "averageUtilization: 60",
            "averageUtilization: 59.5",
            &expect![
                "line 21: `spec.metrics[0].resource.target.averageUtilization` must be a whole number, but is 59.5"
            ],
        );
        check(
            "averageUtilization: 60",
            "averageUtilization: 99999999999",
            &expect![
                "line 21: `spec.metrics[0].resource.target.averageUtilization` must be a whole number of 32 bits, but is 99999999999"
            ],
        );
        check(
            "  minReplicas: 2",
            "  minReplicas: two",
            &expect![[r#"line 13: `spec.minReplicas` must be a whole number, but is the text "two""#]],
        );
        check(
            "  minReplicas: 2",
            "  minReplicas: [2]",
            &expect!["line 13: `spec.minReplicas` must be a whole number, but is a list"],
        );
        check(
            "  maxReplicas: 40",
            "  maxReplicas:",
            &expect!["line 14: `spec.maxReplicas` must be given, but is missing"],
        );
        check(
            "    name: web\n  minR",
            "    name: 7\n  minR",
            &expect!["line 12: `spec.scaleTargetRef.name` must be a text, but is 7"],
        );
        check(
            "averageValue: 500m",
            "averageValue: true",
            &expect![
                "line 61: `spec.metrics[4].external.target.averageValue` must be a quantity such as 500m, 2, 1.5, 100k or 1Gi, but is true"
            ],
        );
        check(
            "    scaleUp:\n",
            "    scaleUp: fast\n    other:\n",
            &expect![[
                r#"line 63: `spec.behavior.scaleUp` must be a mapping of fields, but is the text "fast""#
            ]],
        );
        check_text(
            &HEAD.replace("  maxReplicas", "  metrics: cpu\n  maxReplicas"),
            &expect![[r#"line 10: `spec.metrics` must be a list, but is the text "cpu""#]],
        );
    }

    #[test]
    fn replicas() {
        check(
            "  maxReplicas: 40\n",
            "",
            &expect!["line 8: `spec.maxReplicas` must be given, but is missing"],
        );
        check(
            "  maxReplicas: 40",
            "  maxReplicas: 0",
            &expect!["line 14: `spec.maxReplicas` must be at least 1, but is 0"],
        );
        check(
            "  maxReplicas: 40",
            "  maxReplicas: 1",
            &expect!["line 14: `spec.maxReplicas` must be at least `spec.minReplicas`, which is 2, but is 1"],
        );
        check(
            "  minReplicas: 2",
            "  minReplicas: -1",
            &expect!["line 13: `spec.minReplicas` must be at least 0, but is -1"],
        );
        check_text(
            &format!("{HEAD}  minReplicas: 0\n"),
            &expect![
                "line 11: `spec.minReplicas` must be at least 1 unless there is an Object or External metric to come back by, but is 0"
            ],
        );
        assert_eq!(spec_of(&FULL.replace("minReplicas: 2", "minReplicas: 0")).replicas_min, 0);
    }

    #[test]
    fn names_and_references() {
        check(
            "  name: web\n  namespace",
            "  namespace",
            &expect!["line 3: `metadata.name` must be given, but is missing"],
        );
        check(
            "  name: web\n  namespace",
            "  name: Web_1\n  namespace",
            &expect![[
                r#"line 4: `metadata.name` must be lower-case letters, digits, `-` and `.`, with a letter or digit at both ends of each part, but is "Web_1""#
            ]],
        );
        check(
            "    name: web\n  minR",
            "    name: a/b\n  minR",
            &expect![[
                r#"line 12: `spec.scaleTargetRef.name` must be a name without `/` and `%`, but is "a/b""#
            ]],
        );
        check(
            "    kind: Deployment\n",
            "",
            &expect!["line 9: `spec.scaleTargetRef.kind` must be given, but is missing"],
        );
        check(
            "          kind: Ingress\n",
            "",
            &expect!["line 38: `spec.metrics[3].object.describedObject.kind` must be given, but is missing"],
        );
        check(
            "          name: queue_length\n",
            "",
            &expect!["line 49: `spec.metrics[4].external.metric.name` must be given, but is missing"],
        );
        check(
            "          name: queue_length\n",
            "          name: 50%\n",
            &expect![[
                r#"line 50: `spec.metrics[4].external.metric.name` must be a name without `/` and `%`, but is "50%""#
            ]],
        );
        check(
            "        container: app\n",
            "",
            &expect!["line 23: `spec.metrics[1].containerResource.container` must be given, but is missing"],
        );
        check(
            "        container: app\n",
            "        container: App\n",
            &expect![[
                r#"line 25: `spec.metrics[1].containerResource.container` must be the name of a container: at most 63 lower-case letters, digits and `-`, but is "App""#
            ]],
        );
        let generated = FULL.replace("  name: web\n  namespace", "  generateName: web-\n  namespace");
        assert_eq!(read(&generated).expect("it is right").name, "web-");
    }

    #[test]
    fn metrics() {
        check(
            "type: Resource",
            "type: Resources",
            &expect![[
                r#"line 16: `spec.metrics[0].type` must be one of Resource, ContainerResource, Pods, Object, External, but is "Resources""#
            ]],
        );
        check(
            "type: Resource\n",
            "type: External\n",
            &expect![
                "line 17: `spec.metrics[0].resource` must not be there: a metric of type External has its source in `external`"
            ],
        );
        check(
            "    - type: Resource\n      resource:",
            "    - resource:",
            &expect!["line 16: `spec.metrics[0].type` must be given, but is missing"],
        );
        check(
            "      pods:\n",
            "      external: { metric: { name: a } }\n      pods:\n",
            &expect![
                "line 30: `spec.metrics[2].external` must not be there: a metric of type Pods has its source in `pods`"
            ],
        );
        check(
            "        name: cpu",
            "        name: gpu",
            &expect![[
                r#"line 18: `spec.metrics[0].resource.name` must be one of cpu, memory, but is "gpu""#
            ]],
        );
        check(
            "        name: cpu\n",
            "",
            &expect!["line 17: `spec.metrics[0].resource.name` must be given, but is missing"],
        );
        check_text(
            &format!("{HEAD}  metrics:\n  - type: Resource\n"),
            &expect![
                "line 12: `spec.metrics[0].resource` must be given for a metric of type Resource, but is missing"
            ],
        );
    }

    #[test]
    fn targets() {
        check(
            "averageUtilization: 60",
            "averageUtilization: 0",
            &expect![
                "line 21: `spec.metrics[0].resource.target.averageUtilization` must be at least 1, but is 0"
            ],
        );
        check(
            "          averageUtilization: 60\n",
            "",
            &expect![
                "line 19: `spec.metrics[0].resource.target.averageUtilization` must be given, but is missing"
            ],
        );
        check(
            "averageUtilization: 60",
            "averageValue: 500m",
            &expect![
                "line 21: `spec.metrics[0].resource.target.averageValue` must not be there: a target of type Utilization is set by `averageUtilization`"
            ],
        );
        check(
            "averageUtilization: 60",
            "averageUtilization: 60\n          averageValue: 1",
            &expect![
                "line 22: `spec.metrics[0].resource.target.averageValue` must not be there: a target of type Utilization is set by `averageUtilization`"
            ],
        );
        check(
            "type: Utilization",
            "type: Value",
            &expect![[
                r#"line 20: `spec.metrics[0].resource.target.type` must be Utilization or AverageValue for a metric of type Resource, but is "Value""#
            ]],
        );
        check(
            "type: Utilization",
            "type: utilization",
            &expect![[
                r#"line 20: `spec.metrics[0].resource.target.type` must be Utilization or AverageValue for a metric of type Resource, but is "utilization""#
            ]],
        );
        check(
            "          type: Utilization\n",
            "",
            &expect!["line 19: `spec.metrics[0].resource.target.type` must be given, but is missing"],
        );
        check(
            "          value: 2k",
            "          value: 0",
            &expect!["line 46: `spec.metrics[3].object.target.value` must be above 0, but is 0"],
        );
        check(
            "          value: 2k",
            "          value: -1",
            &expect!["line 46: `spec.metrics[3].object.target.value` must be above 0, but is -1"],
        );
        check(
            "          value: 2k",
            "          value: 2 k",
            &expect![[
                r#"line 46: `spec.metrics[3].object.target.value` must be a quantity such as 500m, 2, 1.5, 100k or 1Gi, but is "2 k""#
            ]],
        );
        check(
            "          value: 2k",
            "          value: 2K",
            &expect![[
                r#"line 46: `spec.metrics[3].object.target.value` must be a quantity such as 500m, 2, 1.5, 100k or 1Gi, but is "2K""#
            ]],
        );
        check(
            "averageValue: 100k",
            "value: 100k",
            &expect![
                "line 35: `spec.metrics[2].pods.target.value` must not be there: a target of type AverageValue is set by `averageValue`"
            ],
        );
        check(
            "          type: Value\n",
            "          type: Utilization\n",
            &expect![[
                r#"line 45: `spec.metrics[3].object.target.type` must be Value or AverageValue for a metric of type Object, but is "Utilization""#
            ]],
        );
    }

    #[test]
    fn behavior() {
        check(
            "stabilizationWindowSeconds: 3600",
            "stabilizationWindowSeconds: 3601",
            &expect![
                "line 75: `spec.behavior.scaleDown.stabilizationWindowSeconds` must be 0 to 3600, but is 3601"
            ],
        );
        check(
            "stabilizationWindowSeconds: 30\n",
            "stabilizationWindowSeconds: -1\n",
            &expect![
                "line 64: `spec.behavior.scaleUp.stabilizationWindowSeconds` must be 0 to 3600, but is -1"
            ],
        );
        check(
            "selectPolicy: Min",
            "selectPolicy: Average",
            &expect![[
                r#"line 65: `spec.behavior.scaleUp.selectPolicy` must be one of Max, Min, Disabled, but is "Average""#
            ]],
        );
        check(
            "tolerance: 0.05",
            "tolerance: -0.05",
            &expect!["line 66: `spec.behavior.scaleUp.tolerance` must be 0 or more, but is -0.05"],
        );
        check(
            "tolerance: 0.05",
            "tolerance: 5%",
            &expect![[
                r#"line 66: `spec.behavior.scaleUp.tolerance` must be a quantity such as 500m, 2, 1.5, 100k or 1Gi, but is "5%""#
            ]],
        );
        check(
            "type: Percent",
            "type: percent",
            &expect![[
                r#"line 71: `spec.behavior.scaleUp.policies[1].type` must be one of Pods, Percent, but is "percent""#
            ]],
        );
        check(
            "          value: 50\n",
            "          value: 0\n",
            &expect!["line 72: `spec.behavior.scaleUp.policies[1].value` must be at least 1, but is 0"],
        );
        check(
            "          value: 50\n",
            "",
            &expect!["line 71: `spec.behavior.scaleUp.policies[1].value` must be given, but is missing"],
        );
        check(
            "periodSeconds: 1800",
            "periodSeconds: 1801",
            &expect![
                "line 73: `spec.behavior.scaleUp.policies[1].periodSeconds` must be 1 to 1800, but is 1801"
            ],
        );
        check(
            "periodSeconds: 1800",
            "periodSeconds: 0",
            &expect![
                "line 73: `spec.behavior.scaleUp.policies[1].periodSeconds` must be 1 to 1800, but is 0"
            ],
        );
        check(
            "          periodSeconds: 1800\n",
            "",
            &expect![
                "line 71: `spec.behavior.scaleUp.policies[1].periodSeconds` must be given, but is missing"
            ],
        );
        check_text(
            &format!("{HEAD}  behavior: {{ scaleDown: {{ policies: [] }} }}\n"),
            &expect![
                "line 11: `spec.behavior.scaleDown.policies` must hold at least one policy or be left out, but is empty"
            ],
        );
    }

    proptest::proptest! {
        /// Whatever is written, it is read or refused.
        #[test]
        fn reading_never_panics(cut in 0..FULL.len(), junk in "[-:{}\\[\\]&*<'\"a0 \n\t]{0,6}") {
            let mut text = FULL.to_owned();
            text.insert_str(cut, &junk);
            let _ = read(&text);
        }
    }
}
