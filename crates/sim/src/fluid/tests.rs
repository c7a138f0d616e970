use approx::assert_relative_eq;
use proptest::prelude::*;
use tidegate_core::plant::Phase;
use tidegate_core::{Needs, Plant, PoolTarget, Scenario, Seed, TickRecord};

use super::FluidPlant;
use tidegate_core::queueing::MarkovQueue;

/// The example with other lines in place of its own.
fn scenario(changes: &[(&str, &str)]) -> Scenario {
    let mut text = tidegate_core::scenario::EXAMPLE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the example has no {from:?}");
        text = text.replacen(from, to, 1);
    }
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const PATIENT: (&str, &str) = ("[client]\ntimeout = { kind = \"constant\", seconds = 10 }\n", "");

/// Sums over the horizon under a fixed fleet; `observe` is called as a controller would.
fn run(plant: &mut FluidPlant, wanted: u32, seed: u64) -> TickRecord {
    plant.reset(Seed::training(seed));
    let mut sum = TickRecord::default();
    let (mut in_system, mut pending) = (0.0, 0.0);
    while plant.phase() != Phase::Done {
        plant.observe(Needs::AGGREGATES);
        let record = plant.tick(&[PoolTarget::wanted(wanted)]).clone();
        let a = &record.attempts;
        let left = a.completed + a.rejected + a.abandoned + a.failed;
        let size = 1e-9 * (in_system + a.offered).max(1.0);
        assert!((in_system + a.offered - left - a.in_system).abs() < size, "attempts in {record:?}");
        let u = &record.users;
        assert!(
            (pending + u.arrived - u.succeeded - u.gave_up - u.pending).abs() < size,
            "users in {record:?}"
        );
        for value in [a.completed, a.rejected, a.abandoned, a.failed, a.wasted, u.succeeded, u.gave_up] {
            assert!(value >= 0.0 && value.is_finite(), "{record:?}");
        }
        assert!(a.wasted <= a.completed * (1.0 + 1e-9) + 1e-9, "{record:?}");
        (in_system, pending) = (a.in_system, u.pending);
        assert!(in_system > -size && pending > -size, "{record:?}");
        if plant.phase() != Phase::Done {
            plant.audit();
        }
        if record.phase != Phase::WarmUp {
            sum.service.add(&record.service);
            sum.users.arrived += u.arrived;
            sum.users.succeeded += u.succeeded;
            sum.users.gave_up += u.gave_up;
            sum.attempts.offered += a.offered;
            sum.attempts.completed += a.completed;
            sum.attempts.wasted += a.wasted;
            sum.attempts.rejected += a.rejected;
            sum.attempts.abandoned += a.abandoned;
            sum.attempts.failed += a.failed;
            sum.started += record.started;
            sum.wait_seconds += record.wait_seconds;
            sum.attempt_seconds += record.attempt_seconds;
            sum.sojourn_seconds += record.sojourn_seconds;
            sum.charge.add(&record.charge);
        }
    }
    assert_eq!(in_system, 0.0);
    assert_eq!(pending, 0.0);
    sum
}

#[test]
fn stationary_markov_queues_are_as_theory_says() {
    for (replicas, rate) in [(3_u32, 20.0), (4, 20.0), (3, 23.0), (12, 90.0), (1, 4.0)] {
        let scenario = scenario(&[
            PATIENT,
            ("requests_per_second = 20", &format!("requests_per_second = {rate}")),
            ("replicas_initial = 4", &format!("replicas_initial = {replicas}")),
            ("bound_seconds = 2", "bound_seconds = 1.5"),
        ]);
        let mut plant = FluidPlant::new(&scenario);
        let sum = run(&mut plant, replicas, 1);
        let queue = MarkovQueue::new(4 * replicas, rate, 0.5).expect("it is stable");
        let users = sum.service.users;
        assert_relative_eq!(
            sum.wait_seconds / sum.started,
            queue.wait_mean_seconds(),
            max_relative = 5e-3,
            epsilon = 1e-5
        );
        assert_relative_eq!(
            sum.service.users_above / users,
            queue.sojourn_survival(1.5),
            max_relative = 5e-3
        );
        let excess = queue.sojourn_excess_seconds(1.5) * 1e3;
        assert_relative_eq!(sum.service.excess_milliseconds / users, excess, max_relative = 5e-3);
        let mean = queue.wait_mean_seconds() + 0.5;
        assert_relative_eq!(sum.service.latency_seconds / users, mean, max_relative = 5e-3);
        // Little's law.
        assert_relative_eq!(sum.attempt_seconds, sum.sojourn_seconds, max_relative = 0.01);
        for p in [0.5, 0.95, 0.99] {
            let quantile = plant.latency_quantile_seconds(p).expect("there were users");
            assert_relative_eq!(quantile, queue.sojourn_quantile_seconds(p), max_relative = 0.02);
        }
    }
}

#[test]
fn a_backlog_grows_by_what_cannot_be_served_and_is_served_in_order() {
    let scenario = scenario(&[
        PATIENT,
        ("requests_per_second = 20", "requests_per_second = 40"),
        ("horizon_ticks = 240", "horizon_ticks = 40"),
        ("warm_up_ticks = 80", "warm_up_ticks = 0"),
    ]);
    let mut plant = FluidPlant::new(&scenario);
    plant.reset(Seed::training(3));
    let (mut arrived, mut last) = (0.0, 0.0);
    for _ in 0..40 {
        let record = plant.tick(&[PoolTarget::wanted(4)]);
        arrived += record.users.arrived;
        last = record.attempts.in_system;
    }
    // 16 slots serve 32 a second.
    let expected = arrived - 32.0 * 600.0;
    assert!((last - expected).abs() < 0.02 * expected, "{last}, not {expected}");
    let sum = run(&mut plant, 4, 3);
    // The mean wait is half of what the last one waits, backlog over capacity.
    let wait = sum.service.latency_seconds / sum.service.users;
    assert_relative_eq!(wait, 0.5 * expected / 32.0, max_relative = 0.03);
    assert_eq!(sum.users.gave_up, 0.0);
}

#[test]
fn nothing_is_served_by_nobody_and_everyone_by_the_first_to_come() {
    let scenario = scenario(&[
        PATIENT,
        ("replicas_min = 1", "replicas_min = 0"),
        ("replicas_initial = 4", "replicas_initial = 0"),
        ("warm_up_ticks = 80", "warm_up_ticks = 0"),
        (
            "startup = { kind = \"exponential\", mean_seconds = 60 }",
            "startup = { kind = \"constant\", seconds = 60 }",
        ),
    ]);
    let mut plant = FluidPlant::new(&scenario);
    plant.reset(Seed::training(3));
    for _ in 0..4 {
        let record = plant.tick(&[PoolTarget::wanted(20)]);
        assert_eq!((record.attempts.completed, record.utilization()), (0.0, 0.0));
    }
    let record = plant.tick(&[PoolTarget::wanted(20)]).clone();
    // 1200 waited for half a minute on average, and 80 slots clear them in about ten seconds.
    let mean = record.service.latency_seconds / record.service.users;
    assert!(record.attempts.in_system < 60.0 && (20.0..40.0).contains(&mean), "{mean} {record:?}");
}

#[test]
fn a_retry_storm_keeps_a_service_down_that_could_carry_its_users() {
    let storm = |peak: f64| {
        let scenario = scenario(&[
            (
                "kind = \"constant\"\nrequests_per_second = 20",
                &format!(
                    "kind = \"sum\"\n[[workload.of]]\nkind = \"constant\"\nrequests_per_second = 28\n[[workload.of]]\n\
                 kind = \"batch\"\nbatches = [{{ hour = 8.2, jobs = {peak}, spread_seconds = 120 }}]"
                ),
            ),
            ("seconds = 10 }", "seconds = 4 }\nattempts_max = 4\nbackoff_seconds = 2"),
        ]);
        run(&mut FluidPlant::new(&scenario), 4, 2)
    };
    let (calm, struck) = (storm(1.0), storm(6000.0));
    assert!(calm.users.gave_up < 0.01 * calm.users.arrived, "{calm:?}");
    // The crowd of 6000 is over after two minutes, yet far more than those fail: their retries keep the queue full.
    assert!(struck.users.gave_up > 12_000.0, "{struck:?}");
    assert!(struck.attempts.offered > 2.0 * struck.users.arrived, "{struck:?}");
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let scenario = scenario(&[("[pools]]\nname", "[pools]]\nnetwork_seconds = 0.1\nname")]);
    let mut plant = FluidPlant::new(&scenario);
    let (first, other, again) = (run(&mut plant, 3, 7), run(&mut plant, 3, 8), run(&mut plant, 3, 7));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(run(&mut FluidPlant::new(&scenario), 3, 7), first);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Both ledgers, at every tick (checked in `run`), under all faults at once and a fleet that jumps about.
    #[test]
    fn nobody_is_lost(
        seed in 0_u64..1000,
        rate in 0.0_f64..80.0,
        balancer in prop::sample::select(vec![
            "central_queue", "round_robin", "random", "least_outstanding", "two_choices",
        ]),
        work in prop::sample::select(vec![
            "kind = \"exponential\", mean_seconds = 0.5",
            "kind = \"constant\", seconds = 0.2",
            "kind = \"log_normal\", mean_seconds = 40, coefficient_of_variation = 1.5",
        ]),
        timeout in prop::sample::select(vec![
            "", "timeout = { kind = \"constant\", seconds = 3 }",
            "timeout = { kind = \"constant\", seconds = 100 }",
            "timeout = { kind = \"log_normal\", mean_seconds = 20, coefficient_of_variation = 1 }",
        ]),
        attempts_max in 1_u32..5,
        queue_max in prop::option::of(0_u32..200),
        scrape in prop::sample::select(vec![5, 15, 60]),
        weighted in any::<bool>(),
        resizes in any::<bool>(),
        wanted in prop::collection::vec(0_u32..12, 20),
    ) {
        let service = format!("work = {{ {work} }}");
        let queue_max = queue_max.map_or(String::new(), |most| format!("queue_max = {most}\n"));
        let second = format!(
            "[[pools]]\nname = \"spot\"\nconcurrency = 2\nspeed = 0.7\nreplicas_initial = 2\nreplicas_min = 0\n\
             replicas_max = 12\ndollars_per_replica_hour = 0.03\nroute_weight = {}\n\
             startup = {{ kind = \"constant\", seconds = 20 }}\nslow_start_seconds = 50\nslow_start_speed = 0.3\n\
             spot = {{ preemptions_per_replica_hour = 3, shocks_per_day = 50 }}\ndrain_seconds_max = 20\n\
             [faults]\ncrashes_per_replica_hour = 5\nunhealthy_per_replica_hour = 5\n\
             [sensing]\nscrape_seconds = {scrape}\nnoise = 0.1\n\n[service_level]",
            u32::from(weighted),
        );
        let scenario = scenario(&[
            ("requests_per_second = 20", &format!("requests_per_second = {rate}")),
            ("work = { kind = \"exponential\", mean_seconds = 0.5 }", &service),
            ("balancer = { kind = \"central_queue\" }", &format!("balancer = {{ kind = \"{balancer}\" }}\n{queue_max}")),
            ("timeout = { kind = \"constant\", seconds = 10 }", &format!("{timeout}\nattempts_max = {attempts_max}")),
            ("replicas_min = 1", "replicas_min = 0"),
            ("warm_up_ticks = 80", "warm_up_ticks = 20"),
            ("horizon_ticks = 240", "horizon_ticks = 100"),
            ("[service_level]", &second),
        ]);
        let mut plant = FluidPlant::new(&scenario);
        plant.reset(Seed::training(seed));
        let (mut arrived, mut decided, mut pending, mut in_system, mut ticks) = (0.0, 0.0, 0.0, 0.0, 0_usize);
        while plant.phase() != Phase::Done {
            plant.observe(Needs::REPLICAS);
            let wanted = wanted[ticks / 10 % wanted.len()];
            let mut targets = [PoolTarget::wanted(wanted), PoolTarget::wanted(12 - wanted)];
            if resizes {
                let size = [0.5, 1.0, 2.0][ticks / 7 % 3];
                targets = targets.map(|target| PoolTarget { replica_size: Some(size), replace: wanted / 3, ..target });
            }
            let record = plant.tick(&targets).clone();
            arrived += record.users.arrived;
            decided += record.users.succeeded + record.users.gave_up;
            let size = 1e-9 * arrived.max(1.0_f64);
            let u = &record.users;
            prop_assert!((pending + u.arrived - u.succeeded - u.gave_up - u.pending).abs() < size, "{record:?}");
            let a = &record.attempts;
            prop_assert!((in_system + a.offered - a.left() - a.in_system).abs() < size, "{record:?}");
            for value in [
                a.offered, a.completed, a.rejected, a.abandoned, a.failed, a.wasted, u.succeeded, u.gave_up,
                record.service.users_above, record.service.excess_milliseconds, record.service.latency_seconds,
                record.wait_seconds, record.sojourn_seconds, record.attempt_seconds,
            ] {
                prop_assert!(value >= 0.0 && value.is_finite(), "{record:?}");
            }
            prop_assert!(record.service.users_above <= u.succeeded + size, "{record:?}");
            (pending, in_system) = (u.pending, a.in_system);
            if plant.phase() != Phase::Done {
                plant.audit();
            }
            ticks += 1;
            prop_assert!(ticks < 20_000, "the run does not end");
        }
        prop_assert!((arrived - decided).abs() < 1e-8 * arrived.max(1.0), "{arrived} came, {decided} decided");
    }
}
