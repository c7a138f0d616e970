//! The order, where none is given.
//!
//! Chosen is the order n with the least N ln det Λₙ + d(n) ln N (Schwarz's criterion): Λₙ is the covariance of the one-step
//! prediction errors of the estimate of that order, refined by a few steps, d(n) = n (m + 2 p) + p m the number of
//! parameters that coordinates cannot change. Orders are tried upwards, until three in a row did not better the best.
//! Of plain estimates the criterion says little where poles are near the unit circle and noise is strong: they predict worse
//! the more states they have, or need more than there are (a test has such a plant). In short records with a weak mode the price of refinement is
//! that it is left out more often. Criteria on the canonical correlations alone (Bauer 2001, Econometric Theory 17(1))
//! were tried and rejected: with overlapping windows and a few block rows too many they took twice the order.
//! Without noise the criterion has no bottom; there the numerical rank of the projection is the order.

use super::data::Data;
use super::hankel::Factor;
use super::realise::project;
use super::refine::{Aim, Candidate};
use super::{
    Choice, EXCITATION, Order, Subspace, Weighting, hankel, is_excited, least_horizon, refine, regress,
    steps_needed,
};
use crate::FitError;

/// Predictions from cold starts: a larger order must pay for what it is slower to settle.
const AIM: Aim = Aim { simulation_weight: 0.0, warms_up: false };
/// Gauss–Newton steps that each order is given: what orders differ by shows in the first ones.
const STEPS: usize = 10;
/// So many orders in a row without an improvement end the search.
const PATIENCE: usize = 3;
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
            return Err(FitError::Order {
                field: "order".into(),
                value: 0,
                allowed: "must be at least 1".into(),
            });
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
        let projections: Vec<_> =
            self.weightings().into_iter().filter_map(|weighting| project(&factor, weighting)).collect();
        let innovations = regress::long_innovations(data, &factor, self.has_feedthrough);
        let n_steps = data.steps as f64;
        let mut criterion: Vec<f64> = Vec::new();
        let mut best = 0;
        for order in 1..=order_max {
            let n_parameters = order * (data.n_inputs + 2 * p) + p * data.n_inputs;
            let estimates = projections.iter().filter_map(|projection| {
                let (matrices, made) = self.estimate(data, projection, &innovations, horizon, order)?;
                let criterion = refine::criterion(data, &matrices, AIM);
                Some((Candidate { matrices, criterion }, made))
            });
            let plain = estimates.min_by(|(a, _), (b, _)| a.criterion.total_cmp(&b.criterion));
            let log_determinant = plain.map_or(f64::INFINITY, |(plain, made)| {
                if plain.criterion.is_finite() && made.has_noise_model {
                    refine::refine(data, plain, AIM, self.has_feedthrough, STEPS).criterion
                } else {
                    plain.criterion
                }
            });
            criterion.push(n_steps * log_determinant + n_parameters as f64 * n_steps.ln());
            if criterion[order - 1] < criterion[best] {
                best = order - 1;
            } else if order > best + PATIENCE {
                break;
            }
        }
        Ok((best + 1, criterion))
    }
}
