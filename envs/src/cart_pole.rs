//! CartPole-v1: keep a pole upright on a cart by pushing left or right.
//!
//! Barto, Sutton and Anderson (1983) as Gymnasium v1 has it: Euler steps of 20 ms in `f64`, observations cast to
//! `f32`, reward 1 for every step including the one in which the pole falls, at most 500 steps. Only the generator
//! that draws the first state differs (Gymnasium's is numpy's PCG64). The arithmetic is written in Gymnasium's order,
//! and the tests find the same states to 1e-12 over 500 steps.

use std::f64::consts::PI;

use rand::RngExt;
use tidegate_core::{Env, Seed, Spec, Step, StepEnd, Stream};

use crate::{choices, quantity};

const GRAVITY: f64 = 9.8;
const MASS_POLE: f64 = 0.1;
const MASS_TOTAL: f64 = 0.1 + 1.0;
const LENGTH_HALF: f64 = 0.5;
const POLE_MASS_LENGTH: f64 = MASS_POLE * LENGTH_HALF;
const FORCE: f64 = 10.0;
const STEP_SECONDS: f64 = 0.02;
const ANGLE_MAX: f64 = 12.0 * 2.0 * PI / 360.0;
const POSITION_MAX: f64 = 2.4;
const START_MAX: f64 = 0.05;
const STEPS_MAX: u32 = 500;

/// A pole on a cart.
#[derive(Clone, Debug)]
pub struct CartPole {
    spec: Spec,
    /// Position in metres, velocity, angle in radians, angular velocity.
    state: [f64; 4],
    /// 0 where a reset must come first.
    steps_left: u32,
}

impl CartPole {
    /// An environment that waits for its first reset.
    pub fn new() -> Self {
        let spec = Spec {
            name: "cart-pole".into(),
            observation: vec![
                quantity("position", "m", -2.0 * POSITION_MAX as f32, 2.0 * POSITION_MAX as f32),
                quantity("velocity", "m/s", f32::NEG_INFINITY, f32::INFINITY),
                quantity("angle", "rad", -2.0 * ANGLE_MAX as f32, 2.0 * ANGLE_MAX as f32),
                quantity("angular velocity", "rad/s", f32::NEG_INFINITY, f32::INFINITY),
            ],
            action: choices(&["left", "right"]),
            steps_max: STEPS_MAX,
        };
        Self { spec, state: [0.0; 4], steps_left: 0 }
    }

    /// Starts an episode in this state, for comparisons with other implementations.
    pub fn reset_to(&mut self, state: [f64; 4]) -> [f32; 4] {
        self.state = state;
        self.steps_left = STEPS_MAX;
        state.map(|x| x as f32)
    }
}

impl Default for CartPole {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for CartPole {
    type Action = usize;
    type Observation = [f32; 4];
    /// The state before it was rounded.
    type Info = [f64; 4];

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: Seed) -> [f32; 4] {
        let mut rng = seed.rng(Stream::EnvReset);
        self.reset_to(std::array::from_fn(|_| rng.random_range(-START_MAX..START_MAX)))
    }

    #[inline]
    fn step(&mut self, action: usize) -> Step<[f32; 4]> {
        assert!(self.steps_left > 0, "the episode is over, or none was started: reset first");
        debug_assert!(action < 2, "there are two actions, no {action}");
        let [x, velocity, angle, angular_velocity] = self.state;
        let force = if action == 1 { FORCE } else { -FORCE };
        let (sin, cos) = sin_cos(angle);
        let pull = (force + POLE_MASS_LENGTH * (angular_velocity * angular_velocity) * sin) / MASS_TOTAL;
        let angular_acceleration =
            (GRAVITY * sin - cos * pull) / (LENGTH_HALF * (4.0 / 3.0 - MASS_POLE * (cos * cos) / MASS_TOTAL));
        let acceleration = pull - POLE_MASS_LENGTH * angular_acceleration * cos / MASS_TOTAL;
        self.state = [
            x + STEP_SECONDS * velocity,
            velocity + STEP_SECONDS * acceleration,
            angle + STEP_SECONDS * angular_velocity,
            angular_velocity + STEP_SECONDS * angular_acceleration,
        ];
        self.steps_left -= 1;
        let end = if self.state[0].abs() > POSITION_MAX || self.state[2].abs() > ANGLE_MAX {
            self.steps_left = 0;
            Some(StepEnd::Terminated)
        } else {
            (self.steps_left == 0).then_some(StepEnd::Truncated)
        };
        Step { observation: self.state.map(|x| x as f32), reward: 1.0, end }
    }

    fn info(&self) -> &[f64; 4] {
        &self.state
    }
}

/// Sine and cosine: within π/4, where every running episode is, by the polynomials of fdlibm (Sun Microsystems,
/// 1993, `k_sin.c` and `k_cos.c`; error below 1 unit in the last place). The calls to the system's library took half
/// of a step, and this way the result does not hang on which library that is.
#[inline]
fn sin_cos(angle: f64) -> (f64, f64) {
    const SIN: [f64; 6] = [
        -1.666_666_666_666_663_2e-1,
        8.333_333_333_322_49e-3,
        -1.984_126_982_985_795e-4,
        2.755_731_370_707_006_8e-6,
        -2.505_076_025_340_686_3e-8,
        1.589_690_995_211_55e-10,
    ];
    const COS: [f64; 6] = [
        4.166_666_666_666_66e-2,
        -1.388_888_888_887_411e-3,
        2.480_158_728_947_673e-5,
        -2.755_731_435_139_066_3e-7,
        2.087_572_321_298_175e-9,
        -1.135_964_755_778_819_5e-11,
    ];
    if angle.abs() > PI / 4.0 {
        return angle.sin_cos();
    }
    let z = angle * angle;
    let w = z * z;
    let r = SIN[1] + z * (SIN[2] + z * SIN[3]) + z * w * (SIN[4] + z * SIN[5]);
    let sin = angle + z * angle * (SIN[0] + z * r);
    let r = z * (COS[0] + z * (COS[1] + z * COS[2])) + w * w * (COS[3] + z * (COS[4] + z * COS[5]));
    let half = 0.5 * z;
    let most = 1.0 - half;
    // What `most` lost in rounding comes back.
    let cos = most + (((1.0 - most) - half) + z * r);
    (sin, cos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conformance, golden};

    #[test]
    fn the_same_states_as_gymnasium() {
        let mut env = CartPole::new();
        for episode in golden::episodes(include_str!("golden/cart_pole.txt")) {
            env.reset_to(episode.start());
            let apart = episode.follow(&mut env, |env| env.state);
            assert!(apart <= 1e-12, "states are {apart:e} apart");
        }
    }

    #[test]
    fn sine_and_cosine_to_the_last_place() {
        for index in -10_000..=10_000 {
            let angle = f64::from(index) * 1.0e-4;
            let (sin, cos) = sin_cos(angle);
            assert!((sin - angle.sin()).abs() <= f64::EPSILON * angle.sin().abs(), "sin {angle}");
            assert!((cos - angle.cos()).abs() <= f64::EPSILON * angle.cos().abs(), "cos {angle}");
        }
    }

    #[test]
    fn conforms() {
        conformance::check(CartPole::new).unwrap();
    }
}
