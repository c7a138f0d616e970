//! A steady queue: a fixed, always-ready fleet under a constant load, to hold the engine against theory.
//!
//! The mean wait is estimated by batch means: the run is cut into equal batches, whose means are nearly independent,
//! and Student's t gives the interval (Law, *Simulation Modeling and Analysis*, 5th ed., section 9.5.3).

use statrs::distribution::{ContinuousCDF, StudentsT};
use tidegate_core::{Plant, PoolTarget, Scenario, Seed};

use crate::RequestPlant;
use crate::fluid::FluidPlant;

/// Batches that an estimate rests on, at least; neighbours are merged as a run grows.
const BATCHES: usize = 32;

/// A customer is late after this time in system.
pub const BOUND_SECONDS: f64 = 3.0;

/// One queue in steady state.
#[derive(Clone, Debug)]
pub struct SteadyQueue {
    /// Work as it is written in a scenario, with mean 1 s.
    pub work: &'static str,
    /// Replicas.
    pub replicas: u32,
    /// Slots of one replica.
    pub concurrency: u32,
    /// Balancer as it is written in a scenario.
    pub balancer: &'static str,
    /// Offered load over slots.
    pub utilization: f64,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Mean wait in seconds.
    pub wait_seconds: f64,
    /// Half of the width of its 99 % interval.
    pub half_width_seconds: f64,
    /// Mean time in system in seconds.
    pub sojourn_seconds: f64,
    /// Half of the width of its 99 % interval.
    pub sojourn_half_width_seconds: f64,
    /// Customers it rests on.
    pub customers: f64,
    /// Share of customers whose time in system was above [`BOUND_SECONDS`].
    pub above: f64,
    /// Largest relative difference between the integral of the number in system and the summed times in system, as
    /// Little's law relates them over the whole run.
    pub little: f64,
}

/// A run that can go on until it is long enough.
#[derive(Debug)]
pub struct SteadyRun {
    plant: RequestPlant,
    target: PoolTarget,
    batches: Vec<Batch>,
    ticks_per_batch: u32,
    users: f64,
    above: f64,
    attempt_seconds: f64,
}

/// What the fluid engine expects of the same queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Mean wait in seconds.
    pub wait_seconds: f64,
    /// Share of customers whose time in system is above [`BOUND_SECONDS`].
    pub above: f64,
}

/// Sums over one batch.
#[derive(Clone, Copy, Debug, Default)]
struct Batch {
    wait_seconds: f64,
    started: f64,
    sojourn_seconds: f64,
    left: f64,
}

impl SteadyQueue {
    /// Users a second.
    pub fn requests_per_second(&self) -> f64 {
        self.utilization * f64::from(self.replicas * self.concurrency)
    }

    /// Starts it, warmed up for `20 / (1 − utilization)²` service times at least.
    ///
    /// # Panics
    /// If the work is not written as a scenario writes it.
    pub fn run(&self, seed: Seed) -> SteadyRun {
        let scenario = self.scenario();
        let mut plant = RequestPlant::new(&scenario);
        plant.reset(seed);
        let target = PoolTarget::wanted(self.replicas);
        for _ in 0..scenario.warm_up_ticks {
            plant.tick(&[target]);
        }
        SteadyRun {
            plant,
            target,
            batches: vec![Batch::default()],
            ticks_per_batch: 1,
            users: 0.0,
            above: 0.0,
            attempt_seconds: 0.0,
        }
    }

    /// What the fluid engine expects, over at least `customers` of them.
    ///
    /// # Panics
    /// If the work is not written as a scenario writes it.
    pub fn expected(&self, seed: Seed, customers: f64) -> Expected {
        let scenario = self.scenario();
        let mut plant = FluidPlant::new(&scenario);
        plant.reset(seed);
        let target = PoolTarget::wanted(self.replicas);
        for _ in 0..scenario.warm_up_ticks {
            plant.tick(&[target]);
        }
        let (mut users, mut above, mut wait_seconds, mut started) = (0.0, 0.0, 0.0, 0.0);
        while users < customers {
            let record = plant.tick(&[target]);
            users += record.service.users;
            above += record.service.users_above;
            wait_seconds += record.wait_seconds;
            started += record.started;
        }
        Expected { wait_seconds: wait_seconds / started, above: above / users }
    }

    fn scenario(&self) -> Scenario {
        let rate = self.requests_per_second();
        // Long ticks: what is done once a tick must not count.
        let tick_seconds = 20_000.0 / rate;
        let relaxation_seconds = 20.0 / (1.0 - self.utilization).powi(2);
        let warm_up_ticks = (relaxation_seconds / tick_seconds).ceil().max(2.0) as u32;
        let text = format!(
            r#"
            name = "steady"
            summary = "a fixed fleet under a constant load"
            time = {{ tick_seconds = {tick_seconds}, warm_up_ticks = {warm_up_ticks}, horizon_ticks = 1000000 }}
            workload = {{ kind = "constant", requests_per_second = {rate} }}
            service = {{ work = {}, balancer = {{ kind = "{}" }} }}
            service_level = {{ bound_seconds = {BOUND_SECONDS}, penalty = {{ kind = "per_user", dollars_per_user = 1 }} }}
            sensing = {{ scrape_seconds = {tick_seconds} }}
            [[pools]]
            name = "servers"
            concurrency = {}
            replicas_max = {}
            replicas_initial = {}
            startup = {{ kind = "constant", seconds = 0 }}
            dollars_per_replica_hour = 0
            "#,
            self.work, self.balancer, self.concurrency, self.replicas, self.replicas
        );
        Scenario::parse(&text).expect("the steady scenario is right")
    }
}

impl SteadyRun {
    /// Serves at least `customers` more and gives what was measured so far.
    pub fn serve(&mut self, customers: f64) -> Measured {
        let mut served = 0.0;
        let mut ticks = 0;
        while served < customers || ticks % self.ticks_per_batch != 0 || self.batches.len() < BATCHES {
            let record = self.plant.tick(&[self.target]);
            served += record.started;
            ticks += 1;
            self.users += record.service.users;
            self.above += record.service.users_above;
            self.attempt_seconds += record.attempt_seconds;
            let batch = self.batches.last_mut().expect("there is always one");
            batch.wait_seconds += record.wait_seconds;
            batch.started += record.started;
            batch.sojourn_seconds += record.sojourn_seconds;
            batch.left += record.attempts.left();
            if ticks % self.ticks_per_batch == 0 {
                if self.batches.len() == 2 * BATCHES {
                    self.batches = self.batches.chunks(2).map(|two| two[0].joined(two[1])).collect();
                    self.ticks_per_batch *= 2;
                    ticks = 0;
                }
                self.batches.push(Batch::default());
            }
        }
        self.measured()
    }

    /// The time in system in seconds that a share `p` of the customers did not exceed, off by half a cell of the
    /// plant's two-digit histogram (0.4 %) at most.
    ///
    /// # Panics
    /// If nobody was served yet.
    pub fn sojourn_quantile_seconds(&self, p: f64) -> f64 {
        self.plant.latency_quantile_seconds(p).expect("somebody was served")
    }

    fn measured(&self) -> Measured {
        let full: Vec<&Batch> = self.batches.iter().filter(|batch| batch.started > 0.0).collect();
        let of =
            |ratio: fn(&Batch) -> (f64, f64)| interval(&full.iter().map(|it| ratio(it)).collect::<Vec<_>>());
        let (wait_seconds, half_width_seconds) = of(|batch| (batch.wait_seconds, batch.started));
        let (sojourn_seconds, sojourn_half_width_seconds) = of(|batch| (batch.sojourn_seconds, batch.left));
        let summed_sojourn_seconds: f64 = full.iter().map(|batch| batch.sojourn_seconds).sum();
        Measured {
            wait_seconds,
            half_width_seconds,
            sojourn_seconds,
            sojourn_half_width_seconds,
            customers: full.iter().map(|batch| batch.started).sum(),
            above: self.above / self.users,
            little: (self.attempt_seconds / summed_sojourn_seconds - 1.0).abs(),
        }
    }
}

impl Batch {
    fn joined(self, other: Self) -> Self {
        Self {
            wait_seconds: self.wait_seconds + other.wait_seconds,
            started: self.started + other.started,
            sojourn_seconds: self.sojourn_seconds + other.sojourn_seconds,
            left: self.left + other.left,
        }
    }
}

/// The mean of sums over counts of batches, and half of the width of its 99 % interval.
fn interval(batches: &[(f64, f64)]) -> (f64, f64) {
    let n = batches.len() as f64;
    let (sum, count) = batches.iter().fold((0.0, 0.0), |all, batch| (all.0 + batch.0, all.1 + batch.1));
    let mean = sum / count;
    let variance = batches.iter().map(|batch| (batch.0 / batch.1 - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = StudentsT::new(0.0, 1.0, n - 1.0).expect("there are two batches or more").inverse_cdf(0.995);
    (mean, t * (variance / n).sqrt())
}
