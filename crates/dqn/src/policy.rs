//! The greedy policy alone: a network and how it is read.

use tidegate_core::{Env, Seed, Space, Spec};
use tidegate_net::{Family, Network, Pass, Reader, RecordError, Writer};

use crate::choice::greedy;
use crate::head::Reading;
use crate::options::{Head, Scaling};

/// Acts greedily on the values that were learnt, without noise or exploration.
#[derive(Clone, Debug)]
pub struct Policy {
    network: Network,
    reading: Reading,
    scale: Scale,
    scaled: Vec<f32>,
    answers: Vec<f32>,
    values: Vec<f32>,
    pass: Pass,
}

/// What became of one episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    /// Sum of its rewards, not discounted.
    pub total: f64,
    /// Its steps.
    pub length: u64,
}

impl Policy {
    pub(crate) fn new(network: Network, reading: Reading, scale: Scale) -> Self {
        Self {
            network,
            reading,
            scale,
            scaled: Vec::new(),
            answers: Vec::new(),
            values: Vec::new(),
            pass: Pass::default(),
        }
    }

    /// How many numbers an observation has.
    pub fn n_inputs(&self) -> usize {
        self.network.shape().n_inputs()
    }

    /// How many actions there are.
    pub fn n_actions(&self) -> usize {
        self.reading.n_actions
    }

    /// The values of all actions.
    ///
    /// # Panics
    /// If the observation is not [`Policy::n_inputs`] wide.
    pub fn values(&mut self, observation: &[f32]) -> &[f32] {
        self.scaled.clear();
        self.scaled.extend_from_slice(observation);
        self.scale.apply(&mut self.scaled);
        let raw = self.network.forward(&self.scaled, &mut self.pass);
        self.reading.answers(raw, &mut self.answers);
        self.reading.values(&self.answers, &mut self.values);
        &self.values
    }

    /// The allowed action of the greatest value; of equal ones the first. Allocates nothing after its first call.
    ///
    /// # Panics
    /// If the observation is not [`Policy::n_inputs`] wide, `allowed` has not one place an action, or allows none.
    pub fn act(&mut self, observation: &[f32], allowed: &[bool]) -> usize {
        assert_eq!(allowed.len(), self.n_actions(), "one place an action");
        let values = self.values(observation);
        greedy(values, allowed).expect("an environment allows at least one action")
    }

    /// Plays one episode.
    ///
    /// # Panics
    /// If the environment has another width or number of actions than that of the policy.
    pub fn play<E: Env<Action = usize>>(&mut self, env: &mut E, seed: Seed) -> Episode {
        let mut allowed = vec![true; env.spec().action.len()];
        let mut observation = env.reset(seed);
        let mut episode = Episode { total: 0.0, length: 0 };
        loop {
            env.allowed(&mut allowed);
            let step = env.step(self.act(observation.as_ref(), &allowed));
            episode.total += step.reward;
            episode.length += 1;
            observation = step.observation;
            if step.end.is_some() {
                return episode;
            }
        }
    }

    /// All of it, as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(&FAMILY, POLICY);
        writer.u64(self.reading.n_actions as u64);
        writer.u64(u64::from(self.reading.dueling));
        let (kind, n, first, second) = match self.reading.head {
            Head::Expected => (0, 1, 0.0, 0.0),
            Head::Categorical { atoms, least, most } => (1, atoms, least, most),
            Head::Quantile { quantiles, kappa } => (2, quantiles, kappa, 0.0),
        };
        writer.u64(kind);
        writer.u64(n as u64);
        writer.f64(first);
        writer.f64(second);
        writer.u64(self.scale.factors.len() as u64);
        writer.floats(&self.scale.offsets);
        writer.floats(&self.scale.factors);
        writer.bytes(&self.network.to_bytes());
        writer.finish()
    }

    /// The policy that [`Policy::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are no such record, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, &FAMILY, POLICY)?;
        let size = |number: u64| usize::try_from(number).map_err(|_| RecordError::Length);
        let n_actions = size(reader.u64()?)?;
        let dueling = reader.u64()? == 1;
        let (kind, n) = (reader.u64()?, size(reader.u64()?)?);
        let (first, second) = (reader.f64()?, reader.f64()?);
        let head = match kind {
            0 => Head::Expected,
            1 if n >= 2 => Head::Categorical { atoms: n, least: first, most: second },
            2 => Head::Quantile { quantiles: n, kappa: first },
            _ => return Err(RecordError::Impossible(format!("head {kind} of {n} numbers"))),
        };
        let n_inputs = size(reader.u64()?)?;
        let scale = Scale { offsets: reader.floats(n_inputs)?, factors: reader.floats(n_inputs)? };
        let network = Network::from_bytes(reader.bytes()?)?;
        reader.finish()?;
        let reading = Reading { n_actions, dueling, head };
        let widths = network.shape().widths();
        let wanted = reading.shape(n_inputs, &widths[1..widths.len() - 1])?;
        if network.shape() != &wanted {
            return Err(RecordError::Shape { found: network.shape().clone(), wanted });
        }
        Ok(Self::new(network, reading, scale))
    }
}

/// Records of this package.
pub(crate) const FAMILY: Family =
    Family { begins: "tidegdqn", version: VERSION, kinds: &[POLICY, CHECKPOINT] };

/// The version of records that is written, and the only one that is read.
pub const VERSION: u32 = 1;

const POLICY: &str = "a policy";
pub(crate) const CHECKPOINT: &str = "a run of learning";

/// Observations are moved by an offset and then multiplied by a factor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    offsets: Vec<f32>,
    factors: Vec<f32>,
}

impl Scale {
    pub(crate) fn new(scaling: Scaling, spec: &Spec) -> Self {
        let of_each = |of: fn(f32, f32) -> f32, otherwise: f32| -> Vec<f32> {
            let bounds = spec.observation.iter().map(|quantity| (quantity.min, quantity.max));
            bounds
                .map(|(min, max)| {
                    let is_bounded = min.is_finite() && max.is_finite() && max > min;
                    if scaling == Scaling::Bounds && is_bounded { of(min, max) } else { otherwise }
                })
                .collect()
        };
        Self {
            offsets: of_each(|min, max| -(0.5 * min + 0.5 * max), 0.0),
            factors: of_each(|min, max| 1.0 / (0.5 * max - 0.5 * min), 1.0),
        }
    }

    /// Rows of observations, in place.
    pub(crate) fn apply(&self, observations: &mut [f32]) {
        for row in observations.chunks_exact_mut(self.offsets.len()) {
            for (value, (offset, factor)) in row.iter_mut().zip(self.offsets.iter().zip(&self.factors)) {
                *value = (*value + offset) * factor;
            }
        }
    }
}

/// How many choices there are, if an action is one.
pub(crate) fn n_choices(spec: &Spec) -> Option<usize> {
    match &spec.action {
        Space::Discrete(names) if !names.is_empty() => Some(names.len()),
        _ => None,
    }
}
