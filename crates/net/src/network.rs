//! A stack of dense layers, its outputs and its gradient.

use rand::Rng;

use crate::initial::Initial;
use crate::kernels;
use crate::shape::Shape;

/// Layers y = φ(x W + b), the last one without φ. See [`Shape::layers`] for the order of its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    shape: Shape,
    parameters: Vec<f32>,
}

/// Room for the numbers of one pass, kept between passes so that they allocate nothing once it has grown. It belongs to
/// no network: any may use it.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// Outputs of each layer.
    activations: Vec<Vec<f32>>,
    /// Outputs of the network, row after row.
    outputs: Vec<f32>,
    /// Gradient by the sums of each layer.
    deltas: Vec<Vec<f32>>,
    /// Gradient by the outputs of the network.
    by_outputs: Vec<f32>,
    /// What one more stream adds to the gradient of the layer that all of them read.
    added: Vec<f32>,
    panels: kernels::Panels,
}

impl Network {
    /// With parameters drawn by a rule.
    pub fn new(shape: Shape, initial: Initial, rng: &mut impl Rng) -> Self {
        let mut network = Self::zeros(shape);
        initial.fill(&network.shape, &mut network.parameters, rng);
        network
    }

    /// With all parameters 0: to be filled.
    pub fn zeros(shape: Shape) -> Self {
        Self { parameters: vec![0.0; shape.n_parameters()], shape }
    }

    /// Its widths and activation.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Weights and biases, layer by layer.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// The same, to be changed.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// Both at once: what changes parameters layer by layer needs the shape as well.
    pub fn parts_mut(&mut self) -> (&Shape, &mut [f32]) {
        (&self.shape, &mut self.parameters)
    }

    /// The outputs for a batch of inputs, row after row. A row by itself may differ in the last bits from the same row
    /// in a batch.
    ///
    /// # Shapes
    /// inputs: batch × [`Shape::n_inputs`]; the answer: batch × [`Shape::n_outputs`].
    ///
    /// # Panics
    /// If `inputs` are not whole rows, or none.
    pub fn forward<'a>(&self, inputs: &[f32], pass: &'a mut Pass) -> &'a [f32] {
        let n_inputs = self.shape.n_inputs();
        assert!(
            !inputs.is_empty() && inputs.len().is_multiple_of(n_inputs),
            "inputs of {} must be rows of {n_inputs} numbers, but are {}",
            self.shape,
            inputs.len(),
        );
        let batch = inputs.len() / n_inputs;
        let layers = self.shape.layers();
        pass.activations.resize_with(layers.len(), Vec::new);
        for (index, layer) in layers.enumerate() {
            let (before, rest) = pass.activations.split_at_mut(index);
            let inputs = layer.reads.map_or(inputs, |from| &before[from]);
            let outputs = &mut rest[0];
            outputs.resize(batch * layer.n_outputs, 0.0);
            kernels::affine(
                inputs,
                &self.parameters[layer.weights],
                &self.parameters[layer.biases],
                outputs,
                &mut pass.panels,
            );
            layer.activation.apply(outputs);
        }
        let n_outputs = self.shape.n_outputs();
        pass.outputs.resize(batch * n_outputs, 0.0);
        for (layer, values) in self.shape.layers().zip(&pass.activations) {
            let Some(columns) = layer.gives else { continue };
            let rows = pass.outputs.chunks_exact_mut(n_outputs).zip(values.chunks_exact(layer.n_outputs));
            rows.for_each(|(to, from)| to[columns.clone()].copy_from_slice(from));
        }
        &pass.outputs
    }

    /// The gradient of a loss by the parameters, and the loss.
    ///
    /// `loss` gets the outputs and room for its gradient by each of them, zeroed; it returns its value. Means, weights and
    /// whatever else stands between outputs and loss are its own affair.
    ///
    /// # Shapes
    /// inputs: batch × [`Shape::n_inputs`]; outputs and their gradient: batch × [`Shape::n_outputs`]; gradient: as the
    /// parameters.
    ///
    /// # Panics
    /// If `inputs` are not whole rows, or `gradient` is not as long as the parameters.
    pub fn gradient(
        &self,
        inputs: &[f32],
        pass: &mut Pass,
        gradient: &mut [f32],
        loss: impl FnOnce(&[f32], &mut [f32]) -> f64,
    ) -> f64 {
        assert_eq!(gradient.len(), self.parameters.len(), "a gradient of {} has as many numbers", self.shape);
        self.forward(inputs, pass);
        let Pass { activations, outputs, deltas, by_outputs, added, panels } = pass;
        by_outputs.clear();
        by_outputs.resize(outputs.len(), 0.0);
        let loss = loss(outputs, by_outputs);
        deltas.resize_with(activations.len(), Vec::new);
        deltas.iter_mut().for_each(Vec::clear);
        for (index, layer) in self.shape.layers().enumerate().rev() {
            let (before, deltas) = deltas.split_at_mut(index);
            let deltas = &mut deltas[0];
            if let Some(columns) = layer.gives {
                let rows = by_outputs.chunks_exact(self.shape.n_outputs());
                rows.for_each(|row| deltas.extend_from_slice(&row[columns.clone()]));
            }
            let inputs = layer.reads.map_or(inputs, |from| &activations[from]);
            layer.activation.carry_back(&activations[index], deltas);
            kernels::by_weights(inputs, deltas, layer.n_inputs, &mut gradient[layer.weights.clone()], panels);
            kernels::by_biases(deltas, &mut gradient[layer.biases]);
            let Some(from) = layer.reads else { continue };
            let weights = &self.parameters[layer.weights];
            // The first layer to be carried back writes what it adds to, each further stream adds.
            let is_first = before[from].is_empty();
            let by_inputs = if is_first { &mut before[from] } else { &mut *added };
            by_inputs.resize(inputs.len(), 0.0);
            kernels::by_inputs(deltas, weights, layer.n_outputs, by_inputs, panels);
            if !is_first {
                before[from].iter_mut().zip(&*added).for_each(|(sum, added)| *sum += added);
            }
        }
        loss
    }
}

impl Pass {
    /// The outputs of the last pass; none before one.
    pub fn outputs(&self) -> &[f32] {
        &self.outputs
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use tidegate_core::{Seed, Stream};

    use super::*;
    use crate::shape::Activation;

    fn network(widths: &[usize], hidden: Activation, seed: u64) -> Network {
        let shape = Shape::new(widths, hidden).expect("a shape");
        Network::new(shape, Initial::TorchLinear, &mut Seed::training(seed).rng(Stream::Learner))
    }

    /// Every shape of the tests: plain stacks, and streams with one shared layer, with two and with none.
    fn networks(seed: u64) -> Vec<Network> {
        let streams = [
            (&[4, 33, 17][..], &[2, 1][..], Activation::Relu),
            (&[3, 8, 9, 7], &[4, 6, 1], Activation::Tanh),
            (&[5, 12], &[3, 3], Activation::Relu),
        ];
        let parted = streams.map(|(widths, streams, hidden)| {
            let shape = Shape::with_streams(widths, streams, hidden).expect("a shape");
            Network::new(shape, Initial::TorchLinear, &mut Seed::training(seed).rng(Stream::Learner))
        });
        SHAPES.iter().map(|(widths, hidden)| network(widths, *hidden, seed)).chain(parted).collect()
    }

    fn inputs(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Seed::training(seed).rng(Stream::Excitation);
        (0..n).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
    }

    /// The layers written out, in double precision.
    fn slow(shape: &Shape, parameters: &[f64], row: &[f32]) -> Vec<f64> {
        let inputs: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
        let mut layers: Vec<Vec<f64>> = Vec::new();
        let mut outputs = Vec::new();
        for layer in shape.layers() {
            let values = layer.reads.map_or(&inputs, |from| &layers[from]);
            let sum = |j: usize| {
                let terms = (0..layer.n_inputs)
                    .map(|i| values[i] * parameters[layer.weights.start + i * layer.n_outputs + j]);
                terms.sum::<f64>() + parameters[layer.biases.start + j]
            };
            let values: Vec<f64> = (0..layer.n_outputs)
                .map(|j| match layer.activation {
                    Activation::Identity => sum(j),
                    Activation::Relu => sum(j).max(0.0),
                    Activation::Tanh => sum(j).tanh(),
                })
                .collect();
            if layer.gives.is_some() {
                outputs.extend(values.iter().copied());
            }
            layers.push(values);
        }
        outputs
    }

    fn doubles(values: &[f32]) -> Vec<f64> {
        values.iter().map(|value| f64::from(*value)).collect()
    }

    const SHAPES: [(&[usize], Activation); 6] = [
        (&[3, 2], Activation::Relu),
        (&[1, 1, 1], Activation::Tanh),
        (&[4, 33, 17, 2], Activation::Relu),
        (&[7, 20, 9], Activation::Tanh),
        (&[5, 6, 4], Activation::Identity),
        (&[9, 40, 5, 8], Activation::Tanh),
    ];

    /// One row, few, and many take different ways; sums of 33 terms of order 1 in single precision.
    #[test]
    fn outputs_are_those_of_the_layers_written_out() {
        for network in networks(1) {
            let n_inputs = network.shape().n_inputs();
            let parameters = doubles(network.parameters());
            let mut pass = Pass::default();
            for batch in [1, 3, 64, 2] {
                let inputs = inputs(batch * n_inputs, batch as u64);
                let outputs = network.forward(&inputs, &mut pass).to_vec();
                let truth: Vec<f64> =
                    inputs.chunks(n_inputs).flat_map(|row| slow(network.shape(), &parameters, row)).collect();
                assert_eq!(outputs.len(), truth.len());
                for (output, truth) in outputs.iter().zip(truth) {
                    assert!(
                        (f64::from(*output) - truth).abs() < 2e-6,
                        "{}: {output} {truth}",
                        network.shape()
                    );
                }
            }
        }
    }

    /// Central differences in double precision; the loss weighs every output and is curved in it. The step is small
    /// enough that no unit of these seeds changes the side of its `ReLU`: where one did, both sides would differ.
    #[test]
    fn gradients_are_those_of_finite_differences() {
        let loss = |output: f64, place: usize| (1.0 + place as f64) * (output * output + output.sin());
        let slope = |output: f64, place: usize| (1.0 + place as f64) * (2.0 * output + output.cos());
        for network in networks(2) {
            for batch in [1, 2, 8] {
                let n_inputs = network.shape().n_inputs();
                let inputs = inputs(batch * n_inputs, 40 + batch as u64);
                let mut gradient = vec![f32::NAN; network.parameters().len()];
                let value =
                    network.gradient(&inputs, &mut Pass::default(), &mut gradient, |outputs, by_outputs| {
                        for (place, (output, by)) in outputs.iter().zip(by_outputs).enumerate() {
                            *by = slope(f64::from(*output), place) as f32;
                        }
                        outputs
                            .iter()
                            .enumerate()
                            .map(|(place, output)| loss(f64::from(*output), place))
                            .sum()
                    });
                let at = |parameters: &[f64]| -> f64 {
                    let rows = inputs.chunks(n_inputs).flat_map(|row| slow(network.shape(), parameters, row));
                    rows.enumerate().map(|(place, output)| loss(output, place)).sum()
                };
                let mut parameters = doubles(network.parameters());
                assert!((value - at(&parameters)).abs() < 1e-4 * value.abs().max(1.0));
                let scale = gradient.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                for index in 0..parameters.len() {
                    let (step, before) = (1e-6, parameters[index]);
                    parameters[index] = before + step;
                    let above = at(&parameters);
                    parameters[index] = before - step;
                    let slope = (above - at(&parameters)) / (2.0 * step);
                    parameters[index] = before;
                    let error = (f64::from(gradient[index]) - slope).abs();
                    assert!(
                        error < 1e-5 * f64::from(scale).max(1.0),
                        "{}, {index}: {error}",
                        network.shape()
                    );
                }
            }
        }
    }

    #[test]
    fn a_pass_that_was_used_before_changes_nothing() {
        let (small, large) =
            (network(&[2, 3, 1], Activation::Relu, 3), network(&[4, 50, 50, 2], Activation::Tanh, 4));
        let mut used = Pass::default();
        for (network, batch) in [(&large, 64), (&small, 2), (&large, 8), (&small, 1)] {
            let inputs = inputs(batch * network.shape().n_inputs(), 5);
            let fresh = network.forward(&inputs, &mut Pass::default()).to_vec();
            assert_eq!(network.forward(&inputs, &mut used), fresh);
        }
    }

    #[test]
    fn a_pass_allocates_nothing_once_it_has_grown() {
        let network = network(&[4, 64, 64, 2], Activation::Relu, 6);
        let (inputs, mut pass) = (inputs(64 * 4, 6), Pass::default());
        let mut gradient = vec![0.0; network.parameters().len()];
        let mut both = || {
            network.gradient(&inputs, &mut pass, &mut gradient, |outputs, by_outputs| {
                by_outputs.copy_from_slice(outputs);
                0.0
            });
            network.forward(&inputs[..4], &mut pass);
        };
        both();
        assert_eq!(allocation_counter::measure(both).count_total, 0);
    }

    #[test]
    #[should_panic(expected = "inputs of 3-2 relu must be rows of 3 numbers, but are 4")]
    fn inputs_of_another_width_are_refused() {
        network(&[3, 2], Activation::Relu, 0).forward(&[0.0; 4], &mut Pass::default());
    }
}
