//! Gym-like environments: what a learner sees.
//!
//! The contract is that of Gymnasium v1 (`reset`, `step`, termination and truncation kept apart), typed.

use crate::Seed;

/// A Markov decision process that an agent steps through.
pub trait Env {
    /// What an agent may do.
    type Action;
    /// What an agent sees: a fixed number of `f32`.
    type Observation: Copy + AsRef<[f32]>;
    /// What a report needs and an agent must not see.
    type Info;

    /// Names, units and bounds of observation and action.
    fn spec(&self) -> &Spec;
    /// Starts an episode; the same seed starts the same episode.
    fn reset(&mut self, seed: Seed) -> Self::Observation;
    /// One step. After an end, call [`Env::reset`] first.
    fn step(&mut self, action: Self::Action) -> Step<Self::Observation>;
    /// What a report needs and an agent must not see.
    fn info(&self) -> &Self::Info;
    /// Which actions are allowed now; `mask` has one place an action.
    fn allowed(&self, mask: &mut [bool]) {
        mask.fill(true);
    }
}

/// What one step gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<O> {
    /// What is seen afterwards; at an end, the final observation.
    pub observation: O,
    /// What the step earned.
    pub reward: f64,
    /// Whether the episode is over, and how.
    pub end: Option<StepEnd>,
}

/// How an episode ended. A learner bootstraps unless it is `Terminated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// Nothing more can be earned.
    Terminated,
    /// We stopped looking; the process goes on.
    Truncated,
}

/// What an environment is called and what goes in and out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// As it is chosen on the command line, for example `cart-pole` or `autoscale/web-diurnal`.
    pub name: String,
    /// One quantity for each place of the observation.
    pub observation: Vec<Quantity>,
    /// What an agent may do.
    pub action: Space,
    /// Steps after which an episode is truncated.
    pub steps_max: u32,
}

/// One number that is observed or set.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// What it is called.
    pub name: String,
    /// Its unit; `1` for a plain number.
    pub unit: String,
    /// Least value, both ends included; may be infinite.
    pub min: f32,
    /// Greatest value.
    pub max: f32,
}

/// What an agent may do.
#[derive(Clone, Debug, PartialEq)]
pub enum Space {
    /// One of several choices, by number; their names in order.
    Discrete(Vec<String>),
    /// One real number for each quantity.
    Box(Vec<Quantity>),
}

impl Space {
    /// How many choices or numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Discrete(names) => names.len(),
            Self::Box(quantities) => quantities.len(),
        }
    }

    /// Whether nothing can be chosen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
