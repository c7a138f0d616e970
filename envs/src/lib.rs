//! The gym-like environments, one a file, and the contract they all pass.
//!
//! - [`CartPole`], [`MountainCar`], [`Acrobot`]: as Gymnasium v1 defines them, references for learners;
//! - [`Chain`]: five cells whose optimal values are known in closed form;
//! - [`Autoscale`]: the simulated service, over either engine;
//! - [`Relative`]: the same with rewards in replicas too many, for learners;
//! - [`Randomised`]: variants of one environment, drawn by the seed of the episode;
//! - [`VectorEnv`]: many copies stepped together, with automatic reset;
//! - [`conformance::check`]: what every environment must pass.
//!
//! ```
//! use tidegate_core::{Env, Seed};
//! use tidegate_envs::CartPole;
//!
//! let mut env = CartPole::new();
//! let mut observation = env.reset(Seed::training(0));
//! let mut total = 0.0;
//! loop {
//!     let step = env.step(usize::from(observation[2] + observation[3] > 0.0));
//!     total += step.reward;
//!     observation = step.observation;
//!     if step.end.is_some() {
//!         break;
//!     }
//! }
//! assert!(total > 100.0, "leaning against the fall keeps the pole up for a while, but here for {total}");
//! ```

pub mod acrobot;
pub mod autoscale;
pub mod cart_pole;
pub mod chain;
pub mod conformance;
#[cfg(test)]
mod golden;
pub mod mountain_car;
pub mod randomised;

pub use acrobot::Acrobot;
pub use autoscale::{ActionSet, Autoscale, AutoscaleOptions, Relative, RichView, SourceView, View};
pub use cart_pole::CartPole;
pub use chain::Chain;
pub use mountain_car::MountainCar;
pub use randomised::Randomised;
pub use tidegate_core::VectorEnv;

use tidegate_core::{Quantity, Space};

fn quantity(name: &str, unit: &str, min: f32, max: f32) -> Quantity {
    Quantity { name: name.into(), unit: unit.into(), min, max }
}

fn choices(names: &[&str]) -> Space {
    Space::Discrete(names.iter().map(|&name| name.into()).collect())
}
