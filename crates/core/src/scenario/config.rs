//! A scenario as it is written in TOML. Every field has its unit in its name; defaults are given with the field.

use serde::Deserialize;

use super::workload::{ArrivalsConfig, WorkloadConfig};

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioConfig {
    /// Short name, as chosen on the command line.
    pub name: String,
    /// One sentence for lists and reports.
    pub summary: String,
    /// Where its numbers come from: traces, papers, price lists.
    #[serde(default)]
    pub provenance: String,
    /// Grid and calendar.
    pub time: TimeConfig,
    /// Demand over time.
    pub workload: WorkloadConfig,
    /// How users arrive within a tick; default Poisson.
    #[serde(default)]
    pub arrivals: ArrivalsConfig,
    /// What a request is and how it is handed out.
    pub service: ServiceConfig,
    /// What users do when they wait; default: they wait for ever and try once.
    #[serde(default)]
    pub client: ClientConfig,
    /// Pools of replicas; at least one.
    pub pools: Vec<PoolConfig>,
    /// What was promised, and what breaking it costs.
    pub service_level: ServiceLevelConfig,
    /// What can be measured; default: everything, at once, without noise, every tick.
    #[serde(default)]
    pub sensing: SensingConfig,
    /// What goes wrong; default: nothing.
    #[serde(default)]
    pub faults: FaultsConfig,
    /// Energy and carbon; default: 400 g/kWh, not priced.
    #[serde(default)]
    pub energy: EnergyConfig,
    /// Parameters of controllers by name, tuned for this scenario; read by the crate of the controllers.
    #[serde(default)]
    pub controllers: toml::Table,
}

/// Grid and calendar.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeConfig {
    /// Accounting tick in seconds.
    #[serde(default = "fifteen")]
    pub tick_seconds: f64,
    /// Ticks before what is counted; default 80 (20 minutes at 15 s).
    #[serde(default = "warm_up")]
    pub warm_up_ticks: u32,
    /// Counted ticks; a day at 15 s is 5760.
    pub horizon_ticks: u32,
    /// Local time at which the counted part starts, `2025-03-03T00:00:00`.
    #[serde(default = "monday")]
    pub start: String,
    /// IANA name; default UTC.
    #[serde(default = "utc")]
    pub time_zone: String,
}

/// What a request is and how it is handed out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// Work of one request: the time it takes one slot of nominal speed.
    pub work: DistributionConfig,
    /// How requests find a replica.
    pub balancer: Balancer,
    /// Longest queue (of the central queue, or of each replica); default unbounded.
    pub queue_max: Option<u32>,
}

/// How requests find a replica.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Balancer {
    /// One queue for all; a free slot takes the oldest request.
    CentralQueue {},
    /// Replica after replica; each queues for itself.
    RoundRobin {},
    /// Any ready replica, each as likely.
    Random {},
    /// The ready replica with the fewest requests waiting or in service.
    LeastOutstanding {},
    /// The better of two picked at random.
    TwoChoices {},
}

/// What users do when they wait.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// How long a user waits for the answer to one attempt; drawn once a user. Default: for ever.
    pub timeout: Option<DistributionConfig>,
    /// Attempts a user makes at most; default 1: no retry.
    #[serde(default = "one_u32")]
    pub attempts_max: u32,
    /// Pause before the second attempt, in seconds; default 1.
    #[serde(default = "one")]
    pub backoff_seconds: f64,
    /// By how much each further pause is longer; default 2.
    #[serde(default = "two")]
    pub backoff_factor: f64,
    /// Share of the pause that is random: pause · (1 − jitter · U); default 0.5.
    #[serde(default = "half")]
    pub backoff_jitter: f64,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            timeout: None,
            attempts_max: 1,
            backoff_seconds: 1.0,
            backoff_factor: 2.0,
            backoff_jitter: 0.5,
        }
    }
}

/// A positive random duration in seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DistributionConfig {
    /// Always the same.
    Constant {
        /// The duration.
        seconds: f64,
    },
    /// Memoryless.
    Exponential {
        /// Mean.
        mean_seconds: f64,
    },
    /// Log-normal.
    LogNormal {
        /// Mean (not of the logarithm).
        mean_seconds: f64,
        /// Standard deviation over mean.
        coefficient_of_variation: f64,
    },
    /// Two exponential phases with balanced means.
    HyperExponential {
        /// Mean.
        mean_seconds: f64,
        /// Standard deviation over mean; at least 1.
        coefficient_of_variation: f64,
    },
    /// Values at equally spaced probabilities from 0 to 1, straight lines between.
    Empirical {
        /// At least two values, not decreasing.
        quantiles_seconds: Vec<f64>,
    },
}

/// One pool of replicas.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolConfig {
    /// Its name.
    pub name: String,
    /// Requests that one replica serves at once.
    pub concurrency: u32,
    /// Speed of a slot relative to the nominal; default 1.
    #[serde(default = "one")]
    pub speed: f64,
    /// Least replicas; default 1.
    #[serde(default = "one_u32")]
    pub replicas_min: u32,
    /// Most replicas.
    pub replicas_max: u32,
    /// Replicas at the start of every run.
    pub replicas_initial: u32,
    /// From request to running process.
    pub startup: DistributionConfig,
    /// Launch hook after that, in seconds; default 0.
    #[serde(default)]
    pub hook_seconds: f64,
    /// Registration with the balancer after that, in seconds; default 0.
    #[serde(default)]
    pub registration_seconds: f64,
    /// What if the launch hook does not answer; default: it always does.
    pub launch_hook: Option<LaunchHookConfig>,
    /// Hook of a replica that was scaled in, after it drained: out of service but billed, in seconds; default 0.
    #[serde(default)]
    pub terminating_hook_seconds: f64,
    /// What the operator expects a start to take, request to ready; default: the mean of the above, rounded.
    pub nominal_startup_seconds: Option<f64>,
    /// Time after becoming ready during which a replica is slower; default 0.
    #[serde(default)]
    pub slow_start_seconds: f64,
    /// Its relative speed at the start of that time, rising in a straight line to 1; default 1.
    #[serde(default = "one")]
    pub slow_start_speed: f64,
    /// A draining replica is ended after this time even if it still serves; default 60 s.
    #[serde(default = "minute")]
    pub drain_seconds_max: f64,
    /// Price of a replica.
    pub dollars_per_replica_hour: f64,
    /// A life is billed in multiples of this; default 1 s.
    #[serde(default = "one")]
    pub billing_quantum_seconds: f64,
    /// And at least for this long; default 60 s.
    #[serde(default = "minute")]
    pub billing_minimum_seconds: f64,
    /// The spot market, if it is bought there.
    pub spot: Option<SpotConfig>,
    /// A pool of prepared replicas beside it.
    pub warm_pool: Option<WarmPoolConfig>,
    /// What a replica uses of its resources.
    #[serde(default)]
    pub resources: ResourcesConfig,
    /// Share of the traffic relative to the other pools; default 0: the balancer does not look at pools.
    #[serde(default)]
    pub route_weight: f64,
    /// Added to the latency of what this pool serves (a far region), in seconds; default 0.
    #[serde(default)]
    pub network_seconds: f64,
    /// Carbon intensity of this pool's grid relative to the scenario's; default 1.
    #[serde(default = "one")]
    pub carbon_factor: f64,
}

/// A launch hook that may stay silent, instead of answering CONTINUE after the pool's `hook_seconds`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LaunchHookConfig {
    /// Share of launches of which the hook never answers.
    pub failure_share: f64,
    /// Heartbeat timeout: how long an answer is waited for; default 3600 s, as AWS has it.
    #[serde(default = "hour")]
    pub timeout_seconds: f64,
    /// What happens then; default abandon, as AWS has it.
    #[serde(default)]
    pub default_result: HookResult,
}

/// What happens when a launch hook times out.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum HookResult {
    /// The replica ends and another one is launched.
    #[default]
    Abandon,
    /// The replica is put into service all the same.
    Continue,
}

/// The spot market.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SpotConfig {
    /// Preemptions of one replica an hour.
    pub preemptions_per_replica_hour: f64,
    /// Time between notice and end; default 120 s.
    #[serde(default = "two_minutes")]
    pub notice_seconds: f64,
    /// Shocks a day in which the market takes many back at once; default 0.
    #[serde(default)]
    pub shocks_per_day: f64,
    /// Share of the pool that a shock takes; default 0.5.
    #[serde(default = "half")]
    pub shock_share: f64,
    /// How long nothing new can be had after a shock; default 900 s.
    #[serde(default = "quarter_hour")]
    pub shock_seconds: f64,
    /// Standard deviation of the logarithm of the price around its mean; default 0.
    #[serde(default)]
    pub price_volatility: f64,
    /// Time in which a deviation of the price halves; default 4 h.
    #[serde(default = "four_hours")]
    pub price_half_life_seconds: f64,
}

/// Prepared replicas out of service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmPoolConfig {
    /// Most of them.
    pub replicas_max: u32,
    /// Number at the start of every run; default 0.
    #[serde(default)]
    pub replicas_initial: u32,
    /// What a prepared replica is while it waits; default stopped, as AWS has it.
    #[serde(default)]
    pub state: WarmState,
    /// From asked for to running process, in place of the pool's start-up; default by state.
    pub startup: Option<DistributionConfig>,
    /// Price of one; default by state (stopped: its disk; hibernated: disk and memory image; running: full price).
    pub dollars_per_replica_hour: Option<f64>,
    /// Size of its disk, for that default; default 30 GiB.
    #[serde(default = "thirty")]
    pub disk_gib: f64,
    /// Whether replicas that are scaled in go back to the warm pool while it has room; default false.
    #[serde(default)]
    pub reuse_on_scale_in: bool,
}

/// What a prepared replica is while it waits.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WarmState {
    /// Shut down; only its disk is paid.
    #[default]
    Stopped,
    /// Shut down with its memory on the disk.
    Hibernated,
    /// Running and paid in full, but out of service.
    Running,
}

/// What a replica is and uses: utilization = idle + slope · load, cut at 1.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ResourcesConfig {
    /// Cores requested; default 2.
    #[serde(default = "two")]
    pub cpu_cores: f64,
    /// Memory requested in GiB; default 4.
    #[serde(default = "four")]
    pub memory_gib: f64,
    /// Cpu share of an idle replica; default 0.
    #[serde(default)]
    pub cpu_idle: f64,
    /// Cpu share added when every slot is busy; default 1.
    #[serde(default = "one")]
    pub cpu_busy: f64,
    /// Memory share of an idle replica; default 0.3.
    #[serde(default = "memory_idle")]
    pub memory_idle: f64,
    /// Memory share added by each request waiting or in service at the replica, over its concurrency; default 0.3.
    #[serde(default = "memory_idle")]
    pub memory_per_outstanding: f64,
    /// Network share added when every slot is busy; default 0.5.
    #[serde(default = "half")]
    pub network_busy: f64,
    /// Disk share added when every slot is busy; default 0.3.
    #[serde(default = "memory_idle")]
    pub disk_busy: f64,
    /// Cores requested by a sidecar container; default 0: there is none.
    #[serde(default)]
    pub sidecar_cpu_cores: f64,
    /// Its memory request in GiB; default 0.
    #[serde(default)]
    pub sidecar_memory_gib: f64,
    /// Electric power of an idle replica; default 100 W.
    #[serde(default = "hundred")]
    pub watts_idle: f64,
    /// Electric power of a replica with every slot busy; default 200 W.
    #[serde(default = "two_hundred")]
    pub watts_busy: f64,
}

impl Default for ResourcesConfig {
    fn default() -> Self {
        Self {
            cpu_cores: 2.0,
            memory_gib: 4.0,
            cpu_idle: 0.0,
            cpu_busy: 1.0,
            memory_idle: 0.3,
            memory_per_outstanding: 0.3,
            network_busy: 0.5,
            disk_busy: 0.3,
            sidecar_cpu_cores: 0.0,
            sidecar_memory_gib: 0.0,
            watts_idle: 100.0,
            watts_busy: 200.0,
        }
    }
}

/// What was promised, and what breaking it costs.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceLevelConfig {
    /// Latency that is still in order, first attempt to success.
    pub bound_seconds: f64,
    /// Share of users that must meet it in a window; default 0.99.
    #[serde(default = "ninety_nine")]
    pub share: f64,
    /// Length of a window in ticks; default 20 (5 minutes at 15 s).
    #[serde(default = "twenty")]
    pub window_ticks: u32,
    /// How a violation is charged.
    pub penalty: PenaltyConfig,
    /// What a user who gave up costs; default: what the penalty charges at the time of giving up.
    pub dollars_per_user_gave_up: Option<f64>,
}

/// How a violation is charged.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PenaltyConfig {
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

/// What can be measured.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SensingConfig {
    /// Time between scrapes; default 15 s. A scrape averages over this time.
    #[serde(default = "fifteen")]
    pub scrape_seconds: f64,
    /// Time until a scrape can be seen; default 0.
    #[serde(default)]
    pub delay_seconds: f64,
    /// Multiplicative noise on every value: coefficient of variation; default 0.
    #[serde(default)]
    pub noise: f64,
    /// Probability that a channel of a scrape is lost; default 0.
    #[serde(default)]
    pub dropout: f64,
    /// Whether first attempts can be told from retries; default true.
    #[serde(default = "yes")]
    pub sees_first_attempts: bool,
    /// Whether the grid's carbon intensity can be seen; default true.
    #[serde(default = "yes")]
    pub sees_carbon: bool,
    /// Named external metrics.
    #[serde(default)]
    pub external: Vec<ExternalConfig>,
}

impl Default for SensingConfig {
    fn default() -> Self {
        Self {
            scrape_seconds: 15.0,
            delay_seconds: 0.0,
            noise: 0.0,
            dropout: 0.0,
            sees_first_attempts: true,
            sees_carbon: true,
            external: Vec::new(),
        }
    }
}

/// A named external metric.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ExternalConfig {
    /// As controllers ask for it.
    pub name: String,
    /// What it measures.
    pub source: ExternalSource,
}

/// What an external metric measures.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ExternalSource {
    /// Attempts waiting.
    QueueLength,
    /// Age of the oldest waiting attempt in seconds.
    OldestAgeSeconds,
    /// Attempts received a second.
    RequestsPerSecond,
    /// Attempts waiting or in service.
    Concurrency,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FaultsConfig {
    /// Crashes of one replica an hour; default 0.
    #[serde(default)]
    pub crashes_per_replica_hour: f64,
    /// How often one replica an hour turns unhealthy: slow, but not dead; default 0.
    #[serde(default)]
    pub unhealthy_per_replica_hour: f64,
    /// Its relative speed then; default 0.1.
    #[serde(default = "tenth")]
    pub unhealthy_speed: f64,
    /// Time until the health check notices and replaces it; default 60 s.
    #[serde(default = "minute")]
    pub detection_seconds: f64,
}

impl Default for FaultsConfig {
    fn default() -> Self {
        Self {
            crashes_per_replica_hour: 0.0,
            unhealthy_per_replica_hour: 0.0,
            unhealthy_speed: 0.1,
            detection_seconds: 60.0,
        }
    }
}

/// Energy and carbon.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EnergyConfig {
    /// Price of energy; default 0: the cloud includes it.
    #[serde(default)]
    pub dollars_per_kwh: f64,
    /// Price put on carbon dioxide; default 0.
    #[serde(default)]
    pub dollars_per_carbon_kg: f64,
    /// Mean carbon intensity; default 400 g/kWh.
    #[serde(default = "four_hundred")]
    pub carbon_grams_per_kwh: f64,
    /// Relative amplitude of its daily swing, lowest at 13:00 local time (solar); default 0.
    #[serde(default)]
    pub carbon_daily_swing: f64,
    /// Coefficient of variation of its day-to-day level; default 0.
    #[serde(default)]
    pub carbon_variation: f64,
}

impl Default for EnergyConfig {
    fn default() -> Self {
        Self {
            dollars_per_kwh: 0.0,
            dollars_per_carbon_kg: 0.0,
            carbon_grams_per_kwh: 400.0,
            carbon_daily_swing: 0.0,
            carbon_variation: 0.0,
        }
    }
}

macro_rules! defaults {
    ($($name:ident: $type:ty = $value:expr;)*) => { $(fn $name() -> $type { $value })* };
}

defaults! {
    one: f64 = 1.0;
    two: f64 = 2.0;
    four: f64 = 4.0;
    half: f64 = 0.5;
    tenth: f64 = 0.1;
    memory_idle: f64 = 0.3;
    fifteen: f64 = 15.0;
    minute: f64 = 60.0;
    two_minutes: f64 = 120.0;
    quarter_hour: f64 = 900.0;
    hour: f64 = 3600.0;
    four_hours: f64 = 14_400.0;
    thirty: f64 = 30.0;
    hundred: f64 = 100.0;
    two_hundred: f64 = 200.0;
    four_hundred: f64 = 400.0;
    ninety_nine: f64 = 0.99;
    one_u32: u32 = 1;
    twenty: u32 = 20;
    warm_up: u32 = 80;
    yes: bool = true;
    monday: String = "2025-03-03T00:00:00".into();
    utc: String = "UTC".into();
}
