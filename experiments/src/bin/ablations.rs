//! What makes model-predictive control good or bad? One part exchanged at a time, in the same worlds: horizon, forecast,
//! response model, uncertainty, start-up delay, correction; and what two oracles, told the demand and the service, are
//! worth: what is left of the regret with an oracle is not the fault of what it was told.
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
use tidegate_experiments::comparison::difference;
use tidegate_experiments::manifest::Manifest;
use tidegate_experiments::oracle::{self, Told};
use tidegate_experiments::references::{self, References};
use tidegate_experiments::report::{Report, Table, dollars, number, percent};
use tidegate_experiments::runs::{self, Job};
use tidegate_experiments::scenarios::{self, Study};
use tidegate_experiments::scores::{self, Cell};
use tidegate_experiments::staffing::Staffing;
use tidegate_experiments::trial::{self, Scored};
use tidegate_experiments::{controllers, forecasters, outputs};

/// One variant of `mpc`, or a rule to set it beside.
struct Arm {
    /// What is exchanged.
    part: &'static str,
    name: &'static str,
    /// What is set, in TOML.
    set: &'static str,
    told: Option<Told>,
}

const fn arm(part: &'static str, name: &'static str, set: &'static str) -> Arm {
    Arm { part, name, set, told: None }
}

const fn oracle(part: &'static str, name: &'static str, told: Told) -> Arm {
    Arm { part, name, set: "", told: Some(told) }
}

/// The first is what the others differ from.
const ARMS: &[Arm] = &[
    arm("nothing", "mpc", ""),
    arm("horizon", "horizon-10", "stages = 10"),
    arm("horizon", "horizon-20", "stages = 20"),
    arm("horizon", "horizon-240", "stages = 240"),
    arm("forecast", "forecast-last-value", "forecaster = \"last_value\""),
    arm("forecast", "forecast-naive", "forecaster = \"seasonal_naive_day\""),
    arm("forecast", "forecast-ensemble", "forecaster = \"ensemble\""),
    oracle("forecast", "oracle-demand", Told::Demand),
    arm("model", "hammerstein", "model = \"hammerstein\""),
    arm("model", "armax", "model = \"armax\""),
    arm("model", "wait-as-fitted", "arrivals_are_poisson = false"),
    oracle("model", "oracle-service", Told::Service),
    oracle("forecast and model", "oracle-both", Told::Both),
    arm("uncertainty", "loads-of-counts", "counts_are_poisson = true"),
    arm(
        "uncertainty and model",
        "counts-and-wait",
        "counts_are_poisson = true\narrivals_are_poisson = false",
    ),
    arm("uncertainty", "median", "demand = \"median\""),
    arm("uncertainty", "tail-0.25", "tail_share = 0.25"),
    arm("start-up", "no-start-up", "startup_seconds = 0"),
    arm("correction", "no-correction", "bias_gain = 0"),
    arm("recourse", "no-recourse", "recourse_bounds = 2"),
    arm("recourse", "recourse-always", "recourse_bounds = 0"),
    arm("stop cost", "no-stop-cost", "stop_share = 0"),
];

/// Rules beside it, with documented defaults.
const RULES: [&str; 3] = ["hpa", "lcp", "square_root_staffing"];

/// Exchanges one part of model-predictive control at a time, in the same worlds.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Scenarios by name, or paths of your own .toml files [default: web-diurnal, flash-crowd]
    #[arg(long, value_name = "NAME|FILE", value_delimiter = ',')]
    scenario: Vec<String>,

    /// Arms by name, `mpc` always among them [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    arm: Vec<String>,

    /// Evaluation seeds of each scenario, 0 to N-1
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    seeds: u64,

    /// Folder for the results [default: results/ablations]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Threads; the results are the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// A quick check that everything works: one hour of one scenario, one seed, three arms, into target/smoke
    #[arg(long, conflicts_with = "check")]
    smoke: bool,

    /// Runs one seed again and compares it with the stored row, writing nothing
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let check = arguments.check;
    let sweep = match Sweep::new(arguments) {
        Ok(sweep) => sweep,
        Err(error) => return cli::refuse(&error),
    };
    let done = if check { sweep.check() } else { sweep.carry_out() };
    done.map_or_else(|error| cli::fail(&error), |()| ExitCode::SUCCESS)
}

/// What runs on what.
struct Sweep {
    choice: Choice,
    out: PathBuf,
    arms: Vec<&'static Arm>,
    controllers: Vec<NamedController>,
    studies: Vec<Study>,
    catalogs: Vec<Catalog>,
    staffing: Vec<Option<Staffing>>,
    program: String,
}

/// One run of the sweep.
#[derive(Clone, Copy)]
struct Run {
    study: usize,
    /// An arm, or a rule behind them.
    controller: usize,
    seed: u64,
}

impl Sweep {
    /// Reads and checks everything; writes nothing.
    fn new(arguments: Arguments) -> anyhow::Result<Self> {
        let Arguments { mut scenario, mut arm, mut seeds, out, threads, smoke, check } = arguments;
        if smoke {
            (scenario, seeds) = (vec!["web-diurnal".into()], 1);
            arm = ["armax", "oracle-both"].map(str::to_owned).to_vec();
        }
        if scenario.is_empty() {
            scenario = ["web-diurnal", "flash-crowd"].map(str::to_owned).to_vec();
        }
        if let Some(unknown) = arm.iter().find(|name| !ARMS.iter().any(|arm| arm.name == **name)) {
            let known: Vec<&str> = ARMS.iter().map(|arm| arm.name).collect();
            anyhow::bail!("--arm: {unknown:?} is none of {}", known.join(", "));
        }
        let choice = Choice { scenario, seeds, out, threads, smoke, check, ..Choice::default() };
        let is_chosen = |(index, it): &(usize, &Arm)| {
            *index == 0 || arm.is_empty() || arm.iter().any(|name| name == it.name)
        };
        let arms: Vec<&Arm> = ARMS.iter().enumerate().filter(is_chosen).map(|(_, arm)| arm).collect();
        let mut controllers: Vec<NamedController> = arms.iter().map(|arm| arm.controller()).collect();
        controllers.extend(RULES.map(NamedController::of_kind));
        let studies = scenarios::chosen(&choice)?;
        let catalogs: Vec<Catalog> = studies.iter().map(controllers::catalog_for).collect();
        for (study, catalog) in studies.iter().zip(&catalogs) {
            controllers::check(&controllers, catalog, study)?;
        }
        let staffing = studies.iter().map(|study| Staffing::new(study.scenario())).collect();
        let out = choice.out("ablations");
        let program = runs::program_hash()?;
        Ok(Self { choice, out, arms, controllers, studies, catalogs, staffing, program })
    }

    fn jobs(&self) -> Vec<Job<Run>> {
        let mut jobs = Vec::new();
        for (study, it) in self.studies.iter().enumerate() {
            for (controller, named) in self.controllers.iter().enumerate() {
                let hash = trial::hash(&self.program, it, named, &[self.choice.engine.name()]);
                for seed in 0..self.choice.seeds {
                    let name = format!("ablations/{}/{}/{seed}", it.name, named.name);
                    jobs.push(Job { name, hash: hash.clone(), what: Run { study, controller, seed } });
                }
            }
        }
        jobs
    }

    fn run(&self, run: Run) -> Scored {
        let study = &self.studies[run.study];
        let named = &self.controllers[run.controller];
        let told = self.arms.get(run.controller).and_then(|arm| arm.told);
        let mut controller = build(named, told, study, &self.catalogs[run.study], run.seed);
        let world = (Split::Evaluation, run.seed);
        let staffing = self.staffing[run.study].as_ref();
        trial::run(self.choice.engine, study, world, staffing, &named.name, &mut *controller).0
    }

    /// Runs, references, report.
    fn carry_out(&self) -> anyhow::Result<()> {
        let threads = self.choice.threads();
        let mut finished = runs::run_all(&self.out, &self.jobs(), threads, &|run| self.run(*run))?;
        let references = references::refer(
            &self.out,
            &self.program,
            self.choice.engine,
            &self.studies,
            &self.staffing,
            threads,
            &mut finished,
        )?;
        let rows = trial::rows(&finished);
        let mut report = Report::new("Ablations of model-predictive control");
        report.paragraph(
            "Engine: request. Each row is `mpc` with one part exchanged, in the same worlds; below it rules with \
             documented defaults, the clairvoyant replay and the bound (docs/references.md). Nothing was tuned. Differences \
             are total dollars minus those of `mpc` in the same world, regret is total dollars minus those of the replay, \
             both with 95 % studentised bootstrap intervals (none below ten seeds). An oracle is told what nobody can know.",
        );
        for (index, rows) in rows.chunk_by(|a, b| a.scenario == b.scenario).enumerate() {
            let study = &self.studies[index];
            report.heading(2, study.name.clone());
            report.paragraph(format!("{} Evaluation seeds 0 to {}.", study.summary, self.choice.seeds - 1));
            report.table(self.table(study, &scores::cells(rows), &references[index]));
        }
        trial::write(&self.out, &finished, &references::rows(&references))?;
        let baseline = &self.controllers[0].name;
        let mut manifest =
            Manifest::new("ablations", &self.choice, &self.studies, &self.controllers, baseline);
        if self.arms.len() < ARMS.len() {
            let names: Vec<&str> = self.arms.iter().map(|arm| arm.name).collect();
            manifest.sweep = format!("{} --arm {}", manifest.sweep, names.join(","));
        }
        outputs::write(&self.out, "manifest.toml", manifest.text().as_bytes())?;
        outputs::write_report(&self.out, &report)?;
        print!("{}", report.terminal());
        println!("Written to {}: report.md, report.html, runs.csv.", self.out.display());
        Ok(())
    }

    fn table(&self, study: &Study, cells: &[Cell<'_>], references: &References) -> Table {
        let mut table = Table::new(
            &format!("{}: one part exchanged", study.name),
            &[
                "controller",
                "exchanged",
                "instances $",
                "penalty $",
                "total $",
                "violating",
                "replicas",
                "launches",
                "fallback",
                "difference $ [95 %]",
                "regret $ [95 %]",
            ],
        );
        let replays = references.rows();
        let replay = Cell { controller: references::REPLAY, rows: &replays };
        for (index, cell) in cells.iter().chain([&replay]).enumerate() {
            let decisions = cell.mean(|row| {
                (row.decisions_normal
                    + row.decisions_held
                    + row.decisions_suboptimal
                    + row.decisions_fallback) as f64
            });
            let part = self
                .arms
                .get(index)
                .map_or(if index < cells.len() { "a rule" } else { "–" }, |arm| arm.part);
            table.row([
                cell.controller.to_owned(),
                part.to_owned(),
                dollars(cell.mean(|row| row.dollars_instances)),
                dollars(cell.mean(|row| row.dollars_penalty)),
                dollars(cell.mean(|row| row.dollars_total)),
                percent(cell.mean(|row| row.violating_share)),
                number(cell.mean(|row| row.ready_mean)),
                number(cell.mean(|row| row.launches as f64)),
                percent(cell.mean(|row| row.decisions_fallback as f64) / decisions.max(1.0)),
                if index == 0 { "–".into() } else { difference(cell, &cells[0], study.is_trace()) },
                if index == cells.len() { "–".into() } else { difference(cell, &replay, study.is_trace()) },
            ]);
        }
        let mut row = vec!["–".to_owned(); 11];
        "bound".clone_into(&mut row[0]);
        let bound = references.bounds().map(|bounds| tidegate_stats::mean(&bounds));
        row[4] = bound.map_or("none".into(), dollars);
        table.row(row);
        table
    }

    /// Runs seed 0 of everything again and compares it with what is stored.
    fn check(&self) -> anyhow::Result<()> {
        let again = self.jobs().into_iter().filter(|job| job.what.seed == 0);
        let scored: Vec<(String, usize, Scored)> =
            again.map(|job| (job.name, job.what.study, self.run(job.what))).collect();
        let rows = references::with_seed_0(self.choice.engine, &self.studies, &self.staffing, &scored);
        outputs::check_rows(&self.out, rows)
    }
}

impl Arm {
    fn controller(&self) -> NamedController {
        let set: toml::Table = self.set.parse().expect("an arm is written in TOML");
        set.iter().fold(NamedController::of_kind("mpc").named(self.name), |named, (name, value)| {
            named.with(name, value.clone())
        })
    }
}

fn build(
    named: &NamedController,
    told: Option<Told>,
    study: &Study,
    catalog: &Catalog,
    index: u64,
) -> BoxedController {
    const RIGHT: &str = "every arm was built once before the first run";
    let (scenario, seed) = study.world(Split::Evaluation, index);
    let Some(told) = told else {
        return catalog.build_named(named, &scenario.controllers, &scenario.facts()).expect(RIGHT);
    };
    let parameters = read_parameters(&effective_parameters(named, &scenario.controllers)).expect(RIGHT);
    oracle::controller(scenario, seed, &parameters, told, &forecasters::of_study(study)).expect(RIGHT)
}
