//! Is the plant right? The request engine against queueing theory, the fluid engine against the request engine.
//!
//! Top to bottom: the sweep, the runs (in parallel, resumable, cheap ones first), the report. Training seeds only:
//! nothing here compares controllers. `--help` explains the arguments.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use serde::Serialize;
use tidegate_autoscalers::{Catalog, NamedController};
use tidegate_core::{Seed, Split};
use tidegate_experiments::cli::{self, Choice, Engine};
use tidegate_experiments::engine::simulate;
use tidegate_experiments::manifest::Manifest;
use tidegate_experiments::report::Report;
use tidegate_experiments::runs::{self, Job};
use tidegate_experiments::scenarios::{self, Study};
use tidegate_experiments::validation::{self, Effort, EngineRow, Pair, TheoryQueue, TheoryRow};
use tidegate_experiments::{controllers, fleet, outputs, scores, trial};

/// Run unless others are named: one that tracks the rate, one that follows a threshold, one that never moves.
const CONTROLLERS: [&str; 3] = ["square_root_staffing", "threshold", "fixed"];

/// Training worlds on which the fixed fleet is sized, where the scenario does not say.
const N_SIZING_WORLDS: u64 = 3;

/// Seed of the theory rows.
const THEORY: Seed = Seed::training(0);

/// Holds the request engine against queueing theory and the fluid engine against the request engine.
#[derive(Parser)]
#[command(
    version,
    after_help = "Without arguments: every queue with a closed form at utilization 0.5, 0.8 and 0.95, then every \
    built-in scenario with three controllers on five training seeds. A run that was interrupted goes on where it was \
    when the same command is given again."
)]
struct Arguments {
    /// Scenarios by name, or paths of your own .toml files; separated by commas or repeated [default: all built-in]
    #[arg(long, value_name = "NAME|FILE", value_delimiter = ',')]
    scenario: Vec<String>,

    /// Controllers by name; separated by commas or repeated [default: three rules, see --list]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    controller: Vec<String>,

    /// Training seeds of each scenario, 0 to N-1
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    seeds: u64,

    /// Millions of customers after which a theory row ends, inside the tolerance or not
    #[arg(long, value_name = "N", default_value_t = 1200, value_parser = clap::value_parser!(u32).range(1..=4000))]
    customers_max_millions: u32,

    /// Folder for the results [default: results/validate]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Threads; the results are the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// A quick check: two utilizations to ±10 %, one scenario, one hour, two seeds, into target/smoke
    #[arg(long, conflicts_with = "check")]
    smoke: bool,

    /// Names the scenarios and controllers, and ends
    #[arg(long)]
    list: bool,

    /// Runs seed 0 of every scenario and the shortest queues again and compares them with the stored rows, writing
    /// nothing
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        list();
        return ExitCode::SUCCESS;
    }
    let check = arguments.check;
    let sweep = match Sweep::new(&arguments) {
        Ok(sweep) => sweep,
        Err(error) => return cli::refuse(&error),
    };
    let done = if check { sweep.check() } else { sweep.carry_out() };
    done.map_or_else(|error| cli::fail(&error), |()| ExitCode::SUCCESS)
}

/// What is held against what.
struct Sweep {
    choice: Choice,
    out: PathBuf,
    utilizations: &'static [f64],
    effort: Effort,
    catalog: Catalog,
    studies: Vec<Study>,
    controllers: Vec<NamedController>,
    notes: Vec<String>,
    program: String,
}

/// One world, to be run on both engines.
#[derive(Clone, Copy)]
struct Cell {
    study: usize,
    controller: usize,
    seed: u64,
}

#[derive(Serialize)]
struct Timing<'a> {
    run: &'a str,
    elapsed_seconds: f64,
}

impl Sweep {
    /// Reads and checks everything; writes nothing.
    fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        let mut choice = Choice {
            scenario: arguments.scenario.clone(),
            controller: arguments.controller.clone(),
            seeds: if arguments.smoke { arguments.seeds.min(2) } else { arguments.seeds },
            out: arguments.out.clone(),
            threads: arguments.threads,
            full: !arguments.smoke,
            smoke: arguments.smoke,
            check: arguments.check,
            ..Choice::default()
        };
        if choice.controller.is_empty() {
            choice.controller = CONTROLLERS.map(str::to_owned).to_vec();
        }
        let catalog = controllers::catalog();
        let controllers = controllers::chosen(&choice, &catalog)?;
        let mut studies = scenarios::chosen(&choice)?;
        let mut notes = Vec::new();
        if controllers.iter().any(|named| named.kind == "fixed") {
            let mut sizes = Vec::new();
            for study in &mut studies {
                if study.scenario().controllers.get("fixed").is_none() {
                    let replicas = fleet::best(study, &catalog, N_SIZING_WORLDS)?;
                    study.set_fixed(replicas, "training worlds");
                    sizes.push(format!("{} {replicas}", study.name));
                }
            }
            if !sizes.is_empty() {
                notes.push(format!(
                    "`fixed` sees nothing and so shows the engines' own difference; its size is the scenario's own, or \
                     else the cheapest on {N_SIZING_WORLDS} training worlds of the fluid engine: {}.",
                    sizes.join(", ")
                ));
            }
        }
        for study in &studies {
            catalog.check_scenario(&study.scenario().controllers).with_context(|| study.name.clone())?;
            controllers::check(&controllers, &catalog, study)?;
        }
        let (utilizations, effort): (&[f64], _) = if arguments.smoke {
            (&[0.5, 0.8], Effort { tolerance: 0.1, customers_max: 4e6 })
        } else {
            let customers_max = f64::from(arguments.customers_max_millions) * 1e6;
            (&[0.5, 0.8, 0.95], Effort { tolerance: 0.01, customers_max })
        };
        let out = choice.out("validate");
        let program = runs::program_hash()?;
        Ok(Self { choice, out, utilizations, effort, catalog, studies, controllers, notes, program })
    }

    /// The arguments that the results depend on.
    fn words(&self) -> String {
        let millions = self.effort.customers_max / 1e6;
        let mut words = vec![format!(
            "--seeds {} --customers-max-millions {millions} --controller {}",
            self.choice.seeds,
            self.choice.controller.join(",")
        )];
        if !self.choice.scenario.is_empty() {
            words.push(format!("--scenario {}", self.choice.scenario.join(",")));
        }
        if self.choice.smoke {
            words.push("--smoke".to_owned());
        }
        words.join(" ")
    }

    fn theory_jobs(&self) -> Vec<Job<TheoryQueue>> {
        TheoryQueue::all(self.utilizations)
            .into_iter()
            .map(|queue| {
                let numbers = format!("{:?}", self.effort);
                let hash = runs::hash(&[self.program.as_bytes(), numbers.as_bytes()]);
                Job { name: format!("validate/{}", queue.title()), hash, what: queue }
            })
            .collect()
    }

    fn engine_jobs(&self) -> Vec<Job<Cell>> {
        let mut jobs = Vec::new();
        for (study, it) in self.studies.iter().enumerate() {
            for (controller, named) in self.controllers.iter().enumerate() {
                let hash = trial::hash(&self.program, it, named, &[]);
                for seed in 0..it.n_worlds(Split::Training, self.choice.seeds) {
                    let name = format!("validate/{}/{}/{seed}", it.name, named.name);
                    jobs.push(Job { name, hash: hash.clone(), what: Cell { study, controller, seed } });
                }
            }
        }
        jobs
    }

    fn measure(&self, queue: &TheoryQueue) -> TheoryRow {
        queue.measure(self.effort, THEORY)
    }

    /// One world on both engines.
    fn pair(&self, cell: Cell) -> Pair {
        let study = &self.studies[cell.study];
        let named = &self.controllers[cell.controller];
        let (scenario, seed) = study.world(Split::Training, cell.seed);
        let on = |engine: Engine| {
            let mut controller = self
                .catalog
                .build_named(named, &scenario.controllers, &scenario.facts())
                .expect("every controller was built once before the first run");
            let summary = simulate(engine, scenario, &mut *controller, seed, &mut ());
            EngineRow::new(&study.name, &named.name, cell.seed, engine.name(), &summary)
        };
        Pair { request: on(Engine::Request), fluid: on(Engine::Fluid) }
    }

    /// Runs, report.
    fn carry_out(&self) -> anyhow::Result<()> {
        let threads = self.choice.threads();
        let cells = self.engine_jobs();
        let pairs = runs::run_all(&self.out, &cells, threads, &|cell: &Cell| self.pair(*cell))?;
        // From few customers to many: 0.95 takes longer than all else together.
        let mut measured = Vec::new();
        for jobs in self.theory_jobs().chunk_by(|a, b| a.what.utilization() == b.what.utilization()) {
            measured.extend(runs::run_all(&self.out, jobs, threads, &|queue| self.measure(queue))?);
        }
        let timings: Vec<Timing<'_>> = measured
            .iter()
            .map(|it| (&it.run, it.elapsed_seconds))
            .chain(pairs.iter().map(|it| (&it.run, it.elapsed_seconds)))
            .map(|(run, elapsed_seconds)| Timing { run, elapsed_seconds })
            .collect();
        let theory: Vec<TheoryRow> = measured.iter().map(|it| it.result.clone()).collect();
        let pairs: Vec<Pair> = pairs.iter().map(|it| it.result.clone()).collect();

        let mut report = Report::new("Validation of the plant");
        validation::theory(&mut report, &theory, self.effort);
        validation::engines(&mut report, &pairs, &self.notes);
        let write = |file: &str, bytes: &[u8]| outputs::write(&self.out, file, bytes);
        write("theory.csv", &scores::csv_bytes(&theory)?)?;
        write("runs.csv", &scores::csv_bytes(&rows(&pairs))?)?;
        write("timings.csv", &scores::csv_bytes(&timings)?)?;
        write("manifest.toml", self.manifest().text().as_bytes())?;
        write("report.md", report.markdown().as_bytes())?;
        print!("{}", report.terminal());
        println!("Written to {}: report.md, theory.csv, runs.csv.", self.out.display());
        if self.choice.smoke {
            let missed: Vec<&str> =
                theory.iter().filter(|row| !row.inside).map(|row| row.queue.as_str()).collect();
            ensure!(missed.is_empty(), "not within the tolerance of theory: {}", missed.join(", "));
        }
        Ok(())
    }

    fn manifest(&self) -> Manifest {
        let baseline = "theory; request";
        let mut manifest =
            Manifest::new("validate", &self.choice, &self.studies, &self.controllers, baseline);
        manifest.sweep = self.words();
        manifest.engine = "request and fluid".into();
        manifest
    }

    /// Runs seed 0 of everything and the least loaded queues again and compares them with what is stored.
    fn check(&self) -> anyhow::Result<()> {
        let stored = |file: &str| {
            let path = self.out.join(file);
            fs::read_to_string(&path).with_context(|| path.display().to_string())
        };
        let (theory, engines) = (stored("theory.csv")?, stored("runs.csv")?);
        let mut different = Vec::new();
        let mut n_checked = 0;
        let mut compare = |name: &str, stored: &str, bytes: Vec<u8>| -> anyhow::Result<()> {
            let text = String::from_utf8(bytes).context("rows are text")?;
            n_checked += 1;
            // The header too: other columns are another result.
            if !text.lines().all(|line| stored.lines().any(|stored| stored == line)) {
                different.push(name.to_owned());
            }
            Ok(())
        };
        for job in self.theory_jobs().iter().filter(|job| job.what.utilization() == self.utilizations[0]) {
            compare(&job.name, &theory, scores::csv_bytes(&[self.measure(&job.what)])?)?;
        }
        for job in self.engine_jobs().iter().filter(|job| job.what.seed == 0) {
            compare(&job.name, &engines, scores::csv_bytes(&rows(&[self.pair(job.what)]))?)?;
        }
        if !different.is_empty() {
            bail!("{} of {n_checked} runs differ: {}", different.len(), different.join(", "));
        }
        println!("{n_checked} runs are as stored in {}", self.out.display());
        Ok(())
    }
}

/// A row a run.
fn rows(pairs: &[Pair]) -> Vec<EngineRow> {
    pairs.iter().flat_map(|pair| [pair.request.clone(), pair.fluid.clone()]).collect()
}

fn list() {
    println!("Scenarios (all run by default):");
    for (name, summary, _) in scenarios::list() {
        println!("  {name:<22} {summary}");
    }
    println!("\nControllers (* run by default):");
    for kind in controllers::catalog().list() {
        let mark = if CONTROLLERS.contains(&kind.about.kind) { '*' } else { ' ' };
        println!("  {mark} {:<22} {}", kind.about.kind, kind.about.summary);
    }
}
