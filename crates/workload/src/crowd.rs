//! Flash crowds: a steep rise and a slow decay, at random times.
//!
//! Each local day brings Poisson(`crowds_per_day`) crowds. Each begins at a uniform time between `hour_from` and
//! `hour_to` by the clock on the wall, and its height h is log-normal with median `peak_requests_per_second` and
//! standard deviation of the logarithm `peak_spread`. With r = `rise_seconds`, k = `hold_seconds` and
//! d = `decay_seconds`, at u seconds after its begin it adds
//!
//! h u/r for 0 ≤ u < r, h for r ≤ u < r + k, and h e^(−(u−r−k)/d) afterwards,
//!
//! h (r/2 + k + d) users in all: the three phases that Ari, Hong, Miller, Brandt and Long (2003, Managing flash
//! crowds on the Internet, MASCOTS) describe, with an exponential in place of a straight line down. The mean over
//! each tick is exact. A crowd that began before the run still decays in it.

use chrono::NaiveDate;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tidegate_core::scenario::workload::FlashCrowdConfig;

use crate::arrivals::poisson;
use crate::days::Grid;

/// Decay times after which a crowd is over: e⁻²⁰ is 2·10⁻⁹.
const DECAYS: f64 = 20.0;

#[derive(Clone, Debug)]
pub(crate) struct Crowds {
    config: FlashCrowdConfig,
    dates: Vec<NaiveDate>,
}

impl Crowds {
    pub(crate) fn new(config: &FlashCrowdConfig, grid: &Grid) -> Self {
        Self { config: *config, dates: grid.dates(length_seconds(config), 0.0) }
    }

    pub(crate) fn add(&self, rng: &mut ChaCha8Rng, grid: &Grid, rates: &mut [f64]) {
        let config = &self.config;
        for date in &self.dates {
            for _ in 0..poisson(config.crowds_per_day, rng) {
                let hour = config.hour_from + (config.hour_to - config.hour_from) * rng.random::<f64>();
                let height = config.peak_requests_per_second
                    * (config.peak_spread * rng.sample::<f64, _>(StandardNormal)).exp();
                self.add_one(grid.run_seconds(*date, hour), height, grid, rates);
            }
        }
    }

    fn add_one(&self, begin: f64, height: f64, grid: &Grid, rates: &mut [f64]) {
        let over = begin + length_seconds(&self.config);
        // Casts of negative numbers saturate at 0: nothing before the run.
        let first = (begin / grid.tick_seconds) as usize;
        let end = ((over / grid.tick_seconds).ceil() as usize).min(rates.len());
        let mut users = self.users_by(first as f64 * grid.tick_seconds - begin);
        for (tick, rate) in rates.iter_mut().enumerate().take(end).skip(first) {
            let users_next = self.users_by((tick + 1) as f64 * grid.tick_seconds - begin);
            *rate += height * (users_next - users) / grid.tick_seconds;
            users = users_next;
        }
    }

    /// Users that a crowd of height 1 has brought `u` seconds after its begin.
    fn users_by(&self, u: f64) -> f64 {
        let FlashCrowdConfig { rise_seconds: rise, hold_seconds: hold, decay_seconds: decay, .. } =
            self.config;
        if u <= 0.0 {
            0.0
        } else if u < rise {
            u * u / (2.0 * rise)
        } else if u < rise + hold {
            u - rise / 2.0
        } else {
            rise / 2.0 + hold - decay * (-(u - rise - hold) / decay).exp_m1()
        }
    }
}

fn length_seconds(config: &FlashCrowdConfig) -> f64 {
    config.rise_seconds + config.hold_seconds + DECAYS * config.decay_seconds
}
