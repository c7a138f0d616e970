//! The same training step by `burn` (backend `flex`, its own autodiff and Adam) and by this package, side by side.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints"
)]

use std::hint::black_box;
use std::time::Instant;

// What is derived names it so.
use burn_core as burn;
use burn_core::module::{AutodiffModule, Module, Param};
use burn_core::tensor::{Device, Tensor, TensorData};
use burn_nn::{Linear, LinearConfig};
use burn_optim::{AdamConfig, GradientsParams};
use rand::RngExt;
use tidegate_core::{Seed, Stream};
use tidegate_net::{Activation, Initial, Network, Pass, Pointwise, Shape, Trainer};

const REPEATS: usize = 1000;

/// Three layers with ReLU between them.
#[derive(Module, Debug)]
struct Mlp {
    first: Linear,
    second: Linear,
    third: Linear,
}

impl Mlp {
    /// With the parameters of ours, whose layout is the same.
    fn of(network: &Network, device: &Device) -> Self {
        let layers: Vec<Linear> = network
            .shape()
            .layers()
            .map(|layer| {
                let part = |range: std::ops::Range<usize>| network.parameters()[range].to_vec();
                let mut linear = LinearConfig::new(layer.n_inputs, layer.n_outputs).init(device);
                let weights = TensorData::new(part(layer.weights), [layer.n_inputs, layer.n_outputs]);
                let biases = TensorData::new(part(layer.biases), [layer.n_outputs]);
                linear.weight = Param::from_data(weights, device);
                linear.bias = Some(Param::from_data(biases, device));
                linear
            })
            .collect();
        let [first, second, third] = layers.try_into().expect("three layers");
        Self { first, second, third }
    }

    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        let hidden = burn_core::tensor::activation::relu(self.first.forward(inputs));
        let hidden = burn_core::tensor::activation::relu(self.second.forward(hidden));
        self.third.forward(hidden)
    }
}

/// Fastest and median of the repeats of both, in microseconds a call; they take turns, so that what else the machine does
/// hits both.
fn both(n_calls: u32, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> [[f64; 2]; 2] {
    let time = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..n_calls).for_each(|_| call());
        start.elapsed().as_secs_f64() / f64::from(n_calls) * 1e6
    };
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..REPEATS {
        times[0].push(time(&mut ours));
        times[1].push(time(&mut theirs));
    }
    times.map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        [times[0], times[REPEATS / 2]]
    })
}

fn main() {
    let device = Device::flex();
    let learning = device.clone().autodiff();
    for (widths, batch) in
        [([4, 256, 256, 2], 64), ([4, 120, 84, 2], 128), ([4, 64, 64, 2], 64), ([26, 48, 48, 9], 256)]
    {
        let mut rng = Seed::training(0).rng(Stream::Learner);
        let shape = Shape::new(&widths, Activation::Relu).expect("a shape");
        let mut network = Network::new(shape.clone(), Initial::TorchLinear, &mut rng);
        let mut draw = |n: usize| (0..n).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect::<Vec<f32>>();
        let (inputs, targets) = (draw(batch * widths[0]), draw(batch * widths[3]));
        let mut mlp = Mlp::of(&network, &learning);
        let of = |values: &[f32], width: usize, device: &Device| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [values.len() / width, width]), device)
        };

        let mut pass = Pass::default();
        let mut trainer = Trainer::new(&network, 1e-3);
        let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
        let mut our_step = |network: &mut Network| {
            let mean = |outputs: &[f32], by: &mut [f32]| Pointwise::Squared.mean(outputs, &targets, by);
            trainer.step(network, &inputs, mean).expect("a finite loss");
        };
        let mut their_step = |mlp: &mut Mlp| {
            let outputs = mlp.forward(of(&inputs, widths[0], &learning));
            let loss = (outputs - of(&targets, widths[3], &learning)).square().mean();
            let gradients = GradientsParams::from_grads(loss.backward(), mlp);
            *mlp = adam.step(1e-3, mlp.clone(), gradients);
        };

        // The same steps make the same network of the same network; sums are in another order.
        (0..20).for_each(|_| our_step(&mut network));
        (0..20).for_each(|_| their_step(&mut mlp));
        let outputs = mlp.valid().forward(of(&inputs, widths[0], &device)).into_data();
        let outputs: Vec<f32> = outputs.to_vec().expect("floats");
        for (ours, theirs) in network.forward(&inputs, &mut pass).iter().zip(outputs) {
            assert!((ours - theirs).abs() < 1e-3, "{shape}: {ours}, burn {theirs}");
        }

        let print = |what: &str, [ours, theirs]: [[f64; 2]; 2]| {
            println!(
                "{shape}, {what}: {:.1} µs (median {:.1}), burn {:.1} µs ({:.1}), {:.1} times ({:.1})",
                ours[0],
                ours[1],
                theirs[0],
                theirs[1],
                theirs[0] / ours[0],
                theirs[1] / ours[1],
            );
        };
        let steps = both(1, || our_step(&mut network), || their_step(&mut mlp));
        print(&format!("a step at batch {batch}"), steps);
        let (row, valid) = (&inputs[..widths[0]], mlp.valid());
        let rows = both(
            50,
            || {
                black_box(network.forward(black_box(row), &mut pass));
            },
            || {
                black_box(valid.forward(of(black_box(row), widths[0], &device)).into_data());
            },
        );
        print("one row forward", rows);
    }
}
