//! The one price function: what a stretch of service costs, from counts and sums.
//!
//! It takes statistics, never a mean latency, because the penalty of a mean is not the mean of the penalty: M/M/20
//! at offered load 17 with a bound of three service times has (E T − 3)⁺ = 0, but P(T > 3) = 5.9 %.
//! The request engine counts these statistics; the fluid engine and every response model give their expectations.
//!
//! | penalty | dollars |
//! | --- | --- |
//! | per user | price · users above the bound |
//! | per millisecond | price · Σ (latency − bound)⁺ in ms |
//! | per window | price · windows in which too large a share of users violated |
//! | on mean latency (the source document's form) | price · (mean latency − bound)⁺ in ms, once a tick |
//!
//! and in each form the users who gave up pay a price of their own, at least what the penalty charges at the time
//! at which the client gives up, so that dropping requests never pays.

use crate::{SECONDS_PER_HOUR, scenario::ServiceLevelError};

/// What happened to users in a stretch of time: counts and sums, so that stretches can be added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServiceStatistics {
    /// Users whose fate was decided: they succeeded or gave up.
    pub users: f64,
    /// Users who succeeded, but later than the bound.
    pub users_above: f64,
    /// Summed excess over the bound of those, in milliseconds.
    pub excess_milliseconds: f64,
    /// Users who gave up.
    pub users_gave_up: f64,
    /// Summed latency of the users who succeeded, first attempt to success, in seconds.
    pub latency_seconds: f64,
    /// Windows that ended in this stretch with too large a share of violating users.
    pub windows_violated: f64,
}

impl ServiceStatistics {
    /// Users who succeeded.
    pub fn succeeded(&self) -> f64 {
        self.users - self.users_gave_up
    }

    /// Users for whom the service level was violated: late or never.
    pub fn violating(&self) -> f64 {
        self.users_above + self.users_gave_up
    }

    /// Adds another stretch to this one.
    pub fn add(&mut self, other: &Self) {
        self.users += other.users;
        self.users_above += other.users_above;
        self.excess_milliseconds += other.excess_milliseconds;
        self.users_gave_up += other.users_gave_up;
        self.latency_seconds += other.latency_seconds;
        self.windows_violated += other.windows_violated;
    }
}

/// What one pool used in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoolUse {
    /// Replica-seconds that are billed, rounding to quanta and minima included.
    pub billed_replica_seconds: f64,
    /// Warm-pool replica-seconds that are billed.
    pub billed_warm_seconds: f64,
    /// The price in force; on the spot market it moves.
    pub dollars_per_replica_hour: f64,
    /// Electric energy in kilowatt-hours.
    pub energy_kwh: f64,
    /// Carbon dioxide in kilograms.
    pub carbon_kg: f64,
}

/// How a violation is charged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Penalty {
    /// For each user who succeeded later than the bound.
    PerUser {
        /// Dollars a user.
        dollars_per_user: f64,
    },
    /// For each millisecond above the bound of each user.
    PerMillisecond {
        /// Dollars a millisecond.
        dollars_per_millisecond: f64,
    },
    /// For each window in which more than the allowed share of users violated.
    PerWindow {
        /// Dollars a window.
        dollars_per_window: f64,
    },
    /// For each millisecond by which a tick's mean latency is above the bound: the source document's form.
    MeanLatency {
        /// Dollars a millisecond, once a tick.
        dollars_per_millisecond: f64,
    },
}

/// What was promised, and what breaking it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServiceLevel {
    /// Latency from a user's first attempt to success that is still in order.
    pub bound_seconds: f64,
    /// The share of users that must meet it, for windows and reports.
    pub share: f64,
    /// Length of a window in ticks.
    pub window_ticks: u32,
    /// How a violation is charged.
    pub penalty: Penalty,
    /// What a user who gave up costs.
    pub dollars_per_user_gave_up: f64,
}

impl ServiceLevel {
    /// What the penalty charges for one user who succeeds after `latency_seconds`, where it can be told from one
    /// user alone (per user, per millisecond).
    pub fn dollars_at(&self, latency_seconds: f64) -> Option<f64> {
        let excess_milliseconds = (latency_seconds - self.bound_seconds).max(0.0) * 1e3;
        match self.penalty {
            Penalty::PerUser { dollars_per_user } => {
                Some(if excess_milliseconds > 0.0 { dollars_per_user } else { 0.0 })
            }
            Penalty::PerMillisecond { dollars_per_millisecond } => {
                Some(dollars_per_millisecond * excess_milliseconds)
            }
            Penalty::PerWindow { .. } | Penalty::MeanLatency { .. } => None,
        }
    }

    /// Whether a window with these users is violated.
    pub fn window_violated(&self, users: f64, violating: f64) -> bool {
        violating > (1.0 - self.share) * users
    }

    /// Checks that giving up costs at least what the penalty charges for a user who succeeds only at
    /// `patience_seconds`, the time at which the last attempt is given up.
    ///
    /// # Errors
    /// If it costs less.
    pub fn check_gave_up(&self, patience_seconds: f64) -> Result<(), ServiceLevelError> {
        let least = match self.penalty {
            // One user alone moves a tick's mean by at most the full excess.
            Penalty::MeanLatency { dollars_per_millisecond } => {
                dollars_per_millisecond * (patience_seconds - self.bound_seconds).max(0.0) * 1e3
            }
            // A user who gave up counts as violating in the window, so the window already charges it.
            Penalty::PerWindow { .. } => 0.0,
            Penalty::PerUser { .. } | Penalty::PerMillisecond { .. } => {
                self.dollars_at(patience_seconds).expect("these penalties are sums over users")
            }
        };
        if self.dollars_per_user_gave_up >= least {
            Ok(())
        } else {
            Err(ServiceLevelError { value: self.dollars_per_user_gave_up, least })
        }
    }
}

/// Everything that turns statistics into dollars.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// What was promised, and what breaking it costs.
    pub level: ServiceLevel,
    /// Price of a warm-pool replica, by pool.
    pub dollars_per_warm_hour: Vec<f64>,
    /// Price of electric energy; 0 where the cloud includes it.
    pub dollars_per_kwh: f64,
    /// Price put on carbon dioxide; 0 where none is.
    pub dollars_per_carbon_kg: f64,
}

/// What a stretch of service cost, in dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charge {
    /// Replicas, warm ones included.
    pub instances: f64,
    /// Energy and carbon, where they are priced.
    pub energy: f64,
    /// Broken promises.
    pub penalty: f64,
}

impl Charge {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.instances + self.energy + self.penalty
    }

    /// Adds another stretch to this one.
    pub fn add(&mut self, other: &Self) {
        self.instances += other.instances;
        self.energy += other.energy;
        self.penalty += other.penalty;
    }
}

impl Prices {
    /// What one tick costs.
    ///
    /// # Panics
    /// If `pools` is longer than the prices' pools.
    pub fn charge(&self, service: &ServiceStatistics, pools: &[PoolUse]) -> Charge {
        let mut charge = Charge { penalty: self.penalty(service), ..Charge::default() };
        for (pool, dollars_per_warm_hour) in pools.iter().zip(&self.dollars_per_warm_hour) {
            charge.instances += (pool.billed_replica_seconds * pool.dollars_per_replica_hour
                + pool.billed_warm_seconds * dollars_per_warm_hour)
                / SECONDS_PER_HOUR;
            charge.energy +=
                pool.energy_kwh * self.dollars_per_kwh + pool.carbon_kg * self.dollars_per_carbon_kg;
        }
        charge
    }

    /// What the service level costs in one tick.
    pub fn penalty(&self, service: &ServiceStatistics) -> f64 {
        let gave_up = service.users_gave_up * self.level.dollars_per_user_gave_up;
        gave_up
            + match self.level.penalty {
                Penalty::PerUser { dollars_per_user } => dollars_per_user * service.users_above,
                Penalty::PerMillisecond { dollars_per_millisecond } => {
                    dollars_per_millisecond * service.excess_milliseconds
                }
                Penalty::PerWindow { dollars_per_window } => dollars_per_window * service.windows_violated,
                Penalty::MeanLatency { dollars_per_millisecond } => {
                    let succeeded = service.succeeded();
                    let mean = if succeeded > 0.0 { service.latency_seconds / succeeded } else { 0.0 };
                    dollars_per_millisecond * (mean - self.level.bound_seconds).max(0.0) * 1e3
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(penalty: Penalty, dollars_per_user_gave_up: f64) -> Prices {
        Prices {
            level: ServiceLevel {
                bound_seconds: 0.5,
                share: 0.99,
                window_ticks: 4,
                penalty,
                dollars_per_user_gave_up,
            },
            dollars_per_warm_hour: vec![0.01],
            dollars_per_kwh: 0.2,
            dollars_per_carbon_kg: 0.1,
        }
    }

    #[test]
    fn each_penalty_charges_what_its_formula_says() {
        let service = ServiceStatistics {
            users: 100.0,
            users_above: 3.0,
            excess_milliseconds: 700.0,
            users_gave_up: 2.0,
            latency_seconds: 98.0,
            windows_violated: 1.0,
        };
        let cases = [
            (Penalty::PerUser { dollars_per_user: 0.01 }, 0.03),
            (Penalty::PerMillisecond { dollars_per_millisecond: 0.001 }, 0.7),
            (Penalty::PerWindow { dollars_per_window: 5.0 }, 5.0),
            (Penalty::MeanLatency { dollars_per_millisecond: 0.001 }, 0.5),
        ];
        for (penalty, expected) in cases {
            let charged = prices(penalty, 4.0).penalty(&service);
            assert!((charged - expected - 8.0).abs() < 1e-12, "{penalty:?}: {charged}");
        }
    }

    #[test]
    fn instances_energy_and_carbon_are_charged_by_the_pool() {
        let pool = PoolUse {
            billed_replica_seconds: 7200.0,
            billed_warm_seconds: 3600.0,
            dollars_per_replica_hour: 0.1,
            energy_kwh: 2.0,
            carbon_kg: 1.0,
        };
        let charge = prices(Penalty::PerUser { dollars_per_user: 1.0 }, 1.0)
            .charge(&ServiceStatistics::default(), &[pool]);
        assert!((charge.instances - 0.21).abs() < 1e-12);
        assert!((charge.energy - 0.5).abs() < 1e-12);
        assert_eq!(charge.penalty, 0.0);
    }

    #[test]
    fn giving_up_must_cost_what_waiting_to_the_time_out_costs() {
        let level = prices(Penalty::PerMillisecond { dollars_per_millisecond: 0.001 }, 1.0).level;
        assert_eq!(level.check_gave_up(1.5), Ok(()));
        assert_eq!(level.check_gave_up(2.5), Err(ServiceLevelError { value: 1.0, least: 2.0 }));
    }
}
