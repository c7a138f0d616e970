//! One trigger: what it measures, whether it is active, and what the pod autoscaler is told of it.

use tidegate_core::locate::FieldError;
use tidegate_core::{Calendar, Observation, OperatorFacts, Replicas};

use super::parameters::{FallbackParameters, MetricType, TriggerParameters};
use crate::cron_clock::{CronClock, read_cron, read_time_zone};
use crate::hpa::{Metric as HpaMetric, Resource, Target};
use crate::rule::{ActingPool, Window};
use crate::signal::Signal;

#[derive(Debug)]
pub(super) struct Trigger {
    source: Source,
    pub(super) goal: Goal,
    /// Whether the pod autoscaler sees the last poll's value.
    pub(super) is_cached: bool,
    pub(super) polled: Option<f64>,
    pub(super) n_failures: u32,
}

#[derive(Debug)]
enum Source {
    Measured(Signal, Window),
    Cron(Box<Times>),
}

/// From `start` to `end`, over and over.
#[derive(Debug)]
struct Times {
    start: CronClock,
    end: CronClock,
    desired: Replicas,
    is_active: bool,
}

/// What a value is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) threshold: f64,
    pub(super) activation: f64,
    pub(super) metric_type: MetricType,
}

impl Trigger {
    pub(super) fn clear(&mut self) {
        (self.polled, self.n_failures) = (None, 0);
        match &mut self.source {
            Source::Measured(_, window) => window.clear(),
            Source::Cron(times) => {
                times.start.clear();
                times.end.clear();
            }
        }
    }

    pub(super) fn look(&mut self, observation: &Observation<'_>, calendar: &Calendar) {
        match &mut self.source {
            Source::Measured(signal, window) => signal.feed(observation, window),
            Source::Cron(times) => {
                times.start.advance(calendar, observation.now_seconds);
                times.end.advance(calendar, observation.now_seconds);
                // Between start and end the end comes first. An expression that never comes again is infinitely far.
                times.is_active = match (times.start.next(), times.end.next()) {
                    (Some(start), Some(end)) => start >= end,
                    (start, _) => start.is_none(),
                };
            }
        }
    }

    /// Its value; none if it fails.
    pub(super) fn value(&self, now_seconds: f64) -> Option<f64> {
        match &self.source {
            Source::Measured(_, window) => window.mean(now_seconds),
            Source::Cron(times) => Some(if times.is_active { f64::from(times.desired) } else { 1.0 }),
        }
    }

    pub(super) fn is_active(&self, value: Option<f64>) -> bool {
        match &self.source {
            Source::Measured(..) => value.is_some_and(|value| value > self.goal.activation),
            Source::Cron(times) => times.is_active,
        }
    }

    /// Counts failures in a row; says whether they are enough for the fallback.
    pub(super) fn count_failures(&mut self, is_failure: bool, fallback: Option<&FallbackParameters>) -> bool {
        self.n_failures = if is_failure { self.n_failures.saturating_add(1) } else { 0 };
        fallback.is_some_and(|fallback| self.n_failures > fallback.failure_threshold)
    }
}

impl Goal {
    pub(super) fn metric(&self, name: &str) -> HpaMetric {
        let milli = ((self.threshold * 1e3).round() as i64).max(1);
        HpaMetric::External {
            name: name.into(),
            selector: "nil".into(),
            target: match self.metric_type {
                MetricType::AverageValue => Target::AverageValue { milli },
                MetricType::Value => Target::Value { milli },
            },
        }
    }
}

/// What becomes of a trigger: one of KEDA's own, or a metric of the pod autoscaler.
pub(super) enum Built {
    Trigger(Box<Trigger>),
    Resource(HpaMetric),
}

impl TriggerParameters {
    pub(super) fn build(
        &self,
        index: usize,
        pool: ActingPool,
        stale_seconds: f64,
        facts: &OperatorFacts,
    ) -> Result<Built, FieldError> {
        let path = format!("triggers[{index}]");
        let measured = |signal, threshold, activation, metric_type, is_cached| {
            // The newest value only, as a query gives it.
            let source = Source::Measured(signal, Window::new(0.0, stale_seconds, facts.scrape_seconds));
            let goal = Goal { threshold, activation, metric_type };
            Built::Trigger(Box::new(Trigger { source, goal, is_cached, polled: None, n_failures: 0 }))
        };
        let resource = |resource, utilization: f64| {
            let percent = (100.0 * utilization).round().max(1.0) as i32;
            Built::Resource(HpaMetric::Resource { resource, target: Target::Utilization { percent } })
        };
        Ok(match self {
            Self::External { metric, threshold, activation, metric_type, use_cached_metrics, .. } => {
                let signal = Signal::external(metric, pool, facts)
                    .map_err(|error| FieldError { field: format!("{path}.metric"), ..error })?;
                measured(signal, *threshold, *activation, *metric_type, *use_cached_metrics)
            }
            Self::Service { metric, threshold, activation, metric_type, use_cached_metrics, .. } => {
                let signal = Signal::new(*metric, pool, facts);
                measured(signal, *threshold, *activation, *metric_type, *use_cached_metrics)
            }
            Self::Cron { start, end, time_zone, desired_replicas, .. } => {
                let zone = match time_zone {
                    Some(name) => read_time_zone(name, &format!("{path}.time_zone"))?,
                    None => facts.calendar.time_zone,
                };
                let clock = |text: &str, field: &str| {
                    Ok::<_, FieldError>(CronClock::new(read_cron(text, &format!("{path}.{field}"))?, zone))
                };
                let source = Source::Cron(Box::new(Times {
                    start: clock(start, "start")?,
                    end: clock(end, "end")?,
                    desired: *desired_replicas,
                    is_active: false,
                }));
                // One replica for each that is wanted.
                let goal = Goal { threshold: 1.0, activation: 0.0, metric_type: MetricType::AverageValue };
                Built::Trigger(Box::new(Trigger {
                    source,
                    goal,
                    is_cached: false,
                    polled: None,
                    n_failures: 0,
                }))
            }
            Self::Cpu { utilization } => resource(Resource::Cpu, *utilization),
            Self::Memory { utilization } => resource(Resource::Memory, *utilization),
        })
    }
}
