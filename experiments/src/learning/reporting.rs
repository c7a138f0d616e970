//! What a training says: the final policies by seed, over seeds, and the learning curve.

use tidegate_dqn::Options;
use tidegate_stats::interval::{PAIRS_MIN, interquartile_mean, stratified, studentised};
use tidegate_stats::mean;

use crate::cli::Engine;
use crate::figures::learning::{Band, Curve, learning_curve};
use crate::learning::course::{LogLine, Trained};
use crate::learning::environment::Task;
use crate::learning::evaluation::{DayRow, ENGINES, EpisodeRow, Evaluated};
use crate::learning::settings::Preset;
use crate::report::{Report, Table, dollars, number, percent};
use crate::scores::{LEVEL, RESAMPLING};

/// Resamples of the interquartile mean, as its literature asks for.
const N_DRAWS: usize = 50_000;

/// Points of the learning curve at most.
const N_BINS: u64 = 50;

/// The report of a training.
pub fn report(
    task: &Task,
    preset: Preset,
    options: &Options,
    trained: &[Trained],
    evaluated: &Evaluated,
) -> Report {
    let mut report = Report::new(&format!("Training on {}", task.name()));
    report.paragraph(format!(
        "Deep Q-learning, preset `{}`, {} steps, {} training seeds. Scored and stored is the final agent of every seed, by \
         its greedy policy on evaluation seeds; no checkpoint was chosen by its score.",
        preset.name(),
        options.steps,
        trained.len()
    ));
    match evaluated {
        Evaluated::Days(learnt_on, rows) => days(&mut report, *learnt_on, rows),
        Evaluated::Episodes(rows) => episodes(&mut report, task, rows),
    }
    report.heading(2, "Learning curve");
    report.paragraph(about_curve(task, trained.len()));
    let svg = curve(task, preset, options, trained);
    report.figure("learning.svg", "Mean return of the episodes that ended in each stretch of steps.", svg);
    report.heading(2, "Options");
    report.verbatim(format!("{options:#?}"));
    report
}

/// A return from which an environment counts as solved.
fn threshold(task: &Task) -> Option<f64> {
    // That of Gymnasium's registry for CartPole-v1.
    (task.name() == "cart-pole").then_some(475.0)
}

fn episodes(report: &mut Report, task: &Task, rows: &[EpisodeRow]) {
    let threshold = threshold(task);
    let mut header = vec!["training seed", "episodes", "return, mean", "least", "most"];
    let solved = threshold.map(|least| format!("share of at least {least}"));
    header.extend(solved.as_deref());
    let mut table = Table::new(&format!("{}: the final greedy policy", task.name()), &header);
    let mut means = Vec::new();
    for rows in rows.chunk_by(|a, b| a.training_seed == b.training_seed) {
        let totals: Vec<f64> = rows.iter().map(|row| row.total).collect();
        means.push(mean(&totals));
        let (least, most) = extent(&totals);
        let mut cells = vec![
            rows[0].training_seed.to_string(),
            rows.len().to_string(),
            number(mean(&totals)),
            number(least),
            number(most),
        ];
        if let Some(threshold) = threshold {
            let n = totals.iter().filter(|total| **total >= threshold).count();
            cells.push(percent(n as f64 / totals.len() as f64));
        }
        table.row(cells);
    }
    report.heading(2, "Final policies");
    report.table(table);
    report.paragraph(over_seeds(&means, "return", number));
    if let Some(threshold) = threshold {
        let n = means.iter().filter(|mean| **mean >= threshold).count();
        report.paragraph(format!("At least {threshold} in the mean: {n} of {} training seeds.", means.len()));
    }
}

fn days(report: &mut Report, learnt_on: Engine, rows: &[DayRow]) {
    let n_worlds = rows.iter().map(|row| row.evaluation_seed + 1).max().unwrap_or(0);
    report.heading(2, "Final policies");
    report.paragraph(format!(
        "Means over {n_worlds} evaluation runs of the scenario as written, the same for all. The agents learnt on variants of \
         it on the engine {}; the rules have their documented defaults or what the scenario sets.",
        learnt_on.name()
    ));
    let header = [
        "controller",
        "total $",
        "penalty $",
        "violating",
        "replicas",
        "scaling actions",
        "by the safety rule",
    ];
    for engine in ENGINES {
        let of_engine: Vec<DayRow> = rows.iter().filter(|row| row.engine == engine.name()).cloned().collect();
        let caption = caption(engine, learnt_on);
        let mut table = Table::new(&caption, &header);
        let mut means = Vec::new();
        let key = |row: &DayRow| (row.controller.clone(), row.training_seed);
        for rows in of_engine.chunk_by(|a, b| key(a) == key(b)) {
            let of = |of: fn(&DayRow) -> f64| mean(&rows.iter().map(of).collect::<Vec<_>>());
            let total = of(|row| row.dollars_total);
            let name = match rows[0].training_seed {
                Some(seed) => {
                    means.push(total);
                    format!("{}, training seed {seed}", rows[0].controller)
                }
                None => rows[0].controller.clone(),
            };
            table.row([
                name,
                dollars(total),
                dollars(of(|row| row.dollars_penalty)),
                percent(of(|row| row.violating_share)),
                number(of(|row| row.ready_mean)),
                number(of(|row| row.scaling_actions as f64)),
                percent(of(|row| row.fallback_share)),
            ]);
        }
        report.heading(3, caption);
        report.table(table);
        report.paragraph(over_seeds(&means, "total", |value| format!("${}", dollars(value))));
    }
}

fn caption(engine: Engine, learnt_on: Engine) -> String {
    let what = match engine {
        Engine::Fluid => "one analytic step a tick",
        Engine::Request => "every request",
    };
    let learnt = if engine == learnt_on { ", on which they learnt" } else { "" };
    format!("Engine {}: {what}{learnt}", engine.name())
}

/// The mean of the middle half of the seeds, with an interval from ten seeds on.
fn over_seeds(means: &[f64], what: &str, show: fn(f64) -> String) -> String {
    let statistic = &mut |groups: &[Vec<f64>]| interquartile_mean(&groups[0]);
    if let Some(it) = stratified(&[means], statistic, N_DRAWS, LEVEL, RESAMPLING) {
        return format!(
            "Interquartile mean {what} over {} training seeds: {} ({} % interval {} to {}, seeds resampled).",
            means.len(),
            show(it.estimate),
            number(LEVEL * 100.0),
            show(it.low),
            show(it.high)
        );
    }
    let (least, most) = extent(means);
    format!(
        "Over {} training seeds: {what} {} to {}, mean {}. With fewer than {PAIRS_MIN} seeds there is no interval.",
        means.len(),
        show(least),
        show(most),
        show(mean(means))
    )
}

fn extent(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
        (least.min(*value), most.max(*value))
    })
}

fn about_curve(task: &Task, n_seeds: usize) -> String {
    let unit = match task {
        Task::Classic(_) => "Returns are sums of rewards",
        Task::Service(service) if service.name.starts_with("source/") => {
            "Returns are minus dollars of an episode"
        }
        Task::Service(_) => {
            "Returns are sums of rewards in replicas (docs/learning.md), on variants of the scenario, exploration included"
        }
    };
    let band = if n_seeds < PAIRS_MIN {
        format!("a line a seed, since fewer than {PAIRS_MIN} seeds make no interval")
    } else {
        format!("the mean over {n_seeds} seeds with its {} % interval", number(LEVEL * 100.0))
    };
    format!("{unit}; shown is {band}.")
}

fn curve(task: &Task, preset: Preset, options: &Options, trained: &[Trained]) -> String {
    let width = options.steps.div_ceil(N_BINS).max(1);
    let seeds: Vec<Vec<(f64, f64)>> = trained.iter().map(|it| binned(&it.log, width)).collect();
    let heading = format!("{}, preset {}: learning curve", task.name(), preset.name());
    if trained.len() < PAIRS_MIN {
        let named = trained.iter().zip(seeds);
        let lines: Vec<Curve> =
            named.map(|(it, points)| Curve { name: format!("seed {}", it.seed), points }).collect();
        return learning_curve(&heading, &lines, &[]);
    }
    // At every stretch in which every seed finished an episode.
    let places = seeds[0].iter().map(|(step, _)| *step);
    let at =
        |points: &[(f64, f64)], step: f64| points.iter().find(|(at, _)| *at == step).map(|(_, value)| *value);
    let mut points = Vec::new();
    let mut band: Vec<Band> = Vec::new();
    for step in places {
        let values: Vec<f64> = seeds.iter().filter_map(|points| at(points, step)).collect();
        if values.len() < seeds.len() {
            continue;
        }
        points.push((step, mean(&values)));
        if let Some(it) = studentised(&values, LEVEL, RESAMPLING) {
            band.push(Band { step, low: it.low, high: it.high });
        }
    }
    learning_curve(&heading, &[Curve { name: format!("mean of {} seeds", trained.len()), points }], &band)
}

/// Mean return of the episodes that ended in each stretch of `width` steps, at its end.
fn binned(log: &[LogLine], width: u64) -> Vec<(f64, f64)> {
    log.chunk_by(|a, b| (a.step - 1) / width == (b.step - 1) / width)
        .filter_map(|lines| {
            let ended =
                |line: &LogLine| line.return_mean.map(|it| (it * line.episodes as f64, line.episodes));
            let (total, n) = lines
                .iter()
                .filter_map(ended)
                .fold((0.0, 0), |(total, n), (more, episodes)| (total + more, n + episodes));
            (n > 0).then(|| (lines[lines.len() - 1].step as f64, total / n as f64))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64, episodes: u64, return_mean: Option<f64>) -> LogLine {
        LogLine {
            seed: 0,
            step,
            episodes,
            return_mean,
            length_mean: None,
            loss: None,
            mean_q: None,
            epsilon: 0.0,
        }
    }

    #[test]
    fn a_stretch_weighs_every_episode_alike() {
        let log = [
            line(1_000, 1, Some(10.0)),
            line(2_000, 3, Some(30.0)),
            line(3_000, 0, None),
            line(4_000, 0, None),
            line(5_000, 2, Some(7.0)),
        ];
        assert_eq!(binned(&log, 2_000), [(2_000.0, 25.0), (5_000.0, 7.0)]);
    }

    #[test]
    fn there_is_an_interval_over_ten_seeds_and_a_range_below() {
        let few = over_seeds(&[1.0, 4.0, 7.0], "return", number);
        assert_eq!(
            few,
            "Over 3 training seeds: return 1.00 to 7.00, mean 4.00. With fewer than 10 seeds there is no interval."
        );
        let many: Vec<f64> = (0..12).map(f64::from).collect();
        let said = over_seeds(&many, "return", number);
        assert!(
            said.starts_with("Interquartile mean return over 12 training seeds: 5.50 (95.0 % interval "),
            "{said}"
        );
    }
}
