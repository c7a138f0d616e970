//! Models that learn while the service runs, one sample at a time and without allocation.
//!
//! [`RecursiveLeastSquares`] for any linear regression; [`RecursiveArmax`] for ARX (`nc` = 0) and ARMAX with several
//! inputs. Both keep the covariance as U D Uᵀ, forget exponentially, and cannot wind up: what is forgotten is replaced
//! by the prior information, so without excitation the covariance goes back to the prior one and no further
//! ([`RecursiveLeastSquares`] has the formulas). [`Trust`] says when that has happened.
//!
//! ```
//! use tidegate_sysid::recursive::{Forgetting, InputOrders, Orders, RecursiveArmax, Trust};
//!
//! // y(t) = 0.5 y(t − 1) + 2 u(t − 1), with no noise.
//! let orders = Orders { na: 1, inputs: vec![InputOrders { nb: 1, nk: 1 }], nc: 0 };
//! let mut model = RecursiveArmax::new(orders, Forgetting::constant(0.99), &[1e6; 2])?;
//! let (mut y, mut u_before) = (0.0, 0.0);
//! for t in 0..100_i32 {
//!     let u = f64::from(t % 7 - t % 3);
//!     y = 0.5 * y + 2.0 * u_before;
//!     model.update(&[u], y);
//!     u_before = u;
//! }
//! assert!((model.a()[0] + 0.5).abs() < 1e-4 && (model.b(0)[0] - 2.0).abs() < 1e-4);
//! assert_eq!(model.trust(0.01), Trust::Trusted);
//! # Ok::<(), tidegate_sysid::recursive::RecursiveError>(())
//! ```

mod armax;
mod least_squares;
mod stability;
mod ud;

pub use armax::{InputOrders, Orders, RecursiveArmax};
pub use least_squares::RecursiveLeastSquares;

/// What a recursive estimator cannot be built with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}, but must be {allowed}")]
pub struct RecursiveError {
    /// As written, for example `forgetting.end`.
    pub field: &'static str,
    /// What stands there.
    pub value: f64,
    /// For example `above 0 and at most 1`.
    pub allowed: String,
}

/// How fast the past fades: a sample n steps old counts λⁿ.
///
/// λ(t + 1) = rate · λ(t) + (1 − rate) · end, from `start`. A forgetting that rises to its end lets go of the first,
/// worst residuals (Ljung and Söderström 1983, §5.6: start 0.95, rate 0.99, end 1; by simulation of an ARMAX(2,2,2) with
/// 5000 samples that rate leaves deviations of C 1.5 times the standard error, and 0.995 leaves 1.0 times).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forgetting {
    /// λ of the first step.
    pub start: f64,
    /// What λ keeps of its distance to `end` each step; 0 jumps there.
    pub rate: f64,
    /// λ in the long run; 1 forgets nothing.
    pub end: f64,
}

impl Forgetting {
    /// The same λ throughout; the memory is 1/(1 − λ) samples.
    pub const fn constant(lambda: f64) -> Self {
        Self { start: lambda, rate: 0.0, end: lambda }
    }

    /// From 0.95 to `end`, at the rate 0.995.
    pub const fn rising_to(end: f64) -> Self {
        Self { start: 0.95, rate: 0.995, end }
    }

    fn checked(self) -> Result<Self, RecursiveError> {
        let is_share = |value: f64| value > 0.0 && value <= 1.0;
        check("forgetting.start", self.start, is_share(self.start), "above 0 and at most 1")?;
        check("forgetting.end", self.end, is_share(self.end), "above 0 and at most 1")?;
        check("forgetting.rate", self.rate, (0.0..1.0).contains(&self.rate), "at least 0 and below 1")?;
        Ok(self)
    }

    fn after(&self, lambda: f64) -> f64 {
        self.rate * lambda + (1.0 - self.rate) * self.end
    }
}

/// Whether the data within memory tell the parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trust {
    /// They do.
    Trusted,
    /// One is known hardly better than from the prior: nothing has excited it within memory.
    NotExcited {
        /// Position in `parameters`; the least known one.
        parameter: usize,
        /// Its variance as a share of the prior one.
        share: f64,
    },
}

fn check(field: &'static str, value: f64, holds: bool, allowed: &str) -> Result<(), RecursiveError> {
    if holds { Ok(()) } else { Err(RecursiveError { field, value, allowed: allowed.to_owned() }) }
}

#[cfg(test)]
mod tests;
