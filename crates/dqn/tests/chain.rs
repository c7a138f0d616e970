//! Every preset and every option alone learns the values of a chain that is solved by hand.

use tidegate_core::Seed;
use tidegate_dqn::{
    Exploration, Head, Learning, Munchausen, Noisy, Options, Policy, Prioritized, TargetUpdate,
};
use tidegate_envs::{Chain, chain};
use tidegate_net::{Pointwise, Schedule};

/// Small and quick: random actions, a target that follows softly, a learning rate that ends at 0.
fn base() -> Options {
    quick(&Options::dqn(0))
}

/// Sizes and rates for the chain; which extensions are on stays.
fn quick(options: &Options) -> Options {
    let steps = 8_000;
    Options {
        steps,
        discount: chain::DISCOUNT,
        hidden: vec![32],
        batch: 32,
        capacity: 1_000,
        train_every: 2,
        learning_rate: Schedule::Cosine { from: 3e-3, to: 0.0, steps: steps / 2 },
        target: TargetUpdate::Soft { share: 0.05 },
        exploration: Exploration { from: 1.0, to: 1.0, fraction: 0.0 },
        ..options.clone()
    }
}

fn learnt(options: Options) -> Policy {
    let mut learning = Learning::new(options, vec![Chain::new()], Seed::training(5)).expect("it can start");
    for progress in &mut learning {
        progress.expect("finite numbers");
    }
    learning.policy()
}

/// All values to 1 % of the least of them, and the best actions.
fn check(name: &str, options: Options, truth: [[f64; 2]; 5]) {
    let mut policy = check_values(name, options, truth, 0.007);
    for cell in 0..5 {
        let observation = Chain::new().reset_to(cell);
        assert_eq!(policy.act(&observation, &[true; 2]), chain::BEST[cell], "{name}, cell {cell}");
    }
}

fn check_values(name: &str, options: Options, truth: [[f64; 2]; 5], tolerance: f64) -> Policy {
    let mut policy = learnt(options);
    for (cell, truth) in truth.iter().enumerate() {
        for (value, truth) in policy.values(&Chain::new().reset_to(cell)).iter().zip(truth) {
            let error = (f64::from(*value) - truth).abs();
            assert!(error < tolerance, "{name}, cell {cell}: {value} instead of {truth}");
        }
    }
    policy
}

#[test]
fn each_option_alone_learns_the_values_solved_by_hand() {
    let grid = Head::Categorical { atoms: 41, least: 0.0, most: 1.2 };
    for (name, options) in [
        ("plain", base()),
        ("hard target", Options { target: TargetUpdate::Hard { every: 50 }, ..base() }),
        ("squared loss", Options { loss: Pointwise::Squared, ..base() }),
        ("double", Options { double: true, ..base() }),
        ("dueling", Options { dueling: true, ..base() }),
        ("prioritized", Options { prioritized: Some(Prioritized::default()), ..base() }),
        ("noisy", Options { noisy: Some(Noisy::default()), ..base() }),
        ("categorical", Options { head: grid, ..base() }),
        ("quantile", Options { head: Head::Quantile { quantiles: 8, kappa: 0.1 }, ..base() }),
    ] {
        check(name, options, chain::OPTIMAL);
    }
}

/// Without correction several steps value what was done, here at random: the values that the targets of n steps then have in
/// the mean, by iteration over the chain. Late in an episode of ten there are fewer than n steps left.
fn values_of_n_steps(n: usize) -> [[f64; 2]; 5] {
    let step = |cell: usize, action: usize| match (cell, action) {
        (0, 0) => (0.09, Some(0)),
        (4, 1) => (1.0, None),
        (_, 0) => (0.0, Some(cell - 1)),
        _ => (0.0, Some(cell + 1)),
    };
    let mut visits = [[0.2; 5]; 10];
    for time in 1..10 {
        visits[time] = [0.0; 5];
        for (cell, action) in (0..5).flat_map(|cell| [(cell, 0), (cell, 1)]) {
            if let (_, Some(next)) = step(cell, action) {
                visits[time][next] += 0.5 * visits[time - 1][cell];
            }
        }
    }
    let mut q = [[0.0_f64; 2]; 5];
    for _ in 0..500 {
        // Values with so many steps at random to go before the greedy value.
        let mut after = vec![q.map(|values| values[0].max(values[1]))];
        let mut of_length = Vec::new();
        for length in 0..n {
            let mut values = [[0.0; 2]; 5];
            for (cell, action) in (0..5).flat_map(|cell| [(cell, 0), (cell, 1)]) {
                let (reward, next) = step(cell, action);
                values[cell][action] =
                    reward + next.map_or(0.0, |next| chain::DISCOUNT * after[length][next]);
            }
            after.push(values.map(|values| 0.5 * (values[0] + values[1])));
            of_length.push(values);
        }
        for (cell, action) in (0..5).flat_map(|cell| [(cell, 0), (cell, 1)]) {
            let all: f64 = (0..10).map(|time| visits[time][cell]).sum();
            let of_time =
                |time: usize| visits[time][cell] / all * of_length[n.min(10 - time) - 1][cell][action];
            q[cell][action] = (0..10).map(of_time).sum();
        }
    }
    q
}

/// Returns of several steps vary, so there must be many.
fn patient(options: Options) -> Options {
    let steps = 60_000;
    let learning_rate = Schedule::Cosine { from: 3e-3, to: 0.0, steps: steps / 4 };
    Options { steps, capacity: 60_000, train_every: 4, learning_rate, ..options }
}

#[test]
fn several_steps_learn_the_values_of_what_was_done() {
    for (value, truth) in values_of_n_steps(1).as_flattened().iter().zip(chain::OPTIMAL.as_flattened()) {
        assert!((value - truth).abs() < 1e-12);
    }
    check_values("three steps", patient(Options { n_steps: 3, ..base() }), values_of_n_steps(3), 0.012);
}

/// The best action keeps its value, and gaps grow by 1/(1 − α): q = v − (v − q*)/(1 − α), which is why it is done (Vieillard,
/// Pietquin and Geist 2020, theorem 2), as long as nothing is clipped and the temperature is small against gaps.
#[test]
fn munchausen_learns_them_with_wider_gaps() {
    let munchausen = Munchausen { alpha: 0.5, temperature: 0.01, clip: -1.0 };
    let wider = chain::OPTIMAL.map(|values| {
        let best = values[0].max(values[1]);
        values.map(|value| best - (best - value) / 0.5)
    });
    let grid = Head::Categorical { atoms: 61, least: 0.0, most: 1.2 };
    for (name, options) in [
        ("munchausen", base()),
        ("munchausen, double", Options { double: true, ..base() }),
        ("munchausen, quantile", Options { head: Head::Quantile { quantiles: 8, kappa: 0.1 }, ..base() }),
        ("munchausen, categorical", Options { head: grid, ..base() }),
    ] {
        check(name, Options { munchausen: Some(munchausen), ..options }, wider);
    }
}

#[test]
fn presets_learn_them() {
    check("dqn", quick(&Options::dqn(0)), chain::OPTIMAL);
    check("double", quick(&Options::double(0)), chain::OPTIMAL);
    let rainbow = patient(quick(&Options::rainbow(0, 0.0, 1.2)));
    check_values("rainbow", rainbow, values_of_n_steps(3), 0.012);
}
