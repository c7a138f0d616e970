//! What is forecast: built-in workloads, a path a training seed, and traces.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use tidegate_core::scenario::Workload as Shape;
use tidegate_core::{Calendar, SECONDS_PER_DAY, Scenario, Seed, Split};
use tidegate_workload::Demand;

use crate::forecasters::is_recorded;
use crate::{runs, scenarios, trace};

/// Built-in workloads that run unless others are chosen: one of each shape. The last one is made here.
pub const DEFAULT: [&str; 7] =
    ["web-diurnal", "flash-crowd", "checkout", "batch-queue", "llm-inference", "serverless", LEVEL_SHIFT];

/// `web-diurnal` with a lasting shift of its level.
pub const LEVEL_SHIFT: &str = "level-shift";

/// Users a second that come on top from the shift on: 60 % of the mean of `web-diurnal`.
const SHIFT_PER_SECOND: f64 = 7.2;

/// The shift comes after this share of the days that follow on the training part: of 14 days on a Tuesday, since a Sunday's low
/// level would hide it.
const SHIFT_AT: f64 = 0.5;

/// Paths of built-in workloads are those of the training seeds from here on; experiments tune on the first ones, and
/// histories begin at 1000.
const SEEDS_FROM: u64 = 2000;

/// Steps of built-in workloads, unless others are asked for: at a minute the hourly refits of the ensemble take five times as
/// long.
const STEP_SECONDS: f64 = 300.0;

/// Steps of traces are not shorter than this where a day or more is there, unless asked for: a day ahead would be too many.
const STEP_SECONDS_MIN: f64 = 60.0;

/// One course of demand.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Mean rate of each step in 1/s; `None` in a gap.
    pub values: Vec<Option<f64>>,
    /// Length of a step.
    pub step_seconds: f64,
    /// When the first step begins.
    pub calendar: Calendar,
}

/// Courses that are scored together.
#[derive(Clone, Debug)]
pub struct Workload {
    /// As chosen, or that of the file.
    pub name: String,
    /// What it is.
    pub summary: String,
    /// Hash of all that it was made of.
    pub hash: String,
    /// Where the level shifts, in whole days from the start.
    pub shift_day: Option<u32>,
    /// At least one, all equally long.
    pub paths: Vec<Series>,
}

/// How long built-in workloads are, and how finely they are cut.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Days of each path.
    pub days: u32,
    /// Days of them that are for training, for the place of the shift.
    pub train_days: u32,
    /// Paths.
    pub paths: u64,
    /// Length of a step, if one is asked for.
    pub bin_seconds: Option<f64>,
}

/// A built-in workload, or one of a scenario file.
///
/// # Errors
/// If there is none of this name, the file is wrong, or its demand is a trace.
pub fn built_in(name: &str, extent: Extent) -> anyhow::Result<Workload> {
    let is_shift = name == LEVEL_SHIFT;
    let study = scenarios::named(if is_shift { "web-diurnal" } else { name }, false).map_err(|error| {
        if name.to_ascii_lowercase().ends_with(".toml") {
            error
        } else {
            anyhow::anyhow!("{error:#}; {LEVEL_SHIFT} is one more")
        }
    })?;
    let mut scenario = Scenario::clone(study.world(Split::Training, 0).0);
    ensure!(
        !is_recorded(&scenario.workload),
        "--scenario: the demand of {name:?} is a trace, the same in every world; give the file with --trace"
    );
    scenario.horizon_ticks = (f64::from(extent.days) * SECONDS_PER_DAY / scenario.tick_seconds) as u32;
    let shift_day = is_shift.then(|| {
        extent.train_days + (SHIFT_AT * f64::from(extent.days - extent.train_days)).floor().max(1.0) as u32
    });
    if let Some(day) = shift_day {
        let shift = Shape::Ramp {
            from: 0.0,
            to: SHIFT_PER_SECOND,
            start_seconds: f64::from(day) * SECONDS_PER_DAY,
            duration_seconds: scenario.tick_seconds,
        };
        scenario.workload = Shape::Sum(vec![scenario.workload.clone(), shift]);
    }
    let wanted = extent.bin_seconds.unwrap_or(STEP_SECONDS);
    let ticks = (wanted / scenario.tick_seconds).round().max(1.0);
    let step_seconds = ticks * scenario.tick_seconds;
    ensure!(
        extent.bin_seconds.is_none_or(|bin| (bin - step_seconds).abs() < 1e-6 * bin),
        "--bin-seconds must be a whole multiple of the tick of {name}, {} s, but is {wanted}",
        scenario.tick_seconds
    );
    let calendar = Calendar { warm_up_seconds: 0, ..scenario.calendar };
    let mut demand = Demand::new(&scenario);
    let paths: Vec<Series> = (0..extent.paths)
        .map(|index| {
            demand.reset(Seed::training(SEEDS_FROM + index));
            let counted = &demand.counts()[scenario.warm_up_ticks as usize..];
            let mean = |users: &[u32]| Some(users.iter().map(|n| f64::from(*n)).sum::<f64>() / step_seconds);
            let n_ticks = scenario.horizon_ticks as usize;
            let values = counted[..n_ticks].chunks_exact(ticks as usize).map(mean).collect();
            Series { values, step_seconds, calendar }
        })
        .collect();
    let summary = match shift_day {
        Some(day) => format!(
            "web-diurnal with {SHIFT_PER_SECOND} users a second more from day {day} on (60 % of its mean)"
        ),
        None => study.summary.clone(),
    };
    let hash = hash(&study.hash, &paths);
    Ok(Workload { name: name.trim_end_matches(".toml").to_owned(), summary, hash, shift_day, paths })
}

/// A trace, or its first `days`; it begins at `start` unless it says itself when.
///
/// # Errors
/// If the file cannot be read as a trace.
pub fn of_trace(
    path: &Path,
    column: Option<&str>,
    bin_seconds: Option<f64>,
    days: Option<f64>,
    start: Option<NaiveDateTime>,
) -> anyhow::Result<Workload> {
    let mut counted = trace::counted(path, column, bin_seconds)?;
    let seconds = counted.per_second.len() as f64 * counted.step_seconds;
    if bin_seconds.is_none() && counted.step_seconds < STEP_SECONDS_MIN && seconds >= SECONDS_PER_DAY {
        let wide = (STEP_SECONDS_MIN / counted.step_seconds).ceil() * counted.step_seconds;
        counted = trace::counted(path, column, Some(wide))?;
    }
    if counted.step_seconds > SECONDS_PER_DAY {
        bail!("{}: steps must be at most a day long, but are {} s", path.display(), counted.step_seconds);
    }
    if let Some(days) = days {
        counted.per_second.truncate((days * SECONDS_PER_DAY / counted.step_seconds) as usize);
    }
    let monday = NaiveDate::from_ymd_opt(2025, 3, 3).context("a date")?.and_time(NaiveTime::MIN);
    let begins = counted.start.or(start);
    let calendar = Calendar::new(begins.unwrap_or(monday), chrono_tz::UTC, 0);
    let said = match begins {
        Some(begins) => format!("It begins on {}.", begins.format("%A, %Y-%m-%d %H:%M")),
        None => "When it begins is not known; it is taken as midnight of a Monday.".into(),
    };
    let series = Series { values: counted.per_second, step_seconds: counted.step_seconds, calendar };
    let hash = hash(&counted.hash, std::slice::from_ref(&series));
    let summary = format!("{} {said}", counted.note);
    Ok(Workload { name: counted.name, summary, hash, shift_day: None, paths: vec![series] })
}

fn hash(source: &str, paths: &[Series]) -> String {
    let mut bytes = Vec::new();
    for series in paths {
        bytes.extend(series.step_seconds.to_le_bytes());
        bytes.extend(series.calendar.start.timestamp().to_le_bytes());
        // A gap is NaN, which no value is.
        bytes.extend(series.values.iter().flat_map(|value| value.unwrap_or(f64::NAN).to_le_bytes()));
    }
    runs::hash(&[source.as_bytes(), &bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Extent = Extent { days: 4, train_days: 2, paths: 2, bin_seconds: Some(300.0) };

    fn mean(values: &[Option<f64>]) -> f64 {
        tidegate_stats::mean(&values.iter().flatten().copied().collect::<Vec<_>>())
    }

    /// The same seeds with and without the shift: alike before it but for the draws of Poisson counts, 7.2 apart after.
    #[test]
    fn the_level_shifts_where_it_is_said() {
        let plain = built_in("web-diurnal", SHORT).expect("a workload");
        let shifted = built_in(LEVEL_SHIFT, SHORT).expect("a workload");
        assert_eq!(shifted.shift_day, Some(3));
        let (plain, shifted) = (&plain.paths[0].values, &shifted.paths[0].values);
        assert_eq!((plain.len(), shifted.len()), (4 * 288, 4 * 288));
        // 288 steps of some 3000 users: a standard error of 0.02 users a second.
        assert!((mean(&shifted[..864]) - mean(&plain[..864])).abs() < 0.08);
        assert!((mean(&shifted[864..]) - mean(&plain[864..]) - SHIFT_PER_SECOND).abs() < 0.12);
    }

    #[test]
    fn paths_differ_and_hashes_tell_extents_apart() {
        let two = built_in("checkout", SHORT).expect("a workload");
        assert_ne!(two.paths[0].values, two.paths[1].values);
        let one = built_in("checkout", Extent { paths: 1, ..SHORT }).expect("a workload");
        assert_eq!(one.paths[0], two.paths[0]);
        assert_ne!(one.hash, two.hash);
    }

    #[test]
    fn what_is_no_workload_is_refused() {
        let said = |name: &str, extent| format!("{:#}", built_in(name, extent).expect_err("it is wrong"));
        let error = said("web", SHORT);
        assert!(error.starts_with("--scenario: \"web\" is none of web-diurnal, flash-crowd"), "{error}");
        assert_eq!(
            said("checkout", Extent { bin_seconds: Some(70.0), ..SHORT }),
            "--bin-seconds must be a whole multiple of the tick of checkout, 15 s, but is 70"
        );
    }
}
