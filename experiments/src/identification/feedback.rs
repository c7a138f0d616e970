//! Which methods may be trusted on data taken under feedback: the same known system in open and in closed loop.

use rayon::prelude::*;
use serde::Serialize;
use tidegate_core::{Record, Seed};
use tidegate_stats::{mean, variance};
use tidegate_sysid::{FitError, InputOrders, Orders, Structure};

use super::models;
use super::synthetic::{Path, System};

/// The system: y = B/A u + 1/A e. Its noise is strongly coloured, so that a method without a noise model is wrong about
/// it, and an ARX model is right.
const SYSTEM: System = System {
    name: "ARX(2,2), nk 1, under feedback",
    structure: Structure::Arx,
    a: &[1.0, -1.2, 0.5],
    paths: &[Path { b: &[0.0, 0.6, 0.3], f: &[1.0] }],
    c: &[1.0],
    d: &[1.0],
    sigma: 1.0,
    hold: 1,
    n: 2000,
    from_rest: false,
    known_gap: None,
};

/// u = r − gain · y.
const GAIN: f64 = 0.4;

/// Height of the binary r in closed loop; in open loop u is this signal. Less than the noise, as in operation.
const REFERENCE: f64 = 0.7;

/// Beyond this many standard errors of the mean a bias is called one; with 20 tests about 4 % of right methods
/// would be called biased by chance at 3, hence 4.
pub const Z_MAX: f64 = 4.0;

/// One method, one loop, one quantity over all runs: a row of `closed_loop.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct BiasRow {
    pub method: String,
    pub data: String,
    pub quantity: String,
    pub runs: usize,
    pub truth: f64,
    pub mean: f64,
    pub standard_deviation: f64,
    pub bias_percent: f64,
    pub bias_z: f64,
    pub biased: bool,
}

/// Steps until the response has settled: the slowest pole has a modulus of 0.71.
const SETTLED: usize = 80;

const QUANTITIES: [&str; 2] = ["first response h(1)", "steady gain"];

/// Fits every method to `n_runs` records of each loop, with seeds of evaluation worlds that nothing else uses.
pub fn study(n_runs: u64) -> Vec<BiasRow> {
    let truth = truth();
    let mut rows = Vec::new();
    for (data, gain) in [("open loop", 0.0), ("closed loop", GAIN)] {
        let found: Vec<Vec<Option<[f64; 2]>>> = (0..n_runs)
            .into_par_iter()
            .map(|run| {
                let seed = Seed::evaluation(90_000_000 + run);
                let record = SYSTEM.draw_closed_loop(SYSTEM.n, gain, REFERENCE, seed);
                METHODS.iter().map(|(_, fit)| fit(&record).ok()).collect()
            })
            .collect();
        for (method, (name, _)) in METHODS.iter().enumerate() {
            for (quantity, label) in QUANTITIES.iter().enumerate() {
                let values: Vec<f64> = found
                    .iter()
                    .filter_map(|run| run[method])
                    .map(|it| it[quantity])
                    .filter(|it| it.is_finite())
                    .collect();
                let (center, deviation) = (mean(&values), variance(&values).sqrt());
                let bias_z = (center - truth[quantity]) / deviation * (values.len() as f64).sqrt();
                rows.push(BiasRow {
                    method: (*name).to_owned(),
                    data: data.to_owned(),
                    quantity: (*label).to_owned(),
                    runs: values.len(),
                    truth: truth[quantity],
                    mean: center,
                    standard_deviation: deviation,
                    bias_percent: 100.0 * (center / truth[quantity] - 1.0),
                    bias_z,
                    biased: bias_z.abs() > Z_MAX,
                });
            }
        }
    }
    rows
}

fn truth() -> [f64; 2] {
    let path = SYSTEM.paths[0];
    [path.b[1], path.b.iter().sum::<f64>() / SYSTEM.a.iter().sum::<f64>()]
}

type Estimated = fn(&Record) -> Result<[f64; 2], FitError>;

const METHODS: [(&str, Estimated); 6] = [
    ("ARX", |record| pem(Structure::Arx, 2, 0, 0, 0, record)),
    ("ARMAX", |record| pem(Structure::Armax, 2, 1, 0, 0, record)),
    ("BJ", |record| pem(Structure::BoxJenkins, 0, 0, 2, 2, record)),
    ("OE", |record| pem(Structure::OutputError, 0, 0, 0, 2, record)),
    ("subspace (N4SID)", |record| subspace(tidegate_sysid::subspace::Refine::None, record)),
    ("subspace, refined by PEM", |record| subspace(tidegate_sysid::subspace::Refine::Prediction, record)),
];

fn pem(
    structure: Structure,
    na: usize,
    nc: usize,
    nd: usize,
    nf: usize,
    record: &Record,
) -> Result<[f64; 2], FitError> {
    let orders = Orders { na, nc, nd, inputs: vec![InputOrders { nb: 2, nf, nk: 1 }] };
    let model = models::fit(structure, &orders, record)?;
    Ok([model.impulse_response(0, 2)[1], model.steady_gain(0)])
}

fn subspace(refine: tidegate_sysid::subspace::Refine, record: &Record) -> Result<[f64; 2], FitError> {
    use tidegate_sysid::subspace::Subspace;
    let method = Subspace { refine, has_feedthrough: false, ..Subspace::n4sid(2, 10) };
    let model = method.identify(record)?.model;
    let steps = &models::steps(&model, record, SETTLED)[0][0];
    Ok([steps[1], steps[SETTLED - 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prediction_error_methods_are_right_under_feedback_and_output_error_is_not() {
        let rows = study(40);
        for row in &rows {
            let right = row.data == "open loop" || !["OE", "subspace (N4SID)"].contains(&row.method.as_str());
            assert!(!right || row.bias_z.abs() < Z_MAX + 1.0, "{row:?}");
        }
        let oe = rows
            .iter()
            .find(|row| row.method == "OE" && row.data == "closed loop" && row.quantity == QUANTITIES[1]);
        assert!(oe.is_some_and(|row| row.biased), "{rows:#?}");
    }
}
