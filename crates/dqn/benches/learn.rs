//! What a gradient step, a decision and a step of the whole loop cost.
//!
//! Goals on one core: a full step of deep Q-learning (a batch of 64 drawn, the target's forward pass, gradient, clipping,
//! Adam) on 4-256-256-2 under a millisecond; a decision of the policy under 10 µs with 256-256 units and under 3 µs with
//! 64-64; the tuned run of `CartPole-v1` at 2,500 steps of the environment a second, which is 20 s for all of it. The run
//! fails where the fastest of the repeats misses one; machines are shared, so the fastest is the least disturbed, and the
//! median stands beside it. Floating-point operations are those of the matrix products.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::inline_always,
    reason = "a benchmark reads the clock and prints; its peak is compiled for the processor that is there"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_core::Seed;
use tidegate_dqn::{Exploration, Learning, Options};
use tidegate_envs::CartPole;
use tidegate_net::{Activation, Shape};

#[path = "../../net/benches/timing/mod.rs"]
mod timing;

use timing::{Time, peak, step_flops};

/// Gradient steps behind one step of the environment, so that the latter hardly counts, and so few that some bursts are
/// not disturbed.
const BURST: u32 = 3;

fn start(options: Options) -> Learning<CartPole> {
    Learning::new(options, vec![CartPole::new()], Seed::training(0)).expect("it can start")
}

fn advance(learning: &mut Learning<CartPole>) {
    black_box(learning.next().expect("it goes on").expect("finite numbers"));
}

/// A run that never ends, with as many transitions as one that is under way.
fn endless() -> Options {
    Options { steps: u64::MAX, capacity: 20_000, ..Options::zoo_cart_pole() }
}

fn gradient_step(peak: f64) -> bool {
    let options = Options { learning_starts: 10_000, train_every: 1, gradient_steps: BURST, ..endless() };
    let mut learning = start(options);
    (0..10_000).for_each(|_| advance(&mut learning));
    let burst = Time::of(1_000, 1, || advance(&mut learning));
    let time = Time { fastest: burst.fastest / f64::from(BURST), median: burst.median / f64::from(BURST) };
    let shape = Shape::new(&[4, 256, 256, 2], Activation::Relu).expect("a shape");
    let flops = step_flops(&shape, 64) + 64.0 * shape.flops() as f64;
    println!("gradient step, {shape}, batch 64, with the target: {}", time.said(flops, peak));
    time.fastest < 1e-3
}

fn decision(width: usize, goal: f64, peak: f64) -> bool {
    let options = Options { hidden: vec![width, width], ..endless() };
    let mut policy = start(options).policy();
    let time = Time::of(1000, 50, || {
        black_box(policy.act(black_box(&[0.01, -0.2, 0.03, 0.4]), &[true; 2]));
    });
    let shape = Shape::new(&[4, width, width, 2], Activation::Relu).expect("a shape");
    println!("decision, {shape}: {}", time.said(shape.flops() as f64, peak));
    time.fastest < goal
}

/// As many gradient steps as the tuned run, one behind every second step, since bursts of 128 are longer than a shared
/// machine is ever undisturbed; and acting without learning.
fn whole_loop() -> bool {
    let mut learning = start(Options { train_every: 2, gradient_steps: 1, ..endless() });
    (0..2_048).for_each(|_| advance(&mut learning));
    let time = Time::of(2_000, 2, || advance(&mut learning));
    println!("the tuned run: {:.0} steps a second (median {:.0})", 1.0 / time.fastest, 1.0 / time.median);
    let exploration = Exploration { from: 0.0, to: 0.0, fraction: 0.0 };
    let mut acting = start(Options { learning_starts: 0, train_every: u64::MAX, exploration, ..endless() });
    let without = Time::of(200, 1_000, || advance(&mut acting));
    println!("without learning: {:.0} steps a second", 1.0 / without.fastest);
    time.fastest < 1.0 / 2_500.0
}

fn measure(criterion: &mut Criterion) {
    let peak = peak();
    println!("peak: {:.0} GFLOP/s", peak / 1e9);
    let goals = [
        ("gradient step", gradient_step(peak)),
        ("decision, 256-256", decision(256, 10e-6, peak)),
        ("decision, 64-64", decision(64, 3e-6, peak)),
        ("the whole loop", whole_loop()),
    ];
    let mut learning =
        start(Options { learning_starts: 1_000, train_every: 1, gradient_steps: 1, ..endless() });
    (0..2_000).for_each(|_| advance(&mut learning));
    criterion.bench_function("step and gradient step, 4-256-256-2, batch 64", |bencher| {
        bencher.iter(|| advance(&mut learning));
    });
    let missed: Vec<&str> = goals.iter().filter(|(_, reached)| !reached).map(|(name, _)| *name).collect();
    assert!(missed.is_empty(), "slower than the goal: {missed:?}");
}

criterion_group!(benches, measure);
criterion_main!(benches);
