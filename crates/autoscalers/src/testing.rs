//! A desk for tests of controllers: observations from plain numbers, and a service that does what it is told.
//!
//! It is no simulation: utilization is what the test says, whatever the controller does. Replicas become ready a
//! fixed time after they were asked for and go at once.

use std::fmt::Write as _;

use tidegate_core::observation::{ExternalSample, ReplicaSample};
use tidegate_core::scenario::EXAMPLE;
use tidegate_core::{
    Basis, Controller, Decision, Observation, OperatorFacts, PoolStatus, Replicas, Scenario, Scrape, Seed,
    Tick,
};
use toml::Table;

use crate::catalog::{BoxedController, Catalog};

/// The facts of the example scenario: one pool `web`, 1 to 20 replicas of 4 slots, 4 at the start, 60 s to start.
///
/// # Panics
/// Never; the example is tested.
pub fn facts() -> OperatorFacts {
    Scenario::parse(EXAMPLE).expect("the example is right").facts()
}

/// The same with a second pool `spot`.
pub fn facts_of_two_pools() -> OperatorFacts {
    let mut facts = facts();
    let mut second = facts.pools[0].clone();
    second.name = "spot".into();
    facts.pools.push(second);
    facts
}

/// A controller of this kind with parameters written in TOML.
///
/// # Panics
/// With the complaint, if the parameters are wrong.
pub fn controller(kind: &str, parameters: &str, facts: &OperatorFacts) -> BoxedController {
    let table: Table = parameters.parse().expect("parameters are written in TOML");
    let built = Catalog::rules().build(kind, &table, facts);
    let mut controller = built.unwrap_or_else(|error| panic!("{kind}: {error}"));
    controller.reset(Seed::training(0).controller(0));
    controller
}

/// The service in front of the controller.
#[derive(Clone, Debug)]
pub struct Desk {
    /// What the operator knows.
    pub facts: OperatorFacts,
    /// What the API says; tests may change it.
    pub pools: Vec<PoolStatus>,
    /// Seconds since the start of the run.
    pub now_seconds: f64,
    /// Scrapes to be seen by the next decision.
    pub scrapes: Vec<Scrape>,
    /// External samples to be seen by the next decision.
    pub external: Vec<ExternalSample>,
    /// Replicas to be seen, one by one; left to the test.
    pub replicas: Vec<ReplicaSample>,
    /// Time from asked for to ready.
    pub startup_seconds: f64,
    /// (ready at, pool) of replicas on their way.
    pub starts: Vec<(f64, usize)>,
}

impl Desk {
    /// A desk with every pool at its initial size, at time 0.
    pub fn new(facts: &OperatorFacts) -> Self {
        let status = |pool: &tidegate_core::PoolFacts| PoolStatus {
            declared: pool.replicas_initial,
            observed: pool.replicas_initial,
            ready: pool.replicas_initial,
            bounds: pool.bounds,
            replica_size: 1.0,
            ..PoolStatus::default()
        };
        Self {
            facts: facts.clone(),
            pools: facts.pools.iter().map(status).collect(),
            now_seconds: 0.0,
            scrapes: Vec::new(),
            external: Vec::new(),
            replicas: Vec::new(),
            startup_seconds: 0.0,
            starts: Vec::new(),
        }
    }

    /// Lets the controller see this scrape, stamped with the present time.
    pub fn see(&mut self, scrape: Scrape) {
        let window_seconds = self.facts.scrape_seconds;
        self.scrapes.push(Scrape { at_seconds: self.now_seconds, window_seconds, ..scrape });
    }

    /// Asks the controller and does what it says.
    pub fn decide(&mut self, controller: &mut dyn Controller) -> Decision {
        let decision = controller.decide(&self.observation());
        for (index, target) in decision.targets.iter().enumerate() {
            self.declare(index, target.wanted);
            if let Some(bounds) = target.bounds {
                self.pools[index].bounds = bounds;
            }
        }
        self.scrapes.clear();
        self.external.clear();
        decision
    }

    /// What a controller would see now.
    pub fn observation(&self) -> Observation<'_> {
        Observation {
            now_seconds: self.now_seconds,
            tick: Tick((self.now_seconds / self.facts.tick_seconds) as u32),
            calendar: &self.facts.calendar,
            scrapes: &self.scrapes,
            external: &self.external,
            pools: &self.pools,
            replicas: &self.replicas,
            notices: &[],
            carbon_grams_per_kwh: None,
        }
    }

    /// Lets time pass; replicas that are due become ready.
    pub fn wait(&mut self, seconds: f64) {
        self.now_seconds += seconds;
        let due: Vec<_> = self.starts.iter().copied().filter(|(at, _)| *at <= self.now_seconds).collect();
        self.starts.retain(|(at, _)| *at > self.now_seconds);
        for (_, pool) in due {
            self.pools[pool].starting -= 1;
            self.pools[pool].ready += 1;
        }
    }

    fn declare(&mut self, index: usize, wanted: Replicas) {
        let pool = &mut self.pools[index];
        while pool.ready + pool.starting < wanted {
            pool.starting += 1;
            self.starts.push((self.now_seconds + self.startup_seconds, index));
        }
        while pool.ready + pool.starting > wanted {
            // Those that have not started yet go first, the youngest before the others.
            if let Some(youngest) = self.starts.iter().rposition(|(_, pool)| *pool == index) {
                self.starts.remove(youngest);
                pool.starting -= 1;
            } else {
                pool.ready -= 1;
            }
        }
        (pool.declared, pool.observed) = (wanted, wanted);
    }
}

/// A scrape that shows this cpu utilization and nothing else; a value that is no number was lost.
pub fn cpu(utilization: f64) -> Scrape {
    Scrape { cpu_utilization: Some(utilization).filter(|value| value.is_finite()), ..Scrape::default() }
}

/// Runs a controller over a series of scrapes, one a period, and gives what it wanted of the first pool after each,
/// with `?` where it held for want of data.
pub fn wanted(controller: &mut dyn Controller, desk: &mut Desk, series: &[Scrape]) -> String {
    let mut line = String::new();
    for scrape in series {
        desk.see(*scrape);
        let decision = desk.decide(controller);
        let held = if decision.basis == Basis::Held { "?" } else { "" };
        let space = if line.is_empty() { "" } else { " " };
        write!(line, "{space}{}{held}", decision.targets[0].wanted).expect("a string takes all");
        desk.wait(controller.period_seconds());
    }
    line
}

/// The same as one call: kind, parameters, series of cpu utilization, replicas ready at once.
pub fn wanted_by_cpu(kind: &str, parameters: &str, series: &[f64]) -> String {
    let facts = facts();
    let series: Vec<_> = series.iter().map(|utilization| cpu(*utilization)).collect();
    wanted(&mut *controller(kind, parameters, &facts), &mut Desk::new(&facts), &series)
}
