//! What every environment with numbered actions must pass.
//!
//! The check plays random allowed actions over several worlds and finds the first breach of the contract of
//! [`tidegate_core::Env`]. It cannot find everything: that an environment keeps no state across episodes is seen only
//! where it shows within the episodes played.

use tidegate_core::{Env, Key, Quantity, Seed, Space, Spec, StepEnd, Stream};

/// What an environment did that it must not do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Breach {
    /// The spec contradicts itself.
    #[error("spec: {0}")]
    Spec(String),
    /// Two makes of the same environment describe themselves differently.
    #[error("spec: differs between two environments made alike")]
    SpecDiffers,
    /// An observation has the wrong number of values.
    #[error("observation of {n} values at step {step}, but the spec names {expected}")]
    Width {
        /// Values observed.
        n: usize,
        /// Values named.
        expected: usize,
        /// Steps since the reset.
        step: u32,
    },
    /// A value is outside its bounds, or not a number.
    #[error("`{name}` must be {min} to {max}, but is {value} at step {step}")]
    Outside {
        /// Which quantity.
        name: String,
        /// Its least value.
        min: f32,
        /// Its greatest value.
        max: f32,
        /// What was observed.
        value: f32,
        /// Steps since the reset.
        step: u32,
    },
    /// A reward is infinite or not a number.
    #[error("reward must be finite, but is {reward} at step {step}")]
    Reward {
        /// What was earned.
        reward: f64,
        /// Steps since the reset.
        step: u32,
    },
    /// The same seed and actions gave another episode.
    #[error("{seed}: {what} at step {step}")]
    NotRepeated {
        /// The world.
        seed: Seed,
        /// How the second episode was started.
        what: &'static str,
        /// Steps since the reset.
        step: u32,
    },
    /// Every seed gives the same episode.
    #[error("the seed changes nothing")]
    SeedIgnored,
    /// No action is allowed.
    #[error("no action is allowed at step {step}")]
    NothingAllowed {
        /// Steps since the reset.
        step: u32,
    },
    /// The episode went on past its last step.
    #[error("an episode of {steps_max} steps at most goes on after the last")]
    TooLong {
        /// What the spec says.
        steps_max: u32,
    },
    /// The episode was truncated before its last step.
    #[error("truncated at step {step}, but the spec says {steps_max}")]
    TruncatedEarly {
        /// Steps since the reset.
        step: u32,
        /// What the spec says.
        steps_max: u32,
    },
}

/// Plays environments made by `make_env` and says what is wrong with them.
///
/// - The spec is sound: names are there and differ, bounds are in order, there are actions and a last step.
/// - Observations have the spec's width and lie in its bounds; rewards are finite.
/// - A mask always allows something while an episode runs.
/// - The same seed and actions give the same bits: in a second environment stepped in turn with the first, and in
///   the first after it was reset in mid-episode and after an end.
/// - Of eight seeds not all give the same episode.
/// - An episode ends at `steps_max` at the latest, and is truncated then and not before.
///
/// # Errors
/// With the first breach found.
pub fn check<E: Env<Action = usize>>(make_env: impl Fn() -> E) -> Result<(), Breach> {
    let mut env = make_env();
    let mut twin = make_env();
    if env.spec() != twin.spec() {
        return Err(Breach::SpecDiffers);
    }
    check_spec(env.spec())?;
    let mut episodes = Vec::new();
    for seed in (0..4).map(Seed::training).chain((0..4).map(Seed::evaluation)) {
        let episode = play(&mut env, seed)?;
        // In mid-episode, so that the next reset finds it running.
        twin.reset(seed);
        twin.step(some_allowed(&twin, seed.key(Stream::Learner), 0)?);
        repeat(
            &episode,
            &play(&mut twin, seed)?,
            seed,
            "another environment, reset in mid-episode, differs",
        )?;
        repeat(&episode, &play(&mut env, seed)?, seed, "the same environment, reset after an end, differs")?;
        in_turn(&mut env, &mut twin, seed, &episode)?;
        episodes.push(episode);
    }
    if episodes.windows(2).all(|pair| same_bits(&pair[0], &pair[1])) {
        return Err(Breach::SeedIgnored);
    }
    Ok(())
}

fn check_spec(spec: &Spec) -> Result<(), Breach> {
    let wrong = |what: &str| Err(Breach::Spec(what.into()));
    let Space::Discrete(actions) = &spec.action else {
        return wrong("actions must be numbered");
    };
    if spec.name.is_empty() {
        return wrong("`name` must not be empty");
    }
    if spec.steps_max == 0 {
        return wrong("`steps_max` must be at least 1, but is 0");
    }
    if actions.is_empty() || spec.observation.is_empty() {
        return wrong("there must be something to observe and something to do");
    }
    let mut names: Vec<&str> = actions.iter().map(String::as_str).collect();
    let mut quantities: Vec<&str> = spec.observation.iter().map(|quantity| quantity.name.as_str()).collect();
    for names in [&mut names, &mut quantities] {
        names.sort_unstable();
        if names[0].is_empty() {
            return wrong("every action and quantity must have a name");
        }
        if let Some([name, _]) = names.array_windows().find(|[name, next]| name == next) {
            return Err(Breach::Spec(format!("`{name}` comes twice")));
        }
    }
    // Written so that a bound that is not a number fails as well.
    let is_ordered = |quantity: &&Quantity| quantity.min <= quantity.max;
    match spec.observation.iter().find(|quantity| !is_ordered(quantity)) {
        Some(Quantity { name, min, max, .. }) => {
            Err(Breach::Spec(format!("`{name}` has bounds {min} to {max}")))
        }
        None => Ok(()),
    }
}

/// One step as far as it must repeat: observation, reward, end. The reset comes first, with reward 0.
#[derive(Clone, Debug)]
struct Moment {
    observation: Vec<f32>,
    reward: f64,
    end: Option<StepEnd>,
}

/// One episode of random allowed actions; the action at each step belongs to (seed, step).
fn play<E: Env<Action = usize>>(env: &mut E, seed: Seed) -> Result<Vec<Moment>, Breach> {
    let key = seed.key(Stream::Learner);
    let steps_max = env.spec().steps_max;
    let first = env.reset(seed);
    let mut moments = vec![moment(env.spec(), first.as_ref(), 0.0, None, 0)?];
    for step in 1..=steps_max {
        let taken = env.step(some_allowed(env, key, step)?);
        if !taken.reward.is_finite() {
            return Err(Breach::Reward { reward: taken.reward, step });
        }
        moments.push(moment(env.spec(), taken.observation.as_ref(), taken.reward, taken.end, step)?);
        match taken.end {
            Some(StepEnd::Truncated) if step < steps_max => {
                return Err(Breach::TruncatedEarly { step, steps_max });
            }
            Some(_) => return Ok(moments),
            None => {}
        }
    }
    Err(Breach::TooLong { steps_max })
}

fn moment(
    spec: &Spec,
    observation: &[f32],
    reward: f64,
    end: Option<StepEnd>,
    step: u32,
) -> Result<Moment, Breach> {
    let expected = spec.observation.len();
    if observation.len() != expected {
        return Err(Breach::Width { n: observation.len(), expected, step });
    }
    for (&value, Quantity { name, min, max, .. }) in observation.iter().zip(&spec.observation) {
        if !(*min..=*max).contains(&value) {
            return Err(Breach::Outside { name: name.clone(), min: *min, max: *max, value, step });
        }
    }
    Ok(Moment { observation: observation.to_vec(), reward, end })
}

fn some_allowed<E: Env<Action = usize>>(env: &E, key: Key, step: u32) -> Result<usize, Breach> {
    let mut mask = vec![false; env.spec().action.len()];
    env.allowed(&mut mask);
    let n_allowed = mask.iter().filter(|allowed| **allowed).count();
    if n_allowed == 0 {
        return Err(Breach::NothingAllowed { step });
    }
    let chosen = key.index(u64::from(step), 0, n_allowed);
    let mut allowed = (0..mask.len()).filter(|action| mask[*action]);
    Ok(allowed.nth(chosen).expect("it is one of those counted"))
}

fn repeat(first: &[Moment], second: &[Moment], seed: Seed, what: &'static str) -> Result<(), Breach> {
    let apart = first.iter().zip(second).position(|(a, b)| !same_moment(a, b));
    let shorter = (first.len() != second.len()).then(|| first.len().min(second.len()));
    match apart.or(shorter) {
        Some(step) => Err(Breach::NotRepeated { seed, what, step: step as u32 }),
        None => Ok(()),
    }
}

/// Steps two environments in turn: what they share outside themselves would show.
fn in_turn<E: Env<Action = usize>>(
    env: &mut E,
    twin: &mut E,
    seed: Seed,
    episode: &[Moment],
) -> Result<(), Breach> {
    let key = seed.key(Stream::Learner);
    env.reset(seed);
    twin.reset(seed);
    for (step, expected) in (1..).zip(&episode[1..]) {
        for one in [&mut *env, &mut *twin] {
            let taken = one.step(some_allowed(one, key, step)?);
            let found = moment(one.spec(), taken.observation.as_ref(), taken.reward, taken.end, step)?;
            if !same_moment(&found, expected) {
                let what = "two environments stepped in turn differ from one alone";
                return Err(Breach::NotRepeated { seed, what, step });
            }
        }
    }
    Ok(())
}

fn same_bits(first: &[Moment], second: &[Moment]) -> bool {
    first.len() == second.len() && first.iter().zip(second).all(|(a, b)| same_moment(a, b))
}

fn same_moment(a: &Moment, b: &Moment) -> bool {
    let bits = |moment: &Moment| -> Vec<u32> { moment.observation.iter().map(|x| x.to_bits()).collect() };
    bits(a) == bits(b) && a.reward.to_bits() == b.reward.to_bits() && a.end == b.end
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tidegate_core::Step;

    use super::*;
    use crate::{choices, quantity};

    /// What is broken in [`Broken`].
    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        Bound,
        NotANumber,
        Reward,
        Width,
        Names,
        Mask,
        Long,
        Early,
        SeedIgnored,
        RemembersEpisodes,
    }

    struct Broken {
        fault: Fault,
        spec: Spec,
        step: u32,
        episodes: u32,
        value: f32,
    }

    impl Broken {
        fn new(fault: Fault) -> Self {
            let second = if fault == Fault::Names { "level" } else { "slope" };
            let spec = Spec {
                name: "broken".into(),
                observation: vec![
                    quantity("level", "1", 0.0, 1.0),
                    quantity(second, "1", 0.0, f32::INFINITY),
                ],
                action: choices(&["a", "b"]),
                steps_max: 5,
            };
            Self { fault, spec, step: 0, episodes: 0, value: 0.0 }
        }

        fn observe(&self) -> Vec<f32> {
            match self.fault {
                Fault::Bound if self.step == 3 => vec![1.5, 0.0],
                Fault::NotANumber if self.step == 2 => vec![0.5, f32::NAN],
                Fault::Width => vec![0.5],
                Fault::RemembersEpisodes => vec![self.value, self.episodes as f32],
                _ => vec![self.value, self.step as f32],
            }
        }
    }

    #[derive(Clone, Copy)]
    struct Seen([f32; 2], usize);

    impl AsRef<[f32]> for Seen {
        fn as_ref(&self) -> &[f32] {
            &self.0[..self.1]
        }
    }

    impl From<Vec<f32>> for Seen {
        fn from(values: Vec<f32>) -> Self {
            let mut seen = Self([0.0; 2], values.len());
            seen.0[..values.len()].copy_from_slice(&values);
            seen
        }
    }

    impl Env for Broken {
        type Action = usize;
        type Observation = Seen;
        type Info = ();

        fn spec(&self) -> &Spec {
            &self.spec
        }

        fn reset(&mut self, seed: Seed) -> Seen {
            self.step = 0;
            self.episodes += 1;
            self.value = match self.fault {
                Fault::SeedIgnored => 0.5,
                _ => seed.key(Stream::EnvReset).uniform(0, 0) as f32,
            };
            self.observe().into()
        }

        fn step(&mut self, _action: usize) -> Step<Seen> {
            self.step += 1;
            let end = match self.fault {
                Fault::Long => None,
                Fault::Early => (self.step == 4).then_some(StepEnd::Truncated),
                _ => (self.step == 5).then_some(StepEnd::Truncated),
            };
            let reward = if self.fault == Fault::Reward { f64::INFINITY } else { 1.0 };
            Step { observation: self.observe().into(), reward, end }
        }

        fn info(&self) -> &() {
            &()
        }

        fn allowed(&self, mask: &mut [bool]) {
            mask.fill(self.fault != Fault::Mask || self.step < 2);
        }
    }

    fn check_finds(fault: Fault, expected: &Expect) {
        let found = check(|| Broken::new(fault));
        expected.assert_eq(&found.map_or_else(|breach| breach.to_string(), |()| "conforms".into()));
    }

    #[test]
    fn every_breach_is_found() {
        check_finds(Fault::None, &expect!["conforms"]);
        check_finds(Fault::Bound, &expect!["`level` must be 0 to 1, but is 1.5 at step 3"]);
        check_finds(Fault::NotANumber, &expect!["`slope` must be 0 to inf, but is NaN at step 2"]);
        check_finds(Fault::Reward, &expect!["reward must be finite, but is inf at step 1"]);
        check_finds(Fault::Width, &expect!["observation of 1 values at step 0, but the spec names 2"]);
        check_finds(Fault::Names, &expect!["spec: `level` comes twice"]);
        check_finds(Fault::Mask, &expect!["no action is allowed at step 3"]);
        check_finds(Fault::Long, &expect!["an episode of 5 steps at most goes on after the last"]);
        check_finds(Fault::Early, &expect!["truncated at step 4, but the spec says 5"]);
        check_finds(Fault::SeedIgnored, &expect!["the seed changes nothing"]);
        check_finds(
            Fault::RemembersEpisodes,
            &expect!["training 0: another environment, reset in mid-episode, differs at step 0"],
        );
    }
}
