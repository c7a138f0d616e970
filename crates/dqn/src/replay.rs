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
        self.actions[..n].iter().for_each(|action| writer.u64(u64::from(*action)));
        self.allowed[..n * words].iter().for_each(|word| writer.u64(*word));
        self.next_allowed[..n * words].iter().for_each(|word| writer.u64(*word));
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
