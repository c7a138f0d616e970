//! The predictive scaling policy: an hourly forecast of the load, and the capacity that it needs.
//!
//! The load is the metric summed over the instances (replicas that are busy for cpu, requests a second for requests
//! per replica), averaged over each hour of the clock. After 24 hours of data, and then every 6 hours, the forecaster
//! is fitted again and asked for the next 48 hours; the capacity of an hour is ⌈median / target⌉. It applies from
//! [`PredictiveParameters::scheduling_buffer_seconds`] before the hour until its end, as a floor: the policy never
//! scales in.
//!
//! **History.** A real group has its metrics from before the policy was made, up to 14 days of them, and can forecast at
//! once. With [`PredictiveParameters::history_from_demand`] demand before the run, where that is known, stands in for
//! them: requests as they are, and for cpu the busy replicas that they make, demand · S / slots, once the service time S
//! is measured (before the first full hour, or never; where there are several pools, their shares cannot be told apart).
//! Other metrics begin with nothing.

use std::num::NonZeroU32;

use tidegate_core::locate::FieldError;
use tidegate_core::service_time::{HALF_LIFE_SECONDS, ServiceTime};
use tidegate_core::{
    Calendar, ControllerStream, Observation, OperatorFacts, Quantiles, Replicas, SECONDS_PER_HOUR,
};

use super::parameters::{BreachBehavior, PredictiveMode, PredictiveParameters};
use crate::demand::{BoxedForecaster, MakeHistory};
use crate::rule::{ActingPool, Window, round_up};
use crate::signal::{Metric, Signal};

/// How far a forecast reaches.
const HORIZON_HOURS: NonZeroU32 = NonZeroU32::new(48).expect("it is not 0");
/// How often it is made again.
const REFRESH_HOURS: i64 = 6;

/// What a forecaster for predictive scaling is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastNeeds {
    /// Length of a step: an hour.
    pub step_seconds: f64,
    /// Steps of history that it should use: 14 days.
    pub history_steps: u32,
    /// Steps that are asked for: 48 hours.
    pub horizon_steps: u32,
    /// Whose hours the steps are; step 0 begins with the hour in which the run starts.
    pub calendar: Calendar,
}

impl ForecastNeeds {
    pub(super) fn of(facts: &OperatorFacts) -> Self {
        Self {
            step_seconds: SECONDS_PER_HOUR,
            history_steps: 14 * 24,
            horizon_steps: HORIZON_HOURS.get(),
            calendar: on_the_hour(facts.calendar).0,
        }
    }
}

/// The same calendar with the run starting at the full hour, and by how much that is earlier.
fn on_the_hour(calendar: Calendar) -> (Calendar, f64) {
    let past_the_hour = calendar.local(0.0).second_of_day % 3600;
    let warm_up_seconds = calendar.warm_up_seconds + past_the_hour;
    (Calendar { warm_up_seconds, ..calendar }, f64::from(past_the_hour))
}

/// The highest capacity of the group after a forecast: with `IncreaseMaxCapacity` the forecast and the buffer on top
/// of it, where that is more than the present one.
pub fn raised_max_capacity(forecast: Replicas, present: Replicas, buffer_share: f64) -> Replicas {
    present.max(round_up(f64::from(forecast) * (1.0 + buffer_share)))
}

/// A forecaster, and demand a second in each of the hours before the one in which the run starts.
pub(super) struct WithHistory {
    forecaster: BoxedForecaster,
    history: Vec<Option<f64>>,
}

impl WithHistory {
    pub(super) fn new(forecaster: BoxedForecaster, history: &MakeHistory, needs: &ForecastNeeds) -> Self {
        let mut history = history(&needs.calendar, needs.step_seconds);
        history.drain(..history.len().saturating_sub(needs.history_steps as usize));
        Self { forecaster, history }
    }
}

/// What has to happen before the history can be used.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    /// It has been.
    Used,
    /// The forecaster has to see it, times so much.
    Known(f64),
    /// A service time has to be measured.
    Unmeasured,
}

/// A policy with its forecaster.
pub(super) struct Predictive {
    forecaster: BoxedForecaster,
    history: Vec<Option<f64>>,
    before: Before,
    service_time: ServiceTime,
    signal: Signal,
    window: Window,
    pool: ActingPool,
    sums_replicas: bool,
    calendar: Calendar,
    past_the_hour_seconds: f64,
    parameters: PredictiveParameters,
    hour: i64,
    sum: f64,
    n: u32,
    hours_seen: u32,
    forecast: Quantiles,
    forecast_hour: Option<i64>,
    capacity: Option<Replicas>,
}

impl Predictive {
    pub(super) fn new(
        parameters: &PredictiveParameters,
        WithHistory { forecaster, mut history }: WithHistory,
        decides_seconds: f64,
        pool: ActingPool,
        facts: &OperatorFacts,
    ) -> Result<Self, FieldError> {
        let signal = match (&parameters.external, parameters.metric) {
            (Some(name), _) => Signal::external(name, pool, facts)?,
            (None, Metric::RequestsPerSecondPerReplica) => {
                Signal::new(Metric::RequestsPerSecond, pool, facts)
            }
            (None, metric) => Signal::new(metric, pool, facts),
        };
        let (calendar, past_the_hour_seconds) = on_the_hour(facts.calendar);
        let is_told_by_demand = match parameters.metric {
            Metric::RequestsPerSecondPerReplica => true,
            Metric::Cpu => facts.pools.len() == 1,
            _ => false,
        };
        if !(parameters.history_from_demand && is_told_by_demand) {
            history.clear();
        }
        Ok(Self {
            forecaster,
            history,
            before: Before::Used,
            service_time: ServiceTime::new(HALF_LIFE_SECONDS, facts),
            signal,
            window: Window::new(decides_seconds, f64::INFINITY, facts.scrape_seconds),
            pool,
            sums_replicas: matches!(parameters.metric, Metric::Cpu | Metric::Network),
            calendar,
            past_the_hour_seconds,
            parameters: parameters.clone(),
            hour: 0,
            sum: 0.0,
            n: 0,
            hours_seen: 0,
            forecast: Quantiles { values: Vec::with_capacity(HORIZON_HOURS.get() as usize) },
            forecast_hour: None,
            capacity: None,
        })
    }

    pub(super) fn reset(&mut self, chance: ControllerStream) {
        let before_seconds = self.history.len() as u32 * SECONDS_PER_HOUR as u32;
        let warm_up_seconds = self.calendar.warm_up_seconds + before_seconds;
        self.forecaster.reset(Calendar { warm_up_seconds, ..self.calendar }, chance);
        self.before = match self.parameters.metric {
            _ if self.history.is_empty() => Before::Used,
            Metric::Cpu => Before::Unmeasured,
            _ => Before::Known(1.0),
        };
        self.service_time.clear();
        self.window.clear();
        (self.hour, self.sum, self.n, self.hours_seen) = (0, 0.0, 0, 0);
        self.forecast.values.clear();
        self.forecast_hour = None;
        self.capacity = None;
    }

    /// Takes the load of the last period, and gives the capacity that the forecast asks for now, if there is one.
    pub(super) fn advance(&mut self, observation: &Observation<'_>) {
        let now = observation.now_seconds + self.past_the_hour_seconds;
        self.signal.feed(observation, &mut self.window);
        if let Some(value) = self.window.mean(observation.now_seconds) {
            let ready = f64::from(self.pool.status(observation).ready);
            self.sum += if self.sums_replicas { value * ready } else { value };
            self.n += 1;
        }
        self.window.clear();
        let hour = (now / SECONDS_PER_HOUR).floor() as i64;
        self.look_back(observation, hour);
        while self.hour < hour {
            let mean = (self.n > 0).then(|| self.sum / f64::from(self.n));
            self.forecaster.observe(mean);
            self.hours_seen += u32::from(mean.is_some());
            (self.sum, self.n) = (0.0, 0);
            self.hour += 1;
        }
        let is_due = self.forecast_hour.is_none_or(|made| hour - made >= REFRESH_HOURS);
        if is_due && self.hours_seen >= self.parameters.history_hours_min {
            self.forecaster.refit();
            self.forecaster.forecast(HORIZON_HOURS, &mut self.forecast);
            self.forecast_hour = Some(hour);
        }
        let soon = ((now + self.parameters.scheduling_buffer_seconds) / SECONDS_PER_HOUR).floor() as i64;
        self.capacity = (hour..=soon).filter_map(|hour| self.capacity_of(hour)).max();
    }

    /// Gives the forecaster the history as soon as it can be told in its unit; gaps, if that is too late.
    fn look_back(&mut self, observation: &Observation<'_>, hour: i64) {
        if self.before == Before::Unmeasured {
            self.service_time.feed(observation);
            let slots = self.service_time.concurrency(self.pool.index());
            if let Some(seconds) = self.service_time.seconds() {
                self.before = Before::Known(seconds / slots);
            } else if hour > self.hour {
                self.before = Before::Known(f64::NAN);
            }
        }
        if let Before::Known(factor) = self.before {
            for value in &self.history {
                let load = value.map(|value| value * factor).filter(|load| load.is_finite());
                self.forecaster.observe(load);
                self.hours_seen += u32::from(load.is_some());
            }
            self.before = Before::Used;
        }
    }

    /// The capacity that an hour needs by the forecast.
    fn capacity_of(&self, hour: i64) -> Option<Replicas> {
        let ahead = usize::try_from(hour - self.forecast_hour?).ok()?;
        let median = (ahead < self.forecast.values.len()).then(|| self.forecast.median(ahead))?;
        median.is_finite().then(|| round_up(median.max(0.0) / self.parameters.target))
    }

    /// What the forecast asks for now, whether or not the policy may act on it.
    pub(super) fn forecast_capacity(&self) -> Option<Replicas> {
        self.capacity
    }

    /// What the policy asks for now.
    pub(super) fn floor(&self) -> Option<Replicas> {
        self.capacity.filter(|_| self.parameters.mode == PredictiveMode::ForecastAndScale)
    }

    /// The most that the group may have, given what it may have now.
    pub(super) fn raised_max(&self, present: Replicas) -> Replicas {
        match (self.parameters.max_capacity_breach_behavior, self.floor()) {
            (BreachBehavior::IncreaseMaxCapacity, Some(forecast)) => {
                raised_max_capacity(forecast, present, self.parameters.max_capacity_buffer)
            }
            _ => present,
        }
    }

    pub(super) fn mode(&self) -> PredictiveMode {
        self.parameters.mode
    }
}
