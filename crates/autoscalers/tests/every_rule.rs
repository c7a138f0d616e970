//! What holds for every rule, whatever it sees: it always answers, keeps to the bounds, leaves other pools alone,
//! holds what is declared where it has no data, forgets everything at a reset, and allocates nothing.

use proptest::prelude::*;
use tidegate_autoscalers::BoxedController;
use tidegate_autoscalers::testing::{self, Desk};
use tidegate_core::{Basis, Bounds, Controller, Decision, OperatorFacts, Scrape, Seed};

/// One moment: what the sensors gave, and what happened to the fleet meanwhile.
#[derive(Clone, Debug)]
struct Moment {
    channels: Vec<Option<f64>>,
    is_scraped: bool,
    ready: [u32; 2],
    draining: u32,
    bounds: Option<(u32, u32)>,
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let value = prop_oneof![
        1 => Just(None),
        1 => Just(Some(0.0)),
        4 => (0.0..2.0_f64).prop_map(Some),
        1 => (0.0..1e12_f64).prop_map(Some),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -1.0]).prop_map(Some),
    ];
    let moment = (
        prop::collection::vec(value, 13),
        prop::bool::weighted(0.8),
        [0..40_u32, 0..40],
        0..3_u32,
        prop::option::weighted(0.2, (0..10_u32, 0..30_u32)),
    );
    let moment = moment.prop_map(|(channels, is_scraped, ready, draining, bounds)| Moment {
        channels,
        is_scraped,
        ready,
        draining,
        bounds: bounds.map(|(least, more)| (least, least + more)),
    });
    prop::collection::vec(moment, 1..40)
}

fn show(moment: &Moment, desk: &mut Desk) {
    let mut channels = moment.channels.iter().copied();
    let mut next = || channels.next().flatten();
    if moment.is_scraped {
        desk.see(Scrape {
            requests_per_second: next(),
            first_attempts_per_second: next(),
            errors_per_second: next(),
            cpu_utilization: next(),
            memory_utilization: next(),
            network_utilization: next(),
            disk_utilization: next(),
            latency_mean_seconds: next(),
            latency_p95_seconds: next(),
            queue_length: next(),
            concurrency: next(),
            oldest_age_seconds: next(),
            ..Scrape::default()
        });
    }
    for (pool, ready) in desk.pools.iter_mut().zip(moment.ready) {
        pool.starting = pool.declared.saturating_sub(ready);
        pool.ready = ready;
        pool.draining = moment.draining;
        pool.cpu_utilization = moment.channels[3];
        if let Some((replicas_min, replicas_max)) = moment.bounds {
            pool.bounds = Bounds { replicas_min, replicas_max };
            pool.declared = pool.declared.clamp(replicas_min, replicas_max);
        }
    }
}

fn drive(controller: &mut dyn Controller, facts: &OperatorFacts, moments: &[Moment]) -> Vec<Decision> {
    let mut desk = Desk::new(facts);
    let mut decisions = Vec::new();
    for moment in moments {
        show(moment, &mut desk);
        let decision = controller.decide(&desk.observation());
        assert_eq!(decision.targets.len(), desk.pools.len());
        for (pool, target) in desk.pools.iter().zip(decision.targets.iter()) {
            assert!(
                (pool.bounds.replicas_min..=pool.bounds.replicas_max).contains(&target.wanted),
                "{} outside {:?}",
                target.wanted,
                pool.bounds
            );
            assert!(decision.basis != Basis::Held || target.wanted == pool.declared);
        }
        for (pool, target) in desk.pools.iter().zip(decision.targets.iter()).skip(1) {
            assert_eq!(pool.declared, target.wanted, "a pool that is none of its business");
        }
        for (pool, target) in desk.pools.iter_mut().zip(decision.targets.iter()) {
            pool.declared = target.wanted;
        }
        desk.scrapes.clear();
        desk.wait(controller.period_seconds());
        decisions.push(decision);
    }
    decisions
}

fn everything(facts: &OperatorFacts) -> Vec<(&'static str, BoxedController)> {
    let catalog = testing::catalog();
    let kinds = catalog.list().iter().map(|kind| kind.about.kind);
    kinds.map(|kind| (kind, testing::controller(kind, "", facts))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_answers_within_bounds_and_forgets_at_a_reset(moments in moments(), is_double in any::<bool>()) {
        let facts = if is_double { testing::facts_of_two_pools() } else { testing::facts() };
        for (kind, mut controller) in everything(&facts) {
            let first = drive(&mut *controller, &facts, &moments);
            controller.reset(Seed::training(0).controller(0));
            let second = drive(&mut *controller, &facts, &moments);
            // By their text, since a reason may hold a number that is none and so is not equal to itself.
            prop_assert_eq!(format!("{first:?}"), format!("{second:?}"), "{}", kind);
        }
    }
}

/// A busy service of which the sensors then fail, may go to zero if it is told to, and must not.
#[test]
fn what_is_missing_or_no_number_is_not_idleness() {
    let mut facts = testing::facts();
    facts.pools[0].bounds.replicas_min = 0;
    for lost in [None, Some(f64::NAN)] {
        for (kind, mut controller) in everything(&facts) {
            let mut desk = Desk::new(&facts);
            while desk.now_seconds < 3.0 * 3600.0 {
                let is_lost = desk.now_seconds >= 1200.0;
                let seen = |value: f64| if is_lost { lost } else { Some(value) };
                desk.see(Scrape {
                    requests_per_second: seen(30.0),
                    first_attempts_per_second: seen(30.0),
                    errors_per_second: seen(0.0),
                    cpu_utilization: seen(0.7),
                    memory_utilization: seen(0.7),
                    network_utilization: seen(0.7),
                    disk_utilization: seen(0.7),
                    latency_mean_seconds: seen(0.3),
                    latency_p95_seconds: seen(0.5),
                    queue_length: seen(2.0),
                    concurrency: seen(12.0),
                    oldest_age_seconds: seen(0.2),
                    ..Scrape::default()
                });
                let wanted = desk.decide(&mut *controller).targets[0].wanted;
                assert!(wanted > 0, "{kind} goes to zero at {} s", desk.now_seconds);
                desk.wait(controller.period_seconds());
            }
        }
    }
}

/// A day of decisions; schedules come due, windows fill up and run over.
#[test]
fn deciding_allocates_nothing() {
    let facts = testing::facts();
    let voters = "[[policies]]\nmetric = \"cpu\"\nhigh = 0.8\nlow = 0.5\nstatistic = \"p95\"";
    let mut all = everything(&facts);
    all.push(("metric_vote with p95", testing::controller("metric_vote", voters, &facts)));
    all.push(("queue_depth with drain", testing::controller("queue_depth", "drain_seconds = 60", &facts)));
    let latency = "acceptable_latency_seconds = 60";
    all.push(("queue_depth with latency", testing::controller("queue_depth", latency, &facts)));
    let actions = "[[scheduled]]\ncron = \"*/10 * * * *\"\nreplicas_min = 3\n[[target_tracking]]\n[[simple]]\n\
                   threshold = 0.8\ncomparison = \"greater_than_threshold\"\nadjustment = 1\n\
                   adjustment_type = \"change_in_capacity\"";
    all.push(("aws with actions", testing::controller("aws", actions, &facts)));
    let cron = "triggers = [{ kind = \"cron\", start = \"0 8 * * *\", end = \"0 9 * * *\", desired_replicas = 7 }]\n";
    let behavior = "scale_up = { window_seconds = 60 }";
    all.push(("keda with cron", testing::controller("keda", &format!("{cron}{behavior}"), &facts)));
    let schedule = "schedules = [{ cron = \"0 8 * * *\", duration_seconds = 600, replicas_min = 9 }]\n";
    let signals =
        "serving_capacity = 5\nsignals = [{ metric = \"concurrency\", single_instance_assignment = 4 }]";
    all.push(("gcp with a schedule", testing::controller("gcp", &format!("{schedule}{signals}"), &facts)));
    let delay = "scale_down_delay_seconds = 60\naveraging = \"weighted_exponential\"";
    all.push(("knative with a delay", testing::controller("knative", delay, &facts)));
    let hook = "padding = [{ cron = \"0 * * * *\", duration_seconds = 600, add = 2 }]\nrefresh_seconds = 60";
    all.push(("scryer with a hook", testing::controller("scryer", hook, &facts)));
    let market = testing::facts_of_a_market();
    let mut all: Vec<_> = all.into_iter().map(|(kind, controller)| (kind, controller, &facts)).collect();
    all.push(("spot_mix on a market", testing::controller("spot_mix", "", &market), &market));
    for (kind, mut controller, facts) in all {
        let mut desk = Desk::new(facts);
        let mut allocations = 0;
        while desk.now_seconds < 86_400.0 {
            let wave = 0.5 + 0.45 * (desk.now_seconds / 7000.0).sin();
            desk.see(Scrape {
                requests_per_second: Some(30.0 * wave),
                errors_per_second: Some(0.0),
                cpu_utilization: Some(wave),
                memory_utilization: Some(wave),
                latency_p95_seconds: Some(wave),
                queue_length: Some(0.0),
                concurrency: Some(16.0 * wave),
                ..Scrape::default()
            });
            let counted = allocation_counter::measure(|| {
                std::hint::black_box(controller.decide(&desk.observation()));
            });
            allocations += counted.count_total;
            desk.scrapes.clear();
            desk.wait(controller.period_seconds());
        }
        assert_eq!(allocations, 0, "{kind}");
    }
}
