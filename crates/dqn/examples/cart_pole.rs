//! Learns CartPole under several seeds and says what the greedy policy earns.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "an example reads the clock and prints"
)]

use std::time::Instant;

use tidegate_core::Seed;
use tidegate_dqn::{Learning, Options};
use tidegate_envs::CartPole;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for seed in 0..10 {
        let start = Instant::now();
        let mut learning =
            Learning::new(Options::zoo_cart_pole(), vec![CartPole::new()], Seed::training(seed))?;
        for progress in &mut learning {
            progress?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let mut policy = learning.policy();
        let mut env = CartPole::new();
        let total: f64 = (0..100).map(|it| policy.play(&mut env, Seed::evaluation(it)).total).sum();
        println!("seed {seed}: {:.1} in {seconds:.1} s", total / 100.0);
    }
    Ok(())
}
