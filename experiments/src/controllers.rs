//! Which controllers are compared: the catalog, what is run by default, and what the user chose.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use tidegate_autoscalers::demand::Forecasters;
use tidegate_autoscalers::{Catalog, Kind, NamedController, aws, combined, predictive, scryer};
use tidegate_forecast::SeasonalNaive;

use crate::cli::Choice;
use crate::forecasters;
use crate::learnt_control;
use crate::predictive_control;
use crate::scenarios::Study;

/// Run unless others are named; the first is the baseline of the differences.
pub const DEFAULT: [&str; 11] = [
    "fixed",
    "threshold",
    "metric_vote",
    "multi_dimensional",
    "hpa",
    "aws_target_tracking",
    "knative",
    "queue_depth",
    "square_root_staffing",
    "lcp",
    "mpc",
];

/// Every kind that there is. Controllers of other crates join here. Forecasters know nothing before the run.
pub fn catalog() -> Catalog {
    complete(forecasters::without_history(), None)
}

/// The same for the runs of one study: forecasters have seen its training days, and the agent is that of its scenario.
pub fn catalog_for(study: &Study) -> Catalog {
    complete(forecasters::of_study(study), Some(&study.name))
}

fn complete(forecasters: Forecasters, scenario: Option<&str>) -> Catalog {
    let rules = Catalog::rules();
    rules
        .clone()
        .with(combined::kind(rules.clone(), forecasters.clone()))
        .with(aws::predictive_kind(
            |needs| Box::new(SeasonalNaive::day(needs.step_seconds)),
            forecasters.history.clone(),
        ))
        .with(predictive::kind(forecasters.clone()))
        .with(predictive_control::kind(forecasters.clone()))
        .with(scryer::kind(rules, forecasters))
        .with(learnt_control::kind(scenario))
}

/// Whether one of these forecasts, and so knows what came before the run.
pub fn any_forecasts(controllers: &[NamedController]) -> bool {
    let has_forecaster = |it: &&Kind| it.about.parameters.iter().any(|row| row.name == "forecaster");
    let catalog = catalog();
    let mut kinds: Vec<&str> = catalog.list().iter().filter(has_forecaster).map(|it| it.about.kind).collect();
    // Its forecaster has no name to choose.
    kinds.push("aws_predictive");
    controllers.iter().any(|named| kinds.contains(&named.kind.as_str()))
}

/// The controllers that were asked for, in the order of the report: those of the user's file behind those of the
/// catalog, except that one called like a kind takes its place.
///
/// # Errors
/// If the file cannot be read or is wrong, or a name is unknown.
pub fn chosen(choice: &Choice, catalog: &Catalog) -> anyhow::Result<Vec<NamedController>> {
    let mut kinds: Vec<&str> = catalog.list().iter().map(|kind| kind.about.kind).collect();
    if choice.controller.is_empty() {
        // An agent is of one scenario: it runs where it is asked for by name.
        kinds.retain(|kind| *kind != learnt_control::KIND);
    }
    let shown = if choice.full || !choice.controller.is_empty() { &kinds[..] } else { &DEFAULT[..] };
    let mut known: Vec<NamedController> = shown.iter().map(|kind| NamedController::of_kind(kind)).collect();
    if let Some(path) = &choice.controllers {
        for controller in own(path, catalog)? {
            match known.iter_mut().find(|known| known.name == controller.name) {
                Some(place) => *place = controller,
                None => known.push(controller),
            }
        }
    }
    if choice.controller.is_empty() {
        return Ok(known);
    }
    let mut chosen: Vec<NamedController> = Vec::new();
    for name in &choice.controller {
        let Some(controller) = known.iter().find(|known| known.name == *name) else {
            let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
            return Err(anyhow!("--controller: {name:?} is none of {}", names.join(", ")));
        };
        if chosen.iter().any(|there| there.name == *name) {
            bail!("--controller: {name:?} comes twice");
        }
        chosen.push(controller.clone());
    }
    Ok(chosen)
}

/// The controllers of a user's file. The manifests that it names with `hpa`, and agents, lie where it lies.
///
/// # Errors
/// If a file cannot be read or is wrong.
pub fn own(path: &Path, catalog: &Catalog) -> anyhow::Result<Vec<NamedController>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut read = |file: &str| {
        fs::read_to_string(folder.join(file))
            .map_err(|error| format!("{}: {error}", folder.join(file).display()))
    };
    let mut controllers =
        catalog.read_controllers_with(&text, &mut read).with_context(|| path.display().to_string())?;
    for controller in &mut controllers {
        learnt_control::resolve(controller, folder);
    }
    Ok(controllers)
}

/// Whether every controller can be built on a study, before the first run.
///
/// # Errors
/// If one cannot: which, where and why.
pub fn check(controllers: &[NamedController], catalog: &Catalog, study: &Study) -> anyhow::Result<()> {
    let scenario = study.scenario();
    for controller in controllers {
        catalog
            .build_named(controller, &scenario.controllers, &scenario.facts())
            .with_context(|| format!("{}, controller {}", study.name, controller.name))?;
    }
    Ok(())
}

/// The baseline's position among the controllers.
///
/// # Errors
/// If it is not among them.
pub fn baseline(choice: &Choice, controllers: &[NamedController]) -> anyhow::Result<usize> {
    let Some(name) = &choice.baseline else { return Ok(0) };
    controllers.iter().position(|controller| controller.name == *name).ok_or_else(|| {
        let names: Vec<&str> = controllers.iter().map(|controller| controller.name.as_str()).collect();
        anyhow!("--baseline: {name:?} is none of {}", names.join(", "))
    })
}
