//! Dense helpers that nalgebra does not have: a streamed triangle, least squares for deficient data, safe eigenvalues.

use nalgebra::{Complex, DMatrix, DVector, SVD, Schur};

/// Iterations after which an eigenvalue or singular-value search is given up; they converge in a few a value.
const SWEEPS_MAX: usize = 10_000;
/// A pivot below this share of its diagonal entry leaves less than ten digits of a Gram matrix.
const PIVOT_MIN: f64 = 1e-6;

/// `out += matrix · x`, column by column, without allocating.
#[inline]
pub(crate) fn add_product(matrix: &DMatrix<f64>, x: &[f64], out: &mut [f64]) {
    for (column, &x) in matrix.as_slice().chunks_exact(out.len().max(1)).zip(x) {
        for (out, entry) in out.iter_mut().zip(column) {
            *out += entry * x;
        }
    }
}

/// The sum of products, in eight interleaved sums so that the compiler may use vector registers.
#[inline]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_eights, a_rest) = a.as_chunks::<8>();
    let (b_eights, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_eights.iter().zip(b_eights) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest
}

/// The triangle R of a tall matrix H = Q R whose rows arrive in blocks; H itself is never held.
///
/// Each block is stacked under the present triangle and triangularised: by the Cholesky factor of its Gram matrix where no
/// pivot is small, which costs half and runs along the columns; else by Householder reflections, so that nearly
/// dependent columns keep their digits. The memory is that of one block.
pub(crate) struct Triangle {
    columns: usize,
    rows_held: usize,
    block: DMatrix<f64>,
}

impl Triangle {
    pub(crate) fn new(columns: usize) -> Self {
        // Seven times as many new rows as columns: an eighth of the work is spent on the triangle that is carried along.
        let rows = (8 * columns).max(128);
        Self { columns, rows_held: 0, block: DMatrix::zeros(rows, columns) }
    }

    /// Takes the next row.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = f64>) {
        if self.rows_held == self.block.nrows() {
            self.reduce();
        }
        for (column, value) in row.into_iter().enumerate() {
            self.block[(self.rows_held, column)] = value;
        }
        self.rows_held += 1;
    }

    fn reduce(&mut self) {
        if let Some(triangle) = self.cholesky() {
            self.rows_held = self.columns;
            self.block.rows_mut(0, self.columns).copy_from(&triangle);
            return;
        }
        let n = self.columns.min(self.rows_held);
        for column in 0..n {
            self.reflect(column);
        }
        for column in 0..self.columns {
            self.block
                .view_mut((n.min(column + 1), column), (self.rows_held - n.min(column + 1), 1))
                .fill(0.0);
        }
        self.rows_held = n;
    }

    /// The triangle by the Gram matrix; nothing where a pivot has lost its digits.
    fn cholesky(&self) -> Option<DMatrix<f64>> {
        if self.rows_held < self.columns {
            return None;
        }
        let column = |column: usize| &self.block.as_slice()[column * self.block.nrows()..][..self.rows_held];
        let mut gram = DMatrix::zeros(self.columns, self.columns);
        for j in 0..self.columns {
            // Only the lower half is read.
            for i in j..self.columns {
                gram[(i, j)] = dot(column(i), column(j));
            }
        }
        let diagonal = gram.diagonal();
        let lower = gram.cholesky()?.unpack();
        let is_safe = (0..self.columns).all(|i| lower[(i, i)].powi(2) > PIVOT_MIN * diagonal[i]);
        is_safe.then(|| lower.transpose())
    }

    /// One Householder reflection: zeroes `column` below its diagonal, and is applied to the columns after it.
    fn reflect(&mut self, column: usize) {
        let (rows, height) = (self.rows_held, self.block.nrows());
        let data = self.block.as_mut_slice();
        let (left, right) = data.split_at_mut((column + 1) * height);
        let pivot = &mut left[column * height..][column..rows];
        let norm = pivot.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 {
            return;
        }
        // The sign that adds magnitudes, so that nothing cancels.
        let head = pivot[0] + norm.copysign(pivot[0]);
        let scale = 1.0 / (norm * head.abs());
        let diagonal = -norm.copysign(pivot[0]);
        pivot[0] = head;
        for other in right.chunks_exact_mut(height) {
            let other = &mut other[column..rows];
            let factor = scale * dot(pivot, other);
            for (other, pivot) in other.iter_mut().zip(pivot.iter()) {
                *other -= factor * pivot;
            }
        }
        pivot[0] = diagonal;
    }

    /// The triangle, columns × columns; rows that the data do not reach are zero.
    pub(crate) fn finish(mut self) -> DMatrix<f64> {
        self.reduce();
        let mut triangle = DMatrix::zeros(self.columns, self.columns);
        triangle.rows_mut(0, self.rows_held).copy_from(&self.block.rows(0, self.rows_held));
        triangle
    }
}

/// Least squares from the triangle of [regressors | targets]: the solution of least norm, regressors × targets.
///
/// Columns are scaled to one norm first; directions below `tolerance` times the largest singular value are dropped.
pub(crate) fn solve_triangle(triangle: &DMatrix<f64>, n_regressors: usize, tolerance: f64) -> DMatrix<f64> {
    let n_targets = triangle.ncols() - n_regressors;
    let mut regressors = triangle.view((0, 0), (n_regressors, n_regressors)).into_owned();
    let targets = triangle.view((0, n_regressors), (n_regressors, n_targets)).into_owned();
    let norms: Vec<f64> = regressors.column_iter().map(|column| column.norm()).collect();
    for (mut column, norm) in regressors.column_iter_mut().zip(&norms) {
        if *norm > 0.0 {
            column /= *norm;
        }
    }
    let mut solution = pseudo_solve(regressors, &targets, tolerance);
    for (mut row, norm) in solution.row_iter_mut().zip(&norms) {
        if *norm > 0.0 {
            row /= *norm;
        }
    }
    solution
}

/// The least-squares solution of least norm of `matrix · x = rhs`.
pub(crate) fn pseudo_solve(matrix: DMatrix<f64>, rhs: &DMatrix<f64>, tolerance: f64) -> DMatrix<f64> {
    let columns = matrix.ncols();
    if columns == 0 || matrix.nrows() == 0 {
        return DMatrix::zeros(columns, rhs.ncols());
    }
    let Some(svd) = SVD::try_new(matrix, true, true, f64::EPSILON, SWEEPS_MAX) else {
        return DMatrix::from_element(columns, rhs.ncols(), f64::NAN);
    };
    let cut = tolerance * svd.singular_values[0];
    let (Some(u), Some(v_t)) = (&svd.u, &svd.v_t) else {
        return DMatrix::from_element(columns, rhs.ncols(), f64::NAN);
    };
    let mut projected = u.tr_mul(rhs);
    for (mut row, &value) in projected.row_iter_mut().zip(svd.singular_values.iter()) {
        if value > cut {
            row /= value;
        } else {
            row.fill(0.0);
        }
    }
    v_t.tr_mul(&projected)
}

/// Left singular vectors and values, largest first; `None` where the iteration does not converge (not-finite data).
pub(crate) fn left_singular(matrix: DMatrix<f64>) -> Option<(DMatrix<f64>, DVector<f64>)> {
    if !matrix.iter().all(|entry| entry.is_finite()) {
        return None;
    }
    let svd = SVD::try_new(matrix, true, false, f64::EPSILON, SWEEPS_MAX)?;
    Some((svd.u?, svd.singular_values))
}

/// A real Schur form (Q, T) of `matrix` = Q T Qᵀ; `None` where the iteration does not converge.
pub(crate) fn schur(matrix: &DMatrix<f64>) -> Option<(DMatrix<f64>, DMatrix<f64>)> {
    if !matrix.iter().all(|entry| entry.is_finite()) {
        return None;
    }
    Schur::try_new(matrix.clone(), f64::EPSILON, SWEEPS_MAX).map(Schur::unpack)
}

/// Eigenvalues, largest modulus first, then larger real part, then the positive imaginary part of a pair.
pub(crate) fn eigenvalues(matrix: &DMatrix<f64>) -> Option<Vec<Complex<f64>>> {
    if matrix.nrows() == 0 {
        return Some(Vec::new());
    }
    if !matrix.iter().all(|entry| entry.is_finite()) {
        return None;
    }
    let schur = Schur::try_new(matrix.clone(), f64::EPSILON, SWEEPS_MAX)?;
    let mut values: Vec<_> = schur.complex_eigenvalues().iter().copied().collect();
    values.sort_by(|a, b| {
        b.norm().total_cmp(&a.norm()).then(b.re.total_cmp(&a.re)).then(b.im.total_cmp(&a.im))
    });
    Some(values)
}

/// The largest modulus of an eigenvalue; infinite where the matrix is not finite.
pub(crate) fn spectral_radius(matrix: &DMatrix<f64>) -> f64 {
    eigenvalues(matrix).map_or(f64::INFINITY, |values| values.first().map_or(0.0, |value| value.norm()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_triangle_has_the_gram_matrix_of_its_rows() {
        for (rows, columns) in [(3, 5), (7, 7), (1000, 6), (63, 1), (65, 12)] {
            let matrix = DMatrix::from_fn(rows, columns, |i, j| ((i * 7 + j * 13) as f64 * 0.37).sin());
            let mut triangle = Triangle::new(columns);
            for row in matrix.row_iter() {
                triangle.push(row.iter().copied());
            }
            let triangle = triangle.finish();
            assert!(triangle.lower_triangle().iter().filter(|x| **x != 0.0).count() <= columns);
            let difference = triangle.tr_mul(&triangle) - matrix.tr_mul(&matrix);
            assert!(difference.amax() < 1e-12 * rows as f64, "{rows} × {columns}: {}", difference.amax());
        }
    }

    #[test]
    fn least_squares_of_deficient_data_has_least_norm() {
        // Two equal columns: the weight 3 is split evenly.
        let mut triangle = Triangle::new(3);
        for i in 0..100 {
            let x = f64::from(i).sin();
            triangle.push([x, x, 3.0 * x]);
        }
        let solution = solve_triangle(&triangle.finish(), 2, 1e-10);
        assert!((solution[(0, 0)] - 1.5).abs() < 1e-12 && (solution[(1, 0)] - 1.5).abs() < 1e-12);
    }

    #[test]
    fn eigenvalues_are_those_of_the_companion() {
        // (z − 0.5)(z² − 1.2 z + 0.72): a pair of modulus 0.8485 before the real root.
        let companion = DMatrix::from_row_slice(3, 3, &[1.7, -1.32, 0.36, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        let values = eigenvalues(&companion).expect("finite");
        let expected = [(0.6, 0.6), (0.6, -0.6), (0.5, 0.0)];
        for (value, (re, im)) in values.iter().zip(expected) {
            assert!((value.re - re).abs() < 1e-12 && (value.im - im).abs() < 1e-12, "{values:?}");
        }
        assert_eq!(spectral_radius(&DMatrix::from_element(2, 2, f64::NAN)), f64::INFINITY);
    }
}
