//! Which model is identified in the loop, and how.

/// Which model is identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::QueueingModel`].
    Queueing,
    /// [`crate::HammersteinModel`] of orders (1, 1, 1).
    Hammerstein,
    /// [`crate::ArmaxResponse`] of orders (1, 2, 1).
    Armax,
}

/// How it learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnlineParameters {
    /// Which model.
    pub kind: Kind,
    /// Time after which a measurement weighs 1/e.
    pub memory_seconds: f64,
    /// Windows of a block, and samples of the stretch that a mean model is fitted to.
    pub windows_max: usize,
    /// Windows from one fit to the next, once there are enough.
    pub refit_windows: usize,
    /// What model and sensors do not get right, as a relative error.
    pub misfit: f64,
    /// Relative error up to which service time counts as known.
    pub service_error_max: f64,
    /// Relative error up to which capacity counts as known; it starts at 0.2 from the operator's concurrency.
    pub capacity_error_max: f64,
    /// Scrapes from one false alarm of the change detector to the next, on average.
    pub scrapes_between_alarms: f64,
    /// Whether cpu in use is the share of slots in use: true where requests do nothing but compute.
    pub cpu_is_busy_share: bool,
    /// Whether users come independently of each other, so that arrivals are as variable as Poisson's: then the model
    /// in use has a wait factor of at least (1 + κ)/2 (Allen and Cunneen), whatever the fit says. Far from saturation
    /// the data tell little of the wait, and a balancer with a queue at each replica spreads it so evenly that a fit
    /// finds almost none; a planner that believes it goes to the edge.
    pub arrivals_are_poisson: bool,
}

impl OnlineParameters {
    /// Two hours of memory, blocks of 96 windows, a false alarm in half a year of scrapes each 15 s.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            memory_seconds: 7200.0,
            windows_max: 96,
            refit_windows: 24,
            misfit: 0.04,
            service_error_max: 0.1,
            capacity_error_max: 0.25,
            scrapes_between_alarms: 1e6,
            cpu_is_busy_share: false,
            arrivals_are_poisson: false,
        }
    }
}
