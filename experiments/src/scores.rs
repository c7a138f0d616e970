//! What is kept of a run: one row of `runs.csv`, and what is made of the rows of one controller.

use serde::{Deserialize, Serialize};
use tidegate_core::Seed;
use tidegate_sim::RunSummary;
use tidegate_stats::elasticity::{Areas, Relative};
use tidegate_stats::interval::{Interval, paired, studentised};
use tidegate_stats::mean;

/// Coverage of every interval that a report prints.
pub const LEVEL: f64 = 0.95;

/// The world from which resampling draws; it is no evaluation world, so its number is free.
pub(crate) const RESAMPLING: Seed = Seed::training(u64::MAX);

/// One run. Every column has its unit in its name; quantiles are infinite where enough users gave up, and a metric
/// that does not exist for a scenario is NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it; each is documented in `RunSummary` or `tidegate_stats::elasticity`
pub struct RunRow {
    pub scenario: String,
    pub controller: String,
    /// Index of the evaluation seed; on a trace also of the evaluation day.
    pub seed: u64,
    pub dollars_instances: f64,
    pub dollars_penalty: f64,
    pub dollars_energy: f64,
    pub dollars_total: f64,
    pub users: f64,
    pub users_above: f64,
    pub users_gave_up: f64,
    pub violating_share: f64,
    pub windows: u64,
    pub windows_violated: f64,
    #[serde(with = "any_float")]
    pub latency_mean_seconds: f64,
    #[serde(with = "any_float")]
    pub latency_p50_seconds: f64,
    #[serde(with = "any_float")]
    pub latency_p95_seconds: f64,
    #[serde(with = "any_float")]
    pub latency_p99_seconds: f64,
    pub ready_mean: f64,
    pub utilization_mean: f64,
    pub replica_hours: f64,
    pub launches: u64,
    pub terminations: u64,
    pub crashes: u64,
    pub preemptions: u64,
    pub scaling_actions: u64,
    pub flaps: u64,
    pub attempts_offered: f64,
    pub attempts_rejected: f64,
    pub attempts_abandoned: f64,
    pub attempts_failed: f64,
    pub attempts_wasted: f64,
    pub energy_kwh: f64,
    pub carbon_kg: f64,
    pub decisions_normal: u64,
    pub decisions_held: u64,
    pub decisions_suboptimal: u64,
    pub decisions_fallback: u64,
    #[serde(with = "any_float")]
    pub accuracy_under: f64,
    #[serde(with = "any_float")]
    pub accuracy_over: f64,
    #[serde(with = "any_float")]
    pub timeshare_under: f64,
    #[serde(with = "any_float")]
    pub timeshare_over: f64,
    #[serde(with = "any_float")]
    pub jitter_per_minute: f64,
    #[serde(with = "any_float")]
    pub instability_percent: f64,
    #[serde(with = "any_float")]
    pub scaling_deviation_percent: f64,
    /// What no controller can undercut in this world; NaN where none was asked for or there is none.
    #[serde(with = "any_float")]
    pub bound_dollars: f64,
    /// What the clairvoyant replay costs in this world; NaN where none was asked for.
    #[serde(with = "any_float")]
    pub replay_dollars: f64,
}

/// Demand and supply in each tick of a run.
#[derive(Clone, Copy, Debug)]
pub struct Followed<'a> {
    /// The least replicas that meet the service level.
    pub demand: &'a [f64],
    /// Ready replicas.
    pub supply: &'a [f64],
    /// Length of a tick.
    pub tick_seconds: f64,
}

impl RunRow {
    /// The row of a run; `followed` only where demand in replicas is known.
    pub fn new(
        scenario: &str,
        controller: &str,
        seed: u64,
        summary: &RunSummary,
        followed: Option<Followed<'_>>,
    ) -> Self {
        let areas = followed.map(|it| Areas::of(it.demand, it.supply, it.tick_seconds));
        let relative = followed.map(|it| Relative::of(it.demand, it.supply));
        let area = |of: fn(&Areas) -> f64| areas.as_ref().map_or(f64::NAN, of);
        Self {
            scenario: scenario.to_owned(),
            controller: controller.to_owned(),
            seed,
            dollars_instances: summary.charge.instances,
            dollars_penalty: summary.charge.penalty,
            dollars_energy: summary.charge.energy,
            dollars_total: summary.charge.instances + summary.charge.penalty + summary.charge.energy,
            users: summary.service.users,
            users_above: summary.service.users_above,
            users_gave_up: summary.service.users_gave_up,
            violating_share: summary.violating_share(),
            windows: summary.windows,
            windows_violated: summary.service.windows_violated,
            latency_mean_seconds: summary.latency_mean_seconds,
            latency_p50_seconds: summary.latency_p50_seconds,
            latency_p95_seconds: summary.latency_p95_seconds,
            latency_p99_seconds: summary.latency_p99_seconds,
            ready_mean: summary.ready_mean,
            utilization_mean: summary.utilization_mean,
            replica_hours: summary.replica_hours,
            launches: summary.launches,
            terminations: summary.terminations,
            crashes: summary.crashes,
            preemptions: summary.preemptions,
            scaling_actions: summary.scaling_actions,
            flaps: summary.flaps,
            attempts_offered: summary.attempts.offered,
            attempts_rejected: summary.attempts.rejected,
            attempts_abandoned: summary.attempts.abandoned,
            attempts_failed: summary.attempts.failed,
            attempts_wasted: summary.attempts.wasted,
            energy_kwh: summary.energy_kwh,
            carbon_kg: summary.carbon_kg,
            decisions_normal: summary.decisions[0],
            decisions_held: summary.decisions[1],
            decisions_suboptimal: summary.decisions[2],
            decisions_fallback: summary.decisions[3],
            accuracy_under: area(|areas| areas.accuracy_under),
            accuracy_over: area(|areas| areas.accuracy_over),
            timeshare_under: area(|areas| areas.timeshare_under),
            timeshare_over: area(|areas| areas.timeshare_over),
            jitter_per_minute: area(|areas| areas.jitter_per_minute),
            instability_percent: relative.map_or(f64::NAN, |relative| relative.instability_percent),
            scaling_deviation_percent: relative.map_or(f64::NAN, |relative| relative.deviation()),
            bound_dollars: f64::NAN,
            replay_dollars: f64::NAN,
        }
    }
}

/// The runs of one controller on one scenario, in the order of the seeds.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// Its name.
    pub controller: &'a str,
    /// One a seed.
    pub rows: &'a [RunRow],
}

impl Cell<'_> {
    /// One column.
    pub fn column(&self, of: impl Fn(&RunRow) -> f64) -> Vec<f64> {
        self.rows.iter().map(of).collect()
    }

    /// Mean of one column over the seeds.
    pub fn mean(&self, of: impl Fn(&RunRow) -> f64) -> f64 {
        mean(&self.column(of))
    }

    /// Interval of the mean of one column; none below ten seeds.
    pub fn interval(&self, of: impl Fn(&RunRow) -> f64) -> Option<Interval> {
        studentised(&self.column(of), LEVEL, RESAMPLING)
    }

    /// Total dollars, a seed.
    pub fn dollars(&self) -> Vec<f64> {
        self.column(|row| row.dollars_total)
    }

    /// Total dollars minus those of another controller on the same seeds; none below ten seeds.
    pub fn dearer_than(&self, baseline: &Self, level: f64) -> Option<Interval> {
        self.more_than(baseline, |row| row.dollars_total, level)
    }

    /// One column minus that of another controller on the same seeds; none below ten seeds.
    pub fn more_than(&self, baseline: &Self, of: impl Fn(&RunRow) -> f64, level: f64) -> Option<Interval> {
        paired(&self.column(&of), &baseline.column(&of), level, RESAMPLING)
    }
}

/// Splits the rows of one scenario, which are sorted by controller, into cells.
pub fn cells(rows: &[RunRow]) -> Vec<Cell<'_>> {
    rows.chunk_by(|a, b| a.controller == b.controller)
        .map(|rows| Cell { controller: &rows[0].controller, rows })
        .collect()
}

/// Rows as `runs.csv` has them.
///
/// # Errors
/// If a row cannot be written as text.
pub fn csv_bytes(rows: &[impl Serialize]) -> anyhow::Result<Vec<u8>> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

/// JSON has no infinity; as text it has.
mod any_float {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    #[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { serializer.serialize_f64(*value) } else { serializer.collect_str(value) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(value),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn row(scenario: &str, controller: &str, seed: u64, dollars: f64) -> RunRow {
        let mut summary = RunSummary::default();
        summary.charge.instances = dollars * 0.75;
        summary.charge.penalty = dollars * 0.25;
        summary.service.users = 1000.0;
        summary.service.users_above = 10.0 + seed as f64;
        summary.latency_p99_seconds = f64::INFINITY;
        summary.latency_p95_seconds = 1.25;
        RunRow::new(scenario, controller, seed, &summary, None)
    }

    #[test]
    fn a_row_survives_the_disk_bit_for_bit_infinities_included() {
        let mut row = row("diurnal", "threshold", 3, 0.1 + 0.2);
        row.accuracy_over = 1.0 / 3.0;
        let text = serde_json::to_string(&row).expect("it can be written");
        let back: RunRow = serde_json::from_str(&text).expect("it can be read");
        assert_eq!(back.dollars_total.to_bits(), row.dollars_total.to_bits());
        assert_eq!(back.accuracy_over.to_bits(), row.accuracy_over.to_bits());
        assert_eq!(back.latency_p99_seconds, f64::INFINITY);
        assert!(back.jitter_per_minute.is_nan());
        assert_eq!(csv_bytes(&[back]).expect("text"), csv_bytes(&[row]).expect("text"));
    }

    #[test]
    fn csv_has_a_header_and_a_line_a_run() {
        let bytes = csv_bytes(&[row("s", "c", 0, 1.0), row("s", "c", 1, 2.0)]).expect("text");
        let text = String::from_utf8(bytes).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("scenario,controller,seed,dollars_instances"));
        assert!(lines[1].starts_with("s,c,0,0.75,0.25,0"));
        assert!(lines[1].contains(",inf,"));
    }

    #[test]
    fn demand_that_is_met_exactly_scores_zero() {
        let followed = Followed { demand: &[2.0, 3.0], supply: &[2.0, 3.0], tick_seconds: 15.0 };
        let row = RunRow::new("s", "c", 0, &RunSummary::default(), Some(followed));
        assert_eq!((row.accuracy_under, row.scaling_deviation_percent), (0.0, 0.0));
    }

    #[test]
    fn differences_are_taken_seed_by_seed() {
        let mut rows: Vec<RunRow> = (0..12).map(|seed| row("s", "a", seed, 10.0 * seed as f64)).collect();
        rows.extend((0..12).map(|seed| row("s", "b", seed, 10.0 * seed as f64 - 2.0 - (seed % 2) as f64)));
        let cells = cells(&rows);
        assert_eq!(cells.iter().map(|cell| cell.controller).collect::<Vec<_>>(), ["a", "b"]);
        let difference = cells[1].dearer_than(&cells[0], LEVEL).expect("twelve seeds");
        approx::assert_relative_eq!(difference.estimate, -2.5, max_relative = 1e-12);
        assert!(difference.high < -2.0 && difference.low > -3.0, "{difference:?}");
        let nine = [&rows[..9], &rows[12..21]].concat();
        let cells = super::cells(&nine);
        assert_eq!(cells[1].dearer_than(&cells[0], LEVEL), None);
    }
}
