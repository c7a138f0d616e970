//! `tuned.toml`: the parameters that `tune` found, by scenario and kind, and how `compare --tuned` reads them.
//!
//! They stand between the scenario's own table and the user's file, and hold for the very scenario that they were
//! found on, which is checked by its hash.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tidegate_autoscalers::Catalog;
use tidegate_core::locate::{FieldError, find_line, read_toml};
use toml::Table;

use crate::scenarios::Study;

const HEAD: &str =
    "# Written by `tune`, read by `compare --tuned`. An empty table: what the scenario sets was best.\n";

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedFile {
    /// SHA-256 of the protocol that they were found by.
    pub protocol: String,
    /// Simulated hours that each controller was given.
    pub budget_hours: f64,
    /// By name.
    pub scenarios: BTreeMap<String, TunedScenario>,
}

/// What was found on one scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedScenario {
    /// Of everything that the scenario was made of.
    pub hash: String,
    /// Worlds and engines, in words.
    pub tuned_on: String,
    /// By kind, what is not as the scenario sets it.
    pub controllers: Table,
}

impl TunedFile {
    /// Reads and checks it.
    ///
    /// # Errors
    /// With file, line and field, if it is no such file, or a kind or parameter is wrong.
    pub fn read(path: &Path, catalog: &Catalog) -> anyhow::Result<Self> {
        let named = || path.display().to_string();
        let text = fs::read_to_string(path).with_context(named)?;
        let file: Self = read_toml(&text).with_context(named)?;
        for (name, scenario) in &file.scenarios {
            catalog
                .check_scenario(&scenario.controllers)
                .map_err(|error| {
                    let field = format!("scenarios.{name}.{}", error.field);
                    FieldError { line: find_line(&text, &field), field, ..error }
                })
                .with_context(named)?;
        }
        Ok(file)
    }

    /// Puts what was found on it over the study's own parameters.
    ///
    /// # Errors
    /// If nothing was tuned on it, or it has changed since.
    pub fn apply(&self, path: &Path, study: &mut Study) -> anyhow::Result<()> {
        let path = path.display();
        let Some(scenario) = self.scenarios.get(&study.name) else {
            let names: Vec<&str> = self.scenarios.keys().map(String::as_str).collect();
            bail!("{path}: nothing was tuned on {:?}, only on {}", study.name, names.join(", "));
        };
        if scenario.hash != study.hash {
            bail!(
                "{path}: {:?} was tuned with hash {}, but is now {}: run `tune` on it again, with --smoke if that is set here",
                study.name,
                scenario.hash,
                study.hash
            );
        }
        study.set_tuned(&scenario.controllers, &scenario.said());
        Ok(())
    }

    /// As the file has it.
    ///
    /// # Panics
    /// Never: all keys are text.
    pub fn text(&self) -> String {
        format!("{HEAD}\n{}", toml::to_string(self).expect("texts, numbers and tables"))
    }
}

impl TunedScenario {
    /// For the report.
    fn said(&self) -> String {
        let (kept, changed): (Vec<_>, Vec<_>) = self
            .controllers
            .iter()
            .partition(|(_, parameters)| parameters.as_table().is_none_or(Table::is_empty));
        let names = |those: &[(&String, &toml::Value)]| {
            those.iter().map(|(kind, _)| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
        };
        let mut said: Vec<String> = Vec::new();
        if !changed.is_empty() {
            said.push(names(&changed));
        }
        if !kept.is_empty() {
            said.push(format!("nothing better than what the scenario sets was found for {}", names(&kept)));
        }
        format!("tuned {}: {}; other kinds were not tuned", self.tuned_on, said.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controllers, scenarios};

    fn file(hash: &str) -> TunedFile {
        let controllers: Table =
            "threshold = { high = 0.61 }\nqueue_depth = {}".parse().expect("this is TOML");
        let scenario = TunedScenario { hash: hash.into(), tuned_on: "on training seeds".into(), controllers };
        TunedFile {
            protocol: "ab".into(),
            budget_hours: 100.0,
            scenarios: BTreeMap::from([("example".to_owned(), scenario)]),
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_applied_to_its_scenario_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tuned.toml");
        let mut study = scenarios::tests::example();
        let written = file(&study.hash);
        fs::write(&path, written.text()).expect("it is written");
        let read = TunedFile::read(&path, &controllers::catalog()).expect("it is right");
        assert_eq!(read, written);
        read.apply(&path, &mut study).expect("it fits");
        assert_eq!(study.scenario().controllers["threshold"]["high"].as_float(), Some(0.61));
        let said = study.tuned_on.clone().expect("it was tuned");
        assert!(said.starts_with("tuned on training seeds: `threshold`; nothing better than"), "{said}");

        let error = file("other").apply(Path::new("t.toml"), &mut study).expect_err("it changed");
        assert!(error.to_string().starts_with("t.toml: \"example\" was tuned with hash other, but is now"));
        study.name = "elsewhere".into();
        let error = file("other").apply(Path::new("t.toml"), &mut study).expect_err("it is unknown");
        assert_eq!(error.to_string(), "t.toml: nothing was tuned on \"elsewhere\", only on example");
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tuned.toml");
        fs::write(&path, file("x").text().replace("high = 0.61", "hihg = 0.61")).expect("it is written");
        let error = TunedFile::read(&path, &controllers::catalog()).expect_err("no such parameter");
        let said = format!("{error:#}");
        assert!(
            said.contains("line 13: `scenarios.example.controllers.threshold.hihg` unknown field `hihg`"),
            "{said}"
        );
    }
}
