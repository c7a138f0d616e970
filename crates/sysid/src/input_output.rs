//! Input-output models: one type for AR, ARX, ARMA, ARMAX, output error and Box–Jenkins.
//!
//! A(q⁻¹) y = Σ Bᵢ(q⁻¹)/Fᵢ(q⁻¹) uᵢ + C(q⁻¹)/D(q⁻¹) e, in deviations from the means of the estimation data, which
//! the model keeps: it takes and gives raw units. A, C, D, Fᵢ begin with 1; Bᵢ with nkᵢ zeros, its delay.
//! How it predicts and simulates is in [`crate::running`], how it prints in [`crate::summary`].

use std::fmt;

use nalgebra::{Complex, DMatrix};
use tidegate_core::Channel;

use crate::orders::{Orders, Structure};
use crate::polynomial::Polynomial;

/// A fitted input-output model.
#[derive(Clone, Debug, PartialEq)]
pub struct InputOutputModel {
    /// Which special case it is.
    pub structure: Structure,
    /// Orders and delays.
    pub orders: Orders,
    /// A, B, C, D, F.
    pub polynomials: Polynomials,
    /// What it predicts.
    pub output: Signal,
    /// What drives it, in the order of Bᵢ and Fᵢ.
    pub inputs: Vec<Signal>,
    /// Time between samples.
    pub step_seconds: f64,
    /// Mean squared residual of the estimation, over its samples: V.
    pub loss: f64,
    /// Samples that the loss counts: N, the record without its first max(na, nb + nk − 1) + nd.
    pub samples: usize,
    /// Fit of the one-step predictions on the estimation data; see [`crate::fit_quality`].
    pub estimation_fit_percent: f64,
    /// Covariance of the parameters in the order of [`Orders`]: λ (JᵀJ)⁻¹ with λ of [`Self::noise_variance`] and J the
    /// gradient of the residuals at the optimum [Ljung, section 9.4]. Exact for a true model; with a wrong noise model it
    /// is too small.
    pub covariance: DMatrix<f64>,
    /// Steps that the search took, 0 for linear least squares.
    pub steps: usize,
    /// What disappoints about the fit, but does not make it useless.
    pub warnings: Vec<Warning>,
}

/// A, B, C, D, F.
#[derive(Clone, Debug, PartialEq)]
pub struct Polynomials {
    /// Of the output.
    pub a: Polynomial,
    /// One per input, leading zeros included.
    pub b: Vec<Polynomial>,
    /// Numerator of the noise.
    pub c: Polynomial,
    /// Denominator of the noise.
    pub d: Polynomial,
    /// One per input.
    pub f: Vec<Polynomial>,
}

/// A channel of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// As in the data.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its mean in the estimation data, which the model takes off and puts back.
    pub mean: f64,
}

/// What a fit says beside its numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// The search stopped at its limit of steps.
    NotConverged {
        /// Steps taken.
        steps: usize,
    },
    /// The data hardly tell some parameters apart: standard errors are large, orders may be too high.
    IllConditioned {
        /// The one whose variance suffers most.
        parameter: String,
        /// Condition number of the scaled gradient.
        condition: f64,
    },
    /// A or D has a root on or outside the unit circle: the one-step predictor is sound, free runs grow.
    Unstable {
        /// `A` or `D`.
        polynomial: String,
        /// Its largest root's modulus.
        radius: f64,
    },
}

impl InputOutputModel {
    /// Parameters in the order of [`Orders`]: a, b, c, d, f.
    pub fn parameters(&self) -> Vec<f64> {
        let Polynomials { a, b, c, d, f } = &self.polynomials;
        let b = b.iter().zip(&self.orders.inputs).flat_map(|(b, it)| &b.coefficients()[it.nk..]);
        let f = f.iter().flat_map(Polynomial::tail);
        a.tail().iter().chain(b).chain(c.tail()).chain(d.tail()).chain(f).copied().collect()
    }

    /// Names of the parameters; see [`Orders::names`].
    pub fn parameter_names(&self) -> Vec<String> {
        let names: Vec<String> = self.inputs.iter().map(|it| it.name.clone()).collect();
        self.orders.names(&names)
    }

    /// Standard errors of the parameters.
    pub fn standard_errors(&self) -> Vec<f64> {
        self.covariance.diagonal().iter().map(|variance| variance.sqrt()).collect()
    }

    /// Estimated variance of e: V N / (N − d), which is unbiased for linear least squares.
    pub fn noise_variance(&self) -> f64 {
        let (n, d) = (self.samples as f64, self.orders.n_parameters() as f64);
        self.loss * (n / (n - d))
    }

    /// Akaike's final prediction error V (1 + d/N) / (1 − d/N).
    pub fn fpe(&self) -> f64 {
        let share = self.orders.n_parameters() as f64 / self.samples as f64;
        self.loss * (1.0 + share) / (1.0 - share)
    }

    /// Akaike's criterion N ln V + 2 d; −∞ for a perfect fit.
    pub fn aic(&self) -> f64 {
        self.samples as f64 * self.loss.ln() + 2.0 * self.orders.n_parameters() as f64
    }

    /// Schwarz's criterion N ln V + d ln N; −∞ for a perfect fit.
    pub fn bic(&self) -> f64 {
        let n = self.samples as f64;
        n * self.loss.ln() + self.orders.n_parameters() as f64 * n.ln()
    }

    /// Poles from one input to the output: roots of A Fᵢ in z, the largest first.
    pub fn poles(&self, input: usize) -> Vec<Complex<f64>> {
        self.denominator(input).roots()
    }

    /// Zeros from one input to the output: roots of Bᵢ in z without its delay, the largest first. What A Fᵢ has more
    /// roots than Bᵢ are zeros at the origin or at infinity; they are not listed.
    pub fn zeros(&self, input: usize) -> Vec<Complex<f64>> {
        self.polynomials.b[input].roots()
    }

    /// Roots of A D in z: poles of the noise model.
    pub fn noise_poles(&self) -> Vec<Complex<f64>> {
        self.polynomials.a.product(&self.polynomials.d).roots()
    }

    /// The first `n` values of the response of y to a unit impulse in one input, all else at its mean.
    pub fn impulse_response(&self, input: usize, n: usize) -> Vec<f64> {
        self.polynomials.b[input].impulse_response(&self.denominator(input), n)
    }

    /// The first `n` values of the response of y to a unit step in one input.
    pub fn step_response(&self, input: usize, n: usize) -> Vec<f64> {
        let mut sum = 0.0;
        let add = |h: f64| {
            sum += h;
            sum
        };
        self.impulse_response(input, n).into_iter().map(add).collect()
    }

    /// The first `n` values of C/(A D): how a shock e lives on in y.
    pub fn noise_response(&self, n: usize) -> Vec<f64> {
        let Polynomials { a, c, d, .. } = &self.polynomials;
        c.impulse_response(&a.product(d), n)
    }

    /// What y moves by in the end when one input moves by 1: Bᵢ(1) / (A(1) Fᵢ(1)); infinite for an integrator.
    pub fn steady_gain(&self, input: usize) -> f64 {
        self.polynomials.b[input].gain() / self.denominator(input).gain()
    }

    /// Whether free runs stay bounded: all roots of A and every Fᵢ inside the unit circle.
    pub fn is_stable(&self) -> bool {
        self.polynomials.a.is_stable() && self.polynomials.f.iter().all(Polynomial::is_stable)
    }

    fn denominator(&self, input: usize) -> Polynomial {
        self.polynomials.a.product(&self.polynomials.f[input])
    }
}

impl Polynomials {
    /// From parameters in the order of [`Orders`].
    ///
    /// # Panics
    /// Where there are not as many as the orders have.
    pub fn from_parameters(orders: &Orders, theta: &[f64]) -> Self {
        assert_eq!(theta.len(), orders.n_parameters(), "as many parameters as the orders have");
        let b = |(i, nk): (usize, usize)| {
            let mut b = vec![0.0; nk];
            b.extend_from_slice(&theta[orders.b(i)]);
            Polynomial::new(b)
        };
        let monic = |range: std::ops::Range<usize>| Polynomial::monic(&theta[range]);
        Self {
            a: monic(orders.a()),
            b: orders.inputs.iter().map(|it| it.nk).enumerate().map(b).collect(),
            c: monic(orders.c()),
            d: monic(orders.d()),
            f: (0..orders.inputs.len()).map(|i| monic(orders.f(i))).collect(),
        }
    }
}

impl Signal {
    /// Of a channel.
    pub fn of(channel: &Channel, mean: f64) -> Self {
        Self { name: channel.name.clone(), unit: channel.unit.clone(), mean }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConverged { steps } => {
                write!(f, "the search stopped after {steps} steps; the loss may be above its minimum")
            }
            Self::IllConditioned { parameter, condition } => write!(
                f,
                "the data hardly determine {parameter} (condition {condition:.1e}); lower the orders or excite more"
            ),
            Self::Unstable { polynomial, radius } => write!(
                f,
                "{polynomial} has a root of modulus {radius:.6}: predictions are sound, free runs grow"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Plant;
    use crate::{Armax, BoxJenkins};
    use approx::assert_relative_eq;
    use tidegate_core::{Fit, Model, Start};

    #[test]
    fn responses_are_those_of_a_free_run() {
        let plant = Plant::box_jenkins(&[&[0.0, 0.4, 0.2]], &[&[-1.3, 0.6]], &[0.5], &[-0.7], 0.3);
        let plant = Plant { offset: 7.0, ..plant };
        let model = BoxJenkins::new(&[2], 1, 1, &[2], &[1]).fit(&plant.record(500, 1)).expect("fits");
        let (u, y) = (model.inputs[0].mean, model.output.mean);
        let step = nalgebra::DMatrix::from_element(200, 1, u + 1.0);
        let run = model.simulate(&step, Start::Zero);
        for (k, value) in model.step_response(0, 200).into_iter().enumerate() {
            assert_relative_eq!(value, run[k] - y, epsilon = 1e-9);
        }
        assert_relative_eq!(run[199] - y, model.steady_gain(0), max_relative = 1e-6);
        assert_eq!(model.impulse_response(0, 1), [0.0]);
        assert_relative_eq!(model.noise_response(2)[1], model.parameters()[2] - model.parameters()[3]);
    }

    #[test]
    fn poles_and_zeros_are_those_of_the_plant() {
        let plant = Plant::armax(&[-1.5, 0.7], &[0.0, 1.0, 0.5], &[], 0.01);
        let model = Armax::new(2, &[2], 0, &[1]).fit(&plant.record(2000, 1)).expect("fits");
        let poles = model.poles(0);
        assert_relative_eq!(poles[0].re, 0.75, epsilon = 1e-3);
        assert_relative_eq!(poles[0].im.abs(), 0.1375_f64.sqrt(), epsilon = 1e-3);
        assert_relative_eq!(model.zeros(0)[0].re, -0.5, epsilon = 1e-2);
        assert!(model.is_stable() && model.noise_poles().len() == 2);
        let (n, d, v) = (model.samples as f64, 4.0, model.loss);
        assert_relative_eq!(model.aic(), n * v.ln() + 2.0 * d);
        assert_relative_eq!(model.bic() - model.aic(), d * (n.ln() - 2.0), max_relative = 1e-9);
        assert_relative_eq!(model.fpe(), v * (n + d) / (n - d), max_relative = 1e-12);
        assert_relative_eq!(model.noise_variance(), v * n / (n - d), max_relative = 1e-12);
    }
}
