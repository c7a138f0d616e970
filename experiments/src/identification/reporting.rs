//! What a control engineer reads of an identification: orders tried, models, fits on fresh data, residual tests, responses.

use std::path::Path;

use nalgebra::Complex;
use tidegate_core::{Channel, Record};
use tidegate_sysid::data::RecordExt;

use super::scores::{Horizon, Identified};
use super::session::{CONFIDENCE, LAGS, SETTLING, Session, Settings};
use crate::figures::identification::{
    Correlations, Course, Cross, Steps, measured_and_predicted, residual_correlations, step_responses,
};
use crate::outputs;
use crate::report::{Report, Table, number};
use crate::scores::csv_bytes;

/// Rows of the table of orders that a method gets.
const SHOWN: usize = 5;

/// Samples of the figure of courses; more than a screen shows is only bytes.
const DRAWN: usize = 480;

/// The whole report of a session, section by section.
pub fn sections(report: &mut Report, session: &Session, settings: &Settings) {
    report.heading(2, "Fit on fresh data");
    report.paragraph(format!(
        "Fit: 100 (1 − ‖y − ŷ‖/‖y − ȳ‖), in percent; 100 is exact, 0 is as good as the mean, below 0 is worse. RMSE in the unit of \
         the output. Predicted so many samples ahead from what was measured until then; simulation never sees the output and \
         starts at rest. The first {SETTLING} samples of a record, where a model at rest meets inputs that are not, are left out. \
         Validation data were not used for anything else."
    ));
    for output in &session.estimation.outputs {
        for data in ["validation", "estimation"] {
            if session.scores.iter().any(|row| row.data == data) {
                report.heading(3, format!("{}, {data} data", output.name));
                report.table(fits(session, settings, &output.name, data));
            }
        }
    }
    report.heading(2, "Residuals");
    report.paragraph(format!(
        "One-step errors on the estimation data, {LAGS} lags, bounds of {} %. White: Ljung–Box. Independent: no correlation with \
         the input at lags 0 to {LAGS} jointly, so nothing of its action was left out. Feedback: the input answers to earlier \
         residuals; no fault of the model, but then output-error and subspace models are biased.",
        number(100.0 * CONFIDENCE)
    ));
    report.table(residuals(session));
    report.heading(2, "Poles and zeros");
    report.table(poles(&session.identified));
    if !session.selection.is_empty() {
        report.heading(2, "Orders");
        report.paragraph(format!(
            "The best {SHOWN} of each method by the criterion; all {} that were tried are in selection.csv. nk counts the samples \
             from input to output; 0 acts within the sample.",
            session.selection.len()
        ));
        report.table(orders(session, settings));
    }
    if !session.refused.is_empty() {
        report.heading(2, "What gave no model");
        for (method, error) in &session.refused {
            report.paragraph(format!("{method}: {error}."));
        }
    }
    report.heading(2, "Models");
    for model in &session.identified {
        report.heading(3, model.structure.clone());
        for warning in &model.warnings {
            report.paragraph(format!("Warning: {warning}."));
        }
        report.verbatim(model.summary.trim_end());
    }
    figures(report, session, settings);
}

fn fits(session: &Session, settings: &Settings, output: &str, data: &str) -> Table {
    let mut header = vec!["model".to_owned()];
    header.extend(settings.horizons.iter().map(|it| horizon_name(*it)));
    header.extend(settings.horizons.iter().map(|it| format!("RMSE, {}", horizon_name(*it))));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = Table::new(&format!("{output}, {data} data: fit in percent, and RMSE"), &header);
    for model in &session.identified {
        let of = |horizon: &Horizon| {
            session.scores.iter().find(|row| {
                row.structure == model.structure
                    && row.output == output
                    && row.data == data
                    && row.horizon == horizon.name()
            })
        };
        let cells: Vec<_> = settings.horizons.iter().map(of).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let value = |cell: Option<f64>| cell.map_or_else(|| "–".into(), number);
        let fits = cells.iter().map(|cell| value(cell.map(|row| row.fit_percent)));
        let errors = cells.iter().map(|cell| value(cell.map(|row| row.rmse)));
        table.row(std::iter::once(model.structure.clone()).chain(fits).chain(errors));
    }
    table
}

fn horizon_name(horizon: Horizon) -> String {
    match horizon {
        Horizon::Ahead(steps) => format!("{steps} ahead"),
        Horizon::Free => "simulation".into(),
    }
}

fn residuals(session: &Session) -> Table {
    let mut table = Table::new(
        "residuals on the estimation data",
        &["model", "output", "Ljung–Box Q", "degrees", "p", "white", "independent of", "feedback"],
    );
    for row in &session.tests {
        table.row([
            row.structure.clone(),
            row.output.clone(),
            number(row.ljung_box_q),
            row.degrees_of_freedom.to_string(),
            number(row.p_value),
            if row.white { "yes" } else { "no" }.to_owned(),
            row.independent.clone(),
            row.feedback.clone(),
        ]);
    }
    table
}

fn poles(models: &[Identified]) -> Table {
    let mut table = Table::new("poles and zeros", &["model", "poles", "zeros, input by input"]);
    for model in models.iter().filter(|model| !model.poles.is_empty()) {
        let zeros: Vec<String> = model.zeros.iter().map(|zeros| roots(zeros)).collect();
        table.row([model.structure.clone(), roots(&model.poles), zeros.join("; ")]);
    }
    table
}

/// Roots as people write them: a pair once, with ±.
fn roots(roots: &[Complex<f64>]) -> String {
    if roots.is_empty() {
        return "–".into();
    }
    let shown: Vec<String> = roots
        .iter()
        .filter(|root| root.im >= 0.0)
        .map(|root| {
            if root.im < 1e-9 {
                number(root.re)
            } else {
                format!("{} ± {}i", number(root.re), number(root.im))
            }
        })
        .collect();
    shown.join(", ")
}

fn orders(session: &Session, settings: &Settings) -> Table {
    let mut table =
        Table::new("orders tried", &["structure", "parameters", "loss", settings.by.name(), "chosen"]);
    for rows in session.selection.chunk_by(|a, b| a.method == b.method) {
        for row in rows.iter().take(SHOWN) {
            table.row([
                row.structure.clone(),
                row.parameters.to_string(),
                row.loss.map_or_else(|| "–".into(), |loss| format!("{loss:.6e}")),
                row.value
                    .map_or_else(|| row.refused.clone(), |value| format!("{value:.6}").replace('-', "−")),
                if row.chosen { "yes".to_owned() } else { String::new() },
            ]);
        }
    }
    table
}

fn figures(report: &mut Report, session: &Session, settings: &Settings) {
    let (data, record, from) = if session.is_validated() {
        ("validation", &session.validation, session.validation_from)
    } else {
        ("estimation", &session.estimation, SETTLING)
    };
    // The second horizon is where models differ: one step ahead all look alike.
    let ahead =
        settings.horizons.iter().filter(|it| **it != Horizon::Free).nth(1).or(settings.horizons.first());
    let ahead = *ahead.expect("there is a horizon");
    for (index, output) in record.outputs.iter().enumerate() {
        let drawn = stretch(record, index, from);
        let times: Vec<f64> =
            drawn.clone().map(|t| t as f64 * record.step_seconds / time_unit(record).1).collect();
        let courses: Vec<Course> = session
            .identified
            .iter()
            .map(|model| {
                let column = |horizon: Horizon| -> Vec<f64> {
                    let course = model.course(record, horizon);
                    drawn.clone().map(|t| course[(t, index)]).collect()
                };
                let fit = |horizon: Horizon| {
                    let row = session.scores.iter().find(|row| {
                        row.structure == model.structure
                            && row.output == output.name
                            && row.data == data
                            && row.horizon == horizon.name()
                    });
                    row.map_or_else(|| "–".into(), |row| number(row.fit_percent))
                };
                Course {
                    caption: format!(
                        "{}: fit {} % ({}), {} % (simulation)",
                        model.structure,
                        fit(ahead),
                        horizon_name(ahead),
                        fit(Horizon::Free)
                    ),
                    predicted: column(ahead),
                    simulated: column(Horizon::Free),
                }
            })
            .collect();
        let measured: Vec<f64> = drawn.clone().map(|t| output.values[t]).collect();
        let heading = format!(
            "{}: measured and predicted, {data} data, samples {} to {}",
            output.name, drawn.start, drawn.end
        );
        let note = format!(
            "grey: measured; blue: predicted {}; orange: simulated; fits are over all samples",
            horizon_name(ahead)
        );
        let svg = measured_and_predicted(&heading, &note, time_unit(record).0, &times, &measured, &courses);
        let file = file_name("predicted", &output.name, record.outputs.len());
        report.figure(&file, "Measured, predicted and freely simulated output of each model.", svg);

        let correlations: Vec<Correlations> = session
            .residuals
            .iter()
            .filter(|(_, it, _)| *it == index)
            .map(|(model, _, tests)| Correlations {
                caption: session.identified[*model].structure.clone(),
                bound: tests.autocorrelation_bound,
                auto: tests.autocorrelation[1..].to_vec(),
                cross: tests
                    .cross_correlations
                    .iter()
                    .enumerate()
                    .map(|(input, cross)| Cross {
                        input: cross.input.clone(),
                        first_lag: -i32::try_from(LAGS).expect("there are few lags"),
                        values: cross.values.clone(),
                        bound: tests.cross_bound(input),
                    })
                    .collect(),
            })
            .collect();
        if !correlations.is_empty() {
            let svg = residual_correlations(
                &format!("{}: residuals on the estimation data", output.name),
                &correlations,
            );
            let file = file_name("residuals", &output.name, record.outputs.len());
            report.figure(
                &file,
                "Correlations of the one-step residuals of each model, with their bounds.",
                svg,
            );
        }
    }
    let panels: Vec<Steps> = record
        .inputs
        .iter()
        .enumerate()
        .flat_map(|(input, from)| {
            record.outputs.iter().enumerate().map(move |(output, to)| (input, from, output, to))
        })
        .map(|(input, from, output, to)| Steps {
            caption: format!("{} (+1{}) → {}{}", from.name, in_unit(" ", from), to.name, in_unit(", ", to)),
            models: session
                .identified
                .iter()
                .map(|model| (model.method.clone(), model.steps[input][output].clone()))
                .collect(),
        })
        .collect();
    if !panels.is_empty() {
        let (unit, scale) = time_unit(record);
        let svg = step_responses(
            "Step responses around the operating point",
            unit,
            record.step_seconds / scale,
            &panels,
        );
        report.figure("steps.svg", "Response of the output to a step of one unit in each input.", svg);
    }
}

/// The unit of a channel after a separator; nothing if it has none.
fn in_unit(separator: &str, channel: &Channel) -> String {
    if channel.unit.is_empty() { String::new() } else { format!("{separator}{}", channel.unit) }
}

/// Samples that are drawn: a stretch in which the output moves more than in most, but not the one accident of the day.
fn stretch(record: &Record, output: usize, first: usize) -> std::ops::Range<usize> {
    let n = record.n_samples();
    if n - first <= DRAWN {
        return first..n;
    }
    let values = &record.outputs[output].values;
    let spread = |from: usize| tidegate_stats::variance(&values[from..from + DRAWN]);
    let mut starts: Vec<usize> = (first..=n - DRAWN).step_by(DRAWN / 4).collect();
    starts.sort_by(|a, b| spread(*a).total_cmp(&spread(*b)));
    let from = starts[(starts.len() - 1) * 3 / 4];
    from..from + DRAWN
}

/// What the time axis counts in, and how many seconds that is.
fn time_unit(record: &Record) -> (&'static str, f64) {
    let seconds = record.step_seconds * record.n_samples().min(DRAWN) as f64;
    match seconds {
        _ if seconds > 7200.0 => ("hours", 3600.0),
        _ if seconds > 300.0 => ("minutes", 60.0),
        _ => ("seconds", 1.0),
    }
}

fn file_name(what: &str, output: &str, n_outputs: usize) -> String {
    let clean: String = output.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if n_outputs == 1 { format!("{what}.svg") } else { format!("{what}-{clean}.svg") }
}

/// Writes all tables and models of a session.
///
/// # Errors
/// If a file cannot be written.
pub fn write(out: &Path, session: &Session) -> anyhow::Result<()> {
    outputs::write(out, "runs.csv", &csv_bytes(&session.scores)?)?;
    outputs::write(out, "selection.csv", &csv_bytes(&session.selection)?)?;
    outputs::write(out, "residuals.csv", &csv_bytes(&session.tests)?)?;
    for model in &session.identified {
        let name: String = model
            .method
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        outputs::write(out, &format!("model-{name}.json"), model.json.as_bytes())?;
    }
    Ok(())
}
