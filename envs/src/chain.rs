//! A five-cell chain that is solved by hand: a learner that gets it wrong shows what it gets wrong.
//!
//! ```text
//!   0.09 ⟲ [0] ⇄ [1] ⇄ [2] ⇄ [3] ⇄ [4] → 1, the end
//! ```
//!
//! `left` and `right` move by one cell and earn nothing, with two exceptions: `left` in cell 0 stays there and earns
//! r = 0.09, and `right` in cell 4 earns 1 and terminates. An episode starts in a random cell and is truncated after
//! ten steps. With discount γ = 0.9 one stays in cell 0 for ever or leaves at the right, whichever is worth more:
//!
//! ```text
//!   V(s) = max( γ^s r / (1 − γ), γ^(4−s) ) = 0.9, 0.81, 0.81, 0.9, 1
//! ```
//!
//! and Q follows by one look ahead ([`OPTIMAL`]). The best action ([`BEST`]) is left, left, right, right, right; the
//! other one is worth at least 0.081 less. A learner that takes truncation for an end thinks that staying is worth
//! about r / (1 − 0.9 γ) = 0.47 and walks right from cell 1.

use rand::RngExt;
use tidegate_core::{Env, Seed, Spec, Step, StepEnd, Stream};

use crate::{choices, quantity};

/// The discount γ for which [`OPTIMAL`] holds.
pub const DISCOUNT: f64 = 0.9;

/// Value of `left` and `right` in each cell under the best policy, discounted by [`DISCOUNT`] and never truncated.
pub const OPTIMAL: [[f64; 2]; CELLS] =
    [[0.9, 0.729], [0.81, 0.729], [0.729, 0.81], [0.729, 0.9], [0.81, 1.0]];

/// The best action in each cell: 0 is `left`, 1 is `right`.
pub const BEST: [usize; CELLS] = [0, 0, 1, 1, 1];

const CELLS: usize = 5;
const STAY_REWARD: f64 = 0.09;
const STEPS_MAX: u32 = 10;

/// Five cells in a row.
#[derive(Clone, Debug)]
pub struct Chain {
    spec: Spec,
    cell: usize,
    /// 0 where a reset must come first.
    steps_left: u32,
}

impl Chain {
    /// An environment that waits for its first reset.
    pub fn new() -> Self {
        let spec = Spec {
            name: "chain".into(),
            observation: (0..CELLS).map(|cell| quantity(&format!("in cell {cell}"), "1", 0.0, 1.0)).collect(),
            action: choices(&["left", "right"]),
            steps_max: STEPS_MAX,
        };
        Self { spec, cell: 0, steps_left: 0 }
    }

    /// Starts an episode in this cell.
    pub fn reset_to(&mut self, cell: usize) -> [f32; CELLS] {
        assert!(cell < CELLS, "there are five cells, no {cell}");
        self.cell = cell;
        self.steps_left = STEPS_MAX;
        self.observe()
    }

    fn observe(&self) -> [f32; CELLS] {
        let mut observation = [0.0; CELLS];
        observation[self.cell] = 1.0;
        observation
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for Chain {
    type Action = usize;
    type Observation = [f32; CELLS];
    /// The cell.
    type Info = usize;

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: Seed) -> [f32; CELLS] {
        self.reset_to(seed.rng(Stream::EnvReset).random_range(0..CELLS))
    }

    fn step(&mut self, action: usize) -> Step<[f32; CELLS]> {
        assert!(self.steps_left > 0, "the episode is over, or none was started: reset first");
        self.steps_left -= 1;
        let mut end = (self.steps_left == 0).then_some(StepEnd::Truncated);
        let mut reward = 0.0;
        match (action, self.cell) {
            (0, 0) => reward = STAY_REWARD,
            (0, _) => self.cell -= 1,
            (1, cell) if cell + 1 < CELLS => self.cell += 1,
            (1, _) => {
                reward = 1.0;
                self.steps_left = 0;
                end = Some(StepEnd::Terminated);
            }
            _ => panic!("there are two actions, no {action}"),
        }
        Step { observation: self.observe(), reward, end }
    }

    fn info(&self) -> &usize {
        &self.cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    /// Value iteration on what the environment does, with or without a future after truncated steps.
    fn iterate(truncation_ends: bool) -> [[f64; 2]; CELLS] {
        let mut q = [[0.0_f64; 2]; CELLS];
        for _ in 0..1000 {
            let before = q;
            for (cell, values) in q.iter_mut().enumerate() {
                for (action, value) in values.iter_mut().enumerate() {
                    let mut env = Chain::new();
                    env.reset_to(cell);
                    let step = env.step(action);
                    let next = before[env.cell][0].max(before[env.cell][1]);
                    // Of ten steps one is truncated.
                    let goes_on = if truncation_ends { 1.0 - 1.0 / f64::from(STEPS_MAX) } else { 1.0 };
                    *value = step.reward
                        + if step.end == Some(StepEnd::Terminated) { 0.0 } else { DISCOUNT * goes_on * next };
                }
            }
        }
        q
    }

    #[test]
    fn value_iteration_finds_the_values_solved_by_hand() {
        for (found, by_hand) in iterate(false).as_flattened().iter().zip(OPTIMAL.as_flattened()) {
            assert!((found - by_hand).abs() < 1e-12, "{found} instead of {by_hand}");
        }
        for (values, best) in OPTIMAL.iter().zip(BEST) {
            assert!(values[best] >= values[1 - best] + 0.081 - 1e-12);
        }
    }

    #[test]
    fn who_takes_truncation_for_an_end_walks_right_from_cell_1() {
        let mistaken = iterate(true);
        assert!((mistaken[0][0] - 0.09 / (1.0 - 0.81)).abs() < 1e-12);
        assert!(mistaken[1][1] > mistaken[1][0] + 0.1, "{mistaken:?}");
    }

    #[test]
    fn conforms() {
        conformance::check(Chain::new).unwrap();
    }
}
