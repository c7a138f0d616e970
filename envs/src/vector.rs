//! Many copies of one environment stepped together, with automatic reset.
//!
//! Where an episode ends, the copy is reset in the same step (Gymnasium's `SAME_STEP`): the observation that comes back
//! is the first of the next episode, the final one and its info are kept beside it. So no step is wasted, and a
//! learner that stores [`Batch::next_observation`] never stores a transition across an end.

use tidegate_core::{Env, Seed, Split, StepEnd};

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

    /// One step of every copy, one action each. Allocates nothing.
    ///
    /// # Panics
    /// If there was no reset, or not one action for each copy.
    pub fn step(&mut self, actions: &[E::Action]) -> Batch<'_, E::Info> {
        let seed = self.seed.expect("a vector of environments is reset before its first step");
        assert_eq!(actions.len(), self.envs.len(), "one action a copy");
        for (copy, (env, &action)) in self.envs.iter_mut().zip(actions).enumerate() {
            let row = copy * self.width..(copy + 1) * self.width;
            let step = env.step(action);
            self.rewards[copy] = step.reward;
            self.ends[copy] = step.end;
            if step.end.is_some() {
                self.final_observations[row.clone()].copy_from_slice(step.observation.as_ref());
                self.final_infos[copy].clone_from(env.info());
                self.episodes[copy] += 1;
                let first = env.reset(episode_seed(seed, copy, self.episodes[copy]));
                self.observations[row].copy_from_slice(first.as_ref());
            } else {
                self.observations[row].copy_from_slice(step.observation.as_ref());
            }
        }
        Batch {
            width: self.width,
            observations: &self.observations,
            rewards: &self.rewards,
            ends: &self.ends,
            final_observations: &self.final_observations,
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

const COPIES_MAX: usize = 1 << 12;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{CartPole, Chain};

    /// Actions that differ from copy to copy and step to step.
    fn action(copy: usize, step: usize) -> usize {
        (copy * 7 + step * 5 + step / 3) % 2
    }

    #[test]
    fn copies_play_what_single_environments_play() {
        let seed = Seed::training(3);
        let mut vector = VectorEnv::new(vec![CartPole::new(); 5]);
        let mut singles = vec![CartPole::new(); 5];
        let mut episodes = [0; 5];
        let first = vector.reset(seed);
        for (copy, single) in singles.iter_mut().enumerate() {
            assert_eq!(&first[copy * 4..][..4], single.reset(episode_seed(seed, copy, 0)));
        }
        let mut n_ends = 0;
        for step in 0..500 {
            let actions: Vec<usize> = (0..5).map(|copy| action(copy, step)).collect();
            let batch = vector.step(&actions);
            for (copy, single) in singles.iter_mut().enumerate() {
                let expected = single.step(actions[copy]);
                assert_eq!(batch.rewards[copy], expected.reward);
                assert_eq!(batch.ends[copy], expected.end);
                assert_eq!(batch.next_observation(copy), expected.observation);
                assert_eq!(batch.final_info(copy), expected.end.map(|_| single.info()));
                if expected.end.is_some() {
                    n_ends += 1;
                    episodes[copy] += 1;
                    let reset = single.reset(episode_seed(seed, copy, episodes[copy]));
                    assert_eq!(batch.observation(copy), reset);
                } else {
                    assert_eq!(batch.observation(copy), batch.next_observation(copy));
                }
            }
        }
        assert!(n_ends > 20, "only {n_ends} episodes ended");
    }

    #[test]
    fn a_copy_plays_the_same_whatever_the_others_do() {
        let play = |n_copies: usize, others: usize| {
            let mut vector = VectorEnv::new(vec![Chain::new(); n_copies]);
            let mut seen = vector.reset(Seed::evaluation(8))[..5].to_vec();
            for step in 0..100 {
                let mut actions = vec![others; n_copies];
                actions[0] = action(0, step);
                seen.extend_from_slice(vector.step(&actions).observation(0));
            }
            seen
        };
        assert_eq!(play(1, 0), play(7, 0));
        assert_eq!(play(7, 0), play(7, 1));
    }

    #[test]
    fn a_step_allocates_nothing_even_where_it_resets() {
        let mut vector = VectorEnv::new(vec![CartPole::new(); 5]);
        vector.reset(Seed::training(0));
        let mut n_ends = 0;
        let allocated = allocation_counter::measure(|| {
            for _ in 0..200 {
                n_ends += vector.step(&[1; 5]).ends.iter().flatten().count();
            }
        });
        assert!(n_ends > 50, "only {n_ends} episodes ended");
        assert_eq!(allocated.count_total, 0);
    }

    #[test]
    fn no_two_episodes_share_a_world_and_splits_never_meet() {
        let mut worlds = BTreeSet::new();
        for base in [0, 1, 2, (1 << 19) - 1] {
            for copy in [0, 1, COPIES_MAX - 1] {
                for episode in [0, 1, (1 << 32) - 1] {
                    for seed in [Seed::training(base), Seed::evaluation(base)] {
                        let world = episode_seed(seed, copy, episode);
                        assert_eq!(world.split(), seed.split());
                        assert!(worlds.insert(world), "{world} comes twice");
                    }
                }
            }
        }
    }
}
