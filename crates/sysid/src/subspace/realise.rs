//! From the triangle R to A and C: the column space of the extended observability matrix.
//!
//! | symbol | word | shape |
//! | --- | --- | --- |
//! | `R_WW`, `R_UW` | past after the future inputs are taken out; past along the future inputs | (m+p)s square, ms × (m+p)s |
//! | `R_Wf`, `R_ff` | future outputs along that past; what is left of them | (m+p)s × ps, ps square |
//! | Γ | extended observability matrix C, C A, …, C Aˢ⁻¹ | ps × n |
//!
//! The three weightings of Van Overschee and De Moor (1996, Subspace Identification for Linear Systems, chapter 4) are
//! three matrices of which Γ spans the left singular space:
//! - MOESP (past outputs as instruments, Verhaegen 1994): `R_Wf`ᵀ; its singular values are those that SLICOT's IB01AD prints;
//! - N4SID: the oblique projection of the future outputs along the future inputs on the past,
//!   `R_Wf`ᵀ `R_WW`⁻ᵀ [`R_UW`ᵀ `R_WW`ᵀ];
//! - CVA: `R_Wf`ᵀ from the left by the inverse root of `R_Wf`ᵀ`R_Wf` + `R_ff`ᵀ`R_ff`; its singular values are canonical correlations.

use nalgebra::DMatrix;

use super::Weighting;
use super::hankel::Factor;
use crate::dense::{Triangle, left_singular, pseudo_solve, schur};

/// A triangle with a diagonal below this share of its largest is inverted by its singular values instead.
const TRIANGLE_MIN: f64 = 1e-9;
/// Directions below this share of the largest are rounding.
pub(super) const ROUNDING: f64 = 1e-10;

/// Singular values and what they belong to.
pub(super) struct Projection {
    /// Largest first.
    pub singular_values: Vec<f64>,
    /// Γ in the coordinates of the singular vectors, one column a singular value.
    observability: DMatrix<f64>,
}

/// `None` where the singular values do not converge.
pub(super) fn project(factor: &Factor, weighting: Weighting) -> Option<Projection> {
    let (inputs, past, outputs) = (factor.future_inputs(), factor.past(), factor.future_outputs());
    let onto = factor.block((inputs, past), (inputs + past, outputs));
    let (matrix, root) = match weighting {
        Weighting::Moesp => (onto.transpose(), None),
        Weighting::N4sid => {
            let own = factor.block((inputs, past), (inputs, past));
            let along_inputs = factor.block((0, inputs), (inputs, past));
            let regression = if is_invertible(&own) {
                own.solve_upper_triangular(&onto)?
            } else {
                pseudo_solve(own.clone(), &onto, ROUNDING)
            };
            let mut oblique = DMatrix::zeros(outputs, inputs + past);
            oblique.columns_mut(0, inputs).copy_from(&regression.tr_mul(&along_inputs.transpose()));
            oblique.columns_mut(inputs, past).copy_from(&regression.tr_mul(&own.transpose()));
            (oblique, None)
        }
        Weighting::Cva => {
            let mut stacked = Triangle::new(outputs);
            for row in factor.r.rows(inputs, past + outputs).row_iter() {
                stacked.push(row.iter().skip(inputs + past).copied());
            }
            let root = stacked.finish();
            if is_invertible(&root) {
                (root.tr_solve_upper_triangular(&onto.transpose())?, Some(root))
            } else {
                // Without noise the weight is singular, and every weighting spans the same space.
                (onto.transpose(), None)
            }
        }
    };
    // A wide matrix has the left singular vectors of its triangle (LQ), which is square.
    let mut wide = Triangle::new(outputs);
    for column in matrix.column_iter() {
        wide.push(column.iter().copied());
    }
    let (mut vectors, values) = left_singular(wide.finish().transpose())?;
    for (mut column, value) in vectors.column_iter_mut().zip(values.iter()) {
        column *= value.sqrt();
    }
    let observability = match root {
        Some(root) => root.tr_mul(&vectors),
        None => vectors,
    };
    Some(Projection { singular_values: values.as_slice().to_vec(), observability })
}

fn is_invertible(triangle: &DMatrix<f64>) -> bool {
    let diagonal = triangle.diagonal().abs();
    diagonal.min() > TRIANGLE_MIN * diagonal.max()
}

impl Projection {
    /// (A, C) of this order, by the shift invariance of Γ; `n_outputs` is p.
    pub(super) fn realise(&self, order: usize, n_outputs: usize) -> (DMatrix<f64>, DMatrix<f64>) {
        let observability = self.observability.columns(0, order);
        let kept = observability.nrows() - n_outputs;
        let upper = observability.rows(0, kept).into_owned();
        let lower = observability.rows(n_outputs, kept).into_owned();
        (pseudo_solve(upper, &lower, ROUNDING), observability.rows(0, n_outputs).into_owned())
    }

    /// Singular values above rounding.
    pub(super) fn rank(&self) -> usize {
        let largest = self.singular_values[0];
        self.singular_values.iter().filter(|value| **value > ROUNDING * largest).count()
    }
}

/// A with every eigenvalue of modulus above 1 mirrored to its inverse modulus, in the coordinates of the real Schur form.
/// `None` where the iteration does not converge.
pub(super) fn mirror(a: &DMatrix<f64>, radius_max: f64) -> Option<DMatrix<f64>> {
    let n = a.nrows();
    let (q, mut t) = schur(a)?;
    let mut at = 0;
    while at < n {
        let is_pair = at + 1 < n && t[(at + 1, at)] != 0.0;
        let size = if is_pair { 2 } else { 1 };
        let block = t.view((at, at), (size, size)).into_owned();
        let radius = crate::dense::spectral_radius(&block);
        if radius > radius_max {
            let wanted = (1.0 / radius).min(radius_max);
            t.view_mut((at, at), (size, size)).scale_mut(wanted / radius);
        }
        at += size;
    }
    Some(&q * t * q.transpose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dense::eigenvalues;

    #[test]
    fn mirroring_keeps_what_is_stable() {
        // A pair of modulus 1.25, a real pole at −2, and 0.5.
        let t = DMatrix::from_row_slice(
            4,
            4,
            &[0.75, 1.0, 0.3, 0.2, -1.0, 0.75, 0.1, -0.4, 0.0, 0.0, -2.0, 0.7, 0.0, 0.0, 0.0, 0.5],
        );
        let mixed =
            DMatrix::from_fn(4, 4, |i, j| ((3 * i + 5 * j + 1) as f64).sin() + f64::from(u8::from(i == j)));
        let a = &mixed * t * mixed.clone().try_inverse().expect("regular");
        let values = eigenvalues(&mirror(&a, 0.9999).expect("finite")).expect("finite");
        let moduli: Vec<f64> = values.iter().map(|value| value.norm()).collect();
        for (modulus, expected) in moduli.iter().zip([0.8, 0.8, 0.5, 0.5]) {
            assert!((modulus - expected).abs() < 1e-9, "{moduli:?}");
        }
        let angle = values[0].arg().abs();
        assert!((angle - 1.0_f64.atan2(0.75)).abs() < 1e-9, "the pair keeps its frequency");
    }
}
