//! Limits of the AWS kinds, whatever the load: never outside the bounds, never faster than their policies allow. What
//! they do with lost data is tested in `every_rule` and, alarm by alarm, in the crate.

use proptest::prelude::*;
use tidegate_autoscalers::testing::{self, Desk, cpu};
use tidegate_core::{OperatorFacts, Replicas};

/// One minute as the group saw it, and what it wanted then.
#[derive(Clone, Copy, Debug)]
struct Minute {
    utilization: Option<f64>,
    desired: Replicas,
    ready: Replicas,
    starting: Replicas,
    wanted: Replicas,
}

fn series() -> impl Strategy<Value = Vec<f64>> {
    // Spells of load, so that alarms of fifteen minutes go off too.
    let spell = (0.0..1.5_f64, 1..25_usize, 0.0..0.3_f64);
    prop::collection::vec(spell, 1..8).prop_map(|spells| {
        let each = spells.into_iter().flat_map(|(level, minutes, step)| {
            (0..minutes).map(move |minute| (level + step * (minute % 3) as f64 - step).max(0.0))
        });
        each.collect()
    })
}

fn facts() -> OperatorFacts {
    let mut facts = testing::facts();
    facts.pools[0].replicas_initial = 10;
    facts.pools[0].bounds.replicas_min = 2;
    facts.pools[0].bounds.replicas_max = 60;
    facts
}

fn drive(kind: &str, parameters: &str, startup_seconds: f64, series: &[f64]) -> Vec<Minute> {
    let facts = facts();
    let mut controller = testing::controller(kind, parameters, &facts);
    let mut desk = Desk { startup_seconds, ..Desk::new(&facts) };
    let minutes = series.iter().map(|utilization| {
        let scrape = cpu(*utilization);
        desk.see(scrape);
        let before = desk.pools[0];
        let wanted = desk.decide(&mut *controller).targets[0].wanted;
        assert!((2..=60).contains(&wanted), "{wanted} is outside the bounds");
        desk.wait(60.0);
        Minute {
            utilization: scrape.cpu_utilization,
            desired: before.declared,
            ready: before.ready,
            starting: before.starting,
            wanted,
        }
    });
    minutes.collect()
}

/// The last `n` minutes up to this one, if there are so many, all on one side.
fn all_lately(minutes: &[Minute], now: usize, n: usize, breaches: impl Fn(f64) -> bool) -> bool {
    now + 1 >= n && minutes[now + 1 - n..=now].iter().all(|minute| minute.utilization.is_some_and(&breaches))
}

fn at_target(capacity: Replicas, utilization: f64) -> Replicas {
    (f64::from(capacity) * utilization / 0.5 - 1e-9).ceil() as Replicas
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn target_tracking_needs_its_alarms(series in series(), startup in 0.0..400.0_f64) {
        for kind in ["aws_target_tracking", "ecs_target_tracking"] {
            let minutes = drive(kind, "", startup, &series);
            for (now, minute) in minutes.iter().enumerate() {
                if minute.wanted > minute.desired {
                    prop_assert!(all_lately(&minutes, now, 3, |value| value > 0.5));
                    let utilization = minute.utilization.expect("it breached");
                    prop_assert!(minute.wanted <= at_target(minute.desired, utilization));
                    if kind == "aws_target_tracking" {
                        prop_assert!(minute.wanted <= at_target(minute.ready, utilization));
                    }
                }
                if minute.wanted < minute.desired {
                    prop_assert!(all_lately(&minutes, now, 15, |value| value < 0.45));
                    let utilization = minute.utilization.expect("it breached");
                    prop_assert!(minute.wanted >= at_target(minute.desired, utilization));
                    prop_assert!(kind != "aws_target_tracking" || minute.starting == 0);
                }
            }
        }
    }

    #[test]
    fn ecs_waits_after_every_scale_in(series in series()) {
        let minutes = drive("ecs_target_tracking", "datapoints_in = 1\nscale_in_cooldown_seconds = 240", 0.0, &series);
        let mut last_in: Option<usize> = None;
        for (now, minute) in minutes.iter().enumerate() {
            if minute.wanted < minute.desired {
                prop_assert!(last_in.is_none_or(|last| now - last >= 4));
                last_in = Some(now);
            } else if minute.wanted > minute.desired {
                last_in = None;
            }
        }
    }

    #[test]
    fn steps_go_no_farther_than_they_say(series in series(), startup in 0.0..400.0_f64) {
        let minutes = drive("aws_step", "datapoints_out = 1\ndatapoints_in = 2", startup, &series);
        for (now, minute) in minutes.iter().enumerate() {
            if minute.wanted > minute.desired {
                let most = f64::from(minute.ready) + (0.3 * f64::from(minute.ready)).max(1.0);
                prop_assert!(f64::from(minute.wanted) <= most + 1e-9);
                prop_assert!(all_lately(&minutes, now, 1, |value| value >= 0.6));
            }
            if minute.wanted < minute.desired {
                let least = f64::from(minute.ready) - (0.3 * f64::from(minute.ready)).max(1.0);
                prop_assert!(f64::from(minute.wanted) >= least - 1e-9);
                prop_assert!(all_lately(&minutes, now, 2, |value| value <= 0.4));
                prop_assert_eq!(minute.starting, 0);
            }
        }
    }

    #[test]
    fn simple_policies_wait_for_activity_and_cooldown(series in series(), startup in 0.0..400.0_f64) {
        let minutes = drive("aws_simple", "datapoints_out = 1\ndatapoints_in = 1", startup, &series);
        let mut quiet_since: Option<usize> = None;
        for (now, minute) in minutes.iter().enumerate() {
            if minute.starting > 0 {
                quiet_since = Some(now);
            }
            if minute.wanted == minute.desired {
                continue;
            }
            prop_assert!(quiet_since.is_none_or(|since| now - since >= 5), "minute {}", now);
            let change = f64::from(minute.wanted) - f64::from(minute.desired);
            let most = if change > 0.0 { 0.3 } else { 0.1 } * f64::from(minute.desired);
            prop_assert!(change.abs() <= most.max(1.0) + 1e-9);
            quiet_since = Some(now);
        }
    }

    #[test]
    fn a_warm_pool_and_the_group_together_stay_within_what_is_prepared(series in series(), most in 2..60_u32) {
        let mut facts = facts();
        facts.pools[0].warm_max = 60;
        let mut controller =
            testing::controller("aws", &format!("warm_pool_prepared_max = {most}"), &facts);
        let mut desk = Desk::new(&facts);
        for utilization in series {
            desk.see(cpu(utilization));
            let target = desk.decide(&mut *controller).targets[0];
            let warm = target.warm.expect("the pool has a warm pool");
            prop_assert!(warm == 0 || target.wanted + warm == most);
            desk.wait(60.0);
        }
    }
}
