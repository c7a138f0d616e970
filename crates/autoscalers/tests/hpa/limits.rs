//! What holds a proposal back.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use tidegate_autoscalers::hpa::behavior::{change_in_period, limit_without};
use tidegate_autoscalers::hpa::{
    Behavior, Event, Flags, Memory, Policy, PolicyKind, Recommendation, ScalingRules, Select,
};

use super::{NOW, flags};

fn log(entries: &[(i32, f64)]) -> Vec<Recommendation> {
    entries
        .iter()
        .map(|(replicas, ago)| Recommendation { replicas: *replicas, at_seconds: NOW - ago })
        .collect()
}

fn events(entries: &[(i32, f64)]) -> Vec<Event> {
    let event =
        |(change, ago): &(i32, f64)| Event { change: *change, at_seconds: NOW - ago, is_outdated: false };
    entries.iter().map(event).collect()
}

fn rules(select: Select, policies: &[Policy]) -> ScalingRules {
    ScalingRules { window_seconds: Some(0), select, policies: policies.to_vec(), tolerance: None }
}

/// A proposal after the log of (count, seconds ago) without `behavior`, and the log then.
fn without(entries: &[(i32, f64)], proposal: i32, expected: &Expect) {
    let mut memory = Memory { recommendations: log(entries), ..Memory::default() };
    let stabilized = memory.stabilize(proposal, 300.0, NOW);
    let left: Vec<_> = memory.recommendations.iter().map(|past| past.replicas).collect();
    expected.assert_eq(&format!("{} {left:?}", stabilized.replicas));
}

/// The same with `behavior` and its two windows.
fn with(entries: &[(i32, f64)], windows: (i32, i32), current: i32, proposal: i32, expected: &Expect) {
    let mut behavior = Behavior::default();
    (behavior.up.window_seconds, behavior.down.window_seconds) = (Some(windows.0), Some(windows.1));
    let mut memory = Memory { recommendations: log(entries), ..Memory::default() };
    let stabilized = memory.stabilize_with(&behavior, &flags(), current, proposal, NOW);
    let left: Vec<_> = memory.recommendations.iter().map(|past| past.replicas).collect();
    let (low, high) = (stabilized.lowest, stabilized.highest);
    expected.assert_eq(&format!("{} of {low}..{high} {left:?}", stabilized.replicas));
}

/// Current and proposal under these rules for both directions, within 1 to 1000, after changes of (by, seconds ago)
/// up and down.
fn limited(
    select: Select,
    policies: &[Policy],
    (current, proposal): (i32, i32),
    up: &[(i32, f64)],
    down: &[(i32, f64)],
    expected: &Expect,
) {
    let rules = rules(select, policies);
    let behavior = Behavior { up: rules.clone(), down: rules };
    let memory = Memory { up: events(up), down: events(down), ..Memory::default() };
    let limited = memory.limit(&behavior, current, proposal, (1, 1000), NOW);
    expected.assert_eq(&format!("{} {:?} {:?}", limited.replicas, limited.limit, limited.rate_limit));
}

#[test]
fn without_behavior_going_down_waits_for_the_highest_of_the_window() {
    without(&[], 5, &expect!["5 [5]"]);
    without(&[(4, 120.0), (5, 60.0)], 3, &expect!["5 [4, 5, 3]"]);
    without(&[(1, 120.0), (2, 60.0)], 3, &expect!["3 [1, 2, 3]"]);
    // What is exactly as old as the window still counts, and the last older one makes room.
    without(&[(9, 300.0)], 3, &expect!["9 [9, 3]"]);
    without(&[(9, 300.1)], 3, &expect!["3 [3]"]);
    without(&[(10, 600.0), (9, 540.0)], 3, &expect!["3 [10, 3]"]);
    without(&[(10, 600.0), (4, 60.0), (5, 120.0), (9, 540.0)], 3, &expect!["5 [10, 4, 5, 3]"]);
    without(&[(7, 10.0)], 9, &expect!["9 [7, 9]"]);
}

#[test]
fn without_behavior_one_pass_may_double_or_reach_four() {
    let row = |current, proposal, expected: &Expect| {
        let limited = limit_without(&flags(), current, proposal, (2, 50));
        expected.assert_eq(&format!("{} {:?} {:?}", limited.replicas, limited.limit, limited.rate_limit));
    };
    row(5, 7, &expect!["7 Within Some(10)"]);
    row(1, 9, &expect!["4 RateUp Some(4)"]);
    row(2, 9, &expect!["4 RateUp Some(4)"]);
    row(3, 9, &expect!["6 RateUp Some(6)"]);
    row(30, 70, &expect!["50 Maximum Some(60)"]);
    row(25, 70, &expect!["50 Maximum Some(50)"]);
    row(24, 70, &expect!["48 RateUp Some(48)"]);
    row(9, 1, &expect!["2 Minimum Some(18)"]);
    row(9, 2, &expect!["2 Within Some(18)"]);
    row(0, 40, &expect!["4 RateUp Some(4)"]);
    let eight = Flags { scale_up_factor: 8.0, ..flags() };
    assert_eq!(limit_without(&eight, 3, 1000, (1, 2000)).replicas, 24);
}

#[test]
fn with_behavior_both_windows_can_hold_the_count() {
    with(&[], (0, 300), 10, 5, &expect!["5 of 5..5 [5]"]);
    with(&[(10, 60.0)], (0, 300), 10, 5, &expect!["10 of 5..10 [10, 5]"]);
    with(&[(7, 60.0)], (0, 300), 10, 5, &expect!["7 of 5..7 [7, 5]"]);
    // What is exactly as old as the window does not count any more.
    with(&[(7, 300.0)], (0, 300), 10, 5, &expect!["5 of 5..5 [7, 5]"]);
    with(&[(7, 299.9)], (0, 300), 10, 5, &expect!["7 of 5..7 [7, 5]"]);
    with(&[(4, 120.0), (5, 60.0)], (300, 0), 1, 7, &expect!["4 of 4..7 [4, 5, 7]"]);
    with(&[(4, 120.0), (5, 60.0)], (90, 0), 1, 7, &expect!["5 of 5..7 [7, 5]"]);
    // Up now, but low lately: as far as the lowest, and never below what there is.
    with(&[(1, 60.0)], (300, 300), 2, 3, &expect!["2 of 1..3 [1, 3]"]);
    with(&[(3, 60.0)], (300, 300), 2, 1, &expect!["2 of 1..3 [3, 1]"]);
    with(&[(9, 60.0)], (300, 300), 2, 5, &expect!["5 of 5..9 [9, 5]"]);
    with(&[(9, 60.0), (1, 30.0)], (300, 300), 4, 4, &expect!["4 of 1..9 [9, 1, 4]"]);
    // One that is young for either window is kept, and of the old ones the last makes room.
    with(
        &[(10, 6000.0), (6, 60.0), (5, 120.0), (9, 200.0)],
        (150, 300),
        1,
        100,
        &expect!["5 of 5..100 [100, 6, 5, 9]"],
    );
    with(&[(10, 600.0), (9, 540.0), (8, 10.0)], (0, 300), 10, 3, &expect!["8 of 3..8 [10, 3, 8]"]);
    with(&[(10, 600.0), (9, 540.0)], (0, 0), 10, 3, &expect!["3 of 3..3 [10, 3]"]);
}

#[test]
fn the_window_downwards_is_the_controllers_where_none_is_written() {
    let row = |flag: f64| {
        let flags = Flags { downscale_stabilization_seconds: flag, ..flags() };
        let mut memory = Memory { recommendations: log(&[(8, 100.0)]), ..Memory::default() };
        memory.stabilize_with(&Behavior::default(), &flags, 9, 2, NOW).replicas
    };
    assert_eq!([row(300.0), row(100.5), row(60.0)], [8, 2, 2]); // whole seconds
}

#[test]
fn policies_by_pods_and_by_percent() {
    use Select::{Disabled, Max, Min};
    let (pods, percent) = (Policy::pods, Policy::percent);
    limited(Max, &[pods(3, 60)], (10, 50), &[], &[], &expect!["13 RateUp Some(13)"]);
    limited(Max, &[pods(3, 60)], (10, 2), &[], &[], &expect!["7 RateDown Some(7)"]);
    limited(Max, &[pods(3, 60)], (10, 12), &[], &[], &expect!["12 Within Some(13)"]);
    limited(Max, &[pods(3, 60)], (10, 10), &[], &[], &expect!["10 Within None"]);
    // Percent: up to the next count, down to the next one towards zero.
    limited(Max, &[percent(10, 60)], (11, 50), &[], &[], &expect!["13 RateUp Some(13)"]);
    limited(Max, &[percent(10, 60)], (11, 1), &[], &[], &expect!["9 RateDown Some(9)"]);
    limited(Max, &[percent(1, 60)], (3, 50), &[], &[], &expect!["4 RateUp Some(4)"]);
    limited(Max, &[percent(1, 60)], (3, 1), &[], &[], &expect!["2 RateDown Some(2)"]);
    limited(Max, &[percent(100, 60)], (7, 1), &[], &[], &expect!["1 Within Some(0)"]);
    limited(Max, &[percent(100, 60)], (7, 0), &[], &[], &expect!["1 Minimum Some(0)"]);
    limited(Max, &[percent(1000, 60)], (7, 5), &[], &[], &expect!["5 Within Some(-63)"]);
    limited(Max, &[percent(900, 60)], (7, 500), &[], &[], &expect!["70 RateUp Some(70)"]);
    limited(Max, &[pods(2, 60), percent(50, 60)], (10, 50), &[], &[], &expect!["15 RateUp Some(15)"]);
    limited(Min, &[pods(2, 60), percent(50, 60)], (10, 50), &[], &[], &expect!["12 RateUp Some(12)"]);
    limited(Max, &[pods(2, 60), percent(50, 60)], (10, 1), &[], &[], &expect!["5 RateDown Some(5)"]);
    limited(Min, &[pods(2, 60), percent(50, 60)], (10, 1), &[], &[], &expect!["8 RateDown Some(8)"]);
    limited(Disabled, &[pods(2, 60)], (10, 50), &[], &[], &expect!["10 RateUp Some(10)"]);
    limited(Disabled, &[pods(2, 60)], (10, 1), &[], &[], &expect!["10 RateDown Some(10)"]);
    // Bounds are nearer than the policies.
    limited(Max, &[pods(500, 60)], (900, 2000), &[], &[], &expect!["1000 Maximum Some(1400)"]);
    limited(Max, &[pods(500, 60)], (100, 0), &[], &[], &expect!["1 Minimum Some(-400)"]);
    limited(Max, &[pods(100, 60)], (900, 2000), &[], &[], &expect!["1000 Maximum Some(1000)"]);
    // From nothing percent goes nowhere.
    limited(Max, &[percent(100, 60)], (0, 5), &[], &[], &expect!["0 RateUp Some(0)"]);
    limited(Max, &[percent(100, 60), pods(4, 60)], (0, 5), &[], &[], &expect!["4 RateUp Some(4)"]);
}

#[test]
fn past_changes_of_both_directions_count_in_a_period() {
    use Select::{Max, Min};
    let (pods, percent) = (Policy::pods, Policy::percent);
    limited(Max, &[pods(5, 60)], (100, 500), &[(3, 30.0)], &[], &expect!["102 RateUp Some(102)"]);
    // A change exactly as old as the period is over.
    limited(Max, &[pods(5, 60)], (100, 500), &[(3, 60.0)], &[], &expect!["105 RateUp Some(105)"]);
    limited(Max, &[pods(5, 60)], (100, 500), &[(3, 59.9)], &[], &expect!["102 RateUp Some(102)"]);
    // Used up: it stays, and does not go back.
    limited(Max, &[pods(5, 60)], (100, 500), &[(9, 30.0)], &[], &expect!["100 RateUp Some(100)"]);
    limited(
        Max,
        &[percent(200, 120)],
        (100, 500),
        &[(1, 100.0), (5, 60.0), (9, 20.0)],
        &[],
        &expect!["255 RateUp Some(255)"],
    );
    limited(Max, &[percent(300, 300)], (6, 24), &[(4, 60.0)], &[(2, 60.0)], &expect!["16 RateUp Some(16)"]);
    limited(Max, &[pods(5, 60)], (100, 500), &[], &[(3, 30.0)], &expect!["108 RateUp Some(108)"]);
    limited(Max, &[pods(5, 60)], (100, 2), &[], &[(3, 30.0)], &expect!["98 RateDown Some(98)"]);
    limited(Max, &[pods(5, 60)], (100, 2), &[], &[(15, 30.0)], &expect!["100 RateDown Some(100)"]);
    limited(
        Max,
        &[percent(50, 120)],
        (100, 2),
        &[],
        &[(2, 100.0), (4, 60.0), (6, 20.0)],
        &expect!["56 RateDown Some(56)"],
    );
    limited(Max, &[percent(50, 180)], (10, 1), &[(2, 60.0)], &[(4, 60.0)], &expect!["6 RateDown Some(6)"]);
    limited(Max, &[pods(5, 60)], (100, 2), &[(3, 30.0)], &[], &expect!["92 RateDown Some(92)"]);
    // Each policy has its own period.
    limited(
        Max,
        &[pods(10, 30), percent(10, 600)],
        (100, 500),
        &[(9, 60.0)],
        &[],
        &expect!["110 RateUp Some(110)"],
    );
    limited(
        Min,
        &[pods(10, 30), percent(10, 600)],
        (100, 500),
        &[(9, 60.0)],
        &[],
        &expect!["101 RateUp Some(101)"],
    );
}

#[test]
fn what_the_api_fills_in() {
    let behavior = Behavior::default();
    let memory = Memory::default();
    let limit = |current, proposal| memory.limit(&behavior, current, proposal, (1, 1000), NOW).replicas;
    assert_eq!([limit(1, 100), limit(3, 100), limit(4, 100), limit(10, 100)], [5, 7, 8, 20]);
    assert_eq!([limit(100, 1), limit(3, 1)], [1, 1]);
    assert_eq!((behavior.up.window_seconds, behavior.down.window_seconds), (Some(0), None));
}

#[test]
fn events_are_stored_in_place_of_outdated_ones() {
    let row = |entries: &[(i32, f64)], periods: (i32, i32), (before, after), expected: &Expect| {
        let policies = [Policy::pods(10, periods.0), Policy::percent(100, periods.1)];
        let rules = rules(Select::Max, &policies);
        let behavior = Behavior { up: rules.clone(), down: rules };
        let mut memory = Memory { up: events(entries), down: events(entries), ..Memory::default() };
        memory.store(&behavior, before, after, NOW);
        let text = |events: &[Event]| {
            let text =
                |event: &Event| format!("{}{}", event.change, if event.is_outdated { "!" } else { "" });
            events.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        expected.assert_eq(&format!("up {}, down {}", text(&memory.up), text(&memory.down)));
    };
    row(&[], (60, 60), (10, 15), &expect!["up 5, down "]);
    row(&[], (60, 60), (15, 10), &expect!["up , down 5"]);
    row(&[(7, 61.0)], (60, 60), (10, 15), &expect!["up 5, down 7"]);
    // Exactly as old as the longest period is not outdated yet.
    row(&[(7, 60.0)], (60, 60), (10, 15), &expect!["up 7 5, down 7"]);
    row(&[(7, 61.0)], (60, 120), (10, 15), &expect!["up 7 5, down 7"]);
    row(&[(7, 61.0), (6, 59.0)], (60, 30), (10, 15), &expect!["up 5 6, down 7 6"]);
    row(
        &[(8, 29.0), (6, 59.0), (7, 61.0), (9, 61.0)],
        (60, 30),
        (10, 15),
        &expect!["up 8 6 7! 5, down 8 6 7 9"],
    );
    row(
        &[(8, 29.0), (6, 59.0), (7, 61.0), (9, 61.0)],
        (60, 30),
        (15, 10),
        &expect!["up 8 6 7 9, down 8 6 7! 5"],
    );
}

#[test]
fn changes_in_a_period() {
    let some = events(&[(1, 100.0), (5, 60.0), (9, 20.0)]);
    let in_period = |seconds| change_in_period(&some, seconds, NOW);
    assert_eq!([in_period(10), in_period(60), in_period(61), in_period(1000)], [0, 9, 14, 15]);
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let policy = (any::<bool>(), 1..200_i32, 1..120_i32).prop_map(|(is_pods, value, period)| {
        if is_pods { Policy::pods(value, period) } else { Policy::percent(value, period) }
    });
    prop::collection::vec(policy, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is proposed, pass after pass: within the bounds, and in no period more than what one of the policies
    /// allows of what there was at its start (all of them, with `Min`).
    #[test]
    fn it_is_never_faster_than_its_policies(
        up in policies(), down in policies(), is_min in any::<bool>(),
        proposals in prop::collection::vec(0..300_i32, 1..60), start in 1..100_i32, step in 5..60_u32,
    ) {
        let select = if is_min { Select::Min } else { Select::Max };
        let behavior = Behavior { up: rules(select, &up), down: rules(select, &down) };
        let (mut memory, mut current) = (Memory::default(), start);
        let mut past = vec![];
        for (pass, proposal) in proposals.iter().enumerate() {
            let now = f64::from(step) * pass as f64;
            past.push((now, current));
            let wanted = memory.limit(&behavior, current, *proposal, (1, 200), now).replicas;
            prop_assert!((1..=200.max(start)).contains(&wanted));
            prop_assert!(wanted <= current || (*proposal >= wanted), "overshoots");
            prop_assert!(wanted >= current || (*proposal <= wanted), "undershoots");
            let policies = if wanted > current { &up } else { &down };
            let allowed = |policy: &Policy| {
                // What there was just after the last change that is as old as the period, or older.
                let before = past.iter().rev().find(|(at, _)| now - at >= f64::from(policy.period_seconds));
                let later = past.iter().find(|(at, _)| now - at < f64::from(policy.period_seconds));
                let base = later.or(before).map_or(start, |(_, count)| *count);
                match (policy.kind, wanted > current) {
                    (PolicyKind::Pods, true) => wanted - base <= policy.value,
                    (PolicyKind::Pods, false) => base - wanted <= policy.value,
                    (PolicyKind::Percent, true) =>
                        f64::from(wanted) < f64::from(base) * (1.0 + f64::from(policy.value) / 100.0) + 1.0,
                    (PolicyKind::Percent, false) =>
                        f64::from(wanted) > f64::from(base) * (1.0 - f64::from(policy.value) / 100.0) - 1.0,
                }
            };
            let is_fine = match select {
                Select::Min => policies.iter().all(allowed),
                _ => policies.iter().any(allowed),
            };
            prop_assert!(wanted == current || is_fine, "{current} -> {wanted} at {now}: {past:?}");
            if wanted != current {
                memory.store(&behavior, current, wanted, now);
                current = wanted;
            }
        }
    }

    /// Brute force: the window's extremes, whatever order the log is in.
    #[test]
    fn stabilization_is_the_extremes_of_the_windows(
        entries in prop::collection::vec((0..50_i32, 0..600_u32), 0..30), windows in (0..400_i32, 0..400_i32),
        current in 0..50_i32, proposal in 0..50_i32,
    ) {
        let entries: Vec<_> = entries.iter().map(|(count, ago)| (*count, f64::from(*ago))).collect();
        let mut behavior = Behavior::default();
        (behavior.up.window_seconds, behavior.down.window_seconds) = (Some(windows.0), Some(windows.1));
        let mut memory = Memory { recommendations: log(&entries), ..Memory::default() };
        let found = memory.stabilize_with(&behavior, &flags(), current, proposal, NOW).replicas;
        let young = |window: i32| entries.iter().filter(move |(_, ago)| *ago < f64::from(window)).map(|(count, _)| *count);
        let low = young(windows.0).min().unwrap_or(proposal).min(proposal);
        let high = young(windows.1).max().unwrap_or(proposal).max(proposal);
        prop_assert_eq!(found, current.max(low).min(high));
    }
}
