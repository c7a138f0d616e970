//! A run of the simulated service as a log that models are identified on: a row a tick, from the plant and from its
//! sensors, under a controller or under an excitation.

use anyhow::ensure;
use rand::RngExt;
use serde::Serialize;
use tidegate_core::plant::Phase;
use tidegate_core::{
    Channel, Controller, ControllerStream, Decision, Needs, Observation, OperatorFacts, Reason, Record,
    Replicas, Scenario, Scrape, Seed, Stream, TickRecord,
};
use tidegate_sim::Watch;
use tidegate_sysid::excitation::{Staircase, prbs, staircase};

use crate::cli::Engine;
use crate::engine::simulate;

/// One counted tick. A gap is NaN, an empty cell in the file: nobody was served, or the sensor said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TickRow {
    /// Number of the tick since the start of the run, warm-up included.
    pub tick: u32,
    /// End of the tick, since the start of the run.
    pub time_seconds: f64,
    /// Users who arrived, a second.
    pub users_per_second: f64,
    /// Attempts offered, retries included, a second.
    pub attempts_per_second: f64,
    /// Ready replicas, averaged over the tick.
    pub ready: f64,
    /// Replicas wanted at the end of the tick.
    pub wanted: Replicas,
    /// Share of the ready slots in use.
    pub utilization: f64,
    /// Attempts waiting or in service, averaged over the tick.
    pub in_system: f64,
    /// Mean time from first attempt to success of the users who succeeded in the tick.
    #[serde(serialize_with = "gap")]
    pub latency_seconds: f64,
    /// Share of the users decided in the tick who came late or never.
    pub violating_share: f64,
    /// What the sensors said of the rate of attempts in scrapes that ended in the tick.
    #[serde(serialize_with = "gap")]
    pub scraped_requests_per_second: f64,
    /// The same of the cpu.
    #[serde(serialize_with = "gap")]
    pub scraped_cpu_utilization: f64,
    /// The same of the mean latency of an attempt at the server.
    #[serde(serialize_with = "gap")]
    pub scraped_latency_seconds: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn gap<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_nan() { serializer.serialize_none() } else { serializer.serialize_some(value) }
}

/// Runs a controller in the world of a seed and logs the ticks of the horizon.
pub fn log(engine: Engine, scenario: &Scenario, controller: &mut dyn Controller, seed: Seed) -> Vec<TickRow> {
    let mut scraping = Scraping { controller, scrapes: Vec::new() };
    let mut ticks = Ticks { tick_seconds: scenario.tick_seconds, rows: Vec::new() };
    simulate(engine, scenario, &mut scraping, seed, &mut ticks);
    let mut rows = ticks.rows;
    let first = rows.first().map_or(0, |row| row.tick);
    let mut sums = vec![[(0.0, 0_u32); 3]; rows.len()];
    for scrape in &scraping.scrapes {
        // A scrape at the end of a tick belongs to it; the margin absorbs rounding of the quotient.
        let tick = (scrape.at_seconds / scenario.tick_seconds - 1e-9).floor() - f64::from(first);
        if tick < 0.0 || tick >= rows.len() as f64 {
            continue;
        }
        let said = [scrape.requests_per_second, scrape.cpu_utilization, scrape.latency_mean_seconds];
        for ((sum, n), value) in sums[tick as usize].iter_mut().zip(said) {
            if let Some(value) = value {
                *sum += value;
                *n += 1;
            }
        }
    }
    for (row, sums) in rows.iter_mut().zip(sums) {
        let [rate, cpu, latency] = sums.map(|(sum, n)| sum / f64::from(n));
        row.scraped_requests_per_second = rate;
        row.scraped_cpu_utilization = cpu;
        row.scraped_latency_seconds = latency;
    }
    rows
}

/// Load and ready replicas in, mean response time out.
pub fn record(rows: &[TickRow], tick_seconds: f64) -> Record {
    let channel = |name: &str, unit: &str, of: fn(&TickRow) -> f64| Channel {
        name: name.into(),
        unit: unit.into(),
        values: rows.iter().map(of).collect(),
    };
    Record {
        step_seconds: tick_seconds,
        inputs: vec![
            channel("users_per_second", "1/s", |row| row.users_per_second),
            channel("ready", "replicas", |row| row.ready),
        ],
        outputs: vec![channel("latency_seconds", "s", |row| row.latency_seconds)],
    }
}

/// Keeps the rows of the horizon.
struct Ticks {
    tick_seconds: f64,
    rows: Vec<TickRow>,
}

impl Watch for Ticks {
    fn tick(&mut self, record: &TickRecord) {
        if record.phase != Phase::Horizon {
            return;
        }
        let service = &record.service;
        let sum = |of: fn(&tidegate_core::PoolTick) -> f64| record.pools.iter().map(of).sum::<f64>();
        self.rows.push(TickRow {
            tick: record.tick.0,
            time_seconds: f64::from(record.tick.0 + 1) * self.tick_seconds,
            users_per_second: record.users.arrived / self.tick_seconds,
            attempts_per_second: record.attempts.offered / self.tick_seconds,
            ready: sum(|pool| pool.ready_seconds) / self.tick_seconds,
            wanted: record.pools.iter().map(|pool| pool.wanted).sum(),
            utilization: record.utilization(),
            in_system: record.attempt_seconds / self.tick_seconds,
            latency_seconds: service.latency_seconds / service.succeeded(),
            violating_share: if service.users > 0.0 { service.violating() / service.users } else { 0.0 },
            scraped_requests_per_second: f64::NAN,
            scraped_cpu_utilization: f64::NAN,
            scraped_latency_seconds: f64::NAN,
        });
    }
}

/// A controller whose scrapes are kept.
struct Scraping<'a> {
    controller: &'a mut dyn Controller,
    scrapes: Vec<Scrape>,
}

impl Controller for Scraping<'_> {
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
        self.scrapes.extend_from_slice(observation.scrapes);
        self.controller.decide(observation)
    }
}

/// What an excitation asks for in each tick, the warm-up included.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Utilization that the fleet is sized for.
    pub utilization: Vec<f64>,
    /// Factor on the fleet that this takes.
    pub factor: Vec<f64>,
}

/// What kind of excitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Excitation {
    /// Levels of utilization in random order, held for long.
    Staircase,
    /// One level, and a random binary factor on the fleet around it, held for about a start-up.
    Prbs,
    /// The binary signal on the staircase.
    Both,
}

/// Levels of the staircase, in percent of utilization: from a fleet with room to one that a crowd overloads.
const LEVELS_PERCENT: [Replicas; 6] = [45, 52, 60, 67, 74, 80];

/// The level of [`Excitation::Prbs`].
const OPERATING_POINT: f64 = 0.7;

/// How long a level is held, in start-ups: long enough for the fleet to arrive and the queues to settle.
const LEVEL_STARTUPS: usize = 12;

/// The binary signal repeats after 2 to this many draws.
const PRBS_ORDER: u32 = 11;

/// Half the height of the binary signal, as a share of the fleet.
const PRBS_SHARE: f64 = 0.08;

impl Plan {
    /// Draws one for all ticks of a run, from `Stream::Excitation` of the seed.
    pub fn draw(kind: Excitation, scenario: &Scenario, seed: Seed) -> Self {
        let facts = scenario.facts();
        let n = (scenario.warm_up_ticks + scenario.horizon_ticks) as usize;
        let startup_ticks = (facts.pools[0].startup_seconds / facts.tick_seconds).ceil().max(1.0) as usize;
        let mut rng = seed.rng(Stream::Excitation);
        let stairs = Staircase {
            levels: &LEVELS_PERCENT,
            replicas_min: 1,
            replicas_max: 100,
            dwell_steps: LEVEL_STARTUPS * startup_ticks,
        };
        let levels = staircase(&stairs, &mut rng, n).expect("the levels are different and within bounds");
        let utilization: Vec<f64> = levels.into_iter().map(|percent| percent / 100.0).collect();
        // One sequence for all, entered where chance says: no two seeds meet the same schedule.
        let entry = rng.random_range(0..(1 << PRBS_ORDER) * startup_ticks);
        let mut factor = prbs(PRBS_ORDER, startup_ticks, [1.0 - PRBS_SHARE, 1.0 + PRBS_SHARE], entry + n)
            .expect("order and clock are within bounds");
        factor.drain(..entry);
        match kind {
            Excitation::Staircase => Self { utilization, factor: vec![1.0; n] },
            Excitation::Prbs => Self { utilization: vec![OPERATING_POINT; n], factor },
            Excitation::Both => Self { utilization, factor },
        }
    }
}

/// Follows a plan: busy slots by the measured load and the measured work of a request, over the wanted utilization,
/// times a factor.
///
/// It never looks at the response time, so what it does is an experiment in open loop: the fleet depends on the load,
/// which is an input of the models too, and on chance.
pub struct Excited {
    plan: Plan,
    tick_seconds: f64,
    slots: f64,
    replicas_min: Replicas,
    replicas_max: Replicas,
    replicas: Replicas,
    rates: Vec<f64>,
    busy_slot_seconds: f64,
    attempts: f64,
}

/// Scrapes over which the load is averaged.
const LOAD_SCRAPES: usize = 8;

impl Excited {
    /// For a service of one pool.
    ///
    /// # Errors
    /// If it has several: what each of them should do, nobody said.
    pub fn new(facts: &OperatorFacts, plan: Plan) -> anyhow::Result<Self> {
        ensure!(
            facts.pools.len() == 1,
            "identification excites one pool, but this scenario has {}; record a run of a controller instead",
            facts.pools.len()
        );
        let pool = &facts.pools[0];
        Ok(Self {
            plan,
            tick_seconds: facts.tick_seconds,
            slots: f64::from(pool.concurrency),
            replicas_min: pool.bounds.replicas_min.max(1),
            replicas_max: pool.bounds.replicas_max,
            replicas: pool.replicas_initial,
            rates: Vec::new(),
            busy_slot_seconds: 0.0,
            attempts: 0.0,
        })
    }
}

impl Controller for Excited {
    fn period_seconds(&self) -> f64 {
        self.tick_seconds
    }

    fn reset(&mut self, _chance: ControllerStream) {
        self.rates.clear();
        (self.busy_slot_seconds, self.attempts) = (0.0, 0.0);
    }

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let ready = f64::from(observation.pools[0].ready);
        for scrape in observation.scrapes {
            // First attempts: retries are an answer to the response time, and would close the loop.
            if let Some(rate) = scrape.first_attempts_per_second.or(scrape.requests_per_second) {
                self.rates.push(rate);
            }
            // Work is measured where nothing fails: what is refused costs none.
            if let (Some(rate), Some(0.0), Some(cpu)) =
                (scrape.requests_per_second, scrape.errors_per_second, scrape.cpu_utilization)
            {
                self.busy_slot_seconds += cpu * ready * self.slots * scrape.window_seconds;
                self.attempts += rate * scrape.window_seconds;
            }
        }
        let tick = (observation.tick.0 as usize).min(self.plan.utilization.len() - 1);
        let recent = &self.rates[self.rates.len().saturating_sub(LOAD_SCRAPES)..];
        if self.attempts > 0.0 && !recent.is_empty() {
            let work_seconds = self.busy_slot_seconds / self.attempts;
            let busy = tidegate_stats::mean(recent) * work_seconds;
            let replicas = busy / self.slots / self.plan.utilization[tick] * self.plan.factor[tick];
            let (least, most) = (f64::from(self.replicas_min), f64::from(self.replicas_max));
            self.replicas = replicas.round().clamp(least, most) as Replicas;
        }
        Decision::one(self.replicas, Reason::new("excitation"))
    }
}
