//! Acrobot-v1: swing a two-link robot up by torque on its middle joint.
//!
//! Sutton (1996) as Gymnasium v1 has it: the book's dynamics, one Runge–Kutta step of fourth order over 0.2 s in
//! `f64`, first states rounded to `f32`, observations cast to `f32`; reward −1 a step and 0 in the step that reaches
//! the goal −cos θ₁ − cos(θ₁ + θ₂) > 1; at most 500 steps. Only the generator that draws the first state differs.

use std::array::from_fn;
use std::f64::consts::PI;

use rand::RngExt;
use tidegate_core::{Env, Seed, Spec, Step, StepEnd, Stream};

use crate::{choices, quantity};

const STEP_SECONDS: f64 = 0.2;
const SPEED_MAX: [f64; 2] = [4.0 * PI, 9.0 * PI];
const START_MAX: f64 = 0.1;
const STEPS_MAX: u32 = 500;

/// A robot of two links.
#[derive(Clone, Debug)]
pub struct Acrobot {
    spec: Spec,
    /// Angles of the first link (down is 0) and of the second relative to it, and their velocities.
    state: [f64; 4],
    /// 0 where a reset must come first.
    steps_left: u32,
}

impl Acrobot {
    /// An environment that waits for its first reset.
    pub fn new() -> Self {
        let speeds = SPEED_MAX.map(|speed| speed as f32);
        let spec = Spec {
            name: "acrobot".into(),
            observation: vec![
                quantity("cos theta1", "1", -1.0, 1.0),
                quantity("sin theta1", "1", -1.0, 1.0),
                quantity("cos theta2", "1", -1.0, 1.0),
                quantity("sin theta2", "1", -1.0, 1.0),
                quantity("velocity theta1", "rad/s", -speeds[0], speeds[0]),
                quantity("velocity theta2", "rad/s", -speeds[1], speeds[1]),
            ],
            action: choices(&["torque -1", "torque 0", "torque +1"]),
            steps_max: STEPS_MAX,
        };
        Self { spec, state: [0.0; 4], steps_left: 0 }
    }

    /// Starts an episode in this state, for comparisons with other implementations.
    pub fn reset_to(&mut self, state: [f64; 4]) -> [f32; 6] {
        self.state = state;
        self.steps_left = STEPS_MAX;
        self.observe()
    }

    fn observe(&self) -> [f32; 6] {
        let [theta1, theta2, velocity1, velocity2] = self.state;
        [theta1.cos(), theta1.sin(), theta2.cos(), theta2.sin(), velocity1, velocity2].map(|x| x as f32)
    }
}

impl Default for Acrobot {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for Acrobot {
    type Action = usize;
    type Observation = [f32; 6];
    /// Angles and velocities before they were turned into sines and rounded.
    type Info = [f64; 4];

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: Seed) -> [f32; 6] {
        let mut rng = seed.rng(Stream::EnvReset);
        self.reset_to(from_fn(|_| f64::from(rng.random_range(-START_MAX..START_MAX) as f32)))
    }

    fn step(&mut self, action: usize) -> Step<[f32; 6]> {
        assert!(self.steps_left > 0, "the episode is over, or none was started: reset first");
        debug_assert!(action < 3, "there are three actions, no {action}");
        let [theta1, theta2, velocity1, velocity2] = runge_kutta(self.state, action as f64 - 1.0);
        self.state = [
            wrap(theta1),
            wrap(theta2),
            velocity1.clamp(-SPEED_MAX[0], SPEED_MAX[0]),
            velocity2.clamp(-SPEED_MAX[1], SPEED_MAX[1]),
        ];
        self.steps_left -= 1;
        let is_up = -self.state[0].cos() - (self.state[1] + self.state[0]).cos() > 1.0;
        let end = if is_up {
            self.steps_left = 0;
            Some(StepEnd::Terminated)
        } else {
            (self.steps_left == 0).then_some(StepEnd::Truncated)
        };
        Step { observation: self.observe(), reward: if is_up { 0.0 } else { -1.0 }, end }
    }

    fn info(&self) -> &[f64; 4] {
        &self.state
    }
}

fn runge_kutta(state: [f64; 4], torque: f64) -> [f64; 4] {
    let after = |seconds: f64, slope: &[f64; 4]| from_fn(|i| state[i] + seconds * slope[i]);
    let k1 = slope(state, torque);
    let k2 = slope(after(STEP_SECONDS / 2.0, &k1), torque);
    let k3 = slope(after(STEP_SECONDS / 2.0, &k2), torque);
    let k4 = slope(after(STEP_SECONDS, &k3), torque);
    from_fn(|i| state[i] + STEP_SECONDS / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]))
}

/// Sutton and Barto's equations of motion; both links are 1 m long, weigh 1 kg, have their centre of mass in the
/// middle and moment of inertia 1 kg m².
///
/// | symbol | word | unit |
/// | --- | --- | --- |
/// | θ, ω | angles, their velocities | rad, rad/s |
/// | d, φ | inertia and gravity terms | kg m², N m |
fn slope([theta1, theta2, omega1, omega2]: [f64; 4], torque: f64) -> [f64; 4] {
    const LENGTH: f64 = 1.0;
    const CENTRE: f64 = 0.5;
    const MASS: f64 = 1.0;
    const INERTIA: f64 = 1.0;
    const GRAVITY: f64 = 9.8;
    let (sin2, cos2) = theta2.sin_cos();
    let d1 = MASS * (CENTRE * CENTRE)
        + MASS * (LENGTH * LENGTH + CENTRE * CENTRE + 2.0 * LENGTH * CENTRE * cos2)
        + INERTIA
        + INERTIA;
    let d2 = MASS * (CENTRE * CENTRE + LENGTH * CENTRE * cos2) + INERTIA;
    let phi2 = MASS * CENTRE * GRAVITY * (theta1 + theta2 - PI / 2.0).cos();
    let phi1 = -MASS * LENGTH * CENTRE * (omega2 * omega2) * sin2
        - 2.0 * MASS * LENGTH * CENTRE * omega2 * omega1 * sin2
        + (MASS * CENTRE + MASS * LENGTH) * GRAVITY * (theta1 - PI / 2.0).cos()
        + phi2;
    let acceleration2 = (torque + d2 / d1 * phi1 - MASS * LENGTH * CENTRE * (omega1 * omega1) * sin2 - phi2)
        / (MASS * (CENTRE * CENTRE) + INERTIA - d2 * d2 / d1);
    let acceleration1 = -(d2 * acceleration2 + phi1) / d1;
    [omega1, omega2, acceleration1, acceleration2]
}

/// The same angle in −π..=π.
fn wrap(mut angle: f64) -> f64 {
    while angle > PI {
        angle -= 2.0 * PI;
    }
    while angle < -PI {
        angle += 2.0 * PI;
    }
    angle
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conformance, golden};

    #[test]
    fn the_same_states_as_gymnasium() {
        let mut env = Acrobot::new();
        for episode in golden::episodes(include_str!("golden/acrobot.txt")) {
            env.reset_to(episode.start());
            let apart = episode.follow(&mut env, |env| env.state);
            // Two pendulums double a rounding error about every second; 100 s of it stay this small.
            assert!(apart <= 1e-9, "states are {apart:e} apart");
        }
    }

    #[test]
    fn conforms() {
        conformance::check(Acrobot::new).unwrap();
    }
}
