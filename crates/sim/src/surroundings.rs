//! What surrounds the service and follows its own course: spot prices, shocks to spot capacity, carbon intensity.
//!
//! Spot price: `p_t = m · exp(x_t − v/2)` with x an Ornstein–Uhlenbeck process sampled each tick, stationary variance
//! v = `price_volatility`², deviation halving in `price_half_life_seconds`; so the long-run mean is m, the list price.
//!
//! Shocks arrive as a Poisson process in time: the chance of one in a tick of length Δ is 1 − exp(−rate · Δ).
//!
//! Carbon intensity: `c_t = m · d · (1 − a cos(2π (h − 13)/24))`, h the local hour, d a log-normal level for each day
//! with mean 1: lowest at 13:00, when the sun is highest.

use std::f64::consts::{LN_2, TAU};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use tidegate_core::scenario::{EnergyConfig, SpotConfig};
use tidegate_core::{
    Calendar, Distribution, Key, POOLS_MAX, SECONDS_PER_DAY, SECONDS_PER_HOUR, Scenario, Seed, Stream, Tick,
};

/// Prices, shocks and carbon of one run.
#[derive(Clone, Debug)]
pub struct Surroundings {
    tick_seconds: f64,
    calendar: Calendar,
    spots: Vec<Option<SpotConfig>>,
    list_prices: Vec<f64>,
    energy: EnergyConfig,
    day_level: Distribution,
    deviations: [f64; POOLS_MAX],
    shock_until_seconds: [f64; POOLS_MAX],
    prices: ChaCha8Rng,
    shocks: Key,
    carbon: Key,
    carbon_now: f64,
}

impl Surroundings {
    /// Those of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let seed = Seed::training(0);
        Self {
            tick_seconds: scenario.tick_seconds,
            calendar: scenario.calendar,
            spots: scenario.pools.iter().map(|pool| pool.spot).collect(),
            list_prices: scenario.pools.iter().map(|pool| pool.dollars_per_replica_hour).collect(),
            energy: scenario.energy,
            day_level: Distribution::log_normal(1.0, scenario.energy.carbon_variation),
            deviations: [0.0; POOLS_MAX],
            shock_until_seconds: [f64::NEG_INFINITY; POOLS_MAX],
            prices: seed.rng(Stream::SpotPrice),
            shocks: seed.key(Stream::CapacityShock),
            carbon: seed.key(Stream::Carbon),
            carbon_now: scenario.energy.carbon_grams_per_kwh,
        }
    }

    /// Starts the course of this seed.
    pub fn reset(&mut self, seed: Seed) {
        self.prices = seed.rng(Stream::SpotPrice);
        self.shocks = seed.key(Stream::CapacityShock);
        self.carbon = seed.key(Stream::Carbon);
        self.shock_until_seconds = [f64::NEG_INFINITY; POOLS_MAX];
        for (deviation, spot) in self.deviations.iter_mut().zip(&self.spots) {
            *deviation = match spot {
                Some(spot) if spot.price_volatility > 0.0 => {
                    spot.price_volatility * self.prices.sample::<f64, _>(StandardNormal)
                }
                _ => 0.0,
            };
        }
    }

    /// Moves to the start of a tick. Gives, for each pool, whether a shock struck in it.
    pub fn begin_tick(&mut self, tick: Tick) -> [bool; POOLS_MAX] {
        let mut struck = [false; POOLS_MAX];
        let start = tick.start_seconds(self.tick_seconds);
        for (pool, spot) in self.spots.iter().enumerate() {
            let Some(spot) = spot else { continue };
            if spot.price_volatility > 0.0 {
                let keep = (-LN_2 * self.tick_seconds / spot.price_half_life_seconds).exp();
                let fresh = spot.price_volatility * (1.0 - keep * keep).sqrt();
                self.deviations[pool] =
                    keep * self.deviations[pool] + fresh * self.prices.sample::<f64, _>(StandardNormal);
            }
            let chance = -(-spot.shocks_per_day * self.tick_seconds / SECONDS_PER_DAY).exp_m1();
            if chance > 0.0 && self.shocks.uniform(pool as u64, u64::from(tick.0)) < chance {
                struck[pool] = true;
                self.shock_until_seconds[pool] = start + spot.shock_seconds;
            }
        }
        if self.energy.carbon_daily_swing > 0.0 || self.energy.carbon_variation > 0.0 {
            self.carbon_now = self.carbon_at(start);
        }
        struck
    }

    /// The price of a pool now.
    pub fn dollars_per_replica_hour(&self, pool: usize) -> f64 {
        match &self.spots[pool] {
            Some(spot) if spot.price_volatility > 0.0 => {
                let half_variance = spot.price_volatility * spot.price_volatility / 2.0;
                self.list_prices[pool] * (self.deviations[pool] - half_variance).exp()
            }
            _ => self.list_prices[pool],
        }
    }

    /// Whether the market sells new replicas of this pool now.
    pub fn sells(&self, pool: usize, now_seconds: f64) -> bool {
        now_seconds >= self.shock_until_seconds[pool]
    }

    /// Carbon intensity now, in grams a kilowatt-hour.
    pub fn carbon_grams_per_kwh(&self) -> f64 {
        self.carbon_now
    }

    fn carbon_at(&self, seconds: f64) -> f64 {
        let local = self.calendar.local(seconds);
        let hour = f64::from(local.second_of_day) / SECONDS_PER_HOUR;
        // Whole days since the epoch of the run; a day before its start is not negative for any run below 10^6 days.
        let day = ((seconds - f64::from(local.second_of_day)) / SECONDS_PER_DAY).round() as i64 + 1_000_000;
        let level = self.day_level.quantile(self.carbon.uniform(day as u64, 0));
        let swing = 1.0 - self.energy.carbon_daily_swing * (TAU * (hour - 13.0) / 24.0).cos();
        self.energy.carbon_grams_per_kwh * level * swing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: &str = "\n[pools.spot]\npreemptions_per_replica_hour = 0.05\nshocks_per_day = 24\nshock_seconds = 60\n\
                        price_volatility = 0.4\nprice_half_life_seconds = 600\n";

    fn surroundings() -> Surroundings {
        let text = tidegate_core::scenario::EXAMPLE
            .replace("\n[service_level]", &format!("{SPOT}\n[service_level]"));
        let text = format!("{text}\n[energy]\ncarbon_daily_swing = 0.3\n");
        Surroundings::new(&Scenario::parse(&text).expect("the scenario is right"))
    }

    #[test]
    fn the_spot_price_has_the_list_price_as_its_mean_and_the_shocks_their_rate() {
        const N: u32 = 400_000;
        let mut surroundings = surroundings();
        surroundings.reset(Seed::training(4));
        let (mut sum, mut shocks) = (0.0, 0_u32);
        for tick in 0..N {
            shocks += u32::from(surroundings.begin_tick(Tick(tick))[0]);
            sum += surroundings.dollars_per_replica_hour(0);
        }
        // The price keeps its deviation for about 58 ticks, so the mean of 4e5 has a relative error near 0.7 %.
        assert!((sum / f64::from(N) / 0.1 - 1.0).abs() < 0.025, "mean {}", sum / f64::from(N));
        let expected = f64::from(N) * 15.0 / 3600.0;
        assert!(
            (f64::from(shocks) - expected).abs() < 4.0 * expected.sqrt(),
            "{shocks} shocks, not {expected}"
        );
    }

    #[test]
    fn carbon_is_lowest_at_one_o_clock() {
        let mut surroundings = surroundings();
        // The run's counted part starts at 08:00, after 80 ticks.
        surroundings.begin_tick(Tick(80 + 5 * 240));
        assert!((surroundings.carbon_grams_per_kwh() - 280.0).abs() < 1e-9);
        surroundings.begin_tick(Tick(80 + 17 * 240));
        assert!((surroundings.carbon_grams_per_kwh() - 520.0).abs() < 1e-9);
    }
}
