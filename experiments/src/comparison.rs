//! The text, tables and figures of a comparison of controllers.

use tidegate_autoscalers::{NamedController, effective_parameters};
use tidegate_core::Split;
use tidegate_stats::correlation::{pearson, variance_reduction};
use tidegate_stats::interval::{Interval, PAIRS_MIN};
use tidegate_stats::{mean, median};

use crate::cli::Engine;
use crate::controllers::any_forecasts;
use crate::figures::{self, Lane, Outcome, World};
use crate::forecasters;
use crate::recorder::Recorder;
use crate::references::References;
use crate::report::{Report, Table, dollars, number, percent, seconds};
use crate::runs;
use crate::scenarios::Study;
use crate::scores::{Cell, LEVEL, RunRow};

/// What a controller did in the first world, tick by tick.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its name.
    pub controller: String,
    /// Tick by tick.
    pub recorder: Recorder,
    /// The least replicas that meet the level, if that is known.
    pub demand: Option<Vec<f64>>,
}

/// How to read the rest.
pub fn preface(report: &mut Report, engine: Engine, baseline: &str) {
    let engine = match engine {
        Engine::Request => "request (every request simulated)",
        Engine::Fluid => "fluid (one analytic step a tick; an approximation, see docs/validation.md)",
    };
    report.paragraph(format!(
        "Engine: {engine}. All controllers meet the same worlds: the same users with the same work at the same times. \
         Each number is the mean over the runs, latencies are the median over the runs of each run's quantile, in which \
         users who gave up count as infinite. Violating users came later than the service level's bound, or never. \
         Differences are total dollars minus those of `{baseline}` in the same world, with 95 % studentised bootstrap \
         intervals; below {PAIRS_MIN} runs there is no interval. The worlds of this report were used for nothing else: \
         parameters are documented defaults or what is named below each scenario."
    ));
}

/// Tables of one scenario.
pub fn scores(
    report: &mut Report,
    study: &Study,
    cells: &[Cell<'_>],
    baseline: usize,
    references: &References,
) {
    report.heading(2, study.name.clone());
    report.paragraph(study.summary.clone());
    for note in &study.notes {
        report.paragraph(note.clone());
    }
    report.paragraph(worlds(study, cells[0].rows.len()));
    report.table(costs(study, cells, baseline, references));
    report.paragraph(about_references(cells, references));
    report.paragraph(verdict(cells, study.is_trace()));
    report.table(behaviour(study, cells));
    if cells[0].rows[0].accuracy_under.is_finite() {
        report.table(elasticity(study, cells));
        report.paragraph(
            "Demand is the least fleet that meets the service level at the tick's rate by the queueing model; it needs no \
             time to start, so no controller can follow it exactly.",
        );
    }
    if cells.len() > 1 && cells[0].rows.len() > 1 {
        report.table(pairing(study, cells, baseline));
    }
}

/// What is not as by default, and where it was set.
pub fn parameters(report: &mut Report, study: &Study, controllers: &[NamedController]) {
    let scenario = study.scenario();
    let set: Vec<String> = controllers
        .iter()
        .filter_map(|named| {
            let table = effective_parameters(named, &scenario.controllers);
            let values: Vec<String> =
                table.iter().map(|(name, value)| parameter(named, name, value)).collect();
            (!values.is_empty()).then(|| format!("`{}`: {}", named.name, values.join(", ")))
        })
        .collect();
    let source = study.tuned_on.as_deref().unwrap_or("set in the scenario's file or the file of controllers");
    report.paragraph(if set.is_empty() {
        let tuned = study.tuned_on.as_deref().unwrap_or("nothing was tuned");
        format!("All parameters are documented defaults: {tuned}.")
    } else {
        format!("Not as by default ({source}): {}. All else: documented defaults.", set.join("; "))
    });
    if any_forecasts(controllers) {
        report.paragraph(forecasters::note(study));
    }
}

/// A parameter as it is written; of a text of many lines what it is called, and its hash.
fn parameter(named: &NamedController, name: &str, value: &toml::Value) -> String {
    match (value, &named.manifest_file) {
        (toml::Value::String(text), file) if text.contains('\n') => {
            let hash = &runs::hash(&[text.as_bytes()])[..12];
            let file = file.as_deref().filter(|_| name == "manifest").unwrap_or("a text");
            format!("{name} = {file} (hash {hash})")
        }
        _ => format!("{name} = {value}"),
    }
}

/// Figures of one scenario.
pub fn figures(
    report: &mut Report,
    study: &Study,
    cells: &[Cell<'_>],
    references: &References,
    recorded: &[Recorded],
) {
    cost_figure(report, study, cells, references);
    let scenario = study.world(Split::Evaluation, 0).0;
    let Some(first) = recorded.first() else { return };
    let world = World {
        title: format!("{}: one run (evaluation {} 0)", study.name, unit(study)),
        tick_seconds: scenario.tick_seconds,
        start_hours: 0.0,
        users_per_second: first.recorder.series(|sample| sample.users_per_second),
        demand: first.demand.clone(),
        bound_seconds: scenario.level.bound_seconds,
    };
    let lanes: Vec<Lane> = recorded
        .iter()
        .map(|it| Lane {
            controller: it.controller.clone(),
            ready: it.recorder.series(|sample| f64::from(sample.ready)),
            latency_seconds: it.recorder.series(|sample| sample.latency_seconds),
        })
        .collect();
    report.figure(
        &format!("{}-time.svg", study.name),
        "Load, ready replicas and mean latency over one run for each controller.",
        figures::over_time(&world, &lanes),
    );
}

/// Cost against violations, a point a controller and one for the clairvoyant replay.
pub fn cost_figure(report: &mut Report, study: &Study, cells: &[Cell<'_>], references: &References) {
    let replays = references.rows();
    let replay = Cell { controller: "clairvoyant replay", rows: &replays };
    let outcomes: Vec<Outcome> = cells
        .iter()
        .chain([&replay])
        .map(|cell| Outcome {
            controller: cell.controller.to_owned(),
            violating_share: cell.mean(|row| row.violating_share),
            violating_interval: cell.interval(|row| row.violating_share),
            dollars: cell.mean(|row| row.dollars_total),
            dollars_interval: cell.interval(|row| row.dollars_total),
        })
        .collect();
    let heading = format!("{}: cost against violations, mean of {} runs", study.name, cells[0].rows.len());
    report.figure(
        &format!("{}-cost.svg", study.name),
        "Total dollars against the share of violating users, with 95 % intervals where there are ten runs or more. \
         Below and to the left is better.",
        figures::cost_against_violations(&heading, &outcomes),
    );
}

fn unit(study: &Study) -> &'static str {
    if study.is_trace() { "day" } else { "seed" }
}

fn worlds(study: &Study, n_runs: usize) -> String {
    let unit = unit(study);
    let which = if n_runs == 1 {
        format!("Evaluation {unit} 0")
    } else {
        format!("Evaluation {unit}s 0 to {}", n_runs - 1)
    };
    let scenario = study.scenario();
    let hours = f64::from(scenario.horizon_ticks) * scenario.tick_seconds / 3600.0;
    format!("{which}, {} h each.", number(hours))
}

fn costs(study: &Study, cells: &[Cell<'_>], baseline: usize, references: &References) -> Table {
    let mut table = Table::new(
        &format!("{}: cost and service level", study.name),
        &[
            "controller",
            "instances $",
            "penalty $",
            "total $",
            "violating",
            "p50",
            "p95",
            "p99",
            "replicas",
            "launches",
            "actions",
            "difference $ [95 %]",
            "regret $ [95 %]",
        ],
    );
    let replays = references.rows();
    let replay = Cell { controller: "clairvoyant replay", rows: &replays };
    for (index, cell) in cells.iter().chain([&replay]).enumerate() {
        let latency = |of: fn(&RunRow) -> f64| seconds(median(&cell.column(of)));
        table.row([
            cell.controller.to_owned(),
            dollars(cell.mean(|row| row.dollars_instances)),
            dollars(cell.mean(|row| row.dollars_penalty)),
            dollars(cell.mean(|row| row.dollars_total)),
            percent(cell.mean(|row| row.violating_share)),
            latency(|row| row.latency_p50_seconds),
            latency(|row| row.latency_p95_seconds),
            latency(|row| row.latency_p99_seconds),
            number(cell.mean(|row| row.ready_mean)),
            number(cell.mean(|row| row.launches as f64)),
            number(cell.mean(|row| row.scaling_actions as f64)),
            if index == baseline {
                "baseline".into()
            } else {
                difference(cell, &cells[baseline], study.is_trace())
            },
            if index == cells.len() { "–".into() } else { difference(cell, &replay, study.is_trace()) },
        ]);
    }
    let mut row = vec!["–".to_owned(); 13];
    "bound".clone_into(&mut row[0]);
    row[3] = references.bounds().map_or("none".into(), |bounds| dollars(mean(&bounds)));
    table.row(row);
    table
}

/// What the two references are here, and how far they are apart.
fn about_references(cells: &[Cell<'_>], references: &References) -> String {
    let replays: Vec<f64> = references.of_seeds.iter().map(|it| it.replay.dollars_total).collect();
    let replay = mean(&replays);
    let least = cells.iter().map(|cell| cell.mean(|row| row.dollars_total)).fold(f64::INFINITY, f64::min);
    let bound = match references.bounds() {
        None => "The bound holds on the request engine only.".to_owned(),
        Some(bounds) => {
            let of_whom = if references.any_size { ", whatever the size of replicas" } else { "" };
            format!(
                "Bound: what no controller can undercut in these worlds{of_whom} (docs/references.md); every run here was \
                 held against it. Bound over replay: {}; bound over the controller of least mean: {}.",
                percent(mean(&bounds) / replay),
                percent(mean(&bounds) / least)
            )
        }
    };
    let mut plans: Vec<(String, usize)> = Vec::new();
    for reference in &references.of_seeds {
        match plans.iter_mut().find(|(plan, _)| *plan == reference.plan) {
            Some((_, n)) => *n += 1,
            None => plans.push((reference.plan.clone(), 1)),
        }
    }
    plans.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let plans: Vec<String> = plans.into_iter().map(|(plan, n)| format!("{plan} ({n})")).collect();
    format!(
        "Clairvoyant replay: for each world the cheapest of a few plans for its realised arrivals, carried out on the same \
         plant: to be had by who knows the future, but not a bound, so regret (dollars above it, world by world) may be \
         negative. {bound} Plans taken: {}.",
        plans.join("; ")
    )
}

/// Dollars of one controller above those of another, with the interval where there are runs enough.
pub fn difference(cell: &Cell<'_>, baseline: &Cell<'_>, is_trace: bool) -> String {
    let gap = cell.mean(|row| row.dollars_total) - baseline.mean(|row| row.dollars_total);
    match cell.dearer_than(baseline, LEVEL) {
        Some(Interval { low, high, .. }) => {
            format!("{} [{}, {}]", dollars(gap), dollars(low), dollars(high))
        }
        None if cell.rows.len() < PAIRS_MIN && is_trace => format!("{} (this trace only)", dollars(gap)),
        None if cell.rows.len() < PAIRS_MIN => format!("{} (under ten runs)", dollars(gap)),
        None => format!("{} (too alike to say)", dollars(gap)),
    }
}

/// Who is cheapest, as far as the runs can tell: every other controller is compared with the one of least mean, at a
/// level at which all these comparisons hold together (Bonferroni).
fn verdict(cells: &[Cell<'_>], is_trace: bool) -> String {
    let cost = |cell: &Cell<'_>| cell.mean(|row| row.dollars_total);
    let cheapest = cells.iter().min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("there is a controller");
    let others: Vec<&Cell<'_>> = cells.iter().filter(|cell| cell.controller != cheapest.controller).collect();
    if others.is_empty() {
        return "One controller alone: there is nothing to compare.".into();
    }
    if cheapest.rows.len() < PAIRS_MIN {
        let only = if is_trace { "this trace only" } else { "these runs only" };
        return format!(
            "Least mean cost: `{}`, on {only}: {} are too few to say whether that is more than chance.",
            cheapest.controller,
            if cheapest.rows.len() == 1 { "one run".into() } else { format!("{} runs", cheapest.rows.len()) }
        );
    }
    let level = 1.0 - (1.0 - LEVEL) / others.len() as f64;
    let alike: Vec<String> = others
        .iter()
        .filter(|cell| cell.dearer_than(cheapest, level).is_none_or(|interval| interval.low <= 0.0))
        .map(|cell| format!("`{}`", cell.controller))
        .collect();
    if alike.is_empty() {
        format!(
            "Least mean cost: `{}`, cheaper than every other controller here (all paired intervals together at 95 %).",
            cheapest.controller
        )
    } else {
        format!(
            "Least mean cost: `{}`, but these runs cannot tell it from {} (paired intervals, together at 95 %), so none of \
             them is declared the winner.",
            cheapest.controller,
            alike.join(", ")
        )
    }
}

fn behaviour(study: &Study, cells: &[Cell<'_>]) -> Table {
    let mut table = Table::new(
        &format!("{}: behaviour", study.name),
        &[
            "controller",
            "gave up",
            "bad windows",
            "mean latency",
            "utilization",
            "flaps",
            "lost replicas",
            "energy kWh",
            "carbon kg",
            "energy $",
            "normal",
            "held",
            "suboptimal",
            "fallback",
        ],
    );
    for cell in cells {
        let decisions = |row: &RunRow| {
            row.decisions_normal + row.decisions_held + row.decisions_suboptimal + row.decisions_fallback
        };
        let basis =
            |of: fn(&RunRow) -> u64| percent(cell.mean(|row| of(row) as f64 / decisions(row).max(1) as f64));
        table.row([
            cell.controller.to_owned(),
            number(cell.mean(|row| row.users_gave_up)),
            number(cell.mean(|row| row.windows_violated)),
            seconds(median(&cell.column(|row| row.latency_mean_seconds))),
            percent(cell.mean(|row| row.utilization_mean)),
            number(cell.mean(|row| row.flaps as f64)),
            number(cell.mean(|row| (row.crashes + row.preemptions) as f64)),
            number(cell.mean(|row| row.energy_kwh)),
            number(cell.mean(|row| row.carbon_kg)),
            dollars(cell.mean(|row| row.dollars_energy)),
            basis(|row| row.decisions_normal),
            basis(|row| row.decisions_held),
            basis(|row| row.decisions_suboptimal),
            basis(|row| row.decisions_fallback),
        ]);
    }
    table
}

fn elasticity(study: &Study, cells: &[Cell<'_>]) -> Table {
    let mut table = Table::new(
        &format!("{}: elasticity (SPEC; instability and deviation as in Chameleon)", study.name),
        &[
            "controller",
            "missing replicas",
            "time with too few",
            "surplus replicas",
            "time with too many",
            "jitter 1/min",
            "instability",
            "deviation",
        ],
    );
    for cell in cells {
        table.row([
            cell.controller.to_owned(),
            number(cell.mean(|row| row.accuracy_under)),
            percent(cell.mean(|row| row.timeshare_under)),
            number(cell.mean(|row| row.accuracy_over)),
            percent(cell.mean(|row| row.timeshare_over)),
            number(cell.mean(|row| row.jitter_per_minute)),
            percent(cell.mean(|row| row.instability_percent) / 100.0),
            percent(cell.mean(|row| row.scaling_deviation_percent) / 100.0),
        ]);
    }
    table
}

fn pairing(study: &Study, cells: &[Cell<'_>], baseline: usize) -> Table {
    let mut table = Table::new(
        &format!("{}: what pairing gains against {}", study.name, cells[baseline].controller),
        &["controller", "correlation of costs", "variance of the difference, unpaired / paired"],
    );
    let known = |value: Option<f64>| number(value.unwrap_or(f64::NAN));
    for (_, cell) in cells.iter().enumerate().filter(|(index, _)| *index != baseline) {
        let (ours, theirs) = (cell.dollars(), cells[baseline].dollars());
        table.row([
            cell.controller.to_owned(),
            known(pearson(&ours, &theirs)),
            known(variance_reduction(&ours, &theirs)),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::{cells, tests::row};

    fn rows(n: u64, gap: f64) -> Vec<RunRow> {
        let cost = |seed: u64| 50.0 + (seed * 7 % 11) as f64;
        let a = (0..n).map(|seed| row("s", "a", seed, cost(seed)));
        let b = (0..n).map(|seed| row("s", "b", seed, cost(seed) + gap + (seed % 3) as f64 - 1.0));
        a.chain(b).collect()
    }

    #[test]
    fn no_winner_is_declared_inside_the_noise_or_from_few_runs() {
        let far = rows(20, 5.0);
        assert!(verdict(&cells(&far), false).contains("`a`, cheaper than every other"));
        let near = rows(20, 0.05);
        assert!(verdict(&cells(&near), false).contains("cannot tell it from"));
        let few = rows(9, 5.0);
        assert!(verdict(&cells(&few), true).contains("this trace only: 9 runs are too few"));
        assert!(verdict(&cells(&far)[..1], false).contains("nothing to compare"));
    }

    #[test]
    fn differences_have_intervals_from_ten_runs_on() {
        let many = rows(12, 5.0);
        let cells_ = cells(&many);
        let text = difference(&cells_[1], &cells_[0], false);
        assert!(text.starts_with("5.00 [") && text.ends_with(']'), "{text}");
        let few = rows(9, 5.0);
        let cells_ = cells(&few);
        assert_eq!(difference(&cells_[1], &cells_[0], false), "5.00 (under ten runs)");
        assert_eq!(difference(&cells_[1], &cells_[0], true), "5.00 (this trace only)");
    }
}
