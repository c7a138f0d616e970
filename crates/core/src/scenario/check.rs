//! From a scenario as written to one that can be trusted.

use chrono::NaiveDateTime;

use super::config::{
    ClientConfig, DistributionConfig, EnergyConfig, FaultsConfig, LaunchHookConfig, PenaltyConfig,
    PoolConfig, ResourcesConfig, ScenarioConfig, SensingConfig, ServiceLevelConfig, SpotConfig,
    WarmPoolConfig, WarmState,
};
use super::workload::{ArrivalsConfig, ReadTrace, Workload};
use super::{Client, Pool, Scenario, WarmPool};
use crate::{Bounds, Calendar, Distribution, POOLS_MAX, Penalty, ServiceLevel};

/// What is wrong with which field; the line is looked up by whoever has the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field.
    pub field: String,
    /// For example `must be a positive number, but is -15`.
    pub what: String,
}

/// A place in the file, for messages.
pub struct At<'a> {
    path: std::borrow::Cow<'a, str>,
}

impl<'a> At<'a> {
    pub(super) fn new(path: &'a str) -> Self {
        Self { path: path.into() }
    }

    pub(super) fn inside(&self, name: &str) -> At<'static> {
        At { path: self.field(name).into() }
    }

    fn field(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn problem(&self, name: &str, what: &str) -> Problem {
        Problem { field: self.field(name), what: what.to_owned() }
    }
}

pub(super) fn positive(at: &At<'_>, name: &str, value: f64) -> Result<f64, Problem> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(at.problem(name, &format!("must be a positive number, but is {value}")))
    }
}

pub(super) fn non_negative(at: &At<'_>, name: &str, value: f64) -> Result<f64, Problem> {
    if value >= 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(at.problem(name, &format!("must not be negative and must be finite, but is {value}")))
    }
}

pub(super) fn at_least(at: &At<'_>, name: &str, value: f64, least: f64) -> Result<f64, Problem> {
    if value >= least && value.is_finite() {
        Ok(value)
    } else {
        Err(at.problem(name, &format!("must be at least {least}, but is {value}")))
    }
}

fn at_most_one(at: &At<'_>, name: &str, value: f64) -> Result<f64, Problem> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(at.problem(name, &format!("must be between 0 and 1, but is {value}")))
    }
}

impl DistributionConfig {
    pub(super) fn check(&self, at: &At<'_>) -> Result<Distribution, Problem> {
        Ok(match self {
            Self::Constant { seconds } => {
                Distribution::Constant { seconds: non_negative(at, "seconds", *seconds)? }
            }
            Self::Exponential { mean_seconds } => {
                Distribution::Exponential { mean_seconds: positive(at, "mean_seconds", *mean_seconds)? }
            }
            Self::LogNormal { mean_seconds, coefficient_of_variation } => Distribution::log_normal(
                positive(at, "mean_seconds", *mean_seconds)?,
                non_negative(at, "coefficient_of_variation", *coefficient_of_variation)?,
            ),
            Self::HyperExponential { mean_seconds, coefficient_of_variation } => {
                Distribution::hyper_exponential(
                    positive(at, "mean_seconds", *mean_seconds)?,
                    at_least(at, "coefficient_of_variation", *coefficient_of_variation, 1.0)?,
                )
            }
            Self::Empirical { quantiles_seconds } => {
                if quantiles_seconds.len() < 2 {
                    let what =
                        format!("must hold at least two values, but holds {}", quantiles_seconds.len());
                    return Err(at.problem("quantiles_seconds", &what));
                }
                let mut last = 0.0;
                for (index, value) in quantiles_seconds.iter().enumerate() {
                    last = at_least(at, &format!("quantiles_seconds[{index}]"), *value, last)?;
                }
                Distribution::Empirical { quantiles_seconds: quantiles_seconds.clone() }
            }
        })
    }
}

impl Scenario {
    /// Checks a scenario as written; `read` turns the names of trace files into what they say.
    ///
    /// # Errors
    /// Names the first field that is wrong.
    pub fn check(config: ScenarioConfig, read: ReadTrace<'_>) -> Result<Self, Problem> {
        let top = At::new("");
        if config.name.is_empty() || config.name.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        {
            let what = format!("must be letters, digits and `-`, but is {:?}", config.name);
            return Err(top.problem("name", &what));
        }
        let time = At::new("time");
        let tick_seconds = positive(&time, "tick_seconds", config.time.tick_seconds)?;
        if config.time.horizon_ticks == 0 {
            return Err(time.problem("horizon_ticks", "must be at least 1, but is 0"));
        }
        let start: NaiveDateTime = config.time.start.parse().map_err(|_| {
            let what = format!("must be a time like 2025-03-03T00:00:00, but is {:?}", config.time.start);
            time.problem("start", &what)
        })?;
        let time_zone = config.time.time_zone.parse().map_err(|_| {
            let what = format!("must be an IANA name like Europe/Berlin, but is {:?}", config.time.time_zone);
            time.problem("time_zone", &what)
        })?;
        let warm_up_seconds = (f64::from(config.time.warm_up_ticks) * tick_seconds).round() as u32;

        let workload = Workload::check(&config.workload, &At::new("workload"), read)?;
        if let ArrivalsConfig::Renewal { coefficient_of_variation } = config.arrivals {
            let at = At::new("arrivals");
            positive(&at, "coefficient_of_variation", coefficient_of_variation)?;
            if !(0.01..=100.0).contains(&coefficient_of_variation) {
                let what = format!("must be between 0.01 and 100, but is {coefficient_of_variation}");
                return Err(at.problem("coefficient_of_variation", &what));
            }
        }
        if matches!(config.arrivals, ArrivalsConfig::Recorded {}) && !has_arrivals(&workload) {
            return Err(At::new("arrivals")
                .problem("kind", "can be `recorded` only for a trace with one row a request"));
        }

        let work = config.service.work.check(&At::new("service.work"))?;
        if work.mean() <= 0.0 {
            return Err(At::new("service").problem("work", "must take time, but its mean is 0"));
        }
        let client = check_client(&config.client)?;
        if config.pools.is_empty() || config.pools.len() > POOLS_MAX {
            let what = format!("must be 1 to {POOLS_MAX} pools, but are {}", config.pools.len());
            return Err(top.problem("pools", &what));
        }
        let pools = config
            .pools
            .iter()
            .enumerate()
            .map(|(index, pool)| check_pool(pool, &At::new(&format!("pools[{index}]"))))
            .collect::<Result<Vec<_>, _>>()?;
        if pools.iter().all(|pool| pool.bounds.replicas_max == 0) {
            return Err(
                At::new("pools[0]").problem("replicas_max", "must leave some pool capacity, but all are 0")
            );
        }
        let can_give_up = client.timeout.is_some()
            || config.service.queue_max.is_some()
            || config.faults.crashes_per_replica_hour > 0.0
            || config.faults.unhealthy_per_replica_hour > 0.0
            || pools.iter().any(|pool| pool.spot.is_some());
        let level = check_level(&config.service_level, client.patience_seconds(), can_give_up)?;
        check_sensing(&config.sensing, tick_seconds)?;
        check_faults(&config.faults)?;
        check_energy(&config.energy)?;

        Ok(Self {
            name: config.name,
            summary: config.summary,
            provenance: config.provenance,
            tick_seconds,
            warm_up_ticks: config.time.warm_up_ticks,
            horizon_ticks: config.time.horizon_ticks,
            calendar: Calendar::new(start, time_zone, warm_up_seconds),
            workload,
            arrivals: config.arrivals,
            work,
            balancer: config.service.balancer,
            queue_max: config.service.queue_max,
            client,
            pools,
            level,
            sensing: config.sensing,
            faults: config.faults,
            energy: config.energy,
            controllers: config.controllers,
        })
    }
}

fn has_arrivals(workload: &Workload) -> bool {
    match workload {
        Workload::Recorded(recorded) => recorded.arrivals_seconds.is_some(),
        _ => false,
    }
}

fn check_client(config: &ClientConfig) -> Result<Client, Problem> {
    let at = At::new("client");
    let timeout =
        config.timeout.as_ref().map(|timeout| timeout.check(&At::new("client.timeout"))).transpose()?;
    if timeout.as_ref().is_some_and(|timeout| timeout.mean() <= 0.0) {
        return Err(at.problem("timeout", "must be a positive time, but its mean is 0"));
    }
    if config.attempts_max == 0 || config.attempts_max > 16 {
        return Err(at.problem("attempts_max", &format!("must be 1 to 16, but is {}", config.attempts_max)));
    }
    Ok(Client {
        timeout,
        attempts_max: config.attempts_max,
        backoff_seconds: positive(&at, "backoff_seconds", config.backoff_seconds)?,
        backoff_factor: at_least(&at, "backoff_factor", config.backoff_factor, 1.0)?,
        backoff_jitter: at_most_one(&at, "backoff_jitter", config.backoff_jitter)?,
    })
}

fn check_pool(config: &PoolConfig, at: &At<'_>) -> Result<Pool, Problem> {
    if config.concurrency == 0 || config.concurrency > 10_000 {
        return Err(at.problem("concurrency", &format!("must be 1 to 10000, but is {}", config.concurrency)));
    }
    let limit = |name, value: u32, least: u32, most: u32| {
        if (least..=most).contains(&value) {
            Ok(value)
        } else {
            Err(at.problem(name, &format!("must be {least} to {most}, but is {value}")))
        }
    };
    let replicas_max = limit("replicas_max", config.replicas_max, 0, 100_000)?;
    let replicas_min = limit("replicas_min", config.replicas_min, 0, replicas_max)?;
    let replicas_initial = limit("replicas_initial", config.replicas_initial, replicas_min, replicas_max)?;
    let startup = config.startup.check(&at.inside("startup"))?;
    let after_start = non_negative(at, "hook_seconds", config.hook_seconds)?
        + non_negative(at, "registration_seconds", config.registration_seconds)?;
    let nominal_startup_seconds = match config.nominal_startup_seconds {
        Some(seconds) => non_negative(at, "nominal_startup_seconds", seconds)?,
        None => (startup.mean() + after_start).round(),
    };
    let warm_pool = match &config.warm_pool {
        None => None,
        Some(warm) => Some(check_warm_pool(warm, config, &at.inside("warm_pool"))?),
    };
    if let Some(hook) = &config.launch_hook {
        check_launch_hook(hook, &at.inside("launch_hook"))?;
    }
    if let Some(spot) = &config.spot {
        check_spot(spot, &at.inside("spot"))?;
    }
    check_resources(&config.resources, &at.inside("resources"))?;
    at_most_one(at, "slow_start_speed", config.slow_start_speed)?;
    Ok(Pool {
        name: config.name.clone(),
        concurrency: config.concurrency,
        speed: positive(at, "speed", config.speed)?,
        bounds: Bounds { replicas_min, replicas_max },
        replicas_initial,
        startup,
        hook_seconds: config.hook_seconds,
        registration_seconds: config.registration_seconds,
        launch_hook: config.launch_hook,
        terminating_hook_seconds: non_negative(
            at,
            "terminating_hook_seconds",
            config.terminating_hook_seconds,
        )?,
        nominal_startup_seconds,
        slow_start_seconds: non_negative(at, "slow_start_seconds", config.slow_start_seconds)?,
        slow_start_speed: positive(at, "slow_start_speed", config.slow_start_speed)?,
        drain_seconds_max: non_negative(at, "drain_seconds_max", config.drain_seconds_max)?,
        dollars_per_replica_hour: non_negative(
            at,
            "dollars_per_replica_hour",
            config.dollars_per_replica_hour,
        )?,
        billing_quantum_seconds: positive(at, "billing_quantum_seconds", config.billing_quantum_seconds)?,
        billing_minimum_seconds: non_negative(at, "billing_minimum_seconds", config.billing_minimum_seconds)?,
        spot: config.spot,
        warm_pool,
        resources: config.resources.clone(),
        route_weight: non_negative(at, "route_weight", config.route_weight)?,
        network_seconds: non_negative(at, "network_seconds", config.network_seconds)?,
        carbon_factor: non_negative(at, "carbon_factor", config.carbon_factor)?,
    })
}

fn check_warm_pool(warm: &WarmPoolConfig, pool: &PoolConfig, at: &At<'_>) -> Result<WarmPool, Problem> {
    // A disk of the general-purpose class (gp3) in us-east-1, and the hours of a month that clouds reckon with.
    const DISK_DOLLARS_PER_GIB_MONTH: f64 = 0.08;
    const HOURS_PER_MONTH: f64 = 730.0;
    if warm.replicas_initial > warm.replicas_max {
        let what = format!("must be at most {}, but is {}", warm.replicas_max, warm.replicas_initial);
        return Err(at.problem("replicas_initial", &what));
    }
    let disk_gib = non_negative(at, "disk_gib", warm.disk_gib)?;
    let disk_dollars = |gib: f64| gib * DISK_DOLLARS_PER_GIB_MONTH / HOURS_PER_MONTH;
    // The delays are assumptions: a boot from disk, and memory read back at over 100 MB/s.
    let (startup_seconds, dollars) = match warm.state {
        WarmState::Stopped => (40.0, disk_dollars(disk_gib)),
        WarmState::Hibernated => (20.0, disk_dollars(disk_gib + pool.resources.memory_gib)),
        WarmState::Running => (0.0, pool.dollars_per_replica_hour),
    };
    let startup = match &warm.startup {
        Some(startup) => startup.check(&at.inside("startup"))?,
        None => Distribution::Constant { seconds: startup_seconds },
    };
    Ok(WarmPool {
        replicas_max: warm.replicas_max,
        replicas_initial: warm.replicas_initial,
        state: warm.state,
        startup,
        dollars_per_replica_hour: non_negative(
            at,
            "dollars_per_replica_hour",
            warm.dollars_per_replica_hour.unwrap_or(dollars),
        )?,
        reuse_on_scale_in: warm.reuse_on_scale_in,
    })
}

fn check_launch_hook(hook: &LaunchHookConfig, at: &At<'_>) -> Result<(), Problem> {
    at_most_one(at, "failure_share", hook.failure_share)?;
    // The limits of the console; without a least time a launch that always fails would never let time pass.
    if !(30.0..=7200.0).contains(&hook.timeout_seconds) {
        let what = format!("must be 30 to 7200, but is {}", hook.timeout_seconds);
        return Err(at.problem("timeout_seconds", &what));
    }
    Ok(())
}

fn check_spot(spot: &SpotConfig, at: &At<'_>) -> Result<(), Problem> {
    non_negative(at, "preemptions_per_replica_hour", spot.preemptions_per_replica_hour)?;
    non_negative(at, "notice_seconds", spot.notice_seconds)?;
    non_negative(at, "shocks_per_day", spot.shocks_per_day)?;
    at_most_one(at, "shock_share", spot.shock_share)?;
    non_negative(at, "shock_seconds", spot.shock_seconds)?;
    non_negative(at, "price_volatility", spot.price_volatility)?;
    positive(at, "price_half_life_seconds", spot.price_half_life_seconds)?;
    Ok(())
}

fn check_resources(resources: &ResourcesConfig, at: &At<'_>) -> Result<(), Problem> {
    positive(at, "cpu_cores", resources.cpu_cores)?;
    positive(at, "memory_gib", resources.memory_gib)?;
    at_most_one(at, "cpu_idle", resources.cpu_idle)?;
    at_most_one(at, "memory_idle", resources.memory_idle)?;
    for (name, value) in [
        ("cpu_busy", resources.cpu_busy),
        ("memory_per_outstanding", resources.memory_per_outstanding),
        ("network_busy", resources.network_busy),
        ("disk_busy", resources.disk_busy),
        ("sidecar_cpu_cores", resources.sidecar_cpu_cores),
        ("sidecar_memory_gib", resources.sidecar_memory_gib),
        ("watts_idle", resources.watts_idle),
    ] {
        non_negative(at, name, value)?;
    }
    at_least(at, "watts_busy", resources.watts_busy, resources.watts_idle)?;
    Ok(())
}

fn check_level(
    config: &ServiceLevelConfig,
    patience_seconds: Option<f64>,
    can_give_up: bool,
) -> Result<ServiceLevel, Problem> {
    let at = At::new("service_level");
    let inside = at.inside("penalty");
    let penalty = match config.penalty {
        PenaltyConfig::PerUser { dollars_per_user } => Penalty::PerUser {
            dollars_per_user: non_negative(&inside, "dollars_per_user", dollars_per_user)?,
        },
        PenaltyConfig::PerMillisecond { dollars_per_millisecond } => Penalty::PerMillisecond {
            dollars_per_millisecond: non_negative(
                &inside,
                "dollars_per_millisecond",
                dollars_per_millisecond,
            )?,
        },
        PenaltyConfig::PerWindow { dollars_per_window } => Penalty::PerWindow {
            dollars_per_window: non_negative(&inside, "dollars_per_window", dollars_per_window)?,
        },
        PenaltyConfig::MeanLatency { dollars_per_millisecond } => Penalty::MeanLatency {
            dollars_per_millisecond: non_negative(
                &inside,
                "dollars_per_millisecond",
                dollars_per_millisecond,
            )?,
        },
    };
    if config.window_ticks == 0 {
        return Err(at.problem("window_ticks", "must be at least 1, but is 0"));
    }
    let bound_seconds = positive(&at, "bound_seconds", config.bound_seconds)?;
    let per_time = matches!(penalty, Penalty::PerMillisecond { .. } | Penalty::MeanLatency { .. });
    if can_give_up && per_time && patience_seconds.is_none() {
        return Err(at.problem(
            "penalty",
            "grows with time, so users who may give up need a `client.timeout` that says when they do",
        ));
    }
    let patience_seconds = patience_seconds.unwrap_or(bound_seconds + 1e-3);
    let mut level = ServiceLevel {
        bound_seconds,
        share: at_most_one(&at, "share", config.share)?,
        window_ticks: config.window_ticks,
        penalty,
        dollars_per_user_gave_up: 0.0,
    };
    let least = level.check_gave_up(patience_seconds).err().map_or(0.0, |error| error.least);
    level.dollars_per_user_gave_up = config.dollars_per_user_gave_up.unwrap_or(least);
    non_negative(&at, "dollars_per_user_gave_up", level.dollars_per_user_gave_up)?;
    level
        .check_gave_up(patience_seconds)
        .map_err(|error| at.problem("dollars_per_user_gave_up", &error.to_string()))?;
    Ok(level)
}

fn check_sensing(config: &SensingConfig, tick_seconds: f64) -> Result<(), Problem> {
    let at = At::new("sensing");
    positive(&at, "scrape_seconds", config.scrape_seconds)?;
    // A scrape ends on the accounting grid or divides it, so that the fluid engine can give it.
    let ratio = (config.scrape_seconds / tick_seconds).max(tick_seconds / config.scrape_seconds);
    if (ratio - ratio.round()).abs() > 1e-9 {
        let what = format!(
            "must be a multiple or a whole part of the tick of {tick_seconds} s, but is {}",
            config.scrape_seconds
        );
        return Err(at.problem("scrape_seconds", &what));
    }
    non_negative(&at, "delay_seconds", config.delay_seconds)?;
    non_negative(&at, "noise", config.noise)?;
    at_most_one(&at, "dropout", config.dropout)?;
    Ok(())
}

fn check_faults(config: &FaultsConfig) -> Result<(), Problem> {
    let at = At::new("faults");
    non_negative(&at, "crashes_per_replica_hour", config.crashes_per_replica_hour)?;
    non_negative(&at, "unhealthy_per_replica_hour", config.unhealthy_per_replica_hour)?;
    positive(&at, "unhealthy_speed", config.unhealthy_speed)?;
    non_negative(&at, "detection_seconds", config.detection_seconds)?;
    Ok(())
}

fn check_energy(config: &EnergyConfig) -> Result<(), Problem> {
    let at = At::new("energy");
    non_negative(&at, "dollars_per_kwh", config.dollars_per_kwh)?;
    non_negative(&at, "dollars_per_carbon_kg", config.dollars_per_carbon_kg)?;
    non_negative(&at, "carbon_grams_per_kwh", config.carbon_grams_per_kwh)?;
    at_most_one(&at, "carbon_daily_swing", config.carbon_daily_swing)?;
    non_negative(&at, "carbon_variation", config.carbon_variation)?;
    Ok(())
}
