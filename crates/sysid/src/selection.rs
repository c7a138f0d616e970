//! Choice of orders and delay over a grid.
//!
//! A grid gives candidates; [`evaluate`] fits one of them, so that a caller may map over them in parallel; [`rank`] puts
//! them in order. All are compared on the same samples: those from the largest first sample of any candidate on, since a
//! criterion N ln V of different N compares nothing. For ARX under an information criterion [`evaluate_arx`] does all
//! at once: the data are triangularised once, with all lags that any candidate has, and each candidate picks its
//! columns of the small triangle.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use tidegate_core::{Channel, Model, Record};

use crate::error::FitError;
use crate::estimate::{DEPENDENT, arx_triangle, estimate_from, input_names, prepare};
use crate::orders::{InputOrders, Orders, Structure};
use crate::triangle::Dependent;

/// A model that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Its structure.
    pub structure: Structure,
    /// Its orders.
    pub orders: Orders,
}

/// All combinations of orders; every input gets the same. Orders that the structure does not have are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The structure.
    pub structure: Structure,
    /// Number of inputs.
    pub n_inputs: usize,
    /// Order of A.
    pub na: RangeInclusive<usize>,
    /// Coefficients of B.
    pub nb: RangeInclusive<usize>,
    /// Order of C.
    pub nc: RangeInclusive<usize>,
    /// Order of D.
    pub nd: RangeInclusive<usize>,
    /// Order of F.
    pub nf: RangeInclusive<usize>,
    /// Delay.
    pub nk: RangeInclusive<usize>,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum By {
    /// Akaike: N ln V + 2 d.
    Aic,
    /// Schwarz: N ln V + d ln N.
    Bic,
    /// Akaike's final prediction error V (1 + d/N) / (1 − d/N).
    Fpe,
    /// Mean squared error of predictions on the part of the record that was not fitted.
    HoldOut {
        /// Share of the record that is fitted: its first part.
        estimation_fraction: f64,
        /// Steps ahead of the predictions.
        ahead: NonZeroU32,
    },
}

/// A candidate with its value; the smaller the better.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Which.
    pub candidate: Candidate,
    /// Of the criterion; or why there is none.
    pub value: Result<f64, FitError>,
    /// Mean squared residual of the fit, where there is one.
    pub loss: Option<f64>,
}

impl Grid {
    /// One input, ARX, all small orders: the usual first look.
    pub fn arx(na: RangeInclusive<usize>, nb: RangeInclusive<usize>, nk: RangeInclusive<usize>) -> Self {
        Self { structure: Structure::Arx, n_inputs: 1, na, nb, nc: 0..=0, nd: 0..=0, nf: 0..=0, nk }
    }

    /// All candidates, in a fixed order, each once.
    pub fn candidates(&self) -> Vec<Candidate> {
        use Structure::{Ar, Arma, Armax, Arx, BoxJenkins, OutputError};
        let has = |structures: &[Structure], range: &RangeInclusive<usize>| {
            if structures.contains(&self.structure) { range.clone() } else { 0..=0 }
        };
        let (na, nc) = (has(&[Ar, Arx, Arma, Armax], &self.na), has(&[Arma, Armax, BoxJenkins], &self.nc));
        let (nd, nf) = (has(&[BoxJenkins], &self.nd), has(&[OutputError, BoxJenkins], &self.nf));
        let with_inputs = [Arx, Armax, OutputError, BoxJenkins];
        let (nb, nk) = (has(&with_inputs, &self.nb), has(&with_inputs, &self.nk));
        let n_inputs = if with_inputs.contains(&self.structure) { self.n_inputs } else { 0 };
        let mut all = Vec::new();
        for na in na {
            for nb in nb.clone() {
                for nc in nc.clone() {
                    for nd in nd.clone() {
                        for nf in nf.clone() {
                            for nk in nk.clone() {
                                let inputs = vec![InputOrders { nb, nf, nk }; n_inputs];
                                let orders = Orders { na, nc, nd, inputs };
                                all.push(Candidate { structure: self.structure, orders });
                            }
                        }
                    }
                }
            }
        }
        all
    }
}

/// The first sample at which all candidates can be compared.
///
/// # Errors
/// `Order` where a candidate's orders are wrong.
pub fn common_skip(candidates: &[Candidate]) -> Result<usize, FitError> {
    candidates.iter().try_fold(0, |skip, it| it.orders.check().map(|()| skip.max(it.orders.skip())))
}

/// Fits one candidate and gives its value; `skip` as [`common_skip`] says.
pub fn evaluate(candidate: &Candidate, record: &Record, skip: usize, by: By) -> Evaluated {
    let fitted = fit_and_value(candidate, record, skip, by);
    let loss = fitted.as_ref().ok().map(|(_, loss)| *loss);
    Evaluated { candidate: candidate.clone(), value: fitted.map(|(value, _)| value), loss }
}

fn fit_and_value(
    candidate: &Candidate,
    record: &Record,
    skip: usize,
    by: By,
) -> Result<(f64, f64), FitError> {
    let Candidate { structure, orders } = candidate;
    let By::HoldOut { estimation_fraction, ahead } = by else {
        let data = prepare(*structure, orders, record)?;
        let model = estimate_from(*structure, orders, record, &data, skip)?;
        return Ok((criterion(by, model.loss, model.samples, orders.n_parameters()), model.loss));
    };
    let n = record.outputs.first().map_or(0, |it| it.values.len());
    let split = (estimation_fraction.clamp(0.0, 1.0) * n as f64) as usize;
    // Checked as a whole: a gap in the part held out must not come out as a value.
    prepare(*structure, orders, record)?;
    let part = first_part(record, split);
    let data = prepare(*structure, orders, &part)?;
    let model = estimate_from(*structure, orders, &part, &data, skip)?;
    let first = split.max(model.first_predicted(ahead));
    if first >= n {
        return Err(FitError::TooShort { found: n, what: orders.text(*structure), needed: first + 1 });
    }
    let predicted = model.predict(record, ahead);
    let measured = &record.outputs[0].values[first..];
    let missed = measured.iter().zip(&predicted.as_slice()[first..]).map(|(y, p)| (y - p).powi(2));
    Ok((missed.sum::<f64>() / (n - first) as f64, model.loss))
}

/// All candidates of ARX structure at once, on one record; `by` is an information criterion.
///
/// # Errors
/// What is wrong with the record or an order. A candidate that the data do not determine carries its own error.
///
/// # Panics
/// Where a candidate is not ARX, or `by` is hold-out.
pub fn evaluate_arx(candidates: &[Candidate], record: &Record, by: By) -> Result<Vec<Evaluated>, FitError> {
    assert!(candidates.iter().all(|it| it.structure == Structure::Arx), "all candidates are ARX");
    assert!(!matches!(by, By::HoldOut { .. }), "hold-out needs each model: use `evaluate`");
    let Some(first) = candidates.first() else { return Ok(Vec::new()) };
    let skip = common_skip(candidates)?;
    let mut widest = first.orders.clone();
    for it in candidates {
        prepare(Structure::Arx, &it.orders, record)?;
        widest.na = widest.na.max(it.orders.na);
        for (wide, own) in widest.inputs.iter_mut().zip(&it.orders.inputs) {
            let end = (wide.nk + wide.nb).max(own.nk + own.nb);
            wide.nk = wide.nk.min(own.nk);
            wide.nb = end - wide.nk;
        }
    }
    let data = prepare(Structure::Arx, &widest, record)?;
    let samples = data.len().saturating_sub(skip);
    let all = arx_triangle(&widest, &data, skip.min(data.len()));
    let names = input_names(record);
    Ok(candidates
        .iter()
        .map(|candidate| {
            let orders = &candidate.orders;
            let n_parameters = orders.n_parameters();
            let loss = if samples <= n_parameters {
                let (what, needed) = (orders.text(Structure::Arx), skip + n_parameters + 1);
                Err(FitError::TooShort { found: data.len(), what, needed })
            } else {
                let mut columns: Vec<usize> = (0..orders.na).collect();
                for (i, (own, wide)) in orders.inputs.iter().zip(&widest.inputs).enumerate() {
                    let start = widest.b(i).start + own.nk - wide.nk;
                    columns.extend(start..start + own.nb);
                }
                let own = all.subset(&columns);
                let solved = own.solve(DEPENDENT).map_err(|Dependent(j)| FitError::Collinear {
                    what: orders.names(&names).swap_remove(j),
                    remedy: "lower that order, drop an input that repeats another, or excite the inputs more",
                });
                solved.map(|_| own.residual() / samples as f64 * data.output.scale.powi(2))
            };
            let value = loss.clone().map(|loss| criterion(by, loss, samples, n_parameters));
            Evaluated { candidate: candidate.clone(), value, loss: loss.ok() }
        })
        .collect())
}

fn criterion(by: By, loss: f64, samples: usize, n_parameters: usize) -> f64 {
    let (n, d) = (samples as f64, n_parameters as f64);
    match by {
        By::Aic => n * loss.ln() + 2.0 * d,
        By::Bic => n * loss.ln() + d * n.ln(),
        By::Fpe => loss * (1.0 + d / n) / (1.0 - d / n),
        By::HoldOut { .. } => unreachable!("its value comes from predictions"),
    }
}

/// The best first; among equals the one with fewer parameters, then by orders. What could not be fitted comes last.
pub fn rank(mut evaluated: Vec<Evaluated>) -> Vec<Evaluated> {
    let value = |it: &Evaluated| it.value.as_ref().copied().unwrap_or(f64::INFINITY);
    evaluated.sort_by(|x, y| {
        let failed = x.value.is_err().cmp(&y.value.is_err());
        let size = x.candidate.orders.n_parameters().cmp(&y.candidate.orders.n_parameters());
        failed.then(value(x).total_cmp(&value(y))).then(size).then(x.candidate.cmp(&y.candidate))
    });
    evaluated
}

/// A table of the first `rows` ranked candidates.
pub fn table(ranked: &[Evaluated], rows: usize) -> String {
    let mut text = String::from("| model | parameters | loss | value |\n| --- | --- | --- | --- |\n");
    for it in ranked.iter().take(rows) {
        let name = it.candidate.orders.text(it.candidate.structure);
        let n = it.candidate.orders.n_parameters();
        let loss = it.loss.map_or_else(|| "-".into(), |loss| format!("{loss:.6e}"));
        let value = it.value.as_ref().map_or_else(ToString::to_string, |value| format!("{value:.6e}"));
        writeln!(text, "| {name} | {n} | {loss} | {value} |").expect("a string takes all");
    }
    text
}

fn first_part(record: &Record, n: usize) -> Record {
    let cut = |it: &Channel| Channel {
        name: it.name.clone(),
        unit: it.unit.clone(),
        values: it.values[..n.min(it.values.len())].to_vec(),
    };
    Record {
        step_seconds: record.step_seconds,
        inputs: record.inputs.iter().map(cut).collect(),
        outputs: record.outputs.iter().map(cut).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Plant;
    use approx::assert_relative_eq;
    use expect_test::expect;

    fn plant() -> Plant {
        Plant::armax(&[-1.2, 0.5], &[0.0, 0.0, 0.6, 0.3], &[], 0.4)
    }

    const AHEAD: NonZeroU32 = NonZeroU32::MIN;

    #[test]
    fn schwarz_finds_the_orders_of_the_plant() {
        let candidates = Grid::arx(0..=4, 1..=3, 0..=4).candidates();
        assert_eq!(candidates.len(), 75);
        let ranked =
            rank(evaluate_arx(&candidates, &plant().record(2000, 1), By::Bic).expect("all can be fitted"));
        expect![[r"
            | model | parameters | loss | value |
            | --- | --- | --- | --- |
            | ARX(2,2,2) | 4 | 1.641522e-1 | -3.572690e3 |
            | ARX(2,3,2) | 5 | 1.640053e-1 | -3.566876e3 |
            | ARX(3,2,2) | 5 | 1.641465e-1 | -3.565160e3 |
        "]]
        .assert_eq(&table(&ranked, 3));
    }

    #[test]
    fn all_at_once_is_one_by_one() {
        let mut grid = Grid { n_inputs: 2, ..Grid::arx(0..=3, 1..=2, 0..=2) };
        grid.nc = 0..=5;
        let plant = Plant {
            b: vec![plant().b[0].clone(), plant().b[0].clone()],
            f: vec![crate::Polynomial::one(); 2],
            ..plant()
        };
        let record = plant.record(300, 2);
        let candidates = grid.candidates();
        assert_eq!(candidates.len(), 24, "ARX has no C");
        let skip = common_skip(&candidates).expect("orders are fine");
        for by in [By::Aic, By::Bic, By::Fpe] {
            for fast in evaluate_arx(&candidates, &record, by).expect("fits") {
                let slow = evaluate(&fast.candidate, &record, skip, by);
                let (fast, slow) = (fast.value.expect("fits"), slow.value.expect("fits"));
                assert_relative_eq!(fast, slow, max_relative = 1e-9);
            }
        }
    }

    #[test]
    fn hold_out_prefers_the_plant_to_more_of_everything() {
        let plant = Plant::armax(&[-0.8], &[0.0, 1.0], &[0.7], 0.5);
        let record = plant.record(400, 3);
        let grid = Grid { structure: Structure::Armax, nc: 0..=1, ..Grid::arx(1..=1, 1..=1, 1..=2) };
        let candidates = grid.candidates();
        let skip = common_skip(&candidates).expect("orders are fine");
        let by = By::HoldOut { estimation_fraction: 0.6, ahead: AHEAD };
        let ranked = rank(candidates.iter().map(|it| evaluate(it, &record, skip, by)).collect());
        assert_eq!(ranked[0].candidate.orders.text(Structure::Armax), "ARMAX(1,1,1,1)");
        // Its error there is that of the noise.
        assert_relative_eq!(*ranked[0].value.as_ref().expect("fits"), 0.25, max_relative = 0.25);
    }

    #[test]
    fn what_cannot_be_fitted_comes_last_and_says_why() {
        let candidates = Grid::arx(1..=1, 1..=1, 1..=1).candidates();
        let mut all = evaluate_arx(&candidates, &plant().record(50, 4), By::Aic).expect("fits");
        let record = plant().record(6, 4);
        let large = Grid::arx(9..=9, 1..=1, 1..=1).candidates().swap_remove(0);
        all.insert(0, evaluate(&large, &record, 9, By::Aic));
        let ranked = rank(all);
        assert!(ranked[0].value.is_ok() && ranked[1].value.is_err());
        assert!(table(&ranked, 9).contains("6 samples are too few for ARX(9,1,1), which needs 20"));
    }
}
