//! What a decision of the kind `mpc` costs, all of it: identification, forecast, costs, solution.
//!
//! Goal: a median under 1 ms at 60 stages and 100 replicas, on web-diurnal with room for 100. The run fails where it
//! misses it. Refits of the model and of the forecaster fall on single decisions; the mean has them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_autoscalers::NamedController;
use tidegate_core::{Controller, ControllerStream, Decision, Observation, Scenario, Split};
use tidegate_experiments::cli::{Choice, Engine};
use tidegate_experiments::engine::simulate;
use tidegate_experiments::{controllers, scenarios};

const GOAL_MICROSECONDS: f64 = 1000.0;

/// The time of every decision.
struct Each<'a>(&'a mut dyn Controller, Vec<f64>);

impl Controller for Each<'_> {
    fn period_seconds(&self) -> f64 {
        self.0.period_seconds()
    }
    fn reset(&mut self, chance: ControllerStream) {
        self.0.reset(chance);
    }
    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let begun = Instant::now();
        let decision = self.0.decide(observation);
        self.1.push(begun.elapsed().as_secs_f64() * 1e6);
        decision
    }
}

fn decisions(_: &mut Criterion) {
    let choice = Choice { scenario: vec!["web-diurnal".into()], seeds: 1, ..Choice::default() };
    let studies = scenarios::chosen(&choice).expect("it is built in");
    let (scenario, seed) = studies[0].world(Split::Training, 0);
    let mut scenario = Scenario::clone(scenario);
    scenario.pools[0].bounds.replicas_max = 100;
    let named = NamedController::of_kind("mpc");
    let built =
        controllers::catalog_for(&studies[0]).build_named(&named, &scenario.controllers, &scenario.facts());
    let mut controller = built.expect("its defaults are right");
    let mut each = Each(&mut *controller, Vec::new());
    simulate(Engine::Request, &scenario, &mut each, seed, &mut ());
    let mut times = each.1;
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    times.sort_by(f64::total_cmp);
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{} decisions: median {median:.0} µs, mean {mean:.0} µs, 99 % {p99:.0} µs", times.len());
    assert!(median < GOAL_MICROSECONDS, "the median decision takes {median:.0} µs");
}

criterion_group!(benches, decisions);
criterion_main!(benches);
