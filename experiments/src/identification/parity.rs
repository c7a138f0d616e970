//! Against established packages, on their data: losses, parameters, fits and times of [`super::reference`].

use std::time::Instant;

use serde::Serialize;
use tidegate_stats::mean;
use tidegate_sysid::data::RecordExt;
use tidegate_sysid::state_space::FitPercent;
use tidegate_sysid::{FitError, InputOrders, Orders, Structure};

use super::criterion::Polynomials;
use super::models;
use super::reference::{Case, Peer};

/// A loss may exceed the least one known by this share.
pub const LOSS_EXCESS_MAX: f64 = 1e-6;

/// Parameters may differ by this where both are at one optimum; of ARX models, which are solved and not searched, by the
/// second.
pub const DISTANCE_MAX: [f64; 2] = [1e-6, 1e-8];

/// Two losses this near each other are of one optimum. A quadratic: parameters that differ by 10⁻⁶ move it far less.
const SAME_OPTIMUM: f64 = 1e-9;

/// A fit of a state-space model may lie below that of the best package by so many points.
pub const FIT_BEHIND_MAX: f64 = 0.5;

/// One input–output structure on one data set: a row of `parity.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it; docs/identification.md has the criterion
pub struct LossRow {
    pub data: String,
    pub structure: String,
    pub samples: usize,
    pub loss: f64,
    pub reference_loss: f64,
    pub reference: String,
    /// Loss over reference − 1.
    pub excess: f64,
    /// The largest difference of a parameter from the reference's.
    pub distance: f64,
    pub warnings: String,
    pub passed: bool,
}

/// One state-space order on one data set, one way of running it: a row of `parity_subspace.csv`. Fits are means over
/// the outputs, in percent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct FitRow {
    pub data: String,
    pub order: usize,
    pub on: String,
    pub run: String,
    pub fit: f64,
    pub best: f64,
    pub best_package: String,
    /// Ours − best.
    pub ahead: f64,
    pub spectral_radius: f64,
    pub warnings: String,
    /// Whether this row is one that must not fall behind.
    pub judged: bool,
    pub passed: bool,
}

/// Seconds of our fit, beside those of the packages.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct TimeRow {
    pub data: String,
    pub structure: String,
    pub our_seconds: f64,
    pub fastest_package_cpu_seconds: Option<f64>,
    pub fastest_package: String,
}

/// What became of all cases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parity {
    /// Input–output models.
    pub losses: Vec<LossRow>,
    /// State-space models.
    pub fits: Vec<FitRow>,
    /// Wall times.
    pub times: Vec<TimeRow>,
    /// Cases that gave no model: which, and why.
    pub refused: Vec<(String, String)>,
}

impl Parity {
    /// Rows that fail, by name.
    pub fn failures(&self) -> Vec<String> {
        let losses =
            self.losses.iter().filter(|row| !row.passed).map(|row| format!("{} {}", row.data, row.structure));
        let fits = self
            .fits
            .iter()
            .filter(|row| !row.passed)
            .map(|row| format!("{} order {} {} {}", row.data, row.order, row.on, row.run));
        losses.chain(fits).chain(self.refused.iter().map(|(case, _)| case.clone())).collect()
    }
}

/// Fits every case, one after the other, so that times are those of one core.
pub fn compare(cases: &[Case]) -> Parity {
    let mut parity = Parity::default();
    for case in cases {
        let begun = Instant::now();
        let outcome = if case.spec.kind == "ss" {
            subspace(case).map(|rows| parity.fits.extend(rows))
        } else {
            input_output(case).map(|row| parity.losses.push(row))
        };
        let our_seconds = begun.elapsed().as_secs_f64();
        if let Err(error) = outcome {
            parity.refused.push((format!("{} {}", case.data, case.spec.title()), error.to_string()));
        }
        let timed = case.peers.iter().filter_map(|peer| Some((peer.cpu_s?, peer)));
        let fastest = timed.min_by(|a, b| a.0.total_cmp(&b.0));
        parity.times.push(TimeRow {
            data: case.data.clone(),
            structure: case.spec.title(),
            our_seconds,
            fastest_package_cpu_seconds: fastest.map(|it| it.0),
            fastest_package: fastest.map_or_else(String::new, |it| it.1.peer.clone()),
        });
    }
    parity
}

fn input_output(case: &Case) -> Result<LossRow, FitError> {
    let m = case.estimation.inputs.len();
    let (nb, nf, nk) = (case.spec.each("nb", m), case.spec.each("nf", m), case.spec.each("nk", m));
    let structure = match case.spec.kind.as_str() {
        "arx" => Structure::Arx,
        "armax" => Structure::Armax,
        "oe" => Structure::OutputError,
        _ => Structure::BoxJenkins,
    };
    let inputs = (0..m).map(|i| InputOrders { nb: nb[i], nf: nf[i], nk: nk[i] }).collect();
    let orders =
        Orders { na: case.spec.single("na"), nc: case.spec.single("nc"), nd: case.spec.single("nd"), inputs };
    let model = models::fit(structure, &orders, &case.estimation)?;
    let tail = |polynomial: &tidegate_sysid::Polynomial| polynomial.coefficients().to_vec();
    let found = &model.polynomials;
    let ours = Polynomials {
        a: tail(&found.a),
        b: found.b.iter().map(tail).collect(),
        c: tail(&found.c),
        d: tail(&found.d),
        f: found.f.iter().map(tail).collect(),
    };
    let loss = ours.loss_on(&case.estimation);
    let best =
        case.peers.iter().filter_map(|peer| Some((peer.loss()?, peer))).min_by(|a, b| a.0.total_cmp(&b.0));
    let (reference_loss, peer) = best.map_or((f64::NAN, None), |(loss, peer)| (loss, Some(peer)));
    let excess = loss / reference_loss - 1.0;
    let distance = peer.and_then(Peer::polynomials).map_or(f64::NAN, |theirs| ours.distance(&theirs));
    let distance_max = DISTANCE_MAX[usize::from(structure == Structure::Arx)];
    // A lower loss is another, better optimum, and its parameters are none of the reference's business.
    let is_same = excess.abs() <= SAME_OPTIMUM;
    Ok(LossRow {
        data: case.data.clone(),
        structure: case.spec.title(),
        samples: case.estimation.n_samples(),
        loss,
        reference_loss,
        reference: peer.map_or_else(String::new, |peer| peer.peer.clone()),
        excess,
        distance,
        warnings: model.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        passed: excess <= LOSS_EXCESS_MAX && (!is_same || distance.is_nan() || distance <= distance_max),
    })
}

fn subspace(case: &Case) -> Result<Vec<FitRow>, FitError> {
    let order = case.spec.single("n");
    let model = models::subspace(Some(order), &case.estimation)?;
    let spectral_radius = model.spectral_radius();
    let warnings: Vec<String> = model.warnings().iter().map(ToString::to_string).collect();
    let mut rows = Vec::new();
    for (on, record) in [("estimation", &case.estimation), ("validation", &case.validation)] {
        if record.n_samples() == 0 {
            continue;
        }
        let FitPercent { simulated_from_zero, simulated_from_best, predicted } = model.fit_percent(record);
        for (run, field, ours) in [
            ("simulated from the best state", "fit_sim_x0ls", simulated_from_best),
            ("simulated from rest", "fit_sim_x00", simulated_from_zero),
            ("predicted one step", "fit_pred_x00", predicted),
        ] {
            let fits = case.peers.iter().filter_map(|peer| {
                let fits = peer.fits(on == "validation", field)?;
                Some((mean(&fits), peer)).filter(|it| it.0.is_finite())
            });
            let Some((best, package)) = fits.max_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
            let fit = mean(&ours);
            // What is fitted is judged; how a model does elsewhere depends on what the data hide.
            let judged = on == "estimation";
            let unwarned = spectral_radius >= 1.0 && warnings.is_empty();
            rows.push(FitRow {
                data: case.data.clone(),
                order,
                on: on.to_owned(),
                run: run.to_owned(),
                fit,
                best,
                best_package: package.peer.clone(),
                ahead: fit - best,
                spectral_radius,
                warnings: warnings.join("; "),
                judged,
                passed: !judged || (fit - best >= -FIT_BEHIND_MAX && !unwarned),
            });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;

    use tidegate_core::Seed;

    use super::*;
    use crate::identification::reference;
    use crate::identification::synthetic::ALL;

    /// A folder with an ARX model found by another way: normal equations by hand of a system without noise are its truth.
    #[test]
    fn a_right_reference_passes_and_one_that_is_better_than_possible_fails() {
        let system = ALL.iter().find(|it| it.name == "ARX(2,2), nk 1").expect("it is in the list");
        let record = system.draw(400, Seed::training(4));
        let mut text = String::from("u,y\n");
        for (u, y) in record.inputs[0].values.iter().zip(&record.outputs[0].values) {
            writeln!(text, "{u},{y}").expect("a string takes all");
        }
        let model = models::fit(system.structure, &system.orders(), &record).expect("it fits");
        let coefficients =
            |polynomial: &tidegate_sysid::Polynomial| format!("{:?}", polynomial.coefficients());
        let check = |loss: f64, expected: &[&str]| {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("plant.csv"), &text).expect("written");
            let row = format!(
                r#"[{{"data":"plant","peer":"p","N":400,"spec":{{"kind":"arx","na":2,"nb":2,"nk":1}},
                "params":{{"A":{},"B":{}}},"est":{{"loss":{loss}}}}}]"#,
                coefficients(&model.polynomials.a),
                coefficients(&model.polynomials.b[0])
            );
            fs::write(folder.path().join("reference.json"), row).expect("written");
            let parity = compare(&reference::read(folder.path()).expect("it is right"));
            assert_eq!(parity.failures(), expected, "{parity:?}");
            assert!(parity.losses[0].distance < 1e-12);
        };
        check(model.loss, &[]);
        check(model.loss * 0.999, &["plant arx na 2 nb 2 nk 1"]);
    }
}
