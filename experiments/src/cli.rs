//! Arguments that every binary spells the same, and what it says when they are wrong.
//!
//! Wrong input: `error: …` in one line that names file, line and field, exit code 2, nothing written. A run that
//! fails: exit code 1; what has finished stays on disk.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

/// What to run, on what, and where to put it. A binary with fewer arguments of its own fills in those; the default of
/// the others is not to be set.
#[derive(Clone, Debug, Default, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // a switch on the command line is a bool
pub struct Choice {
    /// Scenarios by name, or paths of your own .toml files; separated by commas or repeated [default: the first
    /// three built-in ones]
    #[arg(long, value_name = "NAME|FILE", value_delimiter = ',')]
    pub scenario: Vec<String>,

    /// Controllers by name; separated by commas or repeated [default: those that --list marks]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub controller: Vec<String>,

    /// Evaluation seeds of each scenario, 0 to N-1; on a trace, at most so many of its evaluation days
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub seeds: u64,

    /// Folder for the results [default: results/ and the name of the experiment]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Threads; the results are the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Every built-in scenario and every controller
    #[arg(long)]
    pub full: bool,

    /// A quick check that everything works: one scenario, one hour, two seeds, into target/smoke
    #[arg(long, conflicts_with_all = ["full", "check"])]
    pub smoke: bool,

    /// Names the scenarios and controllers, and ends
    #[arg(long)]
    pub list: bool,

    /// A trace of your own: a CSV file with a count per interval, or one row a request
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    pub trace: Option<PathBuf>,

    /// The column of the trace that holds the counts [default: found]
    #[arg(long, value_name = "NAME", requires = "trace")]
    pub column: Option<String>,

    /// Parameters of controllers, a TOML table each; they replace those of the scenario
    #[arg(long, value_name = "FILE.toml")]
    pub controllers: Option<PathBuf>,

    /// The controller to which differences are taken [default: the first one run]
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,

    /// Which plant: every request (the truth), or one analytic step a tick (fast)
    #[arg(long, value_enum, default_value_t = Engine::Request)]
    pub engine: Engine,

    /// Runs one seed again and compares it with the stored row, writing nothing
    #[arg(long)]
    pub check: bool,
}

/// Which plant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Every request; what reports use.
    #[default]
    Request,
    /// One analytic step a tick; for learning and planning.
    Fluid,
}

impl Engine {
    /// As written on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Fluid => "fluid",
        }
    }
}

impl Choice {
    /// Where the results of `experiment` go.
    pub fn out(&self, experiment: &str) -> PathBuf {
        match (&self.out, self.smoke) {
            (Some(out), _) => out.clone(),
            (None, true) => PathBuf::from("target/smoke").join(experiment),
            (None, false) => PathBuf::from("results").join(experiment),
        }
    }

    /// What of it the results depend on, spelled as arguments.
    pub fn sweep(&self) -> String {
        let mut words = vec![format!("--seeds {} --engine {}", self.seeds, self.engine.name())];
        let mut list = |name: &str, values: &[String]| {
            if !values.is_empty() {
                words.push(format!("--{name} {}", values.join(",")));
            }
        };
        list("scenario", &self.scenario);
        list("controller", &self.controller);
        list("column", self.column.as_slice());
        list("baseline", self.baseline.as_slice());
        // Where the files lie is the user's business; what was in them, the hashes say.
        let file = |path: &Option<PathBuf>| -> Vec<String> {
            path.iter()
                .filter_map(|path| path.file_name())
                .map(|name| name.to_string_lossy().into())
                .collect()
        };
        list("trace", &file(&self.trace));
        list("controllers", &file(&self.controllers));
        for (name, is_set) in [("--full", self.full), ("--smoke", self.smoke)] {
            if is_set {
                words.push(name.to_owned());
            }
        }
        words.join(" ")
    }

    /// Threads to use.
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(
            || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            usize::from,
        )
    }
}

/// Says what is wrong with the input, in one line; exit code 2.
pub fn refuse(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(2)
}

/// Says what went wrong while running; exit code 1.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
