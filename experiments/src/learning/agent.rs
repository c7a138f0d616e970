//! What is stored of a learnt policy.
//!
//! An `.agent` file holds the name of the environment, how the agent was let onto the service (what it sees, what it may
//! do, how often), the range of every observation that it met while it learnt, and the policy. Little-endian, with version
//! and checksum ([`tidegate_net::Writer`]); the same training writes the same bytes.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use anyhow::Context;
use tidegate_dqn::Policy;
use tidegate_envs::{ActionSet, AutoscaleOptions};
use tidegate_net::{Family, Reader, RecordError, Writer};

/// Which view an agent has of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    /// Everything that can be measured in aggregate.
    Rich,
    /// The source document's four numbers.
    Source,
}

/// How an agent is let onto a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Access {
    /// What it sees.
    pub sees: Sees,
    /// What it may do.
    pub actions: ActionSet,
    /// Accounting ticks from one decision to the next.
    pub ticks_per_step: u32,
    /// Their length.
    pub tick_seconds: f64,
}

impl Access {
    /// As the environment takes it.
    pub fn options(&self) -> AutoscaleOptions {
        AutoscaleOptions { actions: self.actions, ticks_per_step: self.ticks_per_step }
    }

    /// From one decision to the next.
    pub fn step_seconds(&self) -> f64 {
        self.tick_seconds * f64::from(self.ticks_per_step)
    }

    fn write(&self, writer: &mut Writer) {
        let Self { sees, actions, ticks_per_step, tick_seconds } = *self;
        writer.u64(match sees {
            Sees::Rich => 0,
            Sees::Source => 1,
        });
        let (set, step_max) = match actions {
            ActionSet::Steps { step_max } => (0, step_max),
            ActionSet::Target {} => (1, 0),
            ActionSet::Margins {} => (2, 0),
        };
        writer.u64(set);
        writer.u64(u64::from(step_max));
        writer.u64(u64::from(ticks_per_step));
        writer.f64(tick_seconds);
    }

    fn read(reader: &mut Reader) -> Result<Self, RecordError> {
        let impossible = |what: &str, number: u64| Err(RecordError::Impossible(format!("{what} {number}")));
        let sees = match reader.u64()? {
            0 => Sees::Rich,
            1 => Sees::Source,
            other => return impossible("view", other),
        };
        let (set, step_max) = (reader.u64()?, reader.u64()?);
        let count = |number: u64| u32::try_from(number).map_err(|_| RecordError::Length);
        let actions = match set {
            0 => ActionSet::Steps { step_max: count(step_max)? },
            1 => ActionSet::Target {},
            2 => ActionSet::Margins {},
            other => return impossible("set of actions", other),
        };
        Ok(Self { sees, actions, ticks_per_step: count(reader.u64()?)?, tick_seconds: reader.f64()? })
    }
}

/// Least and most of every number that was observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranges {
    /// Empty before the first observation.
    pub least: Vec<f32>,
    /// As long as the other.
    pub most: Vec<f32>,
}

/// Ranges that several copies of an environment write.
pub type SharedRanges = Rc<RefCell<Ranges>>;

/// By this share of its width a range is wider than what was seen.
const MARGIN: f32 = 0.25;

impl Ranges {
    /// Takes in one observation.
    pub fn see(&mut self, observation: &[f32]) {
        if self.least.is_empty() {
            self.least = observation.to_vec();
            self.most = observation.to_vec();
        }
        for (value, (least, most)) in observation.iter().zip(self.least.iter_mut().zip(&mut self.most)) {
            *least = least.min(*value);
            *most = most.max(*value);
        }
    }

    /// Least and most that still count as known, a number each: what was seen, wider by a quarter of its width at each end.
    pub fn widened(&self) -> Vec<(f32, f32)> {
        self.least
            .iter()
            .zip(&self.most)
            .map(|(least, most)| {
                let room = MARGIN * (most - least);
                (least - room, most + room)
            })
            .collect()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(self.least.len() as u64);
        writer.floats(&self.least);
        writer.floats(&self.most);
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, RecordError> {
        let n = reader.size()?;
        Ok(Self { least: reader.floats(n)?, most: reader.floats(n)? })
    }
}

/// A learnt policy and what belongs to it.
#[derive(Clone, Debug)]
pub struct AgentFile {
    /// What it learnt on, as on the command line.
    pub environment: String,
    /// How it is let onto a service; none for the classic environments.
    pub access: Option<Access>,
    /// What it met while it learnt.
    pub ranges: Ranges,
    /// The greedy policy.
    pub policy: Policy,
}

/// Records of training.
pub(crate) const FAMILY: Family =
    Family { begins: "tidetrai", version: VERSION, kinds: &[AGENT, CHECKPOINT, TRAINED] };

/// The version of records that is written, and the only one that is read.
pub const VERSION: u32 = 4;

const AGENT: &str = "an agent";
pub(crate) const CHECKPOINT: &str = "a checkpoint of training";
pub(crate) const TRAINED: &str = "a finished training";

impl AgentFile {
    /// All of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(&FAMILY, AGENT);
        writer.bytes(self.environment.as_bytes());
        writer.u64(u64::from(self.access.is_some()));
        if let Some(access) = self.access {
            access.write(&mut writer);
        }
        self.ranges.write(&mut writer);
        writer.bytes(&self.policy.to_bytes());
        writer.finish()
    }

    /// The agent that [`AgentFile::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are no such record, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, &FAMILY, AGENT)?;
        let environment = reader.text()?;
        let access = match reader.u64()? {
            0 => None,
            1 => Some(Access::read(&mut reader)?),
            other => return Err(RecordError::Impossible(format!("access {other}"))),
        };
        let ranges = Ranges::read(&mut reader)?;
        let policy = Policy::from_bytes(reader.bytes()?)?;
        reader.finish()?;
        if ranges.least.len() != policy.n_inputs() {
            let (n, width) = (ranges.least.len(), policy.n_inputs());
            return Err(RecordError::Impossible(format!("{n} ranges for a policy of {width} numbers")));
        }
        Ok(Self { environment, access, ranges, policy })
    }

    /// The agent of a file.
    ///
    /// # Errors
    /// If it cannot be read or is none.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let named = || path.display().to_string();
        Self::from_bytes(&fs::read(path).with_context(named)?).with_context(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_was_seen_and_a_quarter_more() {
        let mut ranges = Ranges::default();
        for row in [[1.0, 7.0], [3.0, 7.0], [2.0, 7.0]] {
            ranges.see(&row);
        }
        assert_eq!(ranges.widened(), [(0.5, 3.5), (7.0, 7.0)]);
    }
}
