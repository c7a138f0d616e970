//! The report of a backtest: what was done, the summary, then workload by workload tables and figures.

use tidegate_core::SECONDS_PER_HOUR;
use tidegate_stats::interval::PAIRS_MIN;

use super::protocol::Fan;
use super::score::Score;
use super::summary::{self, BASELINE, COVERAGE, ENSEMBLE, Results, with_limits};
use super::workload::Series;
use crate::figures::forecasts::{Around, Axes, FanPoint, FanRow, Line, by_position, fans};
use crate::report::{Report, Table, number, percent};

/// Hours that a figure shows before an origin.
const HOURS_BEFORE: f64 = 12.0;

/// Measured points that a figure shows around an origin.
const DRAWN: usize = 480;

/// The whole report.
pub fn report(all: &[Results<'_>]) -> Report {
    let mut report = Report::new("Backtest of forecasters");
    report.paragraph(
        "Rolling origin: each method is fitted to the training part, then forecasts from evenly spaced origins while values \
         come one by one, and is refitted hourly (what it then renews is its own affair); it never sees a value before its \
         time. All methods and horizons have the same origins. MASE: mean absolute error of the median over the scale; pinball: \
         mean loss over the nine levels 1, 5, 10, 25, 50, 75, 90, 95 and 99 % over the scale; covered and width: share of values in the 90 % \
         interval, and its mean width over the scale. The scale is the mean absolute error of the seasonal naive \
         forecast within the training part, one for all horizons. In brackets: 95 % percentile intervals, days resampled. \
         Formulas and how to read them: docs/forecasting.md; day by day: runs.csv.",
    );
    summary::sections(&mut report, all);
    for results in all {
        workload(&mut report, results);
    }
    report
}

fn workload(report: &mut Report, results: &Results<'_>) {
    let name = &results.workload.name;
    report.heading(2, name.clone());
    report.paragraph(results.workload.summary.clone());
    report.paragraph(protocol(results));
    let n_blocks =
        (0..results.methods.len()).map(|method| results.blocks(method, 0).len()).min().unwrap_or(0);
    if n_blocks < PAIRS_MIN {
        report.paragraph(format!(
            "This series only: {n_blocks} days with origins (below {PAIRS_MIN}) support no interval."
        ));
    }
    let answered: Vec<String> = results
        .methods
        .iter()
        .filter(|(method, outcomes)| is_stand_in(method, &outcomes[0].answered))
        .map(|(method, outcomes)| format!("`{method}` answered by {}", outcomes[0].answered))
        .collect();
    if !answered.is_empty() {
        report.paragraph(format!("Too little history for a fit: {}.", answered.join(", ")));
    }
    let number_of = |score: Score| {
        move |results: &Results<'_>, method: usize, ahead: usize| {
            let blocks = results.blocks(method, ahead);
            with_limits(score.mean(&blocks), score.interval(&blocks))
        }
    };
    let mut add = |what: &str, cell: Shown<'_>| {
        report.heading(3, format!("{name}: {what}"));
        report.table(table(results, &format!("{name}: {what}"), cell));
    };
    add("MASE", &number_of(Score::Mase));
    add("pinball loss", &number_of(Score::Pinball));
    let share = |results: &Results<'_>, method: usize, ahead: usize| {
        let blocks = results.blocks(method, ahead);
        let limits = Score::Coverage.interval(&blocks);
        let limits = limits.map(|it| format!(" ({}–{})", number(100.0 * it.low), number(100.0 * it.high)));
        format!("{}{}", percent(Score::Coverage.mean(&blocks)), limits.unwrap_or_default())
    };
    add("values in the 90 % interval", &share);
    add("width of the 90 % interval", &number_of(Score::Width));
    report.heading(3, format!("{name}: figures"));
    figures(report, results);
}

/// A method that has seen too little stands on the last value.
fn is_stand_in(method: &str, answered: &str) -> bool {
    answered == "last value" && method != "last_value"
}

/// What was done with this workload.
fn protocol(results: &Results<'_>) -> String {
    let (plan, series) = (&results.plans[0], &results.workload.paths[0]);
    let day = plan.day_steps as f64;
    let origins = plan.origins(series.values.len());
    let season = if plan.season == 1 { "one step (too short for days)".into() } else { "one day".to_owned() };
    let n_paths = results.workload.paths.len();
    let paths = if n_paths == 1 { String::new() } else { format!("{n_paths} paths, each of ") };
    let scales: Vec<String> = results.plans.iter().map(|plan| number(plan.scale)).collect();
    format!(
        "{paths}{} steps of {} s ({} days): {} days for training, {} origins every {} steps after it. Season of the scale: {season}; scale {} \
         requests/s.",
        series.values.len(),
        number(series.step_seconds),
        number(series.values.len() as f64 / day),
        number(plan.n_train as f64 / day),
        origins.len(),
        plan.stride,
        scales.join(", ")
    )
}

type Shown<'a> = &'a dyn Fn(&Results<'_>, usize, usize) -> String;

fn table(results: &Results<'_>, caption: &str, cell: Shown<'_>) -> Table {
    let labels = results.labels();
    let header: Vec<&str> = ["method"].into_iter().chain(labels.iter().copied()).collect();
    let mut table = Table::new(caption, &header);
    for (method, (name, _)) in results.methods.iter().enumerate() {
        let cells = (0..labels.len()).map(|ahead| cell(results, method, ahead));
        table.row([(*name).to_owned()].into_iter().chain(cells));
    }
    table
}

fn figures(report: &mut Report, results: &Results<'_>) {
    let name = &results.workload.name;
    let positions: Vec<String> = results.labels().iter().map(|label| (*label).to_owned()).collect();
    let lines = |score: Score| -> Vec<Line> {
        let line = |(method, (name, _)): (usize, &(&str, _))| Line {
            name: (*name).to_owned(),
            values: (0..positions.len()).map(|ahead| results.mean(score, method, ahead)).collect(),
        };
        results.methods.iter().enumerate().map(line).collect()
    };
    if positions.len() > 1 {
        let mase = lines(Score::Mase);
        let axes = Axes {
            x: "horizon",
            y: "MASE",
            positions: &positions,
            band: None,
            range: (0.0, 0.0),
            most: most(&mase),
        };
        let svg =
            by_position(&format!("{name}: errors by horizon"), "mean absolute scaled error", &axes, &mase);
        report.figure(&format!("mase-{name}.svg"), &format!("MASE by horizon, {name}."), svg);
        let axes = Axes {
            x: "horizon",
            y: "values in the 90 % interval (%)",
            positions: &positions,
            band: Some((100.0 * COVERAGE.0, 100.0 * COVERAGE.1)),
            range: (0.0, 100.0),
            most: 100.0,
        };
        let mut covered = lines(Score::Coverage);
        covered.iter_mut().flat_map(|line| &mut line.values).for_each(|value| *value *= 100.0);
        let lowest = covered.iter().flat_map(|line| &line.values).copied().fold(80.0, f64::min);
        let axes = Axes { range: ((lowest / 10.0).floor() * 10.0, 100.0), ..axes };
        let svg = by_position(&format!("{name}: coverage by horizon"), "band: 85 to 95 %", &axes, &covered);
        report.figure(&format!("coverage-{name}.svg"), &format!("Coverage by horizon, {name}."), svg);
    }
    day_by_day(report, results);
    let chosen = chosen(results);
    let columns: Vec<Around> = results.plans[0].fans.iter().map(|origin| around(results, *origin)).collect();
    let rows: Vec<FanRow> = chosen
        .iter()
        .map(|method| {
            let (name, outcomes) = &results.methods[*method];
            let step_hours = results.workload.paths[0].step_seconds / SECONDS_PER_HOUR;
            let fans = outcomes[0].fans.iter().map(|fan| points(fan, step_hours)).collect();
            FanRow { caption: (*name).to_owned(), fans }
        })
        .collect();
    let svg = fans(&format!("{name}: forecasts from three origins"), "requests/s", &columns, &rows);
    report.figure(
        &format!("fans-{name}.svg"),
        &format!("Quantiles of the forecasts from three origins, and what came; {name}."),
        svg,
    );
}

/// Twice what the median method has at most: those far beyond are cut off.
fn most(lines: &[Line]) -> f64 {
    let mut highest: Vec<f64> =
        lines.iter().map(|line| line.values.iter().copied().fold(0.0, f64::max)).collect();
    highest.sort_by(f64::total_cmp);
    highest.get(highest.len() / 2).map_or(1.0, |median| 2.0 * median)
}

/// The methods of the detailed figures: the baseline, the best single method, the ensemble.
fn chosen(results: &Results<'_>) -> Vec<usize> {
    let best = results.best_single_overall();
    let mut chosen: Vec<usize> =
        [results.position(BASELINE), best, results.position(ENSEMBLE)].into_iter().flatten().collect();
    chosen.dedup();
    if chosen.is_empty() { vec![0] } else { chosen }
}

/// MASE by the day of the origin, at the horizon in the middle, on the first path.
fn day_by_day(report: &mut Report, results: &Results<'_>) {
    let name = &results.workload.name;
    let labels = results.labels();
    let ahead = (labels.len() - 1) / 2;
    let days_of = |method: usize| &results.methods[method].1[0].days[ahead];
    let positions: Vec<String> = days_of(0).iter().map(|(day, _)| day.to_string()).collect();
    if positions.len() < 2 {
        return;
    }
    let lines: Vec<Line> = chosen(results)
        .into_iter()
        .map(|method| Line {
            name: results.methods[method].0.to_owned(),
            values: days_of(method).iter().map(|(_, sums)| Score::Mase.of(sums)).collect(),
        })
        .collect();
    let axes = Axes {
        x: "day of the origin",
        y: "MASE",
        positions: &positions,
        band: None,
        range: (0.0, 0.0),
        most: f64::INFINITY,
    };
    let heading = format!("{name}: errors day by day, {} ahead", labels[ahead]);
    let svg = by_position(&heading, "mean absolute scaled error of each day's forecasts", &axes, &lines);
    report.figure(&format!("days-{name}.svg"), &format!("MASE day by day, {name}."), svg);
}

fn around(results: &Results<'_>, origin: usize) -> Around {
    let Series { values, step_seconds, .. } = &results.workload.paths[0];
    let plan = &results.plans[0];
    let step_hours = step_seconds / SECONDS_PER_HOUR;
    let ahead = plan.aheads.last().map_or(1, |ahead| ahead.steps as usize);
    let before = ((HOURS_BEFORE / step_hours) as usize).min(2 * ahead).min(origin);
    let shown = &values[origin - before..(origin + ahead).min(values.len())];
    let every = shown.len().div_ceil(DRAWN);
    let mean =
        |part: &[Option<f64>]| tidegate_stats::mean(&part.iter().flatten().copied().collect::<Vec<_>>());
    let measured = shown
        .chunks(every)
        .enumerate()
        .map(|(index, part)| {
            let middle = (index * every) as f64 + part.len() as f64 / 2.0 - before as f64;
            (middle * step_hours, mean(part))
        })
        .collect();
    let day = origin as f64 / plan.day_steps as f64;
    Around { caption: format!("origin on day {day:.2}"), measured }
}

fn points(fan: &Fan, step_hours: f64) -> Vec<FanPoint> {
    fan.quantiles
        .iter()
        .enumerate()
        .map(|(index, quantiles)| FanPoint {
            hours: ((index * fan.every) as f64 + 0.5) * step_hours,
            quantiles: *quantiles,
        })
        .collect()
}
