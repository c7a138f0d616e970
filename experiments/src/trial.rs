//! One reported run: a controller in an evaluation world, its row, its course and the time of its decisions.

use serde::{Deserialize, Serialize};
use tidegate_autoscalers::{Catalog, NamedController};
use tidegate_core::Split;

use crate::cli::Engine;
use crate::engine::{Timed, simulate};
use crate::recorder::Recorder;
use crate::scenarios::Study;
use crate::scores::{Followed, RunRow};
use crate::staffing::Staffing;

/// What a run leaves behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scored {
    /// The row of `runs.csv`.
    pub row: RunRow,
    /// For `timings.csv`.
    pub microseconds_per_decision: f64,
}

/// A row of `timings.csv`, the only file with wall times.
#[derive(Clone, Debug, Serialize)]
pub struct Timing<'a> {
    /// Its name.
    pub run: &'a str,
    /// Wall time.
    pub elapsed_seconds: f64,
    /// Mean wall time of a decision.
    pub microseconds_per_decision: f64,
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
    let (scenario, seed) = study.world(Split::Evaluation, index);
    let mut built = catalog
        .build_named(controller, &scenario.controllers, &scenario.facts())
        .expect("every controller was built once before the first run");
    let mut timed = Timed::new(&mut *built);
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
    let row = RunRow::new(&study.name, &controller.name, index, &summary, followed);
    (Scored { row, microseconds_per_decision }, recorder)
}

/// The least replicas that meet the level at each tick of a course, where that is known.
pub fn demand(staffing: Option<&Staffing>, recorder: &Recorder) -> Option<Vec<f64>> {
    let staffing = staffing?;
    Some(recorder.series(|sample| staffing.replicas(sample.users_per_second)))
}
