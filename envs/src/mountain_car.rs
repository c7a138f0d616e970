//! MountainCar-v0: drive an underpowered car out of a valley.
//!
//! Moore (1990) as Gymnasium v1 has it, in `f64` with observations cast to `f32`: reward −1 a step until the goal,
//! at most 200 steps. Only the generator that draws the first position differs.

use rand::RngExt;
use tidegate_core::{Env, Seed, Spec, Step, StepEnd, Stream};

use crate::{choices, quantity};

const POSITION_MIN: f64 = -1.2;
const POSITION_MAX: f64 = 0.6;
const SPEED_MAX: f64 = 0.07;
const GOAL: f64 = 0.5;
const FORCE: f64 = 0.001;
const GRAVITY: f64 = 0.0025;
const STEPS_MAX: u32 = 200;

/// A car in a valley.
#[derive(Clone, Debug)]
pub struct MountainCar {
    spec: Spec,
    /// Position and velocity.
    state: [f64; 2],
    /// 0 where a reset must come first.
    steps_left: u32,
}

impl MountainCar {
    /// An environment that waits for its first reset.
    pub fn new() -> Self {
        let spec = Spec {
            name: "mountain-car".into(),
            observation: vec![
                quantity("position", "1", POSITION_MIN as f32, POSITION_MAX as f32),
                quantity("velocity", "1/step", -SPEED_MAX as f32, SPEED_MAX as f32),
            ],
            action: choices(&["left", "coast", "right"]),
            steps_max: STEPS_MAX,
        };
        Self { spec, state: [0.0; 2], steps_left: 0 }
    }

    /// Starts an episode in this state, for comparisons with other implementations.
    pub fn reset_to(&mut self, state: [f64; 2]) -> [f32; 2] {
        self.state = state;
        self.steps_left = STEPS_MAX;
        state.map(|x| x as f32)
    }
}

impl Default for MountainCar {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for MountainCar {
    type Action = usize;
    type Observation = [f32; 2];
    /// The state before it was rounded.
    type Info = [f64; 2];

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: Seed) -> [f32; 2] {
        self.reset_to([seed.rng(Stream::EnvReset).random_range(-0.6..-0.4), 0.0])
    }

    #[inline]
    fn step(&mut self, action: usize) -> Step<[f32; 2]> {
        assert!(self.steps_left > 0, "the episode is over, or none was started: reset first");
        debug_assert!(action < 3, "there are three actions, no {action}");
        let [position, velocity] = self.state;
        let push = (action as f64 - 1.0) * FORCE + (3.0 * position).cos() * -GRAVITY;
        let mut velocity = (velocity + push).clamp(-SPEED_MAX, SPEED_MAX);
        let position = (position + velocity).clamp(POSITION_MIN, POSITION_MAX);
        if position == POSITION_MIN && velocity < 0.0 {
            velocity = 0.0;
        }
        self.state = [position, velocity];
        self.steps_left -= 1;
        let end = if position >= GOAL && velocity >= 0.0 {
            self.steps_left = 0;
            Some(StepEnd::Terminated)
        } else {
            (self.steps_left == 0).then_some(StepEnd::Truncated)
        };
        Step { observation: self.state.map(|x| x as f32), reward: -1.0, end }
    }

    fn info(&self) -> &[f64; 2] {
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conformance, golden};

    #[test]
    fn the_same_states_as_gymnasium() {
        let mut env = MountainCar::new();
        for episode in golden::episodes(include_str!("golden/mountain_car.txt")) {
            env.reset_to(episode.start());
            let apart = episode.follow(&mut env, |env| env.state);
            assert!(apart <= 1e-12, "states are {apart:e} apart");
        }
    }

    #[test]
    fn conforms() {
        conformance::check(MountainCar::new).unwrap();
    }
}
