//! A service that does what it is told, for tests and benchmarks.

use tidegate_core::response::{BacklogWait, Service};
use tidegate_core::{ResponseModel, ResponseTime, ServiceLevel};

/// A replica serves four requests a second, and nobody waits before the fleet is full.
pub const REPLICA: f64 = 4.0;

/// The mean flow, and a service time far below any bound.
#[derive(Clone)]
pub struct Fluid {
    /// By which users are counted.
    pub level: ServiceLevel,
    /// Of a stage.
    pub tick_seconds: f64,
}

impl ResponseModel for Fluid {
    type State = f64;
    fn tick_seconds(&self) -> f64 {
        self.tick_seconds
    }
    fn level(&self) -> &ServiceLevel {
        &self.level
    }
    fn rest(&self, _: f64, _: f64) -> f64 {
        0.0
    }
    fn respond(&self, backlog: &f64, load: f64, ready: f64) -> (ResponseTime, f64) {
        let capacity = (REPLICA * ready).max(1e-6);
        let after = (backlog + (load - capacity) * self.tick_seconds).max(0.0);
        let behind =
            BacklogWait { share: 1.0, first_seconds: backlog / capacity, last_seconds: after / capacity };
        let time = ResponseTime {
            overhead_seconds: 0.0,
            service: Service::new(0.01, 1e-6),
            delay_probability: 0.0,
            decay_per_second: 1.0,
            backlog: if after > 0.0 || *backlog > 0.0 { behind } else { BacklogWait::default() },
        };
        (time, after)
    }
}
