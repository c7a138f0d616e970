//! A trace of a user's own: a count for each interval, or one row a request.
//!
//! [`read_trace`] takes the bytes of a text file with a delimiter and finds out what it is told nothing about:
//!
//! | what | how it is found |
//! | --- | --- |
//! | delimiter | the commonest of comma, semicolon and tab in the first line |
//! | header | there is one if no field of the first line is a number or a time stamp |
//! | time column | a usual name (`t_s`, `timestamp`, …), else the first column of time stamps, else the first of numbers |
//! | unit of time | RFC 3339 (or `2025-03-03 08:00:00`, as UTC) if it is no number; milliseconds if the column's name ends with `ms` or the first value is 10¹¹ or more; else seconds |
//! | kind | counts, if there is more than one column, 80 % of the steps in time are equal to within 1 %, and at most 1 % of them are 0; else requests |
//! | value column | a usual name (`requests`, `count`, …), else the first other column of numbers |
//!
//! **Counts.** The step is the median step in time; each row belongs to the step that it is nearest to. Steps
//! without a row, with an empty value, or with a 0 in a column named `observed` are gaps. A gap is not zero traffic:
//! it gets the straight line between its neighbours, and the trace says how many there are.
//!
//! **Requests.** Every row is one request; rows are counted in steps of `step_seconds` (default 60).
//!
//! Times are seconds from the first row.

mod table;

use std::sync::Arc;

use tidegate_core::SECONDS_PER_DAY;
use tidegate_core::scenario::{Recorded, Scale};

use crate::recorded::users_between;
use table::Table;

/// The most steps that a trace may span: 20 million seconds are 231 days.
pub const STEPS_MAX: f64 = 2e7;

/// The greatest count of one row; sums stay exact far beyond it.
pub const COUNT_MAX: f64 = 1e15;

/// The latest time in seconds: 300,000 years.
pub const TIME_MAX: f64 = 1e13;

/// What is known of a file beforehand; the default knows nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceOptions {
    /// Counts or requests.
    pub kind: Option<TraceKind>,
    /// The byte between fields.
    pub delimiter: Option<u8>,
    /// Whether the first line names the columns; without names they are `column 1`, `column 2`, ….
    pub header: Option<bool>,
    /// Name of the column of times.
    pub time_column: Option<String>,
    /// Name of the column of counts. For requests it is not needed; if it is given, it is read and summed.
    pub value_column: Option<String>,
    /// Unit of the column of times.
    pub time_unit: Option<TimeUnit>,
    /// For requests: the step in which they are counted. For counts: their step instead of the median one.
    pub step_seconds: Option<f64>,
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceKind {
    /// The number of users in an interval.
    Counts,
    /// One user.
    Requests,
}

/// Unit of a column of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds, whole or not.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// RFC 3339 time stamps; without an offset they are UTC.
    Stamps,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What a row was.
    pub kind: TraceKind,
    /// The column taken for times.
    pub time_column: String,
    /// The column taken for counts, if one was.
    pub value_column: Option<String>,
    /// Rows of data.
    pub rows: usize,
    /// Sum of the value column as written; of requests without a value column, the number of rows.
    pub value_total: f64,
    /// Time of the first row as written, in seconds; of time stamps, Unix time.
    pub first_seconds: f64,
    /// Length of a step.
    pub step_seconds: f64,
    /// Users in each step from the first row on; in a gap, on the straight line between its neighbours.
    pub counts: Vec<f64>,
    /// Whether a step was observed.
    pub observed: Vec<bool>,
    /// Every request in seconds from the first one, if a row was a request.
    pub arrivals_seconds: Option<Arc<[f64]>>,
}

/// Stretches without observation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many there are.
    pub n_gaps: usize,
    /// Steps in all of them.
    pub n_steps: usize,
    /// Steps in the longest.
    pub n_steps_longest: usize,
}

/// A part of a trace in seconds from its first row: `from_seconds` belongs to it, `to_seconds` does not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Begin.
    pub from_seconds: f64,
    /// End.
    pub to_seconds: f64,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// One field.
    #[error("line {line}: `{column}` {problem}")]
    Field {
        /// Counted from 1.
        line: usize,
        /// Its name, or its number if there are no names.
        column: String,
        /// For example `must be a number, but is "many"`.
        problem: String,
    },
    /// One line.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// For example `must have 2 fields like the first line, but has 3`.
        problem: String,
    },
    /// A column.
    #[error("`{column}` {problem}")]
    Column {
        /// As it was asked for.
        column: String,
        /// For example ``is not among the columns `t_s`, `requests` ``.
        problem: String,
    },
    /// The file as a whole.
    #[error("the file {0}")]
    File(String),
    /// What was asked of it.
    #[error("`{field}` {problem}")]
    Request {
        /// Name of the option.
        field: &'static str,
        /// For example `must be a positive number, but is -1`.
        problem: String,
    },
}

/// Reads a trace from the bytes of a file.
///
/// # Errors
/// With line and column, at the first thing that is wrong.
pub fn read_trace(bytes: &[u8], options: &TraceOptions) -> Result<Trace, TraceError> {
    if let Some(step) = options.step_seconds
        && !(step > 0.0 && step.is_finite())
    {
        let problem = format!("must be a positive number, but is {step}");
        return Err(TraceError::Request { field: "step_seconds", problem });
    }
    let table = Table::open(bytes, options)?;
    let time = table.time_column(options)?;
    let times = read_times(&table, time, options)?;
    let kind = options.kind.unwrap_or_else(|| {
        if is_grid(&times) && table.names.len() > 1 { TraceKind::Counts } else { TraceKind::Requests }
    });
    match kind {
        TraceKind::Counts => read_counts(&table, time, &times, options),
        TraceKind::Requests => read_requests(&table, time, times, options),
    }
}

impl Trace {
    /// Time from the first row to the end of the last step.
    pub fn seconds(&self) -> f64 {
        self.counts.len() as f64 * self.step_seconds
    }

    /// All of it.
    pub fn window(&self) -> Window {
        Window { from_seconds: 0.0, to_seconds: self.seconds() }
    }

    /// What was not observed.
    pub fn gaps(&self) -> Gaps {
        let mut gaps = Gaps::default();
        for steps in self.observed.chunk_by(|a, b| a == b).filter(|steps| !steps[0]) {
            gaps.n_gaps += 1;
            gaps.n_steps += steps.len();
            gaps.n_steps_longest = gaps.n_steps_longest.max(steps.len());
        }
        gaps
    }

    /// By what the window must be multiplied to have the wanted mean or peak (of a step) over its observed steps.
    /// To use nothing of the test part, ask with the training part's window.
    ///
    /// # Errors
    /// If the window is not inside the trace, or holds no users to scale.
    pub fn factor(&self, scale: Scale, window: Window) -> Result<f64, TraceError> {
        self.check(window)?;
        let steps = self.steps(window);
        let observed = || steps.clone().filter(|step| self.observed[*step]).map(|step| self.counts[step]);
        let ratio = |wanted: f64, count: f64| {
            if count > 0.0 {
                Ok(wanted * self.step_seconds / count)
            } else {
                let problem = "cannot be reached: nobody was observed in the window".to_owned();
                Err(TraceError::Request { field: "scale", problem })
            }
        };
        match scale {
            Scale::Factor(factor) => Ok(factor),
            Scale::Mean(mean) => ratio(mean, observed().sum::<f64>() / observed().count().max(1) as f64),
            Scale::Peak(peak) => ratio(peak, observed().fold(0.0, f64::max)),
        }
    }

    /// The window as a scenario's workload, its counts multiplied by `factor`. Single arrivals are kept only at the
    /// factor 1: part of a request cannot come.
    ///
    /// # Errors
    /// If the window is not inside the trace, or the factor is negative or not finite.
    pub fn recorded(&self, window: Window, factor: f64) -> Result<Recorded, TraceError> {
        self.check(window)?;
        if !(factor >= 0.0 && factor.is_finite()) {
            let problem = format!("must not be negative and must be finite, but is {factor}");
            return Err(TraceError::Request { field: "factor", problem });
        }
        let Window { from_seconds, to_seconds } = window;
        let n_steps = ((to_seconds - from_seconds) / self.step_seconds - 1e-9).ceil().max(1.0) as usize;
        let scale = factor / self.step_seconds;
        let rates: Vec<f64> = self.counts.iter().map(|count| count * scale).collect();
        let requests_per_second = (0..n_steps)
            .map(|step| {
                let from = from_seconds + step as f64 * self.step_seconds;
                let to = (from_seconds + (step + 1) as f64 * self.step_seconds).min(to_seconds);
                users_between(&rates, self.step_seconds, from, to) / self.step_seconds
            })
            .collect();
        let single = self.arrivals_seconds.as_ref().filter(|_| factor == 1.0).map(|times| {
            let first = times.partition_point(|time| *time < from_seconds);
            let end = times.partition_point(|time| *time < to_seconds);
            times[first..end].iter().map(|time| time - from_seconds).collect()
        });
        Ok(Recorded { requests_per_second, step_seconds: self.step_seconds, arrivals_seconds: single })
    }

    /// Share of the window's steps that were not observed.
    ///
    /// # Errors
    /// If the window is not inside the trace.
    pub fn unobserved_share(&self, window: Window) -> Result<f64, TraceError> {
        self.check(window)?;
        let steps = self.steps(window);
        let n_steps = steps.len().max(1) as f64;
        Ok(steps.filter(|step| !self.observed[*step]).count() as f64 / n_steps)
    }

    /// The steps that overlap with the window.
    fn steps(&self, window: Window) -> std::ops::Range<usize> {
        let first = (window.from_seconds / self.step_seconds + 1e-9) as usize;
        let end = (window.to_seconds / self.step_seconds - 1e-9).ceil() as usize;
        first..end.min(self.counts.len())
    }

    fn check(&self, window: Window) -> Result<(), TraceError> {
        let Window { from_seconds, to_seconds } = window;
        let end = self.seconds();
        if from_seconds >= 0.0 && from_seconds < to_seconds && to_seconds <= end * (1.0 + 1e-12) {
            return Ok(());
        }
        let problem = format!("must lie within 0 to {end} s, but is {from_seconds} to {to_seconds} s");
        Err(TraceError::Request { field: "window", problem })
    }
}

impl Window {
    /// What is before and what is from `seconds` on: to fit on the first, and to test on the second.
    pub fn split_at(self, seconds: f64) -> (Self, Self) {
        let seconds = seconds.clamp(self.from_seconds, self.to_seconds);
        (Self { to_seconds: seconds, ..self }, Self { from_seconds: seconds, ..self })
    }

    /// Its whole days one after the other; what is left at the end belongs to none.
    pub fn days(self) -> impl Iterator<Item = Self> {
        let n_days = ((self.to_seconds - self.from_seconds) / SECONDS_PER_DAY + 1e-9) as usize;
        (0..n_days).map(move |day| Self {
            from_seconds: self.from_seconds + day as f64 * SECONDS_PER_DAY,
            to_seconds: self.from_seconds + (day + 1) as f64 * SECONDS_PER_DAY,
        })
    }
}

/// Seconds as written, not going back.
fn read_times(table: &Table<'_>, time: usize, options: &TraceOptions) -> Result<Vec<f64>, TraceError> {
    let mut unit = options.time_unit;
    let mut times: Vec<f64> = Vec::new();
    table.rows(|row| {
        let unit = *unit.get_or_insert_with(|| row.find_unit(time));
        let seconds = row.seconds(time, unit)?;
        if let Some(before) = times.last().filter(|before| **before > seconds) {
            let problem =
                format!("must not go back, but is {} after {before} s", table::shown(row.text(time)?));
            return Err(row.problem(time, problem));
        }
        times.push(seconds);
        Ok(())
    })?;
    if times.len() < 2 {
        return Err(TraceError::File("has one row of data, but must have at least two".into()));
    }
    Ok(times)
}

/// Whether the times are those of a grid: most steps equal, hardly one 0.
fn is_grid(times: &[f64]) -> bool {
    let n_steps = (times.len() - 1) as f64;
    let share = |is: &dyn Fn(f64) -> bool| steps(times).filter(|step| is(*step)).count() as f64 / n_steps;
    let median = median_step(times);
    share(&|step| step == 0.0) <= 0.01 && share(&|step| (step - median).abs() <= 0.01 * median) >= 0.8
}

fn steps(times: &[f64]) -> impl Iterator<Item = f64> + '_ {
    times.windows(2).map(|pair| pair[1] - pair[0])
}

/// The median of the steps that are not 0; 0 if all are.
fn median_step(times: &[f64]) -> f64 {
    let mut positive: Vec<f64> = steps(times).filter(|step| *step > 0.0).collect();
    let middle = positive.len() / 2;
    if positive.is_empty() { 0.0 } else { *positive.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

fn read_counts(
    table: &Table<'_>,
    time: usize,
    times: &[f64],
    options: &TraceOptions,
) -> Result<Trace, TraceError> {
    let value = table.value_column(time, options)?;
    let is_observed = table.find("observed");
    let step_seconds = options.step_seconds.unwrap_or_else(|| median_step(times));
    if step_seconds <= 0.0 {
        let problem = "must go forward, but is the same in every row".into();
        return Err(TraceError::Column { column: table.names[time].clone(), problem });
    }
    let n_steps = count_steps(times, step_seconds, 0.5)?;
    let mut counts = vec![0.0; n_steps];
    let mut observed = vec![false; n_steps];
    let (mut value_total, mut index) = (0.0, 0);
    table.rows(|row| {
        if index > 0 && times[index] == times[index - 1] {
            let problem =
                format!("must be after the row before, but is {} again", table::shown(row.text(time)?));
            return Err(row.problem(time, problem));
        }
        let step = ((times[index] - times[0]) / step_seconds).round() as usize;
        index += 1;
        let is_observed = is_observed.map_or(Ok(true), |column| row.flag(column))?;
        if let Some(count) = row.count(value)? {
            value_total += count;
            counts[step] += count;
            observed[step] = is_observed;
        }
        Ok(())
    })?;
    if !observed.contains(&true) {
        return Err(TraceError::File("has no row that was observed, but must have one".into()));
    }
    fill_gaps(&mut counts, &observed);
    Ok(Trace {
        kind: TraceKind::Counts,
        time_column: table.names[time].clone(),
        value_column: Some(table.names[value].clone()),
        rows: times.len(),
        value_total,
        first_seconds: times[0],
        step_seconds,
        counts,
        observed,
        arrivals_seconds: None,
    })
}

fn read_requests(
    table: &Table<'_>,
    time: usize,
    mut times: Vec<f64>,
    options: &TraceOptions,
) -> Result<Trace, TraceError> {
    let mut value_total = times.len() as f64;
    let value = options.value_column.as_ref().map(|_| table.value_column(time, options)).transpose()?;
    if let Some(value) = value {
        value_total = 0.0;
        table.rows(|row| {
            value_total += row.count(value)?.unwrap_or(0.0);
            Ok(())
        })?;
    }
    let step_seconds = options.step_seconds.unwrap_or(60.0);
    let n_steps = count_steps(&times, step_seconds, 0.0)?;
    let first_seconds = times[0];
    let mut counts = vec![0.0; n_steps];
    for time in &mut times {
        *time -= first_seconds;
        counts[(*time / step_seconds) as usize] += 1.0;
    }
    Ok(Trace {
        kind: TraceKind::Requests,
        time_column: table.names[time].clone(),
        value_column: value.map(|value| table.names[value].clone()),
        rows: times.len(),
        value_total,
        first_seconds,
        step_seconds,
        observed: vec![true; n_steps],
        counts,
        arrivals_seconds: Some(times.into()),
    })
}

/// Steps from the first time to the last; `rounding` 0.5 gives a time to the nearest step, 0 to the one it is in.
fn count_steps(times: &[f64], step_seconds: f64, rounding: f64) -> Result<usize, TraceError> {
    let span = times[times.len() - 1] - times[0];
    let n_steps = (span / step_seconds + rounding).floor() + 1.0;
    if n_steps <= STEPS_MAX {
        return Ok(n_steps as usize);
    }
    let what =
        format!("spans {span} s in steps of {step_seconds} s, but must have at most {STEPS_MAX} steps");
    Err(TraceError::File(what))
}

/// Straight lines over what was not observed; before the first and after the last observation, their values.
fn fill_gaps(counts: &mut [f64], observed: &[bool]) {
    let mut last: Option<usize> = None;
    for step in (0..counts.len()).filter(|step| observed[*step]) {
        let (first, from) = last.map_or((0, counts[step]), |last| (last + 1, counts[last]));
        let n_steps = (step + 1 - first) as f64;
        let rise = counts[step] - from;
        for (index, count) in counts[first..step].iter_mut().enumerate() {
            *count = from + rise * (index + 1) as f64 / n_steps;
        }
        last = Some(step);
    }
    if let Some(last) = last {
        let value = counts[last];
        counts[last + 1..].fill(value);
    }
}
