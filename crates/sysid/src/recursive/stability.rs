//! Whether the zeros of a polynomial lie inside a circle.

/// Whether all zeros of 1 + c₁ q⁻¹ + … + cₙ q⁻ⁿ are smaller than `radius`, by the step-down recursion of Schur and
/// Cohn on cₖ / radiusᵏ: they are if and only if every reflection coefficient is smaller than 1 (Söderström and Stoica
/// 1989, C8.6). `scratch` has room for n values.
#[inline]
pub(super) fn zeros_are_within(radius: f64, coefficients: &[f64], scratch: &mut [f64]) -> bool {
    let n = coefficients.len();
    let inverse = 1.0 / radius;
    let mut power = 1.0;
    for (scaled, coefficient) in scratch.iter_mut().zip(coefficients) {
        power *= inverse;
        *scaled = coefficient * power;
    }
    for m in (1..=n).rev() {
        let reflection = scratch[m - 1];
        if reflection.abs() >= 1.0 || reflection.is_nan() {
            return false;
        }
        if m == 1 {
            break; // There is nothing left to step down to, and a division is a third of the cost for n = 2.
        }
        let shrink = 1.0 / (1.0 - reflection * reflection);
        for i in 0..m / 2 {
            let (low, high) = (scratch[i], scratch[m - 2 - i]);
            scratch[i] = (low - reflection * high) * shrink;
            scratch[m - 2 - i] = (high - reflection * low) * shrink;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::zeros_are_within;

    /// 1 + c₁ q⁻¹ + … from its zeros: real ones, and pairs r e^{±iφ}.
    fn polynomial(real: &[f64], pairs: &[(f64, f64)]) -> Vec<f64> {
        let times = |polynomial: &[f64], factor: &[f64]| {
            let mut product = vec![0.0; polynomial.len() + factor.len() - 1];
            for (i, a) in polynomial.iter().enumerate() {
                for (j, b) in factor.iter().enumerate() {
                    product[i + j] += a * b;
                }
            }
            product
        };
        let mut all = vec![1.0];
        for zero in real {
            all = times(&all, &[1.0, -zero]);
        }
        for (radius, angle) in pairs {
            all = times(&all, &[1.0, -2.0 * radius * angle.cos(), radius * radius]);
        }
        all[1..].to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_largest_zero_decides(
            real in prop::collection::vec(-1.2..1.2_f64, 0..3),
            pairs in prop::collection::vec((0.0..1.2_f64, 0.0..3.1_f64), 0..3),
            radius in 0.5..1.0_f64,
        ) {
            let moduli = real.iter().map(|zero| zero.abs()).chain(pairs.iter().map(|pair| pair.0));
            let largest = moduli.fold(0.0, f64::max);
            prop_assume!((largest - radius).abs() > 1e-3); // Where rounding does not decide.
            let coefficients = polynomial(&real, &pairs);
            let mut scratch = vec![0.0; coefficients.len()];
            prop_assert_eq!(zeros_are_within(radius, &coefficients, &mut scratch), largest < radius);
        }
    }
}
