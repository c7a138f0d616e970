//! One pool, for benchmarks of several solvers.

use tidegate_core::Replicas;
use tidegate_mpc::{Band, Limits, OnePool, Table};

/// A day's wave of load, a hyperbola of response time, every count reachable at every stage.
pub fn program(n_stages: usize, replicas_max: Replicas, ramp: Replicas) -> OnePool {
    let limits = Limits {
        bounds: vec![Band::new(0, replicas_max); n_stages],
        ramp_up: ramp,
        ramp_down: ramp,
        initial: replicas_max / 2,
        ..Limits::default()
    };
    let bands = vec![Band::new(0, replicas_max); n_stages];
    let stage = Table::from_fn(&bands, |stage, replicas| {
        let needed = needed(stage, n_stages, replicas_max);
        let short = (needed - f64::from(replicas)).max(0.0);
        3.0 * short + needed / (1.0 + f64::from(replicas))
    });
    OnePool { limits, dollars_per_replica: vec![1.0; n_stages], stage, ..OnePool::default() }
}

/// Replicas that the wave needs at a stage.
pub fn needed(stage: usize, n_stages: usize, replicas_max: Replicas) -> f64 {
    let angle = stage as f64 / n_stages as f64 * std::f64::consts::TAU;
    f64::from(replicas_max) * (0.5 - 0.4 * angle.cos())
}
