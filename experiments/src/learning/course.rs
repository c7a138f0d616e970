//! One run of one training seed: it can be stopped at any step and goes on to the same bits.
//!
//! What a run has so far is one file, `seed-N.checkpoint`: the learner's own record, the ranges of what was seen, and the
//! log. It is written to another name and renamed, so that it is always whole: every ten seconds, and where the run is
//! told to stop. At the end `seed-N.trained` takes its place, with the agent and the whole log. Both hold a hash of what the
//! run depends on; those of another program or of other arguments are passed over, as everywhere here.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use tidegate_core::Seed;
use tidegate_dqn::{Learning, LearningError, Options, Progress};
use tidegate_net::{Reader, Writer};

use crate::learning::agent::{AgentFile, CHECKPOINT, FAMILY, Ranges, SharedRanges, TRAINED};
use crate::learning::environment::{AnyEnv, Task};

/// A line of the log stands for so many steps.
pub const LOG_EVERY: u64 = 1_000;

/// From one checkpoint to the next: little to lose, and little to write beside what is learnt in the time.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// What one run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    /// What is learnt.
    pub task: &'a Task,
    /// How.
    pub options: &'a Options,
    /// Number of the training seed.
    pub seed: u64,
    /// Of everything else that the result depends on: the program.
    pub program: &'a str,
    /// Folder of checkpoints; none keeps nothing.
    pub folder: Option<&'a Path>,
}

/// A line of `training.jsonl`: means over the steps since the line before. Nothing in it depends on the clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// The training seed.
    pub seed: u64,
    /// Steps made, over all copies.
    pub step: u64,
    /// Episodes that ended in these steps.
    pub episodes: u64,
    /// Their mean sum of rewards; none if no episode ended.
    pub return_mean: Option<f64>,
    /// Their mean length in steps.
    pub length_mean: Option<f64>,
    /// Mean loss of the gradient steps; none if there was none.
    pub loss: Option<f64>,
    /// Mean value of the actions that were replayed.
    pub mean_q: Option<f64>,
    /// Probability of a random action in the last step.
    pub epsilon: f64,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The training seed.
    pub seed: u64,
    /// The whole log.
    pub log: Vec<LogLine>,
    /// Bytes of the [`AgentFile`].
    pub agent: Vec<u8>,
    /// Wall time, over all processes that took part.
    pub elapsed_seconds: f64,
}

/// What has happened since the last line.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Tally {
    episodes: u64,
    total: f64,
    length: u64,
    updates: u64,
    loss: f64,
    mean_q: f64,
}

/// Log as far as it goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Log {
    lines: Vec<LogLine>,
    tally: Tally,
}

/// A run as far as it goes.
struct State {
    learning: Learning<AnyEnv>,
    ranges: SharedRanges,
    log: Log,
    elapsed_seconds: f64,
}

impl Course<'_> {
    /// Trains from where the checkpoint stands, or from the beginning, to the end or until `stop` says so (it is asked
    /// after every step); none if it was stopped. `shown` is told of every line of the log, those of before included.
    ///
    /// # Errors
    /// If a loss or a gradient is no finite number (with step, seed and where the last checkpoint is), an option cannot be
    /// meant, or a file cannot be read or written.
    pub fn train(
        &self,
        shown: &mut dyn FnMut(&LogLine),
        stop: &mut dyn FnMut(u64) -> bool,
    ) -> anyhow::Result<Option<Trained>> {
        if let Some(trained) = self.trained()? {
            trained.log.iter().for_each(&mut *shown);
            return Ok(Some(trained));
        }
        let mut state = match self.resumed()? {
            Some(state) => state,
            None => self.begun()?,
        };
        state.log.lines.iter().for_each(&mut *shown);
        let (begun, before) = (Instant::now(), state.elapsed_seconds);
        let mut written = Instant::now();
        let steps = self.options.steps;
        while let Some(progress) = state.learning.next() {
            let progress = progress.map_err(|error| self.told(&error))?;
            state.log.take(&progress);
            if progress.step.is_multiple_of(LOG_EVERY) || progress.step == steps {
                shown(state.log.close(self.seed, &progress));
            }
            let stops = stop(progress.step);
            // The clock is asked seldom; what it says changes nothing but what is lost if the power fails.
            let is_due = progress.step.is_multiple_of(256) && written.elapsed() > CHECKPOINT_EVERY;
            if stops || is_due {
                state.elapsed_seconds = before + begun.elapsed().as_secs_f64();
                self.keep(&state)?;
                written = Instant::now();
            }
            if stops {
                return Ok(None);
            }
        }
        let trained = Trained {
            seed: self.seed,
            agent: self.agent(&state).to_bytes(),
            log: state.log.lines,
            elapsed_seconds: before + begun.elapsed().as_secs_f64(),
        };
        self.finish(&trained)?;
        Ok(Some(trained))
    }

    /// Where the run keeps what it has.
    pub fn checkpoint(&self) -> Option<PathBuf> {
        Some(self.folder?.join(format!("seed-{}.checkpoint", self.seed)))
    }

    fn agent(&self, state: &State) -> AgentFile {
        let access = match self.task {
            Task::Classic(_) => None,
            Task::Service(service) => Some(service.access),
        };
        AgentFile {
            environment: self.task.name().to_owned(),
            access,
            ranges: state.ranges.borrow().clone(),
            policy: state.learning.policy(),
        }
    }

    fn hash(&self) -> String {
        let parts = [self.program, &self.task.hash(), &format!("{:?}", self.options), &self.seed.to_string()];
        crate::runs::hash(&parts.map(str::as_bytes))
    }

    fn begun(&self) -> anyhow::Result<State> {
        let ranges = SharedRanges::default();
        let envs = self.task.training(self.seed, &ranges);
        let learning = Learning::new(self.options.clone(), envs, Seed::training(self.seed))?;
        Ok(State { learning, ranges, log: Log::default(), elapsed_seconds: 0.0 })
    }

    fn resumed(&self) -> anyhow::Result<Option<State>> {
        let Some((path, bytes)) = read(self.checkpoint())? else { return Ok(None) };
        let parse = || -> anyhow::Result<Option<State>> {
            let mut reader = Reader::new(&bytes, &FAMILY, CHECKPOINT)?;
            if reader.text()? != self.hash() {
                return Ok(None);
            }
            let log: Log = serde_json::from_slice(reader.bytes()?)?;
            let elapsed_seconds = reader.f64()?;
            // Copies that repeat their episodes see nothing new, so the ranges stay what they are.
            let ranges = Rc::new(RefCell::new(Ranges::read(&mut reader)?));
            let envs = self.task.training(self.seed, &ranges);
            let learning = Learning::from_bytes(reader.bytes()?, self.options.clone(), envs)?;
            reader.finish()?;
            Ok(Some(State { learning, ranges, log, elapsed_seconds }))
        };
        parse().with_context(|| path.display().to_string())
    }

    fn keep(&self, state: &State) -> anyhow::Result<()> {
        let Some(path) = self.checkpoint() else { return Ok(()) };
        let mut writer = Writer::new(&FAMILY, CHECKPOINT);
        writer.bytes(self.hash().as_bytes());
        writer.bytes(&serde_json::to_vec(&state.log).context("a log")?);
        writer.f64(state.elapsed_seconds);
        state.ranges.borrow().write(&mut writer);
        writer.bytes(&state.learning.to_bytes());
        replace(&path, &writer.finish())
    }

    fn finished(&self) -> Option<PathBuf> {
        Some(self.folder?.join(format!("seed-{}.trained", self.seed)))
    }

    fn trained(&self) -> anyhow::Result<Option<Trained>> {
        let Some((path, bytes)) = read(self.finished())? else { return Ok(None) };
        let parse = || -> anyhow::Result<Option<Trained>> {
            let mut reader = Reader::new(&bytes, &FAMILY, TRAINED)?;
            if reader.text()? != self.hash() {
                return Ok(None);
            }
            let log = serde_json::from_slice(reader.bytes()?)?;
            let elapsed_seconds = reader.f64()?;
            let agent = reader.bytes()?.to_vec();
            reader.finish()?;
            Ok(Some(Trained { seed: self.seed, log, agent, elapsed_seconds }))
        };
        parse().with_context(|| path.display().to_string())
    }

    /// The checkpoint, with a replay of tens of megabytes, is not needed any more.
    fn finish(&self, trained: &Trained) -> anyhow::Result<()> {
        let (Some(path), Some(checkpoint)) = (self.finished(), self.checkpoint()) else { return Ok(()) };
        let mut writer = Writer::new(&FAMILY, TRAINED);
        writer.bytes(self.hash().as_bytes());
        writer.bytes(&serde_json::to_vec(&trained.log).context("a log")?);
        writer.f64(trained.elapsed_seconds);
        writer.bytes(&trained.agent);
        replace(&path, &writer.finish())?;
        match fs::remove_file(&checkpoint) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| checkpoint.display().to_string())
            }
            _ => Ok(()),
        }
    }

    /// An error of the learner, with what the user can go back to.
    fn told(&self, error: &LearningError) -> anyhow::Error {
        let kept = match self.checkpoint() {
            Some(path) if path.exists() => format!("the last checkpoint is {}", path.display()),
            _ => "no checkpoint was written before".to_owned(),
        };
        anyhow!("{error}; {kept}")
    }
}

impl Log {
    fn take(&mut self, progress: &Progress) {
        let tally = &mut self.tally;
        if let Some(episode) = progress.episode {
            tally.episodes += 1;
            tally.total += episode.total;
            tally.length += episode.length;
        }
        if let Some(update) = progress.update {
            tally.updates += u64::from(update.n);
            tally.loss += update.loss * f64::from(update.n);
            tally.mean_q += update.mean_q * f64::from(update.n);
        }
    }

    fn close(&mut self, seed: u64, progress: &Progress) -> &LogLine {
        let Tally { episodes, total, length, updates, loss, mean_q } = std::mem::take(&mut self.tally);
        let mean = |sum: f64, n: u64| (n > 0).then(|| sum / n as f64);
        self.lines.push(LogLine {
            seed,
            step: progress.step,
            episodes,
            return_mean: mean(total, episodes),
            length_mean: mean(length as f64, episodes),
            loss: mean(loss, updates),
            mean_q: mean(mean_q, updates),
            epsilon: progress.epsilon,
        });
        self.lines.last().expect("one was just added")
    }
}

fn read(path: Option<PathBuf>) -> anyhow::Result<Option<(PathBuf, Vec<u8>)>> {
    let Some(path) = path else { return Ok(None) };
    match fs::read(&path) {
        Ok(bytes) => Ok(Some((path, bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Writes a file that is whole or not there, whenever the process dies.
fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let named = || path.display().to_string();
    let fresh = path.with_extension("writing");
    let mut file = File::create(&fresh).with_context(named)?;
    file.write_all(bytes).and_then(|()| file.sync_data()).with_context(named)?;
    fs::rename(&fresh, path).with_context(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::settings::{self, Preset};
    use tidegate_net::Schedule;

    fn course<'a>(task: &'a Task, options: &'a Options, folder: Option<&'a Path>) -> Course<'a> {
        Course { task, options, seed: 2, program: "test", folder }
    }

    fn to_the_end(course: Course<'_>) -> Trained {
        let trained = course.train(&mut |_| {}, &mut |_| false).expect("it runs");
        trained.expect("nobody stops it")
    }

    /// Stopped after several steps, odd ones too, so that copies are told about in part.
    fn check_resume(name: &str, preset: Preset, steps: u64, stops: &[u64]) {
        let task = Task::named(name, true).expect("it is there");
        let options = settings::options(&task, preset, Some(steps)).expect("it is there");
        let whole = to_the_end(course(&task, &options, None));
        assert!(whole.log.len() as u64 == steps.div_ceil(LOG_EVERY));
        let folder = tempfile::tempdir().expect("a folder");
        let course = course(&task, &options, Some(folder.path()));
        for at in stops {
            let stopped = course.train(&mut |_| {}, &mut |step| step == *at).expect("it runs");
            assert!(stopped.is_none() && course.checkpoint().is_some_and(|path| path.exists()));
        }
        let mut shown = Vec::new();
        let cut = course.train(&mut |line| shown.push(line.clone()), &mut |_| false).expect("it runs");
        let cut = cut.expect("nobody stops it");
        assert_eq!((&cut.log, &cut.agent), (&whole.log, &whole.agent), "{name}");
        assert_eq!(shown, whole.log, "{name}: a bar shows what was before");
        // Asked again, it answers from disk; the replay is gone.
        let again = to_the_end(course);
        assert_eq!((again.log, again.agent), (whole.log, whole.agent), "{name}");
        assert!(!course.checkpoint().is_some_and(|path| path.exists()));
    }

    #[test]
    fn a_run_that_was_stopped_goes_on_to_the_same_bits() {
        check_resume("cart-pole", Preset::Rainbow, 1_500, &[1, 700, 1_000]);
        check_resume("autoscale/web-diurnal", Preset::Double, 2_404, &[403, 1_999]);
        check_resume("source/web-diurnal", Preset::Dqn, 1_600, &[1_205]);
    }

    #[test]
    fn a_checkpoint_of_other_arguments_is_passed_over() {
        let task = Task::named("chain", true).expect("it is there");
        let options = settings::options(&task, Preset::Double, Some(1_200)).expect("it is there");
        let folder = tempfile::tempdir().expect("a folder");
        let one = course(&task, &options, Some(folder.path()));
        assert!(one.train(&mut |_| {}, &mut |step| step == 600).expect("it runs").is_none());
        let other = Course { program: "another", ..one };
        let mut first = None;
        other.train(&mut |_| {}, &mut |step| first.replace(step).is_some()).expect("it runs");
        assert_eq!(first, Some(2), "it began again and was stopped after its second step");
    }

    #[test]
    fn a_damaged_checkpoint_is_named() {
        let task = Task::named("chain", true).expect("it is there");
        let options = settings::options(&task, Preset::Double, Some(1_200)).expect("it is there");
        let folder = tempfile::tempdir().expect("a folder");
        let one = course(&task, &options, Some(folder.path()));
        assert!(one.train(&mut |_| {}, &mut |step| step == 600).expect("it runs").is_none());
        let path = one.checkpoint().expect("it has a folder");
        let mut bytes = fs::read(&path).expect("it is there");
        bytes[60] ^= 1;
        fs::write(&path, &bytes).expect("it is written");
        let error = one.train(&mut |_| {}, &mut |_| false).expect_err("a bit is wrong");
        let said = format!("{error:#}");
        assert!(said.ends_with("seed-2.checkpoint: the record is damaged: its checksum is wrong"), "{said}");
    }

    #[test]
    fn a_loss_that_is_no_number_stops_the_run_and_names_step_seed_and_checkpoint() {
        let task = Task::named("cart-pole", true).expect("it is there");
        let options = settings::options(&task, Preset::Dqn, Some(5_000)).expect("it is there");
        let options = Options { learning_rate: Schedule::Constant(1e30), learning_starts: 1_000, ..options };
        let folder = tempfile::tempdir().expect("a folder");
        let one = course(&task, &options, Some(folder.path()));
        assert!(one.train(&mut |_| {}, &mut |step| step == 900).expect("it runs").is_none());
        let said = one.train(&mut |_| {}, &mut |_| false).expect_err("it diverges").to_string();
        assert!(said.starts_with("environment step 10"), "{said}");
        assert!(said.contains(" of seed training 2: gradient "), "{said}");
        assert!(said.ends_with("seed-2.checkpoint") && said.contains("; the last checkpoint is "), "{said}");
        let nowhere = Course { folder: None, ..one };
        let said = nowhere.train(&mut |_| {}, &mut |_| false).expect_err("it diverges").to_string();
        assert!(said.ends_with("; no checkpoint was written before"), "{said}");
    }
}
