//! Eigenvalues of small symmetric matrices in place.

/// Least and greatest eigenvalue of the symmetric n × n `matrix` (rows one after the other), which is overwritten.
///
/// Cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, 4th ed., §8.5): no allocation, and small
/// eigenvalues of a matrix with a unit diagonal come out to a relative accuracy that tridiagonal methods do not have
/// (Demmel and Veselić, SIAM J. Matrix Anal. Appl. 13, 1992).
pub(crate) fn extreme_eigenvalues(matrix: &mut [f64], n: usize) -> (f64, f64) {
    /// Convergence is quadratic; five sweeps are usual.
    const SWEEPS_MAX: usize = 30;
    for _ in 0..SWEEPS_MAX {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                rotated |= rotate(matrix, n, p, q);
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

/// Makes the element at (p, q) zero; whether it was worth it.
fn rotate(a: &mut [f64], n: usize, p: usize, q: usize) -> bool {
    let (a_pp, a_qq, a_pq) = (a[p * n + p], a[q * n + q], a[p * n + q]);
    if a_pq.abs() <= f64::EPSILON * (a_pp * a_qq).abs().sqrt() {
        return false;
    }
    let tau = (a_qq - a_pp) / (2.0 * a_pq);
    // The smaller of the two angles; for tau = 0 both are 45 degrees.
    let t = if tau >= 0.0 { 1.0 / (tau + tau.hypot(1.0)) } else { 1.0 / (tau - tau.hypot(1.0)) };
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
    }
    true
}
