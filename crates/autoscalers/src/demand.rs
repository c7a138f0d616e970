//! What forecasting controllers share: forecasters by name, what a replica can be given, and rows of their tables.

use std::sync::Arc;

pub use tidegate_core::demand::BoxedForecaster;
use tidegate_core::demand::whole_scrapes;
pub(crate) use tidegate_core::demand::{Demand, at_quantile};
use tidegate_core::locate::FieldError;
use tidegate_core::service_time::ServiceTime;
use tidegate_core::{Calendar, Observation, OperatorFacts, Quantiles, Replicas};

use crate::catalog::Parameter;
use crate::rule::{ActingPool, round_up, wrong};

/// Where forecasters come from, as this crate may not know any.
#[derive(Clone)]
pub struct Forecasters {
    /// Their names. `seasonal_naive_day`, `forest` and `scryer`, which controllers have by default, are among them.
    pub names: &'static [&'static str],
    /// A forecaster of one of these names, for steps of so many seconds.
    pub make: Arc<MakeForecaster>,
    /// Demand a second before the run, step by step, up to the run's start; empty if there is none. Never from what
    /// is evaluated.
    pub history: Arc<MakeHistory>,
}

impl Forecasters {
    /// The forecaster of this name with its history, fed in steps of whole scrapes; see [`Demand::new`].
    pub fn demand(
        &self,
        name: &str,
        facts: &OperatorFacts,
        step_seconds: f64,
        stale_seconds: f64,
        ahead_seconds: f64,
    ) -> Demand {
        let step_seconds = whole_scrapes(step_seconds, facts);
        let (forecaster, history) =
            ((self.make)(name, step_seconds), (self.history)(&facts.calendar, step_seconds));
        Demand::new(forecaster, history, facts.calendar, step_seconds, stale_seconds, ahead_seconds)
    }
}

/// See [`Forecasters::make`].
pub type MakeForecaster = dyn Fn(&str, f64) -> BoxedForecaster + Send + Sync;
/// See [`Forecasters::history`].
pub type MakeHistory = dyn Fn(&Calendar, f64) -> Vec<Option<f64>> + Send + Sync;

/// Complains about a forecaster that there is not.
///
/// # Errors
/// Names those that there are.
pub fn check_name(names: &[&str], name: &str) -> Result<(), FieldError> {
    if names.contains(&name) {
        return Ok(());
    }
    let known: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    Err(wrong("forecaster", format!("must be one of {}, but is {name:?}", known.join(", "))))
}

/// Complains about a quantile beyond the fixed levels.
pub(crate) fn check_quantile(quantile: f64) -> Result<(), FieldError> {
    let levels = Quantiles::LEVELS;
    let (least, most) = (levels[0], levels[levels.len() - 1]);
    if (least..=most).contains(&quantile) {
        return Ok(());
    }
    Err(wrong("quantile", format!("must be {least} to {most}, but is {quantile}")))
}

/// What one replica can be given: measured, or as the operator has found it in a load test.
///
/// measured: ρ c / S requests a second, with a share ρ of its c slots in use and a measured service time S.
#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    service_time: ServiceTime,
    target_utilization: f64,
    requests_per_second: Option<f64>,
}

impl Capacity {
    pub(crate) fn new(
        half_life_seconds: f64,
        target_utilization: f64,
        requests_per_second: Option<f64>,
        facts: &OperatorFacts,
    ) -> Self {
        Self {
            service_time: ServiceTime::new(half_life_seconds, facts),
            target_utilization,
            requests_per_second,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.service_time.clear();
    }

    pub(crate) fn feed(&mut self, observation: &Observation<'_>) {
        self.service_time.feed(observation);
    }

    /// Requests a second of one replica of this pool; none as long as nothing is measured.
    pub(crate) fn of(&self, pool: ActingPool) -> Option<f64> {
        if self.requests_per_second.is_some() {
            return self.requests_per_second;
        }
        let slots = self.service_time.concurrency(pool.index());
        Some(self.target_utilization * slots / self.service_time.seconds()?)
    }

    /// Replicas of this pool that stand in for what the other pools have declared.
    pub(crate) fn others(&self, pool: ActingPool, observation: &Observation<'_>) -> f64 {
        let slots = |(index, status): (usize, &tidegate_core::PoolStatus)| {
            f64::from(status.declared) * self.service_time.concurrency(index)
        };
        let slots: f64 = pool.others(observation).map(slots).sum();
        slots / self.service_time.concurrency(pool.index())
    }
}

/// A count that is not below 0, whatever was subtracted from it.
pub(crate) fn count(replicas: f64) -> Replicas {
    round_up(replicas.max(0.0))
}

// Rows of the tables of parameters that mean the same wherever they stand.

/// Of [`Forecasters::make`], with another default each.
pub const fn forecaster_row(default: &'static str) -> Parameter {
    Parameter::new("forecaster", "", default, "One of [the forecasters](#the-forecasters) by name.")
}
/// Of [`at_quantile`].
pub(crate) const QUANTILE: Parameter =
    Parameter::new("quantile", "1", "0.5", "Quantile of demand that is staffed for, 0.01 to 0.99.")
        .searched(crate::Search::Linear { low: 0.25, high: 0.99 });
/// Of [`tidegate_core::demand::Demand`].
pub(crate) const STEP_SECONDS: Parameter =
    Parameter::new("step_seconds", "s", "60.0", "Step of the forecast; rounded up to whole scrapes.");
/// Of [`tidegate_core::demand::Demand`].
pub const GAP_AFTER: Parameter =
    Parameter::new("stale_seconds", "s", "300.0", "A step without a scrape for this long is a gap.");
/// Of [`Capacity`].
pub(crate) const REPLICA_RATE: Parameter = Parameter::new(
    "replica_requests_per_second",
    "1/s",
    "(measured)",
    "What one replica can be given, where a load test has shown it; in place of the measured service time.",
);
/// Of [`Capacity`].
pub(crate) const TARGET_UTILIZATION: Parameter = Parameter::new(
    "target_utilization",
    "1",
    "0.8",
    "Share of its slots that a replica is to have in use, if its capacity is measured.",
)
.searched(crate::Search::Linear { low: 0.4, high: 0.95 });
