//! Every field is read and checked, and every complaint says where.

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
    check_text("spec: [1, 2\n", &expect!["line 2: `yaml` cannot be read: did not find expected ',' or ']'"]);
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
        &expect![[r#"line 63: `spec.behavior.scaleUp` must be a mapping of fields, but is the text "fast""#]],
    );
    check_text(
        &HEAD.replace("  maxReplicas", "  metrics: cpu\n  maxReplicas"),
        &expect![[r#"line 10: `spec.metrics` must be a list, but is the text "cpu""#]],
    );
}

#[test]
fn replicas() {
    check("  maxReplicas: 40\n", "", &expect!["line 8: `spec.maxReplicas` must be given, but is missing"]);
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
        &expect![[r#"line 12: `spec.scaleTargetRef.name` must be a name without `/` and `%`, but is "a/b""#]],
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
        &expect![[r#"line 18: `spec.metrics[0].resource.name` must be one of cpu, memory, but is "gpu""#]],
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
        &expect!["line 64: `spec.behavior.scaleUp.stabilizationWindowSeconds` must be 0 to 3600, but is -1"],
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
        &expect!["line 73: `spec.behavior.scaleUp.policies[1].periodSeconds` must be 1 to 1800, but is 1801"],
    );
    check(
        "periodSeconds: 1800",
        "periodSeconds: 0",
        &expect!["line 73: `spec.behavior.scaleUp.policies[1].periodSeconds` must be 1 to 1800, but is 0"],
    );
    check(
        "          periodSeconds: 1800\n",
        "",
        &expect!["line 71: `spec.behavior.scaleUp.policies[1].periodSeconds` must be given, but is missing"],
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
