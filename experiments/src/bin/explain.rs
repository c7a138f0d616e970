//! What would the autoscaler do now, and why? And what would it have done along a whole trace?
//!
//! Top to bottom: one decision on a written-down state, or a replay. docs/explain.md has the examples.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::fs::{self, File};
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use chrono::DateTime;
use clap::{ArgGroup, Parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidegate_autoscalers::hpa::manifest;
use tidegate_autoscalers::{BoxedController, NamedController};
use tidegate_core::locate::FieldError;
use tidegate_core::{Scenario, Seed, Split};
use tidegate_experiments::cli::{self, Engine};
use tidegate_experiments::explain::page::Page;
use tidegate_experiments::explain::replay::{Entry, Replay, Summary};
use tidegate_experiments::explain::{explain, state::Situation};
use tidegate_experiments::{controllers, scenarios, trace};

/// Says what an autoscaler would do now and why, or what it would have done along a whole trace.
#[derive(Parser)]
#[command(
    version,
    group(ArgGroup::new("who").required(true).args(["hpa", "controller"])),
    group(ArgGroup::new("where").required(true).multiple(true).args(["state", "trace", "scenario"])),
    after_help = "One decision:  explain --hpa hpa.yaml --state state.json\n\
                  A whole trace: explain --hpa hpa.yaml --trace requests.csv\n\
                  The state's fields are described in docs/explain.md."
)]
struct Arguments {
    /// The manifest of a Kubernetes autoscaler, autoscaling/v2
    #[arg(long, value_name = "FILE.yaml")]
    hpa: Option<PathBuf>,

    /// Any other controller, by name
    #[arg(long, value_name = "NAME")]
    controller: Option<String>,

    /// Parameters of controllers, a TOML table each
    #[arg(long, value_name = "FILE.toml", requires = "controller")]
    controllers: Option<PathBuf>,

    /// What the autoscaler sees: pods, usage, history
    #[arg(long, value_name = "FILE.json", requires = "hpa", conflicts_with_all = ["trace", "scenario", "controller"])]
    state: Option<PathBuf>,

    /// Demand to replay: a CSV file with a count per interval, or one row a request
    #[arg(long, value_name = "FILE.csv")]
    trace: Option<PathBuf>,

    /// The column of the trace that holds the counts [default: found]
    #[arg(long, value_name = "NAME", requires = "trace")]
    column: Option<String>,

    /// The service to replay on, by name or .toml file; with a trace, that takes the place of its demand [default: made
    /// to fit the trace]
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<String>,

    /// Which world of the scenario
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "state")]
    seed: u64,

    /// Which plant: every request (the truth), or one analytic step a tick (fast)
    #[arg(long, value_enum, default_value_t = Engine::Request, conflicts_with = "state")]
    engine: Engine,

    /// Prints nothing before this time: as in 2025-03-03T10:00:00Z, or in seconds from the start
    #[arg(long, value_name = "TIME", conflicts_with = "state")]
    from: Option<String>,

    /// Ends at this time
    #[arg(long, value_name = "TIME", conflicts_with = "state")]
    to: Option<String>,

    /// Prints also the decisions that change nothing
    #[arg(long, conflicts_with = "state")]
    every: bool,

    /// Prints the working below each decision
    #[arg(long, conflicts_with_all = ["state", "json"])]
    working: bool,

    /// Writes every decision into a CSV file, also those that change nothing
    #[arg(long, value_name = "FILE.csv", conflicts_with = "state")]
    out: Option<PathBuf>,

    /// JSON instead of text: one object, of a replay one a line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(state) = &arguments.state {
        let page = one_decision(&arguments, state);
        return page.map_or_else(
            |error| cli::refuse(&error),
            |page| {
                print!("{page}");
                ExitCode::SUCCESS
            },
        );
    }
    match Plan::new(&arguments) {
        Ok(plan) => plan.carry_out(&arguments).map_or_else(|error| cli::fail(&error), |()| ExitCode::SUCCESS),
        Err(error) => cli::refuse(&error),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| shown(path))
}

fn one_decision(arguments: &Arguments, state: &Path) -> anyhow::Result<String> {
    let path = arguments.hpa.as_deref().context("--hpa is needed")?;
    let manifest = manifest::read(&text_of(path)?).with_context(|| shown(path))?;
    let situation = Situation::read(&text_of(state)?, &manifest).with_context(|| shown(state))?;
    let it = explain(&manifest, &situation);
    Ok(if arguments.json { serde_json::to_string_pretty(&it)? + "\n" } else { Page(&it).to_string() })
}

/// A replay, all of it checked.
struct Plan {
    name: String,
    controller: BoxedController,
    scenario: Scenario,
    seed: Seed,
    from_seconds: f64,
    out: Option<csv::Writer<File>>,
    notes: Vec<String>,
}

impl Plan {
    fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        let named = named(arguments)?;
        let (mut scenario, seed, notes) = world(arguments)?;
        let time = |name: &str, text: &Option<String>| {
            text.as_deref().map(|text| seconds_into(&scenario, name, text)).transpose()
        };
        let (from, to) = (time("--from", &arguments.from)?, time("--to", &arguments.to)?);
        let from_seconds = from.unwrap_or(0.0);
        if let Some(to) = to {
            let least = from_seconds.max(scenario.tick_seconds);
            if to < least {
                return Err(anyhow!("--to: must be at least {least} s after the start, but is {to} s"));
            }
            scenario.horizon_ticks = scenario.horizon_ticks.min((to / scenario.tick_seconds).ceil() as u32);
        }
        let controller = build(arguments, &named, &scenario)?;
        let out = arguments.out.as_deref().map(|path| table(path).with_context(|| shown(path)));
        Ok(Self { name: named.name, controller, scenario, seed, from_seconds, out: out.transpose()?, notes })
    }

    /// Runs, prints and writes.
    fn carry_out(mut self, arguments: &Arguments) -> anyhow::Result<()> {
        let mut printer = Printer {
            out: BufWriter::new(io::stdout().lock()),
            has_several_pools: self.scenario.facts().pools.len() > 1,
            form: match (arguments.json, arguments.working) {
                (true, _) => Form::Json,
                (false, true) => Form::Working,
                (false, false) => Form::Lines,
            },
            is_open: true,
        };
        for note in self.notes.iter().filter(|_| !arguments.json) {
            printer.line(note);
        }
        let bar = progress(u64::from(self.scenario.horizon_ticks));
        let mut written = Ok(());
        let mut see = |entry: Entry| {
            if let (Some(out), Ok(())) = (&mut self.out, &written) {
                written = row(out, &entry);
            }
            if entry.seconds >= self.from_seconds && (arguments.every || entry.is_change()) {
                bar.suspend(|| printer.entry(&entry));
            }
        };
        let replay =
            Replay { name: &self.name, scenario: &self.scenario, engine: arguments.engine, seed: self.seed };
        let summary = replay.run(&mut *self.controller, &mut see, &mut |ticks| bar.set_position(ticks));
        bar.finish_and_clear();
        let path = arguments.out.as_deref().map(shown).unwrap_or_default();
        written.with_context(|| path.clone())?;
        if let Some(out) = &mut self.out {
            out.flush().context(path)?;
        }
        printer.summary(&summary)
    }
}

/// Who decides.
fn named(arguments: &Arguments) -> anyhow::Result<NamedController> {
    if let Some(path) = &arguments.hpa {
        let text = text_of(path)?;
        let manifest = manifest::read(&text).with_context(|| shown(path))?;
        return Ok(NamedController::of_kind("hpa").named(manifest.name).with("manifest", text));
    }
    let wanted = arguments.controller.as_deref().context("--hpa or --controller is needed")?;
    let catalog = controllers::catalog();
    let mut known: Vec<NamedController> = Vec::new();
    if let Some(path) = &arguments.controllers {
        known.extend(controllers::own(path, &catalog)?);
    }
    known.extend(catalog.list().iter().map(|kind| NamedController::of_kind(kind.about.kind)));
    let names: Vec<String> = known.iter().map(|it| it.name.clone()).collect();
    let found = known.into_iter().find(|it| it.name == wanted);
    found.ok_or_else(|| anyhow!("--controller: {wanted:?} is none of {}", names.join(", ")))
}

/// On what: scenario, seed, and what is to be said of it.
fn world(arguments: &Arguments) -> anyhow::Result<(Scenario, Seed, Vec<String>)> {
    let column = arguments.column.as_deref();
    let study = match (&arguments.scenario, &arguments.trace) {
        (Some(name), _) => scenarios::named(name, false)?,
        (None, Some(path)) => trace::whole(path, column)?,
        (None, None) => return Err(anyhow!("--trace or --scenario is needed")),
    };
    let (scenario, _) = study.world(Split::Evaluation, 0);
    let seed = Seed::evaluation(arguments.seed);
    Ok(match (&arguments.scenario, &arguments.trace) {
        (Some(_), Some(path)) => (trace::on(scenario, path, column)?, seed, Vec::new()),
        // How the file was understood and scaled; the rest is about training and evaluation, of which there is none.
        _ => (Scenario::clone(scenario), seed, study.notes.into_iter().take(2).collect()),
    })
}

fn build(
    arguments: &Arguments,
    named: &NamedController,
    scenario: &Scenario,
) -> anyhow::Result<BoxedController> {
    let built = controllers::catalog().build_named(named, &scenario.controllers, &scenario.facts());
    built.map_err(|error| match &arguments.hpa {
        // The manifest is a parameter only inside.
        Some(path) if error.field.ends_with(".manifest") => {
            let FieldError { problem, .. } = error;
            anyhow!("{}: {problem}", shown(path))
        }
        _ => anyhow::Error::new(error).context(format!("{}, controller {}", scenario.name, named.name)),
    })
}

/// A time as seconds of the counted part.
fn seconds_into(scenario: &Scenario, argument: &str, text: &str) -> anyhow::Result<f64> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds >= 0.0
        && seconds.is_finite()
    {
        return Ok(seconds);
    }
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| {
        anyhow!(
            "{argument}: must be a time such as 2025-03-03T10:00:00Z or a number of seconds, but is {text:?}"
        )
    })?;
    let start = scenario.calendar.start;
    let since = time.to_utc() - start;
    let seconds = since.num_milliseconds() as f64 / 1000.0;
    if seconds < 0.0 {
        return Err(anyhow!(
            "{argument}: must not be before the start, {}, but is {text}",
            start.to_rfc3339()
        ));
    }
    Ok(seconds)
}

fn progress(n_ticks: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(n_ticks), ProgressDrawTarget::stderr_with_hz(4));
    let style = "{bar:40} {percent} % of the time, {elapsed} gone, {eta} left";
    bar.with_style(ProgressStyle::with_template(style).expect("the template is right"))
}

/// A file for decisions, with its header.
fn table(path: &Path) -> anyhow::Result<csv::Writer<File>> {
    let mut out = csv::Writer::from_path(path)?;
    out.write_record(["at", "seconds", "pool", "from", "to", "ready", "starting", "basis", "reason"])?;
    Ok(out)
}

fn row(out: &mut csv::Writer<File>, entry: &Entry) -> anyhow::Result<()> {
    let Entry { at, seconds, pool, from, to, ready, starting, basis, reason, .. } = entry;
    let number = |value: &dyn ToString| value.to_string();
    out.write_record([
        at,
        &number(seconds),
        pool,
        &number(from),
        &number(to),
        &number(ready),
        &number(starting),
        *basis,
        reason,
    ])?;
    Ok(())
}

/// What goes to the terminal, until nobody reads any more.
struct Printer<'a> {
    out: BufWriter<StdoutLock<'a>>,
    has_several_pools: bool,
    form: Form,
    is_open: bool,
}

/// How a replay is printed.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// A line a decision.
    Lines,
    /// The same with the working below.
    Working,
    /// An object a line.
    Json,
}

impl Printer<'_> {
    fn line(&mut self, line: &str) {
        self.is_open = self.is_open && writeln!(self.out, "{line}").and_then(|()| self.out.flush()).is_ok();
    }

    fn entry(&mut self, entry: &Entry) {
        if self.form == Form::Json {
            let text = serde_json::to_string(entry).expect("an entry is texts and numbers");
            return self.line(&text);
        }
        let pool = if self.has_several_pools { format!("{:<10} ", entry.pool) } else { String::new() };
        let Entry { at, from, to, reason, .. } = entry;
        let arrow = if entry.is_change() { "→" } else { "=" };
        let basis = if entry.basis == "normal" { String::new() } else { format!("[{}] ", entry.basis) };
        self.line(&format!("{at}  {pool}{from:>4} {arrow} {to:<4}  {basis}{reason}"));
        if self.form == Form::Working {
            for line in &entry.working {
                self.line(&format!("{:22}{line}", ""));
            }
        }
    }

    fn summary(&mut self, summary: &Summary) -> anyhow::Result<()> {
        if self.form == Form::Json {
            let text = serde_json::to_string(&serde_json::json!({ "summary": summary }))?;
            self.line(&text);
        } else {
            self.line(&format!("\n{}", summary.to_string().trim_end()));
        }
        Ok(())
    }
}
