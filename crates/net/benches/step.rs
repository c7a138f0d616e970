//! What a training step costs, and what a forward pass of one row does.
//!
//! Goals on one core: a step of 4-256-256-2 at batch 64 (gradient of a mean squared error, clipping, Adam) under a
//! millisecond; one row forward under 10 µs. The run fails where the fastest of the repeats misses one; machines are
//! shared, so the fastest is the least disturbed, and the median stands beside it. Floating-point operations are those of the matrix products; the
//! peak they are compared with is measured as well, as what fused multiply-adds in registers reach.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::inline_always,
    reason = "a benchmark reads the clock and prints; its peak is compiled for the processor that is there"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::RngExt;
use tidegate_core::{Seed, Stream};
use tidegate_net::{Activation, Initial, Network, Pass, Pointwise, Shape, Trainer};

mod timing;

use timing::{Time, peak, step_flops};

const REPEATS: usize = 1000;

struct Case {
    network: Network,
    target: Network,
    trainer: Trainer,
    inputs: Vec<f32>,
    targets: Vec<f32>,
}

fn case(widths: &[usize], batch: usize) -> Case {
    let mut rng = Seed::training(0).rng(Stream::Learner);
    let shape = Shape::new(widths, Activation::Relu).expect("a shape");
    let network = Network::new(shape, Initial::TorchLinear, &mut rng);
    let mut draw = |n: usize| (0..n).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect::<Vec<f32>>();
    let inputs = draw(batch * network.shape().n_inputs());
    let targets = draw(batch * network.shape().n_outputs());
    Case {
        target: network.clone(),
        trainer: Trainer::new(&network, 1e-4).clipped(10.0),
        network,
        inputs,
        targets,
    }
}

fn step(case: &mut Case) {
    let Case { network, trainer, inputs, targets, .. } = case;
    let step = trainer
        .step(network, inputs, |outputs, by_outputs| Pointwise::Squared.mean(outputs, targets, by_outputs));
    black_box(step.expect("a finite loss"));
}

fn measure(criterion: &mut Criterion) {
    let peak = peak();
    println!("peak: {:.0} GFLOP/s", peak / 1e9);
    let mut missed = Vec::new();
    for (widths, batch, goals) in [
        (&[4, 256, 256, 2][..], 64, Some((1e-3, 10e-6))),
        (&[4, 120, 84, 2], 128, None),
        (&[4, 64, 64, 2], 64, None),
    ] {
        let mut case = case(widths, batch);
        let shape = case.network.shape().clone();
        let of_step = Time::of(REPEATS, 1, || step(&mut case));
        let mut pass = Pass::default();
        let with_target = Time::of(REPEATS, 1, || {
            black_box(case.target.forward(&case.inputs, &mut pass));
            step(&mut case);
        });
        let of_row = Time::of(REPEATS, 50, || {
            black_box(case.network.forward(black_box(&case.inputs[..4]), &mut pass));
        });
        let (forward, all) = (shape.flops() as f64, step_flops(&shape, batch));
        println!("{shape}, batch {batch}: {:.1} MFLOP a step", all / 1e6);
        println!("    a step: {}", of_step.said(all, peak));
        println!("    and a target's forward pass: {}", with_target.said(all + batch as f64 * forward, peak));
        println!("    one row forward: {}", of_row.said(forward, peak));
        if goals.is_some_and(|(step, row)| of_step.fastest >= step || of_row.fastest >= row) {
            missed.push(shape.to_string());
        }
        let mut group = criterion.benchmark_group(shape.to_string());
        group.sample_size(20);
        group.bench_function(format!("step, batch {batch}"), |bencher| bencher.iter(|| step(&mut case)));
        group.bench_function("one row", |bencher| {
            bencher.iter(|| black_box(case.network.forward(black_box(&case.inputs[..4]), &mut pass))[0]);
        });
        group.finish();
    }
    assert!(missed.is_empty(), "slower than the goal: {missed:?}");
}

criterion_group!(benches, measure);
criterion_main!(benches);
