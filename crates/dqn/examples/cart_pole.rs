//! Learns CartPole under several seeds and says what the greedy policy earns in a hundred episodes of evaluation.
//!
//!     cargo run --release -p tidegate-dqn --example cart_pole -- steady 0 20
//!
//! The preset (`zoo` or `steady`), the first seed and the end of the seeds may be left out.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "an example reads its arguments and the clock, and prints"
)]

use std::time::Instant;

use tidegate_core::Seed;
use tidegate_dqn::{Learning, Options};
use tidegate_envs::CartPole;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seed =
        |position: usize, otherwise: u64| arguments.get(position).map_or(Ok(otherwise), |it| it.parse());
    let options = match arguments.first().map_or("zoo", String::as_str) {
        "zoo" => Options::zoo_cart_pole(),
        "steady" => Options::steady(),
        other => return Err(format!("there are zoo and steady, no {other}").into()),
    };
    let (mut n_good, mut n) = (0, 0);
    for seed in seed(1, 0)?..seed(2, 10)? {
        let start = Instant::now();
        let mut learning = Learning::new(options.clone(), vec![CartPole::new()], Seed::training(seed))?;
        for progress in &mut learning {
            progress?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let mut policy = learning.policy();
        let mut env = CartPole::new();
        let totals: Vec<f64> = (0..100).map(|it| policy.play(&mut env, Seed::evaluation(it)).total).collect();
        let (mean, least) =
            (totals.iter().sum::<f64>() / 100.0, totals.iter().fold(f64::INFINITY, |a, b| a.min(*b)));
        println!("seed {seed}: {mean:.1}, the least {least:.0}, in {seconds:.1} s");
        n += 1;
        n_good += i32::from(mean >= 475.0);
    }
    println!("at least 475 on {n_good} of {n} seeds");
    Ok(())
}
