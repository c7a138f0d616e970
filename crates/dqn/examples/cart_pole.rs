//! What a change of the tuned settings for CartPole is worth: learns under several seeds and says what the final greedy policy
//! earns, between which returns it swung on the way, and whether its values are right.
//!
//!     cargo run --release -p tidegate-dqn --example cart_pole -- 100 110 "hidden=64 steps=10"
//!
//! From the first training seed to before the second, for every set of changes in turn; without changes, the tuned settings.
//! Returns are means of 100 greedy episodes in training worlds, values those of the greedy action, with 0.99 per step at most
//! 100, over the states of ten of these episodes. docs/decisions/0021 has what it printed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "an example reads its arguments and prints"
)]

use tidegate_core::{Env, Seed};
use tidegate_dqn::options::{Munchausen, TargetUpdate};
use tidegate_dqn::{Learning, Options, Policy};
use tidegate_envs::CartPole;
use tidegate_net::Schedule;

/// One look at the greedy policy on the way.
const LOOK_EVERY: u64 = 2_560;

/// Training worlds in which policies are looked at; learners play in none of them.
const WORLDS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, changes @ ..] = &arguments[..] else {
        return Err("two numbers of seeds, and sets of changes: 100 110 \"hidden=64 steps=10\"".into());
    };
    let seeds = from.parse::<u64>()?..to.parse::<u64>()?;
    let tuned = [String::new()];
    for changes in if changes.is_empty() { &tuned[..] } else { changes } {
        let mut options = Options::zoo_cart_pole();
        for change in changes.split_whitespace() {
            options = changed(options, change)?;
        }
        println!("\"{changes}\"");
        let (mut n_good, mut sum) = (0, 0.0);
        for seed in seeds.clone() {
            let told = study(&options, Seed::training(seed))?;
            println!("  seed {seed}: {told}");
            n_good += u64::from(told.mean >= 475.0);
            sum += told.mean;
        }
        let n = seeds.end - seeds.start;
        println!("  at least 475 on {n_good} of {n} seeds, mean {:.0}", sum / n as f64);
    }
    Ok(())
}

fn changed(mut options: Options, change: &str) -> Result<Options, Box<dyn std::error::Error>> {
    let (name, value) = change.split_once('=').unwrap_or((change, ""));
    match name {
        "hidden" => options.hidden = vec![value.parse()?; 2],
        "steps" => options.n_steps = value.parse()?,
        "discount" => options.discount = value.parse()?,
        "batch" => options.batch = value.parse()?,
        "soft" => options.target = TargetUpdate::Soft { share: value.parse()? },
        "munchausen" => options.munchausen = Some(Munchausen::default()),
        "double" => options.double = true,
        "dueling" => options.dueling = true,
        "rate-to-0" => {
            let (from, steps) = (options.learning_rate.at(0), options.gradient_steps_total());
            options.learning_rate = Schedule::Linear { from, to: 0.0, steps };
        }
        _ => {
            return Err(format!(
                "{change:?} is none of hidden=N, steps=N, discount=X, batch=N, soft=X, munchausen, double, dueling, rate-to-0"
            )
            .into());
        }
    }
    Ok(options)
}

/// What became of one run.
struct Told {
    /// Mean return of the final policy, and the least and the most at the looks of the second half.
    mean: f64,
    least: f64,
    most: f64,
    /// Mean value of the greedy action, and the median of how much better it is than the other.
    value: f64,
    gap: f64,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mean, least, most, value, gap } = self;
        write!(f, "{mean:.1}, in the second half {least:.0} to {most:.0}, value {value:.1}, gap {gap:.2}")
    }
}

fn study(options: &Options, seed: Seed) -> Result<Told, Box<dyn std::error::Error>> {
    let mut learning = Learning::new(options.clone(), vec![CartPole::new()], seed)?;
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    while let Some(progress) = learning.next() {
        let step = progress?.step;
        if step.is_multiple_of(LOOK_EVERY) && 2 * step > options.steps {
            let mean = mean_return(&mut learning.policy(), 10);
            (least, most) = (least.min(mean), most.max(mean));
        }
    }
    let mut policy = learning.policy();
    let (values, mut gaps) = looks(&mut policy);
    gaps.sort_unstable_by(f64::total_cmp);
    Ok(Told {
        mean: mean_return(&mut policy, 100),
        least,
        most,
        value: values.iter().sum::<f64>() / values.len() as f64,
        gap: gaps[gaps.len() / 2],
    })
}

fn mean_return(policy: &mut Policy, n: u64) -> f64 {
    let mut env = CartPole::new();
    (0..n).map(|it| policy.play(&mut env, Seed::training(WORLDS + it)).total).sum::<f64>() / n as f64
}

/// The greater value and its lead in every state of ten greedy episodes.
fn looks(policy: &mut Policy) -> (Vec<f64>, Vec<f64>) {
    let (mut env, mut values, mut gaps) = (CartPole::new(), Vec::new(), Vec::new());
    for world in 0..10 {
        let mut state = env.reset(Seed::training(WORLDS + world));
        loop {
            let [left, right] = policy.values(&state)[..] else { unreachable!("CartPole has two actions") };
            values.push(f64::from(left.max(right)));
            gaps.push(f64::from((left - right).abs()));
            let step = env.step(usize::from(right > left));
            state = step.observation;
            if step.end.is_some() {
                break;
            }
        }
    }
    (values, gaps)
}
