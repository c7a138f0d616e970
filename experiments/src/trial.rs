//! One reported run: what it depends on, a controller in an evaluation world, its row, its course and the time of its
//! decisions.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tidegate_autoscalers::{Catalog, NamedController, effective_parameters};
use tidegate_core::{Controller, Split};

use crate::cli::Engine;
use crate::engine::{Timed, simulate};
use crate::learnt_control;
use crate::outputs;
use crate::recorder::Recorder;
use crate::runs::{self, Finished};
use crate::scenarios::Study;
use crate::scores::{self, Followed, RunRow};
use crate::staffing::Staffing;

/// What a run leaves behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scored {
    /// The row of `runs.csv`.
    pub row: RunRow,
    /// Whether a decision set the size of replicas: then another bound holds.
    pub resizes: bool,
    /// For `timings.csv`.
    pub microseconds_per_decision: f64,
}

/// The hash of what a run depends on: the program, the scenario, the controller with its parameters there, and what
/// else the experiment may vary, such as the engine. Its name and its seed are in the name of the run.
pub fn hash(program: &str, study: &Study, controller: &NamedController, more: &[&str]) -> String {
    let parameters = effective_parameters(controller, &study.scenario().controllers);
    let agent = learnt_control::file_hash(&parameters);
    let parameters = format!("{parameters}{agent}");
    let all = [program, &study.hash, &controller.kind, &parameters];
    let parts: Vec<&[u8]> = all.iter().chain(more).map(|part| part.as_bytes()).collect();
    runs::hash(&parts)
}

/// Runs `controller` in the evaluation world of this index.
///
/// # Panics
/// If the controller cannot be built; whoever calls has built it once to see that it can.
pub fn evaluate(
    catalog: &Catalog,
    engine: Engine,
    study: &Study,
    staffing: Option<&Staffing>,
    controller: &NamedController,
    index: u64,
) -> (Scored, Recorder) {
    let (scenario, _) = study.world(Split::Evaluation, index);
    let mut built = catalog
        .build_named(controller, &scenario.controllers, &scenario.facts())
        .expect("every controller was built once before the first run");
    run(engine, study, (Split::Evaluation, index), staffing, &controller.name, &mut *built)
}

/// Runs a controller that is built in a world of a split.
pub fn run(
    engine: Engine,
    study: &Study,
    (split, index): (Split, u64),
    staffing: Option<&Staffing>,
    name: &str,
    controller: &mut dyn Controller,
) -> (Scored, Recorder) {
    let (scenario, seed) = study.world(split, index);
    let mut timed = Timed::new(controller);
    let mut recorder = Recorder::new(scenario.tick_seconds);
    let summary = simulate(engine, scenario, &mut timed, seed, &mut recorder);
    let microseconds_per_decision = timed.microseconds_per_decision();
    let supply = recorder.series(|sample| f64::from(sample.ready));
    let demand = demand(staffing, &recorder);
    let followed = demand.as_deref().map(|demand| Followed {
        demand,
        supply: &supply,
        tick_seconds: scenario.tick_seconds,
    });
    let row = RunRow::new(&study.name, name, index, &summary, followed);
    (Scored { row, resizes: recorder.resizes, microseconds_per_decision }, recorder)
}

/// The least replicas that meet the level at each tick of a course, where that is known.
pub fn demand(staffing: Option<&Staffing>, recorder: &Recorder) -> Option<Vec<f64>> {
    let staffing = staffing?;
    Some(recorder.series(|sample| staffing.replicas(sample.users_per_second)))
}

/// The rows of `runs.csv`.
pub fn rows(finished: &[Finished<Scored>]) -> Vec<RunRow> {
    finished.iter().map(|it| it.result.row.clone()).collect()
}

/// Writes `runs.csv`, with rows of references behind those of the runs, and beside it `timings.csv`, the only file with
/// wall times.
///
/// # Errors
/// If a file cannot be written.
pub fn write(out: &Path, finished: &[Finished<Scored>], references: &[RunRow]) -> anyhow::Result<()> {
    let timing = |it| {
        let Finished { run, elapsed_seconds, result, .. }: &Finished<Scored> = it;
        Timing {
            run,
            elapsed_seconds: *elapsed_seconds,
            microseconds_per_decision: result.microseconds_per_decision,
        }
    };
    let timings: Vec<Timing<'_>> = finished.iter().map(timing).collect();
    let all = [rows(finished), references.to_vec()].concat();
    outputs::write(out, "runs.csv", &scores::csv_bytes(&all)?)?;
    outputs::write(out, "timings.csv", &scores::csv_bytes(&timings)?)
}

/// A row of `timings.csv`.
#[derive(Serialize)]
struct Timing<'a> {
    run: &'a str,
    elapsed_seconds: f64,
    microseconds_per_decision: f64,
}
