//! Transitions that were seen, and batches drawn of them.

use rand::{Rng, RngExt};

use tidegate_net::{Reader, RecordError, Writer};

use crate::checkpoint::index;
use crate::options::Prioritized;
use crate::sum_tree::SumTree;

/// What an action led to, after one step or several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transition<'a> {
    pub(crate) state: &'a [f32],
    pub(crate) allowed: &'a [bool],
    pub(crate) action: usize,
    /// Discounted rewards of the steps.
    pub(crate) reward: f32,
    /// What the value of the next state counts: γ to the power of the steps, or 0 where nothing more can be earned.
    pub(crate) discount: f32,
    pub(crate) next_state: &'a [f32],
    pub(crate) next_allowed: &'a [bool],
}

/// A ring of transitions in flat storage that is taken at the start.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    pub(crate) width: usize,
    pub(crate) n_actions: usize,
    pub(crate) capacity: usize,
    pub(crate) len: usize,
    /// Where the next one goes.
    pub(crate) next: usize,
    pub(crate) states: Vec<f32>,
    pub(crate) next_states: Vec<f32>,
    pub(crate) rewards: Vec<f32>,
    pub(crate) discounts: Vec<f32>,
    pub(crate) actions: Vec<u32>,
    /// Allowed actions as bits, whole words a transition.
    pub(crate) allowed: Vec<u64>,
    pub(crate) next_allowed: Vec<u64>,
    pub(crate) priorities: Option<Priorities>,
}

/// pᵢ^α of every transition.
#[derive(Clone, Debug)]
pub(crate) struct Priorities {
    options: Prioritized,
    pub(crate) tree: SumTree,
    /// Of all so far: what a new transition gets.
    pub(crate) greatest: f64,
}

/// A batch, row after row; kept between draws.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) indices: Vec<usize>,
    pub(crate) states: Vec<f32>,
    pub(crate) allowed: Vec<bool>,
    pub(crate) actions: Vec<usize>,
    pub(crate) rewards: Vec<f32>,
    pub(crate) discounts: Vec<f32>,
    pub(crate) next_states: Vec<f32>,
    pub(crate) next_allowed: Vec<bool>,
    /// Importance weights, at most 1.
    pub(crate) weights: Vec<f32>,
}

impl Sample {
    pub(crate) fn new(batch: usize, width: usize, n_actions: usize) -> Self {
        Self {
            indices: vec![0; batch],
            states: vec![0.0; batch * width],
            allowed: vec![true; batch * n_actions],
            actions: vec![0; batch],
            rewards: vec![0.0; batch],
            discounts: vec![0.0; batch],
            next_states: vec![0.0; batch * width],
            next_allowed: vec![true; batch * n_actions],
            weights: vec![1.0; batch],
        }
    }
}

impl Replay {
    pub(crate) fn new(
        capacity: usize,
        width: usize,
        n_actions: usize,
        prioritized: Option<Prioritized>,
    ) -> Self {
        let words = n_actions.div_ceil(64);
        Self {
            width,
            n_actions,
            capacity,
            len: 0,
            next: 0,
            states: vec![0.0; capacity * width],
            next_states: vec![0.0; capacity * width],
            rewards: vec![0.0; capacity],
            discounts: vec![0.0; capacity],
            actions: vec![0; capacity],
            allowed: vec![0; capacity * words],
            next_allowed: vec![0; capacity * words],
            priorities: prioritized.map(|options| Priorities {
                options,
                tree: SumTree::new(capacity),
                greatest: 1.0,
            }),
        }
    }

    /// Keeps one more, in place of the oldest where it is full.
    pub(crate) fn push(&mut self, transition: Transition) {
        let (at, width, words) = (self.next, self.width, self.n_actions.div_ceil(64));
        self.states[at * width..][..width].copy_from_slice(transition.state);
        self.next_states[at * width..][..width].copy_from_slice(transition.next_state);
        self.rewards[at] = transition.reward;
        self.discounts[at] = transition.discount;
        self.actions[at] = transition.action as u32;
        pack(transition.allowed, &mut self.allowed[at * words..][..words]);
        pack(transition.next_allowed, &mut self.next_allowed[at * words..][..words]);
        if let Some(Priorities { options, tree, greatest }) = &mut self.priorities {
            tree.set(at, greatest.powf(options.alpha));
        }
        self.next = (at + 1) % self.capacity;
        self.len = self.capacity.min(self.len + 1);
    }

    /// Draws a batch with replacement: uniformly, or in proportion to priorities, one from each of as many equal parts of
    /// their sum. `share_of_run` is how much of the run is over, from 0 to 1.
    ///
    /// # Panics
    /// If it is empty.
    pub(crate) fn sample(&self, share_of_run: f64, rng: &mut impl Rng, into: &mut Sample) {
        assert!(self.len > 0, "a replay is drawn from when it holds something");
        let batch = into.indices.len();
        if let Some(Priorities { options, tree, .. }) = &self.priorities {
            let part = tree.total() / batch as f64;
            for (row, index) in into.indices.iter_mut().enumerate() {
                *index = tree.find((row as f64 + rng.random::<f64>()) * part);
            }
            let Prioritized { beta_from, beta_to, .. } = *options;
            let beta = beta_from + (beta_to - beta_from) * share_of_run;
            // N and the sum are the same for all, and the greatest weight belongs to the least priority.
            let priority = |index: &usize| tree.get(*index);
            let least = into.indices.iter().map(priority).fold(f64::INFINITY, f64::min);
            for (weight, index) in into.weights.iter_mut().zip(&into.indices) {
                *weight = (least / priority(index)).powf(beta) as f32;
            }
        } else {
            into.indices.iter_mut().for_each(|index| *index = rng.random_range(0..self.len));
        }
        let (width, n_actions, words) = (self.width, self.n_actions, self.n_actions.div_ceil(64));
        for (row, &index) in into.indices.iter().enumerate() {
            into.states[row * width..][..width].copy_from_slice(&self.states[index * width..][..width]);
            into.next_states[row * width..][..width]
                .copy_from_slice(&self.next_states[index * width..][..width]);
            into.rewards[row] = self.rewards[index];
            into.discounts[row] = self.discounts[index];
            into.actions[row] = self.actions[index] as usize;
            unpack(
                &self.allowed[index * words..][..words],
                &mut into.allowed[row * n_actions..][..n_actions],
            );
            unpack(
                &self.next_allowed[index * words..][..words],
                &mut into.next_allowed[row * n_actions..][..n_actions],
            );
        }
    }

    /// What the errors of a batch make of its priorities.
    pub(crate) fn learn_of(&mut self, indices: &[usize], errors: &[f64]) {
        let Some(Priorities { options, tree, greatest }) = &mut self.priorities else { return };
        for (&index, error) in indices.iter().zip(errors) {
            let priority = error.abs() + options.epsilon;
            *greatest = greatest.max(priority);
            tree.set(index, priority.powf(options.alpha));
        }
    }
}

impl Replay {
    /// What it holds, without room that is still empty.
    pub(crate) fn write(&self, writer: &mut Writer) {
        let (n, words) = (self.len, self.n_actions.div_ceil(64));
        writer.u64(n as u64);
        writer.u64(self.next as u64);
        writer.floats(&self.states[..n * self.width]);
        writer.floats(&self.next_states[..n * self.width]);
        writer.floats(&self.rewards[..n]);
        writer.floats(&self.discounts[..n]);
        for action in &self.actions[..n] {
            writer.u64(u64::from(*action));
        }
        for word in self.allowed[..n * words].iter().chain(&self.next_allowed[..n * words]) {
            writer.u64(*word);
        }
        if let Some(Priorities { tree, greatest, .. }) = &self.priorities {
            writer.f64(*greatest);
            (0..n).for_each(|index| writer.f64(tree.get(index)));
        }
    }

    /// What [`Replay::write`] wrote of one of the same capacity and width.
    pub(crate) fn read(&mut self, reader: &mut Reader) -> Result<(), RecordError> {
        self.len = index(reader, self.capacity + 1)?;
        self.next = index(reader, self.capacity)?;
        let (n, width, words) = (self.len, self.width, self.n_actions.div_ceil(64));
        self.states[..n * width].copy_from_slice(&reader.floats(n * width)?);
        self.next_states[..n * width].copy_from_slice(&reader.floats(n * width)?);
        self.rewards[..n].copy_from_slice(&reader.floats(n)?);
        self.discounts[..n].copy_from_slice(&reader.floats(n)?);
        for action in &mut self.actions[..n] {
            *action = index(reader, self.n_actions)? as u32;
        }
        for word in self.allowed[..n * words].iter_mut().chain(&mut self.next_allowed[..n * words]) {
            *word = reader.u64()?;
        }
        if let Some(Priorities { tree, greatest, .. }) = &mut self.priorities {
            *greatest = reader.f64()?;
            for index in 0..n {
                tree.set(index, reader.f64()?);
            }
        }
        Ok(())
    }
}

fn pack(allowed: &[bool], words: &mut [u64]) {
    for (word, allowed) in words.iter_mut().zip(allowed.chunks(64)) {
        *word = allowed.iter().rev().fold(0, |bits, allowed| bits << 1 | u64::from(*allowed));
    }
}

fn unpack(words: &[u64], allowed: &mut [bool]) {
    for (word, allowed) in words.iter().zip(allowed.chunks_mut(64)) {
        for (bit, allowed) in allowed.iter_mut().enumerate() {
            *allowed = word >> bit & 1 == 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{Seed, Stream};

    use super::*;

    fn transition<'a>(state: &'a [f32], allowed: &'a [bool]) -> Transition<'a> {
        let (action, reward, discount) = (state[0] as usize % allowed.len(), 10.0 * state[0], 0.5);
        Transition { state, allowed, action, reward, discount, next_state: state, next_allowed: allowed }
    }

    fn filled(n: usize, capacity: usize, prioritized: Option<Prioritized>) -> Replay {
        let mut replay = Replay::new(capacity, 1, 2, prioritized);
        (0..n).for_each(|it| replay.push(transition(&[it as f32], &[true, false])));
        replay
    }

    /// How often each index is drawn.
    fn counts(replay: &Replay, batch: usize, n_draws: usize) -> Vec<f64> {
        let mut rng = Seed::training(6).rng(Stream::Excitation);
        let (mut sample, mut counts) = (Sample::new(batch, 1, 2), vec![0.0; replay.len]);
        for _ in 0..n_draws {
            replay.sample(0.0, &mut rng, &mut sample);
            sample.indices.iter().for_each(|index| counts[*index] += 1.0);
        }
        counts
    }

    fn chi_square(counts: &[f64], shares: &[f64]) -> f64 {
        let n: f64 = counts.iter().sum();
        counts.iter().zip(shares).map(|(count, share)| (count - n * share).powi(2) / (n * share)).sum()
    }

    /// Eight indices, seven degrees of freedom: chi-square exceeds 24.3 once in a thousand. Batches of one, since the parts
    /// of a larger one make counts more even than chance.
    #[test]
    fn priorities_and_uniform_draws_follow_their_laws() {
        let alpha = 0.7;
        let mut replay = filled(8, 8, Some(Prioritized { alpha, epsilon: 0.01, ..Prioritized::default() }));
        let errors = [0.1, 2.0, 0.5, 0.0, 1.0, 3.0, 0.25, 0.7_f64];
        replay.learn_of(&[0, 1, 2, 3, 4, 5, 6, 7], &errors);
        let powers = errors.map(|error| (error + 0.01).powf(alpha));
        let shares = powers.map(|power| power / powers.iter().sum::<f64>());
        let counted = counts(&replay, 1, 40_000);
        assert!(chi_square(&counted, &shares) < 24.3, "{counted:?}");
        assert!(chi_square(&counted, &[0.125; 8]) > 1_000.0, "{counted:?}");
        assert!(chi_square(&counts(&filled(8, 8, None), 1, 40_000), &[0.125; 8]) < 24.3);
    }

    /// A part of a batch never misses an index that is as large as the part: of four equal ones, each comes once.
    #[test]
    fn a_batch_is_drawn_from_equal_parts() {
        let replay = filled(4, 4, Some(Prioritized::default()));
        assert_eq!(counts(&replay, 4, 100), [100.0; 4]);
    }

    /// (N P)^−β over the greatest of them.
    #[test]
    fn weights_are_those_of_the_formula() {
        let prioritized = Prioritized { alpha: 0.5, beta_from: 0.4, beta_to: 1.0, epsilon: 0.5 };
        let mut replay = filled(3, 3, Some(prioritized));
        replay.learn_of(&[0, 1, 2], &[0.5, 3.5, 8.5]);
        let mut sample = Sample::new(64, 1, 2);
        replay.sample(0.5, &mut Seed::training(7).rng(Stream::Excitation), &mut sample);
        // Powers 1, 2 and 3; β halfway.
        let probabilities = [1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0_f64];
        let weight = |index: usize| (3.0 * probabilities[index]).powf(-0.7);
        let greatest = sample.indices.iter().map(|index| weight(*index)).fold(0.0, f64::max);
        assert!(sample.indices.contains(&0) && sample.indices.contains(&2));
        for (index, found) in sample.indices.iter().zip(&sample.weights) {
            assert!((f64::from(*found) - weight(*index) / greatest).abs() < 1e-6, "{index}: {found}");
        }
    }

    #[test]
    fn a_new_transition_has_the_greatest_priority_so_far() {
        let mut replay =
            filled(2, 4, Some(Prioritized { alpha: 1.0, epsilon: 1.0, ..Prioritized::default() }));
        replay.learn_of(&[0], &[6.0]);
        replay.learn_of(&[0], &[1.0]);
        replay.push(transition(&[2.0], &[true, true]));
        let tree = &replay.priorities.as_ref().expect("it has priorities").tree;
        assert_eq!([0, 1, 2, 3].map(|index| tree.get(index)), [2.0, 1.0, 7.0, 0.0]);
    }

    /// Rows go together, and the oldest make room.
    #[test]
    fn what_was_pushed_comes_back_unless_it_was_overwritten() {
        let replay = filled(10, 4, None);
        let mut sample = Sample::new(200, 1, 2);
        replay.sample(0.0, &mut Seed::training(8).rng(Stream::Excitation), &mut sample);
        let mut seen = sample.states.clone();
        seen.sort_by(f32::total_cmp);
        seen.dedup();
        assert_eq!(seen, [6.0, 7.0, 8.0, 9.0]);
        for (row, state) in sample.states.iter().enumerate() {
            let found = (sample.actions[row], sample.rewards[row], sample.next_states[row]);
            assert_eq!(found, (*state as usize % 2, 10.0 * state, *state));
            assert_eq!(sample.allowed[2 * row..][..2], [true, false]);
        }
    }

    #[test]
    fn masks_come_back_however_many_actions_there_are() {
        for n in [1_usize, 2, 63, 64, 65, 130] {
            let mask: Vec<bool> = (0..n).map(|action| action % 3 == 1 || action == n - 1).collect();
            let (mut words, mut again) = (vec![0; n.div_ceil(64)], vec![false; n]);
            pack(&mask, &mut words);
            unpack(&words, &mut again);
            assert_eq!(mask, again);
        }
    }
}
