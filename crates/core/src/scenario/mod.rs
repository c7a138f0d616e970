//! A scenario: one service, its users, its prices and its faults; read as written, checked once, then trusted.

mod check;
pub mod config;
pub mod workload;

pub use check::Problem;
pub use config::{Balancer, EnergyConfig, ExternalSource, FaultsConfig, ResourcesConfig, ScenarioConfig};
pub use config::{HookResult, LaunchHookConfig, SensingConfig, SpotConfig, WarmState};
pub use workload::{ArrivalsConfig, Noise, Recorded, Scale, TraceConfig, Workload};

use crate::locate::{FieldError, located, read_toml};
use crate::{
    Bounds, Calendar, Distribution, OperatorFacts, PoolFacts, Prices, Replicas, ServiceLevel,
    facts::ContainerFacts,
};

/// Something wrong with a scenario: line, field, problem.
pub type ScenarioError = FieldError;

/// Giving up would be cheaper than waiting.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("must be at least {least}, what the penalty charges at the client's time-out, but is {value}")]
pub struct ServiceLevelError {
    /// What a user who gave up costs.
    pub value: f64,
    /// What that must be at least.
    pub least: f64,
}

/// A small scenario that is complete, for examples and tests.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A checked scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// As chosen on the command line.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Where its numbers come from.
    pub provenance: String,
    /// The accounting tick.
    pub tick_seconds: f64,
    /// Ticks before what is counted.
    pub warm_up_ticks: u32,
    /// Counted ticks.
    pub horizon_ticks: u32,
    /// Ties run time to the clock on the wall.
    pub calendar: Calendar,
    /// Demand over time.
    pub workload: Workload,
    /// How users arrive within a tick.
    pub arrivals: ArrivalsConfig,
    /// Work of one request in slot-seconds at nominal speed.
    pub work: Distribution,
    /// How requests find a replica.
    pub balancer: Balancer,
    /// Longest queue, central or of each replica.
    pub queue_max: Option<u32>,
    /// What users do when they wait.
    pub client: Client,
    /// At least one.
    pub pools: Vec<Pool>,
    /// What was promised, and what breaking it costs.
    pub level: ServiceLevel,
    /// What can be measured.
    pub sensing: SensingConfig,
    /// What goes wrong.
    pub faults: FaultsConfig,
    /// Energy and carbon.
    pub energy: EnergyConfig,
    /// Parameters of controllers by name.
    pub controllers: toml::Table,
}

/// What users do when they wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// How long a user waits for one attempt; drawn once a user.
    pub timeout: Option<Distribution>,
    /// Attempts at most.
    pub attempts_max: u32,
    /// Pause before the second attempt.
    pub backoff_seconds: f64,
    /// By how much each further pause is longer.
    pub backoff_factor: f64,
    /// Share of the pause that is random.
    pub backoff_jitter: f64,
}

impl Client {
    /// The pause after the `attempt`-th attempt (1 is the first), with jitter from `uniform` in (0, 1).
    pub fn pause_seconds(&self, attempt: u32, uniform: f64) -> f64 {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        self.backoff_seconds * self.backoff_factor.powi(exponent) * (1.0 - self.backoff_jitter * uniform)
    }

    /// The longest time after which a user gives up: every attempt times out and every pause is longest. The
    /// time-out is taken at its 99.9 % quantile where it is random. None if users wait for ever.
    pub fn patience_seconds(&self) -> Option<f64> {
        let timeout = self.timeout.as_ref()?;
        let pauses: f64 = (1..self.attempts_max).map(|attempt| self.pause_seconds(attempt, 0.0)).sum();
        Some(timeout.quantile(0.999) * f64::from(self.attempts_max) + pauses)
    }
}

/// One pool of replicas, checked; fields as in [`config::PoolConfig`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // each is documented where it is written, in `PoolConfig`
pub struct Pool {
    pub name: String,
    pub concurrency: u32,
    pub speed: f64,
    pub bounds: Bounds,
    pub replicas_initial: Replicas,
    pub startup: Distribution,
    pub hook_seconds: f64,
    pub registration_seconds: f64,
    pub launch_hook: Option<LaunchHookConfig>,
    pub terminating_hook_seconds: f64,
    pub nominal_startup_seconds: f64,
    pub slow_start_seconds: f64,
    pub slow_start_speed: f64,
    pub drain_seconds_max: f64,
    pub dollars_per_replica_hour: f64,
    pub billing_quantum_seconds: f64,
    pub billing_minimum_seconds: f64,
    pub spot: Option<SpotConfig>,
    pub warm_pool: Option<WarmPool>,
    pub resources: ResourcesConfig,
    pub route_weight: f64,
    pub network_seconds: f64,
    pub carbon_factor: f64,
}

/// Prepared replicas out of service.
#[derive(Clone, Debug, PartialEq)]
pub struct WarmPool {
    /// Most of them.
    pub replicas_max: Replicas,
    /// Number at the start of every run.
    pub replicas_initial: Replicas,
    /// What one is while it waits.
    pub state: WarmState,
    /// From asked for to running process.
    pub startup: Distribution,
    /// Price of one.
    pub dollars_per_replica_hour: f64,
    /// Whether replicas that are scaled in go back to it.
    pub reuse_on_scale_in: bool,
}

impl Scenario {
    /// Reads and checks a scenario that stands alone (no trace files).
    ///
    /// # Errors
    /// With line and field.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        Self::parse_with(text, &mut |trace: &TraceConfig| {
            Err(format!("names the trace {:?}, but here no files can be read", trace.file))
        })
    }

    /// Reads and checks a scenario; `read` turns the names of trace files into what they say.
    ///
    /// # Errors
    /// With line and field.
    pub fn parse_with(text: &str, read: workload::ReadTrace<'_>) -> Result<Self, ScenarioError> {
        let config: ScenarioConfig = read_toml(text)?;
        Self::check(config, read).map_err(|problem| located(text, &problem.field, problem.what))
    }

    /// What the operator knows of it.
    pub fn facts(&self) -> OperatorFacts {
        OperatorFacts {
            tick_seconds: self.tick_seconds,
            scrape_seconds: self.sensing.scrape_seconds,
            calendar: self.calendar,
            prices: self.prices(),
            pools: self.pools.iter().map(Pool::facts).collect(),
            external_metrics: self.sensing.external.iter().map(|metric| metric.name.clone()).collect(),
        }
    }

    /// What is charged for what.
    pub fn prices(&self) -> Prices {
        Prices {
            level: self.level,
            dollars_per_warm_hour: self
                .pools
                .iter()
                .map(|pool| pool.warm_pool.as_ref().map_or(0.0, |warm| warm.dollars_per_replica_hour))
                .collect(),
            dollars_per_kwh: self.energy.dollars_per_kwh,
            dollars_per_carbon_kg: self.energy.dollars_per_carbon_kg,
        }
    }

    /// Ticks in which users arrive: warm-up and horizon.
    pub fn arrival_ticks(&self) -> u32 {
        self.warm_up_ticks + self.horizon_ticks
    }
}

impl Pool {
    fn facts(&self) -> PoolFacts {
        let main = ContainerFacts {
            name: "main".into(),
            cpu_cores_requested: self.resources.cpu_cores,
            memory_gib_requested: self.resources.memory_gib,
        };
        let sidecar = (self.resources.sidecar_cpu_cores > 0.0).then(|| ContainerFacts {
            name: "sidecar".into(),
            cpu_cores_requested: self.resources.sidecar_cpu_cores,
            memory_gib_requested: self.resources.sidecar_memory_gib,
        });
        PoolFacts {
            name: self.name.clone(),
            concurrency: self.concurrency,
            bounds: self.bounds,
            replicas_initial: self.replicas_initial,
            startup_seconds: self.nominal_startup_seconds,
            dollars_per_replica_hour: self.dollars_per_replica_hour,
            billing_quantum_seconds: self.billing_quantum_seconds,
            billing_minimum_seconds: self.billing_minimum_seconds,
            spot_notice_seconds: self.spot.map(|spot| spot.notice_seconds),
            warm_max: self.warm_pool.as_ref().map_or(0, |warm| warm.replicas_max),
            warm_startup_seconds: self.warm_pool.as_ref().map_or(0.0, |warm| {
                (warm.startup.mean() + self.hook_seconds + self.registration_seconds).round()
            }),
            containers: std::iter::once(main).chain(sidecar).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(from: &str, to: &str, expected: &Expect) {
        assert!(EXAMPLE.contains(from), "the example has no {from:?}");
        let error = Scenario::parse(&EXAMPLE.replacen(from, to, 1)).expect_err("the scenario is wrong");
        expected.assert_eq(&error.to_string());
    }

    #[test]
    fn the_example_is_right() {
        let scenario = Scenario::parse(EXAMPLE).expect("the example is right");
        assert_eq!(scenario.arrival_ticks(), 320);
        assert_eq!(scenario.facts().pools[0].startup_seconds, 60.0);
    }

    #[test]
    fn wrong_scenarios_name_line_field_value_and_bound() {
        check(
            "mean_seconds = 60",
            "mean_seconds = -15",
            &expect!["line 29: `pools[0].startup.mean_seconds` must be a positive number, but is -15"],
        );
        check(
            "replicas_max = 20",
            "replicas_max = 0",
            &expect!["line 26: `pools[0].replicas_min` must be 0 to 0, but is 1"],
        );
        check(
            "concurrency = 4",
            "concurency = 4",
            &expect![
                "line 24: `pools[0].concurency` unknown field `concurency`, expected one of `name`, `concurrency`, `speed`, `replicas_min`, `replicas_max`, `replicas_initial`, `startup`, `hook_seconds`, `registration_seconds`, `launch_hook`, `terminating_hook_seconds`, `nominal_startup_seconds`, `slow_start_seconds`, `slow_start_speed`, `drain_seconds_max`, `dollars_per_replica_hour`, `billing_quantum_seconds`, `billing_minimum_seconds`, `spot`, `warm_pool`, `resources`, `route_weight`, `network_seconds`, `carbon_factor`"
            ],
        );
        check(
            "requests_per_second = 20",
            "requests_per_second = nan",
            &expect![
                "line 13: `workload.requests_per_second` must not be negative and must be finite, but is NaN"
            ],
        );
    }
}
