//! What to order when? Solves a program from a file, or one made of a load and a service, by one solver or all of them.
//!
//! Top to bottom: read, solve, report. docs/plan.md has the files and examples.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{ArgGroup, Parser};
use tidegate_experiments::manifest::Manifest;
use tidegate_experiments::plan::solve::{self, Answer, SolverName};
use tidegate_experiments::plan::{Case, file, reporting, service};
use tidegate_experiments::{cli, outputs, runs};

/// Solves a program of stage costs and limits: what to order when, from which count, and what it costs to do otherwise.
#[derive(Parser)]
#[command(
    version,
    group(ArgGroup::new("what").required(true).args(["program", "load", "smoke"])),
    after_help = "A program: plan --program program.json --solver all\n\
                  A load:    plan --load load.csv --service service.toml\n\
                  The files are described in docs/plan.md. A program that no plan can meet is an answer: the constraint \
                  is named, and the exit code is 0."
)]
struct Arguments {
    /// A program as JSON: of one pool, with a response, or of several pools
    #[arg(long, value_name = "FILE.json")]
    program: Option<PathBuf>,

    /// A load: a CSV file with a row a stage, in requests a second
    #[arg(long, value_name = "FILE.csv", requires = "service")]
    load: Option<PathBuf>,

    /// Prices, limits, service and service level for the load
    #[arg(long, value_name = "FILE.toml", requires = "load")]
    service: Option<PathBuf>,

    /// The column of the load [default: the only one with numbers]
    #[arg(long, value_name = "NAME", requires = "load")]
    column: Option<String>,

    /// Solvers; separated by commas or repeated [default: the right exact one]
    #[arg(long, value_enum, value_name = "NAME", value_delimiter = ',')]
    solver: Vec<SolverName>,

    /// Folder for the results [default: results/plan]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// A quick check that everything works: the examples of docs/examples/plan by all solvers, into target/smoke
    #[arg(long)]
    smoke: bool,
}

/// A case, how it is to be solved, and where the results go.
struct Job {
    case: Case,
    solvers: Vec<SolverName>,
    out: PathBuf,
    manifest: Manifest,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let jobs = match jobs(&arguments) {
        Ok(jobs) => jobs,
        Err(error) => return cli::refuse(&error),
    };
    let done: anyhow::Result<Vec<()>> = jobs.iter().map(carry_out).collect();
    done.map_or_else(|error| cli::fail(&error), |_| ExitCode::SUCCESS)
}

/// Everything that is read, before anything is written.
fn jobs(arguments: &Arguments) -> anyhow::Result<Vec<Job>> {
    let default = if arguments.smoke { "target/smoke/plan" } else { "results/plan" };
    let out = arguments.out.clone().unwrap_or_else(|| default.into());
    if arguments.smoke {
        let examples = Path::new("docs/examples/plan");
        let of_file = |name: &str| {
            let path = examples.join(format!("{name}.json"));
            job(case_of(&path)?, &[&path], &[SolverName::All], out.join(name))
        };
        let mut jobs =
            ["one-pool", "response", "pools"].map(of_file).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let (load, toml) = (examples.join("load.csv"), examples.join("service.toml"));
        let case = service::read(&load, None, &toml)?;
        jobs.push(job(case, &[&load, &toml], &[SolverName::All], out.join("load"))?);
        return Ok(jobs);
    }
    let job = match (&arguments.program, &arguments.load, &arguments.service) {
        (Some(path), ..) => job(case_of(path)?, &[path], &arguments.solver, out),
        (None, Some(load), Some(toml)) => {
            let case = service::read(load, arguments.column.as_deref(), toml)?;
            job(case, &[load, toml], &arguments.solver, out)
        }
        _ => Err(anyhow::anyhow!("--program, or --load and --service, is needed")),
    };
    Ok(vec![job?])
}

fn case_of(path: &Path) -> anyhow::Result<Case> {
    let shown = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(shown)?;
    let name = path.file_stem().map_or_else(|| "plan".into(), |stem| stem.to_string_lossy().into_owned());
    file::read(&text, &name).with_context(shown)
}

fn job(case: Case, files: &[&PathBuf], wanted: &[SolverName], out: PathBuf) -> anyhow::Result<Job> {
    let solvers = solve::chosen(wanted, &case.program)?;
    let names: Vec<&str> = solvers.iter().map(|solver| solver.name()).collect();
    // Where the files lie is the user's business; what was in them, the hash says.
    let mut words = Vec::new();
    let mut contents = Vec::new();
    for path in files {
        words.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        contents.push(fs::read(path).with_context(|| path.display().to_string())?);
    }
    let sweep = format!("{} --solver {}", words.join(" "), names.join(","));
    let mut manifest = Manifest::plain("plan", &sweep, 0);
    let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
    manifest.scenarios.insert(case.name.clone(), runs::hash(&contents));
    Ok(Job { case, solvers, out, manifest })
}

fn carry_out(job: &Job) -> anyhow::Result<()> {
    let Job { case, solvers, out, manifest } = job;
    let answers: Vec<Answer> = solvers.iter().map(|solver| solve::answer(*solver, &case.program)).collect();
    let (report, stages) = reporting::report(case, &answers);
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    outputs::write(out, "manifest.toml", manifest.text().as_bytes())?;
    outputs::write_report(out, &report)?;
    let csv = out.join("plan.csv");
    match &stages {
        Some(stages) => outputs::write(out, "plan.csv", &reporting::csv(case, stages)?)?,
        // That of an earlier run would be taken for this one's.
        None if csv.exists() => fs::remove_file(&csv).with_context(|| csv.display().to_string())?,
        None => {}
    }
    // After the files: whoever reads the terminal through a pipe may close it.
    println!("{}", report.terminal());
    println!("Wall time: {}\n", reporting::timings(&answers));
    println!("Written to {}", out.display());
    Ok(())
}
