//! What a controller sees: what a real autoscaler could have measured by now, never the plant.
//!
//! An [`Observation`] lends; nothing is copied. A value that a real sensor may fail to give is an `Option`.

use crate::{Bounds, Calendar, Replicas, Tick};

/// Everything that was measured since the last call, and what the operator's API says now.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Seconds since the start of the run.
    pub now_seconds: f64,
    /// The accounting tick in which that is.
    pub tick: Tick,
    /// Ties `now_seconds` to the clock on the wall.
    pub calendar: &'a Calendar,
    /// Service-wide scrapes that became visible since the last call, oldest first.
    pub scrapes: &'a [Scrape],
    /// Named external metrics that became visible since the last call, oldest first.
    pub external: &'a [ExternalSample],
    /// One a pool, in the order of the facts.
    pub pools: &'a [PoolStatus],
    /// Every replica, by pool and then by age; empty unless the controller's [`crate::Needs`] ask for it.
    pub replicas: &'a [ReplicaSample],
    /// Spot preemption notices received since the last call.
    pub notices: &'a [Notice],
    /// Carbon intensity of the grid now, in grams of CO₂ a kilowatt-hour, where the operator subscribes to it.
    pub carbon_grams_per_kwh: Option<f64>,
}

impl Observation<'_> {
    /// The newest scrape since the last call.
    pub fn latest(&self) -> Option<&Scrape> {
        self.scrapes.last()
    }
}

/// One service-wide scrape: averages over its window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scrape {
    /// End of the window, in seconds since the start of the run.
    pub at_seconds: f64,
    /// Length of the window.
    pub window_seconds: f64,
    /// Attempts received a second, retries included.
    pub requests_per_second: Option<f64>,
    /// First attempts received a second, where the sensor can tell them from retries.
    pub first_attempts_per_second: Option<f64>,
    /// Failed attempts a second: rejected, abandoned in the queue, or lost in a crash.
    pub errors_per_second: Option<f64>,
    /// Mean share of the ready replicas' cpu in use.
    pub cpu_utilization: Option<f64>,
    /// Mean share of their memory in use.
    pub memory_utilization: Option<f64>,
    /// Mean share of their network bandwidth in use.
    pub network_utilization: Option<f64>,
    /// Mean share of their disk bandwidth in use.
    pub disk_utilization: Option<f64>,
    /// Mean server-side latency of the attempts completed in the window, in seconds; none if there were none.
    pub latency_mean_seconds: Option<f64>,
    /// Median of the same.
    pub latency_p50_seconds: Option<f64>,
    /// 95th percentile of the same.
    pub latency_p95_seconds: Option<f64>,
    /// 99th percentile of the same.
    pub latency_p99_seconds: Option<f64>,
    /// Attempts waiting at the end of the window.
    pub queue_length: Option<f64>,
    /// Attempts waiting or in service, averaged over the window.
    pub concurrency: Option<f64>,
    /// Age of the oldest waiting attempt at the end of the window, in seconds; 0 if none waits.
    pub oldest_age_seconds: Option<f64>,
}

impl Scrape {
    /// Users who came in the window, a second: first attempts where the sensor can tell, else all attempts. None where
    /// it gave no number that can be one.
    pub fn demand_per_second(&self) -> Option<f64> {
        let rate = self.first_attempts_per_second.or(self.requests_per_second);
        rate.filter(|rate| rate.is_finite() && *rate >= 0.0)
    }

    /// Attempts a second that were no first ones; none where the sensor cannot tell, or gave no numbers.
    pub fn retries_per_second(&self) -> Option<f64> {
        let retries = self.requests_per_second? - self.first_attempts_per_second?;
        retries.is_finite().then_some(retries.max(0.0))
    }
}

/// One value of a named external metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExternalSample {
    /// Position in the facts' list of external metrics.
    pub metric: u16,
    /// When it was measured.
    pub at_seconds: f64,
    /// The value; none if the source failed.
    pub value: Option<f64>,
}

/// What the operator's API says of one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoolStatus {
    /// The wanted count as it was last declared (Kubernetes: spec).
    pub declared: Replicas,
    /// Replicas that exist and are not going away, in whatever state (Kubernetes: status).
    pub observed: Replicas,
    /// Replicas that serve.
    pub ready: Replicas,
    /// Replicas on their way to ready: starting, in a hook, or registering.
    pub starting: Replicas,
    /// Replicas that finish their last requests.
    pub draining: Replicas,
    /// Replicas prepared but out of service.
    pub warm: Replicas,
    /// Bounds in force.
    pub bounds: Bounds,
    /// Mean share of the pool's ready cpu in use, by the last visible scrape.
    pub cpu_utilization: Option<f64>,
    /// Size of new replicas as a share of the nominal size.
    pub replica_size: f64,
    /// Share of the traffic relative to the other pools.
    pub route_weight: f64,
    /// Price in force; on the spot market it moves.
    pub dollars_per_replica_hour: f64,
    /// Spot preemption notices in force.
    pub notices: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { replicas_min: 0, replicas_max: Replicas::MAX }
    }
}

/// The most containers whose usage is reported apart.
pub const CONTAINERS_MAX: usize = 2;

/// One replica as an API server and a metrics server show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplicaSample {
    /// Position of its pool.
    pub pool: u16,
    /// Its number, never reused within a run.
    pub id: u64,
    /// Where in its life it is.
    pub state: ReplicaState,
    /// When it was asked for.
    pub created_seconds: f64,
    /// When its containers started; none while it waits for a machine.
    pub started_seconds: Option<f64>,
    /// Whether it passes its readiness check.
    pub is_ready: bool,
    /// When that last changed.
    pub ready_changed_seconds: f64,
    /// Its last visible usage sample; none if there is none yet or it was lost.
    pub usage: Option<ReplicaUsage>,
}

/// One usage sample of one replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplicaUsage {
    /// End of the window.
    pub at_seconds: f64,
    /// Length of the window.
    pub window_seconds: f64,
    /// Cores used, container by container in the order of the facts.
    pub cpu_cores: [f64; CONTAINERS_MAX],
    /// Memory used in GiB, container by container.
    pub memory_gib: [f64; CONTAINERS_MAX],
    /// Requests received a second.
    pub requests_per_second: f64,
    /// Requests waiting or in service at it, averaged over the window.
    pub concurrency: f64,
}

/// Where in its life a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplicaState {
    /// Prepared but out of service.
    Warm,
    /// Waiting for its machine and its process.
    Starting,
    /// In a launch hook.
    InHook,
    /// Started; registering with the balancer.
    Warming,
    /// Serving.
    Ready,
    /// Serving badly; not yet noticed.
    Unhealthy,
    /// Finishing its last requests.
    Draining,
    /// Gone: ended, crashed or preempted.
    Gone,
}

/// A spot preemption notice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Notice {
    /// Position of the pool.
    pub pool: u16,
    /// The replica that will go.
    pub replica: u64,
    /// When the notice came.
    pub at_seconds: f64,
    /// When the replica goes.
    pub gone_seconds: f64,
}
