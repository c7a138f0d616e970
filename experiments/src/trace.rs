//! From a user's trace to worlds: days, a service of fitting size, training and evaluation.
//!
//! The first half of the days is for training, the rest for evaluation. The training part's peak (the rate that 99.9 %
//! of its ticks stay below) sets the work of a request, so that about 40 replicas are needed there;
//! bound, time-out and penalty follow from the work. How many simulated users stand for those of the trace is only a
//! matter of computing time: work is in inverse proportion, so the load in replicas stays what it is.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime};
use tidegate_core::scenario::{Recorded, Workload};
use tidegate_core::{SECONDS_PER_DAY, Scenario};
use tidegate_workload::trace::{Trace, TraceKind, TraceOptions, read_trace};

use crate::report::{number, percent};
use crate::runs;
use crate::scenarios::Study;

/// Below so many evaluation days a report says "this trace only" and prints no interval.
pub const DAYS_MIN: usize = 10;

/// What a service for a trace is made for: so many replicas at the training part's peak.
const REPLICAS_AT_PEAK: f64 = 40.0;

/// Share of the slots in use at that peak.
const UTILIZATION_AT_PEAK: f64 = 0.8;

/// Simulated users of the busiest day.
const USERS_A_DAY: f64 = 1.8e6;

/// A day with less than this observed is left out; a call centre that closes at night is not.
const OBSERVED_MIN: f64 = 0.5;

/// Times below this (in 1973) are seconds since anything, above it since 1970.
const UNIX_MIN_SECONDS: f64 = 1e8;

const TICK_SECONDS: f64 = 15.0;
const WARM_UP_TICKS: usize = 80;
/// Requests that a replica of the template serves at once.
const CONCURRENCY: f64 = 4.0;
const DOLLARS_PER_REPLICA_HOUR: f64 = 0.1;

const TEMPLATE: &str = include_str!("trace_template.toml");

/// A trace on its own grid.
#[derive(Clone, Debug, PartialEq)]
struct Series {
    /// Users a second in each step, also where they had to be guessed.
    users_per_second: Vec<f64>,
    /// Whether a step was observed.
    observed: Vec<bool>,
    step_seconds: f64,
}

/// The worlds of a trace file; at most `ticks_max` counted ticks of each.
///
/// # Errors
/// If the file cannot be read as a trace, or holds too little.
pub fn study(path: &Path, column: Option<&str>, ticks_max: Option<u32>) -> anyhow::Result<Study> {
    of_file(path, column, Cut::Days { ticks_max })
}

/// One world that is the whole trace, on the same service as [`study`] makes for it.
///
/// # Errors
/// If the file cannot be read as a trace, or holds too little.
pub fn whole(path: &Path, column: Option<&str>) -> anyhow::Result<Study> {
    of_file(path, column, Cut::Whole)
}

/// A scenario with the trace as it is in place of its own demand, as long as the trace lasts.
///
/// # Errors
/// If the file cannot be read as a trace, or lasts no tick.
pub fn on(scenario: &Scenario, path: &Path, column: Option<&str>) -> anyhow::Result<Scenario> {
    let shown = path.display().to_string();
    let bytes = fs::read(path).with_context(|| shown.clone())?;
    let trace = read_trace(&bytes, &options(column)).with_context(|| shown.clone())?;
    let Scenario { tick_seconds, warm_up_ticks, .. } = *scenario;
    let horizon_ticks = (trace.seconds() / tick_seconds) as u32;
    ensure!(horizon_ticks > 0, "{shown}: the trace spans {} s, less than a tick", number(trace.seconds()));
    let rates = Cumulative::new(&Series::of(&trace)).ticks(Grid {
        start_seconds: 0.0,
        tick_seconds,
        warm_up_ticks: warm_up_ticks as usize,
        horizon_ticks: horizon_ticks as usize,
    });
    let workload = Workload::Recorded(Recorded {
        requests_per_second: rates.into(),
        step_seconds: tick_seconds,
        arrivals_seconds: None,
    });
    let mut scenario = Scenario { workload, horizon_ticks, ..scenario.clone() };
    if let Some(start) = start_of(&trace) {
        scenario.calendar.start = start.and_utc();
    }
    Ok(scenario)
}

/// A trace on a grid, as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// The file's name without its ending, in letters, digits and dashes.
    pub name: String,
    /// What was made of the file.
    pub note: String,
    /// Hash of the file and of how it was read.
    pub hash: String,
    /// Mean rate of each step in 1/s; `None` in a gap.
    pub per_second: Vec<Option<f64>>,
    /// Length of a step.
    pub step_seconds: f64,
    /// When it starts, if it says so.
    pub start: Option<NaiveDateTime>,
}

/// Reads a trace on the grid of `bin_seconds`; without that on its own, or a minute for a trace of single requests.
///
/// A bin of which less than half was observed is a gap; an unfinished last one is left out.
///
/// # Errors
/// If the file cannot be read as a trace, or a bin is no whole number of the trace's own steps.
pub fn counted(path: &Path, column: Option<&str>, bin_seconds: Option<f64>) -> anyhow::Result<Counted> {
    let shown = path.display().to_string();
    let bytes = fs::read(path).with_context(|| shown.clone())?;
    let mut trace = read_trace(&bytes, &options(column)).with_context(|| shown.clone())?;
    if let Some(step) = bin_seconds.filter(|_| trace.kind == TraceKind::Requests) {
        let options = TraceOptions { step_seconds: Some(step), ..options(column) };
        trace = read_trace(&bytes, &options).with_context(|| shown.clone())?;
    }
    let step_seconds = bin_seconds.unwrap_or(trace.step_seconds);
    let steps = (step_seconds / trace.step_seconds).round();
    ensure!(
        steps >= 1.0 && (steps * trace.step_seconds - step_seconds).abs() < 1e-6 * step_seconds,
        "{shown}: --bin-seconds must be a whole multiple of the trace's step of {} s, but is {step_seconds}",
        trace.step_seconds
    );
    let bin = |(counts, observed): (&[f64], &[bool])| {
        let there = counts.iter().zip(observed).filter(|(_, observed)| **observed);
        let (sum, n) = there.fold((0.0, 0_usize), |(sum, n), (count, _)| (sum + count, n + 1));
        (2 * n >= counts.len()).then(|| sum / n as f64 / trace.step_seconds)
    };
    let (counts, observed) =
        (trace.counts.chunks_exact(steps as usize), trace.observed.chunks(steps as usize));
    Ok(Counted {
        name: name_of(path),
        note: understood(&trace),
        hash: runs::hash(&[&bytes, column.unwrap_or_default().as_bytes(), &step_seconds.to_le_bytes()]),
        per_second: counts.zip(observed).map(bin).collect(),
        step_seconds,
        start: start_of(&trace),
    })
}

/// What of a trace makes a world.
#[derive(Clone, Copy)]
enum Cut {
    /// Each day, or its first ticks.
    Days { ticks_max: Option<u32> },
    /// All of it.
    Whole,
}

fn of_file(path: &Path, column: Option<&str>, cut: Cut) -> anyhow::Result<Study> {
    let shown = path.display().to_string();
    let bytes = fs::read(path).with_context(|| shown.clone())?;
    let trace = read_trace(&bytes, &options(column)).with_context(|| shown.clone())?;
    let name = name_of(path);
    let mut study = of_series(&name, &Series::of(&trace), cut, start_of(&trace)).with_context(|| shown)?;
    study.notes.insert(0, understood(&trace));
    study.hash = runs::hash(&[study.hash.as_bytes(), &bytes, column.unwrap_or_default().as_bytes()]);
    Ok(study)
}

/// What a scenario's own trace file says, as it is.
///
/// # Errors
/// If the bytes cannot be read as a trace.
pub fn recorded(bytes: &[u8], column: Option<&str>) -> anyhow::Result<Recorded> {
    let trace = read_trace(bytes, &options(column))?;
    Ok(trace.recorded(trace.window(), 1.0)?)
}

fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if name.is_empty() { "trace".to_owned() } else { name }
}

fn options(column: Option<&str>) -> TraceOptions {
    TraceOptions { value_column: column.map(str::to_owned), ..TraceOptions::default() }
}

/// When a trace with time stamps starts; of one that counts seconds nobody knows.
fn start_of(trace: &Trace) -> Option<NaiveDateTime> {
    let is_unix = trace.first_seconds >= UNIX_MIN_SECONDS;
    DateTime::from_timestamp_secs(trace.first_seconds as i64)
        .filter(|_| is_unix)
        .map(|start| start.naive_utc())
}

/// What was made of the file, so that a misunderstanding is seen.
fn understood(trace: &Trace) -> String {
    let what = match (trace.kind, &trace.value_column) {
        (TraceKind::Counts, Some(column)) => format!("counts in column `{column}`"),
        (TraceKind::Counts, None) => "counts".to_owned(),
        (TraceKind::Requests, _) => "one row a request".to_owned(),
    };
    let gaps = trace.gaps();
    let holes = if gaps.n_gaps == 0 {
        "no gaps".to_owned()
    } else {
        format!(
            "{} gaps of {} steps in all (the longest {}), filled by straight lines",
            gaps.n_gaps, gaps.n_steps, gaps.n_steps_longest
        )
    };
    format!(
        "Read as: {what}, time in `{}`, {} rows, steps of {} s over {} days, {holes}.",
        trace.time_column,
        trace.rows,
        number(trace.step_seconds),
        number(trace.seconds() / SECONDS_PER_DAY)
    )
}

/// The days of a series, and the service that they are tried on.
fn of_series(
    name: &str,
    series: &Series,
    cut: Cut,
    whole_start: Option<NaiveDateTime>,
) -> anyhow::Result<Study> {
    let span_seconds = series.users_per_second.len() as f64 * series.step_seconds;
    ensure!(
        span_seconds >= 60.0,
        "the trace spans {} s, but a run needs at least a minute",
        number(span_seconds)
    );
    let day_ticks = (SECONDS_PER_DAY / TICK_SECONDS) as usize;
    let n_days = (span_seconds / SECONDS_PER_DAY) as usize;
    let users = Cumulative::new(series);
    let all: Vec<usize> = if n_days > 1 { (0..n_days).collect() } else { vec![0] };
    let horizon_ticks = if n_days > 0 { day_ticks } else { (span_seconds / TICK_SECONDS) as usize };
    let days: Vec<usize> = all.iter().copied().filter(|day| series.is_usable(*day, horizon_ticks)).collect();
    ensure!(!days.is_empty(), "no day of the trace is observed for {} and has users", percent(OBSERVED_MIN));
    let (training, evaluation) = match days.len() {
        1 => (&days[..], &days[..]),
        n => days.split_at(n / 2),
    };

    let rates = |day: usize| users.ticks(Grid::of_day(day, horizon_ticks));
    let mean = |day: &usize| tidegate_stats::mean(&rates(*day)[WARM_UP_TICKS..]);
    let busiest = days.iter().map(mean).fold(0.0, f64::max);
    let factor = USERS_A_DAY / SECONDS_PER_DAY / busiest;
    let mut at_training: Vec<f64> =
        training.iter().flat_map(|day| rates(*day).split_off(WARM_UP_TICKS)).collect();
    at_training.sort_by(f64::total_cmp);
    let peak = factor * at_training[(at_training.len() as f64 * 0.999) as usize].max(1e-3 * busiest);
    let training_mean = factor * tidegate_stats::mean(&at_training);
    let work_seconds = REPLICAS_AT_PEAK * CONCURRENCY * UTILIZATION_AT_PEAK / peak;
    let initial = (training_mean * work_seconds / CONCURRENCY / UTILIZATION_AT_PEAK).ceil().max(1.0);
    // A user costs this much of a well-used replica; to disappoint one costs fifty times that.
    let dollars_per_user =
        50.0 * DOLLARS_PER_REPLICA_HOUR / 3600.0 * work_seconds / CONCURRENCY / UTILIZATION_AT_PEAK;

    let summary =
        format!("The demand of {name} on a service that needs about {REPLICAS_AT_PEAK} replicas at its peak");
    let ticks = match cut {
        Cut::Days { ticks_max } => ticks_max.map_or(horizon_ticks, |most| horizon_ticks.min(most as usize)),
        Cut::Whole => (span_seconds / TICK_SECONDS) as usize,
    };
    let monday = NaiveDate::from_ymd_opt(2025, 3, 3).expect("a date").and_time(NaiveTime::MIN);
    let scenario = |day: &usize| -> anyhow::Result<Arc<Scenario>> {
        let start =
            whole_start.filter(|_| matches!(cut, Cut::Whole)).unwrap_or(monday + Days::new(*day as u64));
        let text = filled(&[
            ("name", name.to_owned()),
            ("summary", summary.clone()),
            ("horizon_ticks", ticks.to_string()),
            ("start", start.format("%Y-%m-%dT%H:%M:%S").to_string()),
            ("mean_requests_per_second", rounded(training_mean)),
            ("work_seconds", rounded(work_seconds)),
            ("timeout_seconds", rounded((20.0 * work_seconds).max(5.0))),
            ("replicas_initial", (initial as u32).min(1000).to_string()),
            ("bound_seconds", rounded(4.0 * work_seconds)),
            ("dollars_per_user", rounded(dollars_per_user)),
        ]);
        let mut scenario = Scenario::parse(&text).context("the template for traces")?;
        let rates: Arc<[f64]> =
            users.ticks(Grid::of_day(*day, ticks)).iter().map(|rate| rate * factor).collect();
        scenario.workload = Workload::Recorded(Recorded {
            requests_per_second: rates,
            step_seconds: TICK_SECONDS,
            arrivals_seconds: None,
        });
        Ok(Arc::new(scenario))
    };
    let scenarios = |days: &[usize]| days.iter().map(scenario).collect::<anyhow::Result<Vec<_>>>();

    let mut notes = vec![format!(
        "Scale: {} simulated users stand for one of the trace; work of a request {} s, so that the training part's peak of \
         {} users/s needs {REPLICAS_AT_PEAK} replicas of {CONCURRENCY} slots at {} use.",
        number(factor),
        number(work_seconds),
        number(peak),
        percent(UTILIZATION_AT_PEAK)
    )];
    let left_out = all.len() - days.len();
    notes.push(if days.len() == 1 {
        "The trace is less than two days long: one run, on the same data that set the size of the service."
            .to_owned()
    } else {
        let holes =
            if left_out > 0 { format!("; {left_out} left out for want of data") } else { String::new() };
        format!(
            "{} of {} days are for training (size of the service, tuning), {} for evaluation{holes}.",
            training.len(),
            all.len(),
            evaluation.len()
        )
    });
    if evaluation.len() < DAYS_MIN {
        notes.push(format!(
            "This trace only: {} evaluation {} (below {DAYS_MIN}) support no interval.",
            evaluation.len(),
            if evaluation.len() == 1 { "run" } else { "days" }
        ));
    }
    let hash = runs::hash(&[TEMPLATE.as_bytes(), &(ticks as u64).to_le_bytes()]);
    let (training, evaluation) =
        if matches!(cut, Cut::Whole) { (&[0][..], &[0][..]) } else { (training, evaluation) };
    Ok(Study::of_days(name, &summary, hash, notes, scenarios(training)?, scenarios(evaluation)?))
}

impl Series {
    fn of(trace: &Trace) -> Self {
        Self {
            users_per_second: trace.counts.iter().map(|count| count / trace.step_seconds).collect(),
            observed: trace.observed.clone(),
            step_seconds: trace.step_seconds,
        }
    }

    fn is_usable(&self, day: usize, horizon_ticks: usize) -> bool {
        let at = |seconds: f64| ((seconds / self.step_seconds) as usize).min(self.observed.len());
        let start = day as f64 * SECONDS_PER_DAY;
        let steps = at(start)..at(start + horizon_ticks as f64 * TICK_SECONDS).max(at(start) + 1);
        let observed = self.observed[steps.clone()].iter().filter(|observed| **observed).count();
        observed as f64 >= OBSERVED_MIN * steps.len() as f64
            && self.users_per_second[steps].iter().any(|rate| *rate > 0.0)
    }
}

/// Users up to a moment, with straight lines between the ends of steps.
struct Cumulative {
    users: Vec<f64>,
    step_seconds: f64,
}

impl Cumulative {
    fn new(series: &Series) -> Self {
        let mut users = vec![0.0];
        users.extend(series.users_per_second.iter().scan(0.0, |sum, rate| {
            *sum += rate * series.step_seconds;
            Some(*sum)
        }));
        Self { users, step_seconds: series.step_seconds }
    }

    /// Before the trace its first rate holds: somebody was there then, too.
    fn at(&self, seconds: f64) -> f64 {
        let steps = (seconds / self.step_seconds).min((self.users.len() - 1) as f64);
        let step = (steps.max(0.0) as usize).min(self.users.len() - 2);
        self.users[step] + (steps - step as f64) * (self.users[step + 1] - self.users[step])
    }

    /// Rates in the ticks of a run.
    fn ticks(&self, grid: Grid) -> Vec<f64> {
        let Grid { start_seconds, tick_seconds, warm_up_ticks, horizon_ticks } = grid;
        let begin = start_seconds - warm_up_ticks as f64 * tick_seconds;
        let at = |tick: usize| self.at(begin + tick as f64 * tick_seconds);
        (0..warm_up_ticks + horizon_ticks)
            .map(|tick| ((at(tick + 1) - at(tick)) / tick_seconds).max(0.0))
            .collect()
    }
}

/// The ticks of a run that counts from `start_seconds` of the trace on; the warm-up lies before.
#[derive(Clone, Copy)]
struct Grid {
    start_seconds: f64,
    tick_seconds: f64,
    warm_up_ticks: usize,
    horizon_ticks: usize,
}

impl Grid {
    /// That of a run on the template's service.
    fn of_day(day: usize, horizon_ticks: usize) -> Self {
        Self {
            start_seconds: day as f64 * SECONDS_PER_DAY,
            tick_seconds: TICK_SECONDS,
            warm_up_ticks: WARM_UP_TICKS,
            horizon_ticks,
        }
    }
}

fn filled(values: &[(&str, String)]) -> String {
    values.iter().fold(TEMPLATE.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Four digits: the numbers of a template, not of a result.
fn rounded(value: f64) -> String {
    let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use tidegate_core::Split;

    use super::*;

    const DAYS: Cut = Cut::Days { ticks_max: None };

    /// So many days of hourly steps; each day is one user a second higher than the one before, with a noon that is
    /// twice as high as the rest.
    fn hourly(n_days: usize) -> Series {
        let rate = |hour: usize| (1.0 + (hour / 24) as f64) * if hour % 24 == 12 { 2.0 } else { 1.0 };
        Series {
            users_per_second: (0..24 * n_days).map(rate).collect(),
            observed: vec![true; 24 * n_days],
            step_seconds: 3600.0,
        }
    }

    fn rates(study: &Study, split: Split, index: u64) -> Vec<f64> {
        match &study.world(split, index).0.workload {
            Workload::Recorded(recorded) => recorded.requests_per_second.to_vec(),
            other => panic!("{other:?} is no trace"),
        }
    }

    #[test]
    fn days_are_split_in_time_and_keep_their_users() {
        let study = of_series("t", &hourly(4), DAYS, None).expect("four days");
        assert_eq!((study.n_worlds(Split::Training, 99), study.n_worlds(Split::Evaluation, 99)), (2, 2));
        // The busiest day has its 1.8 million, the third day three quarters of that.
        let users = |index| {
            rates(&study, Split::Evaluation, index)[WARM_UP_TICKS..].iter().sum::<f64>() * TICK_SECONDS
        };
        approx::assert_relative_eq!(users(1), USERS_A_DAY, max_relative = 1e-9);
        approx::assert_relative_eq!(users(0), USERS_A_DAY * 0.75, max_relative = 1e-9);
        // The warm-up is the end of the day before, the weekday goes on.
        let third = rates(&study, Split::Evaluation, 0);
        approx::assert_relative_eq!(third[0] / third[WARM_UP_TICKS], 2.0 / 3.0, max_relative = 1e-9);
        let weekday = |split| study.world(split, 0).0.calendar.local(1200.0).day_of_week;
        assert_eq!((weekday(Split::Training), weekday(Split::Evaluation)), (0, 2));
    }

    /// The training part decides on the service: the peak of its second day, four times the first day's base rate.
    #[test]
    fn the_training_peak_needs_the_replicas_it_was_made_for() {
        let study = of_series("t", &hourly(4), DAYS, None).expect("four days");
        let peak = rates(&study, Split::Training, 1).into_iter().fold(0.0, f64::max);
        let scenario = study.scenario();
        let replicas = peak * scenario.work.mean() / CONCURRENCY / UTILIZATION_AT_PEAK;
        approx::assert_relative_eq!(replicas, REPLICAS_AT_PEAK, max_relative = 1e-3);
        let evaluation = rates(&study, Split::Evaluation, 1).into_iter().fold(0.0, f64::max);
        approx::assert_relative_eq!(evaluation, 2.0 * peak, max_relative = 1e-9);
    }

    /// The whole is the days one after the other, on the service of the days, at the trace's own time.
    #[test]
    fn the_whole_trace_is_its_days_on_the_same_service() {
        let days = of_series("t", &hourly(4), DAYS, None).expect("four days");
        let start = NaiveDate::from_ymd_opt(2024, 2, 29).and_then(|day| day.and_hms_opt(6, 0, 0));
        let whole = of_series("t", &hourly(4), Cut::Whole, start).expect("four days");
        let all = rates(&whole, Split::Evaluation, 0);
        assert_eq!(whole.scenario().horizon_ticks, 4 * 5760);
        assert_eq!(whole.scenario().work, days.scenario().work);
        for (index, day) in [2, 3].into_iter().enumerate() {
            let of_day = rates(&days, Split::Evaluation, index as u64);
            let begin = day * 5760;
            assert_eq!(all[begin..begin + of_day.len()], of_day);
        }
        let calendar = whole.scenario().calendar;
        assert_eq!(calendar.at(1200.0).to_rfc3339(), "2024-02-29T06:00:00+00:00");
    }

    #[test]
    fn bins_are_means_of_what_was_observed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("my trace.csv");
        let write = |text: &str| fs::write(&path, text).expect("it is written");
        // Steps of 10 s; the third is missing, and the fifth and sixth, which are a bin of 20 s.
        let later: Vec<String> = (8..16).map(|step| format!("{},1\n", 10 * step)).collect();
        write(&format!("t_s,requests\n0,10\n10,30\n30,50\n60,70\n70,10\n{}", later.concat()));
        let counted_in = |bin| counted(&path, None, bin).map_err(|error| format!("{error:#}"));
        let own = counted_in(None).expect("a trace");
        assert_eq!((own.name.as_str(), own.step_seconds), ("my-trace", 10.0));
        assert_eq!(own.per_second[..7], [Some(1.0), Some(3.0), None, Some(5.0), None, None, Some(7.0)]);
        let wide = counted_in(Some(20.0)).expect("a trace");
        assert_eq!(wide.per_second[..5], [Some(2.0), Some(5.0), None, Some(4.0), Some(0.1)]);
        assert_eq!(wide.per_second.len(), 8);
        assert_ne!(own.hash, wide.hash);
        let error = counted_in(Some(15.0)).expect_err("no multiple");
        let said = "--bin-seconds must be a whole multiple of the trace's step of 10 s, but is 15";
        assert!(error.ends_with(said), "{error}");
    }

    #[test]
    fn a_short_trace_is_one_run_and_a_hole_is_left_out() {
        let mut short = hourly(1);
        short.users_per_second.truncate(5);
        short.observed.truncate(5);
        let study = of_series("t", &short, DAYS, None).expect("five hours");
        assert_eq!(study.n_worlds(Split::Evaluation, 20), 1);
        assert_eq!(study.scenario().horizon_ticks, 1200);
        let first = rates(&study, Split::Evaluation, 0);
        assert_eq!(first[0], first[WARM_UP_TICKS]);

        let mut holed = hourly(4);
        holed.observed[24..40].fill(false);
        let study = of_series("t", &holed, DAYS, None).expect("three days");
        assert_eq!((study.n_worlds(Split::Training, 99), study.n_worlds(Split::Evaluation, 99)), (1, 2));
        assert!(study.notes.iter().any(|note| note.contains("; 1 left out")), "{:?}", study.notes);

        holed.users_per_second.fill(0.0);
        let error = of_series("t", &holed, DAYS, None).expect_err("nobody ever came").to_string();
        assert_eq!(error, "no day of the trace is observed for 50.0 % and has users");
    }
}
