//! B, D, the initial state and K by least squares, given A and C.
//!
//! With A and C known, y is linear in the rest: y(t) = C Aᵗ x₀ + Σⱼ C Xⱼ(t) bⱼ + D u(t), where Xⱼ(t+1) = A Xⱼ(t) + I uⱼ(t)
//! and bⱼ is column j of B. This is least squares on the simulation error, which most MOESP implementations use
//! (Verhaegen and Verdult 2007, Filtering and System Identification, section 7.7); B and D from R alone lose more.
//!
//! K likewise: a long regression of y on its past and that of u gives innovations ê, with which what the inputs leave
//! of y, less ê, is C Σⱼ Zⱼ kⱼ with Z driven by ê (the two-stage method; Qin 2006, Computers & Chemical
//! Engineering 30, section 4). Where A − K C is not stable, K is replaced by that of the Riccati equation with Q = K Λ Kᵀ,
//! S = K Λ, R = Λ: the same spectrum, and a predictor that forgets its start.

use nalgebra::DMatrix;

use super::data::Data;
use super::hankel::Factor;
use super::realise::ROUNDING;
use crate::dense::{Triangle, add_product, dot, solve_triangle, spectral_radius};
use crate::riccati::dare;
use crate::state_space::Matrices;

/// Innovations smaller than this, outputs being of order one, are rounding.
pub(super) const NOISELESS: f64 = 1e-9;

/// Share of the states' noise that is added to each state to make the Riccati equation's solution unique.
const LITTLE_NOISE: f64 = 1e-6;

/// What a regression on driven states gives.
pub(super) struct Driven {
    pub start: Vec<f64>,
    /// n × signals.
    pub into_state: DMatrix<f64>,
    /// p × signals; zero unless asked for.
    pub into_output: DMatrix<f64>,
}

/// Least squares of `target` (sample after sample, from sample `from` on) on the states of (A, C) driven by
/// `signals` from sample `from` on, and on the signals themselves where `is_direct`.
pub(super) fn regress(
    a: &DMatrix<f64>,
    c: &DMatrix<f64>,
    signals: &[f64],
    n_signals: usize,
    target: &[f64],
    from: usize,
    is_direct: bool,
) -> Driven {
    let (n, p) = (a.nrows(), c.nrows());
    let n_direct = if is_direct { p * n_signals } else { 0 };
    let n_columns = n + n * n_signals + n_direct;
    let mut triangle = Triangle::new(n_columns + 1);
    // What the free state and each driven one look like in the outputs, C X: p rows each, n columns. X is a polynomial in
    // A, so C X A = C A X: the rows move on by A without the n × n states.
    let n_rows = p * (1 + n_signals);
    let mut seen = DMatrix::zeros(n_rows, n);
    seen.rows_mut(0, p).copy_from(c);
    let mut next = DMatrix::zeros(n_rows, n);
    let mut row = vec![0.0; n_columns + 1];
    for t in from..target.len() / p {
        let signal = &signals[t * n_signals..][..n_signals];
        for port in 0..p {
            for (column, rows) in seen.as_slice().chunks_exact(n_rows).enumerate() {
                for (position, value) in rows[port..].iter().step_by(p).enumerate() {
                    row[position * n + column] = *value;
                }
            }
            if is_direct {
                let direct = &mut row[n + n * n_signals..n_columns];
                direct.fill(0.0);
                direct[port * n_signals..][..n_signals].copy_from_slice(signal);
            }
            row[n_columns] = target[t * p + port];
            triangle.push(row.iter().copied());
        }
        product(&seen, a, &mut next);
        drive(&mut next, p, c, signal);
        std::mem::swap(&mut seen, &mut next);
    }
    let solution = solve_triangle(&triangle.finish(), n_columns, ROUNDING);
    let solution = solution.as_slice();
    let into_output = if is_direct {
        DMatrix::from_row_slice(p, n_signals, &solution[n + n * n_signals..])
    } else {
        DMatrix::zeros(p, n_signals)
    };
    Driven {
        start: solution[..n].to_vec(),
        into_state: DMatrix::from_column_slice(n, n_signals, &solution[n..n + n * n_signals]),
        into_output,
    }
}

/// `out = left · right`; the general product of nalgebra costs more in its set-up than these small ones do.
pub(super) fn product(left: &DMatrix<f64>, right: &DMatrix<f64>, out: &mut DMatrix<f64>) {
    let rows = out.nrows();
    out.fill(0.0);
    for (column, out) in out.as_mut_slice().chunks_exact_mut(rows).enumerate() {
        add_product(left, &right.as_slice()[column * right.nrows()..][..right.nrows()], out);
    }
}

/// Adds `signal` × `c` to the p rows of each signal, which follow the first `first` rows.
pub(super) fn drive(seen: &mut DMatrix<f64>, first: usize, c: &DMatrix<f64>, signals: &[f64]) {
    let n_rows = seen.nrows();
    let columns = seen.as_mut_slice().chunks_exact_mut(n_rows).zip(c.as_slice().chunks_exact(c.nrows()));
    for (seen, c) in columns {
        for (seen, signal) in seen[first..].chunks_exact_mut(c.len()).zip(signals) {
            for (seen, c) in seen.iter_mut().zip(c) {
                *seen += signal * c;
            }
        }
    }
}

/// B, D and the initial state; for an unstable A by the predictor with a stabilising gain, whose regressors do not grow.
pub(super) fn inputs(
    data: &Data,
    a: &DMatrix<f64>,
    c: &DMatrix<f64>,
    is_direct: bool,
) -> Option<(Matrices, Vec<f64>)> {
    let (n, m, p) = (a.nrows(), data.n_inputs, data.n_outputs);
    if spectral_radius(a) < 1.0 {
        let found = regress(a, c, &data.inputs, m, &data.outputs, 0, is_direct);
        let (b, d) = (found.into_state, found.into_output);
        let matrices = Matrices { a: a.clone(), b, c: c.clone(), d, k: DMatrix::zeros(n, p) };
        return Some((matrices, found.start));
    }
    let (state_noise, output_noise) = (DMatrix::identity(n, n), DMatrix::identity(p, p));
    let gain = dare(a, c, &state_noise, &output_noise, &DMatrix::zeros(n, p)).ok()?.gain;
    let observer = a - &gain * c;
    // What the measured outputs alone would make the observer expect; the rest is the inputs' and the start's.
    let driven_by_outputs = Matrices {
        a: observer.clone(),
        b: gain.clone(),
        c: c.clone(),
        d: DMatrix::zeros(p, p),
        k: DMatrix::zeros(n, p),
    };
    let expected = driven_by_outputs.simulate(&data.outputs, data.steps, &vec![0.0; n]);
    let target: Vec<f64> = data.outputs.iter().zip(&expected).map(|(y, expected)| y - expected).collect();
    let found = regress(&observer, c, &data.inputs, m, &target, 0, is_direct);
    let matrices = Matrices {
        a: a.clone(),
        b: found.into_state + &gain * &found.into_output,
        c: c.clone(),
        d: found.into_output,
        k: DMatrix::zeros(n, p),
    };
    Some((matrices, found.start))
}

/// Innovations of the long regression of y(t) on u(t) and on s past samples of u and y; zero for the first s samples.
pub(super) fn long_innovations(data: &Data, factor: &Factor, is_direct: bool) -> Vec<f64> {
    let (m, p, horizon) = (data.n_inputs, data.n_outputs, factor.horizon);
    let (inputs, past) = (factor.future_inputs(), factor.past());
    let now = if is_direct { m } else { 0 };
    let mut triangle = Triangle::new(now + past + p);
    for row in factor.r.rows(0, inputs + past + p).row_iter() {
        let row = row.iter().copied();
        triangle.push(row.clone().take(now).chain(row.skip(inputs).take(past + p)));
    }
    let triangle = triangle.finish();
    let own = triangle.view((0, 0), (now + past, now + past)).into_owned();
    let diagonal = own.diagonal().abs();
    let coefficients = if diagonal.min() > ROUNDING.sqrt() * diagonal.max() {
        let target = triangle.view((0, now + past), (now + past, p));
        own.solve_upper_triangular(&target).expect("its diagonal is not zero")
    } else {
        solve_triangle(&triangle, now + past, ROUNDING)
    };
    let mut innovations = vec![0.0; data.outputs.len()];
    for t in horizon..data.steps {
        let past_inputs = &data.inputs[(t - horizon) * m..t * m];
        let past_outputs = &data.outputs[(t - horizon) * p..t * p];
        let innovation = innovations[t * p..][..p].iter_mut().zip(data.output(t));
        for ((error, measured), weights) in innovation.zip(coefficients.as_slice().chunks_exact(now + past)) {
            let (of_now, of_past) = weights.split_at(now);
            let (of_inputs, of_outputs) = of_past.split_at(horizon * m);
            let expected = dot(of_now, &data.input(t)[..now])
                + dot(of_inputs, past_inputs)
                + dot(of_outputs, past_outputs);
            *error = measured - expected;
        }
    }
    innovations
}

/// K, such that A − K C is stable; `None` where the data leave no noise or no such gain can be had.
pub(super) fn gain(
    data: &Data,
    matrices: &Matrices,
    start: &[f64],
    innovations: &[f64],
    horizon: usize,
) -> Option<DMatrix<f64>> {
    let (n, p) = (matrices.a.nrows(), data.n_outputs);
    let covariance = covariance(&innovations[horizon * p..], p);
    if covariance.diagonal().max().sqrt() < NOISELESS {
        return None;
    }
    let radius = spectral_radius(&matrices.a);
    let gain = if radius < 1.0 {
        let simulated = matrices.simulate(&data.inputs, data.steps, start);
        let rest =
            data.outputs.iter().zip(&simulated).zip(innovations).map(|((y, simulated), e)| y - simulated - e);
        let rest: Vec<f64> = rest.collect();
        regress(&matrices.a, &matrices.c, innovations, p, &rest, horizon, false).into_state
    } else {
        // Without a stable A there is no simulation to subtract: a gain that stabilises is the start of the refinement.
        let (q, r) = (DMatrix::identity(n, n), DMatrix::identity(p, p));
        dare(&matrices.a, &matrices.c, &q, &r, &DMatrix::zeros(n, p)).ok()?.gain
    };
    if gain.iter().all(|entry| entry.is_finite())
        && spectral_radius(&(&matrices.a - &gain * &matrices.c)) < 1.0
    {
        return Some(gain);
    }
    let cross = &gain * &covariance;
    let mut state_noise = &cross * gain.transpose();
    // Q − S R⁻¹ Sᵀ is zero here, of which P = 0 is a solution too, the wrong one; a little noise on every state leaves
    // only the stabilising one.
    let little = LITTLE_NOISE * state_noise.trace() / n as f64;
    (0..n).for_each(|i| state_noise[(i, i)] += little);
    dare(&matrices.a, &matrices.c, &state_noise, &covariance, &cross).ok().map(|steady| steady.gain)
}

/// Mean outer product of vectors of length `p` that are stored one after another.
pub(super) fn covariance(values: &[f64], p: usize) -> DMatrix<f64> {
    let mut sum = DMatrix::zeros(p, p);
    for value in values.chunks_exact(p) {
        for column in 0..p {
            for row in 0..p {
                sum[(row, column)] += value[row] * value[column];
            }
        }
    }
    sum / (values.len() / p).max(1) as f64
}
