//! Deep Q-learning: an environment in, a greedy policy out.
//!
//! [`Learning`] is an iterator over the steps of a run that whoever has it owns: it tells of episodes and gradient steps,
//! can be stopped anywhere, kept as bytes and gone on with to the same bits. Each extension of the first algorithm is one
//! field of [`Options`], and any can be combined; all of them are Rainbow. What comes out is a [`Policy`].
//!
//! Works on any environment of `tidegate_core` whose action is a choice. A truncated episode goes on as far as values are
//! concerned, a terminated one does not; an action that the environment does not allow is neither taken nor counted as
//! what could come next.
//!
//! ```
//! use tidegate_core::Seed;
//! use tidegate_dqn::{Learning, Options};
//! use tidegate_envs::{Chain, chain};
//!
//! let options = Options { discount: chain::DISCOUNT, batch: 32, ..Options::zoo_cart_pole() };
//! let options = Options { steps: 3_000, train_every: 4, gradient_steps: 1, hidden: vec![32], ..options };
//! let mut learning = Learning::new(options, vec![Chain::new()], Seed::training(0))?;
//! let mut n_episodes = 0;
//! for progress in &mut learning {
//!     n_episodes += usize::from(progress?.episode.is_some());
//! }
//! let mut policy = learning.policy();
//! let cells = (0..5).map(|cell| Chain::new().reset_to(cell));
//! let actions: Vec<usize> = cells.map(|observation| policy.act(&observation, &[true; 2])).collect();
//! assert_eq!((n_episodes > 300, actions), (true, chain::BEST.to_vec()));
//! # Ok::<(), tidegate_dqn::LearningError>(())
//! ```

mod agent;
mod categorical;
mod chance;
pub mod checkpoint;
mod choice;
mod head;
pub mod learning;
mod noisy;
pub mod options;
pub mod policy;
mod presets;
mod quantile;
mod replay;
mod sum_tree;
mod window;

pub use agent::Update;
pub use checkpoint::CheckpointError;
pub use learning::{Learning, LearningError, Progress};
pub use options::{Exploration, Head, Munchausen, Noisy, OptionError, Options, Prioritized, TargetUpdate};
pub use policy::{Episode, Policy};
