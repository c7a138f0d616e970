//! A controller along a whole run, decision by decision: when, from how many to how many, and why.

use std::fmt::{self, Display};

use chrono::SecondsFormat;
use serde::Serialize;
use tidegate_core::plant::Phase;
use tidegate_core::{
    Controller, ControllerStream, Decision, Needs, Observation, Replicas, Scenario, Seed, TickRecord,
};
use tidegate_sim::{RunSummary, Watch};

use crate::cli::Engine;
use crate::engine::simulate;
use crate::report::{dollars, number, percent};

/// One decision on one pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// By the clock on the wall.
    pub at: String,
    /// Since the start of the counted part; of a trace, since its first row.
    pub seconds: f64,
    /// Which pool.
    pub pool: String,
    /// Declared before.
    pub from: Replicas,
    /// Wanted now.
    pub to: Replicas,
    /// Ready at that time.
    pub ready: Replicas,
    /// Starting at that time.
    pub starting: Replicas,
    /// `normal`, `held`, `suboptimal` or `fallback`.
    pub basis: &'static str,
    /// Why, in a phrase.
    pub reason: String,
    /// Why, in as many lines as the controller has.
    pub working: Vec<String>,
}

impl Entry {
    /// Whether anything changes.
    pub fn is_change(&self) -> bool {
        self.from != self.to
    }
}

/// What a whole run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// As the report calls it.
    pub controller: String,
    /// On what.
    pub scenario: String,
    /// Which plant.
    pub engine: &'static str,
    /// Length of the counted part.
    pub seconds: f64,
    /// Decisions that changed a count.
    pub changes: u64,
    /// Changes against the direction of the last one within ten minutes.
    pub flaps: u64,
    /// Ready replicas, averaged over the counted part.
    pub replicas_mean: f64,
    /// The most that were ready at the end of a tick.
    pub replicas_max: Replicas,
    /// Dollars for replicas, energy and broken promises.
    pub dollars: f64,
    /// Share of users who came late or never.
    pub violating_share: f64,
    /// 95th percentile of their latency; null if so many gave up.
    pub latency_p95_seconds: f64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} on {} ({} engine), {}",
            self.controller,
            self.scenario,
            self.engine,
            super::duration(self.seconds)
        )?;
        writeln!(
            f,
            "{} changes, {} of them flaps; replicas {} on average, {} at most",
            self.changes,
            self.flaps,
            number(self.replicas_mean),
            self.replicas_max
        )?;
        writeln!(
            f,
            "${}; {} of the users late or lost; p95 {} s",
            dollars(self.dollars),
            percent(self.violating_share),
            number(self.latency_p95_seconds)
        )
    }
}

/// What is replayed.
#[derive(Clone, Copy)]
pub struct Replay<'a> {
    /// The controller's name, for the summary.
    pub name: &'a str,
    /// The service and its demand.
    pub scenario: &'a Scenario,
    /// Which plant.
    pub engine: Engine,
    /// Which world.
    pub seed: Seed,
}

impl Replay<'_> {
    /// Runs; `see` is shown every decision of the counted part, `progress` how many of its ticks are over.
    pub fn run(
        self,
        controller: &mut dyn Controller,
        see: &mut dyn FnMut(Entry),
        progress: &mut dyn FnMut(u64),
    ) -> Summary {
        let Scenario { tick_seconds, warm_up_ticks, horizon_ticks, .. } = *self.scenario;
        let begin_seconds = f64::from(warm_up_ticks) * tick_seconds;
        let seconds = f64::from(horizon_ticks) * tick_seconds;
        let pools = self.scenario.facts().pools.into_iter().map(|pool| pool.name).collect();
        let mut told = Told { controller, see, pools, begin_seconds, end_seconds: begin_seconds + seconds };
        let mut most = Most { ready: 0, n_ticks: 0, progress };
        let summary: RunSummary = simulate(self.engine, self.scenario, &mut told, self.seed, &mut most);
        Summary {
            controller: self.name.to_owned(),
            scenario: self.scenario.name.clone(),
            engine: self.engine.name(),
            seconds,
            changes: summary.scaling_actions,
            flaps: summary.flaps,
            replicas_mean: summary.ready_mean,
            replicas_max: most.ready,
            dollars: summary.charge.total(),
            violating_share: summary.violating_share(),
            latency_p95_seconds: summary.latency_p95_seconds,
        }
    }
}

/// A controller whose decisions are told as they are taken.
struct Told<'a> {
    controller: &'a mut dyn Controller,
    see: &'a mut dyn FnMut(Entry),
    pools: Vec<String>,
    begin_seconds: f64,
    end_seconds: f64,
}

impl Controller for Told<'_> {
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
        let decision = self.controller.decide(observation);
        let now = observation.now_seconds;
        if now < self.begin_seconds || now >= self.end_seconds {
            return decision;
        }
        let mut working = String::new();
        self.controller.explain(&mut working).expect("a string takes all");
        let at = observation.calendar.at(now).to_rfc3339_opts(SecondsFormat::AutoSi, true);
        for ((target, status), pool) in decision.targets.iter().zip(observation.pools).zip(&self.pools) {
            (self.see)(Entry {
                at: at.clone(),
                seconds: now - self.begin_seconds,
                pool: pool.clone(),
                from: status.declared,
                to: target.wanted,
                ready: status.ready,
                starting: status.starting,
                basis: decision.basis.name(),
                reason: decision.reason.to_string(),
                working: working.lines().map(str::to_owned).collect(),
            });
        }
        decision
    }
}

/// The most replicas, and how far the run is.
struct Most<'a> {
    ready: Replicas,
    n_ticks: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Watch for Most<'_> {
    fn tick(&mut self, record: &TickRecord) {
        if record.phase == Phase::Horizon {
            self.ready = self.ready.max(record.ready());
            self.n_ticks += 1;
            (self.progress)(self.n_ticks);
        }
    }
}
