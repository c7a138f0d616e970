//! The smallest plant that keeps every promise of the contract, so that the environment is tested for itself.
//!
//! Users of a tick are counted, not timed: what ready replicas cannot serve waits for the next tick and is late. A
//! launch takes four ticks.

use std::collections::VecDeque;

use tidegate_core::plant::Phase;
use tidegate_core::{
    Key, Needs, Observation, OperatorFacts, Plant, PoolStatus, PoolTarget, PoolTick, PoolUse, Replicas,
    Scenario, Scrape, Seed, ServiceStatistics, Stream, Tick, TickRecord,
};

const STARTUP_TICKS: u32 = 4;
const SERVED_PER_REPLICA: f64 = 120.0;

#[derive(Clone, Debug)]
pub struct CounterPlant {
    facts: OperatorFacts,
    arrival_ticks: u32,
    warm_up_ticks: u32,
    chance: Key,
    tick: Tick,
    now_seconds: f64,
    status: [PoolStatus; 1],
    /// For each launch, the tick from which it is ready.
    starting: VecDeque<u32>,
    waiting: f64,
    launches: u32,
    terminations: u32,
    scrapes: Vec<Scrape>,
    is_read: bool,
    record: TickRecord,
}

impl CounterPlant {
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            facts: scenario.facts(),
            arrival_ticks: scenario.arrival_ticks(),
            warm_up_ticks: scenario.warm_up_ticks,
            chance: Seed::training(0).key(Stream::Demand),
            tick: Tick(0),
            now_seconds: 0.0,
            status: [PoolStatus::default()],
            starting: VecDeque::with_capacity(scenario.pools[0].bounds.replicas_max as usize),
            waiting: 0.0,
            launches: 0,
            terminations: 0,
            scrapes: Vec::with_capacity(8),
            is_read: false,
            record: TickRecord { pools: vec![PoolTick::default()], ..TickRecord::default() },
        }
    }

    fn arrivals(&self) -> f64 {
        let day = f64::from(self.tick.0) / 100.0;
        let mean = 600.0 * (1.0 + 0.8 * day.sin());
        (mean * (0.5 + self.chance.uniform(u64::from(self.tick.0), 0))).round()
    }
}

impl Plant for CounterPlant {
    fn facts(&self) -> &OperatorFacts {
        &self.facts
    }

    fn reset(&mut self, seed: Seed) {
        self.chance = seed.key(Stream::Demand);
        self.tick = Tick(0);
        self.now_seconds = 0.0;
        let initial = self.facts.pools[0].replicas_initial;
        self.status = [PoolStatus {
            declared: initial,
            observed: initial,
            ready: initial,
            bounds: self.facts.pools[0].bounds,
            replica_size: 1.0,
            route_weight: 1.0,
            dollars_per_replica_hour: self.facts.pools[0].dollars_per_replica_hour,
            ..PoolStatus::default()
        }];
        self.starting.clear();
        self.waiting = 0.0;
        self.scrapes.clear();
    }

    fn now_seconds(&self) -> f64 {
        self.now_seconds
    }

    fn phase(&self) -> Phase {
        match self.tick.0 {
            tick if tick < self.warm_up_ticks => Phase::WarmUp,
            tick if tick < self.arrival_ticks => Phase::Horizon,
            _ if self.waiting > 0.0 => Phase::Draining,
            _ => Phase::Done,
        }
    }

    fn apply(&mut self, targets: &[PoolTarget]) {
        let status = &mut self.status[0];
        status.declared = targets[0].wanted;
        (self.launches, self.terminations) = (0, 0);
        while status.ready + self.starting.len() as Replicas > status.declared {
            self.terminations += 1;
            if self.starting.pop_back().is_none() {
                status.ready -= 1;
            }
        }
        while status.ready + (self.starting.len() as Replicas) < status.declared {
            self.launches += 1;
            self.starting.push_back(self.tick.0 + STARTUP_TICKS);
        }
        status.starting = self.starting.len() as Replicas;
        status.observed = status.ready + status.starting;
    }

    fn advance(&mut self, until_seconds: f64) {
        self.now_seconds = until_seconds;
    }

    fn close_tick(&mut self) -> &TickRecord {
        let tick_seconds = self.facts.tick_seconds;
        let phase = self.phase();
        let arrived = if phase == Phase::Draining { 0.0 } else { self.arrivals() };
        while self.starting.front().is_some_and(|ready_from| *ready_from <= self.tick.0) {
            self.starting.pop_front();
            self.status[0].ready += 1;
        }
        self.status[0].starting = self.starting.len() as Replicas;
        let ready = f64::from(self.status[0].ready);
        let capacity = ready * SERVED_PER_REPLICA;
        let late = self.waiting.min(capacity);
        let succeeded = (self.waiting + arrived).min(capacity);
        self.waiting += arrived - succeeded;
        self.record.tick = self.tick;
        self.record.phase = phase;
        self.record.users.arrived = arrived;
        self.record.users.succeeded = succeeded;
        self.record.users.pending = self.waiting;
        self.record.service = ServiceStatistics {
            users: succeeded,
            users_above: late,
            latency_seconds: late * tick_seconds,
            ..ServiceStatistics::default()
        };
        self.record.pools[0] = PoolTick {
            wanted: self.status[0].declared,
            ready: self.status[0].ready,
            starting: self.status[0].starting,
            ready_seconds: ready * tick_seconds,
            slot_seconds: ready * tick_seconds,
            busy_slot_seconds: ready * tick_seconds * if capacity > 0.0 { succeeded / capacity } else { 0.0 },
            launches: self.launches,
            terminations: self.terminations,
            usage: PoolUse {
                billed_replica_seconds: f64::from(self.status[0].observed) * tick_seconds,
                dollars_per_replica_hour: self.status[0].dollars_per_replica_hour,
                ..PoolUse::default()
            },
            ..PoolTick::default()
        };
        self.record.charge = self.facts.prices.charge(&self.record.service, &[self.record.pools[0].usage]);
        if self.is_read {
            self.scrapes.clear();
            self.is_read = false;
        }
        self.scrapes.push(Scrape {
            at_seconds: self.now_seconds,
            window_seconds: tick_seconds,
            requests_per_second: Some(arrived / tick_seconds),
            cpu_utilization: Some(self.record.utilization()),
            queue_length: Some(self.waiting),
            ..Scrape::default()
        });
        self.tick = self.tick.next();
        &self.record
    }

    fn observe(&mut self, _needs: Needs) -> Observation<'_> {
        let scrapes = if self.is_read { &[] } else { self.scrapes.as_slice() };
        self.is_read = true;
        Observation {
            now_seconds: self.now_seconds,
            tick: self.tick,
            calendar: &self.facts.calendar,
            scrapes,
            external: &[],
            pools: &self.status,
            replicas: &[],
            notices: &[],
            carbon_grams_per_kwh: None,
        }
    }

    fn latency_quantile_seconds(&self, _p: f64) -> Option<f64> {
        None
    }
}
