//! The Kubernetes autoscaler, rule by rule, from its documentation: metrics, limits, whole passes, the controller.
//!
//! Pods are written as words: a letter for their state, the usage of their sample in thousandths of a core, and what
//! they request where that is not one core. So `r500 r700/2000 p` is a ready pod at half a core, one with 0.7 of two
//! cores, and a pending one; [`pods`] has the letters.

mod controller;
mod limits;
mod metrics;
mod passes;

use tidegate_autoscalers::hpa::{
    Container, ContainerKind, Flags, Metric, Phase, Pod, Readiness, Reading, Requests, Resource, Sample,
    Target,
};

/// Now.
const NOW: f64 = 100_000.0;
/// Window of a usage sample.
const WINDOW: f64 = 30.0;

/// Pods by words, with their samples.
///
/// | letter | |
/// | --- | --- |
/// | `r` | ready for long |
/// | `n` | not ready now, was ready |
/// | `N` | not ready, never was |
/// | `u` | started lately, not ready |
/// | `h` | started lately, ready for less than its sample's window |
/// | `H` | started lately, ready for longer |
/// | `k` | started lately, readiness unknown for longer than the sample's window |
/// | `c` | no condition `Ready` |
/// | `s` | no start time |
/// | `p` | pending |
/// | `e` | succeeded, ready for long |
/// | `f` | failed |
/// | `d` | being deleted, ready |
/// | `x` | not in the list; only its sample is |
fn pods(words: &str) -> (Vec<Pod>, Reading) {
    let (mut pods, mut reading) = (Vec::new(), Reading::default());
    for word in words.split_whitespace() {
        let (kind, rest) = word.split_at(1);
        let (usage, request) = rest.split_once('/').unwrap_or((rest, "1000"));
        let sample =
            usage.parse().ok().map(|milli| Sample { milli, at_seconds: NOW, window_seconds: WINDOW });
        if kind == "x" {
            reading.strays.extend(sample.map(|sample| sample.milli));
            continue;
        }
        let request = request.parse().ok();
        let (started, status, changed) = match kind {
            "n" => (NOW - 3600.0, Some(false), NOW - 60.0),
            "N" => (NOW - 3600.0, Some(false), NOW - 3590.0),
            "u" => (NOW - 100.0, Some(false), NOW - 90.0),
            "h" => (NOW - 100.0, Some(true), NOW - 29.0),
            "H" => (NOW - 100.0, Some(true), NOW - 30.0),
            "k" => (NOW - 100.0, None, NOW - 60.0),
            _ => (NOW - 3600.0, Some(true), NOW - 3580.0),
        };
        pods.push(Pod {
            name: format!("web-{}", pods.len()),
            phase: match kind {
                "p" => Phase::Pending,
                "f" => Phase::Failed,
                "e" => Phase::Succeeded,
                _ => Phase::Running,
            },
            is_deleted: kind == "d",
            started_seconds: (kind != "s").then_some(started),
            ready: (kind != "c").then_some(Readiness { status, changed_seconds: changed }),
            containers: vec![Container {
                name: "app".into(),
                kind: ContainerKind::Regular,
                requests: Requests { cpu_milli: request, memory_milli: request },
            }],
            requests: None,
            overhead: Requests::default(),
        });
        reading.samples.push(sample);
    }
    (pods, reading)
}

fn cpu(percent: i32) -> Metric {
    Metric::cpu_utilization(percent)
}

fn cpu_average(milli: i64) -> Metric {
    Metric::Resource { resource: Resource::Cpu, target: Target::AverageValue { milli } }
}

fn memory(percent: i32) -> Metric {
    Metric::Resource { resource: Resource::Memory, target: Target::Utilization { percent } }
}

fn of_pods(average_milli: i64) -> Metric {
    Metric::Pods { name: "qps".into(), average_milli }
}

fn object(target: Target) -> Metric {
    let (object_kind, object_name) = ("Ingress".into(), "main".into());
    Metric::Object { object_kind, object_name, name: "hits".into(), selector: "nil".into(), target }
}

fn external(target: Target) -> Metric {
    Metric::External { name: "lag".into(), selector: "nil".into(), target }
}

const fn value(milli: i64) -> Target {
    Target::Value { milli }
}

const fn average(milli: i64) -> Target {
    Target::AverageValue { milli }
}

fn values(milli: &[i64]) -> Reading {
    Reading { values: milli.to_vec(), ..Reading::default() }
}

fn failed(why: &'static str) -> Reading {
    Reading { failure: Some(why.into()), ..Reading::default() }
}

/// The defaults, of which the rows change some.
fn flags() -> Flags {
    Flags::default()
}
