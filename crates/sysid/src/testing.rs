//! Plants of known parameters, for tests here and in other crates, benches and examples.

use nalgebra::DMatrix;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use tidegate_core::{Channel, Record, Seed, Stream};

use crate::polynomial::{Polynomial, divide, multiply};

/// A y = Σ (Bᵢ/Fᵢ) uᵢ + (C/D) e with Gaussian e.
#[derive(Clone, Debug, PartialEq)]
pub struct Plant {
    /// Of the output.
    pub a: Polynomial,
    /// One per input, leading zeros included.
    pub b: Vec<Polynomial>,
    /// Numerator of the noise.
    pub c: Polynomial,
    /// Denominator of the noise.
    pub d: Polynomial,
    /// One per input.
    pub f: Vec<Polynomial>,
    /// Standard deviation of e.
    pub sigma: f64,
    /// Steps that each input, a random sign, is held at least.
    pub hold: usize,
    /// Samples thrown away at the start; 0 for a record that starts at rest, as output-error models assume.
    pub burn: usize,
    /// What is added to every channel: means that an estimator must remove.
    pub offset: f64,
}

impl Plant {
    /// A y = B u + C e; A and C without their 1, B with its leading zeros.
    pub fn armax(a: &[f64], b: &[f64], c: &[f64], sigma: f64) -> Self {
        Self {
            a: Polynomial::monic(a),
            b: vec![Polynomial::new(b.to_vec())],
            c: Polynomial::monic(c),
            d: Polynomial::one(),
            f: vec![Polynomial::one()],
            sigma,
            hold: 3,
            burn: 500,
            offset: 0.0,
        }
    }

    /// y = Σ (Bᵢ/Fᵢ) uᵢ + (C/D) e, from rest: the criterion has 1/F from zero, so a start in mid-swing would count as
    /// noise.
    pub fn box_jenkins(b: &[&[f64]], f: &[&[f64]], c: &[f64], d: &[f64], sigma: f64) -> Self {
        Self {
            b: b.iter().map(|b| Polynomial::new(b.to_vec())).collect(),
            f: f.iter().map(|f| Polynomial::monic(f)).collect(),
            d: Polynomial::monic(d),
            burn: 0,
            ..Self::armax(&[], &[0.0], c, sigma)
        }
    }

    /// A series A y = C e without inputs.
    pub fn arma(a: &[f64], c: &[f64], sigma: f64) -> Self {
        Self { b: Vec::new(), f: Vec::new(), ..Self::armax(a, &[0.0], c, sigma) }
    }

    /// `n` samples of world `index`, after those that are thrown away; inputs are random signs, held.
    pub fn record(&self, n: usize, index: u64) -> Record {
        let mut rng = Seed::training(index).rng(Stream::Excitation);
        let all = n + self.burn;
        let inputs: Vec<Vec<f64>> = self.b.iter().map(|_| signs(&mut rng, all, self.hold)).collect();
        let e: Vec<f64> = (0..all).map(|_| self.sigma * rng.sample::<f64, _>(StandardNormal)).collect();
        let y = self.response(&DMatrix::from_fn(all, inputs.len(), |t, i| inputs[i][t]), &e);
        let channel = |name: String, values: &[f64]| Channel {
            name,
            unit: "1".into(),
            values: values[self.burn..].iter().map(|x| x + self.offset).collect(),
        };
        let named = |(i, u): (usize, &Vec<f64>)| channel(format!("u{}", i + 1), u);
        Record {
            step_seconds: 1.0,
            inputs: inputs.iter().enumerate().map(named).collect(),
            outputs: vec![channel("y".into(), &y)],
        }
    }

    /// y for inputs (steps × inputs) and shocks e, from zero.
    pub fn response(&self, inputs: &DMatrix<f64>, e: &[f64]) -> Vec<f64> {
        let mut y = multiply(self.c.coefficients(), e);
        divide(self.d.tail(), &mut y);
        for (i, (b, f)) in self.b.iter().zip(&self.f).enumerate() {
            let mut w = multiply(b.coefficients(), inputs.column(i).as_slice());
            divide(f.tail(), &mut w);
            y.iter_mut().zip(w).for_each(|(y, w)| *y += w);
        }
        divide(self.a.tail(), &mut y);
        y
    }
}

/// A random sign every `hold` steps.
fn signs(rng: &mut impl Rng, n: usize, hold: usize) -> Vec<f64> {
    let mut sign = 1.0;
    let draw = |t: usize| {
        if t.is_multiple_of(hold) {
            sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
        }
        sign
    };
    (0..n).map(draw).collect()
}
