//! Which forecaster should a controller have? Every method from rolling origins on the same series.
//!
//! Top to bottom: the series, the runs (a path and a method each; in parallel, resumable), the rows, the report. `--help`
//! explains the arguments, docs/forecasting.md the protocol.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use chrono::NaiveDateTime;
use clap::Parser;
use serde::Serialize;
use tidegate_experiments::backtest::horizon::Horizon;
use tidegate_experiments::backtest::protocol::{self, Outcome, Plan};
use tidegate_experiments::backtest::reporting;
use tidegate_experiments::backtest::summary::{self, Results, Row};
use tidegate_experiments::backtest::workload::{self, Extent, Workload};
use tidegate_experiments::cli::{self, Choice};
use tidegate_experiments::forecasters;
use tidegate_experiments::manifest::Manifest;
use tidegate_experiments::runs::{self, Finished, Job};
use tidegate_experiments::{outputs, scenarios, scores};

/// Compares forecasters on the same series, built-in or from your own traces.
#[derive(Parser)]
#[command(
    version,
    after_help = "Without arguments: seven built-in workloads and every method. With --trace: that trace alone, unless \
    workloads are chosen as well. A run that was interrupted goes on where it was when the same command is given again."
)]
#[allow(clippy::struct_excessive_bools)] // a switch on the command line is a bool
struct Arguments {
    /// Workloads by the name of a built-in scenario, level-shift, or paths of your own .toml files; separated by commas or
    /// repeated [default: those that --list marks; with --trace, none]
    #[arg(long, value_name = "NAME|FILE", value_delimiter = ',')]
    scenario: Vec<String>,

    /// A trace of your own: a CSV file with a count per interval, or one row a request; may be repeated
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,

    /// The column of the traces that holds the counts [default: found]
    #[arg(long, value_name = "NAME", requires = "trace")]
    column: Option<String>,

    /// When the traces start, for those that do not say it, such as 1995-07-01T00:00:00; one for each, or one for all
    #[arg(long, value_name = "DATETIME", value_delimiter = ',', requires = "trace")]
    start: Vec<NaiveDateTime>,

    /// Takes the built-in workloads of --list besides the traces
    #[arg(long, requires = "trace", conflicts_with = "scenario")]
    built_in: bool,

    /// Methods by name; separated by commas or repeated [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    method: Vec<String>,

    /// How far ahead: numbers of steps, or times such as 15m, 4h, 1d; those that a series is too short for are left out
    #[arg(long, value_name = "H", value_delimiter = ',', default_values = ["1", "15m", "1h", "4h", "1d"])]
    horizons: Vec<Horizon>,

    /// Length of a step in seconds [default: 300 for built-in workloads, 60 for single requests; else the trace's own, but at
    /// least 60 where a day or more is there]
    #[arg(long, value_name = "SECONDS")]
    bin_seconds: Option<f64>,

    /// Days of built-in workloads, and of traces at most [default: 28, and all of a trace]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(2..=1000))]
    days: Option<u32>,

    /// Days for training at most; never more than 60 % of a series
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=1000))]
    train_days: u32,

    /// Paths of each built-in workload: training seeds, so that evaluation seeds stay unseen
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=500))]
    seeds: u64,

    /// Also writes series.csv, the series as they were scored, for a comparison with other programs
    #[arg(long)]
    series: bool,

    /// Folder for the results [default: results/backtest]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Threads; the results are the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// A quick check that everything works: two workloads, six days in steps of ten minutes, into target/smoke
    #[arg(long, conflicts_with_all = ["check", "trace", "scenario"])]
    smoke: bool,

    /// Names the workloads and methods, and ends
    #[arg(long)]
    list: bool,

    /// Runs the first path of the first workload again and compares it with the stored rows, writing nothing
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        list();
        return ExitCode::SUCCESS;
    }
    let work = match Work::new(arguments) {
        Ok(work) => work,
        Err(error) => return cli::refuse(&error),
    };
    let done = if work.arguments.check { work.check() } else { work.carry_out() };
    done.map_or_else(|error| cli::fail(&error), |()| ExitCode::SUCCESS)
}

/// What is to be done, checked.
struct Work {
    arguments: Arguments,
    choice: Choice,
    out: PathBuf,
    workloads: Vec<Workload>,
    /// Workload by workload, path by path.
    plans: Vec<Vec<Plan>>,
    methods: Vec<&'static str>,
    program: String,
}

/// One method on one path.
#[derive(Clone, Copy)]
struct Cell {
    workload: usize,
    path: usize,
    method: &'static str,
}

/// A step of a path: a row of series.csv.
#[derive(Serialize)]
struct Sample<'a> {
    workload: &'a str,
    path: usize,
    step_seconds: f64,
    step: usize,
    part: &'a str,
    /// In 1/s; nothing for a gap.
    rate: Option<f64>,
}

#[derive(Serialize)]
struct Timing<'a> {
    run: &'a str,
    elapsed_seconds: f64,
    fit_first_ms: f64,
    refit_median_ms: f64,
    refit_longest_ms: f64,
    forecast_median_ms: f64,
}

impl Work {
    /// Reads and checks everything; writes nothing.
    fn new(mut arguments: Arguments) -> anyhow::Result<Self> {
        if arguments.smoke {
            arguments.scenario = vec!["web-diurnal".into(), workload::LEVEL_SHIFT.into()];
            arguments.bin_seconds = Some(600.0);
            (arguments.days, arguments.seeds) = (Some(6), 1);
        }
        if let Some(bin) = arguments.bin_seconds {
            ensure!(
                (1e-3..=43_200.0).contains(&bin),
                "--bin-seconds must be between 0.001 and 43200 (half a day), but is {bin}"
            );
        }
        let choice = Choice {
            out: arguments.out.clone(),
            threads: arguments.threads,
            smoke: arguments.smoke,
            ..Choice::default()
        };
        let methods = methods(&arguments.method)?;
        let workloads = workloads(&arguments)?;
        let plan = |workload: &Workload| -> anyhow::Result<Vec<Plan>> {
            let train_days = f64::from(arguments.train_days);
            let plan = |(path, series)| {
                let mut plan = Plan::new(series, &arguments.horizons, train_days)?;
                if path > 0 {
                    plan.fans.clear();
                }
                Ok(plan)
            };
            workload
                .paths
                .iter()
                .enumerate()
                .map(plan)
                .collect::<anyhow::Result<_>>()
                .with_context(|| workload.name.clone())
        };
        let plans = workloads.iter().map(plan).collect::<anyhow::Result<_>>()?;
        let (out, program) = (choice.out("backtest"), runs::program_hash()?);
        Ok(Self { arguments, choice, out, workloads, plans, methods, program })
    }

    /// Workload by workload, method by method, path by path.
    fn jobs(&self) -> Vec<Job<Cell>> {
        let mut jobs = Vec::new();
        for (position, workload) in self.workloads.iter().enumerate() {
            for &method in &self.methods {
                for path in 0..workload.paths.len() {
                    let plan = format!("{:?}", self.plans[position][path]);
                    let hash = runs::hash(&[
                        self.program.as_bytes(),
                        workload.hash.as_bytes(),
                        method.as_bytes(),
                        plan.as_bytes(),
                    ]);
                    let name = format!("backtest/{}/{method}/{path}", workload.name);
                    jobs.push(Job { name, hash, what: Cell { workload: position, path, method } });
                }
            }
        }
        jobs
    }

    fn run(&self, cell: Cell) -> Outcome {
        let series = &self.workloads[cell.workload].paths[cell.path];
        let mut forecaster = (forecasters::without_history().make)(cell.method, series.step_seconds);
        protocol::run(series, &self.plans[cell.workload][cell.path], &mut *forecaster, &mut |_, _| ())
    }

    fn rows(&self, cell: Cell, outcome: &Outcome) -> Vec<Row> {
        let plan = &self.plans[cell.workload][cell.path];
        summary::rows(&self.workloads[cell.workload], plan, cell.path as u64, cell.method, outcome)
    }

    /// Runs, rows, report.
    fn carry_out(&self) -> anyhow::Result<()> {
        let jobs = self.jobs();
        let finished = runs::run_all(&self.out, &jobs, self.choice.threads(), &|cell| self.run(*cell))?;
        let rows: Vec<Row> =
            jobs.iter().zip(&finished).flat_map(|(job, it)| self.rows(job.what, &it.result)).collect();
        let report = reporting::report(&self.results(&finished));
        let timings: Vec<Timing<'_>> = finished.iter().map(timing).collect();
        outputs::write(&self.out, "runs.csv", &scores::csv_bytes(&rows)?)?;
        outputs::write(&self.out, "timings.csv", &scores::csv_bytes(&timings)?)?;
        outputs::write(&self.out, "manifest.toml", self.manifest().text().as_bytes())?;
        outputs::write_report(&self.out, &report)?;
        if self.arguments.series {
            outputs::write(&self.out, "series.csv", &scores::csv_bytes(&self.steps())?)?;
        }
        print!("{}", report.terminal());
        println!("Written to {}: report.md, report.html, runs.csv and figures.", self.out.display());
        Ok(())
    }

    fn steps(&self) -> Vec<Sample<'_>> {
        let mut steps = Vec::new();
        for (workload, plans) in self.workloads.iter().zip(&self.plans) {
            for (path, (series, plan)) in workload.paths.iter().zip(plans).enumerate() {
                steps.extend(series.values.iter().enumerate().map(|(step, rate)| Sample {
                    workload: &workload.name,
                    path,
                    step_seconds: series.step_seconds,
                    step,
                    part: if step < plan.n_train { "training" } else { "test" },
                    rate: *rate,
                }));
            }
        }
        steps
    }

    fn results<'a>(&'a self, finished: &'a [Finished<Outcome>]) -> Vec<Results<'a>> {
        let mut finished = finished.iter().map(|it| &it.result);
        let mut results = Vec::new();
        for (workload, plans) in self.workloads.iter().zip(&self.plans) {
            let n_paths = workload.paths.len();
            let methods = self
                .methods
                .iter()
                .map(|method| (*method, finished.by_ref().take(n_paths).collect()))
                .collect();
            results.push(Results { workload, plans, methods });
        }
        results
    }

    fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::plain("backtest", &self.sweep(), self.arguments.seeds);
        manifest.engine = "none".into();
        manifest.scenarios =
            self.workloads.iter().map(|workload| (workload.name.clone(), workload.hash.clone())).collect();
        manifest
    }

    /// What of the arguments the results depend on; where files lie is the user's business.
    fn sweep(&self) -> String {
        let Arguments { scenario, trace, column, start, method, horizons, train_days, .. } = &self.arguments;
        let mut words: Vec<String> = Vec::new();
        let mut list = |name: &str, values: Vec<String>| {
            if !values.is_empty() {
                words.push(format!("--{name} {}", values.join(",")));
            }
        };
        list("scenario", scenario.clone());
        let files = trace.iter().filter_map(|path| path.file_name());
        for file in files {
            list("trace", vec![file.to_string_lossy().into_owned()]);
        }
        list("column", column.iter().cloned().collect());
        list("start", start.iter().map(|start| start.format("%Y-%m-%dT%H:%M:%S").to_string()).collect());
        list("method", method.clone());
        list("horizons", horizons.iter().map(Horizon::to_string).collect());
        list("bin-seconds", self.arguments.bin_seconds.iter().map(f64::to_string).collect());
        list("days", self.arguments.days.iter().map(u32::to_string).collect());
        words.push(format!("--train-days {train_days} --seeds {}", self.arguments.seeds));
        for (name, is_set) in [("--built-in", self.arguments.built_in), ("--smoke", self.arguments.smoke)] {
            if is_set {
                words.push(name.into());
            }
        }
        words.join(" ")
    }

    fn check(&self) -> anyhow::Result<()> {
        let first = self.jobs().into_iter().filter(|job| (job.what.workload, job.what.path) == (0, 0));
        let again = first.flat_map(|job| {
            let rows = self.rows(job.what, &self.run(job.what));
            rows.into_iter().map(move |row| (format!("{}, {}, day {}", job.name, row.horizon, row.day), row))
        });
        outputs::check_rows(&self.out, again)
    }
}

fn timing(finished: &Finished<Outcome>) -> Timing<'_> {
    let times = finished.result.times;
    Timing {
        run: &finished.run,
        elapsed_seconds: finished.elapsed_seconds,
        fit_first_ms: times.fit_first,
        refit_median_ms: times.refit_median,
        refit_longest_ms: times.refit_longest,
        forecast_median_ms: times.forecast_median,
    }
}

/// The methods asked for, in the order of the catalogue.
fn methods(wanted: &[String]) -> anyhow::Result<Vec<&'static str>> {
    let names = forecasters::NAMES;
    for name in wanted {
        ensure!(names.contains(&name.as_str()), "--method: {name:?} is none of {}", names.join(", "));
    }
    Ok(names.into_iter().filter(|name| wanted.is_empty() || wanted.iter().any(|it| it == name)).collect())
}

fn workloads(arguments: &Arguments) -> anyhow::Result<Vec<Workload>> {
    let Arguments { trace, start, column, bin_seconds, .. } = arguments;
    ensure!(
        start.len() <= 1 || start.len() == trace.len(),
        "--start: must be one for all traces, or one for each of {}, but there are {}",
        trace.len(),
        start.len()
    );
    let days = arguments.days.unwrap_or(28);
    let extent = Extent {
        days,
        train_days: arguments.train_days.min(days * 3 / 5).max(1),
        paths: arguments.seeds,
        bin_seconds: *bin_seconds,
    };
    let mut workloads = Vec::new();
    if arguments.scenario.is_empty() && (trace.is_empty() || arguments.built_in) {
        for name in workload::DEFAULT {
            workloads.push(workload::built_in(name, extent)?);
        }
    }
    for name in &arguments.scenario {
        workloads.push(workload::built_in(name, extent)?);
    }
    for (index, path) in trace.iter().enumerate() {
        let start = start.get(index).or(start.first()).copied();
        let days = arguments.days.map(f64::from);
        workloads.push(workload::of_trace(path, column.as_deref(), *bin_seconds, days, start)?);
    }
    for (index, workload) in workloads.iter().enumerate() {
        if workloads[..index].iter().any(|before| before.name == workload.name) {
            bail!("--scenario, --trace: {:?} comes twice", workload.name);
        }
    }
    Ok(workloads)
}

fn list() {
    println!("Workloads (* run by default):");
    let mut all: Vec<(String, String)> =
        scenarios::list().into_iter().map(|(name, summary, _)| (name, summary)).collect();
    all.push((workload::LEVEL_SHIFT.into(), "web-diurnal with a lasting shift of its level".into()));
    for (name, summary) in all {
        let mark = if workload::DEFAULT.contains(&name.as_str()) { '*' } else { ' ' };
        println!("  {mark} {name:<22} {summary}");
    }
    println!("\nMethods:");
    for name in forecasters::NAMES {
        println!("    {name}");
    }
}
