//! What a rule can look at: the channels of a scrape, some of them put in relation to the fleet or the promise.

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{Observation, OperatorFacts, Scrape};

use crate::rule::{ActingPool, Window, wrong};

/// A measured quantity.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean cpu share in use, of the pool the rule acts on.
    Cpu,
    /// Mean memory share in use.
    Memory,
    /// Mean share of the network bandwidth in use.
    Network,
    /// Mean share of the disk bandwidth in use.
    Disk,
    /// Attempts received a second (the source document's request rate).
    RequestsPerSecond,
    /// The same, over the ready replicas of all pools.
    RequestsPerSecondPerReplica,
    /// Failed attempts over received ones; none if none was received.
    ErrorShare,
    /// Mean latency (the source document's response time).
    LatencyMeanSeconds,
    /// Its 95th percentile.
    LatencyP95Seconds,
    /// Its 99th percentile.
    LatencyP99Seconds,
    /// Its 95th percentile as a share of the bound that was promised.
    LatencyP95PerBound,
    /// Attempts waiting.
    QueueLength,
    /// Attempts waiting, over the ready replicas of all pools.
    QueuePerReplica,
    /// Age of the oldest waiting attempt.
    OldestAgeSeconds,
    /// Attempts waiting or in service.
    Concurrency,
    /// An external metric by name (the source document's custom metric).
    External,
}

/// A metric as one rule of one service reads it.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    metric: Metric,
    pool: ActingPool,
    has_several_pools: bool,
    bound_seconds: f64,
    external: u16,
}

impl Signal {
    pub(crate) fn new(metric: Metric, pool: ActingPool, facts: &OperatorFacts) -> Self {
        Self {
            metric,
            pool,
            has_several_pools: facts.pools.len() > 1,
            bound_seconds: facts.prices.level.bound_seconds,
            external: u16::MAX,
        }
    }

    /// The external metric of this name.
    pub(crate) fn external(name: &str, pool: ActingPool, facts: &OperatorFacts) -> Result<Self, FieldError> {
        let index = facts.external_metrics.iter().position(|known| known == name).ok_or_else(|| {
            let known = facts.external_metrics.join("`, `");
            let known = if known.is_empty() { "none".to_owned() } else { format!("`{known}`") };
            wrong(
                "external",
                format!("must be an external metric of the scenario ({known}), but is {name:?}"),
            )
        })?;
        let external = u16::try_from(index).expect("a scenario has few external metrics");
        Ok(Self { external, ..Self::new(Metric::External, pool, facts) })
    }

    /// Puts what became visible since the last call into the window.
    pub(crate) fn feed(&self, observation: &Observation<'_>, window: &mut Window) {
        self.feed_scaled(observation, 1.0, window);
    }

    /// The same, each value times a factor.
    pub(crate) fn feed_scaled(&self, observation: &Observation<'_>, factor: f64, window: &mut Window) {
        match self.metric {
            Metric::External => {
                for sample in observation.external.iter().filter(|sample| sample.metric == self.external) {
                    if let Some(value) = sample.value {
                        window.push(sample.at_seconds, value * factor);
                    }
                }
            }
            // The scrape's mean is over all pools; the pool's own is known for the newest scrape only.
            Metric::Cpu if self.has_several_pools => {
                let newest = observation.latest().map(|scrape| scrape.at_seconds);
                if let Some((at, value)) = newest.zip(self.pool.status(observation).cpu_utilization) {
                    window.push(at, value * factor);
                }
            }
            _ => {
                for scrape in observation.scrapes {
                    if let Some(value) = self.value(scrape, observation) {
                        window.push(scrape.at_seconds, value * factor);
                    }
                }
            }
        }
    }

    fn value(&self, scrape: &Scrape, observation: &Observation<'_>) -> Option<f64> {
        // With nothing ready one replica stands in, so that a queue before an empty pool still counts.
        let ready = || f64::from(observation.pools.iter().map(|pool| pool.ready).sum::<u32>().max(1));
        match self.metric {
            Metric::Cpu => scrape.cpu_utilization,
            Metric::Memory => scrape.memory_utilization,
            Metric::Network => scrape.network_utilization,
            Metric::Disk => scrape.disk_utilization,
            Metric::RequestsPerSecond => scrape.requests_per_second,
            Metric::RequestsPerSecondPerReplica => scrape.requests_per_second.map(|rate| rate / ready()),
            Metric::ErrorShare => {
                let received = scrape.requests_per_second.filter(|rate| *rate > 0.0)?;
                Some(scrape.errors_per_second? / received)
            }
            Metric::LatencyMeanSeconds => scrape.latency_mean_seconds,
            Metric::LatencyP95Seconds => scrape.latency_p95_seconds,
            Metric::LatencyP99Seconds => scrape.latency_p99_seconds,
            Metric::LatencyP95PerBound => scrape.latency_p95_seconds.map(|p95| p95 / self.bound_seconds),
            Metric::QueueLength => scrape.queue_length,
            Metric::QueuePerReplica => scrape.queue_length.map(|queue| queue / ready()),
            Metric::OldestAgeSeconds => scrape.oldest_age_seconds,
            Metric::Concurrency => scrape.concurrency,
            Metric::External => None,
        }
    }
}
