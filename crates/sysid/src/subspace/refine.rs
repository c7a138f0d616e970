//! Refinement of a state-space model by Gauss–Newton on its prediction and simulation errors.
//!
//! Minimised is V = (1 − w) ln det Λ + w Σᵢ ln σᵢ², with Λ the covariance of the one-step prediction errors and σᵢ² the
//! mean square of the free simulation's error in output i. With w = 0 this is the Gaussian likelihood (Ljung 1999,
//! section 7.4). If the true system is among the models and the inputs do not depend on the outputs, both terms are
//! least at the truth, and w costs a little efficiency at most. Where it is not (real plants), the first term alone
//! gives away simulation for prediction, and the second the other way round; w says how much of each is wanted.
//!
//! The record is cut into four pieces, each run from the zero state (the mean of the data). Simulation errors count from there
//! on: what is left of the true state does not depend on the inputs that follow, so it is noise, not bias. Prediction errors
//! count either
//! - after a warm-up on the samples before the piece: then w = 0 gives the maximum-likelihood estimate; or
//! - from the first sample too, so that a predictor that is slow to find its state pays for it. On the CD player's arm
//!   the likelihood alone prefers predictors whose first hundred predictions on new data are worthless. The price is a K that
//!   is somewhat too large, since a larger gain forgets a wrong start sooner: by 20 % at 5,000 samples of the 2 × 2
//!   plant of the tests, which cost 0.05 points of fit; it vanishes with the length of the record.
//!
//! A free initial state was rejected: a mode near the unit circle, which the inputs hardly reach, then takes up a drift of the
//! estimation data.
//!
//! All entries of A, B, C, D and K are free. The n² directions that only change coordinates are
//! held by the Levenberg–Marquardt damping, which is proportional to the diagonal (`McKelvey`, Helmersson and Ribarits
//! 2004, Automatica 40(9), remove them instead; the minimiser is the same). A step that makes A or A − K C unstable
//! is refused.
//!
//! Sensitivities: an entry of A, B or K in row i puts a signal (x, u or e) into state i; C and D put theirs into every
//! state through K. So n + m + p driven n × n states give all of them.

use nalgebra::{DMatrix, DMatrixView};

use super::data::Data;
use super::regress::{covariance, drive, product};
use crate::dense::{add_product, spectral_radius};
use crate::state_space::Matrices;

const STEPS_MAX: usize = 40;
/// A step that lowers V by less than this per output ends the search: 0.001 % of an error's size.
const DECREASE_MIN: f64 = 2e-5;
/// Pieces of the record, each of which starts from the zero state.
const PIECES: usize = 4;
/// The warm-up is this part of the record, but not less than so many steps (in a record that has them).
const WARM_UP_SHARE: usize = 32;
const WARM_UP_MIN: usize = 10;
const DAMPING_FIRST: f64 = 1e-3;
const DAMPING_MIN: f64 = 1e-9;
const DAMPING_MAX: f64 = 1e6;
/// A or A − K C beyond this is refused.
const RADIUS_MAX: f64 = 1.0 - 1e-6;
/// Rows of the Jacobian that are gathered before they are multiplied.
const ROWS: usize = 256;

/// A model and its V.
#[derive(Clone)]
pub(super) struct Candidate {
    pub matrices: Matrices,
    pub criterion: f64,
}

/// What V is made of.
#[derive(Clone, Copy)]
pub(super) struct Aim {
    /// w.
    pub simulation_weight: f64,
    /// Whether predictions count only after a warm-up.
    pub warms_up: bool,
}

impl Aim {
    /// Steps that a predictor is given to find its state.
    fn warm_up(self, data: &Data) -> usize {
        if !self.warms_up {
            return 0;
        }
        (data.steps / WARM_UP_SHARE).max(WARM_UP_MIN).min(data.steps / 4)
    }
}

/// V of a model; infinite where an error is not finite.
pub(super) fn criterion(data: &Data, matrices: &Matrices, aim: Aim) -> f64 {
    let mut criterion = 0.0;
    if aim.simulation_weight < 1.0 {
        let errors = prediction_errors(data, matrices, aim);
        let covariance = covariance(&errors, data.n_outputs);
        if !covariance.iter().all(|entry| entry.is_finite()) {
            return f64::INFINITY;
        }
        // Without a positive determinant some combination of outputs is met exactly: nothing is better.
        let Some(factor) = covariance.cholesky() else { return f64::NEG_INFINITY };
        criterion += (1.0 - aim.simulation_weight) * factor.ln_determinant();
    }
    if aim.simulation_weight > 0.0 {
        criterion +=
            aim.simulation_weight * simulation_variances(data, matrices).iter().map(|v| v.ln()).sum::<f64>();
    }
    if criterion.is_nan() { f64::INFINITY } else { criterion }
}

/// A stretch of the record: run from `warm` on, counted from `first` to before `end`.
struct Piece {
    warm: usize,
    first: usize,
    end: usize,
}

fn pieces(data: &Data, warm_up: usize) -> [Piece; PIECES] {
    let counted = data.steps - warm_up;
    std::array::from_fn(|piece| {
        let warm = piece * counted / PIECES;
        Piece { warm, first: warm + warm_up, end: warm_up + (piece + 1) * counted / PIECES }
    })
}

fn prediction_errors(data: &Data, matrices: &Matrices, aim: Aim) -> Vec<f64> {
    let mut errors = Vec::with_capacity(data.outputs.len());
    for Piece { warm, first, end } in pieces(data, aim.warm_up(data)) {
        let (inputs, outputs) = data.between(warm, end);
        errors.extend_from_slice(&matrices.innovations(inputs, outputs)[(first - warm) * data.n_outputs..]);
    }
    errors
}

fn simulation_variances(data: &Data, matrices: &Matrices) -> Vec<f64> {
    let (start, p) = (vec![0.0; matrices.a.nrows()], data.n_outputs);
    let mut sums = vec![0.0; p];
    for Piece { first, end, .. } in pieces(data, 0) {
        let (inputs, outputs) = data.between(first, end);
        let simulated = matrices.simulate(inputs, end - first, &start);
        for (measured, simulated) in outputs.chunks_exact(p).zip(simulated.chunks_exact(p)) {
            for ((sum, measured), simulated) in sums.iter_mut().zip(measured).zip(simulated) {
                *sum += (measured - simulated).powi(2);
            }
        }
    }
    sums.iter().map(|sum| sum / data.steps as f64).collect()
}

/// Lowers V from `candidate` on; never returns a worse model. D stays zero unless `is_direct`.
pub(super) fn refine(data: &Data, candidate: Candidate, aim: Aim, is_direct: bool) -> Candidate {
    let mut best = candidate;
    let mut damping = DAMPING_FIRST;
    for _ in 0..STEPS_MAX {
        let Some((curvature, slope)) = normal_equations(data, &best, aim, is_direct) else { break };
        let before = best.criterion;
        let mut improved = None;
        while damping <= DAMPING_MAX && improved.is_none() {
            improved = try_step(data, &best, &curvature, &slope, damping, aim, is_direct);
            damping = if improved.is_some() { (damping * 0.1).max(DAMPING_MIN) } else { damping * 8.0 };
        }
        let Some(better) = improved else { break };
        best = better;
        if before - best.criterion < DECREASE_MIN * data.n_outputs as f64 {
            break;
        }
    }
    best
}

fn try_step(
    data: &Data,
    from: &Candidate,
    curvature: &DMatrix<f64>,
    slope: &DMatrix<f64>,
    damping: f64,
    aim: Aim,
    is_direct: bool,
) -> Option<Candidate> {
    let mut damped = curvature.clone();
    // A parameter without any effect (a zero diagonal) must not make the matrix singular.
    let floor = f64::EPSILON * curvature.diagonal().max();
    for i in 0..damped.nrows() {
        damped[(i, i)] += damping * curvature[(i, i)].max(floor) + floor;
    }
    let step = damped.cholesky()?.solve(slope);
    let matrices = moved(from, step.as_slice(), is_direct);
    if spectral_radius(&matrices.predictor()) > RADIUS_MAX
        || (aim.simulation_weight > 0.0 && spectral_radius(&matrices.a) > RADIUS_MAX)
    {
        return None;
    }
    let criterion = criterion(data, &matrices, aim);
    (criterion < from.criterion).then_some(Candidate { matrices, criterion })
}

/// The parameters in order A, B, C, K, D, each column by column, moved by `step`.
fn moved(from: &Candidate, step: &[f64], is_direct: bool) -> Matrices {
    let mut matrices = from.matrices.clone();
    let Matrices { a, b, c, d, k } = &mut matrices;
    let parts = [a.as_mut_slice(), b.as_mut_slice(), c.as_mut_slice(), k.as_mut_slice()];
    let mut step = step.iter();
    for part in parts {
        for (entry, step) in part.iter_mut().zip(&mut step) {
            *entry += step;
        }
    }
    if is_direct {
        for (entry, step) in d.as_mut_slice().iter_mut().zip(&mut step) {
            *entry += step;
        }
    }
    matrices
}

/// `Σ JᵀWJ` and `−Σ JᵀW e` over both kinds of errors; `None` where a weight is not finite.
fn normal_equations(
    data: &Data,
    at: &Candidate,
    aim: Aim,
    is_direct: bool,
) -> Option<(DMatrix<f64>, DMatrix<f64>)> {
    let p = data.n_outputs;
    let mut sums = Sums::new(&at.matrices, is_direct);
    if aim.simulation_weight < 1.0 {
        let errors = prediction_errors(data, &at.matrices, aim);
        let root = covariance(&errors, p).cholesky()?.unpack().try_inverse()?;
        let root = root * ((1.0 - aim.simulation_weight) / (data.steps - aim.warm_up(data)) as f64).sqrt();
        sums.add(data, at, &root, &at.matrices.k, aim.warm_up(data));
    }
    if aim.simulation_weight > 0.0 {
        let variances = simulation_variances(data, &at.matrices);
        let root = DMatrix::from_fn(p, p, |i, j| {
            if i == j { (aim.simulation_weight / (variances[i] * data.steps as f64)).sqrt() } else { 0.0 }
        });
        // A simulation is a prediction with the gain zero.
        sums.add(data, at, &root, &DMatrix::zeros(at.matrices.a.nrows(), p), 0);
    }
    let is_finite = sums.curvature.iter().chain(sums.slope.iter()).all(|entry| entry.is_finite());
    is_finite.then_some((sums.curvature, sums.slope))
}

/// The sums, and the rows of the Jacobian that wait to be multiplied.
struct Sums {
    is_direct: bool,
    curvature: DMatrix<f64>,
    slope: DMatrix<f64>,
    /// Parameters × rows, so that the product is one that the library is fast at.
    jacobian: DMatrix<f64>,
    errors: DMatrix<f64>,
    held: usize,
}

impl Sums {
    fn new(matrices: &Matrices, is_direct: bool) -> Self {
        let (n, m, p) = (matrices.a.nrows(), matrices.b.ncols(), matrices.c.nrows());
        let direct = if is_direct { p * m } else { 0 };
        let parameters = n * n + n * m + 2 * n * p + direct;
        Self {
            is_direct,
            curvature: DMatrix::zeros(parameters, parameters),
            slope: DMatrix::zeros(parameters, 1),
            jacobian: DMatrix::zeros(parameters, ROWS.max(p)),
            errors: DMatrix::zeros(ROWS.max(p), 1),
            held: 0,
        }
    }

    /// Adds the errors of the predictor with this `gain`, weighted from the left by `root`.
    fn add(&mut self, data: &Data, at: &Candidate, root: &DMatrix<f64>, gain: &DMatrix<f64>, warm_up: usize) {
        let Matrices { a, b, c, d, .. } = &at.matrices;
        let (n, m, p) = (a.nrows(), b.ncols(), c.nrows());
        let with_gain = gain.iter().any(|entry| *entry != 0.0);
        let transition = a - gain * c;
        let weighted_c = root * c;
        // What the states driven by x, u and e in turn (e only where there is a gain to move) look like in the weighted
        // outputs: p rows each. The n × n states X are polynomials in the transition F, so C X F = C F X.
        let n_signals = n + m + if with_gain { p } else { 0 };
        let mut seen = DMatrix::<f64>::zeros(n_signals * p, n);
        let mut through_gain = DMatrix::zeros(p, p);
        let mut scratch = DMatrix::zeros(n_signals * p, n);
        let mut state = vec![0.0; n];
        let (mut next, mut error, mut signal) = (vec![0.0; n], vec![0.0; p], vec![0.0; n + m + p]);
        let (in_b, in_c, in_k) = (n * n, n * n + n * m, n * n + n * m + n * p);
        let in_d = in_k + n * p;
        let stretches = pieces(data, warm_up);
        let steps = stretches.iter().flat_map(|piece| (piece.warm..piece.end).map(move |t| (piece, t)));
        for (piece, t) in steps {
            if t == piece.warm {
                state.fill(0.0);
                seen.fill(0.0);
            }
            let input = data.input(t);
            error.fill(0.0);
            add_product(c, &state, &mut error);
            add_product(d, input, &mut error);
            for (error, measured) in error.iter_mut().zip(data.output(t)) {
                *error = measured - *error;
            }
            signal[..n].copy_from_slice(&state);
            signal[n..n + m].copy_from_slice(input);
            signal[n + m..].copy_from_slice(&error);
            if t >= piece.first {
                if self.held + p > self.jacobian.ncols() {
                    self.flush();
                }
                // What the parameters do to the prediction: the negative of what they do to the error.
                for (column, &state) in state.iter().enumerate() {
                    self.put(column * n, &seen.rows(column * p, p));
                    self.put_output(
                        in_c + column * p,
                        root,
                        state,
                        &seen.rows(column * p, p),
                        with_gain.then_some(gain),
                        &mut through_gain,
                    );
                }
                for column in 0..m {
                    self.put(in_b + column * n, &seen.rows((n + column) * p, p));
                    if self.is_direct {
                        self.put_output(
                            in_d + column * p,
                            root,
                            signal[n + column],
                            &seen.rows((n + column) * p, p),
                            with_gain.then_some(gain),
                            &mut through_gain,
                        );
                    }
                }
                for column in 0..p {
                    if with_gain {
                        self.put(in_k + column * n, &seen.rows((n + m + column) * p, p));
                    } else {
                        for row in 0..p {
                            self.jacobian.view_mut((in_k + column * n, self.held + row), (n, 1)).fill(0.0);
                        }
                    }
                }
                for row in 0..p {
                    self.errors[self.held + row] =
                        (0..p).map(|column| root[(row, column)] * error[column]).sum();
                }
                self.held += p;
            }
            product(&seen, &transition, &mut scratch);
            drive(&mut scratch, 0, &weighted_c, &signal[..n_signals]);
            std::mem::swap(&mut seen, &mut scratch);
            next.fill(0.0);
            add_product(a, &state, &mut next);
            add_product(b, input, &mut next);
            add_product(gain, &error, &mut next);
            std::mem::swap(&mut state, &mut next);
        }
        self.flush();
    }

    /// Writes the effect `seen` (outputs × parameters) of consecutive parameters.
    fn put(&mut self, parameter: usize, seen: &DMatrixView<'_, f64>) {
        for row in 0..seen.nrows() {
            for column in 0..seen.ncols() {
                self.jacobian[(parameter + column, self.held + row)] = seen[(row, column)];
            }
        }
    }

    /// The effect of one column of C or D: directly on each output, and through the gain on the state.
    fn put_output(
        &mut self,
        parameter: usize,
        root: &DMatrix<f64>,
        signal: f64,
        seen: &DMatrixView<'_, f64>,
        gain: Option<&DMatrix<f64>>,
        scratch: &mut DMatrix<f64>,
    ) {
        scratch.copy_from(root);
        *scratch *= signal;
        if let Some(gain) = gain {
            for column in 0..root.ncols() {
                for (state, gain) in gain.column(column).iter().enumerate() {
                    for row in 0..root.nrows() {
                        scratch[(row, column)] -= seen[(row, state)] * gain;
                    }
                }
            }
        }
        self.put(parameter, &scratch.as_view());
    }

    fn flush(&mut self) {
        let rows = self.jacobian.columns(0, self.held);
        let across = rows.transpose();
        self.curvature.gemm(1.0, &rows, &across, 1.0);
        self.slope.gemm(1.0, &rows, &self.errors.rows(0, self.held), 1.0);
        self.held = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subspace::{
        Preparation,
        tests::{example, simulated},
    };

    /// Each entry of the slope against a central difference of the weighted squares.
    fn check(simulation_weight: f64, warms_up: bool, is_direct: bool) {
        let aim = Aim { simulation_weight, warms_up };
        let truth = example();
        let record = simulated(&truth, 120, 0.3, 5);
        let data = Data::new(&record, Preparation::Standardised).expect("fine");
        let mut matrices = truth.matrices().clone();
        matrices.a[(0, 1)] += 0.05;
        matrices.c[(1, 0)] -= 0.1;
        let criterion_here = criterion(&data, &matrices, aim);
        let at = Candidate { matrices, criterion: criterion_here };
        let (_, slope) = normal_equations(&data, &at, aim, is_direct).expect("finite");
        let delta = 1e-5;
        for parameter in 0..slope.nrows() {
            let value = |sign: f64| {
                let mut step = vec![0.0; slope.nrows()];
                step[parameter] = sign * delta;
                criterion(&data, &moved(&at, &step, is_direct), aim)
            };
            // dV = −2 × slope: Σ JᵀW e is half the gradient of a sum of logarithms of squares, with J of the prediction.
            let numeric = (value(1.0) - value(-1.0)) / (2.0 * delta);
            let error = (numeric + 2.0 * slope[parameter]).abs();
            assert!(
                error < 1e-5 * (1.0 + numeric.abs()),
                "parameter {parameter}: {numeric} and {}",
                slope[parameter]
            );
        }
    }

    #[test]
    fn the_slope_is_that_of_the_criterion() {
        check(0.0, true, true);
        check(0.0, false, true);
        check(0.5, true, true);
        check(1.0, false, false);
    }
}
