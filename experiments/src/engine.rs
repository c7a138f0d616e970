//! One run on the chosen plant, with the time that its decisions took.

use std::time::{Duration, Instant};

use tidegate_core::{Controller, ControllerStream, Decision, Needs, Observation, Scenario, Seed};
use tidegate_sim::fluid::FluidPlant;
use tidegate_sim::request::RequestPlant;
use tidegate_sim::{RunSummary, Watch, run};

use crate::cli::Engine;

/// Runs `controller` on a fresh plant in the world of `seed`.
pub fn simulate(
    engine: Engine,
    scenario: &Scenario,
    controller: &mut dyn Controller,
    seed: Seed,
    watch: &mut dyn Watch,
) -> RunSummary {
    match engine {
        Engine::Request => run(&mut RequestPlant::new(scenario), controller, seed, watch),
        Engine::Fluid => run(&mut FluidPlant::new(scenario), controller, seed, watch),
    }
}

/// A controller whose decisions are timed.
pub struct Timed<'a> {
    controller: &'a mut dyn Controller,
    elapsed: Duration,
    n_decisions: u64,
}

impl<'a> Timed<'a> {
    /// Nothing timed yet.
    pub fn new(controller: &'a mut dyn Controller) -> Self {
        Self { controller, elapsed: Duration::ZERO, n_decisions: 0 }
    }

    /// Mean wall time of a decision; 0 before the first.
    pub fn microseconds_per_decision(&self) -> f64 {
        self.elapsed.as_secs_f64() * 1e6 / self.n_decisions.max(1) as f64
    }
}

impl Controller for Timed<'_> {
    fn period_seconds(&self) -> f64 {
        self.controller.period_seconds()
    }

    fn needs(&self) -> Needs {
        self.controller.needs()
    }

    fn reset(&mut self, chance: ControllerStream) {
        self.controller.reset(chance);
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let begun = Instant::now();
        let decision = self.controller.decide(observation);
        self.elapsed += begun.elapsed();
        self.n_decisions += 1;
        decision
    }

    fn explain(&self, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
        self.controller.explain(out)
    }
}
