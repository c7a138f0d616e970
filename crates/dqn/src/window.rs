//! The last n steps of one copy of an environment, which become transitions of n steps.
//!
//! R = Σ γᵏ rₖ over the steps k = 0 … n − 1 of the window; the value of the state behind them counts γⁿ (Hessel et al.,
//! "Rainbow", AAAI 2018, eq. 1). Where an episode ends, every step that is still in the window becomes a transition of the
//! steps that there were: a terminated one counts nothing behind them, a truncated one the value of the final observation.

use tidegate_core::StepEnd;
use tidegate_net::{Reader, RecordError, Writer};

use crate::checkpoint::index;
use crate::replay::{Replay, Transition};

/// Steps whose transitions are not complete yet, in a ring.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) n: usize,
    discount: f64,
    pub(crate) first: usize,
    pub(crate) len: usize,
    pub(crate) states: Vec<f32>,
    pub(crate) allowed: Vec<bool>,
    pub(crate) actions: Vec<usize>,
    pub(crate) rewards: Vec<f64>,
}

/// What a step led to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) reward: f64,
    pub(crate) end: Option<StepEnd>,
    pub(crate) next_state: &'a [f32],
    pub(crate) next_allowed: &'a [bool],
}

impl Window {
    pub(crate) fn new(n: usize, discount: f64, width: usize, n_actions: usize) -> Self {
        Self {
            n,
            discount,
            first: 0,
            len: 0,
            states: vec![0.0; n * width],
            allowed: vec![true; n * n_actions],
            actions: vec![0; n],
            rewards: vec![0.0; n],
        }
    }

    /// One more step; the transitions that it completes go to the replay.
    pub(crate) fn push(
        &mut self,
        state: &[f32],
        allowed: &[bool],
        action: usize,
        outcome: Outcome,
        replay: &mut Replay,
    ) {
        let at = (self.first + self.len) % self.n;
        self.states[at * state.len()..][..state.len()].copy_from_slice(state);
        self.allowed[at * allowed.len()..][..allowed.len()].copy_from_slice(allowed);
        self.actions[at] = action;
        self.rewards[at] = outcome.reward;
        self.len += 1;
        while self.len == self.n || (self.len > 0 && outcome.end.is_some()) {
            self.complete_oldest(outcome, state.len(), allowed.len(), replay);
        }
    }

    fn complete_oldest(&mut self, outcome: Outcome, width: usize, n_actions: usize, replay: &mut Replay) {
        let (mut reward, mut discount) = (0.0, 1.0);
        for step in 0..self.len {
            reward += discount * self.rewards[(self.first + step) % self.n];
            discount *= self.discount;
        }
        if outcome.end == Some(StepEnd::Terminated) {
            discount = 0.0;
        }
        let at = self.first;
        replay.push(Transition {
            state: &self.states[at * width..][..width],
            allowed: &self.allowed[at * n_actions..][..n_actions],
            action: self.actions[at],
            reward: reward as f32,
            discount: discount as f32,
            next_state: outcome.next_state,
            next_allowed: outcome.next_allowed,
        });
        self.first = (self.first + 1) % self.n;
        self.len -= 1;
    }

    /// The whole ring.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(self.len as u64);
        writer.u64(self.first as u64);
        writer.floats(&self.states);
        for allowed in &self.allowed {
            writer.u64(u64::from(*allowed));
        }
        for action in &self.actions {
            writer.u64(*action as u64);
        }
        for reward in &self.rewards {
            writer.f64(*reward);
        }
    }

    /// What [`Window::write`] wrote of one of the same length and width.
    pub(crate) fn read(&mut self, reader: &mut Reader) -> Result<(), RecordError> {
        self.len = index(reader, self.n)?;
        self.first = index(reader, self.n)?;
        let states = reader.floats(self.states.len())?;
        self.states.copy_from_slice(&states);
        let n_actions = self.allowed.len() / self.n;
        for allowed in &mut self.allowed {
            *allowed = reader.u64()? == 1;
        }
        for action in &mut self.actions {
            *action = index(reader, n_actions)?;
        }
        for reward in &mut self.rewards {
            *reward = reader.f64()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// One episode of these rewards with discount ½ in states 0, 1, …: every transition as state, return, discount and next
    /// state.
    fn check(n: usize, rewards: &[f64], end: Option<StepEnd>, expected: &Expect) {
        let mut replay = Replay::new(16, 1, 1, None);
        let mut window = Window::new(n, 0.5, 1, 1);
        for (step, reward) in rewards.iter().enumerate() {
            let end = if step + 1 == rewards.len() { end } else { None };
            let next_state = &[(step + 1) as f32];
            let outcome = Outcome { reward: *reward, end, next_state, next_allowed: &[true] };
            window.push(&[step as f32], &[true], 0, outcome, &mut replay);
        }
        let said: Vec<String> = (0..replay.len)
            .map(|it| {
                let (reward, discount) = (replay.rewards[it], replay.discounts[it]);
                format!("{}: {reward} + {discount} v{}", replay.states[it], replay.next_states[it])
            })
            .collect();
        expected.assert_eq(&said.join(", "));
    }

    /// By hand.
    #[test]
    fn returns_end_with_the_episode() {
        let rewards = [8.0, 4.0, 2.0, 16.0];
        check(1, &rewards, None, &expect!["0: 8 + 0.5 v1, 1: 4 + 0.5 v2, 2: 2 + 0.5 v3, 3: 16 + 0.5 v4"]);
        check(3, &rewards, None, &expect!["0: 10.5 + 0.125 v3, 1: 9 + 0.125 v4"]);
        check(
            3,
            &rewards,
            Some(StepEnd::Truncated),
            &expect!["0: 10.5 + 0.125 v3, 1: 9 + 0.125 v4, 2: 10 + 0.25 v4, 3: 16 + 0.5 v4"],
        );
        check(
            3,
            &rewards,
            Some(StepEnd::Terminated),
            &expect!["0: 10.5 + 0.125 v3, 1: 9 + 0 v4, 2: 10 + 0 v4, 3: 16 + 0 v4"],
        );
        check(5, &rewards, None, &expect![""]);
        check(9, &[8.0, 4.0], Some(StepEnd::Terminated), &expect!["0: 10 + 0 v2, 1: 4 + 0 v2"]);
    }
}
