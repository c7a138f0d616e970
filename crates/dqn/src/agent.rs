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
                for by in by_answer.iter_mut() {
                    *by *= share;
                }
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

#[cfg(test)]
mod tests {
    use tidegate_core::{Seed, Stream};
    use tidegate_net::Schedule;

    use super::*;
    use crate::options::Head;
    use crate::replay::{Replay, Transition};

    /// Values as a table: two states, one hot, and as many actions as a row has. The biases are 0.
    fn agent(options: &Options, online: [&[f32]; 2], target: [&[f32]; 2]) -> Agent {
        let n_actions = online[0].len();
        let mut rng = Seed::training(0).rng(Stream::Learner);
        let mut agent = Agent::new(options, 2, n_actions, &mut rng).expect("a shape");
        for (weights, table) in [(&mut agent.online, online), (&mut agent.target, target)] {
            let learnt = weights.learnt_mut();
            learnt.fill(0.0);
            learnt[..2 * n_actions].copy_from_slice(&table.concat());
        }
        agent
    }

    fn options() -> Options {
        Options { hidden: Vec::new(), batch: 1, capacity: 1, ..Options::dqn(100) }
    }

    const STATES: [[f32; 2]; 2] = [[1.0, 0.0], [0.0, 1.0]];

    /// From state 0 by an action to state 1, with reward 1 and discount ½.
    fn sample(action: usize, allowed: [&[bool]; 2], discount: f32) -> Sample {
        let n_actions = allowed[0].len();
        let mut replay = Replay::new(1, 2, n_actions, None);
        replay.push(Transition {
            state: &STATES[0],
            allowed: allowed[0],
            action,
            reward: 1.0,
            discount,
            next_state: &STATES[1],
            next_allowed: allowed[1],
        });
        let mut sample = Sample::new(1, 2, n_actions);
        replay.sample(0.0, &mut Seed::training(0).rng(Stream::Excitation), &mut sample);
        sample
    }

    fn target_of(options: &Options, tables: [[&[f32]; 2]; 2], sample: &Sample) -> Vec<f32> {
        let mut agent = agent(options, tables[0], tables[1]);
        agent.look_ahead(options, sample);
        agent.rows.targets.clone()
    }

    /// In state 1 the online network says 2, 0 and the target network 1, 5. Greedy: 1 + ½ · 5; the online network's choice:
    /// 1 + ½ · 1.
    #[test]
    fn double_values_the_choice_of_the_other_network() {
        let tables: [[&[f32]; 2]; 2] = [[&[0.0, 0.0], &[2.0, 0.0]], [&[0.0, 0.0], &[1.0, 5.0]]];
        let sample = sample(0, [&[true; 2]; 2], 0.5);
        assert_eq!(target_of(&options(), tables, &sample), [3.5]);
        assert_eq!(target_of(&Options { double: true, ..options() }, tables, &sample), [1.5]);
    }

    /// The greatest value, 9, is not allowed next; without a future none need be.
    #[test]
    fn actions_that_are_not_allowed_are_not_bootstrapped_from() {
        let values: [&[f32]; 2] = [&[0.0; 3], &[4.0, 9.0, 6.0]];
        let allowed: [&[bool]; 2] = [&[true; 3], &[true, false, true]];
        for double in [false, true] {
            let options = Options { double, ..options() };
            assert_eq!(target_of(&options, [values; 2], &sample(0, allowed, 0.5)), [4.0]);
            let nothing = [allowed[0], &[false; 3]];
            assert_eq!(target_of(&options, [values; 2], &sample(0, nothing, 0.0)), [1.0]);
        }
    }

    /// Equation 3 of the paper written out in double precision.
    fn munchausen_by_hand(it: Munchausen, tables: [[&[f32]; 2]; 2], next_policy: &[f32]) -> f64 {
        let scaled = |values: &[f32]| -> Vec<f64> {
            let sum: f64 = values.iter().map(|q| (f64::from(*q) / it.temperature).exp()).sum();
            values.iter().map(|q| f64::from(*q) - it.temperature * sum.ln()).collect()
        };
        let bonus = it.alpha * scaled(tables[1][0])[0].clamp(it.clip, 0.0);
        let soft: f64 = scaled(next_policy)
            .iter()
            .zip(tables[1][1])
            .map(|(logarithm, q)| (logarithm / it.temperature).exp() * (f64::from(*q) - logarithm))
            .sum();
        1.0 + bonus + 0.5 * soft
    }

    /// Once clipped and once not; with double the online network gives the next policy. The mean of a distribution's target
    /// is the same, and its mass 1.
    #[test]
    fn munchausen_targets_are_those_of_the_paper() {
        let tables: [[&[f32]; 2]; 2] = [[&[0.0, 0.0], &[1.0, 0.25]], [&[0.25, 0.75], &[0.25, 0.5]]];
        for clip in [-1.0, -0.3] {
            let it = Munchausen { alpha: 0.9, temperature: 0.5, clip };
            for double in [false, true] {
                let options = Options { munchausen: Some(it), double, ..options() };
                let truth = munchausen_by_hand(it, tables, tables[usize::from(!double)][1]);
                let target = target_of(&options, tables, &sample(0, [&[true; 2]; 2], 0.5));
                assert!((f64::from(target[0]) - truth).abs() < 1e-6, "{it:?}, {double}: {target:?} {truth}");
            }
        }
        let it = Munchausen { alpha: 0.9, temperature: 0.5, clip: -1.0 };
        let head = Head::Categorical { atoms: 3, least: -2.0, most: 4.0 };
        let options = Options { munchausen: Some(it), head, ..options() };
        // Logits of the atoms −2, 1 and 4, action after action.
        let (state, next): (&[f32], &[f32]) =
            (&[0.1, 0.9, 0.2, 0.3, 0.8, 0.0], &[0.5, 1.0, 0.2, 0.0, 1.5, 0.1]);
        let reading = Reading { n_actions: 2, dueling: false, head };
        let means = [state, next].map(|logits| [reading.value(&logits[..3]), reading.value(&logits[3..])]);
        let of_means: [&[f32]; 2] = [&means[0], &means[1]];
        let truth = munchausen_by_hand(it, [of_means; 2], &means[1]);
        let mut agent =
            Agent::new(&options, 2, 2, &mut Seed::training(0).rng(Stream::Learner)).expect("a shape");
        let learnt = agent.target.learnt_mut();
        learnt.fill(0.0);
        learnt[..12].copy_from_slice(&[state, next].concat());
        agent.look_ahead(&options, &sample(0, [&[true; 2]; 2], 0.5));
        let [a, b, c] = agent.rows.targets[..] else { panic!("three atoms") };
        assert!((a + b + c - 1.0).abs() < 1e-6);
        assert!((f64::from(-2.0 * a + b + 4.0 * c) - truth).abs() < 1e-5, "{a} {b} {c}: {truth}");
    }

    /// Soft after each gradient step: target + share · (online after the step − target).
    #[test]
    fn a_soft_target_moves_by_its_share_and_a_hard_one_stays() {
        let tables: [[&[f32]; 2]; 2] = [[&[0.0, 1.0], &[2.0, 0.0]], [&[4.0, 0.0], &[1.0, 5.0]]];
        let sample = sample(0, [&[true; 2]; 2], 0.5);
        let learn = |target: TargetUpdate| {
            let options = Options { target, learning_rate: Schedule::Constant(0.1), ..options() };
            let mut agent = agent(&options, tables[0], tables[1]);
            let before = agent.clone();
            let mut rng = Seed::training(0).rng(Stream::Excitation);
            agent.learn(&options, &sample, &mut rng).expect("a finite loss");
            assert_ne!(before.online.learnt(), agent.online.learnt());
            (before, agent)
        };
        let (before, after) = learn(TargetUpdate::Soft { share: 0.25 });
        let pairs = before.target.learnt().iter().zip(after.online.learnt());
        for ((old, online), target) in pairs.zip(after.target.learnt()) {
            assert!((target - (0.75 * old + 0.25 * online)).abs() < 1e-6, "{old} {online} {target}");
        }
        let (before, mut after) = learn(TargetUpdate::Hard { every: 1 });
        assert_eq!(before.target.learnt(), after.target.learnt());
        after.follow(1.0);
        assert_eq!(after.online.learnt(), after.target.learnt());
    }

    /// Two rows, weights 1 and ½, errors −3.5 and −2.5 under Huber's loss: (3 + ½ · 2)/2 and slopes of −½ and −¼.
    #[test]
    fn importance_weights_weigh_loss_and_gradient() {
        let options = Options { batch: 2, gradient_norm_max: f64::INFINITY, ..options() };
        let tables: [[&[f32]; 2]; 2] = [[&[0.0, 1.0], &[0.0, 0.0]], [&[0.0, 0.0], &[1.0, 5.0]]];
        let mut agent = agent(&options, tables[0], tables[1]);
        let one = sample(0, [&[true; 2]; 2], 0.5);
        let mut two = Sample::new(2, 2, 2);
        two.states = [STATES[0], STATES[0]].concat();
        two.next_states = [STATES[1], STATES[1]].concat();
        two.rewards = vec![one.rewards[0]; 2];
        two.discounts = vec![0.5; 2];
        two.actions = vec![0, 1];
        two.weights = vec![1.0, 0.5];
        let mut rng = Seed::training(0).rng(Stream::Excitation);
        let update = agent.learn(&options, &two, &mut rng).expect("a finite loss");
        assert!((update.loss - 2.0).abs() < 1e-6 && (update.mean_q - 0.5).abs() < 1e-6, "{update:?}");
        assert_eq!(agent.errors, [3.5, 2.5]);
        // By the two weights of state 0 and by both biases, of either action.
        assert!((update.gradient_norm - (2.0 * (0.25 + 0.0625_f64)).sqrt()).abs() < 1e-6, "{update:?}");
    }
}
