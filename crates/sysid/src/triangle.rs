//! Least squares by Householder triangularisation of rows that stream by.
//!
//! Tall and thin matrices are all there is here: N rows by a handful of columns. Blocks of rows are folded into one
//! small triangle, [R; block] = Q [R'; 0] [Golub & Van Loan, Matrix Computations, 4th ed., section 5.2 and "updating"],
//! so that the data pass through the first-level cache once and normal equations, which square the condition
//! number, are never formed.

use nalgebra::{DMatrix, DVector};

/// Rows that are folded in at once: eight columns of them fill a quarter of a first-level cache.
pub(crate) const BLOCK: usize = 128;

/// The triangle of [X y]: its last column is the right-hand side, the rest R.
#[derive(Clone, Debug)]
pub(crate) struct Triangle {
    /// Columns, the right-hand side included.
    n: usize,
    /// Upper triangle, column by column.
    r: Vec<f64>,
}

/// A column that depends on those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dependent(pub usize);

impl Triangle {
    /// Of no rows yet; `n` unknowns and one right-hand side.
    pub(crate) fn new(n: usize) -> Self {
        Self { n: n + 1, r: vec![0.0; (n + 1) * (n + 1)] }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.r[j * self.n + i]
    }

    /// Folds `rows` rows in; column j of the block starts at j · `stride`. The block is used up.
    pub(crate) fn absorb(&mut self, block: &mut [f64], stride: usize, rows: usize) {
        let n = self.n;
        for k in 0..n {
            let (left, right) = block.split_at_mut((k + 1) * stride);
            let pivot = &mut left[k * stride..k * stride + rows];
            let square = dot(pivot, pivot);
            if square == 0.0 {
                continue;
            }
            // v = [v₀; pivot], H = I − factor v vᵀ, H [r; pivot] = [−sign(r) norm; 0].
            let r = self.r[k * n + k];
            let norm = (r * r + square).sqrt();
            let v0 = r + norm.copysign(r);
            let factor = 1.0 / (norm * (norm + r.abs()));
            self.r[k * n + k] = -norm.copysign(r);
            let top = |j: usize| j * n + k;
            // Four columns at a time share one reading of the pivot.
            let mut j = k + 1;
            while j + 4 <= n {
                let columns = &mut right[(j - k - 1) * stride..];
                let (a, rest) = columns.split_at_mut(stride);
                let (b, rest) = rest.split_at_mut(stride);
                let (c, d) = rest.split_at_mut(stride);
                let (a, b, c, d) = (&mut a[..rows], &mut b[..rows], &mut c[..rows], &mut d[..rows]);
                let dots = dot4(pivot, [a, b, c, d]);
                let mut scales = [0.0; 4];
                for (lane, scale) in scales.iter_mut().enumerate() {
                    let top = &mut self.r[top(j + lane)];
                    *scale = factor * (v0 * *top + dots[lane]);
                    *top -= *scale * v0;
                }
                let pivot = &pivot[..rows];
                for t in 0..rows {
                    let v = pivot[t];
                    a[t] -= scales[0] * v;
                    b[t] -= scales[1] * v;
                    c[t] -= scales[2] * v;
                    d[t] -= scales[3] * v;
                }
                j += 4;
            }
            for j in j..n {
                let other = &mut right[(j - k - 1) * stride..(j - k - 1) * stride + rows];
                let top = &mut self.r[top(j)];
                let scale = factor * (v0 * *top + dot(pivot, other));
                *top -= scale * v0;
                other.iter_mut().zip(&*pivot).for_each(|(x, v)| *x -= scale * v);
            }
        }
    }

    /// Sum of squares that no choice of unknowns removes.
    pub(crate) fn residual(&self) -> f64 {
        let last = self.at(self.n - 1, self.n - 1);
        last * last
    }

    /// ‖part of the right-hand side within the columns' span‖ / ‖right-hand side‖.
    pub(crate) fn explained(&self) -> f64 {
        let p = self.n - 1;
        let inside: f64 = (0..p).map(|i| self.at(i, p).powi(2)).sum();
        let all = inside + self.residual();
        if all == 0.0 { 0.0 } else { (inside / all).sqrt() }
    }

    /// Length of each column of X.
    pub(crate) fn lengths(&self) -> Vec<f64> {
        (0..self.n - 1).map(|j| (0..=j).map(|i| self.at(i, j).powi(2)).sum::<f64>().sqrt()).collect()
    }

    /// The triangle of some of the columns, with the same right-hand side.
    pub(crate) fn subset(&self, columns: &[usize]) -> Self {
        let mut subset = Self::new(columns.len());
        let mut block = Vec::with_capacity((columns.len() + 1) * self.n);
        for &j in columns.iter().chain([&(self.n - 1)]) {
            block.extend_from_slice(&self.r[j * self.n..(j + 1) * self.n]);
        }
        subset.absorb(&mut block, self.n, self.n);
        subset
    }

    /// z, the right-hand side of R θ = z.
    #[cfg(test)]
    pub(crate) fn right(&self) -> Vec<f64> {
        (0..self.n - 1).map(|i| self.at(i, self.n - 1)).collect()
    }

    /// R.
    pub(crate) fn matrix(&self) -> DMatrix<f64> {
        DMatrix::from_fn(self.n - 1, self.n - 1, |i, j| if i <= j { self.at(i, j) } else { 0.0 })
    }

    /// ‖R d‖: how far a step moves the fitted values.
    pub(crate) fn moved(&self, step: &[f64]) -> f64 {
        let row = |i: usize| (i..step.len()).map(|j| self.at(i, j) * step[j]).sum::<f64>();
        (0..step.len()).map(|i| row(i).powi(2)).sum::<f64>().sqrt()
    }

    /// The least-squares solution.
    ///
    /// # Errors
    /// The first column of which less than `tolerance` of its length is left over beside those before it.
    pub(crate) fn solve(&self, tolerance: f64) -> Result<Vec<f64>, Dependent> {
        let lengths = self.lengths();
        match (0..self.n - 1).find(|&j| self.at(j, j).abs() <= tolerance * lengths[j]) {
            Some(j) => Err(Dependent(j)),
            None => Ok(self.back_substitute()),
        }
    }

    /// The solution of least damped length: minimises ‖X d − y‖² + `damping` ‖D d‖² with D the lengths of the columns
    /// [Moré 1978].
    pub(crate) fn solve_damped(&self, damping: f64) -> Vec<f64> {
        self.damped(damping).back_substitute()
    }

    /// The triangle of [R; √damping D].
    pub(crate) fn damped(&self, damping: f64) -> Self {
        let p = self.n - 1;
        let mut damped = self.clone();
        let mut block = vec![0.0; self.n * p];
        for (j, length) in self.lengths().into_iter().enumerate() {
            // A column of zeros gets a row too, or its unknown would stay open; it becomes 0.
            block[j * p + j] = damping.sqrt() * if length > 0.0 { length } else { 1.0 };
        }
        damped.absorb(&mut block, p, p);
        damped
    }

    /// The solution of R θ = z, where R has no zero on its diagonal.
    pub(crate) fn back_substitute(&self) -> Vec<f64> {
        let p = self.n - 1;
        let mut x = vec![0.0; p];
        for i in (0..p).rev() {
            let known: f64 = (i + 1..p).map(|j| self.at(i, j) * x[j]).sum();
            x[i] = (self.at(i, p) - known) / self.at(i, i);
        }
        x
    }

    /// The least-squares solution subject to rowᵀ θ = value for each wall; `None` where the walls contradict each other.
    ///
    /// θ = θ₀ + M Aᵀ (A M Aᵀ)⁻¹ (b − A θ₀) with M Aᵀ = R⁻¹ R⁻ᵀ Aᵀ by two substitutions.
    pub(crate) fn held(&self, walls: &[(Vec<f64>, f64)]) -> Option<Vec<f64>> {
        let (p, n_walls) = (self.n - 1, walls.len());
        let mut theta = self.back_substitute();
        let spread: Vec<Vec<f64>> = walls
            .iter()
            .map(|(row, _)| {
                let mut forward = row.clone();
                for i in 0..p {
                    let known: f64 = (0..i).map(|j| self.at(j, i) * forward[j]).sum();
                    forward[i] = (forward[i] - known) / self.at(i, i);
                }
                let mut backward = forward;
                for i in (0..p).rev() {
                    let known: f64 = (i + 1..p).map(|j| self.at(i, j) * backward[j]).sum();
                    backward[i] = (backward[i] - known) / self.at(i, i);
                }
                backward
            })
            .collect();
        let gram = DMatrix::from_fn(n_walls, n_walls, |i, j| dot(&walls[i].0, &spread[j]));
        let missing = DVector::from_fn(n_walls, |i, _| walls[i].1 - dot(&walls[i].0, &theta));
        let weights = gram.lu().solve(&missing)?;
        for (weight, spread) in weights.iter().zip(&spread) {
            theta.iter_mut().zip(spread).for_each(|(x, s)| *x += weight * s);
        }
        theta.iter().all(|x| x.is_finite()).then_some(theta)
    }

    /// ‖y‖² − ‖y − X d‖² = 2 zᵀR d − ‖R d‖²: what d explains.
    pub(crate) fn promised(&self, d: &[f64]) -> f64 {
        let p = self.n - 1;
        let row = |i: usize| {
            let moved: f64 = (i..p).map(|j| self.at(i, j) * d[j]).sum();
            moved * (2.0 * self.at(i, p) - moved)
        };
        (0..p).map(row).sum()
    }

    /// (XᵀX)⁻¹ = R⁻¹R⁻ᵀ, by the singular values of R with its columns scaled to length one; those below 10⁻¹² of the
    /// largest count as that, so that what the data leave open gets a huge variance, not an infinite one.
    /// Also the condition number.
    pub(crate) fn inverse_gram(&self) -> (DMatrix<f64>, f64) {
        let p = self.n - 1;
        let lengths: Vec<f64> =
            self.lengths().into_iter().map(|it| if it > 0.0 { it } else { 1.0 }).collect();
        let mut scaled = self.matrix();
        for (mut column, length) in scaled.column_iter_mut().zip(&lengths) {
            column /= *length;
        }
        let svd = scaled.svd(false, true);
        let right = svd.v_t.expect("asked for");
        let largest = svd.singular_values.max();
        let floor = largest.max(f64::MIN_POSITIVE) * 1e-12;
        let condition = largest / svd.singular_values.min().max(f64::MIN_POSITIVE);
        let mut gram = DMatrix::zeros(p, p);
        for (k, value) in svd.singular_values.iter().enumerate() {
            let weight = value.max(floor).powi(-2);
            for i in 0..p {
                for j in 0..p {
                    gram[(i, j)] += weight * right[(k, i)] * right[(k, j)] / (lengths[i] * lengths[j]);
                }
            }
        }
        (gram, condition)
    }
}

/// Σ xᵢ yᵢ in eight running sums: one would wait for itself at every term.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (x8, y8) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = x8.remainder().iter().zip(y8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in x8.zip(y8) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    // Even and odd apart, as they lie in registers of two: another order costs a shuffle a step.
    (((a + c) + (e + g)) + ((b + d) + (f + h))) + rest
}

/// Σ xᵢ yᵢ for four y at once.
fn dot4(x: &[f64], y: [&[f64]; 4]) -> [f64; 4] {
    let (x4, x_rest) = x.as_chunks::<4>();
    let [(a4, a), (b4, b), (c4, c), (d4, d)] = y.map(|y| y[..x.len()].as_chunks::<4>());
    let (mut sa, mut sb, mut sc, mut sd) = ([0.0; 4], [0.0; 4], [0.0; 4], [0.0; 4]);
    for ((((x, a), b), c), d) in x4.iter().zip(a4).zip(b4).zip(c4).zip(d4) {
        add_products(&mut sa, x, a);
        add_products(&mut sb, x, b);
        add_products(&mut sc, x, c);
        add_products(&mut sd, x, d);
    }
    let mut dots = [sa, sb, sc, sd].map(|[p, q, r, s]| (p + r) + (q + s));
    for (dot, rest) in dots.iter_mut().zip([a, b, c, d]) {
        *dot += x_rest.iter().zip(rest).map(|(x, y)| x * y).sum::<f64>();
    }
    dots
}

#[inline]
fn add_products(sums: &mut [f64; 4], x: &[f64; 4], y: &[f64; 4]) {
    for k in 0..4 {
        sums[k] += x[k] * y[k];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    /// The triangle of columns and a right-hand side, in blocks of `rows`.
    fn triangle(columns: &[Vec<f64>], rows: usize) -> Triangle {
        let mut triangle = Triangle::new(columns.len() - 1);
        let n = columns[0].len();
        for start in (0..n).step_by(rows) {
            let end = (start + rows).min(n);
            let mut block: Vec<f64> = columns.iter().flat_map(|it| it[start..end].to_vec()).collect();
            triangle.absorb(&mut block, end - start, end - start);
        }
        triangle
    }

    proptest! {
        #[test]
        fn solves_as_a_full_decomposition_does(
            values in prop::collection::vec(-1.0_f64..1.0, 4 * 37),
            rows in 1_usize..40,
        ) {
            let columns: Vec<Vec<f64>> = values.chunks(37).map(<[f64]>::to_vec).collect();
            let found = triangle(&columns, rows);
            let x = DMatrix::from_fn(37, 3, |i, j| columns[j][i]);
            let y = nalgebra::DVector::from_column_slice(&columns[3]);
            // By the library's QR: its SVD is off by more than 1e-10 where two singular values are close.
            let full = x.clone().qr();
            let expected =
                full.r().solve_upper_triangular(&(full.q().transpose() * &y)).expect("random columns are independent");
            let theta = found.solve(1e-12).expect("random columns are independent");
            for (a, b) in theta.iter().zip(expected.iter()) {
                prop_assert!((a - b).abs() < 1e-10);
            }
            prop_assert!((found.residual() - (&y - &x * &expected).norm_squared()).abs() < 1e-10);
            let gram = (x.transpose() * &x).try_inverse().expect("independent");
            let (inverse, _) = found.inverse_gram();
            prop_assert!((inverse - gram).norm() < 1e-9);
        }
    }

    #[test]
    fn a_dependent_column_is_found() {
        let column: Vec<f64> = (0..20).map(|t| f64::from(t % 7)).collect();
        let twice: Vec<f64> = column.iter().map(|x| 2.0 * x).collect();
        let found = triangle(&[column.clone(), twice, column], 8);
        assert_eq!(found.solve(1e-12), Err(Dependent(1)));
        // Damping picks the shortest of all solutions, in lengths of columns: each has half a share.
        let theta = found.solve_damped(1e-10);
        assert_relative_eq!(theta[0], 0.5, epsilon = 1e-6);
        assert_relative_eq!(theta[1], 0.25, epsilon = 1e-6);
    }
}
