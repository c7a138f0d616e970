//! Demand as controllers forecast it: scrapes in, steps of equal length to a forecaster, quantiles of the next steps out.
//!
//! **Demand** is what arrived for the first time in each step, as the scrapes say, where the sensor can tell; else all
//! attempts, and then it is inflated by retries. A step without a scrape is a gap. The forecaster may be given a
//! history from before the run. It is refitted after steps 1, 2, 3, … further and further apart, at last once an hour.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use tidegate_core::locate::FieldError;
use tidegate_core::{
    Calendar, ControllerStream, Forecaster, Observation, OperatorFacts, Quantiles, Replicas, SECONDS_PER_HOUR,
};

use crate::catalog::Parameter;
use crate::rule::{ActingPool, round_up, wrong};
use crate::service_time::ServiceTime;

/// A forecaster ready to run.
pub type BoxedForecaster = Box<dyn Forecaster + Send>;

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

/// See [`Forecasters::make`].
pub type MakeForecaster = dyn Fn(&str, f64) -> BoxedForecaster + Send + Sync;
/// See [`Forecasters::history`].
pub type MakeHistory = dyn Fn(&Calendar, f64) -> Vec<Option<f64>> + Send + Sync;

/// Complains about a forecaster that there is not.
pub(crate) fn check_name(names: &[&str], name: &str) -> Result<(), FieldError> {
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

/// A quantile between the fixed levels, in straight lines.
pub(crate) fn at_quantile(levels: &[f64; Quantiles::LEVELS.len()], quantile: f64) -> f64 {
    let known = Quantiles::LEVELS;
    let above = known.iter().position(|level| *level >= quantile).unwrap_or(known.len() - 1).max(1);
    let share = (quantile - known[above - 1]) / (known[above] - known[above - 1]);
    levels[above - 1] + share * (levels[above] - levels[above - 1])
}

/// A forecaster, what it is fed with, and what it said last.
pub(crate) struct Demand {
    calendar: Calendar,
    forecaster: BoxedForecaster,
    history: Vec<Option<f64>>,
    steps: Steps,
    quantiles: Quantiles,
}

impl Demand {
    /// `ahead_seconds` is the farthest that will be asked for.
    pub(crate) fn new(
        forecasters: &Forecasters,
        name: &str,
        facts: &OperatorFacts,
        step_seconds: f64,
        stale_seconds: f64,
        ahead_seconds: f64,
    ) -> Self {
        let step_seconds = whole_scrapes(step_seconds, facts);
        let steps_max = ((ahead_seconds + stale_seconds) / step_seconds) as usize + 4;
        Self {
            calendar: facts.calendar,
            forecaster: (forecasters.make)(name, step_seconds),
            history: (forecasters.history)(&facts.calendar, step_seconds),
            steps: Steps::new(step_seconds, stale_seconds),
            quantiles: Quantiles { values: Vec::with_capacity(steps_max) },
        }
    }

    pub(crate) fn reset(&mut self, chance: ControllerStream) {
        // The first step of the history begins as long before the run as the history is.
        let before = self.history.len() as f64 * self.steps.step_seconds;
        let calendar = Calendar {
            warm_up_seconds: self.calendar.warm_up_seconds + before.round() as u32,
            ..self.calendar
        };
        self.forecaster.reset(calendar, chance);
        for value in &self.history {
            self.forecaster.observe(*value);
        }
        self.steps.clear();
        if !self.history.is_empty() {
            self.forecaster.refit();
            self.steps.refit_at = self.steps.an_hour();
        }
        self.quantiles.values.clear();
    }

    /// Takes in what became visible since the last call; says whether a step came to its end.
    pub(crate) fn feed(&mut self, observation: &Observation<'_>) -> bool {
        let before = self.steps.open;
        self.steps.feed(observation, &mut *self.forecaster);
        self.steps.open > before
    }

    /// Quantiles of the steps from that of `now_seconds` to that of `ahead_seconds` later; none before the first step.
    pub(crate) fn forecast(
        &mut self,
        now_seconds: f64,
        ahead_seconds: f64,
    ) -> Option<&[[f64; Quantiles::LEVELS.len()]]> {
        let ahead = self.steps.ahead(now_seconds, ahead_seconds);
        self.forecaster.forecast(NonZeroU32::new(ahead.end)?, &mut self.quantiles);
        self.quantiles.values.get(ahead.start as usize..).filter(|steps| !steps.is_empty())
    }

    /// Number of the step of this moment, from the run's start.
    pub(crate) fn step_of(&self, at_seconds: f64) -> u64 {
        (at_seconds / self.steps.step_seconds).max(0.0) as u64
    }

    pub(crate) fn step_seconds(&self) -> f64 {
        self.steps.step_seconds
    }

    /// By which method the forecaster answers now.
    pub(crate) fn method(&self) -> &'static str {
        self.forecaster.method()
    }
}

/// A step of whole scrapes that is no shorter than this.
fn whole_scrapes(step_seconds: f64, facts: &OperatorFacts) -> f64 {
    (step_seconds / facts.scrape_seconds - 1e-9).ceil().max(1.0) * facts.scrape_seconds
}

/// Scrapes in, steps out.
#[derive(Clone, Debug)]
struct Steps {
    step_seconds: f64,
    stale_seconds: f64,
    /// Number of the step that is being filled, from the run's start.
    open: u64,
    sum: f64,
    weight: f64,
    /// The forecaster is refitted when the open step is this one.
    refit_at: u64,
}

impl Steps {
    fn new(step_seconds: f64, stale_seconds: f64) -> Self {
        Self { step_seconds, stale_seconds, open: 0, sum: 0.0, weight: 0.0, refit_at: 1 }
    }

    fn clear(&mut self) {
        *self = Self::new(self.step_seconds, self.stale_seconds);
    }

    fn feed(&mut self, observation: &Observation<'_>, forecaster: &mut dyn Forecaster) {
        for scrape in observation.scrapes {
            let middle = scrape.at_seconds - 0.5 * scrape.window_seconds;
            let step = (middle / self.step_seconds).max(0.0) as u64;
            while self.open < step {
                self.close(forecaster);
            }
            let rate = scrape.first_attempts_per_second.or(scrape.requests_per_second);
            let is_rate = |rate: &f64| rate.is_finite() && *rate >= 0.0;
            if let Some(rate) = rate.filter(|rate| is_rate(rate) && step == self.open) {
                self.sum += rate * scrape.window_seconds;
                self.weight += scrape.window_seconds;
            }
        }
        // Sensors deliver late; what is not there after this long will not come.
        while (self.open + 1) as f64 * self.step_seconds + self.stale_seconds <= observation.now_seconds {
            self.close(forecaster);
        }
    }

    fn close(&mut self, forecaster: &mut dyn Forecaster) {
        forecaster.observe((self.weight > 0.0).then(|| self.sum / self.weight));
        (self.sum, self.weight) = (0.0, 0.0);
        self.open += 1;
        if self.open >= self.refit_at {
            forecaster.refit();
            self.refit_at = self.open + (self.open / 4).clamp(1, self.an_hour());
        }
    }

    fn an_hour(&self) -> u64 {
        ((SECONDS_PER_HOUR / self.step_seconds) as u64).max(1)
    }

    /// The steps from now to so far ahead, counted from the open one: from the first on, up to and without the last.
    fn ahead(&self, now_seconds: f64, lead_seconds: f64) -> Range<u32> {
        let now = (now_seconds / self.step_seconds).max(0.0) as u64;
        let end = ((now_seconds + lead_seconds) / self.step_seconds).max(0.0) as u64;
        let from_open = |step: u64| step.saturating_sub(self.open) as u32;
        from_open(now)..from_open(end) + 1
    }
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
pub(crate) const fn forecaster_row(default: &'static str) -> Parameter {
    Parameter::new("forecaster", "", default, "One of [the forecasters](#the-forecasters) by name.")
}
/// Of [`at_quantile`].
pub(crate) const QUANTILE: Parameter =
    Parameter::new("quantile", "1", "0.5", "Quantile of demand that is staffed for, 0.01 to 0.99.")
        .searched(crate::Search::Linear { low: 0.25, high: 0.99 });
/// Of [`Steps`].
pub(crate) const STEP_SECONDS: Parameter =
    Parameter::new("step_seconds", "s", "60.0", "Step of the forecast; rounded up to whole scrapes.");
/// Of [`Steps`].
pub(crate) const GAP_AFTER: Parameter =
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
