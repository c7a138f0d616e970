//! The discrete algebraic Riccati equation of the steady-state Kalman filter.
//!
//! P = A P Aᵀ + Q − (A P Cᵀ + S)(C P Cᵀ + R)⁻¹(A P Cᵀ + S)ᵀ, the stabilising solution: all eigenvalues of A − K C lie
//! inside the unit circle, with K = (A P Cᵀ + S)(C P Cᵀ + R)⁻¹.
//!
//! | symbol | word | shape |
//! | --- | --- | --- |
//! | A, C | transition and output | n × n, p × n |
//! | Q, R, S | covariance of state noise, of output noise, between them | n × n, p × p, n × p |
//! | P | covariance of the predicted state | n × n |
//!
//! S is removed first (Ā = A − S R⁻¹ C, Q̄ = Q − S R⁻¹ Sᵀ); the rest is the structure-preserving doubling algorithm of
//! Chu, Fan, Lin and Wang (2004, International Journal of Control 77(8)), which doubles the number of filter steps
//! at each turn and so converges quadratically. Iterating the filter's own recursion was rejected: with a slow mode
//! it needs thousands of steps.

use nalgebra::DMatrix;

/// Doublings after which the search ends: 2⁶⁰ filter steps.
const DOUBLINGS_MAX: usize = 60;
/// Relative residual that counts as solved; what is left after quadratic convergence is rounding.
const RESIDUAL: f64 = 1e-8;

/// Why there is no steady-state filter.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RiccatiError {
    /// The matrices do not fit together.
    #[error("`{matrix}` is {found_rows} × {found_columns}, but must be {rows} × {columns}")]
    Shape {
        /// Its name, for example `q`.
        matrix: &'static str,
        /// Rows it has.
        found_rows: usize,
        /// Columns it has.
        found_columns: usize,
        /// Rows it must have.
        rows: usize,
        /// Columns it must have.
        columns: usize,
    },
    /// The output noise must reach every output.
    #[error("`r` must be positive definite; give every output some noise")]
    OutputNoise,
    /// A mode on or outside the unit circle is not seen in the output or not driven by noise (Q − S R⁻¹ Sᵀ). The
    /// stabilising solution of an undriven mode outside it exists, but the filter does not tend to it by itself.
    #[error(
        "there is no stabilising solution; every mode on or outside the unit circle must be seen in the output and driven by noise"
    )]
    NoSolution,
}

/// The steady state of a Kalman filter.
#[derive(Clone, Debug, PartialEq)]
pub struct SteadyState {
    /// K, the predictor's gain: x̂(t+1|t) = A x̂(t|t−1) + B u + K (y − C x̂ − D u). States × outputs.
    pub gain: DMatrix<f64>,
    /// P, covariance of the state's one-step prediction error. States × states.
    pub covariance: DMatrix<f64>,
    /// C P Cᵀ + R, covariance of the innovation. Outputs × outputs.
    pub innovation_covariance: DMatrix<f64>,
}

/// The stabilising solution of the equation above.
///
/// # Errors
/// Shapes that do not fit, `r` not positive definite, or no stabilising solution.
pub fn dare(
    a: &DMatrix<f64>,
    c: &DMatrix<f64>,
    q: &DMatrix<f64>,
    r: &DMatrix<f64>,
    s: &DMatrix<f64>,
) -> Result<SteadyState, RiccatiError> {
    let (n, p) = (a.nrows(), c.nrows());
    for (matrix, found, rows, columns) in
        [("a", a, n, n), ("c", c, p, n), ("q", q, n, n), ("r", r, p, p), ("s", s, n, p)]
    {
        let (found_rows, found_columns) = found.shape();
        if (found_rows, found_columns) != (rows, columns) {
            return Err(RiccatiError::Shape { matrix, found_rows, found_columns, rows, columns });
        }
    }
    let r_factor = symmetric(r).cholesky().ok_or(RiccatiError::OutputNoise)?;
    let r_inverse_c = r_factor.solve(c);
    let decoupled_a = a - s * &r_inverse_c;
    let decoupled_q = symmetric(&(q - s * r_factor.solve(&s.transpose())));
    // The dual (control) form that the doubling is written for: X = AᵀX(I + G X)⁻¹A + H with A = Āᵀ.
    let mut step = decoupled_a.transpose();
    let mut gramian = symmetric(&c.tr_mul(&r_inverse_c));
    let mut solution = decoupled_q;
    for _ in 0..DOUBLINGS_MAX {
        let inner = (DMatrix::identity(n, n) + &gramian * &solution).lu();
        let step_through = inner.solve(&step).ok_or(RiccatiError::NoSolution)?;
        let gramian_through = inner.solve(&gramian).ok_or(RiccatiError::NoSolution)?;
        let growth = step.tr_mul(&(&solution * &step_through));
        let grown = &solution + symmetric(&growth);
        gramian = symmetric(&(&gramian + &step * gramian_through * step.transpose()));
        step = &step * step_through;
        let change = growth.amax();
        solution = grown;
        if !change.is_finite() {
            return Err(RiccatiError::NoSolution);
        }
        if change <= f64::EPSILON * solution.amax() {
            break;
        }
    }
    let steady = steady_state(a, c, r, s, symmetric(&solution)).ok_or(RiccatiError::NoSolution)?;
    let scale = steady.covariance.amax().max(q.amax()).max(f64::MIN_POSITIVE);
    let is_solved = residual(a, q, &steady).amax() <= RESIDUAL * scale;
    let is_stable = crate::dense::spectral_radius(&(a - &steady.gain * c)) < 1.0;
    if is_solved && is_stable { Ok(steady) } else { Err(RiccatiError::NoSolution) }
}

fn steady_state(
    a: &DMatrix<f64>,
    c: &DMatrix<f64>,
    r: &DMatrix<f64>,
    s: &DMatrix<f64>,
    covariance: DMatrix<f64>,
) -> Option<SteadyState> {
    let innovation_covariance = symmetric(&(c * &covariance * c.transpose() + r));
    let cross = a * &covariance * c.transpose() + s;
    let gain = innovation_covariance.clone().cholesky()?.solve(&cross.transpose()).transpose();
    Some(SteadyState { gain, covariance, innovation_covariance })
}

/// What the equation leaves over: zero at a solution.
fn residual(a: &DMatrix<f64>, q: &DMatrix<f64>, steady: &SteadyState) -> DMatrix<f64> {
    let explained = &steady.gain * &steady.innovation_covariance * steady.gain.transpose();
    a * &steady.covariance * a.transpose() + q - explained - &steady.covariance
}

pub(crate) fn symmetric(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    (matrix + matrix.transpose()) * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scalar(x: f64) -> DMatrix<f64> {
        DMatrix::from_element(1, 1, x)
    }

    #[test]
    fn a_scalar_filter_solves_its_quadratic() {
        for (a, c, q, r, s) in [
            (0.9, 1.0, 1.0, 1.0, 0.0),
            (1.0, 1.0, 0.5, 2.0, 0.0),
            (1.3, 0.7, 0.1, 3.0, 0.2),
            (0.999_9, 2.0, 1e-8, 1.0, 0.0),
        ] {
            let found = dare(&scalar(a), &scalar(c), &scalar(q), &scalar(r), &scalar(s)).expect("solvable");
            // c² P² + (r − a² r + 2 a c s − c² q) P + s² − q r = 0; the positive root.
            let linear = r - a * a * r + 2.0 * a * c * s - c * c * q;
            let constant = s * s - q * r;
            let root = (-linear + (linear * linear - 4.0 * c * c * constant).sqrt()) / (2.0 * c * c);
            let error = (found.covariance[(0, 0)] - root).abs();
            assert!(error < 1e-10 * root, "a = {a}: {} instead of {root}", found.covariance[(0, 0)]);
        }
    }

    #[test]
    fn what_has_no_steady_state_is_an_error() {
        let (one, zero) = (scalar(1.0), scalar(0.0));
        // An unstable mode that no output sees, and a noiseless output.
        assert_eq!(dare(&scalar(1.1), &zero, &one, &one, &zero), Err(RiccatiError::NoSolution));
        assert_eq!(dare(&one, &one, &one, &zero, &zero), Err(RiccatiError::OutputNoise));
        let error = dare(&one, &one, &DMatrix::zeros(2, 1), &one, &zero).expect_err("shape");
        assert_eq!(error.to_string(), "`q` is 2 × 1, but must be 1 × 1");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
        #[test]
        fn the_residual_is_zero_and_the_filter_stable(
            entries in proptest::collection::vec(-1.5_f64..1.5, 16),
            outputs in proptest::collection::vec(-1.0_f64..1.0, 8),
            noise in proptest::collection::vec(-1.0_f64..1.0, 36),
        ) {
            let a = DMatrix::from_row_slice(4, 4, &entries);
            let c = DMatrix::from_row_slice(2, 4, &outputs);
            let factor = DMatrix::from_row_slice(6, 6, &noise);
            let joint = &factor * factor.transpose() + DMatrix::identity(6, 6) * 0.1;
            let (q, s) = (joint.view((0, 0), (4, 4)).into_owned(), joint.view((0, 4), (4, 2)).into_owned());
            let r = joint.view((4, 4), (2, 2)).into_owned();
            let found = dare(&a, &c, &q, &r, &s).expect("driven by noise and seen in the output");
            let scale = found.covariance.amax();
            prop_assert!(residual(&a, &q, &found).amax() < 1e-9 * scale);
            // The filter's own recursion, run long, ends at the same covariance.
            let mut p = DMatrix::identity(4, 4);
            for _ in 0..5000 {
                let steady = steady_state(&a, &c, &r, &s, p).expect("positive definite");
                p = symmetric(&(residual(&a, &q, &steady) + &steady.covariance));
            }
            prop_assert!((&p - &found.covariance).amax() < 1e-6 * scale, "{p} {}", found.covariance);
        }
    }
}
