//! Jobs that arrive in batches at times of the day.
//!
//! A batch of each local day begins at its `hour` by the clock on the wall plus a normal deviation of
//! `jitter_seconds`; its expected number of jobs is log-normal with mean `jobs` and coefficient of variation
//! `variation`, and the jobs come evenly over `spread_seconds`. With Poisson arrivals the number of jobs that come
//! has mean `jobs` and variance `jobs` + (`variation` · `jobs`)². The mean over each tick is exact.

use chrono::NaiveDate;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tidegate_core::Distribution;
use tidegate_core::scenario::workload::BatchConfig;

use crate::days::Grid;

/// Deviations of the begin beyond which no batch is looked for.
const JITTERS: f64 = 8.0;

#[derive(Clone, Debug)]
pub(crate) struct Batches {
    configs: Vec<(BatchConfig, Distribution)>,
    dates: Vec<NaiveDate>,
}

impl Batches {
    pub(crate) fn new(configs: &[BatchConfig], grid: &Grid) -> Self {
        let longest = |seconds: fn(&BatchConfig) -> f64| configs.iter().map(seconds).fold(0.0, f64::max);
        let before = longest(|batch| batch.spread_seconds + JITTERS * batch.jitter_seconds);
        let after = longest(|batch| JITTERS * batch.jitter_seconds);
        let configs = configs
            .iter()
            .map(|batch| (*batch, Distribution::log_normal(batch.jobs, batch.variation)))
            .collect();
        Self { configs, dates: grid.dates(before, after) }
    }

    pub(crate) fn add(&self, rng: &mut ChaCha8Rng, grid: &Grid, rates: &mut [f64]) {
        for date in &self.dates {
            for (batch, jobs) in &self.configs {
                let jobs = jobs.sample(rng);
                let late = batch.jitter_seconds * rng.sample::<f64, _>(StandardNormal);
                let begin = grid.run_seconds(*date, batch.hour) + late;
                add_evenly(begin, batch.spread_seconds, jobs, grid, rates);
            }
        }
    }
}

/// Spreads `users` evenly over a stretch of time.
fn add_evenly(begin: f64, seconds: f64, users: f64, grid: &Grid, rates: &mut [f64]) {
    // Casts of negative numbers saturate at 0: nothing before the run.
    let first = (begin / grid.tick_seconds) as usize;
    let last = (((begin + seconds) / grid.tick_seconds) as usize).saturating_add(1).min(rates.len());
    for (tick, rate) in rates.iter_mut().enumerate().take(last).skip(first) {
        let from = (tick as f64 * grid.tick_seconds).max(begin);
        let to = ((tick + 1) as f64 * grid.tick_seconds).min(begin + seconds);
        *rate += users * (to - from).max(0.0) / seconds / grid.tick_seconds;
    }
}
