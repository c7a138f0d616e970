//! Speed of the environments; a goal that is missed is a panic.
//!
//!     cargo bench -p tidegate-envs
//!
//! The fastest of criterion's samples is held against the goal: other work on the machine slows samples down, nothing
//! speeds them up. `cargo test --benches` runs each body once and asserts nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_core::scenario::EXAMPLE;
use tidegate_core::vector::episode_seed;
use tidegate_core::{Env, Scenario, Seed};
use tidegate_envs::{Autoscale, AutoscaleOptions, CartPole, RichView, VectorEnv};
use tidegate_sim::fluid::FluidPlant;

const CART_POLE_STEPS_PER_SECOND_MIN: f64 = 20e6;
const AUTOSCALE_STEPS_PER_SECOND_MIN: f64 = 2e6;
/// Steps in one criterion iteration, so that the clock is read rarely.
const BATCH: u64 = 10_000;

/// Measures `play(n)`, which makes `n` steps, and panics if it never reaches the goal.
fn measure(criterion: &mut Criterion, name: &str, steps_per_second_min: f64, mut play: impl FnMut(u64)) {
    let mut fastest = 0.0_f64;
    let mut group = criterion.benchmark_group("envs");
    group.throughput(Throughput::Elements(BATCH)).measurement_time(Duration::from_secs(4));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            #[allow(clippy::disallowed_methods)] // a benchmark needs a clock
            let start = Instant::now();
            play(iterations * BATCH);
            let elapsed = start.elapsed();
            if iterations > 1 {
                fastest = fastest.max((iterations * BATCH) as f64 / elapsed.as_secs_f64());
            }
            elapsed
        });
    });
    group.finish();
    let is_measured = fastest > 0.0;
    assert!(
        !is_measured || fastest >= steps_per_second_min,
        "{name}: {fastest:.3e} steps a second, but the goal is {steps_per_second_min:.1e}"
    );
}

/// One environment that pushes against the fall, so that nearly all time goes into steps.
fn cart_pole(criterion: &mut Criterion) {
    let mut env = CartPole::new();
    let mut episode = 0;
    let mut seen = env.reset(Seed::training(0));
    measure(criterion, "cart-pole", CART_POLE_STEPS_PER_SECOND_MIN, |steps| {
        for _ in 0..steps {
            let step = env.step(usize::from(seen[2] + seen[3] > 0.0));
            seen = step.observation;
            if step.end.is_some() {
                episode += 1;
                seen = env.reset(episode_seed(Seed::training(0), 0, episode));
            }
        }
        black_box(seen);
    });
}

/// Sixty-four copies with automatic reset and alternating pushes: an episode lasts about forty steps.
fn cart_pole_vector(criterion: &mut Criterion) {
    const N_COPIES: usize = 64;
    let mut vector = VectorEnv::new(vec![CartPole::new(); N_COPIES]);
    vector.reset(Seed::training(1));
    let mut actions = [0; N_COPIES];
    measure(criterion, "cart-pole, vector of 64", CART_POLE_STEPS_PER_SECOND_MIN, |steps| {
        for _ in 0..steps / N_COPIES as u64 {
            let batch = vector.step(black_box(&actions));
            for (action, row) in actions.iter_mut().zip(batch.observations.as_chunks::<4>().0) {
                *action = usize::from(2.0 * row[2] + row[3] > 0.0);
            }
        }
    });
}

/// The fluid engine with aggregate sensing over a day of ticks: what a learner steps through. The fleet moves by
/// one every eight steps; resets, warm-up and draining are part of the time.
fn autoscale(criterion: &mut Criterion) {
    let day = EXAMPLE.replace("horizon_ticks = 240", "horizon_ticks = 5760");
    let scenario = Scenario::parse(&day).expect("the example is right");
    let facts = scenario.facts();
    let view = <RichView>::new(&facts);
    let mut env = Autoscale::new(FluidPlant::new(&scenario), view, &scenario, AutoscaleOptions::default())
        .expect("the default options fit");
    let mut episode = 0;
    env.reset(Seed::training(0));
    measure(criterion, "autoscale, fluid", AUTOSCALE_STEPS_PER_SECOND_MIN, |steps| {
        for step in 0..steps {
            let action = if step % 8 == 0 { step as usize / 64 % 2 * 2 } else { 1 };
            if black_box(env.step(action)).end.is_some() {
                episode += 1;
                env.reset(episode_seed(Seed::training(0), 0, episode));
            }
        }
    });
}

criterion_group!(benches, cart_pole, cart_pole_vector, autoscale);
criterion_main!(benches);
