//! The triangle R of the block-Hankel matrices of a record.
//!
//! H = [`U_f` `U_p` `Y_p` `Y_f`] = Q R, with past and future of s samples each; column (block k, channel a) of a block
//! holds the values of channel a from sample k (past) or s + k (future) on. All of a subspace method is in R.
//!
//! Fast path: `HᵀH` is summed by its structure. Two entries one step apart along a block diagonal differ by one product
//! that enters and one that leaves, so only the first block row needs N products an entry; R is its Cholesky factor
//! (as SLICOT's IB01MD with METH = 'C'). Squaring H squares its condition, so where a pivot is small R comes from
//! Householder reflections on H, read row by row (METH = 'Q').

use nalgebra::DMatrix;

use super::data::Data;
use crate::dense::{Triangle, dot};

/// A pivot below this share of its diagonal entry has lost too many digits for the fast path.
const PIVOT_MIN: f64 = 1e-8;

/// R and its partition.
pub(super) struct Factor {
    /// 2 s (m + p) square, upper triangular, columns in the order above.
    pub r: DMatrix<f64>,
    /// Block rows of past and of future.
    pub horizon: usize,
    pub n_inputs: usize,
    pub n_outputs: usize,
}

impl Factor {
    pub(super) fn new(data: &Data, horizon: usize) -> Self {
        let r = cholesky(gram(data, horizon)).unwrap_or_else(|| reflections(data, horizon));
        Self { r, horizon, n_inputs: data.n_inputs, n_outputs: data.n_outputs }
    }

    /// Columns of the future inputs.
    pub(super) fn future_inputs(&self) -> usize {
        self.horizon * self.n_inputs
    }

    /// Columns of the past, inputs and outputs.
    pub(super) fn past(&self) -> usize {
        self.horizon * (self.n_inputs + self.n_outputs)
    }

    /// Columns of the future outputs.
    pub(super) fn future_outputs(&self) -> usize {
        self.horizon * self.n_outputs
    }

    /// The block of R in these rows and columns, each a (start, length).
    pub(super) fn block(&self, rows: (usize, usize), columns: (usize, usize)) -> DMatrix<f64> {
        self.r.view((rows.0, columns.0), (rows.1, columns.1)).into_owned()
    }
}

/// Position of (lag, channel) in H for the channels u then y and lags 0 to 2 s − 1.
fn column(horizon: usize, n_inputs: usize, n_outputs: usize, lag: usize, channel: usize) -> usize {
    let is_future = lag >= horizon;
    let (block, inputs) = (lag % horizon, horizon * n_inputs);
    match (channel < n_inputs, is_future) {
        (true, true) => block * n_inputs + channel,
        (true, false) => inputs + block * n_inputs + channel,
        (false, is_future) => {
            let start = 2 * inputs + if is_future { horizon * n_outputs } else { 0 };
            start + block * n_outputs + channel - n_inputs
        }
    }
}

/// `HᵀH`.
fn gram(data: &Data, horizon: usize) -> DMatrix<f64> {
    let (m, p) = (data.n_inputs, data.n_outputs);
    let (channels, lags) = (m + p, 2 * horizon);
    let rows = data.steps + 1 - lags;
    let series: Vec<Vec<f64>> = (0..m)
        .map(|channel| data.inputs.iter().skip(channel).step_by(m).copied().collect())
        .chain((0..p).map(|channel| data.outputs.iter().skip(channel).step_by(p).copied().collect()))
        .collect();
    let place = |lag, channel| column(horizon, m, p, lag, channel);
    let mut gram = DMatrix::zeros(lags * channels, lags * channels);
    for (a, left) in series.iter().enumerate() {
        for (b, right) in series.iter().enumerate() {
            for gap in 0..lags {
                let mut sum = dot(&left[..rows], &right[gap..gap + rows]);
                for lag in 0..lags - gap {
                    if lag > 0 {
                        // One product enters at the end of the window, one leaves at its start.
                        let (first, last) = (lag - 1, rows + lag - 1);
                        sum += left[last] * right[last + gap] - left[first] * right[first + gap];
                    }
                    let (i, j) = (place(lag, a), place(lag + gap, b));
                    gram[(i, j)] = sum;
                    gram[(j, i)] = sum;
                }
            }
        }
    }
    gram
}

/// The factor, or nothing where a pivot has lost its digits.
fn cholesky(gram: DMatrix<f64>) -> Option<DMatrix<f64>> {
    let diagonal = gram.diagonal();
    let lower = gram.cholesky()?.unpack();
    let is_safe = (0..lower.nrows()).all(|i| lower[(i, i)].powi(2) > PIVOT_MIN * diagonal[i]);
    is_safe.then(|| lower.transpose())
}

fn reflections(data: &Data, horizon: usize) -> DMatrix<f64> {
    let (m, p) = (data.n_inputs, data.n_outputs);
    let lags = 2 * horizon;
    let mut triangle = Triangle::new(lags * (m + p));
    let mut row = vec![0.0; lags * (m + p)];
    for start in 0..=data.steps - lags {
        for lag in 0..lags {
            let inputs = column(horizon, m, p, lag, 0);
            row[inputs..inputs + m].copy_from_slice(data.input(start + lag));
            let outputs = column(horizon, m, p, lag, m);
            row[outputs..outputs + p].copy_from_slice(data.output(start + lag));
        }
        triangle.push(row.iter().copied());
    }
    triangle.finish()
}

/// The order to which the inputs excite persistently, counted up to `horizon` blocks: the largest k for which the
/// block-Hankel matrix of the inputs with k block rows has full row rank.
pub(super) fn excitation(data: &Data, block_rows: usize, tolerance: f64) -> usize {
    let m = data.n_inputs;
    let mut triangle = Triangle::new(block_rows * m);
    for start in 0..=data.steps - block_rows {
        triangle.push(data.inputs[start * m..(start + block_rows) * m].iter().copied());
    }
    let triangle = triangle.finish();
    // Column (k, a) depends on those before it where its diagonal is nothing beside its norm.
    let deficient = (0..block_rows * m)
        .find(|&column| triangle[(column, column)].abs() <= tolerance * triangle.column(column).norm());
    deficient.map_or(block_rows, |column| column / m)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subspace::{Preparation, tests::noise_record};

    #[test]
    fn both_paths_have_the_gram_matrix_of_the_hankel_rows() {
        for (m, p, horizon, steps) in [(1, 1, 3, 50), (2, 2, 5, 400), (0, 2, 4, 100), (3, 1, 2, 64)] {
            let data = Data::new(&noise_record(m, p, steps), Preparation::Standardised).expect("fine");
            let direct = reflections(&data, horizon);
            let expected = direct.tr_mul(&direct);
            let difference = (gram(&data, horizon) - &expected).amax();
            assert!(difference < 1e-10 * expected.amax(), "{m} in, {p} out: {difference}");
            let fast = cholesky(gram(&data, horizon)).expect("noise excites every direction");
            for (fast, direct) in fast.iter().zip(direct.iter()) {
                assert!((fast.abs() - direct.abs()).abs() < 1e-9 * expected.amax().sqrt());
            }
        }
    }

    #[test]
    fn a_sine_excites_order_two() {
        let mut record = noise_record(1, 1, 300);
        for (t, value) in record.inputs[0].values.iter_mut().enumerate() {
            *value = (0.7 * t as f64).sin();
        }
        let data = Data::new(&record, Preparation::Raw).expect("fine");
        assert_eq!(excitation(&data, 10, 1e-9), 2);
        let data = Data::new(&noise_record(1, 1, 300), Preparation::Standardised).expect("fine");
        assert_eq!(excitation(&data, 10, 1e-9), 10);
    }
}
