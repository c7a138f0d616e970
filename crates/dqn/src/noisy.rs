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
