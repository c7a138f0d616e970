//! A program made of a load and a service: what one more ready replica is worth, by a queueing model and the price
//! function.
//!
//! The cost of r ready replicas at stage t is the penalty of the users who arrive in it, under the response of
//! [`QueueingModel`] that has been at rest under this load and these replicas. So a stage knows nothing of the stages
//! before it: a backlog that an overloaded stage leaves is charged within that stage and not carried on. That is what
//! keeps the program one of a table, and the dynamic programme exact for it.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use serde::Deserialize;
use tidegate_core::locate::{FieldError, located, read_toml};
use tidegate_core::price::Prices;
use tidegate_core::{Penalty, Replicas, ResponseModel, ServiceLevel};
use tidegate_mpc::{Band, Limits, OnePool, Switching, Table};
use tidegate_sysid::queueing_fit::{QueueingModel, QueueingParameters};

use super::{Case, Program, detail};
use crate::report::number;

/// More than anyone has, and few enough for a table of costs.
const REPLICAS_MAX: Replicas = 100_000;

/// Cells of a table of costs.
const CELLS_MAX: usize = 20_000_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    step_seconds: f64,
    pool: PoolFile,
    service: ServiceFile,
    service_level: LevelFile,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolFile {
    dollars_per_replica_hour: f64,
    #[serde(default)]
    replicas_min: Replicas,
    replicas_max: Replicas,
    replicas_initial: Replicas,
    ramp_up: Option<Replicas>,
    ramp_down: Option<Replicas>,
    #[serde(default)]
    startup_seconds: f64,
    #[serde(default)]
    up_dollars: f64,
    #[serde(default)]
    down_dollars: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceFile {
    mean_seconds: f64,
    #[serde(default = "one")]
    coefficient_of_variation: f64,
    #[serde(default = "one")]
    arrivals_coefficient_of_variation: f64,
    #[serde(default = "one")]
    concurrency: f64,
    #[serde(default)]
    overhead_seconds: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelFile {
    bound_seconds: f64,
    dollars_per_user: Option<f64>,
    dollars_per_millisecond: Option<f64>,
}

fn one() -> f64 {
    1.0
}

/// Reads both files.
///
/// # Errors
/// With file, line and field, if one cannot be read or a value is out of its range.
pub fn read(load: &Path, column: Option<&str>, service: &Path) -> anyhow::Result<Case> {
    let text = fs::read_to_string(service).with_context(|| service.display().to_string())?;
    let file = checked(&text).with_context(|| service.display().to_string())?;
    let bytes = fs::read(load).with_context(|| load.display().to_string())?;
    let (load_per_second, note) = column_of(&bytes, column).with_context(|| load.display().to_string())?;
    let n_cells = load_per_second.len() * file.pool.replicas_max as usize;
    ensure!(
        n_cells <= CELLS_MAX,
        "{}: `pool.replicas_max` times the rows of the load must be at most {CELLS_MAX}, but is {n_cells}",
        service.display()
    );
    let name = load.file_stem().map_or_else(|| "plan".into(), |stem| stem.to_string_lossy().into_owned());
    let mut case = case(&file, load_per_second, name);
    case.notes.insert(0, note);
    Ok(case)
}

fn checked(text: &str) -> Result<File, FieldError> {
    let file: File = read_toml(text)?;
    let (pool, service, level) = (&file.pool, &file.service, &file.service_level);
    for (field, value) in [
        ("step_seconds", file.step_seconds),
        ("service.mean_seconds", service.mean_seconds),
        ("service.coefficient_of_variation", service.coefficient_of_variation),
        ("service.arrivals_coefficient_of_variation", service.arrivals_coefficient_of_variation),
        ("service.concurrency", service.concurrency),
        ("service_level.bound_seconds", level.bound_seconds),
    ] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(located(text, field, format!("must be a positive number, but is {value}")));
        }
    }
    for (field, value) in [
        ("pool.dollars_per_replica_hour", pool.dollars_per_replica_hour),
        ("pool.startup_seconds", pool.startup_seconds),
        ("pool.up_dollars", pool.up_dollars),
        ("pool.down_dollars", pool.down_dollars),
        ("service.overhead_seconds", service.overhead_seconds),
        ("service_level.dollars_per_user", level.dollars_per_user.unwrap_or(0.0)),
        ("service_level.dollars_per_millisecond", level.dollars_per_millisecond.unwrap_or(0.0)),
    ] {
        if !(value >= 0.0 && value.is_finite()) {
            return Err(located(text, field, format!("must be finite and at least 0, but is {value}")));
        }
    }
    for (field, value) in
        [("pool.replicas_max", pool.replicas_max), ("pool.replicas_initial", pool.replicas_initial)]
    {
        if value > REPLICAS_MAX {
            return Err(located(text, field, format!("must be at most {REPLICAS_MAX}, but is {value}")));
        }
    }
    if level.dollars_per_user.is_some() == level.dollars_per_millisecond.is_some() {
        let problem = "must have either `dollars_per_user` or `dollars_per_millisecond`";
        return Err(located(text, "service_level", problem));
    }
    Ok(file)
}

fn case(file: &File, load: Vec<f64>, name: String) -> Case {
    let File { step_seconds, pool, service, service_level } = file;
    let penalty = match (service_level.dollars_per_user, service_level.dollars_per_millisecond) {
        (Some(dollars_per_user), _) => Penalty::PerUser { dollars_per_user },
        (None, dollars) => Penalty::PerMillisecond { dollars_per_millisecond: dollars.unwrap_or_default() },
    };
    // Nobody gives up in a response model, and windows are not charged for.
    let level = ServiceLevel {
        bound_seconds: service_level.bound_seconds,
        share: 0.0,
        window_ticks: 1,
        penalty,
        dollars_per_user_gave_up: 0.0,
    };
    let prices =
        Prices { level, dollars_per_warm_hour: Vec::new(), dollars_per_kwh: 0.0, dollars_per_carbon_kg: 0.0 };
    let service_scv = service.coefficient_of_variation.powi(2);
    let parameters = QueueingParameters {
        service_seconds: service.mean_seconds,
        service_scv,
        wait_factor: f64::midpoint(service.arrivals_coefficient_of_variation.powi(2), service_scv),
        overhead_seconds: service.overhead_seconds,
        slots_per_replica: service.concurrency,
    };
    let model = QueueingModel::new(parameters, *step_seconds, level);
    let delay_ticks = (pool.startup_seconds / step_seconds).ceil() as u32;
    let most = pool.replicas_max.max(pool.replicas_initial.saturating_add(detail::AROUND));
    let mut least = f64::INFINITY;
    let stage = Table::from_fn(&vec![Band::new(0, most); load.len()], |stage, replicas| {
        let (load, ready) = (load[stage], f64::from(replicas));
        let (users, _) = model.expect(&model.rest(load, ready), load, ready);
        // One replica more never makes a service slower; what the model's last digits say otherwise is rounding.
        least = if replicas == 0 { f64::INFINITY } else { least };
        least = least.min(prices.penalty(&users));
        least
    });
    let limits = Limits {
        bounds: vec![Band::new(pool.replicas_min, pool.replicas_max); load.len()],
        ramp_up: pool.ramp_up.unwrap_or(Replicas::MAX),
        ramp_down: pool.ramp_down.unwrap_or(Replicas::MAX),
        initial: pool.replicas_initial,
        delay_ticks,
        starting: Vec::new(),
    };
    let dollars = pool.dollars_per_replica_hour * step_seconds / tidegate_core::SECONDS_PER_HOUR;
    let problem = OnePool {
        limits,
        dollars_per_replica: vec![dollars; load.len()],
        stage,
        switching: Switching { up_dollars: pool.up_dollars, down_dollars: pool.down_dollars },
        terminal: None,
    };
    let note = format!(
        "The penalty is that of G/G/c queues at rest, a stage each: service of {} s, {} slots a replica. A start of {} s is \
         {delay_ticks} {}.",
        number(service.mean_seconds),
        number(service.concurrency),
        number(pool.startup_seconds),
        if delay_ticks == 1 { "stage" } else { "stages" }
    );
    Case {
        program: Program::OnePool(problem),
        name,
        stage_seconds: Some(*step_seconds),
        load: Some(load),
        pools: vec!["replicas".into()],
        notes: vec![note],
    }
}

/// The numbers of one column: the named one, or the only one that has nothing but numbers.
fn column_of(bytes: &[u8], column: Option<&str>) -> anyhow::Result<(Vec<f64>, String)> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header: Vec<String> = reader.headers().context("the header")?.iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        rows.push((line, record));
    }
    ensure!(!rows.is_empty(), "must have a row below the header, but has none");
    let index = match column {
        Some(name) => header.iter().position(|it| it == name),
        None => only_numeric(&header, &rows)?,
    };
    let Some(index) = index else {
        let found = column.unwrap_or_default();
        return Err(anyhow!("--column must be one of {}, but is {found:?}", header.join(", ")));
    };
    let mut load = Vec::new();
    for (line, record) in &rows {
        let text = record.get(index).unwrap_or_default();
        let value = number_at(record, index).filter(|value| value.is_finite() && *value >= 0.0);
        load.push(value.ok_or_else(|| {
            anyhow!(
                "line {line}: `{}` must be a finite number of requests a second, at least 0, but is {text:?}",
                header[index]
            )
        })?);
    }
    let note = format!("The load is column `{}`, {} rows of requests a second.", header[index], load.len());
    Ok((load, note))
}

fn number_at(record: &csv::StringRecord, index: usize) -> Option<f64> {
    record.get(index)?.parse().ok()
}

/// The only column that has nothing but numbers.
fn only_numeric(header: &[String], rows: &[(u64, csv::StringRecord)]) -> anyhow::Result<Option<usize>> {
    let is_numeric = |index: &usize| rows.iter().all(|(_, record)| number_at(record, *index).is_some());
    let numeric: Vec<usize> = (0..header.len()).filter(is_numeric).collect();
    let names: Vec<&str> = numeric.iter().map(|index| &*header[*index]).collect();
    match numeric[..] {
        [only] => Ok(Some(only)),
        [] => Err(anyhow!("no column has only numbers; the columns are {}", header.join(", "))),
        _ => Err(anyhow!("--column must say which of {} is the load", names.join(", "))),
    }
}
