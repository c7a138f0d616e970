//! What all workloads say together: is the ensemble worth it, what beats the seasonal naive method, do intervals hold.

use serde::Serialize;
use tidegate_stats::interval::Interval;

use super::protocol::{Outcome, Plan};
use super::score::{Score, Sums, ratio_interval};
use super::workload::Workload;
use crate::forecasters::COMBINED;
use crate::report::{Report, Table, number, percent};

/// What everything has to beat.
pub const BASELINE: &str = "seasonal_naive_day";

/// The combination that is held against its parts.
pub const ENSEMBLE: &str = "ensemble";

/// The ensemble is to be no worse than the best single method times this.
const RATIO_MAX: f64 = 1.05;

/// Coverage of the 90 % interval that is called right.
pub const COVERAGE: (f64, f64) = (0.85, 0.95);

/// All that was scored on one workload.
pub struct Results<'a> {
    /// What was forecast.
    pub workload: &'a Workload,
    /// One a path.
    pub plans: &'a [Plan],
    /// Method by method, each path by path.
    pub methods: Vec<(&'a str, Vec<&'a Outcome>)>,
}

/// A row of `runs.csv`: one method, one horizon, one day.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it; formulas are in `score` and in docs/forecasting.md
pub struct Row {
    pub workload: String,
    pub path: u64,
    pub method: String,
    pub horizon: String,
    pub horizon_seconds: f64,
    pub day: u32,
    pub values: u32,
    pub mase: f64,
    pub pinball: f64,
    pub coverage_90: f64,
    pub width_90: f64,
}

/// The rows of one method on one path.
pub fn rows(workload: &Workload, plan: &Plan, path: u64, method: &str, outcome: &Outcome) -> Vec<Row> {
    let row = |ahead: usize, (day, sums): &(u32, Sums)| Row {
        workload: workload.name.clone(),
        path,
        method: method.to_owned(),
        horizon: plan.aheads[ahead].label.clone(),
        horizon_seconds: f64::from(plan.aheads[ahead].steps) * workload.paths[0].step_seconds,
        day: *day,
        values: sums.n,
        mase: Score::Mase.of(sums),
        pinball: Score::Pinball.of(sums),
        coverage_90: Score::Coverage.of(sums),
        width_90: Score::Width.of(sums),
    };
    outcome
        .days
        .iter()
        .enumerate()
        .flat_map(|(ahead, days)| days.iter().map(move |day| row(ahead, day)))
        .collect()
}

impl Results<'_> {
    /// Labels of the horizons.
    pub fn labels(&self) -> Vec<&str> {
        self.plans[0].aheads.iter().map(|ahead| ahead.label.as_str()).collect()
    }

    /// One block a path and day, of one method and horizon.
    pub fn blocks(&self, method: usize, ahead: usize) -> Vec<Sums> {
        let paths = self.methods[method].1.iter();
        paths.flat_map(|outcome| outcome.days[ahead].iter().map(|(_, sums)| *sums)).collect()
    }

    /// Where in [`Self::methods`] a method is.
    pub fn position(&self, method: &str) -> Option<usize> {
        self.methods.iter().position(|(name, _)| *name == method)
    }

    /// A mean of one method and horizon.
    pub fn mean(&self, score: Score, method: usize, ahead: usize) -> f64 {
        score.mean(&self.blocks(method, ahead))
    }

    /// The single method with the least MASE at this horizon.
    pub fn best_single(&self, ahead: usize) -> Option<usize> {
        self.least(|method| self.mean(Score::Mase, method, ahead))
    }

    /// The single method with the least mean MASE over the horizons.
    pub fn best_single_overall(&self) -> Option<usize> {
        let n = self.plans[0].aheads.len();
        self.least(|method| (0..n).map(|ahead| self.mean(Score::Mase, method, ahead)).sum())
    }

    fn least(&self, of: impl Fn(usize) -> f64) -> Option<usize> {
        let singles = (0..self.methods.len()).filter(|method| !COMBINED.contains(&self.methods[*method].0));
        singles
            .map(|method| (of(method), method))
            .filter(|(score, _)| score.is_finite())
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, method)| method)
    }

    /// MASE over MASE of two methods on the same days, and its limits.
    fn mase_ratio(&self, ours: usize, theirs: usize, ahead: usize) -> (f64, Option<Interval>) {
        // The same origins and the same gaps: block for block the same values.
        let sums = |method: usize| self.blocks(method, ahead).into_iter().map(|sums| Score::Mase.sum(&sums));
        let pairs: Vec<(f64, f64)> = sums(ours).zip(sums(theirs)).collect();
        (super::score::ratio(&pairs), ratio_interval(&pairs))
    }
}

/// All tables over all workloads.
pub fn sections(report: &mut Report, all: &[Results<'_>]) {
    let is_there = |method: &str| all.iter().all(|results| results.position(method).is_some());
    if is_there(ENSEMBLE) && is_there(BASELINE) {
        report.heading(2, "The ensemble against its parts");
        report.paragraph(format!(
            "Best single method: the one with the least MASE in this very row, known only afterwards; that is hard on the \
             ensemble. Ratio: MASE of `{ENSEMBLE}` over that of the best single method, with a 95 % interval from resampled days. \
             Within 5 %: a ratio of at most {RATIO_MAX}. Covered: share of values inside the ensemble's 90 % interval."
        ));
        report.table(ensemble(all));
    }
    if is_there(BASELINE) {
        report.heading(2, "All methods over all workloads");
        report.paragraph(format!(
            "Relative MASE: geometric mean, over all workloads and horizons, of MASE over that of `{BASELINE}`; relative pinball \
             loss alike; below 1 is better. Better, covered: workload-horizon pairs in which MASE is below that of `{BASELINE}`, and in \
             which the coverage of 90 % intervals is between {} and {}.",
            percent(COVERAGE.0),
            percent(COVERAGE.1)
        ));
        report.table(methods(all));
    }
    for results in all {
        if let Some(day) = results.workload.shift_day {
            report.heading(2, "After a level shift");
            report.paragraph(format!(
                "{}: {}. Coverage of 90 % intervals by the day of the origin. A forecast across the shift cannot know of it: \
                 the horizons of a day miss on the day before it. What counts is how soon coverage is back after it.",
                results.workload.name, results.workload.summary
            ));
            report.table(shift(results, day));
        }
    }
}

fn yes(holds: bool) -> String {
    if holds { "yes" } else { "no" }.to_owned()
}

/// A number with its limits, if there are any.
pub fn with_limits(value: f64, interval: Option<Interval>) -> String {
    let limits = interval.map(|it| format!(" ({}–{})", number(it.low), number(it.high)));
    format!("{}{}", number(value), limits.unwrap_or_default())
}

fn in_range(coverage: f64) -> bool {
    (COVERAGE.0..=COVERAGE.1).contains(&coverage)
}

fn ensemble(all: &[Results<'_>]) -> Table {
    let header = [
        "workload",
        "horizon",
        "best single",
        "MASE",
        "ensemble",
        "ratio",
        "within 5 %",
        "better than seasonal naive",
        "covered",
        "85–95 %",
    ];
    let mut table = Table::new("the ensemble against the best single method", &header);
    let (mut n, mut within, mut better, mut covered) = (0, 0, 0, 0);
    for results in all {
        for (ahead, label) in results.labels().iter().enumerate() {
            let (Some(best), Some(ensemble), Some(baseline)) =
                (results.best_single(ahead), results.position(ENSEMBLE), results.position(BASELINE))
            else {
                continue;
            };
            let mase = |method: usize| results.mean(Score::Mase, method, ahead);
            let (ratio, interval) = results.mase_ratio(ensemble, best, ahead);
            let coverage = results.mean(Score::Coverage, ensemble, ahead);
            let is_better = mase(ensemble) < mase(baseline);
            n += 1;
            within += usize::from(ratio <= RATIO_MAX);
            better += usize::from(is_better);
            covered += usize::from(in_range(coverage));
            table.row([
                results.workload.name.clone(),
                (*label).to_owned(),
                results.methods[best].0.to_owned(),
                number(mase(best)),
                number(mase(ensemble)),
                with_limits(ratio, interval),
                yes(ratio <= RATIO_MAX),
                yes(is_better),
                percent(coverage),
                yes(in_range(coverage)),
            ]);
        }
    }
    let of = |count: usize| format!("{count} of {n}");
    let blank = String::new;
    table.row([
        "all".into(),
        blank(),
        blank(),
        blank(),
        blank(),
        blank(),
        of(within),
        of(better),
        blank(),
        of(covered),
    ]);
    table
}

fn methods(all: &[Results<'_>]) -> Table {
    let header = ["method", "relative MASE", "relative pinball", "better", "covered", "best single"];
    let mut table = Table::new("methods against the seasonal naive method", &header);
    for (method, (name, _)) in all[0].methods.iter().enumerate() {
        let (mut mase, mut pinball) = (Vec::new(), Vec::new());
        let (mut better, mut covered, mut best) = (0, 0, 0);
        for results in all {
            let baseline = results.position(BASELINE).expect("whoever calls has looked");
            for ahead in 0..results.plans[0].aheads.len() {
                let against =
                    |score| results.mean(score, method, ahead) / results.mean(score, baseline, ahead);
                let relative = against(Score::Mase);
                better += usize::from(relative < 1.0);
                covered += usize::from(in_range(results.mean(Score::Coverage, method, ahead)));
                best += usize::from(results.best_single(ahead) == Some(method));
                mase.push(relative.ln());
                pinball.push(against(Score::Pinball).ln());
            }
        }
        let of = |count: usize| format!("{count} of {}", mase.len());
        table.row([
            (*name).to_owned(),
            number(tidegate_stats::mean(&mase).exp()),
            number(tidegate_stats::mean(&pinball).exp()),
            of(better),
            of(covered),
            of(best),
        ]);
    }
    table
}

/// Coverage before the shift, on the days after it, and later.
fn shift(results: &Results<'_>, day: u32) -> Table {
    let spans = [
        ("before", 0..day - 1),
        ("day before", day - 1..day),
        ("1st day", day..day + 1),
        ("2nd day", day + 1..day + 2),
        ("3rd day", day + 2..day + 3),
        ("later", day + 3..u32::MAX),
    ];
    let header: Vec<&str> =
        ["method", "horizon"].into_iter().chain(spans.iter().map(|(name, _)| *name)).collect();
    let mut table = Table::new("coverage of 90 % intervals around the level shift", &header);
    for (method, outcomes) in &results.methods {
        for (ahead, label) in results.labels().into_iter().enumerate() {
            let coverage = spans.iter().map(|(_, span)| {
                let days = outcomes.iter().flat_map(|outcome| &outcome.days[ahead]);
                let blocks: Vec<Sums> =
                    days.filter(|(day, _)| span.contains(day)).map(|(_, sums)| *sums).collect();
                if blocks.is_empty() { "–".into() } else { percent(Score::Coverage.mean(&blocks)) }
            });
            table.row([(*method).to_owned(), label.to_owned()].into_iter().chain(coverage));
        }
    }
    table
}
