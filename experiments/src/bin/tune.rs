//! What is each controller worth once it is tuned, all with the same budget? Searches parameters on training worlds,
//! fixes what was found, and only then runs it beside what there was, on evaluation worlds.
//!
//! Top to bottom: the sweep, the search, the protocol, the runs, the report. `--help` explains the arguments.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tidegate_autoscalers::{Catalog, NamedController};
use tidegate_core::{Plant, SECONDS_PER_HOUR, Seed, Split, TickRecord};
use tidegate_experiments::cli::{self, Choice, Engine};
use tidegate_experiments::figures::{self, Change, Course};
use tidegate_experiments::manifest::Manifest;
use tidegate_experiments::references::{self, References};
use tidegate_experiments::report::{Report, Table, dollars, number, percent};
use tidegate_experiments::runs::{self, Job, Journal};
use tidegate_experiments::scenarios::{self, Study};
use tidegate_experiments::scores::{self, Cell, LEVEL, RunRow};
use tidegate_experiments::staffing::Staffing;
use tidegate_experiments::trial::{self, Scored};
use tidegate_experiments::tuned::{TunedFile, TunedScenario};
use tidegate_experiments::tuning::{self, Bench, Budget, Cost, Found, N_FINALISTS, Origin, Space, Tried};
use tidegate_experiments::{comparison, controllers, outputs};
use tidegate_sim::fluid::FluidPlant;
use tidegate_sim::{RequestPlant, Watch, run};
use tidegate_stats::median;

/// Simulated hours that each controller gets on each scenario.
const BUDGET_HOURS: f64 = 10_000.0;
/// The same for `--smoke`, whose runs last an hour and the warm-up.
const BUDGET_HOURS_SMOKE: f64 = 40.0;
/// Room for draining when it is judged whether a budget suffices.
const DRAINING: f64 = 1.05;

/// Tunes every controller with the same budget on training worlds, and compares tuned and untuned on evaluation
/// worlds.
#[derive(Parser)]
#[command(
    version,
    after_help = "Without arguments: three built-in scenarios and all controllers. A run that was interrupted goes on \
    where it was when the same command is given again. `compare --tuned` uses what was found."
)]
struct Arguments {
    #[command(flatten)]
    choice: Choice,

    /// Simulated hours that each controller may use on each scenario [default: 10000; 40 with --smoke]
    #[arg(long, value_name = "H")]
    budget_hours: Option<f64>,

    /// Training seeds: on the first third every set of parameters is tried, on the others the best are rescored
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=1000))]
    training_seeds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.choice.list {
        list();
        return ExitCode::SUCCESS;
    }
    let sweep = match Sweep::new(arguments) {
        Ok(sweep) => sweep,
        Err(error) => return cli::refuse(&error),
    };
    let done = if sweep.choice.check { sweep.check() } else { sweep.carry_out() };
    done.map_or_else(|error| cli::fail(&error), |()| ExitCode::SUCCESS)
}

/// What is tuned on what.
struct Sweep {
    choice: Choice,
    budget_hours: f64,
    training_seeds: u64,
    out: PathBuf,
    /// One a study, since its forecasters have seen its training days.
    catalogs: Vec<Catalog>,
    studies: Vec<Study>,
    staffing: Vec<Option<Staffing>>,
    controllers: Vec<NamedController>,
    baseline: usize,
    program: String,
}

/// One evaluation run.
struct Run {
    study: usize,
    controller: NamedController,
    seed: u64,
}

/// What was found, and what is still open, before any evaluation seed is run.
#[derive(Serialize)]
struct Protocol {
    method: String,
    engine_search: String,
    engine_rescoring: String,
    budget_hours: f64,
    evaluation_seeds: u64,
    ranges: BTreeMap<String, toml::Table>,
    scenarios: BTreeMap<String, ProtocolScenario>,
}

#[derive(Serialize)]
struct ProtocolScenario {
    hash: String,
    search_worlds: String,
    rescoring_worlds: String,
    controllers: BTreeMap<String, ProtocolController>,
}

#[derive(Serialize)]
struct ProtocolController {
    sets_tried: u64,
    hours_spent: f64,
    /// On the rescoring worlds; not there where there was nothing to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    untuned_dollars: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    winner_dollars: Option<f64>,
    winner: toml::Table,
}

impl Sweep {
    /// Reads and checks everything; writes nothing.
    fn new(arguments: Arguments) -> anyhow::Result<Self> {
        let Arguments { mut choice, budget_hours, mut training_seeds } = arguments;
        if choice.smoke {
            choice.seeds = choice.seeds.min(2);
            training_seeds = training_seeds.min(3);
        }
        let default_hours = if choice.smoke { BUDGET_HOURS_SMOKE } else { BUDGET_HOURS };
        let budget_hours = budget_hours.unwrap_or(default_hours);
        if choice.controllers.is_some() {
            bail!("--controllers: kinds are tuned, not controllers of a file; choose them with --controller");
        }
        let catalog = controllers::catalog();
        let controllers = controllers::chosen(
            // Unless some are named, all there are.
            &Choice { full: true, ..choice.clone() },
            &catalog,
        )?;
        let baseline = controllers::baseline(&choice, &controllers)?;
        let studies = scenarios::chosen(&choice)?;
        let catalogs: Vec<Catalog> = studies.iter().map(controllers::catalog_for).collect();
        for (study, catalog) in studies.iter().zip(&catalogs) {
            controllers::check(&controllers, catalog, study)?;
        }
        let experiment = match &choice.trace {
            Some(_) => format!("tune-{}", studies[0].name),
            None => "tune".to_owned(),
        };
        let staffing = studies.iter().map(|study| Staffing::new(study.scenario())).collect();
        let out = choice.out(&experiment);
        let program = runs::program_hash()?;
        let sweep = Self {
            choice,
            budget_hours,
            training_seeds,
            out,
            catalogs,
            studies,
            staffing,
            controllers,
            baseline,
            program,
        };
        for study in &sweep.studies {
            sweep.check_budget(study)?;
        }
        Ok(sweep)
    }

    /// Training worlds of the search and of the rescoring, which is dearer but has few sets to try: a third and the
    /// others. A single one has to serve both.
    fn worlds(&self, study: &Study) -> (Vec<u64>, Vec<u64>) {
        let there = study.n_worlds(Split::Training, self.training_seeds);
        let n = there.div_ceil(3);
        ((0..n).collect(), (n.min(there.saturating_sub(1))..there).collect())
    }

    fn budget(&self, study: &Study) -> Budget {
        let scenario = study.scenario();
        let (_, rescoring) = self.worlds(study);
        let run_ticks = f64::from(scenario.warm_up_ticks + scenario.horizon_ticks) * DRAINING;
        let n_runs = (1 + N_FINALISTS) * rescoring.len();
        Budget {
            ticks: (self.budget_hours * SECONDS_PER_HOUR / scenario.tick_seconds) as u64,
            rescoring_ticks: (run_ticks * n_runs as f64).ceil() as u64,
        }
    }

    fn check_budget(&self, study: &Study) -> anyhow::Result<()> {
        /// With fewer there is no search to speak of.
        const N_TRIED_MIN: f64 = 4.0;
        let scenario = study.scenario();
        let (search, _) = self.worlds(study);
        ensure!(!search.is_empty(), "{}: there is no training part", study.name);
        let run_ticks = f64::from(scenario.warm_up_ticks + scenario.horizon_ticks) * DRAINING;
        let least_ticks =
            self.budget(study).rescoring_ticks as f64 + N_TRIED_MIN * run_ticks * search.len() as f64;
        let least_hours = (least_ticks * scenario.tick_seconds / SECONDS_PER_HOUR).ceil();
        ensure!(
            self.budget_hours >= least_hours && self.budget_hours <= 1e9,
            "--budget-hours: must be {least_hours} to 1e9 for {}, but is {}",
            study.name,
            self.budget_hours
        );
        Ok(())
    }

    /// Search, protocol, runs, report.
    fn carry_out(&self) -> anyhow::Result<()> {
        let found = self.search()?;
        let protocol = self.protocol(&found);
        let protocol_hash = runs::sha256(protocol.as_bytes());
        outputs::write(&self.out, "protocol.toml", protocol.as_bytes())?;
        outputs::write(&self.out, "manifest.toml", self.manifest(&protocol_hash).text().as_bytes())?;
        let file = self.tuned_file(&found, &protocol_hash);
        outputs::write(&self.out, "tuned.toml", file.text().as_bytes())?;

        // From here on nothing is chosen any more: these are the first evaluation seeds.
        let jobs = self.jobs(&file);
        let threads = self.choice.threads();
        let mut finished = runs::run_all(&self.out, &jobs, threads, &|run| self.evaluate(run))?;
        let references = references::refer(
            &self.out,
            &self.program,
            self.choice.engine,
            &self.studies,
            &self.staffing,
            threads,
            &mut finished,
        )?;
        let report = self.report(&found, &file, &trial::rows(&finished), &references);
        trial::write(&self.out, &finished, &references::rows(&references))?;
        outputs::write_report(&self.out, &report)?;
        print!("{}", report.terminal());
        println!(
            "Written to {}: report.md, report.html, tuned.toml (for `compare --tuned`), protocol.toml, runs.csv and \
             figures.",
            self.out.display()
        );
        Ok(())
    }

    /// All searches, in the order of scenarios and controllers.
    fn search(&self) -> anyhow::Result<Vec<Vec<Found>>> {
        let journal = Journal::open(&self.out)?;
        let n = self.controllers.len();
        let hours = self.budget_hours * (self.studies.len() * n) as f64;
        let bar = ProgressBar::with_draw_target(Some(hours as u64), ProgressDrawTarget::stderr_with_hz(4));
        let style = "{bar:40} {pos}/{len} simulated hours of search, {elapsed} gone, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is right"));
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(self.choice.threads()).build().context("threads")?;
        let found: Vec<Found> = pool.install(|| {
            (0..self.studies.len() * n)
                .into_par_iter()
                .with_max_len(1)
                .map(|index| {
                    let study = &self.studies[index / n];
                    let mut bench =
                        TrainingBench::new(self, index / n, &self.controllers[index % n], &journal, &bar);
                    let found =
                        tuning::search(&self.space(study, index % n), self.budget(study), &mut bench)?;
                    // What was not spent will not be.
                    bar.inc((self.budget_hours as u64).saturating_sub(bench.shown_hours));
                    Ok(found)
                })
                .collect::<anyhow::Result<_>>()
        })?;
        bar.finish_and_clear();
        Ok(found.chunks(n).map(<[Found]>::to_vec).collect())
    }

    fn space(&self, study: &Study, controller: usize) -> Space {
        let kind = &self.controllers[controller].kind;
        let about = self.catalogs[0].list().iter().find(|known| known.about.kind == kind);
        Space::of(&about.expect("it was chosen from the catalog").about, study.scenario().pools[0].bounds)
    }

    /// What is fixed before evaluation, as text.
    fn protocol(&self, found: &[Vec<Found>]) -> String {
        let ranges = |index: usize| -> toml::Table {
            let described = self.space(&self.studies[0], index).described();
            described.into_iter().map(|(name, range)| (name, range.into())).collect()
        };
        let kinds = || self.controllers.iter().map(|named| named.kind.clone());
        let of_study = |(study, found): (&Study, &Vec<Found>)| {
            let tick_hours = study.scenario().tick_seconds / SECONDS_PER_HOUR;
            let controllers = kinds().zip(found).map(|(kind, found)| {
                let of = ProtocolController {
                    sets_tried: found.tried.len() as u64,
                    hours_spent: found.spent_ticks as f64 * tick_hours,
                    untuned_dollars: found.rescored.first().map(|untuned| untuned.dollars),
                    winner_dollars: found.winner().map(|winner| winner.dollars),
                    winner: found.parameters(),
                };
                (kind, of)
            });
            let (search, rescoring) = self.worlds(study);
            let scenario = ProtocolScenario {
                hash: study.hash.clone(),
                search_worlds: said_worlds(study, &search),
                rescoring_worlds: said_worlds(study, &rescoring),
                controllers: controllers.collect(),
            };
            (study.name.clone(), scenario)
        };
        let protocol = Protocol {
            method: format!(
                "what the scenario sets; random search to half of the budget; tree-structured Parzen estimators; the \
                 {N_FINALISTS} cheapest and what the scenario sets rescored"
            ),
            engine_search: Engine::Fluid.name().into(),
            engine_rescoring: self.choice.engine.name().into(),
            budget_hours: self.budget_hours,
            evaluation_seeds: self.choice.seeds,
            ranges: kinds().enumerate().map(|(index, kind)| (kind, ranges(index))).collect(),
            scenarios: self.studies.iter().zip(found).map(of_study).collect(),
        };
        let text = toml::to_string(&protocol).expect("texts, numbers and tables");
        format!("# Fixed before any evaluation seed was run; manifest.toml has its SHA-256.\n\n{text}")
    }

    fn tuned_file(&self, found: &[Vec<Found>], protocol: &str) -> TunedFile {
        let of_study = |(study, found): (&Study, &Vec<Found>)| {
            let (search, rescoring) = self.worlds(study);
            let controllers = self.controllers.iter().zip(found).filter(|(_, found)| !found.tried.is_empty());
            let scenario = TunedScenario {
                hash: study.hash.clone(),
                tuned_on: format!(
                    "with {} simulated hours each on {} (fluid engine) and {} ({} engine)",
                    number(self.budget_hours),
                    said_worlds(study, &search),
                    said_worlds(study, &rescoring),
                    self.choice.engine.name()
                ),
                controllers: controllers
                    .map(|(named, found)| (named.kind.clone(), found.parameters().into()))
                    .collect(),
            };
            (study.name.clone(), scenario)
        };
        TunedFile {
            protocol: protocol.to_owned(),
            budget_hours: self.budget_hours,
            scenarios: self.studies.iter().zip(found).map(of_study).collect(),
        }
    }

    /// What runs on evaluation worlds: everything untuned, and tuned where that is something else.
    fn jobs(&self, file: &TunedFile) -> Vec<Job<Run>> {
        let engine = self.choice.engine.name();
        let mut jobs = Vec::new();
        for (index, study) in self.studies.iter().enumerate() {
            for named in &self.controllers {
                let tuned = tuned(file, study, named);
                for controller in [named.clone()].into_iter().chain(tuned) {
                    let hash = trial::hash(&self.program, study, &controller, &[engine]);
                    for seed in 0..study.n_worlds(Split::Evaluation, self.choice.seeds) {
                        let name = format!("tune/{}/{}/{seed}", study.name, controller.name);
                        let what = Run { study: index, controller: controller.clone(), seed };
                        jobs.push(Job { name, hash: hash.clone(), what });
                    }
                }
            }
        }
        jobs
    }

    fn evaluate(&self, run: &Run) -> Scored {
        let (study, staffing) = (&self.studies[run.study], self.staffing[run.study].as_ref());
        trial::evaluate(
            &self.catalogs[run.study],
            self.choice.engine,
            study,
            staffing,
            &run.controller,
            run.seed,
        )
        .0
    }

    fn manifest(&self, protocol: &str) -> Manifest {
        let baseline = &self.controllers[self.baseline].name;
        let mut manifest = Manifest::new("tune", &self.choice, &self.studies, &self.controllers, baseline);
        let (hours, seeds) = (self.budget_hours, self.training_seeds);
        manifest.sweep = format!("{} --budget-hours {hours} --training-seeds {seeds}", manifest.sweep);
        manifest.protocol = Some(protocol.to_owned());
        manifest
    }

    fn report(
        &self,
        found: &[Vec<Found>],
        file: &TunedFile,
        rows: &[RunRow],
        references: &[References],
    ) -> Report {
        let mut report = Report::new("Controllers, tuned with the same budget");
        report.paragraph(format!(
            "Every controller got {} simulated hours on each scenario, on training worlds: random search, then \
             tree-structured Parzen estimators, on the fluid engine; the {N_FINALISTS} cheapest sets and what the \
             scenario sets were rescored on the {} engine on other training worlds, and the cheapest was taken. Then \
             ranges, worlds and winners were fixed (protocol.toml), and only then were evaluation worlds run. `-tuned` \
             is behind the name of every controller of which something better was found.",
            number(self.budget_hours),
            self.choice.engine.name()
        ));
        comparison::preface(&mut report, self.choice.engine, &self.controllers[self.baseline].name);
        let by_study = rows.chunk_by(|a, b| a.scenario == b.scenario);
        for (index, rows) in by_study.enumerate() {
            self.section(&mut report, index, &found[index], file, (rows, &references[index]));
        }
        report
    }

    fn section(
        &self,
        report: &mut Report,
        index: usize,
        found: &[Found],
        file: &TunedFile,
        (rows, references): (&[RunRow], &References),
    ) {
        let study = &self.studies[index];
        let cells = scores::cells(rows);
        let cell = |name: &str| *cells.iter().find(|cell| cell.controller == name).expect("it was run");
        let results: Vec<Outcome<'_>> = self
            .controllers
            .iter()
            .zip(found)
            .map(|(named, found)| Outcome {
                kind: &named.kind,
                found,
                untuned: cell(&named.name),
                tuned: tuned(file, study, named).map(|tuned| cell(&tuned.name)),
            })
            .collect();
        let best: Vec<Cell<'_>> = results.iter().map(Outcome::best).collect();
        comparison::scores(report, study, &best, self.baseline, references);
        comparison::cost_figure(report, study, &best, references);

        report.heading(3, "Tuned beside untuned");
        report.paragraph(
            "Both on the same evaluation worlds. Saved: total dollars untuned minus tuned, world by world, with its 95 % \
             interval. Training: the same on the worlds of the rescoring, among which the winner was chosen; what is \
             saved there and not on evaluation worlds is overfitting.",
        );
        report.table(savings(study, &results));
        report.paragraph(verdict(&results));
        let changes: Vec<Change> = results.iter().map(Outcome::change).collect();
        report.figure(
            &format!("{}-tuned.svg", study.name),
            "Mean total dollars of a run, untuned and tuned.",
            figures::before_and_after(&format!("{}: untuned and tuned", study.name), &changes),
        );

        report.heading(3, "The search");
        let tick_hours = study.scenario().tick_seconds / SECONDS_PER_HOUR;
        report.table(spending(study, &results, tick_hours));
        let courses: Vec<Course> = results.iter().filter_map(|result| result.course(tick_hours)).collect();
        report.figure(
            &format!("{}-search.svg", study.name),
            "Cost of every set that was tried against the simulated hours spent by then.",
            figures::searches(&format!("{}: the search for each controller", study.name), &courses),
        );
        report.heading(3, "Parameters found");
        for result in &results {
            report.paragraph(result.parameters(study));
        }
    }

    /// The protocol is the one that the manifest names; seed 0 of everything gives the stored rows.
    fn check(&self) -> anyhow::Result<()> {
        let read = |file: &str| {
            let path = self.out.join(file);
            fs::read_to_string(&path).with_context(|| path.display().to_string())
        };
        let protocol = runs::sha256(read("protocol.toml")?.as_bytes());
        let manifest: toml::Table = read("manifest.toml")?.parse().context("manifest.toml")?;
        let path = self.out.join("tuned.toml");
        let file = TunedFile::read(&path, &self.catalogs[0])?;
        let named = manifest.get("protocol").and_then(toml::Value::as_str);
        ensure!(
            named == Some(&protocol) && file.protocol == protocol,
            "protocol.toml: its SHA-256 is {protocol}, but manifest.toml has {named:?} and tuned.toml {:?}",
            file.protocol
        );
        for study in &self.studies {
            file.apply(&path, &mut study.clone())?;
        }
        let again = self.jobs(&file).into_iter().filter(|job| job.what.seed == 0);
        let scored: Vec<(String, usize, Scored)> =
            again.map(|job| (job.name, job.what.study, self.evaluate(&job.what))).collect();
        let rows = references::with_seed_0(self.choice.engine, &self.studies, &self.staffing, &scored);
        outputs::check_rows(&self.out, rows)
    }
}

/// The controller with what was found for it; none where nothing better was.
fn tuned(file: &TunedFile, study: &Study, named: &NamedController) -> Option<NamedController> {
    let parameters = file.scenarios.get(&study.name)?.controllers.get(&named.kind)?.as_table()?;
    let mut controller = named.clone().named(format!("{}-tuned", named.name));
    controller.parameters.extend(parameters.clone());
    (!parameters.is_empty()).then_some(controller)
}

fn said_worlds(study: &Study, worlds: &[u64]) -> String {
    let unit = if study.is_trace() { "day" } else { "seed" };
    match worlds {
        [only] => format!("training {unit} {only}"),
        [first, .., last] => format!("training {unit}s {first} to {last}"),
        [] => "nothing".into(),
    }
}

/// Runs sets of parameters of one controller on the training worlds of one scenario, unless they are on disk.
struct TrainingBench<'a> {
    sweep: &'a Sweep,
    study: &'a Study,
    catalog: &'a Catalog,
    named: &'a NamedController,
    journal: &'a Journal<Measured>,
    bar: &'a ProgressBar,
    shown_hours: u64,
    spent_hours: f64,
    n_asked: usize,
    /// A plant tabulates waits when it is made, which takes longer than a run: one a world serves all sets.
    plants: Vec<(FluidPlant, Seed)>,
}

/// What is kept on disk of a set on all its worlds.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Measured {
    mean_dollars: f64,
    ticks: u64,
}

/// Counts all that is simulated.
#[derive(Default)]
struct Ticks(u64);

impl Watch for Ticks {
    fn tick(&mut self, _record: &TickRecord) {
        self.0 += 1;
    }
}

impl<'a> TrainingBench<'a> {
    fn new(
        sweep: &'a Sweep,
        study: usize,
        named: &'a NamedController,
        journal: &'a Journal<Measured>,
        bar: &'a ProgressBar,
    ) -> Self {
        Self {
            sweep,
            study: &sweep.studies[study],
            catalog: &sweep.catalogs[study],
            named,
            journal,
            bar,
            shown_hours: 0,
            spent_hours: 0.0,
            n_asked: 0,
            plants: Vec::new(),
        }
    }

    fn with(&self, parameters: &toml::Table) -> NamedController {
        let mut named = self.named.clone();
        named.parameters.extend(parameters.clone());
        named
    }

    fn ask(&mut self, engine: Engine, is_search: bool, parameters: &toml::Table) -> anyhow::Result<Cost> {
        let named = self.with(parameters);
        let (sweep, study, catalog, journal) = (self.sweep, self.study, self.catalog, self.journal);
        let (search, rescoring) = sweep.worlds(study);
        let worlds = if is_search { search } else { rescoring };
        let hash = trial::hash(&sweep.program, study, &named, &[engine.name(), &format!("{worlds:?}")]);
        let stage = if is_search { "search" } else { "rescoring" };
        let name = format!("tune/{}/{}/{stage}/{}", study.name, named.kind, self.n_asked);
        self.n_asked += 1;
        let plants = &mut self.plants;
        let measured = journal.get_or_run(&name, &hash, || match engine {
            Engine::Fluid if is_search => {
                if plants.is_empty() {
                    *plants = worlds
                        .into_par_iter()
                        .map(|world| {
                            let (scenario, seed) = study.world(Split::Training, world);
                            (FluidPlant::new(scenario), seed)
                        })
                        .collect();
                }
                let runs =
                    plants.par_iter_mut().map(|(plant, seed)| train(study, catalog, &named, plant, *seed));
                Measured::of(&runs.collect::<Vec<_>>())
            }
            _ => {
                let runs = worlds.into_par_iter().map(|world| {
                    let (scenario, seed) = study.world(Split::Training, world);
                    match engine {
                        Engine::Fluid => train(study, catalog, &named, &mut FluidPlant::new(scenario), seed),
                        Engine::Request => {
                            train(study, catalog, &named, &mut RequestPlant::new(scenario), seed)
                        }
                    }
                });
                Measured::of(&runs.collect::<Vec<_>>())
            }
        })?;
        self.spent_hours += measured.ticks as f64 * study.scenario().tick_seconds / SECONDS_PER_HOUR;
        let hours = self.spent_hours as u64;
        self.bar.inc(hours - self.shown_hours);
        self.shown_hours = hours;
        Ok(Cost { dollars: measured.mean_dollars, ticks: measured.ticks })
    }
}

impl Measured {
    /// Of dollars and ticks of each world.
    fn of(runs: &[(f64, u64)]) -> Self {
        let dollars: f64 = runs.iter().map(|run| run.0).sum();
        Self { mean_dollars: dollars / runs.len() as f64, ticks: runs.iter().map(|run| run.1).sum() }
    }
}

/// Dollars and ticks of one training run.
fn train<P: Plant>(
    study: &Study,
    catalog: &Catalog,
    named: &NamedController,
    plant: &mut P,
    seed: Seed,
) -> (f64, u64) {
    let scenario = study.scenario();
    let mut controller = catalog
        .build_named(named, &scenario.controllers, &scenario.facts())
        .expect("it was built once to see that it fits");
    let mut ticks = Ticks::default();
    let charge = run(plant, &mut *controller, seed, &mut ticks).charge;
    (charge.total(), ticks.0)
}

impl Bench for TrainingBench<'_> {
    fn fits(&self, parameters: &toml::Table) -> bool {
        let scenario = self.study.scenario();
        let named = self.with(parameters);
        self.catalog.build_named(&named, &scenario.controllers, &scenario.facts()).is_ok()
    }

    fn cost(&mut self, parameters: &toml::Table) -> anyhow::Result<Cost> {
        self.ask(Engine::Fluid, true, parameters)
    }

    fn rescore(&mut self, parameters: &toml::Table) -> anyhow::Result<Cost> {
        self.ask(self.sweep.choice.engine, false, parameters)
    }
}

/// One controller on one scenario.
struct Outcome<'a> {
    kind: &'a str,
    found: &'a Found,
    untuned: Cell<'a>,
    tuned: Option<Cell<'a>>,
}

fn total(row: &RunRow) -> f64 {
    row.dollars_total
}

impl<'a> Outcome<'a> {
    fn best(&self) -> Cell<'a> {
        self.tuned.unwrap_or(self.untuned)
    }

    /// Untuned and winner on the worlds of the rescoring.
    fn training(&self) -> Option<(f64, f64)> {
        Some((self.found.rescored.first()?.dollars, self.found.winner()?.dollars))
    }

    fn change(&self) -> Change {
        let of = |cell: &Cell<'_>| (cell.mean(total), cell.interval(total));
        Change {
            controller: self.kind.to_owned(),
            before: of(&self.untuned),
            after: self.tuned.as_ref().map(of),
        }
    }

    fn course(&self, tick_hours: f64) -> Option<Course> {
        let untuned = self.found.tried.first()?.dollars;
        let point = |tried: &Tried| {
            (tried.spent_ticks as f64 * tick_hours, tried.dollars, tried.origin != Origin::Random)
        };
        let tried = self.found.tried.iter().map(point).collect();
        Some(Course { controller: self.kind.to_owned(), tried, untuned })
    }

    fn parameters(&self, study: &Study) -> String {
        let kind = self.kind;
        if self.found.tried.is_empty() {
            return format!("`{kind}`: no parameter of it has a range to search; it runs as it is.");
        }
        let found = self.found.parameters();
        if found.is_empty() {
            return format!(
                "`{kind}`: nothing that was tried was better than what there was, which is kept."
            );
        }
        let own = study.scenario().controllers.get(kind).and_then(toml::Value::as_table);
        let values = found.iter().map(|(name, value)| {
            let before = own.and_then(|own| own.get(name));
            let before = before.map_or_else(String::new, |before| format!(" (the scenario: {before})"));
            format!("{name} = {value}{before}")
        });
        format!("`{kind}`: {}", values.collect::<Vec<_>>().join(", "))
    }
}

fn savings(study: &Study, results: &[Outcome<'_>]) -> Table {
    let mut table = Table::new(
        &format!("{}: what tuning saves", study.name),
        &[
            "controller",
            "untuned $",
            "tuned $",
            "saved $ [95 %]",
            "saved",
            "saved in training",
            "violating untuned",
            "violating tuned",
        ],
    );
    for result in results {
        let before = result.untuned.mean(total);
        let violating = |cell: &Cell<'_>| percent(cell.mean(|row| row.violating_share));
        let nothing = "–".to_owned();
        let Some(tuned) = &result.tuned else {
            table.row([
                result.kind.to_owned(),
                dollars(before),
                nothing.clone(),
                if result.found.tried.is_empty() { "not tuned".into() } else { "kept as it was".into() },
                nothing.clone(),
                nothing.clone(),
                violating(&result.untuned),
                nothing,
            ]);
            continue;
        };
        let after = tuned.mean(total);
        let interval = result.untuned.dearer_than(tuned, LEVEL);
        let (training_before, training_after) = result.training().expect("it was tuned");
        table.row([
            result.kind.to_owned(),
            dollars(before),
            dollars(after),
            interval.map_or_else(
                || format!("{} (no interval)", dollars(before - after)),
                |it| format!("{} [{}, {}]", dollars(before - after), dollars(it.low), dollars(it.high)),
            ),
            percent(1.0 - after / before),
            percent(1.0 - training_after / training_before),
            violating(&result.untuned),
            violating(tuned),
        ]);
    }
    table
}

/// How much of what training promised is there, and where it is not.
fn verdict(results: &[Outcome<'_>]) -> String {
    let saved: Vec<(&str, f64, f64, bool)> = results
        .iter()
        .filter_map(|result| {
            let tuned = result.tuned.as_ref()?;
            let (before, after) = result.training()?;
            let is_sure = result.untuned.dearer_than(tuned, LEVEL).is_some_and(|interval| interval.low > 0.0);
            let there = 1.0 - tuned.mean(total) / result.untuned.mean(total);
            Some((result.kind, 1.0 - after / before, there, is_sure))
        })
        .collect();
    if saved.is_empty() {
        return "Nothing better than what there was is known for any of them.".into();
    }
    let of = |of: fn(&(&str, f64, f64, bool)) -> f64| median(&saved.iter().map(of).collect::<Vec<_>>());
    let unsure: Vec<String> = saved.iter().filter(|it| !it.3).map(|it| format!("`{}`", it.0)).collect();
    let doubt = if unsure.is_empty() {
        "For all of them the interval of what is saved lies above zero.".to_owned()
    } else {
        format!("These runs do not show that tuning saves anything for {}.", unsure.join(", "))
    };
    format!(
        "Over {} tuned controllers the median saving is {} in training and {} on evaluation worlds. {doubt}",
        saved.len(),
        percent(of(|it| it.1)),
        percent(of(|it| it.2))
    )
}

fn spending(study: &Study, results: &[Outcome<'_>], tick_hours: f64) -> Table {
    let mut table = Table::new(
        &format!("{}: what was spent on training worlds", study.name),
        &[
            "controller",
            "hours",
            "sets tried",
            "at random",
            "by the model",
            "untuned $, fluid",
            "best $, fluid",
            "untuned $, rescored",
            "winner $, rescored",
        ],
    );
    for result in results {
        let found = result.found;
        let count = |origin: Origin| found.tried.iter().filter(|tried| tried.origin == origin).count();
        let best = found.tried.iter().map(|tried| tried.dollars).fold(f64::NAN, f64::min);
        let known = |value: Option<f64>| value.map_or_else(|| "–".into(), dollars);
        table.row([
            result.kind.to_owned(),
            format!("{:.0}", found.spent_ticks as f64 * tick_hours),
            found.tried.len().to_string(),
            count(Origin::Random).to_string(),
            count(Origin::Model).to_string(),
            known(found.tried.first().map(|untuned| untuned.dollars)),
            known(Some(best).filter(|best| !best.is_nan())),
            known(result.training().map(|it| it.0)),
            known(result.training().map(|it| it.1)),
        ]);
    }
    table
}

fn list() {
    println!("Parameters that are searched:");
    for kind in controllers::catalog().list() {
        let described = match kind.about.kind {
            "fixed" => vec![("replicas".to_owned(), "the pool's bounds".to_owned())],
            // No other kind looks at the bounds.
            _ => {
                Space::of(&kind.about, tidegate_core::Bounds { replicas_min: 0, replicas_max: 0 }).described()
            }
        };
        println!("  {}{}", kind.about.kind, if described.is_empty() { ": none" } else { "" });
        for (name, range) in described {
            println!("    {name:<28} {range}");
        }
    }
}
