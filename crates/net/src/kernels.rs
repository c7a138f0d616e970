//! The loops that take the time. The only file that knows a library of matrix products.
//!
//! Matrices are slices, row after row; a batch has a row for each of its examples. `matrixmultiply` (behind `nalgebra`)
//! and `pulp` choose instructions when they run; sums have a fixed order, and no product is fused into a sum outside
//! of `matrixmultiply`, so that only the class of processor can tell.

use nalgebra::{DMatrixView, DMatrixViewMut, Dyn};
use pulp::Arch;

type Transposed<'a> = nalgebra::MatrixView<'a, f32, Dyn, Dyn, Dyn, Dyn>;

/// sums = inputs · weights + biases, for each row of the batch.
///
/// # Shapes
/// inputs: batch × n, weights: n × m, biases: m, sums: batch × m.
pub(crate) fn affine(inputs: &[f32], weights: &[f32], biases: &[f32], sums: &mut [f32]) {
    let m = biases.len();
    let (batch, n) = (sums.len() / m, weights.len() / m);
    for row in sums.chunks_exact_mut(m) {
        row.copy_from_slice(biases);
    }
    if batch <= NARROW || n <= NARROW {
        for (inputs, sums) in inputs.chunks_exact(n).zip(sums.chunks_exact_mut(m)) {
            add_rows(inputs, weights, sums);
        }
        return;
    }
    if m <= NARROW {
        return narrow_affine(inputs, weights, n, sums);
    }
    // `nalgebra` stores columns: our rows are its columns, and products are the other way round.
    DMatrixViewMut::from_slice(sums, m, batch).gemm(
        1.0,
        &DMatrixView::from_slice(weights, m, n),
        &DMatrixView::from_slice(inputs, n, batch),
        1.0,
    );
}

/// by_weights = inputsᵀ · deltas.
///
/// # Shapes
/// inputs: batch × n, deltas: batch × m, by_weights: n × m.
pub(crate) fn by_weights(inputs: &[f32], deltas: &[f32], n: usize, by_weights: &mut [f32]) {
    let m = by_weights.len() / n;
    let batch = inputs.len() / n;
    if n <= NARROW {
        by_weights.fill(0.0);
        for (inputs, deltas) in inputs.chunks_exact(n).zip(deltas.chunks_exact(m)) {
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (input, sums) in inputs.iter().zip(by_weights.chunks_exact_mut(m)) {
                        add_row(*input, deltas, sums);
                    }
                },
            );
        }
        return;
    }
    if m <= NARROW {
        return narrow_by_weights(inputs, deltas, n, by_weights);
    }
    let inputs = Transposed::from_slice_with_strides_generic(inputs, Dyn(batch), Dyn(n), Dyn(n), Dyn(1));
    DMatrixViewMut::from_slice(by_weights, m, n).gemm(
        1.0,
        &DMatrixView::from_slice(deltas, m, batch),
        &inputs,
        0.0,
    );
}

/// by_inputs = deltas · weightsᵀ.
///
/// # Shapes
/// deltas: batch × m, weights: n × m, by_inputs: batch × n.
pub(crate) fn by_inputs(deltas: &[f32], weights: &[f32], m: usize, by_inputs: &mut [f32]) {
    let n = weights.len() / m;
    let batch = deltas.len() / m;
    if m <= NARROW {
        return narrow_by_inputs(deltas, weights, m, by_inputs);
    }
    let weights = Transposed::from_slice_with_strides_generic(weights, Dyn(n), Dyn(m), Dyn(m), Dyn(1));
    DMatrixViewMut::from_slice(by_inputs, n, batch).gemm(
        1.0,
        &weights,
        &DMatrixView::from_slice(deltas, m, batch),
        0.0,
    );
}

/// by_biases = sum of the rows of `deltas`.
pub(crate) fn by_biases(deltas: &[f32], by_biases: &mut [f32]) {
    by_biases.fill(0.0);
    for row in deltas.chunks_exact(by_biases.len()) {
        for (sum, delta) in by_biases.iter_mut().zip(row) {
            *sum += delta;
        }
    }
}

/// Matrices that are no wider have loops of their own: for few rows packing the weights costs more than reading them so
/// often, and for few columns a library's blocks are mostly empty (`nalgebra` has no fast way for them either).
const NARROW: usize = 5;

/// Inputs that are taken together where there are few outputs.
const LANES: usize = 16;

/// Weights of `LANES` inputs from `first` on, output by output; 0 beyond the last.
#[inline(always)]
fn lanes(weights: &[f32], first: usize, n: usize, m: usize) -> [[f32; LANES]; NARROW] {
    let mut lanes = [[0.0; LANES]; NARROW];
    for lane in 0..LANES.min(n - first) {
        for (output, of_output) in lanes.iter_mut().enumerate().take(m) {
            of_output[lane] = weights[(first + lane) * m + output];
        }
    }
    lanes
}

/// The same of one row of inputs.
#[inline(always)]
fn lane(row: &[f32], first: usize) -> [f32; LANES] {
    let mut lane = [0.0; LANES];
    let part = &row[first..row.len().min(first + LANES)];
    lane[..part.len()].copy_from_slice(part);
    lane
}

/// sums += inputs · weights, for few outputs.
fn narrow_affine(inputs: &[f32], weights: &[f32], n: usize, sums: &mut [f32]) {
    let m = weights.len() / n;
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for first in (0..n).step_by(LANES) {
                let weights = lanes(weights, first, n, m);
                for (row, sums) in inputs.chunks_exact(n).zip(sums.chunks_exact_mut(m)) {
                    let inputs = lane(row, first);
                    for (sum, weights) in sums.iter_mut().zip(&weights) {
                        let mut products = [0.0; LANES];
                        for ((product, input), weight) in products.iter_mut().zip(&inputs).zip(weights) {
                            *product = input * weight;
                        }
                        // Halves upon halves, which is how lanes are added.
                        let mut width = LANES / 2;
                        while width > 0 {
                            for lane in 0..width {
                                products[lane] += products[lane + width];
                            }
                            width /= 2;
                        }
                        *sum += products[0];
                    }
                }
            }
        },
    );
}

/// by_weights = inputsᵀ · deltas, for few outputs.
fn narrow_by_weights(inputs: &[f32], deltas: &[f32], n: usize, by_weights: &mut [f32]) {
    let m = by_weights.len() / n;
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for first in (0..n).step_by(LANES) {
                let mut sums = [[0.0; LANES]; NARROW];
                for (row, deltas) in inputs.chunks_exact(n).zip(deltas.chunks_exact(m)) {
                    let inputs = lane(row, first);
                    for (sums, delta) in sums.iter_mut().zip(deltas) {
                        add_row(*delta, &inputs, sums);
                    }
                }
                for lane in 0..LANES.min(n - first) {
                    for (output, sums) in sums.iter().enumerate().take(m) {
                        by_weights[(first + lane) * m + output] = sums[lane];
                    }
                }
            }
        },
    );
}

/// by_inputs = deltas · weightsᵀ, for few outputs.
fn narrow_by_inputs(deltas: &[f32], weights: &[f32], m: usize, by_inputs: &mut [f32]) {
    let n = weights.len() / m;
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for first in (0..n).step_by(LANES) {
                let weights = lanes(weights, first, n, m);
                for (row, deltas) in by_inputs.chunks_exact_mut(n).zip(deltas.chunks_exact(m)) {
                    let mut sums = [0.0; LANES];
                    for (weights, delta) in weights.iter().zip(deltas) {
                        add_row(*delta, weights, &mut sums);
                    }
                    let end = n.min(first + LANES);
                    row[first..end].copy_from_slice(&sums[..end - first]);
                }
            }
        },
    );
}

/// sums += Σᵢ inputs\[i\] · weights\[i, ·\]; inputs of 0, half of them behind a ReLU, cost nothing.
fn add_rows(inputs: &[f32], weights: &[f32], sums: &mut [f32]) {
    let m = sums.len();
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut rows = inputs.iter().zip(weights.chunks_exact(m)).filter(|(input, _)| **input != 0.0);
            // Four at a time, so that a sum is loaded and stored a quarter as often.
            loop {
                let Some((a, of_a)) = rows.next() else { break };
                let Some((b, of_b)) = rows.next() else {
                    add_row(*a, of_a, sums);
                    break;
                };
                let Some((c, of_c)) = rows.next() else {
                    add_row(*a, of_a, sums);
                    add_row(*b, of_b, sums);
                    break;
                };
                let Some((d, of_d)) = rows.next() else {
                    add_row(*a, of_a, sums);
                    add_row(*b, of_b, sums);
                    add_row(*c, of_c, sums);
                    break;
                };
                let columns = of_a.iter().zip(of_b).zip(of_c.iter().zip(of_d));
                for (sum, ((w_a, w_b), (w_c, w_d))) in sums.iter_mut().zip(columns) {
                    *sum += (a * w_a + b * w_b) + (c * w_c + d * w_d);
                }
            }
        },
    );
}

#[inline(always)]
fn add_row(input: f32, weights: &[f32], sums: &mut [f32]) {
    for (sum, weight) in sums.iter_mut().zip(weights) {
        *sum += input * weight;
    }
}

/// One step of Adam on each parameter; see [`crate::Adam`].
///
/// m ← m + (1 − β₁)(g − m), v ← β₂ v + (1 − β₂) g², p ← p − rate · m / (√v · root + ε)
pub(crate) fn adam(
    by: AdamFactors,
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    parameters: &mut [f32],
) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let moments = first.iter_mut().zip(second.iter_mut());
            for ((parameter, gradient), (first, second)) in parameters.iter_mut().zip(gradient).zip(moments) {
                *first += by.share_of_first * (gradient - *first);
                *second = by.kept_of_second * *second + by.share_of_second * (gradient * gradient);
                *parameter -= by.rate * *first / (second.sqrt() * by.root + by.epsilon);
            }
        },
    );
}

/// What is the same for all parameters in one step of Adam.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamFactors {
    /// 1 − β₁.
    pub(crate) share_of_first: f32,
    /// β₂.
    pub(crate) kept_of_second: f32,
    /// 1 − β₂.
    pub(crate) share_of_second: f32,
    /// Learning rate / (1 − β₁ᵗ).
    pub(crate) rate: f32,
    /// 1 / √(1 − β₂ᵗ).
    pub(crate) root: f32,
    pub(crate) epsilon: f32,
}

/// Σ x², in eight partial sums.
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let chunks = values.chunks_exact(sums.len());
    let rest: f64 = chunks.remainder().iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    sums.iter().sum::<f64>() + rest
}
