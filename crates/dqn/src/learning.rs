//! The loop: act, keep what happened, learn of it.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tidegate_core::{Env, Seed, VectorEnv};
use tidegate_net::{NotFinite, ShapeError};

use crate::agent::{Agent, Update};
use crate::chance::Purpose;
use crate::choice::greedy;
use crate::options::{OptionError, Options, TargetUpdate};
use crate::policy::{Episode, Policy, n_choices};
use crate::replay::{Replay, Sample};
use crate::window::{Outcome, Window};

/// A run of learning: an iterator over its steps, one for each step of each copy of the environment.
///
/// Whoever has it decides what to print, when to stop, and when to keep a checkpoint ([`Learning::to_bytes`]) or a policy.
/// After an error there is nothing more.
pub struct Learning<E: Env<Action = usize>> {
    pub(crate) options: Options,
    pub(crate) seed: Seed,
    pub(crate) vector: VectorEnv<E>,
    pub(crate) agent: Agent,
    pub(crate) replay: Replay,
    pub(crate) windows: Vec<Window>,
    pub(crate) chance: Chance,
    /// Actions of each copy since its reset: what brings it back from a checkpoint.
    pub(crate) taken: Vec<Vec<usize>>,
    /// What each copy has earned in its present episode.
    pub(crate) running: Vec<Episode>,
    pub(crate) told: Told,
    sample: Sample,
    states: Vec<f32>,
    allowed: Vec<bool>,
    next_allowed: Vec<bool>,
    explores: Vec<bool>,
    actions: Vec<usize>,
}

/// The generators.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    pub(crate) exploration: ChaCha8Rng,
    pub(crate) replay: ChaCha8Rng,
    pub(crate) noise: ChaCha8Rng,
}

/// What the last step of all copies gave, of which the iterator tells one copy after the other.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Steps made, by all copies.
    pub(crate) steps: u64,
    /// Copies that were told about.
    pub(crate) copies: usize,
    pub(crate) epsilon: f64,
    pub(crate) ended: Vec<Option<Episode>>,
    pub(crate) update: Option<Update>,
    pub(crate) failed: bool,
}

/// One step of one copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps made, this one included, over all copies.
    pub step: u64,
    /// Which copy made it.
    pub copy: usize,
    /// Gradient steps made.
    pub gradient_steps: u64,
    /// Probability of a random action in this step.
    pub epsilon: f64,
    /// The episode that this step ended.
    pub episode: Option<Episode>,
    /// The mean over the gradient steps that followed this step; with several copies, told with the last of them.
    pub update: Option<Update>,
}

/// Why a run cannot start or go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LearningError {
    /// An option cannot be meant.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// No network can be built with these widths.
    #[error("`hidden` makes no network: {0}")]
    Network(#[from] ShapeError),
    /// The environment is none that this can learn.
    #[error("`{name}` must have an observation and choices as its action, but has {what}")]
    Environment {
        /// Its name.
        name: String,
        /// What it has instead.
        what: &'static str,
    },
    /// A loss or a gradient was no finite number.
    #[error("environment step {step} of seed {seed}: gradient {source}")]
    NotFinite {
        /// Steps made.
        step: u64,
        /// The seed of the run.
        seed: Seed,
        /// Which gradient step, and the numbers.
        source: NotFinite,
    },
}

impl<E: Env<Action = usize>> Learning<E>
where
    E::Info: Clone,
{
    /// A run on these copies of one environment; all storage is taken here or in the first gradient step.
    ///
    /// Worlds are those of [`tidegate_core::vector::episode_seed`]; weights, exploration, replay and noise are drawn from
    /// the learner's stream of the seed, each from a place of its own.
    ///
    /// # Errors
    /// If an option cannot be meant, or the environment has no observation or other actions than choices.
    ///
    /// # Panics
    /// If there is no copy, there are too many, or they differ; or the seed's index is 2¹⁹ or more.
    pub fn new(options: Options, envs: Vec<E>, seed: Seed) -> Result<Self, LearningError> {
        let mut learning = Self::idle(options, envs, seed)?;
        learning.vector.reset(seed);
        learning.look();
        Ok(learning)
    }

    /// Before the first reset of its environments.
    pub(crate) fn idle(options: Options, envs: Vec<E>, seed: Seed) -> Result<Self, LearningError> {
        options.check()?;
        let vector = VectorEnv::new(envs);
        let (n, spec) = (vector.len(), vector.envs()[0].spec());
        let fails = |what| LearningError::Environment { name: spec.name.clone(), what };
        let n_actions = n_choices(spec).ok_or_else(|| fails("other actions"))?;
        let width = spec.observation.len();
        if width == 0 {
            return Err(fails("no observation"));
        }
        let steps_max = spec.steps_max as usize;
        Ok(Self {
            agent: Agent::new(&options, width, n_actions, &mut Purpose::Initial.rng(seed))?,
            replay: Replay::new(options.capacity, width, n_actions, options.prioritized),
            windows: vec![Window::new(options.n_steps, options.discount, width, n_actions); n],
            chance: Chance {
                exploration: Purpose::Exploration.rng(seed),
                replay: Purpose::Replay.rng(seed),
                noise: Purpose::Noise.rng(seed),
            },
            taken: (0..n).map(|_| Vec::with_capacity(steps_max)).collect(),
            running: vec![Episode { total: 0.0, length: 0 }; n],
            told: Told {
                steps: 0,
                copies: n,
                epsilon: 1.0,
                ended: vec![None; n],
                update: None,
                failed: false,
            },
            sample: Sample::new(options.batch, width, n_actions),
            states: vec![0.0; n * width],
            allowed: vec![true; n * n_actions],
            next_allowed: vec![true; n * n_actions],
            explores: vec![false; n],
            actions: vec![0; n],
            options,
            seed,
            vector,
        })
    }

    /// The greedy policy as it is now.
    pub fn policy(&self) -> Policy {
        Policy::new(self.agent.online.quiet(), self.agent.reading.clone())
    }

    /// What it was told.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The seed of the run.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Steps made, by all copies.
    pub fn steps(&self) -> u64 {
        self.told.steps
    }

    /// Takes in what the environments show now.
    pub(crate) fn look(&mut self) {
        self.states.copy_from_slice(self.vector.observations());
        self.vector.allowed(&mut self.allowed);
    }

    /// One step of all copies, and what is to be learnt then.
    fn step(&mut self) -> Result<(), NotFinite> {
        let before = self.told.steps;
        self.told.epsilon = self.epsilon(before);
        self.choose_actions();
        self.act();
        let after = before + self.vector.len() as u64;
        self.told.steps = after;
        self.told.copies = 0;
        self.told.update = None;

        if let TargetUpdate::Hard { every } = self.options.target
            && after / every > before / every
        {
            self.agent.follow(1.0);
        }
        if after > self.options.learning_starts && self.replay.len > 0 {
            let bursts = after / self.options.train_every - before / self.options.train_every;
            for _ in 0..bursts * u64::from(self.options.gradient_steps) {
                self.learn()?;
            }
        }
        Ok(())
    }

    /// Probability of a random action, after so many steps.
    fn epsilon(&self, step: u64) -> f64 {
        if step < self.options.learning_starts {
            1.0
        } else {
            self.options.exploration.at(step, self.options.steps)
        }
    }

    fn choose_actions(&mut self) {
        let Self { agent, chance, states, allowed, explores, actions, .. } = self;
        let n_actions = agent.reading.n_actions;
        for ((explores, action), allowed) in
            explores.iter_mut().zip(&mut *actions).zip(allowed.chunks_exact(n_actions))
        {
            *explores = chance.exploration.random::<f64>() < self.told.epsilon;
            if *explores {
                let n_allowed = allowed.iter().filter(|allowed| **allowed).count();
                assert!(n_allowed > 0, "an environment allows at least one action");
                let choices = (0..n_actions).filter(|action| allowed[*action]);
                let chosen = { choices }.nth(chance.exploration.random_range(0..n_allowed));
                *action = chosen.expect("it is one of those allowed");
            }
        }
        if explores.iter().all(|explores| *explores) {
            return;
        }
        let values = agent.values(states, &mut chance.noise);
        for (copy, (values, allowed)) in
            values.chunks_exact(n_actions).zip(allowed.chunks_exact(n_actions)).enumerate()
        {
            if !explores[copy] {
                actions[copy] = greedy(values, allowed).expect("an environment allows at least one action");
            }
        }
    }

    /// Steps all copies and keeps the transitions that are complete.
    fn act(&mut self) {
        let Self {
            vector,
            replay,
            windows,
            taken,
            running,
            told,
            states,
            allowed,
            next_allowed,
            actions,
            ..
        } = self;
        let (width, n_actions) = (replay.width, replay.n_actions);
        vector.step(actions);
        vector.allowed(next_allowed);
        let batch = vector.last();
        for (copy, window) in windows.iter_mut().enumerate() {
            let (action, reward, end) = (actions[copy], batch.rewards[copy], batch.ends[copy]);
            let of_copy = copy * n_actions..(copy + 1) * n_actions;
            let outcome = Outcome {
                reward,
                end,
                next_state: batch.next_observation(copy),
                next_allowed: batch.final_allowed(copy).unwrap_or(&next_allowed[of_copy.clone()]),
            };
            window.push(&states[copy * width..][..width], &allowed[of_copy], action, outcome, replay);

            let episode = &mut running[copy];
            episode.total += reward;
            episode.length += 1;
            taken[copy].push(action);
            told.ended[copy] = end.map(|_| *episode);
            if end.is_some() {
                *episode = Episode { total: 0.0, length: 0 };
                taken[copy].clear();
            }
        }
        self.look();
    }

    /// One gradient step.
    fn learn(&mut self) -> Result<(), NotFinite> {
        let Self { agent, replay, sample, chance, told, options, .. } = self;
        let share_of_run = (told.steps as f64 / options.steps as f64).min(1.0);
        replay.sample(share_of_run, &mut chance.replay, sample);
        let update = agent.learn(options, sample, &mut chance.noise)?;
        replay.learn_of(&sample.indices, &agent.errors);
        told.update = Some(told.update.map_or(update, |before| before.and(update)));
        Ok(())
    }
}

impl<E: Env<Action = usize>> Iterator for Learning<E>
where
    E::Info: Clone,
{
    type Item = Result<Progress, LearningError>;

    fn next(&mut self) -> Option<Self::Item> {
        let n = self.vector.len();
        if self.told.copies == n {
            if self.told.failed || self.told.steps >= self.options.steps {
                return None;
            }
            if let Err(source) = self.step() {
                self.told.failed = true;
                self.told.copies = n;
                let (step, seed) = (self.told.steps, self.seed);
                return Some(Err(LearningError::NotFinite { step, seed, source }));
            }
        }
        let copy = self.told.copies;
        self.told.copies += 1;
        Some(Ok(Progress {
            step: self.told.steps - (n - 1 - copy) as u64,
            copy,
            gradient_steps: self.agent.adam.n_steps(),
            epsilon: self.told.epsilon,
            episode: self.told.ended[copy],
            update: if copy + 1 == n { self.told.update } else { None },
        }))
    }
}

#[cfg(test)]
mod tests {
    use tidegate_envs::Chain;

    use super::*;

    /// Copied with steps 10, 20, …, before the burst that follows the step: a burst learns against a target that stands
    /// still, as in Stable-Baselines3.
    #[test]
    fn a_hard_target_is_copied_by_steps_of_the_environment_before_a_burst() {
        let target = TargetUpdate::Hard { every: 10 };
        let options =
            Options { target, train_every: 5, gradient_steps: 3, learning_starts: 7, ..Options::dqn(60) };
        let mut learning =
            Learning::new(options, vec![Chain::new()], Seed::training(0)).expect("it can start");
        for step in 1..=60_u64 {
            let (online, target) =
                (learning.agent.online.learnt().to_vec(), learning.agent.target.learnt().to_vec());
            let updates = learning.next().expect("it goes on").expect("finite numbers").update;
            let after = learning.agent.target.learnt();
            assert!(after == if step.is_multiple_of(10) { &online[..] } else { &target[..] }, "step {step}");
            let learns = step > 7 && step.is_multiple_of(5);
            assert_eq!(updates.map(|update| update.n), learns.then_some(3), "step {step}");
            assert_eq!(learning.agent.online.learnt() != online, learns, "step {step}");
        }
    }

    /// With several copies, once where one or more multiples were passed.
    #[test]
    fn targets_and_bursts_go_by_steps_of_all_copies() {
        let options = Options {
            target: TargetUpdate::Hard { every: 10 },
            train_every: 2,
            learning_starts: 0,
            ..Options::dqn(40)
        };
        let mut learning =
            Learning::new(options, vec![Chain::new(); 4], Seed::training(0)).expect("it can start");
        for step in (4..=40_u64).step_by(4) {
            let target = learning.agent.target.learnt().to_vec();
            let last = learning.by_ref().nth(3).expect("it goes on").expect("finite numbers");
            assert_eq!((last.step, last.update.map(|update| update.n)), (step, Some(2)));
            assert_eq!(
                learning.agent.target.learnt() != target,
                [12, 20, 32, 40].contains(&step),
                "step {step}"
            );
        }
    }
}
