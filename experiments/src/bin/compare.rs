//! Which controller should run? Every controller meets the same worlds; costs, violations and paired differences.
//!
//! Top to bottom: the sweep (what runs on what), the runs (in parallel, resumable), the scores (a row a run), the
//! report. `--help` explains the arguments.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use tidegate_autoscalers::{Catalog, NamedController};
use tidegate_core::Split;
use tidegate_experiments::cli::{self, Choice};
use tidegate_experiments::comparison::{self, Recorded};
use tidegate_experiments::identification::plant;
use tidegate_experiments::manifest::Manifest;
use tidegate_experiments::recorder::Recorder;
use tidegate_experiments::references::{self, References};
use tidegate_experiments::report::Report;
use tidegate_experiments::runs::{self, Job};
use tidegate_experiments::scenarios::{self, Study};
use tidegate_experiments::scores::{self, RunRow};
use tidegate_experiments::staffing::Staffing;
use tidegate_experiments::trial::{self, Scored};
use tidegate_experiments::tuned::TunedFile;
use tidegate_experiments::{controllers, fleet, outputs};

/// Training days on which the fixed fleet is tuned for a trace.
const N_TUNING_DAYS: u64 = 7;

/// Compares autoscaling controllers on the same worlds, built-in or from your own trace.
#[derive(Parser)]
#[command(
    version,
    after_help = "Without arguments: three built-in scenarios, eleven controllers, 20 seeds each. A run that \
    was interrupted goes on where it was when the same command is given again."
)]
struct Arguments {
    #[command(flatten)]
    choice: Choice,

    /// Parameters that `tune` found for these scenarios; they stand over the scenario's and under those of
    /// --controllers
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "results/tune/tuned.toml")]
    tuned: Option<PathBuf>,

    /// Also writes how seed 0 of each scenario went under each controller, a row a tick, to ticks-SCENARIO-CONTROLLER.csv:
    /// what `identify --data` reads
    #[arg(long)]
    ticks: bool,
}

fn main() -> ExitCode {
    let Arguments { choice, tuned, ticks } = Arguments::parse();
    if choice.list {
        list();
        return ExitCode::SUCCESS;
    }
    let sweep = match Sweep::new(choice, tuned, ticks) {
        Ok(sweep) => sweep,
        Err(error) => return cli::refuse(&error),
    };
    let done = if sweep.choice.check { sweep.check() } else { sweep.carry_out() };
    done.map_or_else(|error| cli::fail(&error), |()| ExitCode::SUCCESS)
}

/// What runs on what.
struct Sweep {
    choice: Choice,
    tuned: Option<PathBuf>,
    ticks: bool,
    out: PathBuf,
    /// One a study, since its forecasters have seen its training days.
    catalogs: Vec<Catalog>,
    studies: Vec<Study>,
    staffing: Vec<Option<Staffing>>,
    controllers: Vec<NamedController>,
    baseline: usize,
    program: String,
}

/// One run of the sweep.
#[derive(Clone, Copy)]
struct Cell {
    study: usize,
    controller: usize,
    seed: u64,
}

impl Sweep {
    /// Reads and checks everything; writes nothing.
    fn new(mut choice: Choice, tuned: Option<PathBuf>, ticks: bool) -> anyhow::Result<Self> {
        if choice.smoke {
            choice.seeds = choice.seeds.min(2);
        }
        let catalog = controllers::catalog();
        let controllers = controllers::chosen(&choice, &catalog)?;
        let baseline = controllers::baseline(&choice, &controllers)?;
        let mut studies = scenarios::chosen(&choice)?;
        if let Some(path) = &tuned {
            let file = TunedFile::read(path, &catalog)?;
            for study in &mut studies {
                file.apply(path, study)?;
            }
        }
        let runs_fixed = controllers.iter().any(|named| named.kind == "fixed");
        let untuned = |study: &&mut Study| !study.scenario().controllers.contains_key("fixed");
        for study in studies.iter_mut().filter(untuned).filter(|_| runs_fixed) {
            // The baseline has to be as good as a fixed fleet can be, on what may be known: the training worlds.
            let replicas = fleet::best(study, &catalog, N_TUNING_DAYS)?;
            let days = study.n_worlds(Split::Training, N_TUNING_DAYS);
            study.set_fixed(replicas, &format!("`fixed` tuned on {days} training days, on the fluid engine"));
        }
        let catalogs: Vec<Catalog> = studies.iter().map(controllers::catalog_for).collect();
        for (study, catalog) in studies.iter().zip(&catalogs) {
            controllers::check(&controllers, catalog, study)?;
        }
        let experiment = match &choice.trace {
            Some(_) => format!("compare-{}", studies[0].name),
            None => "compare".to_owned(),
        };
        let staffing = studies.iter().map(|study| Staffing::new(study.scenario())).collect();
        let out = choice.out(&experiment);
        let program = runs::program_hash()?;
        Ok(Self { choice, tuned, ticks, out, catalogs, studies, staffing, controllers, baseline, program })
    }

    fn jobs(&self) -> Vec<Job<Cell>> {
        let engine = self.choice.engine.name();
        let mut jobs = Vec::new();
        for (study, it) in self.studies.iter().enumerate() {
            for (controller, named) in self.controllers.iter().enumerate() {
                let hash = trial::hash(&self.program, it, named, &[engine]);
                for seed in 0..it.n_worlds(Split::Evaluation, self.choice.seeds) {
                    let name = format!("compare/{}/{}/{seed}", it.name, named.name);
                    jobs.push(Job { name, hash: hash.clone(), what: Cell { study, controller, seed } });
                }
            }
        }
        jobs
    }

    /// One run, and its record tick by tick.
    fn run(&self, cell: Cell) -> (Scored, Recorder) {
        trial::evaluate(
            &self.catalogs[cell.study],
            self.choice.engine,
            &self.studies[cell.study],
            self.staffing[cell.study].as_ref(),
            &self.controllers[cell.controller],
            cell.seed,
        )
    }

    fn demand(&self, study: usize, recorder: &Recorder) -> Option<Vec<f64>> {
        trial::demand(self.staffing[study].as_ref(), recorder)
    }

    /// Runs, scores, report.
    fn carry_out(&self) -> anyhow::Result<()> {
        let jobs = self.jobs();
        let threads = self.choice.threads();
        let mut finished = runs::run_all(&self.out, &jobs, threads, &|cell| self.run(*cell).0)?;
        let references = references::refer(
            &self.out,
            &self.program,
            self.choice.engine,
            &self.studies,
            &self.staffing,
            threads,
            &mut finished,
        )?;

        let report = self.report(&trial::rows(&finished), &references);
        trial::write(&self.out, &finished, &references::rows(&references))?;
        outputs::write(&self.out, "manifest.toml", self.manifest().text().as_bytes())?;
        outputs::write_report(&self.out, &report)?;
        if self.ticks {
            self.write_ticks()?;
        }
        print!("{}", report.terminal());
        println!("Written to {}: report.md, report.html, runs.csv and figures.", self.out.display());
        Ok(())
    }

    /// The course of seed 0 of everything.
    fn write_ticks(&self) -> anyhow::Result<()> {
        for (study, catalog) in self.studies.iter().zip(&self.catalogs) {
            let (scenario, seed) = study.world(Split::Evaluation, 0);
            for named in &self.controllers {
                let mut controller = catalog
                    .build_named(named, &scenario.controllers, &scenario.facts())
                    .expect("every controller was built once before the first run");
                let rows = plant::log(self.choice.engine, scenario, &mut *controller, seed);
                let file = format!("ticks-{}-{}.csv", study.name, named.name);
                outputs::write(&self.out, &file, &scores::csv_bytes(&rows)?)?;
            }
        }
        Ok(())
    }

    fn report(&self, rows: &[RunRow], references: &[References]) -> Report {
        let mut report = Report::new("Comparison of controllers");
        comparison::preface(&mut report, self.choice.engine, self.controllers[self.baseline].name.as_str());
        let by_study = rows.chunk_by(|a, b| a.scenario == b.scenario);
        for (index, rows) in by_study.enumerate() {
            let study = &self.studies[index];
            comparison::scores(&mut report, study, &scores::cells(rows), self.baseline, &references[index]);
            comparison::parameters(&mut report, study, &self.controllers);
            let recorded: Vec<Recorded> = (0..self.controllers.len())
                .map(|controller| {
                    let (_, recorder) = self.run(Cell { study: index, controller, seed: 0 });
                    let demand = self.demand(index, &recorder);
                    Recorded { controller: self.controllers[controller].name.clone(), recorder, demand }
                })
                .collect();
            comparison::figures(&mut report, study, &scores::cells(rows), &references[index], &recorded);
        }
        report
    }

    fn manifest(&self) -> Manifest {
        let baseline = &self.controllers[self.baseline].name;
        let mut manifest = Manifest::new("compare", &self.choice, &self.studies, &self.controllers, baseline);
        if let Some(file) = self.tuned.as_deref().and_then(Path::file_name) {
            // Where the file lies is the user's business; what it set, the table of controllers says.
            manifest.sweep = format!("{} --tuned {}", manifest.sweep, file.to_string_lossy());
        }
        manifest
    }

    /// Runs seed 0 of everything again and compares it with what is stored.
    fn check(&self) -> anyhow::Result<()> {
        let again = self.jobs().into_iter().filter(|job| job.what.seed == 0);
        let scored: Vec<(String, usize, Scored)> =
            again.map(|job| (job.name, job.what.study, self.run(job.what).0)).collect();
        let rows = references::with_seed_0(self.choice.engine, &self.studies, &self.staffing, &scored);
        outputs::check_rows(&self.out, rows)
    }
}

fn list() {
    println!("Scenarios (* run by default):");
    for (name, summary, is_default) in scenarios::list() {
        println!("  {} {name:<22} {summary}", if is_default { '*' } else { ' ' });
    }
    println!("\nControllers (* run by default):");
    for kind in controllers::catalog().list() {
        let mark = if controllers::DEFAULT.contains(&kind.about.kind) { '*' } else { ' ' };
        println!("  {mark} {:<22} {}", kind.about.kind, kind.about.summary);
    }
}
