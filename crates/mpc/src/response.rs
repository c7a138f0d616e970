//! The program of one pool whose penalty comes through linear dynamics: response time as a state, and its excess
//! charged.
//!
//! ```text
//! minimise   (the program of one pool)  +  Σ_t p · (y_t − bound)⁺
//! y_t = − Σ_{i≥1} a_i y_{t−i} + Σ_{j≥0} b_j n_{t−j} + c_t
//! ```
//!
//! This is an ARMAX model `A y = B_n n + B_u u + C e` as seen from now, in plain numbers: a and b are coefficients of A
//! and of the replicas' input, and `c_t` is all that is known ahead, the forecast load through `B_u`, what past
//! residuals still do through C, and the means that were taken out. A start-up delay is a lag of b. The penalty of a
//! stage depends on all orders before it, so no table over (stage, replicas) says it; for the integer program it is
//! linear.
//!
//! | symbol | word | unit |
//! | --- | --- | --- |
//! | `y_t` | response time, or any output | as `bound` |
//! | `n_t` | ordered | replicas |
//! | p | [`Dynamics::dollars_per_excess`] | dollars a unit of excess and stage |

use tidegate_core::Replicas;

use crate::error::{ProgramError, finite, length, not_negative};
use crate::{Convex, OnePool};

/// How the output follows from orders; see [the module](self).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dynamics {
    /// `a_1, a_2, …`: the denominator without its leading 1.
    pub autoregression: Vec<f64>,
    /// `b_0, b_1, …`: of the replicas now and before.
    pub replicas: Vec<f64>,
    /// `c_t` for each stage.
    pub known: Vec<f64>,
    /// `y_{−1}, y_{−2}, …`, as many as `autoregression`.
    pub outputs_before: Vec<f64>,
    /// `n_{−1}, n_{−2}, …`, one fewer than `replicas` (none where there are none).
    pub replicas_before: Vec<f64>,
    /// What the output may be without penalty.
    pub bound: f64,
    /// p.
    pub dollars_per_excess: f64,
}

/// The program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponsePool {
    /// Prices, limits and switching; its stage costs are added, and its delay is 0.
    pub pool: OnePool,
    /// Where the penalty comes from.
    pub dynamics: Dynamics,
}

impl Dynamics {
    /// The output at each stage under a plan.
    pub fn outputs(&self, wanted: &[Replicas]) -> Vec<f64> {
        let mut outputs: Vec<f64> = Vec::with_capacity(wanted.len());
        for stage in 0..wanted.len() {
            let past = |lag: usize| match stage.checked_sub(lag) {
                Some(then) => outputs[then],
                None => self.outputs_before[lag - stage - 1],
            };
            let ordered = |lag: usize| match stage.checked_sub(lag) {
                Some(then) => f64::from(wanted[then]),
                None => self.replicas_before[lag - stage - 1],
            };
            let own = self.autoregression.iter().enumerate().fold(0.0, |sum, (i, a)| sum - a * past(i + 1));
            let moved = self.replicas.iter().enumerate().fold(own, |sum, (lag, b)| sum + b * ordered(lag));
            outputs.push(moved + self.known[stage]);
        }
        outputs
    }

    /// The penalty over an output: p · (y − bound)⁺.
    pub(crate) fn penalty(&self) -> Convex {
        let mut penalty = Convex::shortage(0.0, 0.0);
        penalty.pieces[1].intercept_dollars = -self.bound * self.dollars_per_excess;
        penalty.pieces[1].slope_dollars = self.dollars_per_excess;
        penalty
    }

    fn validate(&self, n_stages: usize) -> Result<(), ProgramError> {
        length("dynamics.known", n_stages, self.known.len())?;
        length("dynamics.outputs_before", self.autoregression.len(), self.outputs_before.len())?;
        length(
            "dynamics.replicas_before",
            self.replicas.len().saturating_sub(1),
            self.replicas_before.len(),
        )?;
        finite("dynamics.autoregression", &self.autoregression)?;
        finite("dynamics.replicas", &self.replicas)?;
        finite("dynamics.known", &self.known)?;
        finite("dynamics.outputs_before", &self.outputs_before)?;
        finite("dynamics.replicas_before", &self.replicas_before)?;
        finite("dynamics.bound", &[self.bound])?;
        not_negative("dynamics.dollars_per_excess", self.dollars_per_excess)
    }
}

impl ResponsePool {
    /// Whether the program says something that can be solved.
    ///
    /// # Errors
    /// As [`OnePool::validate`], lengths of the dynamics that do not fit, numbers that are not finite, or a delay of
    /// the pool.
    pub fn validate(&self) -> Result<(), ProgramError> {
        self.pool.validate()?;
        let delay = self.pool.limits.delay_ticks;
        if delay > 0 {
            let range = "0, since the delay is a lag of `dynamics.replicas`";
            return Err(ProgramError::Range { field: "delay_ticks", range, value: f64::from(delay) });
        }
        self.dynamics.validate(self.pool.n_stages())
    }

    /// The objective of a plan, by its definition; `None` where it breaks a limit.
    pub fn dollars(&self, wanted: &[Replicas]) -> Option<f64> {
        let penalty = self.dynamics.penalty();
        let outputs = self.dynamics.outputs(wanted);
        Some(self.pool.dollars(wanted)? + outputs.iter().fold(0.0, |sum, output| sum + penalty.at(*output)))
    }
}
