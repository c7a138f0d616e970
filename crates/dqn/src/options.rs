//! What a learner can be told. Each extension of the first algorithm is one option, and any of them can be combined.

use tidegate_net::{AdamOptions, Pointwise, Schedule};

/// All options of a run; [`Options::dqn`] and its neighbours are published ones to start from.
///
/// Steps are steps of the environment (of all copies together) unless they are called gradient steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Steps after which the run is over; at least 1.
    pub steps: u64,
    /// Discount γ of one step, in [0, 1].
    pub discount: f64,
    /// Widths of the hidden layers, all `ReLU`; at least one with [`Options::dueling`].
    pub hidden: Vec<usize>,
    /// Transitions in one gradient step; at least 1.
    pub batch: usize,
    /// Transitions that the replay holds before the oldest is overwritten (Mnih 2015, "experience replay"); at least 1.
    pub capacity: usize,
    /// Up to this step actions are random and nothing is learnt.
    pub learning_starts: u64,
    /// After so many steps a burst of gradient steps follows; at least 1.
    pub train_every: u64,
    /// Gradient steps in a burst; at least 1.
    pub gradient_steps: u32,
    /// Learning rate by gradient steps; positive at its start, never negative.
    pub learning_rate: Schedule,
    /// β₁, β₂ and ε of Adam (Kingma and Ba 2015).
    pub adam: AdamOptions,
    /// The gradient of all parameters together is shortened to this norm; positive, may be infinite.
    pub gradient_norm_max: f64,
    /// Loss of a temporal-difference error where values are [`Head::Expected`]: Huber's with threshold 1 is the clipping
    /// of errors of Mnih 2015 ("Methods").
    pub loss: Pointwise,
    /// Random actions.
    pub exploration: Exploration,
    /// How the target network follows.
    pub target: TargetUpdate,
    /// The online network chooses the next action, the target network values it (van Hasselt, Guez and Silver, "Deep
    /// reinforcement learning with double Q-learning", AAAI 2016, eq. 4). With [`Options::munchausen`] the online network
    /// gives the next policy.
    pub double: bool,
    /// q = v + a − mean a, from two streams that share all hidden layers but the last, of which each has its own (Wang et
    /// al., "Dueling network architectures", ICML 2016, eq. 9). With a distribution, for each of its numbers.
    pub dueling: bool,
    /// Rewards n of this many steps before the target network's value (Sutton 1988; Hessel et al., "Rainbow", AAAI 2018,
    /// "Multi-step learning"), without correction for actions that were not greedy; at least 1. Where an episode ends
    /// earlier, as many as there were.
    pub n_steps: usize,
    /// Transitions with large errors are replayed more often.
    pub prioritized: Option<Prioritized>,
    /// Noise in the weights explores, and its size is learnt.
    pub noisy: Option<Noisy>,
    /// Expected values, or their distributions.
    pub head: Head,
    /// The policy's own logarithm is added to the reward.
    pub munchausen: Option<Munchausen>,
}

/// With probability ε an action is drawn from those allowed: ε falls in a straight line over a fraction of the steps and
/// then stays (Mnih 2015, "Training details").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exploration {
    /// ε at step 0, in [0, 1].
    pub from: f64,
    /// ε at the end of the fraction and from then on, in [0, 1].
    pub to: f64,
    /// The fraction of all steps, in [0, 1].
    pub fraction: f64,
}

impl Exploration {
    /// ε after so many of all steps.
    pub fn at(self, step: u64, steps: u64) -> f64 {
        let of = self.fraction * steps as f64;
        if step as f64 >= of { self.to } else { self.from + (self.to - self.from) * step as f64 / of }
    }
}

/// How the target network follows the online network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TargetUpdate {
    /// Copied every so many steps (Mnih 2015, Algorithm 1, "every C steps"). As in Stable-Baselines3
    /// (`target_update_interval`) these are steps of the environment, between bursts of gradient steps: within a burst the
    /// target stands still.
    Hard {
        /// At least 1.
        every: u64,
    },
    /// After every gradient step moved by this share of the difference (Lillicrap et al., "Continuous control with deep
    /// reinforcement learning", ICLR 2016, Algorithm 1, τ).
    Soft {
        /// In (0, 1].
        share: f64,
    },
}

/// Prioritized replay (Schaul et al., "Prioritized experience replay", ICLR 2016, Algorithm 1, proportional variant).
///
/// P(i) = pᵢ^α / Σ pₖ^α with pᵢ = |δᵢ| + ε, weights wᵢ = (N P(i))^−β / max w, the greatest being that of the batch. A new
/// transition has the greatest priority so far. With a distribution, δ is its loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prioritized {
    /// How far priorities count, in [0, 1]; 0 is uniform.
    pub alpha: f64,
    /// How far weights undo the bias at step 0, in [0, 1].
    pub beta_from: f64,
    /// The same at the last step; in a straight line between.
    pub beta_to: f64,
    /// ε that keeps every priority positive.
    pub epsilon: f64,
}

impl Default for Prioritized {
    /// α 0.6, β from 0.4 to 1, ε 1e-6 (section 4).
    fn default() -> Self {
        Self { alpha: 0.6, beta_from: 0.4, beta_to: 1.0, epsilon: 1e-6 }
    }
}

/// Factorised Gaussian noise in weights and biases (Fortunato et al., "Noisy networks for exploration", ICLR 2018, eqs. 9
/// to 11): w = μ + σ ε. As there, the last two layers are noisy (of every stream), and random actions are usually switched
/// off. Noise is drawn anew for every action, and for both networks for every gradient step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noisy {
    /// σ starts at this over √(inputs of the layer); not negative.
    pub sigma: f64,
}

impl Default for Noisy {
    /// σ₀ = 0.5 (section 3.2).
    fn default() -> Self {
        Self { sigma: 0.5 }
    }
}

/// What the network says about each action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    /// The expected return.
    Expected,
    /// Probabilities of returns on a grid: C51 (Bellemare, Dabney and Munos, "A distributional perspective on
    /// reinforcement learning", ICML 2017, Algorithm 1). The loss is the Kullback–Leibler divergence from the projected
    /// target.
    Categorical {
        /// Points of the grid, at least 2.
        atoms: usize,
        /// The least return; finite.
        least: f64,
        /// The greatest, more than the least; returns beyond either are taken for it.
        most: f64,
    },
    /// Quantiles of the return at levels (i + ½)/N: QR-DQN (Dabney et al., "Distributional reinforcement learning with
    /// quantile regression", AAAI 2018, eqs. 9 and 10).
    Quantile {
        /// N, at least 1.
        quantiles: usize,
        /// Where Huber's loss becomes linear; positive.
        kappa: f64,
    },
}

/// Munchausen reinforcement learning (Vieillard, Pietquin and Geist, `NeurIPS` 2020, eq. 3):
///
/// r + α \[τ ln π(a|s)\] + γ Σ π(a'|s') (q(s', a') − τ ln π(a'|s')), π = softmax(q/τ), \[·\] clipped to \[clip, 0\]
///
/// q is the target network's expected value. Beyond the paper: with several rewards before the bootstrap, the bonus is that
/// of the first action and the next policy that of the last state; with [`Options::double`] the online network gives the
/// next policy; [`Head::Categorical`] projects the mixture over next actions, each shifted by its −τ ln π,
/// [`Head::Quantile`] averages quantiles of one level as M-IQN does. Actions that are not allowed have probability 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Munchausen {
    /// α, in [0, 1].
    pub alpha: f64,
    /// τ, positive, in units of return.
    pub temperature: f64,
    /// The least τ ln π that is added, negative (the paper's l₀).
    pub clip: f64,
}

impl Default for Munchausen {
    /// α 0.9, τ 0.03, clipped at −1 (section 4).
    fn default() -> Self {
        Self { alpha: 0.9, temperature: 0.03, clip: -1.0 }
    }
}

/// An option that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` must be {allowed}, but is {value}")]
pub struct OptionError {
    /// The field as written, for example `exploration.to`.
    pub field: &'static str,
    /// What is allowed.
    pub allowed: &'static str,
    /// What it is.
    pub value: String,
}

const AT_LEAST_1: &str = "at least 1";
const SHARE: &str = "between 0 and 1";

impl Options {
    /// That every option can be meant.
    ///
    /// # Errors
    /// Names the first one that cannot, its value and what is allowed.
    pub fn check(&self) -> Result<(), OptionError> {
        let is_share = |value: f64| (0.0..=1.0).contains(&value);
        let is_positive = |value: f64| value > 0.0 && value.is_finite();
        let counts = [
            ("steps", self.steps),
            ("batch", self.batch as u64),
            ("capacity", self.capacity as u64),
            ("train_every", self.train_every),
            ("gradient_steps", u64::from(self.gradient_steps)),
            ("n_steps", self.n_steps as u64),
        ];
        for (field, value) in counts {
            require(value >= 1, field, AT_LEAST_1, &value)?;
        }
        require(!self.hidden.contains(&0), "hidden", "widths of at least 1", &format!("{:?}", self.hidden))?;
        let has_streams = !self.dueling || !self.hidden.is_empty();
        require(has_streams, "hidden", "at least one width where `dueling` is on", &"empty")?;
        let shares = [
            ("discount", self.discount),
            ("exploration.from", self.exploration.from),
            ("exploration.to", self.exploration.to),
            ("exploration.fraction", self.exploration.fraction),
        ];
        for (field, value) in shares {
            require(is_share(value), field, SHARE, &value)?;
        }
        let (first, last) = match self.learning_rate {
            Schedule::Constant(rate) => (rate, rate),
            Schedule::Linear { from, to, .. } | Schedule::Cosine { from, to, .. } => (from, to),
        };
        require(is_positive(first), "learning_rate", "positive at its start", &first)?;
        require(last >= 0.0 && last.is_finite(), "learning_rate", "at least 0 at its end", &last)?;
        let AdamOptions { beta_1, beta_2, epsilon } = self.adam;
        for (field, beta) in [("adam.beta_1", beta_1), ("adam.beta_2", beta_2)] {
            require((0.0..1.0).contains(&beta), field, "at least 0 and below 1", &beta)?;
        }
        require(is_positive(epsilon), "adam.epsilon", "positive", &epsilon)?;
        let norm = self.gradient_norm_max;
        require(norm > 0.0, "gradient_norm_max", "positive", &norm)?;
        if let Pointwise::Huber { threshold } = self.loss {
            require(is_positive(f64::from(threshold)), "loss.threshold", "positive", &threshold)?;
        }
        match self.target {
            TargetUpdate::Hard { every } => require(every >= 1, "target.every", AT_LEAST_1, &every)?,
            TargetUpdate::Soft { share } => {
                require(share > 0.0 && share <= 1.0, "target.share", "above 0 and at most 1", &share)?;
            }
        }
        if let Some(Prioritized { alpha, beta_from, beta_to, epsilon }) = self.prioritized {
            let shares = [
                ("prioritized.alpha", alpha),
                ("prioritized.beta_from", beta_from),
                ("prioritized.beta_to", beta_to),
            ];
            for (field, value) in shares {
                require(is_share(value), field, SHARE, &value)?;
            }
            require(is_positive(epsilon), "prioritized.epsilon", "positive", &epsilon)?;
        }
        if let Some(Noisy { sigma }) = self.noisy {
            require(sigma >= 0.0 && sigma.is_finite(), "noisy.sigma", "at least 0", &sigma)?;
        }
        match self.head {
            Head::Expected => {}
            Head::Categorical { atoms, least, most } => {
                require(atoms >= 2, "head.atoms", "at least 2", &atoms)?;
                require(least.is_finite(), "head.least", "finite", &least)?;
                require(
                    most.is_finite() && most > least,
                    "head.most",
                    "finite and above `head.least`",
                    &most,
                )?;
            }
            Head::Quantile { quantiles, kappa } => {
                require(quantiles >= 1, "head.quantiles", AT_LEAST_1, &quantiles)?;
                require(is_positive(kappa), "head.kappa", "positive", &kappa)?;
            }
        }
        if let Some(Munchausen { alpha, temperature, clip }) = self.munchausen {
            require(is_share(alpha), "munchausen.alpha", SHARE, &alpha)?;
            require(is_positive(temperature), "munchausen.temperature", "positive", &temperature)?;
            require(clip < 0.0 && clip.is_finite(), "munchausen.clip", "below 0", &clip)?;
        }
        Ok(())
    }

    /// Gradient steps of the whole run with one copy of the environment: what a schedule of the learning rate can go by.
    pub fn gradient_steps_total(&self) -> u64 {
        let bursts = (self.steps / self.train_every).saturating_sub(self.learning_starts / self.train_every);
        bursts * u64::from(self.gradient_steps)
    }

    /// Every option by name and as text, to say in which two sets of options differ.
    pub(crate) fn fields(&self) -> [(&'static str, String); 21] {
        let Self {
            steps,
            discount,
            hidden,
            batch,
            capacity,
            learning_starts,
            train_every,
            gradient_steps,
            learning_rate,
            adam,
            gradient_norm_max,
            loss,
            exploration,
            target,
            double,
            dueling,
            n_steps,
            prioritized,
            noisy,
            head,
            munchausen,
        } = self;
        [
            ("steps", steps.to_string()),
            ("discount", discount.to_string()),
            ("hidden", format!("{hidden:?}")),
            ("batch", batch.to_string()),
            ("capacity", capacity.to_string()),
            ("learning_starts", learning_starts.to_string()),
            ("train_every", train_every.to_string()),
            ("gradient_steps", gradient_steps.to_string()),
            ("learning_rate", format!("{learning_rate:?}")),
            ("adam", format!("{adam:?}")),
            ("gradient_norm_max", gradient_norm_max.to_string()),
            ("loss", format!("{loss:?}")),
            ("exploration", format!("{exploration:?}")),
            ("target", format!("{target:?}")),
            ("double", double.to_string()),
            ("dueling", dueling.to_string()),
            ("n_steps", n_steps.to_string()),
            ("prioritized", format!("{prioritized:?}")),
            ("noisy", format!("{noisy:?}")),
            ("head", format!("{head:?}")),
            ("munchausen", format!("{munchausen:?}")),
        ]
    }
}

fn require(
    is_right: bool,
    field: &'static str,
    allowed: &'static str,
    value: &dyn ToString,
) -> Result<(), OptionError> {
    if is_right { Ok(()) } else { Err(OptionError { field, allowed, value: value.to_string() }) }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(change: fn(&mut Options), expected: &Expect) {
        let mut options = Options::rainbow(1_000, 0.0, 1.0);
        options.munchausen = Some(Munchausen::default());
        assert_eq!(options.check(), Ok(()));
        change(&mut options);
        expected.assert_eq(&options.check().expect_err("it cannot be meant").to_string());
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_what_is_allowed() {
        check(|it| it.steps = 0, &expect!["`steps` must be at least 1, but is 0"]);
        check(|it| it.batch = 0, &expect!["`batch` must be at least 1, but is 0"]);
        check(|it| it.capacity = 0, &expect!["`capacity` must be at least 1, but is 0"]);
        check(|it| it.train_every = 0, &expect!["`train_every` must be at least 1, but is 0"]);
        check(|it| it.gradient_steps = 0, &expect!["`gradient_steps` must be at least 1, but is 0"]);
        check(|it| it.n_steps = 0, &expect!["`n_steps` must be at least 1, but is 0"]);
        check(|it| it.hidden = vec![4, 0], &expect!["`hidden` must be widths of at least 1, but is [4, 0]"]);
        check(
            |it| it.hidden = vec![],
            &expect!["`hidden` must be at least one width where `dueling` is on, but is empty"],
        );
        check(|it| it.discount = 1.5, &expect!["`discount` must be between 0 and 1, but is 1.5"]);
        check(|it| it.discount = f64::NAN, &expect!["`discount` must be between 0 and 1, but is NaN"]);
        check(
            |it| it.exploration.to = -0.1,
            &expect!["`exploration.to` must be between 0 and 1, but is -0.1"],
        );
        check(
            |it| it.learning_rate = Schedule::Constant(0.0),
            &expect!["`learning_rate` must be positive at its start, but is 0"],
        );
        check(
            |it| it.learning_rate = Schedule::Linear { from: 1e-3, to: -1.0, steps: 9 },
            &expect!["`learning_rate` must be at least 0 at its end, but is -1"],
        );
        check(|it| it.adam.beta_2 = 1.0, &expect!["`adam.beta_2` must be at least 0 and below 1, but is 1"]);
        check(|it| it.adam.epsilon = 0.0, &expect!["`adam.epsilon` must be positive, but is 0"]);
        check(|it| it.gradient_norm_max = 0.0, &expect!["`gradient_norm_max` must be positive, but is 0"]);
        check(
            |it| it.loss = Pointwise::Huber { threshold: 0.0 },
            &expect!["`loss.threshold` must be positive, but is 0"],
        );
        check(
            |it| it.target = TargetUpdate::Hard { every: 0 },
            &expect!["`target.every` must be at least 1, but is 0"],
        );
        check(
            |it| it.target = TargetUpdate::Soft { share: 0.0 },
            &expect!["`target.share` must be above 0 and at most 1, but is 0"],
        );
        check(
            |it| it.prioritized = Some(Prioritized { alpha: 2.0, ..Prioritized::default() }),
            &expect!["`prioritized.alpha` must be between 0 and 1, but is 2"],
        );
        check(
            |it| it.prioritized = Some(Prioritized { epsilon: 0.0, ..Prioritized::default() }),
            &expect!["`prioritized.epsilon` must be positive, but is 0"],
        );
        check(
            |it| it.noisy = Some(Noisy { sigma: -1.0 }),
            &expect!["`noisy.sigma` must be at least 0, but is -1"],
        );
        check(
            |it| it.head = Head::Categorical { atoms: 1, least: 0.0, most: 1.0 },
            &expect!["`head.atoms` must be at least 2, but is 1"],
        );
        check(
            |it| it.head = Head::Categorical { atoms: 2, least: 1.0, most: 1.0 },
            &expect!["`head.most` must be finite and above `head.least`, but is 1"],
        );
        check(
            |it| it.head = Head::Quantile { quantiles: 3, kappa: 0.0 },
            &expect!["`head.kappa` must be positive, but is 0"],
        );
        check(
            |it| it.munchausen = Some(Munchausen { temperature: 0.0, ..Munchausen::default() }),
            &expect!["`munchausen.temperature` must be positive, but is 0"],
        );
        check(
            |it| it.munchausen = Some(Munchausen { clip: 0.0, ..Munchausen::default() }),
            &expect!["`munchausen.clip` must be below 0, but is 0"],
        );
    }

    #[test]
    fn exploration_falls_over_its_fraction_and_stays() {
        let exploration = Exploration { from: 1.0, to: 0.2, fraction: 0.5 };
        let at = [0, 25, 50, 100].map(|step| exploration.at(step, 100));
        for (epsilon, truth) in at.iter().zip([1.0, 0.6, 0.2, 0.2]) {
            assert!((epsilon - truth).abs() < 1e-12, "{at:?}");
        }
        assert_eq!(Exploration { fraction: 0.0, ..exploration }.at(0, 100), 0.2);
    }

    #[test]
    fn two_sets_of_options_differ_where_they_were_changed() {
        let (one, other) =
            (Options::dqn(9), Options { double: true, noisy: Some(Noisy::default()), ..Options::dqn(9) });
        let differ: Vec<&str> = one
            .fields()
            .iter()
            .zip(other.fields())
            .filter(|((_, one), (_, other))| one != other)
            .map(|((name, _), _)| *name)
            .collect();
        assert_eq!(differ, ["double", "noisy"]);
    }
}
