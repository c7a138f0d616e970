//! A run as bytes, to be gone on with to the same bits.
//!
//! Everything that a step reads is kept: weights of both networks, optimiser, replay with its priorities, windows of several
//! steps, places of the generators, counters, and of each copy of the environment the episode and the actions since its
//! reset, which are repeated: an environment is a function of seed and actions. Environments and options are given again;
//! the record says what they were, so that others are refused.

use rand_chacha::ChaCha8Rng;
use tidegate_core::{Env, Seed, Split};
use tidegate_net::{Adam, Reader, RecordError, Writer};

use crate::agent::Update;
use crate::learning::{Learning, LearningError};
use crate::options::Options;
use crate::policy::{CHECKPOINT, Episode, FAMILY};

/// Why a run cannot go on from bytes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// They are no record of a run, of another version, or damaged.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The run had another option.
    #[error("the checkpoint is of a run with `{field}` {found}, but {wanted} is asked for")]
    Options {
        /// The first field that differs.
        field: String,
        /// What the run had.
        found: String,
        /// What is asked for.
        wanted: String,
    },
    /// The run was on another environment or another number of copies.
    #[error("the checkpoint is of a run on {found}, but {wanted} is given")]
    Environment {
        /// What the run was on.
        found: String,
        /// What is given.
        wanted: String,
    },
    /// With such options or environments no run can start.
    #[error(transparent)]
    Learning(#[from] LearningError),
}

impl<E: Env<Action = usize>> Learning<E>
where
    E::Info: Clone,
{
    /// All that the run needs to go on.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(&FAMILY, CHECKPOINT);
        writer.bytes(self.environment().as_bytes());
        for (field, value) in self.options.fields() {
            writer.bytes(field.as_bytes());
            writer.bytes(value.as_bytes());
        }
        writer.u64(u64::from(self.seed.split() == Split::Evaluation));
        writer.u64(self.seed.index());

        let told = &self.told;
        writer.u64(told.steps);
        writer.u64(told.copies as u64);
        writer.u64(u64::from(told.failed));
        writer.f64(told.epsilon);
        let Update { n, loss, mean_q, gradient_norm } = told.update.unwrap_or_default();
        writer.u64(u64::from(n));
        for number in [loss, mean_q, gradient_norm] {
            writer.f64(number);
        }
        for episode in
            told.ended.iter().map(|ended| ended.unwrap_or(NONE)).chain(self.running.iter().copied())
        {
            writer.f64(episode.total);
            writer.u64(episode.length);
        }
        for rng in [&self.chance.exploration, &self.chance.replay, &self.chance.noise] {
            let place = rng.get_word_pos();
            writer.u64(place as u64);
            writer.u64((place >> 64) as u64);
        }

        writer.floats(self.agent.online.learnt());
        writer.floats(self.agent.target.learnt());
        writer.bytes(&self.agent.adam.to_bytes());
        self.replay.write(&mut writer);
        for window in &self.windows {
            window.write(&mut writer);
        }
        for episode in self.vector.episodes() {
            writer.u64(*episode);
        }
        for actions in &self.taken {
            writer.u64(actions.len() as u64);
            for action in actions {
                writer.u64(*action as u64);
            }
        }
        writer.finish()
    }

    /// The run that [`Learning::to_bytes`] wrote, on new copies of the same environment.
    ///
    /// # Errors
    /// If the bytes are no such record, of another version or damaged, or the run had other options or was on another
    /// environment or number of copies.
    ///
    /// # Panics
    /// As [`Learning::new`], or if an environment of the same name does something else than the one that the run was on.
    pub fn from_bytes(bytes: &[u8], options: Options, envs: Vec<E>) -> Result<Self, CheckpointError> {
        let mut reader = Reader::new(bytes, &FAMILY, CHECKPOINT)?;
        let found = reader.text()?;
        let options_found = options
            .fields()
            .into_iter()
            .map(|(_, wanted)| Ok((reader.text()?, reader.text()?, wanted)))
            .collect::<Result<Vec<_>, RecordError>>()?;
        for (field, found, wanted) in options_found {
            if found != wanted {
                return Err(CheckpointError::Options { field, found, wanted });
            }
        }
        let of = if reader.u64()? == 1 { Seed::evaluation } else { Seed::training };
        let seed = of(reader.u64()?);
        let mut run = Self::idle(options, envs, seed)?;
        let wanted = run.environment();
        if found != wanted {
            return Err(CheckpointError::Environment { found, wanted });
        }
        run.read(&mut reader)?;
        reader.finish()?;
        Ok(run)
    }

    fn read(&mut self, reader: &mut Reader) -> Result<(), RecordError> {
        let n_copies = self.vector.len();
        let told = &mut self.told;
        told.steps = reader.u64()?;
        told.copies = index(reader, n_copies + 1)?;
        told.failed = reader.u64()? == 1;
        told.epsilon = reader.f64()?;
        let n = u32::try_from(reader.u64()?).map_err(|_| RecordError::Length)?;
        let [loss, mean_q, gradient_norm] = [reader.f64()?, reader.f64()?, reader.f64()?];
        told.update = (n > 0).then_some(Update { n, loss, mean_q, gradient_norm });
        for ended in &mut told.ended {
            let episode = Episode { total: reader.f64()?, length: reader.u64()? };
            *ended = (episode.length > 0).then_some(episode);
        }
        for running in &mut self.running {
            *running = Episode { total: reader.f64()?, length: reader.u64()? };
        }
        let chance = &mut self.chance;
        for rng in [&mut chance.exploration, &mut chance.replay, &mut chance.noise] {
            place(rng, reader)?;
        }

        let n = self.agent.online.learnt().len();
        self.agent.online.learnt_mut().copy_from_slice(&reader.floats(n)?);
        self.agent.target.learnt_mut().copy_from_slice(&reader.floats(n)?);
        self.agent.adam = Adam::from_bytes(reader.bytes()?, n)?;
        self.replay.read(reader)?;
        self.windows.iter_mut().try_for_each(|window| window.read(reader))?;
        let episodes = (0..n_copies).map(|_| reader.u64()).collect::<Result<Vec<u64>, RecordError>>()?;
        for taken in &mut self.taken {
            taken.clear();
            for _ in 0..reader.u64()? {
                taken.push(index(reader, self.agent.reading.n_actions)?);
            }
        }
        self.vector.resume(self.seed, &episodes, &self.taken);
        self.look();
        Ok(())
    }

    /// What the run is on, in words that another environment does not share.
    fn environment(&self) -> String {
        let spec = self.vector.envs()[0].spec();
        let (n, width, n_actions) = (self.vector.len(), spec.observation.len(), spec.action.len());
        format!("{n} of `{}` ({width} numbers, {n_actions} actions)", spec.name)
    }
}

/// Stands for an episode that did not end: one that did has a length.
const NONE: Episode = Episode { total: 0.0, length: 0 };

/// A number below `end`.
pub(crate) fn index(reader: &mut Reader, end: usize) -> Result<usize, RecordError> {
    let number = reader.u64()?;
    let index = usize::try_from(number).ok().filter(|index| *index < end);
    index.ok_or_else(|| RecordError::Impossible(format!("{number}, where less than {end} is possible")))
}

fn place(rng: &mut ChaCha8Rng, reader: &mut Reader) -> Result<(), RecordError> {
    let (low, high) = (u128::from(reader.u64()?), u128::from(reader.u64()?));
    rng.set_word_pos(high << 64 | low);
    Ok(())
}
