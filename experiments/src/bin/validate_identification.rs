//! Are the identified models right? Standard errors against known systems, and losses against established packages.
//!
//! Top to bottom: the runs (in parallel, resumable), the rows, the report. Seeds were fixed with the list of systems, before
//! any run. `--help` explains the arguments.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Parser;
use serde::Serialize;
use tidegate_experiments::cli::{self, Choice};
use tidegate_experiments::figures::identification::{Covered, coverage};
use tidegate_experiments::identification::binomial::accepted;
use tidegate_experiments::identification::monte_carlo::{
    self, Estimate, FAMILY_LEVEL, JointRow, LEVEL, NEAR_SHARE_MIN, ParameterRow,
};
use tidegate_experiments::identification::parity::{self, Parity};
use tidegate_experiments::identification::reference::{self, Case};
use tidegate_experiments::identification::synthetic::ALL;
use tidegate_experiments::manifest::Manifest;
use tidegate_experiments::report::{Report, Table, number, percent};
use tidegate_experiments::runs::{self, Job};
use tidegate_experiments::{outputs, scores};

/// Runs of one job: enough work that storing it costs nothing, little enough that an interruption loses little.
const CHUNK: u64 = 25;

/// Holds standard errors against known systems, and fits against established packages.
#[derive(Parser)]
#[command(
    version,
    after_help = "Without --reference the established packages are left out. A run that was interrupted goes on where it was \
    when the same command is given again. Exit code 1 if a row fails."
)]
struct Arguments {
    /// Records of each known system
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(20..=100_000))]
    runs: u64,

    /// A folder with reference.json and the CSV files that it names (docs/identification.md)
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,

    /// Folder for the results [default: results/ and the name of the experiment]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Threads; the results are the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// A quick check: 50 records of each system, into target/smoke
    #[arg(long)]
    smoke: bool,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.smoke {
        arguments.runs = arguments.runs.min(50);
    }
    let cases = match arguments.reference.as_deref().map(reference::read).transpose() {
        Ok(cases) => cases.unwrap_or_default(),
        Err(error) => return cli::refuse(&error.context("--reference")),
    };
    carry_out(&arguments, &cases).map_or_else(|error| cli::fail(&error), |()| ExitCode::SUCCESS)
}

/// Some runs of one system.
struct Part {
    position: usize,
    first: u64,
    count: u64,
}

#[derive(Serialize)]
struct Timing<'a> {
    run: &'a str,
    elapsed_seconds: f64,
}

fn carry_out(arguments: &Arguments, cases: &[Case]) -> anyhow::Result<()> {
    let choice = Choice {
        out: arguments.out.clone(),
        threads: arguments.threads,
        smoke: arguments.smoke,
        ..Choice::default()
    };
    let out = choice.out("validate_identification");
    let program = runs::program_hash()?;
    let mut jobs = Vec::new();
    for (position, system) in ALL.iter().enumerate() {
        for first in (0..arguments.runs).step_by(CHUNK as usize) {
            let count = CHUNK.min(arguments.runs - first);
            let name = format!("validate_identification/{}/{first}+{count}", system.name);
            let hash = runs::hash(&[program.as_bytes(), format!("{system:?}").as_bytes()]);
            jobs.push(Job { name, hash, what: Part { position, first, count } });
        }
    }
    let finished = runs::run_all(&out, &jobs, choice.threads(), &|part: &Part| {
        monte_carlo::runs(part.position, &ALL[part.position], part.first, part.count)
    })?;
    let n_rows = ALL.iter().map(|system| system.truth().len()).sum();
    let (mut rows, mut together) = (Vec::new(), Vec::new());
    for (position, system) in ALL.iter().enumerate() {
        let estimates: Vec<Estimate> = jobs
            .iter()
            .zip(&finished)
            .filter(|(job, _)| job.what.position == position)
            .flat_map(|(_, it)| it.result.clone())
            .collect();
        rows.extend(monte_carlo::rows(system, &estimates, n_rows));
        together.push(monte_carlo::joint(system, &estimates, ALL.len()));
    }
    let timings: Vec<Timing<'_>> =
        finished.iter().map(|it| Timing { run: &it.run, elapsed_seconds: it.elapsed_seconds }).collect();
    let parity = parity::compare(cases);

    let mut report = Report::new("Validation of identification");
    standard_errors(&mut report, &rows, &together, arguments.runs);
    if !cases.is_empty() {
        packages(&mut report, &parity);
        outputs::write(&out, "parity.csv", &scores::csv_bytes(&parity.losses)?)?;
        outputs::write(&out, "parity_subspace.csv", &scores::csv_bytes(&parity.fits)?)?;
        outputs::write(&out, "parity_timings.csv", &scores::csv_bytes(&parity.times)?)?;
    }
    let words = [
        format!("--runs {}", arguments.runs),
        // Where the folder lies is the user's business.
        if cases.is_empty() { String::new() } else { "--reference DIR".into() },
        if arguments.smoke { "--smoke".into() } else { String::new() },
    ];
    let sweep = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let mut manifest = Manifest::plain("validate_identification", &sweep, arguments.runs);
    manifest.engine = "none".into();
    outputs::write(&out, "runs.csv", &scores::csv_bytes(&rows)?)?;
    outputs::write(&out, "joint.csv", &scores::csv_bytes(&together)?)?;
    outputs::write(&out, "timings.csv", &scores::csv_bytes(&timings)?)?;
    outputs::write(&out, "manifest.toml", manifest.text().as_bytes())?;
    outputs::write_report(&out, &report)?;
    print!("{}", report.terminal());
    for row in &parity.times {
        let fastest = row.fastest_package_cpu_seconds.map_or_else(
            || "–".into(),
            |seconds| format!("{} ms ({})", number(seconds * 1e3), row.fastest_package),
        );
        let ours = number(row.our_seconds * 1e3);
        println!("{}, {}: {ours} ms here; the fastest package took {fastest}", row.data, row.structure);
    }
    println!("Written to {}: report.md, runs.csv.", out.display());
    let failed: Vec<String> = rows
        .iter()
        .filter(|row| !row.passed && row.known_gap.is_empty())
        .map(|row| format!("{}, {}", row.system, row.parameter))
        .chain(
            together
                .iter()
                .filter(|row| !row.passed && row.known_gap.is_empty())
                .map(|row| row.system.clone()),
        )
        .chain(parity.failures())
        .collect();
    ensure!(failed.is_empty(), "{} rows fail that were not known to: {}", failed.len(), failed.join("; "));
    Ok(())
}

/// Known systems.
fn standard_errors(report: &mut Report, rows: &[ParameterRow], together: &[JointRow], n_runs: u64) {
    report.heading(2, "Standard errors against known systems");
    let level = FAMILY_LEVEL / rows.len() as f64;
    let (least, most) = accepted(n_runs, LEVEL, level);
    let passed = rows.iter().filter(|row| row.passed).count();
    report.paragraph(format!(
        "{n_runs} records of each system, drawn from evaluation seeds that were fixed with the list; every record is fitted by its own \
         structure. A row passes if the parameter, taken alone, lies within 3 of its own standard errors in at least {} of the records, and \
         an exact binomial test does not reject that its {} interval (1.96 standard errors on either side) holds the truth in {} of \
         them, at a level of {FAMILY_LEVEL} divided by the {} rows: {least} to {most} of {n_runs} pass. A record without a model is a \
         miss. {} of {} rows pass.",
        percent(NEAR_SHARE_MIN),
        percent(LEVEL),
        percent(LEVEL),
        rows.len(),
        passed,
        rows.len()
    ));
    for system in ALL {
        if let Some(reason) = system.known_gap {
            report.paragraph(format!("Known to fail: {}: {reason}.", system.name));
        }
    }
    let mut table = Table::new(
        "parameters of known systems",
        &[
            "system",
            "samples",
            "parameter",
            "truth",
            "mean",
            "deviation",
            "standard error",
            "within 3",
            "covered",
            "p",
            "no model",
            "passed",
        ],
    );
    for row in rows {
        table.row([
            row.system.clone(),
            row.samples.to_string(),
            row.parameter.clone(),
            number(row.truth),
            format!("{:.5}", row.mean).replace('-', "−"),
            number(row.standard_deviation),
            number(row.standard_error),
            percent(row.within_3),
            percent(row.covered),
            number(row.coverage_p),
            row.refused.to_string(),
            verdict(row.passed, &row.known_gap),
        ]);
    }
    report.table(table);
    report.heading(2, "All parameters together");
    report.paragraph(format!(
        "The joint {} region by likelihood ratio, N ln (V(truth)/V(estimate)) against χ² with as many degrees of freedom as parameters: it          needs no parabola, so it tells a wrong minimum from one that standard errors cannot describe. The mean should be the          number of parameters. Level of the test: {FAMILY_LEVEL} divided by the {} systems.",
        percent(LEVEL),
        together.len()
    ));
    let mut table = Table::new(
        "joint regions",
        &["system", "samples", "parameters", "mean ratio", "covered", "p", "passed"],
    );
    for row in together {
        table.row([
            row.system.clone(),
            row.samples.to_string(),
            row.parameters.to_string(),
            format!("{:.2}", row.likelihood_ratio),
            percent(row.covered),
            number(row.coverage_p),
            verdict(row.passed, &row.known_gap),
        ]);
    }
    report.table(table);
    let covered: Vec<Covered> = rows
        .iter()
        .map(|row| Covered {
            name: format!("{}: {}", row.system, row.parameter),
            share: row.covered,
            rejected: !row.passed,
        })
        .collect();
    let n = n_runs as f64;
    let heading = format!("Coverage of 95 % intervals, {n_runs} records of each system");
    let svg = coverage(&heading, (least as f64 / n, most as f64 / n), &covered);
    report.figure("coverage.svg", "Share of the records whose 95 % interval held the true parameter.", svg);
}

fn verdict(passed: bool, known_gap: &str) -> String {
    match (passed, known_gap.is_empty()) {
        (true, _) => "yes",
        (false, true) => "NO",
        (false, false) => "no, known",
    }
    .to_owned()
}

/// Established packages.
fn packages(report: &mut Report, parity: &Parity) {
    report.heading(2, "Losses against established packages");
    report.paragraph(format!(
        "Loss: mean squared one-step error on the estimation data, computed from the printed parameters by code that the estimators do \
         not share. Reference: the least loss of any package. A row passes if the excess is at most {:e} and, where both are at one \
         optimum, no parameter differs by more than {:e} ({:e} for ARX).",
        parity::LOSS_EXCESS_MAX,
        parity::DISTANCE_MAX[0],
        parity::DISTANCE_MAX[1]
    ));
    let mut table = Table::new(
        "losses",
        &[
            "data",
            "structure",
            "samples",
            "loss",
            "least known loss",
            "of",
            "excess",
            "largest difference",
            "passed",
        ],
    );
    for row in &parity.losses {
        table.row([
            row.data.clone(),
            row.structure.clone(),
            row.samples.to_string(),
            format!("{:.10e}", row.loss),
            format!("{:.10e}", row.reference_loss),
            row.reference.clone(),
            format!("{:+.1e}", row.excess).replace('-', "−"),
            format!("{:.1e}", row.distance).replace('-', "−"),
            if row.passed { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    report.table(table);
    if !parity.fits.is_empty() {
        report.heading(2, "State-space models against established packages");
        report.paragraph(format!(
            "Fits in percent, means over the outputs; the best package may be another in each row. Estimation rows are judged: not more \
             than {} points behind, and no unstable model without a warning.",
            parity::FIT_BEHIND_MAX
        ));
        let mut table = Table::new(
            "state-space fits",
            &[
                "data",
                "order",
                "on",
                "run",
                "fit",
                "best package",
                "of",
                "ahead",
                "spectral radius",
                "judged",
                "passed",
            ],
        );
        for row in &parity.fits {
            table.row([
                row.data.clone(),
                row.order.to_string(),
                row.on.clone(),
                row.run.clone(),
                format!("{:.2}", row.fit).replace('-', "−"),
                format!("{:.2}", row.best).replace('-', "−"),
                row.best_package.clone(),
                format!("{:+.2}", row.ahead).replace('-', "−"),
                format!("{:.4}", row.spectral_radius),
                if row.judged { "yes" } else { "" }.to_owned(),
                if row.passed { "yes" } else { "NO" }.to_owned(),
            ]);
        }
        report.table(table);
    }
    for (case, error) in &parity.refused {
        report.paragraph(format!("No model of {case}: {error}."));
    }
}
