//! The weights of a network, with noise in them where options say so.
//!
//! w = μ + σ ε, and with f(x) = sgn(x) √|x| of standard normal numbers x, one for each input and each output of a layer:
//! ε of a weight is f(xᵢ) f(xⱼ), of a bias f(xⱼ) (Fortunato et al., "Noisy networks for exploration", ICLR 2018, eqs. 9 to
//! 11). The gradient by σ is that by w times ε.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use tidegate_net::{Initial, Network, Pass, Shape};

use crate::options::Noisy;

/// What is learnt, and the network that it makes.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// What passes compute with.
    network: Network,
    noise: Option<Noise>,
}

#[derive(Clone, Debug)]
struct Noise {
    /// μ of all parameters, then σ of the noisy ones, which are the last.
    learnt: Vec<f32>,
    /// Parameters without noise.
    n_plain: usize,
    /// f(x) of the inputs and then the outputs of every noisy layer.
    factors: Vec<f32>,
}

impl Weights {
    /// Drawn as `torch` starts linear layers, which is how the paper starts μ.
    pub(crate) fn new(shape: Shape, noisy: Option<Noisy>, rng: &mut impl Rng) -> Self {
        let network = Network::new(shape, Initial::TorchLinear, rng);
        let noise = noisy.map(|Noisy { sigma }| {
            let mut noise = Noise { learnt: network.parameters().to_vec(), n_plain: 0, factors: Vec::new() };
            let layers = network.shape().layers().enumerate();
            for (index, layer) in layers.skip(network.shape().n_shared()) {
                if index == network.shape().n_shared() {
                    noise.n_plain = layer.weights.start;
                }
                let start = (f64::from(sigma as f32) / (layer.n_inputs as f64).sqrt()) as f32;
                noise.learnt.extend((0..layer.weights.len() + layer.biases.len()).map(|_| start));
                noise.factors.extend((0..layer.n_inputs + layer.n_outputs).map(|_| 0.0));
            }
            noise
        });
        Self { network, noise }
    }

    /// The network with the present noise.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// All that is learnt.
    pub(crate) fn learnt(&self) -> &[f32] {
        self.noise.as_ref().map_or(self.network.parameters(), |noise| &noise.learnt)
    }

    /// The same, to be changed; where there is noise, the network follows when it is drawn next.
    pub(crate) fn learnt_mut(&mut self) -> &mut [f32] {
        match &mut self.noise {
            Some(noise) => &mut noise.learnt,
            None => self.network.parameters_mut(),
        }
    }

    /// Draws new noise, if there is any.
    pub(crate) fn draw(&mut self, rng: &mut impl Rng) {
        let Self { network, noise: Some(noise) } = self else { return };
        for factor in &mut noise.factors {
            let x: f32 = StandardNormal.sample(rng);
            *factor = x.abs().sqrt().copysign(x);
        }
        let (shape, parameters) = network.parts_mut();
        let (means, sigmas) = noise.learnt.split_at(parameters.len());
        parameters.copy_from_slice(means);
        noise.each_row(shape, |row, input, outputs| {
            let sigmas = &sigmas[row.start - noise.n_plain..row.end - noise.n_plain];
            for ((weight, sigma), output) in parameters[row].iter_mut().zip(sigmas).zip(outputs) {
                *weight += sigma * (input * output);
            }
        });
    }

    /// The network without noise, as a policy has it.
    pub(crate) fn quiet(&self) -> Network {
        let mut network = self.network.clone();
        if let Some(noise) = &self.noise {
            let n = network.parameters().len();
            network.parameters_mut().copy_from_slice(&noise.learnt[..n]);
        }
        network
    }

    /// The gradient of a loss by all that is learnt; see [`Network::gradient`].
    pub(crate) fn gradient(
        &self,
        inputs: &[f32],
        pass: &mut Pass,
        gradient: &mut [f32],
        loss: impl FnOnce(&[f32], &mut [f32]) -> f64,
    ) -> f64 {
        let (by_means, by_sigmas) = gradient.split_at_mut(self.network.parameters().len());
        let loss = self.network.gradient(inputs, pass, by_means, loss);
        if let Some(noise) = &self.noise {
            noise.each_row(self.network.shape(), |row, input, outputs| {
                let by_sigmas = &mut by_sigmas[row.start - noise.n_plain..row.end - noise.n_plain];
                for ((by_sigma, by_mean), output) in by_sigmas.iter_mut().zip(&by_means[row]).zip(outputs) {
                    *by_sigma = by_mean * (input * output);
                }
            });
        }
        loss
    }
}

impl Noise {
    /// Calls `each` with the place of every row of noisy weights or biases among the parameters, the factor of its input (1
    /// for biases), and the factors of its outputs.
    fn each_row(&self, shape: &Shape, mut each: impl FnMut(std::ops::Range<usize>, f32, &[f32])) {
        let mut factors = self.factors.as_slice();
        for layer in shape.layers().skip(shape.n_shared()) {
            let (inputs, rest) = factors.split_at(layer.n_inputs);
            let (outputs, rest) = rest.split_at(layer.n_outputs);
            factors = rest;
            for (row, input) in inputs.iter().enumerate() {
                let start = layer.weights.start + row * layer.n_outputs;
                each(start..start + layer.n_outputs, *input, outputs);
            }
            each(layer.biases, 1.0, outputs);
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{Seed, Stream};
    use tidegate_net::Activation;

    use super::*;

    fn weights(sigma: f64) -> Weights {
        let shape = Shape::with_streams(&[3, 5, 4], &[4, 2], Activation::Tanh).expect("a shape");
        Weights::new(shape, Some(Noisy { sigma }), &mut Seed::training(1).rng(Stream::Learner))
    }

    /// Of f(x) = sgn(x) √|x|: mean 0, square E|x| = √(2/π), fourth power E x² = 1. So ε of a bias has variance √(2/π), of a
    /// weight 2/π, and two weights of one input covary in their squares: E ε²ε'² = E x² (2/π). Four standard errors of
    /// means over 20,000 draws.
    #[test]
    fn noise_has_the_moments_of_factors() {
        let mut weights = weights(0.5);
        let mut rng = Seed::training(2).rng(Stream::Excitation);
        let layer = weights.network().shape().layers().nth(2).expect("a noisy layer of the first stream");
        let sigma = 0.5 / (layer.n_inputs as f32).sqrt();
        let means = weights.quiet();
        let n = 20_000;
        let mut sums = [0.0; 6];
        for _ in 0..n {
            weights.draw(&mut rng);
            let noise =
                |at: usize| f64::from((weights.network().parameters()[at] - means.parameters()[at]) / sigma);
            let (one, same_input) = (noise(layer.weights.start), noise(layer.weights.start + 1));
            let (other_input, bias) =
                (noise(layer.weights.start + layer.n_outputs + 1), noise(layer.biases.start));
            let squares = [one, one * same_input, one * one, bias * bias];
            let fourth = [(one * same_input).powi(2), (one * other_input).powi(2)];
            sums.iter_mut()
                .zip(squares.into_iter().chain(fourth))
                .for_each(|(sum, it)| *sum += it / f64::from(n));
        }
        let pi = std::f64::consts::PI;
        let truths = [0.0, 0.0, 2.0 / pi, (2.0 / pi).sqrt(), 2.0 / pi, (2.0 / pi).powi(2)];
        // Standard deviations of what is summed, from E x⁴ = 3.
        let deviations = [0.8, 0.9, 0.77, 0.61, 1.62, 0.92];
        for (index, (mean, truth)) in sums.iter().zip(truths).enumerate() {
            let error = 4.0 * deviations[index] / f64::from(n).sqrt();
            assert!((mean - truth).abs() < error, "{index}: {mean} instead of {truth} by at most {error}");
        }
    }

    /// Layers that streams share have none; the others start with σ₀/√inputs.
    #[test]
    fn the_last_two_layers_of_each_stream_are_noisy() {
        let mut weights = weights(0.5);
        let n = weights.network().parameters().len();
        let shape = weights.network().shape().clone();
        let sigmas = weights.learnt()[n..].to_vec();
        let shared = shape.layers().next().expect("the shared layer");
        assert_eq!(sigmas.len(), n - shared.biases.end);
        for layer in shape.layers().skip(1) {
            let of_layer = layer.weights.start - shared.biases.end..layer.biases.end - shared.biases.end;
            assert!(sigmas[of_layer].iter().all(|it| *it == 0.5 / (layer.n_inputs as f32).sqrt()));
        }
        let means = weights.quiet();
        weights.draw(&mut Seed::training(3).rng(Stream::Excitation));
        for (at, (drawn, mean)) in weights.network().parameters().iter().zip(means.parameters()).enumerate() {
            assert_eq!(drawn == mean, at < shared.biases.end, "{at}");
        }
    }

    /// By central differences, with the noise held.
    #[test]
    fn sizes_of_noise_have_the_gradient_of_finite_differences() {
        let mut weights = weights(0.5);
        weights.draw(&mut Seed::training(4).rng(Stream::Excitation));
        let inputs = [0.3, -0.7, 0.9, 0.1, 0.5, -0.2];
        let loss = |outputs: &[f32], by: &mut [f32]| {
            outputs.iter().zip(by).fold(0.0, |sum, (output, by)| {
                *by = 2.0 * output;
                sum + f64::from(*output).powi(2)
            })
        };
        let mut gradient = vec![0.0; weights.learnt().len()];
        weights.gradient(&inputs, &mut Pass::default(), &mut gradient, loss);
        let held = weights.noise.clone().expect("it is noisy");
        let n = weights.network().parameters().len();
        let mut at = |place: usize, change: f32| {
            let (mut learnt, mut parameters) = (held.learnt.clone(), vec![0.0; n]);
            learnt[place] += change;
            parameters.copy_from_slice(&learnt[..n]);
            held.each_row(&weights.network.shape().clone(), |row, input, outputs| {
                for (at, output) in row.zip(outputs) {
                    parameters[at] += learnt[n + at - held.n_plain] * input * output;
                }
            });
            weights.network.parameters_mut().copy_from_slice(&parameters);
            let outputs = weights.network.forward(&inputs, &mut Pass::default()).to_vec();
            outputs.iter().map(|output| f64::from(*output).powi(2)).sum::<f64>()
        };
        let mut n_moved = 0;
        for (place, by) in gradient.iter().enumerate() {
            let slope = (at(place, 5e-3) - at(place, -5e-3)) / 1e-2;
            assert!((f64::from(*by) - slope).abs() < 2e-3, "{place}: {by} {slope}");
            n_moved += usize::from(place >= n && by.abs() > 1e-2);
        }
        assert!(n_moved > 20, "only {n_moved} sizes of noise have a gradient");
    }
}
