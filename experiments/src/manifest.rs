//! `manifest.toml`: what is needed to run the same numbers again. No wall time in it.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Serialize;
use tidegate_autoscalers::{NamedController, effective_parameters};

use crate::cli::Choice;
use crate::scenarios::Study;

/// What an experiment was made of.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// For example `compare`.
    pub experiment: String,
    /// The arguments that the results depend on.
    pub sweep: String,
    /// Commit of the source, `unknown` where there is none, with `+` behind it if files were changed since.
    pub commit: String,
    /// Version of the package.
    pub version: String,
    /// Compiler, as far as it is known.
    pub toolchain: String,
    /// Architecture and the processor features that linear algebra may choose instructions by.
    pub machine: String,
    /// Which plant.
    pub engine: String,
    /// Seeds wanted: evaluation seeds in a comparison, training seeds in a sweep.
    pub seeds: u64,
    /// The controller to which differences are taken; empty where none is.
    pub baseline: String,
    /// SHA-256 of the file that fixed a protocol before any evaluation seed was run, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Hash of everything each scenario was made of, by name.
    pub scenarios: BTreeMap<String, String>,
    /// Parameters of each controller in each scenario, without the defaults.
    pub controllers: BTreeMap<String, BTreeMap<String, toml::Table>>,
}

impl Manifest {
    /// That of an experiment that runs controllers on scenarios.
    pub fn new(
        experiment: &str,
        choice: &Choice,
        studies: &[Study],
        controllers: &[NamedController],
        baseline: &str,
    ) -> Self {
        Self {
            experiment: experiment.into(),
            sweep: choice.sweep(),
            commit: commit(),
            version: env!("CARGO_PKG_VERSION").into(),
            toolchain: toolchain(),
            machine: machine(),
            engine: choice.engine.name().into(),
            seeds: choice.seeds,
            baseline: baseline.into(),
            protocol: None,
            scenarios: studies.iter().map(|study| (study.name.clone(), study.hash.clone())).collect(),
            controllers: studies
                .iter()
                .map(|study| (study.name.clone(), parameters(study, controllers)))
                .collect(),
        }
    }

    /// That of an experiment without controllers.
    pub fn plain(experiment: &str, sweep: &str, seeds: u64) -> Self {
        let choice = Choice { seeds, ..Choice::default() };
        Self { sweep: sweep.into(), ..Self::new(experiment, &choice, &[], &[], "") }
    }

    /// As text.
    ///
    /// # Panics
    /// Never: all keys are text.
    pub fn text(&self) -> String {
        toml::to_string(self).expect("a manifest is a table of texts and numbers")
    }
}

/// Parameters of each controller in a study, without the defaults.
pub fn parameters(study: &Study, controllers: &[NamedController]) -> BTreeMap<String, toml::Table> {
    let set = &study.scenario().controllers;
    controllers.iter().map(|named| (named.name.clone(), effective_parameters(named, set))).collect()
}

/// The commit of the source in the working directory.
pub fn commit() -> String {
    let head = said("git", &["rev-parse", "HEAD"]);
    let changed =
        said("git", &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|it| !it.is_empty());
    head.map_or_else(|| "unknown".into(), |head| if changed { format!("{head}+") } else { head })
}

/// The compiler on the path, which is the one that `cargo run` used.
pub fn toolchain() -> String {
    said("rustc", &["--version"]).unwrap_or_else(|| "unknown".into())
}

/// The class of machine that gives the same bits.
pub fn machine() -> String {
    let mut words = vec![std::env::consts::ARCH.to_owned()];
    #[cfg(target_arch = "x86_64")]
    for (name, has) in [
        ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
    ] {
        if has {
            words.push(name.to_owned());
        }
    }
    words.join(" ")
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
