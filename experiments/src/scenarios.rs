//! The worlds that experiments run in: built-in scenarios, a user's own scenario files, a user's trace.
//!
//! A scenario has as many worlds as one wants, by seed; a trace has its days ([`crate::trace`]).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use tidegate_core::locate::{FieldError, find_line};
use tidegate_core::scenario::TraceConfig;
use tidegate_core::{Replicas, Scenario, Seed, Split};

use crate::cli::Choice;
use crate::{runs, trace};

/// File name and text of every built-in scenario, in the order of lists; a scenario joins with one line.
const BUILT_IN: &[(&str, &str)] = &[
    ("web-diurnal.toml", include_str!("../../envs/scenarios/web-diurnal.toml")),
    ("flash-crowd.toml", include_str!("../../envs/scenarios/flash-crowd.toml")),
    ("checkout.toml", include_str!("../../envs/scenarios/checkout.toml")),
    ("batch-queue.toml", include_str!("../../envs/scenarios/batch-queue.toml")),
    ("llm-inference.toml", include_str!("../../envs/scenarios/llm-inference.toml")),
    ("serverless.toml", include_str!("../../envs/scenarios/serverless.toml")),
    ("spot-mix.toml", include_str!("../../envs/scenarios/spot-mix.toml")),
    ("multi-region.toml", include_str!("../../envs/scenarios/multi-region.toml")),
    ("carbon.toml", include_str!("../../envs/scenarios/carbon.toml")),
    ("noisy-sensors.toml", include_str!("../../envs/scenarios/noisy-sensors.toml")),
    ("faults.toml", include_str!("../../envs/scenarios/faults.toml")),
    ("retry-storm.toml", include_str!("../../envs/scenarios/retry-storm.toml")),
    ("vertical.toml", include_str!("../../envs/scenarios/vertical.toml")),
    ("warm-pool.toml", include_str!("../../envs/scenarios/warm-pool.toml")),
    ("memory-bound.toml", include_str!("../../envs/scenarios/memory-bound.toml")),
];

/// So many of the built-in scenarios run unless others are chosen.
const N_DEFAULT: usize = 3;

/// Counted ticks of a smoke run: an hour at 15 s.
const SMOKE_TICKS: u32 = 240;

/// One row of worlds in a report.
#[derive(Clone, Debug)]
pub struct Study {
    /// The scenario's name.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Hash of all that it was made of.
    pub hash: String,
    /// What is to be said of it in the report.
    pub notes: Vec<String>,
    /// What parameters were tuned on, where that was done here.
    pub tuned_on: Option<String>,
    worlds: Worlds,
}

#[derive(Clone, Debug)]
enum Worlds {
    /// Any number of seeds of one scenario.
    Seeds(Arc<Scenario>),
    /// Days of a trace.
    Days { training: Vec<Arc<Scenario>>, evaluation: Vec<Arc<Scenario>> },
}

impl Study {
    /// The world of this index in the split: the scenario and the seed.
    ///
    /// # Panics
    /// If a trace has no such day.
    pub fn world(&self, split: Split, index: u64) -> (&Arc<Scenario>, Seed) {
        let seed = match split {
            Split::Training => Seed::training(index),
            Split::Evaluation => Seed::evaluation(index),
        };
        let scenario = match (&self.worlds, split) {
            (Worlds::Seeds(scenario), _) => scenario,
            (Worlds::Days { training, .. }, Split::Training) => &training[index as usize],
            (Worlds::Days { evaluation, .. }, Split::Evaluation) => &evaluation[index as usize],
        };
        (scenario, seed)
    }

    /// How many worlds of the split there are, if at most `wanted` are wanted.
    pub fn n_worlds(&self, split: Split, wanted: u64) -> u64 {
        match (&self.worlds, split) {
            (Worlds::Seeds(_), _) => wanted,
            (Worlds::Days { training, .. }, Split::Training) => wanted.min(training.len() as u64),
            (Worlds::Days { evaluation, .. }, Split::Evaluation) => wanted.min(evaluation.len() as u64),
        }
    }

    /// Any of its scenarios, for what they have in common: facts, prices, service, controllers' parameters.
    pub fn scenario(&self) -> &Arc<Scenario> {
        match &self.worlds {
            Worlds::Seeds(scenario) => scenario,
            Worlds::Days { evaluation, .. } => &evaluation[0],
        }
    }

    /// Whether its worlds are days of a trace.
    pub fn is_trace(&self) -> bool {
        matches!(self.worlds, Worlds::Days { .. })
    }

    /// Gives `fixed` this size in all worlds, unless the scenario says otherwise.
    pub fn set_fixed(&mut self, replicas: Replicas, tuned_on: &str) {
        let set = |scenario: &mut Arc<Scenario>| {
            let table = toml::Table::from_iter([("replicas".to_owned(), i64::from(replicas).into())]);
            Arc::make_mut(scenario).controllers.entry("fixed").or_insert(table.into());
        };
        match &mut self.worlds {
            Worlds::Seeds(scenario) => set(scenario),
            Worlds::Days { training, evaluation } => training.iter_mut().chain(evaluation).for_each(set),
        }
        self.say_tuned(tuned_on);
    }

    /// Puts these tables of parameters, by kind, over the scenario's own in all worlds.
    pub fn set_tuned(&mut self, controllers: &toml::Table, tuned_on: &str) {
        let set = |scenario: &mut Arc<Scenario>| {
            for (kind, tuned) in controllers {
                let own = Arc::make_mut(scenario)
                    .controllers
                    .entry(kind)
                    .or_insert_with(|| toml::Table::new().into());
                if let (Some(own), Some(tuned)) = (own.as_table_mut(), tuned.as_table()) {
                    own.extend(tuned.clone());
                }
            }
        };
        match &mut self.worlds {
            Worlds::Seeds(scenario) => set(scenario),
            Worlds::Days { training, evaluation } => training.iter_mut().chain(evaluation).for_each(set),
        }
        self.say_tuned(tuned_on);
    }

    fn say_tuned(&mut self, tuned_on: &str) {
        let before = self.tuned_on.take().map_or_else(String::new, |before| format!("{before}; "));
        self.tuned_on = Some(before + tuned_on);
    }

    /// Days of a trace; the hash and the notes are completed by who read the file.
    pub(crate) fn of_days(
        name: &str,
        summary: &str,
        hash: String,
        notes: Vec<String>,
        training: Vec<Arc<Scenario>>,
        evaluation: Vec<Arc<Scenario>>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            summary: summary.to_owned(),
            hash,
            notes,
            tuned_on: None,
            worlds: Worlds::Days { training, evaluation },
        }
    }

    fn of_text(file: &str, text: &str, folder: Option<&Path>, smoke: bool) -> anyhow::Result<Self> {
        let mut traces = Vec::new();
        let mut read = |config: &TraceConfig| {
            let path = folder.ok_or("a built-in scenario reads no files")?.join(&config.file);
            let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            traces.push(runs::hash(&[&bytes]));
            trace::recorded(&bytes, config.column.as_deref())
                .map_err(|error| format!("{}: {error:#}", path.display()))
        };
        let mut scenario = Scenario::parse_with(text, &mut read).with_context(|| file.to_owned())?;
        crate::controllers::catalog()
            .check_scenario(&scenario.controllers)
            .map_err(|error| FieldError { line: find_line(text, &error.field), ..error })
            .with_context(|| file.to_owned())?;
        if smoke {
            scenario.horizon_ticks = scenario.horizon_ticks.min(SMOKE_TICKS);
        }
        let horizon = scenario.horizon_ticks.to_le_bytes();
        Ok(Self {
            name: scenario.name.clone(),
            summary: scenario.summary.clone(),
            hash: runs::hash(&[text.as_bytes(), &horizon, traces.concat().as_bytes()]),
            notes: Vec::new(),
            tuned_on: None,
            worlds: Worlds::Seeds(Arc::new(scenario)),
        })
    }
}

/// Names and summaries of the built-in scenarios; the first few run by default.
///
/// # Panics
/// If a built-in scenario is wrong; a test reads them all.
pub fn list() -> Vec<(String, String, bool)> {
    BUILT_IN
        .iter()
        .enumerate()
        .map(|(index, (file, text))| {
            let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{file}: {error}"));
            (scenario.name, scenario.summary, index < N_DEFAULT)
        })
        .collect()
}

/// The scenarios that were asked for.
///
/// # Errors
/// If a name is unknown, a file cannot be read or is wrong, or a trace holds too little.
pub fn chosen(choice: &Choice) -> anyhow::Result<Vec<Study>> {
    if let Some(path) = &choice.trace {
        let ticks_max = choice.smoke.then_some(SMOKE_TICKS);
        return Ok(vec![trace::study(path, choice.column.as_deref(), ticks_max)?]);
    }
    if choice.scenario.is_empty() {
        let n = match (choice.full, choice.smoke) {
            (true, _) => BUILT_IN.len(),
            (false, true) => 1,
            (false, false) => N_DEFAULT,
        };
        return BUILT_IN
            .iter()
            .take(n)
            .map(|(file, text)| Study::of_text(file, text, None, choice.smoke))
            .collect();
    }
    let mut studies: Vec<Study> = Vec::new();
    for name in &choice.scenario {
        let study = named(name, choice.smoke)?;
        if studies.iter().any(|there| there.name == study.name) {
            bail!("--scenario: {:?} comes twice", study.name);
        }
        studies.push(study);
    }
    Ok(studies)
}

/// One built-in scenario, or one of a file whose name ends in `.toml`.
///
/// # Errors
/// If it is neither, or the file is wrong.
pub fn named(name: &str, smoke: bool) -> anyhow::Result<Study> {
    let is_file = Path::new(name).extension().is_some_and(|extension| extension == "toml");
    if is_file {
        let text = fs::read_to_string(name).with_context(|| name.to_owned())?;
        return Study::of_text(name, &text, Path::new(name).parent(), smoke);
    }
    for (file, text) in BUILT_IN {
        let study = Study::of_text(file, text, None, smoke)?;
        if study.name == name {
            return Ok(study);
        }
    }
    let names: Vec<String> = list().into_iter().map(|(name, _, _)| name).collect();
    Err(anyhow!("--scenario: {name:?} is none of {} and no .toml file", names.join(", ")))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_built_in_scenario_is_right_named_like_its_file_and_has_right_controllers() {
        let mut names = BTreeSet::new();
        for (file, text) in BUILT_IN {
            let study = Study::of_text(file, text, None, false).expect("it is right");
            assert_eq!(format!("{}.toml", study.name), *file);
            assert!(names.insert(study.name), "{file} comes twice");
        }
        assert!(names.len() >= N_DEFAULT);
    }

    pub(crate) fn example() -> Study {
        Study::of_text("e", tidegate_core::scenario::EXAMPLE, None, false).expect("it is right")
    }

    #[test]
    fn a_fixed_size_that_a_scenario_sets_is_kept() {
        let mut study =
            Study::of_text("e", tidegate_core::scenario::EXAMPLE, None, true).expect("it is right");
        study.set_fixed(7, "a test");
        study.set_fixed(9, "a test");
        assert_eq!(study.scenario().controllers["fixed"]["replicas"].as_integer(), Some(7));
    }
}
