//! How large should a fleet be that never changes, and do controllers beat it? Cost against fleet size, on training
//! worlds only: what is found here may be written into scenarios.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde::{Deserialize, Serialize};
use tidegate_autoscalers::{Catalog, NamedController};
use tidegate_core::{Replicas, Split};
use tidegate_experiments::cli::{self, Choice};
use tidegate_experiments::engine::simulate;
use tidegate_experiments::figures::{FleetCost, cost_against_fleet};
use tidegate_experiments::manifest::Manifest;
use tidegate_experiments::report::{Report, Table, dollars};
use tidegate_experiments::runs::{self, Job};
use tidegate_experiments::scenarios::{self, Study};
use tidegate_experiments::{controllers, fleet, outputs, scores, trial};
use tidegate_stats::mean;

/// Sweeps the size of a fixed fleet on training worlds, with controllers for comparison.
#[derive(Parser)]
#[command(
    version,
    after_help = "--seeds is the number of training seeds here; --baseline and --check have no meaning."
)]
struct Arguments {
    #[command(flatten)]
    choice: Choice,
}

/// One row of `runs.csv`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SweepRow {
    scenario: String,
    controller: String,
    /// Empty for other controllers.
    replicas: Option<Replicas>,
    training_seed: u64,
    /// Energy included.
    dollars_instances: f64,
    dollars_penalty: f64,
}

/// One run.
struct Cell {
    study: usize,
    controller: NamedController,
    replicas: Option<Replicas>,
    seed: u64,
}

fn main() -> ExitCode {
    let Arguments { choice } = Arguments::parse();
    let catalog = controllers::catalog();
    let read = || -> anyhow::Result<_> {
        let controllers = controllers::chosen(&choice, &catalog)?;
        let studies = scenarios::chosen(&choice)?;
        for study in &studies {
            controllers::check(&controllers, &catalog, study)?;
        }
        Ok((controllers, studies))
    };
    let (controllers, studies) = match read() {
        Ok(sweep) => sweep,
        Err(error) => return cli::refuse(&error),
    };
    carry_out(&choice, &catalog, &controllers, &studies)
        .map_or_else(|error| cli::fail(&error), |()| ExitCode::SUCCESS)
}

fn carry_out(
    choice: &Choice,
    catalog: &Catalog,
    controllers: &[NamedController],
    studies: &[Study],
) -> anyhow::Result<()> {
    let out: PathBuf = choice.out("fleet_sweep");
    let program = runs::program_hash()?;
    let seeds = if choice.smoke { choice.seeds.min(2) } else { choice.seeds };
    let mut jobs = Vec::new();
    for (index, study) in studies.iter().enumerate() {
        // The fluid engine finds the region; the sweep itself is on the engine that was asked for.
        let about = fleet::best(study, catalog, seeds.min(5))?;
        let fixed = |replicas: Replicas| {
            (NamedController::of_kind("fixed").with("replicas", i64::from(replicas)), Some(replicas))
        };
        let sizes = sizes(about, study.scenario().pools[0].bounds.replicas_max);
        let others =
            controllers.iter().filter(|named| named.kind != "fixed").cloned().map(|named| (named, None));
        for (named, replicas) in sizes.into_iter().map(fixed).chain(others) {
            let hash = trial::hash(&program, study, &named, &[choice.engine.name()]);
            let shown = replicas.map_or_else(|| named.name.clone(), |replicas| format!("fixed-{replicas}"));
            for seed in 0..study.n_worlds(Split::Training, seeds) {
                let name = format!("fleet_sweep/{}/{shown}/{seed}", study.name);
                let what = Cell { study: index, controller: named.clone(), replicas, seed };
                jobs.push(Job { name, hash: hash.clone(), what });
            }
        }
    }
    let finished = runs::run_all(&out, &jobs, choice.threads(), &|cell: &Cell| {
        let study = &studies[cell.study];
        let (scenario, seed) = study.world(Split::Training, cell.seed);
        let mut controller = catalog
            .build_named(&cell.controller, &scenario.controllers, &scenario.facts())
            .expect("every controller was built once, and every size is within the bounds");
        let charge = simulate(choice.engine, scenario, &mut *controller, seed, &mut ()).charge;
        SweepRow {
            scenario: study.name.clone(),
            controller: cell.controller.name.clone(),
            replicas: cell.replicas,
            training_seed: cell.seed,
            dollars_instances: charge.instances + charge.energy,
            dollars_penalty: charge.penalty,
        }
    })?;
    let rows: Vec<SweepRow> = finished.into_iter().map(|it| it.result).collect();

    let mut report = Report::new("Cost of a fixed fleet");
    report.paragraph(format!(
        "Engine: {}. Training worlds only: nothing here is a result, it is what parameters may be set by. `best` is the \
         cheapest of the sizes tried.",
        choice.engine.name()
    ));
    for (study, rows) in studies.iter().zip(rows.chunk_by(|a, b| a.scenario == b.scenario)) {
        section(&mut report, study, rows);
    }
    let write = |file: &str, bytes: &[u8]| outputs::write(&out, file, bytes);
    let manifest = Manifest::new("fleet_sweep", choice, studies, controllers, "");
    write("manifest.toml", manifest.text().as_bytes())?;
    write("runs.csv", &scores::csv_bytes(&rows)?)?;
    write("report.md", report.markdown().as_bytes())?;
    write("report.html", report.html().as_bytes())?;
    for (file, svg) in report.figures() {
        write(file, svg.as_bytes())?;
    }
    print!("{}", report.terminal());
    println!("Written to {}", out.display());
    Ok(())
}

/// About thirty sizes from under half of the best to twice as many.
fn sizes(about: Replicas, most: Replicas) -> Vec<Replicas> {
    let (from, to) = ((about * 2 / 5).max(1), (about * 2 + 2).min(most));
    let step = ((to - from) / 30).max(1);
    (from..=to).step_by(step as usize).collect()
}

fn section(report: &mut Report, study: &Study, rows: &[SweepRow]) {
    let mut sweep: Vec<FleetCost> = Vec::new();
    let mut others: Vec<(String, f64)> = Vec::new();
    let mut table = Table::new(&study.name, &["fleet", "instances $", "penalty $", "total $"]);
    let cells: Vec<&[SweepRow]> =
        rows.chunk_by(|a, b| (&a.controller, a.replicas) == (&b.controller, b.replicas)).collect();
    for cell in &cells {
        let of = |of: fn(&SweepRow) -> f64| mean(&cell.iter().map(of).collect::<Vec<_>>());
        let (instances, penalty) = (of(|row| row.dollars_instances), of(|row| row.dollars_penalty));
        let name = if let Some(replicas) = cell[0].replicas {
            sweep.push(FleetCost { replicas: f64::from(replicas), instances, penalty });
            format!("fixed, {replicas}")
        } else {
            others.push((cell[0].controller.clone(), instances + penalty));
            cell[0].controller.clone()
        };
        table.row([name, dollars(instances), dollars(penalty), dollars(instances + penalty)]);
    }
    let total = |cost: &FleetCost| cost.instances + cost.penalty;
    let best = sweep.iter().min_by(|a, b| total(a).total_cmp(&total(b))).expect("some sizes were tried");
    report.heading(2, study.name.clone());
    report.paragraph(format!(
        "Best fixed fleet: {} replicas, {} dollars a run. In the scenario's file: `[controllers.fixed]` `replicas = {}`.",
        best.replicas,
        dollars(total(best)),
        best.replicas
    ));
    report.table(table);
    let heading = format!("{}: cost of a fixed fleet, mean of {} training runs", study.name, cells[0].len());
    report.figure(
        &format!("{}-fleet.svg", study.name),
        "Cost of a fixed fleet against its size, and of controllers (dashed).",
        cost_against_fleet(&heading, &sweep, &others),
    );
}
