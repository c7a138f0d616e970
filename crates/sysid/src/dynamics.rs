//! Linear dynamics of small order in a state of fixed size: what ARMAX and Hammerstein models run on in the loop.
//!
//! `A(q) y = Σᵢ Bᵢ(q) uᵢ + C(q) e` in observer form, with j from 1 to n = max(deg A, deg B, deg C):
//!
//! ```text
//! yₜ = x₁ + Σᵢ bᵢ₀ uᵢ + eₜ,    xⱼ ← xⱼ₊₁ − aⱼ yₜ + Σᵢ bᵢⱼ uᵢ + cⱼ eₜ
//! ```
//!
//! [K. J. Åström and B. Wittenmark, *Computer-Controlled Systems* (3rd ed. 1997), section 3.3]. Without a measured y the
//! step is taken with e = 0. The state is `Copy`, so a planner's branches cost no allocation.

use crate::polynomial::Polynomial;

/// The highest power of q⁻¹ in A, B or C.
pub const ORDER_MAX: usize = 8;

/// The most inputs.
pub const INPUTS_MAX: usize = 2;

/// What of the past the future depends on.
pub type Past = [f64; ORDER_MAX];

/// The three polynomials.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dynamics {
    order: usize,
    a: [f64; ORDER_MAX],
    b_now: [f64; INPUTS_MAX],
    b: [[f64; ORDER_MAX]; INPUTS_MAX],
    c: [f64; ORDER_MAX],
}

impl Dynamics {
    /// From a₁ …, b₀ b₁ … of each input, and c₁ ….
    ///
    /// # Panics
    /// If there are more than [`INPUTS_MAX`] inputs, or a degree is above [`ORDER_MAX`].
    pub fn new(a: &[f64], b: &[&[f64]], c: &[f64]) -> Self {
        let mut it = Self::default();
        it.a[..a.len()].copy_from_slice(a);
        it.c[..c.len()].copy_from_slice(c);
        it.order = a.len().max(c.len());
        for (input, b) in b.iter().enumerate() {
            if let Some((now, later)) = b.split_first() {
                it.b_now[input] = *now;
                it.b[input][..later.len()].copy_from_slice(later);
                it.order = it.order.max(later.len());
            }
        }
        it
    }

    /// Whether a free run settles and predictions forget how they started: A and C have their roots inside the unit
    /// circle.
    pub fn is_stable(&self) -> bool {
        Polynomial::monic(&self.a).is_stable() && Polynomial::monic(&self.c).is_stable()
    }

    /// The output that constant inputs of one bring, one input at a time.
    pub fn gain(&self, input: usize) -> f64 {
        let b: f64 = self.b_now[input] + self.b[input].iter().sum::<f64>();
        b / (1.0 + self.a.iter().sum::<f64>())
    }

    /// a₁ …, then b₀ b₁ … of each input, then c₁ …, each up to its last coefficient that is not zero.
    pub fn coefficients(&self) -> (Vec<f64>, [Vec<f64>; INPUTS_MAX], Vec<f64>) {
        let cut = |values: &[f64]| {
            let degree = values.iter().rposition(|it| *it != 0.0).map_or(0, |last| last + 1);
            values[..degree].to_vec()
        };
        let b = [0, 1].map(|input| {
            let all: Vec<f64> = std::iter::once(self.b_now[input]).chain(self.b[input]).collect();
            cut(&all)
        });
        (cut(&self.a), b, cut(&self.c))
    }

    /// What is expected of y now.
    pub fn expected(&self, past: &Past, inputs: [f64; INPUTS_MAX]) -> f64 {
        past[0] + self.b_now[0] * inputs[0] + self.b_now[1] * inputs[1]
    }

    /// The past one step on; `output` is y, `error` y minus what was expected, 0 where nothing was measured.
    pub fn step(&self, past: &Past, inputs: [f64; INPUTS_MAX], output: f64, error: f64) -> Past {
        let mut next = [0.0; ORDER_MAX];
        for j in 0..self.order {
            let older = if j + 1 < self.order { past[j + 1] } else { 0.0 };
            next[j] = older - self.a[j] * output
                + self.b[0][j] * inputs[0]
                + self.b[1][j] * inputs[1]
                + self.c[j] * error;
        }
        next
    }

    /// The past of constant inputs and a constant output.
    pub fn rest(&self, inputs: [f64; INPUTS_MAX], output: f64) -> Past {
        let mut past = [0.0; ORDER_MAX];
        for _ in 0..self.order {
            past = self.step(&past, inputs, output, 0.0);
        }
        past
    }

    /// One-step prediction errors of a series from rest at its first sample, for what was measured; `each` gets the
    /// position and the error. A gap (NaN) is passed by a free step.
    pub fn errors(
        &self,
        samples: impl Iterator<Item = ([f64; INPUTS_MAX], f64)>,
        mut each: impl FnMut(usize, f64),
    ) -> Past {
        let mut past = None;
        for (t, (inputs, output)) in samples.enumerate() {
            let now = match past {
                Some(past) => past,
                None if output.is_finite() => self.rest(inputs, output),
                None => continue,
            };
            let expected = self.expected(&now, inputs);
            if output.is_finite() {
                each(t, output - expected);
                past = Some(self.step(&now, inputs, output, output - expected));
            } else {
                past = Some(self.step(&now, inputs, expected, 0.0));
            }
        }
        past.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    const A: [f64; 2] = [-1.2, 0.4];
    const B: [f64; 3] = [0.5, 0.3, -0.1];
    const C: [f64; 1] = [0.6];

    /// The difference equation itself, with the whole past at hand.
    #[test]
    fn the_state_says_what_the_difference_equation_says() {
        let it = Dynamics::new(&A, &[&B, &[0.0, 2.0]], &C);
        let at = |series: &[f64], t: usize, delay: usize| if t >= delay { series[t - delay] } else { 0.0 };
        let u: Vec<f64> = (0..40).map(|t| f64::from(t * t % 7) - 3.0).collect();
        let v: Vec<f64> = (0..40).map(|t| f64::from(t * 5 % 11) - 5.0).collect();
        let e: Vec<f64> = (0..40).map(|t| 0.1 * (f64::from(t * 3 % 13) - 6.0)).collect();
        let (mut y, mut past) = (Vec::new(), Past::default());
        for t in 0..40 {
            y.push(0.0);
            let sum = -A[0] * at(&y, t, 1) - A[1] * at(&y, t, 2)
                + (0..3).map(|j| B[j] * at(&u, t, j)).sum::<f64>()
                + 2.0 * at(&v, t, 1)
                + C[0] * at(&e, t, 1);
            y[t] = sum + e[t];
            let inputs = [u[t], v[t]];
            assert_relative_eq!(it.expected(&past, inputs), sum, epsilon = 1e-12, max_relative = 1e-12);
            past = it.step(&past, inputs, y[t], e[t]);
        }
    }

    #[test]
    fn at_rest_nothing_moves() {
        let it = Dynamics::new(&A, &[&B], &C);
        let gain = it.gain(0);
        assert_relative_eq!(gain, 0.7 / 0.2, max_relative = 1e-12);
        let past = it.rest([2.0, 0.0], 2.0 * gain);
        assert_relative_eq!(it.expected(&past, [2.0, 0.0]), 2.0 * gain, max_relative = 1e-12);
        assert!(it.is_stable() && !Dynamics::new(&[-1.1], &[&[1.0]], &[]).is_stable());
    }
}
