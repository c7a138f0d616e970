//! What a network says about each action: how its raw outputs become answers, answers become values, and what they should
//! have been.
//!
//! An answer is what is said of one action: its expected return, the logits of C51, or quantiles. With two streams, those of
//! the advantages and those of the state, answer = v + a − mean a (Wang et al., "Dueling network architectures", ICML 2016,
//! eq. 9): what is added to all advantages changes nothing.

use tidegate_net::{Activation, Pointwise, Shape, ShapeError};

use crate::categorical::{self, Grid};
use crate::options::Head;
use crate::quantile;

/// How raw outputs are read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) n_actions: usize,
    pub(crate) dueling: bool,
    pub(crate) head: Head,
}

/// What is wrong with one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Miss {
    pub(crate) loss: f64,
    /// By what a transition's priority goes.
    pub(crate) error: f64,
}

impl Reading {
    /// Numbers in one answer.
    pub(crate) fn n_numbers(&self) -> usize {
        match self.head {
            Head::Expected => 1,
            Head::Categorical { atoms, .. } => atoms,
            Head::Quantile { quantiles, .. } => quantiles,
        }
    }

    /// The network that gives such raw outputs.
    pub(crate) fn shape(&self, n_inputs: usize, hidden: &[usize]) -> Result<Shape, ShapeError> {
        let widths = [&[n_inputs], hidden].concat();
        let n_advantages = self.n_actions.saturating_mul(self.n_numbers());
        if self.dueling {
            Shape::with_streams(&widths, &[n_advantages, self.n_numbers()], Activation::Relu)
        } else {
            Shape::new(&[&widths[..], &[n_advantages]].concat(), Activation::Relu)
        }
    }

    /// Answers of every row, action after action.
    pub(crate) fn answers(&self, raw: &[f32], answers: &mut Vec<f32>) {
        answers.clear();
        if !self.dueling {
            answers.extend_from_slice(raw);
            return;
        }
        let (n, n_advantages) = (self.n_numbers(), self.n_actions * self.n_numbers());
        for raw in raw.chunks_exact(n_advantages + n) {
            let start = answers.len();
            answers.extend_from_slice(&raw[..n_advantages]);
            let answers = &mut answers[start..];
            for (number, value) in raw[n_advantages..].iter().enumerate() {
                let sum: f32 = answers.iter().skip(number).step_by(n).sum();
                let added = value - sum / self.n_actions as f32;
                answers.iter_mut().skip(number).step_by(n).for_each(|answer| *answer += added);
            }
        }
    }

    /// The gradient by the raw outputs of one row, of a loss that depends on the answer of one action only.
    pub(crate) fn carry_back(&self, action: usize, by_answer: &[f32], by_raw: &mut [f32]) {
        let n = self.n_numbers();
        if self.dueling {
            let (by_advantages, by_value) = by_raw.split_at_mut(self.n_actions * n);
            by_value.copy_from_slice(by_answer);
            for by_advantage in by_advantages.chunks_exact_mut(n) {
                for (by_advantage, by_answer) in by_advantage.iter_mut().zip(by_answer) {
                    *by_advantage = -by_answer / self.n_actions as f32;
                }
            }
        }
        for (by_raw, by_answer) in by_raw[action * n..][..n].iter_mut().zip(by_answer) {
            *by_raw += by_answer;
        }
    }

    /// The expected return that an answer says.
    pub(crate) fn value(&self, answer: &[f32]) -> f32 {
        match self.head {
            Head::Expected => answer[0],
            Head::Categorical { .. } => self.grid().mean(answer),
            Head::Quantile { .. } => answer.iter().sum::<f32>() / answer.len() as f32,
        }
    }

    /// The same of every answer.
    pub(crate) fn values(&self, answers: &[f32], values: &mut Vec<f32>) {
        values.clear();
        values.extend(answers.chunks_exact(self.n_numbers()).map(|answer| self.value(answer)));
    }

    /// What the answer should have been: `reward + discount · Σ policy · (next answer + shift)` over next actions.
    ///
    /// With [`Head::Categorical`] the target is made of probabilities, not logits: the projected mixture.
    pub(crate) fn target(
        &self,
        (reward, discount): (f32, f32),
        next_answers: &[f32],
        policy: &[f32],
        shifts: &[f32],
        target: &mut [f32],
    ) {
        let next = next_answers.chunks_exact(self.n_numbers()).zip(policy.iter().zip(shifts));
        let next = next.filter(|(_, (probability, _))| **probability > 0.0);
        if let Head::Categorical { .. } = self.head {
            target.fill(0.0);
            let grid = self.grid();
            next.for_each(|(answer, (probability, shift))| {
                grid.project(*probability, answer, reward + discount * shift, discount, target);
            });
        } else {
            target.fill(reward);
            next.for_each(|(answer, (probability, shift))| {
                for (target, number) in target.iter_mut().zip(answer) {
                    *target += discount * probability * (number + shift);
                }
            });
        }
    }

    /// How far an answer misses its target, and the gradient by it. `loss` is for expected values.
    pub(crate) fn miss(&self, loss: Pointwise, answer: &[f32], target: &[f32], by: &mut [f32]) -> Miss {
        let loss = match self.head {
            Head::Expected => {
                let error = answer[0] - target[0];
                let (loss, slope) = loss.of(error);
                by[0] = slope;
                return Miss { loss: f64::from(loss), error: f64::from(error.abs()) };
            }
            Head::Categorical { .. } => categorical::divergence(answer, target, by),
            Head::Quantile { kappa, .. } => quantile::huber(kappa as f32, answer, target, by),
        };
        Miss { loss, error: loss }
    }

    fn grid(&self) -> Grid {
        let Head::Categorical { atoms, least, most } = self.head else {
            unreachable!("only categorical answers have a grid")
        };
        Grid { atoms, least: least as f32, most: most as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duel(n_actions: usize, head: Head) -> Reading {
        Reading { n_actions, dueling: true, head }
    }

    /// By hand: advantages 1, 2, 6 and value 10.
    #[test]
    fn advantages_are_counted_from_their_mean() {
        let mut answers = Vec::new();
        duel(3, Head::Expected).answers(&[1.0, 2.0, 6.0, 10.0], &mut answers);
        assert_eq!(answers, [8.0, 9.0, 13.0]);
    }

    /// What is added to all advantages changes nothing, what is added to the value changes all alike; for each quantile.
    #[test]
    fn a_constant_cannot_hide_in_the_advantages() {
        let reading = duel(2, Head::Quantile { quantiles: 2, kappa: 1.0 });
        let raw = [0.5, -1.0, 2.0, 0.25, 3.0, 4.0];
        let shifted = [0.5 + 8.0, -1.0 - 2.0, 2.0 + 8.0, 0.25 - 2.0, 3.0, 4.0];
        let (mut answers, mut again) = (Vec::new(), Vec::new());
        reading.answers(&raw, &mut answers);
        reading.answers(&shifted, &mut again);
        assert_eq!(answers, again);
        reading.answers(&[0.5, -1.0, 2.0, 0.25, 3.0 + 1.0, 4.0], &mut again);
        assert_eq!(again, [answers[0] + 1.0, answers[1], answers[2] + 1.0, answers[3]]);
    }

    /// Answers are linear in raw outputs, so a difference of 1 gives the gradient.
    #[test]
    fn the_gradient_of_an_answer_goes_to_both_streams() {
        for dueling in [true, false] {
            let head = Head::Quantile { quantiles: 2, kappa: 1.0 };
            let reading = Reading { n_actions: 3, dueling, head };
            let raw: Vec<f32> = (0..if dueling { 8 } else { 6 }).map(|i| (i * i) as f32 / 4.0).collect();
            let by_answer = [2.0, -3.0];
            let loss = |raw: &[f32]| {
                let mut answers = Vec::new();
                reading.answers(raw, &mut answers);
                by_answer[0] * answers[2] + by_answer[1] * answers[3]
            };
            let mut by_raw = vec![0.0; raw.len()];
            reading.carry_back(1, &by_answer, &mut by_raw);
            for (place, by) in by_raw.iter().enumerate() {
                let mut above = raw.clone();
                above[place] += 1.0;
                assert!((loss(&above) - loss(&raw) - by).abs() < 1e-5, "{dueling}, {place}: {by}");
            }
        }
    }

    /// reward 1, discount ½; half of each action, shifted by 2 and 4: 1 + ½(½(3 + 2) + ½(5 + 4)) = 4.5.
    #[test]
    fn a_target_is_a_mean_over_next_actions() {
        let reading = Reading { n_actions: 2, dueling: false, head: Head::Expected };
        let mut target = [0.0];
        reading.target((1.0, 0.5), &[3.0, 5.0], &[0.5, 0.5], &[2.0, 4.0], &mut target);
        assert_eq!(target, [4.5]);
        let reading = Reading { head: Head::Quantile { quantiles: 2, kappa: 1.0 }, ..reading };
        let mut target = [0.0; 2];
        reading.target((1.0, 0.5), &[1.0, 3.0, 7.0, 9.0], &[0.0, 1.0], &[0.0, 0.0], &mut target);
        assert_eq!(target, [4.5, 5.5]);
    }
}
