//! Many copies of one environment stepped together, with automatic reset.
//!
//! Where an episode ends, the copy is reset in the same step (Gymnasium's `SAME_STEP`): the observation that comes back
//! is the first of the next episode, the final one and its info are kept beside it. So no step is wasted, and a
//! learner that stores [`Batch::next_observation`] never stores a transition across an end.

use crate::{Env, Seed, Split, StepEnd};

/// Copies of one environment, stepped in order; all storage is taken at the start.
#[derive(Clone, Debug)]
pub struct VectorEnv<E: Env> {
    envs: Vec<E>,
    width: usize,
    seed: Option<Seed>,
    /// Episodes that each copy has finished.
    episodes: Vec<u64>,
    observations: Vec<f32>,
    rewards: Vec<f64>,
    ends: Vec<Option<StepEnd>>,
    final_observations: Vec<f32>,
    final_allowed: Vec<bool>,
    final_infos: Vec<E::Info>,
}

/// What one step of all copies gave.
#[derive(Debug)]
pub struct Batch<'a, I> {
    width: usize,
    /// What to act on next, row by row: after an end, the first observation of the next episode.
    pub observations: &'a [f32],
    /// What the step earned.
    pub rewards: &'a [f64],
    /// Whether the episode ended in this step, and how.
    pub ends: &'a [Option<StepEnd>],
    final_observations: &'a [f32],
    final_allowed: &'a [bool],
    final_infos: &'a [I],
}

impl<E: Env> VectorEnv<E>
where
    E::Action: Copy,
    E::Info: Clone,
{
    /// These copies, which must have one spec.
    ///
    /// # Panics
    /// If there are none, too many (4096) or they differ.
    pub fn new(envs: Vec<E>) -> Self {
        assert!(!envs.is_empty(), "a vector of environments holds at least one");
        assert!(envs.len() <= COPIES_MAX, "{} copies, but at most {COPIES_MAX}", envs.len());
        assert!(envs.iter().all(|env| env.spec() == envs[0].spec()), "all copies must have the same spec");
        let (n, width) = (envs.len(), envs[0].spec().observation.len());
        Self {
            width,
            seed: None,
            episodes: vec![0; n],
            observations: vec![0.0; n * width],
            rewards: vec![0.0; n],
            ends: vec![None; n],
            final_observations: vec![0.0; n * width],
            final_allowed: vec![true; n * envs[0].spec().action.len()],
            final_infos: envs.iter().map(|env| env.info().clone()).collect(),
            envs,
        }
    }

    /// How many copies there are.
    pub fn len(&self) -> usize {
        self.envs.len()
    }

    /// Never: there is at least one copy.
    pub fn is_empty(&self) -> bool {
        self.envs.is_empty()
    }

    /// The copies themselves, for their specs and infos.
    pub fn envs(&self) -> &[E] {
        &self.envs
    }

    /// Starts episode 0 of every copy and gives their first observations, row by row.
    pub fn reset(&mut self, seed: Seed) -> &[f32] {
        self.seed = Some(seed);
        self.episodes.fill(0);
        for (copy, (env, row)) in
            self.envs.iter_mut().zip(self.observations.chunks_exact_mut(self.width)).enumerate()
        {
            row.copy_from_slice(env.reset(episode_seed(seed, copy, 0)).as_ref());
        }
        &self.observations
    }

    /// Goes on where a vector of the same environments had come to: each copy starts the episode that it was in and
    /// repeats its actions. An environment is a function of seed and actions, so nothing else is to be kept of it. Gives
    /// what to act on next, row by row.
    ///
    /// # Panics
    /// If there is not one episode and one list of actions a copy, or an episode ends under these actions.
    pub fn resume(&mut self, seed: Seed, episodes: &[u64], actions: &[impl AsRef<[E::Action]>]) -> &[f32] {
        let n = self.envs.len();
        assert!(episodes.len() == n && actions.len() == n, "one episode and one list of actions a copy");
        self.seed = Some(seed);
        self.episodes.copy_from_slice(episodes);
        for (copy, (env, row)) in
            self.envs.iter_mut().zip(self.observations.chunks_exact_mut(self.width)).enumerate()
        {
            row.copy_from_slice(env.reset(episode_seed(seed, copy, episodes[copy])).as_ref());
            for &action in actions[copy].as_ref() {
                let step = env.step(action);
                assert!(
                    step.end.is_none(),
                    "copy {copy} ends episode {} under these actions",
                    episodes[copy]
                );
                row.copy_from_slice(step.observation.as_ref());
            }
        }
        &self.observations
    }

    /// Which episode each copy is in; the first is 0.
    pub fn episodes(&self) -> &[u64] {
        &self.episodes
    }

    /// What to act on next, row by row; zeros before the first reset.
    pub fn observations(&self) -> &[f32] {
        &self.observations
    }

    /// One step of every copy, one action each. Allocates nothing.
    ///
    /// # Panics
    /// If there was no reset, or not one action for each copy.
    pub fn step(&mut self, actions: &[E::Action]) -> Batch<'_, E::Info> {
        let seed = self.seed.expect("a vector of environments is reset before its first step");
        assert_eq!(actions.len(), self.envs.len(), "one action a copy");
        let n_actions = self.envs[0].spec().action.len();
        for (copy, (env, &action)) in self.envs.iter_mut().zip(actions).enumerate() {
            let row = copy * self.width..(copy + 1) * self.width;
            let step = env.step(action);
            self.rewards[copy] = step.reward;
            self.ends[copy] = step.end;
            if step.end.is_some() {
                self.final_observations[row.clone()].copy_from_slice(step.observation.as_ref());
                env.allowed(&mut self.final_allowed[copy * n_actions..][..n_actions]);
                self.final_infos[copy].clone_from(env.info());
                self.episodes[copy] += 1;
                let first = env.reset(episode_seed(seed, copy, self.episodes[copy]));
                self.observations[row].copy_from_slice(first.as_ref());
            } else {
                self.observations[row].copy_from_slice(step.observation.as_ref());
            }
        }
        self.last()
    }

    /// What the last step gave, once more; before the first one, zeros.
    pub fn last(&self) -> Batch<'_, E::Info> {
        Batch {
            width: self.width,
            observations: &self.observations,
            rewards: &self.rewards,
            ends: &self.ends,
            final_observations: &self.final_observations,
            final_allowed: &self.final_allowed,
            final_infos: &self.final_infos,
        }
    }

    /// Which actions are allowed now, copy by copy.
    pub fn allowed(&self, masks: &mut [bool]) {
        let n_actions = self.envs[0].spec().action.len();
        assert_eq!(masks.len(), n_actions * self.envs.len(), "one place an action and copy");
        for (env, mask) in self.envs.iter().zip(masks.chunks_exact_mut(n_actions)) {
            env.allowed(mask);
        }
    }
}

impl<I> Batch<'_, I> {
    /// What to act on next in this copy.
    pub fn observation(&self, copy: usize) -> &[f32] {
        &self.observations[copy * self.width..][..self.width]
    }

    /// What the step led to: the final observation where the episode ended, else the same as
    /// [`Batch::observation`]. This is what a learner bootstraps from.
    pub fn next_observation(&self, copy: usize) -> &[f32] {
        let rows = if self.ends[copy].is_some() { self.final_observations } else { self.observations };
        &rows[copy * self.width..][..self.width]
    }

    /// Which actions the final observation allowed; none if the episode goes on.
    pub fn final_allowed(&self, copy: usize) -> Option<&[bool]> {
        let n_actions = self.final_allowed.len() / self.ends.len();
        self.ends[copy].map(|_| &self.final_allowed[copy * n_actions..][..n_actions])
    }

    /// What a report needs of the episode that this step ended; none if it goes on.
    pub fn final_info(&self, copy: usize) -> Option<&I> {
        self.ends[copy].map(|_| &self.final_infos[copy])
    }
}

/// The world of one episode of one copy: of the same split as `seed`, the same whatever the other copies do, and
/// none of the plain worlds below 2⁶³ that experiments number themselves.
///
/// # Panics
/// If the seed's index is 2¹⁹ or more, the copy 4096 or more, or the episode 2³² or more.
pub fn episode_seed(seed: Seed, copy: usize, episode: u64) -> Seed {
    let base = seed.index();
    assert!(base < 1 << 19, "episodes can be derived from seeds below 2^19, not from {base}");
    assert!(copy < COPIES_MAX, "copy {copy}, but at most {COPIES_MAX} copies");
    assert!(episode < 1 << 32, "a copy plays at most 2^32 episodes");
    let index = 1 << 63 | base << 44 | (copy as u64) << 32 | episode;
    match seed.split() {
        Split::Training => Seed::training(index),
        Split::Evaluation => Seed::evaluation(index),
    }
}

/// Copies in one vector, at most.
pub const COPIES_MAX: usize = 1 << 12;
