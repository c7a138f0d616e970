//! The networks, and one gradient step.
//!
//! δ = r + γ max q̄(s', ·) − q(s, a), q learnt and q̄ the target network (Mnih et al., "Human-level control through deep
//! reinforcement learning", Nature 518, 2015, Algorithm 1), with what the options add to it.

use rand::Rng;
use tidegate_net::{Adam, NotFinite, Pass, ShapeError, clip_norm};

use crate::choice::{greedy, scaled_logarithms};
use crate::head::Reading;
use crate::noisy::Weights;
use crate::options::{Munchausen, Options, TargetUpdate};
use crate::replay::Sample;

/// What one gradient step saw, or the mean over several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    /// Gradient steps that this is the mean of.
    pub n: u32,
    /// The loss before the step, weighed as it was learnt.
    pub loss: f64,
    /// Mean value of the actions that were replayed, before the step.
    pub mean_q: f64,
    /// Norm of the gradient of all parameters together, before it was clipped.
    pub gradient_norm: f64,
}

impl Update {
    /// The mean of both, each as often as it counts.
    pub(crate) fn and(self, other: Self) -> Self {
        let n = self.n + other.n;
        let mean = |a: f64, b: f64| a + (b - a) * f64::from(other.n) / f64::from(n);
        Self {
            n,
            loss: mean(self.loss, other.loss),
            mean_q: mean(self.mean_q, other.mean_q),
            gradient_norm: mean(self.gradient_norm, other.gradient_norm),
        }
    }
}

/// What learns.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) reading: Reading,
    pub(crate) online: Weights,
    pub(crate) target: Weights,
    pub(crate) adam: Adam,
    /// |δ| of every row of the last batch.
    pub(crate) errors: Vec<f64>,
    gradient: Vec<f32>,
    pass: Pass,
    rows: Rows,
}

/// Numbers of the rows of a batch, kept between steps.
#[derive(Clone, Debug, Default)]
struct Rows {
    answers: Vec<f32>,
    next_answers: Vec<f32>,
    values: Vec<f32>,
    rewards: Vec<f32>,
    targets: Vec<f32>,
    by_answer: Vec<f32>,
    /// Probabilities of next actions of one row, what is added to their answers, and logarithms.
    policy: Vec<f32>,
    shifts: Vec<f32>,
    logarithms: Vec<f32>,
}

impl Agent {
    pub(crate) fn new(
        options: &Options,
        n_inputs: usize,
        n_actions: usize,
        rng: &mut impl Rng,
    ) -> Result<Self, ShapeError> {
        let reading = Reading { n_actions, dueling: options.dueling, head: options.head };
        let online = Weights::new(reading.shape(n_inputs, &options.hidden)?, options.noisy, rng);
        let n = online.learnt().len();
        let rows = Rows {
            rewards: vec![0.0; options.batch],
            targets: vec![0.0; options.batch * reading.n_numbers()],
            by_answer: vec![0.0; reading.n_numbers()],
            policy: vec![0.0; n_actions],
            shifts: vec![0.0; n_actions],
            logarithms: vec![0.0; n_actions],
            ..Rows::default()
        };
        Ok(Self {
            target: online.clone(),
            adam: Adam::with(n, options.adam),
            errors: vec![0.0; options.batch],
            gradient: vec![0.0; n],
            pass: Pass::default(),
            reading,
            online,
            rows,
        })
    }

    /// Values of all actions for rows of observations, with new noise if there is any.
    pub(crate) fn values(&mut self, observations: &[f32], rng: &mut impl Rng) -> &[f32] {
        self.online.draw(rng);
        let raw = self.online.network().forward(observations, &mut self.pass);
        self.reading.answers(raw, &mut self.rows.answers);
        self.reading.values(&self.rows.answers, &mut self.rows.values);
        &self.rows.values
    }

    /// One gradient step on a batch.
    pub(crate) fn learn(
        &mut self,
        options: &Options,
        sample: &Sample,
        rng: &mut impl Rng,
    ) -> Result<Update, NotFinite> {
        self.online.draw(rng);
        self.target.draw(rng);
        self.look_ahead(options, sample);

        let Self { reading, online, pass, gradient, errors, rows, .. } = self;
        let Rows { answers, targets, by_answer, .. } = rows;
        let (n, batch) = (reading.n_numbers(), sample.actions.len());
        let mut mean_q = 0.0;
        let loss = online.gradient(&sample.states, pass, gradient, |raw, by_raw| {
            reading.answers(raw, answers);
            let mut sum = 0.0;
            for (row, by_raw) in by_raw.chunks_exact_mut(raw.len() / batch).enumerate() {
                let action = sample.actions[row];
                let answer = &answers[(row * reading.n_actions + action) * n..][..n];
                let miss = reading.miss(options.loss, answer, &targets[row * n..][..n], by_answer);
                let share = sample.weights[row] / batch as f32;
                by_answer.iter_mut().for_each(|by| *by *= share);
                reading.carry_back(action, by_answer, by_raw);
                sum += f64::from(share) * miss.loss;
                mean_q += f64::from(reading.value(answer)) / batch as f64;
                errors[row] = miss.error;
            }
            sum
        });
        let gradient_norm = clip_norm(gradient, options.gradient_norm_max);
        let step = self.adam.n_steps();
        if !(loss.is_finite() && gradient_norm.is_finite()) {
            return Err(NotFinite { step, loss, norm: gradient_norm });
        }
        self.adam.step(options.learning_rate.at(step), gradient, self.online.learnt_mut());
        if let TargetUpdate::Soft { share } = options.target {
            self.follow(share as f32);
        }
        Ok(Update { n: 1, loss, mean_q, gradient_norm })
    }

    /// The target network moves by this share of the difference; 1 copies.
    pub(crate) fn follow(&mut self, share: f32) {
        let target = self.target.learnt_mut();
        if share == 1.0 {
            target.copy_from_slice(self.online.learnt());
            return;
        }
        for (target, online) in target.iter_mut().zip(self.online.learnt()) {
            *target += share * (online - *target);
        }
    }

    /// What the answers of a batch should have been, into `targets`.
    fn look_ahead(&mut self, options: &Options, sample: &Sample) {
        let Self { reading, online, target, pass, rows, .. } = self;
        let (n, n_actions) = (reading.n_numbers(), reading.n_actions);
        let Rows { answers, next_answers, values, targets, rewards, policy, shifts, logarithms, .. } = rows;

        rewards.copy_from_slice(&sample.rewards);
        if let Some(Munchausen { alpha, temperature, clip }) = options.munchausen {
            reading.answers(target.network().forward(&sample.states, pass), answers);
            reading.values(answers, values);
            for (row, reward) in rewards.iter_mut().enumerate() {
                let actions = row * n_actions..(row + 1) * n_actions;
                let (values, allowed) = (&values[actions.clone()], &sample.allowed[actions]);
                scaled_logarithms(values, allowed, temperature as f32, logarithms);
                *reward += alpha as f32 * logarithms[sample.actions[row]].clamp(clip as f32, 0.0);
            }
        }

        reading.answers(target.network().forward(&sample.next_states, pass), next_answers);
        if options.double {
            reading.answers(online.network().forward(&sample.next_states, pass), answers);
            reading.values(answers, values);
        } else {
            reading.values(next_answers, values);
        }
        for (row, target) in targets.chunks_exact_mut(n).enumerate() {
            let actions = row * n_actions..(row + 1) * n_actions;
            let (values, allowed) = (&values[actions.clone()], &sample.next_allowed[actions]);
            policy.fill(0.0);
            shifts.fill(0.0);
            match options.munchausen {
                // Where nothing more can be earned perhaps no action is allowed, and none counts.
                None => policy[greedy(values, allowed).unwrap_or(0)] = 1.0,
                Some(Munchausen { temperature, .. }) => {
                    let temperature = temperature as f32;
                    scaled_logarithms(values, allowed, temperature, logarithms);
                    for (action, logarithm) in logarithms.iter().enumerate() {
                        if allowed[action] {
                            policy[action] = (logarithm / temperature).exp();
                            shifts[action] = -logarithm;
                        }
                    }
                    if !allowed.contains(&true) {
                        policy[0] = 1.0;
                    }
                }
            }
            let next_answers = &next_answers[row * n_actions * n..][..n_actions * n];
            let earned = (rewards[row], sample.discounts[row]);
            reading.target(earned, next_answers, policy, shifts, target);
        }
    }
}
