//! How fast the rules without a namesake's own limits may go: steps and the waits between them, and the window that
//! holds scaling in back. Those of the Kubernetes, KEDA, Knative, Google and AWS kinds stand beside their code and in
//! `hpa` and `aws`; bounds hold for every kind in `every_rule`.

use std::collections::VecDeque;

use proptest::prelude::*;
use tidegate_autoscalers::testing::{self, Desk, cpu};
use tidegate_core::{OperatorFacts, Replicas, Scrape};

fn facts() -> OperatorFacts {
    let mut facts = testing::facts();
    facts.pools[0].replicas_initial = 10;
    facts.pools[0].bounds.replicas_max = 60;
    facts
}

/// How long steps are, and how long the rule waits after one.
#[derive(Clone, Debug)]
struct Stepping {
    step: Replicas,
    share: f64,
    wait_out: f64,
    wait_in: f64,
}

fn stepping() -> impl Strategy<Value = Stepping> {
    (1..6_u32, 0.0..0.4_f64, 0.0..900.0_f64, 0.0..900.0_f64)
        .prop_map(|(step, share, wait_out, wait_in)| Stepping { step, share, wait_out, wait_in })
}

/// Load that stays for a while, so that waits run out.
fn spells() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((0.0..1.2_f64, 1..15_usize), 1..12)
        .prop_map(|spells| spells.into_iter().flat_map(|(level, n)| vec![level; n]).collect())
}

/// Every change is at most one step, and comes no sooner after the last one than the wait in its direction.
fn check_steps(
    kind: &str,
    parameters: &str,
    series: &[f64],
    startup_seconds: f64,
    most_out: impl Fn(Replicas) -> Replicas,
    most_in: impl Fn(Replicas) -> Replicas,
    (wait_out, wait_in): (f64, f64),
) -> Result<(), TestCaseError> {
    let facts = facts();
    let mut controller = testing::controller(kind, parameters, &facts);
    let mut desk = Desk { startup_seconds, ..Desk::new(&facts) };
    let mut changed_seconds = f64::NEG_INFINITY;
    for value in series {
        let share = Some(*value);
        desk.see(Scrape {
            memory_utilization: share,
            network_utilization: share,
            disk_utilization: share,
            ..cpu(*value)
        });
        let declared = desk.pools[0].declared;
        let wanted = desk.decide(&mut *controller).targets[0].wanted;
        let since = desk.now_seconds - changed_seconds;
        if wanted > declared {
            prop_assert!(wanted - declared <= most_out(declared), "{kind}: {declared} became {wanted}");
            prop_assert!(since >= wait_out, "{kind}: out {since} s after a change");
        }
        if wanted < declared {
            prop_assert!(declared - wanted <= most_in(declared), "{kind}: {declared} became {wanted}");
            prop_assert!(since >= wait_in, "{kind}: in {since} s after a change");
        }
        if wanted != declared {
            changed_seconds = desk.now_seconds;
        }
        desk.wait(controller.period_seconds());
    }
    Ok(())
}

/// What scrapes show of a backlog and of the work that makes it.
fn demands() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((0.0..200.0_f64, 0.1..1.0_f64), 2..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_step_is_as_long_as_it_says_and_the_next_one_waits(
        series in spells(), startup in 0.0..400.0_f64, stepping in stepping(),
    ) {
        let Stepping { step, share, wait_out, wait_in } = stepping;
        let most = |declared: Replicas| step.max((share * f64::from(declared)).ceil() as Replicas);
        let size = format!("step = {step}\nstep_share = {share:?}\n");
        let waits = format!("cooldown_out_seconds = {wait_out:?}\ncooldown_in_seconds = {wait_in:?}\n");
        let both = (wait_out, wait_in);
        check_steps("threshold", &format!("{size}{waits}"), &series, startup, most, most, both)?;

        let policy = "policies = [{ metric = \"cpu\", high = 0.8, low = 0.5 }]";
        let text = format!("{size}cooldown_seconds = {wait_out:?}\n{policy}");
        check_steps("metric_vote", &text, &series, startup, most, most, (wait_out, wait_out))?;

        let text = format!("{waits}step_out_max = {}\nstep_in_max = {step}", 2 * step);
        check_steps("multi_dimensional", &text, &series, startup, |_| 2 * step, |_| step, both)?;
    }

    /// Beside a twin without the window, which sees the same and is not obeyed: the count is the largest of what the
    /// twin asked for within the window, and of what was declared at the start as long as that is within it.
    #[test]
    fn scaling_in_waits_for_the_window(demands in demands(), window in 1.0..600.0_f64, startup in 0.0..120.0_f64) {
        let facts = facts();
        for (kind, name) in [
            ("queue_depth", "scale_in_window_seconds"),
            ("square_root_staffing", "scale_in_window_seconds"),
            ("gcp", "stabilization_seconds"),
        ] {
            let mut controller = testing::controller(kind, &format!("{name} = {window:?}"), &facts);
            let mut twin = testing::controller(kind, &format!("{name} = 0"), &facts);
            let mut desk = Desk { startup_seconds: startup, ..Desk::new(&facts) };
            let mut asked = VecDeque::new();
            for (queue, busy) in &demands {
                desk.see(Scrape {
                    requests_per_second: Some(queue * busy),
                    errors_per_second: Some(0.0),
                    queue_length: Some(*queue),
                    concurrency: Some(queue + 10.0 * busy),
                    ..cpu(*busy)
                });
                let now = desk.now_seconds;
                let free = twin.decide(&desk.observation());
                let declared = desk.pools[0].declared;
                let decision = desk.decide(&mut *controller);
                prop_assert_eq!(free.basis, decision.basis);
                desk.wait(controller.period_seconds());
                if free.basis == tidegate_core::Basis::Held {
                    continue;
                }
                if asked.is_empty() {
                    asked.push_back((now, declared));
                }
                asked.push_back((now, free.targets[0].wanted));
                asked.retain(|(at, _)| *at > now - window);
                let most = asked.iter().map(|(_, count)| *count).max();
                prop_assert_eq!(Some(decision.targets[0].wanted), most, "{} at {} s", kind, now);
            }
        }
    }
}
