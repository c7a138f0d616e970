//! What a control engineer asks of a model: poles, gain, responses, and its printed form.

use std::fmt;

use nalgebra::{Complex, DMatrix};

use super::{Matrices, Port, StateSpaceModel};
use crate::dense::eigenvalues;
use crate::kalman::LinearGaussian;

/// Poles listed before the rest is only counted.
const POLES_PRINTED: usize = 12;

/// Answer of every output to a unit step of every input.
#[derive(Clone, Debug, PartialEq)]
pub struct StepResponse {
    /// One matrix a step, outputs × inputs, in units of the output per unit of the input.
    pub responses: Vec<DMatrix<f64>>,
    /// Time between them.
    pub step_seconds: f64,
}

impl StateSpaceModel {
    /// Eigenvalues of A, largest modulus first.
    ///
    /// # Panics
    /// Never for a model: its matrices are finite, so the iteration ends.
    pub fn poles(&self) -> Vec<Complex<f64>> {
        eigenvalues(&self.matrices.a).expect("a finite matrix has eigenvalues")
    }

    /// D + C (I − A)⁻¹ B, outputs × inputs, in units of the output per unit of the input; `None` with a pole at 1.
    pub fn dc_gain(&self) -> Option<DMatrix<f64>> {
        let Matrices { a, b, c, d, .. } = &self.matrices;
        let n = self.order();
        let settled = (DMatrix::identity(n, n) - a).lu().solve(b)?;
        let gain = c * settled + d;
        gain.iter().all(|entry| entry.is_finite()).then_some(gain)
    }

    /// D, C B, C A B, …: the first `count` Markov parameters (the impulse response), each outputs × inputs.
    pub fn markov_parameters(&self, count: usize) -> Vec<DMatrix<f64>> {
        let Matrices { a, b, c, d, .. } = &self.matrices;
        markov(a, b, c, d.clone(), count)
    }

    /// I, C K, C A K, …: the first `count` Markov parameters of the noise path, each outputs × outputs.
    pub fn noise_markov_parameters(&self, count: usize) -> Vec<DMatrix<f64>> {
        let Matrices { a, c, k, .. } = &self.matrices;
        let p = c.nrows();
        markov(a, k, c, DMatrix::identity(p, p), count)
    }

    /// The first `count` values of the response to a unit step: sums of the Markov parameters.
    pub fn step_response(&self, count: usize) -> StepResponse {
        let mut sum = DMatrix::zeros(self.outputs.len(), self.inputs.len());
        let mut responses = Vec::with_capacity(count);
        for parameter in self.markov_parameters(count) {
            sum += parameter;
            responses.push(sum.clone());
        }
        StepResponse { responses, step_seconds: self.step_seconds }
    }

    /// The model as a Kalman filter sees it: Q = K Λ Kᵀ, S = K Λ, R = Λ, on deviations from the means.
    pub fn linear_gaussian(&self) -> LinearGaussian {
        let Matrices { a, b, c, d, k } = self.matrices.clone();
        let s = &k * &self.innovation_covariance;
        let q = &s * k.transpose();
        LinearGaussian { a, b, c, d, q, r: self.innovation_covariance.clone(), s }
    }
}

fn markov(
    a: &DMatrix<f64>,
    b: &DMatrix<f64>,
    c: &DMatrix<f64>,
    direct: DMatrix<f64>,
    count: usize,
) -> Vec<DMatrix<f64>> {
    let mut parameters = Vec::with_capacity(count);
    let mut reached = b.clone();
    parameters.push(direct);
    while parameters.len() < count {
        parameters.push(c * &reached);
        reached = a * reached;
    }
    parameters.truncate(count);
    parameters
}

/// The equations, the matrices, the poles and the gain, as a control engineer writes them.
impl fmt::Display for StateSpaceModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Matrices { a, b, c, d, k } = &self.matrices;
        let (n, m, p) = (self.order(), self.inputs.len(), self.outputs.len());
        writeln!(
            f,
            "discrete-time state-space model, step {} s: {n} states, {m} inputs, {p} outputs",
            self.step_seconds
        )?;
        writeln!(f, "  x(t+1) = A x(t) + B u(t) + K e(t)")?;
        writeln!(f, "    y(t) = C x(t) + D u(t) + e(t)")?;
        for (symbol, ports) in [("u", &self.inputs), ("y", &self.outputs)] {
            for (position, Port { name, unit, mean }) in ports.iter().enumerate() {
                writeln!(f, "  {symbol}{} = {name} [{unit}] less its mean {mean:.6}", position + 1)?;
            }
        }
        let symbols =
            [("A", a), ("B", b), ("C", c), ("D", d), ("K", k), ("cov e", &self.innovation_covariance)];
        for (symbol, matrix) in symbols.into_iter().filter(|(_, matrix)| !matrix.is_empty()) {
            print_matrix(f, symbol, matrix)?;
        }
        write!(f, "  poles:")?;
        let poles = self.poles();
        for pole in poles.iter().filter(|pole| pole.im >= 0.0).take(POLES_PRINTED) {
            match pole.im {
                0.0 => write!(f, "  {:.6}", pole.re)?,
                im => write!(f, "  {:.6} ± {im:.6}i", pole.re)?,
            }
        }
        let n_groups = poles.iter().filter(|pole| pole.im >= 0.0).count();
        match n_groups.saturating_sub(POLES_PRINTED) {
            0 => writeln!(f)?,
            more => writeln!(f, "  and {more} more")?,
        }
        match self.dc_gain() {
            Some(gain) if m > 0 => print_matrix(f, "DC gain", &gain)?,
            Some(_) => {}
            None => writeln!(f, "  DC gain: none, a pole lies at 1")?,
        }
        for warning in &self.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        Ok(())
    }
}

fn print_matrix(f: &mut fmt::Formatter<'_>, symbol: &str, matrix: &DMatrix<f64>) -> fmt::Result {
    for (position, row) in matrix.row_iter().enumerate() {
        let lead = if position == 0 { format!("{symbol} =") } else { String::new() };
        write!(f, "  {lead:>9}")?;
        for entry in row.iter() {
            // Six significant digits whatever the size, in columns.
            if *entry != 0.0 && !(1e-3..1e6).contains(&entry.abs()) {
                write!(f, " {entry:>13.5e}")?;
            } else {
                write!(f, " {entry:>13.6}")?;
            }
        }
        writeln!(f)?;
    }
    Ok(())
}
