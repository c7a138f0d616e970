//! The receding-horizon controller against a service that does what it is told: no chance, a load that the test gives.

use std::num::NonZeroU32;

use tidegate_core::demand::Demand;
use tidegate_core::forecast::Paths;
use tidegate_core::identification::{Identification, Latencies};
use tidegate_core::response::{BacklogWait, Service};
use tidegate_core::scenario::EXAMPLE;
use tidegate_core::{
    Basis, Calendar, Controller, ControllerStream, Decision, Forecaster, Observation, OperatorFacts,
    PoolStatus, Quantiles, Replicas, ResponseModel, ResponseTime, Scenario, Scrape, Seed, ServiceLevel, Tick,
};
use tidegate_mpc::ModelPredictive;
use tidegate_mpc::controller::Settings;

/// A replica serves four requests a second, and nobody waits before the fleet is full.
const REPLICA: f64 = 4.0;

#[derive(Clone)]
struct Fluid {
    level: ServiceLevel,
    tick_seconds: f64,
    is_known: bool,
}

impl ResponseModel for Fluid {
    type State = f64;
    fn tick_seconds(&self) -> f64 {
        self.tick_seconds
    }
    fn level(&self) -> &ServiceLevel {
        &self.level
    }
    fn rest(&self, _: f64, _: f64) -> f64 {
        0.0
    }
    fn respond(&self, backlog: &f64, load: f64, ready: f64) -> (ResponseTime, f64) {
        let capacity = (REPLICA * ready).max(1e-6);
        let after = (backlog + (load - capacity) * self.tick_seconds).max(0.0);
        let behind =
            BacklogWait { share: 1.0, first_seconds: backlog / capacity, last_seconds: after / capacity };
        let time = ResponseTime {
            overhead_seconds: 0.0,
            service: Service::new(0.01, 1e-6),
            delay_probability: 0.0,
            decay_per_second: 1.0,
            backlog: if after > 0.0 || *backlog > 0.0 { behind } else { BacklogWait::default() },
        };
        (time, after)
    }
}

impl Identification for Fluid {
    type Model = Self;
    fn observe(&mut self, _: &Observation<'_>) {}
    fn model(&self) -> &Self {
        self
    }
    fn revision(&self) -> u64 {
        0
    }
    fn is_known(&self) -> bool {
        self.is_known
    }
    fn replica_requests_per_second(&self) -> f64 {
        REPLICA
    }
    fn backlog_requests(&self) -> f64 {
        0.0
    }
    fn last_latency_seconds(&self) -> Option<Latencies> {
        None
    }
}

/// Says what will come, step by step from the run's start.
struct Told(Vec<f64>, usize);

impl Forecaster for Told {
    fn reset(&mut self, _: Calendar, _: ControllerStream) {
        self.1 = 0;
    }
    fn observe(&mut self, _: Option<f64>) {
        self.1 += 1;
    }
    fn refit(&mut self) {}
    fn forecast(&self, horizon: NonZeroU32, into: &mut Quantiles) {
        into.values.clear();
        let last = self.0.len() - 1;
        into.values.extend(
            (0..horizon.get() as usize)
                .map(|ahead| [self.0[(self.1 + ahead).min(last)]; Quantiles::LEVELS.len()]),
        );
    }
    fn paths(&mut self, _: NonZeroU32, into: &mut Paths) {
        into.values.clear();
    }
}

struct Desk {
    facts: OperatorFacts,
    controller: ModelPredictive<Fluid>,
    load: Vec<f64>,
    /// Attempts a second that come again.
    retries: f64,
    now_seconds: f64,
    pool: PoolStatus,
    under_way: Vec<(f64, Replicas)>,
}

impl Desk {
    /// The example's pool of 1 to 20 replicas that start in 60 s, ticks of 15 s.
    fn new(load: &[f64], is_known: bool, change: impl FnOnce(&mut Settings)) -> Self {
        let mut facts = Scenario::parse(EXAMPLE).expect("the example is right").facts();
        facts.prices.level.bound_seconds = 0.05;
        let mut settings = Settings::new(&facts);
        change(&mut settings);
        let service = Fluid { level: facts.prices.level, tick_seconds: settings.stage_seconds, is_known };
        let ahead_seconds = settings.n_stages as f64 * settings.stage_seconds;
        let told = Box::new(Told(load.to_vec(), 0));
        let demand = Demand::new(told, Vec::new(), facts.calendar, 15.0, 300.0, ahead_seconds);
        let mut controller = ModelPredictive::new(&facts, settings, service, demand);
        controller.reset(Seed::training(0).controller(0));
        let initial = facts.pools[0].replicas_initial;
        let pool =
            PoolStatus { declared: initial, observed: initial, ready: initial, ..PoolStatus::default() };
        let pool = PoolStatus { dollars_per_replica_hour: facts.pools[0].dollars_per_replica_hour, ..pool };
        Self {
            facts,
            controller,
            load: load.to_vec(),
            retries: 0.0,
            now_seconds: 0.0,
            pool,
            under_way: Vec::new(),
        }
    }

    /// One decision, carried out; time goes on by a tick.
    fn step(&mut self) -> Decision {
        let tick = (self.now_seconds / 15.0) as usize;
        let load = tick.checked_sub(1).map(|before| self.load[before.min(self.load.len() - 1)]);
        let scrape = Scrape {
            at_seconds: self.now_seconds,
            window_seconds: 15.0,
            requests_per_second: load.map(|load| load + self.retries),
            first_attempts_per_second: load,
            ..Scrape::default()
        };
        let scrapes = [scrape];
        let decision = self.controller.decide(&Observation {
            now_seconds: self.now_seconds,
            tick: Tick(tick as u32),
            calendar: &self.facts.calendar,
            scrapes: if load.is_some() { &scrapes } else { &[] },
            external: &[],
            pools: &[self.pool],
            replicas: &[],
            notices: &[],
            carbon_grams_per_kwh: None,
        });
        let wanted = decision.targets[0].wanted;
        self.pool.declared = wanted;
        let there = self.pool.ready + self.pool.starting;
        if wanted > there {
            self.under_way.push((self.now_seconds + 60.0, wanted - there));
        } else {
            let mut gone = there - wanted;
            for (_, count) in self.under_way.iter_mut().rev() {
                let called_back = gone.min(*count);
                (*count, gone) = (*count - called_back, gone - called_back);
            }
            self.pool.ready -= gone;
        }
        self.now_seconds += 15.0;
        let (now, ready) = (self.now_seconds, &mut self.pool.ready);
        self.under_way.retain(|(at, count)| {
            if *at <= now {
                *ready += count;
            }
            *at > now
        });
        self.pool.starting = self.under_way.iter().map(|(_, count)| count).sum();
        decision
    }
}

/// A closed form: with no chance at all, a bound far below a tick and a penalty far above the price, the cheapest plan has
/// ⌈λ/4⌉ ready at every tick, each ordered four ticks before it is needed and given up when it is not.
#[test]
fn with_a_true_forecast_capacity_is_there_when_the_load_is_and_not_before() {
    let mut load = vec![16.0; 40];
    load.extend([40.0; 40]);
    load.extend([12.0; 40]);
    let mut desk = Desk::new(&load, true, |_| {});
    for (tick, load) in load.iter().enumerate() {
        let ready = desk.pool.ready;
        let least = (load / REPLICA).ceil() as Replicas;
        // The first decision sees nothing; after the last change the end of the series is near.
        if tick > 2 {
            assert!(ready >= least, "tick {tick}: {ready} ready for {load} requests a second");
            // What is not needed from tick 80 on is given up at its beginning.
            assert!(ready == least || tick == 80, "tick {tick}: {ready} ready for {load} requests a second");
        }
        desk.step();
    }
    assert_eq!(desk.pool.ready, 3);
}

/// Whoever failed comes again: the fleet serves attempts, of which the forecast of users knows nothing. Beyond a tenth of
/// the demand, which may be noise, they are load: 10.4 a second for which there is no capacity until the order arrives
/// four stages later, 624 of them by then. Those are cleared within a stage, so ⌈(16 + 10.4 + 624/15)/4⌉ = 17 replicas.
#[test]
fn retries_are_served_beside_the_forecast() {
    for (retries, wanted) in [(0.0, 4), (1.5, 4), (12.0, 17)] {
        let mut desk = Desk::new(&[16.0; 400], true, |_| {});
        for _ in 0..20 {
            desk.step();
        }
        desk.retries = retries;
        assert_eq!(desk.step().targets[0].wanted, wanted, "{retries} retries a second");
    }
}

#[test]
fn it_says_what_stands_in() {
    let mut desk = Desk::new(&[4.0; 400], true, |_| {});
    let first = desk.step();
    assert_eq!((first.targets[0].wanted, first.basis), (4, Basis::Held));
    assert_eq!(desk.step().basis, Basis::Normal);

    // Known by the facts alone, nothing is taken away.
    let mut unknown = Desk::new(&[4.0; 400], false, |_| {});
    unknown.step();
    let decision = unknown.step();
    assert_eq!((decision.targets[0].wanted, decision.basis), (4, Basis::Fallback));

    // Steps of none cannot reach the minimum: the constraint is named, and the nearest count is the answer.
    let mut stuck = Desk::new(&[4.0; 400], true, |settings| settings.ramps = (0, 0));
    stuck.pool = PoolStatus { declared: 0, ready: 0, ..stuck.pool };
    stuck.step();
    stuck.pool = PoolStatus { declared: 0, ready: 0, ..stuck.pool };
    stuck.under_way.clear();
    stuck.pool.starting = 0;
    let decision = stuck.step();
    assert_eq!((decision.targets[0].wanted, decision.basis), (1, Basis::Fallback));
    let mut text = String::new();
    stuck.controller.explain(&mut text).expect("a string takes all");
    assert!(text.starts_with("no plan: start 0 cannot reach at least 1 at stage 0 by steps of 0"), "{text}");
}

/// The law, the moves and the plan are one dynamic programme: they agree, and no first move is cheaper than the plan's.
#[test]
fn the_explicit_law_and_the_costs_of_other_moves_agree_with_the_plan() {
    let mut load = vec![16.0; 30];
    load.extend([30.0; 200]);
    let mut desk = Desk::new(&load, true, |_| {});
    for _ in 0..20 {
        desk.step();
    }
    let states = desk.pool.ready + desk.pool.starting;
    assert_eq!(desk.pool.starting, 0);
    let decision = desk.step();
    let wanted = decision.targets[0].wanted;
    let law = desk.controller.law().expect("there was a plan");
    assert_eq!(law.wanted[(states - law.states.low) as usize], Some(wanted));
    let least = desk.controller.move_dollars(wanted).expect("it is the plan's");
    assert!((law.dollars[(states - law.states.low) as usize] - least).abs() < 1e-12);
    for other in 1..=20 {
        let dollars = desk.controller.move_dollars(other).expect("it is within the bounds");
        assert!(dollars >= least - 1e-12, "{other} instead of {wanted}: {dollars} is below {least}");
    }
    let shadow = desk.controller.shadow_dollars(10).expect("there is a plan");
    assert!(shadow > 0.0, "one ready replica less would be missed: {shadow}");
}
