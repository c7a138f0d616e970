//! The order, where none is given.
//!
//! Canonical correlations ρ₁ ≥ ρ₂ ≥ … between past and future (future inputs taken out) are zero beyond the true order.
//! Chosen is the order n that minimises −N Σ_{i ≤ n} ln(1 − ρᵢ²) penalised: N Σ_{i > n} −ln(1 − ρᵢ²) stands for twice the
//! log likelihood that order n leaves, and d(n) ln N for its price, d(n) = n (m + 2 p) parameters (the criterion IVC of
//! Bauer 2001, Econometric Theory 17(1), with the penalty of BIC). Without noise the correlations are one and then rounding;
//! there the numerical rank of the projection is the order.

use super::data::Data;
use super::hankel::Factor;
use super::realise::project;
use super::{Order, Subspace, Weighting, is_excited, least_horizon, steps_needed};
use crate::FitError;
use super::{Choice, EXCITATION, hankel};

/// Two singular values this far apart (as a ratio) are signal and rounding.
const NOISELESS_GAP: f64 = 1e6;

impl Subspace {
    /// The order, and the criterion where it was chosen by it.
    pub(super) fn choose_order(&self, data: &Data) -> Result<(usize, Vec<f64>), FitError> {
        let order_max = match self.order {
            Order::Fixed(order) => return Ok((order, Vec::new())),
            Order::UpTo(order_max) => order_max,
        };
        if order_max == 0 {
            return Err(FitError::Order { field: "order".into(), value: 0, allowed: "must be at least 1".into() });
        }
        let p = data.n_outputs;
        let wanted = match self.horizon {
            Choice::Fixed(horizon) => horizon,
            Choice::Auto => least_horizon(order_max, p).max(order_max + 2),
        };
        // A record or an input that is too poor for that many block rows may do for fewer.
        let mut horizon = wanted;
        while horizon > 2 && steps_needed(data, horizon) > data.steps {
            horizon -= 1;
        }
        if steps_needed(data, horizon) > data.steps {
            let needed = steps_needed(data, horizon);
            let what = format!("a state-space model with horizon {horizon}");
            return Err(FitError::TooShort { found: data.steps, what, needed });
        }
        let mut factor = Factor::new(data, horizon);
        if !is_excited(&factor) {
            let found = hankel::excitation(data, 2 * horizon, EXCITATION);
            horizon = found / 2;
            if horizon < 2 {
                return Err(FitError::Excitation { found, what: "any order".into(), needed: 4 });
            }
            factor = Factor::new(data, horizon);
        }
        let diverged = || FitError::Diverged { what: "the order of a state-space model".into() };
        let order_max = order_max.min(p * (horizon - 1));
        let projection = project(&factor, Weighting::Moesp).ok_or_else(diverged)?;
        let values = &projection.singular_values;
        for order in 1..=order_max {
            let next = values.get(order).copied().unwrap_or(0.0);
            if values[order - 1] > NOISELESS_GAP * next.max(f64::MIN_POSITIVE) {
                return Ok((order, Vec::new()));
            }
        }
        let correlations = project(&factor, Weighting::Cva).ok_or_else(diverged)?.singular_values;
        let n_samples = (data.steps + 1 - 2 * horizon) as f64;
        let price = (data.n_inputs + 2 * p) as f64 * n_samples.ln();
        let information = |rho: f64| -n_samples * (1.0 - (rho * rho).min(1.0 - f64::EPSILON)).ln();
        let criterion: Vec<f64> = (0..=order_max)
            .map(|order| correlations[order..].iter().map(|&rho| information(rho)).sum::<f64>() + price * order as f64)
            .collect();
        let order = (1..=order_max).min_by(|&a, &b| criterion[a].total_cmp(&criterion[b])).unwrap_or(1);
        Ok((order, criterion))
    }
}
