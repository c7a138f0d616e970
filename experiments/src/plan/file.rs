//! A program as it is written in JSON: docs/plan.md and docs/plan.schema.json describe it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tidegate_autoscalers::hpa::manifest::typed;
use tidegate_autoscalers::hpa::manifest::yaml::{Document, below};
use tidegate_core::Replicas;
use tidegate_core::locate::FieldError;
use tidegate_mpc::{
    Band, Chance, Convex, Course, Dynamics, Limits, OnePool, Piece, Pool, Pools, ProgramError, ResponsePool,
    Risk, Switching, Table,
};

use super::{Case, Program};

/// The kinds, as `kind` says them.
pub const KINDS: [&str; 3] = ["one_pool", "response", "pools"];

/// More stages than anyone plans ahead, and fewer than memory holds.
const STAGES_MAX: usize = 100_000;

/// More replicas than anyone has, and fewer than a table of costs holds.
const REPLICAS_MAX: f64 = 1e6;

/// Cells of a table of costs.
const CELLS_MAX: f64 = 5e7;

/// A number for all stages, or one for each.
#[derive(Clone, Debug, PartialEq)]
enum PerStage {
    Same(f64),
    Each(Vec<f64>),
}

/// What both programs of one pool have.
#[derive(Debug, Deserialize)]
struct OnePoolFile {
    #[allow(dead_code, reason = "it is read before, as it says what all of this is")]
    kind: String,
    name: Option<String>,
    n_stages: usize,
    stage_seconds: Option<f64>,
    load: Option<Vec<f64>>,
    replicas_min: Option<PerStage>,
    replicas_max: PerStage,
    ramp_up: Option<Replicas>,
    ramp_down: Option<Replicas>,
    initial: Replicas,
    #[serde(default)]
    delay_ticks: u32,
    #[serde(default)]
    starting: Vec<Replicas>,
    dollars_per_replica: PerStage,
    costs: Option<CostFile>,
    #[serde(default)]
    up_dollars: f64,
    #[serde(default)]
    down_dollars: f64,
    terminal: Option<RowFile>,
    dynamics: Option<DynamicsFile>,
}

/// The costs of every stage in one of three forms.
#[derive(Debug, Deserialize)]
struct CostFile {
    needed: Option<PerStage>,
    dollars_per_missing: Option<PerStage>,
    pieces: Option<Vec<Vec<PieceFile>>>,
    rows: Option<Vec<RowFile>>,
}

#[derive(Debug, Deserialize)]
struct PieceFile {
    intercept_dollars: f64,
    slope_dollars: f64,
}

#[derive(Debug, Deserialize)]
struct RowFile {
    #[serde(default)]
    low: Replicas,
    dollars: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct DynamicsFile {
    autoregression: Vec<f64>,
    replicas: Vec<f64>,
    known: Vec<f64>,
    outputs_before: Vec<f64>,
    replicas_before: Vec<f64>,
    bound: f64,
    dollars_per_excess: f64,
}

#[derive(Debug, Deserialize)]
struct PoolsFile {
    #[allow(dead_code, reason = "it is read before, as it says what all of this is")]
    kind: String,
    name: Option<String>,
    n_stages: usize,
    stage_seconds: Option<f64>,
    load: Option<Vec<f64>>,
    pools: Vec<PoolFile>,
    courses: Vec<CourseFile>,
    risk: Option<RiskFile>,
    chance: Option<ChanceFile>,
}

#[derive(Debug, Deserialize)]
struct PoolFile {
    name: Option<String>,
    dollars_per_replica: PerStage,
    #[serde(default)]
    replicas_min: Replicas,
    replicas_max: Replicas,
    ramp_up: Option<Replicas>,
    ramp_down: Option<Replicas>,
    #[serde(default)]
    delay_ticks: u32,
    #[serde(default)]
    up_ticks_min: u32,
    quantum_ticks: Option<u32>,
    #[serde(default)]
    up_dollars: f64,
    #[serde(default)]
    down_dollars: f64,
    capacity: Option<f64>,
    initial: Replicas,
    #[serde(default)]
    terminal_dollars_per_replica: f64,
}

#[derive(Debug, Deserialize)]
struct CourseFile {
    probability: f64,
    penalty: CostFile,
}

#[derive(Debug, Deserialize)]
struct RiskFile {
    level: f64,
    weight: f64,
}

#[derive(Debug, Deserialize)]
struct ChanceFile {
    level: f64,
    needed: Vec<Vec<f64>>,
}

impl<'de> Deserialize<'de> for PerStage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers(PhantomData<PerStage>);
        impl<'de> Visitor<'de> for Numbers {
            type Value = PerStage;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a number, or a list of one for each stage")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<PerStage, E> {
                Ok(PerStage::Same(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<PerStage, E> {
                Ok(PerStage::Same(value as f64))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<PerStage, E> {
                Ok(PerStage::Same(value as f64))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PerStage, A::Error> {
                let mut each = Vec::new();
                while let Some(value) = list.next_element()? {
                    each.push(value);
                }
                Ok(PerStage::Each(each))
            }
        }
        deserializer.deserialize_any(Numbers(PhantomData))
    }
}

/// Reads a program.
///
/// # Errors
/// With line and field, if the text cannot be read or says nothing that could be solved. A program whose constraints
/// cannot be met together is read: that is an answer, not a mistake.
pub fn read(text: &str, name: &str) -> Result<Case, FieldError> {
    // What the reader calls the text as a whole.
    let renamed = |error: FieldError| match error.field.as_str() {
        "yaml" => FieldError { field: "program".into(), ..error },
        _ => error,
    };
    let document = Document::read(text).map_err(renamed)?;
    let reader = Reader { document: &document };
    // Of the other fields nothing is known until the kind is.
    let Some(kind) = document.value.get("kind") else {
        return Err(reader.wrong("kind", format!("must be one of {}, but is missing", KINDS.join(", "))));
    };
    let kind = kind.as_str().unwrap_or("no text").to_owned();
    let case = match kind.as_str() {
        "one_pool" | "response" => reader.one_pool(typed::read(&document).map_err(renamed)?, &kind, name)?,
        "pools" => reader.pools(typed::read(&document).map_err(renamed)?, name)?,
        _ => {
            let problem = format!("must be one of {}, but is {kind:?}", KINDS.join(", "));
            return Err(reader.wrong("kind", problem));
        }
    };
    match case.program.validate() {
        Ok(()) | Err(ProgramError::Impossible(_)) => Ok(case),
        Err(error) => Err(reader.told(&error)),
    }
}

type Checked<T> = Result<T, FieldError>;

/// Checks, with the place of every complaint at hand.
struct Reader<'a> {
    document: &'a Document,
}

impl Reader<'_> {
    fn wrong(&self, field: &str, problem: impl Into<String>) -> FieldError {
        self.document.complaint(field, problem)
    }

    /// What the program itself says, at the field that it names by its own name.
    fn told(&self, error: &ProgramError) -> FieldError {
        let text = error.to_string();
        let named = text.strip_prefix('`').and_then(|rest| rest.split_once("` "));
        let Some((field, problem)) = named else { return self.wrong("program", text) };
        if field == "probability" {
            let sum = problem.trim_start_matches("must be ");
            return self.wrong("courses", format!("must have probabilities that are {sum}"));
        }
        let field = match field {
            "stage" => "costs",
            "switching.up_dollars" => "up_dollars",
            "switching.down_dollars" => "down_dollars",
            "penalty" => "courses",
            other => other,
        };
        self.wrong(field, problem)
    }

    fn stages(&self, n_stages: usize) -> Checked<usize> {
        if (1..=STAGES_MAX).contains(&n_stages) {
            return Ok(n_stages);
        }
        Err(self.wrong("n_stages", format!("must be from 1 to {STAGES_MAX}, but is {n_stages}")))
    }

    fn finite(&self, field: &str, value: f64) -> Checked<f64> {
        let is_good = value.is_finite();
        if is_good { Ok(value) } else { Err(self.wrong(field, format!("must be finite, but is {value}"))) }
    }

    fn not_negative(&self, field: &str, value: f64) -> Checked<f64> {
        if value.is_finite() && value >= 0.0 {
            return Ok(value);
        }
        Err(self.wrong(field, format!("must be finite and at least 0, but is {value}")))
    }

    fn length(&self, field: &str, n_stages: usize, found: usize) -> Checked<()> {
        if found == n_stages {
            return Ok(());
        }
        Err(self.wrong(field, format!("must have {n_stages} entries, one a stage, but has {found}")))
    }

    /// A finite number for each stage, at least 0.
    fn each(&self, field: &str, n_stages: usize, values: &PerStage) -> Checked<Vec<f64>> {
        match values {
            PerStage::Same(value) => Ok(vec![self.not_negative(field, *value)?; n_stages]),
            PerStage::Each(values) => {
                self.length(field, n_stages, values.len())?;
                let one =
                    |(index, value): (usize, &f64)| self.not_negative(&format!("{field}[{index}]"), *value);
                values.iter().enumerate().map(one).collect()
            }
        }
    }

    /// A count for each stage.
    fn counts(&self, field: &str, n_stages: usize, values: &PerStage) -> Checked<Vec<Replicas>> {
        let whole = |(index, value): (usize, f64)| {
            if value.fract() == 0.0 && value <= REPLICAS_MAX {
                return Ok(value as Replicas);
            }
            let field = match values {
                PerStage::Same(_) => field.to_owned(),
                PerStage::Each(_) => format!("{field}[{index}]"),
            };
            Err(self.wrong(&field, format!("must be a whole number up to {REPLICAS_MAX}, but is {value}")))
        };
        self.each(field, n_stages, values)?.into_iter().enumerate().map(whole).collect()
    }

    fn common(&self, n_stages: usize, seconds: Option<f64>, load: Option<&Vec<f64>>) -> Checked<()> {
        if let Some(seconds) = seconds
            && !(seconds > 0.0 && seconds.is_finite())
        {
            return Err(self.wrong("stage_seconds", format!("must be a positive number, but is {seconds}")));
        }
        let Some(load) = load else { return Ok(()) };
        self.each("load", n_stages, &PerStage::Each(load.clone())).map(|_| ())
    }

    fn one_pool(&self, file: OnePoolFile, kind: &str, name: &str) -> Checked<Case> {
        let n_stages = self.stages(file.n_stages)?;
        self.common(n_stages, file.stage_seconds, file.load.as_ref())?;
        let low = match &file.replicas_min {
            Some(low) => self.counts("replicas_min", n_stages, low)?,
            None => vec![0; n_stages],
        };
        let high = self.counts("replicas_max", n_stages, &file.replicas_max)?;
        let limits = Limits {
            bounds: low.iter().zip(&high).map(|(low, high)| Band::new(*low, *high)).collect(),
            ramp_up: file.ramp_up.unwrap_or(Replicas::MAX),
            ramp_down: file.ramp_down.unwrap_or(Replicas::MAX),
            initial: file.initial,
            delay_ticks: file.delay_ticks,
            starting: file.starting,
        };
        if f64::from(limits.initial) > REPLICAS_MAX {
            let problem = format!("must be at most {REPLICAS_MAX}, but is {}", limits.initial);
            return Err(self.wrong("initial", problem));
        }
        // Wide enough for every count within the bounds and for those around the start, which the law is asked about.
        let most =
            high.iter().copied().fold(limits.initial.saturating_add(super::detail::AROUND), Replicas::max);
        if n_stages as f64 * f64::from(most) > CELLS_MAX {
            let problem = format!("must, times `n_stages`, be at most {CELLS_MAX}, but is {most}");
            return Err(self.wrong("replicas_max", problem));
        }
        let wide = vec![Band::new(0, most); n_stages];
        let stage = match &file.costs {
            None if kind == "response" => Table::from_fn(&wide, |_, _| 0.0),
            None => return Err(self.wrong("costs", "must be given, but is missing")),
            Some(costs) => match &costs.rows {
                Some(rows) => self.rows(costs, rows, n_stages)?,
                None => Table::from_convex(&wide, &self.convex("costs", costs, n_stages)?),
            },
        };
        let terminal = file.terminal.as_ref().map(|row| self.table("terminal", std::slice::from_ref(row)));
        let pool = OnePool {
            limits,
            dollars_per_replica: self.each("dollars_per_replica", n_stages, &file.dollars_per_replica)?,
            stage,
            switching: Switching {
                up_dollars: self.not_negative("up_dollars", file.up_dollars)?,
                down_dollars: self.not_negative("down_dollars", file.down_dollars)?,
            },
            terminal: terminal.transpose()?,
        };
        let program = match (kind, file.dynamics) {
            ("response", Some(it)) => Program::Response(ResponsePool {
                pool,
                dynamics: Dynamics {
                    autoregression: it.autoregression,
                    replicas: it.replicas,
                    known: it.known,
                    outputs_before: it.outputs_before,
                    replicas_before: it.replicas_before,
                    bound: it.bound,
                    dollars_per_excess: it.dollars_per_excess,
                },
            }),
            ("response", None) => return Err(self.wrong("dynamics", "must be given, but is missing")),
            (_, Some(_)) => {
                let problem = "belongs to kind \"response\", but the kind is \"one_pool\"";
                return Err(self.wrong("dynamics", problem));
            }
            (_, None) => Program::OnePool(pool),
        };
        Ok(Case {
            program,
            name: file.name.unwrap_or_else(|| name.to_owned()),
            stage_seconds: file.stage_seconds,
            load: file.load,
            pools: vec!["replicas".into()],
            notes: Vec::new(),
        })
    }

    /// Costs as a table.
    fn rows(&self, costs: &CostFile, rows: &[RowFile], n_stages: usize) -> Checked<Table> {
        if costs.pieces.is_some() || costs.needed.is_some() || costs.dollars_per_missing.is_some() {
            return Err(self.wrong("costs", FORMS));
        }
        self.length("costs.rows", n_stages, rows.len())?;
        self.table("costs.rows", rows)
    }

    fn table(&self, field: &str, rows: &[RowFile]) -> Checked<Table> {
        let mut bands = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let field = if field == "terminal" { field.to_owned() } else { format!("{field}[{index}]") };
            if row.dollars.is_empty() {
                return Err(self.wrong(&below(&field, "dollars"), "must have an entry, but is empty"));
            }
            for (place, dollars) in row.dollars.iter().enumerate() {
                self.finite(&format!("{field}.dollars[{place}]"), *dollars)?;
            }
            if f64::from(row.low) + row.dollars.len() as f64 > REPLICAS_MAX + 1.0 {
                let problem = format!("must end at {REPLICAS_MAX} replicas at most, but does not");
                return Err(self.wrong(&below(&field, "dollars"), problem));
            }
            bands.push(Band::new(row.low, row.low + row.dollars.len() as Replicas - 1));
        }
        Ok(Table::from_fn(&bands, |stage, replicas| {
            rows[stage].dollars[(replicas - bands[stage].low) as usize]
        }))
    }

    /// Costs as convex pieces, given or from a shortage.
    fn convex(&self, field: &str, costs: &CostFile, n_stages: usize) -> Checked<Vec<Convex>> {
        match (&costs.needed, &costs.dollars_per_missing, &costs.pieces, &costs.rows) {
            (Some(needed), Some(dollars), None, None) => {
                let needed = self.each(&below(field, "needed"), n_stages, needed)?;
                let dollars = self.each(&below(field, "dollars_per_missing"), n_stages, dollars)?;
                Ok(needed.iter().zip(&dollars).map(|(it, dollars)| Convex::shortage(*it, *dollars)).collect())
            }
            (None, None, Some(stages), None) => {
                let field = below(field, "pieces");
                self.length(&field, n_stages, stages.len())?;
                let convex = |(stage, pieces): (usize, &Vec<PieceFile>)| {
                    let piece = |(index, piece): (usize, &PieceFile)| {
                        let at = |name: &str| format!("{field}[{stage}][{index}].{name}");
                        Ok(Piece {
                            intercept_dollars: self
                                .finite(&at("intercept_dollars"), piece.intercept_dollars)?,
                            slope_dollars: self.finite(&at("slope_dollars"), piece.slope_dollars)?,
                        })
                    };
                    let pieces: Checked<Vec<Piece>> = pieces.iter().enumerate().map(piece).collect();
                    Ok(Convex { pieces: pieces? })
                };
                stages.iter().enumerate().map(convex).collect()
            }
            (.., Some(_)) if field != "costs" => {
                let problem =
                    "belongs to one pool; penalties over the capacity of several are `pieces` or a shortage";
                Err(self.wrong(&below(field, "rows"), problem))
            }
            _ => Err(self.wrong(field, FORMS)),
        }
    }

    fn pools(&self, file: PoolsFile, name: &str) -> Checked<Case> {
        let n_stages = self.stages(file.n_stages)?;
        self.common(n_stages, file.stage_seconds, file.load.as_ref())?;
        for (field, is_empty) in [("pools", file.pools.is_empty()), ("courses", file.courses.is_empty())] {
            if is_empty {
                return Err(self.wrong(field, "must have an entry, but is empty"));
            }
        }
        let (mut pools, mut names) = (Vec::new(), Vec::new());
        for (index, pool) in file.pools.iter().enumerate() {
            names.push(pool.name.clone().unwrap_or_else(|| format!("pool {index}")));
            pools.push(self.pool(&format!("pools[{index}]"), pool, n_stages)?);
        }
        let course = |(index, course): (usize, &CourseFile)| {
            let field = format!("courses[{index}]");
            let probability = self.not_negative(&below(&field, "probability"), course.probability)?;
            let penalty = self.convex(&below(&field, "penalty"), &course.penalty, n_stages)?;
            Ok(Course { probability, penalty })
        };
        let courses: Checked<Vec<Course>> = file.courses.iter().enumerate().map(course).collect();
        let risk = file
            .risk
            .map_or(Risk::Expected, |risk| Risk::ConditionalValue { level: risk.level, weight: risk.weight });
        let chance = file.chance.map(|chance| Chance { level: chance.level, needed: chance.needed });
        Ok(Case {
            program: Program::Pools(Pools { pools, courses: courses?, risk, chance }),
            name: file.name.unwrap_or_else(|| name.to_owned()),
            stage_seconds: file.stage_seconds,
            load: file.load,
            pools: names,
            notes: Vec::new(),
        })
    }

    fn pool(&self, field: &str, pool: &PoolFile, n_stages: usize) -> Checked<Pool> {
        let at = |name: &str| below(field, name);
        for (name, count) in [("replicas_max", pool.replicas_max), ("initial", pool.initial)] {
            if f64::from(count) > REPLICAS_MAX {
                let problem = format!("must be at most {REPLICAS_MAX}, but is {count}");
                return Err(self.wrong(&at(name), problem));
            }
        }
        let quantum_ticks = pool.quantum_ticks.unwrap_or(1);
        for (name, ticks) in [
            ("delay_ticks", pool.delay_ticks),
            ("up_ticks_min", pool.up_ticks_min),
            ("quantum_ticks", quantum_ticks),
        ] {
            if ticks as usize > STAGES_MAX {
                return Err(self.wrong(&at(name), format!("must be at most {STAGES_MAX}, but is {ticks}")));
            }
        }
        if quantum_ticks == 0 {
            return Err(self.wrong(&at("quantum_ticks"), "must be at least 1, but is 0"));
        }
        let dollars_per_replica =
            self.each(&at("dollars_per_replica"), n_stages, &pool.dollars_per_replica)?;
        if quantum_ticks > 1 && dollars_per_replica.iter().any(|dollars| *dollars != dollars_per_replica[0]) {
            let problem = "must be one number where `quantum_ticks` is above 1, but is a list of several";
            return Err(self.wrong(&at("dollars_per_replica"), problem));
        }
        Ok(Pool {
            dollars_per_replica,
            bounds: Band::new(pool.replicas_min, pool.replicas_max),
            ramp_up: pool.ramp_up.unwrap_or(Replicas::MAX),
            ramp_down: pool.ramp_down.unwrap_or(Replicas::MAX),
            delay_ticks: pool.delay_ticks,
            up_ticks_min: pool.up_ticks_min,
            quantum_ticks,
            switching: Switching {
                up_dollars: self.not_negative(&at("up_dollars"), pool.up_dollars)?,
                down_dollars: self.not_negative(&at("down_dollars"), pool.down_dollars)?,
            },
            capacity: self.not_negative(&at("capacity"), pool.capacity.unwrap_or(1.0))?,
            initial: pool.initial,
            terminal_dollars_per_replica: self
                .finite(&at("terminal_dollars_per_replica"), pool.terminal_dollars_per_replica)?,
        })
    }
}

const FORMS: &str =
    "must be either `needed` and `dollars_per_missing`, or `pieces`, or (with one pool) `rows`";

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const SCHEMA: &str = include_str!("../../../docs/plan.schema.json");

    /// The schema's file and the reader know the same fields, object by object.
    #[test]
    fn the_schema_names_the_fields_that_are_read() {
        let schema: Value = serde_json::from_str(SCHEMA).expect("it is JSON");
        let check = |of: &Value, mut read: Vec<&'static str>, others: &[&str]| {
            let mut names: Vec<&str> =
                of["properties"].as_object().expect("an object").keys().map(String::as_str).collect();
            names.extend(others);
            names.sort_unstable();
            read.sort_unstable();
            assert_eq!(names, read);
            assert_eq!(of["additionalProperties"], Value::Bool(false));
        };
        let of = |name: &str| &schema["$defs"][name];
        // Both kinds of one pool are read by one type, which says what belongs to which.
        check(of("one_pool"), typed::names_at::<OnePoolFile>(""), &["dynamics"]);
        check(of("response"), typed::names_at::<OnePoolFile>(""), &["delay_ticks", "starting"]);
        check(of("dynamics"), typed::names_at::<OnePoolFile>("dynamics"), &[]);
        check(of("row"), typed::names_at::<OnePoolFile>("terminal"), &[]);
        check(of("pools"), typed::names_at::<PoolsFile>(""), &[]);
        check(of("pool"), typed::names_at::<PoolsFile>("pools[0]"), &[]);
        check(of("course"), typed::names_at::<PoolsFile>("courses[0]"), &[]);
        check(&of("pools")["properties"]["risk"], typed::names_at::<PoolsFile>("risk"), &[]);
        check(&of("pools")["properties"]["chance"], typed::names_at::<PoolsFile>("chance"), &[]);
        let forms = of("costs")["oneOf"].as_array().expect("three forms");
        let mut names: Vec<&str> = Vec::new();
        for form in forms {
            names.extend(form["properties"].as_object().expect("an object").keys().map(String::as_str));
        }
        names.sort_unstable();
        let mut read = typed::names_at::<OnePoolFile>("costs");
        read.sort_unstable();
        assert_eq!(names, read);
    }
}
