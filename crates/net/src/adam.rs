//! Adam, and the norm of gradients.
//!
//! m ← m + (1 − β₁)(g − m), v ← β₂ v + (1 − β₂) g², p ← p − α/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)
//!
//! | symbol | word |
//! | --- | --- |
//! | g | gradient |
//! | m, v | running means of it and of its square |
//! | α | learning rate of the step |
//! | t | steps, this one included |
//!
//! Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, Algorithm 1, with β₁ = 0.9, β₂ = 0.999 and
//! ε = 1e-8, as `torch.optim.Adam` has it.

use crate::kernels::{self, AdamFactors};
use crate::record::{self, Reader, RecordError, Writer};

/// The optimiser of one network.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    options: AdamOptions,
    n_steps: u64,
    /// β₁ᵗ and β₂ᵗ.
    powers: [f64; 2],
    first: Vec<f32>,
    second: Vec<f32>,
}

/// What Adam can be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// How much of the mean gradient stays, a step.
    pub beta_1: f64,
    /// How much of the mean squared gradient stays, a step.
    pub beta_2: f64,
    /// Keeps the quotient finite.
    pub epsilon: f64,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8 }
    }
}

impl Adam {
    /// For so many parameters, with the options of `torch`.
    pub fn new(n_parameters: usize) -> Self {
        Self::with(n_parameters, AdamOptions::default())
    }

    /// For so many parameters.
    ///
    /// # Panics
    /// If a β is not in [0, 1), or ε is negative.
    pub fn with(n_parameters: usize, options: AdamOptions) -> Self {
        let AdamOptions { beta_1, beta_2, epsilon } = options;
        let is_share = |beta: f64| (0.0..1.0).contains(&beta);
        assert!(is_share(beta_1) && is_share(beta_2), "β must be in [0, 1), but are {beta_1} and {beta_2}");
        assert!(epsilon >= 0.0, "ε must be at least 0, but is {epsilon}");
        Self {
            options,
            n_steps: 0,
            powers: [1.0; 2],
            first: vec![0.0; n_parameters],
            second: vec![0.0; n_parameters],
        }
    }

    /// Steps made.
    pub fn n_steps(&self) -> u64 {
        self.n_steps
    }

    /// One step.
    ///
    /// # Panics
    /// If gradient and parameters are not as many as it was made for.
    pub fn step(&mut self, learning_rate: f64, gradient: &[f32], parameters: &mut [f32]) {
        let n = self.first.len();
        assert!(gradient.len() == n && parameters.len() == n, "this Adam is for {n} parameters");
        let AdamOptions { beta_1, beta_2, epsilon } = self.options;
        self.n_steps += 1;
        self.powers = [self.powers[0] * beta_1, self.powers[1] * beta_2];
        let by = AdamFactors {
            share_of_first: (1.0 - beta_1) as f32,
            kept_of_second: beta_2 as f32,
            share_of_second: (1.0 - beta_2) as f32,
            rate: (learning_rate / (1.0 - self.powers[0])) as f32,
            root: (1.0 - self.powers[1]).sqrt().recip() as f32,
            epsilon: epsilon as f32,
        };
        kernels::adam(by, gradient, &mut self.first, &mut self.second, parameters);
    }

    /// All it knows, as bytes; see [`crate::record`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(&record::NETWORKS, record::OPTIMISER);
        writer.u64(self.first.len() as u64);
        writer.u64(self.n_steps);
        let AdamOptions { beta_1, beta_2, epsilon } = self.options;
        for number in [beta_1, beta_2, epsilon, self.powers[0], self.powers[1]] {
            writer.f64(number);
        }
        writer.floats(&self.first);
        writer.floats(&self.second);
        writer.finish()
    }

    /// The optimiser of so many parameters, from what [`Adam::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are no such record, are of another version or damaged, or are of an optimiser for another number of
    /// parameters.
    pub fn from_bytes(bytes: &[u8], wanted: usize) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, &record::NETWORKS, record::OPTIMISER)?;
        let n = reader.u64()?;
        if n != wanted as u64 {
            return Err(RecordError::Parameters { found: n, wanted });
        }
        let n_steps = reader.u64()?;
        let mut numbers = [0.0; 5];
        for number in &mut numbers {
            *number = reader.f64()?;
        }
        let [beta_1, beta_2, epsilon, power_1, power_2] = numbers;
        let (first, second) = (reader.floats(wanted)?, reader.floats(wanted)?);
        reader.finish()?;
        let options = AdamOptions { beta_1, beta_2, epsilon };
        Ok(Self { options, n_steps, powers: [power_1, power_2], first, second })
    }
}

/// Shortens the gradient of all parameters together to a norm of at most `most`, as `torch.nn.utils.clip_grad_norm_` does;
/// returns the norm it had. A gradient that is not finite stays as it is.
pub fn clip_norm(gradient: &mut [f32], most: f64) -> f64 {
    let norm = kernels::sum_of_squares(gradient).sqrt();
    // The small number is theirs.
    let factor = most / (norm + 1e-6);
    if norm.is_finite() && factor < 1.0 {
        for value in gradient {
            *value *= factor as f32;
        }
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gradients 1 and then 3, learning rate 0.1, by hand. Step 1: m = 0.1, v = 0.001, both corrected 1, so p = −0.1.
    /// Step 2: m = 0.39, v = 0.009999; corrected 0.39/0.19 and 0.009999/0.001999.
    #[test]
    fn two_steps_by_hand() {
        let mut adam = Adam::new(1);
        let mut parameter = [0.0];
        adam.step(0.1, &[1.0], &mut parameter);
        assert!((parameter[0] + 0.1).abs() < 1e-7, "{parameter:?}");
        adam.step(0.1, &[3.0], &mut parameter);
        let truth = -0.1 - 0.1 * (0.39 / 0.19) / (0.009_999_f64 / 0.001_999).sqrt();
        assert!((f64::from(parameter[0]) - truth).abs() < 2e-7, "{parameter:?} {truth}");
    }

    /// Where gradients are as small as ε it matters: after the first step p = −α g/(|g| + ε).
    #[test]
    fn epsilon_stands_beside_the_corrected_root() {
        let mut parameter = [0.0, 0.0];
        Adam::new(2).step(1.0, &[1e-8, -3e-8], &mut parameter);
        assert!((parameter[0] + 0.5).abs() < 1e-5 && (parameter[1] - 0.75).abs() < 1e-5, "{parameter:?}");
    }

    /// A unit that died: after one gradient there is none, m = 0.1 · 0.9ᵗ and v = 0.001 · 0.999ᵗ. Where they would leave
    /// the normal numbers they are 0, and nothing moves.
    #[test]
    fn moments_end_at_zero_and_not_below_the_normal_numbers() {
        let (mut adam, mut parameter) = (Adam::new(1), [0.0]);
        adam.step(0.1, &[1.0], &mut parameter);
        let mut step = |n: usize| {
            (0..n).for_each(|_| adam.step(0.1, &[0.0], &mut parameter));
            (adam.first[0], adam.second[0], parameter[0])
        };
        let (first, second, _) = step(700);
        assert!((f64::from(first) / (0.1 * 0.9_f64.powi(700)) - 1.0).abs() < 1e-4, "{first}");
        assert!((f64::from(second) / (0.001 * 0.999_f64.powi(700)) - 1.0).abs() < 1e-4, "{second}");
        let (first, _, before) = step(200);
        assert_eq!(first, 0.0);
        let (_, second, after) = step(90_000);
        assert_eq!((second, after), (0.0, before));
    }

    #[test]
    fn the_norm_is_of_all_parameters_together() {
        let mut gradient = vec![3.0; 9];
        gradient.extend([4.0; 9]);
        assert_eq!(clip_norm(&mut gradient, 20.0), 15.0);
        assert_eq!((gradient[0], gradient[17]), (3.0, 4.0));
        assert_eq!(clip_norm(&mut gradient, 1.5), 15.0);
        assert!((gradient[0] - 0.3).abs() < 1e-6 && (gradient[17] - 0.4).abs() < 1e-6);
    }
}
