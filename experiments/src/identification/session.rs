//! One identification from end to end: orders chosen, models fitted, scored on fresh data, residuals tested.

use std::num::NonZeroU32;

use anyhow::{bail, ensure};
use serde::Serialize;
use tidegate_core::Record;
use tidegate_sysid::data::RecordExt;
use tidegate_sysid::residuals::{ResidualReport, Verdict};
use tidegate_sysid::selection::Candidate;
use tidegate_sysid::{InputOrders, Orders, Structure};

use super::models;
use super::scores::{Horizon, Identified, ScoreRow};
use super::selection::{By, Grid, SelectionRow, candidates, choose, delays};

/// Lags of the residual tests.
pub const LAGS: usize = 25;

/// Confidence of their bounds.
pub const CONFIDENCE: f64 = 0.99;

/// What to identify, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Horizons of the scores, free simulation last.
    pub horizons: Vec<Horizon>,
    /// Orders that were given; what is not given is chosen.
    pub fixed: Option<Fixed>,
    /// Where orders are looked for.
    pub grid: Grid,
    /// What they are chosen by.
    pub by: By,
}

/// Orders given by the user, the same for every input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Order of A.
    pub na: usize,
    /// Coefficients of B.
    pub nb: usize,
    /// Order of C.
    pub nc: usize,
    /// Order of D.
    pub nd: usize,
    /// Order of F.
    pub nf: usize,
    /// Delay.
    pub nk: usize,
    /// States of the subspace model; 0 to choose.
    pub n: usize,
}

impl Fixed {
    /// Reads `na=2,nb=2,nk=1`; what is not named is 0, but for `nb` and `nf`, which are `na`, and `nk`, which is 1.
    ///
    /// # Errors
    /// What is wrong, with what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut found = Self { nk: 1, ..Self::default() };
        let (mut nb, mut nf) = (None, None);
        for part in text.split(',') {
            let wrong = || {
                format!(
                    "{part:?} must be one of na, nb, nc, nd, nf, nk, n, an equals sign and a whole number up to 100"
                )
            };
            let (name, value) = part.trim().split_once('=').ok_or_else(wrong)?;
            let value: usize = value.trim().parse().ok().filter(|value| *value <= 100).ok_or_else(wrong)?;
            match name.trim() {
                "na" => found.na = value,
                "nb" => nb = Some(value),
                "nc" => found.nc = value,
                "nd" => found.nd = value,
                "nf" => nf = Some(value),
                "nk" => found.nk = value,
                "n" => found.n = value,
                _ => return Err(wrong()),
            }
        }
        found.nb = nb.unwrap_or_else(|| found.na.max(1));
        found.nf = nf.unwrap_or(found.na);
        if found.nb == 0 {
            return Err("nb is 0, but must be at least 1".into());
        }
        Ok(found)
    }

    fn orders(&self, structure: Structure, n_inputs: usize) -> Orders {
        use Structure::{Ar, Arma, Armax, Arx, BoxJenkins, OutputError};
        let is =
            |structures: &[Structure], order: usize| if structures.contains(&structure) { order } else { 0 };
        let input = InputOrders { nb: self.nb, nf: is(&[OutputError, BoxJenkins], self.nf), nk: self.nk };
        Orders {
            na: is(&[Ar, Arx, Arma, Armax], self.na),
            nc: is(&[Arma, Armax, BoxJenkins], self.nc),
            nd: is(&[BoxJenkins], self.nd),
            inputs: vec![input; n_inputs],
        }
    }
}

/// The residual tests of one model: a row of `residuals.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it; formulas are in docs/identification.md
pub struct TestRow {
    pub method: String,
    pub structure: String,
    pub output: String,
    pub lags: usize,
    pub ljung_box_q: f64,
    pub degrees_of_freedom: usize,
    pub p_value: f64,
    pub white: bool,
    /// For each input whether the residuals are independent of its past.
    pub independent: String,
    /// For each input whether it is independent of past residuals: `feedback` is no fault of the model.
    pub feedback: String,
}

/// What came out.
pub struct Session {
    /// Data that models were fitted to.
    pub estimation: Record,
    /// Data that they were scored on, from [`Session::validation_from`] on; what stands before, models may have seen.
    pub validation: Record,
    /// The first sample that is scored.
    pub validation_from: usize,
    /// Everything that was tried for orders.
    pub selection: Vec<SelectionRow>,
    /// The models, in the order of reports.
    pub identified: Vec<Identified>,
    /// Methods that gave none, and why.
    pub refused: Vec<(String, String)>,
    /// Scores.
    pub scores: Vec<ScoreRow>,
    /// Residual tests on the estimation data.
    pub tests: Vec<TestRow>,
    /// The same with all correlations, for figures: position of the model, position of the output, report.
    pub residuals: Vec<(usize, usize, ResidualReport)>,
}

/// Structures for data with inputs, and for time series.
const WITH_INPUTS: [Structure; 4] =
    [Structure::Arx, Structure::Armax, Structure::OutputError, Structure::BoxJenkins];
const WITHOUT_INPUTS: [Structure; 2] = [Structure::Ar, Structure::Arma];

/// Models of other kinds by name, or why there is none.
pub type More = Vec<(String, Result<Identified, String>)>;

/// Samples at the start of a record that are not scored: there a model at rest meets inputs that are not.
pub const SETTLING: usize = 25;

/// Fits all methods that apply and scores them on the validation record from `validation_from` on; `more` are models of other kinds, fitted by the caller on the same estimation data.
///
/// # Errors
/// If the records are too short for anything, or no method gives a model.
pub fn carry_out(
    estimation: Record,
    validation: Record,
    validation_from: usize,
    settings: &Settings,
    more: &dyn Fn(&Record) -> More,
) -> anyhow::Result<Session> {
    let n = estimation.n_samples();
    ensure!(
        n > 2 * LAGS,
        "{n} samples are too few to identify and test anything; at least {} are needed",
        2 * LAGS + 1
    );
    let mut session = Session {
        estimation,
        validation,
        validation_from,
        selection: Vec::new(),
        identified: Vec::new(),
        refused: Vec::new(),
        scores: Vec::new(),
        tests: Vec::new(),
        residuals: Vec::new(),
    };
    let record = &session.estimation;
    if record.outputs.len() == 1 {
        let structures: &[Structure] = if record.inputs.is_empty() { &WITHOUT_INPUTS } else { &WITH_INPUTS };
        let nk = match (settings.fixed, record.inputs.is_empty()) {
            (None, false) => delays(record, &settings.grid).map_err(|error| anyhow::anyhow!("{error}"))?,
            _ => Vec::new(),
        };
        for structure in structures {
            let grid = match settings.fixed {
                Some(fixed) => vec![Candidate {
                    structure: *structure,
                    orders: fixed.orders(*structure, record.inputs.len()),
                }],
                None => candidates(*structure, &nk, &settings.grid),
            };
            match choose(*structure, &grid, record, settings.by) {
                Ok((model, rows)) => {
                    session.selection.extend(rows);
                    session.identified.push(models::input_output(model, record));
                }
                Err(error) => session.refused.push((structure.name().into(), error.to_string())),
            }
        }
    }
    let order = settings.fixed.map(|fixed| fixed.n).filter(|n| *n > 0);
    match models::subspace(order, record) {
        Ok(model) => session.identified.push(models::state_space(model, record)),
        Err(error) => session.refused.push(("subspace".into(), error.to_string())),
    }
    for (name, outcome) in more(record) {
        match outcome {
            Ok(model) => session.identified.push(model),
            Err(error) => session.refused.push((name, error)),
        }
    }
    if session.identified.is_empty() {
        let said: Vec<String> =
            session.refused.iter().map(|(name, error)| format!("{name}: {error}")).collect();
        bail!("no method gave a model; {}", said.join("; "));
    }
    for model in &session.identified {
        session.scores.extend(model.scores("estimation", &session.estimation, SETTLING, &settings.horizons));
        if session.is_validated() {
            session.scores.extend(model.scores(
                "validation",
                &session.validation,
                validation_from,
                &settings.horizons,
            ));
        }
    }
    session.test();
    Ok(session)
}

impl Session {
    /// Whether there is anything to validate on.
    pub fn is_validated(&self) -> bool {
        self.validation.n_samples() > self.validation_from
    }

    /// Tests the one-step residuals of all models on the estimation data.
    fn test(&mut self) {
        let one = Horizon::Ahead(NonZeroU32::MIN);
        for (position, model) in self.identified.iter().enumerate() {
            let predicted = model.course(&self.estimation, one);
            for (index, output) in self.estimation.outputs.iter().enumerate() {
                let errors: Vec<f64> =
                    output.values.iter().zip(predicted.column(index).iter()).map(|(y, p)| y - p).collect();
                // The start, where a predictor has not seen enough.
                let first = errors.iter().position(|it| it.is_finite()).unwrap_or(0).max(SETTLING);
                let errors = &errors[first.min(errors.len())..];
                let inputs: Vec<(&str, &[f64])> = self
                    .estimation
                    .inputs
                    .iter()
                    .map(|input| (input.name.as_str(), &input.values[first.min(input.values.len())..]))
                    .collect();
                match ResidualReport::new(errors, &inputs, LAGS, model.n_noise_parameters, CONFIDENCE) {
                    Ok(report) => {
                        self.tests.push(row(model, &output.name, &report));
                        self.residuals.push((position, index, report));
                    }
                    Err(error) => {
                        self.refused.push((format!("residual tests of {}", model.method), error.to_string()));
                    }
                }
            }
        }
    }
}

fn row(model: &Identified, output: &str, report: &ResidualReport) -> TestRow {
    let each = |verdict: &dyn Fn(usize) -> Verdict, passed: &str, failed: &str| -> String {
        let said: Vec<String> = report
            .cross_correlations
            .iter()
            .enumerate()
            .map(|(index, cross)| match verdict(index) {
                Verdict::Passed => format!("{}: {passed}", cross.input),
                Verdict::Failed { lag, .. } => format!("{}: {failed} {lag}", cross.input),
            })
            .collect();
        said.join("; ")
    };
    TestRow {
        method: model.method.clone(),
        structure: model.structure.clone(),
        output: output.to_owned(),
        lags: LAGS,
        ljung_box_q: report.ljung_box.q,
        degrees_of_freedom: report.ljung_box.degrees_of_freedom,
        p_value: report.ljung_box.p_value,
        white: report.whiteness() == Verdict::Passed,
        independent: each(&|index| report.independence(index), "yes", "no, at lag"),
        feedback: each(&|index| report.no_feedback(index), "none", "at lag"),
    }
}

/// The record with gaps of at most `gap_max` samples bridged by straight lines, cut to its longest stretch without a gap; and
/// where that begins.
///
/// # Errors
/// If channels are not alike, or every sample has a gap.
pub fn whole(record: &Record, gap_max: usize) -> anyhow::Result<(usize, Record)> {
    let filled = record.filled(gap_max)?;
    // Of equals the first.
    let longest = filled.segments(1).into_iter().rev().max_by_key(std::iter::ExactSizeIterator::len);
    let longest = longest.ok_or_else(|| anyhow::anyhow!("every row has a gap"))?;
    Ok((longest.start, filled.part(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::Channel;

    #[test]
    fn orders_are_read_as_written() {
        let check = |text: &str, expected: &str| {
            let said = Fixed::parse(text).map_or_else(|error| error, |it| format!("{it:?}"));
            assert_eq!(said, expected);
        };
        check("na=2,nb=3, nc=1", "Fixed { na: 2, nb: 3, nc: 1, nd: 0, nf: 2, nk: 1, n: 0 }");
        check("nf=2,nb=2,nk=3,n=4", "Fixed { na: 0, nb: 2, nc: 0, nd: 0, nf: 2, nk: 3, n: 4 }");
        check(
            "na=2,nx=3",
            "\"nx=3\" must be one of na, nb, nc, nd, nf, nk, n, an equals sign and a whole number up to 100",
        );
        check(
            "na",
            "\"na\" must be one of na, nb, nc, nd, nf, nk, n, an equals sign and a whole number up to 100",
        );
        check("nb=0", "nb is 0, but must be at least 1");
    }

    #[test]
    fn short_gaps_are_bridged_and_the_longest_stretch_is_kept() {
        let nan = f64::NAN;
        let channel =
            |values: &[f64]| Channel { name: "x".into(), unit: "1".into(), values: values.to_vec() };
        let record = Record {
            step_seconds: 1.0,
            inputs: vec![channel(&[1.0, nan, 3.0, 4.0, nan, nan, 7.0])],
            outputs: vec![Channel { name: "y".into(), ..channel(&[nan, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]) }],
        };
        let (first, whole) = whole(&record, 1).expect("there is a stretch");
        assert_eq!((first, whole.inputs[0].values.as_slice()), (1, &[2.0, 3.0, 4.0][..]));
    }
}
