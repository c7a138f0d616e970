//! What must hold of the request engine whatever the scenario.

use proptest::prelude::*;
use tidegate_core::plant::Phase;
use tidegate_core::{
    Controller, ControllerStream, Decision, Observation, Plant, PoolTarget, Reason, Replicas, Scenario, Seed,
};
use tidegate_sim::{RequestPlant, RunSummary, User, run, users_of_run};

/// Wants what it is told, in turn.
struct Script {
    wanted: Vec<Replicas>,
    next: usize,
}

impl Controller for Script {
    fn period_seconds(&self) -> f64 {
        7.0 // on purpose not the tick
    }
    fn reset(&mut self, _chance: ControllerStream) {
        self.next = 0;
    }
    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let wanted = self.wanted[self.next % self.wanted.len()];
        self.next += 1;
        let mut decision = Decision::one(wanted, Reason::new("script"));
        decision.targets =
            tidegate_core::decision::Targets::of(&vec![PoolTarget::wanted(wanted); observation.pools.len()]);
        decision
    }
}

fn scenario(workload: &str, rest: &str) -> Scenario {
    let text = format!(
        r#"
        name = "test"
        summary = "made for one test"
        time = {{ warm_up_ticks = 4, horizon_ticks = 80 }}
        {workload}
        {rest}
        "#
    );
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn fixed(scenario: &Scenario, wanted: Replicas, seed: Seed) -> RunSummary {
    run(&mut RequestPlant::new(scenario), &mut Script { wanted: vec![wanted], next: 0 }, seed, &mut ())
}

/// Checks both ledgers after every tick, from the structures themselves, to the end of the run.
fn audit(scenario: &Scenario, wanted: &[Replicas], resizes: bool, seed: Seed) {
    let mut plant = RequestPlant::new(scenario);
    plant.reset(seed);
    let (mut in_system, mut pending, mut tick) = (0.0, 0.0, 0);
    while plant.phase() != Phase::Done {
        let mut target = PoolTarget::wanted(wanted[tick % wanted.len()]);
        if resizes {
            target.replica_size = Some([0.5, 1.0, 2.0][tick / 7 % 3]);
            target.replace = wanted[tick / 3 % wanted.len()];
        }
        let record = plant.tick(&vec![target; scenario.pools.len()]);
        assert_eq!(in_system + record.attempts.offered, record.attempts.left() + record.attempts.in_system);
        assert_eq!(
            pending + record.users.arrived,
            record.users.succeeded + record.users.gave_up + record.users.pending
        );
        (in_system, pending) = (record.attempts.in_system, record.users.pending);
        assert!(record.charge.total() >= 0.0 && record.charge.total().is_finite());
        plant.audit();
        tick += 1;
        assert!(tick < 20_000, "the run does not end");
    }
    assert_eq!(pending, 0.0, "the run ended before everybody's fate was decided");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Under all faults at once: crashes, illness, spot preemptions and shocks, bounded queues, time-outs, retries,
    /// slow starts, hooks that fail, warm pools of every state with and without reuse, several pools, scale to zero.
    #[test]
    fn both_ledgers_are_conserved_under_all_faults_at_once(
        balancer in prop::sample::select(vec![
            "central_queue", "round_robin", "random", "least_outstanding", "two_choices",
        ]),
        load in 0.1..40.0_f64,
        concurrency in 1..5_u32,
        queue_max in prop::option::of(0..20_u32),
        timeout in prop::option::of(0.2..20.0_f64),
        drawn_patience in any::<bool>(),
        attempts_max in 1..4_u32,
        weights in any::<bool>(),
        resizes in any::<bool>(),
        warm in prop::sample::select(vec!["", "state = 'stopped',", "state = 'hibernated',", "state = 'running',"]),
        reuse in any::<bool>(),
        terminating in prop::sample::select(vec![0.0, 4.0, 40.0]),
        silent in prop::sample::select(vec!["", "abandon", "continue"]),
        wanted in prop::collection::vec(0..8_u32, 1..12),
        seed in 0..1000_u64,
    ) {
        let timeout = timeout.map_or(String::new(), |seconds| if drawn_patience {
            format!("timeout = {{ kind = \"exponential\", mean_seconds = {seconds} }},")
        } else {
            format!("timeout = {{ kind = \"constant\", seconds = {seconds} }},")
        });
        let queue = queue_max.map_or(String::new(), |most| format!(", queue_max = {most}"));
        let warm = if warm.is_empty() {
            "dollars_per_replica_hour = 0.01, startup = { kind = 'constant', seconds = 5 },".to_owned()
        } else {
            warm.to_owned()
        };
        let hook = if silent.is_empty() {
            String::new()
        } else {
            format!("launch_hook = {{ failure_share = 0.3, timeout_seconds = 30, default_result = '{silent}' }}")
        };
        let weight = if weights { "route_weight = 1" } else { "" };
        let text = format!(
            r#"
            client = {{ {timeout} attempts_max = {attempts_max}, backoff_seconds = 0.5 }}
            service = {{ work = {{ kind = "log_normal", mean_seconds = 0.5, coefficient_of_variation = 1.5 }},
                        balancer = {{ kind = "{balancer}" }}{queue} }}
            service_level = {{ bound_seconds = 1, penalty = {{ kind = "per_user", dollars_per_user = 0.01 }},
                               dollars_per_user_gave_up = 1 }}
            faults = {{ crashes_per_replica_hour = 20, unhealthy_per_replica_hour = 20, detection_seconds = 20 }}
            sensing = {{ noise = 0.1, dropout = 0.1, delay_seconds = 10 }}
            [[pools]]
            name = "spot"
            concurrency = {concurrency}
            replicas_min = 0
            replicas_max = 8
            replicas_initial = 2
            startup = {{ kind = "exponential", mean_seconds = 20 }}
            hook_seconds = 3
            registration_seconds = 2
            slow_start_seconds = 30
            slow_start_speed = 0.3
            drain_seconds_max = 5
            dollars_per_replica_hour = 0.1
            spot = {{ preemptions_per_replica_hour = 20, notice_seconds = 2, shocks_per_day = 200,
                      shock_seconds = 30, price_volatility = 0.5 }}
            warm_pool = {{ {warm} replicas_max = 2, replicas_initial = 1, reuse_on_scale_in = {reuse} }}
            terminating_hook_seconds = {terminating}
            {hook}
            {weight}
            [[pools]]
            name = "steady"
            concurrency = 2
            replicas_min = 0
            replicas_max = 8
            replicas_initial = 1
            startup = {{ kind = "constant", seconds = 0 }}
            dollars_per_replica_hour = 0.2
            {weight}
            "#
        );
        let workload = format!("workload = {{ kind = \"constant\", requests_per_second = {load} }}");
        let mut scenario = scenario(&workload, &text);
        if scenario.client.timeout.is_none() && wanted.iter().all(|wanted| *wanted == 0) {
            scenario.pools[1].bounds.replicas_min = 1;
        }
        audit(&scenario, &wanted, resizes, Seed::training(seed));
    }

    /// First come first served, one unbounded central queue, equal always-ready replicas, no time-outs: nobody
    /// starts later with a larger fleet, so the sum of waits never grows with it.
    ///
    /// No warm-up: users are counted in the tick in which they succeed, so who came in the warm-up and is served in
    /// the horizon by a small fleet alone would make the counted users of two fleets differ.
    #[test]
    fn nobody_waits_longer_with_a_larger_fleet(load in 1.0..6.0_f64, seed in 0..1000_u64) {
        let mut scenario = scenario(
            &format!("workload = {{ kind = \"constant\", requests_per_second = {load} }}"),
            r#"
            service = { work = { kind = "exponential", mean_seconds = 1 }, balancer = { kind = "central_queue" } }
            service_level = { bound_seconds = 1, penalty = { kind = "per_user", dollars_per_user = 0.01 } }
            pools = [{ name = "web", concurrency = 1, replicas_max = 64, replicas_initial = 2, dollars_per_replica_hour = 1,
                       startup = { kind = "constant", seconds = 0 } }]
            "#,
        );
        scenario.warm_up_ticks = 0;
        let sizes = [4, 5, 7, 12];
        let runs: Vec<RunSummary> = sizes
            .iter()
            .map(|size| {
                let mut scenario = scenario.clone();
                scenario.pools[0].replicas_initial = *size;
                fixed(&scenario, *size, Seed::training(seed))
            })
            .collect();
        for pair in runs.windows(2) {
            prop_assert!(pair[1].latency_p50_seconds <= pair[0].latency_p50_seconds);
            prop_assert!(pair[1].latency_p99_seconds <= pair[0].latency_p99_seconds);
            prop_assert!(pair[1].service.latency_seconds <= pair[0].service.latency_seconds + 1e-6);
            prop_assert!(pair[1].service.users_above <= pair[0].service.users_above);
        }
    }
}

const WEB: &str = r#"
    service_level = { bound_seconds = 1, penalty = { kind = "per_user", dollars_per_user = 0.01 } }
    [[pools]]
    name = "web"
    concurrency = 1
    replicas_min = 0
    replicas_max = 20
    replicas_initial = 10
    startup = { kind = "constant", seconds = 60 }
    dollars_per_replica_hour = 1
"#;

#[test]
fn one_central_queue_is_no_worse_than_split_ones() {
    let latency = |balancer: &str| {
        let service = format!(
            "service = {{ work = {{ kind = \"exponential\", mean_seconds = 1 }}, balancer = {{ kind = \"{balancer}\" }} }}"
        );
        let scenario =
            scenario("workload = { kind = \"constant\", requests_per_second = 8 }", &(service + WEB));
        (0..10).map(|seed| fixed(&scenario, 10, Seed::evaluation(seed)).latency_mean_seconds).sum::<f64>()
            / 10.0
    };
    let [central, least, two, turns, random] =
        ["central_queue", "least_outstanding", "two_choices", "round_robin", "random"].map(latency);
    assert!(
        central <= least && least <= two && two <= turns && turns <= random,
        "{central} {least} {two} {turns} {random}"
    );
}

/// The spell of overload is over after ten minutes, but with eager retries the queue never empties of attempts whose
/// clients have left; without retries it recovers.
#[test]
fn a_retry_storm_outlives_its_cause() {
    let gave_up_late = |attempts_max: u32| {
        let workload = r#"
            workload = { kind = "sum", of = [
                { kind = "constant", requests_per_second = 8.5 },
                { kind = "ramp", from_requests_per_second = 12, to_requests_per_second = 0, start_seconds = 300,
                  duration_seconds = 1 } ] }
        "#;
        let rest = format!(
            r#"
            client = {{ timeout = {{ kind = "constant", seconds = 3 }}, attempts_max = {attempts_max},
                        backoff_seconds = 0.5, backoff_factor = 1 }}
            service = {{ work = {{ kind = "exponential", mean_seconds = 1 }}, balancer = {{ kind = "round_robin" }} }}
            "#
        );
        let scenario = scenario(workload, &(rest + WEB));
        let mut plant = RequestPlant::new(&scenario);
        plant.reset(Seed::evaluation(1));
        let mut wasted_late = 0.0;
        let mut completed_late = 0.0;
        for tick in 0..84 {
            let record = plant.tick(&[PoolTarget::wanted(10)]);
            if tick >= 64 {
                wasted_late += record.attempts.wasted + record.attempts.abandoned;
                completed_late += record.attempts.offered;
            }
        }
        wasted_late / completed_late
    };
    let (once, eager) = (gave_up_late(1), gave_up_late(10));
    assert!(eager > 2.0 * once, "wasted share: {once} with one attempt, {eager} with ten");
}

/// A controller that lets requests be dropped saves replicas, but never money.
#[test]
fn nobody_gains_by_dropping_requests() {
    let rest = r#"
        client = { timeout = { kind = "constant", seconds = 5 } }
        service = { work = { kind = "exponential", mean_seconds = 1 }, balancer = { kind = "central_queue" }, queue_max = 0 }
    "#;
    let scenario =
        scenario("workload = { kind = \"constant\", requests_per_second = 8 }", &(rest.to_owned() + WEB));
    for seed in 0..5 {
        let serves = fixed(&scenario, 16, Seed::evaluation(seed));
        let drops = fixed(&scenario, 0, Seed::evaluation(seed));
        assert!(drops.users.gave_up > 0.99 * drops.users.arrived);
        assert!(drops.charge.instances < serves.charge.instances);
        assert!(drops.charge.total() > serves.charge.total(), "{drops:?}");
        assert!(drops.latency_p50_seconds.is_infinite());
    }
}

#[test]
fn the_same_seed_is_the_same_world_and_another_is_not() {
    let rest = format!(
        "service = {{ work = {{ kind = \"exponential\", mean_seconds = 1 }}, balancer = {{ kind = \"random\" }} }}{WEB}"
    );
    let scenario = scenario("workload = { kind = \"constant\", requests_per_second = 8 }", &rest);
    let mut plant = RequestPlant::new(&scenario);
    let mut script = Script { wanted: vec![9, 12, 10], next: 0 };
    let first = run(&mut plant, &mut script, Seed::evaluation(3), &mut ());
    let other = run(&mut plant, &mut script, Seed::evaluation(4), &mut ());
    let again = run(&mut plant, &mut script, Seed::evaluation(3), &mut ());
    assert_eq!(first, again);
    assert_ne!(first, other);
    // Users and their work do not depend on the controller.
    let fixed = fixed(&scenario, 20, Seed::evaluation(3));
    assert_eq!(first.users.arrived, fixed.users.arrived);
}

#[test]
fn requests_wait_for_the_first_replica() {
    let rest = format!(
        "service = {{ work = {{ kind = \"constant\", seconds = 0.1 }}, balancer = {{ kind = \"least_outstanding\" }} }}{WEB}"
    );
    let mut scenario = scenario("workload = { kind = \"constant\", requests_per_second = 2 }", &rest);
    scenario.pools[0].replicas_initial = 0;
    scenario.warm_up_ticks = 0;
    let mut plant = RequestPlant::new(&scenario);
    plant.reset(Seed::evaluation(0));
    for _ in 0..3 {
        let record = plant.tick(&[PoolTarget::wanted(0)]);
        assert_eq!(record.attempts.completed, 0.0);
    }
    for _ in 0..4 {
        plant.tick(&[PoolTarget::wanted(1)]);
    }
    let record = plant.tick(&[PoolTarget::wanted(1)]);
    assert!(record.attempts.completed > 0.0 && record.attempts.rejected == 0.0);
    plant.audit();
}

/// What is listed is what the engine meets: with a slot for everybody, latencies are works; with no slot at all,
/// everybody stays for their patience and leaves.
#[test]
fn the_listed_users_are_those_of_the_run() {
    let text = |warm_up: u32, pool: &str| {
        format!(
            r#"
            name = "test"
            summary = "made for one test"
            time = {{ warm_up_ticks = {warm_up}, horizon_ticks = 40 }}
            workload = {{ kind = "profile", mean_requests_per_second = 3, daily = [1], noise = 0.3, noise_seconds = 60 }}
            client = {{ timeout = {{ kind = "exponential", mean_seconds = 400 }} }}
            pools = [{{ name = "p", concurrency = 50, {pool}, drain_seconds_max = 1e6, dollars_per_replica_hour = 1,
                startup = {{ kind = "constant", seconds = 1 }} }}]
            [service]
            work = {{ kind = "log_normal", mean_seconds = 2, coefficient_of_variation = 1 }}
            balancer = {{ kind = "central_queue" }}
            [service_level]
            bound_seconds = 1e6
            penalty = {{ kind = "per_user", dollars_per_user = 1 }}
            dollars_per_user_gave_up = 1
            "#
        )
    };
    let read = |text: String| Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let sum = |users: &[User], of: fn(&User) -> f64| users.iter().map(of).sum::<f64>();
    for index in 0..3 {
        let seed = Seed::training(index);
        let roomy = read(text(0, "replicas_max = 9, replicas_initial = 9"));
        let users = users_of_run(&roomy, seed);
        let summary = fixed(&roomy, 9, seed);
        // Who is served in less than their patience is served for their work.
        let served: Vec<User> =
            users.iter().filter(|user| user.work_seconds <= user.patience_seconds).copied().collect();
        assert_eq!(summary.users.arrived as usize, users.len(), "seed {index}");
        assert_eq!(summary.users.succeeded as usize, served.len(), "seed {index}");
        let works = sum(&served, |user| user.work_seconds);
        assert!((summary.service.latency_seconds / works - 1.0).abs() < 1e-12, "seed {index}");

        let closed = read(text(0, "replicas_min = 0, replicas_max = 9, replicas_initial = 0"));
        let mut plant = RequestPlant::new(&closed);
        plant.reset(seed);
        let mut waited = 0.0;
        while plant.phase() != Phase::Done {
            waited += plant.tick(&[PoolTarget::wanted(0)]).sojourn_seconds;
        }
        let patience = sum(&users, |user| user.patience_seconds);
        assert!((waited / patience - 1.0).abs() < 1e-12, "seed {index}: {waited} s, not {patience} s");

        // With a warm-up the counted users are those that come after it.
        let warmed = read(text(10, "replicas_max = 9, replicas_initial = 9"));
        let mut counted = users_of_run(&warmed, seed);
        counted.retain(|user| user.is_counted);
        assert_eq!(fixed(&warmed, 9, seed).users.arrived as usize, counted.len(), "seed {index}");
        assert!(counted.iter().all(|user| user.arrival_seconds >= 150.0), "seed {index}");
    }
}
