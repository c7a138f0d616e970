//! The kind `hpa` in front of a service.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use tidegate_autoscalers::testing::{self, Desk};
use tidegate_autoscalers::{BoxedController, Catalog};
use tidegate_core::observation::{ExternalSample, ReplicaSample, ReplicaState, ReplicaUsage};
use tidegate_core::{Basis, Bounds, OperatorFacts, Scrape};

/// One pool `web` of 1 to 20 replicas with two containers, of one core and of half a core, and an external metric.
fn facts() -> OperatorFacts {
    let mut facts = testing::facts();
    let app = &mut facts.pools[0].containers[0];
    (app.name, app.cpu_cores_requested, app.memory_gib_requested) = ("app".into(), 1.0, 1.0);
    let mut mesh = app.clone();
    (mesh.name, mesh.cpu_cores_requested, mesh.memory_gib_requested) = ("mesh".into(), 0.5, 0.5);
    facts.pools[0].containers.truncate(1);
    facts.pools[0].containers.push(mesh);
    facts.external_metrics = vec!["jobs".into(), "lag".into()];
    facts
}

/// A replica that has been ready for an hour and uses so many cores in each container.
fn replica(id: u64, now_seconds: f64, cores: [f64; 2]) -> ReplicaSample {
    ReplicaSample {
        pool: 0,
        id,
        state: ReplicaState::Ready,
        created_seconds: now_seconds - 3700.0,
        started_seconds: Some(now_seconds - 3660.0),
        is_ready: true,
        ready_changed_seconds: now_seconds - 3600.0,
        usage: Some(ReplicaUsage {
            at_seconds: now_seconds,
            window_seconds: 15.0,
            cpu_cores: cores,
            memory_gib: [0.5, 0.25],
            requests_per_second: 10.0,
            concurrency: 2.0,
        }),
    }
}

/// Shows the declared replicas at this usage.
fn show(desk: &mut Desk, cores: [f64; 2]) {
    let declared = u64::from(desk.pools[0].declared);
    desk.replicas = (0..declared).map(|id| replica(id, desk.now_seconds, cores)).collect();
}

/// The counts that it wants over a series of moments, 15 s apart; `?` where it held.
fn wanted(parameters: &str, n: usize, mut moment: impl FnMut(usize, &mut Desk)) -> String {
    let facts = facts();
    let mut desk = Desk::new(&facts);
    let mut controller = testing::controller("hpa", parameters, &facts);
    let counts = (0..n).map(|index| {
        moment(index, &mut desk);
        let decision = desk.decide(&mut *controller);
        desk.wait(15.0);
        let held = if decision.basis == Basis::Held { "?" } else { "" };
        format!("{}{held}", decision.targets[0].wanted)
    });
    counts.collect::<Vec<_>>().join(" ")
}

fn manifest(spec: &str) -> String {
    format!(
        "manifest = '''\n{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: web}},\n \
         spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}, {spec}}}}}'''"
    )
}

#[test]
fn cpu_of_all_containers_over_all_requests() {
    let busy = |usage: [f64; 2]| move |_: usize, desk: &mut Desk| show(desk, usage);
    // 4 replicas, 1.5 cores requested by each.
    expect!["4 4 4"].assert_eq(&wanted("", 3, busy([0.8, 0.4])));
    expect!["8 16 20 20 20 20"].assert_eq(&wanted("", 6, busy([1.5, 1.5])));
    expect!["8 9 9 9"].assert_eq(&wanted("replicas_max = 9", 4, busy([1.5, 1.5])));
    expect!["7 12 20"].assert_eq(&wanted("target_utilization = 0.5", 3, busy([0.8, 0.4])));
    expect!["4 4 4"].assert_eq(&wanted("tolerance = 0.6\ntarget_utilization = 0.5", 3, busy([0.8, 0.4])));
}

#[test]
fn going_down_waits_for_the_window() {
    let idle = |_: usize, desk: &mut Desk| show(desk, [0.1, 0.1]);
    expect!["4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 1 1 1"].assert_eq(&wanted("", 24, idle));
    expect!["4 4 4 4 4 1 1 1"].assert_eq(&wanted("downscale_stabilization_seconds = 60", 8, idle));
    expect!["4 4 4 4 4 2 2 2"].assert_eq(&wanted(
        "downscale_stabilization_seconds = 60\nreplicas_min = 2",
        8,
        idle,
    ));
    expect!["3 3 2 2 1 1 1 1"].assert_eq(&wanted(
        "down_window_seconds = 0\ndown_pods = 1\ndown_period_seconds = 30",
        8,
        idle,
    ));
}

#[test]
fn policies_of_its_own() {
    let busy = |_: usize, desk: &mut Desk| show(desk, [1.5, 1.5]);
    expect!["6 6 8 8 10 10 12 12"].assert_eq(&wanted("up_pods = 2\nup_period_seconds = 30", 8, busy));
    expect!["6 6 6 6 9 9 9 9"].assert_eq(&wanted("up_percent = 50\nup_period_seconds = 60", 8, busy));
    expect!["4 4 4 4 8 10 10 10"].assert_eq(&wanted("up_window_seconds = 60", 8, busy));
    expect!["8 16 20 20 20"].assert_eq(&wanted("down_percent = 100", 5, busy));
}

#[test]
fn without_samples_it_holds() {
    expect!["4? 4? 4?"].assert_eq(&wanted("", 3, |_, _| {}));
    // A sample that is no number is none, and one that is too old.
    expect!["4? 4?"].assert_eq(&wanted("", 2, |_, desk| show(desk, [f64::NAN, 0.1])));
    let stale = |_: usize, desk: &mut Desk| {
        show(desk, [0.1, 0.1]);
        for replica in &mut desk.replicas {
            replica.usage.as_mut().expect("it has one").at_seconds = desk.now_seconds - 301.0;
        }
    };
    expect!["4? 4?"].assert_eq(&wanted("downscale_stabilization_seconds = 0", 2, stale));
    expect!["4 1"].assert_eq(&wanted("downscale_stabilization_seconds = 0\nstale_seconds = 400", 2, stale));
}

#[test]
fn replicas_become_pods() {
    let row = |change: fn(&mut ReplicaSample), expected: &Expect| {
        let facts = facts();
        let mut controller = testing::controller("hpa", "", &facts);
        let mut desk = Desk::new(&facts);
        desk.now_seconds = 5000.0;
        show(&mut desk, [1.5, 1.5]);
        change(&mut desk.replicas[0]);
        let _ = desk.decide(&mut *controller);
        let mut text = String::new();
        controller.explain(&mut text).expect("a string takes all");
        expected.assert_eq(text.lines().next().unwrap_or_default());
    };
    row(
        |_| {},
        &expect![
            "cpu resource utilization (percentage of request): 10 (ratio 2.500; 4 ready, 0 unready, 0 missing, 0 ignored)"
        ],
    );
    row(
        |replica| replica.state = ReplicaState::Warm,
        &expect![
            "cpu resource utilization (percentage of request): 8 (ratio 2.500; 3 ready, 0 unready, 0 missing, 0 ignored)"
        ],
    );
    row(
        |replica| replica.state = ReplicaState::Gone,
        &expect![
            "cpu resource utilization (percentage of request): 8 (ratio 2.500; 3 ready, 0 unready, 0 missing, 0 ignored)"
        ],
    );
    row(
        |replica| replica.state = ReplicaState::Draining,
        &expect![
            "cpu resource utilization (percentage of request): 8 (ratio 2.500; 3 ready, 0 unready, 0 missing, 1 ignored)"
        ],
    );
    row(
        |replica| (replica.started_seconds, replica.usage) = (None, None),
        &expect![
            "cpu resource utilization (percentage of request): 8 (ratio 2.500; 3 ready, 1 unready, 0 missing, 0 ignored)"
        ],
    );
    row(
        |replica| replica.usage = None,
        &expect![
            "cpu resource utilization (percentage of request): 8 (ratio 2.500; 3 ready, 0 unready, 1 missing, 0 ignored)"
        ],
    );
    row(
        |replica| replica.is_ready = false,
        &expect![
            "cpu resource utilization (percentage of request): 10 (ratio 2.500; 4 ready, 0 unready, 0 missing, 0 ignored)"
        ],
    );
    row(
        |replica| {
            (replica.started_seconds, replica.ready_changed_seconds) = (Some(4900.0), 4990.0);
        },
        &expect![
            "cpu resource utilization (percentage of request): 8 (ratio 2.500; 3 ready, 1 unready, 0 missing, 0 ignored)"
        ],
    );
    row(
        |replica| replica.pool = 1,
        &expect![
            "cpu resource utilization (percentage of request): 8 (ratio 2.500; 3 ready, 0 unready, 0 missing, 0 ignored)"
        ],
    );
}

#[test]
fn every_type_of_metric_from_a_manifest() {
    let metric = |metric: &str, expected: &Expect| {
        let parameters = manifest(&format!("maxReplicas: 15, metrics: [{metric}]"));
        let counts = wanted(&parameters, 2, |_, desk| {
            show(desk, [0.3, 0.4]);
            desk.see(Scrape {
                requests_per_second: Some(500.0),
                queue_length: Some(90.0),
                ..Scrape::default()
            });
            let external =
                |metric, value| ExternalSample { metric, at_seconds: desk.now_seconds, value: Some(value) };
            desk.external = vec![external(0, 5.0), external(1, 12.5)];
        });
        expected.assert_eq(&counts);
    };
    let resource = |target: &str| format!("{{type: Resource, resource: {{name: cpu, target: {target}}}}}");
    metric(&resource("{type: Utilization, averageUtilization: 40}"), &expect!["5 6"]);
    metric(&resource("{type: AverageValue, averageValue: 500m}"), &expect!["6 9"]);
    metric(
        "{type: Resource, resource: {name: memory, target: {type: Utilization, averageUtilization: 40}}}",
        &expect!["5 7"],
    );
    metric(
        "{type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 512Mi}}}",
        &expect!["6 9"],
    );
    let container = |name: &str| {
        format!(
            "{{type: ContainerResource, containerResource: {{name: cpu, container: {name}, target: {{type: \
             Utilization, averageUtilization: 40}}}}}}"
        )
    };
    metric(&container("mesh"), &expect!["8 15"]);
    metric(&container("app"), &expect!["4 4"]);
    let of_pods = |name: &str, target: &str| {
        format!(
            "{{type: Pods, pods: {{metric: {{name: {name}}}, target: {{type: AverageValue, averageValue: {target}}}}}}}"
        )
    };
    metric(&of_pods("requests_per_second", "8"), &expect!["5 7"]);
    metric(&of_pods("concurrency", "1500m"), &expect!["6 8"]);
    let object = |name: &str, target: &str| {
        format!(
            "{{type: Object, object: {{describedObject: {{kind: Ingress, name: main, apiVersion: \
             networking.k8s.io/v1}}, metric: {{name: {name}}}, target: {target}}}}}"
        )
    };
    metric(&object("requests_per_second", "{type: Value, value: 400}"), &expect!["5 7"]);
    metric(&object("queue_length", "{type: AverageValue, averageValue: 15}"), &expect!["6 6"]);
    // Not measured here: it fails.
    metric(&object("latency_p95_seconds", "{type: Value, value: 1}"), &expect!["4? 4?"]);
    let external = |name: &str, target: &str| {
        format!("{{type: External, external: {{metric: {{name: {name}}}, target: {target}}}}}")
    };
    metric(&external("lag", "{type: AverageValue, averageValue: 2}"), &expect!["7 7"]);
    metric(&external("jobs", "{type: Value, value: 4}"), &expect!["5 7"]);
}

#[test]
fn a_value_lasts_until_it_is_stale() {
    let parameters = manifest(
        "maxReplicas: 15, metrics: [{type: External, external: {metric: {name: lag}, target: {type: AverageValue, averageValue: 2}}}]",
    ) + "\nstale_seconds = 40";
    let counts = wanted(&parameters, 6, |index, desk| {
        let value = [Some(9.0), None, Some(f64::NAN), None, None, None][index];
        desk.external = vec![ExternalSample { metric: 1, at_seconds: desk.now_seconds, value }];
    });
    expect!["5 5 5 5? 5? 5?"].assert_eq(&counts);
}

#[test]
fn to_zero_and_back() {
    let mut facts = facts();
    facts.pools[0].bounds.replicas_min = 0;
    let run = |zero_rule: &str, is_reset_by_hand: bool| {
        let parameters = manifest(
            "minReplicas: 0, maxReplicas: 15, metrics: [{type: External, external: {metric: {name: lag}, target: \
             {type: Value, value: 2}}}], behavior: {scaleDown: {stabilizationWindowSeconds: 0}}",
        ) + &format!("\nzero_rule = \"{zero_rule}\"");
        let mut controller = testing::controller("hpa", &parameters, &facts);
        let mut desk = Desk::new(&facts);
        let lags = [4.0, 0.0, 0.0, 5.0, 5.0];
        let counts = lags.iter().enumerate().map(|(index, lag)| {
            if is_reset_by_hand && index == 1 {
                (desk.pools[0].declared, desk.pools[0].observed) = (0, 0);
            }
            show(&mut desk, [0.1, 0.1]);
            desk.external =
                vec![ExternalSample { metric: 1, at_seconds: desk.now_seconds, value: Some(*lag) }];
            let decision = desk.decide(&mut *controller);
            desk.wait(15.0);
            decision.targets[0].wanted.to_string()
        });
        counts.collect::<Vec<_>>().join(" ")
    };
    expect!["8 0 0 3 7"].assert_eq(&run("minimum", false));
    expect!["8 0 0 3 7"].assert_eq(&run("minimum", true));
    expect!["8 0 0 3 7"].assert_eq(&run("condition", false));
    // By hand means off.
    expect!["8 0 0 0 0"].assert_eq(&run("condition", true));
}

#[test]
fn its_bounds_count_within_the_pools() {
    let busy = |_: usize, desk: &mut Desk| show(desk, [1.5, 1.5]);
    let bounds = |replicas_min, replicas_max| {
        move |index: usize, desk: &mut Desk| {
            if index == 1 {
                desk.pools[0].bounds = Bounds { replicas_min, replicas_max };
            }
            show(desk, [1.5, 1.5]);
        }
    };
    expect!["8 16 20 20"].assert_eq(&wanted(&manifest("minReplicas: 3, maxReplicas: 500"), 4, busy));
    expect!["8 9 9 9"].assert_eq(&wanted(&manifest("minReplicas: 3, maxReplicas: 500"), 4, bounds(1, 9)));
    expect!["6 12 12 12"].assert_eq(&wanted(&manifest("minReplicas: 3, maxReplicas: 6"), 4, bounds(12, 20)));
}

#[test]
fn what_is_wrong_is_named() {
    let facts = facts();
    let row = |parameters: &str, expected: &Expect| {
        let table = parameters.parse().expect("parameters are written in TOML");
        let error = Catalog::rules().build("hpa", &table, &facts).err().expect("it is wrong");
        expected.assert_eq(&error.to_string());
    };
    row(
        &(manifest("maxReplicas: 15") + "\ntarget_utilization = 0.5"),
        &expect!["`target_utilization` must not be set beside `manifest`, which says it"],
    );
    row(
        &(manifest("maxReplicas: 15") + "\nup_pods = 5"),
        &expect!["`up_pods` must not be set beside `manifest`, which says it"],
    );
    row(
        &manifest("maxReplicas: 0"),
        &expect!["`manifest` `spec.maxReplicas`, line 2: must be at least 1, but is 0"],
    );
    row(
        &manifest("maxReplicas: 5, minReplica: 3"),
        &expect![
            "`manifest` `spec.minReplica`, line 2: is unknown, expected one of `behavior`, `maxReplicas`, `metrics`, `minReplicas`, `scaleTargetRef` (did you mean `minReplicas`?)"
        ],
    );
    row(
        "manifest = 'nonsense'",
        &expect![[
            r#"`manifest` `yaml`: must be a HorizontalPodAutoscaler of autoscaling/v2, but is "nonsense""#
        ]],
    );
    row("tolerance = -0.1", &expect!["`tolerance` must be a number that is not negative, but is -0.1"]);
    row("target_utilization = 0.0", &expect!["`target_utilization` must be 0.01 to 100, but is 0"]);
    row("up_period_seconds = 1801", &expect!["`up_period_seconds` must be 1 to 1800, but is 1801"]);
    row("down_window_seconds = 3601", &expect!["`down_window_seconds` must be 0 to 3600, but is 3601"]);
    row("up_pods = 0", &expect!["`up_pods` must be 1 to 2147483647, but is 0"]);
    row(
        "replicas_min = 0",
        &expect!["`replicas_min` must be at least 1 without an object or external metric, but is 0"],
    );
    row(
        "replicas_min = 5\nreplicas_max = 4",
        &expect!["`replicas_max` must be at least `replicas_min`, which is 5, but is 4"],
    );
    row(
        "zero_rule = \"never\"",
        &expect!["`zero_rule` unknown variant `never`, expected `minimum` or `condition`"],
    );
    row(
        "downscale_stabilization_seconds = 1e9",
        &expect!["`downscale_stabilization_seconds` must be 0 to 604800 (a week), but is 1000000000"],
    );
    let with = |metric: &str| manifest(&format!("maxReplicas: 15, metrics: [{metric}]"));
    let target = "target: {type: AverageValue, averageValue: 5}";
    row(
        &with(&format!("{{type: External, external: {{metric: {{name: queue}}, {target}}}}}")),
        &expect![[
            r#"`manifest` `spec.metrics[0]`: an external metric must be `jobs`, `lag`, but is "queue""#
        ]],
    );
    row(
        &with(&format!("{{type: Pods, pods: {{metric: {{name: rps}}, {target}}}}}")),
        &expect![[
            r#"`manifest` `spec.metrics[0]`: a pods metric must be `requests_per_second`, `concurrency`, but is "rps""#
        ]],
    );
    row(
        &with(
            "{type: ContainerResource, containerResource: {name: cpu, container: web, target: {type: Utilization, averageUtilization: 5}}}",
        ),
        &expect![[r#"`manifest` `spec.metrics[0]`: a container must be `app`, `mesh`, but is "web""#]],
    );
    row(
        &with(&format!(
            "{{type: Object, object: {{describedObject: {{kind: Ingress, name: main, apiVersion: networking.k8s.io/v1}}, metric: {{name: hits}}, {target}}}}}"
        )),
        &expect![[
            r#"`manifest` `spec.metrics[0]`: an object metric must be `requests_per_second`, `first_attempts_per_second`, `errors_per_second`, `latency_mean_seconds`, `latency_p50_seconds`, `latency_p95_seconds`, `latency_p99_seconds`, `queue_length`, `concurrency`, `oldest_age_seconds`, but is "hits""#
        ]],
    );
}

fn busy_desk(facts: &OperatorFacts) -> Desk {
    let mut desk = Desk::new(facts);
    desk.pools[0].bounds.replicas_max = 100;
    (desk.pools[0].declared, desk.pools[0].observed) = (60, 60);
    desk
}

/// Three hours of a wave; windows fill up and run over, replicas come and go.
#[test]
fn deciding_allocates_nothing() {
    let mut facts = facts();
    facts.pools[0].bounds.replicas_max = 100;
    let with_behavior = manifest(
        "maxReplicas: 100, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, \
         averageUtilization: 60}}}, {type: Pods, pods: {metric: {name: concurrency}, target: {type: AverageValue, \
         averageValue: 2}}}, {type: External, external: {metric: {name: lag}, target: {type: Value, value: 2}}}, \
         {type: Object, object: {describedObject: {kind: Ingress, name: main, apiVersion: networking.k8s.io/v1}, \
         metric: {name: queue_length}, target: {type: AverageValue, averageValue: 5}}}], behavior: {scaleUp: \
         {stabilizationWindowSeconds: 600}, scaleDown: {policies: [{type: Pods, value: 3, periodSeconds: 1800}]}}",
    );
    for parameters in ["", "up_pods = 3\ndown_pods = 2", &with_behavior] {
        let mut controller: BoxedController = testing::controller("hpa", parameters, &facts);
        let mut desk = busy_desk(&facts);
        let mut allocations = 0;
        while desk.now_seconds < 10_800.0 {
            let wave = 0.7 + 0.6 * (desk.now_seconds / 700.0).sin();
            show(&mut desk, [wave, wave / 2.0]);
            let at_seconds = desk.now_seconds;
            let value = (wave > 0.5).then_some(2.0 * wave);
            desk.external = vec![ExternalSample { metric: 1, at_seconds, value }];
            desk.see(Scrape { queue_length: value.map(|value| 200.0 * value), ..Scrape::default() });
            let mut wanted = 0;
            let counted = allocation_counter::measure(|| {
                wanted = controller.decide(&desk.observation()).targets[0].wanted;
            });
            allocations += counted.count_total;
            (desk.pools[0].declared, desk.pools[0].observed) = (wanted, wanted);
            desk.scrapes.clear();
            desk.wait(15.0);
        }
        assert_eq!(allocations, 0, "{parameters}");
    }
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 0.0..3.0_f64,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(-1.0),
        1 => Just(1e300),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever replicas and sensors show: an answer, within the bounds, no zero, and without usable samples no change.
    #[test]
    fn wild_data_never_panics_and_never_scales_to_zero(
        moments in prop::collection::vec(
            prop::collection::vec((number(), number(), prop::option::weighted(0.8, 0..400_u32), 0..8_usize, any::<bool>()), 0..12),
            1..12,
        ),
    ) {
        let facts = facts();
        let mut controller = testing::controller("hpa", "down_window_seconds = 0", &facts);
        let mut desk = Desk::new(&facts);
        desk.now_seconds = 1000.0;
        for replicas in moments {
            let states = [
                ReplicaState::Warm, ReplicaState::Starting, ReplicaState::InHook, ReplicaState::Warming,
                ReplicaState::Ready, ReplicaState::Unhealthy, ReplicaState::Draining, ReplicaState::Gone,
            ];
            desk.replicas = replicas.iter().enumerate().map(|(id, (cpu, time, age, state, is_ready))| {
                let mut replica = replica(id as u64, desk.now_seconds, [*cpu, *cpu]);
                (replica.state, replica.is_ready) = (states[*state], *is_ready);
                replica.started_seconds = age.map(|age| desk.now_seconds - f64::from(age));
                replica.ready_changed_seconds = *time * 400.0;
                if age.is_none() {
                    replica.usage = None;
                }
                replica
            }).collect();
            let declared = desk.pools[0].declared;
            let has_numbers = desk.replicas.iter().any(|replica| {
                replica.usage.is_some_and(|usage| usage.cpu_cores[0].is_finite())
            });
            let decision = desk.decide(&mut *controller);
            let wanted = decision.targets[0].wanted;
            prop_assert!((1..=20).contains(&wanted));
            prop_assert!(has_numbers || wanted == declared);
            desk.wait(15.0);
        }
    }
}
