//! What the operator knows without measuring.

use crate::{Bounds, Calendar, Prices, Replicas};

/// What a controller is built from: prices, limits, service level, tick, pools, nominal start-up, calendar.
///
/// How much work a request is, how it varies, how long a start really takes and what the users will do are not
/// here: those are measured or identified.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorFacts {
    /// The accounting tick.
    pub tick_seconds: f64,
    /// Time between scrapes.
    pub scrape_seconds: f64,
    /// Ties run time to the clock on the wall.
    pub calendar: Calendar,
    /// What is charged for what.
    pub prices: Prices,
    /// The pools, in the order in which targets and statuses name them.
    pub pools: Vec<PoolFacts>,
    /// Names of the external metrics, in the order in which samples number them.
    pub external_metrics: Vec<String>,
}

/// What the operator knows of one pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolFacts {
    /// Its name.
    pub name: String,
    /// Requests that one replica serves at once.
    pub concurrency: u32,
    /// The least and the most replicas.
    pub bounds: Bounds,
    /// Replicas at the start of every run.
    pub replicas_initial: Replicas,
    /// What the operator expects a start to take, from request to ready.
    pub startup_seconds: f64,
    /// List price; on the spot market the long-run mean.
    pub dollars_per_replica_hour: f64,
    /// A replica's life is billed in multiples of this.
    pub billing_quantum_seconds: f64,
    /// And at least for this long.
    pub billing_minimum_seconds: f64,
    /// Whether the market may take replicas back, and the notice it gives.
    pub spot_notice_seconds: Option<f64>,
    /// Replicas that may be kept warm at most; 0 where there is no warm pool.
    pub warm_max: Replicas,
    /// What a warm replica takes to become ready.
    pub warm_startup_seconds: f64,
    /// The containers of one replica, with what they request.
    pub containers: Vec<ContainerFacts>,
}

/// One container of a replica, with its resource requests.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerFacts {
    /// Its name.
    pub name: String,
    /// Cores requested.
    pub cpu_cores_requested: f64,
    /// Memory requested, in GiB.
    pub memory_gib_requested: f64,
}
