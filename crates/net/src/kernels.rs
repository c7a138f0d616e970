//! The loops that take the time. The only file that knows the library of vector instructions.
//!
//! Matrices are slices, row after row; a batch has a row for each of its examples. `pulp` chooses vectors of eight (AVX2
//! and FMA) where the processor has them. Every sum has a fixed order, so that only the class of processor can change a bit.
//!
//! The matrix product is the usual one (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM
//! TOMS 34, 2008, in one block, as these matrices fit the second-level cache): both factors are copied into panels as the inner loop reads them,
//! and a tile of [`TILE_ROWS`] × [`TILE_VECTORS`] vectors of the product stays in registers meanwhile.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined into a call of the library is compiled for the least of all processors"
)]

use pulp::{Arch, Simd, WithSimd};

/// Room for the panels of a product, kept between products.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panels {
    left: Vec<f32>,
    right: Vec<f32>,
}

/// A matrix in a slice: element (i, k) is at i · `by_row` + k · `by_column`.
#[derive(Clone, Copy)]
struct View<'a> {
    values: &'a [f32],
    by_row: usize,
    by_column: usize,
}

/// Rows of a tile of the product: with two vectors each, as many as sixteen registers hold beside the factors.
const TILE_ROWS: usize = 6;

/// Vectors in a row of a tile.
const TILE_VECTORS: usize = 2;

/// sums += left · right.
///
/// # Shapes
/// left: rows × depth, right: depth × columns, sums: rows × columns, row after row.
struct Product<'a> {
    left: View<'a>,
    right: View<'a>,
    depth: usize,
    columns: usize,
    sums: &'a mut [f32],
    panels: &'a mut Panels,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, depth, columns, sums: product, panels } = self;
        let width = TILE_VECTORS * size_of::<S::f32s>() / size_of::<f32>();
        let rows = product.len() / columns;
        // Rows and columns beyond the last are 0.
        panels.left.resize(rows.div_ceil(TILE_ROWS) * TILE_ROWS * depth, 0.0);
        if !rows.is_multiple_of(TILE_ROWS) {
            panels.left[rows / TILE_ROWS * TILE_ROWS * depth..].fill(0.0);
        }
        for (tile, panel) in panels.left.chunks_exact_mut(TILE_ROWS * depth).enumerate() {
            for row in 0..TILE_ROWS.min(rows - tile * TILE_ROWS) {
                let from = &left.values[(tile * TILE_ROWS + row) * left.by_row..];
                let to = panel.iter_mut().skip(row).step_by(TILE_ROWS);
                to.zip(from.iter().step_by(left.by_column)).for_each(|(to, from)| *to = *from);
            }
        }
        for first in (0..columns).step_by(width) {
            let n = width.min(columns - first);
            panels.right.resize(width * depth, 0.0);
            if n < width {
                panels.right.fill(0.0);
            }
            if right.by_column == 1 && n == width {
                // Copies of a length that the compiler knows are no calls.
                for (k, row) in panels.right.chunks_exact_mut(width).enumerate() {
                    row.copy_from_slice(&right.values[k * right.by_row + first..][..width]);
                }
            } else if right.by_column == 1 {
                for (k, row) in panels.right.chunks_exact_mut(width).enumerate() {
                    row[..n].copy_from_slice(&right.values[k * right.by_row + first..][..n]);
                }
            } else {
                for column in 0..n {
                    let from = &right.values[(first + column) * right.by_column..];
                    let to = panels.right.iter_mut().skip(column).step_by(width);
                    to.zip(from.iter().step_by(right.by_row)).for_each(|(to, from)| *to = *from);
                }
            }
            let (vectors, _) = S::as_simd_f32s(&panels.right);
            let (vectors, _) = vectors.as_chunks::<TILE_VECTORS>();
            for (tile, panel) in panels.left.chunks_exact(TILE_ROWS * depth).enumerate() {
                let mut sums = [[simd.splat_f32s(0.0); TILE_VECTORS]; TILE_ROWS];
                let (factors, _) = panel.as_chunks::<TILE_ROWS>();
                for (factors, vectors) in factors.iter().zip(vectors) {
                    for (sums, factor) in sums.iter_mut().zip(factors) {
                        let factor = simd.splat_f32s(*factor);
                        for (sum, vector) in sums.iter_mut().zip(vectors) {
                            *sum = simd.mul_add_f32s(factor, *vector, *sum);
                        }
                    }
                }
                let rows = product[tile * TILE_ROWS * columns..].chunks_mut(columns);
                for (row, sums) in rows.zip(&sums) {
                    let sums: &[f32] = pulp::bytemuck::cast_slice(sums);
                    for (to, sum) in row[first..first + n].iter_mut().zip(sums) {
                        *to += sum;
                    }
                }
            }
        }
    }
}

/// sums = inputs · weights + biases, for each row of the batch.
///
/// # Shapes
/// inputs: batch × n, weights: n × m, biases: m, sums: batch × m.
pub(crate) fn affine(inputs: &[f32], weights: &[f32], biases: &[f32], sums: &mut [f32], panels: &mut Panels) {
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
    let left = View { values: inputs, by_row: n, by_column: 1 };
    let right = View { values: weights, by_row: m, by_column: 1 };
    Arch::new().dispatch(Product { left, right, depth: n, columns: m, sums, panels });
}

/// `by_weights` = inputsᵀ · deltas.
///
/// # Shapes
/// inputs: batch × n, deltas: batch × m, `by_weights`: n × m.
pub(crate) fn by_weights(
    inputs: &[f32],
    deltas: &[f32],
    n: usize,
    by_weights: &mut [f32],
    panels: &mut Panels,
) {
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
    by_weights.fill(0.0);
    let left = View { values: inputs, by_row: 1, by_column: n };
    let right = View { values: deltas, by_row: m, by_column: 1 };
    Arch::new().dispatch(Product { left, right, depth: batch, columns: m, sums: by_weights, panels });
}

/// `by_inputs` = deltas · weightsᵀ.
///
/// # Shapes
/// deltas: batch × m, weights: n × m, `by_inputs`: batch × n.
pub(crate) fn by_inputs(
    deltas: &[f32],
    weights: &[f32],
    m: usize,
    by_inputs: &mut [f32],
    panels: &mut Panels,
) {
    let n = weights.len() / m;
    if m <= NARROW {
        return narrow_by_inputs(deltas, weights, m, by_inputs);
    }
    by_inputs.fill(0.0);
    let left = View { values: deltas, by_row: m, by_column: 1 };
    let right = View { values: weights, by_row: 1, by_column: m };
    Arch::new().dispatch(Product { left, right, depth: m, columns: n, sums: by_inputs, panels });
}

/// `by_biases` = sum of the rows of `deltas`.
pub(crate) fn by_biases(deltas: &[f32], by_biases: &mut [f32]) {
    by_biases.fill(0.0);
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for row in deltas.chunks_exact(by_biases.len()) {
                for (sum, delta) in by_biases.iter_mut().zip(row) {
                    *sum += delta;
                }
            }
        },
    );
}

/// Matrices that are no wider have loops of their own: for few rows packing the weights costs more than reading them so
/// often, and for few columns the tiles of a product are mostly empty.
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

/// `by_weights` = inputsᵀ · deltas, for few outputs.
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

/// `by_inputs` = deltas · weightsᵀ, for few outputs.
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

/// sums += Σᵢ inputs\[i\] · weights\[i, ·\]; inputs of 0, half of them behind a `ReLU`, cost nothing.
fn add_rows(inputs: &[f32], weights: &[f32], sums: &mut [f32]) {
    let m = sums.len();
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut rows = inputs.iter().zip(weights.chunks_exact(m)).filter(|(input, _)| **input != 0.0);
            // Four at a time, so that a sum is loaded and stored a quarter as often.
            while let Some((a, of_a)) = rows.next() {
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
                *first = normal(*first + by.share_of_first * (gradient - *first));
                *second = normal(by.kept_of_second * *second + by.share_of_second * (gradient * gradient));
                *parameter -= by.rate * *first / (second.sqrt() * by.root + by.epsilon);
            }
        },
    );
}

/// The number, or 0 where it is below all normal ones. Moments of a unit that is never active any more shrink by a factor
/// a step and would stay there, where processors take a hundred times as long for each of them.
#[inline(always)]
fn normal(number: f32) -> f32 {
    if number.abs() < f32::MIN_POSITIVE { 0.0 } else { number }
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
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut sums = [0.0_f64; 8];
            let (chunks, rest) = values.as_chunks::<8>();
            for chunk in chunks {
                for (sum, value) in sums.iter_mut().zip(chunk) {
                    *sum += f64::from(*value) * f64::from(*value);
                }
            }
            sums.iter().sum::<f64>()
                + rest.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>()
        },
    )
}
