//! The greedy policy alone: a network and how it is read.

use tidegate_core::{Env, Seed, Space, Spec};
use tidegate_net::{Family, Network, Pass, Reader, RecordError, Writer};

use crate::choice::greedy;
use crate::head::Reading;
use crate::options::Head;

/// Acts greedily on the values that were learnt, without noise or exploration.
#[derive(Clone, Debug)]
pub struct Policy {
    network: Network,
    reading: Reading,
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
    pub(crate) fn new(network: Network, reading: Reading) -> Self {
        Self { network, reading, answers: Vec::new(), values: Vec::new(), pass: Pass::default() }
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
        let raw = self.network.forward(observation, &mut self.pass);
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
        writer.bytes(&self.network.to_bytes());
        writer.finish()
    }

    /// The policy that [`Policy::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are no such record, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, &FAMILY, POLICY)?;
        let n_actions = reader.size()?;
        let dueling = reader.u64()? == 1;
        let (kind, n) = (reader.u64()?, reader.size()?);
        let (first, second) = (reader.f64()?, reader.f64()?);
        let head = match kind {
            0 => Head::Expected,
            1 if n >= 2 => Head::Categorical { atoms: n, least: first, most: second },
            2 => Head::Quantile { quantiles: n, kappa: first },
            _ => return Err(RecordError::Impossible(format!("head {kind} of {n} numbers"))),
        };
        let network = Network::from_bytes(reader.bytes()?)?;
        reader.finish()?;
        let reading = Reading { n_actions, dueling, head };
        let widths = network.shape().widths();
        let wanted = reading.shape(widths[0], &widths[1..widths.len() - 1])?;
        if network.shape() != &wanted {
            return Err(RecordError::Shape { found: network.shape().clone(), wanted });
        }
        Ok(Self::new(network, reading))
    }
}

/// Records of this package.
pub(crate) const FAMILY: Family =
    Family { begins: "tidegdqn", version: VERSION, kinds: &[POLICY, CHECKPOINT] };

/// The version of records that is written, and the only one that is read.
pub const VERSION: u32 = 1;

const POLICY: &str = "a policy";
pub(crate) const CHECKPOINT: &str = "a run of learning";

/// How many choices there are, if an action is one.
pub(crate) fn n_choices(spec: &Spec) -> Option<usize> {
    match &spec.action {
        Space::Discrete(names) if !names.is_empty() => Some(names.len()),
        _ => None,
    }
}
