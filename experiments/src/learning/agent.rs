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
use tidegate_core::Replicas;
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
    /// It changes the wanted count by at most so many.
    pub step_max: Replicas,
    /// Accounting ticks from one decision to the next.
    pub ticks_per_step: u32,
    /// Their length.
    pub tick_seconds: f64,
}

impl Access {
    /// As the environment takes it.
    pub fn options(&self) -> AutoscaleOptions {
        AutoscaleOptions {
            actions: ActionSet::Steps { step_max: self.step_max },
            ticks_per_step: self.ticks_per_step,
        }
    }

    /// From one decision to the next.
    pub fn step_seconds(&self) -> f64 {
        self.tick_seconds * f64::from(self.ticks_per_step)
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
const MARGIN: f32 = 0.1;

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

    /// Least and most that still count as known, a number each: what was seen, wider by a tenth of its width at each end.
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
pub const VERSION: u32 = 1;

const AGENT: &str = "an agent";
pub(crate) const CHECKPOINT: &str = "a checkpoint of training";
pub(crate) const TRAINED: &str = "a finished training";

impl AgentFile {
    /// All of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(&FAMILY, AGENT);
        writer.bytes(self.environment.as_bytes());
        let nowhere = Access { sees: Sees::Rich, step_max: 0, ticks_per_step: 0, tick_seconds: 0.0 };
        let Access { sees, step_max, ticks_per_step, tick_seconds } = self.access.unwrap_or(nowhere);
        writer.u64(match (self.access, sees) {
            (None, _) => 0,
            (_, Sees::Rich) => 1,
            (_, Sees::Source) => 2,
        });
        writer.u64(u64::from(step_max));
        writer.u64(u64::from(ticks_per_step));
        writer.f64(tick_seconds);
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
        let kind = reader.u64()?;
        let count = |number: u64| u32::try_from(number).map_err(|_| RecordError::Length);
        let (step_max, ticks_per_step) = (count(reader.u64()?)?, count(reader.u64()?)?);
        let tick_seconds = reader.f64()?;
        let sees = match kind {
            0 => None,
            1 => Some(Sees::Rich),
            2 => Some(Sees::Source),
            other => return Err(RecordError::Impossible(format!("view {other}"))),
        };
        let access = sees.map(|sees| Access { sees, step_max, ticks_per_step, tick_seconds });
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
    fn a_range_is_what_was_seen_and_a_tenth_more() {
        let mut ranges = Ranges::default();
        for row in [[1.0, 7.0], [3.0, 7.0], [2.0, 7.0]] {
            ranges.see(&row);
        }
        assert_eq!(ranges.widened(), [(0.8, 3.2), (7.0, 7.0)]);
    }
}
