//! A steady queue: a fixed, always-ready fleet under a constant load, to hold the engine against theory.
//!
//! The mean wait is estimated by batch means: the run is cut into equal batches, whose means are nearly independent,
//! and Student's t gives the interval (Law, *Simulation Modeling and Analysis*, 5th ed., section 9.5.3).

use statrs::distribution::{ContinuousCDF, StudentsT};
use tidegate_core::{Plant, PoolTarget, Scenario, Seed};

use crate::RequestPlant;

/// Batches that an estimate rests on; neighbours are merged as a run grows.
const BATCHES: usize = 32;

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
    /// Customers it rests on.
    pub customers: f64,
    /// Share of customers whose time in system was above the bound (three service times).
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
    batches: Vec<(f64, f64)>,
    ticks_per_batch: u32,
    above: f64,
    attempt_seconds: f64,
    sojourn_seconds: f64,
}

impl SteadyQueue {
    /// Users a second.
    pub fn requests_per_second(&self) -> f64 {
        self.utilization * f64::from(self.replicas * self.concurrency)
    }

    /// Starts it, warmed up for `2 / (1 − utilization)²` service times at least.
    ///
    /// # Panics
    /// If the work is not written as a scenario writes it.
    pub fn run(&self, seed: Seed) -> SteadyRun {
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
            service_level = {{ bound_seconds = 3, penalty = {{ kind = "per_user", dollars_per_user = 1 }} }}
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
        let scenario = Scenario::parse(&text).expect("the steady scenario is right");
        let mut plant = RequestPlant::new(&scenario);
        plant.reset(seed);
        let target = PoolTarget::wanted(self.replicas);
        for _ in 0..warm_up_ticks {
            plant.tick(&[target]);
        }
        SteadyRun {
            plant,
            target,
            batches: vec![(0.0, 0.0)],
            ticks_per_batch: 1,
            above: 0.0,
            attempt_seconds: 0.0,
            sojourn_seconds: 0.0,
        }
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
            self.above += record.service.users_above;
            self.attempt_seconds += record.attempt_seconds;
            self.sojourn_seconds += record.sojourn_seconds;
            let batch = self.batches.last_mut().expect("there is always one");
            batch.0 += record.wait_seconds;
            batch.1 += record.started;
            if ticks % self.ticks_per_batch == 0 {
                if self.batches.len() == 2 * BATCHES {
                    self.batches = self
                        .batches
                        .chunks(2)
                        .map(|two| (two[0].0 + two[1].0, two[0].1 + two[1].1))
                        .collect();
                    self.ticks_per_batch *= 2;
                    ticks = 0;
                }
                self.batches.push((0.0, 0.0));
            }
        }
        self.measured()
    }

    fn measured(&self) -> Measured {
        let full: Vec<_> = self.batches.iter().filter(|batch| batch.1 > 0.0).collect();
        let n = full.len() as f64;
        let (wait, customers) = full.iter().fold((0.0, 0.0), |sum, batch| (sum.0 + batch.0, sum.1 + batch.1));
        let mean = wait / customers;
        let variance = full.iter().map(|batch| (batch.0 / batch.1 - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let t = StudentsT::new(0.0, 1.0, n - 1.0).expect("there are two batches or more").inverse_cdf(0.995);
        Measured {
            wait_seconds: mean,
            half_width_seconds: t * (variance / n).sqrt(),
            customers,
            above: self.above / customers,
            little: (self.attempt_seconds / self.sojourn_seconds - 1.0).abs(),
        }
    }
}
