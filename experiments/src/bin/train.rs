//! What does deep Q-learning learn? Trains an agent a seed, scores the final ones on evaluation seeds, and stores them.
//!
//! Top to bottom: the sweep (what is learnt how), the runs (in parallel, each with a checkpoint), the evaluation, the
//! report. `--help` explains the arguments; docs/learning.md has environments, rewards and settings.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, bail};
use clap::Parser;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;
use serde::Serialize;
use tidegate_dqn::Options;
use tidegate_experiments::cli::{self, Choice, Engine};
use tidegate_experiments::learning::evaluation::{self, Evaluated};
use tidegate_experiments::learning::{Course, LogLine, Preset, Task, Trained, reporting, settings};
use tidegate_experiments::manifest::Manifest;
use tidegate_experiments::report::number;
use tidegate_experiments::runs::{self, Journal};
use tidegate_experiments::{outputs, scores};

/// Trains agents by deep Q-learning and scores the final ones on evaluation seeds.
#[derive(Parser)]
#[command(
    version,
    after_help = "Environments: cart-pole, acrobot, mountain-car, chain, autoscale/<scenario>, source/<scenario>; a scenario \
    by its name or as the path of your own .toml file. Ctrl-C leaves a checkpoint; the same command goes on from \
    it and ends with the same bits."
)]
struct Arguments {
    /// What is learnt
    #[arg(long, value_name = "NAME", default_value = "autoscale/web-diurnal")]
    env: String,

    /// Which extensions of deep Q-learning
    #[arg(long, value_enum, default_value_t = Preset::Steady)]
    preset: Preset,

    /// Engine of the worlds in which a service is learnt; agents are scored on both [default: fluid]
    #[arg(long, value_enum)]
    engine: Option<Engine>,

    /// Seconds from one decision of an agent of autoscale to the next; the nearest number of ticks that
    /// divides warm-up and horizon [default: 60]
    #[arg(long, value_name = "S", value_parser = seconds)]
    period_seconds: Option<f64>,

    /// Noise on the load of the variants in which an agent of autoscale learns: the largest coefficient of variation from minute
    /// to minute [default: 0]
    #[arg(long, value_name = "CV", value_parser = variation)]
    noise: Option<f64>,

    /// Training seeds, 0 to N-1: a whole run each
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,

    /// Steps of the environment in a run, over all copies [default: 5000 simulated hours on a service, 300000 steps of
    /// source, the published number on the others]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    steps: Option<u64>,

    /// Evaluation episodes of each agent; on a service, runs of each agent and each rule on each engine [default: 100, on a
    /// service 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    evaluation_episodes: Option<u64>,

    /// Folder for the results [default: results/train/, the environment with - for /, the preset, -request if it learns on
    /// that engine, and period and noise if they are given]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Threads; the results are the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// A quick check that everything works: 3000 steps, two seeds, two evaluation episodes, one hour of a service, into
    /// target/smoke
    #[arg(long, conflicts_with = "check")]
    smoke: bool,

    /// Trains seed 0 again from the beginning and compares its agent and its log with what is stored, writing nothing
    #[arg(long)]
    check: bool,
}

/// Whether runs are being trained, so that Ctrl-C has something to save.
static TRAINS: AtomicBool = AtomicBool::new(false);
/// Whether Ctrl-C was pressed.
static STOPS: AtomicBool = AtomicBool::new(false);

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

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (1.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number of seconds from 1 to 86400".into()),
    }
}

fn variation(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(noise) if (0.0..=10.0).contains(&noise) => Ok(noise),
        _ => Err("must be a coefficient of variation from 0 to 10".into()),
    }
}

/// What is learnt how.
struct Sweep {
    task: Task,
    preset: Preset,
    options: Options,
    seeds: u64,
    evaluation_episodes: u64,
    out: PathBuf,
    threads: usize,
    program: String,
    smoke: bool,
    /// Where one was asked for.
    period_seconds: Option<f64>,
    noise: Option<f64>,
}

impl Sweep {
    /// Reads and checks everything; writes nothing.
    fn new(arguments: Arguments) -> anyhow::Result<Self> {
        let Arguments {
            env,
            preset,
            engine,
            period_seconds,
            noise,
            mut seeds,
            mut steps,
            mut evaluation_episodes,
            out,
            threads,
            smoke,
            check: _,
        } = arguments;
        if smoke {
            seeds = seeds.min(2);
            steps = Some(steps.unwrap_or(3_000).min(3_000));
            evaluation_episodes = Some(evaluation_episodes.unwrap_or(2).min(2));
        }
        let mut task = Task::named(&env, smoke)?;
        if let Some(engine) = engine {
            task = task.on(engine)?;
        }
        if let Some(seconds) = period_seconds {
            task = task.every(seconds)?;
        }
        if let Some(noise) = noise {
            task = task.noisy(noise)?;
        }
        let options = settings::options(&task, preset, steps)?;
        options.check().context("--steps")?;
        let default_episodes = if matches!(task, Task::Classic(_)) { 100 } else { 20 };
        let on = if engine == Some(Engine::Request) { "-request" } else { "" };
        let every = period_seconds.map_or_else(String::new, |seconds| format!("-{seconds}s"));
        let disturbed = noise.map_or_else(String::new, |noise| format!("-noise-{noise}"));
        let name = format!("train/{}-{}{on}{every}{disturbed}", task.name().replace('/', "-"), preset.name());
        let choice = Choice { out, threads, smoke, ..Choice::default() };
        Ok(Self {
            options,
            preset,
            seeds,
            evaluation_episodes: evaluation_episodes.unwrap_or(default_episodes),
            out: choice.out(&name),
            threads: choice.threads(),
            program: runs::program_hash()?,
            smoke,
            period_seconds,
            noise,
            task,
        })
    }

    fn course<'a>(&'a self, seed: u64, folder: Option<&'a Path>) -> Course<'a> {
        Course { task: &self.task, options: &self.options, seed, program: &self.program, folder }
    }

    /// Training, evaluation, report.
    fn carry_out(&self) -> anyhow::Result<()> {
        let trained = self.train()?;
        let evaluated = evaluation::evaluate(
            &self.out,
            &self.program,
            &self.task,
            &trained,
            self.evaluation_episodes,
            self.threads,
        )?;
        let report = reporting::report(&self.task, self.preset, &self.options, &trained, &evaluated);
        for it in &trained {
            outputs::write(&self.out, &format!("seed-{}.agent", it.seed), &it.agent)?;
        }
        let logs: Vec<u8> = trained.iter().map(lines).collect::<anyhow::Result<Vec<_>>>()?.concat();
        outputs::write(&self.out, "training.jsonl", &logs)?;
        let rows = match &evaluated {
            Evaluated::Episodes(rows) => scores::csv_bytes(rows)?,
            Evaluated::Days(_, rows) => scores::csv_bytes(rows)?,
        };
        outputs::write(&self.out, "runs.csv", &rows)?;
        let timing = |it: &Trained| Timing {
            training_seed: it.seed,
            elapsed_seconds: it.elapsed_seconds,
            steps_per_second: self.options.steps as f64 / it.elapsed_seconds,
        };
        let timings: Vec<Timing> = trained.iter().map(timing).collect();
        outputs::write(&self.out, "timings.csv", &scores::csv_bytes(&timings)?)?;
        outputs::write(&self.out, "manifest.toml", self.manifest().text().as_bytes())?;
        outputs::write_report(&self.out, &report)?;
        print!("{}", report.terminal());
        for it in &timings {
            println!(
                "Training seed {}: {} s, {} steps a second.",
                it.training_seed,
                number(it.elapsed_seconds),
                number(it.steps_per_second)
            );
        }
        println!(
            "Written to {}: report.md, report.html, runs.csv, training.jsonl and agents.",
            self.out.display()
        );
        if let Task::Service(_) = self.task {
            let agent = self.out.join("seed-0.agent");
            println!(
                "To compare: kind = \"dqn\", agent = \"{}\" in a file of controllers that lies here.",
                agent.display()
            );
        }
        Ok(())
    }

    /// All seeds, each from where its checkpoint stands.
    fn train(&self) -> anyhow::Result<Vec<Trained>> {
        TRAINS.store(true, Ordering::SeqCst);
        ctrlc::set_handler(|| {
            if STOPS.swap(true, Ordering::SeqCst) || !TRAINS.load(Ordering::SeqCst) {
                // Pressed twice, or nothing to save: what is finished is on disk.
                process::exit(130);
            }
        })
        .context("Ctrl-C")?;
        // Held while checkpoints are written, so that no other process writes there.
        let _lock = Journal::<()>::open(&self.out)?;
        let folder = self.out.join("partial");
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(4));
        let reached = AtomicU64::new(0);
        let seeds: Vec<u64> = (0..self.seeds).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build().context("threads")?;
        let outcomes: Vec<anyhow::Result<Option<Trained>>> = pool.install(|| {
            seeds
                .par_iter()
                // One at a time: a run is long.
                .with_max_len(1)
                .map(|&seed| {
                    if STOPS.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                    let bar = bars.add(bar(seed, self.options.steps));
                    let mut shown = |line: &LogLine| show(&bar, line);
                    let mut stops = |step: u64| {
                        let stops = STOPS.load(Ordering::Relaxed);
                        if stops {
                            reached.fetch_add(step, Ordering::Relaxed);
                        }
                        stops
                    };
                    let trained = self.course(seed, Some(&folder)).train(&mut shown, &mut stops);
                    bar.finish_and_clear();
                    trained
                })
                .collect()
        });
        TRAINS.store(false, Ordering::SeqCst);
        let mut trained = Vec::new();
        let mut failures = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(it) => trained.extend(it),
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
        if !failures.is_empty() {
            bail!("{} of {} runs failed: {}", failures.len(), self.seeds, failures.join("; "));
        }
        if trained.len() as u64 != self.seeds {
            bail!(
                "interrupted: {} of {} runs are trained, and {} steps of the others are kept in {}; the same command goes on",
                trained.len(),
                self.seeds,
                reached.into_inner(),
                folder.display()
            );
        }
        Ok(trained)
    }

    fn manifest(&self) -> Manifest {
        let sweep = format!(
            "--env {} --preset {}{}{}{} --seeds {} --steps {} --evaluation-episodes {}{}",
            self.task.name(),
            self.preset.name(),
            if let Task::Service(it) = &self.task {
                format!(" --engine {}", it.engine.name())
            } else {
                String::new()
            },
            self.period_seconds.map_or_else(String::new, |seconds| format!(" --period-seconds {seconds}")),
            self.noise.map_or_else(String::new, |noise| format!(" --noise {noise}")),
            self.seeds,
            self.options.steps,
            self.evaluation_episodes,
            if self.smoke { " --smoke" } else { "" }
        );
        let mut manifest = Manifest::plain("train", &sweep, self.seeds);
        if let Task::Service(service) = &self.task {
            manifest.scenarios.insert(service.study.name.clone(), service.study.hash.clone());
            manifest.engine =
                format!("{} for training; fluid and request for evaluation", service.engine.name());
        } else {
            manifest.engine = "none".into();
        }
        manifest
    }

    /// Seed 0 again.
    fn check(&self) -> anyhow::Result<()> {
        let read = |file: &str| {
            let path = self.out.join(file);
            std::fs::read(&path).with_context(|| path.display().to_string())
        };
        let (agent, logs) = (read("seed-0.agent")?, read("training.jsonl")?);
        let again = self.course(0, None).train(&mut |_| {}, &mut |_| false)?;
        let again = again.expect("nobody stops it");
        if again.agent != agent {
            bail!("{}: seed-0.agent differs from what is trained now", self.out.display());
        }
        if !logs.starts_with(&lines(&again)?) {
            bail!("{}: training.jsonl differs in seed 0 from what is trained now", self.out.display());
        }
        println!("seed 0 is as stored in {}", self.out.display());
        Ok(())
    }
}

/// A row of `timings.csv`.
#[derive(Serialize)]
struct Timing {
    training_seed: u64,
    elapsed_seconds: f64,
    steps_per_second: f64,
}

/// The lines of `training.jsonl`.
fn lines(trained: &Trained) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in &trained.log {
        serde_json::to_writer(&mut bytes, line).context("a line of the log")?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn bar(seed: u64, steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    let style = "{prefix} {bar:30} {pos}/{len} steps, {eta} left, {msg}";
    bar.set_style(ProgressStyle::with_template(style).expect("the template is right"));
    bar.set_prefix(format!("seed {seed}"));
    bar
}

fn show(bar: &ProgressBar, line: &LogLine) {
    bar.set_position(line.step);
    let said = |value: Option<f64>| value.map(number);
    // Episodes are longer than a stretch of the log: the last return stays until there is another.
    let before = bar.message();
    let before =
        before.strip_prefix("return ").and_then(|rest| rest.split_once(',')).map(|(it, _)| it.to_owned());
    let total = said(line.return_mean).or(before).unwrap_or_else(|| "–".into());
    bar.set_message(format!("return {total}, loss {}", said(line.loss).unwrap_or_else(|| "–".into())));
}
