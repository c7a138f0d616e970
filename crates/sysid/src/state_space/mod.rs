//! The linear state-space model in innovation form, from raw inputs to raw outputs.
//!
//! x(t+1) = A x(t) + B ũ(t) + K e(t), ỹ(t) = C x(t) + D ũ(t) + e(t), with ũ = u − ū and ỹ = y − ȳ.
//!
//! | symbol | word | unit | shape |
//! | --- | --- | --- | --- |
//! | x | state, in no particular coordinates | 1 | n |
//! | u, ū | input, its mean over the estimation data | of the channel | m |
//! | y, ȳ | output, its mean over the estimation data | of the channel | p |
//! | e | innovation: what the past does not tell about y | of the output | p |
//! | Λ | covariance of e | of the outputs | p × p |
//! | K | gain of the steady-state Kalman predictor | 1 | n × p |
//!
//! The predictor is x̂(t+1) = (A − K C) x̂ + (B − K D) ũ + K ỹ (Ljung, System Identification, 2nd ed., section 4.3).
//! Two models are the same when their Markov parameters D, C B, C A B, … (and C K, C A K, …) are: the coordinates of
//! x are arbitrary, so matrices of two fits must not be compared entry by entry.

mod analysis;
mod json;

use std::fmt;
use std::num::NonZeroU32;

use nalgebra::{DMatrix, DVector};
use tidegate_core::model::{Channel, Model, Record, Start};

use crate::dense::{Triangle, add_product, solve_triangle, spectral_radius};

pub use analysis::StepResponse;
pub use json::ModelFileError;

/// Directions of the initial state that the record tells less of than this, relative to the best, are left at zero.
const INITIAL_STATE_TOLERANCE: f64 = 1e-10;

/// The matrices of a model, in the units that it is used in.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrices {
    /// Transition, n × n.
    pub a: DMatrix<f64>,
    /// Input to state, n × m.
    pub b: DMatrix<f64>,
    /// State to output, p × n.
    pub c: DMatrix<f64>,
    /// Input to output within the step, p × m.
    pub d: DMatrix<f64>,
    /// Innovation to state, n × p.
    pub k: DMatrix<f64>,
}

/// One input or output of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// As it is called in the data.
    pub name: String,
    /// Its unit; `1` for a plain number.
    pub unit: String,
    /// What the model takes as zero: the mean over the estimation data.
    pub mean: f64,
}

/// What a user of a model should know before trusting it.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// The model grows without bound when it runs freely.
    Unstable {
        /// Largest modulus of an eigenvalue of A.
        radius: f64,
    },
    /// The data gave an unstable model; its unstable modes were mirrored into the unit circle.
    Stabilised {
        /// Largest modulus before.
        radius: f64,
    },
    /// A pole so near the unit circle that the record cannot tell it from a drift.
    NearUnitPole {
        /// Its modulus.
        radius: f64,
        /// Its time constant, in steps.
        steps: f64,
        /// Length of the estimation data, in steps.
        record_steps: usize,
    },
    /// No noise model could be had: K is zero, so a prediction is a simulation.
    NoNoiseModel,
    /// The state is larger than what the singular values show.
    OrderAboveRank {
        /// The order asked for.
        order: usize,
        /// Singular values that stand out from rounding.
        rank: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unstable { radius } => {
                write!(f, "the model is unstable (largest pole modulus {radius:.6}); do not simulate it far")
            }
            Self::Stabilised { radius } => write!(
                f,
                "the data gave an unstable model (largest pole modulus {radius:.6}); its unstable poles were mirrored"
            ),
            Self::NearUnitPole { radius, steps, record_steps } => write!(
                f,
                "a pole of modulus {radius:.6} ({steps:.0} steps) is as slow as the record is long ({record_steps} steps); it may be a drift"
            ),
            Self::NoNoiseModel => {
                write!(f, "there is no noise model (K = 0), so predictions are simulations")
            }
            Self::OrderAboveRank { order, rank } => {
                write!(f, "order {order} is more than the data show ({rank} singular values above rounding)")
            }
        }
    }
}

/// Why matrices and ports do not make a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StateSpaceError {
    /// A shape does not fit the others.
    #[error("`{matrix}` is {} × {}, but must be {} × {}", .found.0, .found.1, .needed.0, .needed.1)]
    Shape {
        /// For example `b`.
        matrix: &'static str,
        /// Rows and columns it has.
        found: (usize, usize),
        /// Rows and columns it must have.
        needed: (usize, usize),
    },
    /// A number is NaN or infinite.
    #[error("`{matrix}` holds {value}; every number must be finite")]
    NotFinite {
        /// For example `a`, or `outputs[0].mean`.
        matrix: String,
        /// What stands there.
        value: f64,
    },
    /// The sample time is not a positive number.
    #[error("`step_seconds` must be a positive number, but is {0}")]
    StepSeconds(f64),
    /// There is nothing to model.
    #[error("`{0}` is empty; a model has at least one state and one output")]
    Empty(&'static str),
}

/// A state-space model in innovation form, with the means of the data that it was fitted to.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSpaceModel {
    step_seconds: f64,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    matrices: Matrices,
    innovation_covariance: DMatrix<f64>,
    warnings: Vec<Warning>,
}

/// How well a model reproduces a record, one number an output, in percent: 100 (1 − ‖y − ŷ‖ / ‖y − ȳ‖).
///
/// Both simulations are given because they say different things: a slow mode can take up a drift through its initial
/// state, which a run from zero does not allow.
#[derive(Clone, Debug, PartialEq)]
pub struct FitPercent {
    /// Free simulation from the zero state.
    pub simulated_from_zero: Vec<f64>,
    /// Free simulation from the initial state that fits best.
    pub simulated_from_best: Vec<f64>,
    /// One-step prediction from the zero state.
    pub predicted: Vec<f64>,
}

impl StateSpaceModel {
    /// A model from its parts; `innovation_covariance` is outputs × outputs.
    ///
    /// # Errors
    /// Shapes that do not fit, numbers that are not finite, a step that is not positive, no state or no output.
    pub fn new(
        step_seconds: f64,
        inputs: Vec<Port>,
        outputs: Vec<Port>,
        matrices: Matrices,
        innovation_covariance: DMatrix<f64>,
    ) -> Result<Self, StateSpaceError> {
        if !(step_seconds.is_finite() && step_seconds > 0.0) {
            return Err(StateSpaceError::StepSeconds(step_seconds));
        }
        let (n, m, p) = (matrices.a.nrows(), inputs.len(), outputs.len());
        if n == 0 {
            return Err(StateSpaceError::Empty("a"));
        }
        if p == 0 {
            return Err(StateSpaceError::Empty("outputs"));
        }
        let Matrices { a, b, c, d, k } = &matrices;
        for (matrix, entries, needed) in [
            ("a", a, (n, n)),
            ("b", b, (n, m)),
            ("c", c, (p, n)),
            ("d", d, (p, m)),
            ("k", k, (n, p)),
            ("innovation_covariance", &innovation_covariance, (p, p)),
        ] {
            if entries.shape() != needed {
                return Err(StateSpaceError::Shape { matrix, found: entries.shape(), needed });
            }
            if let Some(&value) = entries.iter().find(|entry| !entry.is_finite()) {
                return Err(StateSpaceError::NotFinite { matrix: matrix.into(), value });
            }
        }
        for (kind, ports) in [("inputs", &inputs), ("outputs", &outputs)] {
            if let Some(position) = ports.iter().position(|port| !port.mean.is_finite()) {
                let matrix = format!("{kind}[{position}].mean");
                return Err(StateSpaceError::NotFinite { matrix, value: ports[position].mean });
            }
        }
        let mut model =
            Self { step_seconds, inputs, outputs, matrices, innovation_covariance, warnings: vec![] };
        let radius = model.spectral_radius();
        if radius >= 1.0 {
            model.warnings.push(Warning::Unstable { radius });
        }
        Ok(model)
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Time between samples.
    pub fn step_seconds(&self) -> f64 {
        self.step_seconds
    }

    /// Inputs in order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Outputs in order.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// A, B, C, D and K, from raw deviations to raw deviations.
    pub fn matrices(&self) -> &Matrices {
        &self.matrices
    }

    /// Λ, the covariance of the one-step prediction error; outputs × outputs, in the outputs' units.
    pub fn innovation_covariance(&self) -> &DMatrix<f64> {
        &self.innovation_covariance
    }

    /// What to know before trusting the model; an unstable one always says so here.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Number of states.
    pub fn order(&self) -> usize {
        self.matrices.a.nrows()
    }

    /// Largest modulus of a pole; below 1 the model is stable.
    pub fn spectral_radius(&self) -> f64 {
        spectral_radius(&self.matrices.a)
    }

    /// As [`Model::predict`], but from the state `start` instead of zero.
    ///
    /// The `h`-step prediction of sample t runs the predictor to the state given samples up to t − h, then the model
    /// freely with the inputs that were measured. The first h samples are simulated. A gap (NaN) in an output is
    /// skipped: its innovation counts as zero (exact for one output; for several, [`crate::KalmanFilter`] is the
    /// better answer to gaps). A gap in an input makes what follows NaN.
    ///
    /// # Shapes
    /// Steps × outputs.
    ///
    /// # Panics
    /// Where the record has another number of channels than the model, or the state another length.
    pub fn predict_from(&self, record: &Record, ahead: NonZeroU32, start: &Start) -> DMatrix<f64> {
        let (inputs, outputs) = self.deviations(record);
        let steps = record.outputs.first().map_or(0, |channel| channel.values.len());
        let (m, p) = (self.inputs.len(), self.outputs.len());
        let free_steps = ahead.get() as usize - 1;
        let matrices = &self.matrices;
        let mut state = self.start_state(start);
        // States that began their free run at each of the last h − 1 steps; the oldest is the one that answers.
        let mut running: std::collections::VecDeque<Vec<f64>> =
            std::iter::repeat_n(state.clone(), free_steps).collect();
        let mut predicted = DMatrix::zeros(steps, p);
        for t in 0..steps {
            let input = &inputs[t * m..][..m];
            running.push_back(state.clone());
            let oldest = running.pop_front().expect("one was pushed just now");
            let answer = matrices.output(&oldest, input);
            for (port, value) in answer.iter().enumerate() {
                predicted[(t, port)] = value + self.outputs[port].mean;
            }
            let mut innovation = matrices.output(&state, input);
            for (error, measured) in innovation.iter_mut().zip(&outputs[t * p..][..p]) {
                *error = if measured.is_nan() { 0.0 } else { measured - *error };
            }
            state = matrices.next(&state, input, &innovation);
            for free in &mut running {
                *free = matrices.next(free, input, &[]);
            }
        }
        predicted
    }

    /// The initial state whose free simulation is nearest to the record, by least squares over all outputs, each
    /// divided by its standard deviation; directions that the record does not tell are zero.
    ///
    /// # Panics
    /// Where the record has another number of channels than the model.
    pub fn best_initial_state(&self, record: &Record) -> Vec<f64> {
        let (inputs, outputs) = self.deviations(record);
        let (n, p) = (self.order(), self.outputs.len());
        let simulated = self.matrices.simulate(&inputs, outputs.len() / p, &vec![0.0; n]);
        let weights: Vec<f64> = record.outputs.iter().map(|channel| 1.0 / spread(&channel.values)).collect();
        let mut triangle = Triangle::new(n + 1);
        // Rows of C Aᵗ; a mode that has died out below what f64 can hold adds nothing more.
        let mut observed = self.matrices.c.clone();
        for (measured, simulated) in outputs.chunks_exact(p).zip(simulated.chunks_exact(p)) {
            for port in 0..p {
                let (weight, error) = (weights[port], measured[port] - simulated[port]);
                if !error.is_nan() {
                    let row = observed.row(port);
                    triangle.push(row.iter().map(|entry| entry * weight).chain([error * weight]));
                }
            }
            observed *= &self.matrices.a;
        }
        solve_triangle(&triangle.finish(), n, INITIAL_STATE_TOLERANCE).as_slice().to_vec()
    }

    /// The fits to a record; see [`FitPercent`]. Missing samples (NaN) of an output are left out.
    ///
    /// # Panics
    /// Where the record has another number of channels than the model.
    pub fn fit_percent(&self, record: &Record) -> FitPercent {
        let inputs =
            columns(&record.inputs, record.outputs.first().map_or(0, |channel| channel.values.len()));
        let best = Start::State(self.best_initial_state(record));
        let percent = |modelled: &DMatrix<f64>| {
            let pairs = record.outputs.iter().zip(modelled.column_iter());
            pairs.map(|(channel, column)| fit_percent(&channel.values, column.iter())).collect()
        };
        FitPercent {
            simulated_from_zero: percent(&self.simulate(&inputs, Start::Zero)),
            simulated_from_best: percent(&self.simulate(&inputs, best)),
            predicted: percent(&self.predict(record, NonZeroU32::MIN)),
        }
    }

    fn start_state(&self, start: &Start) -> Vec<f64> {
        match start {
            Start::Zero => vec![0.0; self.order()],
            Start::State(state) => {
                assert_eq!(state.len(), self.order(), "a start needs one number for each state");
                state.clone()
            }
        }
    }

    /// Deviations from the means, sample after sample.
    fn deviations(&self, record: &Record) -> (Vec<f64>, Vec<f64>) {
        let interleave = |channels: &[Channel], ports: &[Port]| {
            assert_eq!(channels.len(), ports.len(), "the record must have the channels of the model");
            let steps = record.outputs.first().map_or(0, |channel| channel.values.len());
            let mut values = Vec::with_capacity(steps * ports.len());
            for t in 0..steps {
                values
                    .extend(channels.iter().zip(ports).map(|(channel, port)| channel.values[t] - port.mean));
            }
            values
        };
        (interleave(&record.inputs, &self.inputs), interleave(&record.outputs, &self.outputs))
    }
}

impl Model for StateSpaceModel {
    fn predict(&self, record: &Record, ahead: NonZeroU32) -> DMatrix<f64> {
        self.predict_from(record, ahead, &Start::Zero)
    }

    fn simulate(&self, inputs: &DMatrix<f64>, start: Start) -> DMatrix<f64> {
        assert_eq!(inputs.ncols(), self.inputs.len(), "the inputs must have the channels of the model");
        let mut state = self.start_state(&start);
        let mut simulated = DMatrix::zeros(inputs.nrows(), self.outputs.len());
        let mut input = vec![0.0; self.inputs.len()];
        for t in 0..inputs.nrows() {
            for (channel, port) in self.inputs.iter().enumerate() {
                input[channel] = inputs[(t, channel)] - port.mean;
            }
            for (channel, value) in self.matrices.output(&state, &input).iter().enumerate() {
                simulated[(t, channel)] = value + self.outputs[channel].mean;
            }
            state = self.matrices.next(&state, &input, &[]);
        }
        simulated
    }
}

impl Matrices {
    /// C x + D u.
    fn output(&self, state: &[f64], input: &[f64]) -> Vec<f64> {
        let mut output = vec![0.0; self.c.nrows()];
        add_product(&self.c, state, &mut output);
        add_product(&self.d, input, &mut output);
        output
    }

    /// A x + B u + K e; an empty `innovation` is zero.
    fn next(&self, state: &[f64], input: &[f64], innovation: &[f64]) -> Vec<f64> {
        let mut next = vec![0.0; state.len()];
        add_product(&self.a, state, &mut next);
        add_product(&self.b, input, &mut next);
        add_product(&self.k, innovation, &mut next);
        next
    }

    /// The free run on deviations that are stored sample after sample.
    pub(crate) fn simulate(&self, inputs: &[f64], steps: usize, start: &[f64]) -> Vec<f64> {
        let (n, m, p) = (self.a.nrows(), self.b.ncols(), self.c.nrows());
        let mut outputs = vec![0.0; steps * p];
        let (mut state, mut next) = (start.to_vec(), vec![0.0; n]);
        for t in 0..steps {
            let (input, output) = (&inputs[t * m..][..m], &mut outputs[t * p..][..p]);
            add_product(&self.c, &state, output);
            add_product(&self.d, input, output);
            next.fill(0.0);
            add_product(&self.a, &state, &mut next);
            add_product(&self.b, input, &mut next);
            std::mem::swap(&mut state, &mut next);
        }
        outputs
    }

    /// The innovations y − ŷ(t|t−1) from the zero state, on deviations that are stored sample after sample.
    pub(crate) fn innovations(&self, inputs: &[f64], outputs: &[f64]) -> Vec<f64> {
        let (n, m, p) = (self.a.nrows(), self.b.ncols(), self.c.nrows());
        let mut innovations = vec![0.0; outputs.len()];
        let (mut state, mut next) = (vec![0.0; n], vec![0.0; n]);
        for t in 0..outputs.len() / p {
            let (input, innovation) = (&inputs[t * m..][..m], &mut innovations[t * p..][..p]);
            add_product(&self.c, &state, innovation);
            add_product(&self.d, input, innovation);
            for (error, measured) in innovation.iter_mut().zip(&outputs[t * p..][..p]) {
                *error = measured - *error;
            }
            next.fill(0.0);
            add_product(&self.a, &state, &mut next);
            add_product(&self.b, input, &mut next);
            add_product(&self.k, innovation, &mut next);
            std::mem::swap(&mut state, &mut next);
        }
        innovations
    }

    /// A − K C, the transition of the predictor.
    pub(crate) fn predictor(&self) -> DMatrix<f64> {
        &self.a - &self.k * &self.c
    }
}

/// 100 (1 − ‖y − ŷ‖ / ‖y − ȳ‖) over the samples that were measured.
fn fit_percent<'a>(measured: &[f64], modelled: impl Iterator<Item = &'a f64>) -> f64 {
    let mean = mean(measured);
    let (mut error, mut total) = (0.0, 0.0);
    for (measured, modelled) in measured.iter().zip(modelled).filter(|(measured, _)| !measured.is_nan()) {
        error += (measured - modelled).powi(2);
        total += (measured - mean).powi(2);
    }
    100.0 * (1.0 - (error / total).sqrt())
}

/// The mean of what is there.
pub(crate) fn mean(values: &[f64]) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values.iter().filter(|value| !value.is_nan()) {
        sum += value;
        count += 1;
    }
    sum / f64::from(count.max(1))
}

/// Standard deviation of what is there; 1 for a constant, so that it can be divided by.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let mean = mean(values);
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values.iter().filter(|value| !value.is_nan()) {
        sum += (value - mean).powi(2);
        count += 1;
    }
    let spread = (sum / f64::from(count.max(1))).sqrt();
    if spread > 0.0 { spread } else { 1.0 }
}

/// Channels side by side, steps × channels.
fn columns(channels: &[Channel], steps: usize) -> DMatrix<f64> {
    let columns: Vec<_> =
        channels.iter().map(|channel| DVector::from_column_slice(&channel.values)).collect();
    if columns.is_empty() { DMatrix::zeros(steps, 0) } else { DMatrix::from_columns(&columns) }
}

#[cfg(test)]
mod tests;
