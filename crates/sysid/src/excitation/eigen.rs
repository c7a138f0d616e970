//! Eigenvalues of small symmetric matrices in place.

/// Least and greatest eigenvalue of the symmetric n × n `matrix` (rows one after the other), which is overwritten.
///
/// Cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, 4th ed., §8.5), which need no allocation, until no
/// element off the diagonal is above ε trace / n: the eigenvalues are then right to ε trace.
pub(crate) fn extreme_eigenvalues(matrix: &mut [f64], n: usize) -> (f64, f64) {
    /// Convergence is quadratic; five sweeps are usual.
    const SWEEPS_MAX: usize = 30;
    let trace: f64 = (0..n).map(|i| matrix[i * n + i]).sum();
    let negligible = f64::EPSILON * trace / n as f64;
    for _ in 0..SWEEPS_MAX {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                if matrix[p * n + q].abs() > negligible {
                    rotate(matrix, n, p, q);
                    rotated = true;
                }
            }
        }
        if !rotated {
            break;
        }
    }
    (0..n)
        .map(|i| matrix[i * n + i])
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// Makes the element at (p, q), which is not, zero.
fn rotate(a: &mut [f64], n: usize, p: usize, q: usize) {
    let (a_pp, a_qq, a_pq) = (a[p * n + p], a[q * n + q], a[p * n + q]);
    let tau = (a_qq - a_pp) / (2.0 * a_pq);
    // The smaller of the two angles; for tau = 0 both are 45 degrees.
    let root = (1.0 + tau * tau).sqrt();
    let t = if tau >= 0.0 { 1.0 / (tau + root) } else { 1.0 / (tau - root) };
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
    }
}
