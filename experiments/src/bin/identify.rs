//! What drives response time? Excites the simulated service, or reads data of the user's own, identifies every kind of
//! model, and scores them on fresh data.
//!
//! Top to bottom: the data (from the plant or a file), the session (orders, models, scores, tests), the report. `--help`
//! explains the arguments, docs/identification.md the methods.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "experiments are where clock, disk, threads and terminal belong"
)]

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail, ensure};
use clap::Parser;
use tidegate_core::{Controller, Record, Scenario, Split};
use tidegate_experiments::cli::{self, Choice, Engine};
use tidegate_experiments::identification::feedback::{self, BiasRow};
use tidegate_experiments::identification::plant::{self, Excitation, Excited, Plan, TickRow};
use tidegate_experiments::identification::scores::Horizon;
use tidegate_experiments::identification::selection::{By, Grid};
use tidegate_experiments::identification::session::{self, Fixed, SETTLING, Session, Settings, whole};
use tidegate_experiments::identification::table::{self, Columns};
use tidegate_experiments::identification::{reporting, service};
use tidegate_experiments::manifest::Manifest;
use tidegate_experiments::report::{Report, Table, number};
use tidegate_experiments::scenarios::{self, Study};
use tidegate_experiments::{controllers, outputs, runs, scores};
use tidegate_sysid::data::RecordExt;

/// Identifies models of response time from load and replicas, or of any data of your own.
#[derive(Parser)]
#[command(
    version,
    after_help = "Without arguments: a day of web-diurnal under an excitation, all kinds of models, scored on another day. \
    With --data: the columns of a CSV file. With --controller: the service under a controller, which is closed-loop data."
)]
#[allow(clippy::struct_excessive_bools)] // a switch on the command line is a bool
struct Arguments {
    /// A CSV file with a line of names and a row a sample
    #[arg(long, value_name = "FILE.csv", requires = "output", conflicts_with_all = ["scenario", "controller", "excitation", "ticks"])]
    data: Option<PathBuf>,

    /// Columns to model; several make one state-space model
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "data")]
    output: Vec<String>,

    /// Columns that drive it [default: none, a time series]
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "data")]
    inputs: Vec<String>,

    /// Seconds between rows
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, requires = "data")]
    dt: f64,

    /// Share of the rows that models are estimated on, from the start; the rest validates
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, requires = "data")]
    split: f64,

    /// Gaps of at most so many rows are bridged by straight lines; at longer ones the record is cut
    #[arg(long, value_name = "ROWS", default_value_t = 3)]
    gap_max: usize,

    /// Orders, the same for every input, for example na=2,nb=2,nc=2,nd=2,nf=2,nk=1,n=4 (n: states) [default: chosen]
    #[arg(long, value_name = "ORDERS", value_parser = Fixed::parse)]
    orders: Option<Fixed>,

    /// What orders are chosen by
    #[arg(long, value_enum, default_value_t = By::Bic)]
    select: By,

    /// Greatest order of A, B and F that is tried
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=10))]
    order_max: u8,

    /// Greatest delay that is tried, in samples [default: 5; 0 on the service, where load and replicas act within the tick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=50))]
    nk_max: Option<u8>,

    /// Samples ahead at which predictions are scored; free simulation always is
    #[arg(long, value_name = "N", value_delimiter = ',', default_values = ["1", "10", "60"])]
    horizons: Vec<NonZeroU32>,

    /// A scenario by name, or the path of your own .toml file [default: web-diurnal]
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<String>,

    /// How the fleet is excited
    #[arg(long, value_enum, default_value_t = Excitation::Both)]
    excitation: Excitation,

    /// A controller drives the fleet in place of the excitation: data in closed loop
    #[arg(long, value_name = "NAME", conflicts_with = "excitation")]
    controller: Option<String>,

    /// Which plant: every request (the truth), or one analytic step a tick (fast)
    #[arg(long, value_enum, default_value_t = Engine::Request)]
    engine: Engine,

    /// Also writes estimation.csv and validation.csv, a row a tick: what --data reads
    #[arg(long)]
    ticks: bool,

    /// Records of each loop in the study of feedback; 0 to leave it out
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    feedback_runs: u64,

    /// Folder for the results [default: results/identify; with --data required]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Threads; the results are the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// A quick check that everything works: an hour, small orders, 20 records, into target/smoke
    #[arg(long)]
    smoke: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let work = match Work::new(arguments) {
        Ok(work) => work,
        Err(error) => return cli::refuse(&error),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(work.choice.threads()).build().context("threads");
    let done = pool.and_then(|pool| pool.install(|| work.carry_out()));
    done.map_or_else(|error| cli::fail(&error), |()| ExitCode::SUCCESS)
}

/// What is to be done, checked.
struct Work {
    arguments: Arguments,
    choice: Choice,
    settings: Settings,
    source: Source,
    out: PathBuf,
}

/// Where the data come from.
enum Source {
    /// A file of the user's.
    File { record: Record, notes: Vec<String>, hash: String },
    /// The simulated service.
    Service { study: Box<Study> },
}

impl Work {
    /// Reads and checks everything; writes nothing.
    fn new(mut arguments: Arguments) -> anyhow::Result<Self> {
        if arguments.smoke {
            arguments.feedback_runs = arguments.feedback_runs.min(20);
            arguments.order_max = arguments.order_max.min(2);
        }
        ensure!(
            arguments.dt > 0.0 && arguments.dt.is_finite(),
            "--dt must be a positive number, but is {}",
            arguments.dt
        );
        ensure!(
            arguments.split > 0.0 && arguments.split <= 1.0,
            "--split must be above 0 and at most 1, but is {}",
            arguments.split
        );
        let choice = Choice {
            out: arguments.out.clone(),
            threads: arguments.threads,
            smoke: arguments.smoke,
            engine: arguments.engine,
            seeds: 1,
            ..Choice::default()
        };
        let horizons =
            arguments.horizons.iter().map(|it| Horizon::Ahead(*it)).chain([Horizon::Free]).collect();
        let order_max = usize::from(arguments.order_max);
        let nk_max = arguments.nk_max.unwrap_or(if arguments.data.is_some() { 5 } else { 0 });
        let settings = Settings {
            horizons,
            fixed: arguments.orders,
            grid: Grid { nk: 0..=usize::from(nk_max), order_max, noise_max: order_max.min(2) },
            by: arguments.select,
        };
        let source = match &arguments.data {
            Some(_) => file(&arguments)?,
            None => Source::Service { study: Box::new(service_of(&arguments)?) },
        };
        let out = choice.out("identify");
        ensure!(
            arguments.data.is_none() || arguments.out.is_some() || arguments.smoke,
            "--data: say with --out DIR where the results go; results/identify is for the service"
        );
        Ok(Self { arguments, choice, settings, source, out })
    }

    fn carry_out(&self) -> anyhow::Result<()> {
        let (session, mut report, manifest) = match &self.source {
            Source::File { record, notes, hash } => self.of_file(record, notes, hash)?,
            Source::Service { study } => self.of_service(study)?,
        };
        std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        reporting::sections(&mut report, &session, &self.settings);
        if matches!(self.source, Source::Service { .. }) && self.arguments.feedback_runs > 0 {
            let rows = feedback::study(self.arguments.feedback_runs);
            closed_loop(&mut report, &rows);
            outputs::write(&self.out, "closed_loop.csv", &scores::csv_bytes(&rows)?)?;
        }
        reporting::write(&self.out, &session)?;
        outputs::write(&self.out, "manifest.toml", manifest.text().as_bytes())?;
        outputs::write_report(&self.out, &report)?;
        print!("{}", report.terminal());
        println!("Written to {}: report.md, report.html, runs.csv, models and figures.", self.out.display());
        Ok(())
    }

    fn of_file(
        &self,
        record: &Record,
        notes: &[String],
        hash: &str,
    ) -> anyhow::Result<(Session, Report, Manifest)> {
        let n = record.n_samples();
        let cut = (n as f64 * self.arguments.split).round() as usize;
        let estimation = record.part(0..cut);
        let path = self.arguments.data.as_ref().expect("there is a file");
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut report = Report::new(&format!("Identification of {name}"));
        report.paragraph(format!(
            "{n} samples every {} s: {cut} for estimation, {} for validation. Output {}; {}. Means of the estimation data are \
             removed and put back.",
            number(record.step_seconds),
            n - cut,
            self.arguments.output.join(", "),
            if record.inputs.is_empty() { "no input".into() } else { format!("input {}", self.arguments.inputs.join(", ")) }
        ));
        for note in notes {
            report.paragraph(note.clone());
        }
        if record.outputs.len() > 1 {
            report.paragraph(
                "Input–output models (ARX, ARMAX, OE, BJ) take one output; name one alone to fit them.",
            );
        }
        let session = session::carry_out(estimation, record.clone(), cut, &self.settings, &|_| Vec::new())?;
        let mut words = vec![format!("--data {name} --output {}", self.arguments.output.join(","))];
        if !self.arguments.inputs.is_empty() {
            words.push(format!("--inputs {}", self.arguments.inputs.join(",")));
        }
        words.push(format!(
            "--dt {} --split {} --gap-max {}",
            self.arguments.dt, self.arguments.split, self.arguments.gap_max
        ));
        words.push(self.words());
        let mut manifest = Manifest::plain("identify", &words.join(" "), 0);
        manifest.engine = "none".into();
        manifest.protocol = Some(hash.to_owned());
        Ok((session, report, manifest))
    }

    fn of_service(&self, study: &Study) -> anyhow::Result<(Session, Report, Manifest)> {
        let (estimation_rows, scenario) = self.log(study, Split::Training)?;
        let (validation_rows, _) = self.log(study, Split::Evaluation)?;
        let mut notes = Vec::new();
        let mut without_gaps = |rows: &[TickRow], what: &str| -> anyhow::Result<Record> {
            let record = plant::record(rows, scenario.tick_seconds);
            let (first, whole) = whole(&record, self.arguments.gap_max)?;
            if whole.n_samples() < rows.len() {
                notes.push(format!(
                    "The {what} data have gaps (nobody was served); used is the longest stretch without one, {} of {} ticks from \
                     tick {first} on.",
                    whole.n_samples(),
                    rows.len()
                ));
            }
            Ok(whole)
        };
        let estimation = without_gaps(&estimation_rows, "estimation")?;
        let validation = without_gaps(&validation_rows, "validation")?;
        if self.arguments.ticks {
            std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
            outputs::write(&self.out, "estimation.csv", &scores::csv_bytes(&estimation_rows)?)?;
            outputs::write(&self.out, "validation.csv", &scores::csv_bytes(&validation_rows)?)?;
        }
        let mut report = Report::new("Identification of the service");
        let driver = match &self.arguments.controller {
            Some(name) => format!(
                "the controller `{name}` drives the fleet, so these are closed-loop data: output-error and subspace models \
                 may be biased"
            ),
            None => format!(
                "the fleet follows an excitation ({}) that never looks at the response time",
                match self.arguments.excitation {
                    Excitation::Staircase => "a staircase of utilization",
                    Excitation::Prbs => "a pseudo-random binary signal around one utilization",
                    Excitation::Both => "a staircase of utilization and a pseudo-random binary signal on it",
                }
            ),
        };
        report.paragraph(format!(
            "Scenario {}: {} Engine: {}. Load (users a second) and ready replicas in, mean response time (seconds) out, a sample a tick \
             of {} s; {driver}. Models are estimated on {} ticks of training seed 0 and validated on {} of evaluation seed 0 with another \
             schedule; nothing of the evaluation seed was used for fitting or choosing.",
            study.name,
            study.summary.trim_end_matches('.').to_owned() + ".",
            self.choice.engine.name(),
            number(scenario.tick_seconds),
            estimation.n_samples(),
            validation.n_samples()
        ));
        for note in notes {
            report.paragraph(note);
        }
        report.table(excited(&estimation, &validation));
        let session = session::carry_out(estimation, validation, SETTLING, &self.settings, &|record| {
            service::fit(&scenario, record)
        })?;
        let driver = match &self.arguments.controller {
            Some(name) => format!("--controller {name}"),
            None => format!("--excitation {:?}", self.arguments.excitation).to_lowercase(),
        };
        let sweep = format!(
            "--scenario {} --engine {} {driver} --gap-max {} --feedback-runs {} {}",
            study.name,
            self.choice.engine.name(),
            self.arguments.gap_max,
            self.arguments.feedback_runs,
            self.words()
        );
        let mut manifest = Manifest::plain("identify", &sweep, 1);
        self.choice.engine.name().clone_into(&mut manifest.engine);
        manifest.scenarios.insert(study.name.clone(), study.hash.clone());
        Ok((session, report, manifest))
    }

    /// The arguments of the session itself.
    fn words(&self) -> String {
        let Arguments { orders, select, order_max, horizons, smoke, .. } = &self.arguments;
        let nk_max = self.settings.grid.nk.end();
        let horizons: Vec<String> = horizons.iter().map(ToString::to_string).collect();
        let mut words = vec![match orders {
            Some(Fixed { na, nb, nc, nd, nf, nk, n }) => {
                format!("--orders na={na},nb={nb},nc={nc},nd={nd},nf={nf},nk={nk},n={n}")
            }
            None => format!("--select {select:?} --order-max {order_max} --nk-max {nk_max}").to_lowercase(),
        }];
        words.push(format!("--horizons {}", horizons.join(",")));
        if *smoke {
            words.push("--smoke".into());
        }
        words.join(" ")
    }

    /// Runs the service in world 0 of a split.
    fn log(&self, study: &Study, split: Split) -> anyhow::Result<(Vec<TickRow>, Scenario)> {
        let (scenario, seed) = study.world(split, 0);
        let facts = scenario.facts();
        let mut driver: Box<dyn Controller> = match &self.arguments.controller {
            Some(name) => {
                let catalog = controllers::catalog_for(study);
                let named = chosen_controller(name)?;
                catalog
                    .build_named(&named, &scenario.controllers, &facts)
                    .with_context(|| format!("{}, controller {name}", study.name))?
            }
            None => Box::new(Excited::new(&facts, Plan::draw(self.arguments.excitation, scenario, seed))?),
        };
        Ok((plant::log(self.choice.engine, scenario, &mut *driver, seed), (**scenario).clone()))
    }
}

/// Reads the user's file.
fn file(arguments: &Arguments) -> anyhow::Result<Source> {
    let path = arguments.data.as_ref().expect("there is a file");
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| shown.clone())?;
    let columns = Columns {
        outputs: arguments.output.clone(),
        inputs: arguments.inputs.clone(),
        step_seconds: arguments.dt,
    };
    let found = table::of_bytes(&bytes, &columns).with_context(|| shown.clone())?;
    let mut notes: Vec<String> = found
        .gaps
        .iter()
        .map(|gap| {
            format!(
                "Column {} lacks {} values, the first in line {}, at most {} in a row.",
                gap.channel, gap.n_missing, gap.first_line, gap.n_longest
            )
        })
        .collect();
    let (first, record) = whole(&found.record, arguments.gap_max).with_context(|| shown.clone())?;
    let (all, used) = (found.record.n_samples(), record.n_samples());
    if !found.gaps.is_empty() {
        notes.push(if used == all {
            format!("Gaps of at most {} rows were bridged by straight lines.", arguments.gap_max)
        } else {
            format!(
                "Gaps of at most {} rows were bridged by straight lines; of the rest the longest stretch without a gap is used: \
                 {used} of {all} rows, from row {} of the data on.",
                arguments.gap_max,
                first + 1
            )
        });
    }
    let cut = (used as f64 * arguments.split).round() as usize;
    ensure!(
        cut > 2 * session::LAGS,
        "{shown}: {cut} rows without a gap for estimation are too few; at least {} are needed",
        2 * session::LAGS + 1
    );
    if let Some(name) = record.part(0..cut).constant_channels().first() {
        bail!(
            "{shown}: column `{name}` is constant in the estimation part; leave it out, or choose another --split"
        );
    }
    Ok(Source::File { record, notes, hash: runs::sha256(&bytes) })
}

/// The scenario, with what drives it checked.
fn service_of(arguments: &Arguments) -> anyhow::Result<Study> {
    let name = arguments.scenario.as_deref().unwrap_or("web-diurnal");
    let study = scenarios::named(name, arguments.smoke)?;
    if let Some(name) = &arguments.controller {
        let named = chosen_controller(name)?;
        controllers::check(&[named], &controllers::catalog(), &study)?;
    } else {
        let scenario = study.scenario();
        let flat = Plan { utilization: vec![1.0], factor: vec![1.0] };
        Excited::new(&scenario.facts(), flat).with_context(|| format!("--scenario {}", study.name))?;
    }
    Ok(study)
}

fn chosen_controller(name: &str) -> anyhow::Result<tidegate_autoscalers::NamedController> {
    let choice = Choice { controller: vec![name.to_owned()], ..Choice::default() };
    controllers::chosen(&choice, &controllers::catalog())?
        .pop()
        .ok_or_else(|| anyhow!("--controller: {name:?} is not known"))
}

/// How far inputs and output moved: what a model can be trusted for.
fn excited(estimation: &Record, validation: &Record) -> Table {
    let mut table = Table::new(
        "what was measured",
        &[
            "channel",
            "unit",
            "mean",
            "5 %",
            "95 %",
            "largest",
            "mean, validation",
            "5 %, validation",
            "95 %, validation",
            "largest, validation",
        ],
    );
    let channels = |record: &Record| record.inputs.iter().chain(&record.outputs).cloned().collect::<Vec<_>>();
    for (ours, theirs) in channels(estimation).iter().zip(&channels(validation)) {
        let summary = |values: &[f64]| {
            let mut sorted: Vec<f64> = values.to_vec();
            sorted.sort_by(f64::total_cmp);
            let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
            [tidegate_stats::mean(values), at(0.05), at(0.95), at(1.0)].map(number)
        };
        let cells = [ours.name.clone(), ours.unit.clone()].into_iter();
        table.row(cells.chain(summary(&ours.values)).chain(summary(&theirs.values)));
    }
    table
}

/// The study of feedback.
fn closed_loop(report: &mut Report, rows: &[BiasRow]) {
    report.heading(2, "Data under feedback");
    report.paragraph(format!(
        "A known system, y = B/A u + 1/A e with A = 1 − 1.2 q⁻¹ + 0.5 q⁻² and B = 0.6 q⁻¹ + 0.3 q⁻², drawn in open loop and under u = r − 0.4 y, \
         2,000 samples a record. Biased: the mean over the runs is more than {} of its own standard errors off. Prediction-error \
         models whose noise model can be right are not biased by feedback; output error, whose noise model is wrong here, and \
         plain subspace are (docs/identification.md).",
        feedback::Z_MAX
    ));
    let mut table = Table::new(
        "bias in open and in closed loop",
        &[
            "method",
            "data",
            "quantity",
            "runs",
            "truth",
            "mean",
            "deviation",
            "bias %",
            "bias / its error",
            "biased",
        ],
    );
    for row in rows {
        table.row([
            row.method.clone(),
            row.data.clone(),
            row.quantity.clone(),
            row.runs.to_string(),
            number(row.truth),
            format!("{:.4}", row.mean).replace('-', "−"),
            format!("{:.4}", row.standard_deviation),
            format!("{:+.2}", row.bias_percent).replace('-', "−"),
            format!("{:+.1}", row.bias_z).replace('-', "−"),
            if row.biased { "yes" } else { "no" }.to_owned(),
        ]);
    }
    report.table(table);
}
