//! The request engine held against queueing theory, and the fluid engine against both: rows and tables.
//!
//! A theory row grows its sample until the 99 % interval of the mean (batch means) lies inside the tolerance around
//! the closed form, or the sample is as large as it may get. Looking again and again makes the interval cover a
//! little less than 99 %; but it can only be passed with an estimate that is right to the tolerance.

use serde::{Deserialize, Serialize};
use tidegate_core::queueing::{
    MarkovQueue, md1_wait_mean_seconds, md1_wait_quantile_seconds, md1_wait_survival, mg1_wait_mean_seconds,
};
use tidegate_core::{Distribution, Seed};
use tidegate_sim::RunSummary;
use tidegate_sim::steady::{BOUND_SECONDS, SteadyQueue};

use crate::report::{Report, Table, dollars, number, percent, seconds};

/// Customers of the first look; each further look has half as many again.
const CUSTOMERS_FIRST: f64 = 2e6;

/// Below this delay probability a mean wait rests on too few who wait; the mean sojourn is taken instead.
const DELAY_PROBABILITY_MIN: f64 = 1e-3;

/// A relative error of a count that rests on fewer events than this is noise, and put in brackets.
const EVENTS_MIN: f64 = 1000.0;

/// Above this relative error of total dollars the fluid engine is named as failing.
const DOLLARS_TOLERANCE: f64 = 0.1;

const EXPONENTIAL: &str = r#"{ kind = "exponential", mean_seconds = 1 }"#;
const CONSTANT: &str = r#"{ kind = "constant", seconds = 1 }"#;
const LOG_NORMAL: &str = r#"{ kind = "log_normal", mean_seconds = 1, coefficient_of_variation = 1.0 }"#;
const HYPER: &str = r#"{ kind = "hyper_exponential", mean_seconds = 1, coefficient_of_variation = 1.5 }"#;

/// A queue with a closed form; mean work is 1 s.
#[derive(Clone, Debug)]
pub struct TheoryQueue {
    /// In Kendall's notation.
    pub name: &'static str,
    law: Law,
    queue: SteadyQueue,
}

#[derive(Clone, Copy, Debug)]
enum Law {
    Markov(MarkovQueue),
    Deterministic,
    /// Squared coefficient of variation of the work.
    General(f64),
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Mean wait.
    Wait,
    /// Mean time in system.
    Sojourn,
}

/// How long a row goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// The interval has to lie inside this share of theory on both sides of it.
    pub tolerance: f64,
    /// No look after so many customers.
    pub customers_max: f64,
}

/// One queue, measured. Cells are empty where there is no closed form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it
pub struct TheoryRow {
    pub queue: String,
    pub replicas: u32,
    pub slots_per_replica: u32,
    pub utilization: f64,
    pub statistic: Statistic,
    pub theory_seconds: f64,
    pub measured_seconds: f64,
    /// Of the 99 % interval.
    pub half_width_seconds: f64,
    pub customers: f64,
    /// How often the interval was looked at.
    pub looks: u32,
    /// Whether it lies inside the tolerance.
    pub inside: bool,
    /// Relative difference of the two sides of Little's law over the whole run.
    pub little_error: f64,
    /// P(T > three service times).
    pub late_theory: Option<f64>,
    pub late_measured: f64,
    pub p50_theory_seconds: Option<f64>,
    pub p50_measured_seconds: f64,
    pub p95_theory_seconds: Option<f64>,
    pub p95_measured_seconds: f64,
    pub p99_theory_seconds: Option<f64>,
    pub p99_measured_seconds: f64,
    pub wait_theory_seconds: f64,
    pub fluid_wait_seconds: f64,
    pub fluid_late: f64,
}

impl TheoryQueue {
    /// All queues at these utilizations.
    pub fn all(utilizations: &[f64]) -> Vec<Self> {
        let works = [
            ("M/M/1", EXPONENTIAL, 1, 1),
            ("M/M/5", EXPONENTIAL, 5, 1),
            // Slots of one replica and replicas of one slot are the same queue.
            ("M/M/10", EXPONENTIAL, 5, 2),
            ("M/M/50", EXPONENTIAL, 50, 1),
            ("M/D/1", CONSTANT, 1, 1),
            ("M/G/1 log-normal, CV 1", LOG_NORMAL, 1, 1),
            ("M/G/1 hyper-exponential, CV 1.5", HYPER, 1, 1),
        ];
        let mut queues = Vec::new();
        for utilization in utilizations {
            for (name, work, replicas, concurrency) in works {
                let slots = replicas * concurrency;
                let law = match work {
                    CONSTANT => Law::Deterministic,
                    LOG_NORMAL => Law::General(Distribution::log_normal(1.0, 1.0).scv()),
                    HYPER => Law::General(Distribution::hyper_exponential(1.0, 1.5).scv()),
                    _ => Law::Markov(
                        MarkovQueue::new(slots, utilization * f64::from(slots), 1.0)
                            .expect("utilizations are below 1"),
                    ),
                };
                let utilization = *utilization;
                let queue =
                    SteadyQueue { work, replicas, concurrency, balancer: "central_queue", utilization };
                queues.push(Self { name, law, queue });
            }
        }
        queues
    }

    /// For example `M/M/5 at 0.8`.
    pub fn title(&self) -> String {
        format!("{} at {}", self.name, self.queue.utilization)
    }

    /// Offered load over slots.
    pub fn utilization(&self) -> f64 {
        self.queue.utilization
    }

    fn wait_mean_seconds(&self) -> f64 {
        let rate = self.queue.utilization;
        match self.law {
            Law::Markov(queue) => queue.wait_mean_seconds(),
            Law::Deterministic => md1_wait_mean_seconds(rate, 1.0),
            Law::General(scv) => mg1_wait_mean_seconds(rate, 1.0, scv),
        }
    }

    fn statistic(&self) -> Statistic {
        match self.law {
            Law::Markov(queue) if queue.delay_probability < DELAY_PROBABILITY_MIN => Statistic::Sojourn,
            _ => Statistic::Wait,
        }
    }

    fn late(&self) -> Option<f64> {
        match self.law {
            Law::Markov(queue) => Some(queue.sojourn_survival(BOUND_SECONDS)),
            Law::Deterministic => Some(md1_wait_survival(self.queue.utilization, 1.0, BOUND_SECONDS - 1.0)),
            Law::General(_) => None,
        }
    }

    fn sojourn_quantile_seconds(&self, p: f64) -> Option<f64> {
        match self.law {
            Law::Markov(queue) => Some(queue.sojourn_quantile_seconds(p)),
            Law::Deterministic => Some(1.0 + md1_wait_quantile_seconds(self.queue.utilization, 1.0, p)),
            Law::General(_) => None,
        }
    }

    /// Serves customers until the interval is inside the tolerance or there were enough of them.
    pub fn measure(&self, effort: Effort, seed: Seed) -> TheoryRow {
        let statistic = self.statistic();
        let wait_theory_seconds = self.wait_mean_seconds();
        let theory_seconds = match statistic {
            Statistic::Wait => wait_theory_seconds,
            Statistic::Sojourn => 1.0 + wait_theory_seconds,
        };
        let mut run = self.queue.run(seed);
        let mut customers = CUSTOMERS_FIRST.min(effort.customers_max);
        let mut looks = 0;
        loop {
            let measured = run.serve(customers);
            looks += 1;
            let (measured_seconds, half_width_seconds) = match statistic {
                Statistic::Wait => (measured.wait_seconds, measured.half_width_seconds),
                Statistic::Sojourn => (measured.sojourn_seconds, measured.sojourn_half_width_seconds),
            };
            let farthest = (measured_seconds - theory_seconds).abs() + half_width_seconds;
            let inside = farthest <= effort.tolerance * theory_seconds;
            if !inside && measured.customers < effort.customers_max {
                customers = (measured.customers / 2.0).min(effort.customers_max - measured.customers);
                continue;
            }
            let fluid = self.queue.expected(seed, 1e6);
            return TheoryRow {
                queue: self.name.to_owned(),
                replicas: self.queue.replicas,
                slots_per_replica: self.queue.concurrency,
                utilization: self.queue.utilization,
                statistic,
                theory_seconds,
                measured_seconds,
                half_width_seconds,
                customers: measured.customers,
                looks,
                inside,
                little_error: measured.little,
                late_theory: self.late(),
                late_measured: measured.above,
                p50_theory_seconds: self.sojourn_quantile_seconds(0.5),
                p50_measured_seconds: run.sojourn_quantile_seconds(0.5),
                p95_theory_seconds: self.sojourn_quantile_seconds(0.95),
                p95_measured_seconds: run.sojourn_quantile_seconds(0.95),
                p99_theory_seconds: self.sojourn_quantile_seconds(0.99),
                p99_measured_seconds: run.sojourn_quantile_seconds(0.99),
                wait_theory_seconds,
                fluid_wait_seconds: fluid.wait_seconds,
                fluid_late: fluid.above,
            };
        }
    }
}

/// What one engine made of one run. Every column has its unit in its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it; each is documented in `RunSummary`
pub struct EngineRow {
    pub scenario: String,
    pub controller: String,
    pub training_seed: u64,
    pub engine: String,
    pub users: f64,
    pub users_above: f64,
    pub excess_milliseconds: f64,
    pub users_gave_up: f64,
    pub latency_seconds: f64,
    pub windows_violated: f64,
    pub replica_hours: f64,
    /// Energy included.
    pub dollars_instances: f64,
    pub dollars_penalty: f64,
}

impl EngineRow {
    /// The row of a run.
    pub fn new(
        scenario: &str,
        controller: &str,
        training_seed: u64,
        engine: &str,
        summary: &RunSummary,
    ) -> Self {
        Self {
            scenario: scenario.to_owned(),
            controller: controller.to_owned(),
            training_seed,
            engine: engine.to_owned(),
            users: summary.service.users,
            users_above: summary.service.users_above,
            excess_milliseconds: summary.service.excess_milliseconds,
            users_gave_up: summary.service.users_gave_up,
            latency_seconds: summary.service.latency_seconds,
            windows_violated: summary.service.windows_violated,
            replica_hours: summary.replica_hours,
            dollars_instances: summary.charge.instances + summary.charge.energy,
            dollars_penalty: summary.charge.penalty,
        }
    }

    fn dollars_total(&self) -> f64 {
        self.dollars_instances + self.dollars_penalty
    }
}

/// One world on both engines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Every request.
    pub request: EngineRow,
    /// One analytic step a tick.
    pub fluid: EngineRow,
}

/// The request engine and the fluid engine against theory.
pub fn theory(report: &mut Report, rows: &[TheoryRow], effort: Effort) {
    report.heading(2, "Request engine against queueing theory");
    let n_inside = rows.iter().filter(|row| row.inside).count();
    let tolerance = percent(effort.tolerance);
    report.paragraph(format!(
        "{n_inside} of {} rows: the 99 % interval of the mean lies inside ±{tolerance} of theory. Mean work is 1 s, one \
         central queue, Poisson arrivals. The interval is by batch means, and every look at it has half as many \
         customers again as the one before; a row ends at {:.3} million customers, inside or not. `off` is measured \
         over theory; `interval` is half of the width over theory; `Little` is the relative difference between the \
         integral of the number in the system and the summed times in it. Where fewer than {} of the customers wait \
         the mean wait says nothing, and the mean time in system is taken.",
        rows.len(),
        effort.customers_max / 1e6,
        percent(DELAY_PROBABILITY_MIN),
    ));
    let header = [
        "queue",
        "replicas × slots",
        "utilization",
        "mean",
        "theory",
        "measured",
        "off",
        "interval",
        "million customers",
        "looks",
        "inside",
        "Little",
    ];
    let mut table = Table::new("Request engine against theory: means", &header);
    for row in rows {
        table.row([
            row.queue.clone(),
            format!("{} × {}", row.replicas, row.slots_per_replica),
            row.utilization.to_string(),
            match row.statistic {
                Statistic::Wait => "wait".into(),
                Statistic::Sojourn => "in system".into(),
            },
            digits(row.theory_seconds),
            digits(row.measured_seconds),
            off(row.measured_seconds, row.theory_seconds),
            format!("±{:.2} %", 100.0 * row.half_width_seconds / row.theory_seconds),
            format!("{:.1}", row.customers / 1e6),
            row.looks.to_string(),
            if row.inside { "yes" } else { "no" }.into(),
            format!("{:.0e}", row.little_error),
        ]);
    }
    report.table(table);

    report.paragraph(
        "Tails of the time in system, where a closed form exists. `late` is P(T > 3 s), counted one by one. Quantiles \
         are read from the plant's histogram of two digits, whose cells are 0.4 % to 0.8 % wide: a quantile is the \
         middle of its cell, so up to 0.4 % of `off` is the histogram's.",
    );
    let header = [
        "queue",
        "utilization",
        "late, theory",
        "measured",
        "off",
        "p50, theory",
        "measured",
        "off",
        "p95, theory",
        "measured",
        "off",
        "p99, theory",
        "measured",
        "off",
    ];
    let mut table = Table::new("Request engine against theory: tails", &header);
    for row in rows {
        let Some(late) = row.late_theory else { continue };
        let mut cells = vec![
            row.queue.clone(),
            row.utilization.to_string(),
            format!("{:.4} %", 100.0 * late),
            format!("{:.4} %", 100.0 * row.late_measured),
            off(row.late_measured, late),
        ];
        for (theory, measured) in [
            (row.p50_theory_seconds, row.p50_measured_seconds),
            (row.p95_theory_seconds, row.p95_measured_seconds),
            (row.p99_theory_seconds, row.p99_measured_seconds),
        ] {
            let theory = theory.expect("where the tail has a closed form, the quantiles have");
            cells.extend([digits(theory), digits(measured), off(measured, theory)]);
        }
        table.row(cells);
    }
    report.table(table);

    report.heading(2, "Fluid engine against queueing theory");
    report.paragraph(
        "The same queues on the fluid engine, whose users are the whole numbers that come in a world of this seed, so \
         that its load is not exactly the stated one. Where the tail has no closed form, the fluid engine's is held \
         against what the request engine counted (marked *).",
    );
    let header =
        ["queue", "utilization", "mean wait, theory", "fluid", "off", "late, theory", "fluid", "off"];
    let mut table = Table::new("Fluid engine against theory", &header);
    for row in rows {
        let late = row.late_theory.unwrap_or(row.late_measured);
        table.row([
            row.queue.clone(),
            row.utilization.to_string(),
            digits(row.wait_theory_seconds),
            digits(row.fluid_wait_seconds),
            off(row.fluid_wait_seconds, row.wait_theory_seconds),
            format!("{:.4} %{}", 100.0 * late, if row.late_theory.is_some() { "" } else { " *" }),
            format!("{:.4} %", 100.0 * row.fluid_late),
            off(row.fluid_late, late),
        ]);
    }
    report.table(table);
}

/// The fluid engine against the request engine; `pairs` in the order of the sweep.
pub fn engines(report: &mut Report, pairs: &[Pair], notes: &[String]) {
    let cells: Vec<Cell<'_>> = pairs
        .chunk_by(|a, b| {
            (&a.request.scenario, &a.request.controller) == (&b.request.scenario, &b.request.controller)
        })
        .map(|pairs| Cell { pairs })
        .collect();
    report.heading(2, "Fluid engine against request engine");
    report.paragraph(format!(
        "{} training seeds a row; both engines meet the same users of a seed, and the controller decides on what each \
         engine shows it. {}",
        cells.first().map_or(0, |cell| cell.pairs.len()),
        notes.join(" ")
    ));
    report.paragraph("What the request engine gives, mean of a run:");
    let header = [
        "scenario, controller",
        "users",
        "late",
        "gave up",
        "latency mean",
        "windows violated",
        "replica-hours",
        "instances $",
        "penalty $",
        "total $",
    ];
    let mut table = Table::new("Request engine, mean of a run", &header);
    for cell in &cells {
        let mean = |of: fn(&EngineRow) -> f64| cell.sums(of).1 / cell.pairs.len() as f64;
        let users = mean(|row| row.users);
        table.row([
            cell.title(),
            number(users),
            percent(mean(|row| row.users_above) / users),
            percent(mean(|row| row.users_gave_up) / users),
            seconds(mean(|row| row.latency_seconds) / (users - mean(|row| row.users_gave_up))),
            number(mean(|row| row.windows_violated)),
            number(mean(|row| row.replica_hours)),
            dollars(mean(|row| row.dollars_instances)),
            dollars(mean(|row| row.dollars_penalty)),
            dollars(mean(EngineRow::dollars_total)),
        ]);
    }
    report.table(table);

    report.paragraph(format!(
        "Relative error, (fluid − request) / request, of the mean over the seeds. In brackets where the request engine \
         counted fewer than {EVENTS_MIN} events in all runs together (users who were late or gave up; for windows, fewer \
         than 20 windows), so that chance alone may explain it; × n where fluid is more than ten times request; – where \
         request counted none.",
    ));
    let header = [
        "scenario, controller",
        "users",
        "late",
        "excess ms",
        "gave up",
        "latency sum",
        "latency mean",
        "windows violated",
        "replica-hours",
        "instances $",
        "penalty $",
        "total $",
    ];
    let mut table = Table::new("Relative error of the fluid engine", &header);
    for cell in &cells {
        let (_, late) = cell.sums(|row| row.users_above);
        let (_, gave_up) = cell.sums(|row| row.users_gave_up);
        let (_, windows) = cell.sums(|row| row.windows_violated);
        let all = |of: fn(&EngineRow) -> f64| bracketed(cell.sums(of), true);
        let (fluid_latency, request_latency) = cell.sums(|row| row.latency_seconds);
        let (fluid_succeeded, request_succeeded) = cell.sums(|row| row.users - row.users_gave_up);
        table.row([
            cell.title(),
            all(|row| row.users),
            bracketed(cell.sums(|row| row.users_above), late >= EVENTS_MIN),
            bracketed(cell.sums(|row| row.excess_milliseconds), late >= EVENTS_MIN),
            bracketed(cell.sums(|row| row.users_gave_up), gave_up >= EVENTS_MIN),
            all(|row| row.latency_seconds),
            off(fluid_latency / fluid_succeeded, request_latency / request_succeeded),
            bracketed(cell.sums(|row| row.windows_violated), windows >= 20.0),
            all(|row| row.replica_hours),
            all(|row| row.dollars_instances),
            bracketed(cell.sums(|row| row.dollars_penalty), late + gave_up >= EVENTS_MIN),
            all(EngineRow::dollars_total),
        ]);
    }
    report.table(table);

    report.paragraph(
        "Total dollars seed by seed, and where the error comes from: the errors of instances and of the penalty, each \
         over the request engine's total. `same order` says whether both engines rank the scenario's controllers alike \
         by mean total dollars.",
    );
    let header = [
        "scenario, controller",
        "request $",
        "fluid $",
        "off",
        "least, over seeds",
        "most",
        "by instances",
        "by penalty",
        "same order",
    ];
    let mut table = Table::new("Total dollars on both engines", &header);
    for scenario in cells.chunk_by(|a, b| a.scenario() == b.scenario()) {
        let order = |engine: fn(&Cell<'_>) -> f64| {
            let mut ranks: Vec<usize> = (0..scenario.len()).collect();
            ranks.sort_by(|a, b| engine(&scenario[*a]).total_cmp(&engine(&scenario[*b])));
            ranks
        };
        let same = order(|cell| cell.sums(EngineRow::dollars_total).0)
            == order(|cell| cell.sums(EngineRow::dollars_total).1);
        for cell in scenario {
            let (fluid, request) = cell.sums(EngineRow::dollars_total);
            let n = cell.pairs.len() as f64;
            let by_seed: Vec<f64> = cell
                .pairs
                .iter()
                .map(|pair| pair.fluid.dollars_total() / pair.request.dollars_total() - 1.0)
                .collect();
            let part = |of: fn(&EngineRow) -> f64| {
                let (fluid, own) = cell.sums(of);
                signed((fluid - own) / request)
            };
            table.row([
                cell.title(),
                dollars(request / n),
                dollars(fluid / n),
                off(fluid, request),
                signed(by_seed.iter().copied().fold(f64::INFINITY, f64::min)),
                signed(by_seed.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
                part(|row| row.dollars_instances),
                part(|row| row.dollars_penalty),
                if same { "yes" } else { "no" }.into(),
            ]);
        }
    }
    report.table(table);

    let error = |cell: &Cell<'_>| {
        let (fluid, request) = cell.sums(EngineRow::dollars_total);
        fluid / request - 1.0
    };
    let mut wrong: Vec<&Cell<'_>> =
        cells.iter().filter(|cell| error(cell).abs() > DOLLARS_TOLERANCE).collect();
    wrong.sort_by(|a, b| error(b).abs().total_cmp(&error(a).abs()));
    let named: Vec<String> =
        wrong.iter().map(|cell| format!("{} ({})", cell.title(), signed(error(cell)))).collect();
    report.paragraph(format!(
        "The fluid engine's total dollars are within {} of the request engine's in {} of {} rows. Not in: {}.",
        percent(DOLLARS_TOLERANCE),
        cells.len() - wrong.len(),
        cells.len(),
        if named.is_empty() { "none".to_owned() } else { named.join("; ") }
    ));
}

/// All seeds of one scenario and controller.
struct Cell<'a> {
    pairs: &'a [Pair],
}

impl Cell<'_> {
    fn scenario(&self) -> &str {
        &self.pairs[0].request.scenario
    }

    fn title(&self) -> String {
        format!("{}, {}", self.scenario(), self.pairs[0].request.controller)
    }

    /// Fluid and request, summed over the seeds.
    fn sums(&self, of: impl Fn(&EngineRow) -> f64) -> (f64, f64) {
        self.pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + of(&pair.fluid), sum.1 + of(&pair.request)))
    }
}

fn bracketed((fluid, request): (f64, f64), is_enough: bool) -> String {
    let text = off(fluid, request);
    if is_enough || request == 0.0 { text } else { format!("({text})") }
}

fn off(value: f64, truth: f64) -> String {
    // 0/0: nobody succeeded, so there is no mean.
    if truth == 0.0 || truth.is_nan() { "–".into() } else { signed(value / truth - 1.0) }
}

/// A relative error; multiples where percents are no longer read.
fn signed(share: f64) -> String {
    if share > 9.0 {
        return format!("× {}", number(1.0 + share));
    }
    let text = if share.abs() < 0.0995 {
        format!("{:+.2} %", 100.0 * share)
    } else {
        format!("{:+.0} %", 100.0 * share)
    };
    text.replace('-', "−")
}

/// Four digits: a per mille has to be seen.
fn digits(value: f64) -> String {
    match value {
        _ if value >= 99.995 => format!("{value:.1} s"),
        _ if value >= 9.9995 => format!("{value:.2} s"),
        _ if value >= 0.99995 => format!("{value:.3} s"),
        _ if value >= 0.001 => format!("{value:.4} s"),
        _ => format!("{value:.1e} s").replace('-', "−"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_people_write_them() {
        let cases = [(0.0, "+0.00 %"), (-0.0123, "−1.23 %"), (0.25, "+25 %"), (41.0, "× 42.0")];
        for (share, expected) in cases {
            assert_eq!(signed(share), expected);
        }
        assert_eq!(off(f64::NAN, f64::NAN), "–");
        assert_eq!((off(1.0, 0.0), bracketed((1.1, 1.0), false)), ("–".into(), "(+10 %)".into()));
        assert_eq!((digits(19.0), digits(0.00762)), ("19.00 s".into(), "0.0076 s".into()));
    }

    /// A row stops at the first look that is inside, else at the cap, and one that may look once says so.
    #[test]
    fn a_row_says_whether_it_got_inside() {
        let queue = &TheoryQueue::all(&[0.5])[0];
        let seed = Seed::training(0);
        let loose = queue.measure(Effort { tolerance: 0.1, customers_max: 4e6 }, seed);
        assert!(loose.inside && loose.looks == 1, "{loose:?}");
        assert!((loose.measured_seconds - 1.0).abs() < 0.1 && loose.little_error < 1e-3, "{loose:?}");
        let tight = queue.measure(Effort { tolerance: 1e-9, customers_max: 2.5e6 }, seed);
        assert!(!tight.inside && tight.looks == 2 && tight.customers >= 2.5e6, "{tight:?}");
    }
}
