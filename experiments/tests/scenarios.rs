//! What the built-in scenarios were made to show.
#![allow(clippy::disallowed_methods, reason = "the scenario files are read from the source tree")]

use std::fs;
use std::path::Path;

use tidegate_autoscalers::{Catalog, NamedController};
use tidegate_core::{Scenario, Seed};
use tidegate_sim::{RequestPlant, RunSummary, run};

fn scenario(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envs/scenarios").join(format!("{name}.toml"));
    Scenario::parse(&fs::read_to_string(&path).expect("the file is there")).expect("the scenario is right")
}

fn fixed(scenario: &Scenario, replicas: u32, seed: Seed) -> RunSummary {
    controlled(scenario, &NamedController::of_kind("fixed").with("replicas", i64::from(replicas)), seed)
}

fn controlled(scenario: &Scenario, named: &NamedController, seed: Seed) -> RunSummary {
    let mut controller = Catalog::rules()
        .build_named(named, &toml::Table::new(), &scenario.facts())
        .expect("the parameters are right");
    run(&mut RequestPlant::new(scenario), &mut *controller, seed, &mut ())
}

/// The same crowds, once met by clients who try ten times and once by clients who try once: the eager ones make
/// the service do several times the work, most of it for clients who have left.
#[test]
fn the_retry_storm_is_one() {
    let eager = scenario("retry-storm");
    let mut once = eager.clone();
    once.client.attempts_max = 1;
    let replicas = eager.pools[0].replicas_initial;
    for index in 0..3 {
        let (eager, once) = (
            fixed(&eager, replicas, Seed::evaluation(index)),
            fixed(&once, replicas, Seed::evaluation(index)),
        );
        assert_eq!(eager.users.arrived, once.users.arrived, "the same users");
        let attempts_a_user = eager.attempts.offered / eager.users.arrived;
        assert!(attempts_a_user > 2.0, "seed {index}: {attempts_a_user} attempts a user");
        let wasted = |run: &RunSummary| (run.attempts.wasted + run.attempts.abandoned) / run.attempts.offered;
        assert!(
            wasted(&eager) > 2.0 * wasted(&once),
            "seed {index}: {} and {}",
            wasted(&eager),
            wasted(&once)
        );
    }
}

/// The same rule on the same crowds, with a pool of stopped machines and without one: the pool pays for itself several
/// times over.
#[test]
fn the_warm_pool_is_worth_its_disks() {
    let scenario = scenario("warm-pool");
    let cost = |prepared_max: i64| -> f64 {
        let of = |index| {
            let named =
                NamedController::of_kind("aws_target_tracking").with("warm_pool_prepared_max", prepared_max);
            let mut controller = Catalog::rules()
                .build_named(&named, &toml::Table::new(), &scenario.facts())
                .expect("the parameters are right");
            run(&mut RequestPlant::new(&scenario), &mut *controller, Seed::training(index), &mut ())
                .charge
                .total()
        };
        (0..6).map(of).sum()
    };
    let (with, without) = (cost(100), cost(0));
    assert!(with < 0.9 * without, "{with} with and {without} without");
}

/// Neither a fleet for the trough nor one for the highest peak is near the optimum.
#[test]
fn the_trade_off_is_real() {
    const SEEDS: u64 = 4;
    for (name, few, good, many) in [("web-diurnal", 30, 48, 80), ("flash-crowd", 31, 53, 80)] {
        let scenario = scenario(name);
        let cost = |replicas| -> f64 {
            let of = |index| fixed(&scenario, replicas, Seed::training(index)).charge.total();
            (0..SEEDS).map(of).sum::<f64>() / SEEDS as f64
        };
        let (few, good, many) = (cost(few), cost(good), cost(many));
        assert!(good < 0.7 * few && good < 0.7 * many, "{name}: {few}, {good}, {many}");
    }
}

/// The function starts at zero and sleeps between bursts. Who can come back from zero serves nearly everybody, and goes
/// back: a fleet that never sleeps would have several times as many as it has on average. Who cannot serves nobody.
#[test]
fn the_sleeping_function_is_woken() {
    let scenario = scenario("serverless");
    let gave_up = |run: &RunSummary| run.users.gave_up / run.users.arrived;
    let queue_depth = NamedController::of_kind("queue_depth");
    for named in [
        NamedController::of_kind("square_root_staffing"),
        queue_depth.clone(),
        queue_depth.with("drain_seconds", 10.0),
    ] {
        for index in 0..2 {
            let run = controlled(&scenario, &named, Seed::training(index));
            assert!(gave_up(&run) < 0.01, "{} on seed {index}: {}", named.kind, gave_up(&run));
            let most = f64::from(scenario.pools[0].bounds.replicas_max);
            assert!(run.ready_mean < most / 4.0, "{} on seed {index}: {}", named.kind, run.ready_mean);
        }
    }
    let asleep = controlled(&scenario, &NamedController::of_kind("threshold"), Seed::training(0));
    assert_eq!((gave_up(&asleep), asleep.ready_mean), (1.0, 0.0));
}

/// Shocks take half of the spot pool. Covered on demand they cost few users; not covered, as in a group that only asks
/// for spot again, they cost more users than the cover costs dollars.
#[test]
fn cover_on_demand_outlives_the_shocks_of_the_market() {
    const SEEDS: u64 = 3;
    let scenario = scenario("spot-mix");
    let total = |falls_back: bool| {
        let named = NamedController::of_kind("spot_mix").with("falls_back", falls_back);
        let runs: Vec<_> =
            (0..SEEDS).map(|seed| controlled(&scenario, &named, Seed::training(seed))).collect();
        assert!(runs.iter().map(|run| run.preemptions).sum::<u64>() > 20, "the market takes replicas back");
        let gave_up: f64 = runs.iter().map(|run| run.users.gave_up).sum();
        (gave_up, runs.iter().map(|run| run.charge.total()).sum::<f64>())
    };
    let (covered, asked_again) = (total(true), total(false));
    assert!(covered.0 < 0.2 * asked_again.0, "{covered:?} and {asked_again:?}");
    assert!(covered.1 < asked_again.1, "{covered:?} and {asked_again:?}");
}
