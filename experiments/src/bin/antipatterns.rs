//! What do the usual mistakes of autoscaling cost, and what do their remedies bring? Each mistake with and without its
//! remedy, in the same worlds: no hysteresis, ignoring start-up time, one metric only.
//!
//! Top to bottom: the patterns (what runs on what), the runs, the report. `--help` explains the arguments.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tidegate_autoscalers::{Catalog, NamedController};
use tidegate_core::Split;
use tidegate_experiments::cli::{self, Choice, Engine};
use tidegate_experiments::figures::{self, Lane, World};
use tidegate_experiments::manifest::{self, Manifest};
use tidegate_experiments::recorder::Recorder;
use tidegate_experiments::report::{Report, Table, dollars, number, percent};
use tidegate_experiments::runs::{self, Job};
use tidegate_experiments::scenarios::{self, Study};
use tidegate_experiments::scores::{self, Cell, LEVEL, RunRow};
use tidegate_experiments::staffing::Staffing;
use tidegate_experiments::trial::{self, Scored};
use tidegate_experiments::{controllers, outputs};
use tidegate_stats::interval::{Interval, PAIRS_MIN};

/// One mistake. The first controller makes it; each of the others differs from it by what is named, and by nothing else.
struct Pattern {
    title: &'static str,
    /// What the source document says, and what the pair is here.
    text: &'static str,
    scenarios: &'static [&'static str],
    controllers: &'static str,
    /// What is said to be how much better than what.
    pairs: &'static [Pair],
    /// The hours of evaluation seed 0 that the figure shows.
    hours: (f64, f64),
}

/// A controller and another one, by position, to which it is compared.
#[derive(Clone, Copy)]
enum Pair {
    /// One that makes the mistake, and one that does not.
    Remedy(usize),
    /// Two that do not make it.
    Beside(usize, usize),
}

const PATTERNS: &[Pattern] = &[
    Pattern {
        title: "No hysteresis: flapping",
        text: "The source document's bad example scales out above 80 % of cpu and in below 79 %, at every look; its good \
               one scales in below 60 %, and waits 300 s after each step. `flapping` is the bad one. `band` differs by \
               the lower threshold alone, `wait` by the two waits alone, `band-and-wait` by both. All take steps of one \
               replica, decide every minute, and lack the guard of `threshold` against steps in that would at once be \
               taken back.",
        scenarios: &["web-diurnal"],
        controllers: r#"
[[controllers]]
name = "flapping"
kind = "threshold"
high = 0.8
low = 0.79
cooldown_out_seconds = 0
cooldown_in_seconds = 0
guards_scale_in = false

[[controllers]]
name = "band"
kind = "threshold"
high = 0.8
low = 0.6
cooldown_out_seconds = 0
cooldown_in_seconds = 0
guards_scale_in = false

[[controllers]]
name = "wait"
kind = "threshold"
high = 0.8
low = 0.79
cooldown_out_seconds = 300
cooldown_in_seconds = 300
guards_scale_in = false

[[controllers]]
name = "band-and-wait"
kind = "threshold"
high = 0.8
low = 0.6
cooldown_out_seconds = 300
cooldown_in_seconds = 300
guards_scale_in = false
"#,
        pairs: &[Pair::Remedy(1), Pair::Remedy(2), Pair::Remedy(3)],
        hours: (11.0, 12.0),
    },
    Pattern {
        title: "Ignoring start-up time",
        text: "The source document's bad example takes a new instance for ready at once and sends it traffic. The plant \
               sends none before a replica is ready, whatever a controller thinks; what is left of the mistake is a rule \
               that sees the old load on the old replicas, forgets what is on its way, and asks again. \
               `counts-starting` differs by `counts_starting` alone: it expects the load to spread over the replicas \
               that start. Both may step out by a tenth of the fleet every minute above 70 % of cpu: a wait between \
               steps that is longer than a start would hide the mistake.",
        scenarios: &["flash-crowd", "llm-inference"],
        controllers: r#"
[[controllers]]
name = "ignores-starting"
kind = "threshold"
high = 0.7
low = 0.5
step_share = 0.1
cooldown_out_seconds = 0
cooldown_in_seconds = 300
counts_starting = false

[[controllers]]
name = "counts-starting"
kind = "threshold"
high = 0.7
low = 0.5
step_share = 0.1
cooldown_out_seconds = 0
cooldown_in_seconds = 300
counts_starting = true
"#,
        pairs: &[Pair::Remedy(1)],
        hours: (7.0, 15.0),
    },
    Pattern {
        title: "One metric only",
        text: "The source document asks of a rule that looks at cpu alone: what if memory is at 95 %? In `memory-bound` \
               it is: eight requests fill the memory of a replica while its cpu is at 35 %. `cpu-only` gives memory, \
               network and disk no weight; `four-metrics` has the documented weights, and differs by them alone. \
               `memory-only` looks at one metric too, but at the right one: is the harm in the number of metrics?",
        scenarios: &["memory-bound"],
        controllers: r#"
[[controllers]]
name = "cpu-only"
kind = "multi_dimensional"
memory = { weight = 0, target = 0.8, threshold = 0.1 }
network = { weight = 0, target = 0.6, threshold = 0.15 }
disk = { weight = 0, target = 0.5, threshold = 0.2 }

[[controllers]]
name = "four-metrics"
kind = "multi_dimensional"

[[controllers]]
name = "memory-only"
kind = "multi_dimensional"
cpu = { weight = 0, target = 0.7, threshold = 0.1 }
network = { weight = 0, target = 0.6, threshold = 0.15 }
disk = { weight = 0, target = 0.5, threshold = 0.2 }
"#,
        pairs: &[Pair::Remedy(1), Pair::Remedy(2), Pair::Beside(2, 1)],
        hours: (0.0, 24.0),
    },
];

/// Measures what the usual mistakes of autoscaling cost, each with and without its remedy, in the same worlds.
#[derive(Parser)]
#[command(
    version,
    after_help = "Scenarios and controllers are part of the question. A run that was interrupted goes on where it was \
    when the same command is given again."
)]
struct Arguments {
    /// Evaluation seeds of each scenario, 0 to N-1
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    seeds: u64,

    /// Folder for the results [default: results/antipatterns]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Threads; the results are the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// A quick check that everything works: one hour of each scenario, two seeds, into target/smoke
    #[arg(long, conflicts_with = "check")]
    smoke: bool,

    /// Which plant: every request (the truth), or one analytic step a tick (fast)
    #[arg(long, value_enum, default_value_t = Engine::Request)]
    engine: Engine,

    /// Runs seed 0 of everything again and compares it with the stored rows, writing nothing
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let sweep = match Sweep::new(Arguments::parse()) {
        Ok(sweep) => sweep,
        Err(error) => return cli::refuse(&error),
    };
    let done = if sweep.choice.check { sweep.check() } else { sweep.carry_out() };
    done.map_or_else(|error| cli::fail(&error), |()| ExitCode::SUCCESS)
}

/// A pattern on one scenario.
struct Trial {
    pattern: &'static Pattern,
    study: Study,
    staffing: Option<Staffing>,
    /// The first makes the mistake.
    controllers: Vec<NamedController>,
}

/// What runs on what.
struct Sweep {
    choice: Choice,
    out: PathBuf,
    catalog: Catalog,
    trials: Vec<Trial>,
    program: String,
}

/// One run.
#[derive(Clone, Copy)]
struct Run {
    trial: usize,
    controller: usize,
    seed: u64,
}

impl Sweep {
    /// Reads and checks everything; writes nothing.
    fn new(arguments: Arguments) -> anyhow::Result<Self> {
        let Arguments { seeds, out, threads, smoke, engine, check } = arguments;
        let seeds = if smoke { seeds.min(2) } else { seeds };
        let choice = Choice { seeds, out, threads, smoke, engine, check, ..Choice::default() };
        let catalog = controllers::catalog();
        let mut trials = Vec::new();
        for pattern in PATTERNS {
            let own = catalog.read_controllers(pattern.controllers).context(pattern.title)?;
            for name in pattern.scenarios {
                let study = scenarios::named(name, choice.smoke)?;
                controllers::check(&own, &catalog, &study)?;
                let staffing = Staffing::new(study.scenario());
                trials.push(Trial { pattern, study, staffing, controllers: own.clone() });
            }
        }
        let out = choice.out("antipatterns");
        let program = runs::program_hash()?;
        Ok(Self { choice, out, catalog, trials, program })
    }

    fn jobs(&self) -> Vec<Job<Run>> {
        let engine = self.choice.engine.name();
        let mut jobs = Vec::new();
        for (trial, Trial { study, controllers, .. }) in self.trials.iter().enumerate() {
            for (controller, named) in controllers.iter().enumerate() {
                let hash = trial::hash(&self.program, study, named, &[engine]);
                for seed in 0..study.n_worlds(Split::Evaluation, self.choice.seeds) {
                    let name = format!("antipatterns/{}/{}/{seed}", study.name, named.name);
                    jobs.push(Job { name, hash: hash.clone(), what: Run { trial, controller, seed } });
                }
            }
        }
        jobs
    }

    /// One run, and its record tick by tick.
    fn run(&self, run: Run) -> (Scored, Recorder) {
        let trial = &self.trials[run.trial];
        trial::evaluate(
            &self.catalog,
            self.choice.engine,
            &trial.study,
            trial.staffing.as_ref(),
            &trial.controllers[run.controller],
            run.seed,
        )
    }

    /// Runs, scores, report.
    fn carry_out(&self) -> anyhow::Result<()> {
        let jobs = self.jobs();
        let finished = runs::run_all(&self.out, &jobs, self.choice.threads(), &|run| self.run(*run).0)?;
        let rows = trial::rows(&finished);
        let report = self.report(&rows);
        trial::write(&self.out, &finished, &[])?;
        outputs::write(&self.out, "manifest.toml", self.manifest().text().as_bytes())?;
        outputs::write_report(&self.out, &report)?;
        print!("{}", report.terminal());
        println!("Written to {}: report.md, report.html, runs.csv and figures.", self.out.display());
        Ok(())
    }

    fn report(&self, rows: &[RunRow]) -> Report {
        let mut report = Report::new("What the usual mistakes of autoscaling cost");
        report.paragraph(format!(
            "Engine: {}. A mistake and its remedies meet the same worlds: the same users with the same work at the same \
             times, {} evaluation seeds of each scenario. Numbers are means over the runs; differences are remedy minus \
             mistake, world by world, with 95 % studentised bootstrap intervals; below {PAIRS_MIN} runs there is none. A \
             flap is a change against the direction of the last one within ten minutes. Parameters are those of the \
             source document where it gives any; nothing was tuned.",
            self.choice.engine.name(),
            self.choice.seeds
        ));
        let by_trial = rows.chunk_by(|a, b| a.scenario == b.scenario);
        let mut pattern = "";
        for (index, (trial, rows)) in self.trials.iter().zip(by_trial).enumerate() {
            if pattern != trial.pattern.title {
                pattern = trial.pattern.title;
                report.heading(2, pattern);
                report.paragraph(trial.pattern.text);
            }
            report.heading(3, format!("On {}", trial.study.name));
            report.paragraph(format!("{}.", trial.study.summary));
            let cells = scores::cells(rows);
            report.table(means(trial, &cells));
            report.table(differences(trial, &cells));
            for pair in trial.pattern.pairs {
                report.paragraph(match *pair {
                    Pair::Remedy(remedy) => verdict(&cells[remedy], &cells[0], true),
                    Pair::Beside(one, other) => verdict(&cells[one], &cells[other], false),
                });
            }
            let recorded = (0..trial.controllers.len())
                .map(|controller| self.run(Run { trial: index, controller, seed: 0 }).1)
                .collect::<Vec<_>>();
            report.figure(
                &format!("{}.svg", trial.study.name),
                "Load, ready replicas and mean latency in part of one run.",
                figure(trial, &recorded),
            );
        }
        report
    }

    fn manifest(&self) -> Manifest {
        let studies: Vec<Study> = self.trials.iter().map(|trial| trial.study.clone()).collect();
        let mut manifest = Manifest::new("antipatterns", &self.choice, &studies, &[], "");
        // Every scenario has controllers of its own.
        let of_trial = |Trial { study, controllers, .. }: &Trial| {
            (study.name.clone(), manifest::parameters(study, controllers))
        };
        manifest.controllers = self.trials.iter().map(of_trial).collect();
        manifest
    }

    /// Runs seed 0 of everything again and compares it with what is stored.
    fn check(&self) -> anyhow::Result<()> {
        let again = self.jobs().into_iter().filter(|job| job.what.seed == 0);
        outputs::check_rows(&self.out, again.map(|job| (job.name, self.run(job.what).0.row)))
    }
}

/// One column of a row.
type Column = fn(&RunRow) -> f64;

/// How a number of it is written.
type Written = fn(f64) -> String;

fn means(trial: &Trial, cells: &[Cell<'_>]) -> Table {
    let mut table = Table::new(
        &format!("{}: {}", trial.pattern.title, trial.study.name),
        &[
            "controller",
            "flaps",
            "actions",
            "launches",
            "replicas",
            "violating",
            "gave up",
            "instances $",
            "penalty $",
            "total $",
        ],
    );
    for cell in cells {
        table.row([
            cell.controller.to_owned(),
            number(cell.mean(|row| row.flaps as f64)),
            number(cell.mean(|row| row.scaling_actions as f64)),
            number(cell.mean(|row| row.launches as f64)),
            number(cell.mean(|row| row.ready_mean)),
            percent(cell.mean(|row| row.violating_share)),
            number(cell.mean(|row| row.users_gave_up)),
            dollars(cell.mean(|row| row.dollars_instances)),
            dollars(cell.mean(|row| row.dollars_penalty)),
            dollars(cell.mean(|row| row.dollars_total)),
        ]);
    }
    table
}

fn differences(trial: &Trial, cells: &[Cell<'_>]) -> Table {
    let columns: [(&str, Column, Written); 5] = [
        ("flaps", |row| row.flaps as f64, number),
        ("actions", |row| row.scaling_actions as f64, number),
        ("launches", |row| row.launches as f64, number),
        ("violating", |row| row.violating_share, percent),
        ("total $", |row| row.dollars_total, dollars),
    ];
    let mistake = cells[0].controller;
    let mut header = vec!["remedy".to_owned()];
    header.extend(columns.iter().map(|(name, _, _)| format!("{name} [95 %]")));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = Table::new(&format!("{}: remedy minus {mistake}", trial.study.name), &header);
    for cell in &cells[1..] {
        let mut row = vec![cell.controller.to_owned()];
        for (_, of, written) in columns {
            let mean = written(cell.mean(of) - cells[0].mean(of));
            row.push(match cell.more_than(&cells[0], of, LEVEL) {
                Some(Interval { low, high, .. }) => format!("{mean} [{}, {}]", written(low), written(high)),
                None => mean,
            });
        }
        table.row(row);
    }
    table
}

/// What one controller is worth against another, in dollars and in flaps, as far as the runs can tell; of a remedy also
/// whether the mistake does harm.
fn verdict(one: &Cell<'_>, other: &Cell<'_>, is_remedy: bool) -> String {
    /// A share of the cost below which harm is called small.
    const SMALL: f64 = 0.05;
    let total: Column = |row| row.dollars_total;
    let flaps: Column = |row| row.flaps as f64;
    let saved = other.mean(total) - one.mean(total);
    let share = saved / other.mean(total);
    let amount = format!("{} dollars a run ({})", dollars(saved.abs()), percent(share.abs()));
    let (in_dollars, harm) = match one.more_than(other, total, LEVEL) {
        Some(Interval { high, .. }) if high < 0.0 => (
            format!("saves {amount}"),
            if share < SMALL { ": the mistake does harm, but little" } else { ": the mistake does harm" },
        ),
        Some(Interval { low, .. }) if low > 0.0 => {
            (format!("costs {amount} more"), ": by itself it is no remedy here")
        }
        Some(_) => {
            let direction = if saved > 0.0 { "less" } else { "more" };
            (format!("{amount} {direction}, which these runs cannot tell from nothing"), "")
        }
        None => ("too few runs to say what it is worth in dollars".into(), ""),
    };
    let in_flaps = match one.more_than(other, flaps, LEVEL) {
        Some(Interval { high, .. }) if high < 0.0 => "fewer flaps",
        Some(Interval { low, .. }) if low > 0.0 => "more flaps",
        Some(_) => "no telling difference in flaps",
        None => "flaps",
    };
    format!(
        "`{}` against `{}`: {in_dollars}{}; {in_flaps}, {} a run instead of {}.",
        one.controller,
        other.controller,
        if is_remedy { harm } else { "" },
        number(one.mean(flaps)),
        number(other.mean(flaps))
    )
}

fn figure(trial: &Trial, recorded: &[Recorder]) -> String {
    let scenario = trial.study.world(Split::Evaluation, 0).0;
    let n = recorded[0].samples.len();
    let tick = |hours: f64| ((hours * 3600.0 / scenario.tick_seconds) as usize).min(n);
    let (from, to) = (tick(trial.pattern.hours.0), tick(trial.pattern.hours.1));
    // A run that ends before the hours of the figure, as a smoke run does, is shown whole.
    let part = if from < to { from..to } else { 0..n };
    let cut = |series: Vec<f64>| series[part.clone()].to_vec();
    let start_hours = part.start as f64 * scenario.tick_seconds / 3600.0;
    let world = World {
        title: format!("{} on {} (evaluation seed 0)", trial.pattern.title, trial.study.name),
        tick_seconds: scenario.tick_seconds,
        start_hours,
        users_per_second: cut(recorded[0].series(|sample| sample.users_per_second)),
        demand: trial::demand(trial.staffing.as_ref(), &recorded[0]).map(cut),
        bound_seconds: scenario.level.bound_seconds,
    };
    let lanes: Vec<Lane> = trial
        .controllers
        .iter()
        .zip(recorded)
        .map(|(named, recorder)| Lane {
            controller: named.name.clone(),
            ready: cut(recorder.series(|sample| f64::from(sample.ready))),
            latency_seconds: cut(recorder.series(|sample| sample.latency_seconds)),
        })
        .collect();
    figures::over_time(&world, &lanes)
}
