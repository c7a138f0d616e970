//! Polynomials in the delay operator q⁻¹, and filtering with them.
//!
//! P(q⁻¹) = p₀ + p₁ q⁻¹ + … + pₙ q⁻ⁿ; q⁻¹ delays by one step. Its roots are meant in z: those of
//! p₀ zⁿ + p₁ zⁿ⁻¹ + … + pₙ, so that 1/P is stable where all lie inside the unit circle.

use nalgebra::{Complex, DMatrix, Schur};

/// Coefficients from q⁰ on.
#[derive(Clone, Debug, PartialEq)]
pub struct Polynomial(Vec<f64>);

impl Polynomial {
    /// From its coefficients, that of q⁰ first.
    ///
    /// # Panics
    /// Where there is none.
    pub fn new(coefficients: Vec<f64>) -> Self {
        assert!(!coefficients.is_empty(), "a polynomial has at least one coefficient");
        Self(coefficients)
    }

    /// The polynomial 1.
    pub fn one() -> Self {
        Self(vec![1.0])
    }

    /// 1 + p₁ q⁻¹ + …, from p₁ on.
    pub fn monic(tail: &[f64]) -> Self {
        Self(std::iter::once(1.0).chain(tail.iter().copied()).collect())
    }

    /// The monic real polynomial with these roots, which must come in conjugate pairs.
    pub fn from_roots(roots: &[Complex<f64>]) -> Self {
        let mut p = vec![Complex::new(1.0, 0.0)];
        for root in roots {
            p.push(Complex::new(0.0, 0.0));
            for k in (1..p.len()).rev() {
                let before = p[k - 1];
                p[k] -= root * before;
            }
        }
        Self(p.into_iter().map(|it| it.re).collect())
    }

    /// Coefficients from q⁰ on.
    pub fn coefficients(&self) -> &[f64] {
        &self.0
    }

    /// Coefficients from q⁻¹ on: the parameters of a monic polynomial.
    pub fn tail(&self) -> &[f64] {
        &self.0[1..]
    }

    /// The highest power of q⁻¹ that is written, also where its coefficient is zero.
    pub fn degree(&self) -> usize {
        self.0.len() - 1
    }

    /// P at q⁻¹ = `delay`.
    pub fn at(&self, delay: Complex<f64>) -> Complex<f64> {
        self.0.iter().rev().fold(Complex::new(0.0, 0.0), |sum, p| sum * delay + p)
    }

    /// P at q⁻¹ = 1: the gain for a constant.
    pub fn gain(&self) -> f64 {
        self.0.iter().sum()
    }

    /// P · Q.
    pub fn product(&self, other: &Self) -> Self {
        let mut product = vec![0.0; self.0.len() + other.0.len() - 1];
        for (i, p) in self.0.iter().enumerate() {
            for (j, q) in other.0.iter().enumerate() {
                product[i + j] += p * q;
            }
        }
        Self(product)
    }

    /// Roots in z, the largest modulus first; leading zero coefficients (a delay) give none.
    pub fn roots(&self) -> Vec<Complex<f64>> {
        let first = self.0.iter().position(|p| *p != 0.0).unwrap_or(self.0.len());
        let mut p: Vec<f64> = self.0[first..].to_vec();
        let mut roots = Vec::new();
        while p.len() > 1 && p.last() == Some(&0.0) {
            p.pop();
            roots.push(Complex::new(0.0, 0.0));
        }
        match p.len() {
            0 | 1 => {}
            2 => roots.push(Complex::new(-p[1] / p[0], 0.0)),
            3 => roots.extend(quadratic(p[0], p[1], p[2])),
            _ => roots.extend(companion_eigenvalues(&p)),
        }
        let key = |z: &Complex<f64>| (z.norm(), z.re, z.im);
        roots.sort_by(|x, y| {
            let ((a, b, c), (d, e, f)) = (key(x), key(y));
            d.total_cmp(&a).then(e.total_cmp(&b)).then(f.total_cmp(&c))
        });
        roots
    }

    /// Whether 1/P is stable: all roots strictly inside the unit circle.
    ///
    /// By the step-down recursion (Schur–Cohn; Levinson's recursion backwards), without roots: O(n²).
    pub fn is_stable(&self) -> bool {
        let mut p: Vec<f64> = self.0.iter().map(|it| it / self.0[0]).collect();
        while p.len() > 1 {
            let n = p.len() - 1;
            let k = p[n];
            // A NaN is not stable either.
            if k.is_nan() || k.abs() >= 1.0 {
                return false;
            }
            let scale = 1.0 / (1.0 - k * k);
            p = (0..n).map(|i| (p[i] - k * p[n - i]) * scale).collect();
        }
        true
    }

    /// The monic polynomial whose roots outside the unit circle are mirrored at it, r → 1/r*; it gives the same
    /// spectrum up to a factor. A root on the circle moves inside by 10⁻⁹.
    pub fn reflected(&self) -> Self {
        if self.is_stable() {
            return self.clone();
        }
        let inside = |z: Complex<f64>| {
            let z = if z.norm_sqr() > 1.0 { z.conj().inv() } else { z };
            if z.norm() > 1.0 - MARGIN { z * ((1.0 - MARGIN) / z.norm()) } else { z }
        };
        let roots: Vec<_> = self.roots().into_iter().map(inside).collect();
        let mut reflected = Self::from_roots(&roots);
        // Rounding of many roots next to the circle may leave it unstable by a hair: shrink all roots together.
        let mut shrink = 1.0 - MARGIN;
        while !reflected.is_stable() {
            let mut power = 1.0;
            for p in &mut reflected.0 {
                *p *= power;
                power *= shrink;
            }
            shrink *= shrink;
        }
        reflected
    }

    /// The first `n` values of the impulse response of `self` / `denominator`.
    pub fn impulse_response(&self, denominator: &Self, n: usize) -> Vec<f64> {
        let mut response = vec![0.0; n];
        let known = self.0.len().min(n);
        response[..known].copy_from_slice(&self.0[..known]);
        divide(denominator.tail(), &mut response);
        response
    }
}

/// How far inside the unit circle a root on it is moved.
const MARGIN: f64 = 1e-9;

/// The roots of a z² + b z + c without cancellation.
fn quadratic(a: f64, b: f64, c: f64) -> [Complex<f64>; 2] {
    let discriminant = b * b - 4.0 * a * c;
    if discriminant < 0.0 {
        let (re, im) = (-b / (2.0 * a), (-discriminant).sqrt() / (2.0 * a));
        return [Complex::new(re, im), Complex::new(re, -im)];
    }
    let q = -0.5 * (b + discriminant.sqrt().copysign(b));
    let other = if q == 0.0 { 0.0 } else { c / q };
    [Complex::new(q / a, 0.0), Complex::new(other, 0.0)]
}

/// Eigenvalues of the companion matrix, each improved by Newton steps on the polynomial, in exact conjugate pairs.
fn companion_eigenvalues(p: &[f64]) -> Vec<Complex<f64>> {
    let n = p.len() - 1;
    let companion = DMatrix::from_fn(n, n, |i, j| match i {
        0 => -p[j + 1] / p[0],
        _ => f64::from(u8::from(i == j + 1)),
    });
    // The QR iteration has a limit of steps here: without one it may go round for ever.
    let found = Schur::try_new(companion, f64::EPSILON, 10_000).map(|it| it.complex_eigenvalues());
    let eigenvalues: Vec<Complex<f64>> = match found {
        Some(values) if values.iter().all(|z| z.re.is_finite() && z.im.is_finite()) => {
            values.iter().copied().collect()
        }
        _ => durand_kerner(p),
    };
    let mut roots = Vec::with_capacity(n);
    for z in eigenvalues {
        if z.im == 0.0 {
            roots.push(z);
        } else if z.im > 0.0 {
            roots.extend([z, z.conj()]);
        }
    }
    // An eigenvalue without its partner (Durand–Kerner rounds) would change the number of roots.
    assert_eq!(roots.len(), n, "complex roots of a real polynomial come in pairs: {p:?}");
    roots
}

/// All roots at once [Durand 1960, Kerner 1966], for the matrices on which QR iteration does not converge.
fn durand_kerner(p: &[f64]) -> Vec<Complex<f64>> {
    let n = p.len() - 1;
    let radius = 1.0 + p[1..].iter().fold(0.0_f64, |max, it| max.max((it / p[0]).abs()));
    let mut roots: Vec<_> =
        (0..n).map(|k| Complex::from_polar(radius, 0.4 + 6.2 * k as f64 / n as f64)).collect();
    for _ in 0..500 {
        for i in 0..n {
            let z = roots[i];
            let value = p.iter().fold(Complex::new(0.0, 0.0), |sum, c| sum * z + c / p[0]);
            let others = (0..n)
                .filter(|j| *j != i)
                .fold(Complex::new(1.0, 0.0), |product, j| product * (z - roots[j]));
            roots[i] = z - value / others;
        }
    }
    // Real coefficients: what is within rounding of the axis is on it, and the rest are paired from above.
    let mut upper: Vec<Complex<f64>> = roots.iter().copied().filter(|z| z.im > 1e-9 * z.norm()).collect();
    let n_real = n.saturating_sub(2 * upper.len());
    let mut rest: Vec<_> = roots.into_iter().filter(|z| z.im <= 1e-9 * z.norm()).collect();
    rest.sort_by(|x, y| x.im.abs().total_cmp(&y.im.abs()));
    let real: Vec<_> = rest.into_iter().take(n_real).map(|z| Complex::new(z.re, 0.0)).collect();
    upper.truncate((n - real.len()) / 2);
    real.into_iter().chain(upper.into_iter().flat_map(|z| [z, z.conj()])).collect()
}

/// y = P x from zero before the record, where `x` and the result have one length.
pub fn multiply(p: &[f64], x: &[f64]) -> Vec<f64> {
    let mut y: Vec<f64> = x.iter().map(|x| p[0] * x).collect();
    for (delay, &p) in p.iter().enumerate().skip(1).filter(|(_, p)| **p != 0.0) {
        if delay < x.len() {
            y[delay..].iter_mut().zip(x).for_each(|(y, x)| *y += p * x);
        }
    }
    y
}

/// x becomes x / P for a monic P with the given coefficients from q⁻¹ on, from zero before the record:
/// yₜ = xₜ − p₁ yₜ₋₁ − … .
pub fn divide(tail: &[f64], x: &mut [f64]) {
    // Each step waits for the one before it, so what costs is the chain from yₜ₋₁ to yₜ: one product and one
    // difference. The orders of every day have that chain in registers.
    match *tail {
        [] => {}
        [p1] => divide_by(&[p1], x),
        [p1, p2] => divide_by(&[p1, p2], x),
        [p1, p2, p3] => divide_by(&[p1, p2, p3], x),
        [p1, p2, p3, p4] => divide_by(&[p1, p2, p3, p4], x),
        _ => {
            for t in 0..x.len() {
                let known = tail.len().min(t);
                let sum: f64 = tail[..known].iter().zip(x[..t].iter().rev()).map(|(p, y)| p * y).sum();
                x[t] -= sum;
            }
        }
    }
}

fn divide_by<const N: usize>(tail: &[f64; N], x: &mut [f64]) {
    let mut past = [0.0; N];
    for y in x {
        let mut sum = *y;
        for k in (0..N).rev() {
            sum -= tail[k] * past[k];
        }
        for k in (1..N).rev() {
            past[k] = past[k - 1];
        }
        past[0] = sum;
        *y = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    fn pair(re: f64, im: f64) -> [Complex<f64>; 2] {
        [Complex::new(re, im), Complex::new(re, -im)]
    }

    #[test]
    fn roots_come_back() {
        let roots = [&pair(0.9, 0.3)[..], &[Complex::new(0.5, 0.0)], &pair(-0.2, 0.1)].concat();
        let found = Polynomial::from_roots(&roots).roots();
        for (z, expected) in found.iter().zip(&roots) {
            assert_relative_eq!((z - expected).norm(), 0.0, epsilon = 1e-12);
        }
        assert_eq!(Polynomial::new(vec![0.0, 0.0, 2.0, -1.0]).roots(), [Complex::new(0.5, 0.0)]);
        assert_eq!(Polynomial::new(vec![1.0, 0.0]).roots(), [Complex::new(0.0, 0.0)]);
        assert!(Polynomial::new(vec![0.0, 0.0]).roots().is_empty());
    }

    #[test]
    fn all_roots_at_once_agrees_with_eigenvalues() {
        let p = [1.0, -2.1, 1.7, -0.6, 0.1, 0.02];
        let mut all = durand_kerner(&p);
        let mut eigenvalues = companion_eigenvalues(&p);
        let order = |x: &Complex<f64>, y: &Complex<f64>| x.re.total_cmp(&y.re).then(x.im.total_cmp(&y.im));
        all.sort_by(order);
        eigenvalues.sort_by(order);
        for (x, y) in all.iter().zip(&eigenvalues) {
            assert_relative_eq!((x - y).norm(), 0.0, epsilon = 1e-9);
        }
    }

    #[test]
    fn stability_and_reflection() {
        let inside = Polynomial::from_roots(&pair(0.6, 0.79));
        assert!(inside.is_stable() && inside.reflected() == inside);
        let outside = Polynomial::from_roots(&pair(0.6, 0.81));
        assert!(!outside.is_stable() && outside.reflected().is_stable());
        // Mirrored roots leave the spectrum as it was, up to a factor.
        let ratio = |w: f64| {
            let delay = Complex::from_polar(1.0, -w);
            outside.at(delay).norm() / outside.reflected().at(delay).norm()
        };
        assert_relative_eq!(ratio(0.3), ratio(2.0), max_relative = 1e-12);
        let unit = Polynomial::new(vec![1.0, -2.0, 1.0]);
        assert!(!unit.is_stable() && unit.reflected().is_stable());
        assert!(!Polynomial::new(vec![1.0, f64::NAN]).is_stable());
    }

    proptest! {
        #[test]
        fn division_undoes_multiplication(
            tail in prop::collection::vec(-0.4_f64..0.4, 0..7),
            x in prop::collection::vec(-1.0_f64..1.0, 0..40),
        ) {
            let p = Polynomial::monic(&tail);
            let mut y = multiply(p.coefficients(), &x);
            divide(p.tail(), &mut y);
            for (x, y) in x.iter().zip(&y) {
                prop_assert!((x - y).abs() < 1e-9);
            }
        }

        #[test]
        fn step_down_agrees_with_roots(tail in prop::collection::vec(-1.5_f64..1.5, 1..7)) {
            let p = Polynomial::monic(&tail);
            let largest = p.roots()[0].norm();
            prop_assume!((largest - 1.0).abs() > 1e-9);
            prop_assert_eq!(p.is_stable(), largest < 1.0);
            prop_assert!(p.reflected().is_stable());
            let back = Polynomial::from_roots(&p.roots());
            for (x, y) in p.coefficients().iter().zip(back.coefficients()) {
                prop_assert!((x - y).abs() < 1e-8);
            }
        }
    }
}
