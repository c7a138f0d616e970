//! The Kalman filter: the state of a linear Gaussian system from what was measured, gaps included.
//!
//! x(t+1) = A x + B u + w, y = C x + D u + v, with (w, v) white, mean zero, covariance [Q S; Sᵀ R].
//!
//! | symbol | word | shape |
//! | --- | --- | --- |
//! | x⁻, P⁻ | state given the samples before this one, and its covariance | n, n × n |
//! | x⁺, P⁺ | state given this sample too | n, n × n |
//! | e, V | innovation y − C x⁻ − D u, its covariance C P⁻ Cᵀ + R | p, p × p |
//!
//! Both covariances are in Joseph's form, P⁺ = (I − L C) P⁻ (I − L C)ᵀ + L R Lᵀ, which stays symmetric and positive
//! semidefinite whatever rounding does to the gain L (Bucy and Joseph 1968; Anderson and Moore, Optimal Filtering,
//! 1979, section 6.5). With S the next P⁻ is (A − K C) P⁻ (A − K C)ᵀ + Q − S Kᵀ − K Sᵀ + K R Kᵀ with
//! K = (A P⁻ Cᵀ + S) V⁻¹, in the same form. A gap takes its row out of C, D, R and its column out of S.

use nalgebra::{DMatrix, DVector};

use crate::riccati::{RiccatiError, SteadyState, dare, symmetric};

/// A linear system driven by Gaussian noise.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearGaussian {
    /// Transition, n × n.
    pub a: DMatrix<f64>,
    /// Input to state, n × m.
    pub b: DMatrix<f64>,
    /// State to output, p × n.
    pub c: DMatrix<f64>,
    /// Input to output, p × m.
    pub d: DMatrix<f64>,
    /// Covariance of the state noise w, n × n.
    pub q: DMatrix<f64>,
    /// Covariance of the output noise v, p × p.
    pub r: DMatrix<f64>,
    /// Covariance of w with v, n × p.
    pub s: DMatrix<f64>,
}

/// What a sample told.
#[derive(Clone, Debug, PartialEq)]
pub struct Innovation {
    /// Which outputs were measured.
    pub observed: Vec<usize>,
    /// Measured minus predicted, one a measured output.
    pub errors: DVector<f64>,
    /// Their covariance.
    pub covariance: DMatrix<f64>,
    /// Logarithm of the Gaussian density of the errors; 0 where nothing was measured.
    pub log_likelihood: f64,
}

/// The filter at one sample. It alternates: [`KalmanFilter::update`] with the sample, [`KalmanFilter::predict`] to
/// the next.
#[derive(Clone, Debug)]
pub struct KalmanFilter {
    system: LinearGaussian,
    state: DVector<f64>,
    covariance: DMatrix<f64>,
    /// State and covariance before the sample, and what it told: `predict` needs them where S is not zero.
    prior: Option<Prior>,
}

#[derive(Clone, Debug)]
struct Prior {
    state: DVector<f64>,
    covariance: DMatrix<f64>,
    innovation: Innovation,
}

impl KalmanFilter {
    /// A filter that knows the first state as `state` with `covariance`, before the first sample.
    ///
    /// # Errors
    /// Shapes that do not fit, or `r` that is not positive definite.
    pub fn new(
        system: LinearGaussian,
        state: DVector<f64>,
        covariance: DMatrix<f64>,
    ) -> Result<Self, RiccatiError> {
        let (n, m, p) = (system.a.nrows(), system.b.ncols(), system.c.nrows());
        for (matrix, (found_rows, found_columns), rows, columns) in [
            ("a", system.a.shape(), n, n),
            ("b", system.b.shape(), n, m),
            ("c", system.c.shape(), p, n),
            ("d", system.d.shape(), p, m),
            ("q", system.q.shape(), n, n),
            ("r", system.r.shape(), p, p),
            ("s", system.s.shape(), n, p),
            ("state", state.shape(), n, 1),
            ("covariance", covariance.shape(), n, n),
        ] {
            if (found_rows, found_columns) != (rows, columns) {
                return Err(RiccatiError::Shape { matrix, found_rows, found_columns, rows, columns });
            }
        }
        if symmetric(&system.r).cholesky().is_none() {
            return Err(RiccatiError::OutputNoise);
        }
        Ok(Self { system, state, covariance, prior: None })
    }

    /// The state as known now.
    pub fn state(&self) -> &DVector<f64> {
        &self.state
    }

    /// Its covariance.
    pub fn covariance(&self) -> &DMatrix<f64> {
        &self.covariance
    }

    /// The output expected now, C x + D u, and its covariance C P Cᵀ + R; before the update, the one-step prediction.
    pub fn expected_output(&self, input: &DVector<f64>) -> (DVector<f64>, DMatrix<f64>) {
        let LinearGaussian { c, d, r, .. } = &self.system;
        (c * &self.state + d * input, symmetric(&(c * &self.covariance * c.transpose() + r)))
    }

    /// Takes the sample of this step; NaN in `output` is a gap, which is skipped.
    ///
    /// # Panics
    /// Where `input` or `output` has another length than the system has, or on a second update within a step.
    pub fn update(&mut self, input: &DVector<f64>, output: &DVector<f64>) -> Innovation {
        assert!(self.prior.is_none(), "one sample a step: predict before the next update");
        assert_eq!(output.len(), self.system.c.nrows(), "a sample needs one number, or NaN, for each output");
        let observed: Vec<usize> = (0..output.len()).filter(|&port| !output[port].is_nan()).collect();
        let (expected, _) = self.expected_output(input);
        let errors = DVector::from_iterator(
            observed.len(),
            observed.iter().map(|&port| output[port] - expected[port]),
        );
        let (c, r) = (self.system.c.select_rows(&observed), self.observed_noise(&observed));
        let covariance = symmetric(&(&c * &self.covariance * c.transpose() + &r));
        let factor = covariance.clone().cholesky().expect("R is positive definite, so V is");
        let gain = factor.solve(&(&c * &self.covariance)).transpose();
        let n = self.state.len();
        let keep = DMatrix::identity(n, n) - &gain * &c;
        let prior_covariance =
            symmetric(&(&keep * &self.covariance * keep.transpose() + &gain * r * gain.transpose()));
        let prior_state = &self.state + &gain * &errors;
        let mahalanobis = errors.dot(&factor.solve(&errors));
        let size = errors.len() as f64 * std::f64::consts::TAU.ln() + factor.ln_determinant() + mahalanobis;
        let innovation = Innovation { observed, errors, covariance, log_likelihood: -0.5 * size };
        self.prior = Some(Prior {
            state: std::mem::replace(&mut self.state, prior_state),
            covariance: std::mem::replace(&mut self.covariance, prior_covariance),
            innovation: innovation.clone(),
        });
        innovation
    }

    /// Goes on to the next step under `input`; without an update since the last call, the sample counts as a gap.
    ///
    /// # Panics
    /// Where `input` has another length than the system has.
    pub fn predict(&mut self, input: &DVector<f64>) {
        let LinearGaussian { a, b, q, .. } = &self.system;
        let Some(Prior { state, covariance, innovation }) = self.prior.take() else {
            self.covariance = symmetric(&(a * &self.covariance * a.transpose() + q));
            self.state = a * &self.state + b * input;
            return;
        };
        let c = self.system.c.select_rows(&innovation.observed);
        let s = self.system.s.select_columns(&innovation.observed);
        let r = self.observed_noise(&innovation.observed);
        let cross = a * &covariance * c.transpose() + &s;
        let factor = innovation.covariance.cholesky().expect("it was factored in the update");
        let gain = factor.solve(&cross.transpose()).transpose();
        let keep = a - &gain * c;
        let mixed = &s * gain.transpose();
        self.covariance = symmetric(
            &(&keep * &covariance * keep.transpose() + q - &mixed - mixed.transpose()
                + &gain * r * gain.transpose()),
        );
        self.state = a * state + b * input + gain * innovation.errors;
    }

    /// The steady state that the filter tends to when nothing is missing.
    ///
    /// # Errors
    /// Where there is none; see [`RiccatiError`].
    pub fn steady_state(&self) -> Result<SteadyState, RiccatiError> {
        let LinearGaussian { a, c, q, r, s, .. } = &self.system;
        dare(a, c, q, r, s)
    }

    fn observed_noise(&self, observed: &[usize]) -> DMatrix<f64> {
        self.system.r.select_rows(observed).select_columns(observed)
    }
}

#[cfg(test)]
mod tests;
