//! One training step after the other.

use crate::adam::{Adam, clip_norm};
use crate::network::{Network, Pass};
use crate::schedule::Schedule;

/// Gradient, clipping, learning rate and optimiser of one network, and the room they need.
#[derive(Clone, Debug)]
pub struct Trainer {
    adam: Adam,
    schedule: Schedule,
    norm_most: Option<f64>,
    gradient: Vec<f32>,
    pass: Pass,
}

/// A loss or a gradient was no finite number; the network is as it was before the step.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("step {step}: the loss is {loss} and the norm of its gradient {norm}")]
pub struct NotFinite {
    /// Which step; the first one is 0.
    pub step: u64,
    /// The loss.
    pub loss: f64,
    /// The norm of the gradient.
    pub norm: f64,
}

impl Trainer {
    /// With the Adam of `torch`, and gradients as they are.
    pub fn new(network: &Network, rate: impl Into<Schedule>) -> Self {
        Self::with(Adam::new(network.parameters().len()), rate)
    }

    /// With an optimiser that may have made steps already; the schedule goes by those.
    pub fn with(adam: Adam, rate: impl Into<Schedule>) -> Self {
        Self { adam, schedule: rate.into(), norm_most: None, gradient: Vec::new(), pass: Pass::default() }
    }

    /// Gradients are clipped to this norm, of all parameters together.
    pub fn clipped(mut self, norm_most: f64) -> Self {
        self.norm_most = Some(norm_most);
        self
    }

    /// The optimiser, for a record.
    pub fn adam(&self) -> &Adam {
        &self.adam
    }

    /// One step down the gradient of a loss; see [`Network::gradient`]. Returns the loss before the step.
    ///
    /// # Errors
    /// If loss or gradient are not finite; then nothing has changed.
    ///
    /// # Panics
    /// If the network has another number of parameters than the optimiser, or `inputs` are not whole rows.
    pub fn step(
        &mut self,
        network: &mut Network,
        inputs: &[f32],
        loss: impl FnOnce(&[f32], &mut [f32]) -> f64,
    ) -> Result<f64, NotFinite> {
        self.gradient.resize(network.parameters().len(), 0.0);
        let loss = network.gradient(inputs, &mut self.pass, &mut self.gradient, loss);
        let norm = clip_norm(&mut self.gradient, self.norm_most.unwrap_or(f64::INFINITY));
        let step = self.adam.n_steps();
        if !(loss.is_finite() && norm.is_finite()) {
            return Err(NotFinite { step, loss, norm });
        }
        self.adam.step(self.schedule.at(step), &self.gradient, network.parameters_mut());
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use tidegate_core::{Seed, Stream};

    use super::*;
    use crate::{Activation, Initial, Pointwise, QuantileHead, Shape};

    fn network(widths: &[usize], hidden: Activation, seed: u64) -> Network {
        let shape = Shape::new(widths, hidden).expect("a shape");
        Network::new(shape, Initial::TorchLinear, &mut Seed::training(seed).rng(Stream::Learner))
    }

    /// Loss after so many steps on sin(3 x) at random places.
    fn sine(network: &mut Network, n_steps: u64, seed: u64) -> f64 {
        let mut rng = Seed::training(seed).rng(Stream::Excitation);
        let rate = Schedule::Cosine { from: 1e-2, to: 1e-4, steps: n_steps };
        let mut trainer = Trainer::new(network, rate).clipped(10.0);
        let mut loss = f64::NAN;
        for _ in 0..n_steps {
            let inputs: Vec<f32> = (0..64).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect();
            let targets: Vec<f32> = inputs.iter().map(|x| (3.0 * x).sin()).collect();
            let step =
                trainer.step(network, &inputs, |outputs, by| Pointwise::Squared.mean(outputs, &targets, by));
            loss = step.expect("a finite loss");
        }
        loss
    }

    #[test]
    fn a_sine_is_learnt() {
        for hidden in [Activation::Tanh, Activation::Relu] {
            let loss = sine(&mut network(&[1, 32, 32, 1], hidden, 7), 2000, 8);
            assert!(loss < 2e-4, "{hidden:?}: mean squared error {loss}");
        }
    }

    /// What no linear network can: its least squared error is 1/4.
    #[test]
    fn exclusive_or_is_learnt_by_hidden_layers_only() {
        let (inputs, targets) = ([0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]);
        for (hidden, most, least) in [(Activation::Tanh, 1e-4, 0.0), (Activation::Identity, 0.2501, 0.2499)] {
            let mut network = network(&[2, 8, 1], hidden, 9);
            let mut trainer = Trainer::new(&network, 2e-2);
            let mut loss = f64::NAN;
            for _ in 0..1500 {
                let mean = |outputs: &[f32], by: &mut [f32]| Pointwise::Squared.mean(outputs, &targets, by);
                loss = trainer.step(&mut network, &inputs, mean).expect("a finite loss");
            }
            assert!((least..most).contains(&loss), "{hidden:?}: {loss}");
        }
    }

    /// Of y uniform in ± (1 + x), the quantile of level τ is (2 τ − 1)(1 + x).
    #[test]
    fn quantiles_are_learnt() {
        let levels = [0.05, 0.25, 0.5, 0.75, 0.95];
        let head = QuantileHead::new(&levels);
        let mut network = network(&[1, 16, 5], Activation::Tanh, 10);
        let mut trainer = Trainer::new(&network, Schedule::Cosine { from: 1e-2, to: 1e-5, steps: 4000 });
        let mut rng = Seed::training(11).rng(Stream::Excitation);
        for _ in 0..4000 {
            let inputs: Vec<f32> = (0..128).map(|_| rng.random()).collect();
            let targets: Vec<f32> =
                inputs.iter().map(|x| (2.0 * rng.random::<f32>() - 1.0) * (1.0 + x)).collect();
            let step = trainer.step(&mut network, &inputs, |outputs, by| head.mean(outputs, &targets, by));
            step.expect("a finite loss");
        }
        let mut pass = Pass::default();
        for x in [0.1, 0.5, 0.9_f32] {
            let mut quantiles = network.forward(&[x], &mut pass).to_vec();
            head.quantiles(&mut quantiles);
            for (quantile, level) in quantiles.iter().zip(levels) {
                let truth = (2.0 * level - 1.0) * (1.0 + f64::from(x));
                assert!(
                    (f64::from(*quantile) - truth).abs() < 0.06,
                    "{level} at {x}: {quantile}, not {truth}"
                );
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_and_another_does_not() {
        let learnt = |seed: u64| {
            let mut network = network(&[1, 24, 24, 1], Activation::Relu, seed);
            sine(&mut network, 200, 8);
            network.to_bytes()
        };
        assert_eq!(learnt(1), learnt(1));
        assert_ne!(learnt(1), learnt(2));
    }

    /// Stopped after any step and gone on with from records, it is as if never stopped.
    #[test]
    fn training_goes_on_from_records() {
        let mut whole = network(&[1, 8, 1], Activation::Tanh, 3);
        let rate = Schedule::Linear { from: 1e-2, to: 1e-3, steps: 40 };
        let step = |trainer: &mut Trainer, network: &mut Network| {
            let mean = |outputs: &[f32], by: &mut [f32]| Pointwise::Squared.mean(outputs, &[1.0, -1.0], by);
            trainer.step(network, &[0.3, -0.2], mean).expect("a finite loss");
        };
        let mut trainer = Trainer::new(&whole, rate).clipped(0.1);
        (0..20).for_each(|_| step(&mut trainer, &mut whole));
        let mut other = Network::from_bytes(&whole.to_bytes()).expect("a network");
        let adam =
            Adam::from_bytes(&trainer.adam().to_bytes(), other.parameters().len()).expect("an optimiser");
        let mut again = Trainer::with(adam, rate).clipped(0.1);
        (0..20).for_each(|_| step(&mut trainer, &mut whole));
        (0..20).for_each(|_| step(&mut again, &mut other));
        assert_eq!(whole.to_bytes(), other.to_bytes());
        assert_eq!(trainer.adam().to_bytes(), again.adam().to_bytes());
    }

    #[test]
    fn a_loss_that_is_no_number_stops_and_changes_nothing() {
        let mut network = network(&[1, 4, 1], Activation::Relu, 3);
        let before = network.clone();
        let mut trainer = Trainer::new(&network, 1e-3);
        let step = trainer.step(&mut network, &[1.0], |_, by| {
            by[0] = f32::INFINITY;
            f64::NAN
        });
        let said = step.expect_err("the loss is no number").to_string();
        assert!(said.starts_with("step 0: the loss is NaN and the norm of its gradient "), "{said}");
        assert_eq!(network, before);
    }
}
