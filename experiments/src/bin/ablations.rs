//! What makes model-predictive control good or bad? One part exchanged at a time, in the same worlds: horizon, forecast,
//! response model, uncertainty, start-up delay, correction; and how much of the regret each oracle takes away.
//!
//! Top to bottom: the arms (what differs from the default), the runs, the report. `--help` explains the arguments.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tidegate_autoscalers::catalog::read_parameters;
use tidegate_autoscalers::{BoxedController, Catalog, NamedController, effective_parameters};
use tidegate_core::Split;
use tidegate_experiments::cli::{self, Choice};
use tidegate_experiments::oracle::{self, Told};
use tidegate_experiments::runs::{self, Job};
use tidegate_experiments::scenarios::{self, Study};
use tidegate_experiments::scores;
use tidegate_experiments::trial::{self, Scored};
use tidegate_experiments::{controllers, forecasters};

/// One variant of `mpc`.
struct Arm {
    group: &'static str,
    name: &'static str,
    /// What is set, in TOML.
    set: &'static str,
    told: Option<Told>,
}

const fn arm(group: &'static str, name: &'static str, set: &'static str) -> Arm {
    Arm { group, name, set, told: None }
}

const ARMS: &[Arm] = &[
    arm("default", "mpc", ""),
    arm("horizon", "horizon-10", "stages = 10"),
    arm("horizon", "horizon-20", "stages = 20"),
    arm("horizon", "horizon-240", "stages = 240"),
    arm("forecast", "forecast-last", "forecaster = \"last_value\""),
    arm("forecast", "forecast-naive", "forecaster = \"seasonal_naive_day\""),
    arm("forecast", "forecast-holt", "forecaster = \"holt_winters\""),
    arm("forecast", "forecast-ensemble", "forecaster = \"ensemble\""),
    Arm { group: "forecast", name: "oracle-demand", set: "", told: Some(Told::Demand) },
    arm("model", "hammerstein", "model = \"hammerstein\""),
    arm("model", "armax", "model = \"armax\""),
    Arm { group: "model", name: "oracle-service", set: "", told: Some(Told::Service) },
    arm("uncertainty", "median", "demand = \"median\""),
    arm("uncertainty", "tail-0.25", "tail_share = 0.25"),
    arm("start-up", "no-start-up", "startup_seconds = 0"),
    arm("correction", "no-correction", "bias_gain = 0"),
    Arm { group: "both", name: "oracle-both", set: "", told: Some(Told::Both) },
];

/// Exchanges one part of model-predictive control at a time.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Scenarios by name [default: web-diurnal, flash-crowd, llm-inference, serverless]
    #[arg(long, value_name = "NAME|FILE", value_delimiter = ',')]
    scenario: Vec<String>,
    /// Arms by name [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    arm: Vec<String>,
    #[arg(long, value_name = "N", default_value_t = 20)]
    seeds: u64,
    #[arg(long)]
    development: bool,
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Rules to run beside
    #[arg(long, value_delimiter = ',')]
    controller: Vec<String>,
    /// over all arms
    #[arg(long, default_value = "")]
    set: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match carry_out(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::refuse(&error),
    }
}

fn carry_out(arguments: &Arguments) -> anyhow::Result<()> {
    let scenario = if arguments.scenario.is_empty() {
        ["web-diurnal", "flash-crowd", "llm-inference", "serverless"].map(str::to_owned).to_vec()
    } else {
        arguments.scenario.clone()
    };
    let choice = Choice { scenario, seeds: arguments.seeds, ..Choice::default() };
    let studies = scenarios::chosen(&choice)?;
    let catalogs: Vec<Catalog> = studies.iter().map(controllers::catalog_for).collect();
    let split = if arguments.development { Split::Training } else { Split::Evaluation };
    let program = runs::program_hash()?;
    let mut jobs = Vec::new();
    let arms: Vec<&Arm> = ARMS
        .iter()
        .filter(|arm| arguments.arm.is_empty() || arguments.arm.iter().any(|name| name == arm.name))
        .collect();
    for (index, study) in studies.iter().enumerate() {
        for arm in 0..arms.len() + arguments.controller.len() {
            for seed in 0..arguments.seeds {
                let name = arms
                    .get(arm)
                    .map_or_else(|| arguments.controller[arm - arms.len()].as_str(), |arm| arm.name);
                jobs.push(Job {
                    name: format!("ablations/{}/{name}/{seed}", study.name),
                    hash: runs::hash(&[program.as_bytes(), study.hash.as_bytes(), arguments.set.as_bytes()]),
                    what: (index, arm, seed),
                });
            }
        }
    }
    let out = arguments.out.clone().unwrap_or_else(|| "target/ablations".into());
    let run = |&(study, arm, seed): &(usize, usize, u64)| -> Scored {
        let (it, catalog) = (&studies[study], &catalogs[study]);
        let (name, mut controller) = match arms.get(arm) {
            Some(arm) => (arm.name, build(arm, it, catalog, split, seed, &arguments.set)),
            None => {
                let name = &arguments.controller[arm - arms.len()];
                let (scenario, _) = it.world(split, seed);
                let named = NamedController::of_kind(name);
                (
                    name.as_str(),
                    catalog.build_named(&named, &scenario.controllers, &scenario.facts()).expect("known"),
                )
            }
        };
        trial::run(choice.engine, it, (split, seed), None, name, &mut *controller).0
    };
    let finished = runs::run_all(&out, &jobs, choice.threads(), &run)?;
    let rows = trial::rows(&finished);
    for rows in rows.chunk_by(|a, b| a.scenario == b.scenario) {
        println!("{}", rows[0].scenario);
        for cell in scores::cells(rows) {
            let us: f64 = finished
                .iter()
                .filter(|f| {
                    f.result.row.scenario == rows[0].scenario && f.result.row.controller == cell.controller
                })
                .map(|f| f.result.microseconds_per_decision)
                .sum::<f64>()
                / cell.rows.len() as f64;
            println!(
                "  {:<22} ${:>8.2} = {:>8.2} + {:>8.2}  late {:.3} %  ready {:.2} util {:.3} launches {:.0} fb {:.0} held {:.0} us {:.0}",
                cell.controller,
                cell.mean(|row| row.dollars_total),
                cell.mean(|row| row.dollars_instances),
                cell.mean(|row| row.dollars_penalty),
                100.0 * cell.mean(|row| row.violating_share),
                cell.mean(|row| row.ready_mean),
                cell.mean(|row| row.utilization_mean),
                cell.mean(|row| row.launches as f64),
                cell.mean(|row| row.decisions_fallback as f64),
                cell.mean(|row| row.decisions_held as f64),
                us,
            );
        }
    }
    Ok(())
}

fn build(
    arm: &Arm,
    study: &Study,
    catalog: &Catalog,
    split: Split,
    index: u64,
    over: &str,
) -> BoxedController {
    let (scenario, seed) = study.world(split, index);
    let mut table: toml::Table = over.replace(';', "\n").parse().expect("TOML");
    table.extend(arm.set.parse::<toml::Table>().expect("an arm is written in TOML"));
    let mut named = NamedController::of_kind("mpc").named(arm.name);
    for (name, value) in &table {
        named = named.with(name, value.clone());
    }
    match arm.told {
        None => {
            catalog.build_named(&named, &scenario.controllers, &scenario.facts()).expect("an arm is right")
        }
        Some(told) => {
            let parameters = read_parameters(&effective_parameters(&named, &scenario.controllers))
                .expect("an arm is right");
            oracle::controller(scenario, seed, &parameters, told, &forecasters::of_study(study))
                .expect("an arm is right")
        }
    }
}
