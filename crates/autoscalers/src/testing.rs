//! A desk for tests of controllers: observations from plain numbers, and a service that does what it is told.
//!
//! It is no simulation: utilization is what the test says, whatever the controller does. Replicas become ready a
//! fixed time after they were asked for and go at once.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;

use tidegate_core::observation::{ExternalSample, ReplicaSample};
use tidegate_core::scenario::EXAMPLE;
use tidegate_core::{
    Basis, Calendar, Controller, ControllerStream, Decision, Forecaster, Observation, OperatorFacts, Paths,
    PoolStatus, Quantiles, Replicas, Scenario, Scrape, Seed, Tick,
};
use toml::Table;

use crate::catalog::{BoxedController, Catalog};
use crate::demand::Forecasters;
use crate::{combined, predictive, scryer};

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

/// The facts of a pool on demand and one on the spot market.
pub fn facts_of_a_market() -> OperatorFacts {
    let mut facts = facts_of_two_pools();
    facts.pools[0].bounds.replicas_min = 0;
    facts.pools[1].bounds.replicas_min = 0;
    facts.pools[1].spot_notice_seconds = Some(120.0);
    facts.pools[1].dollars_per_replica_hour *= 0.3;
    facts
}

/// All rules, and those that predict with a forecaster that repeats what it saw.
pub fn catalog() -> Catalog {
    let rules = Catalog::rules();
    rules
        .clone()
        .with(combined::kind(rules.clone(), forecasters(&[])))
        .with(predictive::kind(forecasters(&[])))
        .with(scryer::kind(rules, forecasters(&[])))
}

/// Forecasters of every name that say what they were told to, for every level alike, step by step from the run's
/// start; told nothing, they repeat the newest value. They know nothing before the first step.
pub fn forecasters(told: &[f64]) -> Forecasters {
    let told = told.to_vec();
    Forecasters {
        names: &["seasonal_naive_day", "last_value", "linear", "forest", "scryer"],
        make: Arc::new(move |_, _| Box::new(Told { series: told.clone(), n_steps: 0, newest: None })),
        history: Arc::new(|_, _| Vec::new()),
    }
}

struct Told {
    series: Vec<f64>,
    n_steps: usize,
    newest: Option<f64>,
}

impl Forecaster for Told {
    fn reset(&mut self, _start: Calendar, _chance: ControllerStream) {
        (self.n_steps, self.newest) = (0, None);
    }
    fn observe(&mut self, value: Option<f64>) {
        self.n_steps += 1;
        self.newest = value.or(self.newest);
    }
    fn refit(&mut self) {}
    fn forecast(&self, horizon: NonZeroU32, into: &mut Quantiles) {
        into.values.clear();
        let Some(newest) = self.newest else { return };
        into.values.extend((0..horizon.get() as usize).map(|ahead| {
            let place = (self.n_steps + ahead).min(self.series.len().saturating_sub(1));
            [self.series.get(place).copied().unwrap_or(newest); Quantiles::LEVELS.len()]
        }));
    }
    fn paths(&mut self, _horizon: NonZeroU32, into: &mut Paths) {
        into.values.clear();
    }
    fn method(&self) -> &'static str {
        "told"
    }
}

/// A controller of this kind with parameters written in TOML.
///
/// # Panics
/// With the complaint, if the parameters are wrong.
pub fn controller(kind: &str, parameters: &str, facts: &OperatorFacts) -> BoxedController {
    let table: Table = parameters.parse().expect("parameters are written in TOML");
    let built = catalog().build(kind, &table, facts);
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
            dollars_per_replica_hour: pool.dollars_per_replica_hour,
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

/// Whether docs/controllers.md shows this kind as it is, the documented parameters and defaults are the real ones, and
/// what a search proposes is right.
///
/// # Panics
/// If not.
pub fn check_handbook<P>(catalog: &Catalog, kind: &str)
where
    P: Default + serde::Serialize + serde::de::DeserializeOwned,
{
    use std::collections::BTreeSet;

    const DOCS: &str = include_str!("../../../docs/controllers.md");
    let found = catalog.list().iter().find(|known| known.about.kind == kind).expect("the kind is known");
    assert!(DOCS.contains(&found.table()), "docs/controllers.md lacks:\n{}", found.table());
    assert!(DOCS.contains(found.about.summary), "docs/controllers.md lacks: {}", found.about.summary);
    let unknown = Table::from_iter([("no_such_field".to_owned(), toml::Value::Boolean(true))]);
    let error = crate::catalog::read_parameters::<P>(&unknown).err().expect("the field is unknown");
    let expected = error.problem.split("expected").nth(1).unwrap_or_default();
    let real: BTreeSet<_> = expected.split('`').skip(1).step_by(2).collect();
    let documented: BTreeSet<_> = found.about.parameters.iter().map(|row| row.name).collect();
    assert_eq!(real, documented);
    let defaults = Table::try_from(P::default()).expect("parameters are a table");
    for row in found.about.parameters {
        let table: Option<Table> = (!row.default.starts_with('('))
            .then(|| format!("value = {}", row.default).parse().expect("a default is TOML"));
        assert_eq!(
            defaults.get(row.name),
            table.as_ref().and_then(|table| table.get("value")),
            "{}",
            row.name
        );
        for share in [0.0, 0.5, 1.0] {
            let Some(search) = row.search else { continue };
            let table = Table::from_iter([(row.name.to_owned(), search.value(share))]);
            catalog.check(kind, &table).expect("what a search proposes is right");
        }
    }
}
