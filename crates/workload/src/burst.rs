//! Two levels that take turns at random: a Markov-modulated Poisson process with two states.
//!
//! Spells are exponential. With λ₁, λ₂ the rates in the quiet and the busy state, r₁ = 1/`quiet_seconds`,
//! r₂ = 1/`busy_seconds` the rates of leaving them, and Poisson arrivals (Heffes and Lucantoni 1986; Fischer and
//! Meier-Hellstern 1993, The Markov-modulated Poisson process (MMPP) cookbook, Performance Evaluation 18):
//!
//! - the share of time that is busy is r₁/(r₁ + r₂), and the first state is drawn from that;
//! - the mean rate is (λ₁ r₂ + λ₂ r₁)/(r₁ + r₂);
//! - Var N(t)/E N(t) → 1 + 2 (λ₁ − λ₂)² r₁ r₂ / ((r₁ + r₂)² (λ₁ r₂ + λ₂ r₁)) as t grows.
//!
//! The mean over each tick is exact: a tick's rate weighs the states by the time spent in them.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::Exp1;
use tidegate_core::scenario::workload::BurstConfig;

use crate::days::Grid;

#[derive(Clone, Debug)]
pub(crate) struct Burst {
    config: BurstConfig,
}

impl Burst {
    pub(crate) fn new(config: &BurstConfig) -> Self {
        Self { config: *config }
    }

    pub(crate) fn add(&self, rng: &mut ChaCha8Rng, grid: &Grid, rates: &mut [f64]) {
        let BurstConfig { quiet_requests_per_second, busy_requests_per_second, .. } = self.config;
        let spells = [self.config.quiet_seconds, self.config.busy_seconds];
        let mut is_busy = rng.random::<f64>() * (spells[0] + spells[1]) < spells[1];
        let mut left = spells[usize::from(is_busy)] * rng.sample::<f64, _>(Exp1);
        for rate in rates {
            let (mut open, mut busy) = (grid.tick_seconds, 0.0);
            while left < open {
                busy += if is_busy { left } else { 0.0 };
                open -= left;
                is_busy = !is_busy;
                left = spells[usize::from(is_busy)] * rng.sample::<f64, _>(Exp1);
            }
            busy += if is_busy { open } else { 0.0 };
            left -= open;
            let share = busy / grid.tick_seconds;
            *rate += quiet_requests_per_second * (1.0 - share) + busy_requests_per_second * share;
        }
    }
}
