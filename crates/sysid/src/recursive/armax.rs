//! Recursive ARX and ARMAX by prediction error.

use super::stability::zeros_are_within;
use super::{Forgetting, RecursiveError, RecursiveLeastSquares, Trust, check};

/// The zeros of C stay within this circle, so that the filter 1/C forgets its own past within some 200 samples.
const RADIUS_OF_C: f64 = 0.995;

/// How often a step that would leave the circle is halved before it is left out.
const HALVINGS_MAX: usize = 10;

/// Orders of A(q) y(t) = Σᵢ Bᵢ(q) uᵢ(t − nkᵢ) + C(q) e(t), with A = 1 + a₁ q⁻¹ + …, B = b₀ + b₁ q⁻¹ + …,
/// C = 1 + c₁ q⁻¹ + ….
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Coefficients of A but its leading 1.
    pub na: usize,
    /// One for each input.
    pub inputs: Vec<InputOrders>,
    /// Coefficients of C but its leading 1; 0 is an ARX model.
    pub nc: usize,
}

/// Orders of one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputOrders {
    /// Coefficients of B.
    pub nb: usize,
    /// Steps until the input shows: 0 if u(t) acts on y(t), 1 if it acts on y(t + 1).
    pub nk: usize,
}

impl Orders {
    /// All coefficients.
    pub fn n_parameters(&self) -> usize {
        self.na + self.inputs.iter().map(|input| input.nb).sum::<usize>() + self.nc
    }
}

/// An ARX or ARMAX model that learns at every sample.
///
/// With φ = (−y(t−1), …, −y(t−na), uᵢ(t−nkᵢ), …, ē(t−1), …, ē(t−nc)) and θ the coefficients in that order:
/// ε = y − φᵀ θ; the gradient ψ = φ / C(q) takes the place of φ in the gain ([`RecursiveLeastSquares`]);
/// ē = y − φᵀ θ with the new θ. This is the recursive prediction-error (recursive maximum-likelihood) method of
/// Söderström (1973) as in Ljung and Söderström 1983, §3.4.2; without the filter (pseudo-linear regression) it
/// converges only if 1/C − 1/2 is positive real. For `nc` = 0 it is recursive least squares.
///
/// A step that would put a zero of C outside of the circle of radius 0.995 is halved until it does not, or left out
/// after ten halvings (ibid., §6.6).
///
/// A missing y is replaced by its prediction and teaches nothing, a missing input by its last value.
#[derive(Clone, Debug)]
pub struct RecursiveArmax {
    orders: Orders,
    regression: RecursiveLeastSquares,
    /// Regressors, by channel and newest first: −y, the inputs, ē.
    regressors: Vec<f64>,
    /// The same through 1/C, with at least nc values of each channel.
    filtered: Vec<f64>,
    gradient: Vec<f64>,
    /// u(t − 1), …, u(t − nk) of each input.
    delays: Vec<f64>,
    inputs_last: Vec<f64>,
    candidate: Vec<f64>,
    scratch: Vec<f64>,
}

impl RecursiveArmax {
    /// From zero coefficients with `prior_variances` in the order of φ, over the variance of e.
    ///
    /// # Errors
    /// If there is no coefficient, an input has none, the number of variances is another one, or what
    /// [`RecursiveLeastSquares::new`] says.
    pub fn new(
        orders: Orders,
        forgetting: Forgetting,
        prior_variances: &[f64],
    ) -> Result<Self, RecursiveError> {
        let n = orders.n_parameters();
        for input in &orders.inputs {
            check("inputs.nb", input.nb as f64, input.nb > 0, "at least 1")?;
        }
        let n_variances = prior_variances.len();
        check(
            "prior_variances.len()",
            n_variances as f64,
            n_variances == n,
            &format!("{n}, one a coefficient"),
        )?;
        let of_inputs = orders.inputs.iter().map(|input| filtered_len(input.nb, orders.nc)).sum::<usize>();
        let n_filtered = filtered_len(orders.na, orders.nc) + of_inputs + orders.nc;
        Ok(Self {
            regression: RecursiveLeastSquares::new(prior_variances, forgetting)?,
            regressors: vec![0.0; n],
            filtered: vec![0.0; n_filtered],
            gradient: vec![0.0; n],
            delays: vec![0.0; orders.inputs.iter().map(|input| input.nk).sum()],
            inputs_last: vec![0.0; orders.inputs.len()],
            candidate: vec![0.0; orders.nc],
            scratch: vec![0.0; orders.nc],
            orders,
        })
    }

    /// The coefficients a, then b of each input, then c.
    pub fn parameters(&self) -> &[f64] {
        self.regression.parameters()
    }

    /// a₁, a₂, ….
    pub fn a(&self) -> &[f64] {
        &self.parameters()[..self.orders.na]
    }

    /// b₀, b₁, … of one input.
    ///
    /// # Panics
    /// If there is no such input.
    pub fn b(&self, input: usize) -> &[f64] {
        let before: usize = self.orders.inputs[..input].iter().map(|input| input.nb).sum();
        let start = self.orders.na + before;
        &self.parameters()[start..start + self.orders.inputs[input].nb]
    }

    /// c₁, c₂, ….
    pub fn c(&self) -> &[f64] {
        &self.parameters()[self.orders.n_parameters() - self.orders.nc..]
    }

    /// The orders that it was built with.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// The gradient ψ of the latest prediction, for an [`crate::excitation::ExcitationGate`].
    pub fn gradient(&self) -> &[f64] {
        &self.gradient
    }

    /// Sets the coefficients, for example to what a fit of recorded data gave.
    ///
    /// # Errors
    /// If a zero of C is not within the circle of radius 0.995.
    ///
    /// # Panics
    /// If their number is another one.
    pub fn start_from(&mut self, parameters: &[f64]) -> Result<(), RecursiveError> {
        let c = &parameters[parameters.len() - self.orders.nc..];
        let last = c.last().copied().unwrap_or_default();
        check("c", last, zeros_are_within(RADIUS_OF_C, c, &mut self.scratch), "of zeros smaller than 0.995")?;
        self.regression.start_from(parameters);
        Ok(())
    }

    /// The prediction of y at the next sample, from all samples before it. Its inputs matter only where `nk` is 0.
    ///
    /// # Panics
    /// If the number of inputs is another one.
    pub fn predict(&self, inputs: &[f64]) -> f64 {
        assert_eq!(inputs.len(), self.orders.inputs.len(), "one value for each input");
        let (theta, phi) = (self.parameters(), &self.regressors);
        let mut sum = dot(&theta[..self.orders.na], &phi[..self.orders.na]);
        let (mut start, mut delays) = (self.orders.na, &self.delays[..]);
        for (input, value) in self.orders.inputs.iter().zip(inputs) {
            let (own, others) = delays.split_at(input.nk);
            delays = others;
            let newest = own.last().unwrap_or(value);
            let end = start + input.nb;
            sum += theta[start] * newest + dot(&theta[start + 1..end], &phi[start..end - 1]);
            start = end;
        }
        sum + dot(&theta[start..], &phi[start..])
    }

    /// Learns from one sample and gives the innovation ε, the error of the prediction made before; None where y is
    /// missing.
    ///
    /// # Panics
    /// If the number of inputs is another one.
    pub fn update(&mut self, inputs: &[f64], y: f64) -> Option<f64> {
        self.take_inputs(inputs);
        let prediction = self.regression.predict(&self.regressors);
        if !y.is_finite() {
            self.take_output(prediction, 0.0);
            return None;
        }
        let error = y - prediction;
        self.step(error);
        let residual = y - self.regression.predict(&self.regressors);
        self.take_output(y, residual);
        Some(error)
    }

    /// Estimated variance of e ([`RecursiveLeastSquares::noise_variance`]).
    pub fn noise_variance(&self) -> Option<f64> {
        self.regression.noise_variance()
    }

    /// Standard error of a coefficient ([`RecursiveLeastSquares::standard_error`]).
    pub fn standard_error(&self, k: usize) -> Option<f64> {
        self.regression.standard_error(k)
    }

    /// Variance of a coefficient over that of e ([`RecursiveLeastSquares::relative_variance`]).
    pub fn relative_variance(&self, k: usize) -> f64 {
        self.regression.relative_variance(k)
    }

    /// Whether the data within memory tell the coefficients ([`RecursiveLeastSquares::trust`]).
    pub fn trust(&self, share_max: f64) -> Trust {
        self.regression.trust(share_max)
    }

    /// Inputs of the sample that is to be predicted, and the gradient of that prediction.
    fn take_inputs(&mut self, inputs: &[f64]) {
        let Self { orders, regression, regressors, filtered, gradient, delays, inputs_last, .. } = self;
        assert_eq!(inputs.len(), orders.inputs.len(), "one value for each input");
        let nc = orders.nc;
        let c = &regression.parameters()[regressors.len() - nc..];
        let (mut start, mut start_filtered, mut start_delays) = (orders.na, filtered_len(orders.na, nc), 0);
        for ((order, last), value) in orders.inputs.iter().zip(inputs_last).zip(inputs) {
            if value.is_finite() {
                *last = *value;
            }
            let delay = &mut delays[start_delays..start_delays + order.nk];
            let newest = delay.last().copied().unwrap_or(*last);
            push(delay, *last);
            push(&mut regressors[start..start + order.nb], newest);
            let len = filtered_len(order.nb, nc);
            push_filtered(&mut filtered[start_filtered..start_filtered + len], c, newest);
            (start, start_filtered, start_delays) =
                (start + order.nb, start_filtered + len, start_delays + order.nk);
        }
        if nc == 0 {
            gradient.copy_from_slice(regressors);
            return;
        }
        // Where no channel needs more values for 1/C than it has coefficients, the two are laid out alike.
        if filtered.len() == gradient.len() {
            gradient.copy_from_slice(filtered);
            return;
        }
        let (mut start, mut start_filtered) = (0, 0);
        let lengths = std::iter::once(orders.na).chain(orders.inputs.iter().map(|input| input.nb));
        for len in lengths.chain(std::iter::once(nc)) {
            gradient[start..start + len].copy_from_slice(&filtered[start_filtered..start_filtered + len]);
            (start, start_filtered) = (start + len, start_filtered + filtered_len(len, nc));
        }
    }

    /// What the samples after this one will regress on.
    fn take_output(&mut self, y: f64, residual: f64) {
        let Self { orders, regression, regressors, filtered, .. } = self;
        let (n, na, nc) = (regressors.len(), orders.na, orders.nc);
        push(&mut regressors[..na], -y);
        push(&mut regressors[n - nc..], residual);
        if nc > 0 {
            let c = &regression.parameters()[n - nc..];
            push_filtered(&mut filtered[..filtered_len(na, nc)], c, -y);
            let start = filtered.len() - nc;
            push_filtered(&mut filtered[start..], c, residual);
        }
    }

    /// One step along the gain, shortened where C would become unstable.
    fn step(&mut self, error: f64) {
        let Self { orders, regression, gradient, candidate, scratch, .. } = self;
        regression.learn(gradient, error);
        let first_c = gradient.len() - orders.nc;
        let mut length = error;
        for _ in 0..=HALVINGS_MAX {
            let c = regression.parameters()[first_c..].iter().zip(&regression.gain()[first_c..]);
            for (candidate, (c, gain)) in candidate.iter_mut().zip(c) {
                *candidate = c + gain * length;
            }
            if zeros_are_within(RADIUS_OF_C, candidate, scratch) {
                regression.move_along_gain(length);
                break;
            }
            length *= 0.5;
        }
        regression.restore_prior();
    }
}

/// Values that are kept of a filtered channel with so many coefficients: those of the gradient, and those that 1/C
/// needs. None of a channel without coefficients or where there is nothing to filter with.
fn filtered_len(n_coefficients: usize, nc: usize) -> usize {
    if n_coefficients == 0 || nc == 0 { 0 } else { n_coefficients.max(nc) }
}

/// Newest first; the oldest falls out.
fn push(values: &mut [f64], newest: f64) {
    // These are a few values each, for which a loop is faster than a call of memmove.
    let mut carried = newest;
    for value in values {
        std::mem::swap(value, &mut carried);
    }
}

/// [`push`] of the value through 1/C.
fn push_filtered(values: &mut [f64], c: &[f64], newest: f64) {
    let past = dot(c, values);
    push(values, newest - past);
}

/// The sum over the shorter of both.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
