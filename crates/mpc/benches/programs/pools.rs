//! Several pools, for benchmarks of several solvers.

use tidegate_mpc::{Band, Convex, Course, Piece, Pool, Pools, Risk, Switching};

/// A day with a lunch peak and an evening peak: on-demand, spot, a second region, reserved machines.
pub fn program(n_stages: usize, n_pools: usize, quantum_ticks: u32) -> Pools {
    // Price, most, ramp, delay, minimum up time, capacity.
    let kinds =
        [(1.0, 16, 3, 1, 2, 1.0), (0.45, 8, 2, 2, 6, 1.0), (0.8, 10, 2, 2, 4, 1.5), (0.6, 6, 1, 4, 12, 0.8)];
    let pools =
        kinds[..n_pools].iter().map(|&(price, most, ramp, delay_ticks, up_ticks_min, capacity)| Pool {
            dollars_per_replica: vec![price; n_stages],
            bounds: Band::new(1, most),
            ramp_up: ramp,
            ramp_down: ramp,
            delay_ticks,
            up_ticks_min,
            quantum_ticks,
            switching: Switching { up_dollars: 0.3, down_dollars: 0.1 },
            capacity,
            initial: most / 4,
            terminal_dollars_per_replica: 0.0,
        });
    let needed = |stage: usize| {
        let hour = stage as f64 * 24.0 / n_stages as f64;
        let bump = |at: f64, width: f64, height: f64| height * (-((hour - at) / width).powi(2)).exp();
        4.0 + 1.7 * n_pools as f64 * (bump(12.5, 2.0, 1.0) + bump(20.0, 1.5, 1.6))
    };
    let penalty = (0..n_stages).map(|stage| {
        let need = needed(stage);
        let mut convex = Convex::shortage(need, 4.0);
        convex.pieces.push(Piece { intercept_dollars: 0.8 * (need + 2.0), slope_dollars: -0.8 });
        convex
    });
    let course = Course { probability: 1.0, penalty: penalty.collect() };
    Pools { pools: pools.collect(), courses: vec![course], risk: Risk::Expected, chance: None }
}
