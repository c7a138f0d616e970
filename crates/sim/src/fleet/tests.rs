//! Lives and bills against what can be worked out by hand.

use super::*;

fn fleet(more: &str) -> Fleet {
    let text = tidegate_core::scenario::EXAMPLE
        .replace("startup = { kind = \"exponential\", mean_seconds = 60 }", more);
    Fleet::new(&Scenario::parse(&text).expect("the scenario is right"))
}

fn wanted(fleet: &mut Fleet, wanted: Replicas, now: f64) -> Vec<Change> {
    let mut changes = Vec::new();
    fleet.advance(now, &mut changes);
    fleet.apply(&[PoolTarget::wanted(wanted)], now, &mut changes);
    changes
}

/// Runs ticks from the one that starts at `from` until `to`, and sums what is billed.
fn billed(fleet: &mut Fleet, from: u32, to: u32, last: bool) -> f64 {
    let mut changes = Vec::new();
    (from..to)
        .map(|tick| {
            fleet.begin_tick(Tick(tick), &mut changes);
            let end = f64::from(tick + 1) * 15.0;
            fleet.advance(end, &mut changes);
            fleet.close_tick(0, end, 0.0, last && tick + 1 == to).usage.billed_replica_seconds
        })
        .sum()
}

#[test]
fn a_start_takes_its_time_and_is_paid_from_the_request() {
    let mut fleet = fleet("startup = { kind = \"constant\", seconds = 100 }\nregistration_seconds = 20");
    fleet.reset(Seed::training(0));
    assert!(wanted(&mut fleet, 6, 0.0).is_empty());
    assert_eq!((fleet.status(0).ready, fleet.status(0).starting), (4, 2));
    let mut changes = Vec::new();
    fleet.advance(119.9, &mut changes);
    assert!(changes.is_empty());
    fleet.advance(120.0, &mut changes);
    assert_eq!(changes.len(), 2);
    assert_eq!(fleet.ready(0), 6);
    let tick = fleet.close_tick(0, 120.0, 0.0, false);
    assert_eq!(tick.usage.billed_replica_seconds, 6.0 * 120.0);
    assert_eq!(tick.ready_seconds, 4.0 * 120.0);
}

#[test]
fn a_short_life_pays_the_minimum_and_an_hour_begun_is_an_hour_paid() {
    // The warm-up of the example ends at 1200 s; lives are counted from there.
    let minute = "startup = { kind = \"constant\", seconds = 0 }\ndrain_seconds_max = 0";
    let mut one = fleet(minute);
    one.reset(Seed::training(0));
    billed(&mut one, 0, 80, false);
    wanted(&mut one, 5, 1200.0);
    let first = billed(&mut one, 80, 81, false);
    wanted(&mut one, 4, 1215.0);
    let rest = billed(&mut one, 81, 90, false);
    assert_eq!(first + rest, 4.0 * 150.0 + 60.0);

    let mut hourly = fleet(&format!("{minute}\nbilling_quantum_seconds = 3600"));
    hourly.reset(Seed::training(0));
    billed(&mut hourly, 0, 80, false);
    wanted(&mut hourly, 5, 1200.0);
    // 4 lives of 1.5 hours and one of 600 s.
    let first = billed(&mut hourly, 80, 120, false);
    wanted(&mut hourly, 4, 1800.0);
    let rest = billed(&mut hourly, 120, 80 + 360, true);
    assert_eq!(first + rest, 4.0 * 7200.0 + 3600.0);
}

#[test]
fn the_same_slot_at_the_same_tick_is_as_slow_whatever_came_before() {
    let startup_seconds = |relaunch: bool| {
        let mut fleet =
            fleet("startup = { kind = \"exponential\", mean_seconds = 60 }\ndrain_seconds_max = 0");
        fleet.reset(Seed::training(9));
        let mut changes = Vec::new();
        fleet.begin_tick(Tick(3), &mut changes);
        wanted(&mut fleet, 5, 45.0);
        if relaunch {
            wanted(&mut fleet, 4, 46.0);
            wanted(&mut fleet, 5, 46.0);
        }
        fleet.advance(1e6, &mut changes);
        let ready = changes.iter().find(|change| change.kind == ChangeKind::Ready).expect("it starts");
        ready.at_seconds - if relaunch { 46.0 } else { 45.0 }
    };
    assert!((startup_seconds(false) - startup_seconds(true)).abs() < 1e-9);
}

#[test]
fn hazards_strike_at_their_rate() {
    let text = tidegate_core::scenario::EXAMPLE.replace("mean_seconds = 60", "mean_seconds = 1")
        + "\n[faults]\ncrashes_per_replica_hour = 2\n";
    let mut fleet = Fleet::new(&Scenario::parse(&text).expect("the scenario is right"));
    fleet.reset(Seed::training(2));
    let mut crashes = 0;
    let mut changes = Vec::new();
    for tick in 0..24_000_u32 {
        fleet.begin_tick(Tick(tick), &mut changes);
        let end = f64::from(tick + 1) * 15.0;
        fleet.advance(end, &mut changes);
        crashes += fleet.close_tick(0, end, 0.0, false).crashes;
        changes.clear();
    }
    // 4 replicas, 100 hours, 2 an hour each: 800, give or take 4 standard deviations of a Poisson count.
    assert!((f64::from(crashes) - 800.0).abs() < 4.0 * 800_f64.sqrt(), "{crashes} crashes");
    assert_eq!(fleet.status(0).observed, 4);
}

/// Four of size 1; three go for size 0.5 and cost half as much; then one of those goes first, since
/// it is farthest off.
#[test]
fn replacing_changes_sizes_and_not_the_count() {
    let mut fleet = fleet("startup = { kind = \"constant\", seconds = 20 }\ndrain_seconds_max = 0");
    fleet.reset(Seed::training(0));
    let mut changes = Vec::new();
    let resize = |fleet: &mut Fleet, size: f64, replace: Replicas, now: f64, changes: &mut Vec<Change>| {
        fleet.advance(now, changes);
        let target = PoolTarget { replica_size: Some(size), replace, ..PoolTarget::wanted(4) };
        fleet.apply(&[target], now, changes);
        fleet.advance(now, changes);
    };
    let sizes = |fleet: &Fleet| {
        let mut sizes: Vec<_> = fleet.serving().map(|index| fleet.replica(index).size).collect();
        sizes.sort_by(f64::total_cmp);
        sizes
    };
    resize(&mut fleet, 0.5, 0, 0.0, &mut changes);
    assert_eq!((fleet.status(0).ready, fleet.status(0).starting), (4, 0));
    resize(&mut fleet, 0.5, 3, 0.0, &mut changes);
    assert_eq!((fleet.status(0).ready, fleet.status(0).starting), (1, 3));
    fleet.advance(100.0, &mut changes);
    assert_eq!(sizes(&fleet), [0.5, 0.5, 0.5, 1.0]);
    assert_eq!(fleet.speed_slot_seconds(0, 100.0), 4.0 * (100.0 + 3.0 * 0.5 * 80.0));
    assert_eq!(fleet.close_tick(0, 100.0, 0.0, false).usage.billed_replica_seconds, 100.0 + 3.0 * 50.0);
    resize(&mut fleet, 0.8, 1, 100.0, &mut changes);
    fleet.advance(200.0, &mut changes);
    assert_eq!(sizes(&fleet), [0.5, 0.5, 0.8, 1.0]);
    // No more go than are of another size, and none twice.
    resize(&mut fleet, 0.8, 99, 200.0, &mut changes);
    assert_eq!((fleet.status(0).ready, fleet.status(0).starting), (1, 3));
    fleet.advance(300.0, &mut changes);
    assert_eq!(sizes(&fleet), [0.8; 4]);
}

#[test]
fn a_warm_replica_starts_faster_and_is_charged_apart() {
    let mut fleet = fleet(
        "startup = { kind = \"constant\", seconds = 100 }\n\
             warm_pool = { replicas_max = 2, replicas_initial = 1, dollars_per_replica_hour = 0.01, \
             startup = { kind = \"constant\", seconds = 10 } }",
    );
    fleet.reset(Seed::training(0));
    wanted(&mut fleet, 6, 0.0);
    let mut changes = Vec::new();
    fleet.advance(10.0, &mut changes);
    assert_eq!(changes.len(), 1, "the warm one is ready after 10 s");
    fleet.advance(200.0, &mut changes);
    assert_eq!(fleet.ready(0), 6);
    // The place in the warm pool was filled again, at the full price while it was prepared.
    assert_eq!(fleet.status(0).warm, 1);
    let tick = fleet.close_tick(0, 200.0, 0.0, false);
    assert_eq!(tick.usage.billed_warm_seconds, 100.0);
}

#[test]
fn a_warm_pool_by_state_has_the_documented_prices_and_delays() {
    let shown = |state: &str| {
        let text = tidegate_core::scenario::EXAMPLE.replace(
            "startup = {",
            &format!("warm_pool = {{ replicas_max = 2, state = \"{state}\" }}\nstartup = {{"),
        );
        let scenario = Scenario::parse(&text).expect("the scenario is right");
        let warm = scenario.pools[0].warm_pool.clone().expect("it has one");
        format!("{:.0} s, {:.5} $/h", warm.startup.mean(), warm.dollars_per_replica_hour)
    };
    // 30 GiB and 34 GiB at 0.08 dollars a month of 730 hours; the example costs 0.1 dollars an hour.
    assert_eq!(shown("stopped"), "40 s, 0.00329 $/h");
    assert_eq!(shown("hibernated"), "20 s, 0.00373 $/h");
    assert_eq!(shown("running"), "0 s, 0.10000 $/h");
}

#[test]
fn what_is_scaled_in_goes_back_to_the_warm_pool_and_is_charged_apart() {
    let mut fleet = fleet(
        "startup = { kind = \"constant\", seconds = 100 }\ndrain_seconds_max = 30\n\
             warm_pool = { replicas_max = 2, replicas_initial = 1, dollars_per_replica_hour = 0.01, \
             startup = { kind = \"constant\", seconds = 10 }, reuse_on_scale_in = true }",
    );
    fleet.reset(Seed::training(0));
    let target = |wanted, warm| [PoolTarget { warm: Some(warm), ..PoolTarget::wanted(wanted) }];
    let mut changes = Vec::new();
    fleet.apply(&target(3, 2), 0.0, &mut changes);
    // What drains will fill the place: nothing is launched for it.
    assert_eq!((fleet.status(0).draining, fleet.status(0).warm, fleet.living().count()), (1, 1, 5));
    fleet.drained(changes[0].replica, 20.0);
    assert_eq!((fleet.status(0).draining, fleet.status(0).warm), (0, 2));
    // The end of its first draining is of no consequence to its second life.
    fleet.apply(&target(5, 2), 25.0, &mut changes);
    changes.clear();
    fleet.advance(35.0, &mut changes);
    assert_eq!((changes.len(), fleet.ready(0)), (2, 5));
    fleet.advance(60.0, &mut changes);
    assert_eq!(fleet.ready(0), 5);
    // Without room in the warm pool it ends.
    fleet.advance(200.0, &mut changes);
    assert_eq!(fleet.status(0).warm, 2);
    changes.clear();
    fleet.apply(&target(4, 2), 200.0, &mut changes);
    fleet.drained(changes[0].replica, 210.0);
    assert_eq!((fleet.status(0).warm, fleet.living().count()), (2, 6));
}

#[test]
fn a_terminating_hook_is_billed_and_out_of_service() {
    let mut fleet = fleet(
        "startup = { kind = \"constant\", seconds = 0 }\ndrain_seconds_max = 30\nterminating_hook_seconds = 60",
    );
    fleet.reset(Seed::training(0));
    let changes = wanted(&mut fleet, 3, 0.0);
    fleet.drained(changes[0].replica, 10.0);
    assert_eq!((fleet.status(0).ready, fleet.status(0).draining), (3, 1));
    let mut changes = Vec::new();
    fleet.advance(70.0, &mut changes);
    // It had left its requests behind, so that its end is nobody's concern.
    assert_eq!((changes.len(), fleet.status(0).draining, fleet.living().count()), (0, 0, 3));
    let tick = fleet.close_tick(0, 100.0, 0.0, false);
    assert_eq!(tick.usage.billed_replica_seconds, 3.0 * 100.0 + 70.0);
    assert_eq!(tick.ready_seconds, 3.0 * 100.0);
}

#[test]
fn a_silent_launch_hook_gives_the_replica_up_or_lets_it_in() {
    let started = |result: &str, share: f64| {
        let mut fleet = fleet(&format!(
            "startup = {{ kind = \"constant\", seconds = 10 }}\nhook_seconds = 5\n\
                 launch_hook = {{ failure_share = {share}, timeout_seconds = 40, default_result = \"{result}\" }}"
        ));
        fleet.reset(Seed::training(0));
        wanted(&mut fleet, 6, 0.0);
        let mut changes = Vec::new();
        fleet.advance(15.0, &mut changes);
        let answered = fleet.ready(0) - 4;
        fleet.advance(50.0, &mut changes);
        let crashes = fleet.close_tick(0, 50.0, 0.0, false).crashes;
        (answered, fleet.ready(0) - 4, fleet.status(0).starting, crashes)
    };
    assert_eq!(started("abandon", 0.0), (2, 2, 0, 0));
    // Both are given up at 50 s and replaced.
    assert_eq!(started("abandon", 1.0), (0, 0, 2, 2));
    assert_eq!(started("continue", 1.0), (0, 2, 0, 0));
}

#[test]
fn launch_hooks_fail_as_often_as_they_should() {
    let mut fleet = fleet(
        "startup = { kind = \"constant\", seconds = 0 }\ndrain_seconds_max = 0\n\
             launch_hook = { failure_share = 0.2, timeout_seconds = 30, default_result = \"continue\" }",
    );
    fleet.reset(Seed::training(3));
    let mut changes = Vec::new();
    let (mut silent, n) = (0, 2000_u32);
    for tick in 0..n {
        let now = f64::from(tick) * 15.0;
        fleet.begin_tick(Tick(tick), &mut changes);
        wanted(&mut fleet, 5, now);
        fleet.advance(now, &mut changes);
        silent += fleet.status(0).starting;
        wanted(&mut fleet, 4, now + 1.0);
        fleet.advance(now + 1.0, &mut changes);
    }
    // 2000 launches, 400 silent, give or take 4 standard deviations.
    assert!((f64::from(silent) - 400.0).abs() < 4.0 * (f64::from(n) * 0.16).sqrt(), "{silent}");
}

#[test]
fn slow_starts_lose_what_the_ramp_says() {
    let mut fleet = fleet(
        "startup = { kind = \"constant\", seconds = 0 }\nslow_start_seconds = 40\nslow_start_speed = 0.5",
    );
    fleet.reset(Seed::training(0));
    wanted(&mut fleet, 5, 0.0);
    let mut changes = Vec::new();
    fleet.advance(0.0, &mut changes);
    // Half of 0.5 missing on average over 40 s of one replica with 4 slots.
    let expected = 5.0 * 4.0 * 60.0 - 0.25 * 40.0 * 4.0;
    for now in [13.0, 29.0, 60.0] {
        fleet.speed_slot_seconds(0, now);
    }
    assert!((fleet.speed_slot_seconds(0, 60.0) - expected).abs() < 1e-9);
    assert_eq!(fleet.speed(changes[0].replica, 20.0), 0.75);
}
